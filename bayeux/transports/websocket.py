"""The WebSocket transport (section 15, RFC 6455): the upgrade, and the link of a client that made it."""

from __future__ import annotations

import logging
from collections import deque
from typing import cast

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from websockets.datastructures import Headers as WebSocketHeaders
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN, SERVER
from websockets.protocol import Protocol as Reader
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from bayeux.errors import EnvelopeError, Flood, TooManyMessages
from bayeux.exchange import Exchange
from bayeux.messages import decode, join
from bayeux.session import Release, Session
from bayeux.transports import HTTPReply, HTTPRequest, Takeover
from bayeux.transports.streams import Connection, Streams
from bayeux.transports.wire import write

_HANDSHAKE = ("connection", "upgrade", "sec-websocket-key", "sec-websocket-version",
              "sec-websocket-extensions", "sec-websocket-protocol")
_VERSION = "13"
_PING = b"\x89\x00"
_PONG = b"\x8a"
_MAX_UNANSWERED_PINGS = 2
_MAX_SPARE_READERS = 64
_PIECE = 4096
"""Bytes that are inflated at once: a thousand may become a whole message of the greatest size."""
_LOGGER = logging.getLogger("bayeux.websocket")
_LOGGER.disabled = True  # what its peer does wrong is counted, not logged


