"""session.py: one client's state and held connect (BAYEUX.md section 17, I-1, K-12)."""

from __future__ import annotations

import re
from itertools import product

import pytest

from bayeux.errors import InvalidChannel
from bayeux.messages import Event
from bayeux.session import TRANSITIONS, IllegalTransition, Link, Release, Session, State, new_id
from bayeux.settings import Settings

LINK = Link("long-polling")


class FakeOwner:
    """Keeps a session, and notes what it is asked for."""

    def __init__(self) -> None:
        self.delivered: list[tuple[Session, Event]] = []
        self.removed: list[tuple[Session, str, Release]] = []

    def send(self, session: Session, event: Event) -> None:
        self.delivered.append((session, event))

    def remove(self, session: Session, reason: str, why: Release) -> None:
        self.removed.append((session, reason, why))


@pytest.fixture
def owner() -> FakeOwner:
    return FakeOwner()


@pytest.fixture
def session(owner: FakeOwner) -> Session:
    return Session(owner)


def in_state(state: State) -> Session:
    session = Session(FakeOwner())
    session.state = state
    return session


# -- the life cycle -----------------------------------------------------------------------------

LEGAL = {
    (State.HANDSHAKEN, State.CONNECTED), (State.HANDSHAKEN, State.REMOVED),
    (State.CONNECTED, State.CONNECTED), (State.CONNECTED, State.HELD), (State.CONNECTED, State.REMOVED),
    (State.HELD, State.CONNECTED), (State.HELD, State.REMOVED),
}


@pytest.mark.parametrize(("before", "after"), sorted(LEGAL, key=str))
def test_a_step_of_the_life_cycle(before: State, after: State) -> None:
    """Section 17."""
    session = in_state(before)
    session.become(after)
    assert session.state is after


@pytest.mark.parametrize(("before", "after"), [step for step in product(State, State) if step not in LEGAL])
def test_any_other_step_is_a_bug(before: State, after: State) -> None:
    """Section 17; K-6: a first connect is not held; X-5: nothing comes back."""
    session = in_state(before)
    with pytest.raises(IllegalTransition, match=f"{before.name} to {after.name}"):
        session.become(after)
    assert session.state is before


def test_every_state_has_its_row_in_the_table() -> None:
    assert set(TRANSITIONS) == set(State)


def test_a_session_begins_with_its_handshake(session: Session) -> None:
    """K-6, H-17."""
    assert session.state is State.HANDSHAKEN
    assert session.alive


@pytest.mark.parametrize("state", State)
def test_a_session_is_alive_until_it_is_removed(state: State) -> None:
    """X-5."""
    assert in_state(state).alive == (state is not State.REMOVED)


# -- the held connect ---------------------------------------------------------------------------


class FakeParked:
    """A held connect that must not be answered by the session itself."""

    def release(self, why: Release) -> None:
        raise AssertionError


def parked_in(session: Session) -> FakeParked:
    parked = FakeParked()
    session.park(LINK, parked)
    return parked


def test_a_parked_connect_waits() -> None:
    """K-7."""
    session = in_state(State.CONNECTED)
    parked = parked_in(session)
    assert session.parked is parked
    assert session.state is State.HELD
    assert session.link is LINK


@pytest.mark.parametrize("state", [State.CONNECTED, State.REMOVED])
def test_an_unparked_connect_is_handed_over_once_and_still_silent(state: State) -> None:
    """K-12, K-14: whoever unparks it answers it, after the change of state."""
    session = in_state(State.CONNECTED)
    parked = parked_in(session)
    assert session.unpark(state) is parked
    assert session.parked is None
    assert session.state is state
    assert session.link is None


@pytest.mark.parametrize("state", [State.CONNECTED, State.REMOVED])
def test_a_held_connect_cannot_be_left_behind(state: State) -> None:
    """K-2, K-14: nobody would answer it."""
    session = in_state(State.CONNECTED)
    parked = parked_in(session)
    with pytest.raises(IllegalTransition):
        session.become(state)
    assert session.unpark(state) is parked


def test_unparking_where_nothing_is_held_hands_over_nothing(session: Session) -> None:
    assert session.unpark(State.REMOVED) is None


def test_a_connect_can_be_held_again_after_one_was_answered() -> None:
    """K-12."""
    session = in_state(State.CONNECTED)
    parked_in(session)
    session.unpark(State.CONNECTED)
    second = parked_in(session)
    assert session.unpark(State.CONNECTED) is second


