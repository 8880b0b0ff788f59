"""The client as an application uses it: the machine, with its transports and timers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.cookiejar import CookieJar
from types import TracebackType
from typing import Any, Protocol, cast

from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorCore, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS

from bayeux.channels import is_meta
from bayeux.client.addresses import Address, Endpoints
from bayeux.client.effects import (
    Abort,
    Ask,
    Changed,
    Close,
    Deliver,
    Effect,
    Left,
    Open,
    Report,
    Send,
    Settled,
    Start,
    Stop,
    Subscribed,
    Timer,
    Unsubscribable,
)
from bayeux.client.envelopes import Message, copy, encode
from bayeux.client.errors import ClientError, ConnectTimeout
from bayeux.client.extensions import ClientExtension
from bayeux.client.machine import Machine
from bayeux.client.metrics import ClientMetrics
from bayeux.client.outbox import Request
from bayeux.client.polling import LongPolling
from bayeux.client.settings import ClientSettings
from bayeux.client.states import Change, State
from bayeux.client.subscriptions import Callback, Event, OverflowPolicy, Subscription, Subscriptions
from bayeux.client.talk import Sign, closed
from bayeux.client.websocket import WebSocket
from bayeux.results import deferred, is_later

Ext = Mapping[str, Any]
MakeExt = Callable[[], Ext | Awaitable[Ext | None] | None]

WEBSOCKET, LONG_POLLING = WebSocket.name, LongPolling.name


class Transport(Protocol):
    """What the client asks of a transport."""

    def open(self) -> None:
        """Open it; only streams are."""

    def send(self, number: int, envelope: bytes) -> None:
        """Send an envelope."""

    def abort(self, number: int) -> None:
        """Want no answer to an envelope any more."""

    def close(self) -> Deferred[None]:
        """Close it; fires when nothing is left of it."""


class BayeuxClient:
    """A client of one Bayeux server.

    It goes on by itself: when the connection or the session is lost it gets new ones, as the server advises,
    and subscribes again.  When the reactor stops it disconnects.  All Deferreds can be awaited.

    ``url``: the server's address; ``reactor``: by default the one that runs; ``transports``: those that may
    be used, the best first; ``ext``: what the handshake carries, for instance a token, or a function that
    makes it anew for each handshake, perhaps as a coroutine; ``headers``: for each request, and may be
    changed at any time; ``ack``: ask for acknowledged delivery, by which no event is lost with a connection;
    ``extensions``: yours, and ``Replay``; ``sign``: signs publishes,
    ``functools.partial(bayeux.signatures.sign, key)``; ``tls``: what the certificate has to be, such as
    ``BrowserLikePolicyForHTTPS(trustRoot)``; ``endpoints``: makes the connections, in place of TCP and TLS;
    ``subprotocol``: of the WebSocket; ``cookies``: a jar that outlives the client; ``settings``: limits and
    times.

    Raises ``ValueError`` for a URL or transports that make no sense, ``TypeError`` for such an ``ext``.
    """

    _log = Logger()

    def __init__(self, url: str, *, reactor: Any = None,
                 transports: Sequence[str] = (WEBSOCKET, LONG_POLLING),
                 ext: Ext | MakeExt | None = None, headers: Mapping[str, str] | None = None, ack: bool = True,
                 extensions: Iterable[ClientExtension] = (), sign: Sign | None = None,
                 tls: IPolicyForHTTPS | None = None, endpoints: IAgentEndpointFactory | None = None,
                 subprotocol: str = "", cookies: CookieJar | None = None,
                 settings: ClientSettings | None = None) -> None:
        if reactor is None:
            from twisted.internet import reactor
        address = Address.read(url)
        known = {WEBSOCKET: True, LONG_POLLING: False}
        if not transports or isinstance(transports, str) or len({*transports} & {*known}) < len(transports):
            raise ValueError(f"transports are some of {', '.join(known)}, each once, not {transports!r}")
        self._clock = cast(IReactorTime, reactor)
        self._ext = ext if callable(ext) else _checked_ext(ext)
        self._url = address.http
        self.settings = settings or ClientSettings()
        self.metrics = ClientMetrics()
        self.cookies: CookieJar = IndexableCookieJar() if cookies is None else cookies
        self.headers: dict[str, str] = {**address.headers, **(headers or {})}
        """What each request carries."""
        self._machine = Machine([(name, known[name]) for name in transports], self.settings, ack=ack,
                                extensions=extensions, sign=sign, metrics=self.metrics)
        connections = endpoints or Endpoints(reactor, tls, self.settings.open_timeout)
        self._transports: dict[str, Transport] = {}
        if WEBSOCKET in transports:
            self._transports[WEBSOCKET] = WebSocket(
                self._clock, address, self.headers, self.cookies, connections, self.settings, subprotocol,
                self._input(self._machine.received, WEBSOCKET), self._input(self._machine.opened, WEBSOCKET),
                self._input(self._machine.lost, WEBSOCKET))
        if LONG_POLLING in transports:
            self._transports[LONG_POLLING] = LongPolling(
                reactor, address.http, self.headers, self.cookies, connections, self.settings,
                self._input(self._machine.received, LONG_POLLING), self._input(self._machine.ended),
                self._input(self._machine.failed))
        self._timers: dict[Timer, IDelayedCall] = {}
        self._running = False
        self._is_closed = False
        self._shutdown: Any = None
        """What disconnects it when the reactor stops."""
        self._reason: Exception | None = None
        self._subscriptions = Subscriptions()
        self._publishing: dict[Request, Deferred[Message]] = {}
        self._connecting: list[Deferred[BayeuxClient]] = []
        self._leaving: dict[str, list[Deferred[None]]] = {}
        self._ending: list[Deferred[None]] = []
        self._on_state: list[Callable[[Change], object]] = []
        self._on_error: list[Callable[[Exception], object]] = []

    def __repr__(self) -> str:
        """Return where it connects to, and its state; nothing that is secret."""
        return f"<BayeuxClient {self._url} {self.state.value}>"

    # -- what it is -----------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where it is."""
        return self._machine.state

    @property
    def client_id(self) -> str | None:
        """The server's name for the session; a secret.  None while there is none."""
        return self._machine.session

    @property
    def transport(self) -> str:
        """The name of the transport in use, or tried."""
        return self._machine.transport

    @property
    def waiting(self) -> int:
        """How many messages wait to be sent."""
        return self._machine.outbox_size

    def on_state(self, listener: Callable[[Change], object]) -> Callable[[], None]:
        """Have a function called with every ``Change`` of the state; returns one that undoes it."""
        self._on_state.append(listener)
        return partial(self._on_state.remove, listener)

    def on_error(self, listener: Callable[[Exception], object]) -> Callable[[], None]:
        """Have a function called with errors that nobody waits for, instead of their being logged.

        These are the exceptions of callbacks, extensions and ``ext``, and what the server refuses: a
        handshake that is tried again, a subscription for which nobody waits.  Returns a function that undoes
        it.
        """
        self._on_error.append(listener)
        return partial(self._on_error.remove, listener)

    # -- what it does ---------------------------------------------------------------------------

    def connect(self, timeout: float | None = None) -> Deferred[BayeuxClient]:
        """Connect, and stay connected until ``disconnect``; fires with the client once it is connected.

        It goes on trying, with pauses, as long as the server cannot be reached; with a ``timeout`` in
        seconds, or if the Deferred is cancelled, it gives up and ends.  Fails with ``HandshakeRefused`` if
        the server refuses it and does not advise another try, with ``BadStatus`` if the address is wrong,
        with ``NoCommonTransport``, with ``ConnectTimeout``, or with ``Closed`` if it has ended before.
        """
        if self.state is State.CONNECTED:
            return succeed(self)
        if self.state in (State.DISCONNECTING, State.DISCONNECTED):
            return fail(self._reason or closed(None))
        connecting: Deferred[BayeuxClient] = Deferred(self._give_up)
        self._connecting.append(connecting)
        if timeout is not None:
            connecting.addTimeout(timeout, self._clock, self._timed_out)
        if self.state is State.UNCONNECTED:
            if IReactorCore.providedBy(self._clock):
                self._shutdown = cast(IReactorCore, self._clock).addSystemEventTrigger(
                    "before", "shutdown", self._stopping)
            self._machine.start()
            self._run()
        return connecting

    def _give_up(self, connecting: Deferred[BayeuxClient]) -> None:
        self._connecting.remove(connecting)
        self.disconnect()

    def _timed_out(self, _: object, timeout: float) -> Deferred[Any]:
        cause = self._machine.last_failure
        error = ConnectTimeout(f"not connected within {timeout} s: {cause or 'the server has not answered'}")
        error.__cause__ = cause
        return self.disconnect().addCallback(lambda _: Failure(error))

    def disconnect(self) -> Deferred[None]:
        """Tell the server, and end, for good; what waits to be sent is sent before.

        Fires when the server knows, or cannot be told within ``ClientSettings.leave_timeout``, and all
        connections are closed; it never fails.
        """
        if self._is_closed:
            return succeed(None)
        ending: Deferred[None] = Deferred()
        self._ending.append(ending)
        self._machine.leave()
        self._run()
        return ending

    def _stopping(self) -> Deferred[None]:
        self._shutdown = None
        return self.disconnect()

    def __aenter__(self) -> Deferred[BayeuxClient]:
        """Connect."""
        return self.connect()

    def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                  trace: TracebackType | None) -> Deferred[None]:
        """Disconnect."""
        return self.disconnect()

    def subscribe(self, channel: str, callback: Callback | None = None, *, buffer: int = 1_000,
                  overflow: OverflowPolicy = "fail") -> Subscription:
        """Subscribe to a channel or pattern, for as long as the client lives; may be done before ``connect``.

        Each event goes to ``callback``, or to whoever takes it from the subscription by ``async for``; see
        ``Subscription`` for this, for ``buffer`` and for ``overflow``.  Answers to what is published on
        ``/service/...`` come to a subscription to that channel, of which the server is not told.
        Raises ``ValueError`` for what is no channel.
        """
        _check(channel)
        subscription = Subscription(channel, callback, buffer, overflow, self._leave, self._report)
        if self.state in (State.DISCONNECTING, State.DISCONNECTED):
            subscription.end(closed(self._reason))
        else:
            self._subscriptions.add(subscription)
            self._machine.want(channel)
            self._run()
        return subscription

    def _leave(self, subscription: Subscription) -> Deferred[None]:
        if not self._subscriptions.remove(subscription):
            return succeed(None)
        left: Deferred[None] = Deferred()
        self._leaving.setdefault(subscription.channel, []).append(left)
        self._machine.unwant(subscription.channel)
        self._run()
        return left

    def publish(self, channel: str, data: Any = None, *, ext: Ext | None = None,
                resend: bool = False) -> Deferred[Message]:
        """Publish a value that JSON can hold; fires with the server's reply.

        What is published before the client is connected, or while the connection is lost, waits.  Fails with
        ``PublishRefused`` if the server says no, with ``Uncertain`` if the connection was lost before it has
        said anything: then only you can know whether a second copy does harm.  With ``resend`` it is sent
        again until it is answered, and may arrive twice, unless it is signed: then the server knows the copy.
        Also fails with ``OutboxFull`` and ``Closed``, when it was certainly not sent, and ``BadStatus``, when
        a server or proxy has turned it away.  Cancelling it takes it back if it was not sent yet.

        Raises ``ValueError`` for what is no channel, ``TypeError`` or ``ValueError`` for what is not JSON.
        """
        _check(channel)
        fields = {"data": copy(data)}
        if ext is not None:
            fields["ext"] = copy(ext)
        request = Request(channel, fields, len(encode(fields)), resend)
        if self.state in (State.DISCONNECTING, State.DISCONNECTED):
            return fail(closed(self._reason))
        published: Deferred[Message] = Deferred(lambda _: self._take_back(request))
        self._publishing[request] = published
        self._machine.publish(request)
        self._run()
        return published

    def _take_back(self, request: Request) -> None:
        del self._publishing[request]
        self._machine.take_back(request)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Send all that is published and subscribed to within the ``with`` in one request, in that order."""
        with self._machine.group():
            yield
        self._run()

    # -- how ------------------------------------------------------------------------------------

    def _input(self, method: Callable[..., None], *given: object) -> Callable[..., None]:
        """Make a function that tells the machine of something, and does what it then wants."""

        def put(*arguments: object) -> None:
            method(*given, *arguments)
            self._run()

        return put

    def _run(self) -> None:
        """Do what the machine wants; what that leads to is done afterwards, in order."""
        if self._running:
            return
        self._running = True
        try:
            while effects := self._machine.take():
                for effect in effects:
                    self._do(effect)
        finally:
            self._running = False

    def _do(self, effect: Effect) -> None:
        match effect:
            case Deliver(message):
                self._deliver(message)
            case Send(transport, number, envelope):
                self._transports[transport].send(number, envelope)
            case Start(timer, delay):
                self._stop(timer)
                self._timers[timer] = self._clock.callLater(delay, self._due, timer)
            case Stop(timer):
                self._stop(timer)
            case Settled(request, outcome):
                self._settled(request, outcome)
            case Abort(transport, number):
                self._transports[transport].abort(number)
            case Open(transport):
                self._transports[transport].open()
            case Close(transport):
                self._transports[transport].close()
            case Ask(number):
                self._greet(number)
            case Changed(change):
                self._changed(change)
            case Subscribed(topic):
                for subscription in self._subscriptions.of(topic.name):
                    subscription.ready()
                self._left(topic.name)
            case Left(topic):
                self._left(topic.name)
            case Unsubscribable(topic, reason):
                self._refused(topic.name, reason)
            case Report(error):
                self._report(error)

    def _due(self, timer: Timer) -> None:
        del self._timers[timer]
        self._machine.due(timer)
        self._run()

    def _stop(self, timer: Timer) -> None:
        call = self._timers.pop(timer, None)
        if call is not None:
            call.cancel()

    def _greet(self, number: int) -> None:
        """Find out what the handshake is to carry, at once or later."""
        greet = self._input(self._machine.greet, number)

        def failed(error: Exception) -> None:
            self._machine.cannot_greet(number, error)
            self._run()

        try:
            ext: Any = self._ext() if callable(self._ext) else self._ext
            if is_later(ext):
                later = deferred(ext).addCallback(_checked_ext)
                later.addCallbacks(greet, lambda failure: failed(_exception(failure)))
            else:
                greet(_checked_ext(ext))
        except Exception as error:
            failed(error)

    def _deliver(self, message: Message) -> None:
        event = Event(message["channel"], message["data"], message)
        subscriptions = self._subscriptions.matching(event.channel)
        self.metrics.unclaimed += not subscriptions
        for subscription in subscriptions:
            subscription.take(event)

    def _settled(self, request: Request, outcome: Message | Exception) -> None:
        published = self._publishing.pop(request, None)
        if isinstance(outcome, Exception):
            self.metrics.unpublished[type(outcome).__name__] += 1
            if published is not None:
                published.errback(outcome)
        else:
            self.metrics.published += 1
            if published is not None:
                published.callback(outcome)

    def _left(self, name: str) -> None:
        for left in self._leaving.pop(name, ()):
            left.callback(None)

    def _refused(self, name: str, reason: Exception) -> None:
        for subscription in self._subscriptions.of(name):
            self._subscriptions.remove(subscription)
            if not subscription.end(reason):
                self._report(reason)

    def _changed(self, change: Change) -> None:
        for listener in list(self._on_state):
            try:
                listener(change)
            except Exception as error:
                self._report(error)
        if change.state is State.CONNECTED:
            connecting, self._connecting = self._connecting, []
            for each in connecting:
                each.callback(self)
        elif change.state is State.DISCONNECTED:
            self._reason = change.reason
            for subscription in self._subscriptions:
                subscription.end(change.reason)
            for name in list(self._leaving):
                self._left(name)
            closing = [transport.close() for transport in self._transports.values()]
            # A turn later, when what was aborted has closed too.
            gatherResults(closing).addCallback(lambda _: deferLater(self._clock, 0, self._closed))

    def _closed(self) -> None:
        self._is_closed = True
        if self._shutdown is not None:
            cast(IReactorCore, self._clock).removeSystemEventTrigger(self._shutdown)
        connecting, self._connecting = self._connecting, []
        for each in connecting:
            each.errback(self._reason or closed(None))
        ending, self._ending = self._ending, []
        for ended in ending:
            ended.callback(None)

    def _report(self, error: Exception) -> None:
        self.metrics.errors += 1
        for listener in list(self._on_error):
            try:
                listener(error)
            except Exception:
                self._log.failure("a listener for errors failed")
        if self._on_error:
            return
        if isinstance(error, ClientError):
            self._log.warn("Bayeux client of {url}: {error}", url=self._url, error=error)
        else:
            self._log.failure("Bayeux client of {url}", Failure(error), url=self._url)


def _check(channel: object) -> None:
    """Names are for the server to judge, except those that could not even be meant."""
    if not isinstance(channel, str) or not channel.startswith("/") or is_meta(channel):
        raise ValueError(f"{channel!r} is no channel such as /chat/room1")


def _checked_ext(ext: Any) -> Ext | None:
    """Return what ``ext`` gave, as far as it can be sent; raises ``TypeError`` or ``ValueError``."""
    if ext is None:
        return None
    if not isinstance(ext, Mapping):
        raise TypeError(f"ext has to be a mapping of names to values, not {type(ext).__name__}")
    return cast(Ext, copy(dict(ext)))


def _exception(failure: Failure) -> Exception:
    return failure.value if isinstance(failure.value, Exception) else ClientError(str(failure.value))
