"""The pauses between tries that fail."""

from __future__ import annotations

from collections.abc import Callable

_MANY = 64
"""Doublings after which any limit is reached."""


class Backoff:
    """Exponential back-off with jitter: clients that lost their server together must not return together.

    Each pause lies between the half and the whole of what is due, so that none is so short as to press the
    server.  ``random`` returns a number from 0 to 1.
    """

    def __init__(self, first: float, limit: float, random: Callable[[], float]) -> None:
        self._first = first
        self._limit = limit
        self._random = random
        self._failures = 0

    def next(self) -> float:
        """Return the next pause in seconds."""
        due = min(self._limit, self._first * (1 << min(self._failures, _MANY)))
        self._failures += 1
        return due * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """Begin anew, as a try has succeeded."""
        self._failures = 0
