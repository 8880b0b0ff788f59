"""extensions/tokens.py: who a client is and what it may open, as tokens and grants say (BAYEUX.md 21.4)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from bayeux import BayeuxError, ChannelRule, KeyRule, Link, Policy, Session
from bayeux.errors import Expired
from bayeux.extensions.tokens import Tokens
from bayeux.keys import Key, KeyRing
from bayeux.messages import Authenticated, Message, decode
from bayeux.metrics import Metrics
from bayeux.settings import Settings
from bayeux.signatures import sign_grant, sign_token
from tests.client import Client, World

SECRET = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"
START = 1_700_000_000
VECTOR = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IndlYi1hIn0.eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIj"
    "oxNzAwMDAzNjAwLCJqdGkiOiJ0LTEiLCJjaCI6eyJzIjpbIi9wcml2YXRlL2FsaWNlLyoqIl0sInAiOlsiL3ByaXZhdGUvYWxpY2UvaW5i"
    "b3giXX19.1tg4xlm-32_3ElPg_3Vhv1p-mscXwDX8rEH_SgnRmh8")
"""Y-20."""
GRANT: dict[str, Any] = {
    "v": 1, "kid": "web-a", "exp": 1700003600, "sub": "alice", "pat": "/private/alice/**",
    "sig": "ca16d622e25f4c002dd0ff1d8cc0c2063acb241b89860f1f436bdbd722186e50"}
"""Y-15."""

PRIVATE = (ChannelRule(pattern="/private/**", publish="token", subscribe="token"),)
WEB_A = KeyRule(id="web-a", secret=SECRET, publish=("/private/**", "/service/mail"),
                subscribe=("/private/**", "/extra"))


def private(**settings: Any) -> World:
    """Make a world with a private part, and a key that opens it."""
    return World(**{"channel": PRIVATE, "key": (WEB_A,), "token_leeway": 0.0, **settings})


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def seal(header: object, claims: object, secret: str = SECRET, digest: str = "sha256") -> str:
    """Make a token by hand, whatever it says."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(secret.encode(), signed.encode(), digest))}"


HEADER = {"alg": "HS256", "typ": "JWT", "kid": "web-a"}
CLAIMS = {"sub": "alice", "iat": START, "exp": START + 3600, "jti": "t-1",
          "ch": {"s": ["/private/alice/**"], "p": ["/private/alice/inbox"]}}


def token(**claims: Any) -> str:
    """Make a good token but for what is said; None leaves a claim out."""
    return seal(HEADER, {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None})


def shake_hands(world: World, token: Any = VECTOR, **ext: Any) -> Any:
    [reply] = world.ask({"channel": "/meta/handshake", "version": "1.0",
                         "supportedConnectionTypes": ["long-polling"], "ext": {"token": token, **ext}})
    return reply


class Member(Client):
    """A client that has shaken hands with a token."""

    def __init__(self, world: World, token: Any = VECTOR, connect: bool = True) -> None:
        self.world, self.link = world, Link("long-polling")
        reply = shake_hands(world, token)
        assert reply["successful"], reply
        self.id = reply["clientId"]
        self.session = world.hub.sessions.get(self.id)
        if connect:
            self.ask(self.connect_message())

    def grant(self, grant: Any, *patterns: str) -> Any:
        """Subscribe with a grant."""
        return ask_with_grant(self, grant, *patterns)


def ask_with_grant(client: Client, grant: Any, *patterns: str) -> Any:
    [reply] = client.ask(client.message("/meta/subscribe", subscription=list(patterns), ext={"grant": grant}))
    return reply


# -- a good token -------------------------------------------------------------------------------


def test_the_vector() -> None:
    """Y-20, Y-15: it opens what it names, and nothing else."""
    world = private()
    alice = Member(world)
    assert alice.session.user == "alice"
    assert alice.subscribe("/private/alice/**", "/private/alice/inbox", "/news")["successful"] is True
    assert alice.subscribe("/private/bob")["error"] == "403:/private/bob:Subscription denied"
    assert alice.subscribe("/private/**")["error"] == "403:/private/**:Subscription denied"
    assert alice.publish("/private/alice/inbox", 1)["successful"] is True
    assert alice.publish("/private/alice/outbox", 1)["error"] == "403:/private/alice/outbox:Publish denied"
    assert not world.hub.metrics.authentication_failures


