"""How a client gets a session and keeps it (BAYEUX.md sections 6, 7, 12, 18)."""

from __future__ import annotations

from typing import Any

import pytest

from bayeux.client.errors import (
    BadStatus,
    ConnectionFailed,
    HandshakeRefused,
    NoAnswer,
    NoCommonTransport,
    SessionEnded,
    TooMuch,
)
from bayeux.client.states import State
from tests.machines import ADVICE, LOST, POLLING, WEBSOCKET, Driven, refusal

HANDSHAKE, CONNECT = "/meta/handshake", "/meta/connect"


def states(driven: Driven) -> list[State]:
    return [state for state, _ in driven.changes]


# -- the handshake ------------------------------------------------------------------------------

def test_a_handshake_says_what_it_must() -> None:
    """H-1."""
    driven = Driven(WEBSOCKET, POLLING)
    driven.do_("start")
    driven.opened()
    assert driven.last(HANDSHAKE).message == {
        "channel": HANDSHAKE, "id": "1", "version": "1.0", "minimumVersion": "1.0",
        "supportedConnectionTypes": [WEBSOCKET, POLLING], "ext": {"ack": True}}


def test_a_handshake_carries_the_ext_of_the_application() -> None:
    """H-14."""
    driven = Driven(ext={"token": "t"}, ack=False)
    driven.do_("start")
    assert driven.last(HANDSHAKE).message["ext"] == {"token": "t"}


def test_without_ext_there_is_none() -> None:
    driven = Driven(ack=False)
    driven.do_("start")
    assert "ext" not in driven.last(HANDSHAKE).message


def test_a_successful_handshake_is_followed_by_a_connect_that_is_not_held() -> None:
    """K-1; a held one would leave it open for long whether the transport works."""
    driven = Driven()
    driven.do_("start")
    driven.greet()
    assert driven.last(CONNECT).message == {
        "channel": CONNECT, "id": "2", "clientId": "C1", "connectionType": POLLING, "advice": {"timeout": 0}}
    assert states(driven) == [State.HANDSHAKING, State.CONNECTING]


def test_the_first_connect_answered_the_next_may_be_held() -> None:
    driven = Driven().start()
    assert driven.last(CONNECT).message == {
        "channel": CONNECT, "id": "3", "clientId": "C1", "connectionType": POLLING}
    assert driven.state is State.CONNECTED


def test_each_handshake_asks_the_application_anew() -> None:
    """Y-18: a token has to be fresh."""
    driven = Driven()
    driven.do_("start")
    driven.ext = {"token": "second"}
    driven.fail(driven.last(HANDSHAKE))
    driven.clock.advance(1)
    assert driven.asked == [1, 2]
    assert driven.last(HANDSHAKE).message["ext"]["token"] == "second"


def test_an_application_that_fails_is_asked_again_later() -> None:
    driven = Driven()
    driven.answers_asks = False
    driven.do_("start")
    error = OSError("no token to be had")
    driven.do_("cannot_greet", 1, error)
    assert driven.reported == [error]
    assert driven.machine.last_failure is error
    assert driven.asked == [1]
    driven.clock.advance(1)
    assert driven.asked == [1, 2]


def test_an_answer_of_the_application_that_comes_too_late_is_not_used() -> None:
    driven = Driven(WEBSOCKET)
    driven.answers_asks = False
    driven.do_("start")
    driven.opened()
    driven.lose()
    driven.clock.advance(1)
    driven.opened()
    driven.do_("greet", 1, {"old": True})
    driven.do_("cannot_greet", 1, OSError("old"))
    assert driven.sent == [] and driven.reported == []
    driven.do_("greet", 2, None)
    assert driven.has(HANDSHAKE)


def test_the_interval_that_a_handshake_advises_is_kept() -> None:
    """A-1."""
    driven = Driven()
    driven.do_("start")
    driven.greet(advice={**ADVICE, "interval": 700})
    assert not driven.has(CONNECT)
    driven.clock.advance(0.7)
    assert driven.has(CONNECT)


@pytest.mark.parametrize("reply", [
    {"clientId": None}, {"clientId": ""}, {"clientId": 7}, {"successful": "yes"}, {"successful": 1},
])
def test_a_handshake_reply_without_a_usable_client_id_is_a_refusal(reply: dict[str, Any]) -> None:
    driven = Driven()
    driven.do_("start")
    driven.greet(**reply)
    assert driven.machine.session is None
    [refused] = driven.reported
    assert isinstance(refused, HandshakeRefused)
    driven.clock.advance(1)
    assert driven.has(HANDSHAKE)


