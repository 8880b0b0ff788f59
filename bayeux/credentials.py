"""What a client has shown and the server has checked: tokens and grants, what they open, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bayeux.channels import covering, covers
from bayeux.keys import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A token or a grant whose signature was right; nothing of its secret text is kept (Y-17)."""

    key: Key
    """What it was signed by."""
    ends: float
    """When it is no longer good, in seconds since 1970: it or its key, whichever is first (Y-16)."""
    user: str | None = None
    """Who has it, in the words of whoever made it."""
    id: str = ""
    """The name of this one token, by which it can be revoked (Y-19)."""
    subscribe: tuple[str, ...] = ()
    """Patterns that may be subscribed to."""
    publish: tuple[str, ...] = ()
    """Patterns of channels that may be published to."""
    is_grant: bool = False
    """Whether it stands for a subscription only, and says nothing of who the session's client is."""

    def only(self, pattern: str) -> Credential:
        """Return the part of it by which one pattern has been subscribed to."""
        return replace(self, subscribe=(pattern,), publish=())

    def under(self, key: Key | None) -> Credential | None:
        """Return what is left of it when that is its key now: all, less, or nothing (Y-19)."""
        if key is self.key:
            return self
        if key is None or key.secret != self.key.secret:
            return None
        return replace(self, key=key, ends=min(self.ends, key.not_after),
                       subscribe=narrow(self.subscribe, key.subscribe),
                       publish=narrow(self.publish, key.publish))


def may_subscribe(credentials: Iterable[Credential], pattern: str) -> bool:
    """Say whether one of them opens a channel or pattern: by coverage, never by matching (S-10)."""
    wide_enough = covering(pattern)
    return any(granted in wide_enough for one in credentials for granted in one.subscribe)


def may_publish(credentials: Iterable[Credential], channel: str) -> bool:
    """Say whether one of them opens a channel to publishing."""
    wide_enough = covering(channel)
    return any(granted in wide_enough for one in credentials for granted in one.publish)


def narrow(patterns: Iterable[str], limits: Iterable[str]) -> tuple[str, ...]:
    """Return patterns for what both select; of two with a channel in common one covers the other.

    >>> narrow(["/**", "/a/b"], ["/a/*", "/c"])
    ('/a/*', '/c', '/a/b')
    """
    limits = tuple(limits)
    found: dict[str, None] = {}
    for pattern in patterns:
        for limit in limits:
            if covers(limit, pattern):
                found[pattern] = None
            elif covers(pattern, limit):
                found[limit] = None
    return tuple(found)
