"""The hub: what each message of a client does, and the same for the application that embeds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, cast, overload

from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bayeux.broker import Broker, Subscriber
from bayeux.channels import (
    META_CONNECT,
    META_DISCONNECT,
    META_HANDSHAKE,
    META_SUBSCRIBE,
    META_UNSUBSCRIBE,
    is_meta,
    is_name,
    is_pattern,
    is_reserved,
    is_service,
)
from bayeux.errors import (
    BayeuxError,
    Denied,
    InternalError,
    InvalidChannel,
    MissingClientID,
    MissingField,
    TooBusy,
    TooMany,
    UnknownChannel,
    UnknownClient,
)
from bayeux.exchange import Exchange
from bayeux.messages import Advice, Event, Message, Rejected, Reply, decode_data, encode_data
from bayeux.metrics import Metrics
from bayeux.policy import Policy
from bayeux.results import deferred, is_later, then
from bayeux.session import Link, Release, Session, State
from bayeux.sessions import SessionListener, Sessions
from bayeux.settings import Settings
from bayeux.versions import VERSION, check_version

ServiceHandler = Callable[[Session, Any], object]
"""An application's handler of a service channel: it is given the session and the data, and may return
an answer, a Deferred of one, or a coroutine."""

_DRAFT_TYPES = ("long-polling-json-encoded", "long-polling-form-encoded")
"""dojox.cometd's names for what is plain long-polling (K-5)."""


