"""api/publishing.py: what the site publishes by the API, with its key or signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed

from bayeux import Extension, Policy
from bayeux.api.errors import STATUS
from bayeux.keys import Key
from bayeux.signatures import sign
from tests.api import KEY, Desk, error_of
from tests.fakenet import HTTP, in_bayeux_site, request
from tests.fakenet import post as bayeux_post

SIGNER = Key(id="web-a", secret=b"k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d",
             publish=("/news/**", "/service/**", "/meta/**"))
NOW = int(Desk.START)

Open = Callable[..., Desk]


@pytest.fixture
def desk(tmp_path: Path) -> Open:
    """Return what starts a server that knows a signer's key."""
    def start(policy: Policy | None = None, **settings: Any) -> Desk:
        desk = Desk(tmp_path, policy, **settings)
        desk.hub.keys.replace([SIGNER])
        return desk

    return start


def signed(channel: str = "/news/sport", data: object = 1, nonce: str | None = None, key: Key = SIGNER,
           timestamp: int = NOW) -> dict[str, Any]:
    return sign(key, channel, data, timestamp=timestamp, nonce=nonce)


def data_of(desk: Desk) -> list[tuple[str, Any]]:
    """Return what the only session has been sent."""
    [session] = desk.hub.sessions
    return [(event.channel, json.loads(event.data)) for event in session.take()]


# -- with the key ---------------------------------------------------------------------------------


def test_a_message_is_delivered_and_counted(desk: Open) -> None:
    server = desk()
    server.opened("/news")
    server.opened("/news", "/**")
    assert server.published({"channel": "/news", "data": {"a": [1, None]}}) == {
        "channel": "/news", "delivered": 2}
    for session in server.hub.sessions:
        assert [json.loads(event.json) for event in session.queue.events] == [
            {"channel": "/news", "data": {"a": [1, None]}}]


def test_several_are_delivered_in_order(desk: Open) -> None:
    server = desk()
    server.opened("/**")
    messages = [{"channel": f"/{number % 3}", "data": number} for number in range(9)]
    assert server.published(messages) == {
        "results": [{"channel": f"/{number % 3}", "delivered": 1} for number in range(9)]}
    assert data_of(server) == [(f"/{number % 3}", number) for number in range(9)]


@pytest.mark.parametrize("message", [{"channel": "/news/sport", "data": 1}, signed()],
                         ids=["with the key", "signed"])
@pytest.mark.parametrize("several", [False, True])
def test_while_the_server_stops_nothing_is_taken(desk: Open, message: dict[str, Any], several: bool) -> None:
    """Q-10: there is nobody any more whom it could reach, and the site is not to believe it done."""
    server = desk()
    server.opened("/news/*")
    server.hub.close()
    assert error_of(server.post([message] if several else message)) == (503, "stopping")
    assert server.metrics.api_errors == {"stopping": 1}
    assert server.metrics.published == 0
    server.hub.open()
    assert server.post(message).status == 200, "nor is its nonce used up"


def test_what_is_left_of_a_body_when_the_server_stops_is_refused(desk: Open) -> None:
    """Q-10: the site's own code may stop it on a message."""
    server = desk()
    server.hub.subscribe("/stop", lambda channel, data: server.hub.close())
    body = [{"channel": "/stop", "data": 1}, {"channel": "/news", "data": 2}]
    first, second = server.published(body)["results"]
    assert first == {"channel": "/stop", "delivered": 0}
    assert second["error"]["code"] == "stopping"


def test_whoever_may_not_publish_does_not_learn_that_the_server_stops(desk: Open) -> None:
    server = desk()
    server.hub.close()
    assert error_of(server.post({"channel": "/news", "data": 1}, key=None)) == (401, "unauthorized")


def test_a_list_of_one_is_answered_by_a_list(desk: Open) -> None:
    assert desk().published([{"channel": "/news", "data": 1}]) == {
        "results": [{"channel": "/news", "delivered": 0}]}


