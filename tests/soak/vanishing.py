"""Clients by raw sockets, blocking, each with a life of its own and one of many ways to vanish."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import re
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

PATIENCE = 20.0
_RESET = struct.pack("ii", 1, 0)
_LENGTH = re.compile(rb"(?i)content-length: (\d+)")
_COOKIE = re.compile(rb"(?i)set-cookie: ([^;\r]+)")

Message = dict[str, Any]


class Client:
    """One client of the server, by one or two connections."""

    def __init__(self, chance: random.Random, port: int, tls: bool) -> None:
        self.chance = chance
        self._port = port
        self._tls = tls
        self.cookie = ""
        self.id = ""
        self.sockets: list[socket.socket] = []

    # -- bytes ----------------------------------------------------------------------------------

    def open(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(connection)
        self.sockets.append(connection)
        return connection

    def request(self, method: str, target: str, body: str = "", *headers: str) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
        if self.cookie:
            lines.append(f"Cookie: {self.cookie}")
        if method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", body]).encode()

    def post(self, *messages: Message) -> bytes:
        return self.request("POST", "/bayeux", json.dumps(messages))

    def read(self, connection: socket.socket) -> bytes:
        """Return the body of a response."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        if cookie := _COOKIE.search(head):
            self.cookie = cookie[1].decode()
        length = _LENGTH.search(head)
        while length and len(body) < int(length[1]):
            body += self._receive(connection)
        return body

    def _receive(self, connection: socket.socket) -> bytes:
        data = connection.recv(65_536)
        if not data:
            raise ConnectionError("the server has closed")
        return data

    def ask(self, connection: socket.socket, *messages: Message) -> list[Message]:
        connection.sendall(self.post(*messages))
        replies: list[Message] = json.loads(self.read(connection))
        return replies

    # -- messages -------------------------------------------------------------------------------

    def message(self, channel: str, **fields: Any) -> Message:
        return {"channel": channel, "clientId": self.id, "id": str(self.chance.randrange(1000)), **fields}

    def connect(self, kind: str = "long-polling") -> Message:
        return self.message("/meta/connect", connectionType=kind)

    def handshake(self) -> Message:
        ext = {"ack": True} if self.chance.random() < 0.3 else {}
        return {"channel": "/meta/handshake", "version": "1.0", "ext": ext,
                "supportedConnectionTypes": ["long-polling", "callback-polling", "websocket", "eventsource"]}

    def subscribe(self) -> Message:
        channels = [f"/soak/{self.chance.randrange(20)}", f"/own/{self.id}/*", "/soak/**"]
        return self.message("/meta/subscribe", subscription=channels[:self.chance.randrange(1, 4)])

    def begin(self) -> socket.socket:
        """Shake hands by long-polling, and return the connection."""
        connection = self.open()
        [reply] = self.ask(connection, self.handshake())
        self.id = reply["clientId"]
        self.ask(connection, self.subscribe())
        self.ask(connection, self.connect())
        return connection

    # -- ends of a connection -------------------------------------------------------------------

    def vanish(self) -> None:
        """Let all connections go, in one way or another."""
        for connection in self.sockets:
            self.chance.choice(ENDS)(connection)
            connection.close()
        self.sockets.clear()


