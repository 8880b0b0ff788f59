"""Handshake and connects: how a client gets a session, and keeps it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from bayeux.channels import META_CONNECT, META_HANDSHAKE
from bayeux.client.acks import Acks
from bayeux.client.advice import HANDSHAKE, NONE, RETRY, Advice
from bayeux.client.backoff import Backoff
from bayeux.client.carriers import Carrier, Carriers
from bayeux.client.effects import Ask, Open, Report, Start, Stop, Timer
from bayeux.client.envelopes import Message
from bayeux.client.errors import (
    BadStatus,
    ConnectionFailed,
    HandshakeRefused,
    NoCommonTransport,
    SessionEnded,
    TooMuch,
    TransportError,
)
from bayeux.client.exchanges import Exchange, Exchanges, Purpose
from bayeux.client.life import Life
from bayeux.client.metrics import ClientMetrics
from bayeux.client.outbox import Request
from bayeux.client.settings import ClientSettings
from bayeux.client.states import ALIVE, State, Step

VERSION = "1.0"
RETRY_TIMER: Timer = ("dialogue", "retry")
UPGRADE_TIMER: Timer = ("upgrade", "retry")
_SUPERSEDED = 409


class Phase(Enum):
    """How far the next handshake or connect has come."""

    RESTING = auto()
    OPENING = auto()
    """The transport is being opened."""
    ASKING = auto()
    """The application is asked for the ``ext`` of a handshake."""
    SPEAKING = auto()


class Dialogue:
    """At any time one handshake or connect is under way, or waits for its time or its transport.

    If one transport fails the next is tried, and when none is left there is a pause.  ``begun`` is called
    when there is a session, ``over`` when there is no point in going on, with the reason, and ``drop`` with a
    transport that is not wanted any more.
    """

    def __init__(self, life: Life, settings: ClientSettings, carriers: Carriers, exchanges: Exchanges,
                 acks: Acks, metrics: ClientMetrics, random: Callable[[], float],
                 begun: Callable[[], None], over: Callable[[Exception | None], None],
                 drop: Callable[[Carrier, TransportError], None]) -> None:
        self._life = life
        self._settings = settings
        self._carriers = carriers
        self._exchanges = exchanges
        self._acks = acks
        self._metrics = metrics
        self._begun = begun
        self._over = over
        self._drop = drop
        self.session: str | None = None
        self.advice = Advice()
        self.last_failure: Exception | None = None
        self.exchange: Exchange | None = None
        """The handshake or connect that is under way."""
        self._phase = Phase.RESTING
        self._known: Carrier | None = None
        """The one by which the last connect of this session was answered."""
        self._moved_from: Carrier | None = None
        """The one that was known before a better one was found, which is not known yet."""
        self._held = False
        """Whether the server may hold the connect that is under way."""
        self._patient = False
        """Whether it may hold any connect, as it does not care whether it is asked to."""
        self._asked = 0
        self._refusals = 0
        self._ever_begun = False
        self._all_lasting = True
        """Whether no transport that was tried since the last pause has a chance."""
        self._backoff = Backoff(settings.first_backoff, settings.max_backoff, random)
        self._forgotten_backoff = Backoff(settings.first_backoff, settings.max_backoff, random)
        self._upgrade_backoff = Backoff(settings.first_backoff, settings.max_upgrade_backoff, random)

    # -- one try after the other ----------------------------------------------------------------

    def begin(self) -> None:
        """Try to shake hands, or to connect, by one transport after the other."""
        self._all_lasting = True
        handshaking = self._life.state is State.HANDSHAKING
        self._try(self._carriers.try_all() if handshaking else self._carriers.try_current())

    def _try(self, carrier: Carrier) -> None:
        if carrier.is_usable:
            self._speak()
        else:
            self._phase = Phase.OPENING
            self._open(carrier)

    def _open(self, carrier: Carrier) -> None:
        if not carrier.is_opening:
            carrier.is_opening = True
            self._life.emit(Start(("open", carrier.name), self._settings.open_timeout))
            self._life.emit(Open(carrier.name))

    def _speak(self) -> None:
        if self._life.state is State.HANDSHAKING:
            self._phase = Phase.ASKING
            self._asked += 1
            self._life.emit(Ask(self._asked))
        else:
            self._phase = Phase.SPEAKING
            self._connect()

    def _rest(self, delay: float) -> None:
        self._phase = Phase.RESTING
        if delay > 0:
            self._life.emit(Start(RETRY_TIMER, delay))
        else:
            self.begin()

    def _pause(self) -> float:
        """Return how long to wait after a failure."""
        return max(self.advice.interval, self._backoff.next())

    def greet(self, number: int, ext: Message | None) -> None:
        """Shake hands, with the ``ext`` that was asked for under a number."""
        if not self._is_asking(number):
            return
        message: Message = {"channel": META_HANDSHAKE, "version": VERSION, "minimumVersion": VERSION,
                            "supportedConnectionTypes": self._carriers.names}
        if ext:
            message["ext"] = dict(ext)
        self._acks.ask(message)
        self._phase = Phase.SPEAKING
        self._send(Purpose.HANDSHAKE, message, self._settings.network_delay)

    def cannot_greet(self, number: int, error: Exception) -> None:
        """Try again later, as the application could not say what a handshake needs."""
        if self._is_asking(number):
            self._note(error)
            self._life.emit(Report(error))
            self._rest(self._backoff.next())

    def _is_asking(self, number: int) -> bool:
        return number == self._asked and self._phase is Phase.ASKING and self._life.state is State.HANDSHAKING

    def _connect(self) -> None:
        carrier = self._carriers.current
        self._held = carrier is self._known and self._life.state is State.CONNECTED
        message: Message = {"channel": META_CONNECT, "clientId": self.session, "connectionType": carrier.name}
        if not self._held:  # or it would not be known for long whether this transport works
            message["advice"] = {"timeout": 0}
        self._acks.stamp(message)
        hold = self.advice.timeout if self._held or self._patient else 0.0
        self._send(Purpose.CONNECT, message, hold + self._settings.network_delay)

    def _send(self, purpose: Purpose, message: Message, timeout: float) -> None:
        messages = [(Request(message["channel"]), message)]
        self.exchange = self._exchanges.send(purpose, self._carriers.current, messages, self.session, timeout)

    def expired(self, exchange: Exchange) -> None:
        """Note that an answer has not come in time."""
        if exchange is self.exchange and not self._held:
            self._patient = True

    def failed(self, reason: TransportError) -> None:
        """Go on after a handshake or connect that was not answered, or could not be sent."""
        handshaking = self._life.state is State.HANDSHAKING
        was_held = self._held and self._phase is Phase.SPEAKING and not handshaking
        superseded = isinstance(reason, BadStatus) and reason.status == _SUPERSEDED
        self._note(reason)
        self.exchange = None
        self._phase = Phase.RESTING
        self._all_lasting &= reason.is_lasting
        if not handshaking:
            if isinstance(reason, TooMuch):  # it would come again and again
                self._life.emit(Report(reason))
                self.forget(reason, self._backoff.next())
                return
            if superseded:  # the server holds a newer connect of ours: nothing is wrong
                self._rest(self._pause())
                return
            self._metrics.losses += self._life.state is State.CONNECTED
            self._life.step(Step.FAILED, reason)
        if self._carriers.has_untried and not was_held:
            self._try(self._carriers.try_next())
        elif handshaking and self._all_lasting and not self._ever_begun:
            self._over(reason)
        else:
            self._rest(self._pause())

    def _note(self, failure: Exception) -> None:
        self.last_failure = failure
        self._metrics.failures[type(failure).__name__] += 1

    # -- transports -----------------------------------------------------------------------------

    def opened(self, carrier: Carrier) -> None:
        """Go on with a transport that is open."""
        if carrier is not self._carriers.current:
            if self._life.state is State.CONNECTED:
                self._move(carrier)
        elif self._phase is Phase.OPENING:
            self._speak()

    def lost(self, carrier: Carrier, reason: TransportError) -> None:
        """Go on without a transport that could not be opened, or has closed while nothing went by it."""
        if carrier is self._carriers.current and self._phase in (Phase.OPENING, Phase.ASKING):
            self.failed(reason)
        elif self._life.state is State.CONNECTED:
            self._upgrade_later()

    def _upgrade_later(self) -> None:
        """Try a better transport in a while, beside the one that works."""
        if not self._carriers.is_best and UPGRADE_TIMER not in self._life.timers:
            self._life.emit(Start(UPGRADE_TIMER, self._upgrade_backoff.next()))

    def upgrade(self) -> None:
        """Try a better transport now."""
        if self._life.state is State.CONNECTED and not self._carriers.is_best:
            best = self._carriers.best
            if best.is_usable:
                self._move(best)
            else:
                self._open(best)

    def _move(self, carrier: Carrier) -> None:
        """Go on by a better transport, with the same session.

        The connect that is held by the other one is not waited for.  Its answer, which may have events, is
        still welcome, unless they come again anyway.
        """
        self._moved_from = self._carriers.current
        self._carriers.move(carrier)
        if self._phase is Phase.SPEAKING and self.exchange is not None:
            if self._acks.agreed:
                self._exchanges.abort(self.exchange)
            self._speak()

    def _move_back(self, carrier: Carrier) -> None:
        """Return to the transport before, as the session is not accepted by this one: perhaps for cookies."""
        refused = self._carriers.current
        self._carriers.move(carrier)
        self._moved_from = None
        self._drop(refused, ConnectionFailed("the session is not accepted there"))
        self._upgrade_later()
        self._rest(0.0)

    # -- answers --------------------------------------------------------------------------------

    def replied(self, exchange: Exchange, reply: Message) -> None:
        """Take the reply to the handshake or connect that is under way; others are of no interest."""
        if exchange is not self.exchange:
            return
        self.exchange = None
        if exchange.purpose is Purpose.HANDSHAKE:
            self._greeted(exchange.carrier, reply)
        elif self._life.state in ALIVE:
            self._connected(reply)

    def _greeted(self, carrier: Carrier, reply: Message) -> None:
        session = reply.get("clientId")
        if reply.get("successful") is not True or not isinstance(session, str) or not session:
            self._not_greeted(HandshakeRefused(reply))
            return
        offered = reply.get("supportedConnectionTypes")
        if not self._carriers.agree(offered, carrier):
            mine = ", ".join(self._carriers.names)
            self._over(NoCommonTransport(f"the server offers {offered}, and we may use {mine}"))
            return
        self._ever_begun = True
        self._refusals = 0
        self._metrics.sessions += 1
        self.session = session
        self.advice = Advice.read(reply.get("advice"))
        self._acks.begin(reply)
        self._life.step(Step.GREETED)
        self._begun()
        self._rest(self.advice.interval)

    def _not_greeted(self, refusal: HandshakeRefused) -> None:
        """Try again if the server advises it, with patience; else end."""
        self._note(refusal)
        self.advice = Advice.read(refusal.reply.get("advice"), HANDSHAKE if refusal.temporary else NONE)
        self._refusals += not refusal.temporary
        if self.advice.reconnect == NONE or self._refusals > self._settings.max_refusals:
            self._over(refusal)
        else:
            self._life.emit(Report(refusal))
            self._rest(self._pause())

    def _connected(self, reply: Message) -> None:
        if reply.get("successful") is True:
            self._accepted(reply)
        elif self._moved_from is not None:
            self._move_back(self._moved_from)
        else:
            self._not_connected(SessionEnded(reply))

    def _accepted(self, reply: Message) -> None:
        self._acks.take(reply)
        if "advice" in reply:
            self.advice = Advice.read(reply["advice"])
        if self.advice.reconnect == NONE:
            self._over(SessionEnded(reply))
        elif self.advice.reconnect == HANDSHAKE:
            self.forget(None, self._pause())
        else:
            self._known, self._moved_from = self._carriers.current, None
            self._backoff.reset()
            if self._held:
                self._forgotten_backoff.reset()
                if self._carriers.is_best:
                    self._upgrade_backoff.reset()
            self._life.step(Step.ACCEPTED)
            self._upgrade_later()
            self._rest(self.advice.interval)

    def _not_connected(self, refusal: SessionEnded) -> None:
        self._note(refusal)
        self.advice = Advice.read(refusal.reply.get("advice"),
                                  HANDSHAKE if refusal.is_unknown_client else RETRY)
        if self.advice.reconnect == NONE:
            self._over(refusal)
        elif self.advice.reconnect == HANDSHAKE:
            # At once if a session is worn out; but who refuses those that it has just given is spared.
            self.forget(refusal, self._pause() if self._known is None else self.advice.interval)
        else:
            self._life.step(Step.FAILED, refusal)
            self._rest(self._pause())

    def forgotten(self) -> None:
        """Note that the server does not know the session, as it has said to something else than a connect."""
        self.forget(None, max(self.advice.interval, self._forgotten_backoff.next()))

    def forget(self, reason: Exception | None, delay: float) -> None:
        """Shake hands again after a while, as the session is gone or no longer wanted."""
        for exchange in self._exchanges.for_(Purpose.CONNECT):
            self._exchanges.abort(exchange)
        self.exchange = self._known = self._moved_from = self.session = None
        self.stop()
        self._life.step(Step.FORGOTTEN, reason)
        self._rest(delay)

    def stop(self) -> None:
        """Begin nothing more, until told to."""
        self._phase = Phase.RESTING
        self._life.emit(Stop(RETRY_TIMER))
        self._life.emit(Stop(UPGRADE_TIMER))
