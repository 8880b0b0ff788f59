"""Binary data: relayed as the text that it came as, and read and written for handlers (19.5)."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from bayeux.errors import MalformedMessage
from bayeux.extensions import Call, Extension
from bayeux.messages import Encoded, Event, encode_data

_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
"""The same digits as Python's base 85 writes them, which pads and cuts the tail in the same way."""
_WRITE = bytes.maketrans(_B85, _Z85)
_READ = bytes.maketrans(_Z85, _B85)
_FOREIGN = bytes(set(range(256)) - set(_Z85))


class Binary(Extension):
    """Lets subscribers know what is binary (XB-2); nothing else of the publisher's ``ext`` gets out (D-4)."""

    def publishing(self, event: Event, call: Call | None) -> None:
        """Mark an event whose publisher has marked it, or that was made by ``pack``."""
        if isinstance(event.data, _Packed) or (
            call is not None and isinstance(call.message.extensions().get("binary"), dict)
        ):
            event.extend("binary", {})


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of binary data as a client publishes it (XB-1)."""

    data: bytes
    last: bool = True
    """Whether nothing comes after it."""
    meta: object = None
    """Whatever the application wants to know of it."""


class _Packed(Encoded):
    __slots__ = ()


def pack(chunk: Chunk) -> Encoded:
    """Make of binary data what an application can publish, deliver, or return from a service handler.

    Raises ``TypeError`` or ``ValueError`` for a ``meta`` that JSON cannot hold.
    """
    fields: dict[str, object] = {"data": encode(chunk.data), "last": chunk.last}
    if chunk.meta is not None:
        fields["meta"] = chunk.meta
    return _Packed(encode_data(fields))


def unpack(data: object) -> Chunk:
    """Read the data that a handler was given; raises ``MalformedMessage`` if it is not binary (XB-4)."""
    if not isinstance(data, dict):
        raise MalformedMessage
    text, last = data.get("data"), data.get("last", True)
    if not isinstance(text, str) or not isinstance(last, bool):
        raise MalformedMessage
    return Chunk(decode(text), last, data.get("meta"))


def encode(data: bytes) -> str:
    """Write bytes as Z85; a tail of one to three bytes takes one character more than it has (XB-3)."""
    return base64.b85encode(data).translate(_WRITE).decode("ascii")


def decode(text: str) -> bytes:
    """Read Z85; raises ``MalformedMessage`` for what no bytes are written as (XB-4)."""
    try:
        digits = text.encode("ascii")
        if len(digits) % 5 == 1 or digits.translate(None, _FOREIGN) != digits:
            raise MalformedMessage
        return base64.b85decode(digits.translate(_READ))
    except ValueError:  # not ASCII, or five digits that are more than four bytes can hold
        raise MalformedMessage from None
