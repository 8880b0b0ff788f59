"""journal.py: a line for each kind of refusal, however many there are."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from bayeux.journal import Journal
from tests.client import World


@pytest.fixture
def log() -> Any:
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


class Kept(World):
    """A hub whose journal is kept."""

    def __init__(self, interval: float = 1.0, **settings: Any) -> None:
        super().__init__(**settings)
        self.journal = Journal(self.clock, interval, self.hub.metrics, self.hub.witnesses)
        self.hub.add_listener(self.journal)
        self.journal.start()


def texts(log: Any) -> list[str]:
    return [formatEvent(event) for event in log]


def test_a_flood_of_refusals_is_one_line(log: Any) -> None:
    world = Kept()
    client = world.client()
    for _ in range(1_000):
        assert client.publish("/meta/x", 1)["successful"] is False
    assert log == []
    world.clock.advance(1)
    assert texts(log) == [f"messages refused with 404, unknown channel: 1000; the last: "
                          f"session {client.session.label} of a local client"]
    [event] = log
    assert (event["event"], event["kind"], event["code"], event["count"]) == ("refused", "message", 404, 1000)
    world.clock.advance(1)
    assert len(log) == 1


def test_there_is_a_line_for_each_kind_and_each_interval(log: Any) -> None:
    world = Kept()
    client = world.client()
    for _ in range(2):
        client.publish("/meta/x", 1)
        client.publish("/a/*", 1)
        world.clock.advance(1)
    assert [event["code"] for event in log] == [404, 405, 404, 405]
    assert [event["count"] for event in log] == [1, 1, 1, 1]


def test_expiries_are_one_line_however_many(log: Any) -> None:
    world = Kept(max_interval=3.0)
    clients = [world.client() for _ in range(50)]
    clients[0].session.address = clients[-1].session.address = "192.0.2.1"
    world.clock.pump([1.0] * 5)
    assert len(world.hub.sessions) == 0
    [event] = log
    assert (event["event"], event["reason"], event["count"]) == ("expired", "timeout", 50)
    assert formatEvent(event).startswith("sessions expired, not heard of in time: 50; the last: session ")


@pytest.mark.parametrize(("reason", "event", "text"), [
    ("expired", "expired", "sessions expired, the token is not good any more: 1"),
    ("overflow", "ended", "sessions ended, the queue was full: 1"),
    ("kicked", "ended", "sessions ended, sent away: 1"),
])
def test_why_sessions_end(log: Any, reason: str, event: str, text: str) -> None:
    world = Kept()
    session = world.client().session
    session.address = "192.0.2.1"
    world.hub.sessions.remove(session, reason, None)  # type: ignore[arg-type]  # why is for its client
    world.clock.advance(1)
    assert texts(log) == [f"{text}; the last: session {session.label} of 192.0.2.1"]
    assert log[0]["event"] == event
    assert (log[0]["session"], log[0]["address"]) == (session.label, "192.0.2.1")


def test_who_leaves_by_its_own_wish_is_not_told_of(log: Any) -> None:
    world = Kept()
    client = world.client()
    client.ask(client.message("/meta/disconnect"))
    world.hub.close()
    world.clock.advance(1)
    assert log == []


@pytest.mark.parametrize(("counter", "what", "text"), [
    ("refused", 413, "requests refused with HTTP status 413: 2"),
    ("closed", 1008, "WebSockets closed with 1008: 2"),
    ("limited", "max_connections", "max_connections was in the way: 2"),
    ("authentication_failures", "token_invalid", "not authenticated, token_invalid: 2"),
    ("failures", 499, "messages refused with 499, by the application: 2"),
])
def test_what_is_counted_is_told(log: Any, counter: str, what: Any, text: str) -> None:
    world = Kept()
    getattr(world.hub.metrics, counter)[what] += 2
    world.clock.advance(1)
    assert texts(log) == [text]
    assert "session" not in log[0]
    assert "address" not in log[0]


def test_an_address_without_a_session(log: Any) -> None:
    world = Kept()
    world.hub.metrics.refused[403] += 1
    world.hub.witnesses["request", 403] = "192.0.2.1", ""
    world.clock.advance(1)
    assert texts(log) == ["requests refused with HTTP status 403: 1; the last: 192.0.2.1"]
    assert world.hub.witnesses == {}


@pytest.mark.parametrize("code", [1000, 1001])
def test_an_orderly_close_is_no_refusal(log: Any, code: int) -> None:
    world = Kept()
    world.hub.metrics.closed[code] += 1
    world.clock.advance(1)
    assert log == []


def test_what_was_before_the_start_is_not_told(log: Any) -> None:
    world = World()
    world.hub.metrics.refused[403] += 5
    journal = Journal(world.clock, 1.0, world.hub.metrics, world.hub.witnesses)
    journal.start()
    journal.start()
    world.hub.metrics.refused[403] += 1
    world.clock.advance(1)
    assert [event["count"] for event in log] == [1]
    assert len(world.clock.getDelayedCalls()) == 1


def test_at_the_end_the_rest_is_told(log: Any) -> None:
    world = Kept()
    world.hub.metrics.refused[403] += 1
    world.journal.stop()
    assert len(log) == 1
    world.journal.stop()
    assert world.clock.getDelayedCalls() == []


def test_it_can_be_switched_off(log: Any) -> None:
    world = Kept(interval=0.0)
    world.hub.metrics.refused[403] += 1
    world.clock.advance(100)
    world.journal.stop()
    assert log == []
    assert world.clock.getDelayedCalls() == []
