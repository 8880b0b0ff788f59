"""Counts by ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.histograms import Histogram

BOUNDS = (0.1, 1.0, 10.0)


@pytest.mark.parametrize(("value", "index"), [
    (0.0, 0), (0.1, 0), (0.11, 1), (1.0, 1), (9.0, 2), (10.0, 2), (10.1, 3), (1e9, 3),
])
def test_a_value_is_counted_where_it_is_not_beyond_the_bound(value, index):
    """As Prometheus' ``le``: less or equal."""
    histogram = Histogram(BOUNDS)
    histogram.observe(value)
    assert histogram.counts == [int(place == index) for place in range(4)]
    assert histogram.sum == value


def test_a_value_may_be_counted_several_times_at_once():
    histogram = Histogram(BOUNDS)
    histogram.observe(0.5, 3)
    histogram.observe(20.0, 0)
    assert histogram.counts == [0, 3, 0, 0]
    assert histogram.sum == 1.5
    assert histogram.count == 3


@given(st.lists(st.floats(0, 100)))
def test_nothing_is_lost(values):
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
    assert histogram.count == len(values)
    assert histogram.counts[0] == sum(value <= BOUNDS[0] for value in values)
    assert histogram.counts[3] == sum(value > BOUNDS[2] for value in values)


def test_two_do_not_share_their_counts():
    one, other = Histogram(BOUNDS), Histogram(BOUNDS)
    one.observe(1.0)
    assert other.count == 0
