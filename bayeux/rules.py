"""What a configuration says of channels and of keys: the tables ``[[channel]]`` and ``[[key]]``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

Publishers = Literal["anyone", "session", "token", "signed", "nobody"]
Subscribers = Literal["anyone", "token", "nobody"]


class ChannelRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may use the channels that a pattern selects; the most specific pattern decides."""

    pattern: str
    """A channel, or a pattern such as ``/news/**``."""
    publish: Publishers = "session"
    """Who may publish: ``anyone``, without a session too; whoever has a ``session``; a session with a
    ``token`` that says so; only what is ``signed`` by a key; ``nobody`` but the application itself."""
    subscribe: Subscribers = "anyone"
    """Who may subscribe: ``anyone``, a session with a ``token`` or grant that says so, ``nobody``."""
    lazy: bool = False
    """Whether events wait for company, up to the setting ``max_lazy_timeout`` (D-12)."""


class KeyRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One secret, and what it is good for: by default nothing (Y-7)."""

    id: str
    """Its name, which signatures and tokens carry: letters, digits and ``_ . -``."""
    secret: str = ""
    """The secret itself, printable text of 32 characters or more, used as it stands (Y-4)."""
    secret_file: str = ""
    """A file that holds nothing but the secret; relative to the file that names it."""
    publish: tuple[str, ...] = ()
    """Patterns of the channels for which it may sign, and open to publishing by its tokens."""
    subscribe: tuple[str, ...] = ()
    """Patterns of the channels that its tokens and grants may open for subscribing."""
    not_before: datetime | None = None
    """From when it is good; a time with its zone, ``2027-01-01T00:00:00Z``."""
    not_after: datetime | None = None
    """Until when it is good."""
    max_payload: Annotated[int, Meta(ge=1)] = 65_536
    """Bytes of the data of one message that it signs."""

    def __repr__(self) -> str:
        """Return a text that may be logged: without the secret."""
        return f"<KeyRule {self.id}>"
