"""What an operator is told of clients that are refused or expire: what there was of each kind, and no more.

It is seen by the counters, once in a while, so that a flood makes no more lines than a single message, and
nothing is paid for by those who are served.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from bayeux.metrics import Metrics
from bayeux.session import Session

Witnesses = dict[tuple[str, object], tuple[str, str]]
"""Of each kind of refusal whom it has met last: the address, and the label of the session if there is one."""

_MEANINGS = {
    301: "no common connection type", 400: "malformed", 401: "unauthenticated", 402: "unknown client",
    403: "denied", 404: "unknown channel", 405: "no channel", 409: "superseded", 413: "too large",
    429: "too many", 500: "failed here", 503: "too busy",
}
_REASONS = {
    "timeout": ("expired", "not heard of in time"), "expired": ("expired", "the token is not good any more"),
    "overflow": ("ended", "the queue was full"), "kicked": ("ended", "sent away"),
}
"""Why a session ends without its client's wish; ``disconnect`` and ``shutdown`` are nobody's trouble."""
_ORDERLY = frozenset({1000, 1001})
"""Close codes that refuse nothing."""


class Journal:
    """Logs every ``interval`` seconds what the counters say, and by whom; to be added to the listeners.

    ``witnesses`` is filled by whoever refuses something.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, interval: float, metrics: Metrics, witnesses: Witnesses) -> None:
        self._clock = clock
        self._interval = interval
        self._counters: Mapping[str, Counter[Any]] = {
            "message": metrics.failures, "request": metrics.refused, "close": metrics.closed,
            "limit": metrics.limited, "authentication": metrics.authentication_failures,
            "session": metrics.sessions_removed,
        }
        self._told: dict[str, dict[Any, int]] = {}
        self._witnesses = witnesses
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Begin, with what is counted from now on."""
        if self._interval and self._timer is None:
            self._told = {kind: dict(counter) for kind, counter in self._counters.items()}
            self._timer = self._clock.callLater(self._interval, self._ring)

    def stop(self) -> None:
        """Tell what there is to tell, and end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.tell()

    def session_added(self, session: Session) -> None:
        """Do nothing: that is nobody's trouble."""

    def session_removed(self, session: Session, reason: str) -> None:
        """Take note of whose session it was."""
        if reason in _REASONS:
            self._witnesses["session", reason] = session.address, session.label

    def _ring(self) -> None:
        self._timer = self._clock.callLater(self._interval, self._ring)
        self.tell()

    def tell(self) -> None:
        """Log what has been counted since it was told last."""
        for kind, counter in self._counters.items():
            told = self._told[kind]
            if dict.__eq__(counter, told):
                continue
            self._told[kind] = dict(counter)
            for what, total in counter.items():
                count = total - told.get(what, 0)
                if count:
                    self._line(kind, what, count, *self._witnesses.pop((kind, what), ("", "")))

    def _line(self, kind: str, what: Any, count: int, address: str, session: str) -> None:
        whose: dict[str, str] = {"_whose": ""}
        if session:
            whose = {"_whose": f"; the last: session {session} of {address or 'a local client'}",
                     "session": session, "address": address}
        elif address:
            whose = {"_whose": f"; the last: {address}", "address": address}
        if kind == "session":
            if what in _REASONS:
                event, why = _REASONS[what]
                self._log.info("sessions {event}, {_why}: {count}{_whose}", event=event, reason=what,
                               count=count, _why=why, **whose)
        elif kind == "message":
            why = _MEANINGS.get(what, "by the application")
            self._log.info("messages refused with {code}, {_why}: {count}{_whose}", event="refused",
                           kind=kind, code=what, count=count, _why=why, **whose)
        elif kind == "request":
            self._log.info("requests refused with HTTP status {code}: {count}{_whose}", event="refused",
                           kind=kind, code=what, count=count, **whose)
        elif kind == "close":
            if what not in _ORDERLY:
                self._log.info("WebSockets closed with {code}: {count}{_whose}", event="refused", kind=kind,
                               code=what, count=count, **whose)
        elif kind == "limit":
            self._log.info("{limit} was in the way: {count}", event="limited", limit=what, count=count)
        else:
            self._log.info("not authenticated, {reason}: {count}", event="unauthenticated", reason=what,
                           count=count)
