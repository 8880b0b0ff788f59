"""Puts questions to the site by HTTP, a bounded number at once, and accepts nothing but a clear answer."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, DeferredSemaphore, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from bayeux._version import __version__
from bayeux.keys import BadKey, read_secret
from bayeux.metrics import Metrics
from bayeux.settings import Settings, SettingsError

_IDLE = 4
"""Seconds that a connection is kept for the next question: many servers close theirs after five."""
_QUIET = 60.0
"""Seconds between two complaints in the log, however many questions fail."""


class Answer(Struct, frozen=True):
    """What the site has said."""

    allow: bool
    reason: str | None = None
    """Why not, for the client."""
    user: str | None = None
    """To a handshake: whose session it is."""


class Unanswered(Exception):
    """There is no answer that could be obeyed; ``kind`` is one word for it, the text says it to people."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Asker:
    """Asks one address of the site's, over connections that are kept.

    Raises ``SettingsError`` where a secret cannot be read or is too short, and where https would need a
    library that is not there.
    """

    _log = Logger()

    def __init__(self, settings: Settings, clock: IReactorTime, metrics: Metrics,
                 wall: Callable[[], float] = time.time) -> None:
        from twisted.internet import reactor

        if settings.authorize_url.startswith("https:"):
            _require_tls()
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._wall = wall
        self._place = _place(settings.authorize_url)
        self._secret = _read_secret(settings.authorize_secret_file)
        self._pool = HTTPConnectionPool(clock)
        cast(Any, self._pool)._factory = _quiet_factory
        self._pool.maxPersistentPerHost = settings.authorize_concurrency
        self._pool.cachedConnectionTimeout = _IDLE
        self._agent = Agent(reactor, connectTimeout=settings.authorize_timeout, pool=self._pool)
        self._turns = DeferredSemaphore(settings.authorize_concurrency)
        self._outstanding: dict[Deferred[Answer], None] = {}
        self._closed = False
        self._quiet_until = 0.0

    def __len__(self) -> int:
        """Return how many questions are not answered yet."""
        return len(self._outstanding)

    def open(self) -> None:
        """Ask again, after ``close``; a new one asks already."""
        self._closed = False

    def close(self) -> Deferred[None]:
        """Give up what is being asked, and ask nothing more.

        Fires when idle connections are closed, or have had the time for it that a stopping server takes.
        """
        self._closed = True
        for asking in tuple(self._outstanding):
            asking.cancel()
        closed = cast("Deferred[None]", self._pool.closeCachedConnections())
        return closed.addTimeout(self._settings.shutdown_timeout, self._clock, lambda *_: None)

    def ask(self, question: bytes, headers: Mapping[str, str]) -> Deferred[Answer]:
        """Put a question, JSON, with these headers of the client's; fails with ``Unanswered``, counted."""
        asking: Deferred[Answer]
        if not self._turns.tokens and len(self._turns.waiting) >= self._settings.authorize_queue:
            asking = fail(Unanswered("overflow", "too many questions wait; see authorize_concurrency"))
        else:
            asking = Deferred.fromCoroutine(self._ask(question, headers))
            asking.addTimeout(self._settings.authorize_timeout, self._clock, _timed_out)
        self._outstanding[asking] = None
        asking.addBoth(self._end, asking).addCallbacks(self._answered, self._failed)
        return asking

    def _end(self, result: Any, asking: Deferred[Answer]) -> Any:
        del self._outstanding[asking]
        return result

    def _answered(self, answer: Answer) -> Answer:
        self._metrics.authorize_answers["allowed" if answer.allow else "denied"] += 1
        return answer

    def _failed(self, failure: Failure) -> Failure:
        error = failure.value
        if self._closed or not isinstance(error, Unanswered):
            error = Unanswered("stopped", "the server stops")
        self._metrics.authorize_answers[error.kind] += 1
        now = self._clock.seconds()
        if not self._closed and now >= self._quiet_until:
            self._quiet_until = now + _QUIET
            self._log.warn("{site} cannot be asked who may do what, so nobody may: {reason}",
                           event="site_unanswering", site=self._place, reason=str(error))
        return Failure(error)

    async def _ask(self, question: bytes, headers: Mapping[str, str]) -> Answer:
        async with self._turns:
            if self._closed:
                raise Unanswered("stopped", "the server stops")
            self._metrics.authorize_asked += 1
            try:
                try:
                    response = await self._post(question, headers)
                except ResponseNeverReceived as error:
                    if not _was_closed(error):
                        raise
                    response = await self._post(question, headers)  # it may have been idle for too long
                body = await _read(response, self._settings.authorize_max_answer)
            except Exception as error:
                raise Unanswered("unreachable", _reason(error)) from None
        if response.code in (401, 403):
            return Answer(False)
        if response.code != 200:
            raise Unanswered("status", f"it answers with status {response.code}, instead of 200, 401 or 403")
        if body is None:
            raise Unanswered("too_large", "its answer is longer than authorize_max_answer")
        try:
            return msgspec.json.decode(body, type=Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Unanswered("malformed", 'its answer is not JSON like {"allow": true}') from None

    def _post(self, question: bytes, headers: Mapping[str, str]) -> Deferred[IResponse]:
        fields = {
            **headers, "Content-Type": "application/json", "Accept": "application/json",
            "User-Agent": f"txbayeux/{__version__}", **self._sign(question),
        }
        encoded = {name.encode("ascii"): [value.encode("latin-1")] for name, value in fields.items()}
        # Each has a client of its own: it keeps cookies, and one user's must not go with another's question.
        client = HTTPClient(self._agent, data_to_body_producer=_Body)
        return cast("Deferred[IResponse]", client.post(
            self._settings.authorize_url, data=question, headers=Headers(encoded), allow_redirects=False,
            unbuffered=True,
        ))

    def _sign(self, question: bytes) -> dict[str, str]:
        if not self._secret:
            return {}
        timestamp = str(int(self._wall()))
        signature = hmac.new(self._secret, timestamp.encode("ascii") + b"." + question, hashlib.sha256)
        return {"X-Bayeux-Timestamp": timestamp, "X-Bayeux-Signature": f"sha256={signature.hexdigest()}"}


@implementer(IBodyProducer)
class _Body:
    """The body of a request, written at once: it is small."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Write it."""
        consumer.write(self._body)
        return succeed(None)

    def stopProducing(self) -> None:
        """Do nothing: it has been written."""

    def pauseProducing(self) -> None:
        """Do nothing, as above."""

    def resumeProducing(self) -> None:
        """Do nothing, as above."""


class _Reader(Protocol):
    """Reads the body of a response, up to a limit in bytes; ``done`` fires with None where it is longer."""

    def __init__(self, limit: int) -> None:
        self.done: Deferred[bytes | None] = Deferred(lambda _: self._hang_up())
        self._parts: list[bytes] = []
        self._room = limit

    def dataReceived(self, data: bytes) -> None:
        """Take a part of it."""
        self._room -= len(data)
        if self._room >= 0:
            self._parts.append(data)
        elif not self.done.called:
            self._hang_up()
            self.done.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Take note of its end."""
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss) is not None:  # the latter: no length was given
            self.done.callback(b"".join(self._parts))
        else:
            self.done.errback(reason)

    def _hang_up(self) -> None:
        cast(ITransport, self.transport).loseConnection()


def _read(response: IResponse, limit: int) -> Deferred[bytes | None]:
    reader = _Reader(limit)
    response.deliverBody(reader)
    return reader.done


def _quiet_factory(*arguments: Any) -> Any:
    """Make what makes a connection, in a way that is not logged: Twisted has two lines for each."""
    factory = HTTPConnectionPool._factory(*arguments)
    factory.noisy = False
    return factory


def _timed_out(result: object, timeout: float) -> Failure:
    return Failure(Unanswered("timeout", f"it has not answered within {timeout:g} seconds"))


def _was_closed(error: ResponseNeverReceived) -> bool:
    """Say whether the site has closed a connection, instead of answering on it."""
    return all(reason.check(ConnectionDone, ConnectionLost) for reason in error.reasons)


def _reason(error: Exception) -> str:
    """Say in a few words what went wrong on the way."""
    reasons = getattr(error, "reasons", None)  # Twisted wraps the errors of requests
    while reasons:
        error = reasons[0].value
        reasons = getattr(error, "reasons", None)
    return str(error) or type(error).__name__


def _place(url: str) -> str:
    """Return an address as it may be logged: without its query, where secrets may be."""
    return urlsplit(url)._replace(query="").geturl()


def _require_tls() -> None:
    try:
        import twisted.internet.ssl  # noqa: F401 - it is looked for, and used by the agent
    except ImportError:
        raise SettingsError("authorize_url: https needs more: pip install 'txbayeux[tls]'") from None


def _read_secret(file: str) -> bytes:
    """Read the secret, the bytes of its text as they stand; empty where there is no file."""
    try:
        return read_secret(file) if file else b""
    except BadKey as error:
        raise SettingsError(f"authorize_secret_file: {error}") from None
