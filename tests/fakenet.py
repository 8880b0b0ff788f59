"""A network without sockets: Twisted's own transports on a clock, and what the other end sees of them.

The server's end of a connection is Twisted's ``FileDescriptor``, so that writing, pausing and closing are
what they are on a socket; nothing is read, written or due before ``Net.pump`` or ``Net.advance`` says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IReactorFDSet
from twisted.internet.task import Clock
from twisted.internet.tcp import _AbortingMixin
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from bayeux import BayeuxService, Policy, Settings
from bayeux.web.site import BayeuxSite

READ_SIZE = 65_536
"""What Twisted reads from a socket at once."""
ROOMY = 1 << 40


@implementer(IReactorFDSet)
class Reactor(Clock):
    """A clock that also knows which transports want to read or to write."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: dict[Any, None] = {}

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def addWriter(self, writer: Any) -> None:
        self.writers[writer] = None

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def removeWriter(self, writer: Any) -> None:
        self.writers.pop(writer, None)

    def removeAll(self) -> list[Any]:
        return []

    def getReaders(self) -> list[Any]:
        return list(self.readers)

    def getWriters(self) -> list[Any]:
        return list(self.writers)


class ServerEnd(_AbortingMixin, FileDescriptor):
    """The server's end of one connection."""

    def __init__(self, reactor: Reactor, protocol: Any, peer: IAddress) -> None:
        super().__init__(reactor)
        self.peer = peer
        self.connected = 1
        self.protocol = protocol
        self.taken = b""
        """What the peer has got, and not looked at."""
        self.room = ROOMY
        """How many bytes the peer will take."""
        self.coming = b""
        """What the peer has sent, and the server not read."""
        self.finished = False
        """Whether the peer has closed."""
        self.ended = False
        """Whether the server has said that it will send nothing more."""
        self.most_buffered = 0

    @property
    def buffered(self) -> int:
        """How many bytes wait in this process to be written."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    def write(self, data: bytes) -> None:
        super().write(data)
        self.most_buffered = max(self.most_buffered, self.buffered)

    def writeSomeData(self, data: Any) -> int:
        count = min(len(data), self.room)
        self.taken += bytes(data[:count])
        self.room -= count
        return count

    def read(self) -> bool:
        """Read once, if there is something; say whether there was."""
        if self not in self.reactor.readers or not (self.coming or self.finished):
            return False
        data, self.coming = self.coming[:READ_SIZE], self.coming[READ_SIZE:]
        if data:
            self.protocol.dataReceived(data)
        else:
            self.connectionLost(Failure(ConnectionDone()))
        return True

    def _closeWriteConnection(self) -> None:
        self.ended = True

    def connectionLost(self, reason: Failure) -> None:
        protocol, self.protocol = self.protocol, None
        super().connectionLost(reason)
        protocol.connectionLost(reason)

    def getPeer(self) -> IAddress:
        return self.peer

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 80)


def in_site(bayeux: BayeuxService, reactor: Reactor) -> Site:
    """Embed the resource in a tree of an ordinary site."""
    root = Resource()
    root.putChild(b"bayeux", bayeux.resource)
    return Site(root, reactor=reactor)


def in_bayeux_site(bayeux: BayeuxService, reactor: Reactor) -> Site:
    """Serve the resource by the site that ``twistd bayeux`` has."""
    root = Resource()
    root.putChild(b"bayeux", bayeux.resource)
    return BayeuxSite(root, bayeux.resource.endpoint, bayeux.settings, reactor)


class Net:
    """A running server, and the connections to it; its time of day is ``START`` at first."""

    START = 1_700_000_000.0

    def __init__(self, door: Callable[[BayeuxService, Reactor], Site] = in_bayeux_site,
                 policy: Policy | None = None, **settings: Any) -> None:
        self.reactor = Reactor()
        self.bayeux = BayeuxService(Settings(**settings), policy, self.reactor, self.wall)
        self.bayeux.startService()
        self.hub = self.bayeux.hub
        self.site = door(self.bayeux, self.reactor)
        self.ends: list[ServerEnd] = []

    @property
    def streams(self) -> Any:
        return self.bayeux.resource.endpoint.streams

    def wall(self) -> float:
        """Return the time of day."""
        return self.START + self.reactor.seconds()

    def open(self, address: str = "192.0.2.7") -> Wire:
        """Connect from an IP address; "" is by a UNIX socket."""
        peer: IAddress = IPv4Address("TCP", address, 50_000) if address else UNIXAddress(None)
        protocol = self.site.buildProtocol(peer)
        end = ServerEnd(self.reactor, protocol, peer)
        end.startReading()
        self.ends.append(end)
        protocol.makeConnection(end)
        return Wire(self, end)

    def pump(self) -> None:
        """Let everything happen that needs no time."""
        busy = True
        while busy:
            busy = False
            for end in list(self.ends):
                busy = end.read() or busy
            for end in list(self.reactor.writers):
                if end.room or not end.buffered:
                    busy = True
                    why = end.doWrite()
                    if why is not None:
                        end.connectionLost(Failure(why))
            self.ends = [end for end in self.ends if end.connected]
            due = [call for call in self.reactor.getDelayedCalls()
                   if call.getTime() <= self.reactor.seconds()]
            self.reactor.advance(0)
            busy = bool(due) or busy

    def advance(self, seconds: float, step: float | None = None) -> None:
        """Let time pass, in steps, with everything happening in between."""
        self.pump()
        end = self.reactor.seconds() + seconds
        while self.reactor.seconds() < end:
            left = end - self.reactor.seconds()
            calls = [call.getTime() - self.reactor.seconds() for call in self.reactor.getDelayedCalls()]
            self.reactor.advance(min([left, step or left, *[time for time in calls if time > 0]]))
            self.pump()

    def publish(self, data: Any, channel: str = "/news", **more: Any) -> None:
        """Publish from the server, and let it go out."""
        self.hub.publish(channel, data, **more)
        self.pump()

    def stop(self) -> None:
        """Stop the server, and see it stopped."""
        done: list[None] = []
        self.bayeux.stopService().addCallback(done.append)
        self.advance(2 * self.bayeux.settings.shutdown_timeout)
        assert done

    def lose(self) -> None:
        """Lose every connection."""
        for end in self.ends:
            end.finished = True
            end.startReading()
        self.pump()

    def session(self, client: str) -> Any:
        return self.hub.sessions.get(client)


class Wire:
    """The client's end of one connection."""

    def __init__(self, net: Net, end: ServerEnd) -> None:
        self.net = net
        self.end = end

    def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece by itself, and let the server do what it does."""
        for piece in pieces:
            self.end.coming += piece
            self.net.pump()

    def take(self) -> bytes:
        """Return what the server has sent since."""
        self.net.pump()
        taken, self.end.taken = self.end.taken, b""
        return taken

    def lose(self) -> None:
        """Close without a word."""
        self.end.finished = True
        self.net.pump()

    def stall(self, room: int = 0) -> None:
        """Take no more than so many bytes from now on."""
        self.end.room = room

    def flow(self, room: int = ROOMY) -> None:
        """Take some again."""
        self.end.room = room
        self.net.pump()

    @property
    def closed(self) -> bool:
        """Whether the server has closed the connection."""
        self.net.pump()
        return not self.end.connected


class Response:
    """One HTTP response as it came."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<{self.status} {self.headers} {self.body!r}>"

    @property
    def messages(self) -> list[Any]:
        """The Bayeux messages in it, whether as JSON or as a script."""
        assert self.status == 200, self
        body = self.body
        if self.headers["content-type"].startswith("text/javascript"):
            assert body.startswith(b"/**/cb(")
            assert body.endswith(b");")
            body = body.removeprefix(b"/**/cb(").removesuffix(b");")
        return list(json.loads(body))


