"""The publishers of one worker.

The load is open: a message is published when it is due, whatever has become of those before.  By WebSocket it
is written then; by long-polling a publisher has one request at a time, as a browser page would, and messages
that are due meanwhile wait.  Their latency counts from when they were due all the same.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import Protocol

from bayeux.load import replies, wire
from bayeux.load.client import Client, Crew, State
from bayeux.load.connection import Place
from bayeux.load.posts import Posts
from bayeux.load.replies import NotBayeux, Reply
from bayeux.load.schedule import Schedule
from bayeux.load.signer import Signer
from bayeux.load.tally import Tally
from bayeux.load.wire import DIGITS

_AT_ONCE = 64
"""Messages that are published before the loop reads again."""


class Publishes(Crew, Protocol):
    """Who publishers belong to, and publish for."""

    def message(self, client_id: str, number: int) -> str:
        """Return the publish of a message, which is about to be sent."""

    def refuse(self, why: str) -> None:
        """Learn that the server did not take a message, or did not answer."""


class Publisher(Client):
    """A client that publishes.  By long-polling it does that on a second connection, as browsers do."""

    __slots__ = ("desk", "press", "waiting")

    def __init__(self, press: Publishes, kind: str) -> None:
        super().__init__(press, kind)
        self.press = press
        self.waiting: deque[int] = deque()
        """Numbers of messages that are due."""
        self.desk: _Desk | None = None

    def publish(self, number: int) -> None:
        """Publish a message, or keep it until that is possible."""
        self.waiting.append(number)
        self.go_on()

    def go_on(self) -> None:
        """Publish what waits, if that is possible now."""
        if self.state is not State.LIVE:
            return
        if not isinstance(self.carrier, Posts):
            while self.waiting:
                self.carrier.post(self._next())
        elif self.waiting and self.desk is not None and not self.desk.busy:
            self.desk.post(self._next())

    def _next(self) -> str:
        return self.press.message(self.client_id, self.waiting.popleft())

    def published(self, reply: Reply) -> None:
        if not reply.successful:
            self.press.refuse(replies.reason(reply))

    def became_live(self) -> None:
        """Publish what has waited."""
        if isinstance(self.carrier, Posts):
            old, self.desk = self.desk, _Desk(self, self.carrier)
            if old is not None:
                old.leave()
        self.go_on()


class _Desk:
    """The connection by which a long-polling publisher publishes."""

    def __init__(self, publisher: Publisher, like: Posts) -> None:
        self.busy = False
        self._publisher = publisher
        self._posts = Posts(publisher.crew.place, self, like.cookies)
        self._posts.settle()

    def post(self, text: str) -> None:
        self.busy = True
        self._posts.post(text)

    def leave(self) -> None:
        """Close, at once or when what was published is answered."""
        if not self.busy:
            self._posts.close()

    def opened(self) -> None:
        pass

    def received(self, text: bytes) -> None:
        publisher = self._publisher
        try:
            for message in replies.decode(text):
                if message.successful is not None:
                    publisher.published(message)
        except NotBayeux as error:
            publisher.press.refuse(str(error))
        self._free()

    def gone(self, why: str) -> None:
        self._publisher.press.refuse(why)
        self._free()

    def _free(self) -> None:
        self.busy = False
        if self._publisher.desk is self:
            self._publisher.go_on()
        else:
            self._posts.close()


class Press:
    """All of them: they publish what the schedule has due, each its own part."""

    def __init__(self, place: Place, tally: Tally, mark: bytes, ext: str, size: int,
                 signer: Signer | None = None) -> None:
        self.place = place
        self.tally = tally
        self.mark = mark
        self.stamp = len(mark) + DIGITS
        self.ext = ext
        self.refused = 0
        self.late = array("q")
        """By how many microseconds each message was published late."""
        self.sent = 0
        self.sent_by_phase: list[int] = []
        self.channels: list[str] = []
        self._stamp = mark.decode()
        self._size = size
        self._signer = signer
        self._mine: dict[int, Publisher] = {}
        self._schedule: Schedule | None = None
        self._next = 0

    def add(self, number: int, kind: str) -> None:
        """Add the publisher with a number."""
        self._mine[number] = Publisher(self, kind)

    @property
    def has_come(self) -> bool:
        """Whether each is live, or has been told to stay away."""
        return all(publisher.state in (State.LIVE, State.OVER) for publisher in self._mine.values())

    def come(self) -> None:
        """Let them come to life."""
        for publisher in self._mine.values():
            publisher.come()

    # -- what publishers tell -------------------------------------------------------------------

    def became_live(self, client: Client) -> None:
        assert isinstance(client, Publisher)
        client.became_live()

    def failed(self, client: Client, what: str) -> None:
        self.tally.error(f"publisher: {what}")

    def ended(self, client: Client) -> None:
        pass

    # -- publishing -----------------------------------------------------------------------------

    def follow(self, schedule: Schedule) -> None:
        """Publish by a schedule from now on."""
        self._schedule = schedule
        self.sent_by_phase = [0] * len(schedule.spans)
        self._find_mine()

    def _find_mine(self) -> None:
        """Go on to the next message that one of these publishers publishes."""
        schedule = self._schedule
        assert schedule is not None
        mine, number, end = self._mine, self._next, schedule.end if self._mine else 0
        while number < end and schedule.publisher(number) not in mine:
            number += 1
        self._next = number

    def publish_due(self, now: int) -> int:
        """Publish what is due; returns when the next message is, or a time in the past if it is already."""
        schedule = self._schedule
        assert schedule is not None
        for _ in range(_AT_ONCE):
            number = self._next
            if not self._mine or number >= schedule.end:
                return schedule.stop
            due = schedule.due(number)
            if due > now:
                return due
            self._next += 1
            self._find_mine()
            self._mine[schedule.publisher(number)].publish(number)
        return now

    def message(self, client_id: str, number: int) -> str:
        schedule = self._schedule
        assert schedule is not None
        phase = schedule.phase_of(number)
        self.sent += 1
        self.sent_by_phase[phase] += 1
        self.late.append(max(0, self.place.loop.clock() - schedule.spans[phase].due(number)) // 1000)
        channel = self.channels[number % schedule.channels]
        data = wire.data(self._stamp, number, self._size)
        if self._signer is None:
            return wire.publish(client_id, channel, data)
        return self._signer.publish(client_id, channel, data, wire.nonce(self._stamp, number))

    def refuse(self, why: str) -> None:
        self.refused += 1
        self.tally.error(f"publish: {why}")

    @property
    def is_behind(self) -> bool:
        """Whether messages are due that have not been given to their publishers."""
        schedule = self._schedule
        return (schedule is not None and bool(self._mine) and self._next < schedule.end
                and schedule.due(self._next) <= self.place.loop.clock())

    @property
    def unsent(self) -> int:
        """How many messages are due and have not been published."""
        waiting = sum(len(publisher.waiting) for publisher in self._mine.values())
        schedule = self._schedule
        if schedule is None or not self.is_behind:
            return waiting
        end = min(schedule.end, schedule.due_before(self.place.loop.clock() + 1))
        return waiting + sum(schedule.publisher(number) in self._mine for number in range(self._next, end))
