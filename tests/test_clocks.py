"""The monotonic clock (Q-6, Q-9)."""

from __future__ import annotations

import time

import pytest
from twisted.internet.task import Clock

from bayeux.clocks import MonotonicClock


def test_it_does_not_jump_when_the_time_of_day_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Q-6."""
    clock = MonotonicClock(Clock())
    before = clock.seconds()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= clock.seconds() - before < 60


def test_calls_are_made_by_the_reactor() -> None:
    """Q-9."""
    reactor, called = Clock(), []
    clock = MonotonicClock(reactor)
    call = clock.callLater(2, called.append, "x")
    assert clock.getDelayedCalls() == [call]
    reactor.advance(2)
    assert called == ["x"]
