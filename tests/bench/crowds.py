"""What one server process has room for: as many clients as open files, and very many subscriptions.

Both are about txbayeux alone; what it has to reach is not a ratio to another server.
"""

from __future__ import annotations

from statistics import median
from time import monotonic, sleep
from typing import TYPE_CHECKING

from bayeux.load.machine import cpu_seconds
from tests.bench import servers
from tests.bench.driver import MANY_CHANNELS, POLLING, WEBSOCKET, Load, Spec
from tests.bench.figures import Mark
from tests.bench.load import Clients
from tests.bench.peers import SUBSCRIPTIONS
from tests.bench.process import SPARE_FILES, raise_open_files
from tests.bench.scale import HOLD
from tests.bench.servers import FLOOR, TXBAYEUX, Server

if TYPE_CHECKING:
    from tests.bench.scenarios import Bench

_MANY = 19_000
_UNRELATED = 100_000
"""As many as the marks are about; with fewer they are not judged."""
_PUBLISHES = {1: 2_000, 100: 100}
"""Publishes a second, by the number of subscribers of their channel, beside the unrelated ones."""


def many(bench: Bench) -> None:
    """Let as many clients come as one process can have, all by one transport and then all by the other."""
    raise_open_files(bench.scale.many + SPARE_FILES)
    for kind in (WEBSOCKET, POLLING):
        _many(bench, kind)


def _many(bench: Bench, kind: str) -> None:
    """See what they cost while idle, and whether each of them receives a broadcast."""
    count, scale = bench.scale.many, bench.scale
    with servers.txbayeux() as server:
        crowd = Spec(server.port, server.pid, kind, count, channels=1, publishers=1,
                     patience=60 + count / 100)
        with Clients(crowd) as clients:
            sleep(scale.settle)
            cpu, began = cpu_seconds(server.pid), monotonic()
            sleep(scale.hold)
            idle = (cpu_seconds(server.pid) - cpu) / (monotonic() - began)
            result = clients.load(Load(count, 1.0, warm=0.0, drain=10.0))  # that is one message
    all_live = [Mark(_MANY, at_least=True)] if count >= _MANY else []
    at_rest = [Mark(0.05)] if count >= _MANY and scale.hold >= HOLD else []

    def add(name: str, unit: str, value: float, *marks: Mark) -> None:
        bench.figures.add(f"{count} clients by {kind}", name, unit, TXBAYEUX, value, *marks)

    add("clients that came to life", "", count, *all_live)
    add("time until all were live", "s", clients.ready.seconds)
    add("CPU while idle", "cores", idle, *at_rest)
    add("connections lost", "", result.closed, Mark(0))
    add("clients that missed the broadcast", "", result.unserved, Mark(0))
    add("time until the last one had it", "ms", result.worst * 1e3)
    bench.say(f"{count} clients by {kind}: live in {clients.ready.seconds:.1f} s, {idle:.3f} cores while "
              f"idle, {result.closed} lost; {result.unserved} missed the broadcast, the last had it after "
              f"{result.worst:.2f} s")


def unrelated(bench: Bench) -> None:
    """Measure a publish on a server with very many other subscriptions, and on one with none."""
    count = bench.scale.unrelated
    scenario = f"{count} unrelated subscriptions"
    marks = [Mark(1.2, FLOOR)] if count >= _UNRELATED else []
    sessions = count // SUBSCRIPTIONS
    with servers.txbayeux() as full, servers.txbayeux() as empty:
        crowd = Spec(full.port, full.pid, MANY_CHANNELS, sessions, sessions, publishers=0, topic="/unrelated")
        with Clients(crowd) as others:
            for subscribers, rate in _PUBLISHES.items():
                name = f"CPU a publish, {subscribers} subscriber{'s' if subscribers > 1 else ''}"
                ours, bare = _in_turns(bench, full, empty, subscribers, rate)
                bench.figures.add(scenario, name, "us", TXBAYEUX, ours, *marks)
                bench.figures.add(scenario, name, "us", FLOOR, bare, *marks)
                bench.say(f"{scenario}: {name} {ours:.1f} us, without them {bare:.1f} us")
            if not others.running:
                raise others.complain("the other clients have ended")


def _in_turns(bench: Bench, full: Server, empty: Server, subscribers: int, rate: int) -> tuple[float, float]:
    """Return what a publish costs each of two servers, in microseconds: the medians of short loads."""
    load = Load(rate * subscribers, bench.scale.seconds / 5, warm=0.1)
    costs: dict[int, list[float]] = {full.pid: [], empty.pid: []}
    one, other = (Spec(server.port, server.pid, WEBSOCKET, subscribers, channels=1, publishers=1)
                  for server in (full, empty))
    with Clients(one) as at_full, Clients(other) as at_empty:
        turns = [(full.pid, at_full), (empty.pid, at_empty)]
        for _ in range(bench.scale.rounds):
            for pid, clients in turns:
                result = clients.load(load)
                if result.unserved:
                    raise clients.complain("a subscriber did not get what was published, or more than that")
                costs[pid].append(result.cpu * subscribers / result.delivered * 1e6)
            turns.reverse()
    return median(costs[full.pid]), median(costs[empty.pid])
