"""extensions/activity.py: who is there but does nothing is disconnected (BAYEUX.md 19.4, XV-*, X-6)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from bayeux import Session
from bayeux.extensions import Extension
from bayeux.extensions.activity import Inactivity
from bayeux.session import Release
from tests.client import Carrier, Client, World

GOODBYE = {"channel": "/meta/disconnect", "successful": True}


def watching(**settings: Any) -> World:
    """Make a world in which clients have to do something every 100 seconds."""
    return World(**{"extensions": ("activity",), "max_inactivity": 100.0, "max_interval": 1000.0, **settings})


def poll(client: Client) -> list[Any]:
    return client.ask(client.connect_message(advice={"timeout": 0}))


def is_ended(client: Client, messages: list[Any] | None) -> bool:
    """Say whether a session has ended with a response; if so it has to look as X-6 wants it."""
    if client.session.alive:
        return False
    assert client.session.removed_by is Release.KICKED
    assert messages is not None
    *rest, goodbye, reply = messages
    assert rest == []
    assert goodbye == GOODBYE
    assert reply["channel"] == "/meta/connect"
    assert reply["successful"] is True
    assert reply["advice"]["reconnect"] == "none"
    assert "id" not in goodbye
    return True


@pytest.mark.parametrize(("seconds", "ended"), [(99, False), (100, False), (101, True), (500, True)])
def test_connect_of_an_inactive_client(seconds: float, ended: bool) -> None:
    """XV-2, X-6: at a connect that comes after more than that time."""
    world = watching()
    client = world.client()
    world.clock.advance(seconds)
    carrier = client.connect()
    assert carrier.held is not ended
    assert is_ended(client, carrier.messages) is ended
    assert world.hub.metrics.sessions_removed == ({"kicked": 1} if ended else {})


def test_connects_do_not_count() -> None:
    """XV-2: nor do their replies."""
    world = watching()
    client = world.client()
    for _ in range(10):
        world.clock.advance(10)
        assert not is_ended(client, poll(client))
    world.clock.advance(1)
    assert is_ended(client, poll(client))


def test_connects_that_fail_do_not_count() -> None:
    """XV-2: a client cannot stay by them either."""
    world = watching()
    client = world.client()
    for seconds in (60, 41):
        assert client.session.alive
        world.clock.advance(seconds)
        client.ask(client.message("/meta/connect"))
    assert not client.session.alive


@pytest.mark.parametrize("message", [
    {"channel": "/a", "data": 1}, {"channel": "/service/a", "data": 1},
    {"channel": "/meta/subscribe", "subscription": "/a"},
    {"channel": "/meta/unsubscribe", "subscription": "/a"}, {"channel": "/meta/foo"}])
def test_any_other_message_counts(message: dict[str, Any]) -> None:
    """XV-1."""
    world = watching()
    client = world.client()
    for _ in range(3):
        world.clock.advance(99)
        client.ask({**message, "clientId": client.id})
        assert not is_ended(client, poll(client))
    world.clock.advance(101)
    assert is_ended(client, poll(client))


def test_messages_of_others_do_not_count() -> None:
    """XV-1."""
    world = watching()
    client, other = world.client(), world.client()
    world.clock.advance(60)
    other.publish("/a", 1)
    world.clock.advance(60)
    assert is_ended(client, poll(client))
    assert not is_ended(other, poll(other))


def test_connect_that_is_held_beyond_the_time() -> None:
    """XV-2: the reply to it is the latest moment."""
    world = watching()
    client = world.client()
    world.clock.advance(80)
    carrier = client.connect()
    world.clock.advance(30)
    assert is_ended(client, carrier.messages)
    world.clock.advance(2000)
    assert world.hub.sessions.is_idle()


def test_message_during_the_hold_counts() -> None:
    """XV-1."""
    world = watching()
    client = world.client()
    world.clock.advance(80)
    carrier = client.connect()
    client.publish("/a", 1)
    world.clock.advance(30)
    assert carrier.messages is not None
    assert not is_ended(client, carrier.messages)


def test_events_that_were_queued_are_given_up() -> None:
    """X-2."""
    world = watching()
    client = world.client()
    client.subscribe("/a")
    world.clock.advance(101)
    world.hub.publish("/a", 1)
    assert is_ended(client, poll(client))
    assert not client.session.queue


@pytest.mark.parametrize(("mode", "ended"), [("client", True), ("client-server", False)])
def test_events_count_if_they_are_to(mode: str, ended: bool) -> None:
    """XV-1."""
    world = watching(activity=mode)
    client = world.client()
    client.subscribe("/a")
    carriers: list[Carrier] = []
    for number in range(4):
        carriers.append(client.connect())
        world.clock.advance(29)
        world.hub.publish("/a", number)
        world.turn()
    assert is_ended(client, carriers[-1].messages) is ended
    if not ended:
        assert [carrier.messages[0]["data"] for carrier in carriers if carrier.messages] == [0, 1, 2, 3]


def test_silence_of_both_sides() -> None:
    """XV-1: with ``client-server`` too a session ends in the end; what goes to others does not count."""
    world = watching(activity="client-server")
    client, other = world.client(), world.client()
    other.subscribe("/a")
    world.clock.advance(60)
    world.hub.publish("/a", 1)
    world.clock.advance(60)
    assert is_ended(client, poll(client))
    assert not is_ended(other, poll(other))


def test_disconnected_client_may_come_back() -> None:
    """X-5: by a handshake."""
    world = watching()
    client = world.client()
    world.clock.advance(101)
    poll(client)
    [reply] = client.ask(client.connect_message())
    assert reply["error"].startswith("402:")
    assert reply["advice"]["reconnect"] == "handshake"


def test_handshake_begins_it() -> None:
    """XV-3: not when the server was started."""
    world = watching()
    world.clock.advance(1000)
    client = world.client()
    assert not is_ended(client, poll(client))


def test_handshake_that_fails() -> None:
    world = watching()
    [reply] = world.ask({"channel": "/meta/handshake"})
    assert reply["error"] == "400:version:Missing field"


def test_off_by_default() -> None:
    """Nothing is kept of a session then."""
    world = World(max_inactivity=1.0, max_interval=1000.0)
    client = world.client()
    assert client.session.extensions == ()
    world.clock.advance(900)
    assert not is_ended(client, poll(client))


def test_one_for_each_session() -> None:
    """XV-3: it goes where its session goes."""
    world = watching()
    client = world.client()
    assert [type(extension) for extension in client.session.extensions] == [Inactivity]
    assert not hasattr(client.session.extensions[0], "__dict__")


@pytest.mark.parametrize("extensions", [(), ("activity",)])
@pytest.mark.parametrize("limit", [10, 500])
def test_session_with_a_time_of_its_own(extensions: tuple[str, ...], limit: float) -> None:
    """XV-3: set by a listener, before the handshake is answered; the server's own then leaves it alone."""
    world = watching(extensions=extensions)

    class Setting:
        def session_added(self, session: Session) -> None:
            session.extensions += (Inactivity(limit, world.clock.seconds),)

        def session_removed(self, session: Session, reason: str) -> None:
            pass

    world.hub.add_listener(Setting())
    client = world.client()
    world.clock.advance(limit)
    assert not is_ended(client, poll(client))
    world.clock.advance(1)
    assert is_ended(client, poll(client))


def test_other_extensions_of_a_session_stay() -> None:
    """XV-3."""
    world = watching()
    other = Extension()

    class Setting:
        def session_added(self, session: Session) -> None:
            session.extensions += (other,)

        def session_removed(self, session: Session, reason: str) -> None:
            pass

    world.hub.add_listener(Setting())
    assert world.client().session.extensions[0] is other


def test_session_that_is_excepted() -> None:
    """XV-3: what an application has taken off does not come back."""
    world = watching()
    client = world.client()
    client.session.extensions = ()
    client.publish("/a", 1)
    world.clock.advance(500)
    assert not is_ended(client, poll(client))


def test_answer_that_takes_long() -> None:
    """X-6: only a reply to a connect can say that the session is ended."""
    world = watching()
    client = world.client()
    answer: Deferred[object] = Deferred()
    world.hub.service("/service/slow", lambda session, data: answer)
    carrier = client.send(client.message("/service/slow", data=1))
    world.clock.advance(101)
    answer.callback(None)
    assert carrier.messages == [{"channel": "/service/slow", "successful": True}]
    assert client.session.alive
    assert is_ended(client, poll(client))
