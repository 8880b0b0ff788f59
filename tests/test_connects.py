"""Connects that come too fast: G-25; when they are held, and for how long, is in ``test_hub.py``."""

from __future__ import annotations

from typing import Any

import pytest

from bayeux.session import Release
from tests.client import Carrier, Client, World
from tests.contract_transports import DRIVERS
from tests.fakenet import HTTP, Net, connect, in_bayeux_site, in_site, post, subscribe

BURST = 20
INTERVAL = 0.1
"""The defaults: so many at once, and then ten a second."""
AT_ONCE = {"timeout": 0}
WAIT = {"reconnect": "retry", "interval": 1000, "timeout": 30000}


def loop(client: Client, seconds: float, **fields: Any) -> list[Any]:
    """Connect again as soon as there is an answer, for so long; returns the replies that came."""
    clock, end = client.world.clock, client.world.clock.seconds() + seconds
    replies = []
    carrier = client.connect(**fields)
    for _ in range(100_000):
        if carrier.messages is not None:
            replies.append(carrier.messages[-1])
            carrier = client.connect(**fields)
        elif clock.seconds() < end:
            clock.advance(0.01)
        else:
            return replies
    raise AssertionError("a tight loop")


def counted(world: World) -> int:
    return world.hub.metrics.limited["connects_per_second"]


# -- who does not wait --------------------------------------------------------------------------


def test_so_many_connects_are_answered_at_once_and_no_more() -> None:
    """G-25, K-8: the next one is answered late, though it asked for an answer at once."""
    world = World()
    client = world.client()
    for _ in range(BURST):
        assert not client.connect(advice=AT_ONCE).held
    assert counted(world) == 0
    late = client.connect(advice=AT_ONCE, id="9")
    assert late.held
    assert counted(world) == 1
    world.clock.advance(INTERVAL)
    assert late.messages == [{"channel": "/meta/connect", "id": "9", "successful": True,
                              "clientId": client.id, "advice": {**WAIT, "interval": 0}}]


def test_a_client_in_a_tight_loop_gets_ten_answers_a_second() -> None:
    """G-25: it is held up, not refused."""
    client = World().client()
    replies = loop(client, 10, advice=AT_ONCE)
    assert all(reply["successful"] for reply in replies)
    assert len(replies) == pytest.approx(BURST + 100, abs=2)


def test_nor_is_a_very_short_timeout_of_any_use() -> None:
    """G-25, K-8."""
    client = World().client()
    assert len(loop(client, 10, advice={"timeout": 1})) <= BURST + 102


def test_the_rate_can_be_set() -> None:
    """G-25."""
    client = World(connects_per_second=2, connects_burst=3).client()
    assert len(loop(client, 10, advice=AT_ONCE)) == pytest.approx(3 + 20, abs=1)


def test_the_rate_can_be_switched_off() -> None:
    """G-25."""
    world = World(connects_per_second=0)
    client = world.client()
    for _ in range(1_000):
        assert not client.connect(advice=AT_ONCE).held
    assert counted(world) == 0


def test_who_calms_down_is_answered_at_once_again() -> None:
    """G-25."""
    world = World()
    client = world.client()
    loop(client, 5, advice=AT_ONCE)
    world.clock.advance(5)
    client.connect(advice=AT_ONCE)
    assert not client.connect(advice=AT_ONCE).held


def test_a_late_answer_is_not_kept_from_an_event() -> None:
    """G-25, K-7: which comes at once."""
    world = World()
    client = world.client()
    client.subscribe("/a")
    for _ in range(BURST):
        client.connect(advice=AT_ONCE)
    late = client.connect(advice=AT_ONCE)
    world.hub.publish("/a", 1)
    world.turn()
    assert late.messages is not None
    assert late.messages[0] == {"channel": "/a", "data": 1}


@pytest.mark.parametrize("settings", [
    {"max_held": 1}, {"max_held_per_address": 1}, {"max_sessions_per_browser": 1}])
