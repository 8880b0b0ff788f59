"""How a run goes, while it does: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from bayeux.load import EXTRA, LoadError
from bayeux.load.options import Options
from bayeux.load.outcome import Second
from bayeux.load.schedule import Span

_LINES = 60
"""About so many lines are printed in all."""


def describe(second: Second, server_cpu: float | None) -> str:
    """Return what came of a second."""
    latency = second.latencies.quick()
    words = [f"published {second.sent:,}", f"delivered {second.latencies.count:,}"]
    if latency:
        words.append(f"p50 {latency['p50']:.1f} p99 {latency['p99']:.1f} max {latency['max']:.1f} ms")
    if server_cpu is not None:
        words.append(f"server {server_cpu:.2f} cores")
    words.append(f"live {second.live:,}")
    if second.errors:
        words.append(f"errors {second.errors:,}")
    return ", ".join(words)


class Lines:
    """Plain lines, about one a second."""

    def __init__(self, options: Options, write: Callable[[str], object]) -> None:
        self._write = write
        total = sum(phase.duration for phase in options.phases)
        self._every = max(1, round(total / _LINES))
        self._live = -1
        self._is_draining = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        pass

    def coming(self, live: int, total: int, errors: int) -> None:
        step = max(1, total // 10)
        if live // step > self._live // step:
            self._live = live
            self._say(f"{live:,} of {total:,} clients are live{f', errors {errors:,}' if errors else ''}")

    def second(self, number: int, second: Second, span: Span, server_cpu: float | None) -> None:
        if number % self._every == 0:
            self._say(f"{number:>4} s  {span.phase.name}: {describe(second, server_cpu)}")

    def draining(self) -> None:
        if not self._is_draining:
            self._is_draining = True
            self._say("waiting for what is late")

    def _say(self, text: str) -> None:
        self._write(text + "\n")


class Bars:
    """Bars that fill up, and live rates beside them, by rich."""

    def __init__(self, options: Options) -> None:
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        except ImportError:
            raise LoadError(EXTRA) from None
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn(), TextColumn("{task.fields[rates]}"),
            console=Console(stderr=True), refresh_per_second=2)
        self._clients = self._progress.add_task("clients", total=options.clients, rates="")
        self._phases = [
            (self._progress.add_task(phase.name, total=phase.duration, rates="", start=False), phase)
            for phase in options.phases]
        self._begun = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._progress.stop()

    def coming(self, live: int, total: int, errors: int) -> None:
        self._progress.update(self._clients, completed=live,
                              rates=f"{live:,} live" + (f", errors {errors:,}" if errors else ""))

    def second(self, number: int, second: Second, span: Span, server_cpu: float | None) -> None:
        self._progress.stop_task(self._clients)
        begin = 0.0
        for task, phase in self._phases:
            if begin < number:
                self._progress.start_task(task)
                done = min(phase.duration, number - begin)
                self._progress.update(task, completed=done)
                if phase is span.phase:
                    self._progress.update(task, rates=describe(second, server_cpu))
            if number >= begin + phase.duration:
                self._progress.stop_task(task)
            begin += phase.duration

    def draining(self) -> None:
        task, phase = self._phases[-1]
        self._progress.update(task, completed=phase.duration, rates="waiting for what is late")


def choose(options: Options) -> Lines | Bars:
    """Return bars if a person looks on, lines if not."""
    if sys.stderr.isatty():
        return Bars(options)
    return Lines(options, sys.stderr.write)