@pytest.mark.parametrize("advice", [{"advice": {"reconnect": "none"}}, {}, {"advice": {"reconnect": "retry",
                                                                                          "interval": -1}}])
def test_a_refused_handshake_ends_the_client_unless_another_try_is_advised(advice: dict[str, Any]) -> None:
    """H-12, H-13."""
    driven = Driven()
    driven.do_("start")
    driven.answer(driven.last(HANDSHAKE), refusal(HANDSHAKE, "403::Handshake denied", **advice))
    state, reason = driven.changes[-1]
    assert state is State.DISCONNECTED
    assert isinstance(reason, HandshakeRefused)
    assert (reason.code, reason.text) == (403, "Handshake denied")


def test_a_refused_handshake_is_tried_again_if_that_is_advised_but_not_for_ever() -> None:
    """H-13; Faye advises it whatever the reason."""
    driven = Driven(settings={"max_refusals": 2})
    driven.do_("start")
    refused = refusal(HANDSHAKE, "401::Token expired", advice={"reconnect": "handshake", "interval": 3000})
    for _ in range(2):
        driven.answer(driven.last(HANDSHAKE), refused)
        assert not driven.has(HANDSHAKE)
        driven.clock.advance(2.9)
        assert not driven.has(HANDSHAKE)
        driven.clock.advance(0.1)
    driven.answer(driven.last(HANDSHAKE), refused)
    assert driven.state is State.DISCONNECTED
    assert len(driven.reported) == 2


@pytest.mark.parametrize("error", ["503::Server too busy", "429::Too many requests", "500::Oops"])
def test_a_server_that_is_busy_is_asked_again_and_again(error: str) -> None:
    """E-25 to E-27."""
    driven = Driven(settings={"max_refusals": 1})
    driven.do_("start")
    for _ in range(5):
        driven.answer(driven.last(HANDSHAKE), refusal(HANDSHAKE, error))
        driven.clock.advance(30)
    assert driven.has(HANDSHAKE)


def test_refusals_are_counted_anew_after_a_success() -> None:
    driven = Driven(settings={"max_refusals": 1})
    driven.do_("start")
    refused = refusal(HANDSHAKE, "401::Token expired", advice={"reconnect": "handshake", "interval": 1000})
    for _ in range(2):
        driven.answer(driven.last(HANDSHAKE), refused)
        driven.clock.advance(30)
        driven.greet()
        driven.answer(driven.last(CONNECT), refusal(CONNECT, "402::Unknown client ID"))
        driven.clock.advance(30)
    assert driven.state is State.HANDSHAKING


def test_a_refused_handshake_is_never_repeated_at_once() -> None:
    """H-13: 148 handshakes in two seconds were seen of another client."""
    driven = Driven(random=lambda: 0.0)
    driven.do_("start")
    refused = refusal(HANDSHAKE, "403::No", advice={"reconnect": "handshake", "interval": 0})
    for pause in (0.5, 1.0, 2.0, 4.0):
        driven.answer(driven.last(HANDSHAKE), refused)
        driven.clock.advance(pause - 0.01)
        assert not driven.has(HANDSHAKE)
        driven.clock.advance(0.01)
        assert driven.has(HANDSHAKE)


# -- transports ---------------------------------------------------------------------------------

def test_a_transport_that_cannot_be_opened_makes_way_for_the_next_at_once() -> None:
    driven = Driven(WEBSOCKET, POLLING)
    driven.do_("start")
    driven.lose(reason=BadStatus(400, WEBSOCKET))
    assert driven.last(HANDSHAKE).transport == POLLING


def test_a_transport_that_does_not_open_in_time_makes_way_too() -> None:
    driven = Driven(WEBSOCKET, POLLING, settings={"open_timeout": 3})
    driven.do_("start")
    driven.clock.advance(2.9)
    assert not driven.has(HANDSHAKE)
    driven.clock.advance(0.1)
    assert driven.closed == [WEBSOCKET]
    assert driven.last(HANDSHAKE).transport == POLLING


def test_a_transport_by_which_no_answer_comes_makes_way_too() -> None:
    driven = Driven(WEBSOCKET, POLLING, settings={"network_delay": 4})
    driven.do_("start")
    driven.opened()
    driven.clock.advance(4)
    assert driven.closed == [WEBSOCKET]
    assert driven.last(HANDSHAKE).transport == POLLING