class WebSockets:
    """Upgrades requests to WebSockets; one for each endpoint."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.settings = streams.settings
        self._protocols = ([Subprotocol(self.settings.websocket_protocol)]
                           if self.settings.websocket_protocol else None)
        self._extensions = [ServerPerMessageDeflateFactory()] if self.settings.websocket_compression else None
        self._spare: list[Reader] = []

    def answer(self, request: HTTPRequest, browser_id: str | None) -> Takeover | int:
        """Return the upgrade of a request that asks for it, or the HTTP status that refuses it (W-1, W-3).

        Its origin has been checked.
        """
        if request.header("sec-websocket-version") != _VERSION:
            return 426
        negotiator = ServerProtocol(extensions=self._extensions, subprotocols=self._protocols, logger=_LOGGER)
        headers = WebSocketHeaders((name, value) for name in _HANDSHAKE if (value := request.header(name)))
        response = negotiator.accept(Request("/", headers))
        if response.status_code != 101:
            return 400
        del response.headers["Date"]
        fields = tuple((name.encode("latin-1"), value.encode("latin-1"))
                       for name, value in response.headers.raw_items())
        compressor = None
        if negotiator.extensions:
            compressor = self._reader()
            compressor.extensions = negotiator.extensions
        link = WebSocket(self, request, browser_id, compressor)
        return Takeover(HTTPReply(101, fields), cast(IProtocol, link))

    def borrow(self) -> Reader:
        """Return a reader that is between two messages; an idle connection has none."""
        return self._spare.pop() if self._spare else self._reader()

    def _reader(self) -> Reader:
        return Reader(SERVER, state=OPEN, max_size=self.settings.websocket_max_message, logger=_LOGGER)

    def give_back(self, reader: Reader) -> None:
        """Take back a reader that is between two messages again."""
        if len(self._spare) < _MAX_SPARE_READERS:
            self._spare.append(reader)


class WebSocket(Connection):
    """The link of a client by WebSocket: text messages in, text messages out (W-2)."""

    __slots__ = ("_compressor", "_exchange", "_inbox", "_partial", "_pings", "_reader", "_sockets", "_unread",
                 "_waste")

    def __init__(self, sockets: WebSockets, request: HTTPRequest, browser_id: str | None,
                 compressor: Reader | None) -> None:
        super().__init__(sockets.streams, "websocket", request, browser_id)
        self._sockets = sockets
        self._compressor = compressor
        """What inflates and deflates for this connection alone, if that was agreed upon."""
        self._reader = compressor
        """What has read a part of a message."""
        self._waste = 0
        """How many bytes that has read beyond complete frames."""
        self._partial: bytearray | None = None
        """The fragments of a message that is not complete."""
        self._exchange: Exchange | None = None
        """The one in which the application has to be waited for; whatever comes after it waits (W-21)."""
        self._inbox: deque[bytes] | None = None
        self._unread = b""
        """What has come and is not inflated yet."""
        self._pings = 0
        """How many were sent since the peer was last heard of."""

    # -- reading --------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Read what has come; of what is compressed only a little at a time, as it may become much."""
        self._pings = 0
        self._streams.metrics.bytes_received += len(data)
        if self._compressor is None:
            self._read(data)
        else:
            self._unread += data
            self._inflate()

    def _inflate(self) -> None:
        while self._unread and self._inbox is None:
            piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
            self._read(piece)

    def _read(self, data: bytes) -> None:
        """Read frames; the reader itself answers what ends the connection."""
        reader = self._reader or self._sockets.borrow()
        reader.receive_data(data)
        self._waste += len(data)
        for frame in cast("list[Frame]", reader.events_received()):
            self._waste -= _size(frame)
            self._take(frame)
        for answer in reader.data_to_send():
            if not answer:
                self._ended(reader)
            elif not self.closing and not answer.startswith(_PONG):  # those are sent, in their order
                self.write(answer)
        whole = not self._waste and reader.current_size is None and reader.state is OPEN
        if whole and self._compressor is None:
            self._reader = None
            self._sockets.give_back(reader)
        else:
            self._reader = reader

    def _take(self, frame: Frame) -> None:
        if self.closing:
            return
        if frame.opcode is Opcode.PING:
            self.write(_frame(Opcode.PONG, bytes(frame.data)))
        elif frame.opcode is Opcode.BINARY:
            self._fail(1003, "text messages only")
        elif frame.opcode is Opcode.TEXT and frame.fin:
            self._message(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            self._partial = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._partial is not None:
            self._partial += frame.data
            if frame.fin:
                whole, self._partial = bytes(self._partial), None
                self._message(whole)

    def _ended(self, reader: Reader) -> None:
        """Close, as the reader has read or written a close frame."""
        if reader.close_rcvd is None and reader.close_sent is not None:  # the peer has broken the rules
            if not self.closing:
                self._closes(reader.close_sent.code)
                self.limited("websocket_max_message" if reader.close_sent.code == 1009 else "")
                self._linger()
            self.end_writing()  # it may believe that it has not
        else:
            self.end()
            self.lose()

    def _message(self, text: bytes) -> None:
        """Handle an envelope, when all before it have been."""
        if self._exchange is not None:
            if self._inbox is None:
                self._inbox = deque()
                self.transport.pauseProducing()
            self._inbox.append(text)
            return
        try:
            messages = decode(text, self._streams.settings)
            if not messages:  # Faye's old clients keep the connection alive by that (M-4)
                return
            exchange = self._streams.hub.receive(messages, self)
        except EnvelopeError as error:
            self.limited(error.limit)
            self._fail(1008 if isinstance(error, TooManyMessages | Flood) else 1007, str(error))
            return
        if exchange.pending is None or exchange.pending.called:
            self._answer(exchange)
        else:
            self._exchange = exchange
            exchange.pending.addCallback(self._completed, exchange)

    def _completed(self, _: None, exchange: Exchange) -> None:
        """Go on with what has come while the application had to be waited for."""
        self._exchange = None
        if self.closing:
            return
        self._answer(exchange)
        while self._inbox and self._exchange is None:
            self._message(self._inbox.popleft())
        if self._inbox is not None and not self._inbox:
            self._inbox = None
            self._inflate()
            self.read_on()

    def read_on(self) -> None:
        """Read again, unless there is enough to be handled."""
        if self._inbox is None and not self.congested:
            self.transport.resumeProducing()

    def _answer(self, exchange: Exchange) -> None:
        if exchange.parked:
            exchange.wait(self)
        else:
            self._send(join(exchange.drain()))

    def released(self, exchange: Exchange, why: Release) -> None:
        """Answer the connect that was held, unless there is a newer one."""
        if self.closing:  # meanwhile, as an extension has thought about the reply
            exchange.lost()
        elif why is not Release.SUPERSEDED and why is not Release.LOST:  # K-12d
            self._send(join(exchange.drain()))

    def end(self) -> None:
        """Part from the session, and from what the application still thinks about."""
        super().end()
        self._inbox = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.lost()

    def connectionLost(self, reason: Failure) -> None:
        """End, and keep nothing of what was read: the list of deadlines may know this object for a while."""
        super().connectionLost(reason)
        self._reader = self._compressor = self._partial = None
        self._unread = b""

    # -- writing --------------------------------------------------------------------------------

    def write_events(self, session: Session) -> None:
        """Write events in one message; a single one is framed once for all who get it."""
        events = session.queue.events
        if len(events) > 1 or self._compressor is not None:
            events = session.take(self._streams.settings.max_buffer)
            self._streams.metrics.events_sent += len(events)
            self._send(join([event.json for event in events]))
            return
        [event] = session.take()
        if event.envelope is None:
            event.envelope = _text_frame(join((event.json,)))
        metrics = self._streams.metrics
        metrics.events_sent += 1
        write(self.transport, event.envelope, metrics)

    def _send(self, text: bytes) -> None:
        if self.closing:
            return
        if self._compressor is None:
            self.write(_text_frame(text))
        else:
            # Not by the reader itself: it may have read the end already, and then would refuse.
            message = Frame(Opcode.TEXT, text)
            self.write(message.serialize(mask=False, extensions=self._compressor.extensions))

    # -- time -----------------------------------------------------------------------------------

    @property
    def patience(self) -> float:
        """How long before the next ping, in seconds."""
        return self._streams.settings.websocket_ping_interval

    def idle(self) -> None:
        """Ping, unless the peer has not answered for too long (W-14)."""
        if self._pings == _MAX_UNANSWERED_PINGS:
            self._streams.metrics.unanswered_pings += 1
            self.abort()
        else:
            self._pings += self._inbox is None  # else nothing is read, and no answer seen
            self.write(_PING)

    def due(self) -> None:
        """Be patient with a peer whose first message the application still thinks about."""
        if self.session is None and self._exchange is not None and not self.congested:
            self.wait(self._streams.settings.unbound_timeout)
        else:
            super().due()

    # -- closing --------------------------------------------------------------------------------

    def close(self) -> None:
        """Close: there is nothing to be said any more (W-7, W-18)."""
        self._fail(1000, "no session")

    def going_away(self) -> None:
        """Close, because the server stops (W-9)."""
        self._fail(1001, "server stops")

    def _fail(self, code: int, reason: str) -> None:
        """Close, and tell the peer why, in at most 123 bytes (W-9)."""
        if self.closing:
            return
        self._closes(code)
        self.write(_frame(Opcode.CLOSE, Close(code, reason).serialize()))
        self._linger()

    def _closes(self, code: int) -> None:
        hub = self._streams.hub
        hub.metrics.closed[code] += 1
        hub.witnesses["close", code] = self.address, "" if self.session is None else self.session.label

    def _linger(self) -> None:
        """Read on until the peer closes too, or for a while: it might not see the reason otherwise."""
        if not self.closing:
            self.end()
            self.transport.resumeProducing()


def _text_frame(text: bytes) -> bytes:
    return _frame(Opcode.TEXT, text)


def _frame(opcode: Opcode, payload: bytes) -> bytes:
    """Return a complete, unmasked frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (0x80 | opcode, size, payload)
    if size < 65536:
        return b"%c\x7e%b%b" % (0x80 | opcode, size.to_bytes(2), payload)
    return b"%c\x7f%b%b" % (0x80 | opcode, size.to_bytes(8), payload)


def _size(frame: Frame) -> int:
    """Return how many bytes a masked frame took, unless its sender was wasteful."""
    size = len(frame.data)
    return size + (6 if size < 126 else 8 if size < 65536 else 14)
