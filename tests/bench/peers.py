"""The connections of the driver: Bayeux clients as ``bayeux load`` has them, and the peers of a floor.

Clients keep what they were last sent as it came, for a floor to send the same; the peers of a floor only
say who they are.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, ClassVar

from bayeux.load.client import Client, State
from bayeux.load.connection import Place
from bayeux.load.posts import Posts, Receiver
from bayeux.load.press import Publisher
from bayeux.load.websocket import WebSocket

if TYPE_CHECKING:
    from tests.bench.driver import Driver


SUBSCRIPTIONS, _EACH, _CHANNELS = 1_000, 100, 99_000
"""Of a peer with many channels: how many, how many in one message, how many different ones for all such
peers: what a server allows that has room for 100,000 and needs some for others."""


class Failed(Exception):
    """The server has answered something else than what was asked for."""


class SamplingPosts(Posts):
    """Keeps the last response."""

    __slots__ = ("sample",)

    def __init__(self, place: Place, receiver: Receiver) -> None:
        super().__init__(place, receiver)
        self.sample = b""

    def feed(self, data: bytes) -> None:
        self.sample = data
        super().feed(data)


class SamplingWebSocket(WebSocket):
    """Keeps what has come last."""

    __slots__ = ("sample",)

    def __init__(self, place: Place, receiver: Receiver) -> None:
        super().__init__(place, receiver)
        self.sample = b""

    def feed(self, data: bytes) -> None:
        self.sample = data
        super().feed(data)


class Subscriber(Client):
    """A subscriber of a Bayeux server."""

    __slots__ = ("driver", "events", "number")

    CARRIERS: ClassVar = {"long-polling": SamplingPosts, "websocket": SamplingWebSocket}

    def __init__(self, driver: Driver, kind: str, channel: int) -> None:
        super().__init__(driver, kind, f"{driver.topic}/{channel}")
        self.driver = driver
        self.number = channel
        self.events = 0
        """How many events of the present load have come."""

    @property
    def sample(self) -> bytes:
        """What it was last sent, as it came."""
        carrier = self.carrier
        return carrier.sample if isinstance(carrier, SamplingPosts | SamplingWebSocket) else b""

    def arrived(self, text: bytes, at: int) -> None:
        self.events += self.driver.arrived(text)


class ManyChannels(Subscriber):
    """A WebSocket that is subscribed to very many channels and patterns; nobody publishes to them."""

    __slots__ = ()

    def subscription(self) -> str:
        first = SUBSCRIPTIONS * self.number
        names = [f"{self.driver.topic}/{number % _CHANNELS}{'/**' if number % _CHANNELS % 2 else ''}"
                 for number in range(first, first + SUBSCRIPTIONS)]
        return json.dumps([{
            "channel": "/meta/subscribe", "clientId": self.client_id, "id": "2",
            "subscription": names[at:at + _EACH]} for at in range(0, len(names), _EACH)])

    def received(self, text: bytes) -> None:
        if self.state is State.SUBSCRIBING and text.count(b'"successful":true') < SUBSCRIPTIONS // _EACH:
            raise Failed(f"the server answered {text[:300].decode(errors='replace')}")
        super().received(text)


class FramePeer(WebSocket):
    """A reader of bare frames (``floors.serve_sends``); the one without a channel says what is to be sent."""

    __slots__ = ("driver", "events", "is_live", "number")

    def __init__(self, driver: Driver, channel: int | None) -> None:
        super().__init__(driver.place, self)
        self._parser = None  # nothing is upgraded
        self.driver = driver
        self.number = channel
        self.events = 0
        self.is_live = False

    def opened(self) -> None:
        self.send(b"pub\n" if self.number is None else b"%d\n" % self.number)

    def received(self, text: bytes) -> None:
        if self.is_live:
            self.events += self.driver.arrived(text)
        else:
            self.is_live = True
            self.driver.became_live(self)

    def gone(self, why: str) -> None:
        self.driver.failed(self, why)

    def publish(self, channel: int, frame: bytes) -> None:
        """Have a frame sent to a channel."""
        self.send(b"%04d%b" % (channel, frame))


class RequestPeer(Posts):
    """Makes bare requests (``floors.Answers``), one at a time; an answer counts from when its was due."""

    __slots__ = ("driver", "due", "events", "number", "request")

    def __init__(self, driver: Driver, channel: int) -> None:
        super().__init__(driver.place, self)
        self.settle()
        self.driver = driver
        self.number = channel
        self.events = 0
        self.request = b""
        self.due: deque[int] = deque()
        """When each request was due that is not answered."""

    def opened(self) -> None:
        if not self.due:
            self.driver.became_live(self)

    def received(self, text: bytes) -> None:
        self.events += self.driver.count(self.due.popleft())
        if self.due:
            self.transmit(self.request)

    def gone(self, why: str) -> None:
        self.driver.failed(self, why)

    def ask(self, request: bytes, due: int) -> None:
        """Ask, when the request before is answered."""
        self.request = request
        self.due.append(due)
        if not self.awaits_answer:
            self.transmit(request)


Peer = Subscriber | Publisher | FramePeer | RequestPeer
