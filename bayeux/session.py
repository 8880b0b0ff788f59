"""A client's session: its state, its queue, its held connect; nothing of sockets, nothing of HTTP."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from twisted.internet.defer import Deferred

from bayeux.channels import is_name, is_reserved
from bayeux.errors import InvalidChannel
from bayeux.messages import Event, encode_data


class State(Enum):
    """Where a session is in its life (BAYEUX.md section 17)."""

    HANDSHAKEN = auto()
    """Created; its first connect has not come, and will not be held (K-6)."""
    CONNECTED = auto()
    """Between two connects: the expiry timer runs (Q-2)."""
    HELD = auto()
    """A connect waits for events: it does not expire (Q-1)."""
    REMOVED = auto()
    """Gone, for whatever reason: its id means nothing any more (X-2, Q-4)."""


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.HANDSHAKEN: frozenset({State.CONNECTED, State.REMOVED}),
    State.CONNECTED: frozenset({State.CONNECTED, State.HELD, State.REMOVED}),
    State.HELD: frozenset({State.CONNECTED, State.REMOVED}),
    State.REMOVED: frozenset(),
}
"""The whole life cycle; every change of state is looked up here."""


class IllegalTransition(RuntimeError):
    """The server has tried to move a session in a way that ``TRANSITIONS`` does not know: a bug."""


class Release(Enum):
    """Why a held connect is answered (K-7)."""

    EVENTS = auto()
    """There is something to deliver."""
    TIMEOUT = auto()
    """It was held as long as it may be; not an error (K-11)."""
    MAKE_WAY = auto()
    """Another message or request cannot be seen until it is out of the way (K-15, K-16)."""
    SUPERSEDED = auto()
    """A newer connect has come: answered without events, or not at all (K-12)."""
    DISCONNECTED = auto()
    """The client has disconnected (K-14)."""
    KICKED = auto()
    """The server has disconnected the client (X-6)."""
    SHUTDOWN = auto()
    """The server stops (Q-10)."""
    LOST = auto()
    """Its connection is gone: nobody can be answered (N-1)."""


@dataclass(slots=True)
class Link:
    """What a session and a policy may know of the carrier that a batch came by."""

    connection_type: str
    address: str = ""
    """The peer's IP address."""
    browser_id: str | None = None
    """Which browser, by its cookie; None where it sent none (B-2)."""
    serial: bool = False
    """Whether the client sees replies strictly one after another, as injected scripts are run.  Events
    then come with connects only (D-7), and a held connect makes way for other replies (K-15)."""
    header: Callable[[str], str] = field(default=lambda name: "")
    """Returns a request header by its lower-case name, "" where it is absent."""


class Outcome(Enum):
    """What became of an event that was put into a queue."""

    ACCEPTED = auto()
    DROPPED = auto()
    OVERFLOWED = auto()


class Owner(Protocol):
    """What a session asks of those who keep it, on behalf of an application."""

    def deliver(self, session: Session, event: Event) -> None:
        """Queue an event and see that it goes out."""

    def remove(self, session: Session, reason: str, why: Release) -> None:
        """End the session."""