@pytest.mark.parametrize("state", [State.HANDSHAKEN, State.HELD, State.REMOVED])
def test_a_connect_cannot_be_held_in_any_other_state(state: State) -> None:
    """K-6; K-12: at most one is held; X-5."""
    session = in_state(state)
    with pytest.raises(IllegalTransition):
        parked_in(session)
    assert session.link is None
    assert session.parked is None


# -- the queue ----------------------------------------------------------------------------------


def test_taking_hands_over_what_is_queued(session: Session) -> None:
    """D-13."""
    events = [Event(f"/{name}", b"1") for name in "ab"]
    for event in events:
        session.queue.put(event, Settings())
    assert session.take() == events
    assert session.take() == []


def test_taking_can_be_limited(session: Session) -> None:
    """W-10: for a stream whose peer does not keep up."""
    events = [Event(f"/{name}", b"1") for name in "ab"]
    for event in events:
        session.queue.put(event, Settings())
    assert session.take(1) == events[:1]
    assert session.take() == events[1:]


def test_taking_ends_the_waiting_of_lazy_events(session: Session) -> None:
    """D-12."""
    session.lazy_until = 5.0
    session.take()
    assert session.lazy_until is None


# -- ids ----------------------------------------------------------------------------------------


def test_an_id_is_letters_and_digits() -> None:
    """I-1."""
    assert all(re.fullmatch("[A-Za-z0-9]{27}", new_id()) for _ in range(100))


def test_an_id_holds_160_random_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """I-1: from the operating system's generator, and no two numbers make the same id."""
    asked = []
    made = []
    for number in (0, 1, 61, 62, 2**159, 2**160 - 1):
        monkeypatch.setattr("secrets.randbits", lambda bits, number=number: asked.append(bits) or number)
        made.append(new_id())
    assert asked == [160] * 6
    alphabet = made[0][0]
    assert made[0] == alphabet * 27
    assert len(set(made)) == 6


def test_ids_do_not_repeat() -> None:
    """I-2."""
    assert len({new_id() for _ in range(2000)}) == 2000


def test_each_session_has_an_id_of_its_own(owner: FakeOwner) -> None:
    """I-2."""
    assert Session(owner).id != Session(owner).id


def test_a_session_can_be_logged(session: Session) -> None:
    """G-33, I-4: without its whole id."""
    assert session.id not in repr(session)
    assert session.label in repr(session)
    assert 6 <= len(session.label) < 10
    assert "HANDSHAKEN" in repr(session)


# -- for applications ---------------------------------------------------------------------------


def test_an_application_can_deliver_to_one_session(session: Session, owner: FakeOwner) -> None:
    """V-2."""
    session.deliver("/private", {"a": 1})
    [(receiver, delivered)] = owner.delivered
    assert receiver is session
    assert delivered.json == b'{"channel":"/private","data":{"a":1}}'


@pytest.mark.parametrize("channel", [
    "private", "/a/*", "/**", '/a"b', "/\u00e9", "/", "", "/meta", "/meta/connect", "/service"])
def test_what_is_no_channel_for_events_is_not_delivered_to(
        session: Session, owner: FakeOwner, channel: str) -> None:
    """D-1, C-11: a client would choke on it, or take it for a word of the protocol."""
    with pytest.raises(InvalidChannel):
        session.deliver(channel, 1)
    assert owner.delivered == []


def test_a_service_can_deliver_on_its_channel(session: Session, owner: FakeOwner) -> None:
    """V-2."""
    session.deliver("/service/echo", 1)
    assert [event.channel for _, event in owner.delivered] == ["/service/echo"]


@pytest.mark.parametrize("value", [object(), "\ud800"])
def test_what_json_cannot_hold_is_not_delivered(session: Session, owner: FakeOwner, value: object) -> None:
    """M-8."""
    with pytest.raises((TypeError, ValueError)):
        session.deliver("/private", value)
    assert owner.delivered == []


def test_an_application_can_end_a_session(session: Session, owner: FakeOwner) -> None:
    """X-6."""
    session.disconnect()
    assert owner.removed == [(session, "kicked", Release.KICKED)]


def test_a_session_can_be_a_key(session: Session, owner: FakeOwner) -> None:
    assert {session: 1}.get(session) == 1
    assert Session(owner) not in {session: 1}


def test_a_link_is_by_default_that_of_a_program() -> None:
    """B-7, K-15: no browser, no headers, several replies at a time."""
    assert LINK.header("user-agent") == ""
    assert LINK.browser_id is None
    assert not LINK.serial
