"""The wire as a client sees it: messages to bytes, and a server's bytes to messages."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

from bayeux.client.errors import BadAnswer

Message = dict[str, Any]

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_UTF8_BOM = b"\xef\xbb\xbf"


def copy(value: object) -> Any:
    """Return what a receiver will make of a value; raises ``TypeError`` or ``ValueError`` if nothing."""
    return _decode(encode(value))


def decode(body: bytes) -> list[Any]:
    """Return the messages of an answer; one message alone counts as a list of it.

    Nothing is said about the elements.  Raises ``BadAnswer``.
    """
    body = body.removeprefix(_UTF8_BOM)
    try:
        found = _decode(body)
    except RecursionError:
        raise BadAnswer("the server's answer is nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = _lenient(body)
    if isinstance(found, dict):
        return [found]
    if not isinstance(found, list):
        raise _not_bayeux(body)
    return found


def _lenient(body: bytes) -> Any:
    """Decode what the strict parser refuses: the escape of half a character, which JSON allows."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError:
        raise BadAnswer("the server's answer is nested too deep") from None
    except ValueError:  # not JSON, not UTF-8
        raise _not_bayeux(body) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _not_bayeux(body: bytes) -> BadAnswer:
    start = body[:40].decode("utf-8", "replace")
    return BadAnswer(f"the server's answer is not a JSON array of messages; it begins with {start!r}")
