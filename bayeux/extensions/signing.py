"""Signed publishes: who signs with a key may publish, with a session or without (BAYEUX.md section 21)."""

from __future__ import annotations

import hmac
import os
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from twisted.internet.defer import Deferred

from bayeux.channels import is_meta, is_name
from bayeux.errors import (
    BayeuxError,
    Denied,
    InvalidChannel,
    MissingField,
    NonceReused,
    TooBusy,
    TooLarge,
    Unauthenticated,
)
from bayeux.extensions import Call, Extension
from bayeux.keys import Key, KeyRing, is_key_id
from bayeux.messages import Message, Reply, SignedMessage, check_data
from bayeux.metrics import Metrics
from bayeux.nonces import Nonces
from bayeux.settings import Settings
from bayeux.signatures import digest, publish_text

_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,14}")
"""Long enough for milliseconds, so that who sends them is told about the time."""


class _Ext(Struct, gc=False):
    hmac: Raw | UnsetType = UNSET


class _Seal(Struct, forbid_unknown_fields=True, gc=False):
    """What is in ``ext.hmac`` (Y-3); ``v`` is there so that another version can come beside this one."""

    v: Literal[1]
    kid: str
    ts: int | str
    nonce: str
    sig: str


class Signing(Extension):
    """Makes a ``SignedMessage`` of every publish that has a good signature, and refuses every other (Y-5).

    A publish without ``ext.hmac`` is none of its business: whether it needs one is for the policy to say.
    ``seconds`` is a clock that does not jump, ``wall`` tells the time of day in seconds since 1970.
    """

    reads_ext = True

    def __init__(self, keys: KeyRing, settings: Settings, metrics: Metrics, seconds: Callable[[], float],
                 wall: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._settings = settings
        self._metrics = metrics
        self._wall = wall
        self._nonces = Nonces(settings.max_nonces, 2 * settings.signature_window, seconds, wall())
        self._nobody = Key(id="", secret=os.urandom(32))

    def incoming(self, call: Call) -> Deferred[None] | None:
        """Check a publish that claims to be signed, in the order of Y-5.

        One that has been handled already is answered and not handled again (Y-9); one that is being
        handled is waited for.
        """
        message = call.message
        if message.ext is UNSET or is_meta(message.channel):
            return None
        claimed = _claimed(message.ext)
        if claimed is UNSET:
            return None
        seal, timestamp, payload = self._read(claimed, message)
        key, signature = self._verify(seal, timestamp, payload, message.channel)
        self._check_time(timestamp, call)
        return self._handle_once(call, key, f"{key.id}/{seal.nonce}", signature, timestamp, payload)

    def _read(self, claimed: Raw, message: Message) -> tuple[_Seal, int, str]:
        """Read what is signed, and by what; here nothing can be told yet of who asks (Y-1, Y-3)."""
        limit = self._settings.exceeded_by(message.channel)
        if limit or not is_name(message.channel):
            raise InvalidChannel(message.channel, limit)
        if message.data is UNSET:
            raise MissingField("data")
        try:
            seal, payload = _decode_seal(claimed), _decode_text(message.data)
        except (msgspec.DecodeError, RecursionError):
            raise self._malformed() from None
        timestamp = str(seal.ts)
        if not (is_key_id(seal.kid) and _TIMESTAMP.fullmatch(timestamp) and _NONCE.fullmatch(seal.nonce)
                and _SIGNATURE.fullmatch(seal.sig)):
            raise self._malformed()
        return seal, int(timestamp), payload

    def _verify(self, seal: _Seal, timestamp: int, payload: str, channel: str) -> tuple[Key, bytes]:
        """Return the key and the signature, if it is the key's; nobody learns which keys there are."""
        key = self._keys.find(seal.kid, self._wall())
        expected = digest((key or self._nobody).secret,
                          publish_text(seal.kid, timestamp, seal.nonce, channel, payload))
        good = hmac.compare_digest(expected, bytes.fromhex(seal.sig))
        if key is None or not good:
            kind = "unknown_key" if key is None else "wrong_signature"
            raise self._refused(kind, Unauthenticated("Invalid signature"))
        return key, expected

    def _check_time(self, timestamp: int, call: Call) -> None:
        """Refuse what is too old, too new, or of a time of which no nonces are remembered (Y-8)."""
        now = self._wall()
        if abs(now - timestamp) > self._settings.signature_window or timestamp < self._nonces.floor:
            call.answered = partial(_tell_time, int(now))
            raise self._refused("timestamp", Unauthenticated("Timestamp outside window"))

    def _handle_once(self, call: Call, key: Key, nonce: str, signature: bytes, timestamp: int,
                     payload: str) -> Deferred[None] | None:
        """Let a message be handled, unless it has been (Y-9)."""
        used = self._nonces.find(nonce)
        if used is None:
            self._use(call, nonce, signature, timestamp)
            self._accept(call, key, payload)
            return None
        if used != signature:
            raise self._refused("nonce_reused", NonceReused())
        waiting = self._nonces.wait(signature)
        if waiting is not None:  # it comes from the same sender, and what is told of it shall be true
            return waiting.addCallback(lambda _: self.incoming(call))
        self._metrics.duplicates += 1
        call.reply = Reply(call.message.channel, True, id=call.message.id)
        call.reply.extend("hmac", {"duplicate": True})
        return None

    def _use(self, call: Call, nonce: str, signature: bytes, timestamp: int) -> None:
        try:
            self._nonces.use(nonce, signature, timestamp)
        except TooBusy as error:
            raise self._refused("too_many_nonces", error) from None
        call.answered = lambda reply: self._nonces.settle(nonce, signature, reply.successful)

    def _accept(self, call: Call, key: Key, payload: str) -> None:
        """Put the payload where the data of a publish is."""
        message, text = call.message, payload.encode("utf-8")
        if not key.may_publish(message.channel):
            raise self._refused("channel", Denied("Publish denied", message.channel))
        try:
            if len(text) > key.max_payload:
                raise TooLarge("max_payload")
            data = check_data(text, self._settings)
        except BayeuxError as error:
            raise self._refused("payload", error) from None
        self._metrics.signed += 1
        call.message = SignedMessage(message.channel, message.id, message.client_id, data, ext=message.ext,
                                     key_id=key.id)

    def _malformed(self) -> BayeuxError:
        return self._refused("malformed", Unauthenticated("Signature malformed"))

    def _refused(self, kind: str, error: BayeuxError) -> BayeuxError:
        self._metrics.authentication_failures[kind] += 1
        return error


def claims_signature(message: Message) -> bool:
    """Say whether a message claims to be signed: then, as a publish, it is checked here, and never let by."""
    return message.ext is not UNSET and _claimed(message.ext) is not UNSET


def _claimed(ext: Raw) -> Raw | UnsetType:
    """Return ``ext.hmac``, if there is one; an ``ext`` that is not an object is ignored (M-31)."""
    try:
        return _decode_ext(ext).hmac
    except (msgspec.DecodeError, RecursionError):
        return UNSET


def _tell_time(now: int, reply: Reply) -> None:
    """Let a sender whose clock is wrong know what time it is (Y-5)."""
    reply.extend("hmac", {"now": now})


_decode_ext = msgspec.json.Decoder(_Ext).decode
_decode_seal = msgspec.json.Decoder(_Seal).decode
_decode_text = msgspec.json.Decoder(str).decode
