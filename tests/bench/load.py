"""A driver's process, spoken to."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from tests.bench.driver import Load, Ready, Result, Spec
from tests.bench.process import Process

_GRACE = 15.0


class Clients(Process):
    """The clients of one server, live; end it to let them go."""

    def __init__(self, spec: Spec) -> None:
        super().__init__([sys.executable, "-m", "tests.bench.driver", json.dumps(asdict(spec))],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._unread = b""
        try:
            self.ready = Ready(**self._answer(spec.patience + _GRACE))
        except BaseException:
            self.end()
            raise

    def load(self, load: Load) -> Result:
        """Put a load on the server.  Raises ``BenchError``."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asdict(load)).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self.complain("the driver has ended") from None
        return Result(**self._answer(load.warm + load.seconds + load.drain + _GRACE))

    def _answer(self, seconds: float) -> dict[str, Any]:
        """Return the next line of the driver, which must come within a time."""
        pipe = self._process.stdout
        assert pipe is not None
        end = time.monotonic() + seconds
        while b"\n" not in self._unread:
            if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
                raise self.complain(f"no answer from the driver for {seconds:g} s")
            data = pipe.read1(65_536)
            if not data:
                raise self.complain("the driver has ended")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise self.complain(answer["failed"])
        return answer