class Hub:
    """A Bayeux server without a network: messages in, replies and events out.

    ``clock`` is all that it knows of time; ``settings`` its limits; ``policy`` who may do what.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, settings: Settings | None = None,
                 policy: Policy | None = None) -> None:
        self.settings = settings or Settings()
        self.policy = policy or Policy()
        self.metrics = Metrics()
        self._connection_types = _advertised(self.settings)
        self.sessions = Sessions(clock, self.settings, self.metrics)
        self._broker = Broker(self.sessions, self.settings, self.metrics)
        self._services: dict[str, ServiceHandler] = {}
        self._meta: dict[str, Callable[[Message, Exchange], Reply | Deferred[Reply]]] = {
            META_HANDSHAKE: self._handshake,
            META_CONNECT: self._connect,
            META_DISCONNECT: self._disconnect,
            META_SUBSCRIBE: self._subscribe,
            META_UNSUBSCRIBE: self._unsubscribe,
        }

    # -- for the application that embeds it -----------------------------------------------------

    def publish(self, channel: str, data: object, lazy: bool = False) -> int:
        """Publish from the server itself; no policy is asked.  Returns how many clients will get it.

        Raises ``InvalidChannel`` or ``Denied`` for a channel that cannot be published to, ``TypeError``
        or ``ValueError`` for data that JSON cannot hold.
        """
        self._check_name(channel)
        if is_service(channel):
            raise Denied("Forbidden channel", channel)
        delay = self.settings.max_lazy_timeout if lazy else None
        return self._broker.publish(channel, encode_data(data), delay, None)

    def subscribe(self, pattern: str, callback: Subscriber) -> None:
        """Call ``callback(channel, data)`` for every event on a channel or pattern.

        It is called once an event, however many of its patterns match; the data is shared with other
        callbacks.  What it publishes comes after the event.  Raises ``InvalidChannel``.
        """
        if not is_pattern(pattern) or is_reserved(pattern) or is_service(pattern):
            raise InvalidChannel(pattern)
        self._broker.subscribe(pattern, callback)

    def unsubscribe(self, pattern: str, callback: Subscriber) -> None:
        """Undo one ``subscribe``; what was not subscribed is no difference."""
        self._broker.unsubscribe(pattern, callback)

    @overload
    def service(self, channel: str, handler: ServiceHandler) -> ServiceHandler: ...
    @overload
    def service(self, channel: str) -> Callable[[ServiceHandler], ServiceHandler]: ...
    def service(self, channel: str, handler: ServiceHandler | None = None) -> Any:
        """Have ``handler(session, data)`` answer messages to ``/service/...`` (section 11); or decorate it.

        What it returns, if not None, goes to that client alone, as an event on the same channel.  A
        ``BayeuxError`` that it raises is told to the client, any other exception is ``500::`` and
        logged.  Raises ``InvalidChannel`` unless the channel is a name under ``/service/``, and
        ``ValueError`` where one has a handler already.
        """
        if handler is None:
            return lambda decorated: self.service(channel, decorated)
        if not is_name(channel) or not is_service(channel):
            raise InvalidChannel(channel)
        if channel in self._services:
            raise ValueError(f"{channel} has a handler already")
        self._services[channel] = handler
        return handler

    def add_listener(self, listener: SessionListener) -> None:
        """Tell ``listener`` of every session that is added or removed, and why."""
        self.sessions.listeners.append(listener)

    def remove_listener(self, listener: SessionListener) -> None:
        """Undo ``add_listener``."""
        self.sessions.listeners.remove(listener)

    def open(self) -> None:
        """Start, or start again after ``close``; a new hub is open."""
        self.sessions.closed = False

    def close(self) -> None:
        """Stop: answer every held connect, accept no more (Q-10)."""
        self.sessions.close()

    # -- for transports -------------------------------------------------------------------------

    def receive(self, messages: Sequence[Message | Rejected], link: Link) -> Exchange:
        """Handle one batch, in order (M-12), and return the exchange that will hold its answer."""
        self.metrics.messages += len(messages)
        for message in messages:
            if message.channel == META_HANDSHAKE and isinstance(message, Message):
                messages = [message]  # it alone is processed (H-9)
                break
        exchange = Exchange(self.sessions, link, alone=len(messages) == 1)
        waiting = iter(messages)
        for message in waiting:
            outcome = self._handle(message, exchange)
            if isinstance(outcome, Deferred):
                exchange.pending = Deferred.fromCoroutine(self._resume(outcome, waiting, exchange))
                break
            exchange.replies.append(outcome)
        return exchange

    async def _resume(self, outcome: Reply | Deferred[Reply], waiting: Iterator[Message | Rejected],
                      exchange: Exchange) -> None:
        """Go on with a batch in which the application has to be waited for."""
        while True:
            exchange.replies.append(await outcome if isinstance(outcome, Deferred) else outcome)
            message = next(waiting, None)
            if message is None:
                break
            outcome = self._handle(message, exchange)
        if exchange.is_lost:
            exchange.lost()  # again, as a connect may have been answered since

    # -- messages -------------------------------------------------------------------------------

    def _handle(self, message: Message | Rejected, exchange: Exchange) -> Reply | Deferred[Reply]:
        """Answer one message, whatever happens: here errors become replies (E-32)."""
        if isinstance(message, Rejected):
            return self._failed(message, message.error)
        if message.channel != META_CONNECT and message.client_id is not None:
            self._make_way(message.client_id)
        try:
            outcome = self._meta.get(message.channel, self._publish)(message, exchange)
        except Exception as error:
            return self._failed(message, error)
        if isinstance(outcome, Deferred):
            return outcome.addErrback(self._failed_later, message)
        return outcome

    def _failed_later(self, failure: Failure, message: Message) -> Reply:
        return self._failed(message, cast(BaseException, failure.value))

    def _failed(self, message: Message | Rejected, error: BaseException) -> Reply:
        if not isinstance(error, BayeuxError):
            self.metrics.application_errors += 1
            self._log.failure("a handler failed on {channel!r}", Failure(error),
                              channel=message.channel[:64])
            error = InternalError()
        reply = Reply(message.channel, False, id=message.id, error=str(self.sessions.failed(error)))
        if message.channel == META_HANDSHAKE:
            reply.version = reply.minimum_version = VERSION
            reply.supported_connection_types = self._connection_types
            # Whoever may try again must not do so in a tight loop (H-12, H-13).
            reply.advice = (Advice("handshake", self.sessions.spread(least=1.0))
                            if error.code >= 429 else self.sessions.advice("none"))
        elif message.channel == META_CONNECT:
            if isinstance(error, UnknownClient | MissingClientID):
                reply.advice = Advice("handshake", 0)  # K-4
            elif isinstance(error, TooBusy):
                reply.advice = Advice("handshake", self.sessions.spread())
            else:
                reply.advice = self.sessions.advice("retry")
        elif message.channel in (META_SUBSCRIBE, META_UNSUBSCRIBE) and isinstance(message, Message) and (
            message.subscription is not None
        ):
            reply.subscription = message.subscription
        return reply

    def _make_way(self, client_id: str) -> None:
        """Release a held connect that keeps the client from seeing the reply to another message (K-15)."""
        session = self.sessions.get(client_id)
        if session is not None and session.link is not None and session.link.serial:
            self.sessions.release(session, Release.MAKE_WAY)

    def _session(self, message: Message, exchange: Exchange) -> Session:
        """Find the session that a message speaks for, if it may (I-3, I-6, B-2)."""
        client_id = message.client_id
        if client_id is None:
            raise MissingClientID
        if self.sessions.closed:
            raise TooBusy
        session = self.sessions.get(client_id)
        if session is None or session is not (exchange.session or session):
            raise UnknownClient(client_id)
        if session.browser_id is not None and session.browser_id != exchange.link.browser_id and (
            exchange.link.browser_id is not None or self.settings.require_browser_cookie
        ):
            raise UnknownClient(client_id)
        exchange.session = session
        return session

    def _handshake(self, message: Message, exchange: Exchange) -> Reply | Deferred[Reply]:
        """Create a session (section 6)."""
        if message.version is None:
            raise MissingField("version")
        check_version(message.version, message.minimum_version)
        offered = message.supported_connection_types
        if offered is None:
            if not self.settings.legacy_clients:
                raise MissingField("supportedConnectionTypes")
            offered = (exchange.link.connection_type,)  # H-6
        if not any(self._enabled(name) for name in offered):
            raise BayeuxError(301, "Connection types not supported", *offered)

        def opened(allowed: bool) -> Reply:
            if not allowed:
                raise Denied("Handshake denied")
            exchange.session = session = self.sessions.open(exchange.link)
            exchange.opened = True
            return Reply(
                META_HANDSHAKE, True, id=message.id, client_id=session.id,
                version=VERSION, minimum_version=VERSION,
                supported_connection_types=self._connection_types,
                advice=self.sessions.advice("retry"),
            )

        return then(self.policy.can_handshake(message, exchange.link), opened)

    def _connect(self, message: Message, exchange: Exchange) -> Reply:
        """Answer a connect now or, with ``exchange.parked``, later (section 7)."""
        session = self._session(message, exchange)
        if message.connection_type is None:
            self.sessions.touch(session)
            raise MissingField("connectionType")
        if not self._enabled(message.connection_type):
            self.sessions.touch(session)
            raise BayeuxError(301, "Connection types not supported", message.connection_type)
        first = session.state is State.HANDSHAKEN
        superseded = self.sessions.connecting(session)
        wait = self._read_wishes(message, session)
        exchange.connect = reply = Reply(
            META_CONNECT, True, id=message.id, client_id=session.id,
            advice=self.sessions.advice("retry"),
        )
        if first or not exchange.alone or wait <= 0 or session.urgent:  # K-6, K-8, K-9, K-10
            pass
        elif self.sessions.crowded(session):
            self._turn_away(session, reply)
        elif self.sessions.full(session):
            self._put_off(session, reply)
        else:
            exchange.parked = self.sessions.hold(session, exchange.link, wait)
            exchange.parked.addCallback(exchange.note)
        if superseded is not None:
            superseded.callback(Release.SUPERSEDED)
        return reply

    def _read_wishes(self, message: Message, session: Session) -> float:
        """Return how long a connect may be held; both that and the interval are for this cycle (K-8)."""
        wait, interval = self.settings.timeout, self.settings.interval
        if message.advice is not UNSET:
            asked = message.advised("timeout")
            wait = wait if asked is None else min(wait, asked)
            asked = message.advised("interval")
            interval = interval if asked is None else min(asked, self.settings.max_client_interval)
        session.grace = interval + self.settings.max_interval
        return wait

    def _put_off(self, session: Session, reply: Reply) -> None:
        """Answer a connect at once, to be repeated after a while (B-4, G-14)."""
        pause = max(1.0, self.settings.multi_session_interval)
        session.grace = pause + self.settings.max_interval
        reply.advice = self.sessions.advice("retry", pause)

    def _turn_away(self, session: Session, reply: Reply) -> None:
        """Answer a connect of a browser that has as many held as it may (B-4)."""
        if self.settings.multi_session_interval > 0:
            self._put_off(session, reply)
        else:
            reply.successful = False
            reply.error = str(self.sessions.failed(Denied("Too many sessions in one browser")))
            reply.advice = self.sessions.advice("none")
        cast(Advice, reply.advice).multiple_clients = True

    def _disconnect(self, message: Message, exchange: Exchange) -> Reply:
        """End a session by its client's wish (section 8)."""
        session = self._session(message, exchange)
        self.sessions.remove(session, "disconnect", Release.DISCONNECTED)
        return Reply(META_DISCONNECT, True, id=message.id, client_id=session.id)

    def _subscribe(self, message: Message, exchange: Exchange) -> Reply | Deferred[Reply]:
        """Subscribe to all of the channels named, or to none (section 9)."""
        session = self._speaking(message, exchange)
        wanted = [pattern for pattern in self._patterns(message) if not is_service(pattern)]
        asking = iter(wanted)

        def ask(_: object = None) -> Reply | Deferred[Reply]:
            for pattern in asking:
                verdict = self.policy.can_subscribe(session, pattern, message)
                if verdict is True:
                    continue
                if is_later(verdict):
                    waiting = deferred(cast("Awaitable[bool]", verdict))
                    return waiting.addCallback(self._permitted, pattern).addCallback(ask)
                self._permitted(bool(verdict), pattern)
            return apply()

        def apply() -> Reply:
            if not session.alive:
                raise UnknownClient(session.id)
            fresh = list(dict.fromkeys(p for p in wanted if p not in session.subscriptions))
            room = self.settings.max_subscriptions - len(session.subscriptions)
            if len(fresh) > room:
                raise Denied("Too many subscriptions", fresh[room])
            if not self.sessions.room_for(fresh):
                raise TooBusy
            for pattern in fresh:
                self.sessions.subscribe(session, pattern)
            return self._subscription_reply(message, session)

        return ask()

    def _permitted(self, verdict: bool, pattern: str) -> None:
        if not verdict:
            raise Denied("Subscription denied", pattern)

    def _unsubscribe(self, message: Message, exchange: Exchange) -> Reply:
        """Undo subscriptions, literally those named (S-8, S-9)."""
        session = self._speaking(message, exchange)
        for pattern in self._patterns(message):
            self.sessions.unsubscribe(session, pattern)
        return self._subscription_reply(message, session)

    def _subscription_reply(self, message: Message, session: Session) -> Reply:
        assert message.subscription is not None
        return Reply(message.channel, True, id=message.id, client_id=session.id,
                     subscription=message.subscription)

    def _publish(self, message: Message, exchange: Exchange) -> Reply | Deferred[Reply]:
        """Publish, or have a service answer (sections 10 and 11)."""
        channel = message.channel
        if is_meta(channel) and channel != "/meta":
            raise UnknownChannel(channel)
        session = None if message.client_id is None else self._speaking(message, exchange)
        self._check_name(channel)
        if message.data is UNSET:
            raise MissingField("data")

        def publish(allowed: bool) -> Reply | Deferred[Reply]:
            if not allowed:
                raise Denied("Publish denied", channel)
            if session is not None and not session.alive:
                raise UnknownClient(session.id)  # it left while the policy thought
            if is_service(channel):
                return self._serve(message, session)
            self._broker.publish(channel, bytes(cast(Any, message.data)), None, session)
            return Reply(channel, True, id=message.id)

        return then(self.policy.can_publish(session, channel, message, exchange.link), publish)

    def _serve(self, message: Message, session: Session | None) -> Reply | Deferred[Reply]:
        """Have the application answer a message to a service channel (V-1 to V-5)."""
        if session is None:
            raise MissingClientID
        channel = message.channel
        handler = self._services.get(channel)

        def answered(answer: object) -> Reply:
            if answer is not None:
                identity = message.id if self.settings.service_answer_id else UNSET
                event = Event(channel, encode_data(answer), message_id=identity)
                self.sessions.deliver(session, event)
            return Reply(channel, True, id=message.id)

        if handler is None:
            return answered(None)
        return then(handler(session, decode_data(cast(Any, message.data))), answered)

    # -- what they have in common ---------------------------------------------------------------

    def _speaking(self, message: Message, exchange: Exchange) -> Session:
        """Find the session of a message other than connect, which is a sign of life (Q-3)."""
        session = self._session(message, exchange)
        self.sessions.touch(session)
        return session

    def _patterns(self, message: Message) -> tuple[str, ...]:
        """Read and check what is to be subscribed or unsubscribed (S-1, S-3, S-5)."""
        patterns = message.subscription
        if not patterns:
            if patterns == "":
                raise InvalidChannel("")
            raise MissingField("subscription")
        if isinstance(patterns, str):
            patterns = (patterns,)
        if len(patterns) > self.settings.max_subscribe:
            raise TooMany
        for pattern in patterns:
            if not self._is_short(pattern) or not is_pattern(pattern):
                raise InvalidChannel(pattern)
            if is_reserved(pattern):
                raise Denied("Forbidden channel", pattern)
        return patterns

    def _check_name(self, channel: str) -> None:
        """Raise unless a channel can be published to (P-5, C-16)."""
        if not self._is_short(channel) or not is_name(channel):
            raise InvalidChannel(channel)
        if is_reserved(channel):
            raise Denied("Forbidden channel", channel)

    def _is_short(self, channel: str) -> bool:
        return (len(channel) <= self.settings.max_channel
                and channel.count("/") <= self.settings.max_segments)

    def _enabled(self, connection_type: str) -> bool:
        return connection_type in self._connection_types or connection_type in _DRAFT_TYPES


def _advertised(settings: Settings) -> tuple[str, ...]:
    """Return what a handshake says that the server supports (H-4).

    Faye's name for long-polling by CORS is among it where pages of other origins are allowed (F-1).
    """
    if not settings.allowed_origins:
        return settings.connection_types
    polling = settings.connection_types.index("long-polling") + 1
    return (*settings.connection_types[:polling], "cross-origin-long-polling",
            *settings.connection_types[polling:])
