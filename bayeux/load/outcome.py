"""What all workers and the server's processes have told, put together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bayeux.load.latency import Latencies
from bayeux.load.orders import Done, Tick
from bayeux.load.schedule import Schedule
from bayeux.load.series import Series


@dataclass
class Second:
    """One second of the run."""

    sent: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    live: int = 0
    errors: int = 0
    """Since the clients began to come."""


@dataclass
class Part:
    """What came of one phase."""

    sent: int = 0
    published: int = 0
    """Messages that went while it lasted, of whichever phase; ``delivered`` are those that came."""
    delivered: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    latencies: Latencies = field(default_factory=Latencies)


@dataclass
class Server:
    """What the server's processes used; CPU in seconds, memory in bytes."""

    cpu: Series = field(default_factory=Series)
    rss: Series = field(default_factory=Series)
    rss_before: int = 0
    """Before the clients came."""


class Outcome:
    """All that is known of a run."""

    def __init__(self, schedule: Schedule, workers: int, server: Server | None) -> None:
        self.schedule = schedule
        self.server = server
        self.parts = [Part() for _ in schedule.spans]
        self.seconds: list[Second] = []
        self.cpu = [Series() for _ in range(workers)]
        """Of each worker; so it is with the next."""
        self.waited = [Series() for _ in range(workers)]
        """How long it has waited for a processor, seconds."""
        self.own_cpu = Series()
        """Of the command's process."""
        self.late = Latencies()
        self.connects = Latencies()
        self.errors: Counter[str] = Counter()
        self.unsent = self.refused = self.live = 0
        self.interrupted = False
        self.ended = schedule.stop
        """When the last message had come, or was not waited for any longer."""
        self._ticks = [-1] * workers

    def tick(self, worker: int, tick: Tick) -> None:
        """Take what a worker did in a second."""
        self._ticks[worker] = tick.second
        self.cpu[worker].add(tick.at, tick.cpu)
        self.waited[worker].add(tick.at, tick.waited)
        if tick.second < 1 and not tick.latencies:
            return
        number = max(1, tick.second)
        while len(self.seconds) < number:
            self.seconds.append(Second())
        second = self.seconds[number - 1]
        if tick.second:  # otherwise a worker was late to tell that it begins: something had come already
            second.live += tick.live
            second.errors += tick.errors
        second.sent += tick.sent
        for phase, counts in tick.latencies.items():
            second.latencies.add(counts)
            self.parts[phase].latencies.add(counts)

    def complete_seconds(self) -> int:
        """Return how many seconds all workers have told."""
        return min(self._ticks)

    def done(self, done: Done, now: int) -> None:
        """Take what came of it in a worker."""
        for part, sent, published, delivered, lost, duplicated, out_of_order in zip(
                self.parts, done.sent, done.published, done.delivered, done.lost, done.duplicated,
                done.out_of_order, strict=True):
            part.sent += sent
            part.published += published
            part.delivered += delivered
            part.lost += lost
            part.duplicated += duplicated
            part.out_of_order += out_of_order
        self.unsent += done.unsent
        self.refused += done.refused
        self.late.add(done.late)
        self.connects.add(done.connects)
        self.errors.update(done.errors)
        self.live += done.live
        self.ended = max(self.ended, now)
