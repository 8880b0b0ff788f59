"""A client's WebSocket: frames as they come, read by hand.

A frame that is a whole text is all that a server sends nearly always, and it takes one look at two bytes;
whatever else RFC 6455 allows is understood too.
"""

from __future__ import annotations

from collections.abc import Callable

import httptools

from bayeux.load import wire
from bayeux.load.connection import CLOSED, Connection, Place
from bayeux.load.posts import Receiver

_WHOLE_TEXT = 0x80 | wire.TEXT
_LONGEST = 64 * 1024 * 1024


class _BadFrame(Exception):
    """The server breaks RFC 6455."""


class WebSocket(Connection):
    """One WebSocket, upgraded and then open."""

    __slots__ = ("_answered", "_closed", "_fragments", "_parser", "_unread", "cookies", "receiver")

    pushes = True
    connection_type = "websocket"
    awaits_answer = False
    """Whether nothing can be asked now; here that is always possible."""

    def __init__(self, place: Place, receiver: Receiver) -> None:
        super().__init__(place)
        self.receiver = receiver
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        """While the connection is upgraded."""
        self._answered = False
        self._closed = CLOSED
        self._fragments: list[bytes] = []
        self._unread = b""

    # -- asking ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Connect, upgrade, and have the client begin."""
        self.open()

    def opened(self) -> None:
        self.send(wire.upgrade(self.place.target))

    def prepare(self, text: str) -> bytes:
        """Return an envelope as it is sent."""
        return wire.masked(wire.TEXT, text.encode())

    def post(self, text: str) -> None:
        """Send an envelope."""
        self.send(self.prepare(text))

    def transmit(self, frame: bytes) -> None:
        """Send what was prepared."""
        self.send(frame)

    def settle(self) -> None:
        """Do nothing: the client is live."""

    def remember(self, event: bytes, again: Callable[[bytes, int], None]) -> None:
        """Do nothing: there are no responses."""

    # -- being answered -------------------------------------------------------------------------

    def on_body(self, part: bytes) -> None:
        """Take what comes instead of a WebSocket (httptools)."""

    def on_message_complete(self) -> None:
        """Take note of the response (httptools)."""
        self._answered = True

    def feed(self, data: bytes) -> None:
        if self._parser is not None:
            self._upgrade(self._parser, data)
            return
        if self._unread:
            data = self._unread + data
        size = len(data) - 2
        if 0 <= size < 126 and data[1] == size and data[0] == _WHOLE_TEXT and not self._fragments:
            self._unread = b""
            self.receiver.received(data[2:])
            return
        try:
            self._frames(data)
        except _BadFrame as error:
            self._lost(f"WebSocket: {error}")

    def _upgrade(self, parser: httptools.HttpResponseParser, data: bytes) -> None:
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgraded:
            self._parser = None
            self.receiver.opened()
            rest = data[upgraded.args[0]:]
            if rest and not self.is_closed:
                self.feed(rest)
        except httptools.HttpParserError as error:
            self._lost(f"no WebSocket: {error}")
        else:
            if self._answered:
                self._lost(f"no WebSocket: HTTP {parser.get_status_code()}")

    def _frames(self, data: bytes) -> None:
        """Take all frames that are complete, and keep the rest."""
        start, total = 0, len(data)
        while total - start >= 2:
            size, body = data[start + 1], start + 2
            if size == 126:
                size, body = int.from_bytes(data[body:body + 2], "big"), body + 2
            elif size == 127:
                size, body = int.from_bytes(data[body:body + 8], "big"), body + 8
            elif size > 127:
                raise _BadFrame("a frame of the server is masked")
            if size > _LONGEST:
                raise _BadFrame(f"a frame of {size} bytes")
            end = body + size
            if end > total:
                break
            if data[start] == _WHOLE_TEXT and not self._fragments:
                self.receiver.received(data[body:end])
            else:
                self._other_frame(data[start], data[body:end])
            if self.is_closed:
                return
            start = end
        self._unread = data[start:] if start < total else b""

    def _other_frame(self, first: int, payload: bytes) -> None:
        opcode = first & 15
        if first & 0x70:
            raise _BadFrame("an extension is used that was not agreed on")
        if opcode == wire.PING:
            self.send(wire.masked(wire.PONG, payload))
        elif opcode == wire.CLOSE:
            code = int.from_bytes(payload[:2], "big")
            self._closed = f"WebSocket closed: {code}" if code else "WebSocket closed"
            self.send(wire.masked(wire.CLOSE, payload[:2]))
        elif opcode == (0 if self._fragments else wire.TEXT):
            self._fragments.append(payload)
            if first & 0x80:
                text, self._fragments = b"".join(self._fragments), []
                self.receiver.received(text)
        elif opcode != wire.PONG:
            raise _BadFrame(f"a frame with opcode {opcode} where none is expected")

    def gone(self, why: str) -> None:
        self.receiver.gone(self._closed if why == CLOSED else why)
