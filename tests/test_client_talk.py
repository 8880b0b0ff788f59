"""What becomes of publishes and subscriptions (BAYEUX.md sections 9, 10, 18)."""

from __future__ import annotations

from typing import Any

import pytest

from bayeux.client.errors import (
    BadStatus,
    Closed,
    ConnectionFailed,
    NoAnswer,
    OutboxFull,
    PublishRefused,
    SubscribeRefused,
    Uncertain,
)
from bayeux.client.states import State
from tests.machines import LOST, POLLING, WEBSOCKET, Driven, refusal

CONNECT, SUBSCRIBE, UNSUBSCRIBE = "/meta/connect", "/meta/subscribe", "/meta/unsubscribe"
UNKNOWN = "402:C1:Unknown client ID"


# -- publishing ---------------------------------------------------------------------------------

def test_a_publish_is_sent_at_the_end_of_the_turn_and_settled_by_its_reply() -> None:
    """P-1, P-2."""
    driven = Driven().start()
    request = driven.publish({"n": 1})
    assert driven.requests == []
    driven.turn()
    [sent] = driven.requests
    assert sent.message == {"channel": "/a", "clientId": "C1", "data": {"n": 1}, "id": "4"}
    driven.agree(sent)
    assert driven.settled[request] == {"channel": "/a", "id": "4", "successful": True}


def test_what_is_published_in_one_turn_goes_out_together() -> None:
    driven = Driven().start()
    for number in range(3):
        driven.publish(number)
    driven.turn()
    [sent] = driven.requests
    assert [message["data"] for message in sent.messages] == [0, 1, 2]


def test_by_polling_one_request_is_sent_after_the_other() -> None:
    """D-10: two could overtake each other."""
    driven = Driven().start()
    driven.publish(1)
    driven.turn()
    driven.publish(2)
    driven.turn()
    [first] = driven.requests
    driven.agree(first)
    [second] = driven.requests
    assert second.message["data"] == 2


def test_by_a_socket_nothing_waits() -> None:
    driven = Driven(WEBSOCKET).start()
    driven.publish(1)
    driven.turn()
    driven.publish(2)
    driven.turn()
    assert [sent.message["data"] for sent in driven.requests] == [1, 2]


def test_after_a_move_to_another_transport_the_order_is_kept() -> None:
    driven = Driven(WEBSOCKET, POLLING)
    driven.do_("start")
    driven.lose()
    driven.greet()
    driven.connect()
    driven.publish(1)
    driven.turn()
    driven.clock.advance(1)
    driven.opened()
    driven.publish(2)
    driven.turn()
    [first] = driven.requests
    driven.agree(first)
    [second] = driven.requests
    assert (second.transport, second.message["data"]) == (WEBSOCKET, 2)


def test_a_refused_publish_says_what_the_server_said() -> None:
    driven = Driven().start()
    request = driven.publish()
    driven.turn()
    driven.answer(driven.requests[0], refusal("/a", "403:/a:Publish denied"))
    error = driven.settled[request]
    assert isinstance(error, PublishRefused)
    assert (error.code, error.arguments, error.text, error.channel) == (403, ("/a",), "Publish denied", "/a")


def test_messages_are_sent_before_the_first_connect_is_answered() -> None:
    """P-12, S-11."""
    driven = Driven()
    driven.publish()
    driven.do_("start")
    driven.greet()
    driven.turn()
    assert driven.connects and driven.requests


def test_messages_wait_for_a_session() -> None:
    driven = Driven()
    driven.do_("start")
    driven.publish()
    driven.turn()
    assert driven.requests == []
    assert driven.machine.outbox_size == 1


def test_messages_wait_while_the_connection_is_lost() -> None:
    driven = Driven().start()
    driven.fail(driven.last(CONNECT))
    driven.publish()
    driven.turn()
    assert driven.requests == []
    driven.clock.advance(1)
    driven.connect()
    driven.turn()
    assert driven.requests