@pytest.mark.parametrize("claims", [b'{"exp":1700003600,"\xff":1}', b'{"exp":1700003600,"a":"\xff"}'])
def test_claims_that_are_not_utf8(claims: bytes) -> None:
    """Y-15, RFC 7519 7.2: also where nobody looks."""
    reply = shake_hands(private(), seal(HEADER, claims))
    assert reply["error"] == "401::Authentication invalid"


def test_a_token_made_by_hand_is_the_vector() -> None:
    """Y-20: but for blanks in its JSON."""
    claims = jwt.decode(VECTOR, options={"verify_signature": False})
    assert claims == CLAIMS
    assert jwt.get_unverified_header(VECTOR) == HEADER


def test_tokens_of_our_own_making() -> None:
    """Y-15."""
    key = Key(id="web-a", secret=SECRET.encode())
    made = sign_token(key, "bob", expires=START + 60, subscribe=["/private/bob"], issued=START)
    bob = Member(private(), made)
    assert bob.session.user == "bob"
    assert bob.subscribe("/private/bob")["successful"] is True


def test_without_a_token() -> None:
    """A handshake needs none, unless it is required; what is private stays closed."""
    client = private().client()
    assert client.session.user is None
    assert client.subscribe("/private/alice/inbox")["successful"] is False
    assert client.subscribe("/news")["successful"] is True


def test_a_token_of_null_is_none() -> None:
    assert shake_hands(private(), None)["successful"] is True


def test_a_token_is_required() -> None:
    """E-23, H-13."""
    world = private(require_token=True)
    [reply] = world.ask({"channel": "/meta/handshake", "version": "1.0",
                         "supportedConnectionTypes": ["long-polling"]})
    assert (reply["successful"], reply["error"]) == (False, "401::Token required")
    assert reply["advice"]["reconnect"] == "none"
    assert world.hub.metrics.authentication_failures == {"token_missing": 1}
    assert Member(world).session.user == "alice"


@pytest.mark.parametrize(("claims", "user"), [
    ({"sub": None}, None), ({"jti": None}, "alice"), ({"iat": None}, "alice"), ({"ch": None}, "alice"),
    ({"ch": {}}, "alice"), ({"ch": {"s": []}}, "alice"), ({"aud": "x", "iss": 5, "more": {}}, "alice"),
    ({"exp": START + 0.5}, "alice"), ({"nbf": START}, "alice"),
    ({"sub": "\u00e9\n\u2028"}, "\u00e9\n\u2028")])
def test_what_a_token_need_not_say(claims: dict[str, Any], user: str | None) -> None:
    """Y-15: only when it ends."""
    assert Member(private(), token(**claims)).session.user == user


def test_a_token_opens_no_more_than_its_key_may() -> None:
    """Y-7, Y-15: and where the token says more, what both say."""
    world = private(channel=(*PRIVATE, ChannelRule(pattern="/extra", subscribe="token"),
                             ChannelRule(pattern="/other", publish="token", subscribe="token"),
                             ChannelRule(pattern="/service/**", publish="token")),
                    key=(WEB_A, KeyRule(id="b", secret=2 * SECRET, publish=("/other",),
                                        subscribe=("/other",))))
    client = Member(world, token(ch={"s": ["/**"], "p": ["/**", "/service/**"]}))
    assert client.subscribe("/private/**", "/extra")["successful"] is True
    assert client.subscribe("/other")["successful"] is False
    assert client.publish("/private/x", 1)["successful"] is True
    assert client.publish("/other", 1)["successful"] is False
    assert client.publish("/service/mail", 1)["successful"] is True
    assert client.publish("/service/post", 1)["successful"] is False