def test_when_all_have_failed_there_is_a_pause_that_doubles() -> None:
    driven = Driven(POLLING, settings={"first_backoff": 2, "max_backoff": 5})
    driven.do_("start")
    for pause in (2, 4, 5, 5):
        driven.fail(driven.last(HANDSHAKE))
        driven.clock.advance(pause - 0.01)
        assert not driven.has(HANDSHAKE)
        driven.clock.advance(0.01)
    assert driven.machine._metrics.failures == {"ConnectionFailed": 4}


def test_after_the_pause_the_best_transport_is_tried_first_again() -> None:
    driven = Driven(WEBSOCKET, POLLING)
    driven.do_("start")
    driven.lose()
    driven.fail(driven.last(HANDSHAKE))
    driven.clock.advance(1)
    assert driven.opening == [WEBSOCKET]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410])
def test_a_wrong_address_ends_a_client_that_has_never_had_a_session(status: int) -> None:
    driven = Driven(WEBSOCKET, POLLING)
    driven.do_("start")
    driven.lose(reason=BadStatus(status, WEBSOCKET))
    error = BadStatus(status, POLLING)
    driven.fail(driven.last(HANDSHAKE), error)
    assert driven.changes[-1] == (State.DISCONNECTED, error)


@pytest.mark.parametrize("reasons", [
    (BadStatus(404, WEBSOCKET), BadStatus(502, POLLING)), (LOST, BadStatus(404, POLLING)),
    (BadStatus(404, WEBSOCKET), BadStatus(429, POLLING)),
])
def test_what_may_pass_is_tried_again(reasons: tuple[Any, Any]) -> None:
    driven = Driven(WEBSOCKET, POLLING)
    driven.do_("start")
    driven.lose(reason=reasons[0])
    driven.fail(driven.last(HANDSHAKE), reasons[1])
    assert driven.state is State.HANDSHAKING


def test_an_address_that_was_right_once_is_tried_again() -> None:
    """A server that is being replaced may answer 404 for a while."""
    driven = Driven().start()
    driven.answer(driven.last(CONNECT), refusal(CONNECT, "402::Unknown client ID"))
    driven.fail(driven.last(HANDSHAKE), BadStatus(404, POLLING))
    driven.clock.advance(1)
    assert driven.has(HANDSHAKE)


def test_a_server_that_offers_none_of_our_transports_is_given_up() -> None:
    """H-4."""
    driven = Driven()
    driven.do_("start")
    driven.greet(supportedConnectionTypes=["callback-polling"])
    state, reason = driven.changes[-1]
    assert state is State.DISCONNECTED
    assert isinstance(reason, NoCommonTransport)
    assert "callback-polling" in str(reason) and POLLING in str(reason)


@pytest.mark.parametrize("offered", [None, "long-polling", {}])
def test_a_server_that_does_not_say_what_it_offers_offers_what_it_answers_by(offered: object) -> None:
    driven = Driven(WEBSOCKET, POLLING)
    driven.do_("start")
    driven.lose()
    driven.greet(supportedConnectionTypes=offered)
    driven.connect()
    assert not driven.timers.keys() & {("upgrade", "retry")}


def test_what_the_server_does_not_offer_is_not_used_even_if_it_answered_there() -> None:
    driven = Driven(WEBSOCKET, POLLING)
    driven.do_("start")
    driven.opened()
    driven.greet(supportedConnectionTypes=[POLLING])
    assert driven.last(CONNECT).message["connectionType"] == POLLING


# -- connects -----------------------------------------------------------------------------------

def test_the_interval_is_kept_between_connects() -> None:
    """A-1, B-4."""
    driven = Driven().start()
    driven.connect(advice={**ADVICE, "interval": 2000, "multiple-clients": True})
    assert driven.machine.advice.multiple_clients
    driven.clock.advance(1.9)
    assert not driven.connects
    driven.clock.advance(0.1)
    assert driven.connects


def test_a_reply_without_advice_changes_nothing() -> None:
    driven = Driven().start()
    driven.connect(advice={**ADVICE, "interval": 500})
    driven.clock.advance(0.5)
    driven.connect()
    assert driven.machine.advice.interval == 0.5


def test_a_held_connect_may_take_as_long_as_advised_and_the_network_needs() -> None:
    driven = Driven(settings={"network_delay": 10}).start()
    driven.clock.advance(39.9)
    assert driven.state is State.CONNECTED
    driven.clock.advance(0.1)
    assert driven.changes[-1][0] is State.RECONNECTING
    assert isinstance(driven.changes[-1][1], NoAnswer)


