"""What WebSocket and EventSource have in common: peers that do not keep up, time, and the end of a server."""

import json

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    SSL4ClientEndpoint,
    TCP4ClientEndpoint,
    connectProtocol,
    serverFromString,
)
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.ssl import CertificateOptions
from twisted.web.resource import Resource
from twisted.web.server import Site

from bayeux import BayeuxService, Settings
from bayeux.transports import streams
from bayeux.transports.streams import Connection
from bayeux.web.site import BayeuxSite
from tests.fakenet import (
    CLOSE,
    HANDSHAKE,
    HTTP,
    PING,
    TEXT,
    EventSourceClient,
    Net,
    WebSocketClient,
    close,
    connect,
    disconnect,
    envelope,
    event,
    frame,
    listen,
    parse_head,
    post,
    publish,
    subscribe,
    upgrade,
)
from tests.test_resource import Wire as PlainWire
from tests.test_resource import condition

NOTICED = 65_536
"""Bytes that Twisted takes for a connection before it says that they are too many."""
BIG = "x" * 30_000


def by_websocket(net, *channels):
    """Open a stream with a session whose connect is held; returns both."""
    socket = WebSocketClient(net)
    client = socket.ask(HANDSHAKE)[0]["clientId"]
    socket.ask(connect(client), *[subscribe(client, channel) for channel in channels])
    socket.send(connect(client))
    return socket, client


def by_eventsource(net, *channels):
    """Open a stream with a session that has just connected; returns both."""
    http = HTTP(net)
    response = http.ask(post(HANDSHAKE))
    client = response.messages[0]["clientId"]
    cookie = response.headers["set-cookie"].partition(";")[0]
    stream = EventSourceClient(net, client, cookie=cookie)
    http.ask(post(connect(client, connectionType="eventsource"),
                  *[subscribe(client, channel) for channel in channels], cookie=cookie))
    return stream, client


@pytest.fixture(params=[by_websocket, by_eventsource], ids=lambda opener: opener.__name__)
def opened(request):
    return request.param


def link_of(net, client):
    return net.session(client).stream


# -- peers that do not read: G-16, D-14 -----------------------------------------------------------


def test_events_for_a_peer_that_does_not_read_wait_in_its_queue(opened):
    """G-16: what is buffered in the transport is bounded by Twisted's own measure and one write."""
    net = Net(max_buffer=1000)
    stream, client = opened(net, "/news")
    stream.wire.stall()
    for number in range(20):
        net.publish([number, BIG])
    assert len(net.session(client).queue) >= 16
    assert stream.wire.end.most_buffered < NOTICED + 31_000
    stream.wire.flow()
    assert [message["data"][0] for message in stream.messages()] == list(range(20))


def test_a_burst_is_written_in_pieces(opened):
    """G-16: max_buffer is the most of one write, unless a single event is larger."""
    net = Net(max_buffer=50_000, max_queue_bytes=10_000_000)
    stream, _client = opened(net, "/news")
    stream.wire.stall()
    for _ in range(20):
        net.hub.publish("/news", BIG)
    net.pump()
    assert stream.wire.end.most_buffered < NOTICED + 50_000
    stream.wire.flow()
    assert [len(each) for each in stream.envelopes()] == [1] * 20


def test_a_burst_that_fits_is_one_envelope(opened):
    """D-5, L-10: in the order of the events."""
    net = Net()
    stream, _client = opened(net, "/news")
    for number in range(3):
        net.hub.publish("/news", number)
    net.pump()
    assert stream.envelopes() == [[event(0), event(1), event(2)]]


def test_other_clients_are_not_slowed_by_one_that_does_not_read(opened):
    """D-14."""
    net = Net()
    stuck, _ = opened(net, "/news")
    well, _ = opened(net, "/news")
    stuck.wire.stall()
    for number in range(20):
        net.publish([number, BIG])
        assert [message["data"][0] for message in well.messages()] == [number]


def test_a_peer_that_takes_nothing_for_long_is_cut(opened):
    """G-16: its session lives on, with what was not written."""
    net = Net(timeout=300.0, write_timeout=30.0)
    stream, client = opened(net, "/news")
    stream.wire.stall()
    for number in range(10):
        net.publish([number, BIG])
    net.advance(29.9)
    assert not stream.wire.closed
    net.advance(0.1)
    assert stream.wire.closed
    assert net.hub.metrics.stalled == 1
    assert [json.loads(each.data)[0] for each in net.session(client).queue.events] == list(range(3, 10))


