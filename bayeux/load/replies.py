"""What the driver reads: the messages of the server, as far as they concern a client of the driver."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec import Struct


class Advice(Struct, gc=False):
    """What the server tells a client to do next."""

    reconnect: str | None = None
    interval: float | None = None
    """Milliseconds."""


class Reply(Struct, rename="camel", gc=False):
    """One message of the server; an event has no ``successful``."""

    channel: str = ""
    successful: bool | None = None
    error: str | None = None
    client_id: str | None = None
    advice: Advice | None = None


class NotBayeux(Exception):
    """The server has sent something that is no Bayeux; the text says how it begins."""


_decode_many = msgspec.json.Decoder(list[Reply], strict=False).decode
_decode_one = msgspec.json.Decoder(Reply, strict=False).decode
_ERROR = re.compile(r"(\d{3}):[^:]*:(.*)", re.DOTALL)
_SHOWN = 60


def decode(text: bytes) -> Sequence[Reply]:
    """Decode what came in one response or frame.  Raises ``NotBayeux``."""
    try:
        return _decode_many(text)
    except msgspec.DecodeError:
        pass
    try:
        return (_decode_one(text),)
    except msgspec.DecodeError:
        raise NotBayeux(f"not Bayeux: {excerpt(text)}") from None


def excerpt(text: bytes) -> str:
    """Return the beginning of something, on one line."""
    shown = " ".join(text[:_SHOWN].decode(errors="replace").split())
    return f"{shown!r}{'...' if len(text) > _SHOWN else ''}" if text else "nothing"


def reason(reply: Reply) -> str:
    """Return why something was refused, without what differs from client to client."""
    error = reply.error or "no reason given"
    found = _ERROR.fullmatch(error)
    return f"{found[1]} {found[2]}".strip() if found else error[:_SHOWN]
