"""load/schedule.py: when each message is due, where, and whose it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.load.scenario import Phase
from bayeux.load.schedule import Schedule
from tests.loading import SECOND

BEGIN = 5_000 * SECOND


def schedule(*phases: Phase, channels: int = 3, publishers: int = 2) -> Schedule:
    return Schedule(phases, BEGIN, channels, publishers)


def test_messages_are_due_evenly() -> None:
    made = schedule(Phase(2.0, 4.0))
    assert [(made.due(number) - BEGIN) / SECOND for number in range(made.end)] == [
        0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]
    assert made.stop == BEGIN + 2 * SECOND


def test_phases_follow_one_another_each_at_its_rate() -> None:
    made = schedule(Phase(1.0, 2.0), Phase(1.0), Phase(2.0, 1.0))
    assert [(made.due(number) - BEGIN) / SECOND for number in range(made.end)] == [0, 0.5, 2, 3]
    assert [made.phase_of(number) for number in range(made.end)] == [0, 0, 2, 2]
    assert [span.stop - span.begin for span in made.spans] == [SECOND, SECOND, 2 * SECOND]


@pytest.mark.parametrize(("seconds", "count"), [
    (-1, 0), (0, 0), (0.001, 1), (0.5, 1), (0.501, 2), (1, 2), (1.5, 2), (2, 2), (2.5, 3), (3.5, 4), (9, 4)])
def test_how_many_are_due_before_a_time(seconds: float, count: int) -> None:
    made = schedule(Phase(1.0, 2.0), Phase(1.0), Phase(2.0, 1.0))
    assert made.due_before(BEGIN + int(seconds * SECOND)) == count


@given(st.lists(st.tuples(st.floats(0.1, 5), st.floats(0, 50)), min_size=1, max_size=4), st.data())
def test_due_before_agrees_with_due(phases: list[tuple[float, float]], data: st.DataObject) -> None:
    made = schedule(*(Phase(duration, rate) for duration, rate in phases))
    when = data.draw(st.integers(made.begin - 1, made.stop + 1))
    assert made.due_before(when) == sum(made.due(number) < when for number in range(made.end))
    for number in range(made.end):
        span = made.spans[made.phase_of(number)]
        assert span.begin <= made.due(number) < span.stop


def test_a_run_that_is_cut_ends_there_in_every_phase() -> None:
    made = schedule(Phase(1.0, 2.0), Phase(1.0, 4.0), Phase(1.0, 2.0))
    made.cut(BEGIN + SECOND + SECOND // 2 + 1)
    assert (made.end, made.stop) == (5, BEGIN + SECOND + SECOND // 2 + 1)
    assert [(span.first, span.end) for span in made.spans] == [(0, 2), (2, 5), (6, 6)]
    assert [(span.stop - span.begin) / SECOND for span in made.spans] == [1, 0.500000001, 0]


def test_a_run_that_is_cut_before_it_began_has_no_message() -> None:
    made = schedule(Phase(1.0, 2.0))
    made.cut(BEGIN - 7)
    assert (made.end, made.stop, made.spans[0].end) == (0, BEGIN, 0)


def test_a_cut_after_the_end_changes_nothing() -> None:
    made = schedule(Phase(1.0, 2.0))
    made.cut(BEGIN + 3 * SECOND)
    assert (made.end, made.stop) == (2, BEGIN + SECOND)


def test_each_channel_has_one_publisher_while_there_are_more_channels() -> None:
    made = schedule(Phase(1.0, 30.0), channels=5, publishers=2)
    owners = {number % 5: set() for number in range(5)}
    for number in range(30):
        owners[number % 5].add(made.publisher(number))
    assert owners == {0: {0}, 1: {1}, 2: {0}, 3: {1}, 4: {0}}
    assert [made.lanes(channel) for channel in range(5)] == [1] * 5


def test_publishers_share_channels_while_there_are_more_of_them() -> None:
    made = schedule(Phase(1.0, 30.0), channels=2, publishers=5)
    assert [made.publisher(number) for number in range(12)] == [0, 1, 2, 3, 4, 1, 0, 3, 2, 1, 4, 3]
    assert [made.lanes(channel) for channel in range(2)] == [3, 2]


@given(st.integers(1, 12), st.integers(1, 12))
def test_a_lane_is_one_publisher_of_one_channel(channels: int, publishers: int) -> None:
    made = schedule(Phase(1.0, 400.0), channels=channels, publishers=publishers)
    for number in range(100):
        later = number + channels * made.lanes(number % channels)
        assert made.publisher(later) == made.publisher(number) < publishers
    assert {made.publisher(number) for number in range(400)} == set(
        range(publishers if publishers > channels else min(publishers, channels)))


@pytest.mark.parametrize(("channel", "number", "first"), [
    (1, 0, 1), (1, 1, 1), (1, 2, 4), (0, 4, 6), (2, 5, 5)])
def test_the_first_message_of_a_channel_from_a_number_on(channel: int, number: int, first: int) -> None:
    assert schedule(Phase(1.0)).first_of(channel, number) == first
