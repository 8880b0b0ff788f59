"""When the garbage collector runs."""

import gc
import socket
import ssl
import weakref
from collections import Counter

import pytest
import pytest_twisted
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from bayeux import Settings
from bayeux.garbage import Garbage
from bayeux.metrics import Metrics
from bayeux.server import BayeuxServer
from tests.fakenet import HANDSHAKE, HTTP, Net, WebSocketClient, connect, post, subscribe, upgrade
from tests.test_resource import condition
from tests.test_server import certificate

__all__ = ["certificate"]  # a fixture


class Thing:
    pass


def old_cycle():
    """Make something that became garbage too late for the collections of what is young."""
    thing = Thing()
    thing.itself = thing
    gc.collect(1)
    gc.collect(1)
    return weakref.ref(thing)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def garbage(clock):
    garbage = Garbage(clock, 3600.0, 0.02, lambda: 0, Metrics())
    yield garbage
    garbage.stop()


def test_python_does_not_collect_everything_by_itself_any_more(garbage):
    garbage.start()
    assert gc.get_threshold()[2] >= 1_000_000_000
    assert gc.get_threshold()[0] > 0


def test_what_is_there_at_the_start_is_left_out(garbage):
    kept = [Thing()]
    garbage.start()
    assert gc.get_freeze_count() > 1_000
    assert all(each is not kept for each in gc.get_objects())


def test_everything_is_collected_now_and_then(garbage, clock):
    garbage.start()
    for _ in range(2):
        old = old_cycle()
        clock.advance(3599)
        gc.collect(1)
        assert old() is not None
        clock.advance(1)
        assert old() is None


def test_the_longest_pause_is_known(clock):
    metrics = Metrics()
    garbage = Garbage(clock, 3600.0, 0.02, lambda: 0, metrics)
    garbage.start()
    assert metrics.longest_collection == 0
    clock.advance(3600)
    garbage.stop()
    assert 0 < metrics.longest_collection < 10


def test_each_collection_is_counted_whoever_has_it_made(clock):
    metrics = Metrics()
    garbage = Garbage(clock, 3600.0, 0.02, lambda: 0, metrics)
    garbage.start()
    assert metrics.pauses.count == 0  # that of the start keeps nobody waiting
    for generation in (0, 1, 1):
        gc.collect(generation)
    garbage.stop()
    assert metrics.collections == {0: 1, 1: 2}
    assert metrics.pauses.count == 3
    assert 0 < metrics.pauses.sum < 10
    assert metrics.longest_collection == 0  # which is of full ones


def test_a_collection_takes_as_long_as_it_takes(clock, monkeypatch):
    metrics, now = Metrics(), iter([10.0, 10.25, 20.0, 20.125])
    garbage = Garbage(clock, 3600.0, 0.02, lambda: 0, metrics)
    monkeypatch.setattr("bayeux.garbage.time.perf_counter", lambda: next(now))
    garbage._watch("start", {"generation": 2})
    garbage._watch("stop", {"generation": 2})
    garbage._watch("start", {"generation": 2})
    garbage._watch("stop", {"generation": 2})
    assert metrics.pauses.sum == 0.375
    assert metrics.longest_collection == 0.25
    assert metrics.collections == {2: 2}


def test_when_it_is_stopped_nothing_is_counted(clock):
    metrics, before = Metrics(), list(gc.callbacks)
    garbage = Garbage(clock, 3600.0, 0.02, lambda: 0, metrics)
    garbage.start()
    garbage.start()
    garbage.stop()
    garbage.stop()
    assert gc.callbacks == before
    gc.collect(0)
    assert metrics.collections == {}


def test_what_is_young_is_collected_every_second(garbage, clock):
    """However few objects Python has counted since: or what it finds in the end would be everything."""
    garbage.start()
    thing = Thing()
    thing.itself = thing
    young = weakref.ref(thing)
    del thing
    clock.advance(0.9)
    assert young() is not None
    clock.advance(0.1)
    assert young() is None


