"""extensions/signing.py: who signs may publish (BAYEUX.md 21.2 and 21.3, Y-1 to Y-11)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from bayeux import Call, Extension, Link, ListenOnly, Policy, Session
from bayeux.channels import expand
from bayeux.keys import Key
from bayeux.messages import Message, Reply, SignedMessage, decode, decode_data
from bayeux.signatures import digest, publish_text, sign, sign_json
from tests.client import Carrier, World
from tests.test_signatures import KEY as BARE_KEY
from tests.test_signatures import PAYLOAD, VECTOR

NOW = int(World.START)
KEY = Key(id="web-a", secret=BARE_KEY.secret, publish=("/news/**", "/service/**"))
NONCE = "Zk3v9c1QmXoPq7La"

INVALID = "401::Invalid signature"
MALFORMED = "401::Signature malformed"
CLOCK = "401::Timestamp outside window"


class Site(World):
    """A server that has a key, with a client that listens to everything."""

    def __init__(self, policy: Policy | None = None, keys: tuple[Key, ...] = (KEY,), **settings: Any) -> None:
        super().__init__(policy, max_interval=86_400, **settings)
        self.hub.keys.replace(keys)
        self.listener = self.client()
        self.listener.subscribe("/**")

    def post(self, message: dict[str, Any]) -> Any:
        """Publish, without a session unless the message names one; returns the reply."""
        [reply] = self.ask(message, link=Link("long-polling"))
        return reply

    def refusal(self, message: dict[str, Any]) -> str:
        """Publish what has to be refused; returns the error."""
        reply = self.post(message)
        assert reply["successful"] is False
        assert self.delivered() == []
        error = reply["error"]
        assert isinstance(error, str)
        return error

    def delivered(self) -> list[Any]:
        """Return what the client has got since the last time."""
        assert self.listener.session.alive
        carrier = self.listener.connect()
        if carrier.held:
            carrier.lose()
            return []
        assert carrier.messages is not None
        return [message for message in carrier.messages if "successful" not in message]

    @property
    def failures(self) -> dict[str, int]:
        return dict(self.hub.metrics.authentication_failures)


@pytest.fixture
def site() -> Site:
    return Site()


def signed(data: object = 1, channel: str = "/news/sport", *, key: Key = KEY, timestamp: int = NOW,
           nonce: str = NONCE, **fields: Any) -> dict[str, Any]:
    return {**sign(key, channel, data, timestamp=timestamp, nonce=nonce), **fields}


def sealed(message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Change fields of ``ext.hmac``."""
    return {**message, "ext": {"hmac": {**message["ext"]["hmac"], **fields}}}


def payload(text: str, *, key: Key = KEY, nonce: str = NONCE) -> dict[str, Any]:
    return sign_json(key, "/news/sport", text, timestamp=NOW, nonce=nonce)


# -- what is good -------------------------------------------------------------------------------


def test_the_vector(site: Site) -> None:
    """21.2, Y-1: subscribers get the payload letter by letter, as JSON and not as a string."""
    assert site.post(VECTOR) == {"channel": "/news/sport", "successful": True}
    assert site.delivered() == [{"channel": "/news/sport", "data": json.loads(PAYLOAD)}]
    assert site.hub.metrics.signed == 1


def raw(site: Site) -> list[str]:
    """Return the events' own JSON, before anybody reads it."""
    return [event.json.decode() for event in site.listener.session.take()]


@pytest.mark.parametrize("text", [
    PAYLOAD, '{"t":1.10,"a":1,"a":2}', " [1 , 2]\n", "1e400", '"\\/\\u00e9"', "null", "9" * 5000, '"\u2028"',
    '{"a":"\\ud800"}', '"\\uD83D\\uDE00 \\uDfff"', '"\ue000"'])
def test_the_payload_is_relayed_as_it_was_signed(site: Site, text: str) -> None:
    """Y-1, section 25: numbers, order, escapes and lone surrogates untouched."""
    assert site.post(payload(text))["successful"] is True
    assert raw(site) == ['{"channel":"/news/sport","data":' + text + "}"]


def ruby(value: Any) -> str:
    return json.dumps(value, separators=(", ", " : "))


@pytest.mark.parametrize("write", [
    json.dumps, lambda value: json.dumps(value, ensure_ascii=False, indent=1),
    lambda value: json.dumps(value).replace("/", "\\/"), lambda value: ruby({**value, "x": [1.50]}),
    lambda value: json.dumps(dict(reversed(value.items())))])
def test_the_message_may_be_written_again_on_its_way(site: Site, write: Callable[[Any], str]) -> None:
    """21.1, 21.2: escapes, blanks and the order of keys are no matter."""
    messages = decode(write(VECTOR).encode(), site.hub.settings)
    [reply] = Carrier(site.hub.receive(messages, Link("long-polling"))).messages or []
    assert reply["successful"] is True
    assert site.delivered() == [{"channel": "/news/sport", "data": json.loads(PAYLOAD)}]


