"""A client of a hub without a network, for tests: what it sends, and what it is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.task import Clock

from bayeux import Hub, Link, Policy, Settings
from bayeux.exchange import Exchange
from bayeux.messages import decode
from bayeux.session import Release


class Carrier:
    """One exchange as a transport would see it to its end."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.messages: list[Any] | None = None
        """The response, once there is one."""
        self.why: Release | None = None
        self.lost = False
        self.then: Callable[[], object] = lambda: None
        """What happens as soon as a held connect is answered."""
        if exchange.pending is not None:
            exchange.pending.addCallback(lambda _: self._replied())
        else:
            self._replied()

    def _replied(self) -> None:
        if self.exchange.parked:
            self.exchange.wait(self)
        elif not self.lost:
            self._drain()

    def released(self, exchange: Exchange, why: Release) -> None:
        self.why = why
        if why is not Release.SUPERSEDED and not self.lost:
            self._drain()
        self.then()

    def _drain(self) -> None:
        self.messages = [msgspec.json.decode(message) for message in self.exchange.drain()]

    def lose(self) -> None:
        """Lose the connection."""
        self.lost = True
        self.exchange.lost()

    @property
    def held(self) -> bool:
        """Whether it waits to be answered."""
        return self.messages is None and self.why is None and not self.lost


class World:
    """A hub on a clock, by which its time of day is ``START`` at first."""

    START = 1_700_000_000.0

    def __init__(self, policy: Policy | None = None, **settings: Any) -> None:
        self.clock = Clock()
        settings.setdefault("connection_types", ("long-polling", "callback-polling"))
        self.hub = Hub(self.clock, Settings(**settings), policy, self.wall)

    def wall(self) -> float:
        """Return the time of day."""
        return self.START + self.clock.seconds()

    def send(self, *messages: dict[str, Any], link: Link | None = None) -> Carrier:
        """Send one batch."""
        envelope = msgspec.json.encode(messages)
        return Carrier(self.hub.receive(decode(envelope, self.hub.settings), link or Link("long-polling")))

    def ask(self, *messages: dict[str, Any], link: Link | None = None) -> list[Any]:
        """Send one batch that is answered at once; returns the response."""
        answer = self.send(*messages, link=link).messages
        assert answer is not None, "the answer is held"
        return answer

    def turn(self) -> None:
        """End the reactor's turn."""
        self.clock.advance(0)

    def client(self, browser: str | None = None, serial: bool = False, connect: bool = True) -> Client:
        """Make a client that has shaken hands and, unless told otherwise, connected once."""
        return Client(self, Link("callback-polling" if serial else "long-polling",
                                 browser_id=browser, serial=serial), connect)


class Client:
    """One client with a session."""

    def __init__(self, world: World, link: Link, connect: bool) -> None:
        self.world = world
        self.link = link
        [reply] = world.ask({"channel": "/meta/handshake", "version": "1.0",
                             "supportedConnectionTypes": ["long-polling", "callback-polling"]}, link=link)
        assert reply["successful"], reply
        self.id = reply["clientId"]
        session = world.hub.sessions.get(self.id)
        assert session is not None
        self.session = session
        if connect:
            self.ask(self.connect_message())

    def connect_message(self, **fields: Any) -> dict[str, Any]:
        return {"channel": "/meta/connect", "clientId": self.id, "connectionType": "long-polling", **fields}

    def message(self, channel: str, **fields: Any) -> dict[str, Any]:
        return {"channel": channel, "clientId": self.id, **fields}

    def send(self, *messages: dict[str, Any]) -> Carrier:
        return self.world.send(*messages, link=self.link)

    def ask(self, *messages: dict[str, Any]) -> list[Any]:
        return self.world.ask(*messages, link=self.link)

    def connect(self, **fields: Any) -> Carrier:
        return self.send(self.connect_message(**fields))

    def subscribe(self, *patterns: str) -> Any:
        [reply] = self.ask(self.message("/meta/subscribe", subscription=list(patterns)))
        return reply

    def publish(self, channel: str, data: Any) -> Any:
        """Publish; returns the reply alone."""
        return self.ask(self.message(channel, data=data))[0]
