"""What a server advises (section 12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RETRY, HANDSHAKE, NONE = "retry", "handshake", "none"
_INTERVAL, _TIMEOUT = 0.0, 60.0
_MAX_TIME = 1e9
"""Milliseconds; more is nobody's meaning, and a timer could not hold it."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next; times in seconds (A-1)."""

    reconnect: str = RETRY
    interval: float = _INTERVAL
    """How long to wait before the next connect or handshake."""
    timeout: float = _TIMEOUT
    """How long the server may hold a connect."""
    multiple_clients: bool = False
    """Whether the server knows of other clients of this one's and so does not hold its connects (B-4)."""

    @classmethod
    def read(cls, value: object, otherwise: str = RETRY) -> Advice:
        """Read the ``advice`` of a reply; ``otherwise`` is what to do where it does not say.

        New advice replaces all earlier advice, so what it leaves out, or what makes no sense, is the default
        (A-2).  A negative interval means "never" (A-7).
        """
        if not isinstance(value, dict):
            return cls(otherwise)
        reconnect = value.get("reconnect")
        if reconnect not in (RETRY, HANDSHAKE, NONE):
            reconnect = otherwise
        if _is_number(value.get("interval")) and value["interval"] < 0:
            reconnect = NONE
        return cls(reconnect, _seconds(value.get("interval"), _INTERVAL),
                   _seconds(value.get("timeout"), _TIMEOUT), value.get("multiple-clients") is True)


def _seconds(value: Any, default: float) -> float:
    return min(value, _MAX_TIME) / 1000 if _is_number(value) and value >= 0 else default


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