def parse_head(data: bytes) -> tuple[Response, bytes]:
    """Parse the head of a response; returns it, and what comes after it."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    assert blank, data
    status, *lines = head.decode("latin-1").split("\r\n")
    assert status.startswith(("HTTP/1.1 ", "HTTP/1.0 ")), status
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers, f"{name} twice"
        headers[name.lower()] = value
    return Response(int(status.split(" ")[1]), headers), rest


class HTTP:
    """HTTP by one connection."""

    def __init__(self, net: Net, address: str = "192.0.2.7") -> None:
        self.wire = net.open(address)
        self._data = b""

    def send(self, data: bytes) -> None:
        self.wire.send(data)

    def responses(self) -> list[Response]:
        """Return the responses that have come since."""
        self._data += self.wire.take()
        found = []
        while b"\r\n\r\n" in self._data:
            response, rest = parse_head(self._data)
            length = int(response.headers.get("content-length", 0))
            assert len(rest) >= length, "half a response"
            response.body, self._data = rest[:length], rest[length:]
            found.append(response)
        assert not self._data
        return found

    def ask(self, data: bytes) -> Response:
        """Send a request that is answered at once."""
        self.send(data)
        (response,) = self.responses()
        return response


def request(method: str = "GET", path: str = "/bayeux", body: bytes = b"", version: str = "1.1",
            **headers: str | None) -> bytes:
    """Return the bytes of a request; keywords are headers, None leaves one out."""
    lines: dict[str, str | None] = {"host": "example.org", **headers}
    if body:
        lines.setdefault("content_length", str(len(body)))
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n"
                   for name, value in lines.items() if value is not None)
    return f"{method} {path} HTTP/{version}\r\n{head}\r\n".encode("latin-1") + body


def post(*messages: Any, **headers: str | None) -> bytes:
    """Return the bytes of a request by long-polling."""
    return request("POST", body=json.dumps(messages).encode(),
                   **{"content_type": "application/json", **headers})


def script(*messages: Any, **headers: str | None) -> bytes:
    """Return the bytes of a request by callback-polling."""
    return request(path=f"/bayeux?jsonp=cb&message={quote(json.dumps(messages))}", **headers)


KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The example of RFC 6455, section 1.3."""


