"""load/client.py: the life of one client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from bayeux.load import client as module
from bayeux.load.client import Client, Farewell, State
from bayeux.load.posts import Posts
from tests.loading import SECOND, FakeCarrier, FakeCrew, FakeStream, Message, event

CONNECTED: Message = {"channel": "/meta/connect", "successful": True}
SHAKEN: Message = {"channel": "/meta/handshake", "successful": True, "clientId": "abc"}
SUBSCRIBED: Message = {"channel": "/meta/subscribe", "successful": True}


class Fake(Client):
    """A client with carriers that note what it sends."""

    CARRIERS: ClassVar[Any] = {"long-polling": FakeCarrier, "websocket": FakeStream}
    __slots__ = ("events",)

    def __init__(self, crew: FakeCrew, kind: str, channel: str = "/load/abcdef-0") -> None:
        super().__init__(crew, kind, channel)
        self.events: list[bytes] = []

    def arrived(self, text: bytes, at: int) -> None:
        self.events.append(text[at:at + FakeCrew.stamp])


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.random, "uniform", lambda low, high: high)


@pytest.fixture
def crew() -> Iterator[FakeCrew]:
    crew = FakeCrew()
    yield crew
    crew.loop.close()


def carrier(client: Client) -> FakeCarrier:
    made = client.carrier
    assert isinstance(made, FakeCarrier)
    return made


def live(crew: FakeCrew, kind: str = "long-polling", channel: str = "/load/abcdef-0") -> Fake:
    client = Fake(crew, kind, channel)
    client.come()
    made = carrier(client)
    made.answer(SHAKEN)
    if channel:
        made.answer(SUBSCRIBED)
    assert client.state is State.LIVE
    made.sent[:] = made.sent[-1:]
    assert made.take()["channel"] == "/meta/connect"
    return client


BOTH = pytest.mark.parametrize("kind", ["long-polling", "websocket"])


@BOTH
def test_it_shakes_hands_subscribes_and_connects(crew: FakeCrew, kind: str) -> None:
    client = Fake(crew, kind)
    client.come()
    made = carrier(client)
    assert made.take()["supportedConnectionTypes"] == [kind]
    made.answer(SHAKEN)
    assert made.take() == {"channel": "/meta/subscribe", "clientId": "abc", "id": "2",
                           "subscription": "/load/abcdef-0"}
    assert (crew.live, made.settled) == ([], False)
    made.answer(SUBSCRIBED)
    assert (crew.live, made.settled) == ([client], True)  # whether the connect is answered or held
    assert made.take() == {"channel": "/meta/connect", "clientId": "abc", "connectionType": kind, "id": "3"}
    assert client.since == crew.loop.now


@pytest.mark.parametrize("fail", [
    lambda client: client.gone("connection refused"),
    lambda client: carrier(client).answer({**SHAKEN, "successful": False, "error": "503::Busy"})])
def test_attempts_that_fail_are_part_of_the_time_to_connect(
        crew: FakeCrew, fail: Callable[[Client], None]) -> None:
    client = Fake(crew, "websocket", "/load/abcdef-0")
    client.come()
    began = crew.loop.now
    fail(client)
    crew.loop.advance(1.5)
    client.gone("connection reset")
    crew.loop.advance(2.5)
    carrier(client).answer(SHAKEN)
    carrier(client).answer(SUBSCRIBED)
    assert (crew.live, client.since) == ([client], began)


def test_who_was_live_begins_anew(crew: FakeCrew) -> None:
    client = live(crew, "websocket")
    carrier(client).answer({**CONNECTED, "successful": False, "error": "402::Unknown client ID",
                            "advice": {"reconnect": "handshake", "interval": 2000}})
    crew.loop.advance(3)
    assert (client.state, client.since) == (State.SHAKING_HANDS, crew.loop.now - SECOND)


def test_who_is_told_to_begin_anew_does(crew: FakeCrew) -> None:
    client = Fake(crew, "websocket")
    client.come()
    crew.loop.advance(2)
    client.go()
    client.come()
    assert client.since == crew.loop.now


def test_who_subscribes_to_nothing_connects_at_once(crew: FakeCrew) -> None:
    assert crew.live == [live(crew, channel="")]


def test_the_handshake_has_the_ext_that_was_asked_for(crew: FakeCrew) -> None:
    crew.ext = '{"token":"t"}'
    client = Fake(crew, "websocket")
    client.come()
    assert carrier(client).take()["ext"] == {"token": "t"}


@BOTH
def test_each_reply_to_a_connect_is_followed_by_the_next(crew: FakeCrew, kind: str) -> None:
    client = live(crew, kind)
    for _ in range(3):
        carrier(client).answer(CONNECTED)
        assert carrier(client).take()["channel"] == "/meta/connect"
    assert crew.failures == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_events_come_with_the_reply_by_long_polling(crew: FakeCrew, order: tuple[int, int]) -> None:
    """Servers differ in which comes first."""
    client = live(crew)
    carrier(client).answer(*[(event(7), CONNECTED)[place] for place in order])
    assert client.events == [b"bxl-abcdef-0000000007"]
    assert carrier(client).take()["channel"] == "/meta/connect"


def test_events_come_by_themselves_by_websocket(crew: FakeCrew) -> None:
    client = live(crew, "websocket")
    carrier(client).answer(event(7))
    assert (client.events, carrier(client).sent) == ([b"bxl-abcdef-0000000007"], [])
    carrier(client).answer(event(8), CONNECTED)
    assert len(client.events) == 2
    assert carrier(client).take()["channel"] == "/meta/connect"


def test_an_answer_that_leads_to_a_connect_at_once_is_remembered(crew: FakeCrew) -> None:
    client = live(crew)
    carrier(client).answer(event(7), CONNECTED)
    assert carrier(client).known is not None
    stamp, again = carrier(client).known
    assert stamp == b"bxl-abcdef-0000000007"
    carrier(client).sent.clear()
    again(b"...bxl-abcdef-0000000009", 3)
    assert client.events == [b"bxl-abcdef-0000000007", b"bxl-abcdef-0000000009"]
    assert carrier(client).take()["channel"] == "/meta/connect"


@pytest.mark.parametrize("messages", [
    [CONNECTED], [event(1), event(2), CONNECTED], [event(1), {**CONNECTED, "successful": False}]])
def test_no_other_answer_is_remembered(crew: FakeCrew, messages: list[Message]) -> None:
    client = live(crew)
    made = carrier(client)
    made.answer(*messages)
    assert made.known is None


def test_an_answer_after_which_it_waits_is_not_remembered(crew: FakeCrew,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    client = live(crew)
    monkeypatch.setattr(FakeCarrier, "awaits_answer", False)
    carrier(client).answer(event(1), {**CONNECTED, "advice": {"interval": 500}})
    assert carrier(client).known is None


# -- advice -------------------------------------------------------------------------------------

@BOTH
def test_it_waits_for_the_interval_that_it_is_advised(crew: FakeCrew, kind: str) -> None:
    client = live(crew, kind)
    carrier(client).answer({**CONNECTED, "advice": {"reconnect": "retry", "interval": 1500}})
    crew.loop.advance(1.49)
    assert carrier(client).sent == []
    crew.loop.advance(0.02)
    carrier(client).take()
    carrier(client).answer(CONNECTED)  # the advice holds until there is another
    assert carrier(client).sent == []
    crew.loop.advance(2)
    carrier(client).take()
    carrier(client).answer({**CONNECTED, "advice": {"interval": 0}})
    carrier(client).take()


def test_a_connect_that_waits_is_not_sent_by_who_has_gone(crew: FakeCrew) -> None:
    client = live(crew)
    carrier(client).answer({**CONNECTED, "advice": {"interval": 1500}})
    client.go()
    crew.loop.advance(5)
    assert carrier(client).sent == []


def test_it_stays_away_when_it_is_told_to(crew: FakeCrew) -> None:
    client = live(crew)
    carrier(client).answer({**CONNECTED, "advice": {"reconnect": "none"}})
    assert (client.state, crew.over) == (State.OVER, [client])
    assert crew.failures == ["connect: told not to come back"]
    crew.loop.advance(100)
    assert carrier(client).closed is False
    client.gone("connection closed")
    assert len(crew.failures) == 1


@pytest.mark.parametrize(("reply", "told"), [
    ({"error": "403::Handshake denied", "advice": {"reconnect": "none"}}, "handshake: 403 Handshake denied"),
    ({"advice": {"reconnect": "none"}}, "handshake: no reason given")])
def test_a_refused_handshake_with_none_ends_it(crew: FakeCrew, reply: Message, told: str) -> None:
    client = Fake(crew, "websocket")
    client.come()
    carrier(client).answer({"channel": "/meta/handshake", "successful": False, **reply})
    assert (client.state, crew.failures) == (State.OVER, [told])


def test_a_refused_handshake_is_tried_again_after_the_interval(crew: FakeCrew) -> None:
    client = Fake(crew, "websocket")
    client.come()
    refusal = {"channel": "/meta/handshake", "successful": False, "error": "503::Server too busy",
               "advice": {"reconnect": "handshake", "interval": 3000}}
    first = carrier(client)
    first.answer(refusal)
    assert (client.state, first.closed) == (State.AWAY, False)
    crew.loop.advance(2.9)
    assert carrier(client) is first
    crew.loop.advance(0.2)
    assert carrier(client).take()["channel"] == "/meta/handshake"


def test_a_handshake_without_an_id_is_none(crew: FakeCrew) -> None:
    client = Fake(crew, "websocket")
    client.come()
    carrier(client).answer({"channel": "/meta/handshake", "successful": True})
    assert crew.failures == ["handshake: no reason given"]


def test_who_fails_again_and_again_waits_longer_and_longer(crew: FakeCrew) -> None:
    client = Fake(crew, "websocket")
    client.come()
    waits = []
    for _ in range(7):
        made = carrier(client)
        client.gone("connection refused")
        began = crew.loop.now
        while carrier(client) is made:
            crew.loop.advance(0.5)
        waits.append((crew.loop.now - began) / 1e9)
    assert waits == [1, 2, 3, 4, 5, 5, 5]
    assert crew.failures[0] == "handshake: connection refused"


def test_a_refused_subscription_is_told(crew: FakeCrew) -> None:
    client = Fake(crew, "websocket")
    client.come()
    carrier(client).answer(SHAKEN)
    carrier(client).answer({**SUBSCRIBED, "successful": False, "error": "403:/load:Subscription denied"})
    assert crew.failures == ["subscribe: 403 Subscription denied"]
    assert client.state is State.AWAY


def test_who_is_unknown_shakes_hands_again_at_once_but_not_for_ever(crew: FakeCrew) -> None:
    """K-4."""
    client = live(crew)
    unknown = {"channel": "/meta/connect", "successful": False, "error": "402:abc:Unknown client ID",
               "advice": {"reconnect": "handshake", "interval": 0}}
    carrier(client).answer(unknown)
    crew.loop.advance(0)
    carrier(client).answer(SHAKEN)
    carrier(client).answer(SUBSCRIBED)
    assert client.state is State.LIVE
    made = carrier(client)
    made.answer(unknown)  # it has not been answered well in between
    crew.loop.advance(1.9)
    assert carrier(client) is made
    crew.loop.advance(0.2)
    assert carrier(client) is not made
    assert crew.failures == ["connect: 402 Unknown client ID"] * 2


def test_a_good_connect_makes_up_for_what_failed(crew: FakeCrew) -> None:
    client = live(crew)
    for _ in range(3):
        client.gone("connection reset")
        crew.loop.advance(0)
        assert client.state is State.LIVE  # at once
        carrier(client).take()
        carrier(client).answer(CONNECTED)


def test_a_connect_that_is_to_be_tried_again_is(crew: FakeCrew) -> None:
    client = live(crew)
    carrier(client).answer({"channel": "/meta/connect", "successful": False, "error": "500::Oops",
                            "advice": {"reconnect": "retry", "interval": 0}})
    assert (client.state, crew.failures) == (State.LIVE, ["connect: 500 Oops"])
    crew.loop.advance(0.9)
    assert carrier(client).sent == []
    crew.loop.advance(0.2)
    assert carrier(client).take()["channel"] == "/meta/connect"


# -- what goes wrong ----------------------------------------------------------------------------

@BOTH
def test_a_lost_connection_is_made_again_with_the_same_session(crew: FakeCrew, kind: str) -> None:
    client = live(crew, kind)
    first = carrier(client)
    first.cookies = {"A": "1"}
    client.gone("connection closed")
    crew.loop.advance(0)
    assert (client.state, client.is_resumed) == (State.LIVE, True)
    assert carrier(client) is not first
    assert carrier(client).take() == {"channel": "/meta/connect", "clientId": "abc", "connectionType": kind,
                                      "id": "3"}
    assert crew.failures == ["connection closed"]


def test_a_bad_status_is_not_answered_by_asking_at_once(crew: FakeCrew) -> None:
    client = live(crew)
    client.gone("HTTP 503")
    crew.loop.advance(0.9)
    assert client.state is State.AWAY
    crew.loop.advance(0.2)
    assert client.state is State.LIVE


@pytest.mark.parametrize("was_live", [False, True])
def test_what_is_no_bayeux_is_told(crew: FakeCrew, was_live: bool) -> None:
    client = live(crew) if was_live else Fake(crew, "long-polling")
    if not was_live:
        client.come()
    client.received(b"<html>")
    assert crew.failures == ["not Bayeux: '<html>'"]
    assert client.state is State.AWAY


def test_an_answer_without_the_reply_to_the_connect_is_told(crew: FakeCrew) -> None:
    """By long-polling nothing more would come."""
    client = live(crew)
    carrier(client).answer(event(1))
    assert crew.failures == ["connect: an answer without its reply"]
    crew.loop.advance(2)
    assert client.state is State.LIVE


def test_a_client_that_is_kicked_comes_back(crew: FakeCrew) -> None:
    client = live(crew, "websocket")
    carrier(client).answer({"channel": "/meta/disconnect", "successful": True})
    assert crew.failures == ["disconnected by the server"]
    crew.loop.advance(2)
    assert carrier(client).take()["channel"] == "/meta/handshake"


@pytest.mark.parametrize("reply", [SHAKEN, SUBSCRIBED, {"channel": "/other", "successful": True}])
def test_a_reply_to_nothing_is_let_go(crew: FakeCrew, reply: Message) -> None:
    client = live(crew, "websocket")
    carrier(client).answer(reply)
    assert (client.state, crew.failures, carrier(client).sent) == (State.LIVE, [], [])
    other = Fake(crew, "websocket")
    other.come()
    carrier(other).sent.clear()
    carrier(other).answer(CONNECTED, SUBSCRIBED, {"channel": "/meta/disconnect", "successful": True})
    assert (other.state, carrier(other).sent) == (State.SHAKING_HANDS, [])


# -- coming and going ---------------------------------------------------------------------------

def test_who_comes_again_has_let_go_of_what_there_was(crew: FakeCrew) -> None:
    client = live(crew)
    first = carrier(client)
    client.come()
    assert (first.closed, client.is_resumed) == (False, False)
    assert carrier(client).take()["channel"] == "/meta/handshake"


def test_who_comes_back_to_its_session_keeps_its_cookies(crew: FakeCrew) -> None:
    client = Client(crew, "long-polling")
    assert isinstance(client.carrier, Posts)
    client.client_id = "c"
    for resume, cookies in ((True, {"A": "1"}), (False, {})):
        client.carrier.cookies = {"A": "1"}
        client.come(resume)
        assert client.carrier.cookies == cookies
        client.go()


def test_who_has_no_session_cannot_resume_it(crew: FakeCrew) -> None:
    client = Fake(crew, "websocket")
    client.come(resume=True)
    assert carrier(client).take()["channel"] == "/meta/handshake"


def test_who_is_to_come_later_does_not_if_something_else_becomes_of_it(crew: FakeCrew) -> None:
    client = live(crew)
    client.go(reset=True)
    assert carrier(client).closed is True
    client.come_after(1.0)
    client.come()
    made = carrier(client)
    crew.loop.advance(5)
    assert carrier(client) is made


def test_by_websocket_it_says_good_bye_on_its_connection(crew: FakeCrew) -> None:
    client = live(crew, "websocket")
    client.disconnect()
    assert carrier(client).take() == {"channel": "/meta/disconnect", "clientId": "abc", "id": "5"}
    assert (carrier(client).closed, client.state, client.client_id) == (False, State.AWAY, "")


def test_by_long_polling_it_says_good_bye_by_another_connection(
        crew: FakeCrew, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that it has waits for its connect (K-16)."""
    made: list[FakeCarrier] = []

    def other(place: Any, receiver: Any, cookies: dict[str, str]) -> FakeCarrier:
        made.append(FakeCarrier(place, receiver))
        made[-1].cookies = cookies
        return made[-1]

    client = live(crew)
    carrier(client).cookies = {"A": "1"}
    posts = type("Posts", (FakeCarrier,), {"__new__": lambda cls, *arguments: other(*arguments)})
    monkeypatch.setattr(module, "Posts", posts)
    Farewell(crew.place, client.carrier).post("[]")
    assert (made[0].sent, made[0].cookies) == (["[]"], {"A": "1"})
    made[0].receiver.opened()
    made[0].receiver.received(b"[]")
    assert made[0].closed is False
    Farewell(crew.place, client.carrier).post("[]")
    made[1].receiver.gone("connection refused")
    assert made[1].closed is False