def test_the_time_for_a_peer_that_takes_nothing_is_not_prolonged_by_more_to_take():
    """G-16: as by the reply to a connect that is held no longer."""
    net = Net(timeout=20.0, write_timeout=30.0)
    socket, _ = by_websocket(net, "/news")
    socket.wire.stall()
    for number in range(4):
        net.publish([number, BIG])
    net.advance(29.9)
    assert not socket.wire.closed
    net.advance(0.1)
    assert socket.wire.closed


def test_a_peer_that_takes_it_in_time_is_not_cut(opened):
    """G-16: and has to be alive as before, not more."""
    net = Net(timeout=300.0, write_timeout=30.0, websocket_ping_interval=25.0)
    stream, _ = opened(net, "/news")
    for _ in range(3):
        stream.wire.stall()
        for _ in range(10):
            net.publish(BIG)
        net.advance(24)
        stream.wire.flow()
    net.advance(24)
    assert not stream.wire.closed
    assert len(stream.messages()) == 30


def test_a_socket_is_not_read_while_its_peer_does_not_read():
    """G-16: or replies would pile up."""
    net = Net()
    socket, client = by_websocket(net, "/news")
    socket.wire.stall()
    for _ in range(4):
        net.publish(BIG)
    socket.send(publish(client, 1, "/other"))
    assert net.hub.metrics.messages == 4
    socket.wire.flow()
    assert net.hub.metrics.messages == 5
    assert socket.messages()[-1]["channel"] == "/other"


def test_a_reply_to_a_peer_that_does_not_read_takes_no_event_along():
    """G-16: to a held connect whose time is up, as an example."""
    net = Net(timeout=20.0)
    socket, client = by_websocket(net, "/news")
    socket.wire.stall()
    for number in range(20):
        net.publish([number, BIG])
    waiting = len(net.session(client).queue)
    assert waiting >= 16
    net.advance(20)
    assert len(net.session(client).queue) == waiting
    socket.wire.flow()
    assert [message["data"][0] for message in socket.messages() if "data" in message] == list(range(20))


def test_a_peer_that_reads_slowly_but_reads_gets_everything(opened):
    """G-16, D-9: in order, once."""
    net = Net(timeout=300.0)
    stream, _ = opened(net, "/news")
    stream.wire.stall()
    got = []
    for number in range(30):
        net.publish([number, BIG])
        stream.wire.flow(25_000)
        got += stream.messages()
    for _ in range(20):
        stream.wire.flow(25_000)
        got += stream.messages()
    assert [message["data"][0] for message in got] == list(range(30))


def test_an_overflow_of_a_peer_that_does_not_read_ends_its_session(opened):
    """Q-7, G-15: and of no other."""
    net = Net(max_queue=10)
    stuck, client = opened(net, "/news")
    well, other = opened(net, "/news")
    stuck.wire.stall()
    for _ in range(20):
        net.publish(BIG)
    assert net.session(client) is None
    assert net.session(other) is not None
    assert len(well.messages()) == 20


def test_a_session_moves_from_a_peer_that_does_not_read(opened):
    """W-7: with all that was not written."""
    net = Net(timeout=300.0)
    stuck, client = opened(net, "/news")
    stuck.wire.stall()
    for number in range(10):
        net.publish([number, BIG])
    net.session(client).browser_id = None
    fresh = WebSocketClient(net)
    fresh.send(connect(client))
    numbers = [message["data"][0] for message in fresh.messages() if "data" in message]
    assert numbers == list(range(3, 10))
    net.advance(2)
    assert stuck.wire.closed


# -- closing --------------------------------------------------------------------------------------


def test_a_socket_that_is_closed_while_its_peer_does_not_read_is_closed_properly():
    """RFC 6455, 7.1.1: it still hears the peer's answer."""
    net = Net()
    socket, client = by_websocket(net, "/news")
    socket.wire.stall()
    for _ in range(4):
        net.publish(BIG)
    link_of(net, client).close()
    net.advance(1)
    socket.wire.flow()
    assert socket.frames()[-1] == (CLOSE, b"\x03\xe8no session")
    socket.wire.send(close(1000))
    assert socket.wire.closed


def test_a_socket_that_is_read_only_after_it_was_closed_is_not_given_more_time():
    """G-16: two seconds are two seconds."""
    net = Net()
    socket, client = by_websocket(net, "/news")
    socket.wire.stall()
    for _ in range(4):
        net.publish(BIG)
    link_of(net, client).close()
    net.advance(1)
    socket.wire.flow()
    net.advance(1)
    assert socket.wire.closed