def upgrade(**headers: str | None) -> bytes:
    """Return the bytes of a request for a WebSocket."""
    return request(**{"upgrade": "websocket", "connection": "Upgrade", "sec_websocket_key": KEY,
                      "sec_websocket_version": "13", **headers})


def listen(client: str, **headers: str | None) -> bytes:
    """Return the bytes of a request for an EventSource stream."""
    return request(path=f"/bayeux/{client}", accept="text/event-stream", **headers)


TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
_MASK = b"\x37\xfa\x21\x3d"


def frame(payload: bytes | str = b"", opcode: int = TEXT, fin: bool = True, reserved: int = 0,
          mask: bytes | None = _MASK, width: int | None = None, length: int | None = None) -> bytes:
    """Return a client's frame (RFC 6455, 5.2).

    ``width``: how many bytes the extended length takes, 0, 2 or 8; ``length``: what it says.
    """
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload) if length is None else length
    if width is None:
        width = 0 if size < 126 else 2 if size < 65_536 else 8
    short = {0: size, 2: 126, 8: 127}[width]
    head = bytes([fin << 7 | reserved << 4 | opcode, (mask is not None) << 7 | short])
    head += size.to_bytes(width, "big") if width else b""
    if mask is None:
        return head + payload
    long_mask = (mask * (len(payload) // 4 + 1))[:len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(long_mask, "big")
    return head + mask + masked.to_bytes(len(payload), "big")


def envelope(*messages: Any) -> bytes:
    """Return messages as a text frame."""
    return frame(json.dumps(messages))


def close(code: int | None = None, reason: str | bytes = b"") -> bytes:
    """Return a close frame."""
    reason = reason.encode() if isinstance(reason, str) else reason
    return frame((b"" if code is None else code.to_bytes(2, "big")) + reason, CLOSE)


class WebSocketClient:
    """A WebSocket, by frames."""

    def __init__(self, net: Net, wire: Wire | None = None, open: bool = True, **headers: str | None) -> None:
        self.net = net
        self.wire = wire or net.open()
        self.head: Response | None = None
        self._data = b""
        self.deflated: list[bytes] = []
        if open:
            self.wire.send(upgrade(**headers))
            self.opened()
            assert self.head is not None
            assert self.head.status == 101, self.head

    def opened(self) -> None:
        """Read the answer to the request."""
        self.head, self._data = parse_head(self.wire.take())

    def frames(self) -> list[tuple[int, bytes]]:
        """Return the frames that have come since: their opcodes and payloads."""
        self._data += self.wire.take()
        found = []
        while self._data:
            first, second, rest = self._data[0], self._data[1], self._data[2:]
            assert first & 0xb0 == 0x80, "fragmented, or with a reserved bit"
            assert second < 128, "masked"
            if second < 126:
                size = second
            elif second == 126:
                size, rest = int.from_bytes(rest[:2], "big"), rest[2:]
                assert size >= 126
            else:
                size, rest = int.from_bytes(rest[:8], "big"), rest[8:]
                assert size >= 65_536
            if len(rest) < size:
                break
            found.append((first & 0x4f, rest[:size]))
            self._data = rest[size:]
        return found

    def send(self, *messages: Any) -> None:
        self.wire.send(envelope(*messages))

    def envelopes(self) -> list[list[Any]]:
        """Return the envelopes that have come since; pings are answered, nothing else may have come."""
        found = []
        for opcode, payload in self.frames():
            if opcode == PING:
                self.wire.send(frame(payload, PONG))
            else:
                assert opcode == TEXT, (opcode, payload)
                found.append(json.loads(payload))
        return found

    def messages(self) -> list[Any]:
        return [message for envelope in self.envelopes() for message in envelope]

    def ask(self, *messages: Any) -> list[Any]:
        """Send an envelope that is answered at once, by one."""
        self.send(*messages)
        (answer,) = self.envelopes()
        return answer

    def close_code(self) -> int:
        """Return the code of the close frame that must have come, and nothing behind it."""
        frames = self.frames()
        assert frames, "nothing has come"
        opcode, payload = frames[-1]
        assert opcode == CLOSE, frames
        assert len(payload) <= 125
        payload[2:].decode()
        return int.from_bytes(payload[:2], "big")


class EventSourceClient:
    """An EventSource stream, by lines."""

    def __init__(self, net: Net, client: str, **headers: str | None) -> None:
        self.wire = net.open()
        self.wire.send(listen(client, **headers))
        self.head, self._data = parse_head(self.wire.take())

    def chunks(self) -> list[bytes]:
        """Return what has come since, an event or a comment each, still as text."""
        self._data += self.wire.take()
        *chunks, self._data = self._data.split(b"\r\n\r\n")
        return chunks

    def envelopes(self) -> list[list[Any]]:
        """Return the envelopes that have come since."""
        found = []
        for chunk in self.chunks():
            if chunk.startswith(b"data: "):
                assert b"\n" not in chunk
                assert b"\r" not in chunk
                found.append(json.loads(chunk.removeprefix(b"data: ")))
            else:
                assert chunk.startswith((b"retry: ", b":")), chunk
        return found

    def messages(self) -> list[Any]:
        return [message for envelope in self.envelopes() for message in envelope]


HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}


def connect(client: str, **more: Any) -> dict[str, Any]:
    return {"channel": "/meta/connect", "clientId": client, "connectionType": "long-polling", **more}


def disconnect(client: str, **more: Any) -> dict[str, Any]:
    return {"channel": "/meta/disconnect", "clientId": client, **more}


def subscribe(client: str, channel: str = "/news", **more: Any) -> dict[str, Any]:
    return {"channel": "/meta/subscribe", "clientId": client, "subscription": channel, **more}


def publish(client: str, data: Any = "hi", channel: str = "/news", **more: Any) -> dict[str, Any]:
    return {"channel": channel, "clientId": client, "data": data, **more}


def event(data: Any, channel: str = "/news") -> dict[str, Any]:
    return {"channel": channel, "data": data}