def test_the_application_sees_who_comes_and_goes() -> None:
    """A listener and a handler are told of the user."""
    class Listener:
        def session_added(self, session: Session) -> None:
            seen.append(("added", session.user))

        def session_removed(self, session: Session, reason: str) -> None:
            seen.append(("removed", session.user))

    seen: list[Any] = []
    world = private()
    world.hub.add_listener(Listener())
    world.hub.service("/service/mail", lambda session, data: {"for": session.user})
    alice = Member(world)
    [_, event] = alice.ask(alice.message("/service/mail", data=1))
    assert event["data"] == {"for": "alice"}
    alice.session.disconnect()
    assert seen == [("added", "alice"), ("removed", "alice")]


def test_a_policy_sees_who_shakes_hands() -> None:
    """H-14."""
    class Members(Policy):
        def can_handshake(self, message: Message, link: Link) -> bool:
            return isinstance(message, Authenticated) and message.credential.user == "alice"

    world = World(Members(), channel=PRIVATE, key=(WEB_A,))
    assert shake_hands(world)["successful"] is True
    assert shake_hands(world, token(sub="bob"))["error"] == "403::Handshake denied"
    assert shake_hands(world, None)["error"] == "403::Handshake denied"


# -- bad tokens ---------------------------------------------------------------------------------


def refusal(world: World, token: object) -> str:
    """Return the error of a handshake that is refused for good, and leaves nothing behind."""
    reply = shake_hands(world, token)
    assert reply["successful"] is False
    assert "clientId" not in reply
    assert reply["advice"]["reconnect"] == "none"
    assert len(world.hub.sessions) == 0
    return reply["error"]


def none_of(header: dict[str, Any], claims: dict[str, Any] = CLAIMS) -> str:
    return f"{part(header)}.{part(claims)}."


