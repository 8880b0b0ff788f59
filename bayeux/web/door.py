"""A connection to ``twistd bayeux``: what is for the server is answered here, all else by twisted.web."""

from __future__ import annotations

import re
import time
from enum import Enum, auto
from typing import Any, Protocol

from twisted.internet.interfaces import IProtocol, IPushProducer, IReactorTime, ISSLTransport, ITCPTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from bayeux.addresses import as_usual
from bayeux.deadlines import Deadlines
from bayeux.metrics import Metrics
from bayeux.settings import Settings
from bayeux.transports import HTTPReply, HTTPRequest, Takeover, Waiting
from bayeux.transports.endpoint import Endpoint
from bayeux.transports.wire import tidy, write
from bayeux.web.channel import Connection, Peer, Timed
from bayeux.web.parser import BadRequest, ReadRequest, RequestParser, Stage
from bayeux.web.response import hand_over, head, render

_LINE_ENDS = re.compile(rb"(?:\r\n)+")
"""Nothing, before a request: old clients send one after a body (RFC 9112, 2.2)."""
_EAGER = 16_384
"""Bytes behind a request that is being answered which are read, so that a loss is seen meanwhile."""
_LINGER = 2.0
"""Seconds for which a refused upload is still read and thrown away."""
_IDLE = 60.0
"""Seconds between two requests."""


class _State(Enum):
    """What a connection is doing."""

    READING = auto()
    ANSWERING = auto()
    CLOSING = auto()
    """Whatever still comes is thrown away."""


class Home(Protocol):
    """What all connections of one site share."""

    endpoint: Endpoint
    settings: Settings
    metrics: Metrics
    clock: IReactorTime
    deadlines: Deadlines[Timed]
    channels: set[Connection]
    logs: bool

    def is_ours(self, target: bytes) -> bool:
        """Say whether a request target is one for the endpoint."""

    def give_away(self, door: Door, data: bytes, patience: float | None) -> None:
        """Let twisted.web have a connection, from this request on; its head has so many seconds left."""

    def channel_lost(self) -> None:
        """Take note of a connection that is gone."""

    def cut(self, limit: str) -> None:
        """Take note of a connection that is cut because of that setting."""

    def leave(self, place: str | None) -> None:
        """Count a connection out."""

    def log_answer(self, request: HTTPRequest, status: int, size: int) -> None:
        """Write a line to the access log, if there is one."""