def test_who_is_put_off_and_does_not_wait_is_held_up(settings: dict[str, Any]) -> None:
    """G-25, G-14, B-4: the interval that it is told is no request to be obeyed or not."""
    world = World(**settings)
    browser = "b" * 20
    holding, client = world.client(browser), world.client(browser)
    holding.connect()
    replies = []
    for _ in range(BURST):
        replies += client.connect().messages or []
    assert [reply["advice"]["interval"] for reply in replies] == [2000] * BURST
    assert client.connect().held
    world.clock.advance(INTERVAL)
    assert len(world.hub.sessions.holds) == 1


# -- who does not acknowledge: XA-6 -------------------------------------------------------------


def acknowledging(world: World) -> Client:
    """Return a client that may acknowledge, with one event that it has been sent."""
    client = world.client(connect=False)
    [reply] = world.ask({"channel": "/meta/handshake", "version": "1.0", "ext": {"ack": True},
                         "supportedConnectionTypes": ["long-polling"]}, link=client.link)
    client.id = reply["clientId"]
    session = world.hub.sessions.get(client.id)
    assert session is not None
    client.session = session
    client.ask(client.connect_message())
    client.subscribe("/a")
    world.hub.publish("/a", 1)
    client.connect()
    return client


def test_a_client_that_never_acknowledges_is_held_up() -> None:
    """XA-6, G-25: else it would be sent the same events in a tight loop of its own making."""
    world = World()
    client = acknowledging(world)
    replies = loop(client, 10)
    assert len(replies) == pytest.approx(BURST + 100, abs=2)
    assert counted(world) == pytest.approx(100, abs=2)


def test_and_gets_its_events_with_every_late_answer() -> None:
    """XA-5."""
    world = World()
    client = acknowledging(world)
    loop(client, 1)
    world.clock.advance(INTERVAL)
    late = client.connect()
    assert late.held
    world.clock.advance(INTERVAL)
    assert [message.get("data") for message in late.messages or []] == [1, None]


def test_an_event_that_is_new_comes_at_once_all_the_same() -> None:
    """XA-6, K-9."""
    world = World()
    client = acknowledging(world)
    loop(client, 1)
    world.clock.advance(INTERVAL)
    world.hub.publish("/a", 2)
    assert not client.connect().held


# -- honest clients do not meet it --------------------------------------------------------------


def test_a_client_may_connect_as_often_as_there_are_events() -> None:
    """G-25: a thousand in a second, each with a connect of its own."""
    world = World()
    client = world.client()
    client.subscribe("/a")
    for number in range(1_000):
        waiting = client.connect()
        assert waiting.held
        world.hub.publish("/a", number)
        world.clock.advance(0.001)
        assert [message.get("data") for message in waiting.messages or []] == [number, None]
    assert counted(world) == 0


def test_nor_does_it_matter_whether_events_wait_for_the_connect() -> None:
    """G-25, K-9."""
    world = World()
    client = world.client()
    client.subscribe("/a")
    for number in range(1_000):
        world.hub.publish("/a", number)
        assert not client.connect().held
    assert counted(world) == 0


def test_acknowledged_events_may_come_as_often() -> None:
    """G-25, XA-6."""
    world = World()
    client = acknowledging(world)
    for number in range(2, 500):
        waiting = client.connect(ext={"ack": number})
        assert waiting.held
        world.hub.publish("/a", number)
        world.turn()
    assert counted(world) == 0


# -- connects that cannot wait ------------------------------------------------------------------


def test_connects_in_company_are_refused_beyond_the_rate() -> None:
    """G-25, K-10, K-19: as the other replies must not wait; it alone fails, and says when to come."""
    world = World()
    client = world.client()
    for _ in range(BURST):
        client.ask(client.connect_message(), client.message("/a", data=1))
    refused, published = client.ask(client.connect_message(id="1"), client.message("/a", data=1))
    assert refused == {"channel": "/meta/connect", "id": "1", "successful": False,
                       "error": "429::Too many requests", "advice": WAIT}
    assert published["successful"]
    assert counted(world) == 1
    world.clock.advance(INTERVAL)
    assert client.ask(client.connect_message(), client.message("/a", data=1))[0]["successful"]


