"""Clients that do as they are told: very many of them, in one loop of their own."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

_READ = 65_536
_ADDRESSES = 16
"""Of loopback, from which clients connect: one alone has not enough ports for all of them twice."""
_BACKOFF, _MOST_BACKOFF = 1.0, 10.0
"""Seconds by which a client that finds nobody waits longer each time, as CometD's do, without chance."""
_AT_ONCE = 200
"""Clients that are on their way in at the start; after that they come when they want."""
POLLING, WEBSOCKET = "long-polling", "websocket"


class Client:
    """One client: it shakes hands, subscribes, and has a connect held; when that is refused it obeys."""

    __slots__ = ("_buffer", "_cookie", "_crowd", "_id", "_next", "_upgraded", "asked_at", "failures", "kind",
                 "live", "number", "sock", "told")

    def __init__(self, crowd: Crowd, number: int, kind: str) -> None:
        self._crowd = crowd
        self.number = number
        self.kind = kind
        self.sock: socket.socket | None = None
        self.live = False
        """Whether it has a connect held."""
        self.told = False
        """Whether the server has said when to come back."""
        self.failures = 0
        self.asked_at = 0.0
        self._buffer = b""
        self._cookie = ""
        self._id = ""
        self._next: Callable[[list[Any]], None] = self._handshaken
        self._upgraded = False

    # -- the way in -----------------------------------------------------------------------------

    def start(self) -> None:
        """Connect."""
        self._buffer, self._upgraded, self.told, self.live = b"", False, False, False
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.bind((f"127.0.0.{2 + self.number % _ADDRESSES}", 0))
        self._crowd.count("connections")
        try:
            self.sock.connect(("127.0.0.1", self._crowd.port))
        except BlockingIOError:
            pass
        except OSError:
            self.lost()
            return
        self._crowd.watch(self)

    def connected(self) -> None:
        """Go on, as the connection is there."""
        self.failures = 0
        if self.kind == WEBSOCKET:
            self._send(b"GET /bayeux HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        else:
            self._shake_hands()

    def _shake_hands(self) -> None:
        self.asked_at = time.monotonic()
        self._ask(self._handshaken, {"channel": "/meta/handshake", "version": "1.0",
                                     "supportedConnectionTypes": [self.kind]})

    def _handshaken(self, replies: list[Any]) -> None:
        if not replies[0]["successful"]:
            self._obey(replies[0])
            return
        self._crowd.shaken_hands(time.monotonic() - self.asked_at)
        self._id = replies[0]["clientId"]
        self._ask(self._subscribed, {"channel": "/meta/subscribe", "clientId": self._id,
                                     "subscription": "/drain"})

    def _subscribed(self, replies: list[Any]) -> None:
        self._ask(self._connected, self._connect(advice={"timeout": 0}))

    def _connected(self, replies: list[Any]) -> None:
        if not replies[-1]["successful"]:
            self._obey(replies[-1])
            return
        if not self.live:
            self.live = True
            self._crowd.came_alive()
        self._ask(self._connected, self._connect())

    def _connect(self, **fields: Any) -> dict[str, Any]:
        return {"channel": "/meta/connect", "clientId": self._id, "connectionType": self.kind, **fields}

    def _obey(self, reply: Any) -> None:
        """Come back when the server says so."""
        self.told = True
        self._gone()
        self._crowd.count("told")
        interval = reply["advice"]["interval"] / 1000
        self._crowd.later(0.0 if self._crowd.defiant else interval, self)

    def _gone(self) -> None:
        if self.live:
            self.live = False
            self._crowd.live -= 1

    def lost(self) -> None:
        """Take note that the connection is gone, or was never there."""
        assert self.sock is not None
        self._crowd.forget(self.sock)
        self.sock = None
        if self.told:
            return
        self._crowd.count("unannounced" if self.live else "failed")
        self._gone()
        self.failures += 1
        self._crowd.later(0.0 if self._crowd.defiant and self.failures == 1
                          else min(_MOST_BACKOFF, _BACKOFF * self.failures), self)

    def come_back(self) -> None:
        """Begin anew, by a new connection."""
        if self.sock is not None:
            self._crowd.forget(self.sock)
        self.start()

    # -- bytes ----------------------------------------------------------------------------------

    def _ask(self, then: Callable[[list[Any]], None], message: dict[str, Any]) -> None:
        self._next = then
        body = msgspec.json.encode([message])
        if self.kind == WEBSOCKET:
            self._send(_frame(1, body))
        else:
            self._send(b"POST /bayeux HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                       b"%bContent-Length: %d\r\n\r\n%b" % (self._cookie.encode(), len(body), body))

    def _send(self, data: bytes) -> None:
        assert self.sock is not None
        with contextlib.suppress(OSError):  # reading will tell
            self.sock.send(data)  # so little that it fits

    def read(self) -> None:
        """Take what has come."""
        assert self.sock is not None
        try:
            data = self.sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.lost()
            return
        self._buffer += data
        if self.kind == WEBSOCKET and self._upgraded:
            self._read_frames()
        else:
            self._read_response()

    def _read_response(self) -> None:
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if head.startswith(b"HTTP/1.1 101"):
            self._upgraded, self._buffer = True, rest
            self._shake_hands()
            return
        length = int(fields[b"content-length"])
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        if b"set-cookie" in fields:
            name, _, value = fields[b"set-cookie"].partition(b";")[0].partition(b"=")
            at = head.lower().index(value)
            self._cookie = f"Cookie: {name.decode().upper()}={head[at:at + len(value)].decode()}\r\n"
        if not head.startswith(b"HTTP/1.1 200"):
            self._crowd.count("refused")
            return  # the connection will be closed, or else it is counted as never come back
        self._next(msgspec.json.decode(rest[:length]))

    def _read_frames(self) -> None:
        while len(self._buffer) > 1 and self.sock is not None:
            size, start = self._buffer[1], 2
            if size == 126:
                size, start = int.from_bytes(self._buffer[2:4]), 4
            if len(self._buffer) < start + size:
                return
            opcode, payload = self._buffer[0] & 15, self._buffer[start:start + size]
            self._buffer = self._buffer[start + size:]
            if opcode == 1:
                self._next(msgspec.json.decode(payload))
            elif opcode == 8:
                self._crowd.closes[int.from_bytes(payload[:2])] += 1
                self._send(_frame(8, payload))
            elif opcode == 9:
                self._send(_frame(10, payload))


def _frame(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame, with a mask of zeros."""
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2)
    return bytes((0x80 | opcode,)) + size + bytes(4) + payload


class Crowd:
    """All clients, what they do second by second, and the loop that serves them."""

    def __init__(self, port: int, count: int, kind: str = "", defiant: bool = False) -> None:
        self.port = port
        self.defiant = defiant
        """Whether they come back at once, whatever they are told."""
        self.live = 0
        self.closes: Counter[int] = Counter()
        """WebSockets that were closed, by code."""
        self.by_second: dict[str, Counter[int]] = {}
        self.handshakes: list[float] = []
        """How long each handshake took, in seconds."""
        self.came_alive_at: list[float] = []
        self._began = time.monotonic()
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, Client] = {}
        self._timers: list[tuple[float, int, Client]] = []
        self._order = itertools.count()
        kinds = (kind,) if kind else (WEBSOCKET, POLLING)
        self.clients = [Client(self, number, kinds[number % len(kinds)]) for number in range(count)]

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._by_descriptor.values():
            if client.sock is not None:
                client.sock.close()
        self._epoll.close()

    def begin(self) -> None:
        """Count from now on."""
        self._began = time.monotonic()
        self.by_second, self.handshakes, self.came_alive_at = {}, [], []
        self.closes.clear()

    @property
    def seconds(self) -> float:
        """How long it is since then."""
        return time.monotonic() - self._began

    def total(self, what: str) -> int:
        """Return how often something was counted."""
        return self.by_second.get(what, Counter()).total()

    def count(self, what: str) -> None:
        """Count something that happens in this second."""
        self.by_second.setdefault(what, Counter())[int(self.seconds)] += 1

    def shaken_hands(self, seconds: float) -> None:
        """Take note of a handshake, and how long it took."""
        self.count("handshakes")
        self.handshakes.append(seconds)

    def came_alive(self) -> None:
        """Take note of a client that has a connect held."""
        self.live += 1
        self.count("live")
        self.came_alive_at.append(self.seconds)

    def watch(self, client: Client) -> None:
        """Serve a client's connection."""
        assert client.sock is not None
        self._by_descriptor[client.sock.fileno()] = client
        self._epoll.register(client.sock, select.EPOLLIN | select.EPOLLOUT)

    def forget(self, sock: socket.socket) -> None:
        """Serve it no more."""
        if self._by_descriptor.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock)
        sock.close()

    def later(self, seconds: float, client: Client) -> None:
        """Let a client come back after so long."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), client))

    def come_in(self, patience: float) -> None:
        """Let all clients come to life, some at a time.  Raises ``TimeoutError``."""
        waiting = iter(self.clients)
        started = 0
        end = time.monotonic() + patience
        while self.live < len(self.clients):
            while started - self.live < _AT_ONCE and (client := next(waiting, None)) is not None:
                started += 1
                client.start()
            self.turn()
            if time.monotonic() > end:
                raise TimeoutError(f"only {self.live} of {len(self.clients)} clients are live")

    def turn(self, longest: float = 0.05) -> None:
        """Do what is due."""
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2].come_back()
        wait = min(longest, max(0.0, self._timers[0][0] - now)) if self._timers else longest
        for descriptor, events in self._epoll.poll(wait, 1024):
            client = self._by_descriptor.get(descriptor)
            if client is None or client.sock is None:
                continue
            if events & select.EPOLLOUT:
                self._epoll.modify(descriptor, select.EPOLLIN)
                if not events & (select.EPOLLERR | select.EPOLLHUP):
                    client.connected()
            if events & ~select.EPOLLOUT:
                client.read()