def _close(connection: socket.socket) -> None:
    """Close in good order."""


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _half(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


def _unwrap(connection: socket.socket) -> None:
    """Say farewell by TLS, if it is that."""
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(1)
        with contextlib.suppress(OSError):
            connection.unwrap()


def _half_a_request(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(b"POST /bayeux HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[{")


def _nonsense(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(os.urandom(200))


ENDS = (_close, _reset, _half, _unwrap, _half_a_request, _nonsense)


# -- lives ----------------------------------------------------------------------------------------


def comes_only(client: Client) -> None:
    """Connect, and say nothing or not enough."""
    connection = client.open()
    data = client.post(client.handshake())
    connection.sendall(data[:client.chance.randrange(len(data))])


def shakes_hands_only(client: Client) -> None:
    connection = client.open()
    client.ask(connection, client.handshake())


def is_held(client: Client) -> None:
    connection = client.begin()
    connection.sendall(client.post(client.connect()))


def gets_an_event(client: Client) -> None:
    connection, other = client.begin(), client.open()
    connection.sendall(client.post(client.connect()))
    client.ask(other, client.message("/soak/1", data="x" * client.chance.randrange(2000)))
    if client.chance.random() < 0.5:
        client.read(connection)


def disconnects(client: Client) -> None:
    connection, other = client.begin(), client.open()
    connection.sendall(client.post(client.connect()))
    client.ask(other, client.message("/meta/disconnect"))


def is_superseded(client: Client) -> None:
    connection, other = client.begin(), client.open()
    connection.sendall(client.post(client.connect()))
    other.sendall(client.post(client.connect()))
    client.read(connection)


def pipelines(client: Client) -> None:
    connection = client.begin()
    connection.sendall(client.post(client.connect()) * 5)


def does_not_read(client: Client) -> None:
    connection = client.begin()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    own = f"/own/{client.id}/1"
    client.ask(connection, client.message("/meta/subscribe", subscription=own))
    batch = [client.message(own, data="x" * 30_000) for _ in range(20)]
    connection.sendall(client.post(*batch))


def uses_jsonp(client: Client) -> None:
    connection = client.begin()
    connection.sendall(client.request(
        "GET", f"/bayeux?jsonp=cb&message={quote(json.dumps(client.connect('callback-polling')))}"))


def listens(client: Client) -> None:
    client.begin()
    stream = client.open()
    stream.sendall(client.request("GET", f"/bayeux/{client.id}", "", "Accept: text/event-stream"))
    client._receive(stream)


def _upgrade(client: Client) -> socket.socket:
    connection = client.open()
    key = base64.b64encode(client.chance.randbytes(16)).decode()
    connection.sendall(client.request("GET", "/bayeux", "", "Upgrade: websocket", "Connection: Upgrade",
                                      f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"))
    client.read(connection)
    return connection


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """Return a masked frame; the mask is zero."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def _text(*messages: Message) -> bytes:
    return frame(json.dumps(messages).encode())


def uses_a_socket(client: Client) -> None:
    connection = _upgrade(client)
    connection.sendall(_text(client.handshake()))
    found = re.search(rb'"clientId":"(\w+)"', client._receive(connection))
    assert found is not None
    client.id = found[1].decode()
    connection.sendall(_text(client.subscribe(), client.connect("websocket")))
    client._receive(connection)
    connection.sendall(_text(client.connect("websocket")))
    client.chance.choice([
        lambda: None,
        lambda: connection.sendall(_text(client.message("/soak/2", data=1))),
        lambda: connection.sendall(_text(client.message("/meta/disconnect"))),
        lambda: connection.sendall(frame(b"\x03\xe8", 8)),
        lambda: connection.sendall(frame(b"", 9) * 20),
        lambda: connection.sendall(frame(b"\x00", 2)),
        lambda: connection.sendall(b"\x01\xfe\xff\xff" + bytes(100)),
    ])()


def moves_to_a_socket(client: Client) -> None:
    client.begin()
    connection = _upgrade(client)
    connection.sendall(_text(client.connect("websocket")))
    client._receive(connection)
    if client.chance.random() < 0.5:
        client.ask(client.open(), client.connect())


def opens_a_socket_only(client: Client) -> None:
    _upgrade(client)


def looks_at_a_page(client: Client) -> None:
    connection = client.open()
    page = client.chance.choice(["/", "/chat/", "/bayeux/client.js", "/nowhere"])
    connection.sendall(client.request("GET", page))
    client._receive(connection)


LIVES: tuple[Callable[[Client], None], ...] = (
    comes_only, shakes_hands_only, is_held, gets_an_event, disconnects, is_superseded, pipelines,
    does_not_read, uses_jsonp, listens, uses_a_socket, moves_to_a_socket, opens_a_socket_only,
    looks_at_a_page,
)
