"""The live sessions: opened, subscribed, delivered to, held, expired and removed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bayeux.deadlines import Deadlines
from bayeux.errors import BayeuxError, TooBusy
from bayeux.messages import Advice, Event
from bayeux.metrics import Metrics
from bayeux.registry import Registry
from bayeux.session import Link, Outcome, Release, Session, State
from bayeux.settings import Settings


class SessionListener(Protocol):
    """An application's object that wants to know of clients that come and go."""

    def session_added(self, session: Session) -> None:
        """Be told that a handshake has succeeded."""

    def session_removed(self, session: Session, reason: str) -> None:
        """Be told that a session is gone.

        ``reason`` is ``disconnect`` (the client's wish), ``timeout``, ``kicked`` (``disconnect()`` on the
        server), ``overflow`` (its queue was full) or ``shutdown``.
        """


class Sessions:
    """All sessions of one hub, with what they share: the registry, the clock, the limits."""

    _log = Logger()

    def __init__(self, clock: IReactorTime, settings: Settings, metrics: Metrics) -> None:
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._by_id: dict[str, Session] = {}
        self._registry: Registry[Session] = Registry()
        self._deadlines: Deadlines[Session] = Deadlines(clock, self._due)
        self.held_by_browser: Counter[str] = Counter()
        """How many connects each browser has held (B-3)."""
        self._by_address: Counter[str] = Counter()
        self._held_by_address: Counter[str] = Counter()
        self._woken: dict[Session, None] = {}
        self.listeners: list[SessionListener] = []
        self.held = 0
        """How many connects are held now (Q-11, G-14)."""
        self.closed = False

    def __len__(self) -> int:
        """Return how many sessions there are."""
        return len(self._by_id)

    def is_idle(self) -> bool:
        """Say whether nothing at all is kept: no session, subscription, held connect or timer."""
        return not (self._by_id or self._by_address or self._registry or self._held_by_address
                    or self.held_by_browser or self._deadlines)

    @property
    def pending_deadlines(self) -> int:
        """How many entries the list of deadlines has, those included that have become void."""
        return len(self._deadlines)

    @property
    def channels(self) -> int:
        """How many channels and patterns have a subscriber (Q-11)."""
        return len(self._registry)

    def get(self, client_id: str) -> Session | None:
        """Return the live session of that id (I-3)."""
        return self._by_id.get(client_id)

    # -- life -----------------------------------------------------------------------------------

    def open(self, link: Link) -> Session:
        """Create a session, which expires unless it connects (H-17).  Raises ``TooBusy`` (G-13)."""
        settings = self._settings
        if (self.closed or len(self._by_id) >= settings.max_sessions
                or self._by_address[link.address] >= settings.max_sessions_per_address):
            raise TooBusy
        session = Session(self)
        session.browser_id = link.browser_id
        session.address = link.address
        self._by_address[link.address] += 1
        session.grace = self._settings.interval + self._settings.max_interval
        self._by_id[session.id] = session
        self._metrics.sessions_added += 1
        self._expire_in(session, session.grace)
        self._tell("session_added", session)
        return session

    def remove(self, session: Session, reason: str, why: Release) -> None:
        """End a session with all that it has: subscriptions, queue, timer, held connect (X-2, Q-4)."""
        if not session.alive:
            return
        if session.state is State.HELD:
            self._count_out(session)
        parked = session.unpark(State.REMOVED)
        del self._by_id[session.id]
        self._deadlines.forget(session)
        _count_down(self._by_address, session.address)
        for pattern in session.subscriptions:
            self._registry.remove(pattern, session)
        session.subscriptions.clear()
        session.take()
        self._metrics.sessions_removed[reason] += 1
        if parked is not None:
            parked.callback(why)
        self._tell("session_removed", session, reason)

    def close(self) -> None:
        """Answer every held connect, remove every session, open no more (Q-10)."""
        self.closed = True
        for session in tuple(self._by_id.values()):
            self.remove(session, "shutdown", Release.SHUTDOWN)
        self._deadlines.stop()

    def touch(self, session: Session) -> None:
        """Note a sign of life other than a connect: it puts off expiry, if that runs (Q-3)."""
        if session.deadline is not None and session.state is not State.HELD:
            remaining = session.deadline - self._clock.seconds()
            if remaining < self._settings.max_interval:
                self._expire_in(session, self._settings.max_interval)

    # -- subscriptions --------------------------------------------------------------------------

    def room_for(self, patterns: Iterable[str]) -> bool:
        """Say whether the server can take subscriptions to these different patterns (G-12)."""
        new = sum(pattern not in self._registry for pattern in patterns)
        return not new or len(self._registry) + new <= self._settings.max_channels

    def subscribe(self, session: Session, pattern: str) -> None:
        """Subscribe, effective at once (S-7)."""
        session.subscriptions.add(pattern)
        self._registry.add(pattern, session)

    def unsubscribe(self, session: Session, pattern: str) -> None:
        """Unsubscribe, effective at once (S-8)."""
        session.subscriptions.discard(pattern)
        self._registry.remove(pattern, session)

    # -- delivery -------------------------------------------------------------------------------

    def reach(self, event: Event, publisher: Session | None) -> int:
        """Return how many sessions an event is for (P-10)."""
        sessions = self._registry.match(event.channel)
        return len(sessions) - (self._excluded(publisher) in sessions)

    def publish(self, event: Event, publisher: Session | None) -> None:
        """Queue an event for all who are subscribed."""
        excluded = self._excluded(publisher)
        # A full queue may remove its session, so what is gone through must be a copy.
        for session in tuple(self._registry.match(event.channel)):
            if session is not excluded:
                self.deliver(session, event)

    def _excluded(self, publisher: Session | None) -> Session | None:
        """Return who does not get what it publishes (P-11)."""
        return None if self._settings.broadcast_to_publisher else publisher

    def deliver(self, session: Session, event: Event) -> None:
        """Queue an event for one session and see that it goes out at the end of this turn."""
        if not session.alive:
            return
        settings = self._settings
        if session.state is State.HELD and not session.fits(
            event, settings.max_queue, settings.max_queue_bytes
        ):
            self.release(session, Release.EVENTS)  # a burst: what there is can be written now
        before = len(session.queue)
        outcome = session.put(event, settings.max_queue, settings.max_queue_bytes, settings.overflow)
        if outcome is Outcome.OVERFLOWED:
            self._metrics.dropped += len(session.queue) + 1
            self.remove(session, "overflow", Release.KICKED)
            return
        self._metrics.queued += session.queue[-1] is event
        self._metrics.dropped += before + 1 - len(session.queue)
        if event.lazy is None:
            self._wake(session)
        else:
            self._put_off(session, event.lazy)

    def _wake(self, session: Session) -> None:
        if session.state is State.HELD:
            if not self._woken:
                self._clock.callLater(0, self._flush)
            self._woken[session] = None

    def _flush(self) -> None:
        """Answer the held connects of all sessions that have got events in this turn."""
        woken, self._woken = self._woken, {}
        for session in woken:
            if session.state is State.HELD and session.queue:
                self.release(session, Release.EVENTS)

    def _put_off(self, session: Session, delay: float) -> None:
        until = self._clock.seconds() + delay
        if session.lazy_until is None or until < session.lazy_until:
            session.lazy_until = until
            if session.state is State.HELD:
                self._deadlines.set(session, min(until, session.hold_until))

    # -- holding connects -----------------------------------------------------------------------

    def crowded(self, session: Session) -> bool:
        """Say whether the session's browser already holds as many connects as it may (B-3, B-4)."""
        limit = self._settings.max_sessions_per_browser
        browser = session.browser_id
        return browser is not None and 0 <= limit <= self.held_by_browser[browser]

    def full(self, session: Session) -> bool:
        """Say whether the server holds as many connects as it may, in all or for the address (G-14)."""
        return (self.held >= self._settings.max_held
                or self._held_by_address[session.address] >= self._settings.max_held_per_address)

    def connecting(self, session: Session) -> Deferred[Release] | None:
        """Take note of a connect: expiry stops (Q-3), and an older one makes room for it (K-12).

        Returns the older one, to be fired with ``SUPERSEDED`` when the newer one is settled: answering
        it may let the next request on its connection in, which may be another connect of the session.
        """
        if self._settings.max_processing > 0:
            self._expire_in(session, self._settings.max_processing)
        else:
            self._deadlines.clear(session)
        if session.state is not State.HELD:
            session.become(State.CONNECTED)
            return None
        self._metrics.superseded += 1
        self._count_out(session)
        return session.unpark(State.CONNECTED)

    def hold(self, session: Session, link: Link, seconds: float) -> Deferred[Release]:
        """Hold a connect for at most so long (K-7)."""
        self._metrics.held += 1
        self.held += 1
        self._held_by_address[session.address] += 1
        if session.browser_id is not None:
            self.held_by_browser[session.browser_id] += 1
        parked = session.park(link)
        now = self._clock.seconds()
        session.hold_until = until = now + seconds
        if session.lazy_until is not None:
            until = min(until, max(now, session.lazy_until))
        self._deadlines.set(session, until)
        return parked

    def release(self, session: Session, why: Release) -> None:
        """Let the held connect of a session be answered."""
        self._count_out(session)
        parked = session.unpark(State.CONNECTED)
        if why is Release.LOST:
            self._metrics.carriers_lost += 1
            self.answered(session)
        else:
            self._deadlines.clear(session)
        if parked is not None:
            parked.callback(why)

    def answered(self, session: Session) -> None:
        """Start the time in which the next connect must come (Q-2, Q-3)."""
        if session.alive and session.state is not State.HELD:
            self._expire_in(session, session.grace)

    def _count_out(self, session: Session) -> None:
        self.held -= 1
        _count_down(self._held_by_address, session.address)
        if session.browser_id is not None:
            _count_down(self.held_by_browser, session.browser_id)

    # -- time -----------------------------------------------------------------------------------

    def _expire_in(self, session: Session, seconds: float) -> None:
        # Rounded up, so that those that expire within one period go together.
        period = self._settings.sweep_period
        deadline = self._clock.seconds() + seconds
        self._deadlines.set(session, -(-deadline // period) * period)

    def _due(self, session: Session) -> None:
        if session.state is State.HELD:
            if session.queue or session.hold_until <= self._clock.seconds():
                self.release(session, Release.TIMEOUT)
            else:  # it was for lazy events, which another response has taken along
                self._deadlines.set(session, session.hold_until)
        else:
            self.remove(session, "timeout", Release.TIMEOUT)

    # -- what clients are told ------------------------------------------------------------------

    def advice(self, reconnect: str, interval: float | None = None) -> Advice:
        """Return complete advice (A-2); ``interval`` in seconds, None: as configured."""
        seconds = self._settings.interval if interval is None else interval
        return Advice(reconnect, round(1000 * seconds), round(1000 * self._settings.timeout))

    def failed(self, error: BayeuxError) -> BayeuxError:
        """Count an error that a client is about to be told, and return it."""
        self._metrics.failures[error.code] += 1
        return error

    @property
    def connect_only(self) -> bool:
        """Whether events travel with connect replies only (D-7)."""
        return self._settings.meta_connect_deliver_only

    def spread(self, least: float = 0.0) -> int:
        """Return a random delay in milliseconds, so that clients do not all come back at once (Q-10)."""
        return round(1000 * random.uniform(least, max(least, self._settings.shutdown_spread)))

    def _tell(self, what: str, *arguments: object) -> None:
        for listener in tuple(self.listeners):
            try:
                getattr(listener, what)(*arguments)
            except Exception:
                self._metrics.application_errors += 1
                self._log.failure("a session listener failed")


def _count_down(counts: Counter[str], key: str) -> None:
    """Count one less, and keep nothing of what has come to none."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
