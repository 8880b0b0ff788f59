"""The worker processes of a run: started, told what to do, listened to, ended."""

from __future__ import annotations

import contextlib
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from bayeux.load import LoadError, orders
from bayeux.load.orders import Broken, Done, News, Order, Plan

_LAST_WORDS = 2000


class _Process:
    """One worker."""

    def __init__(self, plan: Plan) -> None:
        self.number = plan.worker
        self.lines = orders.Lines()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bayeux.load.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.log, start_new_session=True, bufsize=0)
        self.send(plan)

    def send(self, order: Order) -> None:
        """Give an order; if the process has ended, its output tells."""
        assert self.process.stdin is not None
        if not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(orders.line(order))

    def dismiss(self) -> None:
        """Let its clients go; there will be no more orders."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def last_words(self) -> str:
        """Return the end of what it has written to its standard error."""
        self.log.seek(0)
        return self.log.read()[-_LAST_WORDS:].decode(errors="replace").strip()

    def end(self) -> None:
        """End it; it may have ended already."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in filter(None, (self.process.stdin, self.process.stdout)):
            pipe.close()
        self.log.close()


class Fleet:
    """All workers; they do not outlive it."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._selector = selectors.DefaultSelector()
        self._processes: list[_Process] = []
        self._working = self._done = 0
        try:
            for plan in plans:
                process = _Process(plan)
                self._processes.append(process)
                assert process.process.stdout is not None
                self._selector.register(process.process.stdout, selectors.EVENT_READ, process)
                self._working += 1
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._processes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def order(self, order: Order) -> None:
        """Give all the same order."""
        for process in self._processes:
            process.send(order)

    def news(self, seconds: float) -> Iterator[tuple[int, News]]:
        """Wait so long at most, and yield what workers tell, with their numbers.

        When all have done their work they may go.
        Raises ``LoadError`` if one cannot go on.
        """
        for key, _ in self._selector.select(max(0.0, seconds)):
            process: _Process = key.data
            assert process.process.stdout is not None
            data = process.process.stdout.read(1_048_576)
            if not data:
                self._selector.unregister(key.fileobj)
                self._working -= 1
                if process.process.wait() != 0:
                    raise LoadError(f"worker {process.number} has ended: {process.last_words()}")
            for line in process.lines.feed(data):
                message = orders.news(line)
                if isinstance(message, Broken):
                    raise LoadError(message.why)
                yield process.number, message
                self._done += isinstance(message, Done)
                if self._done == len(self._processes):
                    for each in self._processes:
                        each.dismiss()

    @property
    def is_working(self) -> bool:
        """Whether any of them has not ended."""
        return self._working > 0

    def close(self) -> None:
        """End all."""
        for process in self._processes:
            process.end()
        self._selector.close()