@pytest.mark.parametrize(("channel", "good"), [
    ("/news" + "/a" * 31, True), ("/news" + "/a" * 32, False), ("/news/" + "a" * 250, True),
    ("/news/" + "a" * 251, False), ("/news" + "/a" * 3_000, False)])
def test_a_channel_is_no_longer_than_others(site: Site, channel: str, good: bool) -> None:
    """G-9: looked at before anything is made of it; its parents would take a gigabyte."""
    expand.cache_clear()
    message = signed(channel=channel)
    if good:
        assert site.post(message)["successful"] is True
    else:
        assert site.refusal(message) == "405::Invalid channel"
        assert expand.cache_info().currsize == 0
        assert not site.failures


def test_no_session_is_needed(site: Site) -> None:
    """Y-11, P-8: neither absent nor null."""
    assert site.post(signed(1))["successful"] is True
    assert site.post(signed(2, nonce="n" * 16, clientId=None, id="7")) == {
        "channel": "/news/sport", "id": "7", "successful": True}
    assert [event["data"] for event in site.delivered()] == [1, 2]
    assert len(site.hub.sessions) == 1


def test_a_session_may_sign_too(site: Site) -> None:
    """Y-11: its id is not signed."""
    client = site.client()
    assert client.ask(client.message("/news/sport", **{
        name: signed(1)[name] for name in ("data", "ext")}))[0]["successful"] is True
    assert [event["data"] for event in site.delivered()] == [1]


def test_a_session_that_is_gone_is_none(site: Site) -> None:
    """P-7: a good signature does not hide it; and the message may be sent again without."""
    assert site.refusal(signed(1, clientId="gone")) == "402:gone:Unknown client ID"
    assert site.post(signed(1))["successful"] is True
    assert len(site.delivered()) == 1


def test_nothing_of_the_signature_is_delivered(site: Site) -> None:
    """D-4, Y-1."""
    site.post({**signed(1), "id": "5", "other": 1})
    assert site.delivered() == [{"channel": "/news/sport", "data": 1}]


def test_what_else_is_in_ext_stays(site: Site) -> None:
    """XG-2: it is for the other extensions."""
    message = signed({"data": ""})
    message["ext"]["binary"] = {}
    site.post(message)
    assert site.delivered() == [{"channel": "/news/sport", "data": {"data": ""}, "ext": {"binary": {}}}]


def test_a_timestamp_may_be_text(site: Site) -> None:
    """Y-3."""
    assert site.post(sealed(signed(), ts=str(NOW)))["successful"] is True


@pytest.mark.parametrize("nonce", ["a" * 16, "Z_-" * 21 + "0"])
def test_any_nonce_of_its_grammar(site: Site, nonce: str) -> None:
    """Y-3: 16 to 64 characters."""
    assert site.post(signed(nonce=nonce))["successful"] is True


def test_a_service_may_be_asked_by_a_session(site: Site) -> None:
    """Y-11, section 11: its handler gets the payload."""
    got: list[Any] = []
    site.hub.service("/service/x", lambda session, data: got.append(data))
    client = site.client()
    message = {**signed({"a": 1}, "/service/x"), "clientId": client.id}
    assert client.ask(message)[0]["successful"] is True
    assert got == [{"a": 1}]


def test_a_service_cannot_be_asked_without_a_session(site: Site) -> None:
    """V-5: there is nobody to answer."""
    assert site.refusal(signed(1, "/service/x")) == "401::No client ID"


def test_an_application_may_decide_more() -> None:
    """Y-11: a policy is told that a message is signed, and by which key."""
    seen: list[tuple[Session | None, str, Any]] = []

    class Curious(Policy):
        def can_publish(self, session: Session | None, channel: str, message: Message, link: Link) -> bool:
            assert isinstance(message, SignedMessage)
            seen.append((session, message.key_id, decode_data(message.data or b"")))
            return False

    site = Site(Curious())
    assert site.refusal(signed("x")) == "403:/news/sport:Publish denied"
    assert seen == [(None, "web-a", "x")]


def test_where_only_the_server_publishes_no_signature_helps() -> None:
    """``ListenOnly`` says who may; elsewhere it asks the policy before."""
    site = Site(ListenOnly("/news/*"))
    assert site.refusal(signed()) == "403:/news/sport:Publish denied"
    assert site.post(signed(1, "/news/a/b"))["successful"] is True


def test_other_messages_need_no_signature(site: Site) -> None:
    """Whether one is needed is for the policy to say."""
    client = site.client()
    assert client.publish("/news/sport", "1")["successful"] is True
    assert client.ask(client.message("/news/sport", data=2, ext={"x": {}}))[0]["successful"] is True
    assert client.ask(client.message("/news/sport", data=3, ext=["hmac"]))[0]["successful"] is True  # M-31
    assert [event["data"] for event in site.delivered()] == ["1", 2, 3]
    assert site.refusal({"channel": "/news/sport", "data": 1}) == "401::No client ID"
    assert (site.hub.metrics.signed, site.failures) == (0, {})


