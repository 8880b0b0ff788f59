"""The reactor's turn, without what it does around each event for a logging system that nothing here uses.

Twisted sets up a context for its old log before it lets a connection read, and takes it down again: an
eighth of what a long-polling delivery costs.  What is asked of the reactor is Twisted's own affair, and so
it is asked here only, and of no other reactor than the one that it is known of.
"""

from __future__ import annotations

from select import EPOLLIN
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger
from twisted.python import log

_CONNECTIONS = frozenset({tcp.Server, unix.Server})


class EventLoop:
    """Takes over the turns of a reactor; for a process that does nothing but serve."""

    _log = Logger()

    def __init__(self, reactor: object) -> None:
        self._reactor: Any = reactor if type(reactor) is EPollReactor else None

    def start(self) -> None:
        """Make the turns, if that reactor is one of which it is known how."""
        if self._reactor is not None:
            self._reactor.doIteration = self._turn

    def stop(self) -> None:
        """Leave it to the reactor again."""
        if self._reactor is not None:
            vars(self._reactor).pop("doIteration", None)

    def _turn(self, timeout: float | None) -> None:
        """Wait for events, for at most so many seconds, and have each handled."""
        reactor = self._reactor
        selectables = reactor._selectables
        for descriptor, event in reactor._poller.poll(-1 if timeout is None else timeout, len(selectables)):
            selectable = selectables.get(descriptor)
            if selectable is None:
                continue  # what came before it has closed it
            if event == EPOLLIN and type(selectable) in _CONNECTIONS:
                try:
                    end = selectable.doRead()
                except Exception as error:
                    self._log.failure("a connection failed", event="connection_failed")
                    end = error
                if end is not None:
                    reactor._disconnectSelectable(selectable, end, True)
            else:
                log.callWithLogger(selectable, reactor._doReadOrWrite, selectable, descriptor, event)
