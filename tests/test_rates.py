"""Token buckets: how many at once, how many after that, and what is remembered of whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.rates import Buckets, Rate

LATE = 1_000_000.0
"""A clock that does not jump starts anywhere."""


def taken(rate: Rate, times: Iterator[float] | list[float]) -> int:
    """Return how many tokens somebody gets who asks at these times."""
    full_at, count = 0.0, 0
    for now in times:
        if not rate.wait(full_at, now):
            full_at = rate.take(full_at, now)
            count += 1
    return count


# -- one bucket ---------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0.0, 0.1, LATE, LATE + 1 / 3])
@pytest.mark.parametrize("burst", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("per_second", [0.3, 3, 10, 1000])
def test_as_many_at_once_as_the_burst_and_no_more(per_second: float, burst: int, start: float) -> None:
    assert taken(Rate(per_second, burst), [start] * (burst + 5)) == burst


def test_then_so_many_a_second() -> None:
    """Eleven at ten a second: one at once, and the last after exactly one second."""
    rate = Rate(10, 1)
    assert taken(rate, [LATE + step / 1000 for step in range(999)]) == 10
    assert taken(rate, [LATE + step / 1000 for step in range(1001)]) == 11


def test_a_bucket_fills_no_more_than_to_its_burst() -> None:
    rate = Rate(10, 3)
    assert taken(rate, [LATE] * 3 + [LATE + 3600] * 10) == 6


def test_who_has_to_wait_is_told_how_long() -> None:
    rate = Rate(4, 2)
    full_at = rate.take(rate.take(0.0, LATE), LATE)
    assert rate.wait(full_at, LATE) == pytest.approx(0.25, rel=0.01)
    assert rate.wait(full_at, LATE + 0.1) == pytest.approx(0.15, rel=0.01)
    assert rate.wait(full_at, LATE + 0.25) == 0
    assert rate.wait(full_at, LATE + 9) == 0


def test_who_takes_what_is_not_there_yet_waits_the_longer() -> None:
    rate = Rate(4, 1)
    full_at = rate.take(rate.take(0.0, LATE), LATE)
    assert rate.wait(full_at, LATE) == pytest.approx(0.5, rel=0.01)


@given(st.floats(0.1, 1000), st.integers(1, 50), st.lists(st.floats(0, 2), max_size=80))
def test_nobody_gets_more_than_a_burst_and_the_rate(per_second: float, burst: int,
                                                    steps: list[float]) -> None:
    """Whenever it asks, and in every part of the time."""
    rate = Rate(per_second, burst)
    now, full_at = LATE, 0.0
    got = []
    for step in steps:
        now += step
        if not rate.wait(full_at, now):
            full_at = rate.take(full_at, now)
            got.append(now)
    for first, start in enumerate(got):
        for last in range(first, len(got)):
            assert last - first + 1 <= burst + (got[last] - start) * per_second + 0.01


# -- a bucket for each of many ------------------------------------------------------------------


def test_each_key_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(Rate(1, 2))
    assert [buckets.take("a", LATE) for _ in range(3)] == [True, True, False]
    assert [buckets.take("b", LATE) for _ in range(3)] == [True, True, False]


def test_who_is_refused_has_not_taken_anything() -> None:
    buckets = Buckets(Rate(1, 1))
    buckets.take("a", LATE)
    assert not any(buckets.take("a", LATE + 0.9) for _ in range(100))
    assert buckets.take("a", LATE + 1)


def test_a_bucket_that_is_not_full_is_not_forgotten() -> None:
    """However often the generations change meanwhile."""
    buckets = Buckets(Rate(1, 10))
    taken = 0
    for second in range(100):
        buckets.take(f"somebody {second}", LATE + second)
        taken += sum(buckets.take("a", LATE + second) for _ in range(20))
    assert taken == 10 + 99


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30)), max_size=100))
def test_forgetting_makes_no_difference(steps: list[tuple[str, float]]) -> None:
    """As if a bucket were kept for everybody for ever."""
    rate = Rate(0.5, 4)
    buckets = Buckets(rate)
    kept = dict.fromkeys("abc", 0.0)
    now = 0.0
    for key, step in steps:
        now += step
        allowed = not rate.wait(kept[key], now)
        if allowed:
            kept[key] = rate.take(kept[key], now)
        assert buckets.take(key, now) is allowed


def test_nobody_is_remembered_for_long() -> None:
    """A flood of addresses leaves nothing behind: within twice the time that a bucket takes to be full."""
    buckets = Buckets(Rate(1, 10))
    for number in range(10_000):
        buckets.take(str(number), LATE + number / 10_000)
    assert len(buckets) == 10_000
    buckets.take("late", LATE + 12)
    buckets.take("later", LATE + 23)
    assert len(buckets) == 2


def test_after_a_quiet_time_all_are_forgotten_at_once() -> None:
    buckets = Buckets(Rate(1, 10))
    for number in range(100):
        buckets.take(str(number), LATE)
    buckets.take("late", LATE + 21)
    assert len(buckets) == 1