def test_meta_messages_are_not_signed(site: Site) -> None:
    """21.2 is of publishes."""
    client = site.client()
    [reply] = client.ask(client.message("/meta/subscribe", subscription="/a", ext={"hmac": 5}))
    assert reply["successful"] is True


# -- grammar ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [
    {"v": 2}, {"v": 0}, {"v": "1"}, {"v": 1.0}, {"v": True}, {"v": None},
    {"kid": ""}, {"kid": "a" * 65}, {"kid": "web a"}, {"kid": "web-a\n"}, {"kid": 5}, {"kid": None},
    {"ts": -NOW}, {"ts": float(NOW)}, {"ts": f"0{NOW}"}, {"ts": f"+{NOW}"}, {"ts": f" {NOW}"}, {"ts": ""},
    {"ts": f"{NOW}\n"}, {"ts": True}, {"ts": None}, {"ts": [NOW]}, {"ts": 10**15}, {"ts": 10**18},
    {"ts": "1" * 5000}, {"ts": "\u0661" * 10}, {"ts": f"{NOW}.0"}, {"ts": "1.7e9"},
    {"nonce": "a" * 15}, {"nonce": "a" * 65}, {"nonce": "a" * 15 + "\n"}, {"nonce": "a" * 15 + "+"},
    {"nonce": 1}, {"nonce": "\u00e4" * 16}, {"nonce": None},
    {"sig": ""}, {"sig": "0" * 63}, {"sig": "0" * 65}, {"sig": "0" * 64 + "\n"}, {"sig": "g" * 64},
    {"sig": "0x" + "0" * 62}, {"sig": "\u0660" * 64}, {"sig": 0}, {"sig": None},
    {"alg": "none"}], ids=repr)
def test_a_signature_that_is_not_spelt_like_one(site: Site, fields: dict[str, Any]) -> None:
    """Y-3; also another version, so that one can come (Y-10)."""
    assert site.refusal(sealed(signed(), **fields)) == MALFORMED
    assert site.failures == {"malformed": 1}


@pytest.mark.parametrize("missing", ["v", "kid", "ts", "nonce", "sig"])
def test_a_signature_has_all_its_parts(site: Site, missing: str) -> None:
    """Y-3."""
    message = signed()
    del message["ext"]["hmac"][missing]
    assert site.refusal(message) == MALFORMED


@pytest.mark.parametrize("claimed", [None, True, 1, "x", [], {}, [VECTOR["ext"]["hmac"]]])
def test_what_is_no_signature_at_all(site: Site, claimed: Any) -> None:
    """Y-3."""
    assert site.refusal({**signed(), "ext": {"hmac": claimed}}) == MALFORMED


@pytest.mark.parametrize("data", [None, 1, True, [PAYLOAD], {"score": "1:0"}])
def test_the_payload_is_a_string(site: Site, data: Any) -> None:
    """Y-1."""
    assert site.refusal(signed(data=data) | {"data": data}) == MALFORMED


def test_there_is_a_payload(site: Site) -> None:
    """P-4."""
    message = signed()
    del message["data"]
    assert site.refusal(message) == "400:data:Missing field"


def test_upper_case_is_another_signature(site: Site) -> None:
    """21.3: faults to expect; Y-3."""
    message = signed()
    assert site.refusal(sealed(message, sig=message["ext"]["hmac"]["sig"].upper())) == MALFORMED


def test_it_is_refused_where_none_is_needed(site: Site) -> None:
    """Who signs wants it checked: it is not taken for an unsigned message."""
    client = site.client()
    [reply] = client.ask({**sealed(signed(), sig="0" * 64), "clientId": client.id})
    assert reply["error"] == INVALID
    assert site.delivered() == []


def test_a_number_that_python_cannot_hold_hides_no_signature(site: Site) -> None:
    """Nor does anything else that stands beside it in ``ext``."""
    body = json.dumps(sealed(signed(), sig="0" * 64)).replace('{"hmac"', '{"x": 1e999, "hmac"').encode()
    client = site.client()
    body = body.replace(b'{"channel"', b'{"clientId": "%b", "channel"' % client.id.encode())
    [reply] = Carrier(site.hub.receive(decode(body, site.hub.settings), client.link)).messages or []
    assert reply["error"] == INVALID


@pytest.mark.parametrize("channel", ["news", "/news/*", "/news/", "/a b", "/news/sport\n/news/sport"])
def test_a_channel_that_is_none(site: Site, channel: str) -> None:
    """E-19, Y-2: a line break in it could pass for another part."""
    error = site.refusal({**signed(), "channel": channel})
    assert error.startswith("405:")
    assert error.endswith(":Invalid channel")


