"""The hub: what each message of a client does, and the same for the application that embeds it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast, overload

from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bayeux.admission import Admission
from bayeux.broker import Broker, Subscriber
from bayeux.channels import (
    META_CONNECT,
    META_DISCONNECT,
    META_HANDSHAKE,
    META_SUBSCRIBE,
    META_UNSUBSCRIBE,
    TOKEN_CHANNEL,
    is_meta,
    is_name,
    is_pattern,
    is_reserved,
    is_service,
)
from bayeux.connects import Connects
from bayeux.errors import (
    BayeuxError,
    Denied,
    InvalidChannel,
    MissingClientID,
    MissingField,
    TooBusy,
    UnknownChannel,
    UnknownClient,
)
from bayeux.exchange import Exchange
from bayeux.extensions import Call, Extension, Extensions
from bayeux.extensions.builtin import built_in
from bayeux.failures import Failures
from bayeux.faults import Faults
from bayeux.guard import Guard
from bayeux.handshakes import Handshakes
from bayeux.journal import Witnesses
from bayeux.keys import Key, KeyRing
from bayeux.leases import Leases
from bayeux.messages import Event, Message, Rejected, Reply, encode_data
from bayeux.metrics import Metrics
from bayeux.policy import Policy
from bayeux.results import then
from bayeux.rules import ChannelRule
from bayeux.services import ServiceHandler, Services
from bayeux.session import Link, Release, Session, Stream
from bayeux.sessions import SessionListener, Sessions
from bayeux.settings import Settings
from bayeux.speakers import Speakers
from bayeux.subscriptions import Subscriptions


class Hub:
    """A Bayeux server without a network: messages in, replies and events out.

    ``clock`` and ``wall``, which tells the time of day in seconds since 1970, are all that it knows of time;
    ``settings`` its limits; ``policy`` who may do what.  Raises ``SettingsError`` for a key that cannot
    be read.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, settings: Settings | None = None,
                 policy: Policy | None = None, wall: Callable[[], float] = time.time) -> None:
        self.settings = settings or Settings()
        self.policy = policy or Policy()
        self.metrics = Metrics()
        self.keys = KeyRing(self.settings.read_keys())
        """The keys of signatures and tokens; ``replace_keys`` has others."""
        self.settings.check_keys(self.keys)
        faults = Faults(clock, self.settings.log_interval, self.metrics)
        self._extensions = Extensions(self.settings, self.metrics, faults)
        for extension in built_in(self.settings, clock, wall, self.keys, self.metrics):
            self._extensions.add(extension)
        self.sessions = Sessions(clock, self.settings, self.metrics, self._extensions)
        self.speakers = Speakers(self.sessions, self.settings)
        self._admission = Admission.of(self.settings, self.sessions, clock.seconds)
        self.witnesses: Witnesses = {}
        """Of each kind of refusal whom it has met last, for the log."""
        self._handshakes = Handshakes(self.sessions, self.settings, lambda: self.policy)
        self._failures = Failures(self.sessions, faults, self._handshakes.connection_types, self.witnesses)
        self._connects = Connects(self.sessions, self.settings, self.metrics, self._let_out)
        self.broker = Broker(self.sessions, self.settings, self.metrics, faults)
        self._services = Services(self.sessions, self.settings)
        self._guard = Guard(self.sessions, self.keys, self.settings, self.metrics, self._extensions, wall)
        self._subscriptions = Subscriptions(self.sessions, self.settings, self._guard, lambda: self.policy)
        if self.settings.channel or self.settings.has_keys:
            self.guard()
        self._meta: dict[str, Callable[[Call, Exchange], Reply | Deferred[Reply]]] = {
            META_HANDSHAKE: self._handshakes.answer,
            META_CONNECT: self._connect,
            META_DISCONNECT: self._disconnect,
            META_SUBSCRIBE: self._subscribe,
            META_UNSUBSCRIBE: self._unsubscribe,
        }

    def guard(self, keys: bool = False) -> None:
        """Put the rules of the configuration before the policy, if that has not been done.

        They may be none yet; ``keys``: there are, whatever the settings said at the start.
        """
        if self._guard.access is None:
            self.policy = self._guard.stand_before(self.policy)
        if keys or self.settings.has_keys:
            self._services.replace(TOKEN_CHANNEL, self._guard.watch().refresh)

    @property
    def leases(self) -> Leases | None:
        """What sessions have by tokens and grants; None if there have never been keys."""
        return self._guard.leases

    # -- for the application that embeds it -----------------------------------------------------

    def publish(self, channel: str, data: object, lazy: bool = False) -> int:
        """Publish from the server itself; no policy is asked.  Returns how many clients will get it.

        Raises ``InvalidChannel`` or ``Denied`` for a channel that cannot be published to, ``TypeError``
        or ``ValueError`` for data that JSON cannot hold.
        """
        self._check_name(channel)
        if is_service(channel):
            raise Denied("Forbidden channel", channel)
        return self.broker.publish(self._event(channel, encode_data(data), lazy=lazy), None)

    def subscribe(self, pattern: str, callback: Subscriber) -> None:
        """Call ``callback(channel, data)`` for every event on a channel or pattern.

        It is called once an event, however many of its patterns match; the data is shared with other
        callbacks.  What it publishes comes after the event.  Raises ``InvalidChannel``.
        """
        if not is_pattern(pattern) or is_reserved(pattern) or is_service(pattern):
            raise InvalidChannel(pattern)
        self.broker.subscribe(pattern, callback)

    def unsubscribe(self, pattern: str, callback: Subscriber) -> None:
        """Undo one ``subscribe``; what was not subscribed is no difference."""
        self.broker.unsubscribe(pattern, callback)

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
        self._services.add(channel, handler)
        return handler

    def add_listener(self, listener: SessionListener) -> None:
        """Tell ``listener`` of every session that is added or removed, and why."""
        self.sessions.listeners.append(listener)

    def remove_listener(self, listener: SessionListener) -> None:
        """Undo ``add_listener``."""
        self.sessions.listeners.remove(listener)

    def add_extension(self, extension: Extension) -> None:
        """Have an extension look at the messages of all clients, behind those that are there already."""
        self._extensions.add(extension)

    def remove_extension(self, extension: Extension) -> None:
        """Undo ``add_extension``."""
        self._extensions.remove(extension)

    def replace_keys(self, keys: Iterable[Key], revoked_tokens: Iterable[str] | None = None) -> None:
        """Have these keys from now on, and end what has depended on others (Y-10, Y-19).

        The same goes for the ``jti`` of revoked tokens; None: those that there are.
        """
        self._guard.replace_keys(keys, revoked_tokens)

    def replace_rules(self, rules: Iterable[ChannelRule]) -> None:
        """Have these rules for channels from now on, instead of those of the settings.

        Subscriptions that they forbid end, if the rules before did not forbid them.  Raises ``BadRule``,
        and then nothing has changed.
        """
        rules = tuple(rules)
        if rules:
            self.guard()
        self._guard.replace_rules(rules)
        self.broker.replace_rules(rules)

    def open(self) -> None:
        """Start, or start again after ``close``; a new hub is open."""
        self.sessions.open_again()

    def close(self) -> None:
        """Stop at once: answer every held connect, accept no more (Q-10)."""
        self.sessions.stop_accepting()
        self.sessions.retire(len(self.sessions))

    # -- for transports -------------------------------------------------------------------------

    def receive(self, messages: Sequence[Message | Rejected], link: Link) -> Exchange:
        """Handle one batch, in order (M-12), and return the exchange that will hold its answer.

        Raises ``Flood``, having handled nothing, where messages keep coming beyond their rate (G-17).
        """
        self.metrics.messages += len(messages)
        for message in messages:
            if message.channel == META_HANDSHAKE and isinstance(message, Message):
                messages = [message]  # it alone is processed (H-9)
                break
        if self._admission is not None:
            messages = self._admission.admit(messages, link)
        exchange = Exchange(self.sessions, link, alone=len(messages) == 1)
        waiting = iter(messages)
        for message in waiting:
            outcome = self._handle(message, exchange)
            if type(outcome) is not Reply and isinstance(outcome, Deferred):  # which takes long to find out
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
        if type(message) is Rejected:
            call = Call(Message(message.channel, message.id), exchange.link)
            return self._finish(self._failures.answer(message, message.error, call.link), call, exchange)
        call = Call(message, exchange.link)
        if message.channel != META_HANDSHAKE and message.client_id is not None:
            call.session = self.speakers.find(message, exchange.link, exchange.session)
            if message.channel != META_CONNECT and call.session is not None:
                self._make_way(call.session)
        try:
            waiting = self._extensions.incoming(call)
            outcome = (self._dispatch(call, exchange) if waiting is None
                       else waiting.addCallback(lambda _: self._dispatch(call, exchange)))
        except Exception as error:
            outcome = self._failures.answer(message, error, call.link)
        if type(outcome) is not Reply and isinstance(outcome, Deferred):
            return outcome.addErrback(self._failed_later, call).addCallback(self._finish, call, exchange)
        return self._finish(outcome, call, exchange)

    def _dispatch(self, call: Call, exchange: Exchange) -> Reply | Deferred[Reply]:
        if call.reply is not None:
            return call.reply
        return self._meta.get(call.message.channel, self._publish)(call, exchange)

    def _finish(self, reply: Reply, call: Call, exchange: Exchange) -> Reply | Deferred[Reply]:
        """Let extensions look at a reply, when its time has come."""
        if call.answered is not None:
            call.answered(reply)
        if reply is exchange.connect and exchange.parked:
            return reply  # it does when it is released
        waiting = self._let_out(reply, call)
        return reply if waiting is None else waiting.addCallback(lambda _: reply)

    def _let_out(self, reply: Reply, call: Call) -> Deferred[None] | None:
        """Run the hooks for a reply; one that fails makes it an unsuccessful one (E-32)."""
        try:
            waiting = self._extensions.outgoing(reply, call)
        except Exception as error:
            self._failures.spoil(reply, call, error)
            return None
        return None if waiting is None else waiting.addErrback(
            lambda failure: self._failures.spoil(reply, call, cast(BaseException, failure.value)))

    def _failed_later(self, failure: Failure, call: Call) -> Reply:
        return self._failures.answer(call.message, cast(BaseException, failure.value), call.link)

    def _make_way(self, session: Session) -> None:
        """Release a held connect that keeps the client from seeing the reply to another message (K-15)."""
        if session.link is not None and session.link.serial:
            self.sessions.release(session, Release.MAKE_WAY)

    def _session(self, call: Call, exchange: Exchange) -> Session:
        """Return the session of a message that needs one; from here on the batch speaks for that (I-6)."""
        if call.message.client_id is None:
            raise MissingClientID
        if self.sessions.closed:
            raise TooBusy
        session = call.session
        if session is None or not session.alive:
            raise UnknownClient(call.message.client_id)
        exchange.session = session
        if exchange.link.is_stream and not exchange.is_lost:
            self.sessions.bind(session, cast(Stream, exchange.link))
        return session

    def _connect(self, call: Call, exchange: Exchange) -> Reply:
        """Answer a connect now or, with ``exchange.parked``, later (section 7)."""
        message = call.message
        if self.sessions.closed and call.session is not None and call.session.alive:
            return self._dismiss(call.session, message, exchange)
        session = self._session(call, exchange)
        if exchange.is_lost:  # meanwhile, and its client may be waiting elsewhere
            raise UnknownClient(session.id)
        if message.connection_type is None:
            self.sessions.touch(session)
            raise MissingField("connectionType")
        if not self._handshakes.has(message.connection_type):
            self.sessions.touch(session)
            raise BayeuxError(301, "Connection types not supported", message.connection_type)
        return self._connects.answer(call, exchange, session)

    def _dismiss(self, session: Session, message: Message, exchange: Exchange) -> Reply:
        """Answer whoever has not been told yet that the server stops, with what is queued (Q-10)."""
        session.cycle += 1
        exchange.session, exchange.cycle = session, session.cycle
        exchange.connect = Reply(META_CONNECT, True, id=message.id, client_id=session.id)
        self.sessions.remove(session, "shutdown", Release.SHUTDOWN)
        return exchange.connect

    def _disconnect(self, call: Call, exchange: Exchange) -> Reply:
        """End a session by its client's wish (section 8)."""
        session = self._session(call, exchange)
        self.sessions.remove(session, "disconnect", Release.DISCONNECTED)
        return Reply(META_DISCONNECT, True, id=call.message.id, client_id=session.id)

    def _subscribe(self, call: Call, exchange: Exchange) -> Reply | Deferred[Reply]:
        """Subscribe to all of the channels named, or to none (section 9)."""
        return self._subscriptions.subscribe(call, self._speaking(call, exchange))

    def _unsubscribe(self, call: Call, exchange: Exchange) -> Reply:
        """Undo subscriptions, literally those named (S-8, S-9)."""
        return self._subscriptions.unsubscribe(call.message, self._speaking(call, exchange))

    def _publish(self, call: Call, exchange: Exchange) -> Reply | Deferred[Reply]:
        """Publish, or have a service answer (sections 10 and 11)."""
        message, channel = call.message, call.message.channel
        if is_meta(channel) and channel != "/meta":
            raise UnknownChannel(channel)
        session = None if message.client_id is None else self._speaking(call, exchange)
        self._check_name(channel)
        if message.data is UNSET:
            raise MissingField("data")

        def publish(allowed: bool) -> Reply | Deferred[Reply]:
            if not allowed:
                raise Denied("Publish denied", channel)
            if session is not None and not session.alive:
                raise UnknownClient(session.id)  # it left while the policy thought
            if is_service(channel):
                return self._services.answer(call, session)
            event = self._event(channel, bytes(cast(Any, message.data)), call)
            reached = self.broker.publish(event, session)
            reply = Reply(channel, True, id=message.id)
            if exchange.link.tells_reach:
                reply.extend("reached", reached)
            return reply

        return then(self.policy.can_publish(session, channel, message, exchange.link), publish)

    # -- what they have in common ---------------------------------------------------------------

    def _event(self, channel: str, data: bytes, call: Call | None = None, lazy: bool = False) -> Event:
        """Make the event of a publish; unless it is lazy by itself its channel may be (D-12)."""
        wait = self.settings.max_lazy_timeout if lazy else self.broker.laziness(channel)
        event = Event(channel, data, wait or None)
        self._extensions.publishing(event, call)
        return event

    def _speaking(self, call: Call, exchange: Exchange) -> Session:
        """Return the session of a message other than connect, which is a sign of life (Q-3)."""
        session = self._session(call, exchange)
        self.sessions.touch(session)
        return session

    def _check_name(self, channel: str) -> None:
        """Raise unless a channel can be published to (P-5, C-16)."""
        limit = self.settings.exceeded_by(channel)
        if limit or not is_name(channel):
            raise InvalidChannel(channel, limit)
        if is_reserved(channel):
            raise Denied("Forbidden channel", channel)
