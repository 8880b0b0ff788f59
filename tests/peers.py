"""Servers that answer what a test wants, by real sockets, and what a client's transports say of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol


class Connection(Protocol):
    """The server's end of a connection; whole HTTP requests are put into ``peer.requests``."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.buffer = b""
        self.requests: DeferredQueue[tuple[bytes, bytes]] = DeferredQueue()
        self.lost: Deferred[None] = Deferred()
        self.socket: ServerProtocol | None = None
        self.frames: DeferredQueue[Any] = DeferredQueue()

    def connectionMade(self) -> None:
        self.peer.connections.put(self)
        self.peer.all.append(self)

    def dataReceived(self, data: bytes) -> None:
        if self.socket is not None:
            self.socket.receive_data(data)
            self.flush()
            for event in self.socket.events_received():
                if isinstance(event, Request):
                    self.peer.upgrades.put((self, event))
                else:
                    self.frames.put(event)
            self.flush()
            return
        self.buffer += data
        if self.buffer.startswith(b"GET"):
            self.socket = ServerProtocol(subprotocols=self.peer.subprotocols)
            self.dataReceived(self.buffer)
            return
        while (head := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = int(re.search(rb"(?i)content-length: *(\d+)", self.buffer)[1])
            if len(self.buffer) < head + 4 + length:
                return
            request = self.buffer[:head], self.buffer[head + 4:head + 4 + length]
            self.buffer = self.buffer[head + 4 + length:]
            self.peer.requests.put((self, *request))

    def connectionLost(self, reason: Any) -> None:
        self.peer.all.remove(self)
        self.lost.callback(None)

    # -- HTTP -----------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def answer(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        fields = "".join(f"{header}\r\n" for header in (f"Content-Length: {len(body)}", *headers))
        self.write(f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body)

    # -- WebSocket ------------------------------------------------------------------------------

    def accept(self, request: Request, **headers: str) -> None:
        response = self.socket.accept(request)
        for name, value in headers.items():
            response.headers[name.replace("_", "-")] = value
        self.socket.send_response(response)
        self.flush()
        assert self.socket.state is OPEN

    def flush(self) -> None:
        for data in self.socket.data_to_send():
            if data:
                self.transport.write(data)
            elif not self.peer.lingers:
                self.transport.loseConnection()

    def text(self, text: bytes, fin: bool = True) -> None:
        self.socket.send_text(text, fin)
        self.flush()

    def abort(self) -> None:
        self.transport.abortConnection()


class Peer:
    """A server on a port of its own."""

    def __init__(self) -> None:
        self.connections: DeferredQueue[Connection] = DeferredQueue()
        self.requests: DeferredQueue[tuple[Connection, bytes, bytes]] = DeferredQueue()
        self.upgrades: DeferredQueue[tuple[Connection, Request]] = DeferredQueue()
        self.all: list[Connection] = []
        self.subprotocols: Any = None
        self.lingers = False

    async def listen(self) -> Peer:
        factory = Factory.forProtocol(lambda: Connection(self))
        factory.noisy = False
        self.port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.url = f"http://127.0.0.1:{self.port.getHost().port}/bayeux"
        return self

    async def close(self) -> None:
        await maybeDeferred(self.port.stopListening)
        for connection in list(self.all):
            connection.abort()
            await connection.lost


class Happenings:
    """What a transport tells, one after the other."""

    def __init__(self) -> None:
        self.queue: DeferredQueue[tuple[Any, ...]] = DeferredQueue()

    def note(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.queue.put((name, *arguments))

    async def next(self) -> tuple[Any, ...]:
        return await self.queue.get().addTimeout(10, reactor)

    @property
    def nothing(self) -> bool:
        return not self.queue.pending


def within(deferred: Deferred[Any]) -> Deferred[Any]:
    """Wait for something, but not for ever."""
    return deferred.addTimeout(10, reactor)


ensure = pytest_twisted.ensureDeferred
