"""Envelopes inside other encodings: form bodies and query strings (L-3, L-4, J-1)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from functools import lru_cache

from bayeux.errors import EnvelopeError, MalformedEnvelope, TooManyMessages
from bayeux.messages import Message, Rejected, decode
from bayeux.settings import Settings

_OTHER_FIELDS = 20
"""Fields that a form may have beside its messages; they are ignored."""
_NAMES = (b"message", b"jsonp")
_LONGEST_REMEMBERED = 100
"""Characters of a Content-Type that is read once only, as clients send few different ones."""
_LONE_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MOST_LONE = 1_000
"""Percent signs that hide nothing, in one field: clients that encode at all have none, and each is costly."""
_LONGEST_NAME = 3 * len("message")
"""A field with a longer name is none of ours, however it is encoded."""


class UnsupportedType(EnvelopeError):
    """The body is of a content type, or in a charset, that is not read."""


def decode_body(content_type: str, body: bytes, settings: Settings) -> Sequence[Message | Rejected]:
    """Decode a POST body by its Content-Type (L-3).  Raises ``EnvelopeError``."""
    kind, charset = _media_type(content_type)
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise UnsupportedType("use UTF-8")
    if kind in ("application/json", "text/json") or kind.endswith("+json"):
        return decode(body, settings)
    if kind == "application/x-www-form-urlencoded":
        return decode_fields(parse(body, settings), settings)
    if kind in ("", "text/plain", "application/xml"):
        if body.startswith(b"message="):
            return decode_fields(parse(body, settings), settings)
        return decode(body, settings)
    raise UnsupportedType("use application/json")


def decode_fields(fields: Sequence[tuple[bytes, bytes]],
                  settings: Settings) -> Sequence[Message | Rejected]:
    """Decode every ``message`` field, each one message or an array, into one batch (L-3)."""
    values = [value for name, value in fields if name == b"message"]
    if not values:
        raise MalformedEnvelope("no message parameter")
    if len(values) == 1:
        return decode(values[0], settings)
    messages: list[Message | Rejected] = []
    for value in values:
        messages += decode(value, settings)
        if len(messages) > settings.max_batch:
            raise TooManyMessages
    return messages


def parse(text: bytes, settings: Settings) -> list[tuple[bytes, bytes]]:
    """Split form fields and undo percent-encoding, ``+`` being a blank (L-4).

    Fields that are none of ours are left out.  Raises ``TooManyMessages`` for an absurd number, and
    ``MalformedEnvelope``.
    """
    fields = text.split(b"&", settings.max_batch + _OTHER_FIELDS)
    if len(fields) > settings.max_batch + _OTHER_FIELDS:
        raise TooManyMessages("too many form fields")
    ours = []
    for field in fields:
        name, _, value = field.partition(b"=")
        if len(name) <= _LONGEST_NAME and (name := _unquote(name)) in _NAMES:
            ours.append((name, _unquote(value)))
    return ours


def _unquote(text: bytes) -> bytes:
    """Undo percent-encoding; raises ``MalformedEnvelope`` where far too many signs hide nothing.

    What it becomes is quoted-printable, which is the same by another sign and is read in C: urllib takes
    more than a second for a megabyte, and a hundred times its memory.
    """
    text, lone = _LONE_PERCENT.subn(b"%25", text.replace(b"+", b" "), _MOST_LONE + 1)
    if lone > _MOST_LONE:
        raise MalformedEnvelope("too many bare percent signs")
    return binascii.a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"="))


def _media_type(content_type: str) -> tuple[str, str]:
    """Read a Content-Type: what it is, and its charset, "" if it has none."""
    if len(content_type) > _LONGEST_REMEMBERED:
        return _read_media_type(content_type)
    return _remembered_media_type(content_type)


def _read_media_type(content_type: str) -> tuple[str, str]:
    kind, _, parameters = content_type.partition(";")
    charset = ""
    for parameter in parameters.split(";") if parameters else ():
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
            break
    return kind.strip().lower(), charset


_remembered_media_type = lru_cache(maxsize=128)(_read_media_type)
