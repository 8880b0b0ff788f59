"""api/traffic.py: how much is published on which channel."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from bayeux.api.traffic import Traffic
from bayeux.messages import Event
from bayeux.metrics import Metrics
from bayeux.settings import Settings


class Counted:
    """Traffic that is being counted, in periods of 5 seconds."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.traffic = Traffic(self.clock, Settings(api_rate_period=5, **settings), self.metrics)
        self.traffic.start()

    def count(self, *channels: str) -> None:
        for channel in channels:
            self.traffic.count(Event(channel, b"1"))

    @property
    def rates(self) -> dict[str, float]:
        return self.traffic.rates


def test_rates_are_those_of_the_last_whole_period() -> None:
    counted = Counted()
    counted.count("/a", "/a", "/b", *["/c"] * 10)
    assert counted.rates == {}
    counted.clock.advance(5)
    assert counted.rates == {"/a": 0.4, "/b": 0.2, "/c": 2.0}
    counted.count("/a")
    assert counted.rates == {"/a": 0.4, "/b": 0.2, "/c": 2.0}
    counted.clock.advance(5)
    assert counted.rates == {"/a": 0.2}
    counted.clock.advance(5)
    assert counted.rates == {}


def test_a_period_that_takes_longer_counts_as_long_as_it_was() -> None:
    counted = Counted()
    counted.count(*["/a"] * 10)
    counted.clock.advance(10)
    assert counted.rates == {"/a": 1.0}


def test_so_many_channels_are_counted_and_no_more() -> None:
    counted = Counted(max_counted_channels=3)
    counted.count("/a", "/b", "/c", "/d", "/a", "/d")
    counted.clock.advance(5)
    assert counted.rates == {"/a": 0.4, "/b": 0.2, "/c": 0.2}
    counted.count("/d")
    counted.clock.advance(5)
    assert counted.rates == {"/d": 0.2}


def test_that_there_are_more_is_counted_once_in_a_period() -> None:
    """However much is published on those channels: what is told is that the table was full."""
    counted = Counted(max_counted_channels=1)
    counted.count("/a", "/b", "/b", "/c")
    assert counted.metrics.limited == {"max_counted_channels": 1}
    counted.clock.advance(5)
    counted.count("/a")
    assert counted.metrics.limited == {"max_counted_channels": 1}
    counted.count("/b", "/c")
    assert counted.metrics.limited == {"max_counted_channels": 2}
    counted.traffic.stop()
    counted.traffic.start()
    counted.count("/a", "/b")
    assert counted.metrics.limited == {"max_counted_channels": 3}


def test_a_stop_leaves_no_timer_and_a_start_begins_anew() -> None:
    counted = Counted()
    counted.count("/a")
    counted.clock.advance(5)
    counted.count("/b")
    counted.traffic.stop()
    counted.traffic.stop()
    assert counted.clock.getDelayedCalls() == []
    counted.clock.advance(100)
    counted.traffic.start()
    assert counted.rates == {}
    counted.count("/c")
    counted.clock.advance(5)
    assert counted.rates == {"/c": 0.2}
    counted.traffic.stop()
