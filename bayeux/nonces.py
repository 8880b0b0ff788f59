"""Which nonces have been used, for as long as a replay could pass for something new (Y-8)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.defer import Deferred

from bayeux.errors import TooBusy

_AT_ONCE = 8
"""How many entries are forgotten when one is added: more than one, so that a crowd goes away again, and
few, so that nobody waits for it."""


class Nonces:
    """The signatures that nonces were used with: at most ``limit``, each for ``keep`` seconds.

    ``seconds`` is a clock that does not jump.  What was used before ``start``, in seconds since 1970,
    is not known here, and neither is what has been forgotten: see ``floor``.
    """

    def __init__(self, limit: int, keep: float, seconds: Callable[[], float], start: float) -> None:
        self._limit = limit
        self._keep = keep
        self._seconds = seconds
        self.floor = start - 1
        """What was signed before that, in seconds since 1970, may have been seen, and nobody would know:
        not even a time of day that is set back makes it good again."""
        # Oldest first.  Tuples of plain values are nothing to the garbage collector.
        self._used: OrderedDict[str, tuple[bytes, int, float]] = OrderedDict()
        self._open: dict[bytes, list[Deferred[None]]] = {}

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._used)

    def find(self, nonce: str) -> bytes | None:
        """Return the signature that a nonce was used with, None if it is free."""
        used = self._used.get(nonce)
        return None if used is None else used[0]

    def use(self, nonce: str, signature: bytes, timestamp: int) -> None:
        """Use a nonce that is free, for what was signed at that time; ``settle`` has to follow.

        Raises ``TooBusy`` if there is no room: nothing is forgotten before its time (G-22).
        """
        now = self._seconds()
        self._forget(now)
        if len(self._used) >= self._limit:
            raise TooBusy("max_nonces")
        self._used[nonce] = signature, timestamp, now + self._keep
        self._open[signature] = []

    def wait(self, signature: bytes) -> Deferred[None] | None:
        """Return what fires when the first message of that signature is settled, None if it is."""
        waiting = self._open.get(signature)
        if waiting is None:
            return None
        settled: Deferred[None] = Deferred()
        waiting.append(settled)
        return settled

    def settle(self, nonce: str, signature: bytes, successful: bool) -> None:
        """Take note of what came of a message: one that failed may be sent again."""
        waiting = self._open.pop(signature)
        if not successful and self.find(nonce) == signature:
            del self._used[nonce]
        for settled in waiting:
            settled.callback(None)

    def _forget(self, now: float) -> None:
        for _ in range(_AT_ONCE):
            if not self._used:
                break
            nonce = next(iter(self._used))
            _, timestamp, end = self._used[nonce]
            if end >= now:
                break
            del self._used[nonce]
            self.floor = max(self.floor, timestamp + 1)
