"""load/run.py: one run from beginning to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import pytest

from bayeux.load import LoadError, machine
from bayeux.load import run as module
from bayeux.load.options import Options
from bayeux.load.orders import Coming, Done, Go, News, Order, Plan, Stop, Tick
from bayeux.load.outcome import Outcome, Second
from bayeux.load.run import Interrupt, Run
from bayeux.load.scenario import Phase
from bayeux.load.schedule import Span
from bayeux.load.signer import Signer
from bayeux.load.target import Target
from tests import reports
from tests.loading import SECOND, Server

URL = "http://127.0.0.1:1/bayeux"
READY, WAITING = Coming(5, True, {}), Coming(2, False, {"connection refused": 3})
PHASES = (Phase(1.0, 10.0, "warm-up", measure=False), Phase(2.0, 20.0, "load"))


class Display:
    """Notes what it is told; ``then`` is called each time."""

    def __init__(self, then: Callable[[str], None] = lambda what: None) -> None:
        self.then = then
        self.came: list[tuple[int, int, int]] = []
        self.seconds: list[tuple[int, int, str, float | None]] = []
        self.drained = 0

    def coming(self, live: int, total: int, errors: int) -> None:
        self.came.append((live, total, errors))
        self.then("coming")

    def second(self, number: int, second: Second, span: Span, server_cpu: float | None) -> None:
        self.seconds.append((number, second.sent, span.phase.name, server_cpu))
        self.then("second")

    def draining(self) -> None:
        self.drained += 1


def press_ctrl_c(times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)


# -- with servers and workers -------------------------------------------------------------------

def options(url: str, **changes: Any) -> Options:
    values = {"url": url, "clients": 6, "channels": 3, "publishers": 2, "processes": 2, "pid": (),
              "phases": (Phase(0.5, 20.0, "warm-up", measure=False), Phase(1.0, 30.0, "load"))}
    return Options(**{**values, **changes})


def test_a_run_from_beginning_to_end() -> None:
    display = Display()
    with Server().listening() as url:
        outcome = Run(options(url, pid=(os.getpid(),)), display).go()
    warm, load = outcome.parts
    assert (warm.sent, warm.lost, warm.latencies.count) == (10, 0, 20)
    assert (load.sent, load.lost, load.latencies.count) == (30, 0, 60)
    assert (outcome.live, outcome.interrupted, outcome.errors, outcome.unsent) == (6, False, {}, 0)
    assert outcome.connects.count == 6
    assert display.came[-1] == (6, 6, 0)
    [(number, sent, name, cpu)] = display.seconds
    assert (number, sent, name) == (1, outcome.seconds[0].sent, "load")
    assert sum(second.sent for second in outcome.seconds) == 40
    assert cpu is not None
    assert cpu > 0
    assert outcome.server is not None
    assert outcome.server.rss_before > 1_000_000
    assert outcome.server.cpu.at(outcome.ended) > outcome.server.cpu.at(0) > 0


def test_ctrl_c_ends_it_early_and_what_was_done_is_told() -> None:
    display = Display(lambda what: press_ctrl_c() if what == "second" and len(display.seconds) == 1 else None)
    before = signal.getsignal(signal.SIGINT)
    with Server().listening() as url:
        outcome = Run(options(url, phases=(Phase(600.0, 20.0, "load"),)), display).go()
    assert outcome.interrupted
    [part] = outcome.parts
    assert 20 <= part.sent < 200
    assert (part.lost, part.latencies.count) == (0, part.sent * 2)
    assert SECOND < outcome.schedule.stop - outcome.schedule.begin < 30 * SECOND
    assert signal.getsignal(signal.SIGINT) is before


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(LoadError, match=r"connection refused \(is the server running\?\)"):
        Run(options(URL), Display()).go()


# -- with a clock that is turned ----------------------------------------------------------------

class FakeTime:
    """The module ``time``, as far as a run needs it."""

    def __init__(self) -> None:
        self.now = 100 * SECOND

    def monotonic_ns(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / SECOND

    def process_time(self) -> float:
        return self.now / SECOND / 100

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


Script = Callable[["FakeFleet"], Iterator[list[tuple[int, News]]]]


class FakeFleet:
    """Workers that tell what a test has them tell; time passes while they are listened to."""

    clock: FakeTime
    script: Script
    made: FakeFleet

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.plans = plans
        self.orders: list[Order] = []
        self.is_working = True
        self._told = type(self).script(self)
        type(self).made = self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.is_working = False

    def __len__(self) -> int:
        return len(self.plans)

    def order(self, order: Order) -> None:
        self.orders.append(order)

    def news(self, seconds: float) -> Iterator[tuple[int, News]]:
        self.clock.sleep(seconds)
        told = next(self._told)
        self.is_working = not any(isinstance(news, Done) for _, news in told)
        yield from told

    @property
    def begin(self) -> int:
        """When the first phase begins, as they were told."""
        [go] = [order for order in self.orders if isinstance(order, Go)]
        return go.begin

    def until(self, seconds: float) -> Iterator[list[tuple[int, News]]]:
        """Tell nothing until so long after the beginning."""
        while self.clock.now < self.begin + seconds * SECOND:
            yield []

    def second(self, number: int) -> list[tuple[int, News]]:
        """Return what two workers tell of a second."""
        at = self.begin + number * SECOND
        return [(worker, Tick(number, at, 10, {}, float(number), 5, 0)) for worker in range(2)]


def end(**changes: Any) -> list[tuple[int, News]]:
    done = reports.done(**changes)
    return [(0, done), (1, done)]


def come_at_once(fleet: FakeFleet) -> Iterator[list[tuple[int, News]]]:
    yield [(0, READY), (1, READY)]


def whole_run(fleet: FakeFleet) -> Iterator[list[tuple[int, News]]]:
    yield from come_at_once(fleet)
    for number in range(5):
        yield from fleet.until(number + 0.01)
        yield fleet.second(number)
    yield end()


class FakeProbe:
    """Notes who went first."""

    tried: list[tuple[str, bool]]
    target: Target
    signer: Signer | None

    def __init__(self, target: Target, kind: str, prefix: str, ext: str, publish: bool,
                 signer: Signer | None) -> None:
        self.tried.append((kind, publish))
        type(self).signer = signer
        type(self).target = target

    def run(self) -> None:
        pass


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> type[FakeFleet]:
    """What tells of a run, on a clock of its own."""
    FakeFleet.clock = FakeTime()
    FakeFleet.script = whole_run
    FakeProbe.tried = []
    monkeypatch.setattr(module, "time", FakeFleet.clock)
    monkeypatch.setattr(module, "Fleet", FakeFleet)
    monkeypatch.setattr(module, "Probe", FakeProbe)
    return FakeFleet


def go(display: Display | None = None, **changes: Any) -> Outcome:
    asked = reports.options(**{"url": URL, "phases": PHASES, "pid": (), **changes})
    return Run(asked, display or Display()).go()


def test_every_kind_of_client_is_tried_first(fleet: type[FakeFleet]) -> None:
    go(transport="mixed")
    assert FakeProbe.tried == [("long-polling", True), ("websocket", True)]
    assert (FakeProbe.target.url, FakeProbe.target.headers, FakeProbe.target.verify) == (URL, (), True)


def test_nothing_is_published_first_if_nothing_will_be(fleet: type[FakeFleet]) -> None:
    go(phases=(Phase(1.0, 0.0), Phase(2.0, 0.0)))
    assert FakeProbe.tried == [("long-polling", False)]
    FakeProbe.tried.clear()
    go(phases=(Phase(1.0, 0.0), Phase(2.0, 1.0)))
    assert FakeProbe.tried == [("long-polling", True)]


def test_every_worker_has_its_plan(fleet: type[FakeFleet], monkeypatch: pytest.MonkeyPatch) -> None:
    needed: list[tuple[int, int]] = []
    monkeypatch.setattr(machine, "raise_open_files", lambda *asked: needed.append(asked))
    go(clients=9001, publishers=3, processes=2, ramp=50.0, header=("A: b",), insecure=True, ext='{"a":1}',
       prefix="/x", size=70, drain=2.0, signer=Signer("web-a", b"s" * 32))
    assert (FakeProbe.target.headers, FakeProbe.target.verify) == (("A: b",), False)
    one, other = fleet.made.plans
    assert (one.worker, one.workers, other.worker, other.workers) == (0, 2, 1, 2)
    assert (one.url, one.clients, one.channels, one.publishers, one.ramp) == (URL, 9001, 2, 3, 50.0)
    assert (one.headers, one.verify, one.ext, one.prefix, one.size, one.drain) == (
        ("A: b",), False, '{"a":1}', "/x", 70, 2.0)
    assert (one.run, one.phases, one.transport, one.sources) == (other.run, PHASES, "long-polling", ())
    assert one.signer == other.signer == FakeProbe.signer == Signer("web-a", b"s" * 32)
    assert needed == [(int(4504 * 1.25) + 100, 2)]  # a publisher has two connections


def test_more_clients_than_ports_come_from_several_addresses(
        fleet: type[FakeFleet], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "raise_open_files", lambda files, processes: None)
    monkeypatch.setattr(machine, "local_ports", lambda: 10_500)
    go(clients=10_000, publishers=1)
    assert fleet.made.plans[0].sources == ("127.0.1.1", "127.0.1.2")


def test_it_begins_when_all_have_come(fleet: type[FakeFleet]) -> None:
    def script(fleet: FakeFleet) -> Iterator[list[tuple[int, News]]]:
        yield [(0, WAITING)]
        yield [(0, READY)]
        yield [(1, WAITING)]
        assert fleet.orders == []
        yield [(1, READY)]
        yield end()

    fleet.script = script
    display = Display()
    came = fleet.clock.now + 4 * SECOND // 5
    outcome = go(display)
    assert display.came == [(2, 10, 3), (5, 10, 0), (7, 10, 3), (10, 10, 0)]
    assert fleet.made.orders == [Go(came + 3 * SECOND // 10 + SECOND // 5)]
    assert outcome.schedule.begin == fleet.made.begin


def never_all(fleet: FakeFleet) -> Iterator[list[tuple[int, News]]]:
    while not fleet.orders:
        yield [(0, READY), (1, WAITING)]
    yield end(live=3)


@pytest.mark.parametrize(("ramp", "patience"), [(0.0, 7.0), (2.0, 12.0)])
def test_clients_are_waited_for_as_long_as_they_may_take(
        fleet: type[FakeFleet], ramp: float, patience: float) -> None:
    fleet.script = never_all
    began = fleet.clock.now
    go(patience=7.0, ramp=ramp)
    assert fleet.made.begin == pytest.approx(began + (patience + 0.5) * SECOND, abs=0.2 * SECOND)


@pytest.mark.parametrize(("told", "why"), [
    ([], "no answer"),
    ([(0, Coming(0, False, {"HTTP 503": 2, "x": 1})),
      (1, Coming(0, False, {"connection reset": 9, "x": 7, "y": 1}))],
     r"connection reset \(9 times\), x \(8 times\), HTTP 503 \(2 times\)$")])
def test_a_run_without_clients_is_none(
        fleet: type[FakeFleet], told: list[tuple[int, News]], why: str) -> None:
    def script(fleet: FakeFleet) -> Iterator[list[tuple[int, News]]]:
        while True:
            yield told

    fleet.script = script
    with pytest.raises(LoadError, match=f"no client is live after 7 s: {why}"):
        go(patience=7.0)
    assert fleet.made.orders == []


def test_every_second_is_told_once_all_have_told_it(fleet: type[FakeFleet]) -> None:
    def script(fleet: FakeFleet) -> Iterator[list[tuple[int, News]]]:
        yield from come_at_once(fleet)
        yield fleet.second(0)
        yield from fleet.until(1.01)
        yield fleet.second(1)[:1]
        assert display.seconds == []
        yield fleet.second(1)[1:]
        yield []
        assert [number for number, *_ in display.seconds] == [1]
        for number in (2, 3, 4, 5):
            yield from fleet.until(number + 0.01)
            yield fleet.second(number)
        yield end()

    fleet.script = script
    display = Display()
    go(display)
    assert display.seconds == [(1, 20, "warm-up", None), (2, 20, "load", None), (3, 20, "load", None)]
    assert display.drained == 2


def test_the_command_notes_what_it_uses_itself(fleet: type[FakeFleet]) -> None:
    outcome = go()
    begin = outcome.schedule.begin
    assert outcome.own_cpu.growth(begin, begin + 3 * SECOND) == pytest.approx(0.03)
    assert outcome.ended >= begin + 4 * SECOND


# -- Ctrl-C -------------------------------------------------------------------------------------

def test_ctrl_c_while_clients_come(fleet: type[FakeFleet]) -> None:
    fleet.script = never_all
    now = fleet.clock.now
    outcome = go(Display(lambda what: press_ctrl_c()))
    assert outcome.interrupted
    assert fleet.made.orders == [Stop(now + SECOND // 5 + SECOND // 20)]
    assert (outcome.schedule.end, outcome.schedule.stop) == (0, outcome.schedule.begin)


def test_ctrl_c_while_it_runs(fleet: type[FakeFleet]) -> None:
    display = Display(lambda what: press_ctrl_c() if what == "second" and len(display.seconds) == 2 else None)
    outcome = go(display)
    begin = fleet.made.begin
    _, stop = fleet.made.orders
    assert isinstance(stop, Stop)
    assert begin + 2 * SECOND < stop.at == outcome.schedule.stop < begin + 2.5 * SECOND
    assert outcome.interrupted
    assert outcome.schedule.end < 50


def test_ctrl_c_twice_ends_it_at_once(fleet: type[FakeFleet]) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(Display(lambda what: press_ctrl_c(2)))
    assert not fleet.made.is_working


def test_ctrl_c_is_noticed_only_meanwhile() -> None:
    interrupt = Interrupt()
    with interrupt.noticed():
        assert not interrupt.happened
        press_ctrl_c()
        assert interrupt.happened
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


# -- processes ----------------------------------------------------------------------------------

@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is all there: one that has just been started has no memory to speak of."""
    started = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.readline()
    yield started
    started.kill()
    started.communicate()