LONG = "x" * 5000
BAD = [
    pytest.param(value, id=name) for name, value in {
        "a number": 5, "a list": [VECTOR], "an object": {"token": VECTOR}, "true": True, "empty": "",
        "no token": "x", "dots": "..", "many dots": VECTOR + ".x", "cut off": VECTOR[:-1],
        "longer": VECTOR + "A", "a blank": VECTOR + " ", "not ASCII": VECTOR[:-1] + "\u00e9",
        "no signature": VECTOR.rpartition(".")[0] + ".",
        "another payload": ".".join([VECTOR.split(".")[0], part({**CLAIMS, "sub": "bob"}),
                                     VECTOR.split(".")[2]]),
        "alg none": none_of({**HEADER, "alg": "none"}), "alg None": none_of({**HEADER, "alg": "None"}),
        "alg nOnE, signed": seal({**HEADER, "alg": "nOnE"}, CLAIMS),
        "no alg": seal({"typ": "JWT", "kid": "web-a"}, CLAIMS),
        "alg null": seal({**HEADER, "alg": None}, CLAIMS),
        "alg a list": seal({**HEADER, "alg": ["HS256"]}, CLAIMS),
        "HS384": seal({**HEADER, "alg": "HS384"}, CLAIMS, digest="sha384"),
        "HS512": seal({**HEADER, "alg": "HS512"}, CLAIMS, digest="sha512"),
        "hs256": seal({**HEADER, "alg": "hs256"}, CLAIMS),
        "RS256 signed by HMAC": seal({**HEADER, "alg": "RS256"}, CLAIMS),
        "crit": seal({**HEADER, "crit": ["exp"], "exp": 1}, CLAIMS),
        "crit empty": seal({**HEADER, "crit": []}, CLAIMS),
        "crit b64": seal({**HEADER, "crit": ["b64"], "b64": True}, CLAIMS),
        "crit null": seal({**HEADER, "crit": None}, CLAIMS),
        "b64 false": seal({**HEADER, "b64": False}, CLAIMS),
        "another secret": seal(HEADER, CLAIMS, SECRET + "x"), "empty secret": seal(HEADER, CLAIMS, ""),
        "unknown kid": seal({**HEADER, "kid": "web-b"}, CLAIMS), "no kid": seal({"alg": "HS256"}, CLAIMS),
        "kid null": seal({**HEADER, "kid": None}, CLAIMS), "kid a number": seal({**HEADER, "kid": 5}, CLAIMS),
        "kid a path": seal({**HEADER, "kid": "../../dev/null"}, CLAIMS, ""),
        "kid SQL": seal({**HEADER, "kid": "' UNION SELECT 'x"}, CLAIMS, "x"),
        "kid a key": seal({**HEADER, "kid": SECRET}, CLAIMS),
        "kid empty, empty secret": seal({**HEADER, "kid": ""}, CLAIMS, ""),
        "kid with a line end": seal({**HEADER, "kid": "web-a\n"}, CLAIMS),
        "a key of its own": seal(
            {**HEADER, "kid": "mine", "jwk": {"kty": "oct", "k": part(b"mine")}}, CLAIMS, "mine"),
        "a key elsewhere": seal({**HEADER, "kid": "mine", "jku": "http://127.0.0.1:9/"}, CLAIMS, "mine"),
        "no exp": token(exp=None), "exp a string": token(exp=str(START + 3600)), "exp true": token(exp=True),
        "exp a list": token(exp=[START]), "exp too large": seal(HEADER, b'{"exp":1e999}'),
        "exp NaN": seal(HEADER, b'{"exp":NaN}'),
        "sub a number": token(sub=5), "jti a number": token(jti=5), "iat a string": token(iat="now"),
        "nbf a string": token(nbf="now"), "ch a list": token(ch=[]), "ch a string": token(ch="/**"),
        "s a string": token(ch={"s": "/private/**"}), "s of numbers": token(ch={"s": [5]}),
        "no pattern": token(ch={"s": ["private"]}), "empty pattern": token(ch={"p": [""]}),
        "a wildcard inside": token(ch={"s": ["/private/**/x"]}),
        "a line end": token(ch={"s": ["/private\n"]}),
        "a meta channel": token(ch={"s": ["/meta/connect"]}), "meta channels": token(ch={"p": ["/meta/**"]}),
        "no service": token(ch={"p": ["/service"]}),
        "a channel too long": token(ch={"s": ["/" + 300 * "x"]}),
        "a channel too deep": token(ch={"p": [33 * "/x"]}),
        "claims a list": seal(HEADER, [CLAIMS]), "claims no JSON": seal(HEADER, b"{"),
        "claims empty": seal(HEADER, b""),
        "claims not UTF-8": seal(HEADER, b'{"exp":1700003600,"sub":"\xff"}'),
        "claims nested deep": seal(HEADER, b'{"exp":1700003600,"x":' + 2900 * b"["),
        "header a list": seal([HEADER], CLAIMS), "header no JSON": seal(b"{", CLAIMS),
        "header empty": seal(b"", CLAIMS),
        "header nested deep": seal(b'{"alg":"HS256","kid":"web-a","x":' + 2800 * b"[", CLAIMS),
        "header with a long number": seal(b'{"alg":"HS256","kid":' + 2800 * b"9" + b"}", CLAIMS),
        "header not UTF-8": seal(b'{"alg":"\xff"}', CLAIMS),
        "too long": token(sub=LONG), "much too long": VECTOR + 1000 * "A",
    }.items()]


@pytest.mark.parametrize("token", BAD)
def test_a_bad_token(token: Any) -> None:
    """E-23, H-13, Y-15; PEERS, alg none, kid injection, token claims: all get the same answer."""
    world = private()
    assert refusal(world, token) == "401::Authentication invalid"
    assert world.hub.metrics.authentication_failures == {"token_invalid": 1}


@given(st.data())
def test_a_token_that_is_changed_anywhere(data: st.DataObject) -> None:
    """Whatever is changed, it is as good as none."""
    at = data.draw(st.integers(0, len(VECTOR) - 2))  # of the last character not every bit counts
    char = data.draw(st.sampled_from("ABCxyz019-_.=+/ \u00e9"))
    changed = VECTOR[:at] + char + VECTOR[at + 1:]
    if changed != VECTOR:
        assert refusal(private(), changed) == "401::Authentication invalid"


@given(st.dictionaries(st.sampled_from(["alg", "kid", "crit", "typ", "b64"]),
                       st.sampled_from(["HS256", "none", "web-a", None, [], True, 5, {}])),
       st.dictionaries(st.sampled_from(["exp", "sub", "ch", "jti", "nbf", "iat"]), st.sampled_from(
           [START + 5, "x", None, [], True, -1e300, {}, {"s": ["/a"]}, {"s": [None]}, {"p": 5}])))
