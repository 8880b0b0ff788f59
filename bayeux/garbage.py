"""When the garbage collector runs: often for what is young, hardly ever for everything.

A full collection looks at every object of every client, and nobody is served meanwhile: some 10 to 20
microseconds a client.  So it is put off while there are many of them.  Sessions and connections are freed
without it, when they end: they are in no cycles.  What is in cycles, such as exceptions with their
tracebacks, is nearly always young.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bayeux.metrics import Metrics

_YOUNG = (20_000, 4)
"""Objects in the first generation, and collections of it for one of the second: up to 10 milliseconds."""
_NEVER = 1_000_000_000
_OFTEN = 1.0
"""Seconds between two collections of what is young.  Python counts objects made less those freed: where
clients come back as fast as they go it would not collect for long, and then all that has come since."""
_FULL = 2
"""The generation of a collection of everything."""
_EACH = 20e-6
"""Seconds that a full collection takes for each client, at most."""


class Garbage:
    """Takes over from Python when everything is collected; for a process that does nothing but serve.

    It is every ``interval`` seconds, unless it would take longer than ``pause`` seconds with as many
    ``clients`` as there are then.
    """

    def __init__(self, clock: IReactorTime, interval: float, pause: float, clients: Callable[[], int],
                 metrics: Metrics) -> None:
        self._clock = clock
        self._interval = interval
        self._pause = pause
        self._clients = clients
        self._metrics = metrics
        self._before: tuple[int, int, int] | None = None
        self._timer: IDelayedCall | None = None
        self._young: IDelayedCall | None = None
        self._since = 0.0
        """When the collection has begun that is going on."""

    def start(self) -> None:
        """Leave out what there is by now, modules and functions, from all collections to come."""
        if self._before is None:
            self._before = gc.get_threshold()
            gc.collect()
            gc.freeze()
            gc.callbacks.append(self._watch)
            gc.set_threshold(*_YOUNG, _NEVER)
            self._timer = self._clock.callLater(self._interval, self._collect)
            self._young = self._clock.callLater(_OFTEN, self._collect_young)

    def stop(self) -> None:
        """Leave it to Python again."""
        if self._before is not None:
            gc.set_threshold(*self._before)
            gc.unfreeze()
            gc.callbacks.remove(self._watch)
            self._before = None
        for timer in (self._timer, self._young):
            if timer is not None:
                timer.cancel()
        self._timer = self._young = None

    def _collect_young(self) -> None:
        self._young = self._clock.callLater(_OFTEN, self._collect_young)
        gc.collect(1)

    def _collect(self) -> None:
        self._timer = self._clock.callLater(self._interval, self._collect)
        if _EACH * self._clients() > self._pause:
            self._metrics.collections_put_off += 1
            return
        gc.collect()

    def _watch(self, phase: str, info: Mapping[str, int]) -> None:
        """Note how long a collection takes, whoever has it made; Python calls this before and after each."""
        now = time.perf_counter()
        if phase == "start":
            self._since = now
            return
        pause, generation, metrics = now - self._since, info["generation"], self._metrics
        metrics.collections[generation] += 1
        metrics.pauses.observe(pause)
        if generation == _FULL:
            metrics.longest_collection = max(metrics.longest_collection, pause)
