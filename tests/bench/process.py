"""Processes that end with this one."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bayeux.load import LoadError, machine

ROOT = Path(__file__).resolve().parents[2]
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
SPARE_FILES = 200
"""What a server or a driver may have open besides its clients."""


class BenchError(Exception):
    """Something that is measured does not work; the text says what."""


def raise_open_files(needed: int = 0) -> None:
    """Raise the soft limit of open files to the hard one.  Raises ``BenchError`` if that is too few."""
    try:
        machine.raise_open_files(needed)
    except LoadError as error:
        raise BenchError(f"{error}, for the server as for its clients; or take fewer clients") from None


class Process:
    """A child process in a session of its own; whatever becomes of this one, it does not outlive it."""

    def __init__(self, arguments: Sequence[str], stdin: int = subprocess.DEVNULL,
                 stdout: int | None = None) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._name = " ".join(Path(word).name for word in arguments[:4] if not word.startswith("{"))
        self._process = subprocess.Popen(
            arguments, cwd=ROOT, stdin=stdin, stdout=self._log if stdout is None else stdout,
            stderr=self._log, start_new_session=True, preexec_fn=_die_with_parent,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.end()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        """Send it a signal, and not to what it has started."""
        self._process.send_signal(number)

    def log(self) -> str:
        """Return what it has written."""
        return os.pread(self._log.fileno(), 1_000_000, 0).decode(errors="replace")

    def complain(self, what: str) -> BenchError:
        """Return an error with the end of what the process has said."""
        return BenchError(f"{self._name}: {what}\n{self.log()[-2000:]}".rstrip())

    def end(self) -> None:
        """Kill it, and whatever it has started."""
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._log.close()


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
