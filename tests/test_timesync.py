"""extensions/timesync.py: how far a client's clock is from the server's (BAYEUX.md 19.2, XT-*)."""

from __future__ import annotations

from typing import Any

import pytest

from bayeux.extensions.timesync import Timesync
from tests.client import Client, World

TC = 1_700_000_000_000
"""What the client's clock says, in milliseconds."""


class Wall:
    """A clock on the wall; in seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def wall() -> Wall:
    return Wall(TC / 1000 + 0.040)


@pytest.fixture
def world(wall: Wall) -> World:
    world = World(extensions=())
    world.hub.add_extension(Timesync(0.025, wall))
    return world


@pytest.fixture
def client(world: World) -> Client:
    return world.client()


def ask(client: Client, timesync: Any, channel: str = "/meta/subscribe") -> Any:
    """Send a message with ``ext.timesync``; returns that of the reply, None if it has none."""
    message = client.message(channel, subscription="/x", connectionType="long-polling", data=1,
                             ext={"timesync": timesync})
    reply = client.ask(message)[0]
    return reply.get("ext", {}).get("timesync")


def test_answer(client: Client) -> None:
    """XT-2, XT-3."""
    assert ask(client, {"tc": TC, "l": 0, "o": 0}) == {"tc": TC, "ts": TC + 40, "p": 0, "a": -40}


def test_answer_is_whole_numbers(client: Client, wall: Wall) -> None:
    """XT-2: on the wire they are integers, as clients compute with them."""
    wall.seconds = TC / 1000 + 0.0404
    answer = ask(client, {"tc": TC + 0.4, "l": 0.0, "o": 1.4})
    assert answer == {"tc": TC, "ts": TC + 40, "p": 0, "a": -38}
    assert all(type(number) is int for number in answer.values())


def test_time_spent_in_the_server(client: Client, world: World, wall: Wall) -> None:
    """XT-2: from when the message has come until its reply is written, the hold included."""
    carrier = client.connect(ext={"timesync": {"tc": TC, "l": 0, "o": 0}})
    assert carrier.held
    wall.seconds += 2.003
    world.clock.advance(30)
    assert carrier.messages is not None
    assert carrier.messages[0]["ext"] == {"timesync": {"tc": TC, "ts": TC + 40, "p": 2003, "a": -40}}


def test_other_keys_stay(client: Client, world: World) -> None:
    """XG-2."""
    world = World(extensions=("ack", "timesync"))
    [reply] = world.ask({"channel": "/meta/handshake", "version": "1.0",
                         "supportedConnectionTypes": ["long-polling"],
                         "ext": {"ack": True, "timesync": {"tc": TC}, "other": {}}})
    assert reply["ext"].keys() == {"ack", "timesync"}


@pytest.mark.parametrize("channel", [
    "/meta/handshake", "/meta/connect", "/meta/subscribe", "/meta/unsubscribe", "/meta/disconnect"])
def test_every_meta_message_is_answered(world: World, client: Client, channel: str) -> None:
    """XT-1."""
    [reply] = client.ask(client.message(
        channel, version="1.0", supportedConnectionTypes=["long-polling"], connectionType="long-polling",
        subscription="/x", advice={"timeout": 0}, ext={"timesync": {"tc": TC}}))
    assert reply["successful"] is True
    assert reply["ext"]["timesync"]["tc"] == TC


@pytest.mark.parametrize("channel", ["/a", "/service/a"])
def test_other_messages_are_not(client: Client, channel: str) -> None:
    """XT-1."""
    assert ask(client, {"tc": TC}, channel) is None


def test_message_that_fails_is_answered(client: Client) -> None:
    """XT-2: its reply is a reply."""
    assert ask(client, {"tc": TC}, "/meta/foo") is not None


def test_only_who_asks_is_answered(client: Client) -> None:
    """XT-2: one message of a batch."""
    first, second = client.ask(client.message("/meta/subscribe", subscription="/x", ext={"other": 1}),
                               client.message("/meta/subscribe", subscription="/x",
                                              ext={"timesync": {"tc": TC}}))
    assert "ext" not in first
    assert "ext" in second


def test_old_style(client: Client) -> None:
    """XT-3: without a lag there is always an answer, and nothing in it of accuracy."""
    assert ask(client, {"tc": TC}) == {"tc": TC, "ts": TC + 40, "p": 0}
    assert ask(client, {"tc": TC, "l": None, "o": 40}) == {"tc": TC, "ts": TC + 40, "p": 0}


@pytest.mark.parametrize(("lag", "offset", "a"), [
    (10, 5, -25), (10, 55, 25), (10, 6, None), (10, 54, None), (10, 30, None), (0, 40, 0), (-1, 41, None),
    (10, 0, -30), (5, 1000, 965), (0.5, 0, -40)])
def test_accuracy(client: Client, lag: float, offset: float, a: int | None) -> None:
    """XT-3: who knows the time well enough is not answered; who does not know its lag yet is."""
    answer = ask(client, {"tc": TC, "l": lag, "o": offset})
    assert answer == (None if a is None else {"tc": TC, "ts": TC + 40, "p": 0, "a": a})


@pytest.mark.parametrize(("seconds", "answered"), [(0.029, True), (0.030, False), (0.0, True)])
def test_accuracy_can_be_set(wall: Wall, seconds: float, answered: bool) -> None:
    """XT-3: what is as far off as that is answered."""
    world = World(extensions=())
    world.hub.add_extension(Timesync(seconds, wall))
    assert (ask(world.client(), {"tc": TC, "l": 1, "o": 10}) is not None) is answered


def test_accuracy_is_a_setting() -> None:
    """XT-3."""
    def world(accuracy: float) -> Client:
        return World(timesync_accuracy=accuracy).client()

    assert ask(world(31_536_000.0), {"tc": 0, "l": 1, "o": 10}) is not None  # decades ago
    now = ask(world(1.0), {"tc": TC})["ts"]
    assert now == round(1000 * World.START)
    assert ask(world(1.0), {"tc": now, "l": 1, "o": 600_000}) is not None
    assert ask(world(10_000.0), {"tc": now, "l": 1, "o": 600_000}) is None


@pytest.mark.parametrize("timesync", [
    None, True, 5, "x", [], {}, {"l": 0, "o": 0}, {"tc": None}, {"tc": str(TC)}, {"tc": True}, {"tc": [TC]},
    {"tc": 10**30}, {"tc": -(10**30)}, {"tc": 1e300}, {"tc": 2**53 + 2},
    {"tc": TC, "l": "0", "o": 0}, {"tc": TC, "l": 0, "o": "0"}, {"tc": TC, "l": 0},
    {"tc": TC, "l": 0, "o": None},
    {"tc": TC, "l": False, "o": 0}, {"tc": TC, "l": 0, "o": False}, {"tc": TC, "l": 10**30, "o": 0},
    {"tc": TC, "l": 0, "o": 1e300}])
def test_what_cannot_be_meant_is_ignored(client: Client, timesync: Any) -> None:
    """XT-4: without an answer, and without an error."""
    reply = client.ask(client.message("/meta/subscribe", subscription="/x", ext={"timesync": timesync}))[0]
    assert reply["successful"] is True
    assert "ext" not in reply


@pytest.mark.parametrize("tc", [0, -5, 2**53])
def test_any_other_number_is_answered(client: Client, tc: int) -> None:
    """XT-2: a client's clock may begin anywhere."""
    assert ask(client, {"tc": tc})["tc"] == tc


@pytest.mark.parametrize(("lag", "offset"), [(0.0, 0.0), (0.05, 3.0), (0.2, -7200.0)])
def test_client_learns_lag_and_offset(client: Client, world: World, wall: Wall, lag: float,
                                      offset: float) -> None:
    """XT-5: as clients compute it, with a hold of 1.5 s in between."""
    mine = wall.seconds - offset
    tc = round(1000 * mine)
    wall.seconds += lag
    carrier = client.connect(ext={"timesync": {"tc": tc, "l": 0, "o": 0}})
    wall.seconds += 1.5
    world.clock.advance(30)
    assert carrier.messages is not None
    answer = carrier.messages[0]["ext"]["timesync"]
    now = round(1000 * (mine + lag + 1.5 + lag))
    measured = (now - answer["tc"] - answer["p"]) / 2
    assert measured == pytest.approx(1000 * lag, abs=2)
    assert answer["ts"] - answer["tc"] - measured == pytest.approx(1000 * offset, abs=2)
