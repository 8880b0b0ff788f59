"""twisted.web behind the front door: its requests are bounded in size and in time as well."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, NamedTuple, Protocol, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, ITCPTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

from bayeux.deadlines import Mortal
from bayeux.settings import Settings
from bayeux.transports import HTTPReply
from bayeux.web.parser import split_target


class Home(Protocol):
    """What a channel needs of its site."""

    settings: Settings
    channels: set[Connection]
    timeOut: float

    def refusal(self, status: int, request: BayeuxRequest | None, limit: str) -> HTTPReply:
        """Return the answer to what is no request, or is one whose body is not read to its end."""

    def cut(self, limit: str) -> None:
        """Take note of a connection that is cut because of that setting."""

    def leave(self, place: str | None) -> None:
        """Count a connection out."""

    def channel_lost(self) -> None:
        """Take note of a connection that is gone."""


class Peer(NamedTuple):
    """Whose a connection is, where a proxy has said so."""

    address: IAddress
    secure: bool
    """Whether it is by TLS, between that and the proxy."""


class Timed(Mortal, Protocol):
    """A connection that has something to do when its time is up."""

    def due(self) -> None:
        """Do it."""


class Connection(Protocol):
    """A connection of a site, whoever parses what comes by it."""

    def close(self) -> None:
        """Close when what is being answered has been."""

    def abort(self) -> None:
        """Cut the connection, whatever is still to be written."""


_LINGER = 2.0
"""Seconds for which a refused upload is still read and thrown away."""
_REASONS = {400: b"Bad Request", 413: b"Content Too Large", 414: b"URI Too Long"}


class BayeuxRequest(Request):
    """A request whose body is counted while it is read, whatever it is for (G-1)."""

    channel: BayeuxChannel
    _size = 0
    _pieces = 0

    def gotLength(self, length: int | None) -> None:
        """Refuse a body that announces itself as too large before any of it is read."""
        super().gotLength(length)
        if length is not None and length > self.channel.settings.max_body:
            self.requestHeaders.removeHeader(b"Expect")  # or twisted.web would still ask for the body
            self.channel.refuse(413, self, limit="max_body")

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body; refuse a chunked one as soon as it has become too large."""
        self._size += len(data)
        self._pieces += 1
        settings = self.channel.settings
        if self._size > settings.max_body or self._pieces > settings.max_chunks:
            limit = "max_body" if self._size > settings.max_body else "max_chunks"
            self.channel.refuse(413, self, limit)
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Take the whole request, unless it may be meant for another host (RFC 9112, 3.2)."""
        hosts = self.requestHeaders.getRawHeaders(b"Host", [])
        host, path = split_target(path)
        if path[:1] not in (b"/", b"*") or len(hosts) > 1 or (version == b"HTTP/1.1" and not hosts):
            self.channel.refuse(400)
        else:
            if host:
                self.requestHeaders.setRawHeaders(b"Host", [host])
            super().requestReceived(command, path, version)

    def process(self) -> None:
        """Answer; whatever the resource, browsers are not to guess its type (G-30)."""
        self.responseHeaders.setRawHeaders(b"X-Content-Type-Options", [b"nosniff"])
        super().process()


class _Stage(Enum):
    """What a connection is waiting for."""

    NOTHING = auto()
    """A request is being answered, or none has begun: twisted.web's idle timeout is for that."""
    HEADERS = auto()
    BODY = auto()
    ANSWER = auto()
    """The peer, to take what it is sent."""


_LIMITS = {_Stage.HEADERS: "header_timeout", _Stage.BODY: "body_timeout", _Stage.ANSWER: "write_timeout"}
"""The settings that say how long each may take."""


