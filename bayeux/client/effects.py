"""What the machine wants to be done, in order; and what it calls things."""

from __future__ import annotations

from dataclasses import dataclass

from bayeux.client.envelopes import Message
from bayeux.client.outbox import Request
from bayeux.client.states import Change
from bayeux.client.topics import Topic

Timer = tuple[str, int | str]
"""The name of a timer: what it is for, and of which exchange or transport."""


@dataclass(frozen=True, slots=True)
class Open:
    """Open a transport; then ``Machine.opened`` or ``Machine.lost`` is to be called."""

    transport: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close a transport: nothing more is wanted from it."""

    transport: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the application for the ``ext`` of a handshake; then ``Machine.greet`` is to be called."""

    number: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send an envelope.

    What comes is given to ``Machine.received``, whichever exchange it is for; where requests are answered
    one by one (HTTP) ``Machine.ended`` or ``Machine.failed`` is called afterwards.
    """

    transport: str
    number: int
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Abort:
    """Nobody waits for the answer to an envelope any more."""

    transport: str
    number: int


@dataclass(frozen=True, slots=True)
class Start:
    """Call ``Machine.due`` after so many seconds; a timer of that name that runs is started anew."""

    timer: Timer
    delay: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a timer, if it runs."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Changed:
    """The state has changed."""

    change: Change


@dataclass(frozen=True, slots=True)
class Deliver:
    """An event has come."""

    message: Message


@dataclass(frozen=True, slots=True)
class Settled:
    """A publish has been answered, or never will be."""

    request: Request
    outcome: Message | Exception


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The server has agreed to a subscription, perhaps once more for a new session."""

    topic: Topic


@dataclass(frozen=True, slots=True)
class Left:
    """The session is not subscribed to something any more."""

    topic: Topic


@dataclass(frozen=True, slots=True)
class Unsubscribable:
    """The server has refused a subscription for good."""

    topic: Topic
    reason: Exception


@dataclass(frozen=True, slots=True)
class Report:
    """Something has gone wrong that nobody waits for."""

    error: Exception


Effect = (Open | Close | Ask | Send | Abort | Start | Stop | Changed | Deliver | Settled | Subscribed
          | Left | Unsubscribable | Report)
