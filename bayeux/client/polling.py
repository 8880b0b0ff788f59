"""Long-polling for a client: each envelope a request, made by treq (section 14)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from http.cookiejar import CookieJar
from typing import Any, cast

from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from bayeux.client.envelopes import decode
from bayeux.client.errors import BadStatus, ConnectionFailed, TooMuch, TransportError
from bayeux.client.settings import ClientSettings

_CONNECTIONS = 2
"""One for the connect, one for all else (K-17)."""


class LongPolling:
    """Sends envelopes by HTTP.

    ``receive`` is given the messages of each answer, and then ``ended`` or ``failed`` is called with the
    envelope's number.
    """

    name = "long-polling"
    is_stream = False

    def __init__(self, reactor: Any, url: str, headers: Mapping[str, str], cookies: CookieJar | None,
                 endpoints: IAgentEndpointFactory, settings: ClientSettings,
                 receive: Callable[[list[Any]], None], ended: Callable[[int], None],
                 failed: Callable[[int, TransportError], None]) -> None:
        self._reactor = reactor
        self._url = url
        self._headers = headers
        self._receive = receive
        self._ended = ended
        self._failed = failed
        self._max_answer = settings.max_answer
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = _CONNECTIONS
        self._pool.cachedConnectionTimeout = settings.idle_timeout  # type: ignore[assignment]  # any number
        self._pool.retryAutomatically = False  # a message is sent once
        self._pool._factory.noisy = False
        agent = Agent.usingEndpointFactory(reactor, endpoints, self._pool)
        self._client = HTTPClient(cast(IAgent, _Plain(agent)), cast(IndexableCookieJar, cookies))
        self._requests: dict[int, Deferred[Any]] = {}

    def send(self, number: int, envelope: bytes) -> None:
        """Send an envelope."""
        headers = Headers({name: [value] for name, value in self._headers.items()})
        headers.setRawHeaders("Content-Type", ["application/json;charset=UTF-8"])
        headers.setRawHeaders("Accept", ["application/json"])
        asked = self._client.post(self._url, data=envelope, headers=headers, allow_redirects=False,
                                  unbuffered=True)
        request = cast("Deferred[IResponse]", asked).addCallback(self._read)
        self._requests[number] = request
        request.addCallbacks(partial(self._answered, number), partial(self._lost, number))

    def _read(self, response: IResponse) -> Deferred[bytes]:
        status = response.code
        body = _Body(self._max_answer if status == 200 else 0)
        response.deliverBody(cast(IProtocol, body))
        if status == 200:
            return body.whole
        body.give_up()
        location = response.headers.getRawHeaders("location") or [""]
        raise BadStatus(status, self.name, location[0])

    def _answered(self, number: int, body: bytes) -> None:
        if self._requests.pop(number, None) is None:
            return
        try:
            messages = decode(body)
        except TransportError as error:
            self._failed(number, error)
            return
        self._receive(messages)
        self._ended(number)

    def _lost(self, number: int, failure: Failure) -> None:
        if self._requests.pop(number, None) is not None:
            self._failed(number, error_of(failure))

    def open(self) -> None:
        """Do nothing: each request has a connection of its own, if there is none that is free."""

    def abort(self, number: int) -> None:
        """Want no answer to an envelope any more; its connection is closed."""
        request = self._requests.pop(number, None)
        if request is not None:
            request.cancel()

    def close(self) -> Deferred[None]:
        """Abort everything, and close the connections that are kept; fires when they are."""
        for number in list(self._requests):
            self.abort(number)
        # A turn later: one whose answer is just being read is put back when that is done.
        return deferLater(self._reactor, 0, self._pool.closeCachedConnections)


def error_of(failure: Failure) -> TransportError:
    """Say what went wrong with a connection, and whether anything was sent before."""
    error = cast(BaseException, failure.value)
    if isinstance(error, TransportError):
        return error
    reasons = getattr(error, "reasons", None)
    inner: BaseException = reasons[0].value if reasons else error
    never = isinstance(error, ConnectError | DNSLookupError | ConnectingCancelledError)
    found = ConnectionFailed(f"the server cannot be reached: {_text(inner)}" if never
                             else f"the connection was lost: {_text(inner)}", sent=not never)
    found.__cause__ = inner
    return found


def _text(error: BaseException) -> str:
    said = str(error).strip().rstrip(".")
    return said or type(error).__name__


class _Body(Protocol):
    """Collects an answer, as long as it is not too large."""

    def __init__(self, limit: int) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self.give_up())
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._over = False

    def dataReceived(self, data: bytes) -> None:
        """Keep what comes."""
        self._size += len(data)
        if self._over:
            return
        if self._size > self._limit:
            self.give_up()
            self.whole.errback(TooMuch(f"the server's answer is larger than {self._limit} bytes"))
            return
        self._parts.append(data)

    def give_up(self) -> None:
        """Want no more of it, and close the connection."""
        self._over = True
        self._parts = []
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Be done; the connection may go on with another request."""
        if self._over:
            return
        self._over = True
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._parts))
        else:
            self.whole.errback(reason)


@implementer(IAgent)
class _Plain:
    """Asks for answers without compression: what is inflated has no bound, and events are small."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def request(self, method: bytes, uri: bytes, headers: Headers | None = None,
                bodyProducer: IBodyProducer | None = None) -> Deferred[IResponse]:
        """Make a request."""
        headers = headers.copy() if headers is not None else Headers()
        headers.removeHeader("accept-encoding")
        answer = self._agent.request(method, uri, headers, bodyProducer)
        return answer.addCallback(_uncompressed)


def _uncompressed(response: IResponse) -> IResponse:
    """Keep treq from inflating what is compressed although nobody has asked for it."""
    response.headers.removeHeader("content-encoding")
    return response
