"""Rates: so many a second, and some more at once; token buckets in one number each."""

from __future__ import annotations

_ALMOST = 1e-3
"""Of a token, as adding times up is not exact."""


class Rate:
    """A token bucket of which only the rule is kept here: ``burst`` tokens, ``per_second`` of them new.

    A bucket is one number, ``full_at``: when it will be full again, in seconds on a clock that does not
    jump.  Any time that has passed, 0.0 too, is a full bucket, so whoever takes nothing has none.
    """

    __slots__ = ("depth", "interval")

    def __init__(self, per_second: float, burst: int) -> None:
        self.interval = 1.0 / per_second
        """Seconds from one token to the next."""
        self.depth = (burst - 1 + _ALMOST) * self.interval

    def wait(self, full_at: float, now: float) -> float:
        """Return for how many seconds there will be no token; 0 if there is one."""
        wait = full_at - self.depth - now
        return wait if wait > 0.0 else 0.0

    def take(self, full_at: float, now: float) -> float:
        """Return the bucket with one token less, whether there was one or not."""
        return (full_at if full_at > now else now) + self.interval


class Buckets:
    """A bucket for each of many keys, as addresses are, for as long as it is not full.

    There are two generations.  When the older is as old as a bucket takes to be full, all in it are, and
    it is thrown away whole: forgetting takes no timer and no search.
    """

    __slots__ = ("_before", "_depth", "_interval", "_latest", "_refill", "_turn")

    def __init__(self, rate: Rate) -> None:
        self._depth, self._interval, self._refill = rate.depth, rate.interval, rate.depth + rate.interval
        self._latest: dict[str, float] = {}
        self._before: dict[str, float] = {}
        self._turn = 0.0
        """When the generations change."""

    def __len__(self) -> int:
        """Return how many buckets are kept."""
        return len(self._latest) + len(self._before)

    def take(self, key: str, now: float) -> bool:
        """Take a token, if there is one; ``now`` is in seconds on a clock that does not jump."""
        if now >= self._turn:
            self._forget(now)
        full_at = self._latest.get(key)
        if full_at is None:
            full_at = self._before.get(key, 0.0)
        if full_at - now > self._depth:
            return False
        self._latest[key] = (full_at if full_at > now else now) + self._interval
        return True

    def _forget(self, now: float) -> None:
        self._before = self._latest if now < self._turn + self._refill else {}
        self._latest = {}
        self._turn = now + self._refill