class BayeuxChannel(HTTPChannel):
    """A connection on which a request has to be complete in time, however it trickles (G-3, G-21)."""

    requestFactory = BayeuxRequest
    site: Home
    settings: Settings
    transport: ITCPTransport
    _overdue: IDelayedCall | None = None
    _stage = _Stage.NOTHING
    _timed = _Stage.NOTHING
    _refused = False
    _command = b""
    """The method of the request that is being read; twisted.web sets and deletes it."""
    patience: float | None = None
    """Seconds that are left for the headers of the first request, if a part of them has been waited for."""
    peer: Peer | None = None
    """Whose the connection is, if a proxy has said so."""
    place: str | None = None
    """Where it is counted."""

    def connectionMade(self) -> None:
        """Start the time for the first request."""
        self.settings = self.site.settings
        self.maxHeaders = self.settings.max_headers
        self.totalHeadersSize = self.MAX_LENGTH = self.settings.max_header_bytes
        self.site.channels.add(self)
        super().connectionMade()
        self._allow(self.settings.header_timeout if self.patience is None else self.patience)
        self._timed = _Stage.HEADERS

    def getPeer(self) -> IAddress:
        """Return the address of the client."""
        return super().getPeer() if self.peer is None else self.peer.address

    def isSecure(self) -> bool:
        """Say whether the client has come by TLS."""
        return super().isSecure() if self.peer is None else self.peer.secure

    def dataReceived(self, data: bytes) -> None:
        """Parse; what is then incomplete has its time, counted from its first byte."""
        if not self._refused:
            super().dataReceived(data)
            self._watch()

    def lineReceived(self, line: bytes) -> None:
        """Note that a request has begun; empty lines before it, as old clients send them, are nothing."""
        if self._refused or (not line and self._stage is _Stage.NOTHING):
            return
        self._stage = _Stage.HEADERS
        super().lineReceived(line)

    def headerReceived(self, line: bytes) -> bool:
        """Take a header; twisted.web cannot convert a length of thousands of digits."""
        try:
            return bool(super().headerReceived(line))
        except ValueError:
            self._respondToBadRequestAndDisconnect()
            return False

    def allHeadersReceived(self) -> None:
        """Note that the body is next."""
        self._stage = _Stage.BODY
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        """Note that the request is complete."""
        if self._refused:
            return
        self._stage = _Stage.NOTHING
        if self._timed is not _Stage.ANSWER:
            self._allow(None)
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        """Let the next request in, of which a part may have come already."""
        super().requestDone(request)
        if not self._refused:
            self._watch()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a request line or a header that is too long (G-4, G-20)."""
        self.refuse(414 if self._stage is _Stage.NOTHING else 400, limit="max_header_bytes")

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Clean up."""
        self._allow(None)
        self.site.channels.discard(self)
        super().connectionLost(Failure(ConnectionDone()) if reason is None else reason)
        cast(Any, self.transport).unregisterProducer()  # TLS would still know this object: a cycle
        self.site.leave(self.place)
        self.site.channel_lost()

    def loseConnection(self) -> None:
        """Close, and cut it if the peer does not let itself be told so."""
        super().loseConnection()
        self._allow(self.site.timeOut)

    def timeoutConnection(self) -> None:
        """Close what is idle, as the front door does; twisted.web would log a line for each."""
        self.loseConnection()
        self._allow(self.abortTimeout)

    def pauseProducing(self) -> None:
        """Give a peer that does not take its answer some time; until it has, nothing more is read (G-16)."""
        super().pauseProducing()
        if not self._refused:
            self._allow(self.settings.write_timeout)
            self._timed = _Stage.ANSWER

    def resumeProducing(self) -> None:
        """Go on, as everything is written."""
        super().resumeProducing()
        if self._timed is _Stage.ANSWER:
            self._allow(None)
            self._watch()

    def refuse(self, status: int, request: BayeuxRequest | None = None, limit: str = "") -> None:
        """Answer in the middle of a request, stop reading it, and close.

        Who is still sending a body is heard out for a while, or would see a reset connection and not the
        answer.
        """
        if self._refused:
            return
        self._refused = True
        reply = self.site.refusal(status, request, limit)
        head = [b"HTTP/1.1 %d %b" % (reply.status, _REASONS[reply.status]), b"Connection: close",
                b"Content-Length: %d" % len(reply.body),
                *(b"%b: %b" % header for header in reply.headers)]
        body = b"" if self._command == b"HEAD" else reply.body
        self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
        self.setTimeout(None)
        if status == 413:
            self._allow(_LINGER)
        else:
            self.loseConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Refuse what is not HTTP; twisted.web calls this, and would go on reading."""
        limit = ""
        if self._receivedHeaderSize > self.totalHeadersSize:
            limit = "max_header_bytes"
        elif self._receivedHeaderCount > self.maxHeaders:
            limit = "max_headers"
        self.refuse(400, limit=limit)

    def close(self) -> None:
        """Close when what is being answered has been."""
        if self._handlingRequest:
            self.persistent = False
        else:
            self.loseConnection()

    def abort(self) -> None:
        """Cut the connection, whatever is still to be written."""
        self._allow(None)
        self.transport.abortConnection()

    def _late(self) -> None:
        self._overdue = None
        if self._timed in _LIMITS:
            self.site.cut(_LIMITS[self._timed])
        self.abort()

    def _watch(self) -> None:
        """Give what the connection is waiting for its time, unless it has it already."""
        if self._refused or self._timed is _Stage.ANSWER:
            return
        stage = self._stage
        if stage is _Stage.NOTHING and self._buffer and not self._handlingRequest:
            stage = _Stage.HEADERS  # a part of the request line
        if stage is not self._timed:
            self._allow({_Stage.NOTHING: None, _Stage.HEADERS: self.settings.header_timeout,
                         _Stage.BODY: self.settings.body_timeout}[stage])
            self._timed = stage

    def _allow(self, seconds: float | None) -> None:
        """Let the connection be cut after so many seconds, instead of what was set before."""
        self._timed = _Stage.NOTHING
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        if seconds is not None:
            self._overdue = self.callLater(seconds, self._late)
