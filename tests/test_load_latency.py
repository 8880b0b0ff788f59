"""load/latency.py: histograms that are merged."""

from __future__ import annotations

import importlib
import sys

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeux.load import LoadError, latency
from bayeux.load.latency import Latencies

COUNTS = st.dictionaries(st.integers(0, 10**9), st.integers(1, 1000), max_size=30)


def of(**counts: int) -> Latencies:
    made = Latencies()
    made.add({int(value[1:]): count for value, count in counts.items()})
    return made


def test_percentiles_are_in_milliseconds() -> None:
    made = of(_1000=500, _2000=400, _3000=90, _50000=9, _80000=1)
    assert made.count == 1000
    assert made.summary() == {"min": 1.0, "mean": pytest.approx(2.1, rel=0.01), "p50": 1.0, "p90": 2.0,
                              "p99": pytest.approx(3.0, rel=0.001), "p99.9": pytest.approx(50.0, rel=0.001),
                              "max": pytest.approx(80.0, rel=0.001)}


def test_nothing_has_no_percentiles() -> None:
    made = Latencies()
    assert (made.count, made.summary(), made.quick(), made.curve()) == (0, {}, {}, [])
    assert HdrHistogram.decode(made.encode()).get_total_count() == 0


def test_what_all_workers_tell_is_one_histogram() -> None:
    one, other = of(_1000=10, _2000=5), of(_2000=5, _9000=1)
    one.merge(other)
    assert one.summary() == of(_1000=10, _2000=10, _9000=1).summary()
    assert other.count == 6


@settings(max_examples=15)  # a histogram is slow to read
@given(COUNTS, COUNTS)
def test_merging_is_the_same_as_counting_all_together(some: dict[int, int], more: dict[int, int]) -> None:
    one, other, both = Latencies(), Latencies(), Latencies()
    one.add(some)
    other.add(more)
    both.add(some)
    both.add(more)
    one.merge(other)
    assert (one.count, one.summary(), one.curve()) == (both.count, both.summary(), both.curve())


@settings(max_examples=15)  # a histogram is slow to read
@given(COUNTS)
def test_it_agrees_with_the_library(counts: dict[int, int]) -> None:
    made, plain = Latencies(), HdrHistogram(1, 3_600_000_000, 3)
    made.add(counts)
    for value, count in counts.items():
        plain.record_value(value, count)
    summary = made.summary()
    for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9)):
        if counts:
            expected = min(plain.get_value_at_percentile(percent), max(counts))
            assert summary[name] == expected / 1000
    values = sorted(value for value, count in counts.items() for _ in range(count))
    if values:
        quick = made.quick()
        assert quick["max"] == values[-1] / 1000
        assert quick["p50"] == values[-(-len(values) * 50 // 100) - 1] / 1000


def test_others_can_read_what_is_encoded() -> None:
    read = HdrHistogram.decode(of(_1000=10, _80000=2).encode())
    assert [(item.value_iterated_to, item.count_at_value_iterated_to)
            for item in read.get_recorded_iterator()] == [(1000, 10), (80063, 2)]


def test_a_value_beyond_all_bounds_is_the_longest() -> None:
    assert of(_99999999999=1).summary()["max"] == pytest.approx(3_600_000, rel=0.001)


def test_the_curve_goes_as_far_as_there_are_values_for_it() -> None:
    assert [percent for percent, _ in of(_1000=10).curve()] == [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 100.0]
    assert of(_1000=100_000).curve()[-2:] == [(99.999, 1.0), (100.0, 1.0)]


def test_without_the_library_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdrh.histogram", None)
    with pytest.raises(LoadError, match=r"pip install 'txbayeux\[load\]'"):
        importlib.reload(latency)
