"""Haste: connects that are answered with nothing new, which a client may have only so many of (G-25)."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from bayeux.metrics import Metrics
from bayeux.rates import Rate
from bayeux.session import Session
from bayeux.settings import Settings


class Haste:
    """The rule; what each session has had is a number of its own."""

    def __init__(self, clock: IReactorTime, settings: Settings, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._rate: Rate | None = None
        if settings.connects_per_second:
            self._rate = Rate(settings.connects_per_second, settings.connects_burst)

    def wait(self, session: Session) -> float:
        """Return for how many seconds such an answer would have to wait: 0 for nearly everybody."""
        return 0.0 if self._rate is None else self._rate.wait(session.connects_full_at, self._clock.seconds())

    def take(self, session: Session) -> float:
        """Count such an answer; returns for how many seconds it has to wait."""
        if self._rate is None:
            return 0.0
        now = self._clock.seconds()
        pause = self._rate.wait(session.connects_full_at, now)
        session.connects_full_at = self._rate.take(session.connects_full_at, now)
        if pause:
            self._metrics.limited["connects_per_second"] += 1
        return pause