def test_nothing_can_be_moved_from_one_part_to_another(site: Site) -> None:
    """Y-2: the same text to sign, cut in another place."""
    message = payload("/news/sport\n1")
    message["channel"], message["data"] = "/news/sport\n/news/sport", "1"
    assert site.refusal(message).startswith("405:")


# -- keys ---------------------------------------------------------------------------------------


def test_without_keys_no_signature_is_good() -> None:
    site = Site(keys=())
    assert site.refusal(signed()) == INVALID
    assert site.failures == {"unknown_key": 1}


@pytest.mark.parametrize(("key", "kind"), [
    (Key(id="web-b", secret=KEY.secret, publish=("/**",)), "unknown_key"),
    (Key(id="web-a", secret=b"x" * 40, publish=("/**",)), "wrong_signature")])
def test_an_unknown_key_is_told_like_a_wrong_signature(site: Site, key: Key, kind: str) -> None:
    """Y-5, E-5: nobody learns which keys there are; only our own counters tell."""
    assert site.refusal(signed(key=key)) == INVALID
    assert site.failures == {kind: 1}
    assert site.hub.metrics.failures[401] == 1


@pytest.mark.parametrize("dates", [{"not_before": NOW + 1}, {"not_after": NOW}])
def test_a_key_that_is_not_good_now_is_unknown(dates: dict[str, float]) -> None:
    """Y-5, Y-7."""
    site = Site(keys=(Key(id="web-a", secret=KEY.secret, publish=("/**",), **dates),))
    assert site.refusal(signed()) == INVALID
    assert site.failures == {"unknown_key": 1}


def test_keys_change_while_the_server_runs(site: Site) -> None:
    """Y-10: old and new side by side, then the new one alone."""
    new = Key(id="web-b", secret=b"n" * 40, publish=("/news/**",))
    assert site.refusal(signed(key=new)) == INVALID
    site.hub.keys.replace([KEY, new])
    assert site.post(signed(key=new))["successful"] is True
    assert site.post(signed())["successful"] is True
    site.hub.keys.replace([new])
    assert [event["data"] for event in site.delivered()] == [1, 1]
    assert site.refusal(signed(nonce="n" * 16)) == INVALID


@pytest.mark.parametrize("channel", ["/newsx", "/other", "/news"])
def test_a_key_is_for_its_channels(site: Site, channel: str) -> None:
    """Y-7, E-16."""
    assert site.refusal(signed(1, channel)) == f"403:{channel}:Publish denied"
    assert site.failures == {"channel": 1}


def test_a_key_is_for_no_channel_by_default() -> None:
    """Y-7."""
    assert Site(keys=(BARE_KEY,)).refusal(signed()) == "403:/news/sport:Publish denied"


@pytest.mark.parametrize(("text", "good"), [
    ('"12345678"', True), ('"123456789"', False), ('"1234567\u00e9"', False)])
def test_a_key_has_its_largest_payload(text: str, good: bool) -> None:
    """Y-7, E-24: in bytes."""
    site = Site(keys=(Key(id="web-a", secret=KEY.secret, publish=("/**",), max_payload=10),))
    if good:
        assert site.post(payload(text))["successful"] is True
    else:
        assert site.refusal(payload(text)) == "413::Message too large"
        assert site.failures == {"payload": 1}


# -- the payload --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [
    "", " ", "x", "{", "NaN", "[1,]", "{'a':1}", "1 2", "\ufeff1", '"\n"', '"\\x"', "01", '"\\ud800\\ue000"',
    '"\\ud8', "Infinity"])
def test_a_payload_that_is_not_json(site: Site, text: str) -> None:
    """Y-1, M-6; a byte order mark too: 21.3, faults to expect."""
    assert site.refusal(payload(text)) == "400::Malformed message"
    assert site.failures == {"payload": 1}


def test_a_payload_is_no_deeper_than_others(site: Site) -> None:
    """Y-1, G-6: what is around it in an envelope is counted in."""
    assert site.post(payload("[" * 62 + "]" * 62))["successful"] is True
    assert len(site.delivered()) == 1
    assert site.refusal(payload("[" * 63 + "]" * 63, nonce="n" * 16)) == "400::Malformed message"


def test_brackets_in_a_text_are_not_depth(site: Site) -> None:
    assert site.post(payload('"' + "[" * 100 + '"'))["successful"] is True


def test_a_payload_so_deep_that_no_parser_could_take_it() -> None:
    """M-7: where the setting allows it."""
    site = Site(max_depth=1_000_000)
    assert site.refusal(payload("[" * 20_000 + "]" * 20_000)) == "400::Malformed message"
    assert site.refusal(payload('"\\ud800' + "[" * 9)) == "400::Malformed message"
    assert site.refusal(payload('["\\ud800",' + "[" * 20_000 + "]" * 20_001)) == "400::Malformed message"


