"""Acknowledged delivery: no event is lost while a session lives, whatever happens to responses (19.1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from bayeux.channels import META_CONNECT, META_HANDSHAKE
from bayeux.extensions import Call, Extension
from bayeux.messages import Event, Reply
from bayeux.queues import EventQueue, QueueOverflow, size_of
from bayeux.settings import Settings

_SMALL = 8192
"""Bytes of events that any link is thought to let through."""
_ENDLESS = 2**40
"""Bytes that no queue ever has."""


class AckQueue(EventQueue):
    """A queue whose events stay until the client has said that it got them.

    Each reply to a connect has a number, and the events in it are a batch of that number.  What is not
    acknowledged is sent again, before what is new (XA-5).  If it is much, only half as many bytes are sent
    as were lost, and twice as many once they have got through: a link that breaks before so much has come
    would never let it through.  Who does not even say that it has got nothing is sent everything.
    """

    __slots__ = ("_acknowledges", "_batches", "_forgotten", "_most", "_seen", "_sent", "number")

    connect_only = True  # XA-2

    def __init__(self, queue: EventQueue) -> None:
        super().__init__()
        self.events, self.size = queue.events, queue.size
        self.number = 0
        """That of the newest reply."""
        self._batches: deque[tuple[int, int]] = deque()
        """Numbers of replies, each with the last event in it, counted from the session's first."""
        self._forgotten = 0
        """How many events have been acknowledged."""
        self._sent = 0
        """How many events at the head of the queue are in the newest reply."""
        self._seen = 0
        """How many have been sent, counted from the session's first; since something has got through."""
        self._most = _ENDLESS
        """Bytes of events that might be in it."""
        self._acknowledges = False
        """Whether the client has ever told a number."""

    def make_room(self, event: Event, settings: Settings) -> Sequence[Event]:
        """Refuse: here nothing is ever lost silently (Q-7)."""
        raise QueueOverflow

    @property
    def fresh(self) -> bool:
        """Whether the next reply has anything that was not sent before, or since something got through."""
        return self._forgotten + len(self.first(self._room)) > self._seen

    @property
    def urgent(self) -> bool:
        """Whether anything must not wait; what has been sent, and seems to be lost, least of all (XA-6)."""
        return self._sent > 0 or super().urgent

    def label(self, reply: Reply) -> None:
        """Number the reply, from 1 (XA-3).

        Here and no earlier: one that in the end does not carry the events, because a newer connect has
        come (XA-9), must have no number, or else acknowledging it would mean events that it never had.
        """
        self.number += 1
        reply.extend("ack", self.number)

    def take(self, most_bytes: int | None = None) -> list[Event]:
        """Return what is not acknowledged, or the first of it; it stays in the queue."""
        self._most = self._room
        events = self.first(self._most)
        self._sent = len(events)
        last = self._forgotten + self._sent
        self._seen = max(self._seen, last)
        if events and not (self._batches and self._batches[-1][1] == last):
            self._batches.append((self.number, last))
        return events

    @property
    def _room(self) -> int:
        """How many bytes of events may be in the next reply."""
        if self._sent and self._acknowledges:  # what was sent seems to be lost
            return max(_SMALL, size_of(self.events[:self._sent]) // 2)
        return self._most

    def acknowledge(self, number: float) -> None:
        """Forget the batches up to a number; one that was never sent counts as the newest (XA-4, XA-7)."""
        self._acknowledges = True
        last = self._forgotten
        while self._batches and self._batches[0][0] <= number:
            last = self._batches.popleft()[1]
        known = last - self._forgotten
        if known > 0:  # or it was in a later batch too, and that is known already
            self.size -= size_of(self.events[:known])
            del self.events[:known]
            self._forgotten = last
            self._sent = max(0, self._sent - known)
            self._seen = last + self._sent
            self._most = min(2 * self._most, _ENDLESS)

    def clear(self) -> None:
        """Throw everything away."""
        super().clear()
        self._batches.clear()
        self._sent = 0
        self._seen = self._forgotten


class Ack(Extension):
    """Gives an ``AckQueue`` to every client that asks for one at its handshake (XA-1)."""

    reads_ext = True

    def incoming(self, call: Call) -> None:
        """Read the acknowledgement in a connect; anything but a number acknowledges nothing (XA-7)."""
        if call.message.channel == META_CONNECT and call.session is not None and (
            isinstance(queue := call.session.queue, AckQueue)
        ):
            number = call.message.extensions().get("ack")
            if isinstance(number, int | float) and not isinstance(number, bool):
                queue.acknowledge(number)

    def outgoing(self, reply: Reply, call: Call) -> None:
        """Agree at the handshake (XA-1)."""
        if reply.channel == META_HANDSHAKE and call.session is not None and (
            call.message.extensions().get("ack") is True
        ):
            call.session.queue = AckQueue(call.session.queue)
            reply.extend("ack", True)