def test_only_so_many_messages_may_wait() -> None:
    driven = Driven(settings={"max_outbox": 3}).start()
    driven.publish()
    driven.turn()
    requests = [driven.publish() for _ in range(3)]
    assert isinstance(driven.settled[requests[2]], OutboxFull)
    assert len(driven.settled) == 1
    driven.agree(driven.requests[0])
    assert not isinstance(driven.settled.get(driven.publish()), OutboxFull)


@pytest.mark.parametrize("reason", [LOST, NoAnswer("late"), BadStatus(502, POLLING)])
def test_a_message_whose_connection_is_lost_is_not_sent_again(reason: Any) -> None:
    """N-8."""
    driven = Driven().start()
    request = driven.publish()
    driven.turn()
    driven.fail(driven.requests[0], reason)
    error = driven.settled[request]
    assert isinstance(error, Uncertain)
    assert error.__cause__ is reason
    driven.clock.advance(5)
    assert driven.requests == []


def test_one_that_is_to_be_sent_again_is_after_a_pause() -> None:
    driven = Driven().start()
    request = driven.publish(1, resend=True)
    driven.publish(2, resend=True)
    driven.turn()
    driven.publish(3)
    driven.turn()
    driven.fail(driven.requests[0])
    driven.turn()
    assert driven.requests == [] and not driven.settled
    driven.clock.advance(1)
    [sent] = driven.requests
    assert [message["data"] for message in sent.messages] == [1, 2, 3]
    driven.agree(sent)
    assert driven.settled[request]["successful"]


def test_the_pause_begins_anew_after_an_answer() -> None:
    driven = Driven().start()
    driven.publish(resend=True)
    driven.turn()
    for _ in range(3):
        driven.fail(driven.requests[0])
        driven.clock.advance(1)
        driven.agree(driven.requests[0])
        driven.publish(resend=True)
        driven.turn()


def test_what_waits_is_sent_as_soon_as_the_socket_is_open_again() -> None:
    driven = Driven(WEBSOCKET).start()
    driven.connect(advice={"reconnect": "retry", "interval": 1000, "timeout": 30_000})
    driven.lose()
    driven.publish()
    driven.clock.advance(1)
    assert driven.requests == []
    driven.opened()
    assert driven.requests[0].channels == ["/a"]


def test_one_that_has_certainly_not_arrived_is_sent_again_unasked() -> None:
    driven = Driven().start()
    driven.publish()
    driven.turn()
    driven.fail(driven.requests[0], ConnectionFailed("refused", sent=False))
    assert not driven.settled
    driven.clock.advance(1)
    assert driven.requests


def test_one_that_was_turned_away_is_told_so() -> None:
    """E-4: an envelope that is too large, for instance."""
    driven = Driven().start()
    request = driven.publish()
    driven.turn()
    error = BadStatus(413, POLLING)
    driven.fail(driven.requests[0], error)
    assert driven.settled[request] is error


def test_a_reply_that_is_missing_makes_its_message_uncertain() -> None:
    driven = Driven().start()
    first, second = driven.publish(1), driven.publish(2)
    driven.turn()
    sent = driven.requests[0]
    driven.answer(sent, {"channel": "/a", "id": sent.messages[0]["id"], "successful": True})
    assert driven.settled[first]["successful"]
    assert isinstance(driven.settled[second], Uncertain)


def test_on_a_socket_a_message_that_is_never_answered_takes_the_socket_with_it() -> None:
    """M-34."""
    driven = Driven(WEBSOCKET, settings={"network_delay": 5}).start()
    request = driven.publish()
    driven.turn()
    driven.clock.advance(5)
    assert driven.closed == [WEBSOCKET]
    assert isinstance(driven.settled[request], Uncertain)
    assert driven.state is State.RECONNECTING


