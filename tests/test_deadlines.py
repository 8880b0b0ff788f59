"""deadlines.py: one deadline for each of very many things (BAYEUX.md Q-5, Q-6, Q-9)."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.internet.task import Clock

from bayeux import deadlines as module
from bayeux.deadlines import Deadlines


class Thing:
    def __init__(self, name: int = 0) -> None:
        self.name = name
        self.deadline: float | None = None
        self.alarm: float | None = None


class Bell:
    """Deadlines on a clock, and what has been due."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.rung: list[Thing] = []
        self.deadlines: Deadlines[Thing] = Deadlines(self.clock, self.rung.append)

    def things(self, count: int, deadline: float) -> list[Thing]:
        things = [Thing(name) for name in range(count)]
        for thing in things:
            self.deadlines.set(thing, deadline)
        return things


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count what is put in and taken out of heaps."""
    counts = {"heappush": 0, "heappop": 0}

    def count(name: str, work: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*arguments: object) -> object:
            counts[name] += 1
            return work(*arguments)
        return wrapper

    for name in counts:
        monkeypatch.setattr(heapq, name, count(name, getattr(heapq, name)))
    return counts


def test_a_thing_is_due_at_its_deadline(bell: Bell) -> None:
    [thing] = bell.things(1, 5)
    bell.clock.advance(4.9)
    assert bell.rung == []
    bell.clock.advance(0.1)
    assert bell.rung == [thing]


def test_a_thing_is_due_once(bell: Bell) -> None:
    [thing] = bell.things(1, 5)
    bell.clock.pump([5, 5, 5])
    assert bell.rung == [thing]
    assert thing.deadline is None


def test_a_deadline_moves_to_later(bell: Bell) -> None:
    """Q-3, Q-5: an older deadline does not end what has got a newer one."""
    [thing] = bell.things(1, 5)
    bell.deadlines.set(thing, 8)
    bell.clock.pump([1] * 7)
    assert bell.rung == []
    bell.clock.advance(1)
    assert bell.rung == [thing]


def test_a_deadline_moves_to_earlier(bell: Bell) -> None:
    [thing] = bell.things(1, 8)
    bell.deadlines.set(thing, 5)
    bell.clock.advance(5)
    assert bell.rung == [thing]
    bell.clock.advance(5)
    assert bell.rung == [thing]


def test_a_deadline_moves_to_earlier_and_back(bell: Bell) -> None:
    [thing] = bell.things(1, 8)
    bell.deadlines.set(thing, 5)
    bell.deadlines.set(thing, 8)
    bell.clock.pump([1] * 7)
    assert bell.rung == []
    bell.clock.advance(1)
    assert bell.rung == [thing]


def test_a_deadline_in_the_past_is_due_at_the_next_turn(bell: Bell) -> None:
    bell.clock.advance(10)
    [thing] = bell.things(1, 5)
    assert bell.rung == []
    bell.clock.advance(0)
    assert bell.rung == [thing]


def test_a_cleared_thing_is_never_due(bell: Bell) -> None:
    """Q-1."""
    [thing] = bell.things(1, 5)
    bell.deadlines.clear(thing)
    bell.clock.pump([5, 5])
    assert bell.rung == []


def test_a_cleared_thing_can_be_set_again(bell: Bell) -> None:
    [thing] = bell.things(1, 5)
    bell.deadlines.clear(thing)
    bell.deadlines.set(thing, 6)
    bell.clock.advance(5)
    assert bell.rung == []
    bell.clock.advance(1)
    assert bell.rung == [thing]


def test_a_forgotten_thing_is_never_due(bell: Bell) -> None:
    """X-2, Q-4."""
    [thing] = bell.things(1, 5)
    bell.deadlines.forget(thing)
    bell.deadlines.forget(thing)
    bell.clock.pump([5, 5])
    assert bell.rung == []


def test_a_thing_that_was_never_set_can_be_forgotten(bell: Bell) -> None:
    [other] = bell.things(1, 5)
    bell.deadlines.forget(Thing())
    bell.clock.advance(5)
    assert bell.rung == [other]


def test_a_forgotten_thing_can_be_set_again(bell: Bell) -> None:
    [thing] = bell.things(1, 5)
    bell.deadlines.forget(thing)
    bell.deadlines.set(thing, 6)
    bell.clock.advance(5)
    assert bell.rung == []
    bell.clock.advance(1)
    assert bell.rung == [thing]


def test_things_due_at_the_same_time_are_due_in_the_order_they_were_set(bell: Bell) -> None:
    things = bell.things(5, 5)
    bell.clock.advance(5)
    assert bell.rung == things


def test_things_are_due_in_the_order_of_their_deadlines(bell: Bell) -> None:
    first, second, third = Thing(), Thing(), Thing()
    bell.deadlines.set(third, 3)
    bell.deadlines.set(first, 1)
    bell.deadlines.set(second, 2)
    bell.clock.advance(9)
    assert bell.rung == [first, second, third]


def test_a_thing_that_is_due_may_be_set_again() -> None:
    clock, rung = Clock(), []

    def due(thing: Thing) -> None:
        rung.append(clock.seconds())
        deadlines.set(thing, clock.seconds() + 5)

    deadlines: Deadlines[Thing] = Deadlines(clock, due)
    deadlines.set(Thing(), 5)
    clock.pump([1] * 17)
    assert rung == [5, 10, 15]


def test_a_thing_that_is_due_may_set_and_clear_others() -> None:
    clock, rung, cleared, moved = Clock(), [], Thing(), Thing()

    def due(thing: Thing) -> None:
        rung.append((clock.seconds(), thing))
        if thing is first:
            deadlines.clear(cleared)
            deadlines.set(moved, 6)

    first = Thing()
    deadlines: Deadlines[Thing] = Deadlines(clock, due)
    deadlines.set(first, 5)
    deadlines.set(cleared, 5)
    deadlines.set(moved, 9)
    clock.pump([1] * 10)
    assert rung == [(5, first), (6, moved)]


def test_one_failure_does_not_keep_the_others_from_being_due() -> None:
    """G-34."""
    clock, rung, bad, good, later = Clock(), [], Thing(), Thing(), Thing()

    def due(thing: Thing) -> None:
        if thing is bad:
            raise RuntimeError("a bug")
        rung.append(thing)

    deadlines: Deadlines[Thing] = Deadlines(clock, due)
    deadlines.set(bad, 5)
    deadlines.set(good, 5)
    deadlines.set(later, 6)
    with pytest.raises(RuntimeError):
        clock.advance(5)
    clock.advance(0)
    assert rung == [good]
    clock.advance(1)
    assert rung == [good, later]


def test_others_have_their_turn_while_very_much_is_due(bell: Bell) -> None:
    """Q-6: ten thousand held connects that end at once are not to keep everybody waiting."""
    things = bell.things(500, 5)
    waited = []
    bell.clock.callLater(5, lambda: waited.append(len(bell.rung)))
    bell.clock.advance(5)
    assert waited == [200]
    assert bell.rung == things
    assert bell.clock.getDelayedCalls() == []


def test_what_is_stopped_is_forgotten(bell: Bell) -> None:
    bell.things(3, 5)
    bell.deadlines.stop()
    assert bell.clock.getDelayedCalls() == []
    assert len(bell.deadlines) == 0
    bell.clock.advance(9)
    assert bell.rung == []


def test_stopping_twice_is_no_difference(bell: Bell) -> None:
    bell.things(1, 5)
    bell.deadlines.stop()
    bell.deadlines.stop()
    assert bell.clock.getDelayedCalls() == []


def test_after_a_stop_other_things_can_be_set(bell: Bell) -> None:
    bell.things(1, 5)
    bell.deadlines.stop()
    [thing] = bell.things(1, 6)
    bell.clock.advance(6)
    assert bell.rung == [thing]


def test_it_may_be_stopped_by_what_is_due() -> None:
    clock = Clock()
    deadlines: Deadlines[Thing] = Deadlines(clock, lambda thing: deadlines.stop())
    deadlines.set(Thing(), 5)
    deadlines.set(Thing(), 6)
    clock.advance(5)
    assert clock.getDelayedCalls() == []


def test_all_things_share_one_timer(bell: Bell) -> None:
    """Q-6."""
    for deadline in (9, 5, 7, 5):
        bell.deadlines.set(Thing(), deadline)
    [timer] = bell.clock.getDelayedCalls()
    assert timer.getTime() == 5


def test_what_is_due_later_leaves_the_timer_alone(bell: Bell) -> None:
    """Q-6."""
    bell.things(1, 5)
    [timer] = bell.clock.getDelayedCalls()
    bell.things(1000, 6)
    assert bell.clock.getDelayedCalls() == [timer]


def test_nothing_to_wait_for_is_no_timer(bell: Bell) -> None:
    """Q-6."""
    assert bell.clock.getDelayedCalls() == []
    bell.things(3, 5)
    bell.clock.advance(5)
    assert bell.clock.getDelayedCalls() == []
    assert len(bell.deadlines) == 0


def test_work_is_proportional_to_what_is_due(bell: Bell, counted: dict[str, int]) -> None:
    """Q-6."""
    bell.things(3, 5)
    bell.things(10_000, 100)
    bell.clock.advance(5)
    assert len(bell.rung) == 3
    assert counted["heappop"] == 3


def test_moving_to_later_is_no_work(bell: Bell, counted: dict[str, int]) -> None:
    """Q-6: every message of a busy session moves its deadline."""
    [thing] = bell.things(1, 5)
    [timer] = bell.clock.getDelayedCalls()
    for later in range(1000):
        bell.deadlines.set(thing, 5 + later)
    assert counted == {"heappush": 1, "heappop": 0}
    assert bell.clock.getDelayedCalls() == [timer]


def test_a_deadline_that_moved_to_later_is_looked_at_twice(bell: Bell, counted: dict[str, int]) -> None:
    """Q-6: when the first came up, and at the last."""
    [thing] = bell.things(1, 5)
    for later in range(1000):
        bell.deadlines.set(thing, 5 + later)
    bell.clock.pump([1] * 1005)
    assert bell.rung == [thing]
    assert counted == {"heappush": 2, "heappop": 2}


def test_what_was_moved_to_earlier_is_not_looked_at_again(bell: Bell, counted: dict[str, int]) -> None:
    """Q-6."""
    [thing] = bell.things(1, 8)
    bell.deadlines.set(thing, 5)
    bell.clock.advance(5)
    bell.deadlines.set(thing, 20)
    bell.clock.advance(5)
    assert counted == {"heappush": 3, "heappop": 2}


def test_clearing_and_setting_again_is_no_work(bell: Bell, counted: dict[str, int]) -> None:
    """Q-6: each connect does so."""
    [thing] = bell.things(1, 5)
    for later in range(1000):
        bell.deadlines.clear(thing)
        bell.deadlines.set(thing, 5 + later)
    assert counted == {"heappush": 1, "heappop": 0}


def test_moving_back_and_forth_keeps_no_more_entries_than_it_went_earlier(bell: Bell) -> None:
    """Q-6."""
    [thing] = bell.things(1, 100)
    for _ in range(1000):
        bell.deadlines.set(thing, 50)
        bell.deadlines.set(thing, 100)
    assert len(bell.deadlines) == 2


def let_be_due(bell: Bell) -> None:
    bell.things(1000, 5)
    bell.clock.advance(5)
    bell.rung.clear()


def stop(bell: Bell) -> None:
    bell.things(1000, 5)
    bell.deadlines.stop()


@pytest.mark.parametrize("before", [lambda bell: None, let_be_due, stop],
                         ids=["from the start", "after others were due", "after a stop"])
def test_nothing_is_kept_for_long_of_what_is_forgotten(bell: Bell, before: Callable[[Bell], None]) -> None:
    """C-17, G-13: clients that come and go do not fill the memory until they would have expired."""
    before(bell)
    kept = bell.things(100, 50)
    for thing in bell.things(10_000, 40):
        bell.deadlines.forget(thing)
    assert len(bell.deadlines) < 500
    bell.clock.advance(50)
    assert bell.rung == kept


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many entries are left each time that void ones are thrown away."""
    counts: list[int] = []
    tidy_up = heapq.heapify

    def count(heap: list[object]) -> None:
        counts.append(len(heap))
        tidy_up(heap)

    monkeypatch.setattr(heapq, "heapify", count)
    return counts


