"""The secrets that signatures and tokens are checked by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bayeux.channels import covers

_ALWAYS = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: its secret, and what it is good for, by default nothing (Y-7)."""

    id: str
    secret: bytes
    """The bytes of the secret's text, undecoded (Y-4)."""
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    not_before: float = -_ALWAYS
    """Seconds since 1970."""
    not_after: float = _ALWAYS
    max_payload: int = 65_536
    """Bytes."""

    def __repr__(self) -> str:
        """Return a text that may be logged: without the secret."""
        return f"<Key {self.id}>"

    def may_publish(self, channel: str) -> bool:
        """Say whether it is good for publishing to a channel or pattern (S-10)."""
        return any(covers(pattern, channel) for pattern in self.publish)

    def may_subscribe(self, pattern: str) -> bool:
        """Say whether it is good for subscribing to a channel or pattern (S-10)."""
        return any(covers(granted, pattern) for granted in self.subscribe)


class KeyRing:
    """All keys of a server; what is in it may be replaced while it runs (Y-10)."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys: dict[str, Key] = {}
        self.replace(keys)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, keys: Iterable[Key]) -> None:
        """Have these keys from now on, and no others."""
        self._keys = {key.id: key for key in keys}

    def find(self, key_id: str, now: float) -> Key | None:
        """Return the key of that id, if it is good at a time of day (seconds since 1970)."""
        key = self._keys.get(key_id)
        return key if key is not None and key.not_before <= now < key.not_after else None
