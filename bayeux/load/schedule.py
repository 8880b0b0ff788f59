"""When each message is due, on which channel, and who publishes it.

It is the same in every process, so a message needs to carry nothing but its number.  Channels take turns:
message ``n`` goes to channel ``n % channels``.  As far as there are publishers enough for it, each channel
has one or more of its own, and no channel is published to by one that another order could come from: the
messages of one *lane* (a channel and a publisher) are published one after another, and are to arrive so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from bayeux.load.scenario import Phase

_SECOND = 1_000_000_000


class Span:
    """The messages of one phase: from ``first`` until before ``end``; times in nanoseconds."""

    __slots__ = ("begin", "end", "first", "gap", "phase", "stop")

    def __init__(self, phase: Phase, first: int, begin: int) -> None:
        self.phase = phase
        self.first = first
        self.begin = begin
        self.stop = begin + int(phase.duration * _SECOND)
        count = round(phase.duration * phase.rate)
        self.end = first + count
        self.gap = (self.stop - begin) // count if count else 0

    def due(self, number: int) -> int:
        """Return when a message of this phase is due."""
        return self.begin + (number - self.first) * self.gap


class Schedule:
    """All messages of a run that begins at a time of the clock."""

    def __init__(self, phases: Sequence[Phase], begin: int, channels: int, publishers: int) -> None:
        self.channels = channels
        self.publishers = publishers
        self.spans: list[Span] = []
        self.begin = begin
        first = 0
        for phase in phases:
            span = Span(phase, first, begin)
            self.spans.append(span)
            first, begin = span.end, span.stop
        self.end = first
        """The number after the last message's."""
        self.stop = begin
        """When the last phase ends."""
        self._firsts = [span.first for span in self.spans]

    def cut(self, now: int) -> None:
        """Let nothing be due from now on."""
        if now >= self.stop:
            return
        self.end = self.due_before(now)
        self.stop = max(now, self.begin)
        for span in self.spans:
            span.end = max(span.first, min(span.end, self.end))
            span.stop = max(span.begin, min(span.stop, self.stop))

    # -- numbers and times ----------------------------------------------------------------------

    def phase_of(self, number: int) -> int:
        """Return the index of the phase that a message belongs to."""
        return bisect_right(self._firsts, number) - 1

    def due(self, number: int) -> int:
        """Return when a message is due."""
        return self.spans[self.phase_of(number)].due(number)

    def due_before(self, when: int) -> int:
        """Return how many messages are due before a time: the number of the first that is not."""
        for span in self.spans:
            if when < span.stop:
                if when <= span.begin or not span.gap:
                    return span.first
                return min(span.end, span.first - (span.begin - when) // span.gap)
        return self.spans[-1].end

    # -- who ------------------------------------------------------------------------------------

    def publisher(self, number: int) -> int:
        """Return who publishes a message."""
        channel = number % self.channels
        if self.publishers <= self.channels:
            return channel % self.publishers
        return channel + self.channels * (number // self.channels % self.lanes(channel))

    def lanes(self, channel: int) -> int:
        """Return how many publishers a channel has."""
        if self.publishers <= self.channels:
            return 1
        return len(range(channel, self.publishers, self.channels))

    def first_of(self, channel: int, number: int) -> int:
        """Return the first message of a channel from a number on."""
        return number + (channel - number) % self.channels
