"""faults.py: what an application's code raises is all counted, and told of without a flood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from bayeux.extensions import Call, Extension
from bayeux.faults import Faults
from bayeux.messages import Event
from bayeux.metrics import Metrics
from bayeux.session import Session
from tests.client import World


@pytest.fixture
def log(logged_errors: list[Any]) -> Iterator[list[dict[str, Any]]]:
    """Return the events by which failures are logged, which are meant to be."""
    events: list[dict[str, Any]] = []

    def observe(event: dict[str, Any]) -> None:
        if "log_failure" in event:
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)
    logged_errors.clear()


def one() -> Failure:
    try:
        raise ValueError("one")
    except ValueError:
        return Failure()


def other() -> Failure:
    try:
        raise ValueError("other")
    except ValueError:
        return Failure()


def deep(levels: int) -> Failure:
    def fall(levels: int) -> None:
        if levels:
            fall(levels - 1)
        raise ValueError("deep")

    try:
        fall(levels)
    except ValueError:
        return Failure()
    raise AssertionError


class Desk:
    def __init__(self, interval: float = 2.0) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.faults = Faults(self.clock, interval, self.metrics)

    def tell(self, failure: Failure, event: str = "handler_failed") -> None:
        self.faults.tell("failed on {channel}", failure, event=event, channel="/a")


def test_each_is_counted_and_the_first_is_logged(log: list[dict[str, Any]]) -> None:
    desk = Desk()
    for _ in range(100):
        desk.tell(one())
    assert desk.metrics.application_errors == 100
    [event] = log
    assert (formatEvent(event), event["event"]) == ("failed on /a", "handler_failed")
    assert event["log_failure"].getErrorMessage() == "one"


def test_a_place_is_told_of_again_after_the_interval(log: list[dict[str, Any]]) -> None:
    """Counted from when it was told of, however often it fails meanwhile."""
    desk = Desk()
    for _ in range(5):
        desk.tell(one())
        desk.clock.advance(0.5)
    assert len(log) == 2
    desk.tell(one())
    assert len(log) == 2


def test_with_no_interval_each_is_logged(log: list[dict[str, Any]]) -> None:
    desk = Desk(interval=0.0)
    desk.tell(one())
    desk.tell(one())
    assert len(log) == 2


def test_one_place_hides_no_other(log: list[dict[str, Any]]) -> None:
    """Nor the same one, where something else comes to it."""
    desk = Desk()
    for failure in (one(), other(), one()):
        desk.tell(failure)
        desk.tell(failure, event="subscriber_failed")
    told = [(event["log_failure"].getErrorMessage(), event["event"]) for event in log]
    assert told == [(what, event) for what in ("one", "other") for event in ("handler_failed",
                                                                            "subscriber_failed")]


def test_a_recursion_is_one_place_however_deep(log: list[dict[str, Any]]) -> None:
    """Or a client who chooses the depth could fill the log."""
    desk = Desk()
    for levels in range(2, 20):
        desk.tell(deep(levels))
    assert len(log) == 1


def test_failures_without_a_traceback_are_told_apart_by_their_kind(log: list[dict[str, Any]]) -> None:
    """A Deferred may fail with what has never been raised."""
    desk = Desk()
    for error in (ValueError("one"), KeyError("other"), ValueError("one")):
        desk.tell(Failure(error))
    assert len(log) == 2


@pytest.mark.usefixtures("log")
def test_what_was_told_of_long_ago_is_forgotten() -> None:
    desk = Desk()
    desk.tell(one())
    desk.clock.advance(2)
    desk.tell(other())
    assert len(desk.faults._due) == 1


class Broken(Extension):
    def publishing(self, event: Event, call: Call | None) -> None:
        raise ValueError("broken")


class Listener:
    def session_added(self, session: Session) -> None:
        raise ValueError("broken")

    def session_removed(self, session: Session, reason: str) -> None:
        """Do nothing."""


def fail(*arguments: object) -> None:
    raise ValueError("broken")


def test_whatever_fails_for_each_message_leaves_one_traceback(log: list[dict[str, Any]]) -> None:
    """An application's handlers, subscribers, extensions and listeners."""
    world = World(log_interval=5.0)
    world.hub.service("/service/a", fail)
    world.hub.subscribe("/a", fail)
    world.hub.add_extension(Broken())
    world.hub.add_listener(Listener())
    for expected in (4, 8):
        for _ in range(3):
            client = world.client()
            client.ask(client.message("/service/a", data=1), client.message("/a", data=1))
        assert len(log) == expected
        world.clock.advance(5)
    assert {event["event"] for event in log} == {"handler_failed", "subscriber_failed", "extension_failed",
                                                 "listener_failed"}
    assert world.hub.metrics.application_errors == 24