def test_no_token_is_too_strange_to_be_answered(header: dict[str, Any], claims: dict[str, Any]) -> None:
    """E-32: signed by somebody whose secret we share, and still no exception gets out."""
    reply = shake_hands(private(), seal(header, claims))
    assert reply["successful"] or reply["error"] in ("401::Authentication invalid", "401::Token expired")


@pytest.mark.parametrize(("limit", "good"), [(len(VECTOR), True), (len(VECTOR) - 1, False)])
def test_the_longest_token(limit: int, good: bool) -> None:
    """Y-15: ``max_token``."""
    assert shake_hands(private(max_token=limit))["successful"] is good


def test_the_default_limit_is_4_KiB() -> None:
    """Y-15."""
    long = token(sub="x" * 2800)
    assert 4000 < len(long) <= 4096
    assert shake_hands(private(), long)["successful"] is True
    assert refusal(private(), token(sub="x" * 2900)) == "401::Authentication invalid"


@pytest.mark.parametrize(("leeway", "claims", "error"), [
    (0, {"exp": START}, "401::Token expired"), (0, {"exp": START + 1}, None),
    (10, {"exp": START - 9}, None), (10, {"exp": START - 10}, "401::Token expired"),
    (0, {"exp": -1e300}, "401::Token expired"), (60, {"exp": START - 61}, "401::Token expired"),
    (0, {"nbf": START}, None), (0, {"nbf": START + 1}, "401::Authentication invalid"),
    (10, {"nbf": START + 10}, None), (10, {"nbf": START + 11}, "401::Authentication invalid"),
    (0, {"iat": START + 1}, "401::Authentication invalid"), (10, {"iat": START + 10}, None)])
def test_when_a_token_is_good(leeway: float, claims: dict[str, Any], error: str | None) -> None:
    """Y-15: ``token_leeway`` seconds earlier and later than it says."""
    assert shake_hands(private(token_leeway=leeway), token(**claims)).get("error") == error


def test_leeway_is_a_minute_at_most() -> None:
    """Y-15."""
    assert Settings(token_leeway=60).token_leeway == 60
    with pytest.raises(ValueError, match="token_leeway"):
        Settings(token_leeway=61)


@pytest.mark.parametrize("spread", [0.0, 5.0])
def test_an_expired_token_is_to_be_replaced(spread: float) -> None:
    """Y-15, H-12: whoever shakes hands again at once does so every second at most."""
    world = private(shutdown_spread=spread)
    reply = shake_hands(world, token(exp=START - 1))
    assert reply["error"] == "401::Token expired"
    assert reply["advice"]["reconnect"] == "handshake"
    assert 1000 <= reply["advice"]["interval"] <= max(1000, 1000 * spread)
    assert world.hub.metrics.authentication_failures == {"token_expired": 1}


def test_an_expired_token_with_a_wrong_signature_is_wrong() -> None:
    assert refusal(private(), token(exp=START - 1)[:-1]) == "401::Authentication invalid"


@pytest.mark.parametrize(("not_before", "not_after", "error"), [
    (START, START + 1, None), (START + 1, START + 2, "401::Authentication invalid"),
    (START - 2, START, "401::Authentication invalid")])
def test_a_key_that_is_not_good_now(not_before: int, not_after: int, error: str | None) -> None:
    """Y-7: it is as unknown as any other."""
    world = private()
    world.hub.replace_keys([
        Key(id="web-a", secret=SECRET.encode(), not_before=not_before, not_after=not_after)])
    assert shake_hands(world).get("error") == error


def test_a_revoked_token() -> None:
    """Y-19."""
    world = private(revoked_tokens=("t-1", ""))
    assert refusal(world, VECTOR) == "401::Authentication invalid"
    assert world.hub.metrics.authentication_failures == {"token_revoked": 1}
    assert shake_hands(world, token(jti="t-2"))["successful"] is True
    assert shake_hands(world, token(jti=None))["successful"] is True


