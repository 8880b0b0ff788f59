"""One connection of the driver: how it comes to life, and what it does with what it reads.

A peer of a Bayeux server shakes hands, subscribes, and lets its first connect be answered; then it is live,
which means that a connect is held.  The peers of a floor only say who they are.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.bench import wire

if TYPE_CHECKING:
    from tests.bench.driver import Driver

_READ = 65_536
_AT_ONCE = ',"advice":{"timeout":0}'
_ONCE = ',"advice":{"timeout":0,"interval":600000}'
"""For a publisher: it will not connect again, and yet its session is not to expire."""
SUBSCRIPTIONS, _EACH, _CHANNELS = 1_000, 100, 99_000
"""Of a peer with many channels: how many, how many in one message, how many different ones for all such
peers: what a server allows that has room for 100,000 and needs some for others."""


class Failed(Exception):
    """The server has answered something else than what was asked for."""


class Peer(ABC):
    """A connection; as subscriber it has a channel, as publisher it has none."""

    __slots__ = ("busy", "channel", "client_id", "driver", "events", "live", "on", "sample", "sock", "unread",
                 "unsent")

    connection_type = ""

    def __init__(self, driver: Driver, channel: int | None) -> None:
        self.driver = driver
        self.channel = channel
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.on: Callable[[bytes], None] = self._handshaken
        self.client_id = ""
        self.events = 0
        """How many events of the present load have come."""
        self.live = False
        self.busy = False
        """Whether nothing can be sent now, because an answer has to come before."""
        self.sample = b""
        """The last thing that came with an event in it, as it came."""
        self.unread = b""
        self.unsent = b""

    # -- bytes ----------------------------------------------------------------------------------

    def read(self) -> bool:
        """Take what has come; returns False if the connection is lost."""
        try:
            data = self.sock.recv(_READ)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        self.unread = self.feed(self.unread + data if self.unread else data)
        return True

    def send(self, data: bytes) -> None:
        """Send, or keep what the socket does not take until it does."""
        if self.unsent:
            self.unsent += data
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # reading will tell
        if sent < len(data):
            self.unsent = data[sent:]
            self.driver.watch(self)

    def send_on(self) -> None:
        """Send what was kept."""
        data, self.unsent = self.unsent, b""
        if data:
            self.send(data)

    @abstractmethod
    def feed(self, data: bytes) -> bytes:
        """Handle what is complete and return the rest."""

    @abstractmethod
    def post(self, text: str) -> None:
        """Send an envelope."""

    # -- life -----------------------------------------------------------------------------------

    def connected(self) -> None:
        """Begin."""
        self.post(wire.handshake(self.connection_type))

    def _handshaken(self, text: bytes) -> None:
        self._check(text)
        self.client_id = wire.field(text, b"clientId")
        if self.channel is None:
            self._connect_first()
        else:
            self.on = self._subscribed
            self.post(wire.subscribe(self.client_id, f"{self.driver.topic}/{self.channel}"))

    def _subscribed(self, text: bytes) -> None:
        if b"/meta/subscribe" in text:
            self._check(text)
            self._connect_first()

    def _connect_first(self) -> None:
        self.on = self._connected
        advice = _ONCE if self.channel is None else _AT_ONCE
        self.post(wire.connect(self.client_id, self.connection_type, advice))

    def _connected(self, text: bytes) -> None:
        if wire.CONNECT in text:
            self._check(text)
            self.on = self.received
            self.live = True
            self.begin()
            self.driver.became_live()

    def _check(self, text: bytes) -> None:
        if b'"successful":true' not in text:
            raise Failed(f"the server answered {text[:300].decode(errors='replace')}")

    @abstractmethod
    def begin(self) -> None:
        """Do what a live peer does first."""

    @abstractmethod
    def received(self, text: bytes) -> None:
        """Take a message while live."""

    def publish(self, channel: int, data: str) -> None:
        """Publish."""
        self.post(wire.publish(self.client_id, f"{self.driver.topic}/{channel}", data))


class WebSocketPeer(Peer):
    """A WebSocket."""

    __slots__ = ("connect", "upgraded")

    connection_type = "websocket"

    def __init__(self, driver: Driver, channel: int | None) -> None:
        super().__init__(driver, channel)
        self.connect = b""
        self.upgraded = False

    def connected(self) -> None:
        self.send(wire.upgrade(self.driver.port))

    def post(self, text: str) -> None:
        self.send(wire.masked(wire.TEXT, text.encode()))

    def feed(self, data: bytes) -> bytes:
        start = 0
        if not self.upgraded:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return data
            if b" 101" not in data[:end]:
                raise Failed(f"no WebSocket: {data[:end].decode(errors='replace')}")
            self.upgraded = True
            start = end + 4
            super().connected()
        total = len(data)
        while total - start >= 2:
            size, body = data[start + 1], start + 2
            if size == 126:
                size, body = int.from_bytes(data[start + 2:start + 4]), start + 4
            elif size == 127:
                size, body = int.from_bytes(data[start + 2:start + 10]), start + 10
            end = body + size
            if end > total:
                break
            opcode = data[start] & 15
            if opcode == wire.TEXT:
                if start == 0 and end == total:
                    self.sample = data
                self.on(data[body:end])
            elif opcode == wire.PING:
                self.send(wire.masked(10, data[body:end]))
            start = end
        return data[start:]

    def begin(self) -> None:
        self.connect = wire.masked(wire.TEXT, wire.connect(self.client_id, self.connection_type).encode())
        self.send(self.connect)

    def received(self, text: bytes) -> None:
        self.events += self.driver.arrived(text)
        if wire.CONNECT in text:
            self.send(self.connect)


class ManyChannelsPeer(WebSocketPeer):
    """A WebSocket that is subscribed to very many channels and patterns; nobody publishes to them."""

    __slots__ = ()

    def _handshaken(self, text: bytes) -> None:
        self._check(text)
        self.client_id = wire.field(text, b"clientId")
        first = SUBSCRIPTIONS * (self.channel or 0)
        numbers = (number % _CHANNELS for number in range(first, first + SUBSCRIPTIONS))
        self.on = self._subscribed
        self.post(wire.subscribe_many(self.client_id, [
            f"{self.driver.topic}/{number}{'/**' if number % 2 else ''}" for number in numbers
        ], _EACH))

    def _subscribed(self, text: bytes) -> None:
        if text.count(b'"successful":true') < SUBSCRIPTIONS // _EACH:
            raise Failed(f"the server answered {text[:300].decode(errors='replace')}")
        self._connect_first()


class PollingPeer(Peer):
    """A long-polling client on one connection that stays."""

    __slots__ = ("connect", "cookie")

    connection_type = "long-polling"

    def __init__(self, driver: Driver, channel: int | None) -> None:
        super().__init__(driver, channel)
        self.connect = b""
        self.cookie = ""

    def post(self, text: str) -> None:
        self.busy = True
        self.send(wire.request(self.driver.port, self.cookie, text))

    def feed(self, data: bytes) -> bytes:
        while True:
            body = data.find(b"\r\n\r\n") + 4
            if body < 4:
                return data
            head = data[:body - 2]
            end = body + wire.content_length(head)
            if end > len(data):
                return data
            self.sample, data = data[:end], data[end:]
            if not self.live and not self.cookie:
                self.cookie = wire.cookies(head)
            self.busy = False
            self.on(self.sample[body:])

    def begin(self) -> None:
        if self.channel is not None:
            self.connect = wire.request(self.driver.port, self.cookie,
                                        wire.connect(self.client_id, self.connection_type))
            self.send(self.connect)

    def received(self, text: bytes) -> None:
        if self.channel is not None:
            self.events += self.driver.arrived(text)
            self.send(self.connect)
            if b'"successful":false' in text:
                self.driver.errors += 1


class FramePeer(WebSocketPeer):
    """A reader of bare frames (``floors.serve_sends``); its publisher says what is to be sent."""

    __slots__ = ()

    def connected(self) -> None:
        self.upgraded = True
        self.on = self._greeted
        self.send(b"pub\n" if self.channel is None else b"%d\n" % self.channel)

    def _greeted(self, text: bytes) -> None:
        self.on = self.received
        self.live = True
        self.driver.became_live()

    def received(self, text: bytes) -> None:
        self.events += self.driver.arrived(text)

    def publish_frame(self, channel: int, frame: bytes) -> None:
        self.send(b"%04d%b" % (channel, frame))


class RequestPeer(PollingPeer):
    """Makes bare requests (``floors.Answers``); what it is answered counts from when it asked."""

    __slots__ = ("due",)

    def __init__(self, driver: Driver, channel: int | None) -> None:
        super().__init__(driver, channel)
        self.due = 0

    def connected(self) -> None:
        self.on = self.received
        self.live = True
        self.driver.became_live()

    def ask(self, request: bytes, due: int) -> None:
        self.due = due
        self.send(request)

    def received(self, text: bytes) -> None:
        self.events += self.driver.count(self.due)