def test_the_application_publishes_where_no_client_may(desk: Open) -> None:
    """No policy is asked, and no rule."""
    class Nobody(Policy):
        def can_publish(self, *arguments: Any) -> bool:
            raise AssertionError

    server = desk(Nobody(), channel=[{"pattern": "/**", "publish": "nobody"}])
    server.opened("/**")
    assert server.published({"channel": "/news", "data": 1})["delivered"] == 1


@pytest.mark.parametrize("text", [b"null", b'"\\ud800"', b"[1.50, 1e400]", b'{"b":1,"a":"\\u00e9"}'])
def test_data_is_relayed_as_it_was_written(desk: Open, text: bytes) -> None:
    server = desk()
    session = server.opened("/**")
    assert server.published(b'{"channel":"/news","data":%b}' % text)["delivered"] == 1
    assert session.queue.events[0].data == text


def test_nothing_but_the_data_is_relayed(desk: Open) -> None:
    """D-4: a clientId that somebody sends along is nobody's."""
    server = desk()
    session = server.opened("/**")
    server.published({"channel": "/news", "data": 1, "id": "7", "clientId": session.id, "ext": {"a": 1}})
    assert session.queue.events[0].json == b'{"channel":"/news","data":1}'


REFUSED = {
    "no object": ([1], 400, "invalid_message"),
    "no channel": ({"data": 1}, 400, "invalid_message"),
    "a channel that is no text": ({"channel": 1, "data": 1}, 400, "invalid_message"),
    "an id that cannot be": ({"channel": "/news", "data": 1, "id": ""}, 400, "invalid_message"),
    "no data": ({"channel": "/news"}, 400, "invalid_message"),
    "no channel's name": ({"channel": "news", "data": 1}, 400, "invalid_channel"),
    "a pattern": ({"channel": "/news/*", "data": 1}, 400, "invalid_channel"),
    "a channel that is too long": ({"channel": "/" + "a" * 256, "data": 1}, 400, "invalid_channel"),
    "a channel that is too deep": ({"channel": "/a" * 33, "data": 1}, 400, "invalid_channel"),
    "the protocol's own": ({"channel": "/meta/connect", "data": 1}, 403, "forbidden_channel"),
    "the protocol itself": ({"channel": "/meta", "data": 1}, 403, "forbidden_channel"),
    "services": ({"channel": "/service/echo", "data": 1}, 403, "forbidden_channel"),
    "the service": ({"channel": "/service", "data": 1}, 403, "forbidden_channel"),
    "too large a message": ({"channel": "/news", "data": "x" * 65_536}, 413, "too_large"),
    "an empty list": ([], 400, "invalid_message"),
    "too many": ([{"channel": "/news", "data": 1}] * 101, 400, "too_many_messages"),
    "no JSON": (b"{", 400, "invalid_json"),
    "nothing": (b"", 400, "invalid_json"),
    "no text": (b"\xff", 400, "invalid_json"),
    "a number": (b"1", 400, "invalid_json"),
    "too deep": (b"[" * 65 + b"]" * 65, 400, "invalid_json"),
    "a long number": (b'{"channel":"/news","id":%b,"data":1}' % (b"9" * 5000), 400, "invalid_json"),
}


