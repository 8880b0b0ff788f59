"""The events that wait for one client: in order, and bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, takewhile

from bayeux.messages import Event, Reply
from bayeux.settings import Settings


class QueueOverflow(Exception):
    """A queue is full, and its session has to end so that its client knows that something is lost (Q-7)."""


class EventQueue:
    """A session's queue; an empty one has room for an event of any size."""

    __slots__ = ("events", "size")

    connect_only = False
    """Whether its events may travel with the replies to connects only (D-7)."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.size = 0
        """Bytes of JSON."""

    def __len__(self) -> int:
        """Return how many events it holds."""
        return len(self.events)

    @property
    def fresh(self) -> bool:
        """Whether anything in it has not been sent yet."""
        return bool(self.events)

    @property
    def urgent(self) -> bool:
        """Whether anything in it must not wait for company (D-12)."""
        return bool(self.events) and any(event.lazy is None for event in self.events)

    def fits(self, event: Event, settings: Settings) -> bool:
        """Say whether there is room for an event."""
        return not self.events or (len(self.events) < settings.max_queue
                                   and self.size + len(event.json) <= settings.max_queue_bytes)

    def limit(self, settings: Settings) -> str:
        """Return the setting that has no room for what does not fit."""
        return "max_queue_bytes" if len(self.events) < settings.max_queue else "max_queue"

    def put(self, event: Event, settings: Settings) -> Sequence[Event]:
        """Add an event; returns those that are lost by it, which may be the event itself.

        Raises ``QueueOverflow`` where nothing may be lost silently.
        """
        lost: Sequence[Event] = ()
        if self.events and not self.fits(event, settings):
            lost = self.make_room(event, settings)
            if event in lost:
                return lost
        self.events.append(event)
        self.size += len(event.json)
        return lost

    def make_room(self, event: Event, settings: Settings) -> Sequence[Event]:
        """Do with a full queue as the settings say (Q-7)."""
        if settings.overflow == "disconnect":
            raise QueueOverflow
        if settings.overflow == "drop_newest":
            return (event,)
        lost = []
        while not self.fits(event, settings):
            lost.append(self.events.pop(0))
            self.size -= len(lost[-1].json)
        return lost

    def label(self, reply: Reply) -> None:
        """Mark the reply to a connect with which the events are about to be taken."""

    def take(self, most_bytes: int | None = None) -> list[Event]:
        """Hand the events to whoever is about to send them (D-13): all, or a few, but at least one."""
        if most_bytes is None or self.size <= most_bytes:
            events, self.events, self.size = self.events, [], 0
            return events
        events = self.first(most_bytes)
        del self.events[:len(events)]
        self.size -= size_of(events)
        return events

    def first(self, most_bytes: int) -> list[Event]:
        """Return the events at the head that are no more than so many bytes, or else one, if there is one."""
        if self.size <= most_bytes:
            return self.events.copy()
        sizes = accumulate(len(event.json) for event in self.events)
        return self.events[:max(1, sum(1 for _ in takewhile(most_bytes.__ge__, sizes)))]

    def clear(self) -> None:
        """Throw everything away: the session has ended."""
        self.events, self.size = [], 0


def size_of(events: Iterable[Event]) -> int:
    """Return how many bytes of JSON events are."""
    return sum(len(event.json) for event in events)
