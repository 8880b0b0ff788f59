"""What carries envelopes.  Here: the values that a transport and whatever parses HTTP exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class HTTPRequest:
    """One HTTP request, its body complete."""

    method: bytes
    target: bytes
    """Path and query as they came."""
    header: Callable[[str], str]
    """Returns a header's value by its lower-case name, "" where it is absent."""
    body: bytes
    address: str = ""
    """The peer's IP address."""
    secure: bool = False
    """Whether it came by TLS."""
    names: Callable[[], Iterable[str]] = tuple
    """Returns the lower-case names of all headers."""


@dataclass(slots=True)
class HTTPReply:
    """One HTTP response."""

    status: int
    headers: Headers
    """All but Content-Length, Date and Connection."""
    body: bytes = b""
    close: bool = False
    """Whether the connection is to be closed after it."""
    cookies: list[bytes] = field(default_factory=list)


class Waiting(Protocol):
    """An answer that has to be waited for."""

    reply: Deferred[HTTPReply]

    def lost(self) -> None:
        """Give up, because the connection is gone; ``reply`` will not fire."""

    def make_way(self) -> None:
        """Answer soon, because something else waits behind it on the same connection (K-16)."""


@dataclass(slots=True)
class Takeover:
    """An answer after which the connection is no longer HTTP: ``protocol`` has it from then on.

    Whatever parses HTTP writes the head of ``reply`` as it is, and gives the transport away.
    """

    reply: HTTPReply
    protocol: IProtocol


Answer = HTTPReply | Waiting | Takeover