def test_who_is_not_live_has_nobody_to_say_good_bye_to(crew: FakeCrew) -> None:
    client = Fake(crew, "websocket")
    client.come()
    carrier(client).sent.clear()
    client.disconnect()
    assert carrier(client).sent == []


# -- reading slowly -----------------------------------------------------------------------------

def test_a_slow_reader_by_long_polling_asks_late(crew: FakeCrew) -> None:
    client = Fake(crew, "long-polling")
    client.pause = 2.0
    client.come()
    made = carrier(client)
    assert made.slow
    made.answer(SHAKEN)
    made.answer(SUBSCRIBED)
    made.sent.clear()
    made.answer(event(1), CONNECTED)
    crew.loop.advance(1.9)
    assert made.sent == []
    crew.loop.advance(0.2)
    assert made.take()["channel"] == "/meta/connect"


def test_a_slow_reader_by_websocket_reads_now_and_then(crew: FakeCrew) -> None:
    client = Fake(crew, "websocket")
    client.pause = 2.0
    client.come()
    made = carrier(client)
    made.answer(SHAKEN)
    made.answer(SUBSCRIBED)
    assert json.loads(made.sent[-1])[0]["channel"] == "/meta/connect"
    seen = []
    for seconds in (1.9, 0.11, 0.02, 1.9, 0.1):
        crew.loop.advance(seconds)
        seen.append(made.paused)
    assert seen == [True, False, True, True, False]
    client.go()
    crew.loop.advance(10)
    assert not made.paused


def test_a_slow_reader_that_has_gone_does_not_read(crew: FakeCrew) -> None:
    client = Fake(crew, "websocket")
    client.pause = 2.0
    client.come()
    made = carrier(client)
    made.answer(SHAKEN)
    made.answer(SUBSCRIBED)
    client.go()
    crew.loop.advance(10)
    assert made.paused