def test_two_that_take_the_connect_from_one_another_are_stopped() -> None:
    """G-25, K-12: the one that waits stays; two pages that share a session would go on for ever."""
    world = World()
    client = world.client()
    waiting = client.connect()
    for _ in range(BURST):
        newer = client.connect()
        assert waiting.why is Release.SUPERSEDED
        waiting = newer
    refused = client.connect()
    assert [(reply["successful"], reply["advice"]) for reply in refused.messages or []] == [(False, WAIT)]
    assert waiting.held
    assert world.hub.metrics.superseded == BURST


def test_who_is_refused_has_some_time_to_come_back() -> None:
    """Q-3: as after any other message."""
    world = World()
    client = world.client()
    for _ in range(BURST):
        client.ask(client.connect_message(), client.message("/a", data=1))
    world.clock.advance(9.99)
    for _ in range(BURST + 1):
        client.ask(client.connect_message(), client.message("/a", data=1))
    world.clock.advance(9.9)
    assert client.session.alive


# -- by each transport --------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.connection_type)
@pytest.mark.parametrize("door", [in_site, in_bayeux_site], ids=lambda door: door.__name__)
def test_a_tight_loop_is_held_up_by_each_transport(door: Any, driver: Any) -> None:
    """G-25: a heartbeat too, which says how long to wait (F-5)."""
    net = Net(door)
    client = driver(net).start()
    for _ in range(BURST):
        client.send(client.connecting(advice=AT_ONCE))
        assert [reply["successful"] for reply in client.news()] == [True]
    client.send(client.connecting(advice=AT_ONCE))
    assert client.news() == []
    net.advance(INTERVAL)
    assert [reply["successful"] for reply in client.news()] == [True]
    assert net.hub.metrics.limited == {"connects_per_second": 1}


@pytest.mark.parametrize("door", [in_site, in_bayeux_site], ids=lambda door: door.__name__)
def test_pipelined_connects_make_way_for_one_another_only_so_often(door: Any) -> None:
    """G-25, K-16: who sends them one behind the other does not wait for anything."""
    net = Net(door)
    http = HTTP(net)
    client = http.ask(post(HANDSHAKE_)).messages[0]["clientId"]
    http.ask(post(connect(client)))
    http.send(post(connect(client)) * 200)
    before = len(http.responses())
    assert before == pytest.approx(BURST, abs=1)
    net.advance(10, step=0.05)
    assert len(http.responses()) == pytest.approx(100, abs=2)
    http.send(post(subscribe(client)))
    net.advance(30, step=0.05)
    assert http.responses()[-1].messages[0]["channel"] == "/meta/subscribe"


HANDSHAKE_ = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}


def test_a_request_behind_a_connect_that_is_late_waits_no_longer() -> None:
    """K-16, G-25: however many pieces it comes in."""
    net = Net()
    http = HTTP(net)
    client = http.ask(post(HANDSHAKE_)).messages[0]["clientId"]
    http.ask(post(connect(client)))
    for _ in range(BURST):
        assert http.ask(post(connect(client, advice=AT_ONCE))).messages[0]["successful"]
    http.send(post(connect(client)))
    for byte in post(subscribe(client)):
        http.send(bytes([byte]))
    assert http.responses() == []
    net.advance(INTERVAL)
    assert [response.messages[0]["channel"] for response in http.responses()] == [
        "/meta/connect", "/meta/subscribe"]
    assert net.hub.metrics.limited == {"connects_per_second": 1}


def test_other_messages_of_a_client_by_jsonp_are_never_kept_waiting() -> None:
    """K-15, G-25: a connect that is late makes way for their replies."""
    world = World()
    client = world.client(serial=True)
    for _ in range(BURST):
        client.connect(advice=AT_ONCE)
    late: Carrier = client.connect(advice=AT_ONCE)
    assert client.publish("/a", 1)["successful"]
    assert late.why is Release.MAKE_WAY