@implementer(IProtocol, IPushProducer)
class Door:
    """One connection, whose requests are answered one after the other.

    A parser exists while a request is incomplete, and there is no timer of its own: an idle client is
    cheap.
    """

    __slots__ = ("_answer", "_buffer", "_closes", "_congested", "_in_loop", "_known", "_logged", "_parser",
                 "_paused", "_proven_by", "_site", "_state", "_timed", "address", "alarm", "deadline", "peer",
                 "place", "secure", "transport")

    def __init__(self, site: Home, place: str | None = None, peer: Peer | None = None) -> None:
        self._site = site
        self.place = place
        """Where it is counted."""
        self.peer = peer
        """Whose it is, if a proxy has said so."""
        self._state = _State.READING
        self._buffer = b""
        """What has been read and not been looked at."""
        self._parser: RequestParser | None = None
        self._known: ReadRequest | None = None
        """The last request, for the next may be the same but for its body."""
        self._logged: HTTPRequest | None = None
        """What is being answered, for the log; if there is none it is not kept."""
        self._answer: Waiting | None = None
        self._closes = False
        """Whether the connection is to be closed after the answer."""
        self._congested = False
        """Whether the peer has to take something before anything else is done for it."""
        self._paused = False
        """Whether nothing is read for now."""
        self._in_loop = False
        self._proven_by: float | None = None
        """When a first valid request must have come, until one has (G-21)."""
        self._timed: Stage | None = None
        """The part of a request that has to come in time."""
        self.deadline: float | None = None
        self.alarm: float | None = None

    # -- the protocol of a transport ------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        tidy(transport)
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        peer = self.peer or Peer(transport.getPeer(), ISSLTransport.providedBy(transport))
        self.address = as_usual(getattr(peer.address, "host", None) or "")
        self.secure = peer.secure
        self._site.channels.add(self)
        transport.registerProducer(self, True)
        self._allow_stage(Stage.HEAD)
        self._proven_by = self.deadline
        self.connectionMade()

    def connectionMade(self) -> None:
        """Do nothing: the peer has the first word."""

    def dataReceived(self, data: bytes) -> None:
        """Take what the peer sends."""
        if self._state is _State.CLOSING:
            return
        if self._state is _State.READING and not self._buffer and (
            (request := self._again(data)) is not None and len(data) == request.size
        ):
            self._site.metrics.bytes_received += len(data)
            self._in_loop = True
            self._respond(request)
            self._in_loop = False
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self._state is _State.READING:
            self._work()
        elif self._answer is not None:
            if data.strip(b"\r\n"):  # not only the line end that old clients send after a body
                self._answer.make_way()  # K-16
            self._regulate()

    def connectionLost(self, reason: Failure) -> None:
        """End."""
        self._state = _State.CLOSING
        self._buffer, self._parser, self._known = b"", None, None
        answer, self._answer = self._answer, None
        self._forget()
        self._site.leave(self.place)
        if answer is not None:
            answer.lost()
        self.transport.unregisterProducer()  # TLS would still know this object: a cycle

    def pauseProducing(self) -> None:
        """Do nothing more for a peer that does not take what it has been sent (G-16)."""
        if not self._congested and self._state is not _State.CLOSING:
            self._congested = True
            self._allow(self._site.settings.write_timeout)
            self._regulate()

    def resumeProducing(self) -> None:
        """Go on."""
        self._congested = False
        if self._state is _State.ANSWERING:
            self._site.deadlines.clear(self)
        elif self._state is _State.READING:
            self._rest()
            self._work()
        self._regulate()

    def stopProducing(self) -> None:
        """Do nothing: that the connection is lost is told elsewhere."""

    def _regulate(self) -> None:
        """Read from the peer, or do not, as there is room for more."""
        full = self._state is not _State.CLOSING and (
            self._congested or (self._state is _State.ANSWERING and len(self._buffer) > _EAGER))
        if full is not self._paused:
            self._paused = full
            if full:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    # -- requests -------------------------------------------------------------------------------

    def _work(self) -> None:
        """Read and answer requests for as long as there are complete ones."""
        if self._in_loop:
            return  # an answer has come at once
        self._in_loop = True
        try:
            while self._buffer and self._state is _State.READING and not self._congested:
                if not self._step():
                    break
        finally:
            self._in_loop = False
        self._regulate()

    def _step(self) -> bool:
        """Take one request from the buffer and answer it; returns whether there was a complete one."""
        request = self._again(self._buffer)
        if request is not None:
            data, self._buffer = self._buffer, self._buffer[request.size:]
            self._site.metrics.bytes_received += len(data) - len(self._buffer)
            self._respond(request)
            return True
        parser = self._parser
        if parser is None:
            if self._buffer.startswith(b"\r\n"):
                self._buffer = _LINE_ENDS.sub(b"", self._buffer, 1)
            target = _target(self._buffer, self._site.settings.max_header_bytes)
            if target is None:
                if self._buffer not in (b"", b"\r"):
                    self._allow_stage(Stage.HEAD)
                return False
            if not self._site.is_ours(target):
                self._give_away()
                return False
            parser = RequestParser(self._site.settings)
            self._known = None
        self._parser = parser
        data, self._buffer = self._buffer, b""
        try:
            self._buffer = parser.feed(data)
        except BadRequest as error:
            self._refuse(error, parser)
            return False
        finally:  # what is left may be for somebody else
            self._site.metrics.bytes_received += len(data) - len(self._buffer)
        if parser.stage is Stage.COMPLETE:
            self._parser = None
            request = parser.request(self.address, self.secure)
            if request.size is not None and request.body:
                self._known = request
            self._respond(request)
            return True
        if parser.expects:
            parser.expects = False
            write(self.transport, b"HTTP/1.1 100 Continue\r\n\r\n", self._site.metrics)
        self._allow_stage(parser.stage)
        return False

    def _again(self, data: bytes) -> ReadRequest | None:
        """Return the request that these bytes begin with, if its head is that of the one before.

        Clients send the same headers with each request, and so these are read once (as whatever is read
        from the same bytes is the same).
        """
        request = self._known
        if request is None or request.size is None or self._congested:
            return None
        start = request.head
        if len(data) < request.size or not data.startswith(start):
            return None
        request.body = data[len(start):request.size]
        return request

    def _respond(self, request: ReadRequest) -> None:
        self._site.deadlines.clear(self)
        self._timed = None
        self._closes = not request.keep_alive
        answer = self._site.endpoint.answer(request)
        request.shrink()
        if self._proven_by is not None and (type(answer) is not HTTPReply or answer.status < 400):
            self._proven_by = None
        if type(answer) is Takeover:
            if answer.reply.status == 200 or request.version == "1.1":
                self._hand_over(request, answer)
                return
            answer = self._site.endpoint.refuse_takeover()
        if type(answer) is HTTPReply:
            self._write(request, answer)
            return
        self._state = _State.ANSWERING
        self._answer = answer
        self._logged = request if self._site.logs else None
        answer.reply.addCallbacks(self._answered)
        if self._buffer.strip(b"\r\n"):
            answer.make_way()  # bytes of a next request came together with this one

    def _answered(self, reply: HTTPReply) -> None:
        request, self._logged, self._answer = self._logged, None, None
        self._state = _State.READING
        self._write(request, reply)
        if self._buffer:
            self._work()

    def _write(self, request: HTTPRequest | None, reply: HTTPReply) -> None:
        """Write a response, in one go (L-5)."""
        close = self._closes or reply.close
        with_body = True
        if request is not None:
            with_body = request.method != b"HEAD"
            self._site.log_answer(request, reply.status, len(reply.body))
        self._rest()
        write(self.transport, render(reply, int(time.time()), close, with_body), self._site.metrics)
        if close:
            self._lose()

    # -- other ends -----------------------------------------------------------------------------

    def _refuse(self, error: BadRequest, parser: RequestParser) -> None:
        """Answer in the middle of a request, stop reading it, and close."""
        request = parser.request(self.address, self.secure)
        reply = self._site.endpoint.refuse(error.status, request, error.limit)
        self._site.log_answer(request, reply.status, len(reply.body))
        response = render(reply, int(time.time()), True, request.method != b"HEAD")
        write(self.transport, response, self._site.metrics)
        if error.status == 413:  # who is still sending would see a reset connection, and not the answer
            self._state, self._buffer, self._parser = _State.CLOSING, b"", None
            self._allow(_LINGER)
        else:
            self._lose()

    def _hand_over(self, request: HTTPRequest, takeover: Takeover) -> None:
        """Let another protocol have the connection."""
        self._site.log_answer(request, takeover.reply.status, 0)
        self._state = _State.CLOSING
        self._forget()
        self._regulate()
        write(self.transport, head(takeover.reply), self._site.metrics)
        data, self._buffer = self._buffer, b""
        place, self.place = self.place, None
        hand_over(self.transport, takeover.protocol, data, place)

    def _give_away(self) -> None:
        self._state = _State.CLOSING
        data, self._buffer = self._buffer, b""
        patience = None
        if self._timed is Stage.HEAD and self.deadline is not None:
            patience = self.deadline - self._site.clock.seconds()
        self._forget()
        self._regulate()
        self._site.give_away(self, data, patience)

    def _lose(self) -> None:
        self._state, self._buffer, self._parser = _State.CLOSING, b"", None
        self._allow(_IDLE)  # for a peer that does not take its answer
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._regulate()  # or TLS would not see that its peer closes as well

    def _forget(self) -> None:
        self._site.channels.discard(self)
        self._site.deadlines.forget(self)
        self._site.channel_lost()

    def close(self) -> None:
        """Close when what is being answered has been."""
        if self._state is _State.ANSWERING or self._in_loop:
            self._closes = True
        elif self._state is _State.READING:
            self._lose()

    def abort(self) -> None:
        """Cut the connection, whatever is still to be written."""
        self.transport.abortConnection()

    # -- time -----------------------------------------------------------------------------------

    def _allow(self, seconds: float) -> None:
        """Let the connection end after so many seconds, instead of what was set before."""
        self._site.deadlines.set(self, self._site.clock.seconds() + seconds)
        self._timed = None

    def _rest(self) -> None:
        """Wait for the next request; not for long while there has been none that is valid (G-21)."""
        if self._proven_by is None:
            self._allow(_IDLE)
        else:
            self._site.deadlines.set(self, self._proven_by)
            self._timed = None

    def _allow_stage(self, stage: Stage) -> None:
        """Give a part of a request its time, counted from its first byte, however it trickles (G-3)."""
        if self._timed is not stage:
            settings = self._site.settings
            self._allow(settings.body_timeout if stage is Stage.BODY else settings.header_timeout)
            self._timed = stage

    def due(self) -> None:
        """End a connection that has had its time."""
        limit = self._exceeded()
        if limit:
            self._site.cut(limit)
        if self._congested or self._timed is not None or self._state is not _State.READING:
            self.abort()
        else:
            self._lose()

    def _exceeded(self) -> str:
        """Return the setting that says how long this may take, "" if there is none."""
        if self._congested:
            return "write_timeout"
        if self._timed is Stage.BODY:
            return "body_timeout"
        if self._timed is not None or (self._state is _State.READING and self._proven_by is not None):
            return "header_timeout"
        return ""


def _target(data: bytes, most: int) -> bytes | None:
    """Return the request target, None as long as it is not complete, b"" if it never will be."""
    start = data.find(b" ", 0, most) + 1
    end = data.find(b" ", start, most)
    line = data.find(b"\n", 0, most)
    if start and end > 0 and (line < 0 or end < line):
        return data[start:end]
    return b"" if line >= 0 or len(data) >= most else None
