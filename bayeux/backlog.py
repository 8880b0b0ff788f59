"""Which sessions have events that wait for longer than a turn of the reactor, found without asking all."""

from __future__ import annotations

from typing import NamedTuple

from bayeux.session import Session

_ENOUGH = 64
"""Sessions that are looked through without a thought of how many have caught up since."""


class Depth(NamedTuple):
    """What waits in the queues of sessions."""

    sessions: int
    events: int
    bytes: int
    """Of JSON."""
    largest: int
    """Bytes of the largest queue."""


class Backlog:
    """The sessions of one hub that have fallen behind, and perhaps some that have caught up since.

    A session is added when there are events that its client does not take now: it has no connect held, or
    does not keep up, or has not acknowledged them.  Whoever takes them does not have to say so.
    """

    def __init__(self) -> None:
        self._sessions: dict[Session, None] = {}
        self._most = _ENOUGH

    def __len__(self) -> int:
        """Return how many sessions are kept, those included that have caught up."""
        return len(self._sessions)

    def add(self, session: Session) -> None:
        """Take note of a session with events in its queue."""
        self._sessions[session] = None
        if len(self._sessions) > self._most:
            self._tidy()
            self._most = 2 * len(self._sessions) + _ENOUGH  # so that each is paid for by one that was added

    def forget(self, session: Session) -> None:
        """Keep nothing of a session that has ended."""
        self._sessions.pop(session, None)

    def measure(self) -> Depth:
        """Return how much waits now; the work is proportional to the sessions that are behind."""
        self._tidy()
        queues = [session.queue for session in self._sessions if session.queue.events]
        sizes = [queue.size for queue in queues]
        return Depth(len(queues), sum(map(len, queues)), sum(sizes), max(sizes, default=0))

    def _tidy(self) -> None:
        self._sessions = {one: None for one in self._sessions if one.queue.events}
