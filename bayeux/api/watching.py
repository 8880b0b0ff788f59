"""Watching channels by the API: a Bayeux server within the server, which has nothing but a copy to give."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IDelayedCall

from bayeux.channels import META_SUBSCRIBE, META_UNSUBSCRIBE
from bayeux.errors import TooBusy
from bayeux.extensions import Call, Extension
from bayeux.hub import Hub
from bayeux.messages import Encoded, Event, Message, Reply, decode_data, encode_data
from bayeux.policy import Policy, Verdict
from bayeux.queues import EventQueue
from bayeux.rates import Rate
from bayeux.session import Link, Session
from bayeux.settings import Settings
from bayeux.web.resource import BayeuxResource

SKIPPED = "/service/skipped"
"""Where watchers are told of events that they have not been shown."""
_NOTICE_DELAY = 1.0
"""Seconds for which such events are counted before they are told of."""

_INTERVAL = 0.2
"""Seconds between two polls, so that what comes in that time comes together."""


class Watch:
    """Shows events to whoever has the API's key, by long-polling; ``resource`` answers the requests.

    It has a hub of its own, so that whoever watches is no client of the hub that is watched: needs no
    permission there, is not counted, fills no queue.  It observes that hub while somebody is subscribed to
    anything.  Events beyond ``api_watch_rate`` are left out, and all watchers are told how many; whoever does
    not fetch loses the oldest, and is told that alone.
    """

    def __init__(self, hub: Hub) -> None:
        self._watched = hub
        self._clock = hub.sessions.clock
        settings, self._metrics = hub.settings, hub.metrics
        self.hub = Hub(self._clock, _settings(settings), _Watchers(self))
        """That of the watchers."""
        self.hub.add_listener(self)
        self.hub.add_extension(_Subscriptions(self))
        self.hub.close()  # until it is started
        self.resource = BayeuxResource(self.hub)
        self._follows = False
        self._rate: Rate | None = None
        if settings.api_watch_rate:
            self._rate = Rate(settings.api_watch_rate, max(1, int(settings.api_watch_rate)))
        self._full_at = 0.0
        self._skipped = 0
        self._notice: IDelayedCall | None = None

    def start(self) -> None:
        """Let people watch."""
        self.hub.open()

    def stop(self) -> None:
        """Answer whoever is waiting, and follow nothing any more."""
        self.hub.close()
        if self._notice is not None:
            self._notice.cancel()
            self._notice = None

    def check_room(self) -> None:
        """Raise ``TooBusy`` if there is no room for one more who watches."""
        if len(self.hub.sessions) >= self._watched.settings.api_max_watchers:
            self._metrics.limited["api_max_watchers"] += 1
            raise TooBusy

    def follow(self) -> None:
        """Observe the other hub if anybody is subscribed to anything, and only then."""
        wanted = self.hub.sessions.channels > 0
        if wanted and not self._follows:
            self._watched.broker.observe(self._show)
        elif self._follows and not wanted:
            self._watched.broker.leave_off(self._show)
        self._follows = wanted

    def session_added(self, session: Session) -> None:
        """Let it lose what it does not fetch, and say so."""
        session.queue = _Queue()

    def session_removed(self, session: Session, reason: str) -> None:
        """Observe no longer, if it was the last to watch."""
        self.follow()

    def _show(self, event: Event) -> None:
        if not self.hub.sessions.reach(event, None):
            return
        if self._rate is not None:
            now = self._clock.seconds()
            if self._rate.wait(self._full_at, now):
                self._skip()
                return
            self._full_at = self._rate.take(self._full_at, now)
        self.hub.publish(event.channel, Encoded(event.data))

    def _skip(self) -> None:
        """Leave an event out; it is the limit that is counted, and not every event that it costs."""
        self._skipped += 1
        if self._notice is None:
            self._metrics.limited["api_watch_rate"] += 1
            self._notice = self._clock.callLater(_NOTICE_DELAY, self._tell)

    def _tell(self) -> None:
        self._notice, skipped = None, self._skipped
        self._skipped = 0
        for session in tuple(self.hub.sessions):
            session.deliver(SKIPPED, {"events": skipped})


class _Queue(EventQueue):
    """The queue of a watcher: where events had to make room, it is told before those that are left."""

    __slots__ = ("_lost",)

    def __init__(self) -> None:
        super().__init__()
        self._lost = 0

    def make_room(self, event: Event, settings: Settings) -> Sequence[Event]:
        """Drop the oldest, and count them."""
        lost = super().make_room(event, settings)
        self._lost += sum(map(_loss, lost))
        return lost

    def take(self, most_bytes: int | None = None) -> list[Event]:
        """Hand the events over, and how many are not among them."""
        events = super().take(most_bytes)
        if self._lost:
            events.insert(0, Event(SKIPPED, encode_data({"events": self._lost})))
            self._lost = 0
        return events


def _loss(event: Event) -> int:
    """Return how many events are lost with one: it may have been to tell of others."""
    return int(decode_data(event.data)["events"]) if event.channel == SKIPPED else 1


class _Watchers(Policy):
    """Watchers watch and do nothing else; who they are has been asked before anything comes here."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def can_handshake(self, message: Message, link: Link) -> Verdict:
        """Allow it, if there is room."""
        self._watch.check_room()
        return True

    def can_publish(self, session: Session | None, channel: str, message: Message, link: Link) -> Verdict:
        """Refuse: here is a copy, and ``/v1/publish`` is for the original."""
        return False


class _Subscriptions(Extension):
    """Notices what watchers subscribe to."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def outgoing(self, reply: Reply, call: Call) -> None:
        """Look at what is watched now."""
        if reply.channel in (META_SUBSCRIBE, META_UNSUBSCRIBE):
            self._watch.follow()


def _settings(settings: Settings) -> Settings:
    """Return the settings of the watchers' hub: the limits of the other, and as little else as can be."""
    return Settings(
        connection_types=("long-polling",), legacy_clients=False, overflow="drop_oldest",
        # Whoever is to have events acknowledged has to lose none, and is ended by a full queue.
        extensions=(),
        # Cookies know no ports: by the usual name it would be that of the public one.
        cookie_name="BAYEUX_WATCH", cookie_same_site="Strict", timeout=settings.timeout, interval=_INTERVAL,
        max_sessions_per_browser=-1,  # a page in each of many tabs: who may watch is bounded already
        max_body=settings.max_body, max_message=settings.max_message, max_batch=settings.max_batch,
        max_depth=settings.max_depth, max_ext=settings.max_ext, max_channel=settings.max_channel,
        max_segments=settings.max_segments, max_subscribe=settings.max_subscribe,
        max_subscriptions=settings.max_subscriptions, max_queue=settings.max_queue,
        max_queue_bytes=settings.max_queue_bytes,
    )