def test_keys_of_a_directory(tmp_path: Path) -> None:
    """They open as much as those of tables."""
    file = tmp_path / "web-a.toml"
    file.write_text(f'secret = "{SECRET}"\nsubscribe = ["/private/**"]\npublish = ["/private/**"]\n')
    file.chmod(0o600)
    assert Member(private(key=(), key_directory=str(tmp_path))).session.user == "alice"


def test_a_token_without_keys_is_for_somebody_else() -> None:
    """What an application has in ``ext.token`` by itself is left to it."""
    class Own(Policy):
        def can_handshake(self, message: Message, link: Link) -> bool:
            return message.extensions()["token"] == "its own"

    assert shake_hands(World(Own(), channel=(ChannelRule(pattern="/a"),)), "its own")["successful"] is True


# -- secrets ------------------------------------------------------------------------------------


def test_a_handshake_that_waits_keeps_no_token() -> None:
    """Y-17: nor does any policy see it; what else is in ``ext`` is there."""
    seen: list[Message] = []
    verdict: Deferred[bool] = Deferred()

    class Asking(Policy):
        def can_handshake(self, message: Message, link: Link) -> Deferred[bool]:
            seen.append(message)
            return verdict

    world = World(Asking(), channel=PRIVATE, key=(WEB_A,))
    [message] = decode(json.dumps([{
        "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"],
        "ext": {"token": VECTOR, "ack": True}}]).encode(), world.hub.settings)
    exchange = world.hub.receive([message], Link("long-polling"))
    assert [one.extensions() for one in (message, *seen)] == [{"ack": True}, {"ack": True}]
    verdict.callback(True)
    [reply] = exchange.replies
    assert reply.ext == {"ack": True}


def test_a_bad_token_is_not_kept_either() -> None:
    """Y-17."""
    world = private()
    message = Message("/meta/handshake", ext=json.dumps({"token": "bad"}).encode())  # type: ignore[arg-type]
    world.hub.receive([message], Link("long-polling"))
    assert message.extensions() == {}


def test_no_reply_shows_a_token() -> None:
    """Y-17, G-23."""
    for shown in (VECTOR, VECTOR[:-1], token(exp=START - 1)):
        assert shown not in json.dumps(shake_hands(private(), shown))


# -- grants -------------------------------------------------------------------------------------


def signed_grant(secret: str = SECRET, bound_to: str | None = None, **fields: Any) -> dict[str, Any]:
    """Make a grant by hand: what is said, or else what is in the vector."""
    grant = {**GRANT, **fields}
    text = "\n".join([
        "bayeux-subscribe-v1" + ("" if bound_to is None else "c"), grant["kid"], str(grant["exp"]),
        grant["sub"], grant["pat"], *([] if bound_to is None else [bound_to])])
    return {**grant, "sig": hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}


def test_the_vector_of_a_grant() -> None:
    """Y-15."""
    assert signed_grant() == GRANT
    assert sign_grant(Key(id="web-a", secret=SECRET.encode()), "alice", "/private/alice/**",
                      expires=1700003600) == GRANT
    client = private().client()
    assert ask_with_grant(client, GRANT, "/private/alice/inbox")["successful"] is True
    assert client.session.subscriptions == ("/private/alice/inbox",)


def test_a_grant_is_for_its_own_message() -> None:
    """Y-15: the next subscribe needs one too, unless it is for what there is already (S-6)."""
    client = private().client()
    assert ask_with_grant(client, GRANT, "/private/alice/a")["successful"] is True
    assert client.subscribe("/private/alice/a")["successful"] is True
    assert client.subscribe("/private/alice/b")["error"] == "403:/private/alice/b:Subscription denied"


@pytest.mark.parametrize("pattern", ["/private/alice", "/private/bob", "/private/*", "/private/**", "/news"])
def test_a_grant_has_to_cover_all_that_is_asked_for(pattern: str) -> None:
    """Y-15, S-4, S-10: though it be public."""
    client = private().client()
    reply = ask_with_grant(client, GRANT, "/private/alice/a", pattern)
    assert reply["error"] == f"403:{pattern}:Subscription denied"
    assert client.session.subscriptions == ()


