"""What a worker counts: arrivals and their latency, phase by phase.

Latencies are kept as they come and put together once a second: as many distinct values as an HdrHistogram
of three digits tells apart, and how often each came.  That is a tenth of what recording each costs.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable

from bayeux.load.ledger import Arrival, Ledger
from bayeux.load.schedule import Schedule
from bayeux.load.wire import DIGITS

_KEPT_BITS = 11
"""Of a value: what a histogram with three significant digits keeps."""
_KINDS = 40
"""Errors beyond so many kinds are counted together."""


def rounded(values: Iterable[int]) -> Counter[int]:
    """Count values, rounded down to what a histogram of three digits tells apart."""
    return Counter([value >> shift << shift if (shift := value.bit_length() - _KEPT_BITS) > 0 else value
                    for value in values])


class Tally:
    """The counts of one worker; times in nanoseconds, what is told of them in microseconds.

    The schedule that it is made with says who publishes what; when, it knows from ``measure`` on.
    """

    def __init__(self, schedule: Schedule, mark: bytes, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._mark = mark
        self._number_at = len(mark)
        self.errors: Counter[str] = Counter()
        self.connects: list[int] = []
        """How long each client took to be live, microseconds."""
        self._latencies = array("q")
        self._early: list[tuple[int, int]] | None = []
        """Numbers and times of what comes before ``measure``."""
        self._schedule = schedule
        self._step = schedule.channels
        phases = len(schedule.spans)
        self.received = [0] * phases
        self.lost = [0] * phases
        self.duplicated = [0] * phases
        self.out_of_order = [0] * phases
        self._counts: list[Counter[int]] = [Counter() for _ in range(phases)]
        self._phase = self._first = self._end = self._begin = self._gap = 0

    def measure(self, schedule: Schedule) -> None:
        """Learn when messages are due; another worker may have published some of them already."""
        self._schedule = schedule
        early, self._early = self._early or (), None
        self._enter(0)
        for number, now in early:
            self._count(number, now)

    def _enter(self, phase: int) -> None:
        """Let arrivals be those of one phase."""
        self._settle()
        self._phase = phase
        span = self._schedule.spans[phase]
        self._first, self._end, self._begin, self._gap = span.first, span.end, span.begin, span.gap

    def _settle(self) -> None:
        """Put what has come since the last time with the phase that it belongs to."""
        if self._latencies:
            self.received[self._phase] += len(self._latencies)
            self._counts[self._phase].update(rounded([max(0, value) // 1000 for value in self._latencies]))
            self._latencies = array("q")

    @property
    def total(self) -> int:
        """How many arrivals there have been."""
        return sum(self.received) + len(self._latencies)

    def cut(self) -> None:
        """Look at the schedule again: it ends earlier now."""
        self._enter(self._phase)

    def arrived(self, ledger: Ledger, text: bytes, at: int) -> None:
        """Take the events in what a subscriber was sent; the first one's mark is there."""
        now = self._clock()
        mark, offset = self._mark, self._number_at
        while at >= 0:
            at += offset
            try:
                number = int(text[at:at + DIGITS])
            except ValueError:
                self.error("an event that is not as it was published")
                return
            if number == ledger.next:
                ledger.next = number + self._step
            elif not self._is_new(ledger, number):
                at = text.find(mark, at)
                continue
            if self._first <= number < self._end:
                self._latencies.append(now - self._begin - (number - self._first) * self._gap)
            else:
                self._count(number, now)
            at = text.find(mark, at)

    def _count(self, number: int, now: int) -> None:
        """Count an arrival in its phase, if it has one: a run may be cut short."""
        if self._early is not None:
            self._early.append((number, now))
        elif number < self._schedule.end:
            self._enter(self._schedule.phase_of(number))
            self._latencies.append(now - self._begin - (number - self._first) * self._gap)

    def _is_new(self, ledger: Ledger, number: int) -> bool:
        """Take a message that was not the next; returns whether it is new."""
        arrival = ledger.take(number)
        if arrival is Arrival.EARLY:
            return False
        phase = self._schedule.phase_of(number)
        if arrival is Arrival.AGAIN:
            self.duplicated[phase] += 1
            return False
        if arrival is Arrival.LATE:
            self.out_of_order[phase] += 1
        return True

    def lose(self, numbers: Iterable[int]) -> None:
        """Count messages as lost."""
        for number in numbers:
            self.lost[self._schedule.phase_of(number)] += 1

    def close(self, ledger: Ledger) -> None:
        """Count as lost what a subscriber has not had at the end."""
        for numbers in ledger.lost(self._schedule.end):
            if isinstance(numbers, set):
                self.lose(numbers)
            else:
                for phase, span in enumerate(self._schedule.spans):
                    first = self._schedule.first_of(numbers.start, max(numbers.start, span.first))
                    self.lost[phase] += len(range(first, min(numbers.stop, span.end), self._step))

    def error(self, kind: str) -> None:
        """Count an error."""
        if kind in self.errors or len(self.errors) < _KINDS:
            self.errors[kind] += 1
        else:
            self.errors["others"] += 1

    def take_latencies(self) -> dict[int, dict[int, int]]:
        """Return the latencies since the last time: of each phase how often each value came."""
        self._settle()
        taken = {phase: dict(counts) for phase, counts in enumerate(self._counts) if counts}
        for counts in self._counts:
            counts.clear()
        return taken