class Session:
    """One client, named by ``id`` (I-1); made by a handshake, kept by its connects.

    An application may use it as a key, ``deliver`` to it and ``disconnect`` it.  Never show its ``id``
    to another client: whoever knows it is that client (I-4).
    """

    __slots__ = ("_owner", "address", "alarm", "browser_id", "deadline", "grace", "hold_until", "id",
                 "lazy_until", "link", "parked", "queue", "queue_bytes", "state", "subscriptions")

    def __init__(self, owner: Owner) -> None:
        self.id = new_id()
        self.state = State.HANDSHAKEN
        self.address = ""
        """The IP address from which it was opened."""
        self.browser_id: str | None = None
        self.subscriptions: set[str] = set()
        self.queue: list[Event] = []
        self.queue_bytes = 0
        self.link: Link | None = None
        """The carrier of the held connect."""
        self.grace = 0.0
        """Seconds from the next connect reply to expiry (Q-3)."""
        self.hold_until = 0.0
        self.lazy_until: float | None = None
        """When the oldest lazy event in the queue must go (D-12)."""
        self.deadline: float | None = None
        self.alarm: float | None = None
        self.parked: Deferred[Release] | None = None
        """The held connect: fires when it is to be answered, and says why."""
        self._owner = owner

    def __repr__(self) -> str:
        """Return a text that may be logged: without the whole id (G-33)."""
        return f"<Session {self.id[:6]}... {self.state.name}>"

    # -- for applications -----------------------------------------------------------------------

    def deliver(self, channel: str, data: object) -> None:
        """Send an event to this client alone, whether it is subscribed or not.

        Raises ``InvalidChannel`` for what is no channel or one of the protocol's own, ``TypeError`` or
        ``ValueError`` for data that JSON cannot hold.  To a session that is gone it does nothing.
        """
        if not is_name(channel) or is_reserved(channel):
            raise InvalidChannel(channel)
        self._owner.deliver(self, Event(channel, encode_data(data)))

    def disconnect(self) -> None:
        """End the session from the server's side (X-6).

        A client that waits is told not to come back by itself; any other has to shake hands anew.
        """
        self._owner.remove(self, "kicked", Release.KICKED)

    @property
    def alive(self) -> bool:
        """Whether it still exists."""
        return self.state is not State.REMOVED

    # -- for the hub ----------------------------------------------------------------------------

    def become(self, state: State) -> None:
        """Change state; raises ``IllegalTransition`` where the table has no such step.

        A held connect has to be taken by ``unpark``, or nobody would answer it.
        """
        if state not in TRANSITIONS[self.state] or self.parked is not None:
            raise IllegalTransition(f"{self.state.name} to {state.name}")
        self.state = state

    def park(self, link: Link) -> Deferred[Release]:
        """Hold a connect: the Deferred fires when it is to be answered, and says why."""
        self.become(State.HELD)
        self.link = link
        parked: Deferred[Release] = Deferred()
        self.parked = parked
        return parked

    def unpark(self, state: State) -> Deferred[Release] | None:
        """Change state and hand over the held connect, if there is one, for the caller to fire."""
        parked, self.parked, self.link = self.parked, None, None
        self.become(state)
        return parked

    def fits(self, event: Event, most: int, most_bytes: int) -> bool:
        """Say whether the queue has room for an event; an empty one has room for any (Q-7)."""
        return not self.queue or (
            len(self.queue) < most and self.queue_bytes + len(event.json) <= most_bytes)

    def put(self, event: Event, most: int, most_bytes: int, overflow: str) -> Outcome:
        """Queue an event, within bounds of events and bytes; a full queue does as ``overflow`` says."""
        outcome = Outcome.ACCEPTED
        if not self.fits(event, most, most_bytes):
            if overflow == "disconnect":
                return Outcome.OVERFLOWED
            outcome = Outcome.DROPPED
            if overflow == "drop_newest":
                return outcome
            while not self.fits(event, most, most_bytes):
                self.queue_bytes -= len(self.queue.pop(0).json)
        self.queue.append(event)
        self.queue_bytes += len(event.json)
        return outcome

    def take(self) -> list[Event]:
        """Empty the queue into the caller's hands, who must be about to send it (D-13)."""
        events, self.queue, self.queue_bytes = self.queue, [], 0
        self.lazy_until = None
        return events

    @property
    def urgent(self) -> bool:
        """Whether anything in the queue must not wait for company."""
        return any(event.lazy is None for event in self.queue)


_ALPHABET = string.ascii_letters + string.digits


def new_id() -> str:
    """Return an unguessable identifier: 27 letters and digits, 160 random bits (I-1, B-1)."""
    number = secrets.randbits(160)
    letters = []
    for _ in range(27):
        number, digit = divmod(number, 62)
        letters.append(_ALPHABET[digit])
    return "".join(letters)
