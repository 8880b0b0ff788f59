"""The protocol version, and which others a client may speak (H-8)."""

from __future__ import annotations

import re
from itertools import zip_longest

from bayeux.errors import BayeuxError

VERSION = "1.0"
"""The version that the server speaks, and the oldest that it understands."""

_GRAMMAR = re.compile(r"[0-9]+(?:\.[0-9A-Za-z_\-]+)*[0-9A-Za-z_\-]*")


def check_version(version: str, minimum: str | None) -> None:
    """Raise a 300 ``BayeuxError`` unless client and server have a version in common.

    ``minimum`` is the oldest version that the client accepts; None: it did not say.
    """
    for text in (version, *([minimum] if minimum is not None else [])):
        if len(text) > 32 or not _GRAMMAR.fullmatch(text):
            raise BayeuxError(300, "Version mismatch", version)
    if _is_older(version, VERSION) or (minimum is not None and _is_older(VERSION, minimum)):
        raise BayeuxError(300, "Version mismatch", version)


def _is_older(one: str, other: str) -> bool:
    """Compare element by element, two numbers as numbers, else as text; a missing one sorts first."""
    for mine, theirs in zip_longest(one.split("."), other.split(".")):
        if mine == theirs:
            continue
        if mine is None or theirs is None:
            return mine is None
        if mine.isdigit() and theirs.isdigit():
            if int(mine) == int(theirs):
                continue
            return int(mine) < int(theirs)
        return bool(mine < theirs)
    return False
