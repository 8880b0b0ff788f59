"""load/tally.py: what a worker counts."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeux.load import wire
from bayeux.load.latency import Latencies
from bayeux.load.ledger import Ledger
from bayeux.load.scenario import Phase
from bayeux.load.schedule import Schedule
from bayeux.load.tally import Tally, rounded
from tests.loading import FakeLoop

MARK = wire.mark("abcdef")
MS = 1_000_000


class Counting:
    """A tally of two phases, 10 messages a second, two channels; the first warms up."""

    def __init__(self, measure: bool = True) -> None:
        self.loop = FakeLoop()
        self.schedule = Schedule((Phase(1.0, 10.0, measure=False), Phase(1.0, 10.0)), self.loop.now, 2, 1)
        self.tally = Tally(Schedule((Phase(1.0, 10.0), Phase(1.0, 10.0)), 0, 2, 1), MARK, self.loop.clock)
        if measure:
            self.tally.measure(self.schedule)
        self.ledger = Ledger(0, 2, 1)

    def arrive(self, *numbers: int, after: int = 0) -> None:
        """Let messages come in one envelope, so many milliseconds after the last of them was due."""
        self.loop.now = self.schedule.due(numbers[-1]) + after * MS
        text = "".join(wire.data(MARK.decode(), number, 60) for number in numbers).encode()
        self.tally.arrived(self.ledger, text, text.find(MARK))


def test_latency_counts_from_when_a_message_was_due() -> None:
    counting = Counting()
    counting.arrive(0, after=7)
    counting.arrive(2, after=3)
    assert counting.tally.take_latencies() == {0: {7000: 1, 3000: 1}}
    assert counting.tally.received == [2, 0]


def test_all_events_of_an_envelope_are_counted() -> None:
    counting = Counting()
    counting.arrive(0, 2, after=1)
    assert counting.tally.take_latencies() == {0: {200_960: 1, 1000: 1}}  # rounded down to three digits


def test_each_phase_has_its_own() -> None:
    counting = Counting()
    counting.arrive(0, 2, 4, 6, 8, after=1)
    counting.arrive(10, after=2)
    counting.arrive(12, after=2)
    taken = counting.tally.take_latencies()
    assert taken[1] == {2000: 2}
    assert (counting.tally.received, counting.tally.take_latencies()) == ([5, 2], {})


def test_what_comes_before_it_is_known_when_it_was_due_is_counted_as_soon_as_it_is() -> None:
    """A worker may be late to learn that it has begun; another publishes already."""
    counting = Counting(measure=False)
    counting.arrive(0, after=7)
    counting.arrive(0, 2, 4, 6, 8, after=1)
    counting.arrive(10, after=3)
    assert (counting.tally.total, counting.tally.take_latencies()) == (0, {})
    counting.tally.measure(counting.schedule)
    counting.arrive(12, after=2)
    taken = counting.tally.take_latencies()
    assert (taken[1], counting.tally.received) == ({3000: 1, 2000: 1}, [5, 2])
    assert (taken[0][7000], taken[0][1000], max(taken[0])) == (1, 1, 600_576)
    counting.tally.close(counting.ledger)
    assert (counting.tally.lost, counting.tally.duplicated) == ([0, 3], [1, 0])


def test_what_comes_twice_has_no_latency() -> None:
    counting = Counting()
    counting.arrive(0, 0, 2, after=1)
    assert (counting.tally.duplicated, sum(counting.tally.take_latencies()[0].values())) == ([1, 0], 2)


def test_what_comes_out_of_order_is_counted_as_such_and_as_come() -> None:
    counting = Counting()
    counting.arrive(2, 0, after=150)
    assert (counting.tally.out_of_order, counting.tally.duplicated) == ([1, 0], [0, 0])
    assert sum(counting.tally.take_latencies()[0].values()) == 2


def test_what_is_lost_is_lost_in_its_phase() -> None:
    counting = Counting()
    counting.arrive(0, 4, 8, after=1)
    counting.arrive(14, after=1)
    counting.tally.close(counting.ledger)
    assert counting.tally.lost == [2, 4]  # 2 and 6; 10, 12, 16 and 18


def test_what_is_lost_by_who_leaves_is_counted() -> None:
    counting = Counting()
    counting.tally.lose([2, 12, 14])
    assert counting.tally.lost == [1, 2]


def test_an_early_message_is_not_counted() -> None:
    counting = Counting()
    counting.ledger.join(4)
    counting.arrive(2, 4, after=1)
    counting.tally.close(counting.ledger)
    assert sum(counting.tally.take_latencies()[0].values()) == 1
    assert counting.tally.lost == [2, 5]


def test_what_is_due_after_a_cut_is_not_counted() -> None:
    counting = Counting()
    counting.arrive(0, after=1)
    counting.schedule.cut(counting.schedule.due(4))
    counting.tally.cut()
    counting.arrive(2, 4, after=1)
    counting.tally.close(counting.ledger)
    assert sum(counting.tally.take_latencies()[0].values()) == 2
    assert counting.tally.lost == [0, 0]


def test_an_event_without_its_number_is_an_error() -> None:
    counting = Counting()
    text = b'{"m":"' + MARK + b'oops"}'
    counting.tally.arrived(counting.ledger, text, 6)
    assert counting.tally.errors == {"an event that is not as it was published": 1}


def test_a_message_that_came_before_it_was_due_took_no_time() -> None:
    """Clocks of two processors may differ by a little."""
    counting = Counting()
    counting.arrive(0, after=-1)
    assert counting.tally.take_latencies() == {0: {0: 1}}


def test_very_many_kinds_of_errors_are_counted_together() -> None:
    tally = Counting().tally
    for number in range(50):
        tally.error(f"kind {number}")
    tally.error("kind 1")
    assert (len(tally.errors), tally.errors["others"], tally.errors["kind 1"]) == (41, 10, 2)


@settings(max_examples=25)  # histograms are slow
@given(st.lists(st.integers(0, 10**8)))
def test_rounding_loses_no_more_than_a_histogram_of_three_digits(values: list[int]) -> None:
    counted = rounded(values)
    assert counted.total() == len(values)
    assert Counter(value >> max(0, value.bit_length() - 11) << max(0, value.bit_length() - 11)
                   for value in values) == counted
    exact, close = Latencies(), Latencies()
    exact.add(Counter(values))
    close.add(counted)
    assert exact.summary() == pytest.approx(close.summary(), rel=0.001)
