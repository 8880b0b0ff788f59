"""The protocol of a client without any input or output: what comes goes in, what is to be done comes out."""

from __future__ import annotations

import random as _random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bayeux.channels import META_DISCONNECT, is_meta
from bayeux.client.acks import Acks, answers_a_connect
from bayeux.client.advice import Advice
from bayeux.client.backoff import Backoff
from bayeux.client.carriers import Carrier, Carriers
from bayeux.client.dialogue import RETRY_TIMER, UPGRADE_TIMER, Dialogue
from bayeux.client.effects import Close, Deliver, Report, Start, Stop, Timer
from bayeux.client.envelopes import Message
from bayeux.client.errors import NoAnswer, SessionEnded, TransportError
from bayeux.client.exchanges import Exchange, Exchanges, Purpose
from bayeux.client.extensions import ClientExtension, ClientExtensions
from bayeux.client.life import Life
from bayeux.client.metrics import ClientMetrics
from bayeux.client.outbox import Request
from bayeux.client.settings import ClientSettings
from bayeux.client.states import ALIVE, TALKING, State, Step
from bayeux.client.talk import RETRY_TALK, RETRY_TOPICS, Sign, Talk
from bayeux.client.topics import Topic

_FLUSH: Timer = ("talk", "flush")
_LEAVE: Timer = ("leave", "timeout")


