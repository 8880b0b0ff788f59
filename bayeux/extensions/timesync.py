"""Clock synchronisation: a client learns how far its clock is from the server's (19.2)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeGuard

from bayeux.channels import is_meta
from bayeux.extensions import Call, Extension
from bayeux.messages import Reply

_HUGE = 2**53
"""Beyond this JavaScript does not count in ones any more."""


class Timesync(Extension):
    """Answers ``ext.timesync`` of meta messages (XT-1 to XT-4).

    ``accuracy`` is in seconds: a client that knows better than that is not answered again (XT-3).
    ``wall`` tells the time of day.
    """

    reads_ext = True

    def __init__(self, accuracy: float, wall: Callable[[], float] = time.time) -> None:
        self._accuracy = 1000 * accuracy
        self._wall = wall

    def incoming(self, call: Call) -> None:
        """Note when a message has come, and what its sender knows (XT-2)."""
        if not is_meta(call.message.channel):
            return
        asked = call.message.extensions().get("timesync")
        if not isinstance(asked, dict) or not _is_time(client := asked.get("tc")):
            return
        answer = {"tc": round(client), "ts": self._now()}
        lag, offset = asked.get("l"), asked.get("o")
        if lag is not None:
            if not _is_time(lag) or not _is_time(offset):
                return
            off = round(client + offset + lag) - answer["ts"]
            if lag != 0 and abs(off) < self._accuracy:
                return
            answer["a"] = off
        call.notes[Timesync] = answer

    def outgoing(self, reply: Reply, call: Call) -> None:
        """Answer, with the time that the message has spent here (XT-2)."""
        if (answer := call.notes.get(Timesync)) is not None:
            reply.extend("timesync", {**answer, "p": self._now() - answer["ts"]})

    def _now(self) -> int:
        return round(1000 * self._wall())


def _is_time(value: object) -> TypeGuard[float]:
    """Say whether it is a number that can be meant (XT-4)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _HUGE
