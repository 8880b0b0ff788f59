"""load/ledger.py: what one subscriber has had of its channel."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.load.ledger import NEVER, Arrival, Ledger

NEW, LATE, AGAIN, EARLY = Arrival.NEW, Arrival.LATE, Arrival.AGAIN, Arrival.EARLY


def take(ledger: Ledger, *numbers: int) -> list[Arrival]:
    return [ledger.take(number) for number in numbers]


def lost(ledger: Ledger, end: int) -> list[int]:
    return sorted(number for numbers in ledger.lost(end) for number in numbers)


def test_what_comes_in_order_is_new_and_nothing_is_lost() -> None:
    ledger = Ledger(3, 10, 1)
    assert take(ledger, 3, 13, 23) == [NEW] * 3
    assert (lost(ledger, 30), ledger.is_complete(30)) == ([], True)
    assert ledger.is_complete(33)
    assert not ledger.is_complete(34)


def test_what_is_left_out_is_lost() -> None:
    ledger = Ledger(3, 10, 1)
    take(ledger, 3, 33)
    assert lost(ledger, 60) == [13, 23, 43, 53]
    assert not ledger.is_complete(60)
    assert not ledger.is_complete(40)


def test_what_is_missing_beyond_the_end_is_not_lost() -> None:
    ledger = Ledger(0, 1, 1)
    take(ledger, 5)
    assert lost(ledger, 3) == [0, 1, 2]


def test_what_comes_again_is_found_whether_it_was_in_order_or_late() -> None:
    ledger = Ledger(0, 1, 1)
    assert take(ledger, 0, 0, 2, 1, 1, 2) == [NEW, AGAIN, NEW, LATE, AGAIN, AGAIN]


def test_what_comes_after_a_later_one_of_its_publisher_is_out_of_order_and_not_lost() -> None:
    ledger = Ledger(0, 1, 1)
    assert take(ledger, 1, 0) == [NEW, LATE]
    assert lost(ledger, 2) == []


def test_another_publisher_may_overtake() -> None:
    """D-10: publishes by different connections have no order."""
    ledger = Ledger(0, 1, lanes=2)
    assert take(ledger, 1, 0) == [NEW, NEW]
    assert take(ledger, 4, 2, 3) == [NEW, LATE, NEW]


def test_what_is_from_before_it_counted_on_anything_is_not_counted() -> None:
    ledger = Ledger(0, 1, 1)
    ledger.join(5)
    assert take(ledger, 4, 5, 4) == [EARLY, NEW, EARLY]
    assert lost(ledger, 6) == []


def test_who_leaves_has_lost_what_was_overtaken_and_nothing_else() -> None:
    ledger = Ledger(0, 1, lanes=2)
    take(ledger, 0, 1, 4)  # 2 is of the same publisher as 4; 3 may yet be on its way
    assert list(ledger.leave()) == [2]
    assert (take(ledger, 3, 5, 100), lost(ledger, 1000)) == ([EARLY] * 3, [])
    assert ledger.is_complete(1000)


def test_who_comes_back_counts_from_then_on() -> None:
    ledger = Ledger(0, 2, 1)
    list(ledger.leave())
    assert ledger.next == NEVER
    ledger.join(10)
    take(ledger, 12)
    assert lost(ledger, 14) == [10]


@given(st.lists(st.integers(0, 30)), st.integers(1, 3), st.integers(1, 3))
def test_whatever_comes_each_number_is_had_or_lost(numbers: list[int], step: int, lanes: int) -> None:
    ledger = Ledger(0, step, lanes)
    numbers = [number * step for number in numbers]
    end = 31 * step
    found = Counter(take(ledger, *numbers))
    assert lost(ledger, end) == sorted(set(range(0, end, step)) - set(numbers))
    assert found[AGAIN] == len(numbers) - len(set(numbers))
    assert found[NEW] + found[LATE] == len(set(numbers))


@given(st.lists(st.integers(0, 30), unique=True), st.integers(1, 3))
def test_out_of_order_is_what_has_a_later_one_of_its_publisher_before_it(
        numbers: list[int], lanes: int) -> None:
    ledger = Ledger(0, 1, lanes)
    for place, number in enumerate(numbers):
        overtaken = any(other > number and (other - number) % lanes == 0 for other in numbers[:place])
        assert ledger.take(number) is (LATE if overtaken else NEW)


@pytest.mark.parametrize("end", [0, -5])
def test_nothing_is_lost_of_a_run_that_did_not_begin(end: int) -> None:
    assert lost(Ledger(3, 10, 1), end) == []
