"""Token buckets, against an oracle that counts tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.rates import Buckets, Rate


class Oracle:
    """A bucket as it is usually written: tokens, and when they were counted."""

    def __init__(self, per_second, burst):
        self.per_second, self.burst = per_second, burst
        self.tokens, self.then = float(burst), 0.0

    def take(self, now):
        self.tokens = min(self.burst, self.tokens + (now - self.then) * self.per_second)
        self.then = now
        if self.tokens < 1 - 1e-4:
            return False
        self.tokens -= 1
        return True


STEPS = st.lists(st.integers(0, 40).map(lambda eighths: eighths / 8), max_size=60)


@given(st.sampled_from([0.5, 1.0, 2.0, 8.0]), st.integers(1, 8), STEPS)
def test_a_bucket_gives_what_an_oracle_gives(per_second, burst, steps):
    """G-17: in steps that floats hold exactly."""
    buckets, oracle, now = Buckets(Rate(per_second, burst)), Oracle(per_second, burst), 100.0
    oracle.then = now
    for step in steps:
        now += step
        assert buckets.take("a", now) is oracle.take(now)


def test_each_key_has_a_bucket_of_its_own():
    buckets = Buckets(Rate(1.0, 2))
    assert [buckets.take("a", 1.0) for _ in range(3)] == [True, True, False]
    assert buckets.take("b", 1.0) is True


def test_full_buckets_are_forgotten():
    """G-17: many addresses that came once cost nothing for long."""
    buckets = Buckets(Rate(1.0, 10))
    for number in range(1_000):
        buckets.take(str(number), 100.0)
    assert len(buckets) == 1_000
    buckets.take("later", 111.0)
    buckets.take("later", 122.0)
    assert len(buckets) == 2


def test_a_bucket_that_is_not_full_is_remembered_from_one_generation_to_the_next():
    buckets = Buckets(Rate(1.0, 10))
    assert all(buckets.take("a", 100.0) for _ in range(10))
    assert buckets.take("a", 109.9) is True
    assert [buckets.take("a", 110.5) for _ in range(11)].count(True) == 9


@pytest.mark.parametrize(("spent", "wait"), [(0, 0.0), (2, 0.0), (3, 0.5), (5, 1.5)])
def test_how_long_there_will_be_no_token(spent, wait):
    """G-25."""
    rate, full_at = Rate(2.0, 3), 0.0
    for _ in range(spent):
        full_at = rate.take(full_at, 10.0)
    assert rate.wait(full_at, 10.0) == pytest.approx(wait, abs=1e-4)
