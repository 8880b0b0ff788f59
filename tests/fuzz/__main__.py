"""Fuzz one target: ``python -m tests.fuzz TARGET --runs N [--seed S] [--plain]``.

Guided by coverage where atheris is installed (``pip install -e '.[fuzz]'``), by chance alone where it is
not, or with ``--plain``.  What is found is written to ``--finds``: all inputs of the batch, to be run again
by ``python -m tests.fuzz TARGET FILE ...``.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.targets import TARGETS

_BATCH = 32
"""As in ``base``, which may not be imported yet."""
_OFTEN = 10_000
"""Inputs after which it is told how far things are."""


class Runner:
    """Gives a target its inputs, and keeps those of the batch."""

    def __init__(self, make: Callable[[], Any], runs: int, finds: Path) -> None:
        self._make = make
        self._target = make()
        self._runs = runs
        self._finds = finds
        self._batch: list[bytes] = []
        self.count = 0
        self.found = 0
        self._start = time.monotonic()

    def run(self, data: bytes) -> None:
        """Take an input; the one behind the last ends the process."""
        if self.count == self._runs:
            self.end()
        self.count += 1
        if self.count % _OFTEN == 0:
            print(f"{self.count} inputs, {self.found} found", flush=True)
        self._batch.append(data)
        try:
            self._target.run(data)
            if len(self._batch) == _BATCH:
                self._target.settle()
                self._batch.clear()
        except Exception:
            self._keep(traceback.format_exc())

    def _keep(self, why: str) -> None:
        self.found += 1
        folder = self._finds / f"{self.found:03}"
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(self._batch):
            (folder / f"{number:02}").write_bytes(data)
        (folder / "why").write_text(why)
        print(f"found, see {folder}:\n{why}", flush=True)
        self._batch.clear()
        self._target = self._make()
        if self.found == 20:
            self.end()

    def end(self) -> None:
        """Say what has been done, and end the process: libFuzzer has no end of its own to be waited for."""
        seconds = time.monotonic() - self._start
        print(f"{self.count} inputs in {seconds:.0f} s, {self.count / max(seconds, 0.001):.0f} a second, "
              f"{self.found} found", flush=True)
        os._exit(1 if self.found else 0)


def _guided(name: str, runs: int, seed: int, finds: Path) -> None:
    """Run under atheris; what is imported from now on is instrumented."""
    import atheris

    with atheris.instrument_imports(include=["bayeux"]):
        target = _load(name)
    runner = Runner(target, runs, finds)
    with tempfile.TemporaryDirectory() as folder:
        atheris.Setup([
            sys.argv[0], f"-seed={seed}", f"-dict={target.words()}", "-max_len=4096", "-rss_limit_mb=0",
            folder, str(target.corpus())], runner.run)
        atheris.Fuzz()


def _plain(name: str, runs: int, seed: int, finds: Path) -> None:
    from tests.fuzz.mutate import mutations

    target = _load(name)
    runner = Runner(target, runs, finds)
    for data in itertools.islice(mutations(target, seed), runs):
        runner.run(data)
    runner.end()


def _load(name: str) -> Any:
    module, kind = TARGETS[name]
    return getattr(importlib.import_module(module), kind)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz one target.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("files", nargs="*", help="run these inputs, as one batch, instead of new ones")
    parser.add_argument("--runs", type=int, default=100_000, help="how many inputs (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of chance (%(default)s); 1 and up")
    parser.add_argument("--plain", action="store_true", help="by chance alone, without atheris")
    parser.add_argument("--finds", type=Path, default=Path("finds"), help="where finds go (%(default)s)")
    arguments = parser.parse_args()
    if arguments.files:
        target = _load(arguments.target)()
        for file in arguments.files:
            target.run(Path(file).read_bytes())
        target.settle()
        return
    plain = arguments.plain or importlib.util.find_spec("atheris") is None
    (_plain if plain else _guided)(
        arguments.target, arguments.runs, arguments.seed, arguments.finds / arguments.target)


if __name__ == "__main__":
    main()
