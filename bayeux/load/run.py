"""One run from beginning to end: the clients come, the phases pass, what is late is waited for."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from bayeux.load import LoadError, machine, wire
from bayeux.load.fleet import Fleet
from bayeux.load.options import Options
from bayeux.load.orders import Coming, Done, Go, Plan, Stop, Tick
from bayeux.load.outcome import Outcome, Second, Server
from bayeux.load.probe import Probe
from bayeux.load.schedule import Schedule, Span
from bayeux.load.target import Target

_SECOND = 1_000_000_000
_SOON = _SECOND // 5
"""From when the workers are told to when it begins; the server's memory is looked at meanwhile."""
_SETTLE = 0.3
_LOOK = 0.2
_SPARE_FILES = 100
_COMING_AND_GOING = 1.25
"""Connections at a time for each client: some are closing while others open."""


class Display(Protocol):
    """Who is told how it goes."""

    def coming(self, live: int, total: int, errors: int) -> None:
        """Learn how many clients are live before it begins."""

    def second(self, number: int, second: Second, span: Span, server_cpu: float | None) -> None:
        """Learn what came of a second; the server's CPU in cores."""

    def draining(self) -> None:
        """Learn that nothing more is published."""


class Interrupt:
    """Whether Ctrl-C has been pressed; a second time ends everything at once."""

    def __init__(self) -> None:
        self.happened = False

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Notice it, while this lasts."""
        before = signal.signal(signal.SIGINT, self._notice)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        if self.happened:
            raise KeyboardInterrupt
        self.happened = True


class Run:
    """What is asked for, put on a server."""

    def __init__(self, options: Options, display: Display) -> None:
        self._options = options
        self._display = display
        self._target = Target.of(options.url, options.header, not options.insecure)
        self._interrupt = Interrupt()
        self._server = Server() if options.pid else None

    def go(self) -> Outcome:
        """Do it all; Ctrl-C ends it early.  Raises ``LoadError``."""
        options = self._options
        plans = self._plans()
        if self._server is not None:
            self._server.rss_before = self._used()[1]
        publish = any(phase.rate for phase in options.phases)
        for kind in options.kinds:
            Probe(self._target, kind, options.prefix, options.ext, publish, options.signer).run()
        with self._interrupt.noticed(), Fleet(plans) as fleet:
            outcome = self._come(fleet)
            self._pass(fleet, outcome)
            return outcome

    def _plans(self) -> list[Plan]:
        """Return each worker's orders.  Raises ``LoadError`` if this machine does not allow so much."""
        options = self._options
        connections = options.clients + 2 * options.publishers
        each = -(-connections // options.processes)
        machine.raise_open_files(int(each * _COMING_AND_GOING) + _SPARE_FILES, options.processes)
        sources = machine.sources(self._target, int(connections * _COMING_AND_GOING))
        tag = wire.new_tag()
        return [Plan(
            url=options.url, headers=options.header, verify=not options.insecure, run=tag,
            prefix=options.prefix, ext=options.ext, signer=options.signer, transport=options.transport,
            clients=options.clients, channels=options.channels, publishers=options.publishers,
            size=options.size, ramp=options.ramp, worker=worker, workers=options.processes,
            sources=sources, phases=options.phases, drain=options.drain,
        ) for worker in range(options.processes)]

    def _new_outcome(self, begin: int) -> Outcome:
        options = self._options
        schedule = Schedule(options.phases, begin, options.channels, options.publishers)
        return Outcome(schedule, options.processes, self._server)

    # -- the clients come -----------------------------------------------------------------------

    def _come(self, fleet: Fleet) -> Outcome:
        """Wait until the clients have come, or are not waited for any longer; have it begin."""
        options = self._options
        end = time.monotonic() + options.patience + (options.clients / options.ramp if options.ramp else 0)
        told: dict[int, Coming] = {}
        while time.monotonic() < end and not self._interrupt.happened:
            for worker, message in fleet.news(_LOOK):
                assert isinstance(message, Coming)
                told[worker] = message
            self._display.coming(sum(coming.live for coming in told.values()), options.clients,
                                 sum(sum(coming.errors.values()) for coming in told.values()))
            if len(told) == len(fleet) and all(coming.ready for coming in told.values()):
                break
        if not self._interrupt.happened:
            if not any(coming.live for coming in told.values()):
                raise LoadError(f"no client is live after {options.patience:g} s: {_most(told)}")
            time.sleep(_SETTLE)
        begin = time.monotonic_ns() + _SOON
        outcome = self._new_outcome(begin)
        self._sample(outcome, time.monotonic_ns())
        if self._interrupt.happened:
            self._stop(fleet, outcome)
        else:
            fleet.order(Go(begin))
        return outcome

    def _stop(self, fleet: Fleet, outcome: Outcome) -> None:
        """Let nothing more be published."""
        outcome.interrupted = True
        now = time.monotonic_ns() + _SOON // 4
        fleet.order(Stop(now))
        outcome.schedule.cut(now)
        outcome.ended = outcome.schedule.stop

    # -- the phases pass ------------------------------------------------------------------------

    def _pass(self, fleet: Fleet, outcome: Outcome) -> None:
        """Listen to the workers until they have done their work."""
        schedule = outcome.schedule
        told = 0
        next_sample = schedule.begin
        while fleet.is_working:
            now = time.monotonic_ns()
            if now >= next_sample:
                self._sample(outcome, now)
                next_sample = schedule.begin + ((now - schedule.begin) // _SECOND + 1) * _SECOND
            if self._interrupt.happened and not outcome.interrupted:
                self._stop(fleet, outcome)
            for worker, message in fleet.news(min(_LOOK, (next_sample - now) / 1e9)):
                if isinstance(message, Tick):
                    outcome.tick(worker, message)
                elif isinstance(message, Done):
                    self._sample(outcome, time.monotonic_ns())
                    outcome.done(message, time.monotonic_ns())
            while (told < min(outcome.complete_seconds(), len(outcome.seconds))
                   and schedule.begin + (told + 1) * _SECOND < next_sample):
                told += 1
                self._tell(outcome, told)

    def _tell(self, outcome: Outcome, number: int) -> None:
        schedule = outcome.schedule
        end = schedule.begin + number * _SECOND
        if end > schedule.stop:
            self._display.draining()
            return
        server = outcome.server
        cpu = None if server is None else server.cpu.rate(end - _SECOND, end) * 1e9
        span = next(span for span in schedule.spans if end <= span.stop)
        self._display.second(number, outcome.seconds[number - 1], span, cpu)

    # -- processes ------------------------------------------------------------------------------

    def _used(self) -> tuple[float, int]:
        """Return the server's CPU time and memory.  Raises ``LoadError``."""
        cpu, rss = 0.0, 0
        for pid in self._options.pid:
            try:
                cpu += machine.cpu_seconds(pid)
                rss += machine.rss_bytes(pid)
            except OSError:
                raise LoadError(f"--pid {pid}: there is no such process") from None
        return cpu, rss

    def _sample(self, outcome: Outcome, now: int) -> None:
        """Note what the server's processes, and this one, have used."""
        outcome.own_cpu.add(now, time.process_time())
        if outcome.server is not None:
            try:
                cpu, rss = self._used()
            except LoadError:
                outcome.errors["a process of the server has ended"] = 1
            else:
                outcome.server.cpu.add(now, cpu)
                outcome.server.rss.add(now, rss)


def _most(told: dict[int, Coming]) -> str:
    """Return what went wrong most often."""
    errors: Counter[str] = Counter()
    for coming in told.values():
        errors.update(coming.errors)
    return ", ".join(f"{what} ({count} times)" for what, count in errors.most_common(3)) or "no answer"
