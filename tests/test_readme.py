"""What the README leads to is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.rst").read_text(encoding="utf-8")


def test_each_link_leads_somewhere() -> None:
    targets = re.findall(r"^\.\. _[^:]+: (\S+)$", README, re.MULTILINE)
    local = [target for target in targets if not target.startswith("https:")]
    assert len(local) > 10
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_each_link_is_used() -> None:
    """One that is not used has been forgotten where it was to be."""
    names = re.findall(r"^\.\. _([^:]+): ", README, re.MULTILINE)
    assert [name for name in names if not re.search(rf"`{name}`_|\b{name}_\b", README)] == []


def test_the_picture_is_small() -> None:
    [picture] = re.findall(r"^\.\. image:: (\S+)$", README, re.MULTILINE)
    assert (ROOT / picture).stat().st_size < 150_000


def test_both_commands_are_there() -> None:
    assert "pip install . && .venv/bin/twistd -n bayeux --demo" in README
    assert "    ./tests/run\n" in README