def test_a_lost_connect_is_tried_again_for_the_same_session_and_not_held() -> None:
    """N-1."""
    driven = Driven().start()
    driven.fail(driven.last(CONNECT))
    assert driven.state is State.RECONNECTING
    assert not driven.connects
    driven.clock.advance(1)
    assert driven.last(CONNECT).message["clientId"] == "C1"
    assert driven.last(CONNECT).message["advice"] == {"timeout": 0}
    driven.connect()
    assert driven.state is State.CONNECTED
    assert driven.machine._metrics.losses == 1


def test_the_pause_begins_anew_after_a_success() -> None:
    driven = Driven().start()
    for _ in range(3):
        driven.fail(driven.last(CONNECT))
        driven.clock.advance(1)
        driven.connect()
    assert driven.state is State.CONNECTED


def test_a_server_that_holds_every_connect_is_given_the_time() -> None:
    """Faye and cometd-nodejs-server hold the first one (section 26)."""
    driven = Driven(settings={"network_delay": 10})
    driven.do_("start")
    driven.greet()
    driven.clock.advance(10)
    assert driven.state is State.RECONNECTING
    driven.clock.advance(1)
    driven.clock.advance(39)
    assert driven.connects
    driven.connect()
    assert driven.state is State.CONNECTED


def test_a_superseded_connect_is_no_failure() -> None:
    """K-12: the server holds a newer one of ours."""
    driven = Driven().start()
    driven.fail(driven.last(CONNECT), BadStatus(409, POLLING))
    assert driven.state is State.CONNECTED
    assert not driven.connects
    driven.clock.advance(1)
    assert driven.connects


def test_a_session_that_is_unknown_is_replaced_at_once() -> None:
    """K-4."""
    driven = Driven().start()
    driven.answer(driven.last(CONNECT), refusal(CONNECT, "402:C1:Unknown client ID",
                                                advice={"reconnect": "handshake", "interval": 0}))
    assert driven.state is State.HANDSHAKING
    assert driven.machine.session is None
    driven.greet("C2")
    assert driven.last(CONNECT).message["clientId"] == "C2"


@pytest.mark.parametrize("error", ["402::session_unknown", "401:C1:Unknown client", "403::Unknown client"])
def test_an_unknown_session_is_replaced_even_if_that_is_not_advised(error: str) -> None:
    """E-13; cometd.js would connect for ever (section 26)."""
    driven = Driven().start()
    driven.answer(driven.last(CONNECT), refusal(CONNECT, error))
    assert driven.state is State.HANDSHAKING


def test_the_interval_is_kept_before_a_new_handshake() -> None:
    """Q-10: servers that stop spread their clients by it."""
    driven = Driven().start()
    driven.answer(driven.last(CONNECT), refusal(CONNECT, "503::Server too busy",
                                                advice={"reconnect": "handshake", "interval": 4000}))
    driven.clock.advance(3.9)
    assert not driven.has(HANDSHAKE)
    driven.clock.advance(0.1)
    assert driven.has(HANDSHAKE)


def test_a_server_that_refuses_sessions_that_it_has_just_given_is_not_pressed() -> None:
    driven = Driven()
    driven.do_("start")
    for pause in (1, 2, 4):
        driven.greet()
        driven.answer(driven.last(CONNECT), refusal(CONNECT, "402::Unknown client ID",
                                                    advice={"reconnect": "handshake", "interval": 0}))
        driven.clock.advance(pause - 0.01)
        assert not driven.has(HANDSHAKE)
        driven.clock.advance(0.01)


def test_a_connect_that_fails_for_now_is_tried_again() -> None:
    """K-19."""
    driven = Driven().start()
    driven.answer(driven.last(CONNECT), refusal(CONNECT, "503::Busy", advice={**ADVICE, "interval": 5000}))
    assert driven.state is State.RECONNECTING
    driven.clock.advance(4.9)
    assert not driven.connects
    driven.clock.advance(0.1)
    assert driven.connects


@pytest.mark.parametrize("reply", [
    {"successful": True, "advice": {"reconnect": "none"}},
    {"successful": False, "error": "401::Revoked", "advice": {"reconnect": "none"}},
    {"successful": False, "error": "401::Revoked", "advice": {"reconnect": "retry", "interval": -1}},
])
def test_none_ends_it(reply: dict[str, Any]) -> None:
    """A-1, X-6, A-7."""
    driven = Driven().start()
    driven.answer(driven.last(CONNECT), {"channel": CONNECT, **reply})
    state, reason = driven.changes[-1]
    assert state is State.DISCONNECTED
    assert isinstance(reason, SessionEnded)
    assert not driven.timers and not driven.sent