def test_a_lone_surrogate_in_the_string_itself_cannot_be_signed(site: Site) -> None:
    """M-8: there are no bytes for it."""
    body = json.dumps(signed("x")).replace('\\"x\\"', '\\"\\ud800\\"').encode()
    [reply] = Carrier(site.hub.receive(decode(body, site.hub.settings), Link("long-polling"))).messages or []
    assert reply["error"] == MALFORMED
    assert site.delivered() == []


@pytest.mark.parametrize("field", ["kid", "ts", "nonce", "sig"])
def test_a_lone_surrogate_in_a_signature(site: Site, field: str) -> None:
    """M-8, Y-3."""
    body = json.dumps(sealed(signed(), **{field: "LONE" + "a" * 60})).replace("LONE", "\\ud800").encode()
    [reply] = Carrier(site.hub.receive(decode(body, site.hub.settings), Link("long-polling"))).messages or []
    assert reply["error"] == MALFORMED


def test_a_lone_surrogate_elsewhere_is_no_matter(site: Site) -> None:
    """M-8."""
    body = json.dumps({**VECTOR, "x": "LONE", "ext": {**VECTOR["ext"], "LONE": "LONE"}})
    messages = decode(body.replace("LONE", "\\udead").encode(), site.hub.settings)
    [reply] = Carrier(site.hub.receive(messages, Link("long-polling"))).messages or []
    assert reply["successful"] is True
    assert site.delivered() == [{"channel": "/news/sport", "data": json.loads(PAYLOAD)}]


# -- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("off", "good"), [(0, True), (300, True), (301, False), (10**9, False)])
def test_a_time_ahead(site: Site, off: int, good: bool) -> None:
    """Y-5."""
    reply = site.post(signed(timestamp=NOW + off))
    assert reply["successful"] is good
    if not good:
        assert (reply["error"], reply["ext"]) == (CLOCK, {"hmac": {"now": NOW}})
        assert site.failures == {"timestamp": 1}


@pytest.mark.parametrize(("off", "good"), [(0, True), (300, True), (301, False), (NOW, False)])
def test_a_time_behind(site: Site, off: int, good: bool) -> None:
    """Y-5: the sender is told what time it is."""
    site.clock.advance(1000)
    reply = site.post(signed(timestamp=NOW + 1000 - off))
    assert reply["successful"] is good
    if not good:
        assert (reply["error"], reply["ext"]) == (CLOCK, {"hmac": {"now": NOW + 1000}})


def test_the_window_is_a_setting() -> None:
    """Y-5."""
    site = Site(signature_window=2)
    assert site.refusal(signed(timestamp=NOW + 3)) == CLOCK
    assert site.post(signed(timestamp=NOW + 2))["successful"] is True


@pytest.mark.parametrize(("timestamp", "good"), [(NOW - 1, True), (NOW - 2, False)])
def test_after_a_start_nothing_older_is_good(site: Site, timestamp: int, good: bool) -> None:
    """Y-8: the process before may have seen it, and this one would not know."""
    site.clock.advance(10)
    reply = site.post(signed(timestamp=timestamp))
    assert reply["successful"] is good
    if not good:
        assert reply["error"] == CLOCK


def test_who_signs_in_milliseconds_is_told(site: Site) -> None:
    """21.3: faults to expect."""
    assert site.refusal(signed(timestamp=NOW * 1000)) == CLOCK


def test_who_signs_in_local_time_is_told(site: Site) -> None:
    """21.3: faults to expect."""
    assert site.refusal(signed(timestamp=NOW + 3600)) == CLOCK


def test_the_time_is_not_told_to_who_cannot_sign(site: Site) -> None:
    """Y-5: only after a valid signature may the answer be specific."""
    assert site.refusal(sealed(signed(timestamp=5), sig="0" * 64)) == INVALID


# -- once ---------------------------------------------------------------------------------------


def test_the_same_again_is_a_success_and_delivers_nothing(site: Site) -> None:
    """Y-9, N-8: safe for a client that has not got its answer."""
    assert site.post(signed(id="1")) == {"channel": "/news/sport", "id": "1", "successful": True}
    assert len(site.delivered()) == 1
    for identity in ("1", 2):
        assert site.post(signed(id=identity)) == {
            "channel": "/news/sport", "id": identity, "successful": True,
            "ext": {"hmac": {"duplicate": True}}}
    assert site.delivered() == []
    assert (site.hub.metrics.signed, site.hub.metrics.duplicates) == (1, 2)
    assert site.hub.metrics.published == 1


def test_the_same_again_in_one_batch(site: Site) -> None:
    """Y-9."""
    first, second = site.ask(signed(id="1"), signed(id="2"))
    assert ("ext" in first, second["ext"]) == (False, {"hmac": {"duplicate": True}})
    assert len(site.delivered()) == 1


def test_the_same_again_from_another_session(site: Site) -> None:
    """Y-9, Y-11: a session's id may change between signing and trying again."""
    client = site.client()
    client.ask({**signed(), "clientId": client.id})
    site.delivered()
    client.ask(client.message("/meta/disconnect"))
    other = site.client()
    assert other.ask({**signed(), "clientId": other.id})[0]["ext"] == {"hmac": {"duplicate": True}}
    assert site.delivered() == []