def test_a_message_that_met_an_unknown_session_goes_to_the_next_one() -> None:
    """E-13: the server has certainly not taken it."""
    driven = Driven().start()
    requests = [driven.publish(number) for number in range(3)]
    driven.turn()
    sent = driven.requests[0]
    driven.answer(sent, *({**refusal("/a", UNKNOWN), "id": message["id"]} for message in sent.messages))
    assert driven.state is State.HANDSHAKING
    driven.publish(3)
    driven.clock.advance(1)
    driven.greet("C2")
    driven.turn()
    [again] = driven.requests
    assert [message["data"] for message in again.messages] == [0, 1, 2, 3]
    assert {message["clientId"] for message in again.messages} == {"C2"}
    driven.answer(again, *({**refusal("/a", UNKNOWN), "id": message["id"]} for message in again.messages))
    assert isinstance(driven.settled[requests[0]], PublishRefused)  # only once


def test_part_of_an_answer_may_turn_messages_away_before_the_connection_is_lost() -> None:
    driven = Driven(WEBSOCKET).start()
    driven.publish(1)
    driven.publish(2, resend=True)
    driven.turn()
    sent = driven.requests[0]
    driven.hear({**refusal("/a", UNKNOWN), "id": sent.messages[0]["id"]}, by=WEBSOCKET)
    driven.lose()
    driven.clock.advance(1)
    driven.opened()
    driven.greet("C2")
    driven.clock.advance(1)
    [again] = driven.requests
    assert [message["data"] for message in again.messages] == [1, 2]


def test_an_unknown_session_that_is_no_longer_ours_is_not_forgotten_twice() -> None:
    driven = Driven(WEBSOCKET).start()
    driven.publish()
    driven.turn()
    sent = driven.requests[0]
    driven.answer(driven.last(CONNECT), refusal(CONNECT, UNKNOWN))
    driven.greet("C2")
    driven.answer(sent, refusal("/a", UNKNOWN))
    assert driven.machine.session == "C2"
    driven.turn()
    assert driven.last("/a").message["clientId"] == "C2"


def test_a_server_that_forgets_whatever_it_is_told_is_not_pressed() -> None:
    driven = Driven().start()
    driven.do_("want", "/a")
    driven.turn()
    pauses = []
    for _ in range(4):
        driven.answer(driven.last(SUBSCRIBE), refusal(SUBSCRIBE, UNKNOWN))
        before = driven.clock.seconds()
        while not driven.has("/meta/handshake"):
            driven.clock.advance(0.5)
        pauses.append(driven.clock.seconds() - before)
        driven.greet()
        driven.connect()
        driven.turn()
    assert pauses == [1, 2, 4, 8]


def test_a_message_can_be_taken_back_before_it_is_sent() -> None:
    driven = Driven().start()
    request = driven.publish(1)
    driven.publish(2)
    driven.do_("take_back", request)
    driven.turn()
    assert driven.requests[0].message["data"] == 2


def test_a_group_is_one_envelope_in_its_order() -> None:
    driven = Driven().start()
    driven.publish(0)
    with driven.machine.group():
        driven.publish(1)
        driven.do_("want", "/b")
        driven.publish(2)
        driven.turn()
        assert driven.requests[0].message["data"] == 0
    driven.run()
    driven.agree(driven.requests[0])
    driven.turn()
    [sent] = driven.requests
    assert sent.channels == ["/a", SUBSCRIBE, "/a"]


def test_a_message_without_an_id_in_its_reply_is_matched_by_its_channel() -> None:
    """Not all servers repeat it."""
    driven = Driven().start()
    request = driven.publish()
    driven.turn()
    sent = driven.requests[0]
    driven.sent.remove(sent)
    driven.hear({"channel": "/b", "successful": True}, {"channel": "/a", "successful": True})
    assert driven.settled[request]["successful"]


# -- signing ------------------------------------------------------------------------------------

def test_a_publish_is_signed_when_it_is_sent() -> None:
    """21.2."""
    signed = []

    def sign(channel: str, data: Any) -> dict[str, Any]:
        signed.append((channel, data))
        return {"channel": channel, "data": f"signed {data}", "ext": {"hmac": len(signed)}}

    driven = Driven(sign=sign)
    driven.publish(7, resend=True)
    assert signed == []
    driven.start()
    driven.turn()
    message = driven.requests[0].message
    assert (message["data"], message["ext"]) == ("signed 7", {"hmac": 1})
    driven.fail(driven.requests[0])
    driven.clock.advance(1)
    assert driven.requests[0].message["ext"] == {"hmac": 1}  # Y-9: the same copy
    assert signed == [("/a", 7)]