def test_a_successful_connect_that_advises_a_handshake_is_obeyed() -> None:
    driven = Driven().start()
    driven.connect(advice={"reconnect": "handshake"})
    driven.clock.advance(1)
    assert driven.has(HANDSHAKE)


def test_an_answer_that_is_too_large_costs_the_session_because_it_would_come_again() -> None:
    driven = Driven().start()
    error = TooMuch("much")
    driven.fail(driven.last(CONNECT), error)
    assert driven.state is State.HANDSHAKING
    assert driven.reported == [error]


def test_a_reply_to_an_older_connect_is_nothing_to_go_by() -> None:
    driven = Driven().start()
    old = driven.last(CONNECT)
    driven.fail(old)
    driven.clock.advance(1)
    driven.hear({"channel": CONNECT, "id": old.message["id"], "successful": True,
                 "advice": {"reconnect": "none"}})
    assert driven.state is State.RECONNECTING
    driven.hear({"channel": HANDSHAKE, "id": "1", "successful": True, "clientId": "evil"})
    assert driven.machine.session == "C1"


# -- changing transports ------------------------------------------------------------------------

def by_websocket() -> Driven:
    driven = Driven(WEBSOCKET, POLLING).start()
    assert driven.last(CONNECT).transport == WEBSOCKET
    return driven


def test_a_lost_socket_is_opened_again_after_a_pause() -> None:
    driven = by_websocket()
    driven.lose()
    assert (driven.state, driven.opening) == (State.RECONNECTING, [])
    driven.clock.advance(1)
    assert driven.opening == [WEBSOCKET]
    driven.opened()
    assert driven.last(CONNECT).message["clientId"] == "C1"


def test_if_it_does_not_open_again_polling_goes_on_with_the_session() -> None:
    """H-16, W-16."""
    driven = by_websocket()
    driven.lose()
    driven.clock.advance(1)
    driven.lose()
    connect = driven.last(CONNECT)
    assert (connect.transport, connect.message["connectionType"]) == (POLLING, POLLING)
    assert connect.message["clientId"] == "C1"
    driven.connect()
    assert driven.state is State.CONNECTED


def polling_for_now(**options: Any) -> Driven:
    """Connected by polling, as the socket has failed."""
    driven = Driven(WEBSOCKET, POLLING, **options)
    driven.do_("start")
    driven.lose()
    driven.greet()
    driven.connect()
    return driven


def test_a_better_transport_is_tried_beside_the_one_that_works() -> None:
    driven = polling_for_now()
    assert driven.opening == []
    driven.clock.advance(1)
    assert driven.opening == [WEBSOCKET]
    assert driven.last(CONNECT).transport == POLLING
    driven.opened()
    connect = driven.last(CONNECT)
    assert (connect.transport, connect.message["advice"]) == (WEBSOCKET, {"timeout": 0})
    driven.connect()
    assert driven.state is State.CONNECTED
    assert driven.last(CONNECT).transport == WEBSOCKET
    assert State.RECONNECTING not in states(driven)


def test_after_a_move_what_the_held_connect_still_brings_is_welcome() -> None:
    """Without acknowledgement these events come only once."""
    driven = polling_for_now()
    old = driven.last(CONNECT)
    driven.clock.advance(1)
    driven.opened()
    assert old in driven.sent
    driven.answer(old, {"channel": "/a", "data": 1}, {"channel": CONNECT, "successful": True,
                                                      "advice": {"reconnect": "none"}})
    assert driven.events == [("/a", 1)]
    assert driven.state is State.CONNECTED


def test_a_move_with_acknowledgement_gives_the_held_connect_up() -> None:
    driven = Driven(WEBSOCKET, POLLING)
    driven.do_("start")
    driven.lose()
    driven.greet(ext={"ack": True})
    driven.connect()
    old = driven.last(CONNECT)
    driven.clock.advance(1)
    driven.opened()
    assert driven.aborted == [old.number]


def test_a_move_within_the_interval_waits_for_its_end() -> None:
    driven = polling_for_now()
    driven.connect(advice={**ADVICE, "interval": 3000})
    driven.clock.advance(1)
    driven.opened()
    assert not driven.connects
    driven.clock.advance(2)
    assert driven.last(CONNECT).transport == WEBSOCKET


