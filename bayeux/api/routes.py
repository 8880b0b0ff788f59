"""The routes of the API: what can be asked of it, and how it is answered (docs/reference/api.rst)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import Any, cast, overload

import msgspec
from klein import Klein
from klein.resource import KleinResource
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from bayeux.api.channels import ChannelList
from bayeux.api.errors import APIError, Unauthorized, WrongMethod
from bayeux.api.openapi import describe_api
from bayeux.api.pages import AdminPage
from bayeux.api.publishing import Publisher, Result
from bayeux.api.sessions import SessionIndex, describe
from bayeux.api.status import Status
from bayeux.api.watching import Watch
from bayeux.channels import is_pattern
from bayeux.hub import Hub
from bayeux.messages import NO_CHANNEL
from bayeux.web.channel import BayeuxRequest

_JSON = b"application/json"
_DEFAULT_PAGE = 100
_LIMIT = re.compile(r"[0-9]{1,9}")


class API:
    """Answers requests to the API of one hub, for whoever has its key.

    ``metrics`` returns what Prometheus reads, and ``metrics_type`` is the type of that; without it there
    is no ``/metrics``.
    """

    app = Klein()
    _log = Logger()

    def __init__(self, hub: Hub, key: bytes, index: SessionIndex, channels: ChannelList, status: Status,
                 metrics: Callable[[], bytes] | None = None, metrics_type: str = "text/plain") -> None:
        self._hub = hub
        self.key = key
        """What every request but a few has to have."""
        self._index = index
        self._channels = channels
        self._status = status
        self._publisher = Publisher(hub)
        self._metrics = metrics
        self._metrics_type = metrics_type
        self._description = msgspec.json.encode(
            describe_api(hub.settings, with_metrics=metrics is not None))
        self.watch = Watch(hub)
        self.resource = APIResource(self)

    # -- for anybody ----------------------------------------------------------------------------

    @app.route("/healthz", methods=["GET"])
    def health(self, request: Request) -> bytes:
        """Say that the process answers."""
        return answer(request, {"status": "ok"})

    @app.route("/readyz", methods=["GET"])
    def ready(self, request: Request) -> bytes:
        """Say whether more clients may be sent here."""
        self._status.check_ready()
        return answer(request, {"status": "ready"})

    @app.route("/openapi.json", methods=["GET"])
    def openapi(self, request: Request) -> bytes:
        """Describe the API."""
        return write(request, self._description)

    # -- for who has the key --------------------------------------------------------------------

    @app.route("/metrics", methods=["GET"])
    def metrics(self, request: Request) -> bytes:
        """Let Prometheus read."""
        self.authorize(request)
        if self._metrics is None:
            raise APIError("not_found", "this server has no metrics")
        return write(request, self._metrics(), self._metrics_type.encode("ascii"))

    @app.route("/v1/stats", methods=["GET"])
    def stats(self, request: Request) -> bytes:
        """Tell how many of everything there are, and what has happened so far."""
        self.authorize(request)
        return answer(request, self._status.stats())

    @app.route("/v1/publish", methods=["POST"])
    async def publish(self, request: Request) -> bytes:
        """Publish one message, or each of a list."""
        has_key = self._has_key(request)
        body = _body(request)
        messages = self._publisher.decode(body, has_key)
        address = getattr(request.getClientAddress(), "host", None) or ""
        if _is_object(body):
            return answer(request, await self._publisher.publish(messages[0], address))
        results: list[Result] = []
        for message in messages:
            try:
                results.append(await self._publisher.publish(message, address))
            except APIError as error:
                name = None if message.channel == NO_CHANNEL else message.channel
                results.append({"channel": name, "error": self._count(error).describe()})
        return answer(request, {"results": results})

    @app.route("/v1/sessions", methods=["GET"])
    def sessions(self, request: Request) -> bytes:
        """List sessions, so many at a time."""
        self.authorize(request)
        query = Query(request, "limit", "after")
        found, more = self._index.page(query.after, query.limit(self._hub.settings.api_max_page))
        return answer(request, {"sessions": [describe(*each) for each in found],
                                "next": found[-1][0].label if more else None})

    @app.route("/v1/sessions/<label>", methods=["GET"])
    def session(self, request: Request, label: str) -> bytes:
        """Tell of one session, and what it is subscribed to."""
        self.authorize(request)
        session, age = self._find(label)
        return answer(request, {**describe(session, age), "channels": session.subscriptions})

    @app.route("/v1/sessions/<label>", methods=["DELETE"])
    def disconnect(self, request: Request, label: str) -> bytes:
        """End a session: its client is told not to come back by itself (X-6)."""
        self.authorize(request)
        self._find(label)[0].disconnect()
        request.setResponseCode(204)
        request.responseHeaders.removeHeader(b"Content-Type")  # twisted.web's default
        return b""

    @app.route("/v1/channels", methods=["GET"])
    def channels(self, request: Request) -> bytes:
        """List channels, so many at a time."""
        self.authorize(request)
        query = Query(request, "limit", "after", "pattern", "order")
        pattern, order = query.get("pattern"), query.get("order", "name")
        if pattern is not None and not is_pattern(pattern):
            raise APIError("invalid_parameter", "pattern must be a channel, or a pattern such as /news/**")
        if order not in ("name", "rate"):
            raise APIError("invalid_parameter", "order must be name or rate")
        limit = query.limit(self._hub.settings.api_max_page)
        if order == "name":
            found, more = self._channels.by_name(query.after, limit, pattern)
            return answer(request, {"channels": found, "next": found[-1]["channel"] if more else None})
        if query.get("after") is not None:
            raise APIError("invalid_parameter", "order=rate is a list of the busiest, without a next page")
        return answer(request, {"channels": self._channels.by_rate(limit, pattern), "next": None})

    # -- what they have in common ---------------------------------------------------------------

    def authorize(self, request: Request) -> None:
        """Raise ``Unauthorized`` unless the request has the key."""
        if not self._has_key(request):
            raise Unauthorized

    def _has_key(self, request: Request) -> bool:
        """Say whether a request has the key; raises ``Unauthorized`` if it has another."""
        given = request.requestHeaders.getRawHeaders(b"Authorization", [])
        if not given:
            return False
        scheme, _, key = given[0].partition(b" ")
        good = hmac.compare_digest(key.strip(), self.key)  # it takes as long for every wrong one
        if len(given) > 1 or scheme.lower() != b"bearer" or not good:
            self._hub.metrics.authentication_failures["api_key"] += 1
            raise Unauthorized("this is not the API's key")
        return True

    def _find(self, label: str) -> tuple[Any, float]:
        found = self._index.find(label)
        if found is None:
            raise APIError("unknown_session", "there is no session of that id; it may have ended")
        return found

    def _count(self, error: APIError) -> APIError:
        self._hub.metrics.api_errors[error.code] += 1
        if error.limit:
            self._hub.metrics.limited[error.limit] += 1
        return error

    def refuse(self, request: Request, error: APIError) -> bytes:
        """Answer with an error, and count it."""
        self._count(error)
        request.setResponseCode(error.status)
        for name, value in error.headers:
            request.setHeader(name, value)
        if isinstance(error, Unauthorized):  # there are few connections, and they are for who has the key
            request.setHeader(b"Connection", b"close")
            cast(BayeuxRequest, request).channel.close()
        return answer(request, {"error": error.describe()})

    @app.handle_errors(Exception)
    def _failed(self, request: IRequest, failure: Failure) -> bytes:
        """Answer a request that has failed, however; here errors become answers."""
        error = failure.value
        if isinstance(error, MethodNotAllowed):
            error = WrongMethod(*sorted(error.valid_methods or ()))
        elif isinstance(error, HTTPException):  # also where werkzeug would send somebody elsewhere
            error = _nothing_here()
        elif not isinstance(error, APIError):
            self._log.failure("the API failed", failure)
            error = APIError("internal", "the server failed; its log says how")
        return self.refuse(cast(Request, request), error)


class APIResource(Resource):
    """The tree of the API for twisted.web: the admin page, what watches, and all else by klein.

    It keeps from klein what that would stumble over.
    """

    isLeaf = True

    def __init__(self, api: API) -> None:
        super().__init__()
        self._api = api
        self._klein: KleinResource = api.app.resource()
        self._page = AdminPage()

    def render(self, request: Request) -> Any:
        """Answer one request."""
        try:
            path = b"/".join(request.postpath or ()).decode("utf-8")
        except UnicodeDecodeError:
            return self._api.refuse(request, _nothing_here())
        try:
            if path in ("", "admin"):
                return _send_to(request, b"admin/")  # whatever a proxy has put before it
            if path.startswith("admin/"):
                return self._page.render(request, path.removeprefix("admin/"))
            if path == "v1/watch":
                return self._watch(request)
        except APIError as error:
            return self._api.refuse(request, error)
        request.requestHeaders.setRawHeaders(b"Host", [b"localhost"])  # werkzeug would fail on some
        return self._klein.render(request)

    def _watch(self, request: Request) -> Any:
        """Hand a request over to those who watch; it is a Bayeux one, of which klein knows nothing."""
        self._api.authorize(request)
        if request.method != b"POST":
            raise WrongMethod("POST")
        # The key says who it is; the origin says nothing more, and is another one behind some proxies.
        request.requestHeaders.removeHeader(b"Origin")
        return self._api.watch.resource.render(request)


class Query:
    """The parameters behind the ``?``.  Raises ``APIError`` for one that is not known, or comes twice."""

    def __init__(self, request: Request, *known: str) -> None:
        self._values: dict[str, str] = {}
        for name, values in (request.args or {}).items():
            try:
                text, [value] = name.decode("utf-8"), [value.decode("utf-8") for value in values]
            except ValueError:
                raise APIError("invalid_parameter", "each parameter is UTF-8, and comes once") from None
            if text not in known:
                raise APIError("invalid_parameter", f"the parameters here are {', '.join(known)}")
            self._values[text] = value

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """Return a parameter."""
        return self._values.get(name, default)

    @property
    def after(self) -> str:
        """The last that is known already; "" if none is."""
        return self.get("after", "")

    def limit(self, most: int) -> int:
        """Return how many are wanted."""
        text = self.get("limit", str(min(_DEFAULT_PAGE, most)))
        if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= most:
            raise APIError("invalid_parameter", f"limit must be a number from 1 to {most}")
        return int(text)


def answer(request: Request, value: object) -> bytes:
    """Answer with JSON."""
    return write(request, msgspec.json.encode(value))


def write(request: Request, body: bytes, content_type: bytes = _JSON) -> bytes:
    """Answer with these bytes."""
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"Content-Type", content_type)
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


def _send_to(request: Request, place: bytes) -> bytes:
    """Send whoever asks for the port alone to its page."""
    if request.method not in (b"GET", b"HEAD"):
        raise WrongMethod("GET", "HEAD")
    request.setResponseCode(302)
    request.setHeader(b"Location", place)
    return write(request, b"", b"text/plain")


def _body(request: Request) -> bytes:
    """Return the body, if it is JSON by its type: no page of another site can send that unasked."""
    media = (request.getHeader(b"content-type") or b"").partition(b";")[0].strip().lower()
    if media != _JSON or request.getHeader(b"content-encoding"):
        raise APIError("unsupported_media_type", "send JSON, with Content-Type: application/json")
    return b"" if request.content is None else cast(bytes, request.content.read())


def _nothing_here() -> APIError:
    return APIError("not_found", "there is nothing here; /openapi.json says what there is")


def _is_object(body: bytes) -> bool:
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"
