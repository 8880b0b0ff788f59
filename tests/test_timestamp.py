"""extensions/timestamp.py: a time of day on everything that the server sends (BAYEUX.md 19.3, XS-1, M-27)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bayeux.extensions.timestamp import Timestamp, stamp
from tests.client import World

NOW = "2023-11-14T22:13:20.25"


class Wall:
    """A clock on the wall; in seconds."""

    seconds = 1_700_000_000.25

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def world(wall: Wall) -> World:
    world = World(extensions=())
    world.hub.add_extension(Timestamp(wall))
    return world


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "1970-01-01T00:00:00.00"),
    (1_700_000_000.25, NOW),
    (1_700_000_000, "2023-11-14T22:13:20.00"),
    (1_700_000_000.05, "2023-11-14T22:13:20.05"),
    (1_709_164_799.994, "2024-02-28T23:59:59.99"),
    (1_709_164_799.996, "2024-02-29T00:00:00.00"),
])
def test_format(seconds: float, text: str) -> None:
    """M-27: ISO 8601, in GMT, with hundredths."""
    assert stamp(seconds) == text


def test_format_is_gmt_wherever_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """M-27."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert stamp(Wall.seconds) == NOW
    finally:
        monkeypatch.undo()
        time.tzset()


def test_every_reply_has_one(world: World) -> None:
    """XS-1: those to what failed too."""
    client = world.client()
    replies = client.ask(client.connect_message(), client.message("/meta/subscribe", subscription="/x"),
                         client.message("/a", data=1), client.message("/meta/foo"), {"id": 1})
    assert [reply["timestamp"] for reply in replies] == [NOW] * 5
    [reply] = world.ask({"channel": "/meta/handshake"})
    assert reply["timestamp"] == NOW


def test_held_connect_has_that_of_its_reply(world: World, wall: Wall) -> None:
    """XS-1: when it was sent."""
    carrier = world.client().connect()
    wall.seconds += 30
    world.clock.advance(30)
    assert carrier.messages is not None
    assert carrier.messages[0]["timestamp"] == "2023-11-14T22:13:50.25"


def test_an_event_has_the_same_for_everybody(world: World, wall: Wall) -> None:
    """XS-1: that of when it was published."""
    clients = [world.client() for _ in range(2)]
    for client in clients:
        client.subscribe("/a")
    world.hub.publish("/a", 1)
    for client in clients:
        wall.seconds += 1
        event, _ = client.ask(client.connect_message())
        assert event == {"channel": "/a", "data": 1, "timestamp": NOW}


def test_answer_of_a_service_has_one(world: World) -> None:
    """XS-1."""
    world.hub.service("/service/s", lambda session, data: data)
    client = world.client()
    _, answer = client.ask(client.message("/service/s", data=4))
    assert answer == {"channel": "/service/s", "data": 4, "timestamp": NOW}


def test_events_of_one_client(world: World, wall: Wall) -> None:
    """XS-1: what is published, by whomever, and what is delivered to it alone."""
    client = world.client()
    client.subscribe("/a")
    world.hub.publish("/a", 1)
    wall.seconds += 1
    client.session.deliver("/private", 2)
    wall.seconds += 1
    answer = client.ask(client.message("/a", data=3, timestamp="yesterday"))
    assert answer[1:] == [
        {"channel": "/a", "data": 1, "timestamp": "2023-11-14T22:13:20.25"},
        {"channel": "/private", "data": 2, "timestamp": "2023-11-14T22:13:21.25"},
        {"channel": "/a", "data": 3, "timestamp": "2023-11-14T22:13:22.25"}]


def test_last_words_have_one(world: World) -> None:
    """XS-1, X-6: what is sent without having been asked for too."""
    client = world.client()
    carrier = client.connect()
    client.session.disconnect()
    assert carrier.messages is not None
    assert [(message["channel"], message["timestamp"]) for message in carrier.messages] == [
        ("/meta/disconnect", NOW), ("/meta/connect", NOW)]


@pytest.mark.parametrize("timestamp", ["Tue, 14 Nov 2023 22:13:20 GMT", 5, None, {}])
def test_incoming_ones_are_ignored(world: World, timestamp: Any) -> None:
    """XS-1, M-27: whatever they are."""
    client = world.client()
    [reply] = client.ask(client.message("/a", data=1, timestamp=timestamp))
    assert reply["successful"] is True


def test_off_by_default() -> None:
    client = World().client()
    client.subscribe("/a")
    assert all("timestamp" not in message for message in client.ask(client.message("/a", data=1)))


def test_server_tells_its_own_time() -> None:
    """XS-1: that of its clock on the wall."""
    world = World(extensions=("timestamp",))
    world.clock.advance(7.5)
    assert world.client().publish("/a", 1)["timestamp"] == "2023-11-14T22:13:27.50"
