"""The live sessions: opened, subscribed, delivered to, held, expired and removed."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, cast

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from bayeux.addresses import client_of
from bayeux.backlog import Backlog
from bayeux.credentials import Credential
from bayeux.deadlines import Deadlines
from bayeux.errors import BayeuxError, TooBusy, TooMany
from bayeux.extensions import Extensions
from bayeux.haste import Haste
from bayeux.holds import Holds, count
from bayeux.messages import Advice, Event
from bayeux.metrics import Metrics
from bayeux.queues import QueueOverflow
from bayeux.registry import Registry
from bayeux.session import Link, Parked, Release, Session, State, Stream
from bayeux.settings import Settings

_AT_ONCE = 100
"""Sessions that are written to before the clock is asked how long that has taken."""


class SessionListener(Protocol):
    """An application's object that wants to know of clients that come and go."""

    def session_added(self, session: Session) -> None:
        """Be told that a handshake has succeeded."""

    def session_removed(self, session: Session, reason: str) -> None:
        """Be told that a session is gone.

        ``reason`` is ``disconnect`` (the client's wish), ``timeout``, ``kicked`` (``disconnect()`` on the
        server), ``overflow`` (its queue was full), ``expired`` (its token, or the key of that) or
        ``shutdown``.
        """


class Sessions:
    """All sessions of one hub, with what they share: the registry, the clock, the limits."""

    def __init__(self, clock: IReactorTime, settings: Settings, metrics: Metrics,
                 extensions: Extensions) -> None:
        self.clock = clock
        self._extensions = extensions
        self._settings = settings
        self._metrics = metrics
        self._by_id: dict[str, Session] = {}
        self.get: Callable[[str | None], Session | None] = cast(Any, self._by_id.get)
        """Returns the live session of that id, None if there is none (I-3)."""
        self._registry: Registry[Session] = Registry()
        self._deadlines: Deadlines[Session] = Deadlines(clock, self._due)
        self.holds = Holds(settings)
        """The connects that wait."""
        self.haste = Haste(clock, settings, metrics)
        """How often they may be answered with nothing new."""
        self._by_address: dict[str, int] = {}
        self._woken: dict[Session, None] = {}
        self._woken_at = 0.0
        """When the first of these was."""
        self.backlog = Backlog()
        """Those whose events wait for longer than that."""
        self.by_transport: Counter[str] = Counter()
        """How many sessions each transport has."""
        self.listeners: list[SessionListener] = []
        self.closed = False
        self._leaving: deque[Session] = deque()
        """Whom nobody has told yet that the server stops."""
        self._aside: dict[Session, Stream] = {}
        """Streams that are open, while their sessions have their events by connects."""
        self._spread = settings.shutdown_spread
        self._usual_advice = Advice("retry", round(1000 * settings.interval), round(1000 * settings.timeout))

    def __len__(self) -> int:
        """Return how many sessions there are."""
        return len(self._by_id)

    def all(self) -> tuple[Session, ...]:
        """Return all of them, as they are now."""
        return tuple(self._by_id.values())

    def __iter__(self) -> Iterator[Session]:
        """Yield all of them; none may come or go meanwhile."""
        return iter(self._by_id.values())

    def is_idle(self) -> bool:
        """Say whether nothing at all is kept: no session, subscription, held connect or timer."""
        return not (self._by_id or self._by_address or self._registry or self.holds.by_browser
                    or self.holds or self._deadlines or self.backlog or self._aside or +self.by_transport)

    @property
    def pending_deadlines(self) -> int:
        """How many entries the list of deadlines has, those included that have become void."""
        return len(self._deadlines)

    @property
    def channels(self) -> int:
        """How many channels and patterns have a subscriber (Q-11)."""
        return len(self._registry)

    def patterns(self) -> Iterator[str]:
        """Yield the channels and patterns that have a subscriber; none may come or go meanwhile."""
        return iter(self._registry)

    def subscribers(self, pattern: str) -> int:
        """Return how many sessions are subscribed to that very channel or pattern."""
        return self._registry.count(pattern)

    # -- life -----------------------------------------------------------------------------------

    def open(self, link: Link, credentials: tuple[Credential, ...] = ()) -> Session:
        """Create a session, which expires unless it connects (H-17).  Raises ``TooBusy`` (G-13)."""
        if self.closed:
            raise TooBusy
        if len(self._by_id) >= self._settings.max_sessions:
            raise TooBusy("max_sessions")
        client = self._client(link.address)
        if self._by_address.get(client, 0) >= self._settings.max_sessions_per_address:
            raise TooBusy("max_sessions_per_address")
        session = Session(self)
        session.credentials = credentials
        session.browser_id = link.browser_id
        session.has_cookie = link.browser_id is not None
        session.address = link.address
        session.transport = link.connection_type
        self.by_transport[session.transport] += 1
        count(self._by_address, client, 1)
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
            self.holds.count(session, -1)
        parked = session.unpark(State.REMOVED)
        session.removed_by = why
        stream = self._part(session)
        del self._by_id[session.id]
        self._deadlines.forget(session)
        count(self._by_address, self._client(session.address), -1)
        for pattern in session.subscriptions:
            self._registry.remove(pattern, session)
        session.subscriptions = ()
        if why is not Release.SHUTDOWN:  # or else its events go out with the last word
            session.queue.clear()
        self.backlog.forget(session)
        self.by_transport[session.transport] -= 1
        self._metrics.sessions_removed[reason] += 1
        if parked is not None:
            parked.release(why)
        if stream is not None:
            stream.unbound(moved=False)
        self._tell("session_removed", session, reason)

    def stop_accepting(self) -> None:
        """Open no more; those that there are will be removed by ``retire`` (Q-10)."""
        if self.closed:
            return
        self.closed = True
        rate = self._settings.shutdown_rate
        if rate:
            self._spread = max(self._spread, len(self) / rate)
        # Who can be told now comes first: others may still come for it.
        self._leaving.extend(sorted(self.all(), key=self._is_out_of_reach))

    def retire(self, most: int) -> bool:
        """Remove up to so many sessions, with a last word and all their events for whoever can be reached.

        Returns whether there are more.
        """
        leaving = self._leaving
        while leaving and most > 0:
            session = leaving.popleft()
            if session.alive:
                most -= 1
                if session.state is not State.HELD:
                    self.take_up(session)
                if session.stream is not None and not self.connect_only(session):
                    session.stream.push()
                self.remove(session, "shutdown", Release.SHUTDOWN)
        if not leaving:
            self._deadlines.stop()
        return bool(leaving)

    def open_again(self) -> None:
        """Open sessions, if that had been stopped."""
        self.closed = False
        self._spread = self._settings.shutdown_spread

    def touch(self, session: Session) -> None:
        """Note a sign of life other than a connect: it puts off expiry, if that runs (Q-3)."""
        if session.until is not None and session.state is not State.HELD:
            remaining = session.until - self.clock.seconds()
            if remaining < self._settings.max_interval:
                self._expire_in(session, self._settings.max_interval)

    # -- subscriptions --------------------------------------------------------------------------

    def room_for(self, patterns: Iterable[str]) -> bool:
        """Say whether the server can take subscriptions to these different patterns (G-12)."""
        new = sum(pattern not in self._registry for pattern in patterns)
        return not new or len(self._registry) + new <= self._settings.max_channels

    def subscribe(self, session: Session, patterns: Sequence[str]) -> None:
        """Subscribe to patterns that it is not subscribed to yet, effective at once (S-7)."""
        session.subscriptions += tuple(self._registry.add(pattern, session) for pattern in patterns)

    def unsubscribe(self, session: Session, patterns: Collection[str]) -> None:
        """Unsubscribe, effective at once (S-8)."""
        gone = set(patterns)
        session.subscriptions = tuple(p for p in session.subscriptions if p not in gone)
        for pattern in gone:
            self._registry.remove(pattern, session)

    # -- streams --------------------------------------------------------------------------------

    def bind(self, session: Session, stream: Stream) -> None:
        """Let a session's events go by a stream from now on (W-5), instead of any other (W-6, W-7)."""
        if session.stream is stream:
            return
        self.unbind(stream)
        superseded = None
        if session.stream is not None and session.state is State.HELD and session.link is session.stream:
            superseded = self._supersede(session)
            self.answered(session)
        previous = self._part(session)
        session.stream, stream.session = stream, session
        self.moved(session, stream.connection_type)
        if session.queue:
            self._wake(session)
        if previous is not None:
            previous.unbound(moved=True)
        if superseded is not None:
            superseded.release(Release.SUPERSEDED)

    def unbind(self, stream: Stream) -> None:
        """Part a stream from its session, if it has one, which then has to come back in time (W-6, W-15)."""
        session = stream.session
        if session is None:
            return
        had_events = session.stream is stream
        self._part(session)
        if not had_events:
            return
        if session.state is not State.HELD:
            self.answered(session)
        elif session.link is stream:
            self.release(session, Release.LOST)
        elif session.urgent:
            self._wake(session)  # what the stream has not taken goes by the connect that is held

    def moved(self, session: Session, transport: str) -> None:
        """Take note of the transport by which a session comes now."""
        self.by_transport[session.transport] -= 1
        self.by_transport[transport] += 1
        session.transport = transport

    def leave_stream(self, session: Session) -> None:
        """Let a session's events wait for its connects from now on (W-7)."""
        stream = self._part(session)
        if stream is not None:
            stream.unbound(moved=True)

    def set_aside(self, session: Session) -> None:
        """Let a session's events wait for its connects, until it wants them by its stream again (F-6)."""
        if session.stream is not None:
            self._aside[session] = session.stream
            session.stream = None

    def take_up(self, session: Session) -> None:
        """Let a session's events go by the stream that has been set aside, if there is one."""
        stream = self._aside.pop(session, None)
        if stream is not None:
            session.stream = stream
            self.moved(session, stream.connection_type)
            if session.queue:
                self._wake(session)

    def _part(self, session: Session) -> Stream | None:
        stream = session.stream or self._aside.pop(session, None)
        if stream is not None:
            session.stream = stream.session = None
        return stream

    # -- delivery -------------------------------------------------------------------------------

    def reach(self, event: Event, publisher: Session | None) -> int:
        """Return how many sessions an event is for (P-10)."""
        sessions = self._registry.match(event.channel)
        return len(sessions) - (self._excluded(publisher) in sessions)

    def publish(self, event: Event, publisher: Session | None) -> None:
        """Queue an event for all who are subscribed."""
        excluded = self._excluded(publisher)
        filtered = bool(self._extensions.filters or self._extensions.lines)
        # A full queue may remove its session, so what is gone through must be a copy.
        for session in tuple(self._registry.match(event.channel)):
            if session is excluded:
                continue
            if filtered or session.extensions:
                self.deliver(session, event)
            else:
                self._put(session, event)

    def _excluded(self, publisher: Session | None) -> Session | None:
        """Return who does not get what it publishes (P-11)."""
        return None if self._settings.broadcast_to_publisher else publisher

    def send(self, session: Session, event: Event) -> None:
        """Deliver an event that the application has made for one session."""
        self._extensions.publishing(event, None)
        self.deliver(session, event)

    def deliver(self, session: Session, event: Event) -> None:
        """Queue an event for one session, unless an extension keeps it, and see that it goes out."""
        extensions = self._extensions
        # Behind an event that an extension still thinks about, though it was removed, the others keep order.
        if not (extensions.filters or session.extensions or extensions.lines):
            self._put(session, event)
        elif not extensions.deliver(session, event, self._put):
            self._overflow(session)

    def _put(self, session: Session, event: Event) -> None:
        if session.state is State.REMOVED:
            return
        queue = session.queue
        if queue.events and not queue.fits(event, self._settings):
            self.dispatch(session)  # a burst: what there is can be written now
        try:
            lost = queue.put(event, self._settings)
        except QueueOverflow:
            self._metrics.limited[queue.limit(self._settings)] += 1
            self._overflow(session)
            return
        if lost:
            self._metrics.limited[queue.limit(self._settings)] += 1
            self._metrics.dropped += len(lost)
            self._metrics.queued += event not in lost
        else:
            self._metrics.queued += 1
        if event.lazy is not None:
            self._put_off(session, event.lazy)
        else:
            self._wake(session)

    def _overflow(self, session: Session) -> None:
        self._metrics.dropped += len(session.queue) + 1
        self.remove(session, "overflow", Release.OVERFLOW)

    def _wake(self, session: Session) -> None:
        """See that the session's events go out at the end of this turn."""
        if session.stream is not None or session.state is State.HELD:
            if not self._woken:
                self._woken_at = self.clock.seconds()
                self.clock.callLater(0, self._flush)
            self._woken[session] = None
        elif session.alive:
            self.backlog.add(session)

    def _flush(self) -> None:
        """Send the events of all sessions that have got some in this turn."""
        woken, self._woken = self._woken, {}
        since, metrics, waiting = self._woken_at, self._metrics, iter(woken)
        while some := tuple(islice(waiting, _AT_ONCE)):
            before = metrics.events_sent
            for session in some:
                self.dispatch(session)
            metrics.latency.observe(self.clock.seconds() - since, metrics.events_sent - before)

    def sent(self, replies: int, events: int) -> None:
        """Count what is about to be written to a client."""
        self._metrics.replies_sent += replies
        self._metrics.events_sent += events

    def dispatch(self, session: Session) -> None:
        """Send what is queued, if there is something that can carry it now."""
        if not session.queue.events:
            return
        if session.stream is not None and not self.connect_only(session):
            session.stream.push()
        elif session.state is State.HELD:
            self.release(session, Release.EVENTS)
        if session.queue.events and session.alive:  # as nobody takes them now, or has acknowledged them
            self.backlog.add(session)

    def _client(self, address: str) -> str:
        return client_of(address, self._settings.ipv6_prefix)

    def _put_off(self, session: Session, delay: float) -> None:
        self.backlog.add(session)
        until = self.clock.seconds() + delay
        if session.lazy_until is None or until < session.lazy_until:
            session.lazy_until = until
            self._arm(session)

    # -- holding connects -----------------------------------------------------------------------

    def connecting(self, session: Session) -> Parked | None:
        """Take note of a connect: expiry stops (Q-3), and an older one makes room for it (K-12).

        Returns the older one, to be released as ``SUPERSEDED`` when the newer one is settled: answering
        it may let the next request on its connection in, which may be another connect of the session.
        """
        superseded = None
        if session.state is State.HELD:
            superseded = self._supersede(session)
        else:
            session.become(State.CONNECTED)
        session.cycle += 1
        session.until = None
        if self._settings.max_processing > 0:
            self._expire_in(session, self._settings.max_processing)
        return superseded

    def _supersede(self, session: Session) -> Parked | None:
        """Take the held connect out of the way of something newer, which is to release it."""
        self._metrics.superseded += 1
        self.holds.count(session, -1)
        session.until = None
        return session.unpark(State.CONNECTED)

    def hold(self, session: Session, link: Link, parked: Parked, seconds: float) -> None:
        """Hold a connect for at most so long (K-7)."""
        self._metrics.held += 1
        session.park(link, parked)
        self.holds.count(session, 1)
        session.until = self.clock.seconds() + seconds
        self._arm(session)

    def release(self, session: Session, why: Release) -> None:
        """Let the held connect of a session be answered."""
        if self.closed and why is not Release.LOST:
            self.remove(session, "shutdown", Release.SHUTDOWN)  # its client might not be told otherwise
            return
        self.holds.count(session, -1)
        parked = session.unpark(State.CONNECTED)
        session.until = None  # a deadline that still comes will find nothing to do
        if why is Release.LOST:
            self._metrics.carriers_lost += 1
            self.answered(session)
        if parked is not None:
            parked.release(why)

    def make_way(self, session: Session) -> None:
        """Let the held connect of a session be answered with nothing, if that is not too often (K-16)."""
        pause = self.haste.wait(session)
        until = self.clock.seconds() + pause
        if not pause:
            self.haste.take(session)
            self.release(session, Release.MAKE_WAY)
        elif session.until is None or until < session.until:
            self.haste.take(session)
            session.until = until
            self._arm(session)

    def answered(self, session: Session) -> None:
        """Start the time in which the next connect must come (Q-2, Q-3)."""
        if session.alive and session.state is not State.HELD:
            self._expire_in(session, session.grace)

    def check_haste(self, session: Session) -> None:
        """Count a connect that cannot wait.  Raises ``TooMany`` if it would have to (G-25)."""
        if self.haste.wait(session):
            self.touch(session)
            raise TooMany("connects_per_second")
        self.haste.take(session)

    # -- time -----------------------------------------------------------------------------------

    def _expire_in(self, session: Session, seconds: float) -> None:
        # Rounded up, so that those that expire within one period go together.
        period = self._settings.sweep_period
        session.until = -(-(self.clock.seconds() + seconds) // period) * period
        self._arm(session)

    def _arm(self, session: Session) -> None:
        """Set the session's deadline: the end of its hold, its expiry, or when lazy events must go."""
        until = session.until
        if session.lazy_until is not None and (session.state is State.HELD or session.stream is not None):
            until = session.lazy_until if until is None else min(until, session.lazy_until)
        if until is None:
            self._deadlines.clear(session)
        else:
            now = self.clock.seconds()
            self._deadlines.set(session, until if until > now else now)

    def _due(self, session: Session) -> None:
        now = self.clock.seconds()
        if session.until is not None and session.until <= now:
            if session.state is State.HELD:
                self.release(session, Release.TIMEOUT)
            else:
                self.remove(session, "timeout", Release.TIMEOUT)
            return
        if session.lazy_until is not None and session.lazy_until <= now:
            session.lazy_until = None
            self.dispatch(session)
        if session.alive:
            self._arm(session)  # or it was for lazy events, which another response has taken along

    # -- what clients are told ------------------------------------------------------------------

    def advice(self, reconnect: str, interval: float | None = None) -> Advice:
        """Return complete advice (A-2); ``interval`` in seconds, None: as configured."""
        if interval is None and reconnect == "retry":
            return self._usual_advice
        seconds = self._settings.interval if interval is None else interval
        return Advice(reconnect, round(1000 * seconds), round(1000 * self._settings.timeout))

    def failed(self, error: BayeuxError) -> BayeuxError:
        """Count an error that a client is about to be told, and return it."""
        self._metrics.failures[error.code] += 1
        if error.limit:
            self._metrics.limited[error.limit] += 1
        return error

    def connect_only(self, session: Session) -> bool:
        """Say whether a session's events travel with connect replies only (D-7)."""
        return session.queue.connect_only or self._settings.meta_connect_deliver_only

    @property
    def longest_spread(self) -> float:
        """The longest time, in seconds, after which a client is told to come back (Q-10)."""
        return self._spread

    def spread(self, least: float = 0.0) -> int:
        """Return a random delay in milliseconds, so that clients do not all come back at once (Q-10)."""
        return round(1000 * random.uniform(least, max(least, self._spread)))

    def _tell(self, what: str, *arguments: object) -> None:
        for listener in tuple(self.listeners):
            try:
                getattr(listener, what)(*arguments)
            except Exception:
                self._extensions.faults.tell("a session listener failed", Failure(), event="listener_failed")

    def _is_out_of_reach(self, session: Session) -> bool:
        return session.state is not State.HELD and session.stream is None and session not in self._aside
