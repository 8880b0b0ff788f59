"""load/outcome.py: what all workers have told, put together."""

from __future__ import annotations

import pytest

from bayeux.load.orders import Tick
from bayeux.load.outcome import Outcome
from bayeux.load.schedule import Schedule
from tests.reports import BEGIN, PHASES, SECOND, done


@pytest.fixture
def outcome() -> Outcome:
    return Outcome(Schedule(PHASES, BEGIN, 2, 2), 2, None)


def tick(second: int, **changes: int) -> Tick:
    latencies = {0: {1000: 2}, 1: {2000: 1}} if second else {}
    return Tick(second, BEGIN + second * SECOND, changes.get("sent", 3), latencies, 1.5 + second, 4, 1)


def test_a_second_is_the_sum_of_all_workers(outcome: Outcome) -> None:
    outcome.tick(0, tick(1))
    outcome.tick(1, tick(1, sent=4))
    [second] = outcome.seconds
    assert (second.sent, second.live, second.errors, second.latencies.count) == (7, 8, 2, 6)


def test_arrivals_belong_to_the_phase_of_their_message(outcome: Outcome) -> None:
    outcome.tick(0, tick(1))
    outcome.tick(0, tick(2))
    assert [part.latencies.count for part in outcome.parts] == [4, 2]
    assert [part.latencies.summary()["max"] for part in outcome.parts] == [1.0, 2.0]


def test_nothing_has_come_when_the_first_second_begins(outcome: Outcome) -> None:
    outcome.tick(1, tick(0))
    assert outcome.seconds == []
    assert outcome.cpu[1].at(BEGIN) == 1.5


def test_what_has_come_before_a_worker_tells_that_it_begins_is_of_the_first_second(outcome: Outcome) -> None:
    """Another worker may have published already."""
    outcome.tick(0, Tick(0, BEGIN, 0, {0: {1000: 2}}, 1.0, 4, 7))
    outcome.tick(0, tick(1))
    [second] = outcome.seconds
    assert (second.sent, second.live, second.errors, second.latencies.count) == (3, 4, 1, 5)
    assert outcome.parts[0].latencies.count == 4


def test_a_second_is_complete_when_all_workers_have_told_it(outcome: Outcome) -> None:
    assert outcome.complete_seconds() == -1
    outcome.tick(0, tick(2))
    assert (outcome.complete_seconds(), len(outcome.seconds)) == (-1, 2)
    outcome.tick(1, tick(1))
    assert outcome.complete_seconds() == 1


def test_the_end_is_the_sum_of_all_workers(outcome: Outcome) -> None:
    outcome.done(done(unsent=1, refused=2, errors={"x": 1, "y": 1}), BEGIN + 9 * SECOND)
    outcome.done(done(unsent=3, refused=4, errors={"x": 2}), BEGIN + 8 * SECOND)
    assert [(part.published, part.delivered) for part in outcome.parts] == [(10, 50), (40, 100)]
    assert [(part.sent, part.lost, part.duplicated, part.out_of_order) for part in outcome.parts] == [
        (10, 2, 0, 0), (40, 4, 6, 8)]
    assert (outcome.unsent, outcome.refused, outcome.live) == (4, 6, 10)
    assert outcome.errors == {"x": 3, "y": 1}
    assert (outcome.late.count, outcome.connects.count) == (50, 10)
    assert outcome.ended == BEGIN + 9 * SECOND


def test_a_run_does_not_end_before_what_is_due(outcome: Outcome) -> None:
    outcome.done(done(), BEGIN)
    assert outcome.ended == BEGIN + 3 * SECOND