@pytest.mark.parametrize("other", [
    signed(2), signed(1, "/news/x"), signed(1, timestamp=NOW + 1)], ids=["payload", "channel", "time"])
def test_a_nonce_serves_once(site: Site, other: dict[str, Any]) -> None:
    """Y-9, E-28."""
    site.post(signed())
    site.delivered()
    assert site.refusal(other) == "409::Nonce reused"
    assert site.failures == {"nonce_reused": 1}


def test_keys_have_nonces_of_their_own(site: Site) -> None:
    """Y-8."""
    other = Key(id="web-b", secret=KEY.secret, publish=("/**",))
    site.hub.keys.replace([KEY, other])
    assert site.post(signed())["successful"] is True
    assert "ext" not in site.post(signed(key=other))
    assert len(site.delivered()) == 2


def test_a_forgery_uses_up_no_nonce(site: Site) -> None:
    """Y-8: nobody can poison what a good message will use."""
    for _ in range(5):
        site.refusal(sealed(signed(), sig="0" * 64))
    assert "ext" not in site.post(signed())
    assert len(site.delivered()) == 1


def test_a_replay_is_refused_for_ever(site: Site) -> None:
    """Y-5, Y-8: as a duplicate while it is remembered, and for its age as soon as it is not."""
    message = signed(timestamp=NOW + 300)
    site.post(message)
    assert len(site.delivered()) == 1
    for second in range(0, 1500, 7):
        reply = site.post(message)
        assert reply.get("ext", {}).get("hmac") in ({"duplicate": True}, {"now": NOW + second})
        site.post(signed(timestamp=NOW + second, nonce=f"{second:016}"))  # so that something is forgotten
        assert len(site.delivered()) == 1
        site.clock.advance(7)


def test_a_replay_is_refused_though_the_time_of_day_is_set_back() -> None:
    """Y-8: what has been forgotten is not good again."""
    site = Site()
    site.post(signed())
    site.clock.advance(601)
    site.post(signed(timestamp=NOW + 601, nonce="n" * 16))
    site.START -= 601
    assert [event["data"] for event in site.delivered()] == [1, 1]
    assert site.refusal(signed()) == CLOCK


def test_nonces_have_their_bound() -> None:
    """G-22, E-27: fails closed; an answer is repeated nevertheless, and room comes with time."""
    site = Site(max_nonces=3)
    messages = [signed(number, nonce=f"{number:016}") for number in range(4)]
    for message in messages[:3]:
        assert site.post(message)["successful"] is True
    assert len(site.delivered()) == 3
    assert site.refusal(messages[3]) == "503::Server too busy"
    assert site.failures == {"too_many_nonces": 1}
    assert site.post(messages[0])["ext"] == {"hmac": {"duplicate": True}}
    site.clock.advance(601)
    assert site.post(signed(5, timestamp=NOW + 601))["successful"] is True


def test_it_is_remembered_for_twice_the_window() -> None:
    """Y-8."""
    site = Site(signature_window=10, max_nonces=1)
    site.post(signed())
    site.clock.advance(20)
    site.delivered()
    assert site.refusal(signed(timestamp=NOW + 20, nonce="n" * 16)) == "503::Server too busy"
    site.clock.advance(0.5)
    assert site.post(signed(timestamp=NOW + 20, nonce="n" * 16))["successful"] is True


class Thinking(Policy):
    """Says later, when it is told, what may be published."""

    def __init__(self) -> None:
        self.asked: list[Deferred[bool]] = []

    def can_publish(self, session: Session | None, channel: str, message: Message,
                    link: Link) -> Deferred[bool]:
        self.asked.append(Deferred())
        return self.asked[-1]


def test_the_same_while_the_first_is_thought_about_waits_for_it() -> None:
    """Y-9: it is not delivered twice, and what is told of it is true."""
    policy = Thinking()
    site = Site(policy)
    carriers = [site.send(signed(id=number)) for number in range(3)]
    assert (len(policy.asked), all(carrier.held for carrier in carriers)) == (1, True)
    policy.asked[0].callback(True)
    replies = [carrier.messages[0] for carrier in carriers if carrier.messages]
    assert [reply["successful"] for reply in replies] == [True, True, True]
    assert [reply.get("ext") for reply in replies] == [None, *[{"hmac": {"duplicate": True}}] * 2]
    assert len(site.delivered()) == 1


def test_the_same_tries_again_if_the_first_fails() -> None:
    """Y-9: one after the other, until one succeeds."""
    policy = Thinking()
    site = Site(policy)
    carriers = [site.send(signed(id=number)) for number in range(4)]
    policy.asked[0].callback(False)
    assert (len(policy.asked), [carrier.held for carrier in carriers]) == (2, [False, True, True, True])
    policy.asked[1].callback(True)
    replies = [carrier.messages[0] for carrier in carriers if carrier.messages]
    assert [reply.get("error", reply.get("ext")) for reply in replies] == [
        "403:/news/sport:Publish denied", None, *[{"hmac": {"duplicate": True}}] * 2]
    assert len(site.delivered()) == 1


