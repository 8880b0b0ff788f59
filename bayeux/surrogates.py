"""Lone surrogates: the escape ``\\ud800`` alone is JSON, and browsers send it, but our parser refuses it.

So it is hidden from the parser behind an escaped private-use character, and put back afterwards: what is
relayed is the escape that came (BAYEUX.md section 25).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bayeux.errors import MalformedEnvelope

SIZE = len(r"\ud800")
"""Bytes of one."""

_NEXT = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?:[^dDeE]|[dD][0-7])"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"  # a pair
    rb"\\u(?P<digits>(?P<lone>[dD][89a-fA-F][0-9a-fA-F]{2})|[eE][0-9a-fA-F]{3})",
    re.DOTALL,
)
"""What comes before the next escape of a lone surrogate, or of a private character, and that: so all other
text costs little."""
_HIDE = bytes.maketrans(b"dD", b"eE"), bytes.maketrans(b"89abcdefABCDEF", b"01234567abcdef")
_SHOW = bytes.maketrans(b"eE", b"dD"), bytes.maketrans(b"01234567abcdef", b"89abcdefABCDEF")
"""How the first two digits of an escape change, so that it can be changed back, upper case included."""


def hide(text: bytes, most: int) -> bytes:
    """Hide each lone surrogate of a JSON text, in which there may be no escaped private-use characters.

    Raises ``MalformedEnvelope`` where there are such, or where there is none to be hidden, and so something
    else is wrong with the text; and where there are more than ``most``, as each costs far more than other
    text.
    """
    count = 0
    for count, escape in enumerate(_escapes(text), 1):
        if escape["lone"] is None or count > most:
            raise MalformedEnvelope("not JSON")
    if not count:
        raise MalformedEnvelope("not JSON")
    return _exchange(text, *_HIDE)


def show(text: bytes) -> bytes:
    """Undo ``hide``."""
    return _exchange(text, *_SHOW)


def _exchange(text: bytes, first: bytes, second: bytes) -> bytes:
    """Change the first two digits of every such escape; all other text stays as it is."""
    changed = bytearray(text)
    for escape in _escapes(text):
        place = escape.start("digits")
        changed[place:place + 1] = text[place:place + 1].translate(first)
        changed[place + 1:place + 2] = text[place + 1:place + 2].translate(second)
    return bytes(changed)


def _escapes(text: bytes) -> Iterator[re.Match[bytes]]:
    """Find the escapes of lone surrogates and of private characters, up to a place that is no JSON."""
    found = _NEXT.match(text)
    while found is not None:
        yield found
        found = _NEXT.match(text, found.end())
