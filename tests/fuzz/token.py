"""Tokens and grants: what opens a channel is what an oracle finds to be signed by a key that may."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import Any

from bayeux import ChannelRule, KeyRule, Link
from bayeux.channels import covers
from bayeux.messages import decode
from tests.client import Carrier, World
from tests.fuzz.base import Number, Target, Twice, nothing_fails, read_json
from tests.fuzz.channels import segments

SECRET = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"
OPENS = ("/private/**", "/extra")
"""What the key may open."""
LEEWAY = 10
NOW = World.START
WANTED = ("/private/alice/inbox", "/private/alice/*", "/private/**", "/private/*", "/extra", "/third",
          "/other", "/**")


class Token(Target):
    """Two lines of JSON: the header and the claims of a token, which is signed; or one: a grant.

    A grant whose signature is ``*`` gets the right one.  What is neither is a token as it stands.
    """

    name = "token"

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self._world = World(
            key=(KeyRule(id="web-a", secret=SECRET, subscribe=OPENS, publish=OPENS),
                 KeyRule(id="web-b", secret="1" * 32, subscribe=("/third",))), token_leeway=LEEWAY,
            channel=(ChannelRule(pattern="/private/**", subscribe="token", publish="token"),
                     ChannelRule(pattern="/extra", subscribe="token"),
                     ChannelRule(pattern="/third", subscribe="token"),
                     ChannelRule(pattern="/other", subscribe="nobody")),
            revoked_tokens=("gone",), max_ext=8_000)

    def run(self, data: bytes) -> None:
        """Show it, and try whatever it might open."""
        lines = data.split(b"\n")
        with nothing_fails():
            if len(lines) == 1 and lines[0][:1] == b"{":
                self._show_grant(lines[0])
            else:
                self._show_token(lines)

    def _show_token(self, lines: list[bytes]) -> None:
        token = _sealed(*lines) if len(lines) == 2 else lines[0].decode("latin-1")
        claims = _claims(*lines) if len(lines) == 2 else None
        world = self._world
        [reply] = world.ask({"channel": "/meta/handshake", "version": "1.0",
                             "supportedConnectionTypes": ["long-polling"], "ext": {"token": token}})
        if claims is None or not reply["successful"]:
            assert not reply["successful"], (lines, reply)
            # The standard library lets the last of two equal names win, msgspec minds a wrong first one.
            assert claims is None or _has_twice(*lines), (lines, reply)
            return
        granted = claims.get("ch", {}).get("s", [])
        session = reply["clientId"]
        assert world.hub.sessions.get(session).user == claims.get("sub")
        for wanted in WANTED:
            self._try(session, wanted, granted, None)
        world.ask({"channel": "/meta/disconnect", "clientId": session})

    def _show_grant(self, text: bytes) -> None:
        grant = _read(text)
        if not isinstance(grant, dict):
            return
        if grant.get("sig") == "*":
            signature = _grant_signature(grant)
            text = re.sub(rb'"sig"\s*:\s*"\*"', b'"sig":"%b"' % signature.encode(), text)
            grant = _read(text)
        opened = [grant["pat"]] if _is_good_grant(grant) else []
        client = self._world.client()  # a grant that has been good is so until it ends
        for wanted in WANTED:
            self._try(client.id, wanted, opened, text)
        client.ask(client.message("/meta/disconnect"))

    def _try(self, session: str, wanted: str, granted: list[str], grant: bytes | None) -> None:
        """Subscribe, and compare the answer with what has been granted and what the key may grant (S-10)."""
        ext = b"" if grant is None else b',"ext":{"grant":%b}' % grant
        message = b'[{"channel":"/meta/subscribe","clientId":"%b","subscription":"%b"%b}]' % (
            session.encode(), wanted.encode(), ext)
        opened = any(covers(one, wanted) for one in granted) and any(covers(one, wanted) for one in OPENS)
        needs = wanted.startswith("/private/") or wanted in ("/extra", "/third", "/**", "/other")
        reply = _ask(self._world, message)
        assert reply["successful"] is (opened and needs), (grant, granted, wanted, reply)
        if opened:
            _ask(self._world, message.replace(b"/subscribe", b"/unsubscribe"))

    def settle(self) -> None:
        """Begin anew."""
        self._open()


def _ask(world: World, message: bytes) -> Any:
    messages = decode(message, world.hub.settings)
    [reply] = Carrier(world.hub.receive(messages, Link("long-polling"))).messages or []
    return reply


def _grant_signature(grant: dict[str, Any]) -> str:
    """Return the right signature of what a grant says, whatever that is (Y-15)."""
    lines = [grant.get(name, "" if name == "sub" else None) for name in ("kid", "exp", "sub", "pat")]
    said = "\n".join(map(str, ["bayeux-subscribe-v1", *lines])).encode("utf-8", "replace")
    return hmac.new(SECRET.encode(), said, hashlib.sha256).hexdigest()


def _part(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def _sealed(header: bytes, claims: bytes) -> str:
    """Make a token of two texts, whatever they say."""
    signed = _part(header) + b"." + _part(claims)
    return (signed + b"." + _part(hmac.digest(SECRET.encode(), signed, "sha256"))).decode()


def _read(text: bytes) -> Any:
    try:
        return read_json(text.decode())
    except ValueError:
        return None


def _has_twice(*texts: bytes) -> bool:
    left = [_read(text) for text in texts]
    while left:
        value = left.pop()
        if isinstance(value, Twice):
            return True
        left += value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return False


def _number(claims: dict[str, Any], name: str, otherwise: float | None = None) -> float | None:
    """Return a number, None for what is none that can be held."""
    value = claims.get(name, otherwise)
    if isinstance(value, Number):
        value = float(value)
    return value if isinstance(value, float) and abs(value) < float("inf") else None


def _claims(header_text: bytes, claims_text: bytes) -> dict[str, Any] | None:
    """Return what a token claims, None if it is not to be believed (Y-15)."""
    header, claims = _read(header_text), _read(claims_text)
    if len(_sealed(header_text, claims_text)) > 4_096 or not isinstance(header, dict):
        return None
    if header.get("alg") != "HS256" or "crit" in header or header.get("kid") != "web-a" or isinstance(
            header["alg"], Number):
        return None
    if "b64" in header and header["b64"] is False:
        return None
    if not isinstance(claims, dict):
        return None
    expires, before, issued = _number(claims, "exp"), _number(claims, "nbf", 0.0), _number(claims, "iat", 0.0)
    if expires is None or before is None or issued is None or claims.get("jti") == "gone":
        return None
    if expires + LEEWAY <= NOW or max(before, issued) > NOW + LEEWAY:
        return None
    channels = claims.get("ch", {})
    texts = [claims.get("sub") or "", claims.get("jti", "")]
    if not isinstance(channels, dict) or any(type(text) is not str for text in texts):
        return None
    for patterns in (channels.get("s", []), channels.get("p", [])):
        if not isinstance(patterns, list) or not all(map(_is_pattern, patterns)):
            return None
    return claims


def _is_pattern(text: Any) -> bool:
    return (type(text) is str and segments(text) is not None and len(text) <= 256 and text.count("/") <= 32
            and text.split("/")[1] != "meta" and text != "/service")


def _is_good_grant(grant: Any) -> bool:
    """Say whether a grant is to be believed (Y-15)."""
    if not isinstance(grant, dict) or len(json.dumps(grant)) > 7_000:
        return False
    if not isinstance(grant.get("v"), Number) or grant["v"] != "1" or not _is_pattern(grant.get("pat")):
        return False
    expires, subject = grant.get("exp"), grant.get("sub", "")
    if grant.get("kid") != "web-a" or type(subject) is not str or not subject.isprintable():
        return False
    if not isinstance(expires, str):
        return False
    if not re.fullmatch(r"[1-9][0-9]{0,11}", expires) or int(expires) + LEEWAY <= NOW:
        return False
    return bool(grant.get("sig") == _grant_signature(grant))