def test_another_waits_only_for_its_like() -> None:
    policy = Thinking()
    site = Site(policy)
    site.send(signed())
    assert site.refusal(signed(2)) == "409::Nonce reused"
    site.send(signed(nonce="n" * 16))
    assert len(policy.asked) == 2


def test_a_key_that_is_taken_away_meanwhile_is_no_good() -> None:
    """Y-10: for who waits, as all is looked at again."""
    policy = Thinking()
    site = Site(policy)
    first, second = site.send(signed()), site.send(signed())
    site.hub.keys.replace([])
    policy.asked[0].callback(True)
    assert first.messages is not None
    assert second.messages is not None
    assert (first.messages[0]["successful"], second.messages[0]["error"]) == (True, INVALID)


def test_who_is_lost_while_it_is_thought_about_was_first_nevertheless() -> None:
    """N-8: that is when a client tries again."""
    policy = Thinking()
    site = Site(policy)
    site.send(signed()).lose()
    again = site.send(signed())
    policy.asked[0].callback(True)
    assert again.messages is not None
    assert again.messages[0]["ext"] == {"hmac": {"duplicate": True}}
    assert len(site.delivered()) == 1


class Saying(Policy):
    """Says at once what may be published: something else each time."""

    def __init__(self, *verdicts: Any) -> None:
        self.verdicts = list(verdicts)

    def can_publish(self, session: Session | None, channel: str, message: Message, link: Link) -> bool:
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        assert isinstance(verdict, bool)
        return verdict


def test_one_that_failed_may_be_sent_again(logged_errors: list[Any]) -> None:
    """Y-9: nothing has been delivered, whoever refused it."""
    site = Site(Saying(False, RuntimeError("oops"), True))
    assert site.refusal(signed()) == "403:/news/sport:Publish denied"
    assert site.refusal(signed()) == "500::Internal server error"
    assert site.post(signed()) == {"channel": "/news/sport", "successful": True}
    assert site.post(signed())["ext"] == {"hmac": {"duplicate": True}}
    assert len(site.delivered()) == 1
    assert len(logged_errors) == 1
    logged_errors.clear()


class Hooked(Extension):
    """Refuses messages on the way in, or fails on the replies to them."""

    def __init__(self, incoming: object = None, fails: bool = False) -> None:
        self._incoming = incoming
        self._fails = fails

    def incoming(self, call: Call) -> object:
        return self._incoming if call.message.channel == "/news/sport" else None

    def outgoing(self, reply: Reply, call: Call) -> None:
        if self._fails and reply.channel == "/news/sport":
            raise RuntimeError("oops")


def test_one_that_another_extension_refused_may_be_sent_again(site: Site) -> None:
    """E-22, Y-9."""
    extension = Hooked(incoming=False)
    site.hub.add_extension(extension)
    assert site.refusal(signed()) == "403::Message rejected"
    site.hub.remove_extension(extension)
    assert "ext" not in site.post(signed())
    assert len(site.delivered()) == 1


def test_one_that_was_delivered_is_not_again_though_its_reply_was_spoilt(
        site: Site, logged_errors: list[Any]) -> None:
    """Y-9, E-32: what counts is what has been done."""
    extension = Hooked(fails=True)
    site.hub.add_extension(extension)
    assert site.post(signed())["error"] == "500::Internal server error"
    site.hub.remove_extension(extension)
    assert len(site.delivered()) == 1
    assert site.post(signed())["ext"] == {"hmac": {"duplicate": True}}
    assert site.delivered() == []
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_other_extensions_see_the_message_that_was_signed(site: Site) -> None:
    """It comes before them."""
    seen: list[Message] = []

    class Looking(Extension):
        def incoming(self, call: Call) -> None:
            seen.append(call.message)

    site.hub.add_extension(Looking())
    site.post(signed("x"))
    assert isinstance(seen[0], SignedMessage)
    assert (seen[0].key_id, decode_data(seen[0].data or b"")) == ("web-a", "x")


def test_no_client_can_make_a_signed_message() -> None:
    """Only a good signature does."""
    claim = json.dumps({**VECTOR, "keyId": "web-a", "key_id": "web-a"})
    [message] = decode(claim.encode(), Site().hub.settings)
    assert type(message) is Message


# -- faults to expect (21.3) --------------------------------------------------------------------


