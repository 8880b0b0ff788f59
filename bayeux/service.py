"""The entry point for embedding: a hub, its endpoint, and their life with an application."""

from __future__ import annotations

from typing import cast

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from bayeux.clocks import MonotonicClock
from bayeux.hub import Hub
from bayeux.policy import Policy
from bayeux.settings import Settings
from bayeux.web.resource import BayeuxResource


class BayeuxService(MultiService):
    """A Bayeux server inside a Twisted application.

    Put ``resource`` anywhere into a twisted.web tree, or return it from a klein route, publish and
    subscribe by ``hub``, and attach the service to the application, so that held connects are
    answered when it stops.  ``clock`` is the reactor's unless a test gives another.
    """

    def __init__(self, settings: Settings | None = None, policy: Policy | None = None,
                 clock: IReactorTime | None = None) -> None:
        super().__init__()
        if clock is None:
            from twisted.internet import reactor

            clock = MonotonicClock(cast(IReactorTime, reactor))
        self.clock = clock
        self.settings = settings or Settings()
        self.hub = Hub(clock, self.settings, policy)
        self.resource = BayeuxResource(self.hub)

    def startService(self) -> None:
        """Accept sessions."""
        self.hub.open()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Answer every held connect (Q-10); fires a turn later, when plain sockets have got the answers."""
        self.hub.close()
        stopped = cast("Deferred[object]", super().stopService())
        return stopped.addCallback(lambda _: deferLater(self.clock, 0, lambda: None))
