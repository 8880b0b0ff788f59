"""Commands that need the reactor: it runs until what they do is done."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

Main = Callable[[Any], Coroutine[Any, Any, None]]


def run(main: Main) -> None:
    """Run a coroutine, which is given the reactor, to its end, and raise what it raises.

    Raises ``KeyboardInterrupt`` if the process was told to stop: the coroutine is cancelled then, and has
    come to its end.
    """
    from twisted.internet import reactor as _reactor

    reactor: Any = _reactor
    outcome: list[object] = []
    stopping: list[Deferred[None]] = []

    def start() -> None:
        done = Deferred.fromCoroutine(main(reactor))
        reactor.addSystemEventTrigger("before", "shutdown", stop, done)
        done.addBoth(outcome.append)
        done.addBoth(lambda _: stopping[0].callback(None) if stopping else reactor.stop())

    def stop(done: Deferred[None]) -> Deferred[None] | None:
        if outcome:
            return None
        stopped: Deferred[None] = Deferred()
        stopping.append(stopped)
        done.cancel()
        return stopped

    reactor.callWhenRunning(start)
    reactor.run()
    if stopping:
        raise KeyboardInterrupt
    [result] = outcome
    if isinstance(result, Failure):
        result.raiseException()