def test_a_peer_that_breaks_the_rules_and_does_not_read_is_told_when_it_does():
    """RFC 6455, 7.1.7: by a close frame, and that nothing more comes."""
    net = Net()
    socket, _ = by_websocket(net, "/news")
    socket.wire.stall()
    net.publish(BIG)
    socket.wire.send(frame(b"*" * 125, PING) * 400 + frame(b"", 3))
    assert socket.wire.end.buffered > NOTICED
    socket.wire.flow()
    assert socket.frames()[-1][0] == CLOSE
    assert socket.wire.end.ended


def test_the_farewell_may_be_the_write_that_is_too_much():
    """RFC 6455, 7.1.1: and the peer's is read all the same."""
    net = Net(max_buffer=NOTICED)
    socket, _ = by_websocket(net, "/news")
    socket.wire.stall()
    net.publish("x" * (NOTICED - 40))
    assert 0 <= NOTICED - socket.wire.end.buffered < 12
    socket.wire.send(frame("nonsense"))
    socket.wire.send(close(1007))
    socket.wire.flow()
    assert socket.frames()[-1][0] == CLOSE
    assert socket.wire.closed


def test_a_socket_that_is_closed_already_is_not_given_more_time():
    """G-16: TLS may say only then that the peer does not keep up."""
    net = Net()
    socket, client = by_websocket(net)
    link = link_of(net, client)
    socket.wire.send(frame("nonsense"))
    link.pauseProducing()
    assert socket.wire.end in net.reactor.readers
    net.advance(2)
    assert socket.wire.closed


def test_a_stream_that_is_closed_while_its_peer_does_not_read_ends_when_it_has_read():
    """F-8: what was written reaches it, and then the end."""
    net = Net()
    stream, client = by_eventsource(net, "/news")
    stream.wire.stall()
    for number in range(4):
        net.publish([number, BIG])
    HTTP(net).ask(post(disconnect(client)))
    assert not stream.wire.closed
    stream.wire.flow()
    assert stream.wire.closed
    assert [message["data"][0] for message in stream.messages()] == [0, 1, 2]


def test_a_stream_that_is_closed_and_not_read_is_cut(opened):
    """G-16: after two seconds."""
    net = Net()
    stream, _ = opened(net, "/news")
    stream.wire.stall()
    for _ in range(4):
        net.publish(BIG)
    net.hub.close()
    net.streams.close()
    net.advance(1.9)
    assert not stream.wire.closed
    net.advance(0.2)
    assert stream.wire.closed
    assert net.hub.metrics.stalled == 0


def test_a_socket_that_nobody_has_is_not_kept_alive_by_reading_slowly():
    """G-21."""
    net = Net()
    socket, client = by_websocket(net, "/news")
    socket.wire.stall()
    for _ in range(4):
        net.publish(BIG)
    net.session(client).disconnect()
    socket.wire.flow()
    socket.frames()
    net.advance(10)
    assert socket.close_code() == 1000


# -- all of an endpoint ---------------------------------------------------------------------------


def test_a_connection_is_a_push_producer(opened):
    """What Twisted wants to tell when to stop."""
    net = Net()
    _, client = opened(net)
    link = link_of(net, client)
    assert isinstance(link, Connection)
    assert IPushProducer.providedBy(link)
    assert not hasattr(link, "__dict__")


def test_streams_are_counted_while_they_are_open(opened):
    """Q-11."""
    net = Net()
    streams = [opened(net)[0] for _ in range(3)]
    assert len(net.streams) == 3
    streams[0].wire.lose()
    assert len(net.streams) == 2


def test_no_timer_is_left_when_the_last_stream_is_gone(opened):
    """Or an application could not end."""
    net = Net()
    first, _client = opened(net)
    second, _ = opened(net)
    first.wire.lose()
    assert net.streams.deadlines._timer is not None
    second.wire.lose()
    assert net.streams.deadlines._timer is None
    assert len(net.streams.deadlines) == 0


def test_streams_that_are_gone_are_not_looked_at_any_more(opened):
    """Q-6: although others are open."""
    net = Net(timeout=300.0)
    well, _ = opened(net)
    for _ in range(100):
        stream, _ = opened(net)
        stream.wire.lose()
    net.advance(50)
    assert len(net.streams.deadlines) == 1
    assert not well.wire.closed


def test_a_stop_waits_for_what_is_written(opened):
    """Q-10: and then for nothing more."""
    net = Net()
    stream, _ = opened(net, "/news")
    stopped = []
    net.hub.publish("/news", 1)
    net.pump()
    net.bayeux.stopService().addCallback(stopped.append)
    net.pump()
    if isinstance(stream, WebSocketClient):
        assert not stopped
        stream.wire.send(close(1001))
    assert stopped
    assert stream.wire.closed


