"""load/worker.py: one process of clients, here in the test's own."""

from __future__ import annotations

import contextlib
import gc
import heapq
import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from bayeux.load import orders
from bayeux.load import worker as module
from bayeux.load.client import Client
from bayeux.load.loop import Loop
from bayeux.load.orders import Broken, Coming, Done, Go, Plan, Stop, Tick
from bayeux.load.scenario import Phase
from bayeux.load.worker import Worker
from tests.loading import FakeCrew, FakeLoop, FakeStream, Message, Server, Session, event
from tests.test_load_orders import PLAN

SECOND = 1_000_000_000
SHORT = (Phase(0.2, 50.0, "warm-up", measure=False), Phase(0.3, 100.0, "load"))


def plan(url: str, **changes: Any) -> Plan:
    values = {"url": url, "transport": "long-polling", "clients": 6, "channels": 3, "publishers": 2,
              "phases": SHORT, "drain": 30.0}
    return msgspec.structs.replace(PLAN, **{**values, **changes})


@pytest.fixture(autouse=True)
def garbage() -> Iterator[None]:
    """Let a worker do with garbage what it likes: its process is not the tests'."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


class Working:
    """A worker that is told what to do by a test."""

    def __init__(self, plan: Plan) -> None:
        self.loop = Loop()
        self.news: list[orders.News] = []
        self.worker = Worker(plan, self.loop, self.news.append)

    def come(self, seconds: float = 30.0) -> Coming:
        """Let all come; returns the last that is told of it."""
        self.worker.come()
        end = self.loop.clock() + int(seconds * SECOND)
        while True:
            self.worker.work()
            told = self.news[-1] if self.news else None
            if isinstance(told, Coming) and (told.ready or self.loop.clock() > end):
                return told

    def go(self, enough: Callable[[], bool] = lambda: False) -> Done:
        """Begin, do all, and finish."""
        self.worker.obey(Go(self.loop.clock() + SECOND // 100))
        return self.finish(enough)

    @property
    def arrived(self) -> int:
        return self.worker._tally.total

    def finish(self, enough: Callable[[], bool] = lambda: False) -> Done:
        """Go on until all is done, or there is nothing more to wait for."""
        while self.worker.work() and not enough():
            pass
        self.worker.finish()
        self.loop.close()
        done = self.news[-1]
        assert isinstance(done, Done)
        return done

    def received(self) -> Counter[int]:
        """Return how many arrivals were told, by phase."""
        counts: Counter[int] = Counter()
        for tick in self.ticks():
            for phase, latencies in tick.latencies.items():
                counts[phase] += sum(latencies.values())
        return counts

    def ticks(self) -> list[Tick]:
        return [news for news in self.news if isinstance(news, Tick)]


def run(server: Server, **changes: Any) -> tuple[Working, Done]:
    with server.listening() as url:
        working = Working(plan(url, **changes))
        assert working.come().live == 6
        return working, working.go()


def test_what_is_published_arrives_and_is_counted() -> None:
    working, done = run(Server())
    assert (done.sent, done.lost, done.duplicated, done.out_of_order) == ([10, 30], [0, 0], [0, 0], [0, 0])
    assert working.received() == {0: 20, 1: 60}
    assert (done.live, done.errors, done.unsent, done.refused) == (6, {}, 0, 0)
    assert (sum(done.connects.values()), sum(done.late.values())) == (6, 40)
    assert sum(tick.sent for tick in working.ticks()) == 40
    assert working.ticks()[-1].cpu > 0


@pytest.mark.parametrize("options", [
    {"chunked": True}, {"spaces": True}, {"replies_first": True}, {"close_after": True},
    {"chunked": True, "spaces": True, "replies_first": True, "close_after": True}])
def test_servers_of_other_habits_are_understood(options: dict[str, bool]) -> None:
    """BAYEUX.md 26."""
    working, done = run(Server(**options))  # type: ignore[arg-type]  # all of them are flags
    assert (done.lost, done.duplicated, done.errors) == ([0, 0], [0, 0], {})
    assert working.received() == {0: 20, 1: 60}


class Spoiling:
    """Spoils every tenth event of one channel, to each session."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.count: Counter[int] = Counter()
        self.held: dict[int, Message] = {}

    def __call__(self, session: Session, message: Message) -> list[Message]:
        self.count[id(session)] += 1
        held = self.held.pop(id(session), None)
        if held is not None:
            return [message, held]
        if self.count[id(session)] % 10 != 5:
            return [message]
        if self.how == "drop":
            return []
        if self.how == "double":
            return [message, message]
        self.held[id(session)] = message
        return []


