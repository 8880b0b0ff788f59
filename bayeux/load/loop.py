"""The one loop of a worker: epoll and timers, nothing more."""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable
from typing import Protocol

READ = select.EPOLLIN
WRITE = select.EPOLLOUT

_AT_ONCE = 64
"""Events that are handled before the loop looks at the time again: publishes are to be on time."""
_WHOLE = 0.002
"""A wait shorter than this is left to ``select``: ``epoll_wait`` waits for whole milliseconds."""


class Source(Protocol):
    """Something with a file descriptor."""

    def read(self) -> None:
        """Read what has come; also called when the peer has gone."""

    def write(self) -> None:
        """Go on writing."""


class Loop:
    """Watches sources and calls timers; ``clock`` is monotonic, in nanoseconds."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.clock = clock
        self._epoll = select.epoll()
        self._sources: dict[int, Source] = {}
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._is_left = False

    def close(self) -> None:
        """Let go of everything."""
        self._sources.clear()
        self._timers.clear()
        self._epoll.close()

    # -- sources --------------------------------------------------------------------------------

    def add(self, descriptor: int, source: Source, events: int = READ) -> None:
        """Watch a descriptor."""
        self._sources[descriptor] = source
        self._epoll.register(descriptor, events)

    def change(self, descriptor: int, events: int) -> None:
        """Watch a descriptor for something else; for 0 only whether the peer has gone."""
        self._epoll.modify(descriptor, events)

    def remove(self, descriptor: int) -> None:
        """Stop watching a descriptor that is about to be closed."""
        del self._sources[descriptor]
        self._epoll.unregister(descriptor)

    # -- timers ---------------------------------------------------------------------------------

    def at(self, when: int, call: Callable[[], None]) -> None:
        """Call at a time of the clock."""
        heapq.heappush(self._timers, (when, next(self._order), call))

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call after so many seconds."""
        self.at(self.clock() + int(seconds * 1e9), call)

    # -- the loop -------------------------------------------------------------------------------

    def run(self, until: int) -> None:
        """Serve what comes until a time of the clock, or until ``leave``; what is ready at once is served."""
        self._is_left = False
        while True:
            self._turn(until)
            if self._is_left or self.clock() >= until:
                return

    def leave(self) -> None:
        """Let ``run`` return as soon as it can."""
        self._is_left = True

    def _turn(self, until: int) -> None:
        timers = self._timers
        if timers and timers[0][0] < until:
            until = timers[0][0]
        wait = (until - self.clock()) / 1e9
        if wait >= _WHOLE:
            events = self._epoll.poll(int(wait * 1000) / 1000, _AT_ONCE)
        else:
            if wait > 0.00002:
                select.select([self._epoll.fileno()], [], [], wait)
            events = self._epoll.poll(0, _AT_ONCE)
        sources = self._sources
        for descriptor, event in events:
            source = sources.get(descriptor)
            if source is None:  # closed by one before it
                continue
            if event & WRITE:
                source.write()
                if not event & ~WRITE or sources.get(descriptor) is not source:
                    continue
            source.read()
        if timers:
            now = self.clock()
            while timers and timers[0][0] <= now:
                heapq.heappop(timers)[2]()
