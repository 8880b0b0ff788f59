"""Signed publishes: what is delivered is what an oracle finds to be signed, once, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

from bayeux import Link
from bayeux.keys import Key
from bayeux.messages import Message, decode
from tests.client import Carrier, World
from tests.fuzz.base import Number, Target, depth_of, nothing_fails, read_json
from tests.fuzz.channels import segments

SECRETS = {"web-a": "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d", "web-b": "0" * 32}
PATTERNS = {"web-a": ("/news/**", "/a"), "web-b": ("/b/*",)}
NOW = int(World.START) + 600
"""Long enough after the start that what was signed before it is too old anyway."""
WINDOW = 300
MOST = 500
"""Bytes of a payload."""
DEPTH = 16
FILL = b'"sig":"*"'
"""Stands for the signature that is right for the message around it."""


def right_signature(channel: str, payload: str, seal: dict[str, Any]) -> str | None:
    """Return the signature of what a message says, None where it is no text that has one (Y-2)."""
    secret = SECRETS.get(seal.get("kid") or "", "?")
    lines = ("bayeux-publish-v1", seal.get("kid"), seal.get("ts"), seal.get("nonce"), channel, payload)
    try:
        said = "\n".join(map(str, lines)).encode()
    except UnicodeEncodeError:
        return None
    return hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()


def filled(data: bytes) -> bytes:
    """Put the right signature where there is room for it."""
    if FILL not in data:
        return data
    try:
        message = read_json(data.decode())
        signature = right_signature(message["channel"], message["data"], message["ext"]["hmac"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return data
    return data if signature is None else data.replace(FILL, b'"sig":"%b"' % signature.encode())


class Signature(Target):
    """A message; where its signature is ``*`` it gets the right one."""

    name = "signature"

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self._world = World(max_depth=DEPTH, max_nonces=1_000, max_message=2_000, max_ext=1_000)
        self._world.hub.keys.replace([
            Key(id=name, secret=secret.encode(), publish=PATTERNS[name], max_payload=MOST)
            for name, secret in SECRETS.items()])
        self._world.clock.advance(NOW - World.START)
        self._listener = self._world.client()
        self._listener.subscribe("/**")
        self._used: dict[tuple[str, str], str] = {}

    def run(self, data: bytes) -> None:
        """Send it twice."""
        try:
            text = filled(data).decode()
            message = read_json(text)
            [decoded] = decode(text.encode(), self._world.hub.settings)
        except Exception:  # what an envelope may be is looked at elsewhere
            return
        if not isinstance(decoded, Message) or not isinstance(message, dict):
            return
        claims = _claims(message)
        good = claims and self._is_good(message)
        new = good and self._use(message["ext"]["hmac"])
        replies = [self._send(text), self._send(text)]
        assert [reply["successful"] for reply in replies] == [good, good], (message, replies)
        events = [event.json for event in self._listener.session.take()]
        if not new:
            assert events == [], (message, events)
        else:
            payload = message["data"].encode()
            assert events == [b'{"channel":"%b","data":%b}' % (message["channel"].encode(), payload)], message
        if good:
            assert replies[1]["ext"] == {"hmac": {"duplicate": True}}

    def _use(self, seal: dict[str, Any]) -> bool:
        """Take note of a nonce; says whether it is new."""
        place = seal["kid"], seal["nonce"]
        new = place not in self._used
        self._used[place] = seal["sig"]
        return new

    def _send(self, text: str) -> Any:
        world = self._world
        messages = decode(text.encode(), world.hub.settings)
        with nothing_fails():
            carrier = Carrier(world.hub.receive(messages, Link("long-polling")))
        assert carrier.messages is not None
        [reply] = carrier.messages
        return reply

    def _is_good(self, message: dict[str, Any]) -> bool:
        """Say whether a message is signed by a key that may publish it, and new (Y-1 to Y-9)."""
        channel, payload, seal = message["channel"], message.get("data"), message["ext"]["hmac"]
        parts = segments(channel)
        if parts is None or "*" in channel or type(payload) is not str or not isinstance(seal, dict):
            return False
        if message.get("clientId") is not None or channel.startswith("/service/"):
            return False  # there is no such session, and services want one
        if seal.keys() != {"v", "kid", "ts", "nonce", "sig"} or not _is_one(seal["v"]):
            return False
        kid, ts, nonce, sig = seal["kid"], seal["ts"], seal["nonce"], seal["sig"]
        if any(type(text) is not str for text in (kid, nonce, sig)) or not isinstance(ts, str):
            return False
        if not re.fullmatch(r"0|[1-9][0-9]{0,14}", ts) or not re.fullmatch(r"[A-Za-z0-9_-]{16,64}", nonce):
            return False
        if kid not in SECRETS or sig != right_signature(channel, payload, seal):
            return False
        if self._used.get((kid, nonce), sig) != sig:
            return False
        if abs(int(ts) - NOW) > WINDOW or not any(_opens(one, channel) for one in PATTERNS[kid]):
            return False
        return _is_payload(payload)

    def settle(self) -> None:
        """Begin anew."""
        self._open()


def _claims(message: dict[str, Any]) -> bool:
    """Say whether a message claims to be signed."""
    ext = message.get("ext")
    return isinstance(ext, dict) and "hmac" in ext and message["channel"].split("/")[1:2] != ["meta"]


def _is_one(value: Any) -> bool:
    return isinstance(value, Number) and value == "1"


def _opens(pattern: str, channel: str) -> bool:
    if pattern.endswith("/**"):
        return channel.startswith(pattern[:-2])
    if pattern.endswith("/*"):
        return channel.startswith(pattern[:-1]) and "/" not in channel[len(pattern) - 1:]
    return channel == pattern


def _is_payload(text: str) -> bool:
    """Say whether a text is JSON that may be published."""
    try:
        value = read_json(text)
    except ValueError:
        return False
    hard = re.search(r"\\u[dD][89a-fA-F]", text) and re.search(r"\\u[eE]", text)
    return len(text.encode()) <= MOST and depth_of(value) <= DEPTH - 2 and not hard