def test_many_clients_are_not_kept_waiting(clock):
    """A full collection is put off, and made when they are few enough."""
    clients, metrics = 1_001, Metrics()
    garbage = Garbage(clock, 3600.0, 0.02, lambda: clients, metrics)
    garbage.start()
    old = old_cycle()
    clock.advance(3600)
    assert (old() is None, metrics.collections_put_off, metrics.longest_collection) == (False, 1, 0)
    clients = 1_000
    clock.advance(3600)
    assert (old() is None, metrics.collections_put_off) == (True, 1)
    garbage.stop()


def test_at_the_end_everything_is_as_before(garbage, clock):
    before = gc.get_threshold()
    garbage.start()
    garbage.start()
    garbage.stop()
    garbage.stop()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
    assert clock.getDelayedCalls() == []


# -- what the server leaves to be collected -------------------------------------------------------


MANY = 60


@pytest.fixture
def left():
    """Return which kinds of our objects only the collector could free, if there are many of them.

    A few may be from the tests before, whose servers are garbage by now.
    """
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)

    def collect(*others):
        gc.collect()
        kinds = Counter(type(each).__name__ for each in gc.garbage
                        if type(each).__module__.startswith(
                            ("bayeux", "httptools", "websockets", *others)))
        return [kind for kind, count in kinds.items() if count >= MANY]

    yield collect
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.parametrize("ack", [False, True])
def test_a_delivery_by_long_polling_leaves_no_garbage(left, ack):
    net = Net()
    http = HTTP(net)
    client = http.ask(post({**HANDSHAKE, "ext": {"ack": ack}})).messages[0]["clientId"]
    http.ask(post(connect(client), subscribe(client)))
    for number in range(MANY):
        http.send(post(connect(client, ext={"ack": number + 1})))
        net.publish(number)
        assert http.responses()[0].messages[0]["data"] == number
    assert left() == []


def test_a_delivery_by_websocket_leaves_no_garbage(left):
    net = Net()
    socket = WebSocketClient(net)
    client = socket.ask(HANDSHAKE)[0]["clientId"]
    socket.ask(connect(client), subscribe(client))
    for number in range(MANY):
        socket.send(connect(client))
        net.publish(number)
        net.advance(30)
    assert left() == []


def test_clients_that_are_gone_leave_no_garbage(left):
    net = Net()
    for _ in range(MANY):
        http, socket = HTTP(net), WebSocketClient(net)
        client = http.ask(post(HANDSHAKE)).messages[0]["clientId"]
        http.ask(post(connect(client), subscribe(client)))
        http.send(post(connect(client)))
        other = socket.ask(HANDSHAKE)[0]["clientId"]
        socket.ask(connect(other), subscribe(other))
        socket.send(connect(other))
        http.wire.lose()
        socket.wire.lose()
        net.advance(60)
    assert len(net.bayeux.hub.sessions) == 0
    assert left() == []


def come_and_go(port, request):
    """Connect by TLS, ask, and go, with a farewell or without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for number in range(2 * MANY):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            client = context.wrap_socket(plain)
            client.sendall(request)
            assert client.recv(1000).startswith(b"HTTP/1.1 ")
            if number % 2:
                client.unwrap()
            client.close()


@pytest.mark.parametrize("request_", [
    post(HANDSHAKE), b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", upgrade(),
], ids=["here", "by twisted.web", "a socket"])
@pytest_twisted.ensureDeferred
async def test_clients_by_tls_that_are_gone_leave_no_garbage(left, certificate, request_):
    """Each would leave some 50 KiB of OpenSSL's, until everything is collected."""
    cert, key = certificate
    server = BayeuxServer(Settings(listen=(
        f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={cert}",)))
    server.startService()
    # In a thread: what a client of this process leaves would know the server's end, by frames of the reactor.
    await deferToThread(come_and_go, server._ports[0].getHost().port, request_)
    await condition(lambda: not server._site.channels and not server.resource.endpoint.streams)
    found = left("OpenSSL", "twisted.protocols.tls")
    await server.stopService()
    assert found == []
