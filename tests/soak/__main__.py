"""Churns sessions on all transports, and shows that nothing of them is left.

    python -m tests.soak [--seconds 100] [--seed 1]

Clients come and vanish for a while, twice; after each time the server has to hold what it held before
them.  Exit status 1 if it does not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.bench.process import BenchError, Process
from tests.certificate import write_certificate
from tests.soak.vanishing import LIVES, Client

SETTINGS: dict[str, Any] = {
    "timeout": 2.0, "max_interval": 1.0, "unbound_timeout": 1.5, "header_timeout": 1.5, "body_timeout": 1.5,
    "write_timeout": 1.5, "websocket_ping_interval": 1.0, "eventsource_comment_interval": 1.0,
    "max_sessions_per_browser": 4,
}
"""Everything that ends by itself ends soon."""
SOON = min(value for value in SETTINGS.values() if isinstance(value, float))
"""Seconds after which a client that has said nothing may find that something has ended."""
THREADS = 12
LATE = 0.02
"""How many lives, of all, may be cut short because somebody stood still: it happens to few."""
SETTLED = 25.0
"""Seconds in which the last of it has to end."""
WARMING_UP = 0.4
"""The share of the time after which the memory must not grow any more."""
GROWTH = 3 * 1024 * 1024
"""Bytes by which it may: what an allocator keeps depends on the order of things."""
OBJECTS = 500
"""By how many objects the interpreter's own caches may grow."""


class Soaked(Process):
    """The server, and what it holds."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        cert, key = certificate
        listen = ["tcp:0:interface=127.0.0.1:backlog=500",
                  f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={cert}:backlog=500"]
        super().__init__(
            [sys.executable, "-m", "tests.soak.server", json.dumps({**SETTINGS, "listen": listen})],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ports: list[int] = self._line()["ports"]

    def holds(self) -> dict[str, Any]:
        """Ask what it holds."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return self._line()

    def settled(self, before: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what it holds when nothing is left, or what it still holds after a long time."""
        end = time.monotonic() + SETTLED
        while True:
            state = self.holds()
            if not complaints(before or state, state) or time.monotonic() > end:
                return state
            time.sleep(0.5)

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self.complain("has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Churn:
    """Many clients at once, for some seconds; counts lives, and what went otherwise than it should."""

    def __init__(self, ports: list[int], seed: int) -> None:
        self._plain, self._tls = ports
        self._seed = seed
        self.lives: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        """Lives that were cut short because the server had waited for so long, or stood still itself."""
        self.failures: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._live, args=(random.Random(f"{self._seed} {number}"), end))
                   for number in range(THREADS)]
        self._seed += 1
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _live(self, chance: random.Random, end: float) -> None:
        while time.monotonic() < end:
            tls = chance.random() < 0.2
            client = Client(chance, self._tls if tls else self._plain, tls)
            life, began = chance.choice(LIVES), time.monotonic()
            try:
                life(client)
            except Exception as error:
                if time.monotonic() - began >= SOON and not isinstance(error, TimeoutError):
                    self.late[life.__name__] += 1
                    continue
                self.failures[f"{life.__name__}: {type(error).__name__}: {error}"[:150]] += 1
            else:
                self.lives[life.__name__] += 1
            finally:
                with contextlib.suppress(OSError):
                    client.vanish()


def complaints(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Say what is left of the clients."""
    found = [f"{name}: {after[name]} are left" for name in ("sessions", "held", "channels", "connections")
             if after[name]]
    found += [f"{name}: {before[name]} before, {after[name]} after" for name in ("timers", "files")
              if after[name] > before[name]]
    if not after["idle"]:
        found.append("something is kept of sessions that are gone")
    if after["errors"]:
        found.append(f"{after['errors']} exceptions")
    if after["objects"] > before["objects"] + OBJECTS:
        found.append(f"objects: {before['objects']} before, {after['objects']} after")
    if after["rss"] > before["rss"] + GROWTH:
        found.append(f"memory: {before['rss'] >> 10} KiB before, {after['rss'] >> 10} KiB after")
    return found


def main(arguments: list[str]) -> int:
    """Do as the module says."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=100.0, help="how long clients come [100]")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is left to chance [1]")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, Soaked(write_certificate(Path(folder))) as server:
        churn = Churn(server.ports, options.seed)
        churn.run(WARMING_UP * options.seconds)
        before = server.settled()
        churn.run((1 - WARMING_UP) * options.seconds)
        after = server.settled(before)
        said = server.log()
    print(f"{sum(churn.lives.values())} lives, {after['opened']} sessions, removed {after['removed']}")
    print(", ".join(f"{name} {count}" for name, count in sorted(churn.lives.items())))
    print(f"cut short after {SOON:g} s or more: {churn.late.total()}")
    for name in ("sessions", "connections", "timers", "files", "objects"):
        print(f"{name:12} {before[name]:8} {after[name]:8}")
    print(f"{'memory, KiB':12} {before['rss'] >> 10:8} {after['rss'] >> 10:8}")
    found = complaints(before, after)
    if "Traceback" in said:
        found.append(f"the server has logged\n{said[-3000:]}")
    late, lives = churn.late.total(), churn.lives.total()
    if late > LATE * lives:
        found.append(f"{late} of {lives + late} lives cut short: a machine too slow, or a server")
    found += [f"{count} x {what}" for what, count in churn.failures.most_common(10)]
    for complaint in found:
        print(f"LEAK or failure: {complaint}")
    return 1 if found else 0


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except BenchError as error:
        raise SystemExit(f"tests.soak: {error}") from None
