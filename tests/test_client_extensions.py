"""The extensions of a client (BAYEUX.md section 19), replay and acknowledgement among them."""

from __future__ import annotations

from typing import Any

import pytest

from bayeux.client.acks import Acks
from bayeux.client.extensions import ClientExtension, ClientExtensions, add
from bayeux.client.replay import ALL_EVENTS, NEW_EVENTS, Replay, replay_id

HANDSHAKE, SUBSCRIBE = "/meta/handshake", "/meta/subscribe"


class Named(ClientExtension):
    def __init__(self, name: str, log: list[str], verdict: bool | None = None) -> None:
        self.name = name
        self.log = log
        self.verdict = verdict

    def outgoing(self, message: dict[str, Any]) -> None:
        self.log.append(self.name)

    def incoming(self, message: dict[str, Any]) -> bool | None:
        self.log.append(self.name)
        return self.verdict


def test_on_the_way_in_they_come_in_reverse() -> None:
    """XG-3."""
    log: list[str] = []
    both = ClientExtensions([Named("a", log), Named("b", log)], print)
    both.outgoing({})
    both.incoming({})
    assert log == ["a", "b", "b", "a"]


@pytest.mark.parametrize(("verdicts", "wanted"), [
    ((None, None), True), ((True, None), True), ((False, None), False), ((None, False), False),
])
def test_any_may_keep_an_event_back(verdicts: tuple[bool | None, bool | None], wanted: bool) -> None:
    log: list[str] = []
    both = ClientExtensions([Named("a", log, verdicts[0]), Named("b", log, verdicts[1])], print)
    assert both.incoming({}) is wanted
    assert len(log) == 2


def test_the_base_does_nothing() -> None:
    extensions = ClientExtensions([ClientExtension()], print)
    message = {"channel": "/a"}
    extensions.outgoing(message)
    assert extensions.incoming(message)
    assert message == {"channel": "/a"}


@pytest.mark.parametrize(("before", "after"), [
    ({}, {"a": 1}), ({"ext": {"b": 2}}, {"b": 2, "a": 1}), ({"ext": 7}, {"a": 1}), ({"ext": {"a": 0}},
                                                                                    {"a": 1}),
])
def test_adding_leaves_the_others_alone(before: dict[str, Any], after: dict[str, Any]) -> None:
    """XG-2."""
    others = before.get("ext")
    was = dict(others) if isinstance(others, dict) else others
    add(before, "a", 1)
    assert before["ext"] == after
    assert others == was


# -- acknowledgement ----------------------------------------------------------------------------

@pytest.mark.parametrize(("ext", "agreed"), [
    ({"ack": True}, True), ({"ack": {"enabled": True, "batch": 3}}, True), ({"ack": {"enabled": False}},
                                                                            False),
    ({"ack": 1}, False), ({"ack": "true"}, False), ({}, False), (None, False), (7, False),
])
def test_what_a_server_has_agreed_to(ext: Any, agreed: bool) -> None:
    """XA-1."""
    acks = Acks(True)
    acks.begin({"ext": ext})
    assert acks.agreed is agreed


def test_who_does_not_want_it_does_not_have_it() -> None:
    acks, handshake = Acks(False), {}
    acks.ask(handshake)
    acks.begin({"ext": {"ack": True}})
    assert not acks.agreed and handshake == {}


@pytest.mark.parametrize(("number", "sent"), [(7, 7), (7.5, 7.5), (True, 0), ("8", 0), (None, 0)])
def test_only_a_number_is_a_number(number: Any, sent: Any) -> None:
    """XA-3."""
    acks, connect = Acks(True), {}
    acks.begin({"ext": {"ack": True}})
    acks.take({"ext": {"ack": number}})
    acks.stamp(connect)
    assert connect == {"ext": {"ack": sent}}


# -- replay -------------------------------------------------------------------------------------

def event(channel: str, number: Any) -> dict[str, Any]:
    return {"channel": channel, "data": {"event": {"replayId": number}, "payload": 1}}


def agreed(replay: Replay) -> Replay:
    replay.incoming({"channel": HANDSHAKE, "ext": {"replay": True}})
    return replay


def asked(replay: Replay, name: str) -> Any:
    message = {"channel": SUBSCRIBE, "subscription": name}
    replay.outgoing(message)
    return message.get("ext")


def test_replay_is_asked_for_at_the_handshake() -> None:
    """XR-1."""
    message = {"channel": HANDSHAKE}
    Replay().outgoing(message)
    assert message["ext"] == {"replay": True}


@pytest.mark.parametrize("ext", [None, {}, {"replay": False}, 7])
def test_a_server_that_has_not_agreed_is_not_asked(ext: Any) -> None:
    """XR-10."""
    replay = agreed(Replay())
    replay.incoming({"channel": HANDSHAKE, "ext": ext})
    assert asked(replay, "/a") is None


def test_a_subscription_begins_where_it_is_told_to() -> None:
    """XR-2, XR-3."""
    replay = agreed(Replay({"/a": 41}, ALL_EVENTS))
    assert asked(replay, "/a") == {"replay": {"/a": 41}}
    assert asked(replay, "/b") == {"replay": {"/b": -2}}
    assert asked(agreed(Replay()), "/b") == {"replay": {"/b": NEW_EVENTS}}


def test_a_subscription_goes_on_behind_its_last_event() -> None:
    """XR-6."""
    cursors: dict[str, int] = {}
    replay = agreed(Replay(cursors))
    for name in ("/a/*", "/b"):
        asked(replay, name)
    replay.incoming(event("/a/x", 55))
    replay.incoming(event("/a/y", 56))
    replay.incoming(event("/c", 99))
    assert asked(replay, "/a/*") == {"replay": {"/a/*": 56}}
    assert cursors == {"/a/*": 56}
    replay.forget("/a/*")
    replay.forget("/nothing")
    assert asked(replay, "/a/*") == {"replay": {"/a/*": -1}}


@pytest.mark.parametrize("data", [None, 5, {}, {"event": 5}, {"event": {}}, {"event": {"replayId": "5"}},
                                  {"event": {"replayId": True}}, {"event": {"replayId": 1.5}}])
def test_what_has_no_replay_id(data: Any) -> None:
    assert replay_id(data) is None


def test_other_messages_are_left_alone() -> None:
    replay = agreed(Replay())
    message = {"channel": "/meta/connect"}
    replay.outgoing(message)
    replay.incoming({"channel": "/meta/connect", "successful": True})
    assert message == {"channel": "/meta/connect"}
    assert replay.cursors == {}
