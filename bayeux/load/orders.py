"""What the command and its workers tell each other: lines of JSON."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from bayeux.load.scenario import Phase
from bayeux.load.signer import Signer


class Plan(Struct, frozen=True, tag=True):
    """The first order to a worker: who its clients are.  They come to life at once."""

    url: str
    headers: tuple[str, ...]
    verify: bool
    run: str
    """Of the run."""
    prefix: str
    """Channels are below it."""
    ext: str
    signer: Signer | None
    """Of what is published."""
    transport: str
    clients: int
    """Of all workers, as all numbers here."""
    channels: int
    publishers: int
    size: int
    ramp: float
    """Clients that come a second; 0: as fast as the server takes them."""
    worker: int
    workers: int
    sources: tuple[str, ...]
    """Addresses to connect from."""
    phases: tuple[Phase, ...]
    drain: float
    """Seconds that late messages are waited for."""


class Go(Struct, frozen=True, tag=True):
    """The first phase begins at a time of the monotonic clock, in nanoseconds."""

    begin: int


class Stop(Struct, frozen=True, tag=True):
    """Nothing more is due from a time of the monotonic clock on, in nanoseconds."""

    at: int


class Coming(Struct, frozen=True, tag=True):
    """How many clients are live before it begins."""

    live: int
    ready: bool
    """Whether all have come that will, publishers too."""
    errors: dict[str, int]


class Tick(Struct, frozen=True, tag=True):
    """What a worker did in one second."""

    second: int
    """Counted from the beginning: 0 is told when the first begins."""
    at: int
    """When it was over, on the monotonic clock, in nanoseconds."""
    sent: int
    latencies: dict[int, dict[int, int]]
    """Of each phase: microseconds, and how many arrivals took so long."""
    cpu: float
    """CPU time that the worker has used since it was started, seconds."""
    live: int
    errors: int
    """Since it was started."""
    waited: float = 0.0
    """Seconds that the worker has waited for a processor since it was started."""


class Done(Struct, frozen=True, tag=True):
    """What came of it all, in one worker."""

    sent: list[int]
    """Of each phase, as in all lists here."""
    published: list[int]
    """Messages that went while the phase lasted, whichever phase had them due; so it is with the next."""
    delivered: list[int]
    lost: list[int]
    duplicated: list[int]
    out_of_order: list[int]
    unsent: int
    """Messages that were due, and could not be published."""
    refused: int
    """Messages that the server did not take."""
    late: dict[int, int]
    """By how many microseconds messages were published late."""
    connects: dict[int, int]
    """How many microseconds clients took to be live."""
    errors: dict[str, int]
    live: int


class Broken(Struct, frozen=True, tag=True):
    """The worker cannot go on."""

    why: str


Order = Plan | Go | Stop
News = Coming | Tick | Done | Broken
M = TypeVar("M")

_encode = msgspec.json.Encoder().encode
order = msgspec.json.Decoder(Order).decode
news = msgspec.json.Decoder(News).decode


def line(message: Order | News) -> bytes:
    """Return a message as a line."""
    return _encode(message) + b"\n"


class Lines:
    """Takes bytes as they come, gives whole lines."""

    def __init__(self) -> None:
        self._unread = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        return lines
