"""The polling transports: long-polling and callback-polling, over HTTP from anywhere (section 14)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from twisted.internet.defer import Deferred

from bayeux.errors import EnvelopeError, MalformedEnvelope
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

_COMMON: Headers = (
    (b"Cache-Control", b"no-cache, no-store"),
    (b"Pragma", b"no-cache"),
    (b"Expires", b"0"),
    (b"X-Content-Type-Options", b"nosniff"),
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
    403: b"This page's origin may not use the server: see the settings allowed_origins and public_url.",
    404: b"There is no such session.",
    405: b"Bayeux messages are sent by POST, or by GET with a message parameter.",
    413: b"The request body is too large.",
    414: b"The request target is too long.",
    426: b"Connect by WebSocket, version 13, over HTTP/1.1.",
    503: b"The server is stopping.",
}
"""Constant texts, with nothing of the request in them (G-23)."""


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
        get = request.method == b"GET"
        cors = self.origins.check(request, script=get and self._jsonp)
        if cors is None:
            return self.refuse(403)
        if len(request.target) > self._settings.max_url:
            return self.refuse(414, cors)
        if len(request.body) > self._settings.max_body:
            return self.refuse(413, cors)
        if request.method == b"OPTIONS":
            return self._preflight(request, cors)
        if request.method != b"POST" and not (get and self._jsonp):
            return self.refuse(405, cors + self._allow)
        try:
            callback, messages = self._decode_query(request) if get else (None, self._decode_body(request))
            if not messages:
                raise MalformedEnvelope("no messages")  # M-4
        except UnsupportedType as error:
            return self.refuse(415, cors, error)
        except EnvelopeError as error:
            return self.refuse(400, cors, error)
        link = Link(
            connection_type="callback-polling" if get else "long-polling",
            address=request.address,
            browser_id=self.cookie.read(request),
            serial=get,
            header=request.header,
        )
        exchange = self._hub.receive(messages, link)
        if exchange.pending is None and not exchange.parked:
            return self.reply(request.secure, cors, callback, exchange)
        return _Answer(self, request.secure, cors, callback, exchange)

    def refuse(self, status: int, headers: Headers = (), error: EnvelopeError | None = None) -> HTTPReply:
        """Return a response that refuses a request as a whole."""
        self.metrics.refused[status] += 1
        reason = _REASONS[status] if error is None else str(error).encode("ascii")
        return HTTPReply(status, _TEXT + headers, reason + b"\n", close=status == 413)

    def cors(self, request: HTTPRequest) -> Headers:
        """Return the CORS headers for an error found before the request was complete (O-3)."""
        return self.origins.check(request) or ()

    def _preflight(self, request: HTTPRequest, cors: Headers) -> HTTPReply:
        if cors and request.header("access-control-request-method"):
            return HTTPReply(204, self.origins.preflight(cors))
        return HTTPReply(204, self._allow)

    def _decode_body(self, request: HTTPRequest) -> Sequence[Message | Rejected]:
        return decode_body(request.header("content-type"), request.body, self._settings)

    def _decode_query(self, request: HTTPRequest) -> tuple[str, Sequence[Message | Rejected]]:
        """Decode a JSONP request into the name of its callback and its messages (J-1 to J-3)."""
        fields = parse(request.target.partition(b"?")[2], self._settings)
        names = [value for name, value in fields if name == b"jsonp"]
        callback = names[0].decode("latin-1") if names else _DEFAULT_CALLBACK
        if len(names) > 1 or len(callback) > _MAX_CALLBACK or not _CALLBACK.fullmatch(callback):
            raise MalformedEnvelope("bad jsonp parameter")
        return callback, decode_fields(fields, self._settings)

    def reply(self, secure: bool, cors: Headers, callback: str | None, exchange: Exchange) -> HTTPReply:
        """Write the response to an exchange that is complete; its events leave their queue here."""
        body = join(exchange.drain())
        if callback is None:
            reply = HTTPReply(200, _JSON + cors, body)
        else:
            # Only inside strings can these stand in JSON; in a script they would end the line (J-4).
            body = body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
            reply = HTTPReply(200, _SCRIPT + cors, b"/**/%b(%b);" % (callback.encode("ascii"), body))
        session = exchange.session
        if exchange.opened and session is not None and session.browser_id is None:
            session.browser_id = new_id()
            reply.cookies.append(self.cookie.write(session.browser_id, secure))
        reply.close = self._hub.sessions.closed
        return reply

    def superseded(self, cors: Headers) -> HTTPReply:
        """Return the response to a held connect that a newer one has replaced (K-12)."""
        return HTTPReply(self._settings.superseded_status, _TEXT + cors)


class _Answer:
    """The answer to one request, for as long as it has to be waited for; of the request it keeps little."""

    __slots__ = ("_callback", "_cors", "_exchange", "_lost", "_polling", "_secure", "reply")

    def __init__(self, polling: Polling, secure: bool, cors: Headers, callback: str | None,
                 exchange: Exchange) -> None:
        self.reply: Deferred[HTTPReply] = Deferred()
        self._polling = polling
        self._secure = secure
        self._cors = cors
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
            self.reply.callback(self._polling.superseded(self._cors))
        elif not self._lost:
            self.reply.callback(self._write())

    def _write(self) -> HTTPReply:
        return self._polling.reply(self._secure, self._cors, self._callback, self._exchange)
