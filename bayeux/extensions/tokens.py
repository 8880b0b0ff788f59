"""Tokens and grants: what a client shows to be somebody, or to be let in somewhere (BAYEUX.md 21.4)."""

from __future__ import annotations

import hmac
import os
import re
import time
from collections.abc import Callable, Iterable
from typing import Literal

import jwt
import msgspec
from msgspec import UNSET, Raw, Struct

from bayeux.channels import META_HANDSHAKE, META_SUBSCRIBE, is_pattern, is_reserved
from bayeux.credentials import Credential, narrow
from bayeux.errors import BayeuxError, Expired, Unauthenticated
from bayeux.extensions import Call, Extension
from bayeux.keys import Key, KeyRing
from bayeux.messages import Authenticated, Message
from bayeux.metrics import Metrics
from bayeux.session import Session
from bayeux.settings import Settings

_ALGORITHM = "HS256"
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_EXPIRY = re.compile(r"[1-9][0-9]{0,11}")


class _Channels(Struct, frozen=True):
    s: tuple[str, ...] = ()
    p: tuple[str, ...] = ()


class _Claims(Struct):
    """What a token says (Y-15); what else is in it is nobody's business here."""

    exp: float
    sub: str | None = None
    nbf: float = 0.0
    iat: float = 0.0
    jti: str = ""
    ch: _Channels = _Channels()


class _Grant(Struct):
    """What is in ``ext.grant`` (Y-15)."""

    v: Literal[1]
    kid: str
    exp: int | str
    pat: str
    sig: str
    sub: str = ""


