"""load/series.py: a quantity over time."""

from __future__ import annotations

import pytest

from bayeux.load.series import Series


def made() -> Series:
    series = Series()
    for when, value in ((10, 1.0), (20, 3.0), (30, 3.0)):
        series.add(when, value)
    return series


@pytest.mark.parametrize(("when", "value"), [(0, 1), (10, 1), (15, 2), (20, 3), (25, 3), (30, 3), (99, 3)])
def test_between_two_moments_it_goes_evenly(when: int, value: float) -> None:
    assert made().at(when) == value


def test_growth_and_rate() -> None:
    assert made().growth(15, 25) == 1
    assert made().rate(15, 25) == 0.1
    assert made().rate(0, 99) == 0.1  # over what is known of it
    assert made().rate(50, 60) == 0


def test_nothing_known_is_nothing() -> None:
    assert (len(Series()), Series().at(5), Series().growth(1, 2), Series().rate(1, 2)) == (0, 0, 0, 0)
