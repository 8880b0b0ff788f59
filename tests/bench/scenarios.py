"""What is measured: each scenario starts its servers one after another and adds its figures.

Servers that are compared run directly after one another, so that what else the machine does meets them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import sleep

from bayeux.load.machine import cpu_seconds, rss_bytes
from tests.bench import crowds, servers
from tests.bench.driver import POLLING, WEBSOCKET, Load, Result, Spec
from tests.bench.figures import DRIVER, Figures, Mark
from tests.bench.load import Clients
from tests.bench.process import SPARE_FILES, raise_open_files
from tests.bench.scale import HOLD, Scale
from tests.bench.servers import FAYE, FLOOR, TXBAYEUX, Server

_TARGET = 0.250
"""The p99 latency, in seconds, up to which a rate counts as carried."""
_PROBES = 200
"""Probes a second: a pause is measured to within the 5 ms between two."""


class Bench:
    """One run: what is measured, how much, and where the figures go."""

    def __init__(self, scale: Scale, figures: Figures, with_faye: bool, say: Callable[[str], None]) -> None:
        self.scale = scale
        self.figures = figures
        self.rivals = (TXBAYEUX, FAYE) if with_faye else (TXBAYEUX,)
        self.say = say
        self._begin = {(who, kind): float(rate) for who in (TXBAYEUX, FAYE)
                       for kind, rate in zip((WEBSOCKET, POLLING), scale.first_rates, strict=True)}

    @contextmanager
    def clients(self, who: str, kind: str) -> Iterator[Clients]:
        """Start a server, and its clients."""
        with servers.START[who]() as server, Clients(self._spec(server, kind)) as clients:
            yield clients

    def _spec(self, server: Server, kind: str) -> Spec:
        return Spec(server.port, server.pid, kind, self.scale.clients, self.scale.channels)

    # -- a load ---------------------------------------------------------------------------------

    def fan_out(self, kind: str, rate: int, *marks: Mark, rivals: tuple[str, ...]) -> None:
        """Measure deliveries at a rate, and the floor of their kind."""
        scale, scenario = self.scale, f"{kind} at {rate}/s"
        load = Load(rate, scale.seconds, scale.warm)
        for who in rivals:
            with self.clients(who, kind) as clients:
                result = clients.load(load)
            self._note(scenario, who, result, marks)
            if who == TXBAYEUX:
                self._note(scenario, FLOOR, self._floor(kind, load, result), marks)

    def _floor(self, kind: str, load: Load, result: Result) -> Result:
        bare, sample = ("sends", result.sample) if kind == WEBSOCKET else ("requests", result.request)
        with servers.floor(bare, result.sample, self.scale.clients) as server:
            spec = replace(self._spec(server, bare), publishers=int(kind == WEBSOCKET), sample=sample)
            with Clients(spec) as clients:
                return clients.load(load)

    def _note(self, scenario: str, who: str, result: Result, marks: tuple[Mark, ...]) -> None:
        add = self.figures.add
        if result.delivered:
            add(scenario, "CPU a delivery", "us", who, result.cpu / result.delivered * 1e6, *marks)
            add(scenario, "latency p50", "ms", who, result.p50 * 1e3)
            add(scenario, "latency p99", "ms", who, result.p99 * 1e3)
        add(scenario, "lost or later than 3 s", "", who, result.expected - result.delivered)
        add(scenario, DRIVER, "cores", who, result.driver)
        self.say(f"{scenario}, {who}: {result.delivered} of {result.expected} delivered, "
                 f"{result.cpu / max(1, result.delivered) * 1e6:.1f} us, p99 {result.p99 * 1e3:.1f} ms, "
                 f"driver {result.driver:.2f} cores")

    # -- the most -------------------------------------------------------------------------------

    def most(self, kind: str, mark: Mark) -> None:
        """Look for the highest rate that is carried: nothing lost, and p99 below a quarter of a second."""
        scenario, add = f"most by {kind}", self.figures.add
        for who in self.rivals:
            reached, result = self._search(who, kind)
            add(scenario, "deliveries a second", "1/s", who, reached, mark)
            if result is None:
                continue
            add(scenario, "CPU a delivery at that rate", "us", who, result.cpu / result.delivered * 1e6)
            add(scenario, "latency p99 at that rate", "ms", who, result.p99 * 1e3)
            add(scenario, DRIVER, "cores", who, result.driver)
            with self.clients(who, kind) as clients:
                half = clients.load(Load(reached / 2, self.scale.seconds, self.scale.warm))
            add(scenario, "latency p99 at half that rate", "ms", who, half.p99 * 1e3, Mark(30))
            add(scenario, "lost at half that rate", "", who, half.expected - half.delivered, Mark(0))
            self.say(f"{scenario}, {who}: at half of it, {reached / 2:.0f}/s, p99 {half.p99 * 1e3:.1f} ms, "
                     f"{half.delivered} of {half.expected} delivered, driver {half.driver:.2f}")

    def _search(self, who: str, kind: str) -> tuple[float, Result | None]:
        """Go up, or down, by the half until the limit is between two rates; then halve the gap."""
        low, high, best = 0.0, 0.0, None
        rate = self._begin[who, kind]
        for _ in range(self.scale.widest):
            if (low and high) or rate < 100:
                break
            result = self._carried(who, kind, rate)
            if result is not None:
                low, best = rate, result
            else:
                high = rate
            rate = low * 1.5 if low else high / 1.5
        for _ in range(self.scale.refinements if high else 0):
            rate = (low + high) / 2
            result = self._carried(who, kind, rate)
            if result is not None:
                low, best = rate, result
            else:
                high = rate
        if low:
            self._begin[who, kind] = low
        return low, best

    def _carried(self, who: str, kind: str, rate: float) -> Result | None:
        """Try a rate, again if need be; returns what came of it if it was carried."""
        for _ in range(self.scale.tries):
            with self.clients(who, kind) as clients:
                result = clients.load(Load(rate, self.scale.step_seconds, self.scale.warm, drain=1.0))
            carried = result.delivered >= result.expected and result.p99 < _TARGET and not result.closed
            self.say(f"most by {kind}, {who}: {rate:.0f}/s {'carried' if carried else 'not carried'}, "
                     f"{result.delivered} of {result.expected}, p99 {result.p99 * 1e3:.0f} ms, "
                     f"{result.cpu / max(1, result.delivered) * 1e6:.1f} us, driver {result.driver:.2f}")
            if carried:
                return result
        return None

    # -- idle clients ---------------------------------------------------------------------------

    def idle(self, kind: str, mark: Mark) -> None:
        """Measure what idle clients cost, and how long they make another one wait."""
        count, scale = self.scale.idle, self.scale
        scenario = f"{count} idle by {kind}"
        raise_open_files(count + SPARE_FILES)
        marks = (mark,) if count >= 15_000 else ()
        pause_marks = (Mark(20),) if count >= 15_000 and scale.pause >= HOLD else ()
        add = self.figures.add
        for who in self.rivals:
            with servers.START[who]() as server:
                probe = Spec(server.port, server.pid, kind, clients=1, channels=1, publishers=1)
                with Clients(probe) as clients:
                    alone = clients.load(Load(_PROBES, scale.pause / 2, scale.warm, probe=True))
                sleep(0.2)
                before, cpu = rss_bytes(server.pid), cpu_seconds(server.pid)
                crowd = Spec(server.port, server.pid, kind, count, publishers=0, topic="/idle",
                             patience=60 + count / 100)
                with Clients(crowd) as idle:
                    cpu = cpu_seconds(server.pid) - cpu
                    sleep(scale.settle)
                    memory = (rss_bytes(server.pid) - before) / count / 1024
                    with Clients(probe) as clients:
                        result = clients.load(Load(_PROBES, scale.pause, scale.warm, probe=True))
                    if not idle.running:
                        raise idle.complain("the idle clients have ended")
            add(scenario, "memory a client (RSS)", "KiB", who, memory, *marks)
            add(scenario, "CPU to come to life, a client", "us", who, cpu / count * 1e6)
            add(scenario, f"CPU while idle, with a probe at {_PROBES}/s", "cores", who,
                result.cpu / result.seconds)
            add(scenario, "lost by the probe", "", who, result.expected - result.delivered)
            add(scenario, "longest pause of the server", "ms", who, result.work * 1e3, *pause_marks)
            add(scenario, "the same without idle clients", "ms", who, alone.work * 1e3)
            add(scenario, "longest wait of a probe", "ms", who, result.worst * 1e3)
            add(scenario, "such a wait without idle clients", "ms", who, alone.worst * 1e3)
            self.say(f"{scenario}, {who}: {memory:.2f} KiB a client, longest pause "
                     f"{result.work * 1e3:.1f} ms, longest wait {result.worst * 1e3:.1f} ms; without them "
                     f"{alone.work * 1e3:.1f} and {alone.worst * 1e3:.1f} ms")


def websocket(bench: Bench) -> None:
    """WebSocket at given rates; Faye only at the lowest, as it does not carry more."""
    for place, rate in enumerate(bench.scale.websocket_rates):
        if place == 0:
            bench.fan_out(WEBSOCKET, rate, Mark(0.35, FAYE), rivals=bench.rivals)
        else:
            bench.fan_out(WEBSOCKET, rate, Mark(1.6, FLOOR), rivals=(TXBAYEUX,))


def polling(bench: Bench) -> None:
    """Long-polling at given rates."""
    for rate in bench.scale.polling_rates:
        bench.fan_out(POLLING, rate, Mark(2.2, FLOOR), Mark(0.35, FAYE), rivals=bench.rivals)


SCENARIOS: dict[str, Callable[[Bench], None]] = {
    "websocket": websocket,
    "long-polling": polling,
    "most-websocket": lambda bench: bench.most(WEBSOCKET, Mark(5, FAYE, at_least=True)),
    "most-long-polling": lambda bench: bench.most(POLLING, Mark(2.5, FAYE, at_least=True)),
    "idle-websocket": lambda bench: bench.idle(WEBSOCKET, Mark(4.5)),
    "idle-long-polling": lambda bench: bench.idle(POLLING, Mark(4)),
    "many": crowds.many,
    "unrelated": crowds.unrelated,
}
