"""A server of ours in the test's own process, by real sockets, and clients of it."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import Clock, LoopingCall, deferLater
from zope.interface import directlyProvides, providedBy

from bayeux import Policy, Settings
from bayeux.client import BayeuxClient, Change, ClientSettings
from bayeux.server import BayeuxServer
from bayeux.session import Release
from tests.peers import within

SECRET = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"
QUICK = ClientSettings(first_backoff=0.05, max_backoff=0.1)
WEBSOCKET, POLLING = "websocket", "long-polling"


class Live:
    """A server, and clients of it that are gone after the test."""

    def __init__(self) -> None:
        self.clients: list[BayeuxClient] = []
        self.server: BayeuxServer | None = None
        self.errors: list[Exception] = []
        self.changes: list[Change] = []

    def serve(self, policy: Policy | None = None, **settings: Any) -> None:
        settings.setdefault("listen", ("tcp:0:interface=127.0.0.1",))
        self.server = BayeuxServer(Settings(**settings), policy)
        self.server.startService()
        self.hub = self.server.hub
        self.port = self.server._ports[0].getHost().port
        self.url = f"http://127.0.0.1:{self.port}/bayeux"

    def expire(self, client_id: str) -> None:
        """Forget a session, as if its client had not been heard of for long."""
        self.hub.sessions.remove(self.hub.sessions.get(client_id), "overflow", Release.OVERFLOW)

    def client(self, url: str = "", chosen: tuple[str, ...] = (WEBSOCKET, POLLING),
               **options: Any) -> BayeuxClient:
        options.setdefault("settings", QUICK)
        client = BayeuxClient(url or self.url, transports=chosen, **options)
        client.on_error(self.errors.append)
        client.on_state(self.changes.append)
        self.clients.append(client)
        return client

    async def connected(self, *arguments: Any, **options: Any) -> BayeuxClient:
        return await within(self.client(*arguments, **options).connect())

    async def close(self) -> None:
        for client in self.clients:
            await within(client.disconnect())
        if self.server is not None:
            await within(self.server.stopService())


class Guarded(Policy):
    """Lets in who has the token of the day."""

    token = "monday"

    def can_handshake(self, message: Any, link: Any) -> bool:
        return message.extensions().get("token") == self.token

    def can_subscribe(self, session: Any, pattern: str, message: Any, link: Any) -> bool:
        return not pattern.startswith("/secret")


class Turns(Clock):
    """The reactor, with a time of its own as long as it is entered: a second is a hundred of its turns.

    However long a turn takes, what has come is heard before the time for it is up.  A reactor that stops
    does not wait for those who live by this time.
    """

    def __init__(self) -> None:
        super().__init__()
        directlyProvides(self, *(each for each in providedBy(reactor) if each is not IReactorCore))
        self._passing = LoopingCall(self.advance, 0.01)

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def __enter__(self) -> Turns:
        self._passing.start(0.001)
        return self

    def __exit__(self, *_: object) -> None:
        self._passing.stop()


async def condition(check: Any) -> None:
    """Wait until something is so."""
    for _ in range(1000):
        if check():
            return
        await deferLater(reactor, 0.01, lambda: None)
    raise AssertionError("waited in vain")
