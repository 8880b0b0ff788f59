"""The front door: what ``twistd bayeux`` listens with."""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.web.http import combinedLogFormatter
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from bayeux.deadlines import Deadlines
from bayeux.settings import Settings
from bayeux.transports import HTTPReply, HTTPRequest
from bayeux.transports.endpoint import Endpoint
from bayeux.web.channel import BayeuxChannel, BayeuxRequest, Connection
from bayeux.web.door import Door
from bayeux.web.parser import split_target
from bayeux.web.resource import http_request
from bayeux.web.response import hand_over


class BayeuxSite(Site):
    """Answers requests for the server by itself, and lets twisted.web serve everything else.

    ``root`` is the tree of twisted.web; the endpoint's resource stands in it under the same mounts: once
    a connection is twisted.web's, it stays so.  Form bodies are not parsed into ``request.args``.  The
    access log, if there is one, has no queries in it: a JSONP request's query is a client's messages
    (G-33).
    """

    noisy = False

    def __init__(self, root: IResource, endpoint: Endpoint, settings: Settings,
                 reactor: IReactorTime) -> None:
        super().__init__(root, requestFactory=BayeuxRequest, parsePOSTFormSubmission=False,
                         reactor=reactor, logPath=settings.access_log or None,
                         logFormatter=_log_line)
        # Not twisted.web's proxy that may change over to HTTP/2.
        self.protocol = BayeuxChannel  # type: ignore[assignment, method-assign]
        self.endpoint = endpoint
        self.settings = settings
        self.logs = bool(settings.access_log)
        self.clock = reactor
        self.deadlines: Deadlines[Door] = Deadlines(reactor, Door.due)
        self.channels: set[Connection] = set()
        self._mounts = tuple(mount.encode("ascii") for mount in settings.mounts)
        self._below = tuple(mount + b"/" for mount in self._mounts)
        self._scripts = tuple(mount + b"/client.js" for mount in self._mounts)
        self._emptied: Deferred[None] | None = None

    def startFactory(self) -> None:
        """Open the access log, if there is to be one; by default twisted.web would use twistd's."""
        if self.logPath is not None:
            super().startFactory()

    def buildProtocol(self, addr: IAddress | None) -> Door:  # type: ignore[override]  # it has no other door
        """Make the protocol of a new connection."""
        return Door(self)

    def is_ours(self, target: bytes) -> bool:
        """Say whether a request target is one for the endpoint; its script is served like any file."""
        path = split_target(target)[1].partition(b"?")[0]
        return path in self._mounts or (path.startswith(self._below) and path not in self._scripts)

    def give_away(self, door: Door, data: bytes, patience: float | None) -> None:
        """Let twisted.web have a connection, from this request on."""
        channel = cast(BayeuxChannel, super().buildProtocol(door.transport.getPeer()))
        channel.patience = patience
        hand_over(door.transport, channel, data)

    def refusal(self, status: int, request: BayeuxRequest | None) -> HTTPReply:
        """Return the answer to what is no request, or is one whose body is not read to its end."""
        cors = () if request is None else self.endpoint.polling.cors(http_request(request, b""))
        return self.endpoint.polling.refuse(status, cors)

    def stalled(self) -> None:
        """Take note of a connection that is cut because its peer did not take its answer."""
        self.endpoint.polling.metrics.stalled += 1

    def acceptableProtocols(self) -> list[bytes]:
        """Offer HTTP/1.1 only, when TLS negotiates: HTTP/2 has limits of its own."""
        return [b"http/1.1"]

    def close(self) -> Deferred[None]:
        """Close every connection, once what it is being answered is written; fires when all are gone."""
        for channel in tuple(self.channels):
            channel.close()
        if not self.channels:
            return succeed(None)
        self._emptied = Deferred()
        return self._emptied

    def abort(self) -> None:
        """Cut every connection that is left."""
        for channel in tuple(self.channels):
            channel.abort()

    def log_answer(self, request: HTTPRequest, status: int, size: int) -> None:
        """Write a line to the access log, if there is one, for what was not answered by twisted.web."""
        if self.logs:
            hidden = (request.target.partition(b"?")[0] not in self._mounts
                      and "text/event-stream" in request.header("accept"))  # it ends in a clientId (F-9)
            self.log(cast(Request, _Answered(request, status, size, hidden)))

    def channel_lost(self) -> None:
        """Take note of a connection that is gone."""
        if not self.channels:
            self.deadlines.stop()  # or its timer would outlive them
        if self._emptied is not None and not self.channels:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)


class _Answered:
    """A request that twisted.web has not seen, as its log wants it."""

    def __init__(self, request: HTTPRequest, status: int, size: int, hidden: bool) -> None:
        self.method = request.method
        self.uri = request.target
        if hidden:
            self.uri = self.uri.partition(b"?")[0].rpartition(b"/")[0] + b"/-"
        self.clientproto = b"HTTP/1.1"
        self.code = status
        self.sentLength = 0 if request.method == b"HEAD" else size
        self._request = request

    def getHeader(self, name: bytes) -> bytes | None:
        return self._request.header(name.decode("ascii")).encode("latin-1") or None

    def getClientAddress(self) -> IAddress:
        return IPv4Address("TCP", self._request.address, 0)


class _WithoutQuery:
    """A request as the access log may show it: its own query and that of the page it came from left out."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.uri = request.uri.partition(b"?")[0]

    def getHeader(self, name: bytes) -> bytes | None:
        value = cast("bytes | None", self._request.getHeader(name))
        return value.partition(b"?")[0] if value is not None and name == b"referer" else value

    def __getattr__(self, name: str) -> object:
        return getattr(self._request, name)


def _log_line(timestamp: str, request: IRequest) -> str:
    line: str = combinedLogFormatter(timestamp, cast(IRequest, _WithoutQuery(cast(Request, request))))
    return line