def test_a_stop_without_streams_waits_for_nothing():
    """Q-10."""
    net = Net()
    stopped = []
    net.bayeux.stopService().addCallback(stopped.append)
    net.pump()
    assert stopped


def test_a_server_may_start_again(opened):
    """Q-10."""
    net = Net()
    opened(net)
    net.stop()
    net.bayeux.startService()
    stream, _ = opened(net, "/news")
    net.publish(1)
    assert stream.messages() == [event(1)]
    net.stop()
    assert len(net.streams) == 0


def test_a_stop_that_takes_too_long_cuts_what_is_left(opened):
    """Q-10: shutdown_timeout."""
    net = Net(shutdown_timeout=1.0)
    stream, _ = opened(net, "/news")
    stream.wire.stall()
    for _ in range(4):
        net.publish(BIG)
    stopped = []
    net.bayeux.stopService().addCallback(stopped.append)
    net.advance(0.9)
    assert not stopped
    net.advance(0.1)
    assert stopped
    assert stream.wire.closed


# -- real sockets ---------------------------------------------------------------------------------


@pytest.fixture
def bayeux(monkeypatch):
    """Return a service that never cuts a connection which is to close by itself."""
    monkeypatch.setattr(streams, "_CLOSING_TIME", 3600.0)
    return BayeuxService(Settings(max_queue_bytes=10_000_000))


@pytest.fixture(params=[Site, BayeuxSite], ids=lambda site: site.__name__)
def site(bayeux, request):
    root = Resource()
    root.putChild(b"bayeux", bayeux.resource)
    if request.param is Site:
        return Site(root)
    return BayeuxSite(root, bayeux.resource.endpoint, bayeux.settings, reactor)


class Wire(PlainWire):
    """One that knows why it has ended."""

    reason = None

    def connectionLost(self, reason):
        self.reason = reason
        super().connectionLost(reason)


