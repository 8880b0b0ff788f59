"""Rates of messages and handshakes: G-17 and G-18, in the hub and by each transport."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from bayeux import Link
from bayeux.errors import Flood
from tests.client import World
from tests.fakenet import (
    HANDSHAKE,
    HTTP,
    Net,
    WebSocketClient,
    connect,
    in_bayeux_site,
    in_site,
    post,
    publish,
    script,
    subscribe,
)

TOO_MANY = "429::Too many requests"


def errors(replies: list[Any]) -> list[Any]:
    """Return what is wrong with each reply, None where nothing is."""
    return [reply.get("error") for reply in replies if "successful" in reply]


def handshake(**more: Any) -> dict[str, Any]:
    return {**HANDSHAKE, **more}


def limited(world: World) -> dict[str, int]:
    return dict(world.hub.metrics.limited)


# -- messages of a session: G-17 ----------------------------------------------------------------


def test_so_many_messages_of_a_session_at_once_and_no_more() -> None:
    """G-17, E-25: the next one is refused, and it alone."""
    world = World(messages_per_second=1, messages_burst=3)
    client = world.client()
    messages = [client.message("/a", data=number, id=str(number)) for number in range(5)]
    replies = client.ask(*messages)
    assert errors(replies) == [None] * 3 + [TOO_MANY] * 2
    assert replies[4] == {"channel": "/a", "id": "4", "successful": False, "error": TOO_MANY}
    assert world.hub.metrics.published == 3
    assert limited(world) == {"messages_per_second": 2}


def test_then_so_many_a_second() -> None:
    """G-17."""
    world = World(messages_per_second=10, messages_burst=1)
    client = world.client()
    got = []
    for _ in range(50):
        got += errors(client.ask(client.message("/a", data=1)))
        world.clock.advance(0.05)
    assert got == [None, TOO_MANY] * 25


def test_sessions_are_counted_each_for_itself() -> None:
    """G-17: from whatever address."""
    world = World(messages_per_second=1, messages_burst=1)
    for client in (world.client(), world.client()):
        assert errors(client.ask(client.message("/a", data=1), client.message("/a", data=1))) == [
            None, TOO_MANY]


def test_a_session_is_counted_wherever_it_comes_from() -> None:
    """G-17, H-16."""
    world = World(messages_per_second=1, messages_burst=1)
    client = world.client()
    message = client.message("/a", data=1)
    assert errors(world.ask(message, link=Link("long-polling", "192.0.2.1"))) == [None]
    assert errors(world.ask(message, link=Link("websocket", "192.0.2.2"))) == [TOO_MANY]


@pytest.mark.parametrize("channel", ["/meta/subscribe", "/meta/unsubscribe"])
def test_a_refused_subscription_says_which(channel: str) -> None:
    """S-2, M-30: dojox.cometd knows it by nothing else."""
    world = World(messages_per_second=1, messages_burst=1)
    client = world.client()
    wanted = client.message(channel, subscription=["/a", "/b"], id=7)
    assert client.ask(client.message("/a", data=1), wanted)[1] == {
        "channel": channel, "id": 7, "successful": False, "error": TOO_MANY, "subscription": ["/a", "/b"]}
    assert client.session.subscriptions == ()


def test_connects_are_not_counted() -> None:
    """G-17: with long-polling there is one for each delivery; G-25 is for them."""
    world = World(messages_per_second=1, messages_burst=1)
    client = world.client()
    for _ in range(30):
        waiting = client.connect()
        client.session.deliver("/a", 1)
        world.turn()
        assert errors(waiting.messages or []) == [None]
    assert errors(client.ask(client.message("/a", data=1))) == [None]


def test_a_disconnect_beyond_the_rate_is_refused_as_well() -> None:
    """G-17, X-8: the session expires then."""
    world = World(messages_per_second=1, messages_burst=1)
    client = world.client()
    replies = client.ask(client.message("/a", data=1), client.message("/meta/disconnect"))
    assert errors(replies) == [None, TOO_MANY]
    assert client.session.alive


def test_the_rates_are_off_unless_they_are_set() -> None:
    """G-17: nobody but the application knows what is much."""
    world = World(max_batch=10_000)
    client = world.client()
    assert errors(client.ask(*[client.message("/a", data=1)] * 5_000)) == [None] * 5_000
    assert limited(world) == {}


# -- messages from an address: G-17 -------------------------------------------------------------


def test_so_many_messages_from_an_address_at_once_and_no_more() -> None:
    """G-17: of all sessions together, and of nobody's; malformed ones too."""
    world = World(messages_per_second_per_address=1, messages_burst_per_address=5)
    link, other = Link("long-polling", "192.0.2.1"), Link("long-polling", "192.0.2.2")
    [reply] = world.ask(HANDSHAKE, link=link)
    mine = {"channel": "/a", "clientId": reply["clientId"], "data": 1}
    bad: Any = {"channel": 5}
    got = errors(world.ask(mine, {"channel": "/a", "data": 1}, bad, mine, mine, bad, link=link))
    assert got == [None, "401::No client ID", "400::Malformed message", None, TOO_MANY, TOO_MANY]
    assert limited(world) == {"messages_per_second_per_address": 2}
    assert errors(world.ask(mine, link=other)) == [None]


