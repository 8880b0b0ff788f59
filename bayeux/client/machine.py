"""The protocol of a client without any input or output: what comes goes in, what is to be done comes out."""

from __future__ import annotations

import random as _random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any

from bayeux.channels import META_CONNECT, META_DISCONNECT, META_HANDSHAKE, is_meta
from bayeux.client.acks import Acks, answers_a_connect
from bayeux.client.advice import HANDSHAKE, NONE, RETRY, Advice
from bayeux.client.backoff import Backoff
from bayeux.client.effects import Ask, Changed, Close, Deliver, Effect, Open, Report, Start, Stop, Timer
from bayeux.client.envelopes import Message
from bayeux.client.errors import (
    BadStatus,
    ConnectionFailed,
    HandshakeRefused,
    NoAnswer,
    NoCommonTransport,
    SessionEnded,
    TooMuch,
    TransportError,
)
from bayeux.client.exchanges import Carrier, Exchange, Exchanges, Purpose
from bayeux.client.extensions import ClientExtension, ClientExtensions
from bayeux.client.metrics import ClientMetrics
from bayeux.client.outbox import Request
from bayeux.client.settings import ClientSettings
from bayeux.client.states import TALKING, TRANSITIONS, Change, State, Step
from bayeux.client.talk import RETRY_TALK, RETRY_TOPICS, Sign, Talk
from bayeux.client.topics import Topic

VERSION = "1.0"
_SUPERSEDED = 409
_RETRY: Timer = ("dialogue", "retry")
_UPGRADE: Timer = ("upgrade", "retry")
_FLUSH: Timer = ("talk", "flush")
_LEAVE: Timer = ("leave", "timeout")
_ALIVE = frozenset({State.CONNECTING, State.CONNECTED, State.RECONNECTING})
"""Where there is a session, and it is to be kept."""


class Phase(Enum):
    """How far the next handshake or connect has come."""

    RESTING = auto()
    OPENING = auto()
    """The transport is being opened."""
    ASKING = auto()
    """The application is asked for the ``ext`` of a handshake."""
    SPEAKING = auto()