def test_subscriptions_are_not_signed() -> None:
    driven = Driven(sign=lambda channel, data: 1 / 0).start()
    driven.do_("want", "/a")
    driven.turn()
    assert driven.has(SUBSCRIBE)


def test_what_cannot_be_signed_fails_alone() -> None:
    def sign(channel: str, data: Any) -> dict[str, Any]:
        if data == 1:
            raise ValueError("no")
        return {"data": object() if data == 3 else data, "ext": {}}

    driven = Driven(sign=sign).start()
    bad, _, worse = (driven.publish(number) for number in (1, 2, 3))
    driven.turn()
    assert isinstance(driven.settled[bad], ValueError)
    assert isinstance(driven.settled[worse], TypeError)
    assert driven.requests[0].message["data"] == 2


def test_if_nothing_can_be_signed_nothing_is_sent() -> None:
    driven = Driven(sign=lambda channel, data: 1 / 0).start()
    driven.publish()
    driven.turn()
    assert driven.requests == []


# -- subscriptions ------------------------------------------------------------------------------

def test_a_subscription_is_asked_for_and_granted() -> None:
    """S-1, S-2."""
    driven = Driven().start()
    driven.do_("want", "/a/*")
    driven.turn()
    sent = driven.last(SUBSCRIBE)
    assert sent.message == {"channel": SUBSCRIBE, "clientId": "C1", "subscription": "/a/*", "id": "4"}
    driven.agree(sent)
    assert driven.topics == [("subscribed", "/a/*")]


def test_one_that_is_had_already_is_not_asked_for() -> None:
    driven = Driven().start()
    driven.do_("want", "/a")
    driven.turn()
    driven.agree(driven.last(SUBSCRIBE))
    driven.do_("want", "/a")
    driven.turn()
    assert driven.requests == []
    assert driven.topics == [("subscribed", "/a")] * 2


def test_a_refused_subscription_is_over() -> None:
    driven = Driven().start()
    driven.do_("want", "/a")
    driven.turn()
    driven.answer(driven.last(SUBSCRIBE), refusal(SUBSCRIBE, "403:/a:Subscription denied"))
    [error] = driven.refused
    assert isinstance(error, SubscribeRefused)
    assert (error.code, error.channel) == (403, "/a")
    driven.answer(driven.last(CONNECT), refusal(CONNECT, UNKNOWN))
    driven.greet("C2")
    driven.turn()
    assert driven.requests == []


@pytest.mark.parametrize("error", ["429::Too many requests", "503::Server too busy"])
def test_one_that_is_refused_for_now_is_asked_for_again(error: str) -> None:
    driven = Driven().start()
    driven.do_("want", "/a")
    driven.turn()
    driven.answer(driven.last(SUBSCRIBE), refusal(SUBSCRIBE, error))
    driven.turn()
    assert driven.requests == []
    driven.clock.advance(1)
    assert driven.has(SUBSCRIBE)


def test_one_whose_reply_is_lost_is_asked_for_again() -> None:
    """N-7, S-6."""
    driven = Driven().start()
    driven.do_("want", "/a")
    driven.do_("want", "/b")
    driven.turn()
    driven.fail(driven.last(SUBSCRIBE))
    driven.clock.advance(1)
    driven.clock.advance(1)
    [sent] = driven.requests
    assert [message["subscription"] for message in sent.messages] == ["/a", "/b"]


def test_a_new_session_is_asked_for_everything_before_anything_else() -> None:
    """H-15; who subscribed and then published hears it."""
    driven = Driven().start()
    for name in ("/a", "/b"):
        driven.do_("want", name)
    driven.turn()
    driven.agree(driven.last(SUBSCRIBE))
    driven.answer(driven.last(CONNECT), refusal(CONNECT, UNKNOWN))
    driven.publish()
    driven.greet("C2")
    driven.turn()
    [sent] = driven.requests
    assert sent.channels == [SUBSCRIBE, SUBSCRIBE, "/a"]
    assert {message["clientId"] for message in sent.messages} == {"C2"}


