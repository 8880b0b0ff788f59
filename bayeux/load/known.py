"""A response that was understood: another that means the same need not be parsed, nor its JSON decoded."""

from __future__ import annotations

import re

_DATE = re.compile(rb"\r\nDate: ([^\r\n]{29})\r", re.IGNORECASE)


class Known:
    """One response with one event in it.

    Whatever is equal but for that event's stamp, and for the header ``Date``, has the same headers, as many
    bytes, and asks for the same: only the stamp is worth a look.
    """

    __slots__ = ("_head", "_middle", "_middle_at", "_size", "_tail", "event_at")

    def __init__(self, response: bytes, event_at: int, stamp: int) -> None:
        date = _DATE.search(response, 0, event_at)
        self.event_at = event_at
        """Where the event is."""
        self._size = len(response)
        self._head = response[:date.start(1)] if date else b""
        self._middle_at = date.end(1) if date else 0
        self._middle = response[self._middle_at:event_at]
        self._tail = response[event_at + stamp:]

    def means(self, response: bytes) -> bool:
        """Say whether another response differs in the stamp and the date alone."""
        return (len(response) == self._size and response.endswith(self._tail)
                and response.startswith(self._middle, self._middle_at) and response.startswith(self._head))
