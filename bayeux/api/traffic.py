"""How much is published on which channel: counted while the API is on, and for so many channels."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from bayeux.messages import Event
from bayeux.metrics import Metrics
from bayeux.settings import Settings


class Traffic:
    """Counts publishes by channel for a period, and then begins anew: so nothing old has to be forgotten."""

    def __init__(self, clock: IReactorTime, settings: Settings, metrics: Metrics) -> None:
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._most = settings.max_counted_channels
        self._counts: dict[str, int] = {}
        self._since = clock.seconds()
        self._overflowed = False
        """Whether there have been more channels in this period."""
        self._rates: dict[str, float] = {}
        self._turn = LoopingCall(self._begin_anew)
        self._turn.clock = clock

    def start(self) -> None:
        """Begin; to be stopped."""
        self._counts, self._rates, self._since = {}, {}, self._clock.seconds()
        self._overflowed = False
        self._turn.start(self._settings.api_rate_period, now=False)

    def stop(self) -> None:
        """Stop the timer."""
        if self._turn.running:
            self._turn.stop()

    def count(self, event: Event) -> None:
        """Count one publish; called for each, and so it does as little as can be."""
        counts, channel = self._counts, event.channel
        if channel in counts:
            counts[channel] += 1
        elif len(counts) < self._most:
            counts[channel] = 1
        elif not self._overflowed:
            self._overflowed = True
            self._metrics.limited["max_counted_channels"] += 1

    @property
    def rates(self) -> dict[str, float]:
        """Publishes a second by channel, in the last whole period."""
        return self._rates

    def _begin_anew(self) -> None:
        counts, self._counts = self._counts, {}
        self._overflowed = False
        since, self._since = self._since, self._clock.seconds()
        seconds = self._since - since
        self._rates = {channel: count / seconds for channel, count in counts.items()}