def test_a_session_that_is_not_accepted_by_the_other_transport_goes_on_by_the_first() -> None:
    """B-2: cookies may differ."""
    driven = polling_for_now()
    driven.clock.advance(1)
    driven.opened()
    driven.answer(driven.last(CONNECT), refusal(CONNECT, "402::Unknown client ID",
                                                advice={"reconnect": "handshake"}))
    assert driven.closed == [WEBSOCKET]
    assert driven.last(CONNECT).transport == POLLING
    assert driven.machine.session == "C1"
    driven.connect()
    assert driven.state is State.CONNECTED


def test_tries_for_a_better_transport_grow_rare() -> None:
    driven = polling_for_now()
    for pause in (1, 2, 4, 8):
        driven.clock.advance(pause - 0.01)
        assert driven.opening == []
        driven.clock.advance(0.01)
        driven.lose()
    assert State.RECONNECTING not in states(driven)
    assert len(driven.connects) == 1


def test_a_better_transport_that_fails_after_the_move_makes_way_again() -> None:
    driven = polling_for_now()
    driven.clock.advance(1)
    driven.opened()
    driven.lose()
    assert driven.last(CONNECT).transport == POLLING
    driven.connect()
    assert driven.state is State.CONNECTED


def test_polling_can_be_the_better_transport() -> None:
    driven = Driven(POLLING, WEBSOCKET)
    driven.do_("start")
    driven.fail(driven.last(HANDSHAKE))
    driven.opened()
    driven.greet()
    driven.connect()
    assert driven.last(CONNECT).transport == WEBSOCKET
    driven.clock.advance(1)
    assert driven.last(CONNECT).transport == POLLING


def test_a_socket_that_opens_when_nobody_waits_for_it_does_no_harm() -> None:
    driven = polling_for_now()
    driven.clock.advance(1)
    driven.fail(driven.last(CONNECT))
    assert driven.state is State.RECONNECTING
    driven.opened()
    driven.clock.advance(1)
    driven.connect()
    assert driven.state is State.CONNECTED


def test_the_socket_of_a_session_that_is_gone_serves_the_next() -> None:
    """W-6."""
    driven = by_websocket()
    driven.answer(driven.last(CONNECT), refusal(CONNECT, "402::Unknown client ID"))
    assert driven.last(HANDSHAKE).transport == WEBSOCKET
    assert driven.closed == []


def test_a_socket_lost_within_the_interval_is_opened_for_the_next_connect() -> None:
    driven = by_websocket()
    driven.connect(advice={**ADVICE, "interval": 1000})
    driven.lose()
    driven.clock.advance(1)
    assert driven.opening == [WEBSOCKET]


def test_a_failure_that_says_nothing_was_sent_is_told() -> None:
    assert ConnectionFailed("x", sent=False).is_certain and not LOST.is_certain


def test_a_session_that_has_lived_through_a_hold_makes_up_for_those_that_were_forgotten() -> None:
    driven = Driven().start()

    def forget() -> float:
        driven.do_("want", "/a")
        driven.turn()
        driven.answer(driven.last("/meta/subscribe"), refusal("/meta/subscribe", "402::Unknown client ID"))
        before = driven.clock.seconds()
        while not driven.has(HANDSHAKE):
            driven.clock.advance(0.5)
        driven.greet()
        driven.connect()
        driven.turn()
        return driven.clock.seconds() - before

    assert [forget(), forget()] == [1, 2]
    driven.connect()  # the one that was held
    assert forget() == 1


def test_a_better_transport_that_has_proved_itself_is_tried_soon_again() -> None:
    driven = polling_for_now()
    for pause in (1, 2):
        driven.clock.advance(pause)
        driven.lose()
    driven.clock.advance(4)
    driven.opened()
    driven.connect()
    driven.connect()  # the one that was held
    driven.lose()
    driven.clock.advance(1)
    driven.lose()  # the second try fails, and polling goes on
    driven.connect()
    assert driven.opening == []
    driven.clock.advance(1)
    assert driven.opening == [WEBSOCKET]


def test_a_held_connect_of_a_session_that_is_gone_is_not_waited_for() -> None:
    driven = polling_for_now()
    old = driven.last(CONNECT)
    driven.clock.advance(1)
    driven.opened()
    driven.connect()
    driven.answer(driven.last(CONNECT), refusal(CONNECT, "402::Unknown client ID"))
    assert driven.aborted == [old.number]
