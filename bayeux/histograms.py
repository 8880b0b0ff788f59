"""Counts of how large something was, by ranges: plain integers, as all that is counted on the hot path."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Histogram:
    """How many values were at most so large, for each of some bounds in ascending order."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    """One for each bound: values up to it that are beyond the one before; and one for all that are larger."""
    sum: float = 0.0
    """Of all values."""

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, perhaps several times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)
