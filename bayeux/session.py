"""A client's session: its state, its queue, its held connect; nothing of sockets, nothing of HTTP."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, ClassVar, Protocol

from bayeux.channels import is_name, is_reserved
from bayeux.credentials import Credential
from bayeux.errors import InvalidChannel
from bayeux.messages import Event, encode_data
from bayeux.queues import EventQueue


class State(Enum):
    """Where a session is in its life (BAYEUX.md section 17)."""

    __hash__ = object.__hash__  # that of enumerations is slow, and the table is looked into at every step

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
    OVERFLOW = auto()
    """Its queue was full: the client has to shake hands again, and so learns of its loss (Q-7)."""
    EXPIRED = auto()
    """The token that it depended on is not good any more: it has to shake hands with another (Y-16)."""
    SHUTDOWN = auto()
    """The server stops (Q-10)."""
    LOST = auto()
    """Its connection is gone: nobody can be answered (N-1)."""


@dataclass(slots=True, eq=False)
class Link:
    """What a session and a policy may know of the carrier that a batch came by."""

    is_stream: ClassVar[bool] = False
    """Whether it is a ``Stream``: to ask whether a link is of that class takes much longer."""
    tells_reach: ClassVar[bool] = False
    """Whether whoever publishes by it is told how many sessions that has gone to, as ``ext.reached``."""

    connection_type: str
    address: str = ""
    """The client's IP address."""
    browser_id: str | None = None
    """Which browser, by its cookie; None where it sent none (B-2)."""
    serial: bool = False
    """Whether the client sees replies strictly one after another, as injected scripts are run.  Events
    then come with connects only (D-7), and a held connect makes way for other replies (K-15)."""
    header: Callable[[str], str] = field(default=lambda name: "")
    """Returns a request header by its lower-case name, "" where it is absent."""


@dataclass(slots=True, eq=False)
class Stream(Link):
    """A link that can be written to at any time, as a socket can; it carries one session at most (W-5)."""

    is_stream: ClassVar[bool] = True
    session: Session | None = None
    congested: bool = False
    """Whether its peer has to take something before it is sent more (G-16)."""

    def push(self) -> None:
        """Write the events that the session has queued, as far as the peer keeps up with them (W-10)."""
        raise NotImplementedError

    def unbound(self, moved: bool) -> None:
        """Take note that the session has gone: to another link (W-7), or else for good."""
        raise NotImplementedError


class Parked(Protocol):
    """A connect that is held."""

    def release(self, why: Release) -> None:
        """Answer it."""


class Owner(Protocol):
    """What a session asks of those who keep it, on behalf of an application."""

    def send(self, session: Session, event: Event) -> None:
        """Queue an event of the application's and see that it goes out."""

    def remove(self, session: Session, reason: str, why: Release) -> None:
        """End the session."""


