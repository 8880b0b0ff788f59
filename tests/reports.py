"""A run of the load driver that is over, for the tests of what is made of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bayeux.load import report
from bayeux.load.options import Options
from bayeux.load.orders import Done, Tick
from bayeux.load.outcome import Outcome, Server
from bayeux.load.scenario import Phase
from bayeux.load.schedule import Schedule

SECOND = 1_000_000_000
BEGIN = 5_000 * SECOND
MIB = 1_048_576
PHASES = (Phase(1.0, 10.0, "warm-up", measure=False), Phase(2.0, 20.0, "load"))
STARTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
URL = "http://127.0.0.1:8080/bayeux"


def options(**changes: Any) -> Options:
    """Return what was asked for: 10 subscribers, 10 messages to warm up and 40 that count."""
    values = {"url": URL, "clients": 10, "channels": 2, "publishers": 2, "processes": 2, "phases": PHASES,
              "pid": (7, 8)}
    return Options(**{**values, **changes})


def done(**changes: Any) -> Done:
    """Return what a worker says at the end."""
    values: dict[str, Any] = {
        "sent": [5, 20], "published": [5, 20], "delivered": [25, 50], "lost": [1, 2],
        "duplicated": [0, 3], "out_of_order": [0, 4], "unsent": 0, "refused": 0, "late": {1000: 25},
        "connects": {20_000: 4, 40_000: 1}, "errors": {}, "live": 5}
    return Done(**{**values, **changes})


def outcome(asked: Options | None = None, *, dones: tuple[Done, Done] | None = None,
            busy: float = 0.1, waits: float = 0.0) -> Outcome:
    """Return what came of it.

    Each worker uses ``busy`` of a core and waits for one ``waits`` of the time, the command uses 0.01, the
    server 0.5; each second every worker has 25 arrivals, of 1 and 4 ms while it warms up, then of 2 ms, and
    one of 100 ms in the last second.
    """
    asked = asked or options()
    schedule = Schedule(asked.phases, BEGIN, asked.channels, asked.publishers)
    server = Server(rss_before=50 * MIB) if asked.pid else None
    made = Outcome(schedule, 2, server)
    for second in range(5):
        at = BEGIN + second * SECOND
        made.own_cpu.add(at, 0.01 * second)
        if server is not None:
            server.cpu.add(at, 0.5 * second)
            server.rss.add(at, (60 + second) * MIB)
        latencies = [{}, {0: {1000: 20, 4000: 5}}, {1: {2000: 25}}, {1: {2000: 24, 100_000: 1}}, {}][second]
        for worker in range(2):
            made.tick(worker, Tick(second, at, 10 if second else 0, latencies, 3 + busy * second, 5, second,
                                   waits * second))
    for finished in dones or (done(), done()):
        made.done(finished, BEGIN + 3 * SECOND + SECOND // 2)
    return made


def made(asked: Options | None = None, **changes: Any) -> report.Report:
    """Return the report of that."""
    asked = asked or options()
    return report.build(asked, outcome(asked, **changes), STARTED)
