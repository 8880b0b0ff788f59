"""cli/running.py: the reactor, for as long as a command needs it; a made-up one here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import twisted.internet
from twisted.internet.defer import Deferred, succeed

from bayeux.cli.running import run


class Reactor:
    """Runs what is to be run at its start; ``interrupts`` is whether a signal comes then."""

    def __init__(self, interrupts: bool = False) -> None:
        self.interrupts = interrupts
        self.starts: list[Callable[[], None]] = []
        self.stops: list[tuple[Any, ...]] = []
        self.stopped = 0
        self.waited_for: list[Any] = []

    def callWhenRunning(self, start: Callable[[], None]) -> None:
        self.starts.append(start)

    def addSystemEventTrigger(self, phase: str, event: str, *call: Any) -> None:
        assert (phase, event) == ("before", "shutdown")
        self.stops.append(call)

    def run(self) -> None:
        for start in self.starts:
            start()
        if self.interrupts:
            self.stop()

    def stop(self) -> None:
        self.stopped += 1
        for call, *arguments in self.stops:
            self.waited_for.append(call(*arguments))


@pytest.fixture
def reactor(monkeypatch: pytest.MonkeyPatch) -> Reactor:
    reactor = Reactor()
    monkeypatch.setattr(twisted.internet, "reactor", reactor, raising=False)
    return reactor


def test_it_runs_to_the_end_of_what_is_to_be_done(reactor: Reactor) -> None:
    given: list[Any] = []

    async def main(reactor: Any) -> None:
        given.append(reactor)
        await succeed(None)

    run(main)
    assert given == [reactor]
    assert (reactor.stopped, reactor.waited_for) == (1, [None])


def test_what_is_raised_comes_out(reactor: Reactor) -> None:
    async def main(reactor: Any) -> None:
        raise OSError("so it is")

    with pytest.raises(OSError, match="so it is"):
        run(main)
    assert reactor.stopped == 1


def test_an_interrupted_command_is_brought_to_its_end_first(reactor: Reactor) -> None:
    reactor.interrupts = True
    farewell: Deferred[None] = Deferred()
    steps: list[str] = []

    async def main(reactor: Any) -> None:
        try:
            await Deferred()
        finally:
            steps.append("interrupted")
            await farewell
            steps.append("over")

    with pytest.raises(KeyboardInterrupt):
        run(main)
    [waited_for] = reactor.waited_for
    assert steps == ["interrupted"] and not waited_for.called
    farewell.callback(None)
    assert steps == ["interrupted", "over"] and waited_for.called
    assert reactor.stopped == 1
