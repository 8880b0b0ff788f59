"""What can go wrong, and what the peer is told about it.

``BayeuxError``            one message failed; becomes the ``error`` of its reply
    ``MalformedMessage``       400, the element is not a Bayeux message
    ``MissingField``           400, a required field is absent
    ``MissingClientID``        401
    ``Unauthenticated``        401, a token, grant or signature is missing or wrong
        ``Expired``                it was right, but is not good any more
    ``UnknownClient``          402, expired, never existed, or not this browser's
    ``Denied``                 403, policy, reserved channel, count limit
    ``UnknownChannel``         404, no such meta channel
    ``InvalidChannel``         405, grammar
    ``NonceReused``            409, a nonce has served for another signature
    ``TooLarge``               413, one message
    ``TooMany``                429, rate or count
    ``InternalError``          500, a handler failed
    ``TooBusy``                503, overloaded or shutting down
``EnvelopeError``          nothing in the envelope can be answered; the transport refuses it whole
    ``MalformedEnvelope``      not JSON, not UTF-8, wrong shape, too deep
    ``TooManyMessages``        batch over the limit
    ``Flood``                  messages keep coming beyond their rate

Their ``limit`` is the setting that was exceeded, "" if none was: for the counters, and told to nobody.
Any handler may raise a ``BayeuxError``; the hub turns it into the reply of the message that caused it.
"""

from __future__ import annotations

import re

_TEXT = re.compile(r"[A-Za-z0-9\-_!~()$@ /*.]*")
_ARGUMENT = re.compile(r"[A-Za-z0-9\-_!~()$@ /*.]{1,64}")


class BayeuxError(Exception):
    """A message failed, and its sender is told ``code:arguments:text`` (E-1).

    ``code`` is three digits, ``text`` is for people and may hold letters, digits, blanks and
    ``- _ ! ~ ( ) $ @ / * .`` only.  Arguments that came from the peer and do not fit the grammar, or
    are longer than 64 characters, are left out (E-3).  Raises ``ValueError`` for a code or text of
    our own that the grammar does not allow: that is a fault in the program, not in a message.
    """

    def __init__(self, code: int, text: str, *arguments: str, limit: str = "") -> None:
        if not 100 <= code <= 999:
            raise ValueError(f"an error code has three digits: {code}")
        if not _TEXT.fullmatch(text):
            raise ValueError(f"characters that a Bayeux error text cannot hold: {text!r}")
        self.code = code
        self.text = text
        self.limit = limit
        self.arguments = arguments if all(map(_ARGUMENT.fullmatch, arguments)) else ()
        super().__init__(f"{code}:{','.join(self.arguments)}:{text}")


class MalformedMessage(BayeuxError):
    """An element of a batch is no Bayeux message, or a field has the wrong type (E-10)."""

    def __init__(self) -> None:
        super().__init__(400, "Malformed message")


class MissingField(BayeuxError):
    """A required field is absent (E-11)."""

    def __init__(self, field: str) -> None:
        super().__init__(400, "Missing field", field)


class MissingClientID(BayeuxError):
    """A message that needs a session names none (E-12)."""

    def __init__(self) -> None:
        super().__init__(401, "No client ID")


class Unauthenticated(BayeuxError):
    """A token, grant or signature is missing or wrong (E-23)."""

    def __init__(self, text: str = "Authentication invalid") -> None:
        super().__init__(401, text)


class Expired(Unauthenticated):
    """A token or grant was right, but is not good any more: a fresh one is needed (Y-15, Y-16)."""

    def __init__(self, text: str = "Token expired") -> None:
        super().__init__(text)


class UnknownClient(BayeuxError):
    """The clientId is expired, was never issued, or may not be used from here (E-13)."""

    def __init__(self, client_id: str = "") -> None:
        super().__init__(402, "Unknown client ID", *([client_id] if client_id else []))


class Denied(BayeuxError):
    """Something is forbidden: by policy, by a reserved channel, by a count limit (E-14 to E-17)."""

    def __init__(self, text: str, *arguments: str, limit: str = "") -> None:
        super().__init__(403, text, *arguments, limit=limit)


class UnknownChannel(BayeuxError):
    """A meta channel that does not exist (E-18)."""

    def __init__(self, channel: str) -> None:
        super().__init__(404, "Unknown channel", channel)


class InvalidChannel(BayeuxError):
    """A channel name or pattern that the grammar does not allow (E-19)."""

    def __init__(self, channel: str, limit: str = "") -> None:
        super().__init__(405, "Invalid channel", channel, limit=limit)


class NonceReused(BayeuxError):
    """A nonce has been used before, with a different signature (E-28)."""

    def __init__(self) -> None:
        super().__init__(409, "Nonce reused")


class TooLarge(BayeuxError):
    """One message, or its ``ext``, is over its limit (E-24)."""

    def __init__(self, limit: str = "") -> None:
        super().__init__(413, "Message too large", limit=limit)


class TooMany(BayeuxError):
    """A rate, or the number of things asked for at once, is over its limit (E-25)."""

    def __init__(self, limit: str = "") -> None:
        super().__init__(429, "Too many requests", limit=limit)


class InternalError(BayeuxError):
    """A handler failed in a way that it did not foresee (E-26)."""

    def __init__(self) -> None:
        super().__init__(500, "Internal server error")


class TooBusy(BayeuxError):
    """The server is overloaded or shutting down (E-27)."""

    def __init__(self, limit: str = "") -> None:
        super().__init__(503, "Server too busy", limit=limit)


class EnvelopeError(Exception):
    """An envelope cannot be processed at all, so no Bayeux reply can be formed (M-3).

    Its text is constant, without anything of the input in it (G-23).
    """

    def __init__(self, text: str, limit: str = "") -> None:
        super().__init__(text)
        self.limit = limit


class MalformedEnvelope(EnvelopeError):
    """Not JSON, not UTF-8, neither array nor object, nested too deep (M-3, M-6 to M-9, G-6)."""


class TooManyMessages(EnvelopeError):
    """A batch is longer than ``max_batch`` (G-5)."""

    def __init__(self, text: str = "too many messages in one request") -> None:
        super().__init__(text, "max_batch")


class Flood(EnvelopeError):
    """Its sender goes on and on though messages are refused for their rate (G-17)."""

    def __init__(self) -> None:
        super().__init__("too many messages in too little time", "max_refused")