def test_what_was_asked_of_a_session_that_is_gone_is_void() -> None:
    driven = Driven(WEBSOCKET).start()
    driven.do_("want", "/a")
    driven.turn()
    old = driven.last(SUBSCRIBE)
    driven.answer(driven.last(CONNECT), refusal(CONNECT, UNKNOWN))
    driven.greet("C2")
    driven.turn()
    driven.agree(old)
    assert driven.topics == []
    driven.agree(driven.last(SUBSCRIBE))
    assert driven.topics == [("subscribed", "/a")]


def test_a_question_that_was_not_sent_to_the_old_session_is_not_asked_twice() -> None:
    driven = Driven().start()
    driven.publish()
    driven.turn()
    driven.do_("want", "/b")
    driven.turn()  # waits behind the request
    driven.answer(driven.last(CONNECT), refusal(CONNECT, UNKNOWN))
    driven.greet("C2")
    driven.agree(driven.last("/a"))
    driven.turn()
    [sent] = driven.requests
    assert sent.channels == [SUBSCRIBE]


def test_giving_up_a_subscription_tells_the_server() -> None:
    driven = Driven().start()
    driven.do_("want", "/a")
    driven.turn()
    driven.agree(driven.last(SUBSCRIBE))
    driven.do_("unwant", "/a")
    driven.turn()
    sent = driven.last(UNSUBSCRIBE)
    assert sent.message["subscription"] == "/a"
    driven.agree(sent)
    assert driven.topics[-1] == ("left", "/a")


def test_giving_up_what_is_being_asked_for_waits_for_the_answer() -> None:
    driven = Driven().start()
    driven.do_("want", "/a")
    driven.turn()
    driven.do_("unwant", "/a")
    driven.turn()
    driven.agree(driven.last(SUBSCRIBE))
    assert driven.last(UNSUBSCRIBE).message["subscription"] == "/a"


def test_wanting_what_is_being_given_up_asks_again() -> None:
    driven = Driven().start()
    driven.do_("want", "/a")
    driven.turn()
    driven.agree(driven.last(SUBSCRIBE))
    driven.do_("unwant", "/a")
    driven.turn()
    driven.do_("want", "/a")
    driven.turn()
    driven.agree(driven.last(UNSUBSCRIBE))
    driven.agree(driven.last(SUBSCRIBE))
    assert driven.topics[-1] == ("subscribed", "/a")


def test_a_server_that_refuses_to_unsubscribe_is_left_alone() -> None:
    """CometD does for channels that it does not know."""
    driven = Driven().start()
    driven.do_("want", "/a")
    driven.turn()
    driven.agree(driven.last(SUBSCRIBE))
    driven.do_("unwant", "/a")
    driven.turn()
    driven.answer(driven.last(UNSUBSCRIBE), refusal(UNSUBSCRIBE, "400::channel_missing"))
    driven.turn()
    assert driven.topics[-1] == ("left", "/a")
    assert driven.requests == []


def test_without_a_session_giving_up_needs_nobody() -> None:
    driven = Driven()
    driven.do_("want", "/a")
    driven.do_("unwant", "/a")
    assert driven.topics == [("left", "/a")]
    driven.start()
    driven.turn()
    assert driven.requests == []


def test_what_was_to_be_given_up_is_not_asked_of_the_next_session() -> None:
    driven = Driven().start()
    driven.do_("want", "/a")
    driven.turn()
    driven.agree(driven.last(SUBSCRIBE))
    driven.do_("unwant", "/a")
    driven.answer(driven.last(CONNECT), refusal(CONNECT, UNKNOWN))
    driven.greet("C2")
    driven.turn()
    assert driven.requests == []
    assert driven.topics[-1] == ("left", "/a")


def test_service_channels_need_no_talk() -> None:
    """C-14; Faye would refuse."""
    driven = Driven()
    driven.do_("want", "/service/a")
    driven.start()
    driven.do_("want", "/service/b")
    driven.do_("unwant", "/service/b")
    driven.turn()
    assert driven.requests == []
    assert driven.topics == [("subscribed", "/service/a"), ("subscribed", "/service/b"),
                             ("left", "/service/b")]


