"""The polling transports: long-polling and callback-polling, over HTTP from anywhere (section 14)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from twisted.internet.defer import Deferred

from bayeux.errors import EnvelopeError, Flood, MalformedEnvelope
from bayeux.exchange import Exchange
from bayeux.hub import Hub
from bayeux.messages import Message, Rejected, join
from bayeux.session import Link, Release, new_id
from bayeux.transports import Headers, HTTPReply, HTTPRequest, Waiting
from bayeux.transports.cookies import BrowserCookie
from bayeux.transports.forms import UnsupportedType, decode_body, decode_fields, parse
from bayeux.transports.origins import Origins

_CALLBACK = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*(?:\.[A-Za-z_$][A-Za-z0-9_$]*)*")
_DEFAULT_CALLBACK = "jsonpcallback"
_MAX_CALLBACK = 64

_NO_SNIFFING: Headers = ((b"X-Content-Type-Options", b"nosniff"),)  # G-30
_COMMON: Headers = (
    (b"Cache-Control", b"no-cache, no-store"),
    (b"Pragma", b"no-cache"),
    (b"Expires", b"0"),
    *_NO_SNIFFING,
    (b"X-Accel-Buffering", b"no"),
)
_JSON: Headers = ((b"Content-Type", b"application/json;charset=UTF-8"), *_COMMON)
_SCRIPT: Headers = (
    (b"Content-Type", b"text/javascript; charset=utf-8"),
    (b"Content-Disposition", b"attachment; filename=f.txt"),
    *_COMMON,
)
_TEXT: Headers = ((b"Content-Type", b"text/plain; charset=utf-8"), *_COMMON)

_REASONS = {
    400: b"This is no HTTP request, no WebSocket upgrade, or one with too many or too long headers.",
    403: b"This page's origin may not use the server: see the settings allowed_origins, public_url and "
         b"allowed_hosts.",
    404: b"There is no such session.",
    405: b"Bayeux messages are sent by POST, or by GET with a message parameter.",
    413: b"The request body is too large.",
    414: b"The request target is too long.",
    426: b"Connect by WebSocket, version 13, over HTTP/1.1.",
    503: b"The server is stopping.",
}
"""Constant texts, with nothing of the request in them (G-23)."""


@lru_cache(maxsize=256)
def _with_cors(headers: Headers, cors: Headers) -> Headers:
    """Put headers together; connections keep them, and so many share one."""
    return headers + cors


class _Caller:
    """Whoever sends a request, as far as its head tells: the same for all with that head."""

    __slots__ = ("content_type", "cors", "headers", "link", "secure")

    def __init__(self, request: HTTPRequest, link: Link, cors: Headers, headers: Headers) -> None:
        self.link = link
        self.cors = cors
        self.headers = headers
        """Those of the response to what can be processed."""
        self.secure = request.secure
        self.content_type = request.header("content-type")


class Polling:
    """Answers HTTP requests: decodes the batch, has the hub handle it, encodes the response.

    One for each mount; it knows nothing of who parsed the HTTP.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._settings = hub.settings
        self.metrics = hub.metrics
        self.origins = Origins(hub.settings)
        self.cookie = BrowserCookie(hub.settings)
        self._jsonp = "callback-polling" in hub.settings.connection_types
        methods = b"POST, GET, OPTIONS" if self._jsonp else b"POST, OPTIONS"
        self._allow: Headers = ((b"Allow", methods),)

    def answer(self, request: HTTPRequest) -> HTTPReply | Waiting:
        """Answer a request, now or later; whatever it holds, this raises nothing."""
        caller = request.known
        if not isinstance(caller, _Caller):
            get = request.method == b"GET" and self._jsonp
            found = self._get_to_know(request, get)
            if isinstance(found, HTTPReply):
                return found
            if get:
                return self._answer_script(request, found)
            request.known = caller = found
        body = request.body
        if len(body) > self._settings.max_body:
            return self.refuse(413, caller.cors, limit="max_body", address=request.address)
        try:
            messages = decode_body(caller.content_type, body, self._settings)
        except EnvelopeError as error:
            return self._refuse_envelope(caller, error)
        return self._process(messages, caller)

    def _get_to_know(self, request: HTTPRequest, get: bool) -> _Caller | HTTPReply:
        """Read the head of a request; returns the answer if it is to have no other."""
        cors = self.origins.check(request, script=get)
        if cors is None:
            return self.refuse(403, address=request.address)
        if len(request.target) > self._settings.max_url:
            return self.refuse(414, cors, limit="max_url", address=request.address)
        if request.method == b"OPTIONS":
            return self._preflight(request, cors)
        if request.method != b"POST" and not get:
            return self.refuse(405, cors + self._allow, address=request.address)
        link = Link(
            connection_type="callback-polling" if get else "long-polling",
            address=request.address,
            browser_id=self.cookie.read(request),
            serial=get,
            header=self.origins.disclose(request, script=get).header,
        )
        return _Caller(request, link, cors, _with_cors(_SCRIPT if get else _JSON, cors))

    def _answer_script(self, request: HTTPRequest, caller: _Caller) -> HTTPReply | Waiting:
        """Answer a JSONP request."""
        if len(request.body) > self._settings.max_body:
            return self.refuse(413, caller.cors, limit="max_body", address=request.address)
        try:
            callback, messages = self._decode_query(request)
        except EnvelopeError as error:
            return self._refuse_envelope(caller, error)
        return self._process(messages, caller, callback)

    def _process(self, messages: Sequence[Message | Rejected], caller: _Caller,
                 callback: str | None = None) -> HTTPReply | Waiting:
        if not messages:
            return self._refuse_envelope(caller, MalformedEnvelope("no messages"))  # M-4
        try:
            exchange = self._hub.receive(messages, caller.link)
        except Flood as error:
            return self._refuse_envelope(caller, error)
        if exchange.pending is None and not exchange.parked:
            return self.reply(caller, callback, exchange)
        return _Answer(self, caller, callback, exchange)

    def _refuse_envelope(self, caller: _Caller, error: EnvelopeError) -> HTTPReply:
        status = 415 if isinstance(error, UnsupportedType) else 429 if isinstance(error, Flood) else 400
        return self.refuse(status, caller.cors, error, error.limit, caller.link.address)

    def refuse(self, status: int, headers: Headers = (), error: EnvelopeError | None = None,
               limit: str = "", address: str = "") -> HTTPReply:
        """Return a response that refuses a request as a whole, perhaps for a limit of that name."""
        self.metrics.refused[status] += 1
        self._hub.witnesses["request", status] = address, ""
        if limit:
            self.metrics.limited[limit] += 1
        reason = _REASONS[status] if error is None else str(error).encode("ascii")
        return HTTPReply(status, _TEXT + headers, reason + b"\n", close=status == 413)

    def cors(self, request: HTTPRequest) -> Headers:
        """Return the CORS headers for an error found before the request was complete (O-3)."""
        return self.origins.check(request) or ()

    def _preflight(self, request: HTTPRequest, cors: Headers) -> HTTPReply:
        if cors and request.header("access-control-request-method"):
            return HTTPReply(204, _NO_SNIFFING + self.origins.preflight(cors))
        return HTTPReply(204, _NO_SNIFFING + self._allow)

    def _decode_query(self, request: HTTPRequest) -> tuple[str, Sequence[Message | Rejected]]:
        """Decode a JSONP request into the name of its callback and its messages (J-1 to J-3)."""
        fields = parse(request.target.partition(b"?")[2], self._settings)
        names = [value for name, value in fields if name == b"jsonp"]
        callback = names[0].decode("latin-1") if names else _DEFAULT_CALLBACK
        if len(names) > 1 or len(callback) > _MAX_CALLBACK or not _CALLBACK.fullmatch(callback):
            raise MalformedEnvelope("bad jsonp parameter")
        return callback, decode_fields(fields, self._settings)

    def reply(self, caller: _Caller, callback: str | None, exchange: Exchange) -> HTTPReply:
        """Write the response to an exchange that is complete; its events leave their queue here."""
        body = join(exchange.drain())
        if callback is not None:
            # Only inside strings can these stand in JSON; in a script they would end the line (J-4).
            body = body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
            body = b"/**/%b(%b);" % (callback.encode("ascii"), body)
        reply = HTTPReply(200, caller.headers, body, self._hub.sessions.closed)
        if exchange.opened:
            session = exchange.session
            if session is not None and session.browser_id is None:
                session.browser_id = new_id()
                reply.cookies = (self.cookie.write(session.browser_id, caller.secure),)
        return reply

    def superseded(self, cors: Headers) -> HTTPReply:
        """Return the response to a held connect that a newer one has replaced (K-12)."""
        return HTTPReply(self._settings.superseded_status, _TEXT + cors)