def test_a_grant_says_nothing_of_services() -> None:
    """C-14: subscribing to those is always granted, and nothing happens."""
    assert ask_with_grant(private().client(), GRANT, "/private/alice/a", "/service/x")["successful"] is True


def test_a_grant_is_no_identity_and_publishes_nothing() -> None:
    client = private().client()
    ask_with_grant(client, GRANT, "/private/alice/inbox")
    assert client.session.user is None
    assert client.publish("/private/alice/inbox", 1)["successful"] is False


def test_a_grant_opens_no_more_than_its_key_may() -> None:
    """Y-7."""
    world = private()
    client = world.client()
    assert ask_with_grant(client, signed_grant(pat="/**"), "/private/alice/a", "/extra")["successful"] is True
    assert ask_with_grant(client, signed_grant(pat="/**"), "/**")["error"] == "403:/**:Subscription denied"
    assert ask_with_grant(client, signed_grant(pat="/other"), "/other")["error"] == (
        "403:/other:Subscription denied")


def test_a_grant_beside_a_token() -> None:
    alice = Member(private(), token(ch=None))
    assert alice.grant(GRANT, "/private/alice/a")["successful"] is True
    assert alice.session.user == "alice"


def test_the_grant_of_another_user() -> None:
    """Whoever has stolen one needs a session without name."""
    world = private()
    bob = Member(world, token(sub="bob"))
    assert bob.grant(GRANT, "/private/alice/a")["error"] == "401::Authentication invalid"
    assert bob.grant(signed_grant(sub=""), "/private/alice/a")["successful"] is True
    assert world.hub.metrics.authentication_failures == {"grant_of_another_user": 1}


def test_a_grant_for_one_session_alone() -> None:
    """Y-15: ``bayeux-subscribe-v1c``."""
    world = private()
    client, thief = world.client(), world.client()
    grant = signed_grant(bound_to=client.id)
    assert ask_with_grant(client, grant, "/private/alice/a")["successful"] is True
    assert ask_with_grant(thief, grant, "/private/alice/a")["error"] == "401::Authentication invalid"
    assert ask_with_grant(client, signed_grant(bound_to=""), "/private/alice/a")["successful"] is False


BAD_GRANTS = [
    pytest.param(value, id=name) for name, value in {
        "a string": "x", "a list": [GRANT], "a number": 5, "empty": {},
        "wrong signature": {**GRANT, "sig": 64 * "0"}, "upper case": {**GRANT, "sig": GRANT["sig"].upper()},
        "short": {**GRANT, "sig": GRANT["sig"][:-1]}, "line end": {**GRANT, "sig": f"{GRANT['sig']}\n"},
        "no hex": {**GRANT, "sig": 64 * "\u00e9"},
        "v 2": {**GRANT, "v": 2}, "v true": {**GRANT, "v": True}, "v a string": {**GRANT, "v": "1"},
        "v 1.0": {**GRANT, "v": 1.0}, "no v": {name: value for name, value in GRANT.items() if name != "v"},
        "kid a number": {**GRANT, "kid": 5}, "unknown kid": signed_grant(kid="web-b"),
        "another secret": signed_grant(secret=SECRET + "x"), "empty secret": signed_grant(kid="", secret=""),
        "exp changed": {**GRANT, "exp": 1700003601}, "exp a float": signed_grant(exp=1700003600.0),
        "exp negative": signed_grant(exp=-1), "exp with a zero": signed_grant(exp="01700003600"),
        "exp too long": signed_grant(exp=10**12), "exp true": {**GRANT, "exp": True},
        "exp with a line": signed_grant(exp="1700003600\n"),
        "exp of other digits": signed_grant(exp="\u0661700003600"),
        "sub changed": {**GRANT, "sub": "bob"}, "sub null": {**GRANT, "sub": None},
        "sub with a line": signed_grant(sub="a\nb"),
        "pat changed": {**GRANT, "pat": "/private/bob/**"}, "pat no pattern": signed_grant(pat="private"),
        "pat empty": signed_grant(pat=""), "pat with a line": signed_grant(pat="/private/alice\n"),
        "pat meta": signed_grant(pat="/meta/connect"), "pat a list": {**GRANT, "pat": ["/private/alice/**"]},
        "parts moved": {**signed_grant(sub="alice\n/private/alice/**"), "sub": "alice"},
    }.items()]


