"""What was sent and not answered yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from bayeux.client.carriers import Carrier
from bayeux.client.effects import Abort, Effect, Send, Start, Stop
from bayeux.client.envelopes import Message, encode
from bayeux.client.extensions import ClientExtensions
from bayeux.client.outbox import Request


class Purpose(Enum):
    """What an exchange is for."""

    HANDSHAKE = auto()
    CONNECT = auto()
    REQUESTS = auto()


@dataclass(eq=False, slots=True)
class Exchange:
    """One envelope, and what of its answer is still to come."""

    number: int
    purpose: Purpose
    carrier: Carrier
    session: str | None
    waiting: dict[str, Request] = field(default_factory=dict)
    """The requests without a reply, by their message ids."""
    returned: list[Request] = field(default_factory=list)
    """Requests that the server has turned away because it does not know the session."""


class Exchanges:
    """All exchanges that are under way, and the numbers of all messages ever sent."""

    def __init__(self, extensions: ClientExtensions, emit: Callable[[Effect], None]) -> None:
        self._extensions = extensions
        self._emit = emit
        self._all: dict[int, Exchange] = {}
        self._numbers = 0
        self._message_ids = 0

    def __iter__(self) -> Iterator[Exchange]:
        return iter(list(self._all.values()))

    def send(self, purpose: Purpose, carrier: Carrier, messages: Iterable[tuple[Request, Message]],
             session: str | None, timeout: float) -> Exchange:
        """Send one envelope; each message gets an id."""
        self._numbers += 1
        exchange = self._all[self._numbers] = Exchange(self._numbers, purpose, carrier, session)
        encoded = []
        for request, message in messages:
            self._message_ids += 1
            message["id"] = str(self._message_ids)
            encoded.append(self._extended(message))
            exchange.waiting[str(self._message_ids)] = request
        self._emit(Start(("exchange", exchange.number), timeout))
        self._emit(Send(carrier.name, exchange.number, b"[" + b",".join(encoded) + b"]"))
        return exchange

    def _extended(self, message: Message) -> bytes:
        """Encode a message as the extensions want it, or without them if that cannot be encoded."""
        plain = dict(message)
        self._extensions.outgoing(message)
        try:
            return encode(message)
        except (TypeError, ValueError, RecursionError) as error:
            self._extensions.report(error)
            return encode(plain)

    def find(self, number: int) -> Exchange | None:
        """Return the exchange of a number, if it is under way."""
        return self._all.get(number)

    def by(self, carrier: Carrier) -> list[Exchange]:
        """List what is under way by one transport."""
        return [exchange for exchange in self._all.values() if exchange.carrier is carrier]

    def for_(self, purpose: Purpose) -> list[Exchange]:
        """List what is under way for one purpose."""
        return [exchange for exchange in self._all.values() if exchange.purpose is purpose]

    def match(self, carrier: Carrier, message: Message) -> tuple[Exchange, Request] | None:
        """Return what a reply answers, which then waits no more; None if nothing.

        A server that does not repeat ids is understood as far as it can be: by the channel.
        """
        identity = message.get("id")
        for exchange in self.by(carrier):
            for known, request in exchange.waiting.items():
                if known == identity or (identity is None and request.channel == message["channel"]):
                    del exchange.waiting[known]
                    return exchange, request
        return None

    def finish(self, exchange: Exchange) -> None:
        """Wait for nothing more of an exchange."""
        if self._all.pop(exchange.number, None) is not None:
            self._emit(Stop(("exchange", exchange.number)))

    def abort(self, exchange: Exchange) -> None:
        """Give an exchange up, and free what carries it."""
        if exchange.number in self._all:
            self.finish(exchange)
            self._emit(Abort(exchange.carrier.name, exchange.number))
