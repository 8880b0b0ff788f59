"""signatures.py: what is signed, and what carries a signature (BAYEUX.md 21.2, Y-15, Y-20)."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from collections.abc import Callable

import jwt
import pytest

from bayeux.errors import InvalidChannel
from bayeux.keys import Key
from bayeux.signatures import digest, publish_text, sign, sign_grant, sign_json, sign_token

KEY = Key(id="web-a", secret=b"k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d")
PAYLOAD = '{"score":"1:0","t":1.10,"name":"Zo\u00eb","path":"a/b"}'
VECTOR = {
    "channel": "/news/sport",
    "data": PAYLOAD,
    "ext": {"hmac": {"v": 1, "kid": "web-a", "ts": 1700000000, "nonce": "Zk3v9c1QmXoPq7La",
                     "sig": "d50696a512eb29ebd6199fe6c0215fa076a6bf2696a3898d161d2920c90cc270"}},
}
TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IndlYi1hIn0.eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjo"
    "xNzAwMDAzNjAwLCJqdGkiOiJ0LTEiLCJjaCI6eyJzIjpbIi9wcml2YXRlL2FsaWNlLyoqIl0sInAiOlsiL3ByaXZhdGUvYWxpY2UvaW5ib3g"
    "iXX19.1tg4xlm-32_3ElPg_3Vhv1p-mscXwDX8rEH_SgnRmh8"
)


# -- publishes ----------------------------------------------------------------------------------


def test_the_vector_of_a_publish() -> None:
    """21.2."""
    assert sign_json(KEY, "/news/sport", PAYLOAD, timestamp=1700000000, nonce="Zk3v9c1QmXoPq7La") == VECTOR


def test_the_text_that_is_signed() -> None:
    """Y-2: six lines, no line end behind them, UTF-8."""
    assert publish_text("web-a", 1700000000, "Zk3v9c1QmXoPq7La", "/news/sport", PAYLOAD) == (
        "bayeux-publish-v1\nweb-a\n1700000000\nZk3v9c1QmXoPq7La\n/news/sport\n" + PAYLOAD).encode()


def test_openssl_makes_the_same_signature() -> None:
    """21.3."""
    text = publish_text("web-a", 1700000000, "Zk3v9c1QmXoPq7La", "/news/sport", PAYLOAD)
    command = ["openssl", "dgst", "-sha256", "-hmac", KEY.secret.decode()]
    output = subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True).stdout.decode()
    assert output.split()[-1] == VECTOR["ext"]["hmac"]["sig"]


def test_any_value_can_be_signed() -> None:
    """Y-1: as a string of JSON text."""
    message = sign(KEY, "/a", {"n": [1, None, "\u00eb"]}, timestamp=5, nonce="n" * 16)
    assert message == sign_json(KEY, "/a", '{"n":[1,null,"\u00eb"]}', timestamp=5, nonce="n" * 16)


def test_a_message_is_signed_now_with_a_nonce_of_its_own() -> None:
    """Y-3."""
    before = int(time.time())
    seals = [sign(KEY, "/a", 1)["ext"]["hmac"] for _ in range(50)]
    assert all(before <= seal["ts"] <= time.time() for seal in seals)
    assert len({seal["nonce"] for seal in seals}) == 50
    assert all(re.fullmatch("[A-Za-z0-9_-]{16,64}", seal["nonce"]) for seal in seals)


@pytest.mark.parametrize("channel", ["", "news", "/news/*", "/a\nb", "/a/"])
def test_nothing_is_signed_for_what_is_no_channel(channel: str) -> None:
    """Y-2: a line break in it could pass for another part."""
    with pytest.raises(InvalidChannel):
        sign_json(KEY, channel, "1")
    with pytest.raises(InvalidChannel):
        sign(KEY, channel, 1)


@pytest.mark.parametrize("value", [{1, 2}.__iter__(), object()])
def test_a_value_that_json_cannot_hold(value: object) -> None:
    with pytest.raises(TypeError):
        sign(KEY, "/a", value)


# -- grants -------------------------------------------------------------------------------------


def test_the_vector_of_a_grant() -> None:
    """Y-15."""
    assert sign_grant(KEY, "alice", "/private/alice/**", expires=1700003600) == {
        "v": 1, "kid": "web-a", "exp": 1700003600, "sub": "alice", "pat": "/private/alice/**",
        "sig": "ca16d622e25f4c002dd0ff1d8cc0c2063acb241b89860f1f436bdbd722186e50"}


def test_a_grant_is_no_publish() -> None:
    """Y-2: whatever is in them, their signatures differ."""
    grant = sign_grant(KEY, "alice", "/private/alice/**", expires=1700003600)
    text = publish_text("web-a", 1700003600, "alice", "/private/alice/**", "")
    assert digest(KEY.secret, text.rstrip(b"\n")).hex() != grant["sig"]


def test_a_name_is_one_line() -> None:
    """Y-15: a line break could pass for the end of it."""
    with pytest.raises(ValueError, match="line break"):
        sign_grant(KEY, "alice\n/private/bob/**", "/a", expires=1)


# -- tokens -------------------------------------------------------------------------------------


def token(**more: object) -> str:
    return sign_token(KEY, "alice", issued=1700000000, expires=1700003600, token_id="t-1",
                      subscribe=["/private/alice/**"], publish=["/private/alice/inbox"], **more)


def segment(token: str, number: int) -> dict[str, object]:
    text = token.split(".")[number]
    value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert isinstance(value, dict)
    return value


def test_the_vector_of_a_token() -> None:
    """Y-20: the same header, and the same claims letter by letter; the order of a header is free."""
    assert segment(token(), 0) == segment(TOKEN, 0) == {"alg": "HS256", "typ": "JWT", "kid": "web-a"}
    assert token().split(".")[1] == TOKEN.split(".")[1]


@pytest.mark.parametrize("made", [token(), TOKEN], ids=["ours", "the vector"])
def test_a_token_is_one_for_others_too(made: str) -> None:
    """Y-15, Y-20: signed with the bytes of the secret's text."""
    claims = jwt.decode(made, KEY.secret, algorithms=["HS256"], options={"verify_exp": False})
    assert claims == {"sub": "alice", "iat": 1700000000, "exp": 1700003600, "jti": "t-1",
                      "ch": {"s": ["/private/alice/**"], "p": ["/private/alice/inbox"]}}


def test_a_token_says_nothing_that_it_was_not_told() -> None:
    before = int(time.time())
    claims = [segment(sign_token(KEY, "alice", expires=9), 1) for _ in range(20)]
    assert all(claim["ch"] == {"s": [], "p": []} for claim in claims)
    assert all(before <= int(str(claim["iat"])) <= time.time() for claim in claims)
    assert len({str(claim["jti"]) for claim in claims}) == 20


@pytest.mark.parametrize("make", [
    lambda: sign_grant(KEY, "alice", "/a/*/b", expires=1),
    lambda: sign_grant(KEY, "alice", "/a\n", expires=1),
    lambda: sign_token(KEY, "alice", expires=1, subscribe=["/a", "b"]),
    lambda: sign_token(KEY, "alice", expires=1, publish=["/a/"])])
def test_what_is_granted_is_a_pattern(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidChannel):
        make()
