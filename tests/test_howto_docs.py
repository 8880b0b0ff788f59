"""What stands in the how-tos and topics can be used as it stands."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from bayeux import Hub, Session, Settings
from tests.clients.drivers import DEADLINE
from tests.test_hub import Client
from tests.test_tutorial_chat import Reader, free_port
from tests.test_tutorials import DOCS, blocks

PAGES = sorted([*(DOCS / "howto").glob("*.rst"), *(DOCS / "topics").glob("*.rst")])
EMBED = DOCS / "howto" / "embed.rst"


def written_in(language: str) -> list[Any]:
    return [pytest.param(block, id=f"{page.stem}-{number}")
            for page in PAGES for number, block in enumerate(blocks(page, language))]


@pytest.mark.parametrize("program", written_in("python"))
def test_python_can_be_read(program: str) -> None:
    ast.parse(program)


@pytest.mark.parametrize("file", written_in("toml"))
def test_settings_are_settings(file: str) -> None:
    Settings.of(tomllib.loads(file))
