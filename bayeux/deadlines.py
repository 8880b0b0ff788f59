"""One deadline for each of very many things, on one timer of the injected clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Generic, Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Mortal(Protocol):
    """Something that has a deadline; both are for ``Deadlines`` to write."""

    deadline: float | None
    """Seconds on the clock; None: never."""
    alarm: float | None
    """When it will be looked at next; None: not at all."""


M = TypeVar("M", bound=Mortal)

_SLACK = 64
_AT_ONCE = 200
"""Things that are due in one turn of the reactor: what comes in meanwhile is not to wait for all others."""


class Deadlines(Generic[M]):
    """Calls ``due(thing)`` once its deadline has passed; work is proportional to what is due (Q-6).

    A deadline moves with every message of a busy session, nearly always to later, and then nothing is
    to be done: the old entry of the heap stays, and when it comes up the deadline is looked at again.
    So a thing has one useful entry, and moving its deadline costs two attribute writes.
    """

    def __init__(self, clock: IReactorTime, due: Callable[[M], None]) -> None:
        self._clock = clock
        self._due = due
        self._heap: list[tuple[float, int, M]] = []
        self._order = count()
        self._timer: IDelayedCall | None = None
        self._useful = 0
        """Entries of the heap that are not void."""

    def __len__(self) -> int:
        """Return how many entries are kept, those included that have become void."""
        return len(self._heap)

    def set(self, thing: M, deadline: float) -> None:
        """Let ``thing`` be due at ``deadline`` (seconds on the clock), instead of what was set before."""
        thing.deadline = deadline
        if thing.alarm is None or deadline < thing.alarm:
            self._useful += thing.alarm is None
            thing.alarm = deadline
            heapq.heappush(self._heap, (deadline, next(self._order), thing))
            self._tidy()
            if self._heap[0][2] is thing:
                self._rearm()

    def clear(self, thing: M) -> None:
        """Let ``thing`` not be due until its next deadline is set."""
        thing.deadline = None

    def forget(self, thing: M) -> None:
        """Let ``thing`` never be due again, and keep nothing of it for long."""
        thing.deadline = None
        if thing.alarm is not None:
            thing.alarm = None
            self._useful -= 1
            self._tidy()

    def stop(self) -> None:
        """Forget everything."""
        for _, _, thing in self._heap:
            thing.deadline = thing.alarm = None
        self._heap.clear()
        self._useful = 0
        self._rearm()

    def _tidy(self) -> None:
        """Throw away the void entries when they are the most; each is paid for by the one that made it."""
        if len(self._heap) > 2 * self._useful + _SLACK:
            self._heap = [entry for entry in self._heap if entry[2].alarm == entry[0]]
            heapq.heapify(self._heap)

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            delay = max(0.0, self._heap[0][0] - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        left = _AT_ONCE
        try:
            while left and self._heap and self._heap[0][0] <= now:
                alarm, _, thing = heapq.heappop(self._heap)
                if thing.alarm != alarm:
                    continue  # replaced by an earlier one, which has been dealt with
                thing.alarm = None
                self._useful -= 1
                if thing.deadline is None:
                    continue
                if thing.deadline <= now:
                    left -= 1
                    thing.deadline = None
                    self._due(thing)
                else:
                    self.set(thing, thing.deadline)
        finally:
            self._rearm()
