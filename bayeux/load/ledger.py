"""What one subscriber has had of its channel: what is missing, what came twice, what came out of order.

The messages of a channel are numbered in steps.  Nearly always the next number comes next, and then that is
all that is looked at.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

NEVER = 1 << 62


class Arrival(enum.Enum):
    """What a message is that was not the next."""

    NEW = "new"
    LATE = "late"
    """One that was published after it, by the same publisher, has come before."""
    AGAIN = "again"
    EARLY = "early"
    """From before the subscriber counted on anything; not to be counted."""


class Ledger:
    """The messages of one channel to one subscriber."""

    __slots__ = ("missing", "next", "start", "step", "stride")

    def __init__(self, first: int, step: int, lanes: int) -> None:
        self.start = first
        """Messages before it are not expected."""
        self.next = first
        """The number after the highest that has come."""
        self.step = step
        self.stride = step * lanes
        """From one message of a publisher to its next."""
        self.missing: set[int] = set()
        """Numbers between ``start`` and ``next`` that have not come."""

    def take(self, number: int) -> Arrival:
        """Enter a message that is not the next, or is."""
        if number >= self.next:
            self.missing.update(range(self.next, number, self.step))
            self.next = number + self.step
            return Arrival.NEW
        if number < self.start:
            return Arrival.EARLY
        if number not in self.missing:
            return Arrival.AGAIN
        self.missing.discard(number)
        return Arrival.LATE if self._overtaken(number) else Arrival.NEW

    def _overtaken(self, number: int) -> bool:
        """Say whether a later message of the same publisher has come."""
        return any(later not in self.missing for later in range(number + self.stride, self.next, self.stride))

    def leave(self) -> Iterator[int]:
        """Expect nothing any more; yields what is lost already: something later has come, it has not.

        What had not come yet when the subscriber left is nobody's fault.
        """
        lost = [number for number in self.missing if self._overtaken(number)]
        self.start = self.next = NEVER
        self.missing.clear()
        yield from lost

    def join(self, first: int) -> None:
        """Expect everything from a number on."""
        self.start = self.next = first

    def lost(self, end: int) -> Iterator[range | set[int]]:
        """Yield what has not come of all that was expected until before a number."""
        yield {number for number in self.missing if number < end}
        yield range(self.next, end, self.step)

    def is_complete(self, end: int) -> bool:
        """Say whether all has come until before a number."""
        return self.next >= end and not self.missing
