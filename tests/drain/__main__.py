"""Stops a server under very many clients, starts another on its port, and says what became of them.

    python -m tests.drain [--clients 15000]

``--defiant`` shows what it would be like if they did not do as they are told.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import sys
import time
from pathlib import Path

from tests.bench.process import BenchError, raise_open_files
from tests.bench.servers import Server
from tests.drain.clients import POLLING, WEBSOCKET, Crowd
from tests.ports import free_port

_SPARE_FILES = 200


def serve(port: int, settings: list[str]) -> Server:
    """Start ``twistd bayeux`` there."""
    twistd = Path(sys.executable).with_name("twistd")
    words = [word for setting in settings for word in ("--set", setting)]
    return Server([str(twistd), "-n", "--pidfile=", "bayeux", "--listen",
                   f"tcp:{port}:interface=127.0.0.1:backlog=4000", *words],
                  r"served on http://127\.0\.0\.1:(\d+) at")


def experiment(clients: int, kind: str, defiant: bool, settings: list[str], patience: float) -> int:
    """Do it, and print what was seen; returns the exit status."""
    raise_open_files(clients + _SPARE_FILES)
    port = free_port()
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(serve(port, settings))
        crowd = stack.enter_context(Crowd(port, clients, kind, defiant))
        crowd.come_in(patience)
        print(f"{clients} clients have a connect held after {crowd.seconds:.1f} s", flush=True)
        idle = time.monotonic() + 1.0
        while time.monotonic() < idle:
            crowd.turn()
        crowd.begin()
        before, goodbye, welcome = cpu_of(old), 0.0, 0.0
        old.signal(signal.SIGTERM)
        new, stopped = None, 0.0
        end = time.monotonic() + patience
        while time.monotonic() < end and (crowd.live < clients or new is None or not stopped):
            crowd.turn()
            goodbye = max(goodbye, cpu_of(old) - before)
            if not stopped and not old.running:
                stopped = crowd.seconds
            if new is None and (stopped or crowd.seconds > 0.2):
                new = stack.enter_context(Starting(port, settings))
            if new is not None and new.failed:
                new = None
        if new is not None:
            welcome = cpu_of(new)
        report(crowd, clients, stopped, old.status, goodbye, welcome)
        return 0 if crowd.live == clients and old.status == 0 else 1


class Starting(Server):
    """A server that is not waited for."""

    def __init__(self, port: int, settings: list[str]) -> None:
        self._started = time.monotonic()
        twistd = Path(sys.executable).with_name("twistd")
        words = [word for setting in settings for word in ("--set", setting)]
        super().__init__([str(twistd), "-n", "--pidfile=", "bayeux", "--listen",
                          f"tcp:{port}:interface=127.0.0.1:backlog=4000", *words], "")

    def _wait(self, pattern: re.Pattern[str]) -> int:
        return 0

    @property
    def failed(self) -> bool:
        """Whether it has ended, as the port was still taken."""
        return not self.running


def cpu_of(server: Server) -> float:
    """Return how many seconds of CPU a server has used, 0 if it is gone."""
    try:
        return time.clock_gettime((~server.pid << 3) | 2)
    except OSError:
        return 0.0


def report(crowd: Crowd, clients: int, stopped: float, status: int | None, goodbye: float,
           welcome: float) -> None:
    """Print the figures."""
    columns = ("told", "unannounced", "failed", "connections", "handshakes", "live")
    seconds = range(max(max(crowd.by_second.get(name, {0: 0}), default=0) for name in columns) + 1)
    print("\nsecond" + "".join(f"{name:>13}" for name in columns))
    for second in seconds:
        print(f"{second:6}" + "".join(
            f"{crowd.by_second[name][second] if name in crowd.by_second else 0:13}" for name in columns))
    times, back = sorted(crowd.handshakes) or [0.0], sorted(crowd.came_alive_at) or [0.0]
    most = max(crowd.by_second.get("handshakes", {0: 0}).values())
    print(f"\nthe old server ended after {stopped:.2f} s with status {status}, {goodbye:.1f} s of CPU; the "
          f"new one used {welcome:.1f} s of CPU, {welcome / clients * 1e3:.2f} ms a client\n"
          f"told when to come back: {crowd.total('told')}; cut off without a word: "
          f"{crowd.total('unannounced')}; closes: {dict(crowd.closes)}\n"
          f"live again: {crowd.live} of {clients}, half of them after {back[len(back) // 2]:.1f} s, the last "
          f"after {back[-1]:.1f} s\n"
          f"most handshakes in a second: {most}; a handshake took {times[len(times) // 2] * 1e3:.1f} ms, "
          f"99 of 100 less than {times[int(len(times) * 0.99)] * 1e3:.0f} ms, the longest "
          f"{times[-1] * 1e3:.0f} ms", flush=True)


def main(words: list[str] | None = None) -> int:
    """Read the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.drain", description=(
        "Replace a server under its clients; see docs/topics/draining.rst."))
    parser.add_argument("--clients", type=int, default=15_000, help="how many [15000]")
    parser.add_argument("--kind", choices=(WEBSOCKET, POLLING), default="",
                        help="of one kind [half and half]")
    parser.add_argument("--defiant", action="store_true", help="let them come back at once, against advice")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a server's setting")
    parser.add_argument("--patience", type=float, default=90.0, help="longest time for all to come back [90]")
    options = parser.parse_args(words)
    try:
        return experiment(options.clients, options.kind, options.defiant, options.set, options.patience)
    except (BenchError, TimeoutError) as error:
        print(f"python -m tests.drain: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
