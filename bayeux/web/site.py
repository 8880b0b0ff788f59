"""The front door: what ``twistd bayeux`` listens with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.web.http import combinedLogFormatter, datetimeToLogString
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request

from bayeux.deadlines import Deadlines
from bayeux.settings import Settings
from bayeux.transports import HTTPReply, HTTPRequest
from bayeux.transports.endpoint import Endpoint
from bayeux.web.channel import BayeuxChannel, BayeuxRequest, Peer, Timed
from bayeux.web.channels import ChannelSite
from bayeux.web.door import Door
from bayeux.web.parser import split_target
from bayeux.web.proxied import Proxied, TurnedAway
from bayeux.web.resource import http_request
from bayeux.web.response import hand_over


class BayeuxSite(ChannelSite):
    """Answers requests for the server by itself, and lets twisted.web serve everything else.

    ``root`` is the tree of twisted.web; the endpoint's resource stands in it under the same mounts: once
    a connection is twisted.web's, it stays so.  Form bodies are not parsed into ``request.args``.  The
    access log, if there is one, has no queries in it: a JSONP request's query is a client's messages
    (G-33).  ``wall`` tells the time of day, for that log.
    """

    name = "connections"

    def __init__(self, root: IResource, endpoint: Endpoint, settings: Settings,
                 reactor: IReactorTime, wall: Callable[[], float] = time.time) -> None:
        super().__init__(root, settings, endpoint.polling.metrics, reactor=reactor,
                         logPath=settings.access_log or None, logFormatter=self._log_line)
        self.endpoint = endpoint
        self.logs = bool(settings.access_log)
        self.clock = reactor
        self._wall = wall
        self.deadlines: Deadlines[Timed] = Deadlines(reactor, _due)
        self._mounts = tuple(mount.encode("ascii") for mount in settings.mounts)
        self._below = tuple(mount + b"/" for mount in self._mounts)
        self._scripts = tuple(mount + b"/client.js" for mount in self._mounts)

    def startFactory(self) -> None:
        """Open the access log, if there is to be one; by default twisted.web would use twistd's."""
        if self.logPath is not None:
            super().startFactory()

    def stopFactory(self) -> None:
        """Keep the access log, when the port is free: a stopping server still has answers to give."""

    def close_log(self) -> None:
        """Close the access log, if there is one."""
        super().stopFactory()

    def buildProtocol(self, addr: IAddress | None) -> IProtocol:  # type: ignore[override]  # nor HTTPChannel
        """Make the protocol of a new connection; of a proxy it may have to be told first whose it is."""
        address = _host(addr)
        is_proxy = self._is_proxy(address)
        place = self.endpoint.connections.enter("" if is_proxy else address)
        if place is None:
            return TurnedAway()
        if is_proxy and self.settings.proxy_protocol:
            return Proxied(self, place)
        return Door(self, place)

    def welcome(self, peer: Peer | None) -> IProtocol | None:
        """Return what goes on with a connection of a proxy, None if there is no room for it."""
        address = "" if peer is None else _host(peer.address)
        place = self.endpoint.connections.enter("" if self._is_proxy(address) else address)
        return None if place is None else Door(self, place, peer)

    def _is_proxy(self, address: str) -> bool:
        return self.endpoint.proxies is not None and address in self.endpoint.proxies.trusted

    def is_ours(self, target: bytes) -> bool:
        """Say whether a request target is one for the endpoint; its script is served like any file."""
        path = split_target(target)[1].partition(b"?")[0]
        return path in self._mounts or (path.startswith(self._below) and path not in self._scripts)

    def give_away(self, door: Door, data: bytes, patience: float | None) -> None:
        """Let twisted.web have a connection, from this request on."""
        channel = cast(BayeuxChannel, super().buildProtocol(door.transport.getPeer()))
        channel.patience, channel.peer = patience, door.peer
        place, door.place = door.place, None
        hand_over(door.transport, channel, data, place)

    def refusal(self, status: int, request: BayeuxRequest | None, limit: str) -> HTTPReply:
        """Return the answer to what is no request, or is one whose body is not read to its end."""
        if request is None:
            return self.endpoint.polling.refuse(status, limit=limit)
        return self.endpoint.refuse(status, http_request(request, b""), limit)

    def unannounced(self) -> None:
        """Take note of a connection of a proxy that does not begin as it has to."""
        self.metrics.unannounced += 1

    def leave(self, place: str | None) -> None:
        """Count a connection out."""
        self.endpoint.connections.leave(place)

    def log_answer(self, request: HTTPRequest, status: int, size: int) -> None:
        """Write a line to the access log, if there is one, for what was not answered by twisted.web."""
        if self.logs:
            hidden = (request.target.partition(b"?")[0] not in self._mounts
                      and "text/event-stream" in request.header("accept"))  # it ends in a clientId (F-9)
            self.log(cast(Request, _Answered(request, status, size, hidden)))

    def _log_line(self, timestamp: str, request: IRequest) -> str:
        """Write a request down; twisted.web knows nothing of proxies, and its timestamp is by our clock,
        which is none of the time of day.
        """
        address = None
        if self.endpoint.proxies is not None and isinstance(request, Request):
            seen = http_request(request, b"")
            self.endpoint.proxies.see_through(seen)
            address = seen.address or None
        shown = cast(IRequest, _Loggable(cast(Request, request), address))
        return cast(str, combinedLogFormatter(datetimeToLogString(self._wall()), shown))

    def channel_lost(self) -> None:
        """Take note of a connection that is gone."""
        if not self.channels:
            self.deadlines.stop()  # or its timer would outlive them
        super().channel_lost()


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
        return _ip(self._request.address)


class _Loggable:
    """A request as the access log may show it: its own query and that of the page it came from left out.

    ``address`` is the client's, None if that is whoever has sent the request.
    """

    def __init__(self, request: Request, address: str | None) -> None:
        self._request = request
        self._address = address
        self.uri = request.uri.partition(b"?")[0]

    def getClientAddress(self) -> IAddress:
        return self._request.getClientAddress() if self._address is None else _ip(self._address)

    def getHeader(self, name: bytes) -> bytes | None:
        value = cast("bytes | None", self._request.getHeader(name))
        return value.partition(b"?")[0] if value is not None and name == b"referer" else value

    def __getattr__(self, name: str) -> object:
        return getattr(self._request, name)


def _ip(address: str) -> IAddress:
    if not address:
        return UNIXAddress(None)
    return IPv4Address("TCP", address, 0)  # or version 6: the log looks at nothing but the text


def _host(address: IAddress | None) -> str:
    """Return an IP address as text, "" where there is none, as of a UNIX socket."""
    return getattr(address, "host", None) or ""


def _due(connection: Timed) -> None:
    connection.due()
