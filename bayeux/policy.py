"""Who may handshake, subscribe and publish."""

from __future__ import annotations

from collections.abc import Awaitable

from bayeux.channels import expand, is_pattern, is_service
from bayeux.errors import InvalidChannel, MissingClientID
from bayeux.messages import Message, SignedMessage
from bayeux.session import Link, Session

Verdict = bool | Awaitable[bool]
"""Yes or no, at once or later; a ``BayeuxError`` raised instead is told to the client as it is."""


class Policy:
    """The default: anybody may handshake and subscribe, a session or a signature is needed to publish.

    Subclass it for other rules.  A method may return a Deferred or be a coroutine; an exception that
    is no ``BayeuxError`` refuses, with ``500::`` for an answer.
    """

    def can_handshake(self, message: Message, link: Link) -> Verdict:
        """Say whether a session may be created (H-14); ``message.extensions()`` holds credentials."""
        return True

    def can_subscribe(self, session: Session, pattern: str, message: Message, link: Link) -> Verdict:
        """Say whether a session may subscribe; decide patterns by ``channels.covers`` (S-10)."""
        return True

    def can_publish(self, session: Session | None, channel: str, message: Message,
                    link: Link) -> Verdict:
        """Say whether a message may be published; without a session it is stateless (P-8).

        It is a ``SignedMessage`` where a key has signed it, which may publish there (Y-11).
        """
        if session is None and not isinstance(message, SignedMessage):
            raise MissingClientID
        return True


class ListenOnly(Policy):
    """Clients may listen to some channels, where only the server publishes; the rest is as before.

    ``patterns`` are such as ``/prices/*``; ``before`` is the policy that decides everything else.
    Raises ``InvalidChannel`` for what is no pattern.
    """

    def __init__(self, *patterns: str, before: Policy | None = None) -> None:
        for pattern in patterns:
            if not is_pattern(pattern):
                raise InvalidChannel(pattern)
        self._patterns = frozenset(patterns)
        self._before = before or Policy()

    def can_handshake(self, message: Message, link: Link) -> Verdict:
        """Ask the policy before."""
        return self._before.can_handshake(message, link)

    def can_subscribe(self, session: Session, pattern: str, message: Message, link: Link) -> Verdict:
        """Ask the policy before."""
        return self._before.can_subscribe(session, pattern, message, link)

    def can_publish(self, session: Session | None, channel: str, message: Message,
                    link: Link) -> Verdict:
        """Refuse what only the server publishes, ask the policy before about the rest."""
        if not is_service(channel) and not self._patterns.isdisjoint(expand(channel)):  # C-15
            return False
        return self._before.can_publish(session, channel, message, link)
