"""What carries envelopes.  Here: the values that a transport and whatever parses HTTP exchange."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol

Headers = tuple[tuple[bytes, bytes], ...]


class HeaderLookup(Protocol):
    """The headers of a request."""

    def __call__(self, name: str, /) -> str:
        """Return a value by its lower-case name, "" where it is absent."""

    def names(self) -> Iterable[str]:
        """Return the lower-case names of all."""


_SHARED = frozenset({"accept", "accept-encoding", "accept-language", "content-length", "content-type", "host",
                     "origin", "referer", "user-agent"})
"""Headers of which many clients have the same."""
_SHORT = 256
"""Characters of a text that is kept once for all who have it."""


@lru_cache(maxsize=1024)
def _shared(text: str) -> str:
    """Return one object for equal texts; not by ``sys.intern``, which keeps them for ever in Python 3.12."""
    return text


def _once(text: str) -> str:
    return _shared(text) if len(text) <= _SHORT else text


class RequestHeaders:
    """The headers of a request, kept for as long as its connection or session, and so in little memory.

    Call it with a lower-case name: it returns the value, "" where there is none.
    """

    __slots__ = ("_texts",)

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        texts: list[str] = []
        for name, value in fields:
            texts += (_once(name), _once(value) if name in _SHARED else value)
        self._texts = tuple(texts)

    def __call__(self, name: str) -> str:
        for index in range(0, len(self._texts), 2):
            if self._texts[index] == name:
                return self._texts[index + 1]
        return ""

    def names(self) -> tuple[str, ...]:
        """Return all names."""
        return self._texts[::2]


@dataclass(slots=True)
class HTTPRequest:
    """One HTTP request, its body complete."""

    method: bytes
    target: bytes
    """Path and query as they came."""
    header: HeaderLookup
    body: bytes
    address: str = ""
    """The IP address of the client: the peer's, or what a trusted proxy has told."""
    secure: bool = False
    """Whether it came by TLS, to us or to a trusted proxy."""
    host: str = ""
    """The host that it was sent to, if a trusted proxy has told; else the header of that name says so."""
    known: object = None
    """What a transport has read out of all this but the body; whoever parses HTTP may give it the same
    object with another body, when a request comes that is no different otherwise."""


@final
@dataclass(slots=True)
class HTTPReply:
    """One HTTP response."""

    status: int
    headers: Headers
    """All but Content-Length, Date and Connection."""
    body: bytes = b""
    close: bool = False
    """Whether the connection is to be closed after it."""
    cookies: tuple[bytes, ...] = ()
    """Values of Set-Cookie headers."""


class Waiting(Protocol):
    """An answer that has to be waited for."""

    reply: Deferred[HTTPReply]

    def lost(self) -> None:
        """Give up, because the connection is gone; ``reply`` will not fire."""

    def make_way(self) -> None:
        """Answer soon, because something else waits behind it on the same connection (K-16)."""


@final
@dataclass(slots=True)
class Takeover:
    """An answer after which the connection is no longer HTTP: ``protocol`` has it from then on.

    Whatever parses HTTP writes the head of ``reply`` as it is, and gives the transport away.
    """

    reply: HTTPReply
    protocol: IProtocol


Answer = HTTPReply | Waiting | Takeover