def test_who_is_unknown_and_keeps_connecting_is_counted() -> None:
    """G-17, K-4: it does not do as it is advised, and is told to wait."""
    world = World(messages_per_second_per_address=1, messages_burst_per_address=2)
    message = {"channel": "/meta/connect", "clientId": "nobody", "connectionType": "long-polling"}
    assert errors(world.ask(message, message)) == ["402:nobody:Unknown client ID"] * 2
    [reply] = world.ask(message)
    assert reply["error"] == TOO_MANY
    assert reply["advice"] == {"reconnect": "retry", "interval": 1000, "timeout": 30000}


@pytest.mark.parametrize(("one", "another", "same"), [
    ("2001:db8::1", "2001:db8::2", True), ("2001:db8::1", "2001:db8:0:1::1", False),
    ("::ffff:192.0.2.1", "192.0.2.1", True), ("192.0.2.1", "192.0.2.2", False)])
def test_a_network_of_ipv6_counts_as_one_address(one: str, another: str, same: bool) -> None:
    """G-17: else everybody has 2^64 of them."""
    world = World(messages_per_second_per_address=1, messages_burst_per_address=1)
    message = {"channel": "/a", "data": 1}
    world.ask(message, link=Link("long-polling", one))
    got = errors(world.ask(message, link=Link("long-polling", another)))
    assert got == [TOO_MANY if same else "401::No client ID"]


def test_both_rates_together() -> None:
    """G-17: whichever is reached; what the one refuses the other does not count."""
    world = World(messages_per_second=1, messages_burst=2, messages_per_second_per_address=1,
                  messages_burst_per_address=6)  # of which two handshakes take one each
    first, second = world.client(), world.client()
    assert errors(first.ask(*[first.message("/a", data=1)] * 9)) == [None] * 2 + [TOO_MANY] * 7
    assert errors(second.ask(*[second.message("/a", data=1)] * 2)) == [None] * 2
    assert limited(world) == {"messages_per_second": 7}
    world.clock.advance(1)
    assert errors(second.ask(*[second.message("/a", data=1)] * 2)) == [None, TOO_MANY]


# -- handshakes: G-18 ---------------------------------------------------------------------------


def test_so_many_handshakes_from_an_address_at_once_and_no_more() -> None:
    """G-18, H-13: and who comes too early is told to come later, but not when exactly."""
    world = World(handshakes_per_second_per_address=1, handshakes_burst_per_address=2)
    assert errors([*world.ask(HANDSHAKE), *world.ask(HANDSHAKE)]) == [None, None]
    intervals = set()
    for _ in range(5):
        [reply] = world.ask(handshake(id="9"))
        assert (reply["error"], reply["id"]) == (TOO_MANY, "9")
        assert reply["advice"]["reconnect"] == "handshake"
        assert 1000 <= reply["advice"]["interval"] <= 5000
        assert "clientId" not in reply
        intervals.add(reply["advice"]["interval"])
    assert len(intervals) > 1
    assert limited(world) == {"handshakes_per_second_per_address": 5}
    assert len(world.hub.sessions) == 2


def test_then_so_many_handshakes_a_second() -> None:
    """G-18."""
    world = World(handshakes_per_second_per_address=2, handshakes_burst_per_address=1)
    got = []
    for _ in range(10):
        got += errors(world.ask(HANDSHAKE))
        world.clock.advance(0.25)
    assert got == [None, TOO_MANY] * 5


def test_a_flood_of_handshakes_from_one_address_is_nothing_to_others() -> None:
    """G-18."""
    world = World(handshakes_per_second_per_address=1, handshakes_burst_per_address=1)
    for _ in range(100):
        world.ask(HANDSHAKE, link=Link("long-polling", "192.0.2.1"))
    assert errors(world.ask(HANDSHAKE, link=Link("long-polling", "192.0.2.2"))) == [None]


def test_a_handshake_that_names_a_session_is_counted_as_a_handshake() -> None:
    """G-18, H-1: what it says of one is ignored."""
    world = World(handshakes_per_second_per_address=1, handshakes_burst_per_address=1, messages_per_second=1,
                  messages_burst=1)
    client = world.client()
    assert errors(world.ask(handshake(clientId=client.id))) == [TOO_MANY]
    assert errors(client.ask(client.message("/a", data=1))) == [None]


# -- who goes on and on: G-17 -------------------------------------------------------------------


def test_who_has_been_refused_too_often_is_refused_whole() -> None:
    """G-17: as many as ``max_refused`` are answered each, and nothing more is handled."""
    world = World(messages_per_second=1, messages_burst=1, max_refused=6)
    client = world.client()
    message = client.message("/a", data=1)
    assert errors(client.ask(*[message] * 7)) == [None] + [TOO_MANY] * 6
    with pytest.raises(Flood):
        client.send(message)
    assert world.hub.metrics.published == 1


