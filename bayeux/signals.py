"""What an operator tells the process: SIGHUP, read the settings again; SIGTERM and SIGINT, stop.

twistd ends itself by the signal that has stopped it, which looks as if it had been killed.  After a SIGTERM
of ours it ends with status 0; a SIGINT, from a terminal, it hands on to its shell as ever.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


class Signals:
    """Has signals handled in the reactor's turn, as they come in the middle of anything."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._before: dict[signal.Signals, Any] = {}
        self._told = False
        """Whether it has been told to stop."""
        self._hang_up: Callable[[], None] = lambda: None
        self._terminate: Callable[[], None] = lambda: None

    def handle(self, hang_up: Callable[[], None], terminate: Callable[[], None]) -> None:
        """Call these, once the reactor runs.

        ``terminate`` is not called for a first SIGINT, by which the reactor stops, but for what comes then.
        """
        self._hang_up, self._terminate, self._told = hang_up, terminate, False
        self._set(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._hang_up))
        self._set(signal.SIGTERM, self._told_to_stop)
        self._reactor.callWhenRunning(self._take_over)  # the reactor, when it starts, takes them for itself

    def restore(self) -> None:
        """Leave signals to whoever had them before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _set(self, number: signal.Signals, handler: Callable[..., object]) -> None:
        before = signal.signal(number, handler)
        if before != handler:
            self._before[number] = before

    def _take_over(self) -> None:
        self._set(signal.SIGTERM, self._told_to_stop)
        if callable(signal.getsignal(signal.SIGINT)):  # not in the background of a script
            self._set(signal.SIGINT, self._told_to_stop)

    def _told_to_stop(self, number: int, frame: object) -> None:
        again, self._told = self._told, True
        if number == signal.SIGINT and not again:
            self._before[signal.SIGINT](number, frame)  # the reactor takes note of what has stopped it
        else:
            self._reactor.callFromThread(self._terminate)
