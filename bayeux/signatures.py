"""Signatures: what is signed, letter by letter, and messages, grants and tokens that carry one (21.2, 21.4).

A publish carries its payload as a *string* of JSON text, and that string is what is signed: it comes out
of any JSON parser as it went in, so nobody has to agree on how an object is written.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Iterable
from typing import Any

import jwt
import msgspec

from bayeux.channels import is_name, is_pattern
from bayeux.errors import InvalidChannel
from bayeux.keys import Key

_PUBLISH = "bayeux-publish-v1"
_SUBSCRIBE = "bayeux-subscribe-v1"
"""Version and purpose: a signature for the one can never serve as the other (Y-2)."""


def publish_text(key_id: str, timestamp: int, nonce: str, channel: str, payload: str) -> bytes:
    """Return what the signature of a publish is made of (Y-2).

    The caller sees to it that no part but the last has a line break: then nothing can be moved from one
    part to another.
    """
    return f"{_PUBLISH}\n{key_id}\n{timestamp}\n{nonce}\n{channel}\n{payload}".encode()


def grant_text(key_id: str, expires: int, subject: str, pattern: str) -> bytes:
    """Return what the signature of a channel grant is made of (Y-15)."""
    return f"{_SUBSCRIBE}\n{key_id}\n{expires}\n{subject}\n{pattern}".encode()


def digest(secret: bytes, text: bytes) -> bytes:
    """Return the signature of a text: HMAC-SHA256, 32 bytes; the wire has it as lower-case hex."""
    return hmac.digest(secret, text, "sha256")


def sign_json(key: Key, channel: str, payload: str, *, timestamp: int | None = None,
              nonce: str | None = None) -> dict[str, Any]:
    """Return a signed publish of a payload that is JSON text already (Y-1 to Y-3).

    ``timestamp`` is in seconds since 1970, by default now; ``nonce`` is 16 to 64 letters, digits, ``_``
    or ``-``, by default new ones.  To try again after an answer was lost, send the same message.
    Raises ``InvalidChannel`` for what is no channel.
    """
    if not is_name(channel):
        raise InvalidChannel(channel)
    timestamp = int(time.time()) if timestamp is None else timestamp
    nonce = secrets.token_urlsafe(16) if nonce is None else nonce
    signature = digest(key.secret, publish_text(key.id, timestamp, nonce, channel, payload))
    return {"channel": channel, "data": payload, "ext": {"hmac": {
        "v": 1, "kid": key.id, "ts": timestamp, "nonce": nonce, "sig": signature.hex()}}}


def sign(key: Key, channel: str, data: object, *, timestamp: int | None = None,
         nonce: str | None = None) -> dict[str, Any]:
    """Return a signed publish of any value that JSON can hold; the rest is as with ``sign_json``.

    Raises ``InvalidChannel``, and ``TypeError`` or ``ValueError`` for a value that JSON cannot hold.
    """
    payload = msgspec.json.encode(data).decode("utf-8")
    return sign_json(key, channel, payload, timestamp=timestamp, nonce=nonce)


def sign_grant(key: Key, subject: str, pattern: str, *, expires: int) -> dict[str, Any]:
    """Return the ``ext.grant`` with which a client may subscribe to what the pattern covers (Y-15).

    ``subject`` is the user's name, ``expires`` in seconds since 1970.  Raises ``InvalidChannel`` for what
    is no pattern, and ``ValueError`` for a name with a line break, which could pass for another part.
    """
    _check_patterns(pattern)
    if "\n" in subject:
        raise ValueError("a name cannot have a line break")
    signature = digest(key.secret, grant_text(key.id, expires, subject, pattern))
    return {"v": 1, "kid": key.id, "exp": expires, "sub": subject, "pat": pattern, "sig": signature.hex()}


def sign_token(key: Key, subject: str, *, expires: int, subscribe: Iterable[str] = (),
               publish: Iterable[str] = (), issued: int | None = None, token_id: str | None = None) -> str:
    """Return the ``ext.token`` with which a client may shake hands: a JWT of HS256 (Y-15).

    ``subject`` is the user's name; ``subscribe`` and ``publish`` are patterns of what the session may do;
    ``expires`` and ``issued``, by default now, are in seconds since 1970.  Raises ``InvalidChannel`` for
    what is no pattern.
    """
    channels = {"s": list(subscribe), "p": list(publish)}
    _check_patterns(*channels["s"], *channels["p"])
    claims = {
        "sub": subject,
        "iat": int(time.time()) if issued is None else issued,
        "exp": expires,
        "jti": secrets.token_urlsafe(12) if token_id is None else token_id,
        "ch": channels,
    }
    return jwt.encode(claims, key.secret, algorithm="HS256", headers={"kid": key.id})


def _check_patterns(*patterns: str) -> None:
    for pattern in patterns:
        if not is_pattern(pattern):
            raise InvalidChannel(pattern)
