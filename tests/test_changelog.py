"""The fragments of the changelog can be made a section of it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FRAGMENTS = ROOT / "docs" / "changelog.d"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]


def test_each_fragment_is_of_a_kind_that_there_is() -> None:
    """towncrier leaves out what it does not know."""
    kinds = "|".join(kind["directory"] for kind in SETTINGS["type"])
    names = {file.name for file in FRAGMENTS.iterdir()} - {".gitignore"}
    assert [name for name in names if not re.fullmatch(rf"(\d+|\+\w+)\.({kinds})(\.\d+)?\.rst", name)] == []


def test_the_kinds_are_those_that_contributors_are_told_of() -> None:
    told = re.findall(r"^``7\.(\w+)\.rst``", (ROOT / "docs" / "contributing.rst").read_text(), re.MULTILINE)
    assert told == [kind["directory"] for kind in SETTINGS["type"]]


def test_there_is_a_place_for_the_next_section() -> None:
    assert SETTINGS["start_string"] in (ROOT / SETTINGS["filename"]).read_text()


def test_a_section_can_be_made() -> None:
    draft = subprocess.run([sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9"],
                           cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "9.9 (" in draft
