"""The servers that are measured, each in a process that listens on a port of its own."""

from __future__ import annotations

import re
import shutil
import sys
import time
from pathlib import Path

from tests.bench.process import ROOT, BenchError, Process
from tests.bench.wire import MOUNT

_FAYE = ROOT / "tests" / "clients" / "node_modules" / "faye"
_HERE = Path(__file__).parent
_PATIENCE = 20.0
TXBAYEUX, FLOOR, FAYE = "txbayeux", "floor", "Faye"


class Server(Process):
    """A process that says on which port it listens, by a line that matches a pattern."""

    def __init__(self, arguments: list[str], pattern: str) -> None:
        super().__init__(arguments)
        try:
            self.port = self._wait(re.compile(pattern))
        except BaseException:
            self.end()
            raise

    def _wait(self, pattern: re.Pattern[str]) -> int:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            found = pattern.search(self.log())
            if found:
                return int(found[1])
            if not self.running:
                raise self.complain("has ended")
            time.sleep(0.02)
        raise self.complain("does not listen")


def txbayeux() -> Server:
    """Start ``twistd bayeux`` of this checkout."""
    twistd = Path(sys.executable).with_name("twistd")
    if not twistd.exists():
        raise BenchError("there is no twistd beside this Python: ./tests/run makes .venv, use its python")
    return Server([str(twistd), "-n", "--pidfile=", "bayeux", "--mount", MOUNT,
                   "--listen", "tcp:0:interface=127.0.0.1:backlog=1000"],
                  r"served on http://127\.0\.0\.1:(\d+) at")


def faye() -> Server:
    """Start Faye, as its documentation has it.  Raises ``BenchError`` if it is not installed."""
    missing = faye_missing()
    if missing:
        raise BenchError(missing)
    return Server(["node", str(_HERE / "faye_server.cjs"), str(_FAYE), MOUNT], r"listening on (\d+)")


def faye_missing() -> str:
    """Say what is missing to run Faye; empty if nothing is."""
    if shutil.which("node") is None:
        return "Faye is left out: node is not installed"
    if not _FAYE.exists():
        return f"Faye is left out: {_FAYE.relative_to(ROOT)} is missing, ./tests/run installs it"
    return ""


def floor(kind: str, answer: str, clients: int) -> Server:
    """Start a floor: ``sends`` or ``requests`` (see ``floors``); ``answer`` is what it sends."""
    return Server([sys.executable, "-m", "tests.bench.floors", kind, answer.encode("latin-1").hex(),
                   str(clients)], r"listening on (\d+)")


START = {TXBAYEUX: txbayeux, FAYE: faye}
