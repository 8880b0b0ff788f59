"""The log as lines, of text or of JSON, from a level on; for a process that twistd runs.

twistd has nothing of that, but asks its application for an observer, and this is one.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import ILogObserver, LogLevel, formatEvent, formatEventAsClassicLogText
from twisted.python.logfile import LogFile
from zope.interface import implementer

from bayeux.settings import LogFormat, LogLevelName

_OURS = "bayeux."
_RESERVED = frozenset({"time", "level", "namespace", "message"})


class Output(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> object:
        """Write a line, or several."""

    def flush(self) -> object:
        """See that they are there even if nothing more comes."""


@implementer(ILogObserver)
class Lines:
    """Writes what is logged, one event a line in JSON, and as twistd does in text.

    A line of JSON has ``time`` (UTC, ISO 8601), ``level``, ``namespace``, ``message``; of what this
    package logs also ``event``, a name that stays the same, and what the message was made of; of a
    failure ``traceback``.
    """

    def __init__(self, output: Output, log_format: LogFormat = "text", level: LogLevelName = "info") -> None:
        self._output = output
        self._render = _as_json if log_format == "json" else formatEventAsClassicLogText
        self.set_level(level)

    def set_level(self, level: LogLevelName) -> None:
        """Leave out what is below a level, from now on."""
        self._least = LogLevel.levelWithName(level)

    def __call__(self, event: dict[str, Any]) -> None:
        """Write an event, if its level is high enough."""
        level = event.get("log_level")
        if level is None or level >= self._least:
            line = self._render(event)
            if line:
                self._output.write(line)
                self._output.flush()


def _as_json(event: Mapping[str, Any]) -> str:
    when = datetime.fromtimestamp(event.get("log_time") or 0.0, UTC)
    level, namespace = event.get("log_level"), event.get("log_namespace") or ""
    line: dict[str, object] = {
        "time": when.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": "info" if level is None else level.name,
        "namespace": namespace,
        "message": formatEvent(cast("dict[str, Any]", event)),
    }
    if namespace.startswith(_OURS):
        line |= {name: value for name, value in event.items()
                 if not name.startswith(("log_", "_")) and name not in _RESERVED
                 and isinstance(value, str | int | float | None)}
    failure = event.get("log_failure")
    if failure is not None:
        line["traceback"] = failure.getTraceback()
    return json.dumps(line) + "\n"


def lines_for(twistd: Mapping[str, Any], log_format: LogFormat, level: LogLevelName) -> Lines | None:
    """Return what writes to where twistd would, by its options; None where these ask for something else."""
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    path = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")
    if path == "-":
        if not twistd.get("nodaemon"):
            return None  # twistd will complain
        return Lines(sys.stdout, log_format, level)
    file = LogFile.fromFullPath(path)
    if not signal.getsignal(signal.SIGUSR1):

        def rotate(number: int, frame: object) -> None:
            from twisted.internet import reactor

            cast(IReactorFromThreads, reactor).callFromThread(file.rotate)

        signal.signal(signal.SIGUSR1, rotate)
    return Lines(file, log_format, level)