class Machine:
    """A client's side of the protocol.

    Call a method for whatever happens, then carry out what ``take`` returns, in that order.  ``transports``
    are names, each with whether it is a stream, in the order of preference.
    """

    def __init__(self, transports: Sequence[tuple[str, bool]], settings: ClientSettings | None = None, *,
                 ack: bool = True, extensions: Iterable[ClientExtension] = (), sign: Sign | None = None,
                 metrics: ClientMetrics | None = None, random: Callable[[], float] = _random.random) -> None:
        settings = self._settings = settings or ClientSettings()
        self._metrics = metrics or ClientMetrics()
        self._life = Life()
        self._emit = self._life.emit
        self._carriers = Carriers(transports)
        self._acks = Acks(ack)
        self._extensions = ClientExtensions(extensions, lambda error: self._emit(Report(error)))
        self._exchanges = Exchanges(self._extensions, self._emit)
        self._talk = Talk(settings, self._exchanges, sign,
                          Backoff(settings.first_backoff, settings.max_backoff, random), self._emit)
        self._dialogue = Dialogue(self._life, settings, self._carriers, self._exchanges, self._acks,
                                  self._metrics, random, self._begun, self._end, self._drop)
        self.greet = self._dialogue.greet
        self.cannot_greet = self._dialogue.cannot_greet
        self.take = self._life.take

    @property
    def state(self) -> State:
        """Return where the client is."""
        return self._life.state

    @property
    def session(self) -> str | None:
        """Return the clientId."""
        return self._dialogue.session

    @property
    def advice(self) -> Advice:
        """Return what the server advises."""
        return self._dialogue.advice

    @property
    def last_failure(self) -> Exception | None:
        """Return what has last gone wrong with a handshake or connect."""
        return self._dialogue.last_failure

    @property
    def transport(self) -> str:
        """Return the name of the transport in use, or tried."""
        return self._carriers.current.name

    @property
    def outbox_size(self) -> int:
        """Return how many messages wait to be sent."""
        return len(self._talk.outbox)

    # -- what the application wants -------------------------------------------------------------

    def start(self) -> None:
        """Connect."""
        self._life.step(Step.START)
        self._dialogue.begin()

    def leave(self) -> None:
        """Tell the server, and end."""
        if self.state in ALIVE:
            self._life.step(Step.LEAVE)
            self._dialogue.stop()
            self._emit(Start(_LEAVE, self._settings.leave_timeout))
            self._talk.leave()
            self._say_farewell()
        elif self.state in (State.UNCONNECTED, State.HANDSHAKING):
            self._end(None)

    def _say_farewell(self) -> None:
        """Send what is left by whatever works; no transport is opened for that."""
        if not self._carriers.current.is_usable:
            usable = [carrier for carrier in self._carriers.common if carrier.is_usable]
            if not usable:
                self._end(None)
                return
            self._carriers.current = usable[0]
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

    def want(self, name: str) -> None:
        """Be subscribed to a channel or pattern from now on."""
        self._settle(self._talk.topics.want(name))

    def unwant(self, name: str) -> None:
        """Not be subscribed any more."""
        topic = self._talk.topics.unwant(name)
        if self.state in ALIVE:
            self._settle(topic)
        else:
            self._talk.drop(topic)

    def _settle(self, topic: Topic) -> None:
        if self.state in ALIVE:
            self._talk.settle(topic)
            self._flush_soon()

    def _flush_soon(self) -> None:
        """Send at the end of the turn: more may follow in it."""
        if _FLUSH not in self._life.timers:
            self._emit(Start(_FLUSH, 0.0))

    def _pump(self) -> None:
        carrier = self._carriers.current
        if self.state in TALKING and self.session is not None and carrier.is_usable:
            self._talk.pump(carrier, self.session)

    def _begun(self) -> None:
        self._talk.begin()
        self._flush_soon()

    # -- time -----------------------------------------------------------------------------------

    def due(self, timer: Timer) -> None:
        """Do what a timer was for."""
        self._life.timers.discard(timer)
        kind, which = timer
        if kind == "exchange":
            self._expired(int(which))
        elif kind == "open":
            self._drop(self._carriers[str(which)], NoAnswer(f"a {which} could not be opened in time"))
        elif timer == RETRY_TIMER:
            self._dialogue.begin()
        elif timer == UPGRADE_TIMER:
            self._dialogue.upgrade()
        elif timer == _LEAVE:
            self._end(None)
        else:
            if timer == RETRY_TALK:
                self._talk.resume()
            elif timer == RETRY_TOPICS and self.state in ALIVE:
                self._talk.retry_topics()
            self._pump()

    def _expired(self, number: int) -> None:
        exchange = self._exchanges.find(number)
        if exchange is None:
            return
        self._dialogue.expired(exchange)
        reason = NoAnswer("the server has not answered in time")
        if exchange.carrier.is_stream:
            self._drop(exchange.carrier, reason)
        else:
            self._exchanges.abort(exchange)
            self._failed(exchange, reason)

    # -- transports -----------------------------------------------------------------------------

    def opened(self, name: str) -> None:
        """Go on with a transport that is open."""
        carrier = self._carriers[name]
        self._emit(Stop(("open", name)))
        carrier.is_opening, carrier.is_open = False, True
        self._dialogue.opened(carrier)
        self._pump()

    def lost(self, name: str, reason: TransportError) -> None:
        """Go on without a transport that could not be opened, or has closed."""
        carrier = self._carriers[name]
        self._emit(Stop(("open", name)))
        carrier.is_opening = carrier.is_open = False
        current = self._dialogue.exchange
        for exchange in sorted(self._exchanges.by(carrier), key=lambda each: each is current):
            self.failed(exchange.number, reason)
        self._dialogue.lost(carrier, reason)
        if self.state is State.DISCONNECTING:
            self._say_farewell()

    def _drop(self, carrier: Carrier, reason: TransportError) -> None:
        """Close a transport, and go on without it."""
        if carrier.is_stream:
            self._emit(Close(carrier.name))
        self.lost(carrier.name, reason)

    # -- answers --------------------------------------------------------------------------------

    def received(self, name: str, messages: Sequence[Any]) -> None:
        """Take what has come by a transport: events, replies, or anything at all."""
        carrier = self._carriers[name]
        known = [message for message in messages if isinstance(message, dict)
                 and isinstance(message.get("channel"), str)]
        stale = self._acks.agreed and any(map(self._is_stale, known))
        for message in known:
            if _is_event(message) and not stale and self._extensions.incoming(message):
                self._metrics.events += 1
                self._emit(Deliver(message))
        forgotten = farewell = None
        for message in known:
            if "successful" not in message:
                continue
            self._extensions.incoming(message)
            found = self._exchanges.match(carrier, message)
            if found is not None:
                forgotten = self._replied(*found, message) or forgotten
            elif message["channel"] == META_DISCONNECT and "id" not in message:
                farewell = message
        if farewell is not None and self.state in ALIVE:
            self._end(SessionEnded(farewell))
        elif forgotten is not None and forgotten == self.session and self.state in ALIVE:
            self._dialogue.forgotten()
        self._pump()

    def _is_stale(self, message: Message) -> bool:
        """Say whether it answers another connect than the one that is under way."""
        identity, exchange = message.get("id"), self._dialogue.exchange
        return answers_a_connect(message) and identity is not None and not (
            exchange is not None and identity in list(exchange.waiting))

    def _replied(self, exchange: Exchange, request: Request, reply: Message) -> str | None:
        """Take a reply; the value is the session that the server does not know, if it says so."""
        if not exchange.waiting:
            self._exchanges.finish(exchange)
        if exchange.purpose is not Purpose.REQUESTS:
            self._dialogue.replied(exchange, reply)
            return None
        unknown = self._talk.replied(exchange, request, reply)
        if not exchange.waiting:
            self._talk.completed(exchange)
        if request.channel == META_DISCONNECT:
            self._end(None)
        return exchange.session if unknown else None

    def ended(self, number: int) -> None:
        """Note that the answer to an envelope is complete."""
        self.failed(number, NoAnswer("the server's answer leaves out what it was asked"))

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
        elif exchange is self._dialogue.exchange and self.state is not State.DISCONNECTING:
            self._dialogue.failed(reason)

    def _end(self, reason: Exception | None) -> None:
        """End for good; a reason is why, if it was not asked for."""
        self._talk.end(reason)
        for exchange in self._exchanges:
            self._exchanges.abort(exchange)
        self._dialogue.stop()
        self._dialogue.exchange = self._dialogue.session = None
        for timer in list(self._life.timers):
            self._emit(Stop(timer))
        for carrier in self._carriers.all:
            if carrier.is_open or carrier.is_opening:
                carrier.is_open = carrier.is_opening = False
                self._emit(Close(carrier.name))
        self._life.step(Step.END, reason)


def _is_event(message: Message) -> bool:
    """Say whether it is an event: these have data and no ``successful`` (M-28, M-29)."""
    channel = message["channel"]
    return ("data" in message and "successful" not in message and channel.startswith("/")
            and not is_meta(channel))
