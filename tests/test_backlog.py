"""Which sessions are behind: found by a few additions, however many sessions there are."""

import pytest

from bayeux.backlog import Backlog, Depth
from bayeux.messages import Event
from bayeux.session import Session
from bayeux.settings import Settings
from tests.fakenet import HANDSHAKE, HTTP, Net, WebSocketClient, connect, post, subscribe

NOTHING = Depth(0, 0, 0, 0)
SETTINGS = Settings()


def behind(*sizes):
    """Return a session with events of so many bytes of JSON in its queue."""
    session = Session(None)
    for size in sizes:
        event = Event("/news", b"1")
        event.json = b"x" * size
        session.queue.put(event, SETTINGS)
    return session


@pytest.fixture
def backlog():
    return Backlog()


def test_there_is_none(backlog):
    assert backlog.measure() == NOTHING
    assert not backlog


def test_events_and_bytes_are_added_up(backlog):
    for session in (behind(10, 20), behind(50), behind(1, 2, 3)):
        backlog.add(session)
    assert backlog.measure() == Depth(sessions=3, events=6, bytes=86, largest=50)


def test_a_session_counts_once(backlog):
    session = behind(10)
    backlog.add(session)
    backlog.add(session)
    assert backlog.measure() == Depth(1, 1, 10, 10)


def test_who_has_caught_up_is_forgotten(backlog):
    session = behind(10)
    backlog.add(session)
    session.take()
    assert backlog.measure() == NOTHING
    assert not backlog


def test_who_has_ended_is_forgotten(backlog):
    session = behind(10)
    backlog.add(session)
    backlog.forget(session)
    backlog.forget(session)
    assert not backlog


def test_without_being_measured_it_does_not_grow_for_ever(backlog):
    """Of those that have caught up it keeps some times as many as of others at most."""
    slow = [behind(10) for _ in range(10)]
    for session in slow:
        backlog.add(session)
    for _ in range(1_000):
        session = behind(1)
        backlog.add(session)
        session.take()
        assert len(backlog) < 200
    assert backlog.measure() == Depth(10, 10, 100, 10)


# -- in a server ----------------------------------------------------------------------------------


def poller(net, *channels, handshake=HANDSHAKE):
    http = HTTP(net)
    client = http.ask(post(handshake)).messages[0]["clientId"]
    http.ask(post(connect(client), *[subscribe(client, channel) for channel in channels]))
    return http, client


def depth(net):
    return net.hub.sessions.backlog.measure()


def test_a_client_between_two_connects_is_behind():
    net = Net()
    http, client = poller(net, "/news")
    net.publish(1)
    net.publish(2)
    size = net.session(client).queue.size
    assert depth(net) == Depth(1, 2, size, size)
    http.ask(post(connect(client)))
    assert depth(net) == NOTHING


def test_a_client_that_waits_is_not():
    net = Net()
    http, client = poller(net, "/news")
    http.send(post(connect(client)))
    net.publish(1)
    assert not net.hub.sessions.backlog


def test_a_client_that_goes_is_forgotten():
    net = Net()
    _, client = poller(net, "/news")
    net.publish(1)
    net.session(client).disconnect()
    assert not net.hub.sessions.backlog


def test_a_server_that_still_knows_of_somebody_is_not_idle():
    net = Net()
    assert net.hub.sessions.is_idle()
    net.hub.sessions.backlog.add(behind(10))
    assert not net.hub.sessions.is_idle()


def test_lazy_events_wait():
    net = Net(lazy_channels={"/news": 3.0})
    http, client = poller(net, "/news")
    http.send(post(connect(client)))
    net.publish(1)
    assert depth(net).events == 1
    net.advance(3)
    assert depth(net) == NOTHING


def test_what_is_not_acknowledged_waits():
    net = Net()
    http, client = poller(net, "/news", handshake=HANDSHAKE | {"ext": {"ack": True}})
    http.send(post(connect(client, ext={"ack": 1})))
    net.publish(1)
    http.responses()
    assert depth(net).events == 1
    http.ask(post(connect(client, ext={"ack": 2}, advice={"timeout": 0})))
    assert depth(net) == NOTHING


def test_what_a_slow_stream_does_not_take_waits():
    net = Net()
    socket = WebSocketClient(net)
    (reply,) = socket.ask(HANDSHAKE)
    client = reply["clientId"]
    socket.ask(connect(client), subscribe(client, "/news"))
    socket.wire.stall()
    net.publish("x" * 70_000)
    assert net.session(client).stream.congested
    assert depth(net) == NOTHING  # it is in the socket's buffer
    net.publish(1)
    net.publish(2)
    assert depth(net).events == 2
    socket.wire.flow()
    assert depth(net) == NOTHING


def test_a_session_that_moves_to_a_stream_that_is_congested_is_watched():
    net = Net()
    _, client = poller(net, "/news")
    socket = WebSocketClient(net)
    socket.wire.stall()
    [link] = net.streams._open
    link.congested = True
    net.hub.sessions.bind(net.session(client), link)
    net.publish(1)
    assert depth(net).events == 1


def test_what_travels_with_connects_only_waits_between_two_of_them():
    """D-7: though there is a stream."""
    net = Net()
    socket = WebSocketClient(net)
    (reply,) = socket.ask({**HANDSHAKE, "ext": {"ack": True}})
    client = reply["clientId"]
    socket.ask(connect(client, ext={"ack": 0}), subscribe(client, "/news"))
    net.publish(1)
    assert depth(net).events == 1
    net.publish(2)
    assert depth(net).events == 2


def test_an_event_that_comes_in_the_turn_in_which_a_stream_is_lost_waits():
    net = Net()
    socket = WebSocketClient(net)
    (reply,) = socket.ask(HANDSHAKE)
    client = reply["clientId"]
    socket.ask(connect(client), subscribe(client, "/news"))
    net.hub.publish("/news", 1)
    socket.wire.lose()
    net.advance(0)
    assert depth(net).events == 1


def test_nothing_is_kept_of_sessions_that_a_stop_has_ended():
    """Though what they have not acknowledged goes out with the last word."""
    net = Net()
    http, client = poller(net, "/news", handshake={**HANDSHAKE, "ext": {"ack": True}})
    http.ask(post(connect(client, ext={"ack": 0}, advice={"timeout": 0})))
    HTTP(net).send(post(connect(client, ext={"ack": 1})))
    net.hub.publish("/news", 1)
    net.hub.sessions.stop_accepting()
    net.advance(0)
    while net.hub.sessions.retire(100):
        pass
    net.advance(0)
    assert not net.hub.sessions.backlog