def signature(*, secret: bytes = KEY.secret, channel: str = "/news/sport", text: str = PAYLOAD,
              sent: str | None = None, change: Callable[[bytes], bytes] = bytes) -> dict[str, Any]:
    """Sign in some wrong way; ``sent`` is what is sent instead."""
    sig = digest(secret, change(publish_text("web-a", NOW, NONCE, channel, text))).hex()
    return {"channel": channel, "data": text if sent is None else sent,
            "ext": {"hmac": {"v": 1, "kid": "web-a", "ts": NOW, "nonce": NONCE, "sig": sig}}}


FAULTS = {
    "echo adds a line end": signature(change=lambda text: text + b"\n"),
    "encoded twice, other blanks": signature(text='{"a":1}', sent='{"a": 1}'),
    "encoded twice, other escapes": signature(text='"Zo\u00eb"', sent='"Zo\\u00eb"'),
    "encoded twice, other slashes": signature(text='"a/b"', sent='"a\\/b"'),
    "signed unescaped, sent escaped": signature(text='{"a":1}', sent='"{\\"a\\":1}"'),
    "the secret decoded from hex": signature(secret=bytes.fromhex("5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d")),
    "the secret with its line end": signature(secret=KEY.secret + b"\n"),
    "the key's id for a secret": signature(secret=b"web-a"),
    "line ends of a here-document": signature(change=lambda text: text.replace(b"\n", b"\r\n")),
    "a mark at the beginning": signature(change=lambda text: b"\xef\xbb\xbf" + text),
    "a mark before the payload": signature(sent="\ufeff" + PAYLOAD),
    "another encoding": signature(change=lambda text: text.decode("utf-8").encode("latin-1")),
    "another purpose": signature(change=lambda text: text.replace(b"publish", b"subscribe")),
    "another version": signature(change=lambda text: text.replace(b"v1", b"v2")),
    "no purpose": signature(change=lambda text: text.partition(b"\n")[2]),
    "the channel escaped": signature(change=lambda text: text.replace(b"/news", b"\\/news")),
}


@pytest.mark.parametrize("message", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_a_signer_is_an_invalid_signature(site: Site, message: dict[str, Any]) -> None:
    """21.3."""
    assert site.refusal(message) == INVALID
    assert site.failures == {"wrong_signature": 1}


def test_without_a_fault_that_signature_is_good(site: Site) -> None:
    assert site.post(signature())["successful"] is True


# -- anything -----------------------------------------------------------------------------------


PARTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "channel": lambda message: message, "data": lambda message: message,
    **{name: lambda message: message["ext"]["hmac"] for name in ("kid", "ts", "nonce", "sig")},
}


@given(st.sampled_from(sorted(PARTS)), st.integers(0, 100), st.integers(0, 2),
       st.characters(codec="utf-8") | st.sampled_from("\n\r\x00/*0a\"\\ "))
@example("data", 0, 1, " ")
@example("data", 50, 1, "\n")
@example("channel", 11, 1, "\n")
@example("ts", 0, 1, "0")
@example("sig", 0, 0, "D")
def test_no_character_of_what_is_signed_can_be_changed(part: str, position: int, cut: int, put: str) -> None:
    """Y-2, Y-5: nor can one be added or taken away; one message stands for all others."""
    message = json.loads(json.dumps(VECTOR))
    holder = PARTS[part](message)
    text = str(holder[part])
    position %= len(text) + 1
    changed = text[:position] + put * (cut < 2) + text[position + (cut != 1):]
    assume(changed != text)
    holder[part] = changed
    site = CHANGED
    assert site.post(message)["successful"] is False
    assert site.hub.metrics.published == 0


CHANGED = Site()
"""A server for very many messages of which none may come through."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    | st.sampled_from([1, "web-a", NOW, str(NOW), NONCE, "0" * 64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["v", "kid", "ts", "nonce", "sig"]) | st.text(), inner, max_size=6))
FIELDS = st.fixed_dictionaries({
    "v": JSON | st.just(1), "kid": JSON | st.just("web-a"), "ts": JSON | st.just(NOW),
    "nonce": JSON | st.just(NONCE), "sig": JSON | st.just("0" * 64)})


@given(JSON | FIELDS, JSON, st.sampled_from(["/news/sport", "/service/x", "/a/*", "/meta", ""]))
def test_whatever_is_claimed_is_answered(claimed: Any, data: Any, channel: str) -> None:
    """E-32, G-34: with a refusal, not with a failure of ours."""
    reply = CHANGED.post({"channel": channel, "data": data, "ext": {"hmac": claimed}})
    assert reply["successful"] is False
    assert reply["error"][:3] in ("401", "403", "404", "405")
    assert CHANGED.hub.metrics.published == CHANGED.hub.metrics.application_errors == 0


@given(st.text())
def test_any_text_for_a_payload_is_relayed_or_refused(text: str) -> None:
    """Y-1, M-6: it is JSON, or its sender hears so."""
    site = Site()
    reply = site.post(payload(text))
    try:
        value = json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        assert reply["error"] == "400::Malformed message"
    else:
        assert reply["successful"] is True
        assert json.loads(raw(site)[0])["data"] == value