@pytest.mark.parametrize(("how", "lost", "doubled", "swapped"), [
    ("drop", 6, 0, 0), ("double", 0, 6, 0), ("reorder", 0, 0, 6)])
def test_what_a_server_does_wrong_is_found(how: str, lost: int, doubled: int, swapped: int) -> None:
    """Each of six subscribers has 10 events in the load, of which it is the fifth, after 3.3 to warm up."""
    with Server(deliver=Spoiling(how)).listening() as url:
        working = Working(plan(url, phases=(Phase(0.3, 100.0),)))
        working.come()
        done = working.go(lambda: working.arrived == 60 - lost)
    assert (sum(done.lost), sum(done.duplicated), sum(done.out_of_order)) == (lost, doubled, swapped)
    assert sum(working.received().values()) == 60 - lost


def test_a_refused_publish_is_lost_and_told() -> None:
    """The names of channels have the run in them."""
    refusal = {"error": "403:/load/abcdef-1:Publish denied"}
    with Server(refuse={"/load/abcdef-1": refusal}).listening() as url:
        working = Working(plan(url, phases=(Phase(0.3, 100.0),)))
        working.come()
        done = working.go(lambda: (working.arrived, working.worker._press.refused) == (40, 10))
    assert (done.lost, done.refused, done.errors) == ([20], 10, {"publish: 403 Publish denied": 10})


def test_clients_that_cannot_come_are_not_waited_for_by_the_worker() -> None:
    refusal = {"error": "403::Handshake denied", "advice": {"reconnect": "none"}}
    with Server(refuse={"/meta/handshake": refusal}).listening() as url:
        working = Working(plan(url, drain=0.3))
        told = working.come()
        assert (told.live, told.errors) == (0, {"handshake: 403 Handshake denied": 6,
                                                "publisher: handshake: 403 Handshake denied": 2})
        done = working.go()
    assert (done.sent, done.unsent, done.lost) == ([0, 0], 40, [20, 60])


def test_a_run_that_is_stopped_counts_what_was_due_until_then() -> None:
    with Server().listening() as url:
        working = Working(plan(url, phases=(Phase(600.0, 50.0),)))
        working.come()
        begin = working.loop.clock() + SECOND // 100
        working.worker.obey(Go(begin))
        while working.loop.clock() < begin + SECOND // 5:
            working.worker.work()
        stop = working.loop.clock() + 1
        working.worker.obey(Stop(stop))
        done = working.finish()
    assert done.lost == [0]
    assert done.sent[0] == -(-(stop - begin) // (SECOND // 50))
    assert working.received()[0] == done.sent[0] * 2


def test_a_run_that_is_stopped_before_it_began_has_lost_nothing() -> None:
    with Server().listening() as url:
        working = Working(plan(url))
        working.come()
        working.worker.obey(Stop(working.loop.clock()))
        done = working.finish()
    assert (done.sent, done.lost, sum(done.connects.values())) == ([0, 0], [0, 0], 6)


def test_what_is_late_is_waited_for_and_no_longer_than_it_is_to_be() -> None:
    with Server(deliver=lambda session, message: []).listening() as url:
        working = Working(plan(url, phases=(Phase(0.1, 50.0),), drain=0.2))
        working.come()
        began = working.loop.clock()
        done = working.go()
    assert done.lost == [10]
    assert SECOND * 0.3 < working.ticks()[-1].at - began < SECOND * 20


def test_workers_share_clients_and_publishers() -> None:
    with Server().listening() as url:
        both = [Working(plan(url, worker=number, workers=2, clients=5, publishers=3)) for number in range(2)]
        assert [working.come().live for working in both] == [3, 2]
        for working in both:
            working.loop.close()


def test_mixed_is_half_of_each() -> None:
    made = Worker(plan("http://127.0.0.1:1/", transport="mixed", clients=12, publishers=2), Loop(), print)
    kinds = [(client.kind, client.number) for client in made.crowd]
    assert kinds == [("websocket", 0), ("websocket", 1), ("websocket", 2),
                     ("long-polling", 0), ("long-polling", 1), ("long-polling", 2)] * 2


# -- with a clock that is turned ----------------------------------------------------------------

class Turning(FakeLoop):
    """A loop whose time passes as it runs; a test says what happens when, by ``at``."""

    def run(self, until: int) -> None:
        while self._timers and self._timers[0][0] <= until:
            when, _, call = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            call()
        self.now = max(self.now, until)


class Quick(FakeStream):
    """Answers a handshake and a subscription at once."""

    def post(self, text: str) -> None:
        super().post(text)
        [message] = json.loads(text)
        if message["channel"].startswith("/meta/"):
            self.answer({"channel": message["channel"], "successful": True, "clientId": "abc"})


class Turned:
    """A worker with one subscriber to one channel and one publisher, both live."""

    def __init__(self, *phases: Phase, **changes: Any) -> None:
        self.loop = Turning()
        self.news: list[orders.News] = []
        self.worker = Worker(plan("http://127.0.0.1:1/", transport="websocket", clients=1, channels=1,
                                  publishers=1, phases=phases, **changes), self.loop, self.news.append)
        self.worker.come()
        self.begin = self.loop.now + SECOND

    def deliver(self, *numbers: int) -> None:
        [client] = self.worker.crowd
        for number in numbers:
            text = json.dumps(event(number)).encode()
            client.arrived(text, text.find(FakeCrew.mark))

    def at(self, seconds: float, call: Callable[..., object], *arguments: Any) -> None:
        """Have something happen so long after the beginning."""
        self.loop.at(self.begin + int(seconds * SECOND), lambda: call(*arguments))

    def go(self) -> Done:
        self.worker.obey(Go(self.begin))
        while self.worker.work():
            pass
        self.worker.finish()
        done = self.news[-1]
        assert isinstance(done, Done)
        return done


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "CARRIERS", {"websocket": Quick})


