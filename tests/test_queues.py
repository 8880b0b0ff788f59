"""queues.py: the events that wait for one client, bounded in number and in bytes (Q-7, D-9, D-13)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.messages import Event, Reply
from bayeux.queues import EventQueue, QueueOverflow
from bayeux.settings import Settings

POLICIES = ["disconnect", "drop_oldest", "drop_newest"]
PLENTY = Settings()


def limits(most: int, most_bytes: int = 1_000_000, overflow: str = "disconnect") -> Settings:
    return Settings.of({"max_queue": most, "max_queue_bytes": most_bytes, "overflow": overflow})


def event(name: str = "a", size: int | None = None, lazy: float | None = None) -> Event:
    """Make an event, of so many bytes when it is encoded."""
    made = Event(f"/{name}", b'""', lazy)
    if size is not None:
        made = Event(f"/{name}", b'"%b"' % (b"x" * (size - len(made.json))), lazy)
        assert len(made.json) == size
    return made


def names(events: list[Event]) -> list[str]:
    return [event.channel[1:] for event in events]


def filled(settings: Settings, *sizes: int) -> EventQueue:
    """Make a queue of events a, b, c... of these sizes."""
    queue = EventQueue()
    for name, size in zip("abcdef", sizes, strict=False):
        assert queue.put(event(name, size), settings) == ()
    return queue


@pytest.fixture
def queue() -> EventQueue:
    return EventQueue()


def test_a_new_queue_is_empty(queue: EventQueue) -> None:
    assert len(queue) == 0
    assert not queue
    assert queue.size == 0
    assert queue.take() == []


def test_events_may_travel_with_any_reply(queue: EventQueue) -> None:
    """D-6: by default; and nothing is written on a reply that they travel with."""
    assert not queue.connect_only
    reply = Reply("/meta/connect", True)
    queue.label(reply)
    assert reply == Reply("/meta/connect", True)


# -- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("overflow", POLICIES)
def test_events_are_queued_in_order_up_to_the_limit(queue: EventQueue, overflow: str) -> None:
    """D-9, Q-7."""
    settings = limits(3, overflow=overflow)
    assert [list(queue.put(event(name), settings)) for name in "abc"] == [[], [], []]
    assert names(queue.events) == ["a", "b", "c"]
    assert len(queue) == 3


@pytest.mark.parametrize("overflow", POLICIES)
def test_bytes_are_counted_up_to_the_limit(overflow: str) -> None:
    """Q-7."""
    assert filled(limits(9, 100, overflow), 60, 40).size == 100


def test_a_full_queue_overflows() -> None:
    """Q-7, by default; what is in it stays as it is."""
    queue = filled(limits(2), 30, 30)
    with pytest.raises(QueueOverflow):
        queue.put(event("c"), limits(2))
    assert names(queue.events) == ["a", "b"]
    assert queue.size == 60


def test_a_queue_with_too_many_bytes_overflows() -> None:
    """Q-7."""
    queue = filled(limits(9, 100), 60)
    with pytest.raises(QueueOverflow):
        queue.put(event("b", 41), limits(9, 100))
    assert queue.size == 60


def test_a_full_queue_may_drop_what_comes() -> None:
    """Q-7, ``drop_newest``."""
    settings = limits(2, overflow="drop_newest")
    queue = filled(settings, 30, 30)
    newest = event("c")
    assert list(queue.put(newest, settings)) == [newest]
    assert names(queue.events) == ["a", "b"]
    assert queue.size == 60


def test_a_full_queue_may_drop_what_is_oldest() -> None:
    """Q-7, ``drop_oldest``."""
    settings = limits(2, overflow="drop_oldest")
    queue = filled(settings, 30, 30)
    assert names(list(queue.put(event("c", 40), settings))) == ["a"]
    assert names(queue.events) == ["b", "c"]
    assert queue.size == 70


def test_a_large_event_drops_as_many_as_it_needs() -> None:
    """Q-7, ``drop_oldest``."""
    settings = limits(9, 100, "drop_oldest")
    queue = filled(settings, 30, 30, 30)
    assert names(list(queue.put(event("d", 70), settings))) == ["a", "b"]
    assert names(queue.events) == ["c", "d"]
    assert queue.size == 100


@pytest.mark.parametrize("overflow", POLICIES)
def test_an_empty_queue_takes_an_event_of_any_size(queue: EventQueue, overflow: str) -> None:
    """Q-7: an event that was published can be delivered, however small the limit."""
    assert list(queue.put(event("a", 200), limits(1, 100, overflow))) == []
    assert names(queue.events) == ["a"]


def test_a_giant_takes_the_place_of_everything() -> None:
    """Q-7, ``drop_oldest``."""
    settings = limits(9, 100, "drop_oldest")
    queue = filled(settings, 30)
    assert names(list(queue.put(event("b", 200), settings))) == ["a"]
    assert names(queue.events) == ["b"]
    assert queue.size == 200


def test_fitting_changes_nothing() -> None:
    queue = filled(limits(2, 100), 60)
    assert queue.fits(event("b", 40), limits(2, 100))
    assert not queue.fits(event("b", 41), limits(2, 100))
    assert not queue.fits(event("b", 40), limits(1, 100))
    assert names(queue.events) == ["a"]


@given(st.lists(st.integers(36, 80)), st.integers(1, 4), st.integers(40, 150), st.sampled_from(POLICIES))
def test_a_queue_is_bounded_whatever_comes(
        sizes: list[int], most: int, most_bytes: int, overflow: str) -> None:
    """Q-7: never more than the limits, and every event is either in it or reported as lost."""
    queue, settings = EventQueue(), limits(most, most_bytes, overflow)
    kept: list[Event] = []
    for size in sizes:
        new = event("a", size)
        fits = queue.fits(new, settings)
        try:
            lost = list(queue.put(new, settings))
        except QueueOverflow:
            assert overflow == "disconnect" and not fits
            continue
        assert bool(lost) == (not fits)
        kept = [event for event in [*kept, new] if event not in lost]
        assert queue.events == kept
        assert len(queue) <= most
        assert queue.size == sum(len(event.json) for event in kept)
        assert queue.size <= most_bytes or len(queue) == 1


# -- taking -------------------------------------------------------------------------------------


def test_taking_empties_the_queue() -> None:
    """D-13."""
    queue = filled(PLENTY, 30, 40)
    assert names(queue.take()) == ["a", "b"]
    assert queue.events == []
    assert queue.size == 0


def test_nothing_is_taken_twice() -> None:
    """D-13."""
    queue = filled(PLENTY, 30)
    taken = queue.take()
    assert queue.take() == []
    assert len(taken) == 1


def test_what_is_put_later_is_not_in_what_was_taken(queue: EventQueue) -> None:
    """D-13."""
    taken = queue.take()
    queue.put(event(), PLENTY)
    assert taken == []


@pytest.mark.parametrize(("most_bytes", "taken"), [
    (1, "a"), (30, "a"), (69, "a"), (70, "ab"), (119, "ab"), (120, "abc"), (1000, "abc")])
def test_no_more_bytes_are_taken_than_wanted_but_one_event_at_least(most_bytes: int, taken: str) -> None:
    """W-10: or else a large one would never go out."""
    queue = filled(PLENTY, 30, 40, 50)
    assert names(queue.take(most_bytes)) == list(taken)
    assert names(queue.events) == list("abc"[len(taken):])
    assert queue.size == sum(len(event.json) for event in queue.events)


def test_a_single_event_that_is_larger_than_wanted_is_taken() -> None:
    """W-10."""
    queue = filled(PLENTY, 30)
    assert names(queue.take(1)) == ["a"]
    assert queue.size == 0


def test_nothing_can_be_taken_of_nothing(queue: EventQueue) -> None:
    assert queue.take(100) == []


@given(st.lists(st.integers(30, 60)), st.integers(1, 130))
def test_a_queue_that_is_taken_in_pieces_loses_nothing(sizes: list[int], most_bytes: int) -> None:
    """D-9, D-13."""
    queue = EventQueue()
    events = [event("a", size) for size in sizes]
    for each in events:
        queue.put(each, PLENTY)
    taken: list[Event] = []
    while queue:
        piece = queue.take(most_bytes)
        assert piece
        assert len(piece) == 1 or sum(len(event.json) for event in piece) <= most_bytes
        taken += piece
    assert taken == events


@pytest.mark.parametrize(("waits", "urgent"), [
    ([], False), ([2.0], False), ([2.0, 5.0], False), ([None], True), ([2.0, None, 5.0], True)])
def test_events_that_are_not_lazy_are_urgent(
        queue: EventQueue, waits: list[float | None], urgent: bool) -> None:
    """D-12, K-9."""
    for lazy in waits:
        queue.put(event(lazy=lazy), PLENTY)
    assert queue.urgent is urgent


def test_clearing_leaves_nothing() -> None:
    """X-2."""
    queue = filled(limits(2), 30, 40)
    queue.clear()
    assert queue.events == []
    assert queue.size == 0
    assert queue.put(event("c", 1_000_000), limits(2)) == ()