class Machine:
    """A client's side of the protocol.

    Call a method for whatever happens, then carry out what ``take`` returns, in that order.  ``transports``
    are names, each with whether it is a stream, in the order of preference.  At any time one handshake or
    connect is under way, waits for its time, or waits for its transport; if one transport fails the next is
    tried, and when none is left there is a pause.
    """

    def __init__(self, transports: Sequence[tuple[str, bool]], settings: ClientSettings | None = None, *,
                 ack: bool = True, extensions: Iterable[ClientExtension] = (), sign: Sign | None = None,
                 random: Callable[[], float] = _random.random, metrics: ClientMetrics | None = None) -> None:
        settings = self._settings = settings or ClientSettings()
        self._metrics = metrics or ClientMetrics()
        self.state = State.UNCONNECTED
        self.session: str | None = None
        """The clientId."""
        self.advice = Advice()
        self.last_failure: Exception | None = None
        """What has last gone wrong with a handshake or connect."""
        self._effects: list[Effect] = []
        self._timers: set[Timer] = set()
        self._carriers = [Carrier(name, is_stream) for name, is_stream in transports]
        self._common = self._carriers
        self._carrier = self._carriers[0]
        self._known: Carrier | None = None
        """The one by which the last connect of this session was answered."""
        self._moved_from: Carrier | None = None
        self._round: list[Carrier] = []
        """Those that are still to be tried before there is a pause."""
        self._all_lasting = True
        self._phase = Phase.RESTING
        self._dialogue: Exchange | None = None
        self._held = False
        """Whether the server may hold the connect that is under way."""
        self._patient = False
        self._asked = 0
        self._ever_greeted = False
        self._refusals = 0
        self._backoff = Backoff(settings.first_backoff, settings.max_backoff, random)
        self._forgotten_backoff = Backoff(settings.first_backoff, settings.max_backoff, random)
        self._upgrade_backoff = Backoff(settings.first_backoff, settings.max_upgrade_backoff, random)
        self._acks = Acks(ack)
        self._extensions = ClientExtensions(extensions, lambda error: self._emit(Report(error)))
        self._exchanges = Exchanges(self._extensions, self._emit)
        self._talk = Talk(settings, self._exchanges, sign,
                          Backoff(settings.first_backoff, settings.max_backoff, random), self._emit)

    @property
    def transport(self) -> str:
        """Return the name of the transport in use, or tried."""
        return self._carrier.name

    @property
    def outbox_size(self) -> int:
        """Return how many messages wait to be sent."""
        return len(self._talk.outbox)

    def take(self) -> list[Effect]:
        """Return what is to be done now."""
        effects, self._effects = self._effects, []
        return effects

    def _emit(self, effect: Effect) -> None:
        if isinstance(effect, Start):
            self._timers.add(effect.timer)
        elif isinstance(effect, Stop):
            if effect.timer not in self._timers:
                return
            self._timers.remove(effect.timer)
        self._effects.append(effect)

    def _step(self, step: Step, reason: Exception | None = None) -> None:
        previous, self.state = self.state, TRANSITIONS[self.state, step]
        if self.state is not previous:
            self._emit(Changed(Change(self.state, previous, reason)))

    def _note(self, failure: Exception) -> None:
        self.last_failure = failure
        self._metrics.failures[type(failure).__name__] += 1

    # -- what the application wants -------------------------------------------------------------

    def start(self) -> None:
        """Connect."""
        self._step(Step.START)
        self._begin()

    def leave(self) -> None:
        """Tell the server, and end."""
        if self.state in _ALIVE:
            self._step(Step.LEAVE)
            self._emit(Stop(_RETRY))
            self._emit(Stop(_UPGRADE))
            self._emit(Start(_LEAVE, self._settings.leave_timeout))
            self._talk.leave()
            self._say_farewell()
        elif self.state in (State.UNCONNECTED, State.HANDSHAKING):
            self._end(None)

    def _say_farewell(self) -> None:
        """Send what is left by whatever works; a transport is not opened for that."""
        if not self._carrier.is_usable:
            usable = [carrier for carrier in self._common if carrier.is_usable]
            if not usable:
                self._end(None)
                return
            self._carrier = usable[0]
        self._pump()

    def publish(self, request: Request) -> None:
        """Send a message, when there is a session and a way to the server."""
        self._talk.publish(request)
        self._flush_soon()

    def take_back(self, request: Request) -> None:
        """Not send a message, if it was not sent yet."""
        self._talk.outbox.remove([request])

    @contextmanager
    def group(self) -> Iterator[None]:
        """Send everything that is asked for meanwhile in one envelope."""
        with self._talk.outbox.group():
            yield
        self._flush_soon()

    def want(self, name: str) -> Topic:
        """Be subscribed to a channel or pattern from now on."""
        return self._settle(self._talk.topics.want(name))

    def unwant(self, name: str) -> Topic:
        """Not be subscribed any more."""
        return self._settle(self._talk.topics.unwant(name))

    def _settle(self, topic: Topic) -> Topic:
        if self.state in _ALIVE:
            self._talk.settle(topic)
            self._flush_soon()
        elif not topic.wanted:
            self._talk.drop(topic)
        return topic

    def _flush_soon(self) -> None:
        """Send at the end of the turn: more may follow in it."""
        if _FLUSH not in self._timers:
            self._emit(Start(_FLUSH, 0.0))

    def _pump(self) -> None:
        if self.state in TALKING and self.session is not None and self._carrier.is_usable:
            self._talk.pump(self._carrier, self.session)

    # -- time -----------------------------------------------------------------------------------

    def due(self, timer: Timer) -> None:
        """Do what a timer was for."""
        self._timers.discard(timer)
        kind, which = timer
        if kind == "exchange":
            self._expired(int(which))
        elif kind == "open":
            self._emit(Close(str(which)))
            self.lost(str(which), NoAnswer(f"a {which} could not be opened in time"))
        elif timer == _RETRY:
            self._begin()
        elif timer == _UPGRADE:
            self._upgrade()
        elif timer == _LEAVE:
            self._end(None)
        else:
            if timer == RETRY_TALK:
                self._talk.resume()
            elif timer == RETRY_TOPICS and self.state in _ALIVE:
                self._talk.retry_topics()
            self._pump()

    def _expired(self, number: int) -> None:
        exchange = self._exchanges.find(number)
        if exchange is None:
            return
        reason = NoAnswer("the server has not answered in time")
        if exchange is self._dialogue and not self._held:
            self._patient = True  # a server may hold every connect, whatever it is asked
        if exchange.carrier.is_stream:
            self._emit(Close(exchange.carrier.name))
            self.lost(exchange.carrier.name, reason)
        else:
            self._exchanges.abort(exchange)
            self._failed(exchange, reason)

    # -- transports -----------------------------------------------------------------------------

    def _named(self, name: str) -> Carrier:
        return next(carrier for carrier in self._carriers if carrier.name == name)

    def _open(self, carrier: Carrier) -> None:
        if not carrier.is_opening:
            carrier.is_opening = True
            self._emit(Start(("open", carrier.name), self._settings.open_timeout))
            self._emit(Open(carrier.name))

    def opened(self, name: str) -> None:
        """Go on with a transport that is open."""
        carrier = self._named(name)
        self._emit(Stop(("open", name)))
        carrier.is_opening, carrier.is_open = False, True
        if carrier is self._carrier and self._phase is Phase.OPENING:
            self._speak()
        elif carrier is not self._carrier and self.state is State.CONNECTED:
            self._move(carrier)
        self._pump()

    def lost(self, name: str, reason: TransportError) -> None:
        """Go on without a transport that could not be opened, or has closed."""
        carrier = self._named(name)
        self._emit(Stop(("open", name)))
        carrier.is_opening = carrier.is_open = False
        for exchange in sorted(self._exchanges.by(carrier), key=lambda each: each is self._dialogue):
            self._failed(exchange, reason)
        if carrier is self._carrier and self._phase in (Phase.OPENING, Phase.ASKING):
            self._try_failed(reason)
        elif self.state is State.CONNECTED:
            self._upgrade_later()
        elif self.state is State.DISCONNECTING:
            self._say_farewell()

    def _upgrade_later(self) -> None:
        """Try a better transport in a while, beside the one that works."""
        if self._carrier is not self._common[0] and _UPGRADE not in self._timers:
            self._emit(Start(_UPGRADE, self._upgrade_backoff.next()))

    def _upgrade(self) -> None:
        best = self._common[0]
        if self.state is State.CONNECTED and self._carrier is not best:
            if best.is_usable:
                self._move(best)
            else:
                self._open(best)

    def _move(self, carrier: Carrier) -> None:
        """Go on by a better transport, with the same session.

        The connect that is held by the other one is not waited for.  Its answer, which may have events, is
        still welcome, unless they come again anyway.
        """
        self._moved_from, self._carrier = self._carrier, carrier
        if self._phase is Phase.SPEAKING and self._dialogue is not None:
            stale, self._dialogue = self._dialogue, None
            if self._acks.agreed:
                self._exchanges.abort(stale)
            self._round = [other for other in self._common if other is not carrier]
            self._speak()

    def _move_back(self) -> None:
        """Return to the transport before, as the session is not accepted by this one: perhaps for cookies."""
        carrier, self._moved_from = self._moved_from, None
        assert carrier is not None
        refused, self._carrier = self._carrier, carrier
        if refused.is_stream:
            self._emit(Close(refused.name))
            self.lost(refused.name, ConnectionFailed("the session is not accepted there"))
        self._upgrade_later()
        self._rest(0.0)

    # -- handshake and connect ------------------------------------------------------------------

    def _rest(self, delay: float) -> None:
        self._phase = Phase.RESTING
        if delay > 0:
            self._emit(Start(_RETRY, delay))
        else:
            self._begin()

    def _begin(self) -> None:
        """Try to shake hands, or to connect, by one transport after the other."""
        if self.state is State.HANDSHAKING:
            self._round = list(self._carriers)
        else:
            self._round = [self._carrier, *(each for each in self._common if each is not self._carrier)]
        self._all_lasting = True
        self._next()

    def _next(self) -> None:
        self._carrier = self._round.pop(0)
        if self._carrier.is_usable:
            self._speak()
        else:
            self._phase = Phase.OPENING
            self._open(self._carrier)

    def _speak(self) -> None:
        if self.state is State.HANDSHAKING:
            self._phase = Phase.ASKING
            self._asked += 1
            self._emit(Ask(self._asked))
        else:
            self._phase = Phase.SPEAKING
            self._connect()

    def greet(self, number: int, ext: Message | None) -> None:
        """Shake hands, with the ``ext`` that was asked for under a number."""
        if number != self._asked or self._phase is not Phase.ASKING or self.state is not State.HANDSHAKING:
            return
        message: Message = {"channel": META_HANDSHAKE, "version": VERSION, "minimumVersion": VERSION,
                            "supportedConnectionTypes": [carrier.name for carrier in self._carriers]}
        if ext:
            message["ext"] = dict(ext)
        self._acks.ask(message)
        self._phase = Phase.SPEAKING
        self._send(Purpose.HANDSHAKE, message, self._settings.network_delay)

    def cannot_greet(self, number: int, error: Exception) -> None:
        """Try again later, as the application could not say what a handshake needs."""
        if number == self._asked and self._phase is Phase.ASKING and self.state is State.HANDSHAKING:
            self._note(error)
            self._emit(Report(error))
            self._rest(self._backoff.next())

    def _connect(self) -> None:
        self._held = self._carrier is self._known and self.state is State.CONNECTED
        message: Message = {"channel": META_CONNECT, "clientId": self.session,
                            "connectionType": self._carrier.name}
        if not self._held:  # or it would not be known for long whether this transport works
            message["advice"] = {"timeout": 0}
        self._acks.stamp(message)
        hold = self.advice.timeout if self._held or self._patient else 0.0
        self._send(Purpose.CONNECT, message, hold + self._settings.network_delay)

    def _send(self, purpose: Purpose, message: Message, timeout: float) -> None:
        messages = [(Request(message["channel"]), message)]
        self._dialogue = self._exchanges.send(purpose, self._carrier, messages, self.session, timeout)

    def _try_failed(self, reason: TransportError) -> None:
        """Go on after a handshake or connect that has not been answered."""
        self._note(reason)
        self._dialogue = None
        handshaking = self.state is State.HANDSHAKING
        held = self._held and self._phase is Phase.SPEAKING and not handshaking
        self._phase = Phase.RESTING
        self._metrics.losses += self.state is State.CONNECTED
        self._all_lasting &= reason.is_lasting
        if not handshaking and isinstance(reason, TooMuch):  # it would come again and again
            self._emit(Report(reason))
            self._forget_session(reason, self._backoff.next())
            return
        superseded = isinstance(reason, BadStatus) and reason.status == _SUPERSEDED
        if not handshaking and not superseded:  # else the server holds a newer one of ours: nothing is wrong
            self._step(Step.FAILED, reason)
        if self._round and not held and not superseded:
            self._next()
        elif handshaking and self._all_lasting and not self._ever_greeted:
            self._end(reason)
        else:
            self._rest(max(self.advice.interval, self._backoff.next()))

    # -- answers --------------------------------------------------------------------------------

    def received(self, name: str, messages: Sequence[Any]) -> None:
        """Take what has come by a transport: events, replies, or anything at all."""
        carrier = self._named(name)
        known = [message for message in messages if isinstance(message, dict)
                 and isinstance(message.get("channel"), str)]
        stale = self._acks.agreed and any(map(self._is_stale, known))
        for message in known:
            if _is_event(message) and not stale and self._extensions.incoming(message):
                self._metrics.events += 1
                self._emit(Deliver(message))
        forgotten = farewell = None
        for message in known:
            if self.state is State.DISCONNECTED:
                return
            if "successful" not in message:
                continue
            self._extensions.incoming(message)
            found = self._exchanges.match(carrier, message)
            if found is not None:
                forgotten = self._replied(*found, message) or forgotten
            elif message["channel"] == META_DISCONNECT and "id" not in message:
                farewell = message
        if farewell is not None and self.state in _ALIVE:
            self._end(SessionEnded(farewell))
        elif forgotten is not None and forgotten == self.session and self.state in _ALIVE:
            self._forget_session(None, max(self.advice.interval, self._forgotten_backoff.next()))
        self._pump()

    def _is_stale(self, message: Message) -> bool:
        """Say whether it answers another connect than the one that is under way."""
        identity = message.get("id")
        return answers_a_connect(message) and identity is not None and not (
            self._dialogue is not None and identity in list(self._dialogue.waiting))

    def _replied(self, exchange: Exchange, request: Request, reply: Message) -> str | None:
        """Take a reply; the value is the session that the server does not know, if it says so."""
        if not exchange.waiting:
            self._exchanges.finish(exchange)
        if exchange.purpose is Purpose.REQUESTS:
            unknown = self._talk.replied(exchange, request, reply)
            if not exchange.waiting:
                self._talk.completed(exchange)
            if request.channel == META_DISCONNECT:
                self._end(None)
            return exchange.session if unknown else None
        if exchange is self._dialogue:
            self._dialogue = None
            if exchange.purpose is Purpose.HANDSHAKE:
                self._greeted(exchange.carrier, reply)
            elif self.state in _ALIVE:
                self._connected(reply)
        return None

    def ended(self, number: int) -> None:
        """Note that the answer to an envelope is complete."""
        exchange = self._exchanges.find(number)
        if exchange is not None:
            self.failed(number, NoAnswer("the server's answer leaves out what it was asked"))
        self._pump()

    def failed(self, number: int, reason: TransportError) -> None:
        """Note that the answer to an envelope will not come, or cannot be used."""
        exchange = self._exchanges.find(number)
        if exchange is not None:
            self._failed(exchange, reason)

    def _failed(self, exchange: Exchange, reason: TransportError) -> None:
        self._exchanges.finish(exchange)
        if exchange.purpose is Purpose.REQUESTS:
            self._talk.failed(exchange, reason)
            if any(request.channel == META_DISCONNECT for request in exchange.waiting.values()):
                self._end(None)
            self._pump()
        elif exchange is self._dialogue:
            self._dialogue = None
            if self.state in _ALIVE or self.state is State.HANDSHAKING:
                self._try_failed(reason)

    def _greeted(self, carrier: Carrier, reply: Message) -> None:
        session = reply.get("clientId")
        if reply.get("successful") is not True or not isinstance(session, str) or not session:
            self._not_greeted(HandshakeRefused(reply))
            return
        offered = reply.get("supportedConnectionTypes")
        common = ([each for each in self._carriers if each.name in offered] if isinstance(offered, list)
                  else [carrier])
        if not common:
            mine = ", ".join(each.name for each in self._carriers)
            self._end(NoCommonTransport(f"the server offers {offered}, we may use {mine}"))
            return
        self._common = common
        self._carrier = carrier if carrier in common else common[0]
        self._ever_greeted = True
        self._refusals = 0
        self._metrics.sessions += 1
        self.session = session
        self.advice = Advice.read(reply.get("advice"))
        self._acks.begin(reply)
        self._step(Step.GREETED)
        self._talk.begin()
        self._flush_soon()
        self._rest(self.advice.interval)

    def _not_greeted(self, refusal: HandshakeRefused) -> None:
        """Try again if the server advises it, with patience; else end."""
        self._note(refusal)
        self.advice = Advice.read(refusal.reply.get("advice"), HANDSHAKE if refusal.temporary else NONE)
        self._refusals += not refusal.temporary
        if self.advice.reconnect == NONE or self._refusals > self._settings.max_refusals:
            self._end(refusal)
            return
        self._emit(Report(refusal))
        self._rest(max(self.advice.interval, self._backoff.next()))

    def _connected(self, reply: Message) -> None:
        if reply.get("successful") is True:
            self._acks.take(reply)
            if "advice" in reply:
                self.advice = Advice.read(reply["advice"])
            self._accepted(reply)
            return
        refusal = SessionEnded(reply)
        if self._moved_from is not None:
            self._move_back()
            return
        self._note(refusal)
        self.advice = Advice.read(reply.get("advice"), HANDSHAKE if refusal.is_unknown_client else RETRY)
        if self.advice.reconnect == NONE:
            self._end(refusal)
        elif self.advice.reconnect == HANDSHAKE:
            # At once if a session is worn out; but who refuses those that it has just given is spared.
            proven = self._known is not None
            self._forget_session(refusal, self.advice.interval if proven
                                 else max(self.advice.interval, self._backoff.next()))
        else:
            self._step(Step.FAILED, refusal)
            self._rest(max(self.advice.interval, self._backoff.next()))

    def _accepted(self, reply: Message) -> None:
        if self.advice.reconnect == NONE:
            self._end(SessionEnded(reply))
            return
        if self.advice.reconnect == HANDSHAKE:
            self._forget_session(None, max(self.advice.interval, self._backoff.next()))
            return
        self._known, self._moved_from = self._carrier, None
        self._backoff.reset()
        if self._held:
            self._forgotten_backoff.reset()
            if self._carrier is self._common[0]:
                self._upgrade_backoff.reset()
        self._step(Step.ACCEPTED)
        self._upgrade_later()
        self._rest(self.advice.interval)

    def _forget_session(self, reason: Exception | None, delay: float) -> None:
        """Shake hands again: the server does not know the session any more, or should not."""
        for exchange in self._exchanges.for_(Purpose.CONNECT):
            self._exchanges.abort(exchange)
        self._dialogue = self._known = self._moved_from = self.session = None
        self._emit(Stop(_RETRY))
        self._emit(Stop(_UPGRADE))
        self._step(Step.FORGOTTEN, reason)
        self._rest(delay)

    def _end(self, reason: Exception | None) -> None:
        """End for good; a reason is why, if it was not asked for."""
        self._talk.end(reason)
        for exchange in [*self._exchanges.for_(Purpose.HANDSHAKE), *self._exchanges.for_(Purpose.CONNECT),
                         *self._exchanges.for_(Purpose.REQUESTS)]:
            self._exchanges.abort(exchange)
        for timer in list(self._timers):
            self._emit(Stop(timer))
        for carrier in self._carriers:
            if carrier.is_stream and (carrier.is_open or carrier.is_opening):
                carrier.is_open = carrier.is_opening = False
                self._emit(Close(carrier.name))
        self._dialogue = self.session = None
        self._phase = Phase.RESTING
        self._step(Step.END, reason)


def _is_event(message: Message) -> bool:
    """Say whether it is an event: these have data and no ``successful`` (M-28, M-29)."""
    channel = message["channel"]
    return ("data" in message and "successful" not in message and channel.startswith("/")
            and not is_meta(channel))
