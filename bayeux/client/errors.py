"""What can go wrong between a client and its server.

``ClientError``              base of all
    ``Refused``                  the server has answered, and the answer is no: its code and text are told
        ``HandshakeRefused``         it does not let us in
        ``SubscribeRefused``         one channel
        ``PublishRefused``           one message
        ``SessionEnded``             it has ended the session and does not want us back
    ``TransportError``           no answer that could be used has come
        ``ConnectionFailed``         no connection, or it was lost
        ``NoAnswer``                 not in time, or an answer that leaves out what was asked
        ``BadStatus``                HTTP, and not 200 (or, for a WebSocket, not 101)
        ``BadAnswer``                not a JSON array of messages
        ``TooMuch``                  larger than ``max_answer``
    ``Uncertain``                a message was on its way when the connection was lost: it may have arrived
    ``NoCommonTransport``        the server offers none of those that we may use
    ``ConnectTimeout``           not connected within the time that was given
    ``Closed``                   the client has ended, and the message was not sent
    ``OutboxFull``               too many messages wait already; this one was not sent
    ``Overflow``                 events came faster than they were taken from a subscription
    ``Unsubscribed``             a subscription was given up before it was ready
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ERROR = re.compile(r"(\d{3}):([^:]*):(.*)", re.DOTALL)
_TEMPORARY = frozenset({408, 425, 429})


class ClientError(Exception):
    """Whatever a client raises, and fails its Deferreds with."""


class Refused(ClientError):
    """The server has refused something; it says so as ``code:arguments:text`` (E-1).

    ``code`` is 0 and ``text`` all that it said where it does not follow that grammar.
    """

    what = "this"

    def __init__(self, reply: Mapping[str, Any], channel: str = "") -> None:
        said = reply.get("error")
        said = said if isinstance(said, str) and said else "no reason given"
        found = _ERROR.fullmatch(said)
        self.reply = reply
        """The whole reply."""
        self.channel = channel
        """What it was about, if it was about one channel."""
        self.code = int(found[1]) if found else 0
        self.arguments = tuple(found[2].split(",")) if found and found[2] else ()
        self.text = found[3] if found else said
        place = f" {channel}" if channel else ""
        super().__init__(f"the server refuses {self.what}{place}: {said}")

    @property
    def temporary(self) -> bool:
        """Say whether it means "not now": too many, too busy, a fault of the server's (E-25 to E-27)."""
        return self.code in _TEMPORARY or 500 <= self.code < 600

    @property
    def is_unknown_client(self) -> bool:
        """Say whether the session is gone, in the words of any server (E-13)."""
        said = self.text.lower()
        return ("unknown client" in said or "session_unknown" in said
                or (self.code == 402 and "missing" not in said))

    @property
    def is_invalid_replay(self) -> bool:
        """Say whether it is a replayId that the server no longer has (XR-9)."""
        return self.code == 400 and "replayid" in self.text.lower()


class HandshakeRefused(Refused):
    """The server does not let us in."""

    what = "the handshake"


class SubscribeRefused(Refused):
    """The server refuses a subscription."""

    what = "to subscribe to"


class PublishRefused(Refused):
    """The server refuses a message."""

    what = "to publish to"


class SessionEnded(Refused):
    """The server has ended the session, and advises neither to connect nor to shake hands again."""

    what = "to go on"


class TransportError(ClientError):
    """No answer has come that could be used, so nobody can say what the server did, if anything."""

    @property
    def is_certain(self) -> bool:
        """Say whether the server has certainly done nothing of what it was asked."""
        return False

    @property
    def is_lasting(self) -> bool:
        """Say whether another try will hardly fare better, if none has ever fared well."""
        return False


class ConnectionFailed(TransportError):
    """The server could not be reached, or the connection to it was lost."""

    def __init__(self, text: str, sent: bool = True) -> None:
        super().__init__(text)
        self._sent = sent

    @property
    def is_certain(self) -> bool:
        """Say whether there never was a connection."""
        return not self._sent


class NoAnswer(TransportError):
    """The server has not answered in time, or has left something out of its answer."""


class BadStatus(TransportError):
    """The HTTP status of an answer is not the one that a Bayeux server gives."""

    def __init__(self, status: int, transport: str, location: str = "") -> None:
        hint = f", which redirects to {location}: use that address" if location else ""
        super().__init__(f"the server answers {transport} with HTTP status {status}{hint}")
        self.status = status

    @property
    def is_certain(self) -> bool:
        """Say whether the request was turned away before it was looked into (E-4)."""
        return 300 <= self.status < 500 and self.status not in {408, 409}

    @property
    def is_lasting(self) -> bool:
        """Say whether the address is wrong, or the way to it closed."""
        return 300 <= self.status < 500 and self.status not in _TEMPORARY


class BadAnswer(TransportError):
    """An answer is not a JSON array of messages: perhaps there is no Bayeux server at that address."""


class TooMuch(TransportError):
    """An answer is larger than ``ClientSettings.max_answer``."""


class Uncertain(ClientError):
    """A message was on its way when the connection was lost, so it may or may not have arrived.

    ``__cause__`` is the ``TransportError``.  It is sent again only if ``publish`` was told to, by ``resend``.
    """


class NoCommonTransport(ClientError):
    """The server offers none of the transports that this client may use."""


class ConnectTimeout(ClientError):
    """The client was not connected within the time that it was given; ``__cause__`` says what went wrong."""


class Closed(ClientError):
    """The client has ended, or ends; the message was certainly not sent."""


class OutboxFull(ClientError):
    """``ClientSettings.max_outbox`` messages wait already; the message was certainly not sent."""


class Overflow(ClientError):
    """Events came faster than they were taken, and the subscription was to fail then rather than lose any."""


class Unsubscribed(ClientError):
    """A subscription was given up before the server had agreed."""
