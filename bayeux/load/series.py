"""A quantity over time, known at some moments."""

from __future__ import annotations

from bisect import bisect_left


class Series:
    """Values at times that only grow; between two moments it goes from one to the other evenly."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._values: list[float] = []

    def add(self, when: int, value: float) -> None:
        """Note the value at a time."""
        self._times.append(when)
        self._values.append(value)

    def __len__(self) -> int:
        return len(self._times)

    def at(self, when: int) -> float:
        """Return the value at a time; before the first and after the last moment it is as then."""
        times, values = self._times, self._values
        place = bisect_left(times, when)
        if place == 0 or place == len(times):
            return values[min(place, len(times) - 1)] if times else 0.0
        before, after = times[place - 1], times[place]
        return values[place - 1] + (values[place] - values[place - 1]) * (when - before) / (after - before)

    def growth(self, begin: int, end: int) -> float:
        """Return by how much it grew."""
        return self.at(end) - self.at(begin)

    def rate(self, begin: int, end: int) -> float:
        """Return by how much it grew a nanosecond, over the part of a time that is known."""
        if not self._times:
            return 0.0
        begin, end = max(begin, self._times[0]), min(end, self._times[-1])
        return self.growth(begin, end) / (end - begin) if end > begin else 0.0
