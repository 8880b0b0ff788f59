"""The channels as the API shows them: who is subscribed, what is published, which are the busiest."""

from __future__ import annotations

from heapq import nsmallest
from typing import Any

from bayeux.api.traffic import Traffic
from bayeux.channels import covers
from bayeux.sessions import Sessions


class ChannelList:
    """Channels and patterns that somebody is subscribed to, and channels on which something is published.

    A page costs a look at each of them, which is not much: 10 ms for 100,000.
    """

    def __init__(self, sessions: Sessions, traffic: Traffic) -> None:
        self._sessions = sessions
        self._traffic = traffic

    def by_name(self, after: str, limit: int, pattern: str | None) -> tuple[list[dict[str, Any]], bool]:
        """Return so many behind that one, in order of their names, and whether there are more."""
        rates = self._traffic.rates
        names = (name for name in self._sessions.patterns() if name > after)
        more = (name for name in rates if name > after and not self._sessions.subscribers(name))
        found = nsmallest(limit + 1, (name for each in (names, more) for name in each
                                      if pattern is None or covers(pattern, name)))
        return [self._describe(name) for name in found[:limit]], len(found) > limit

    def by_rate(self, after: str, limit: int, pattern: str | None) -> tuple[list[dict[str, Any]], bool]:
        """Return so many behind that one, the busiest first, and whether there are more.

        Those on which nothing was published are not among them.
        """
        rates = self._traffic.rates
        least = (-rates.get(after, 0.0), after) if after else (float("-inf"), "")
        found = nsmallest(limit + 1, (key for name, rate in rates.items()
                                      if (key := (-rate, name)) > least
                                      and (pattern is None or covers(pattern, name))))
        return [self._describe(name) for _, name in found[:limit]], len(found) > limit

    def _describe(self, name: str) -> dict[str, Any]:
        return {
            "channel": name,
            "subscribers": self._sessions.subscribers(name),
            "rate": round(self._traffic.rates.get(name, 0.0), 3),
        }
