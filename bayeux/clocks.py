"""A clock that does not jump when the wall clock is set."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer


@implementer(IReactorTime)
class MonotonicClock:
    """The time of a reactor, but monotonic: a reactor's own ``seconds`` is the time of day (Q-6).

    Calls are made by the reactor, so one may come early or late when the time of day is set; whoever
    is called looks at ``seconds``.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor

    seconds = staticmethod(time.monotonic)
    """Returns seconds since some moment in the past."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object,
                  **kwargs: object) -> IDelayedCall:
        """Call after so many seconds."""
        return self._reactor.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """Return all that will be called."""
        return self._reactor.getDelayedCalls()
