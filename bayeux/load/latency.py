"""Latencies, merged from all workers: an HdrHistogram of microseconds, asked in milliseconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bayeux.load import EXTRA, LoadError

try:
    from hdrh.histogram import HdrHistogram
except ImportError:
    raise LoadError(EXTRA) from None

_LONGEST = 3_600_000_000
_DIGITS = 3
NAMED = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}
"""The percentiles that are told."""
_CURVE = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999]


class Latencies:
    """How often each latency came.  The histogram is made when it is asked for: not while the load lasts."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, counts: Mapping[int, int]) -> None:
        """Add values in microseconds, and how often each came."""
        self._counts.update(counts)

    def merge(self, other: Latencies) -> None:
        """Add all of another."""
        self._counts.update(other._counts)

    @property
    def count(self) -> int:
        """How many there are."""
        return self._counts.total()

    def quick(self) -> dict[str, float]:
        """Return ``p50``, ``p90``, ``p99`` and ``max`` in milliseconds, cheaply; empty without any."""
        total, passed, found = self.count, 0, {}
        wanted = [(name, total * percent / 100) for name, percent in NAMED.items() if percent <= 99]
        for value in sorted(self._counts):
            passed += self._counts[value]
            while wanted and passed >= wanted[0][1]:
                found[wanted.pop(0)[0]] = value / 1000
            found["max"] = value / 1000
        return found

    def _histogram(self) -> HdrHistogram:
        longest = min(max(self._counts, default=0), _LONGEST)
        histogram = HdrHistogram(1, max(longest, 2), _DIGITS)  # to go through more than there is takes long
        for value, count in self._counts.items():
            histogram.record_value(min(value, _LONGEST), count)
        return histogram

    def summary(self) -> dict[str, float]:
        """Return ``min``, ``mean``, the named percentiles and ``max``, in milliseconds; empty without any."""
        if not self.count:
            return {}
        values = self._histogram().get_percentile_to_value_dict(list(NAMED.values()))
        longest = min(max(self._counts), _LONGEST)
        return {
            "min": min(self._counts) / 1000,
            "mean": round(sum(value * count for value, count in self._counts.items()) / self.count / 1000, 3),
            **{name: min(values[percent], longest) / 1000 for name, percent in NAMED.items()},
            "max": longest / 1000,
        }

    def curve(self) -> list[tuple[float, float]]:
        """Return percentiles and their milliseconds, as far as there are values enough for them."""
        if not self.count:
            return []
        known = [percent for percent in _CURVE if self.count * (100 - percent) / 100 >= 1]
        values = self._histogram().get_percentile_to_value_dict([*known, 100.0])
        longest = min(max(self._counts), _LONGEST)
        return [(percent, min(values[percent], longest) / 1000) for percent in [*known, 100.0]]

    def encode(self) -> str:
        """Return the histogram as the HdrHistogram libraries exchange it (V2, compressed, base64)."""
        text: bytes = self._histogram().encode()
        return text.decode()
