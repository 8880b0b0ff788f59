"""The subscribers of one worker: how they come, and what a phase has them do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bayeux.load.client import Client, State
from bayeux.load.connection import Place
from bayeux.load.ledger import NEVER, Ledger
from bayeux.load.scenario import Churn, Slow, Storm
from bayeux.load.schedule import Schedule, Span
from bayeux.load.tally import Tally
from bayeux.load.wire import DIGITS

AT_ONCE = 40
"""Clients of a worker that are coming to life at a time; the accept queue of a server may be 50."""


class Subscriber(Client):
    """A client that counts what it is sent."""

    __slots__ = ("has_come", "has_tried", "ledger", "number", "tally")

    def __init__(self, crew: Crowd, kind: str, channel: str, number: int, ledger: Ledger) -> None:
        super().__init__(crew, kind, channel)
        self.number = number
        """Of its channel."""
        self.ledger = ledger
        self.tally = crew.tally
        self.has_tried = False
        """Whether it has succeeded or failed to come to life."""
        self.has_come = False
        """Whether it has been live, or been told to stay away."""

    def arrived(self, text: bytes, at: int) -> None:
        self.tally.arrived(self.ledger, text, at)


class Crowd:
    """All of them."""

    def __init__(self, place: Place, tally: Tally, mark: bytes, ext: str, ramp: float) -> None:
        self.place = place
        self.tally = tally
        self.mark = mark
        self.stamp = len(mark) + DIGITS
        self.ext = ext
        self._ramp = ramp
        self._all: list[Subscriber] = []
        self._started = self._come = 0
        self._next = 0
        self._schedule: Schedule | None = None

    def add(self, kind: str, channel: str, number: int, step: int, lanes: int) -> None:
        """Add a subscriber, before they come."""
        self._all.append(Subscriber(self, kind, channel, number, Ledger(number, step, lanes)))

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(self._all)

    @property
    def live(self) -> int:
        """How many are live."""
        return sum(client.state is State.LIVE for client in self._all)

    @property
    def has_come(self) -> bool:
        """Whether each has been live, or has been told to stay away."""
        return self._come >= len(self._all)

    # -- what clients tell ----------------------------------------------------------------------

    def became_live(self, client: Client) -> None:
        assert isinstance(client, Subscriber)
        now = self.place.loop.clock()
        if not client.is_resumed:
            self.tally.connects.append((now - client.since) // 1000)
        if client.ledger.next == NEVER and not client.pause and self._schedule is not None:
            client.ledger.join(self._schedule.first_of(client.number, self._schedule.due_before(now)))
        self.ended(client)

    def failed(self, client: Client, what: str) -> None:
        self.tally.error(what)
        self._tried(client)

    def ended(self, client: Client) -> None:
        assert isinstance(client, Subscriber)
        if not client.has_come:
            client.has_come = True
            self._come += 1
        self._tried(client)

    def _tried(self, client: Client) -> None:
        """Let the next one come; whoever failed tries again by itself."""
        assert isinstance(client, Subscriber)
        if not client.has_tried:
            client.has_tried = True
            if not self._ramp:
                self._start()

    # -- coming ---------------------------------------------------------------------------------

    def come(self) -> None:
        """Let them come: so many a second, or as fast as the server takes them."""
        if self._ramp:
            begin = self.place.loop.clock()
            for place, client in enumerate(self._all):
                self.place.loop.at(begin + int(place / self._ramp * 1e9), client.come)
        else:
            for _ in range(AT_ONCE):
                self._start()

    def _start(self) -> None:
        if self._started < len(self._all):
            self._started += 1
            self._all[self._started - 1].come()

    def disperse(self) -> None:
        """Let all go; by long-polling without a good-bye, for which each would have to connect again."""
        for client in self._all:
            if client.carrier.pushes:
                client.disconnect()
            else:
                client.go()

    # -- phases ---------------------------------------------------------------------------------

    def follow(self, schedule: Schedule, workers: int) -> None:
        """Do what each phase asks for, when it comes; ``workers`` share what it asks for."""
        self._schedule = schedule
        for span in schedule.spans:
            phase = span.phase
            if phase.churn is not None:
                self._churn(span, phase.churn, workers)
            if phase.slow is not None:
                self._slow(span, phase.slow)
            if phase.storm is not None:
                self._storm(span, phase.storm)

    def _when(self, when: int, call: Callable[[], None]) -> None:
        """Call at a time, if the run is not over by then."""

        def now() -> None:
            if self._schedule is not None and when < self._schedule.stop:
                call()

        self.place.loop.at(when, now)

    def _some(self, share: float) -> Sequence[Subscriber]:
        """Return a share of all, from all channels."""
        return self._all[:max(1, round(share * len(self._all)))] if self._all else ()

    def _leave(self, client: Subscriber) -> None:
        self.tally.lose(client.ledger.leave())

    def _churn(self, span: Span, churn: Churn, workers: int) -> None:
        gap = int(workers / churn.rate * 1e9)

        def leave(when: int) -> None:
            client = self._all[self._next % len(self._all)]
            self._next += 1
            if client.state is State.LIVE and not client.pause:
                self._leave(client)
                if churn.abrupt:
                    client.go(reset=True)
                else:
                    client.disconnect()
                client.come_after(churn.away)
            schedule(when + gap)

        def schedule(when: int) -> None:
            if when < span.stop:
                self._when(when, lambda: leave(when))

        if self._all:
            schedule(span.begin + gap // 2)

    def _slow(self, span: Span, slow: Slow) -> None:
        clients = self._some(slow.share)

        def begin() -> None:
            for client in clients:
                self._leave(client)
                client.disconnect()
                client.pause = slow.pause
                client.come()

        def end() -> None:
            for client in clients:
                client.pause = 0.0
                client.disconnect()
                client.come()

        self._when(span.begin, begin)
        self._when(span.stop, end)

    def _storm(self, span: Span, storm: Storm) -> None:
        def begin() -> None:
            for client in self._some(storm.share):
                if not storm.resume:
                    self._leave(client)
                client.go(reset=True)
                client.come(storm.resume)

        self._when(span.begin + int(storm.at * 1e9), begin)
