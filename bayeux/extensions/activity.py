"""Inactivity: a client that is there but does nothing is disconnected in the end (19.4)."""

from __future__ import annotations

from collections.abc import Callable

from bayeux.channels import META_CONNECT, META_HANDSHAKE
from bayeux.extensions import Call, Extension
from bayeux.messages import Event, Reply
from bayeux.session import Session


class Inactivity(Extension):
    """Watches one session; to be added to its ``extensions`` (XV-3).

    Ends it at the first connect, or reply to one, that comes more than ``limit`` seconds after its last
    message (XV-2).  With ``events`` those that it is sent count as well, its own or not (XV-1).
    ``seconds`` is a clock that does not jump.
    """

    __slots__ = ("_counts_events", "_last", "_limit", "_seconds")

    def __init__(self, limit: float, seconds: Callable[[], float], events: bool = False) -> None:
        self._limit = limit
        self._seconds = seconds
        self._counts_events = events
        self._last = seconds()

    def incoming(self, call: Call) -> None:
        """Take note of a message; connects do not count, and an inactive client's are not held."""
        if call.message.channel != META_CONNECT:
            self._last = self._seconds()
        elif self._is_over:
            call.hold = False

    def outgoing(self, reply: Reply, call: Call) -> None:
        """End the session of an inactive client, now that there is a reply that can say so (X-6)."""
        if reply.channel == META_CONNECT and self._is_over and call.session is not None:
            call.session.disconnect()

    def delivering(self, event: Event, session: Session) -> Event:
        """Take note of an event, if they count."""
        if self._counts_events:
            self._last = self._seconds()
        return event

    @property
    def _is_over(self) -> bool:
        return self._seconds() - self._last > self._limit


class Activity(Extension):
    """Has every session watched from its handshake on, unless an ``Inactivity`` does so already."""

    def __init__(self, limit: float, seconds: Callable[[], float], events: bool = False) -> None:
        self._limit = limit
        self._seconds = seconds
        self._counts_events = events

    def outgoing(self, reply: Reply, call: Call) -> None:
        """Begin to watch a session."""
        session = call.session
        if reply.channel == META_HANDSHAKE and session is not None and not any(
            isinstance(extension, Inactivity) for extension in session.extensions
        ):
            session.extensions += (Inactivity(self._limit, self._seconds, self._counts_events),)