class _Answer:
    """The answer to one request, for as long as it has to be waited for; of the request it keeps little."""

    __slots__ = ("_callback", "_caller", "_exchange", "_lost", "_polling", "reply")

    def __init__(self, polling: Polling, caller: _Caller, callback: str | None, exchange: Exchange) -> None:
        self.reply: Deferred[HTTPReply] = Deferred()
        self._polling = polling
        self._caller = caller
        self._callback = callback
        self._exchange = exchange
        self._lost = False
        if exchange.pending is not None:
            exchange.pending.addCallback(self._complete)
        else:
            exchange.wait(self)

    def lost(self) -> None:
        """Give up, because the connection is gone; ``reply`` will not fire."""
        self._lost = True
        self._exchange.lost()

    def make_way(self) -> None:
        """Answer soon, because something else waits behind it on the same connection (K-16)."""
        self._exchange.make_way()

    def _complete(self, _: None) -> None:
        if self._exchange.parked:
            self._exchange.wait(self)
        elif not self._lost:
            self.reply.callback(self._write())

    def released(self, exchange: Exchange, why: Release) -> None:
        """Answer the connect that was held."""
        if why is Release.SUPERSEDED:
            self.reply.callback(self._polling.superseded(self._caller.cors))
        elif not self._lost:
            self.reply.callback(self._write())

    def _write(self) -> HTTPReply:
        return self._polling.reply(self._caller, self._callback, self._exchange)
