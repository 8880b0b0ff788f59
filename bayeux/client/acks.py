"""Acknowledged delivery, seen from the client (section 19.1)."""

from __future__ import annotations

from bayeux.channels import META_CONNECT
from bayeux.client.envelopes import Message
from bayeux.client.extensions import add


class Acks:
    """The number of the last batch of events that was handed out, if the server numbers them.

    The server answers each connect with what it does not acknowledge, or the first of it.  So the events in
    the answer to any but the newest connect, however that comes to be here, are not for us: they come again.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._number: int | float | None = None

    @property
    def agreed(self) -> bool:
        """Say whether the server numbers this session's batches."""
        return self._number is not None

    def ask(self, handshake: Message) -> None:
        """Ask for it (XA-1)."""
        if self._wanted:
            add(handshake, "ack", True)

    def begin(self, reply: Message) -> None:
        """Begin a session, as the server has agreed or not."""
        answer = _ack(reply)
        if isinstance(answer, dict):  # as newer CometD says it
            answer = answer.get("enabled")
        self._number = 0 if self._wanted and answer is True else None

    def stamp(self, connect: Message) -> None:
        """Acknowledge what was handed out (XA-4)."""
        if self._number is not None:
            add(connect, "ack", self._number)

    def take(self, reply: Message) -> None:
        """Note the number of a connect reply whose events were handed out."""
        number = _ack(reply)
        if self.agreed and isinstance(number, int | float) and not isinstance(number, bool):
            self._number = number


def _ack(message: Message) -> object:
    extra = message.get("ext")
    return extra.get("ack") if isinstance(extra, dict) else None


def answers_a_connect(message: Message) -> bool:
    """Say whether a message is the reply to a connect."""
    return message.get("channel") == META_CONNECT and "successful" in message
