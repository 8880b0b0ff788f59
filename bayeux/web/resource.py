"""The door for embedding: a Bayeux endpoint as a resource of any twisted.web tree, or under klein."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.resources import files
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from bayeux.addresses import as_usual
from bayeux.hub import Hub
from bayeux.metrics import Metrics
from bayeux.transports import HTTPReply, HTTPRequest, Takeover, Waiting
from bayeux.transports.endpoint import Endpoint
from bayeux.web.response import hand_over, head


class BayeuxResource(Resource):
    """Answers Bayeux messages at its own path and at every path below it (L-1).

    Below it is also ``client.js``, the client for browsers.  A klein route to it needs ``branch=True,
    strict_slashes=False``, since some clients post to ``/bayeux/``.  twisted.web reads a request's body
    before it asks a resource, so only a ``BayeuxSite`` bounds bodies while they are read (G-1); behind
    another site they are bounded afterwards.
    """

    isLeaf = True

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.endpoint = Endpoint(hub)
        self._metrics = hub.metrics
        self._script = _Script("client.js")

    def render(self, request: Request) -> bytes | int:
        """Answer one request; twisted.web calls this."""
        if request.postpath == [b"client.js"] and request.method in (b"GET", b"HEAD"):
            return self._script.render(request)
        body = request.content.read() if request.content is not None else b""
        self._metrics.bytes_received += len(body)
        answer = self.endpoint.answer(http_request(request, body))
        if request.postpath and b"text/event-stream" in (request.getHeader(b"accept") or b""):
            request.uri = request.path.rpartition(b"/")[0] + b"/-"  # no clientId in access logs (F-9)
        if isinstance(answer, HTTPReply):
            write(request, answer, self._metrics)
        elif not isinstance(answer, Takeover):
            _wait(request, answer, self._metrics)
        elif _can_give_away(request, answer):
            _give_away(request, answer)
        else:
            write(request, self.endpoint.refuse_takeover(), self._metrics)
        return NOT_DONE_YET


class _Lookup:
    """Headers as twisted.web has them, looked up as transports do."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def __call__(self, name: str) -> str:
        values = self._headers.getRawHeaders(name.encode("ascii"))
        if values is None:
            return ""
        return (b"; " if name == "cookie" else b", ").join(values).decode("latin-1")

    def names(self) -> list[str]:
        return [name.decode("latin-1").lower() for name, _ in self._headers.getAllRawHeaders()]


def http_request(request: Request, body: bytes) -> HTTPRequest:
    """Make a transport's request of a twisted.web one."""
    return HTTPRequest(
        method=request.method, target=request.uri, header=_Lookup(request.requestHeaders), body=body,
        address=as_usual(getattr(request.getClientAddress(), "host", None) or ""), secure=request.isSecure(),
    )


def write(request: Request, reply: HTTPReply, metrics: Metrics) -> None:
    """Write a transport's reply to a twisted.web request, in one go (L-5), and count its body."""
    request.setResponseCode(reply.status)
    headers = request.responseHeaders
    headers.removeHeader(b"Content-Type")  # twisted.web's default, text/html
    for name, value in reply.headers:
        headers.setRawHeaders(name, [value])
    for cookie in reply.cookies:
        headers.addRawHeader(b"Set-Cookie", cookie)
    channel = request.channel
    if reply.close:
        headers.setRawHeaders(b"Connection", [b"close"])
        if isinstance(channel, HTTPChannel):
            channel.persistent = False  # or a pipelined request would still be let in
    if reply.status != 204:
        headers.setRawHeaders(b"Content-Length", [b"%d" % len(reply.body)])
        if request.method != b"HEAD":
            metrics.bytes_sent += len(reply.body)
            request.write(reply.body)
    request.finish()


def _can_give_away(request: Request, takeover: Takeover) -> bool:
    """Say whether a connection carries this request alone; a stream goes by HTTP/1.0 too, as from nginx."""
    return isinstance(request.channel, HTTPChannel) and (
        takeover.reply.status == 200 or request.clientproto == b"HTTP/1.1")


def _give_away(request: Request, takeover: Takeover) -> None:
    """Answer, and let another protocol have the connection; for twisted.web it ends here.

    twisted.web has no way to do that, so this is its ``HTTPChannel`` by its private names: what it has
    read beyond the request is handed on, what it has yet to hand out goes to the new protocol.
    """
    channel, protocol = cast(Any, request.channel), takeover.protocol
    transport = channel.transport
    request.setResponseCode(takeover.reply.status)
    if channel.site is not None:
        channel.site.log(request)
    transport.write(head(takeover.reply))
    beyond = b"".join(channel._dataBuffer)
    channel.rawDataReceived = protocol.dataReceived
    place, channel.place = getattr(channel, "place", None), None
    channel.connectionLost(Failure(ConnectionDone()))
    hand_over(transport, protocol, beyond, place)


def _wait(request: Request, answer: Waiting, metrics: Metrics) -> None:
    """Write the answer when it comes, unless the connection is lost before."""
    unwatch = _watch_pipeline(request.channel, answer.make_way)

    def lost(_: Failure) -> None:
        unwatch()
        answer.lost()

    def ready(reply: HTTPReply) -> None:
        unwatch()
        write(request, reply, metrics)

    request.notifyFinish().addErrback(lost)
    answer.reply.addCallback(ready)
    if isinstance(request.channel, HTTPChannel) and any(map(_is_request, request.channel._dataBuffer)):
        answer.make_way()  # bytes of a next request came together with this one


def _watch_pipeline(channel: IProtocol, make_way: Callable[[], None]) -> Callable[[], object]:
    """Call ``make_way`` when bytes of a next request arrive on the connection of a held one (K-16).

    twisted.web has no hook for that: it buffers them in ``HTTPChannel.rawDataReceived``, which is
    therefore wrapped for as long as the request is held.  Returns what undoes it.
    """
    if not isinstance(channel, HTTPChannel):
        return lambda: None  # HTTP/2: requests do not queue behind one another

    buffer_bytes = channel.rawDataReceived

    def raw_data_received(data: bytes) -> None:
        buffer_bytes(data)
        if _is_request(data):
            make_way()

    wrapped = vars(channel)
    wrapped["rawDataReceived"] = raw_data_received
    return lambda: wrapped.pop("rawDataReceived", None)


def _is_request(data: bytes) -> bool:
    """Say whether bytes are more than the line end that some old clients send after a body."""
    return bool(data.strip(b"\r\n"))


class _Script:
    """A script that is the same for everybody, and may be loaded by any page."""

    def __init__(self, name: str) -> None:
        self._body = (files("bayeux.web") / "static" / name).read_bytes()
        self._etag = b'"%b"' % hashlib.sha256(self._body).hexdigest()[:32].encode("ascii")

    def render(self, request: Request) -> bytes:
        """Return the script, or that it has not changed."""
        request.setHeader(b"Content-Type", b"text/javascript; charset=utf-8")
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        request.setHeader(b"Cache-Control", b"no-cache")
        request.setHeader(b"Access-Control-Allow-Origin", b"*")
        unchanged = request.setETag(self._etag)
        if unchanged:
            return b""
        request.setHeader(b"Content-Length", b"%d" % len(self._body))
        return b"" if request.method == b"HEAD" else self._body
