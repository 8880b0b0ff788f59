"""How many connections there are, in all and of one address (BAYEUX.md G-19)."""

from __future__ import annotations

from bayeux.addresses import client_of
from bayeux.metrics import Metrics
from bayeux.settings import Settings


class Connections:
    """Counts connections, whoever has them: HTTP, a page of twisted.web, or a stream."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._count = 0
        self._by_client: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def enter(self, address: str) -> str | None:
        """Count one in; returns its place, which it has to ``leave``, and None if there is no room.

        A connection of the address "" is nobody's, as that of a proxy is, and counts in all only.
        """
        settings = self._settings
        if self._count >= settings.max_connections:
            self._metrics.limited["max_connections"] += 1
            return None
        place = client_of(address, settings.ipv6_prefix)
        if place:
            others = self._by_client.get(place, 0)
            if others >= settings.max_connections_per_address:
                self._metrics.limited["max_connections_per_address"] += 1
                return None
            self._by_client[place] = others + 1
        self._count += 1
        return place

    def leave(self, place: str | None) -> None:
        """Count one out, if it has a place: those that another server has accepted have none."""
        if place is None:
            return
        self._count -= 1
        if place:
            others = self._by_client[place] - 1
            if others:
                self._by_client[place] = others
            else:
                del self._by_client[place]
