"""signals.py: what an operator tells the process, in the reactor's turn."""

import signal

import pytest

from bayeux.signals import Signals


class Reactor:
    """Takes note of what it is asked."""

    def __init__(self):
        self.calls = []
        self.starts = []
        self.callFromThread = self.calls.append
        self.callWhenRunning = self.starts.append

    def turn(self):
        calls, self.calls[:] = list(self.calls), []
        for call in calls:
            call()

    def start(self):
        for start in self.starts:
            start()


@pytest.fixture
def seen():
    """Return what has been called; signals are as they were after the test, and nobody's meanwhile."""
    seen = []
    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda number, frame: seen.append(f"before {number}"))
              for number in numbers]
    yield seen
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def reactor(seen):
    reactor = Reactor()
    signals = Signals(reactor)
    signals.handle(lambda: seen.append("hang up"), lambda: seen.append("terminate"))
    reactor.signals = signals
    return reactor


def test_a_hangup_waits_for_the_next_turn(reactor, seen):
    signal.raise_signal(signal.SIGHUP)
    assert seen == []
    reactor.turn()
    assert seen == ["hang up"]


def test_a_sigterm_before_the_reactor_runs_waits_for_that(reactor, seen):
    """And what the reactor does about signals when it starts is no difference."""
    signal.raise_signal(signal.SIGTERM)
    assert seen == []
    signal.signal(signal.SIGTERM, lambda *_: seen.append("the reactor"))
    reactor.start()
    reactor.turn()
    assert seen == ["terminate"]
    signal.raise_signal(signal.SIGTERM)
    reactor.turn()
    assert seen == ["terminate", "terminate"]
    reactor.signals.restore()
    signal.raise_signal(signal.SIGTERM)
    assert seen[2:] == ["the reactor"]


def test_an_interrupt_before_the_reactor_runs_is_not_ours(reactor, seen):
    signal.raise_signal(signal.SIGINT)
    assert seen == [f"before {signal.SIGINT}"]


def test_each_sigterm_is_told(reactor, seen):
    reactor.start()
    for _ in range(2):
        signal.raise_signal(signal.SIGTERM)
        assert "terminate" not in seen
        reactor.turn()
        assert seen.pop() == "terminate"


def test_a_first_interrupt_is_the_reactors_and_others_are_not(reactor, seen):
    reactor.start()
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    reactor.turn()
    assert seen == [f"before {signal.SIGINT}", "terminate"]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_an_interrupt_that_nobody_handles_is_left_alone(reactor, seen, handler):
    """A script that runs it in its background has it ignored."""
    signal.signal(signal.SIGINT, handler)
    reactor.start()
    assert signal.getsignal(signal.SIGINT) is handler
    signal.raise_signal(signal.SIGTERM)
    reactor.turn()
    assert seen == ["terminate"]
    reactor.signals.restore()
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_interrupt_after_a_sigterm_is_told(reactor, seen):
    reactor.start()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    reactor.turn()
    assert seen == ["terminate", "terminate"]


def test_in_the_end_all_is_as_before(reactor, seen):
    reactor.start()
    reactor.start()
    reactor.signals.restore()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.raise_signal(number)
    reactor.turn()
    assert seen == [f"before {number}" for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)]
