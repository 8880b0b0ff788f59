"""Which messages are let in: so many a second of one session, and of one address (BAYEUX.md G-17, G-18)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from bayeux.addresses import client_of
from bayeux.channels import META_CONNECT, META_HANDSHAKE
from bayeux.errors import Flood, TooMany
from bayeux.messages import Message, Rejected
from bayeux.rates import Buckets, Rate
from bayeux.session import Link
from bayeux.sessions import Sessions
from bayeux.settings import Settings

_OF_SESSION = "messages_per_second"
_OF_ADDRESS = "messages_per_second_per_address"
_PATIENCE = 60.0
"""Seconds in which ``max_refused`` messages may be refused for their rate."""


class Admission:
    """Refuses messages beyond the rates of the settings; ``seconds`` is a clock that does not jump.

    Connects of live sessions are not counted: with long-polling there is one for each delivery, and they
    have a limit of their own (G-25).
    """

    def __init__(self, settings: Settings, sessions: Sessions, seconds: Callable[[], float]) -> None:
        self._find = sessions.get
        self._seconds = seconds
        self._prefix = settings.ipv6_prefix
        self._depth, self._interval = inf, 0.0  # of a session's bucket, taken from here with every message
        if settings.messages_per_second:
            rate = Rate(settings.messages_per_second, settings.messages_burst)
            self._depth, self._interval = rate.depth, rate.interval
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
        address = link.address
        if ":" in address:
            address = client_of(address, self._prefix)
        admitted: list[Message | Rejected] | None = None
        for index, message in enumerate(messages):
            session = self._find(message.client_id)
            if session is None or message.channel == META_HANDSHAKE:  # which says nothing of a session (H-1)
                limit = self._exceeded(message.channel, address, now)
                if not limit:
                    continue
            elif message.channel == META_CONNECT:
                continue
            else:  # as nearly always
                full_at = session.messages_full_at
                if full_at - now > self._depth:
                    limit = _OF_SESSION
                else:
                    session.messages_full_at = (full_at if full_at > now else now) + self._interval
                    if self._messages is None or self._messages.take(address, now):
                        continue
                    limit = _OF_ADDRESS
            if admitted is None:
                admitted = list(messages)
            admitted[index] = self._reject(message, limit, address, now)
        return messages if admitted is None else admitted

    def _exceeded(self, channel: str, address: str, now: float) -> str:
        """Count a message of nobody's; returns the setting of which it is too many, "" if of none."""
        if channel == META_HANDSHAKE and self._handshakes is not None and (
            not self._handshakes.take(address, now)
        ):
            return "handshakes_per_second_per_address"
        if self._messages is not None and not self._messages.take(address, now):
            return _OF_ADDRESS
        return ""

    def _reject(self, message: Message | Rejected, limit: str, address: str, now: float) -> Rejected:
        whose = message.client_id if limit == _OF_SESSION else address
        if not self._refused.take(whose or "", now):
            raise Flood
        return Rejected(TooMany(limit), message.channel, message.id, message.subscription)


def _buckets(per_second: float, burst: int) -> Buckets | None:
    return Buckets(Rate(per_second, burst)) if per_second else None