class Frames:
    """A WebSocket on a real wire."""

    def __init__(self, wire):
        self.wire = wire

    async def open(self):
        self.wire.send(upgrade())
        await self.wire.until(lambda: b"\r\n\r\n" in self.wire.data)
        head, self.wire.data = parse_head(self.wire.data)
        assert head.status == 101

    async def frame(self):
        await self.wire.until(lambda: len(self.wire.data) > 2)
        opcode, size, start = self.wire.data[0] & 15, self.wire.data[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(self.wire.data[2:start])
        await self.wire.until(lambda: len(self.wire.data) >= start + size)
        payload, self.wire.data = self.wire.data[start:start + size], self.wire.data[start + size:]
        return opcode, payload

    async def ask(self, *messages):
        self.wire.send(envelope(*messages))
        opcode, payload = await self.frame()
        assert opcode == TEXT
        return json.loads(payload)

    async def session(self, *channels):
        client = (await self.ask(HANDSHAKE))[0]["clientId"]
        await self.ask(connect(client), *[subscribe(client, channel) for channel in channels])
        return client


class Carrier:
    """A listening port for the site, and what connects to it."""

    def __init__(self, scheme, certificate, site):
        self._cert, self._key = certificate
        self._scheme = scheme
        self._site = site
        self._wires = []

    async def start(self):
        text = (f"ssl:0:interface=127.0.0.1:privateKey={self._key}:certKey={self._cert}"
                if self._scheme == "ssl" else "tcp:0:interface=127.0.0.1")
        self.port = await serverFromString(reactor, text).listen(self._site)

    async def open(self):
        address = self.port.getHost()
        if self._scheme == "ssl":
            endpoint = SSL4ClientEndpoint(reactor, "127.0.0.1", address.port,
                                          CertificateOptions(verify=False))
        else:
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", address.port)
        wire = await connectProtocol(endpoint, Wire())
        self._wires.append(wire)
        return wire

    async def socket(self):
        frames = Frames(await self.open())
        await frames.open()
        return frames

    async def stop(self):
        for wire in self._wires:
            if not wire.closed:
                wire.transport.abortConnection()
        await self.port.stopListening()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    from tests.test_server import certificate as make

    return make.__wrapped__(tmp_path_factory.mktemp("tls"))


@pytest_twisted.async_yield_fixture(params=["tcp", "ssl"])
async def carrier(request, bayeux, site, certificate):
    bayeux.startService()
    carrier = Carrier(request.param, certificate, site)
    await carrier.start()
    yield carrier
    await carrier.stop()
    await condition(lambda: len(bayeux.resource.endpoint.streams) == 0)
    await bayeux.stopService()


@pytest_twisted.ensureDeferred
async def test_a_socket_by_a_real_socket(carrier, bayeux):
    """W-1, W-10: by TCP and by TLS."""
    frames = await carrier.socket()
    client = await frames.session("/news")
    bayeux.hub.publish("/news", 1)
    assert await frames.frame() == (TEXT, json.dumps([event(1)], separators=(",", ":")).encode())
    assert bayeux.hub.sessions.get(client).address == "127.0.0.1"


@pytest_twisted.ensureDeferred
async def test_a_close_by_a_real_socket_takes_no_time(carrier, bayeux):
    """RFC 6455, 7.1.1: TLS is closed too, and nothing has to be cut."""
    frames = await carrier.socket()
    await frames.session()
    frames.wire.send(close(1000))
    assert await frames.frame() == (CLOSE, b"\x03\xe8")
    assert await frames.wire.end() == b""
    assert frames.wire.reason.check(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_a_broken_rule_by_a_real_socket_takes_no_time(carrier, bayeux):
    """RFC 6455, 7.1.7: the reason arrives whole, although the peer has sent more than is read."""
    frames = await carrier.socket()
    await frames.session()
    frames.wire.send(frame("[]", opcode=3) + b"x" * 300_000)
    opcode, payload = await frames.frame()
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xea")
    await frames.wire.end()
    assert frames.wire.reason.check(ConnectionDone)
    await condition(lambda: len(bayeux.resource.endpoint.streams) == 0)


@pytest_twisted.ensureDeferred
async def test_an_eventsource_by_a_real_socket(carrier, bayeux):
    """F-2, F-3, F-8: by TCP and by TLS; and its end takes no time."""
    wire = await carrier.open()
    response = await wire.ask(post(HANDSHAKE))
    client, cookie = response.message["clientId"], response.header("set-cookie").partition(";")[0]
    await wire.ask(post(connect(client), subscribe(client)))
    stream = await carrier.open()
    stream.send(listen(client, cookie=cookie))
    await stream.until(lambda: b"retry: 5000\r\n\r\n" in stream.data)
    stream.data = b""
    bayeux.hub.publish("/news", 1)
    await stream.until(lambda: stream.data.endswith(b"\r\n\r\n"))
    assert stream.data == b'data: [{"channel":"/news","data":1}]\r\n\r\n'
    await wire.ask(post(disconnect(client)))
    await stream.end()


@pytest_twisted.ensureDeferred
async def test_much_goes_both_ways_by_a_real_socket(carrier, bayeux):
    """G-16: although the peer reads nothing for a while."""
    frames = await carrier.socket()
    client = await frames.session("/news")
    frames.wire.transport.pauseProducing()
    for number in range(100):
        bayeux.hub.publish("/news", [number, "x" * 60_000])
        if number % 10 == 0:
            pause = Deferred()
            reactor.callLater(0, pause.callback, None)
            await pause
    link = bayeux.hub.sessions.get(client).stream
    await condition(lambda: link.congested)
    frames.wire.transport.resumeProducing()
    numbers = []
    while len(numbers) < 100:
        _, payload = await frames.frame()
        numbers += [message["data"][0] for message in json.loads(payload)]
    assert numbers == list(range(100))
    frames.wire.send(*[envelope(publish(client, "y" * 60_000, "/other")) for _ in range(30)])
    for _ in range(30):
        assert json.loads((await frames.frame())[1])[0]["successful"]


@pytest_twisted.ensureDeferred
async def test_an_upgrade_behind_requests_whose_answers_are_not_read(carrier, bayeux):
    """K-16: what HTTP has stopped reading is read again."""
    wire = await carrier.open()
    await wire.ask(post(HANDSHAKE))
    wire.transport.pauseProducing()
    requests = b"GET /bayeux/client.js HTTP/1.1\r\nHost: x\r\n\r\n" * 200
    wire.send(requests + upgrade())
    await condition(lambda: len(bayeux.resource.endpoint.streams) == 1)
    wire.send(envelope(HANDSHAKE))
    wire.transport.resumeProducing()
    await wire.until(lambda: b"/meta/handshake" in wire.data)


@pytest_twisted.ensureDeferred
async def test_a_stop_closes_real_sockets(carrier, bayeux):
    """Q-10, W-9."""
    sockets = [await carrier.socket() for _ in range(3)]
    for frames in sockets:
        await frames.session()
    stopped = bayeux.stopService()
    for frames in sockets:
        opcode, payload = await frames.frame()
        assert (opcode, payload[:2]) == (CLOSE, b"\x03\xe9")
        frames.wire.send(close(1001))
        assert await frames.wire.end() == b""
    await stopped