@pytest.mark.usefixtures("quick")
def test_each_second_is_told_from_the_first_on() -> None:
    turned = Turned(Phase(2.5, 4.0))
    turned.at(0.5, turned.deliver, *range(10))
    assert turned.go().lost == [0]
    ticks = [tick for tick in turned.news if isinstance(tick, Tick)]
    assert [(tick.second, tick.sent) for tick in ticks] == [(0, 0), (1, 4), (2, 4), (3, 2)]


@pytest.mark.usefixtures("quick")
def test_what_comes_when_a_phase_is_over_is_not_of_its_time() -> None:
    turned = Turned(Phase(1.0, 4.0), Phase(1.5, 2.0), drain=5.0)
    turned.at(0.9, turned.deliver, 0, 1)
    turned.at(1.1, turned.deliver, 2, 3)
    turned.at(2.4, turned.deliver, 4)
    turned.at(2.6, turned.deliver, 5, 6)
    done = turned.go()
    assert (done.sent, done.lost) == ([4, 3], [0, 0])
    assert (done.published, done.delivered) == ([4, 3], [2, 3])


@pytest.mark.usefixtures("quick")
def test_a_phase_that_a_run_does_not_get_to_has_no_part_in_what_comes_late() -> None:
    turned = Turned(Phase(1.0, 4.0), Phase(1.0, 4.0), drain=5.0)
    turned.at(0.4, turned.deliver, 0)
    turned.at(0.45, turned.worker.obey, Stop(turned.begin + SECOND // 2))
    turned.at(1.5, turned.deliver, 1)
    done = turned.go()
    assert (done.sent, done.lost) == ([2, 0], [0, 0])
    assert (done.published, done.delivered) == ([2, 0], [1, 0])


@pytest.mark.usefixtures("quick")
def test_what_comes_before_a_worker_knows_that_it_has_begun_has_its_latency() -> None:
    turned = Turned(Phase(1.0, 4.0), Phase(1.0, 4.0))
    turned.loop.now = turned.begin + SECOND // 10
    turned.deliver(0)
    turned.at(1.9, turned.deliver, *range(1, 8))
    done = turned.go()
    assert (done.lost, done.delivered) == ([0, 0], [1, 7])
    latencies = [tick.latencies[0] for tick in turned.news if isinstance(tick, Tick) and 0 in tick.latencies]
    assert latencies[0] == {99_968: 1}  # rounded down to three digits


@pytest.mark.usefixtures("quick")
def test_a_driver_that_is_behind_publishes_what_was_due_without_a_rest() -> None:
    """The loop stood still for most of the phase; 64 messages are published before it reads again."""
    turned = Turned(Phase(1.0, 1000.0), drain=0.2)
    turned.at(0.1, turned.loop.advance, 0.95)
    done = turned.go()
    assert (done.sent, done.unsent) == ([1000], 0)


@pytest.mark.usefixtures("quick")
def test_what_the_driver_never_got_to_is_unsent() -> None:
    turned = Turned(Phase(1.0, 1000.0), drain=0.2)
    turned.at(0.1, turned.loop.advance, 2.0)
    done = turned.go()
    assert done.sent[0] < 300
    assert done.unsent == 1000 - done.sent[0]


# -- the process --------------------------------------------------------------------------------

class Process:
    """A worker in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "bayeux.load.worker"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def tell(self, order: orders.Order) -> None:
        self.stdin.write(orders.line(order))
        self.stdin.flush()

    def hear(self) -> orders.News:
        return orders.news(self.stdout.readline())

    def end(self) -> tuple[int, bytes]:
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.process.kill()
    made.process.communicate()


def test_a_process_does_as_it_is_told_whatever_keys_are_pressed(process: Process) -> None:
    with Server().listening() as url:
        process.tell(plan(url))
        while not (isinstance(told := process.hear(), Coming) and told.ready):
            pass
        process.process.send_signal(2)
        process.tell(Go(process_clock() + SECOND // 20))
        while not isinstance(told := process.hear(), Done):
            assert isinstance(told, Coming | Tick)
        assert (told.sent, told.lost) == ([10, 30], [0, 0])
        assert process.process.poll() is None
        assert process.end() == (0, b"")


def process_clock() -> int:
    return Loop().clock()


class Pipes:
    """What ``main`` reads and writes, here in the test's own process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._tell = module.tell
        monkeypatch.setattr(module, "tell", self._answer)
        self._given, self._give = os.pipe()
        self._hear, self._told = os.pipe()
        monkeypatch.setattr(module, "_STDIN", self._given)
        monkeypatch.setattr(module, "_STDOUT", self._told)

    def _answer(self, news: orders.News) -> None:
        """Let it begin when all have come, and end when it is done."""
        self._tell(news)
        if isinstance(news, Coming) and news.ready and not self._has_begun:
            self._has_begun = True
            os.write(self._give, orders.line(Go(process_clock() + SECOND // 20)))
        if isinstance(news, Done):
            os.close(self._give)
            self._is_over = True

    def main(self, *given: orders.Order, end: bool = False) -> tuple[int, list[orders.News]]:
        """Run it; returns its status, and what it has told."""
        os.write(self._give, b"".join(map(orders.line, given)))
        self._has_begun = self._is_over = end
        if end:
            os.close(self._give)
        before = signal.getsignal(signal.SIGINT)
        try:
            status = module.main()
        finally:
            signal.signal(signal.SIGINT, before)
        os.set_blocking(self._hear, False)
        told = b""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._hear, 65_536):
                told += data
        for descriptor in (self._given, self._hear, self._told, *([] if self._is_over else [self._give])):
            os.close(descriptor)
        return status, list(map(orders.news, told.splitlines()))


@pytest.fixture
def pipes(monkeypatch: pytest.MonkeyPatch) -> Pipes:
    return Pipes(monkeypatch)


def test_it_does_as_it_is_told_until_it_is_done(pipes: Pipes) -> None:
    with Server().listening() as url:
        status, told = pipes.main(plan(url))
    assert status == 0
    assert [type(news) for news in told if not isinstance(news, Coming | Tick)] == [Done]
    assert isinstance(told[-1], Done)
    assert (told[-1].sent, told[-1].lost) == ([10, 30], [0, 0])


def test_it_ends_when_its_input_does(pipes: Pipes) -> None:
    with Server().listening() as url:
        assert pipes.main(plan(url), end=True)[0] == 1


def test_it_ends_if_it_is_told_nothing(pipes: Pipes) -> None:
    assert pipes.main(end=True) == (1, [])


def test_it_says_why_it_cannot_begin(pipes: Pipes) -> None:
    status, [told] = pipes.main(plan("nonsense"))
    assert status == 1
    assert isinstance(told, Broken)


def test_it_does_not_say_all_the_time_who_has_come() -> None:
    loop, news = FakeLoop(), list[orders.News]()
    worker = Worker(plan("http://127.0.0.1:1/"), loop, news.append)
    for told in (1, 1, 2):
        loop.at(0, loop.leave)
        worker.work()
        assert len(news) == told
        loop.now += SECOND // 8
    loop.close()


def test_news_are_told_whole_though_the_pipe_takes_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(os, "write", lambda descriptor, data: written.write(data[:7]))
    module.tell(Broken("x" * 50))
    assert orders.news(written.getvalue()) == Broken("x" * 50)