def test_and_is_heard_again_after_a_while() -> None:
    """G-17: six in a minute are one in ten seconds."""
    world = World(messages_per_second=0.01, messages_burst=1, max_refused=6, max_interval=99)
    client = world.client()
    message = client.message("/a", data=1)
    client.ask(*[message] * 7)
    world.clock.advance(9)
    with pytest.raises(Flood):
        client.send(message)
    world.clock.advance(1)
    assert errors(client.ask(message)) == [TOO_MANY]


def test_one_session_that_floods_is_nothing_to_another_from_the_same_address() -> None:
    """G-17: behind a proxy that nobody has named they are all from one address."""
    world = World(messages_per_second=1, messages_burst=1, max_refused=2)
    flooding, other = world.client(), world.client()
    with pytest.raises(Flood):
        flooding.send(*[flooding.message("/a", data=1)] * 9)
    assert errors(other.ask(*[other.message("/a", data=1)] * 3)) == [None, TOO_MANY, TOO_MANY]


def test_an_address_that_floods_is_refused_as_one() -> None:
    """G-17: whatever it is that it sends, and for whom."""
    world = World(handshakes_per_second_per_address=1, handshakes_burst_per_address=1,
                  messages_per_second_per_address=1, messages_burst_per_address=1, max_refused=3)
    client = world.client()
    for message in (HANDSHAKE, {"channel": "/a", "data": 1}, client.message("/a", data=1)):
        assert errors(client.ask(message)) == [TOO_MANY]
    for message in (HANDSHAKE, client.message("/a", data=1)):
        with pytest.raises(Flood):
            client.send(message)


# -- by each transport --------------------------------------------------------------------------


@pytest.fixture(params=[in_site, in_bayeux_site], ids=lambda door: door.__name__)
def flooded(request):
    """Start a server that bears one message of a session a second, and two refusals."""
    def start(**settings):
        return Net(request.param, messages_per_second=1, messages_burst=1, max_refused=2, **settings)
    return start


@pytest.mark.parametrize("encode", [post, script])
def test_a_flood_by_polling_is_answered_429(flooded, encode):
    """G-17: the whole request; the connection stays, as others may use it."""
    net = flooded()
    http = HTTP(net)
    client = http.ask(encode(HANDSHAKE)).messages[0]["clientId"]
    assert errors(http.ask(encode(*[publish(client)] * 3)).messages) == [None, TOO_MANY, TOO_MANY]
    response = http.ask(encode(publish(client)))
    assert response.status == 429
    assert response.body == b"too many messages in too little time\n"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert net.hub.metrics.limited == {"messages_per_second": 2, "max_refused": 1}
    assert net.hub.metrics.refused == {429: 1}
    assert http.ask(encode(HANDSHAKE)).messages[0]["successful"]


def test_the_answer_429_lets_an_allowed_page_read_it(flooded):
    """O-3."""
    http = HTTP(flooded(allowed_origins=("https://www.example.com",)))
    origin = "https://www.example.com"
    client = http.ask(post(HANDSHAKE, origin=origin)).messages[0]["clientId"]
    http.ask(post(*[publish(client)] * 3, origin=origin))
    response = http.ask(post(publish(client), origin=origin))
    assert (response.status, response.headers["access-control-allow-origin"]) == (429, origin)


def test_a_flood_by_websocket_ends_it_with_1008(flooded):
    """G-17, W-9: and the session may come back by another."""
    net = flooded()
    socket = WebSocketClient(net)
    client = socket.ask(HANDSHAKE)[0]["clientId"]
    assert errors(socket.ask(*[publish(client)] * 3)) == [None, TOO_MANY, TOO_MANY]
    socket.send(publish(client))
    assert socket.close_code() == 1008
    assert net.hub.metrics.closed == {1008: 1}
    assert net.hub.metrics.limited == {"messages_per_second": 2, "max_refused": 1}
    assert net.session(client) is not None


def test_who_listens_does_not_notice_a_flood(flooded):
    """G-34: not one of the flood's messages beyond the rate gets through, and nothing else is late."""
    net = flooded()
    listener, sender = WebSocketClient(net), WebSocketClient(net)
    listening = listener.ask(HANDSHAKE)[0]["clientId"]
    listener.ask(connect(listening), subscribe(listening))
    flooding = sender.ask(HANDSHAKE)[0]["clientId"]
    sender.send(*[publish(flooding)] * 100)
    net.publish("news")
    assert [message["data"] for message in listener.messages()] == ["news"]
    assert sender.close_code() == 1008


# -- what it costs ------------------------------------------------------------------------------


def test_a_session_pays_for_its_bucket_only_when_it_sends() -> None:
    """G-17: two numbers, which those that are idle share."""
    world = World(messages_per_second=1, messages_burst=1)
    idle, other, busy = world.client(), world.client(), world.client()
    busy.ask(busy.message("/a", data=1))
    assert idle.session.messages_full_at is other.session.messages_full_at
    assert idle.session.connects_full_at is other.session.connects_full_at
    assert sys.getsizeof(busy.session.messages_full_at) <= 24
