"""The protocol version, and which others a client may speak (H-8)."""

from __future__ import annotations

import re

from bayeux.errors import BayeuxError

VERSION = "1.0"
"""The version that the server speaks, and the oldest that it understands."""

_GRAMMAR = re.compile(r"[0-9]+(?:\.[0-9A-Za-z_\-]+)*[0-9A-Za-z_\-]*")


def check_version(version: str, minimum: str | None) -> None:
    """Raise a 300 ``BayeuxError`` unless client and server have a version in common.

    ``minimum`` is the oldest version that the client accepts; None: it did not say.
    """
    ours = _elements(VERSION)
    for text in (version, *([minimum] if minimum is not None else [])):
        if len(text) > 32 or not _GRAMMAR.fullmatch(text):
            raise BayeuxError(300, "Version mismatch", version)
    if _elements(version) < ours or (minimum is not None and _elements(minimum) > ours):
        raise BayeuxError(300, "Version mismatch", version)


def _elements(version: str) -> list[tuple[int, int, str]]:
    """Make a version comparable, element by element, numbers as numbers; a missing one sorts first.

    Letters sort after numbers, so ``1.0beta`` is later than ``1.0``.
    """
    return [(0, int(element), "") if element.isdigit() else (1, 0, element)
            for element in version.split(".")]
