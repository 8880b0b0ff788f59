"""One process of clients: reads orders (``orders``) from its input, and tells what becomes of them.

    python -m bayeux.load.worker

It ends when its input ends; until then its clients stay, though its work is done.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable

from bayeux.load import LoadError, machine, orders, wire
from bayeux.load.connection import Place
from bayeux.load.crowd import Crowd
from bayeux.load.loop import Loop
from bayeux.load.orders import Broken, Coming, Done, Go, Plan, Stop, Tick
from bayeux.load.press import Press
from bayeux.load.schedule import Schedule
from bayeux.load.tally import Tally, rounded
from bayeux.load.target import Target

_STDIN, _STDOUT = 0, 1
_SECOND = 1_000_000_000
_OFTEN = _SECOND // 5
_DRAIN_STEP = _SECOND // 20
_COLLECT = 50_000, 20, 100
"""Garbage is made by clients that come and go, and nothing else."""


class Worker:
    """The clients of one process, and the loop that serves them."""

    def __init__(self, plan: Plan, loop: Loop, tell: Callable[[orders.News], None]) -> None:
        self._plan = plan
        self._loop = loop
        self._tell = tell
        self._schedule: Schedule | None = None
        self._stop_at: int | None = None
        self._ticks = -1
        self._told = 0
        self._sent = 0
        self._published: list[int] = []
        """Of each phase that is over, what went while it lasted; ``_delivered`` is what came."""
        self._delivered: list[int] = []
        mark = wire.mark(plan.run)
        place = Place(loop, Target.of(plan.url, plan.headers, plan.verify), plan.sources)
        self._tally = Tally(self._new_schedule(0), mark, loop.clock)
        self.crowd = Crowd(place, self._tally, mark, plan.ext, plan.ramp / plan.workers)
        self._press = Press(place, self._tally, mark, plan.ext, plan.size, plan.signer)
        self._press.channels = [f"{plan.prefix}/{plan.run}-{channel}" for channel in range(plan.channels)]
        for number in range(plan.worker, plan.clients, plan.workers):
            channel = number % plan.channels
            self.crowd.add(self._kind(number // plan.channels), self._press.channels[channel], channel,
                            plan.channels, self._new_schedule(0).lanes(channel))
        for number in range(plan.worker, plan.publishers, plan.workers):
            self._press.add(number, self._kind(number))

    def _kind(self, number: int) -> str:
        """Return the transport of one of several."""
        if self._plan.transport == "mixed":
            return ("websocket", "long-polling")[number % 2]
        return self._plan.transport

    def _new_schedule(self, begin: int) -> Schedule:
        plan = self._plan
        return Schedule(plan.phases, begin, plan.channels, plan.publishers)

    # -- orders ---------------------------------------------------------------------------------

    def obey(self, order: orders.Order) -> None:
        """Take an order after the first."""
        if isinstance(order, Go):
            self._schedule = self._new_schedule(order.begin)
            self._tally.measure(self._schedule)
            gc.collect()
            gc.freeze()
            self.crowd.follow(self._schedule, self._plan.workers)
            self._press.follow(self._schedule)
        else:
            assert isinstance(order, Stop)
            if self._schedule is None:
                self._schedule = self._new_schedule(order.at)
                self._press.follow(self._schedule)
                self._tally.measure(self._schedule)
            self._schedule.cut(order.at)
            self._tally.cut()

    # -- work -----------------------------------------------------------------------------------

    def come(self) -> None:
        """Let the clients come to life."""
        self._press.come()
        self.crowd.come()

    def work(self) -> bool:
        """Do what is due, and wait a little; returns False when all is done."""
        now = self._loop.clock()
        schedule = self._schedule
        if schedule is None:
            if now - self._told >= _OFTEN:
                self._told = now
                ready = self.crowd.has_come and self._press.has_come
                self._tell(Coming(self.crowd.live, ready, dict(self._tally.errors)))
            self._loop.run(now + _OFTEN)
            return True
        self._tick(schedule, now)
        self._end_phases(schedule, now)
        if now < schedule.stop:
            next_tick = schedule.begin + (self._ticks + 1) * _SECOND
            phase = schedule.spans[len(self._published)]
            self._loop.run(min(self._press.publish_due(now), next_tick, phase.stop))
            return True
        self._press.publish_due(now)
        if now < schedule.stop + int(self._plan.drain * _SECOND) and not self._is_complete(schedule):
            self._loop.run(now if self._press.is_behind else now + _DRAIN_STEP)
            return True
        return False

    def _is_complete(self, schedule: Schedule) -> bool:
        return not self._press.is_behind and not self._press.unsent and all(
            client.ledger.is_complete(schedule.end) for client in self.crowd)

    def _end_phases(self, schedule: Schedule, now: int) -> None:
        """Note what went and what came in the phases that are over: what is late is not of their time."""
        for span in schedule.spans[len(self._published):]:
            if span.stop > now:
                break
            lasted = span.stop > span.begin  # a phase that a run did not get to has no time
            self._published.append(self._press.sent - sum(self._published) if lasted else 0)
            self._delivered.append(self._tally.total - sum(self._delivered) if lasted else 0)

    def _tick(self, schedule: Schedule, now: int) -> None:
        """Tell what was done in a second that is over."""
        seconds = (now - schedule.begin) // _SECOND
        if seconds > self._ticks:
            self._ticks = seconds
            self._tell_second()

    def _tell_second(self) -> None:
        sent, self._sent = self._press.sent - self._sent, self._press.sent
        self._tell(Tick(self._ticks, self._loop.clock(), sent, self._tally.take_latencies(),
                        time.process_time(), self.crowd.live, self._tally.errors.total(),
                        machine.waited_seconds()))

    def finish(self) -> None:
        """Tell what came of it."""
        schedule = self._schedule
        assert schedule is not None
        self._ticks += 1
        self._tell_second()
        self._end_phases(schedule, schedule.spans[-1].stop)
        live = self.crowd.live
        for client in self.crowd:
            self._tally.close(client.ledger)
        tally, press = self._tally, self._press
        self._tell(Done(
            sent=press.sent_by_phase, published=self._published, delivered=self._delivered, lost=tally.lost,
            duplicated=tally.duplicated, out_of_order=tally.out_of_order, unsent=press.unsent,
            refused=press.refused, late=dict(rounded(press.late)), connects=dict(rounded(tally.connects)),
            errors=dict(tally.errors), live=live))


class _Input:
    """The orders, as they come."""

    def __init__(self, loop: Loop) -> None:
        self.orders: deque[orders.Order] = deque()
        self.has_ended = False
        self._loop = loop
        self._lines = orders.Lines()
        loop.add(_STDIN, self)

    def read(self) -> None:
        data = os.read(_STDIN, 65_536)
        if not data:
            self.has_ended = True
            self._loop.remove(_STDIN)
        self.orders.extend(map(orders.order, self._lines.feed(data)))
        self._loop.leave()

    def write(self) -> None:
        pass

    def next(self) -> orders.Order | None:
        """Wait for an order; returns None if there will be none."""
        while not self.orders and not self.has_ended:
            self._loop.run(self._loop.clock() + _SECOND)
        return self.orders.popleft() if self.orders else None


def tell(news: orders.News) -> None:
    """Tell the command."""
    data = orders.line(news)
    while data:
        data = data[os.write(_STDOUT, data):]


def main() -> int:
    """Work for the command that has started this process; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which then says what to do
    machine.raise_open_files()
    loop = Loop()
    given = _Input(loop)
    plan = given.next()
    if not isinstance(plan, Plan):
        return 1
    try:
        worker = Worker(plan, loop, tell)
    except LoadError as error:
        tell(Broken(str(error)))
        return 1
    gc.set_threshold(*_COLLECT)
    worker.come()
    while worker.work():
        if given.has_ended:
            return 1
        while given.orders:
            worker.obey(given.orders.popleft())
    worker.finish()
    while not given.has_ended:  # what the others still measure is not to have these good-byes in it
        given.next()
    worker.crowd.disperse()
    return 0


if __name__ == "__main__":
    sys.exit(main())
