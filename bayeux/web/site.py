"""The door for ``twistd bayeux``: a twisted.web site whose requests are bounded in size and in time."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITCPTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, combinedLogFormatter
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from bayeux.settings import Settings
from bayeux.transports import HTTPReply
from bayeux.transports.polling import Polling
from bayeux.web.resource import http_request

_LINGER = 2.0
"""Seconds for which a refused upload is still read and thrown away, so that the client, which is busy
sending, comes to read the refusal rather than a reset connection."""


class BayeuxRequest(Request):
    """A request whose body is counted while it is read, whatever it is for (G-1)."""

    channel: BayeuxChannel
    _size = 0

    def gotLength(self, length: int | None) -> None:
        """Refuse a body that announces itself as too large before any of it is read."""
        super().gotLength(length)
        if length is not None and length > self.channel.settings.max_body:
            self.channel.refuse(self)

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body; refuse a chunked one as soon as it has become too large."""
        self._size += len(data)
        if self._size > self.channel.settings.max_body:
            self.channel.refuse(self)
        else:
            super().handleContentChunk(data)


class BayeuxChannel(HTTPChannel):
    """A connection on which a request has to be complete in time, however it trickles (G-3, G-21)."""

    requestFactory = BayeuxRequest
    site: BayeuxSite
    settings: Settings
    transport: ITCPTransport
    _overdue: IDelayedCall | None = None
    _stage = "headers"
    _refused = False

    def connectionMade(self) -> None:
        """Start the time for the first request."""
        self.settings = self.site.settings
        self.maxHeaders = self.settings.max_headers
        self.totalHeadersSize = self.settings.max_header_bytes
        self.site.channels.add(self)
        super().connectionMade()
        self._allow(self.settings.header_timeout)

    def dataReceived(self, data: bytes) -> None:
        """Parse; what is then incomplete gets its time, counted from its first byte."""
        if self._refused:
            return
        before = self._stage
        super().dataReceived(data)
        if self._handlingRequest or self._refused:
            return
        if self._stage != before or self._overdue is None:
            self._allow(getattr(self.settings, f"{self._stage.removesuffix('s')}_timeout"))

    def allHeadersReceived(self) -> None:
        """Note that the body is next."""
        self._stage = "body"
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        """Note that the request is complete."""
        self._stage = "headers"
        self._allow(None)
        if not self._refused:
            super().allContentReceived()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Clean up."""
        self._allow(None)
        self.site.channels.discard(self)
        super().connectionLost(Failure(ConnectionDone()) if reason is None else reason)
        self.site.channel_lost()

    def refuse(self, request: BayeuxRequest) -> None:
        """Answer 413 in the middle of a request, stop reading it, and close."""
        if self._refused:
            return
        self._refused = True
        reply = self.site.too_large(request)
        head = [b"HTTP/1.1 413 Request Entity Too Large", b"Connection: close",
                b"Content-Length: %d" % len(reply.body),
                *(b"%b: %b" % header for header in reply.headers)]
        self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + reply.body)
        self.setTimeout(None)
        self._allow(_LINGER)

    def _allow(self, seconds: float | None) -> None:
        """Let the connection be closed after so many seconds, instead of what was set before."""
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        if seconds is not None:
            self._overdue = self.callLater(seconds, self._late)

    def _late(self) -> None:
        self._overdue = None
        self.abort()

    def abort(self) -> None:
        """Cut the connection, whatever is still to be written."""
        self.transport.abortConnection()


class BayeuxSite(Site):
    """A site for a Bayeux server and whatever is served beside it.

    Form bodies are not parsed into ``request.args``: a Bayeux endpoint reads them itself.  The access
    log, if there is one, has no queries in it: a JSONP request's query is a client's messages (G-33).
    """

    noisy = False

    def __init__(self, root: IResource, polling: Polling, settings: Settings,
                 reactor: IReactorTime) -> None:
        super().__init__(root, requestFactory=BayeuxRequest, parsePOSTFormSubmission=False,
                         reactor=reactor, logPath=settings.access_log or None,
                         logFormatter=_log_line)
        # Not twisted.web's proxy that may change over to HTTP/2, which has limits of its own.
        self.protocol = BayeuxChannel  # type: ignore[assignment, method-assign]
        self.settings = settings
        self.channels: set[BayeuxChannel] = set()
        self._polling = polling
        self._emptied: Deferred[None] | None = None

    def startFactory(self) -> None:
        """Open the access log, if there is to be one; by default twisted.web would use twistd's."""
        if self.logPath is not None:
            super().startFactory()

    def too_large(self, request: BayeuxRequest) -> HTTPReply:
        """Return the answer to a request whose body is too large."""
        return self._polling.refuse(413, self._polling.cors(http_request(request, b"")))

    def close(self) -> Deferred[None]:
        """Close every connection, once what it is being answered is written; fires when all are gone."""
        for channel in tuple(self.channels):
            if not channel._handlingRequest:
                channel.loseConnection()
        if not self.channels:
            return succeed(None)
        self._emptied = Deferred()
        return self._emptied

    def abort(self) -> None:
        """Cut every connection that is left."""
        for channel in tuple(self.channels):
            channel.abort()

    def channel_lost(self) -> None:
        """Take note of a connection that is gone."""
        if self._emptied is not None and not self.channels:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)


class _WithoutQuery:
    """A request as the access log may show it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.uri = request.uri.partition(b"?")[0]

    def __getattr__(self, name: str) -> object:
        return getattr(self._request, name)


def _log_line(timestamp: str, request: IRequest) -> str:
    line: str = combinedLogFormatter(timestamp, cast(IRequest, _WithoutQuery(cast(Request, request))))
    return line
