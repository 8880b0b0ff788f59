"""The channels as the API shows them: who is subscribed, what is published, which are the busiest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from heapq import nsmallest
from typing import Any

from bayeux.api.traffic import Traffic
from bayeux.sessions import Sessions

Listed = list[dict[str, Any]]
Page = tuple[Listed, bool]
"""What is on it, and whether there is more behind it."""


class ChannelList:
    """Channels and patterns that somebody is subscribed to, and channels on which something is published.

    A page costs a look at each of them: 20 ms for 100,000.
    """

    def __init__(self, sessions: Sessions, traffic: Traffic) -> None:
        self._sessions = sessions
        self._traffic = traffic

    def by_name(self, after: str, limit: int, pattern: str | None) -> Page:
        """Return so many behind that one, in order of their names; with a pattern, those that it covers."""
        sessions = self._sessions
        names = [name for name in sessions.patterns() if name > after]
        names += [name for name in self._traffic.rates if name > after and not sessions.subscribers(name)]
        found = nsmallest(limit + 1, _covered(names, pattern))
        return self._describe(found[:limit]), len(found) > limit

    def by_rate(self, limit: int, pattern: str | None) -> Listed:
        """Return so many of the busiest, in that order; with a pattern, of those that it covers.

        Those on which nothing was published are not among them.  There is no next page: with every period
        there is another order, and one would miss some channels and meet others twice.
        """
        rates = self._traffic.rates
        ranks = ((-rates[name], name) for name in _covered(rates, pattern))
        return self._describe([name for _, name in nsmallest(limit, ranks)])

    def _describe(self, names: list[str]) -> Listed:
        rates, subscribers = self._traffic.rates, self._sessions.subscribers
        return [{"channel": name, "subscribers": subscribers(name), "rate": round(rates.get(name, 0.0), 3)}
                for name in names]


def _covered(names: Iterable[str], pattern: str | None) -> Iterable[str]:
    """Pick those that a pattern covers: as ``channels.covers`` says, but for very many in a row."""
    return names if pattern is None else filter(_matcher(pattern).fullmatch, names)


def _matcher(pattern: str) -> re.Pattern[str]:
    """Return what matches the channels and patterns that a pattern covers (S-10)."""
    if pattern == "/**":
        return re.compile("(?!/service/).*")  # C-15
    if pattern.endswith("/**"):
        return re.compile(re.escape(pattern[:-2]) + ".+")
    if pattern.endswith("/*"):
        return re.compile(re.escape(pattern[:-1]) + r"(?!\*\*)[^/]+")
    return re.compile(re.escape(pattern))
