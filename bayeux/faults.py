"""What an operator is told of an application's own code that raises: each place of it, but not each time."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bayeux.metrics import Metrics

Place = tuple[str, str, frozenset[tuple[object, ...]]]
"""The event of the log, the kind of exception, and the lines of code that it has come through."""


class Faults:
    """Counts every failure of one hub's application, and logs the traceback of one in so many seconds.

    That is for each place: what fails for every message does not flood the log, and hides nothing else.
    With an ``interval`` of 0 each is logged.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, interval: float, metrics: Metrics) -> None:
        self._clock = clock
        self._interval = interval
        self._metrics = metrics
        self._due: dict[Place, float] = {}
        """When each place that has been told of lately may be told of again."""

    def tell(self, text: str, failure: Failure, event: str, **fields: Any) -> None:
        """Count a failure, and log it with that text and these fields unless its place is known by now."""
        self._metrics.application_errors += 1
        now = self._clock.seconds()
        place = event, type(failure.value).__name__, frozenset(frame[1:3] for frame in failure.frames)
        if now < self._due.get(place, now):
            return
        self._due = {each: due for each, due in self._due.items() if now < due}
        self._due[place] = now + self._interval
        self._log.failure(text, failure, event=event, **fields)