@pytest.mark.parametrize("grant", BAD_GRANTS)
def test_a_bad_grant(grant: Any) -> None:
    """E-23, Y-6, Y-15: without advice, as a subscribe has none (A-5)."""
    world = private()
    client = world.client()
    reply = ask_with_grant(client, grant, "/private/alice/a")
    assert reply == {"channel": "/meta/subscribe", "successful": False, "subscription": ["/private/alice/a"],
                     "error": "401::Authentication invalid"}
    assert client.session.subscriptions == ()
    assert world.hub.metrics.authentication_failures == {"grant_invalid": 1}


@pytest.mark.parametrize("subject", ["", "Z\u00f6e M\u00fcller", "a,b:c/d"])
def test_for_whom_a_grant_may_be(subject: str) -> None:
    client = private().client()
    assert ask_with_grant(client, signed_grant(sub=subject), "/private/alice/a")["successful"] is True


def test_a_grant_without_name_and_with_its_time_as_text() -> None:
    """Y-3: shells know no numbers."""
    grant = signed_grant(sub="", exp="1700003600")
    del grant["sub"]
    assert ask_with_grant(private().client(), grant, "/private/alice/a")["successful"] is True


@pytest.mark.parametrize(("leeway", "expires", "error"), [
    (0, START + 1, None), (0, START, "401::Grant expired"), (10, START - 9, None),
    (10, START - 10, "401::Grant expired")])
def test_when_a_grant_is_good(leeway: float, expires: int, error: str | None) -> None:
    """Y-15."""
    client = private(token_leeway=leeway).client()
    assert ask_with_grant(client, signed_grant(exp=expires), "/private/alice/a").get("error") == error


def test_a_grant_of_null_is_none() -> None:
    assert ask_with_grant(private().client(), None, "/news")["successful"] is True


@pytest.mark.parametrize("ext", [5, "x", [], {"grant": None}, {"token": VECTOR}, {}])
def test_any_other_ext_of_a_subscribe(ext: Any) -> None:
    """M-31."""
    client = private().client()
    [reply] = client.ask(client.message("/meta/subscribe", subscription="/news", ext=ext))
    assert reply["successful"] is True


def test_a_grant_without_session() -> None:
    """E-13: nobody learns whether it would be good."""
    world = private()
    for grant in (GRANT, {**GRANT, "sig": 64 * "0"}):
        [reply] = world.ask({"channel": "/meta/subscribe", "clientId": "x",
                             "subscription": "/private/alice/a", "ext": {"grant": grant}})
        assert reply["error"] == "402:x:Unknown client ID"


@pytest.mark.parametrize("text", ["bayeux-publish-v1", "bayeux-subscribe-v2", "bayeux-subscribe-v1\n"])
def test_what_has_been_signed_for_another_purpose(text: str) -> None:
    """Y-2: domain separation."""
    said = f"{text}\nweb-a\n1700003600\nalice\n/private/alice/**"
    grant = {**GRANT, "sig": hmac.new(SECRET.encode(), said.encode(), hashlib.sha256).hexdigest()}
    assert ask_with_grant(private().client(), grant, "/private/alice/a")["successful"] is False


# -- on its own ---------------------------------------------------------------------------------


def test_it_tells_the_time_by_itself() -> None:
    """It is the machine's, unless somebody gives another."""
    tokens = Tokens(KeyRing([Key(id="web-a", secret=SECRET.encode())]), Settings(), Metrics())
    with pytest.raises(Expired):
        tokens.check(VECTOR)
    with pytest.raises(BayeuxError, match="401::Authentication invalid"):
        tokens.check(token(iat=4_000_000_000, exp=4_000_000_001))


@given(st.text(max_size=30))
def test_no_text_is_a_token(text: str) -> None:
    tokens = Tokens(KeyRing(), Settings(), Metrics())
    with pytest.raises(BayeuxError, match="401::Authentication invalid"):
        tokens.check(text)
