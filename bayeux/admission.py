"""Which messages are let in: so many a second of one session, and of one address (BAYEUX.md G-17, G-18)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bayeux.addresses import client_of
from bayeux.channels import META_CONNECT, META_HANDSHAKE
from bayeux.errors import Flood, TooMany
from bayeux.messages import Message, Rejected
from bayeux.rates import Buckets, Rate
from bayeux.session import Link, Session
from bayeux.sessions import Sessions
from bayeux.settings import Settings

_OF_SESSION = "messages_per_second"
_PATIENCE = 60.0
"""Seconds in which ``max_refused`` messages may be refused for their rate."""


class Admission:
    """Refuses messages beyond the rates of the settings; ``seconds`` is a clock that does not jump.

    Connects of live sessions are not counted: with long-polling there is one for each delivery, and they
    have a limit of their own (G-25).
    """

    def __init__(self, settings: Settings, sessions: Sessions, seconds: Callable[[], float]) -> None:
        self._sessions = sessions
        self._seconds = seconds
        self._prefix = settings.ipv6_prefix
        self._session_rate = _rate(settings.messages_per_second, settings.messages_burst)
        self._messages = _buckets(settings.messages_per_second_per_address,
                                  settings.messages_burst_per_address)
        self._handshakes = _buckets(settings.handshakes_per_second_per_address,
                                    settings.handshakes_burst_per_address)
        self._refused = Buckets(Rate(settings.max_refused / _PATIENCE, settings.max_refused))

    @classmethod
    def of(cls, settings: Settings, sessions: Sessions, seconds: Callable[[], float]) -> Admission | None:
        """Return one if the settings limit any rate that it knows of."""
        limited = (settings.messages_per_second or settings.messages_per_second_per_address
                   or settings.handshakes_per_second_per_address)
        return cls(settings, sessions, seconds) if limited else None

    def admit(self, messages: Sequence[Message | Rejected], link: Link) -> Sequence[Message | Rejected]:
        """Return the messages, those that are too many being rejected; they are answered each (E-25).

        Raises ``Flood`` once too many have been: then none of them is handled.
        """
        now = self._seconds()
        address = client_of(link.address, self._prefix)
        admitted = []
        for message in messages:
            session = None if isinstance(message, Rejected) or message.client_id is None else (
                self._sessions.get(message.client_id))
            limit = self._exceeded(message.channel, session, address, now)
            if limit:
                whose = session.id if session is not None and limit == _OF_SESSION else address
                if not self._refused.take(whose, now):
                    raise Flood
                message = _rejected(message, limit)
            admitted.append(message)
        return admitted

    def _exceeded(self, channel: str, session: Session | None, address: str, now: float) -> str:
        """Count a message; returns the setting of which it is too many, "" if of none."""
        if channel == META_HANDSHAKE:
            if self._handshakes is not None and not self._handshakes.take(address, now):
                return "handshakes_per_second_per_address"
            session = None  # what it says of one is ignored (H-1)
        elif session is not None:
            if channel == META_CONNECT:
                return ""
            rate = self._session_rate
            if rate is not None:
                if rate.wait(session.messages_full_at, now):
                    return _OF_SESSION
                session.messages_full_at = rate.take(session.messages_full_at, now)
        if self._messages is not None and not self._messages.take(address, now):
            return "messages_per_second_per_address"
        return ""


def _rejected(message: Message | Rejected, limit: str) -> Rejected:
    subscription = None if isinstance(message, Rejected) else message.subscription
    return Rejected(TooMany(limit), message.channel, message.id, subscription)


def _rate(per_second: float, burst: int) -> Rate | None:
    return Rate(per_second, burst) if per_second else None


def _buckets(per_second: float, burst: int) -> Buckets | None:
    return Buckets(Rate(per_second, burst)) if per_second else None
