"""A time of day on everything that the server sends (19.3)."""

from __future__ import annotations

import time
from collections.abc import Callable

from bayeux.extensions import Call, Extension
from bayeux.messages import Event, Reply


class Timestamp(Extension):
    """Adds ``timestamp`` to every reply and event (XS-1); ``wall`` tells the time of day."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall

    def outgoing(self, reply: Reply, call: Call) -> None:
        """Say when a reply was sent."""
        reply.timestamp = stamp(self._wall())

    def publishing(self, event: Event, call: Call | None) -> None:
        """Say when an event was published: once, for all that get it."""
        event.add("timestamp", stamp(self._wall()))


def stamp(seconds: float) -> str:
    """Write a time, in seconds since 1970, as ``YYYY-MM-DDThh:mm:ss.ss`` in GMT (M-27)."""
    whole, hundredths = divmod(round(100 * seconds), 100)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{hundredths:02}"
