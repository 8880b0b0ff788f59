"""api/sessions.py: all sessions in an order in which one can go on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from bayeux import Hub, Link, Session
from bayeux.api.sessions import SessionIndex, describe
from bayeux.session import Stream


class World:
    """A hub with an index of its sessions."""

    def __init__(self, before: int = 0) -> None:
        self.clock = Clock()
        self.hub = Hub(self.clock)
        self.first = [self.open() for _ in range(before)]
        self.index = SessionIndex(self.hub.sessions)
        self.hub.add_listener(self.index)

    def open(self) -> Session:
        return self.hub.sessions.open(Link("long-polling", "192.0.2.7"))

    def pages(self, limit: int, between: Any = lambda: None) -> list[Session]:
        """Go through all, and do something between the pages."""
        found: list[Session] = []
        after, more = "", True
        while more:
            page, more = self.index.page(after, limit)
            assert len(page) <= limit
            found += [session for session, _ in page]
            after = found[-1].label if found else ""
            between()
        return found


def test_every_session_is_met_once() -> None:
    world = World()
    opened = {world.open() for _ in range(50)}
    for limit in (1, 7, 49, 50, 51):
        found = world.pages(limit)
        assert len(found) == 50
        assert set(found) == opened


def test_those_that_were_there_before_are_met_too() -> None:
    world = World(before=3)
    assert set(world.pages(2)) == set(world.first)


def test_without_sessions_there_is_one_page_with_nothing() -> None:
    assert World().index.page("", 10) == ([], False)


def test_a_page_that_is_just_full_is_the_last() -> None:
    world = World()
    for _ in range(3):
        world.open()
    assert world.index.page("", 3)[1] is False
    assert world.index.page("", 2)[1] is True


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=30))
def test_who_is_there_all_the_while_is_met_once_though_others_come_and_go(limit: int,
                                                                        changes: list[bool]) -> None:
    world = World()
    staying = {world.open() for _ in range(12)}
    guests: list[Session] = [world.open() for _ in range(12)]
    steps = iter(changes)

    def change() -> None:
        comes = next(steps, None)
        if comes:
            guests.append(world.open())
        elif comes is False and guests:
            guests.pop(0).disconnect()

    found = world.pages(limit, change)
    assert staying <= set(found)
    assert len(found) == len(set(found))


def test_one_goes_on_behind_a_session_that_has_gone() -> None:
    world = World()
    for _ in range(10):
        world.open()
    first = world.pages(10)
    first[4].disconnect()
    assert [session for session, _ in world.index.page(first[4].label, 10)[0]] == first[5:]


def test_a_session_is_found_by_its_label() -> None:
    world = World()
    opened = [world.open() for _ in range(20)]
    world.clock.advance(1.0)
    for session in opened:
        assert world.index.find(session.label) == (session, 1.0)


def test_a_session_is_found_by_nothing_else() -> None:
    """I-4: least of all by its id; a part of the label is not enough either."""
    world = World()
    session = world.open()
    for text in ("", session.label[:7], session.id[:9], session.id, session.label[:7] + "~", "~~~~~~~~",
                 "\u00e9" * 8, "\x00" * 8):
        assert world.index.find(text) is None


def test_a_session_that_has_ended_is_not_found() -> None:
    world = World()
    session, other = world.open(), world.open()
    session.disconnect()
    assert world.index.find(session.label) is None
    assert world.index.find(other.label) == (other, 0.0)


@pytest.mark.parametrize("others", [0, 200])
def test_a_session_that_another_listener_ends_at_once_takes_no_other_with_it(others: int) -> None:
    """The index is told of its end first, and then that it has been opened."""
    class Doorman:
        def session_added(self, session: Session) -> None:
            session.disconnect()

        def session_removed(self, session: Session, reason: str) -> None:
            pass

    hub = Hub(Clock())
    staying = {hub.sessions.open(Link("long-polling")) for _ in range(others)}
    hub.add_listener(Doorman())
    index = SessionIndex(hub.sessions)
    hub.add_listener(index)
    for _ in range(50):
        hub.sessions.open(Link("long-polling"))
    assert {session for session, _ in index.page("", 1000)[0]} == staying
    assert sum(len(shelf.ids) for shelf in index._shelves.values()) == others


def test_each_has_its_age() -> None:
    world = World()
    ages = {}
    for age in range(5, 0, -1):
        ages[world.open()] = float(age)
        world.clock.advance(1)
    assert dict(world.index.page("", 10)[0]) == ages
    next(iter(ages)).disconnect()
    del ages[next(iter(ages))]
    assert dict(world.index.page("", 10)[0]) == ages


def test_what_is_said_of_a_session() -> None:
    """I-4: not its whole id."""
    world = World()
    session = world.open()
    world.hub.sessions.subscribe(session, ["/a", "/b/*"])
    session.deliver("/a", 1)
    session.named = "ann"
    told = describe(session, 1.23456)
    assert told == {"id": session.id[:8], "transport": "long-polling", "address": "192.0.2.7", "user": "ann",
                    "age": 1.235, "queue": 1, "subscriptions": 2, "state": "handshaken"}
    assert session.id not in str(told)


def test_its_transport_is_the_one_that_it_has_moved_to() -> None:
    world = World()
    session = world.open()

    class Wire(Stream):
        def unbound(self, moved: bool) -> None:
            pass

    world.hub.sessions.bind(session, Wire("eventsource"))
    assert describe(session, 0)["transport"] == "eventsource"
