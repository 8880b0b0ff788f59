"""How the server is: ready or not, and what there is of everything."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from bayeux._version import __version__
from bayeux.api.errors import APIError
from bayeux.hub import Hub
from bayeux.transports.endpoint import Endpoint


class Status:
    """Looks at a hub, and at its endpoint for what is connected.

    ``draining`` says whether the server is about to stop, though its hub goes on as yet.
    """

    def __init__(self, hub: Hub, endpoint: Endpoint, draining: Callable[[], bool] = lambda: False) -> None:
        self._hub = hub
        self._draining = draining
        self._endpoint = endpoint
        self._start = hub.sessions.clock.seconds()

    def check_ready(self) -> None:
        """Raise ``APIError`` if no more clients are to be sent here."""
        sessions, most = self._hub.sessions, self._hub.settings.ready_max_sessions
        if sessions.closed or self._draining():
            raise APIError("stopping", "the server is stopping")
        if most and len(sessions) >= most:
            raise APIError("overloaded", f"there are {len(sessions)} sessions")

    def stats(self) -> dict[str, Any]:
        """Return a snapshot."""
        sessions = self._hub.sessions
        return {
            "version": __version__,
            "uptime": round(sessions.clock.seconds() - self._start, 3),
            "sessions": len(sessions),
            "sessions_by_transport": +sessions.by_transport,
            "held_connects": len(sessions.holds),
            "queued_events": sessions.backlog.measure().events,
            "channels": sessions.channels,
            "connections": len(self._endpoint.connections),
            "counters": dict(self._counters()),
        }

    def _counters(self) -> Iterator[tuple[str, object]]:
        """Yield what is counted, in all or by kind; how times are spread is for Prometheus."""
        metrics = self._hub.metrics
        for field in dataclasses.fields(metrics):
            value = getattr(metrics, field.name)
            if isinstance(value, int | float | Counter):
                yield field.name, value
