"""The messages that wait to be sent, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bayeux.channels import META_SUBSCRIBE, META_UNSUBSCRIBE, is_meta
from bayeux.client.envelopes import Message

_HEAD = 200
"""Bytes of a message besides its data, roughly."""


@dataclass(eq=False, slots=True)
class Request:
    """One message on its way: to be sent, or sent and not answered yet."""

    channel: str
    fields: Message = field(default_factory=dict)
    """What it has besides ``channel``, ``id`` and ``clientId``."""
    size: int = 0
    """Bytes of its data."""
    resend: bool = False
    """Whether it is sent again if nobody knows whether it has arrived."""
    returned: bool = False
    """Whether a server has once said that it does not know its session, and so has not taken it."""
    signed: bool = False
    topic: Any = None
    """What it subscribes to or unsubscribes from."""

    @property
    def is_publish(self) -> bool:
        """Say whether it carries data."""
        return not is_meta(self.channel)

    @property
    def is_subscription(self) -> bool:
        """Say whether it subscribes or unsubscribes: it belongs to one session."""
        return self.channel in (META_SUBSCRIBE, META_UNSUBSCRIBE)


class Outbox:
    """Groups of requests; a group goes out in one envelope, in its order."""

    def __init__(self, max_batch: int, max_size: int) -> None:
        self._max_batch = max_batch
        self._max_size = max_size
        self._groups: deque[list[Request]] = deque()
        self._open: list[Request] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._groups)) + len(self._open or ())

    def __iter__(self) -> Iterator[Request]:
        for group in (*self._groups, self._open or ()):
            yield from group

    def add(self, request: Request) -> None:
        """Put a request behind all others, or into the group that is open."""
        if self._open is not None:
            self._open.append(request)
        else:
            self._groups.append([request])

    @contextmanager
    def group(self) -> Iterator[None]:
        """Put all requests that are added meanwhile into one group; within another it is that one."""
        if self._open is not None:
            yield
            return
        self._open = []
        try:
            yield
        finally:
            group, self._open = self._open, None
            if group:
                self._groups.append(group)

    def put_first(self, requests: Iterable[Request]) -> None:
        """Put requests before all others, in their order."""
        self._groups.extendleft(reversed([[request] for request in requests]))

    def remove(self, unwanted: Iterable[Request]) -> None:
        """Take these out, wherever they stand."""
        out = set(unwanted)
        groups = ([request for request in group if request not in out] for group in self._groups)
        self._groups = deque(group for group in groups if group)
        if self._open is not None:
            self._open[:] = [request for request in self._open if request not in out]

    def take(self) -> list[Request]:
        """Take what goes out next: as many groups as one envelope may hold, at least one request."""
        taken: list[Request] = []
        size = 0
        while self._groups:
            group = self._groups[0]
            bytes_more = sum(map(_size, group))
            if len(taken) + len(group) <= self._max_batch and size + bytes_more <= self._max_size:
                taken += self._groups.popleft()
                size += bytes_more
            elif taken:
                break
            else:  # the group alone is too much: as much of it as goes
                count = self._fitting(group)
                taken, self._groups[0] = group[:count], group[count:]
                break
        return taken

    def _fitting(self, group: list[Request]) -> int:
        size = 0
        for count, request in enumerate(group[:self._max_batch]):
            size += _size(request)
            if count and size > self._max_size:
                return count
        return min(len(group), self._max_batch)


def _size(request: Request) -> int:
    return _HEAD + request.size