class Session:
    """One client, named by ``id`` (I-1); made by a handshake, kept by its connects.

    An application may use it as a key, ``deliver`` to it and ``disconnect`` it.  Never show its ``id``
    to another client: whoever knows it is that client (I-4).
    """

    __slots__ = ("_owner", "address", "alarm", "browser_id", "connects_full_at", "credentials", "cycle",
                 "deadline", "extensions", "grace", "has_cookie", "id", "lazy_until", "link",
                 "messages_full_at", "named", "parked", "queue", "removed_by", "state", "stream",
                 "subscriptions", "transport", "until")

    def __init__(self, owner: Owner) -> None:
        self.id = new_id()
        self.state = State.HANDSHAKEN
        self.address = ""
        """The IP address from which it was opened."""
        self.transport = ""
        """The connection type by which it comes: that of its stream, or else of its last connect."""
        self.browser_id: str | None = None
        self.has_cookie = False
        """Whether the browser is known to send its cookie (B-2)."""
        self.credentials: tuple[Credential, ...] = ()
        """What it has shown and is still good: its token, and the grants of its subscriptions."""
        self.named: str | None = None
        """Who it is, by the word of the site that was asked about its handshake."""
        self.extensions: tuple[Any, ...] = ()
        """The ``Extension`` objects that are for this client alone; an application may add its own."""
        self.subscriptions: tuple[str, ...] = ()
        """Its patterns; few, and so a set would take more memory than anything else here."""
        self.queue = EventQueue()
        self.stream: Stream | None = None
        """What takes its events as they come; without one they wait for a connect."""
        self.link: Link | None = None
        """The carrier of the held connect."""
        self.cycle = 0
        """How many connects have come: only the newest takes events (K-12)."""
        self.messages_full_at = self.connects_full_at = 0.0
        """Its buckets: of messages, and of connects that were answered with nothing new (G-17, G-25)."""
        self.grace = 0.0
        """Seconds from the next connect reply to expiry (Q-3)."""
        self.until: float | None = None
        """When the hold of its connect ends, or else the session."""
        self.lazy_until: float | None = None
        """When the oldest lazy event in the queue must go (D-12)."""
        self.deadline: float | None = None
        self.alarm: float | None = None
        self.parked: Parked | None = None
        """The held connect."""
        self.removed_by: Release | None = None
        """Why it has ended, if it has."""
        self._owner = owner

    def __repr__(self) -> str:
        """Return a text that may be logged: without the whole id (G-33)."""
        return f"<Session {self.label}... {self.state.name}>"

    # -- for applications -----------------------------------------------------------------------

    def deliver(self, channel: str, data: object) -> None:
        """Send an event to this client alone, whether it is subscribed or not.

        Raises ``InvalidChannel`` for what is no channel or one of the protocol's own, ``TypeError`` or
        ``ValueError`` for data that JSON cannot hold.  To a session that is gone it does nothing.
        """
        if not is_name(channel) or is_reserved(channel):
            raise InvalidChannel(channel)
        self._owner.send(self, Event(channel, encode_data(data)))

    def disconnect(self) -> None:
        """End the session from the server's side (X-6).

        A client that waits is told not to come back by itself; any other has to shake hands anew.
        """
        self._owner.remove(self, "kicked", Release.KICKED)

    @property
    def label(self) -> str:
        """The beginning of its id, for operators and logs: nobody can speak with that (G-33)."""
        return self.id[:8]

    @property
    def user(self) -> str | None:
        """Who it is: the ``sub`` of its token while that is good (Y-16), or else what the site has said."""
        token = self.token
        return self.named if token is None or token.user is None else token.user

    @property
    def urgent(self) -> bool:
        """Whether anything that is queued must not wait for company, or not any longer (D-12)."""
        return bool(self.queue.events) and (self.lazy_until is None or self.queue.urgent)

    @property
    def alive(self) -> bool:
        """Whether it still exists."""
        return self.state is not State.REMOVED

    # -- for the hub ----------------------------------------------------------------------------

    @property
    def token(self) -> Credential | None:
        """What it has shaken hands with, if it is still good."""
        return next((one for one in self.credentials if not one.is_grant), None)

    def become(self, state: State) -> None:
        """Change state; raises ``IllegalTransition`` where the table has no such step.

        A held connect has to be taken by ``unpark``, or nobody would answer it.
        """
        if state not in TRANSITIONS[self.state] or self.parked is not None:
            raise IllegalTransition(f"{self.state.name} to {state.name}")
        self.state = state

    def park(self, link: Link, parked: Parked) -> None:
        """Hold a connect."""
        self.become(State.HELD)
        self.link = link
        self.parked = parked

    def unpark(self, state: State) -> Parked | None:
        """Change state and hand over the held connect, if there is one, for the caller to release."""
        parked, self.parked, self.link = self.parked, None, None
        self.become(state)
        return parked

    def take_rest(self) -> list[Event]:
        """Take all that is queued for the last time, as the session has ended."""
        events = self.queue.events
        self.queue.clear()
        return events

    def take(self, most_bytes: int | None = None) -> list[Event]:
        """Take queued events into the caller's hands, who must be about to send them (D-13)."""
        self.lazy_until = None
        return self.queue.take(most_bytes)


_ALPHABET = string.ascii_letters + string.digits


def new_id() -> str:
    """Return an unguessable identifier: 27 letters and digits, 160 random bits (I-1, B-1)."""
    number = secrets.randbits(160)
    letters = []
    for _ in range(27):
        number, digit = divmod(number, 62)
        letters.append(_ALPHABET[digit])
    return "".join(letters)
