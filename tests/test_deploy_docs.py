"""docs/howto/deploy.rst: what it says to type can be typed."""

from __future__ import annotations

import re
import tomllib

import pytest

from bayeux.settings import Settings
from tests.deployed import DEPLOY

TEXT = (DEPLOY.parent.parent / "docs" / "howto" / "deploy.rst").read_text()
README = (DEPLOY / "README.rst").read_text()


NUMBER = re.compile(r"``(\w+)`` \(([0-9,]+)(?: s)?\)")
"""A setting with its default."""


def blocks(language: str) -> list[str]:
    """Return the pieces of code in a language."""
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?: {{4}}.*\n|\n)+)", TEXT, re.MULTILINE)
    return [re.sub(r"(?m)^ {4}", "", block) for block in found]


@pytest.mark.parametrize("block", blocks("toml"))
def test_its_settings_are_such(block: str) -> None:
    settings = Settings.of(tomllib.loads(block))
    assert settings != Settings()


def test_the_numbers_that_it_names_are_the_defaults() -> None:
    named = NUMBER.findall(TEXT)
    assert len(named) >= 5
    for name, number in named:
        assert getattr(Settings(), name) == int(number.replace(",", "")), name


def test_the_files_that_it_names_are_there_and_all_are_named() -> None:
    for name in re.findall(r"``demo/deploy/([\w.]+)``", TEXT):
        assert (DEPLOY / name).is_file(), name
    for file in DEPLOY.iterdir():
        assert file.name == "README.rst" or f"``{file.name}``" in README