# -- the end ------------------------------------------------------------------------------------

def test_what_is_left_is_sent_before_the_farewell() -> None:
    """X-1."""
    driven = Driven().start()
    request = driven.publish()
    driven.do_("leave")
    [sent] = driven.requests
    assert sent.channels == ["/a", "/meta/disconnect"]
    assert driven.state is State.DISCONNECTING
    driven.agree(sent)
    assert driven.state is State.DISCONNECTED
    assert driven.changes[-1] == (State.DISCONNECTED, None)
    assert driven.settled[request]["successful"]
    assert not driven.timers and not driven.sent


def test_a_server_that_does_not_answer_the_farewell_is_not_waited_for_long() -> None:
    driven = Driven(settings={"leave_timeout": 2}).start()
    request = driven.publish()
    driven.do_("leave")
    driven.clock.advance(2)
    assert driven.state is State.DISCONNECTED
    assert isinstance(driven.settled[request], Uncertain)


def test_a_farewell_that_fails_is_the_end() -> None:
    driven = Driven().start()
    driven.do_("leave")
    driven.fail(driven.requests[0])
    assert driven.state is State.DISCONNECTED


def test_the_held_connect_that_ends_with_the_session_is_no_failure() -> None:
    """X-3."""
    driven = Driven().start()
    driven.do_("leave")
    driven.connect(advice={"reconnect": "none"})
    assert driven.state is State.DISCONNECTING
    driven.agree(driven.requests[0])
    assert driven.changes[-1] == (State.DISCONNECTED, None)


def test_a_connect_that_is_lost_while_leaving_is_not_tried_again() -> None:
    driven = Driven().start()
    driven.do_("leave")
    driven.fail(driven.last(CONNECT))
    assert driven.state is State.DISCONNECTING
    assert not driven.connects


def test_without_an_open_socket_the_farewell_goes_by_polling() -> None:
    driven = Driven(WEBSOCKET, POLLING).start()
    driven.lose()
    driven.do_("leave")
    assert driven.requests[0].transport == POLLING


def test_without_any_way_there_is_no_farewell() -> None:
    driven = Driven(WEBSOCKET).start()
    driven.lose()
    request = driven.publish()
    driven.do_("leave")
    assert driven.state is State.DISCONNECTED
    assert isinstance(driven.settled[request], Closed)


def test_a_socket_lost_during_the_farewell_is_the_end() -> None:
    driven = Driven(WEBSOCKET).start()
    driven.do_("leave")
    driven.lose()
    assert driven.state is State.DISCONNECTED


def test_without_a_session_leaving_is_the_end_at_once() -> None:
    for begin in (False, True):
        driven = Driven()
        if begin:
            driven.do_("start")
        driven.publish()
        driven.do_("leave")
        assert driven.state is State.DISCONNECTED
        assert [type(outcome) for outcome in driven.settled.values()] == [Closed]
        assert not driven.timers and not driven.sent


def test_leaving_twice_is_leaving() -> None:
    driven = Driven().start()
    driven.do_("leave")
    driven.do_("leave")
    assert len(driven.requests) == 1
    driven.agree(driven.requests[0])
    driven.do_("leave")
    assert driven.state is State.DISCONNECTED


def test_nothing_is_asked_for_again_while_leaving() -> None:
    driven = Driven().start()
    driven.do_("want", "/a")
    driven.turn()
    driven.answer(driven.last(SUBSCRIBE), refusal(SUBSCRIBE, "503::Busy"))
    driven.do_("leave")
    driven.clock.advance(1)
    driven.agree(driven.requests[0])
    assert not driven.sent


def test_messages_that_were_to_be_sent_again_are_not_left_out_of_the_farewell() -> None:
    driven = Driven().start()
    driven.publish(resend=True)
    driven.turn()
    driven.fail(driven.requests[0])
    driven.do_("leave")
    assert driven.requests[0].channels == ["/a", "/meta/disconnect"]