@pytest.mark.parametrize(("body", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_published_is_refused_with_its_code(desk: Open, body: Any, status: int,
                                                           code: str) -> None:
    server = desk()
    server.opened("/**")
    response = server.post(body)
    if isinstance(body, list) and len(body) == 1:  # one of a list fails by itself
        [result] = json.loads(response.body)["results"]
        assert (response.status, result["error"]["code"], result["channel"]) == (200, code, None)
    else:
        assert error_of(response) == (status, code)
    assert server.metrics.api_errors == {code: 1}
    assert server.metrics.published == 0


def test_of_several_each_fails_by_itself(desk: Open) -> None:
    server = desk()
    server.opened("/**")
    results = server.published([{"channel": "/a", "data": 1}, {"channel": "/meta/x", "data": 2},
                                {"channel": "/c", "data": 3}])["results"]
    assert [result.get("delivered") for result in results] == [1, None, 1]
    assert results[1]["channel"] == "/meta/x"
    assert results[1]["error"]["code"] == "forbidden_channel"
    assert data_of(server) == [("/a", 1), ("/c", 3)]


@pytest.mark.parametrize(("body", "limit"), [
    ({"channel": "/" + "a" * 256, "data": 1}, "max_channel"),
    ({"channel": "/a" * 33, "data": 1}, "max_segments"),
    ({"channel": "/news", "data": "x" * 65_536}, "max_message"),
    ([{"channel": "/news", "data": 1}] * 101, "max_batch"), (b"[" * 65 + b"]" * 65, "max_depth")])
def test_a_limit_is_counted_by_its_name(desk: Open, body: Any, limit: str) -> None:
    server = desk()
    server.post(body)
    assert server.metrics.limited == {limit: 1}


def test_a_byte_order_mark_is_no_difference(desk: Open) -> None:
    assert desk().published(b'\xef\xbb\xbf {"channel":"/news","data":1}') == {
        "channel": "/news", "delivered": 0}


# -- signed ---------------------------------------------------------------------------------------


def test_who_signs_needs_no_key(desk: Open) -> None:
    """Y-1: its data is the payload that was signed."""
    server = desk()
    server.opened("/news/*")
    server.opened("/news/sport")
    assert server.published(signed(data={"a": 1}), key=None) == {"channel": "/news/sport", "delivered": 2}
    assert {event.data for session in server.hub.sessions for event in session.take()} == {b'{"a":1}'}
    assert server.metrics.signed == 1


def test_several_signed_messages(desk: Open) -> None:
    server = desk()
    server.opened("/news/*")
    results = server.published([signed("/news/a"), signed("/other"), signed("/news/b")], key=None)["results"]
    assert [result.get("delivered") for result in results] == [1, None, 1]
    assert results[1]["error"]["code"] == "publish_denied"


def test_a_signature_is_checked_though_there_is_the_key(desk: Open) -> None:
    """Or a payload would be relayed as a text."""
    server = desk()
    server.opened("/news/*")
    assert server.published(signed(data=[1]))["delivered"] == 1
    assert data_of(server) == [("/news/sport", [1])]
    assert error_of(server.post({**signed(), "channel": "/news/other"})) == (401, "invalid_signature")


def test_what_is_not_signed_needs_the_key(desk: Open) -> None:
    """Also if all others are signed; then nothing is published."""
    server = desk()
    for body in ({"channel": "/news", "data": 1}, [signed(), {"channel": "/news", "data": 1}], [], [1],
                 b"", b"{", {"channel": "/news", "data": 1, "ext": {}}, {**signed(), "ext": 1},
                 {**signed(), "ext": [{"hmac": 1}]}):
        response = server.post(body, key=None)
        assert error_of(response) == (401, "unauthorized")
        assert response.headers["www-authenticate"] == 'Bearer realm="bayeux"'
    assert server.metrics.published == 0


def test_nobody_can_do_without_the_key_by_a_claim_to_have_signed(desk: Open) -> None:
    """Y-5: even where a policy lets everybody publish."""
    class Open(Policy):
        def can_publish(self, *arguments: Any) -> bool:
            return True

    server = desk(Open())
    for claim in (None, 1, {}, {"sig": "0"}, "\ud800"):
        body = {"channel": "/news/sport", "data": "1", "ext": {"hmac": claim}}
        assert error_of(server.post(body, key=None)) == (401, "invalid_signature")
    escaped = json.dumps({**signed(), "data": "2"}).replace('"hmac"', '"\\u0068mac"').encode()
    assert error_of(server.post(escaped, key=None))[0] == 401
    assert server.metrics.published == 0


@pytest.mark.parametrize("channel", ["/meta/handshake", "/meta/connect", "/service/echo"])
def test_by_a_signature_nobody_does_anything_but_publish(desk: Open, channel: str) -> None:
    """A handshake with ``ext.hmac`` is none of the signatures' business, and so must not come so far."""
    server = desk()
    server.hub.service("/service/echo", lambda session, data: data)
    message = {**signed(channel), "version": "1.0", "supportedConnectionTypes": ["long-polling"]}
    assert error_of(server.post(message, key=None)) == (403, "forbidden_channel")
    assert len(server.hub.sessions) == 0
    assert server.metrics.messages == 0


def test_a_signed_message_speaks_for_no_session(desk: Open) -> None:
    """I-4: though it names one."""
    server = desk(broadcast_to_publisher=False)
    session = server.opened("/news/*")
    assert server.published({**signed(), "clientId": session.id}, key=None)["delivered"] == 1
    assert server.published({**signed(), "clientId": "nobody"}, key=None)["delivered"] == 1


def test_a_wrong_time_is_answered_with_the_right_one(desk: Open) -> None:
    """Y-5."""
    response = desk().post(signed(timestamp=NOW - 301), key=None)
    assert error_of(response) == (401, "invalid_signature")
    assert json.loads(response.body)["error"]["now"] == NOW


def test_a_message_that_comes_again_is_not_delivered_again(desk: Open) -> None:
    """Y-9."""
    server = desk()
    server.opened("/news/*")
    message = signed()
    assert server.published(message, key=None) == {"channel": "/news/sport", "delivered": 1}
    assert server.published(message, key=None) == {"channel": "/news/sport", "delivered": 0,
                                                   "duplicate": True}
    assert server.metrics.duplicates == 1


def test_nor_is_one_that_has_come_by_the_public_port(desk: Open) -> None:
    """Y-9: both know the same nonces."""
    server = desk()
    server.opened("/news/*")
    message = signed()
    assert server.published(message, key=None)["delivered"] == 1
    server.site = in_bayeux_site(server.bayeux, server.reactor)
    [reply] = HTTP(server).ask(bayeux_post(message)).messages
    assert reply == {"channel": "/news/sport", "successful": True, "ext": {"hmac": {"duplicate": True}}}


def test_a_nonce_is_good_once(desk: Open) -> None:
    server = desk()
    nonce = "Zk3v9c1QmXoPq7La"
    server.published(signed(nonce=nonce), key=None)
    assert error_of(server.post(signed(data=2, nonce=nonce), key=None)) == (409, "nonce_reused")


def test_so_many_nonces_are_remembered(desk: Open) -> None:
    server = desk(max_nonces=1)
    server.published(signed(), key=None)
    assert error_of(server.post(signed(), key=None)) == (503, "busy")


def test_what_signers_send_has_its_rate(desk: Open) -> None:
    """G-17: as on the public port; the application with its key has none."""
    server = desk(messages_per_second_per_address=1.0, messages_burst_per_address=2, max_refused=1)
    codes = [error_of(response)[1] if response.status != 200 else response.status
             for response in (server.post(signed(), key=None) for _ in range(5))]
    assert codes == [200, 200, "too_many_requests", "too_many_requests", "too_many_requests"]
    assert server.published([{"channel": "/a", "data": 1}] * 10)["results"][9] == {
        "channel": "/a", "delivered": 0}


def test_the_policy_is_asked_about_what_is_signed(desk: Open) -> None:
    links = []

    class No(Policy):
        def can_publish(self, session: Any, channel: str, message: Any, link: Any) -> Any:
            links.append((session, message.key_id, link.connection_type, link.address))
            return succeed(channel == "/news/yes")

    server = desk(No())
    assert error_of(server.post(signed(), key=None)) == (403, "publish_denied")
    assert server.published(signed("/news/yes"), key=None)["delivered"] == 0
    assert links == [(None, "web-a", "api", "192.0.2.7")] * 2


def test_a_policy_may_think_about_it(desk: Open) -> None:
    answer: Deferred[bool] = Deferred()

    class Slow(Policy):
        def can_publish(self, *arguments: Any) -> Any:
            return answer

    server = desk(Slow())
    server.opened("/news/*")
    http = HTTP(server)
    http.send(request("POST", "/v1/publish", json.dumps(signed()).encode(), content_type="application/json"))
    assert http.responses() == []
    answer.callback(True)
    [response] = http.responses()
    assert json.loads(response.body) == {"channel": "/news/sport", "delivered": 1}


def test_who_does_not_wait_for_the_answer_takes_nothing_back(desk: Open) -> None:
    """Y-9: nor may it be delivered twice then."""
    answer: Deferred[bool] = Deferred()

    class Slow(Policy):
        def can_publish(self, *arguments: Any) -> Any:
            return answer

    server = desk(Slow())
    server.opened("/news/*")
    message = signed()
    http = HTTP(server)
    http.send(request("POST", "/v1/publish", json.dumps(message).encode(), content_type="application/json"))
    http.wire.lose()
    answer.callback(True)
    assert data_of(server) == [("/news/sport", 1)]
    assert server.published(message, key=None)["duplicate"] is True


def test_an_application_that_fails_is_told_as_such(desk: Open, logged_errors: list[Any]) -> None:
    class Broken(Policy):
        def can_publish(self, *arguments: Any) -> Any:
            raise KeyError("secret")

    server = desk(Broken())
    response = server.post(signed(), key=None)
    assert error_of(response) == (500, "internal")
    assert b"secret" not in response.body
    logged_errors.clear()


def test_extensions_see_what_is_signed(desk: Open) -> None:
    class Curious(Extension):
        def incoming(self, call: Any) -> Any:
            seen.append(call.message.key_id)
            return call.message.channel != "/news/no"

    seen: list[str] = []
    server = desk()
    server.hub.add_extension(Curious())
    assert server.published(signed(), key=None)["delivered"] == 0
    assert error_of(server.post(signed("/news/no"), key=None)) == (403, "publish_denied")
    assert seen == ["web-a"] * 2


def test_the_public_port_tells_nobody_how_many_are_reached(desk: Open) -> None:
    """``ext.reached`` is for the API."""
    server = desk()
    server.opened("/news/*")
    server.site = in_bayeux_site(server.bayeux, server.reactor)
    [reply] = HTTP(server).ask(bayeux_post(signed())).messages
    assert reply == {"channel": "/news/sport", "successful": True}


def test_the_key_of_a_signer_is_not_that_of_the_api(desk: Open) -> None:
    assert KEY.encode() != SIGNER.secret
    assert error_of(desk().post({"channel": "/a", "data": 1}, key=SIGNER.secret.decode())) == (
        401, "unauthorized")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["/news/sport", "/meta/handshake", "web-a", "a" * 64, NOW]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["channel", "data", "ext", "hmac", "id", "clientId", "v", "kid", "ts", "nonce",
                         "sig"]), inner, max_size=6), max_leaves=12)
BODIES = st.binary(max_size=40) | VALUES.map(lambda value: json.dumps(value).encode())


@given(body=BODIES, has_key=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_has_an_answer(desk: Open, body: bytes, has_key: bool) -> None:
    """G-23: one that is known, with nothing in the log of a failure (the gate for that looks)."""
    server = desk()
    response = server.post(body, KEY if has_key else None, content_length=str(len(body)))
    if response.status != 200:
        assert error_of(response)[1] in STATUS
        assert response.status < 500
    elif not has_key:
        raise AssertionError("nobody has signed")