def test_where_nothing_is_void_nothing_is_looked_at(bell: Bell, looked_at: list[int]) -> None:
    """Q-6."""
    for _ in range(1000):
        bell.deadlines.forget(Thing())
    bell.things(1000, 5)
    assert looked_at == []


def test_forgetting_is_little_work(bell: Bell, looked_at: list[int]) -> None:
    """Q-6: what is looked at to throw away is in proportion to what has been thrown away."""
    bell.things(1000, 50)
    for _ in range(10_000):
        [thing] = bell.things(1, 40)
        bell.deadlines.forget(thing)
    assert 0 < sum(looked_at) < 20_000


class AgainstModel(RuleBasedStateMachine):
    """Sets, clears and lets time pass at random; a dictionary of deadlines says what must be due."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(module, "_SLACK", 1)  # so that void entries are thrown away all the time
        self.clock = Clock()
        self.things = [Thing(name) for name in range(4)]
        self.again: dict[int, int] = {}
        self.model: dict[int, float] = {}
        self.rung: list[int] = []
        self.deadlines: Deadlines[Thing] = Deadlines(self.clock, self.due)

    def due(self, thing: Thing) -> None:
        self.rung.append(thing.name)
        if thing.name in self.again:
            self.deadlines.set(thing, self.clock.seconds() + self.again[thing.name])

    @rule(name=st.integers(0, 3), delay=st.integers(1, 12))
    def set(self, name: int, delay: int) -> None:
        self.model[name] = self.clock.seconds() + delay
        self.deadlines.set(self.things[name], self.model[name])

    @rule(name=st.integers(0, 3))
    def clear(self, name: int) -> None:
        self.model.pop(name, None)
        self.deadlines.clear(self.things[name])

    @rule(name=st.integers(0, 3))
    def forget(self, name: int) -> None:
        self.model.pop(name, None)
        self.deadlines.forget(self.things[name])

    @rule(name=st.integers(0, 3), period=st.none() | st.integers(1, 5))
    def repeat(self, name: int, period: int | None) -> None:
        if period is None:
            self.again.pop(name, None)
        else:
            self.again[name] = period

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            now = self.clock.seconds() + 1
            expected = sorted(name for name, deadline in self.model.items() if deadline <= now)
            for name in expected:
                del self.model[name]
                if name in self.again:
                    self.model[name] = now + self.again[name]
            self.rung.clear()
            self.clock.advance(1)
            assert sorted(self.rung) == expected

    def teardown(self) -> None:
        self.patch.undo()

    @invariant()
    def at_most_one_timer(self) -> None:
        assert len(self.clock.getDelayedCalls()) <= 1

    @invariant()
    def things_know_their_deadlines(self) -> None:
        known = {thing.name: thing.deadline for thing in self.things if thing.deadline is not None}
        assert known == self.model


AgainstModel.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)
TestAgainstModel = AgainstModel.TestCase