def test_processes_of_the_server_are_counted_together(
        fleet: type[FakeFleet], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = fleet.clock
    monkeypatch.setattr(machine, "cpu_seconds", lambda pid: clock.now / SECOND * pid / 100)
    monkeypatch.setattr(machine, "rss_bytes", lambda pid: pid * 1000)
    display = Display()
    outcome = go(display, pid=(7, 8))
    begin = outcome.schedule.begin
    assert outcome.server is not None
    assert outcome.server.cpu.growth(begin, begin + 3 * SECOND) == pytest.approx(0.45)
    assert outcome.server.rss_before == outcome.server.rss.at(begin) == 15_000
    assert [cpu for *_, cpu in display.seconds] == [pytest.approx(0.15)] * 3


def test_a_process_that_is_not_there_is_told(fleet: type[FakeFleet],
                                             process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    with pytest.raises(LoadError, match=f"--pid {process.pid}: there is no such process"):
        go(pid=(process.pid,))


def test_a_process_that_ends_meanwhile_is_an_error_but_the_run_goes_on(
        fleet: type[FakeFleet], process: subprocess.Popen[bytes]) -> None:
    def end_it(what: str) -> None:
        process.kill()
        process.wait()

    display = Display(lambda what: end_it(what) if what == "second" else None)
    outcome = go(display, pid=(process.pid,))
    assert outcome.errors == {"a process of the server has ended": 1}
    assert len(display.seconds) == 3
    assert outcome.server is not None
    assert outcome.server.rss.at(outcome.ended) > 1_000_000
