"""Rooms: who is where, and who said what, is decided here; the page only draws it.

What is said goes to the people in the room, one by one, and is on no channel that somebody could subscribe
to: whoever listens is seen.
"""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from unicodedata import normalize

from bayeux import BayeuxError, BayeuxService, Session

MAX_ROOMS, MAX_PEOPLE, MAX_NAME, MAX_TEXT, KEPT = 200, 200, 24, 1000, 30


@dataclass
class Person:
    """Somebody in a room; the key, which only they know, lets them come back under their name."""

    name: str
    key: str
    room: Room
    session: Session


@dataclass
class Room:
    """The people in a room, and what was said last."""

    name: str
    people: dict[str, Person] = field(default_factory=dict)
    said: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def names(self) -> list[str]:
        """Return who is here, in alphabetical order."""
        return [self.people[folded].name for folded in sorted(self.people)]


class Chat:
    """All rooms; a session is in one room at most, and speaks there under one name."""

    def __init__(self, bayeux: BayeuxService) -> None:
        self._rooms: dict[str, Room] = {}
        self._people: dict[Session, Person] = {}
        bayeux.hub.service("/service/chat/join", self._join)
        bayeux.hub.service("/service/chat/say", self._say)
        bayeux.hub.add_listener(self)

    def session_added(self, session: Session) -> None:
        """Do nothing: a session is nobody until it joins a room."""

    def session_removed(self, session: Session, reason: str) -> None:
        """Let somebody leave who disconnected, or vanished."""
        self._leave(session)

    def _join(self, session: Session, data: object) -> dict[str, Any]:
        """Let a session into a room, and answer with what it missed."""
        wanted, key = _text(data, "room", MAX_NAME), _text(data, "key", 64)
        name = " ".join(_text(data, "name", MAX_NAME).split())
        if not re.fullmatch("[a-z0-9_-]+", wanted):
            raise BayeuxError(400, "A room is named with a-z 0-9 - and _ only")
        if not name.isprintable():
            raise BayeuxError(400, "That name has characters that cannot be seen")
        room, folded = self._rooms.get(wanted) or Room(wanted), normalize("NFKC", name).casefold()
        person = room.people.get(folded)
        if person and person.key != key:
            raise BayeuxError(409, "Somebody here has that name already")
        if not person and (len(room.people) >= MAX_PEOPLE
                           or (len(self._rooms) >= MAX_ROOMS and wanted not in self._rooms)):
            raise BayeuxError(503, "It is full in here")
        if self._people.get(session) is not person:
            self._leave(session)
        if person:
            del self._people[person.session]
            person.session = session
        else:
            person = Person(name, key, room, session)
        self._rooms[wanted], self._people[session] = room, person
        if folded not in room.people:
            room.people[folded] = person
            self._tell(room, "join", name)
        return {"room": wanted, "you": person.name, "people": room.names(), "said": [*room.said]}

    def _leave(self, session: Session) -> None:
        person = self._people.pop(session, None)
        if person is None:
            return
        room = person.room
        room.people = {key: other for key, other in room.people.items() if other is not person}
        if room.people:
            self._tell(room, "leave", person.name)
        else:
            del self._rooms[room.name]

    def _tell(self, room: Room, what: str, name: str) -> None:
        self._deliver(room, {"type": what, "name": name, "people": room.names()})

    def _deliver(self, room: Room, event: dict[str, Any]) -> None:
        for person in room.people.values():
            person.session.deliver("/service/chat/heard", {"room": room.name, **event})

    def _say(self, session: Session, data: object) -> None:
        """Tell a room what one of its people says; ``at`` also tells the messages apart."""
        person = self._people.get(session)
        if person is None:
            raise BayeuxError(403, "Enter a room first")
        said, now = person.room.said, int(time.time() * 1000)
        event = {"type": "say", "name": person.name, "text": _text(data, "text", MAX_TEXT),
                 "at": max(now, said[-1]["at"] + 1) if said else now}
        said.append(event)
        self._deliver(person.room, event)


def _text(data: object, name: str, limit: int) -> str:
    value = data.get(name) if isinstance(data, dict) else None
    if not isinstance(value, str) or not value.strip() or len(value) > limit:
        raise BayeuxError(400, f"The {name} is missing or longer than {limit} characters")
    return value.strip()