class Tokens(Extension):
    """Checks ``ext.token`` of handshakes and ``ext.grant`` of subscribes, and refuses wrong ones.

    What was right goes on as an ``Authenticated`` message.  ``wall`` tells the time of day in seconds
    since 1970.
    """

    def __init__(self, keys: KeyRing, settings: Settings, metrics: Metrics,
                 wall: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._settings = settings
        self._metrics = metrics
        self._wall = wall
        self._nobody = Key(id="", secret=os.urandom(32))
        self.reads_ext = not settings.require_token
        self.revoke(settings.revoked_tokens)

    def revoke(self, token_ids: Iterable[str]) -> None:
        """Refuse tokens with one of these ``jti``, and no others on that ground (Y-19)."""
        self.revoked = frozenset(token_ids) - {""}

    def incoming(self, call: Call) -> None:
        """Check what a handshake or a subscribe has in its ``ext``."""
        if call.message.channel == META_HANDSHAKE:
            self._shake_hands(call)
        elif call.message.channel == META_SUBSCRIBE and call.session is not None and (
            call.message.ext is not UNSET
        ):
            self._subscribe(call, call.session)

    def _shake_hands(self, call: Call) -> None:
        ext = call.message.extensions()
        token = ext.pop("token", None)
        if token is None:
            if self._settings.require_token:
                raise self.refused("token_missing", Unauthenticated("Token required"))
            return
        # Whoever keeps the message, while a policy thinks, keeps no secret (Y-17).
        call.message.ext = Raw(msgspec.json.encode(ext)) if ext else UNSET
        call.message = _authenticated(call.message, self.check(token))

    def check(self, token: object) -> Credential:
        """Return what a token says.

        Raises ``Expired`` for one that was right, ``Unauthenticated`` for any other: whoever asks does not
        learn what is wrong with it.
        """
        try:
            key, claims = self._verify(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise self.refused("token_invalid", Unauthenticated()) from None
        ends, now = min(claims.exp + self._settings.token_leeway, key.not_after), self._wall()
        if max(claims.nbf, claims.iat) > now + self._settings.token_leeway:
            raise self.refused("token_too_early", Unauthenticated())
        if claims.jti in self.revoked:
            raise self.refused("token_revoked", Unauthenticated())
        if ends <= now:
            raise self.refused("token_expired", Expired())
        return Credential(key=key, ends=ends, user=claims.sub, id=claims.jti,
                          subscribe=narrow(claims.ch.s, key.subscribe),
                          publish=narrow(claims.ch.p, key.publish))

    def _verify(self, token: object) -> tuple[Key, _Claims]:
        """Return a token's key and claims; raises whatever, unless both can be believed."""
        if not isinstance(token, str):
            raise ValueError("no token")
        if len(token) > self._settings.max_token:
            self._metrics.limited["max_token"] += 1
            raise ValueError("too long")
        header = jwt.get_unverified_header(token)
        if "crit" in header:
            raise ValueError("an extension that must be understood, and none is")
        key = self._find(str(header.get("kid", "")))
        payload = _jws.decode(token, key.secret, algorithms=[_ALGORITHM])
        claims = msgspec.json.decode(payload.decode("utf-8"), type=_Claims)
        self._check_patterns((*claims.ch.s, *claims.ch.p))
        return key, claims

    def _subscribe(self, call: Call, session: Session) -> None:
        ext = call.message.extensions()
        if ext.get("grant") is not None:
            call.message = _authenticated(call.message, self._check_grant(ext["grant"], session))

    def _check_grant(self, given: object, session: Session) -> Credential:
        """Return what a grant says; it may be for this session alone (Y-15)."""
        try:
            grant = msgspec.convert(given, _Grant)
            self._check_patterns((grant.pat,))
        except (ValueError, RecursionError):
            raise self.refused("grant_invalid", Unauthenticated()) from None
        expires = str(grant.exp)
        # No part may have a line break: then nothing can be moved from one to another.
        if not (_EXPIRY.fullmatch(expires) and _SIGNATURE.fullmatch(grant.sig) and grant.sub.isprintable()):
            raise self.refused("grant_invalid", Unauthenticated())
        key = self._find(grant.kid)
        said = f"{grant.kid}\n{expires}\n{grant.sub}\n{grant.pat}"
        texts = f"bayeux-subscribe-v1\n{said}", f"bayeux-subscribe-v1c\n{said}\n{session.id}"
        if not any(_is_signed(text, key.secret, grant.sig) for text in texts):
            raise self.refused("grant_invalid", Unauthenticated())
        if session.user is not None and grant.sub and grant.sub != session.user:
            raise self.refused("grant_of_another_user", Unauthenticated())
        ends = min(int(expires) + self._settings.token_leeway, key.not_after)
        if ends <= self._wall():
            raise self.refused("grant_expired", Expired("Grant expired"))
        return Credential(key=key, ends=ends, user=grant.sub or None, is_grant=True,
                          subscribe=narrow((grant.pat,), key.subscribe))

    def _find(self, key_id: str) -> Key:
        """Return a key; where there is none, one whose secret nobody knows, and which opens nothing.

        So nobody learns by the answer, or by the time that it takes, which keys there are.
        """
        return self._keys.find(key_id, self._wall()) or self._nobody

    def _check_patterns(self, patterns: Iterable[str]) -> None:
        """Raise ``ValueError`` for what nobody could subscribe or publish to."""
        for pattern in patterns:
            if self._settings.exceeded_by(pattern) or not is_pattern(pattern) or is_reserved(pattern):
                raise ValueError("a pattern that is none")

    def refused(self, kind: str, error: BayeuxError) -> BayeuxError:
        """Count an error that a client is about to be told, and return it."""
        self._metrics.authentication_failures[kind] += 1
        return error


def _authenticated(message: Message, credential: Credential) -> Authenticated:
    return Authenticated(**msgspec.structs.asdict(message), credential=credential)


def _is_signed(text: str, secret: bytes, signature: str) -> bool:
    """Compare in a time that says nothing of where they differ (Y-6)."""
    return hmac.compare_digest(hmac.digest(secret, text.encode(), "sha256").hex(), signature)


_jws = jwt.PyJWS(algorithms=[_ALGORITHM])
