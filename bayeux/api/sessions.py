"""The live sessions as the API shows them: in an order in which one can go on, and found by their labels."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any

from bayeux.session import Session
from bayeux.sessions import Sessions

_LAST = "~"
"""Sorts behind every character of an id."""


class _Shelf:
    """The ids that begin with one letter, in order, and since when each has been there."""

    __slots__ = ("ids", "since")

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.since = array("d")
        """Seconds of the clock; an array, as an object for each session would take thrice as much."""


class SessionIndex:
    """A listener that keeps the ids of all sessions in order: 16 bytes for each.

    Ids are random, and so is the order; but it is one in which who goes through all sessions, page by page,
    meets each that is there all the while once.  A page costs what is on it, however many sessions there are.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._shelves: dict[str, _Shelf] = {}
        for session in sessions:
            self.session_added(session)

    def session_added(self, session: Session) -> None:
        """Put a session in its place; a listener that was told first may have ended it already."""
        if not session.alive:
            return
        shelf = self._shelves.get(session.id[0])
        if shelf is None:
            shelf = self._shelves[session.id[0]] = _Shelf()
        place = bisect_left(shelf.ids, session.id)
        shelf.ids.insert(place, session.id)
        shelf.since.insert(place, self._sessions.clock.seconds())

    def session_removed(self, session: Session, reason: str) -> None:
        """Take a session out, if it has come in."""
        shelf = self._shelves.get(session.id[0])
        if shelf is None:
            return
        place = bisect_left(shelf.ids, session.id)
        if shelf.ids[place:place + 1] == [session.id]:
            del shelf.ids[place], shelf.since[place]

    def find(self, label: str) -> tuple[Session, float] | None:
        """Return the session of that label and its age in seconds, None if there is none."""
        found = next(self._after(label, bisect_left), None)
        return found if found is not None and found[0].label == label else None

    def page(self, after: str, limit: int) -> tuple[list[tuple[Session, float]], bool]:
        """Return so many sessions behind that label, with their ages, and whether there are more."""
        found: list[tuple[Session, float]] = []
        for each in self._after(f"{after}{_LAST}" if after else "", bisect_right):
            if len(found) == limit:
                return found, True
            found.append(each)
        return found, False

    def _after(self, key: str, bisect: Any) -> Iterator[tuple[Session, float]]:
        now = self._sessions.clock.seconds()
        for letter in sorted(self._shelves):
            shelf = self._shelves[letter]
            for place in range(bisect(shelf.ids, key), len(shelf.ids)):
                session = self._sessions.get(shelf.ids[place])
                if session is not None:
                    yield session, now - shelf.since[place]


def describe(session: Session, age: float) -> dict[str, Any]:
    """Return what the list of sessions says of one; its whole id is nobody's business (I-4)."""
    return {
        "id": session.label,
        "transport": session.transport,
        "address": session.address,
        "user": session.user,
        "age": round(age, 3),
        "queue": len(session.queue),
        "subscriptions": len(session.subscriptions),
        "state": session.state.name.lower(),
    }
