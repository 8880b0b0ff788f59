"""A server that stops: its clients are told, get all their events, and come back one by one (Q-10)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher

from bayeux import BayeuxService, Link, Settings
from bayeux.session import Stream
from tests.client import World
from tests.contract_transports import DRIVERS, EventSource, LongPolling, WebSocket
from tests.drain.__main__ import main
from tests.fakenet import HTTP, Net, post


@pytest.fixture
def log() -> Any:
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


@pytest.fixture
def nets() -> Any:
    """Return what makes servers; they are stopped after the test."""
    made: list[Net] = []

    def make(**settings: Any) -> Net:
        made.append(Net(**settings))
        return made[-1]

    yield make
    for net in made:
        net.stop()
        net.lose()
        assert net.reactor.getDelayedCalls() == []


def stopping(net: Net) -> list[Any]:
    """Begin to stop; returns a list that will have one element when it is done."""
    done: list[Any] = []
    net.bayeux.stopService().addCallback(done.append)
    return done


# -- what clients are told ----------------------------------------------------------------------


def test_events_that_waited_for_company_go_out_with_the_last_word() -> None:
    """D-12, D-8: before it."""
    world = World(lazy_channels={"/a": 5.0})
    client = world.client()
    client.subscribe("/a")
    carrier = client.connect(id="7")
    world.hub.publish("/a", 1)
    world.turn()
    assert carrier.held
    world.hub.close()
    assert carrier.messages is not None
    event, reply = carrier.messages
    assert event == {"channel": "/a", "data": 1}
    assert (reply["successful"], reply["error"]) == (False, "503::Server too busy")
    assert world.hub.sessions.is_idle()


def test_so_do_those_of_who_acknowledges_but_a_failure_has_no_number() -> None:
    """XA-3."""
    world = World(lazy_channels={"/a": 5.0})
    [reply] = world.ask({"channel": "/meta/handshake", "version": "1.0", "ext": {"ack": True},
                         "supportedConnectionTypes": ["long-polling"]})
    session = world.hub.sessions.get(reply["clientId"])
    assert session is not None
    connect = {"channel": "/meta/connect", "clientId": session.id, "connectionType": "long-polling"}
    world.ask({**connect, "advice": {"timeout": 0}})
    world.hub.sessions.subscribe(session, ["/a"])
    carrier = world.send({**connect, "ext": {"ack": 1}})
    world.hub.publish("/a", 1)
    world.hub.close()
    assert carrier.messages is not None
    event, reply = carrier.messages
    assert event["data"] == 1
    assert reply["successful"] is False
    assert "ext" not in reply


@pytest.mark.parametrize("driver", [WebSocket, EventSource], ids=lambda driver: driver.__name__)
def test_a_stream_carries_what_is_queued_before_it_is_closed(nets: Any, driver: Any) -> None:
    net = nets(lazy_channels={"/news": 5.0})
    client = driver(net).start("/news")
    client.wait()
    net.publish("late")
    assert client.events() == []
    stopping(net)
    if driver is WebSocket:
        *texts, (opcode, _) = client.socket.frames()
        assert [b'"data":"late"' in text for _, text in texts] == [True, False]
        assert opcode == 8
    else:
        assert client.events() == ["late"]


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)
def test_who_comes_for_its_events_while_others_are_told_gets_them(nets: Any, driver: Any) -> None:
    """Though nobody else is served any more: it had nothing by which it could have been told."""
    net = nets()
    client = driver(net).start("/news")
    if driver is not LongPolling:
        client.lose()
    session = net.session(client.id)
    net.publish("missed")
    net.hub.sessions.stop_accepting()
    *events, reply = LongPolling(net, client.id, client.cookie).ask(client.connecting()) if (
        driver is not LongPolling) else client.ask(client.connecting())
    assert [event["data"] for event in events] == ["missed"]
    assert (reply["successful"], reply["error"]) == (False, "503::Server too busy")
    assert reply["advice"]["reconnect"] == "handshake"
    assert not session.alive
    assert net.hub.metrics.sessions_removed == {"shutdown": 1}


def test_who_comes_again_by_its_socket_is_answered_before_that_is_closed(nets: Any) -> None:
    net = nets()
    client = WebSocket(net).start("/news")
    net.hub.sessions.stop_accepting()
    client.send(client.connecting(id="9"))
    (_, text), (opcode, reason) = client.socket.frames()
    assert b'"id":"9"' in text
    assert b'"error":"503::Server too busy"' in text
    assert (opcode, reason[:2]) == (8, b"\x03\xe9")


def test_a_peer_that_does_not_read_is_sent_nothing_more() -> None:
    """G-16: what waits for all who do not would take too much memory together."""
    world = World(lazy_channels={"/a": 5.0})
    client = world.client()
    client.subscribe("/a")
    carrier = client.connect()
    carrier.exchange.link = Stream("websocket", congested=True)
    world.hub.publish("/a", 1)
    world.hub.close()
    assert carrier.messages is not None
    [reply] = carrier.messages
    assert reply["successful"] is False


@pytest.mark.parametrize("why", ["timeout", "event"])
def test_a_connect_that_is_answered_while_others_are_told_has_the_last_word(why: str) -> None:
    """Its connection is closed behind it."""
    world = World()
    client = world.client()
    client.subscribe("/a")
    carrier = client.connect()
    world.hub.sessions.stop_accepting()
    if why == "timeout":
        world.clock.advance(30)
    else:
        world.hub.publish("/a", 1)
        world.turn()
    assert carrier.messages is not None
    *events, reply = carrier.messages
    assert len(events) == (why == "event")
    assert reply["error"] == "503::Server too busy"
    assert not world.hub.sessions.retire(1)


def test_who_connects_again_meanwhile_gets_its_events_there() -> None:
    """K-12: and not where it may not hear any more."""
    world = World(lazy_channels={"/a": 5.0})
    client = world.client()
    client.subscribe("/a")
    older = client.connect()
    world.hub.publish("/a", 1)
    world.hub.sessions.stop_accepting()
    newer = client.connect()
    for carrier, count in ((older, 0), (newer, 1)):
        assert carrier.messages is not None
        *events, reply = carrier.messages
        assert len(events) == count
        assert reply["error"] == "503::Server too busy"


def test_a_connect_that_is_lost_meanwhile_is_only_lost() -> None:
    world = World()
    client = world.client()
    carrier = client.connect()
    world.hub.sessions.stop_accepting()
    carrier.lose()
    assert client.session.alive
    world.hub.close()
    assert not client.session.alive


def test_who_has_gone_meanwhile_is_not_counted() -> None:
    """A stop at once, when one has begun, leaves nobody."""
    world = World()
    clients = [world.client() for _ in range(10)]
    carriers = [client.connect() for client in clients]
    world.hub.sessions.stop_accepting()
    world.hub.sessions.stop_accepting()
    for client in clients[:5]:
        client.session.disconnect()
    world.hub.close()
    assert len(world.hub.sessions) == 0
    assert not any(carrier.held for carrier in carriers)


def test_other_messages_and_new_clients_are_put_off() -> None:
    world = World()
    client = world.client()
    world.hub.sessions.stop_accepting()
    assert client.subscribe("/a")["error"] == "503::Server too busy"
    [reply] = world.ask({"channel": "/meta/handshake", "version": "1.0",
                         "supportedConnectionTypes": ["long-polling"]})
    assert reply["error"] == "503::Server too busy"
    assert 1_000 <= reply["advice"]["interval"] <= 5_000


# -- when they come back ------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "seconds"), [
    ({"shutdown_spread": 2.0, "shutdown_rate": 10.0}, 10.0),
    ({"shutdown_spread": 20.0, "shutdown_rate": 10.0}, 20.0),
    ({"shutdown_spread": 2.0, "shutdown_rate": 0.0}, 2.0),
    ({}, 5.0),
])
def test_the_more_there_are_the_longer_they_take(settings: dict[str, float], seconds: float) -> None:
    """A server can take back so many a second, and no more."""
    world = World(**settings)
    clients = [world.client() for _ in range(100)]
    carriers = [client.connect() for client in clients]
    world.hub.close()
    intervals = sorted(carrier.messages[0]["advice"]["interval"] for carrier in carriers if carrier.messages)
    assert world.hub.sessions.longest_spread == seconds
    assert len(intervals) == 100
    assert 0 <= intervals[0] < seconds * 200
    assert seconds * 800 < intervals[-1] <= seconds * 1_000
    assert len(set(intervals)) > 50
    world.hub.open()
    assert world.hub.sessions.longest_spread == settings.get("shutdown_spread", 5.0)


# -- how it stops -------------------------------------------------------------------------------


def test_some_are_told_in_each_turn_and_those_first_who_can_be() -> None:
    """All at once would keep everybody else waiting."""
    clock = Turns()
    bayeux = BayeuxService(clock=clock)
    bayeux.startService()
    sessions = bayeux.hub.sessions
    order: list[str] = []

    class Listener:
        def session_added(self, session: Any) -> None: ...

        def session_removed(self, session: Any, reason: str) -> None:
            order.append(session.id)

    bayeux.hub.add_listener(Listener())
    idle = [sessions.open(Link("long-polling")) for _ in range(150)]
    held = [sessions.open(Link("long-polling")) for _ in range(100)]
    for session in held:
        sessions.connecting(session)
        sessions.hold(session, Link("long-polling"), _Parked(), 30)
    bayeux.stopService()
    assert order == [session.id for session in held]
    clock.advance(0)
    assert order[100:] == [session.id for session in idle]
    assert clock.turns == 3  # two to tell the others, one for the sockets
    assert not bayeux.running
    assert clock.getDelayedCalls() == []


class Turns(Clock):
    """Counts the turns that somebody waits for."""

    turns = 0

    def callLater(self, when: float, what: Any, *arguments: Any, **options: Any) -> Any:
        self.turns += not when
        return super().callLater(when, what, *arguments, **options)


class _Parked:
    def release(self, why: Any) -> None: ...


def test_when_its_time_is_up_the_rest_is_told_at_once() -> None:
    clock = Turns()
    bayeux = BayeuxService(Settings(shutdown_timeout=5), clock=clock)
    bayeux.startService()
    for _ in range(1_000):
        bayeux.hub.sessions.open(Link("long-polling"))
    clock.callLater(0, lambda: setattr(clock, "rightNow", 4.9))
    done: list[Any] = []
    clock.turns = 0
    bayeux.stopService().addCallback(done.append)
    assert len(bayeux.hub.sessions) == 900
    clock.callLater(0, lambda: setattr(clock, "rightNow", 5.0))
    clock.advance(0)
    assert done == [None]
    assert clock.turns == 5  # two to tell them, one of this test, one for the sockets, and that of a timeout


def test_a_balancer_is_given_time(nets: Any, log: Any) -> None:
    """drain_delay: all goes on, but it is not ready any more."""
    net = nets(drain_delay=8.0)
    client = LongPolling(net).start("/news")
    client.wait()
    assert net.bayeux.draining is False
    done = stopping(net)
    assert net.bayeux.draining is True
    net.advance(7.9)
    assert HTTP(net).ask(post({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": [
        "long-polling"]})).messages[0]["successful"] is True
    net.publish("still here")
    assert client.events() == ["still here"]
    client.wait()
    net.advance(0.2)
    [reply] = client.news()
    assert reply["error"] == "503::Server too busy"
    net.advance(1)
    assert done == [None]
    assert [formatEvent(event) for event in log if event.get("event") in ("draining", "stopping")] == [
        "draining for 8 s before the stop",
        "stopping; sessions told to come back: 2, within 5 s"]
    net.bayeux.startService()
    assert net.bayeux.draining is False


def test_who_hurries_it_waits_for_nothing(nets: Any) -> None:
    net = nets(drain_delay=8.0, shutdown_timeout=60.0)
    client = WebSocket(net).start("/news")  # which never closes its side
    done = stopping(net)
    net.bayeux.hurry()
    net.pump()
    assert done == []
    assert client.socket.frames()[-1][0] == 8
    net.bayeux.hurry()
    net.pump()
    assert done == [None]


def test_who_hurries_has_all_clients_told_at_once() -> None:
    clock = Clock()
    bayeux = BayeuxService(clock=clock)
    bayeux.startService()
    for _ in range(500):
        bayeux.hub.sessions.open(Link("long-polling"))
    bayeux.stopService()
    assert 0 < len(bayeux.hub.sessions) < 500
    bayeux.hurry()
    clock.advance(0)
    assert len(bayeux.hub.sessions) == 0


def test_a_stop_that_is_not_slow_is_not_hurried() -> None:
    bayeux = BayeuxService(clock=Clock())
    bayeux.startService()
    bayeux.hurry()
    assert bayeux.draining is False


# -- the experiment -----------------------------------------------------------------------------


def test_clients_come_back_to_another_server(capsys: Any) -> None:
    """All of them, told and not cut; the command says how."""
    assert main(["--clients", "30", "--set", "shutdown_spread=0.5", "--patience", "30"]) == 0
    report = capsys.readouterr().out
    assert "told when to come back: 30; cut off without a word: 0; closes: {1001: 15}" in report
    assert "live again: 30 of 30" in report
    assert "with status 0" in report
