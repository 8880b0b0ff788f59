"""Channel names and patterns: grammar, matching, coverage (BAYEUX.md section 4).

A name is ``/segment/segment``; a pattern ends in ``/*`` (one more segment) or ``/**`` (one or more).
Nothing is ever normalised: a string either is a channel or it is not, so what a policy has checked is
what the registry stores (C-3).
"""

from __future__ import annotations

import re
from functools import lru_cache

META_HANDSHAKE = "/meta/handshake"
META_CONNECT = "/meta/connect"
META_DISCONNECT = "/meta/disconnect"
META_SUBSCRIBE = "/meta/subscribe"
META_UNSUBSCRIBE = "/meta/unsubscribe"
TOKEN_CHANNEL = "/service/token"
"""Where a session's client sends its next token (Y-16)."""

# Linear: no alternative can match the same text in two ways (G-32).
_SEGMENT = r"/[A-Za-z0-9\-_!~()$@]+"
_NAME = re.compile(f"(?:{_SEGMENT})+")
_PATTERN = re.compile(f"(?:(?:{_SEGMENT})+(?:/\\*\\*?)?|/\\*\\*?)")


def is_name(text: str) -> bool:
    """Say whether ``text`` is a concrete channel name (C-1)."""
    return _NAME.fullmatch(text) is not None


def is_pattern(text: str) -> bool:
    """Say whether ``text`` can be subscribed to: a concrete name or a pattern (C-1, C-2)."""
    return _PATTERN.fullmatch(text) is not None


def is_meta(channel: str) -> bool:
    """Say whether a name or pattern lies in the space of the protocol itself (C-10, C-16)."""
    return channel == "/meta" or channel.startswith("/meta/")


def is_service(channel: str) -> bool:
    """Say whether a name or pattern lies under ``/service/`` (C-13, C-14)."""
    return channel.startswith("/service/")


def is_reserved(channel: str) -> bool:
    """Say whether nobody may subscribe or publish there: ``/meta``, ``/meta/...``, ``/service`` (C-16)."""
    return channel == "/service" or is_meta(channel)


@lru_cache(maxsize=4096)
def expand(name: str) -> tuple[str, ...]:
    """List every subscription that matches the concrete ``name``: n + 2 for n segments (C-8).

    >>> expand("/a/b")
    ('/a/b', '/a/*', '/a/**', '/**')
    """
    parents = [name[:end] for end, char in enumerate(name) if char == "/"]
    return (name, parents[-1] + "/*", *(parent + "/**" for parent in reversed(parents)))


def matches(pattern: str, name: str) -> bool:
    """Say whether the subscription ``pattern`` selects the concrete channel ``name`` (C-7)."""
    return pattern in expand(name)


def covering(pattern: str) -> tuple[str, ...]:
    """List every subscription that selects all that ``pattern`` can select, the most specific first.

    The first is ``pattern`` itself; of a concrete name they are its ``expand``.  ``/**`` selects no
    services (C-15).

    >>> covering("/a/b/*")
    ('/a/b/*', '/a/b/**', '/a/**', '/**')
    """
    if pattern.endswith("/**"):
        found = expand(pattern[:-2] + "x")[2:]
    elif pattern.endswith("/*"):
        found = expand(pattern[:-1] + "x")[1:]
    else:
        found = expand(pattern)
    return found[:-1] if is_service(pattern) else found


def covers(granted: str, requested: str) -> bool:
    """Say whether every channel that ``requested`` can ever select is selected by ``granted`` (S-10).

    Authorising a pattern asks this, never ``matches``: a grant for ``/private/*`` does not cover a
    subscription to ``/private/**``, nor does one for ``/private/a``.
    """
    return granted in covering(requested)
