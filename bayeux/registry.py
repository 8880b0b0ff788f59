"""Who is subscribed to what: patterns to subscribers, looked up by the names that can match."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from typing import Generic, TypeVar

from bayeux.channels import expand

S = TypeVar("S", bound=Hashable)


class Registry(Generic[S]):
    """A map from patterns to subscribers; an entry exists only while it has one (C-17)."""

    def __init__(self) -> None:
        # Dictionaries for sets: subscribers are served in the order in which they came.  Each value is the
        # pattern, one text for all.
        self._subscribers: dict[str, dict[S, str]] = {}

    def __len__(self) -> int:
        """Return how many patterns have a subscriber."""
        return len(self._subscribers)

    def __contains__(self, pattern: str) -> bool:
        """Say whether the pattern has a subscriber."""
        return pattern in self._subscribers

    def __iter__(self) -> Iterator[str]:
        """Yield the patterns that have a subscriber."""
        return iter(self._subscribers)

    def count(self, pattern: str) -> int:
        """Return how many are subscribed to that very pattern."""
        return len(self._subscribers.get(pattern, ()))

    def add(self, pattern: str, subscriber: S) -> str:
        """Subscribe; again is no difference (S-6).

        Returns the pattern as it is kept here: its subscribers need no texts of their own.
        """
        subscribers = self._subscribers.setdefault(pattern, {})
        for kept in subscribers.values():
            pattern = kept
            break
        subscribers[subscriber] = pattern
        return pattern

    def remove(self, pattern: str, subscriber: S) -> None:
        """Unsubscribe; what was not subscribed is no difference (S-6)."""
        subscribers = self._subscribers.get(pattern)
        if subscribers is not None:
            subscribers.pop(subscriber, None)
            if not subscribers:
                del self._subscribers[pattern]

    def match(self, name: str) -> Collection[S]:
        """Return every subscriber of a concrete channel, each once (C-8, C-9).

        A snapshot is the caller's to make, if it subscribes anybody while it goes through them.
        """
        found = [subscribers for pattern in expand(name)
                 if (subscribers := self._subscribers.get(pattern)) is not None]
        if not found:
            return ()
        if len(found) == 1:
            return found[0]
        return {subscriber: None for subscribers in found for subscriber in subscribers}
