"""The client's machine as a whole: what it does with anything that may come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bayeux.client.errors import BadAnswer, BadStatus, SessionEnded, TooMuch
from bayeux.client.extensions import ClientExtension
from bayeux.client.outbox import Request
from bayeux.client.states import ALIVE, TALKING, State
from tests.machines import ADVICE, LOST, POLLING, WEBSOCKET, Driven, Sent, refusal

CONNECT, HANDSHAKE = "/meta/connect", "/meta/handshake"


# -- events -------------------------------------------------------------------------------------

def test_events_come_in_their_order_whatever_carries_them() -> None:
    """D-6, D-8."""
    driven = Driven().start()
    driven.publish(0, "/b")
    driven.turn()
    driven.agree(driven.requests[0], {"channel": "/a", "data": 1}, {"channel": "/a", "data": 2})
    driven.connect({"channel": "/a", "data": 3})
    assert driven.events == [("/a", 1), ("/a", 2), ("/a", 3)]
    assert driven.machine._metrics.events == 3


def test_an_event_may_have_null_as_data() -> None:
    """M-28."""
    driven = Driven().start()
    driven.hear({"channel": "/a", "data": None})
    assert driven.events == [("/a", None)]


@pytest.mark.parametrize("message", [
    {"channel": "/a"}, {"channel": "/a", "data": 1, "successful": True}, {"data": 1}, {"channel": 5,
                                                                                       "data": 1},
    {"channel": "/meta/connect", "data": 1}, {"channel": "/meta", "data": 1}, {"channel": "a", "data": 1},
    "text", 7, None, [], {}, {"channel": "", "data": 1},
])
def test_what_is_no_event_is_not_taken_for_one(message: Any) -> None:
    driven = Driven().start()
    driven.hear(message)
    assert driven.events == []
    assert driven.state is State.CONNECTED


def test_advice_in_an_event_is_not_obeyed() -> None:
    """A-6: whoever publishes could end every client that obeys it."""
    driven = Driven().start()
    driven.hear({"channel": "/a", "data": 1, "advice": {"reconnect": "none"}})
    assert driven.state is State.CONNECTED
    assert driven.machine.advice.reconnect == "retry"


def test_an_event_with_the_id_of_a_request_is_no_reply() -> None:
    """D-3."""
    driven = Driven().start()
    request = driven.publish()
    driven.turn()
    driven.hear({"channel": "/a", "data": 1, "id": driven.requests[0].message["id"]})
    assert request not in driven.settled
    assert driven.events == [("/a", 1)]


def test_the_servers_own_disconnect_ends_the_client() -> None:
    """X-6."""
    driven = Driven(WEBSOCKET).start()
    driven.hear({"channel": "/meta/disconnect", "successful": True}, by=WEBSOCKET)
    state, reason = driven.changes[-1]
    assert state is State.DISCONNECTED
    assert isinstance(reason, SessionEnded)
    assert driven.closed == [WEBSOCKET]


def test_a_disconnect_with_a_foreign_id_is_nothing() -> None:
    driven = Driven().start()
    driven.hear({"channel": "/meta/disconnect", "successful": True, "id": "x"})
    assert driven.state is State.CONNECTED


# -- acknowledgement ----------------------------------------------------------------------------

def acknowledging(*transports: str) -> Driven:
    driven = Driven(*transports)
    driven.do_("start")
    if driven.opening:
        driven.opened()
    driven.greet(ext={"ack": True})
    return driven


def test_each_connect_acknowledges_what_was_handed_out() -> None:
    """XA-1, XA-4."""
    driven = acknowledging()
    assert driven.last(CONNECT).message["ext"] == {"ack": 0}
    driven.connect(ext={"ack": 1})
    driven.connect({"channel": "/a", "data": 1}, ext={"ack": 2})
    assert driven.last(CONNECT).message["ext"] == {"ack": 2}
    driven.fail(driven.last(CONNECT))
    driven.clock.advance(1)
    assert driven.last(CONNECT).message["ext"] == {"ack": 2}


def test_with_acknowledgement_events_in_the_answer_to_an_old_connect_are_dropped() -> None:
    """They come again (N-9)."""
    driven = acknowledging()
    driven.connect(ext={"ack": 1})
    old = driven.last(CONNECT)
    driven.fail(old)
    driven.clock.advance(1)
    driven.hear({"channel": "/a", "data": 1},
                {"channel": CONNECT, "id": old.message["id"], "successful": True, "ext": {"ack": 2}})
    assert driven.events == []
    driven.connect({"channel": "/a", "data": 1}, ext={"ack": 3})
    assert driven.events == [("/a", 1)]
    assert driven.last(CONNECT).message["ext"] == {"ack": 3}


def test_with_acknowledgement_a_second_copy_of_an_answer_is_dropped() -> None:
    driven = acknowledging()
    connect = driven.last(CONNECT)
    driven.connect({"channel": "/a", "data": 1}, ext={"ack": 1})
    driven.hear({"channel": "/a", "data": 1},
                {"channel": CONNECT, "id": connect.message["id"], "successful": True, "ext": {"ack": 1}})
    assert driven.events == [("/a", 1)]


def test_a_new_session_begins_its_own_numbers() -> None:
    """XA-11."""
    driven = acknowledging()
    driven.connect(ext={"ack": 5})
    driven.answer(driven.last(CONNECT), refusal(CONNECT, "402::Unknown client ID"))
    driven.greet("C2", ext={"ack": True})
    assert driven.last(CONNECT).message["ext"] == {"ack": 0}


def test_a_server_without_acknowledgement_is_not_bothered_by_it() -> None:
    driven = Driven().start()
    assert "ext" not in driven.last(CONNECT).message


# -- extensions ---------------------------------------------------------------------------------

class Both(ClientExtension):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def outgoing(self, message: dict[str, Any]) -> None:
        self.seen.append(message["channel"])
        message["extra"] = 1

    def incoming(self, message: dict[str, Any]) -> bool | None:
        self.seen.append(f"in {message['channel']}")
        return None if message.get("data") != "drop" else False


def test_extensions_see_everything_that_goes_out_and_comes_in() -> None:
    extension = Both()
    driven = Driven(extensions=[extension]).start()
    assert extension.seen == [HANDSHAKE, f"in {HANDSHAKE}", CONNECT, f"in {CONNECT}", CONNECT]
    assert driven.last(CONNECT).message["extra"] == 1
    driven.hear({"channel": "/a", "data": "drop"}, {"channel": "/a", "data": 2})
    assert driven.events == [("/a", 2)]


def test_an_extension_that_fails_is_reported_and_costs_nothing_else() -> None:
    class Bad(ClientExtension):
        def outgoing(self, message: dict[str, Any]) -> None:
            raise OSError(message["channel"])

        def incoming(self, message: dict[str, Any]) -> None:
            raise OSError(message["channel"])

    driven = Driven(extensions=[Bad()]).start()
    driven.hear({"channel": "/a", "data": 2})
    assert driven.events == [("/a", 2)]
    assert len(driven.reported) == 6


def test_what_an_extension_makes_of_a_message_may_be_no_json() -> None:
    class Worse(ClientExtension):
        def outgoing(self, message: dict[str, Any]) -> None:
            message["data"] = object()

    driven = Driven(extensions=[Worse()])
    driven.do_("start")
    assert "data" not in driven.last(HANDSHAKE).message
    assert [type(error) for error in driven.reported] == [TypeError]


# -- what comes too late ------------------------------------------------------------------------

def test_after_the_end_nothing_matters() -> None:
    driven = Driven(WEBSOCKET, POLLING).start()
    driven.do_("want", "/a")
    driven.do_("leave")
    driven.agree(driven.last("/meta/disconnect"))
    driven.do_("failed", 1, LOST)
    driven.do_("ended", 2)
    driven.do_("greet", 9, None)
    driven.do_("cannot_greet", 9, OSError())
    driven.do_("unwant", "/a")
    for transport in (WEBSOCKET, POLLING):
        driven.hear({"channel": CONNECT, "id": "3", "successful": True, "advice": {"reconnect": "handshake"}},
                    {"channel": "/meta/disconnect", "successful": True}, by=transport)
    assert driven.state is State.DISCONNECTED
    assert not driven.sent and not driven.timers


def test_a_timer_of_what_is_over_is_nothing() -> None:
    driven = Driven().start()
    driven.do_("due", ("exchange", 99))
    assert driven.state is State.CONNECTED


# -- anything at all ----------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6)
FIELDS = {
    "channel": st.sampled_from([HANDSHAKE, CONNECT, "/meta/subscribe", "/meta/disconnect", "/a", "/meta/x",
                                "a"]),
    "id": st.sampled_from(["1", "2", "3", "4"]) | JSON,
    "successful": st.booleans() | JSON,
    "clientId": st.text(max_size=2) | JSON,
    "advice": st.fixed_dictionaries({}, optional={
        "reconnect": st.sampled_from(["retry", "handshake", "none"]) | JSON,
        "interval": st.integers(-5, 5000) | JSON, "timeout": st.integers(-5, 5000) | JSON}) | JSON,
    "ext": st.fixed_dictionaries({}, optional={"ack": st.booleans() | JSON, "replay": JSON}) | JSON,
    "error": st.sampled_from(["402::x", "403::y", "503::z"]) | JSON,
    "supportedConnectionTypes": st.lists(st.sampled_from([POLLING, WEBSOCKET])) | JSON,
    "data": JSON,
    "subscription": JSON,
}
MESSAGES = st.lists(st.fixed_dictionaries({}, optional=FIELDS) | JSON, max_size=4)


class Life(RuleBasedStateMachine):
    """Whatever happens, in whatever order, some things hold."""

    def __init__(self) -> None:
        super().__init__()
        self.driven = Driven(WEBSOCKET, POLLING, settings={"max_outbox": 5})
        self.published: list[Request] = []
        self.sessions = 0

    @rule()
    @precondition(lambda self: self.driven.state is State.UNCONNECTED)
    def start(self) -> None:
        self.driven.do_("start")

    @rule()
    @precondition(lambda self: len(self.published) > 3)
    def leave(self) -> None:
        self.driven.do_("leave")

    @rule(resend=st.booleans())
    @precondition(lambda self: self.driven.state not in (State.DISCONNECTING, State.DISCONNECTED))
    def publish(self, resend: bool) -> None:
        self.published.append(self.driven.publish(resend=resend))

    @rule(name=st.sampled_from(["/a", "/b", "/service/c"]), wanted=st.booleans())
    @precondition(lambda self: self.driven.state not in (State.DISCONNECTING, State.DISCONNECTED))
    def subscribe(self, name: str, wanted: bool) -> None:
        self.driven.do_("want" if wanted else "unwant", name)

    @rule(seconds=st.sampled_from([0, 0.3, 1, 7, 50]))
    def wait(self, seconds: float) -> None:
        self.driven.clock.advance(seconds)

    @rule()
    @precondition(lambda self: self.driven.opening)
    def opened(self) -> None:
        self.driven.opened()

    @rule(reason=st.sampled_from([LOST, BadStatus(404, WEBSOCKET), TooMuch("x")]))
    @precondition(lambda self: self.driven.opening or self.driven.open)
    def lose(self, reason: Any) -> None:
        self.driven.lose(reason=reason)

    def pick(self, number: int) -> Sent:
        return self.driven.sent[number % len(self.driven.sent)]

    @rule(number=st.integers(0, 9), ack=st.booleans())
    @precondition(lambda self: self.driven.sent)
    def agree(self, number: int, ack: bool) -> None:
        sent = self.pick(number)
        if HANDSHAKE in sent.channels:
            self.sessions += 1
            self.driven.greet(f"C{self.sessions}", ext={"ack": ack})
        else:
            self.driven.agree(sent, {"channel": "/a", "data": 1}, advice=ADVICE, ext={"ack": number})

    @rule(number=st.integers(0, 9), error=st.sampled_from(["402::Unknown", "403::No", "503::Busy"]),
          advice=st.sampled_from([None, {"reconnect": "retry"}, {"reconnect": "handshake"}]))
    @precondition(lambda self: self.driven.sent)
    def refuse(self, number: int, error: str, advice: Any) -> None:
        sent = self.pick(number)
        self.driven.answer(sent, *({**refusal(message["channel"], error), "id": message["id"],
                                    **({"advice": advice} if advice else {})} for message in sent.messages))

    @rule(number=st.integers(0, 9), reason=st.sampled_from([LOST, BadAnswer("x"), BadStatus(409, POLLING)]))
    @precondition(lambda self: any(sent.transport == POLLING for sent in self.driven.sent))
    def fail(self, number: int, reason: Any) -> None:
        polls = [sent for sent in self.driven.sent if sent.transport == POLLING]
        self.driven.fail(polls[number % len(polls)], reason)

    @rule(messages=MESSAGES)
    def hear_anything(self, messages: list[Any]) -> None:
        self.driven.hear(*messages, by=WEBSOCKET)

    @rule(number=st.integers(0, 9), messages=MESSAGES)
    @precondition(lambda self: any(sent.transport == POLLING for sent in self.driven.sent))
    def be_answered_anything(self, number: int, messages: list[Any]) -> None:
        polls = [sent for sent in self.driven.sent if sent.transport == POLLING]
        self.driven.end(polls[number % len(polls)], *messages)

    @invariant()
    def there_is_one_session_where_there_should_be(self) -> None:
        machine = self.driven.machine
        assert (machine.session is not None) == (machine.state in ALIVE | TALKING)

    @invariant()
    def something_is_always_under_way(self) -> None:
        """A client that lives waits for an answer, for its transport or for a time, and never for nothing."""
        if self.driven.state in ALIVE or self.driven.state is State.HANDSHAKING:
            dialogue = self.driven.machine._dialogue
            resting = ("dialogue", "retry") in self.driven.timers
            assert (dialogue.exchange is not None) + resting + (dialogue._phase.name == "OPENING") == 1

    @invariant()
    def no_timer_waits_for_nothing(self) -> None:
        if self.driven.state is State.DISCONNECTED:
            assert not self.driven.timers and not self.driven.sent
            assert not self.driven.open and not self.driven.opening
        assert len(self.driven.timers) < 20

    @invariant()
    def every_message_is_somewhere(self) -> None:
        waiting = {id(request) for request in self.driven.machine._talk.outbox}
        for exchange in self.driven.machine._exchanges:
            waiting |= {id(request) for request in (*exchange.waiting.values(), *exchange.returned)}
        for request in self.published:
            assert (id(request) in waiting) != (request in self.driven.settled)

    def teardown(self) -> None:
        self.driven.do_("leave")
        self.driven.clock.advance(100)
        assert self.driven.state is State.DISCONNECTED
        assert all(request in self.driven.settled for request in self.published)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=40)


@given(messages=MESSAGES)
@settings(max_examples=150)
def test_a_held_connect_survives_any_nonsense_that_is_not_its_answer(messages: list[Any]) -> None:
    driven = Driven().start()
    known = driven.last(CONNECT).message["id"]
    harmless = [message for message in messages if not (
        isinstance(message, dict) and (message.get("id") in (known, None)) and "successful" in message)]
    driven.hear(*harmless)
    assert driven.state is State.CONNECTED
