"""What the benchmark publishes: its own time is in every event, so that a floor can send it too."""

from __future__ import annotations

MOUNT = "/bayeux"

DUE = b'"due":"'
"""Stands in every payload before the time at which its publish was due."""
DIGITS = 16
"""Of that time, in microseconds of the monotonic clock."""


def payload(due: int, size: int) -> str:
    """Return the data of an event, ``size`` bytes of JSON, but no less than what the time takes."""
    padding = "x" * (size - 33)
    return f'{{"due":"{due // 1000:0{DIGITS}d}","x":"{padding}"}}'


def stamp(template: bytes, due: int) -> bytes:
    """Return something that was published before with another due time."""
    at = template.index(DUE) + len(DUE)
    return b"%b%0*d%b" % (template[:at], DIGITS, due // 1000, template[at + DIGITS:])
