"""How late the reactor is."""

import pytest
from twisted.internet.task import Clock

from bayeux.clocks import MonotonicClock
from bayeux.lag import PERIOD, Lag
from bayeux.metrics import Metrics


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def lag(clock, metrics):
    lag = Lag(clock, metrics)
    lag.start()
    return lag


def test_a_reactor_that_is_in_time(lag, clock, metrics):
    clock.pump([PERIOD] * 8)
    assert metrics.lag.count == 8
    assert metrics.lag.sum == 0
    assert metrics.longest_lag == 0


def test_a_reactor_that_is_late(lag, clock, metrics):
    """Somebody has kept it busy for longer than a timer wanted to wait."""
    clock.advance(PERIOD + 0.5)
    assert metrics.lag.sum == 0.5
    assert metrics.lag.count == 1
    assert metrics.longest_lag == 0.5


def test_the_longest_is_kept(lag, clock, metrics):
    clock.advance(PERIOD + 0.5)
    clock.advance(PERIOD + 0.125)
    assert metrics.longest_lag == 0.5
    assert metrics.lag.sum == 0.625


def test_each_measurement_begins_when_the_last_has_ended(lag, clock, metrics):
    """One long pause is one, and not one for each timer that would have come meanwhile."""
    clock.advance(100)
    clock.advance(PERIOD)
    assert metrics.lag.count == 2
    assert metrics.lag.sum == 100 - PERIOD


def test_a_timer_that_comes_early_is_not_late(metrics):
    """When the time of day is set, Twisted calls too early by a clock that does not jump."""
    reactor = Clock()

    class Jumping(MonotonicClock):
        seconds = staticmethod(lambda: 7.0)

    Lag(Jumping(reactor), metrics).start()
    reactor.advance(PERIOD)
    assert metrics.lag.count == 1
    assert metrics.lag.sum == 0


def test_it_is_measured_once_however_often_it_is_started(lag, clock, metrics):
    lag.start()
    clock.advance(PERIOD)
    assert metrics.lag.count == 1


def test_nothing_is_left_when_it_is_stopped(lag, clock, metrics):
    lag.stop()
    lag.stop()
    assert clock.getDelayedCalls() == []
    lag.start()
    clock.advance(PERIOD)
    assert metrics.lag.count == 1
