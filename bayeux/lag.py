"""How late the reactor is: what every client has to wait when somebody keeps it busy."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bayeux.metrics import Metrics

PERIOD = 0.25
"""Seconds between two measurements.  What keeps the reactor for so long is always seen, a pause of a tenth of
it once in ten times."""


class Lag:
    """Measures, for as long as it is started, how late a timer of the clock comes."""

    def __init__(self, clock: IReactorTime, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._timer: IDelayedCall | None = None
        self._due = 0.0

    def start(self) -> None:
        """Measure from now on."""
        if self._timer is None:
            self._wait()

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._due = self._clock.seconds() + PERIOD
        self._timer = self._clock.callLater(PERIOD, self._come)

    def _come(self) -> None:
        late = max(0.0, self._clock.seconds() - self._due)  # early, if the time of day was set
        self._metrics.lag.observe(late)
        self._metrics.longest_lag = max(self._metrics.longest_lag, late)
        self._wait()
