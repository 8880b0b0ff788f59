"""What is counted of traffic, and where: by clients of each transport, through both doors."""

import pytest

from bayeux.extensions import Extension
from tests.fakenet import (
    HANDSHAKE,
    HTTP,
    PING,
    Net,
    WebSocketClient,
    connect,
    disconnect,
    envelope,
    frame,
    in_bayeux_site,
    in_site,
    listen,
    post,
    publish,
    request,
    script,
    subscribe,
    upgrade,
)


@pytest.fixture(params=[in_site, in_bayeux_site], ids=lambda door: door.__name__)
def net(request):
    net = Net(request.param)
    net.advance(7)  # since no clock begins at nought
    return net


@pytest.fixture
def front():
    """Return a server with its own front door."""
    return Net(in_bayeux_site)


def poller(net, *channels, send=post):
    """Return a connection and the id of a session that is past its first connect, and subscribed."""
    http = HTTP(net)
    client = http.ask(send(HANDSHAKE)).messages[0]["clientId"]
    http.ask(send(connect(client), *[subscribe(client, channel) for channel in channels]))
    return http, client


def socket(net, *channels):
    socket = WebSocketClient(net)
    (reply,) = socket.ask(HANDSHAKE)
    client = reply["clientId"]
    socket.ask(connect(client), *[subscribe(client, channel) for channel in channels])
    return socket, client


def transports(net):
    return dict(+net.hub.sessions.by_transport)


def streams(net):
    return dict(+net.streams.by_transport)


# -- sessions by transport ------------------------------------------------------------------------


def test_sessions_are_counted_by_their_transport(net):
    poller(net)
    poller(net)
    poller(net, send=script)
    socket(net)
    assert transports(net) == {"long-polling": 2, "callback-polling": 1, "websocket": 1}


def test_a_session_that_listens_by_eventsource_is_one_of_that(net):
    http, client = poller(net)
    HTTP(net).send(listen(client))
    assert transports(net) == {"eventsource": 1}
    http.ask(post(connect(client, connectionType="eventsource")))
    assert transports(net) == {"eventsource": 1}


def test_a_session_that_moves_is_counted_where_it_is(net):
    _, client = poller(net)
    moved = WebSocketClient(net)
    moved.ask(connect(client, advice={"timeout": 0}))
    assert transports(net) == {"websocket": 1}
    HTTP(net).ask(post(connect(client, advice={"timeout": 0})))
    assert transports(net) == {"long-polling": 1}
    HTTP(net).ask(script(connect(client, advice={"timeout": 0})))
    assert transports(net) == {"callback-polling": 1}


def test_a_session_whose_stream_is_lost_is_still_of_that_until_it_comes_by_another(net):
    ws, client = socket(net)
    ws.wire.lose()
    assert transports(net) == {"websocket": 1}
    HTTP(net).send(post(connect(client)))
    assert transports(net) == {"long-polling": 1}


def test_a_session_that_ends_counts_no_more(net):
    _, client = poller(net)
    ws, other = socket(net)
    HTTP(net).ask(post(disconnect(client)))
    ws.send(disconnect(other))
    assert transports(net) == {}
    net.stop()
    assert net.hub.sessions.is_idle()


def test_what_was_not_told_which_it_was_is_a_sign_that_not_all_is_gone(net):
    """A session that were counted out by another transport than in would be noticed."""
    poller(net)
    net.hub.sessions.by_transport["websocket"] += 1
    net.stop()
    assert not net.hub.sessions.is_idle()


# -- streams --------------------------------------------------------------------------------------


def test_streams_are_counted_by_their_transport(net):
    ws, _ = socket(net)
    WebSocketClient(net)
    _, client = poller(net)
    HTTP(net).send(listen(client))
    assert streams(net) == {"websocket": 2, "eventsource": 1}
    ws.wire.lose()
    assert streams(net) == {"websocket": 1, "eventsource": 1}
    net.lose()
    assert streams(net) == {}


def test_a_stream_is_counted_out_once(net):
    WebSocketClient(net)
    [link] = net.streams._open
    net.streams.remove(link)
    net.lose()
    assert net.streams.by_transport["websocket"] == 0


# -- messages -------------------------------------------------------------------------------------


def sent(net):
    return net.hub.metrics.replies_sent, net.hub.metrics.events_sent


def test_replies_and_events_by_long_polling(net):
    http, client = poller(net, "/news")
    assert sent(net) == (3, 0)
    http.send(post(connect(client)))
    assert sent(net) == (3, 0)  # it is held
    net.publish(1)
    net.publish(2)  # waits for the next connect
    assert sent(net) == (4, 1)
    assert len(http.responses()) == 1
    http.ask(post(connect(client), subscribe(client, "/other")))
    assert sent(net) == (6, 2)


def test_a_connect_that_nobody_waits_for_any_more_is_not_sent(net):
    http, client = poller(net, "/news")
    http.send(post(connect(client)))
    http.wire.lose()
    net.publish(1)
    assert sent(net) == (3, 0)


def test_replies_and_events_by_websocket(net):
    ws, _ = socket(net, "/news")
    assert sent(net) == (3, 0)
    net.publish(1)
    assert sent(net) == (3, 1)
    for number in range(3):
        net.hub.publish("/news", number)
    net.pump()
    assert sent(net) == (3, 4)
    assert len(ws.messages()) == 4


def test_events_by_eventsource(net):
    _, client = poller(net, "/news")
    HTTP(net).send(listen(client))
    net.hub.publish("/news", 1)
    net.hub.publish("/news", 2)
    net.pump()
    assert sent(net) == (3, 2)


# -- bytes ----------------------------------------------------------------------------------------


def traffic(net):
    return net.hub.metrics.bytes_received, net.hub.metrics.bytes_sent


class Meter:
    """Counts what goes over the connections of a net, from the outside."""

    def __init__(self, net):
        self._net = net
        self._before = traffic(net)

    def read(self):
        now = traffic(self._net)
        return now[0] - self._before[0], now[1] - self._before[1]


def test_the_front_door_counts_requests_and_responses_whole(front):
    http, client = poller(front)
    meter = Meter(front)
    asked = post(connect(client, advice={"timeout": 0}))
    http.wire.send(asked)
    answered = http.wire.take()
    assert meter.read() == (len(asked), len(answered))


def test_it_counts_the_same_when_the_head_is_known_already(front):
    http, client = poller(front)
    asked = post(connect(client, advice={"timeout": 0}))
    http.ask(asked)
    meter = Meter(front)
    http.wire.send(asked)
    assert meter.read() == (len(asked), len(http.wire.take()))


def test_it_counts_what_it_refuses(front):
    wire = front.open()
    asked = request("POST", body=b"x", content_length=str(1 << 30))
    wire.send(asked)
    answered = wire.take()
    assert b" 413 " in answered
    assert traffic(front) == (len(asked), len(answered))


def test_it_counts_that_a_body_is_asked_for(front):
    wire = front.open()
    asked = request("POST", content_length="10", expect="100-continue", content_type="application/json")
    wire.send(asked)
    assert traffic(front) == (len(asked), len(wire.take()))


def test_in_an_application_bodies_are_counted():
    """twisted.web reads the rest."""
    net = Net(in_site)
    http, client = poller(net)
    meter = Meter(net)
    asked = post(connect(client, advice={"timeout": 0}))
    answered = http.ask(asked)
    assert meter.read() == (len(asked.partition(b"\r\n\r\n")[2]), len(answered.body))
    http.send(post(connect(client)))
    meter = Meter(net)
    net.advance(30)
    assert meter.read() == (0, len(http.responses()[0].body))


def test_frames_are_counted(net):
    ws, client = socket(net, "/news")
    meter = Meter(net)
    asked = envelope(publish(client))
    ws.wire.send(asked)
    assert meter.read() == (len(asked), len(ws.wire.take()))


def test_pings_and_pongs_are_counted(net):
    ws, _ = socket(net)
    meter = Meter(net)
    ws.wire.send(frame(b"hello", PING))
    net.advance(25)
    assert meter.read() == (len(frame(b"hello", PING)), len(ws.wire.take()))


def test_several_events_are_counted(net):
    ws, _ = socket(net, "/news")
    meter = Meter(net)
    net.hub.publish("/news", 1)
    net.hub.publish("/news", 2)
    written = ws.wire.take()
    assert meter.read() == (0, len(written))


def test_the_upgrade_is_counted_by_the_front_door(front):
    wire = front.open()
    asked = upgrade()
    wire.send(asked)
    assert traffic(front) == (len(asked), len(wire.take()))


def test_a_frame_that_comes_with_the_upgrade_is_counted_once(front):
    wire = front.open()
    asked = upgrade() + envelope(HANDSHAKE)
    wire.send(asked)
    assert traffic(front) == (len(asked), len(wire.take()))


def test_what_is_for_other_pages_is_not_counted(front):
    http = HTTP(front)
    assert http.ask(request(path="/other")).status == 404
    assert traffic(front) == (0, 0)


def test_what_is_counted_is_not_taken_back(front):
    """Or it would look as if the server had been started anew."""
    wire = front.open()
    whole, counted = post(HANDSHAKE) + request(path="/other"), [0]
    for number in range(len(whole)):
        wire.send(whole[number:number + 1])
        counted.append(traffic(front)[0])
    assert counted == sorted(counted)
    assert counted[-1] == len(post(HANDSHAKE))


def test_what_is_no_request_is_counted(front):
    front.open().send(b"POST /bayeux HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nbody")
    assert traffic(front)[0] == len(b"POST /bayeux HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nbody")


def test_server_sent_events_are_counted(net):
    _, client = poller(net, "/news")
    http = HTTP(net)
    http.send(listen(client))
    http.wire.take()
    meter = Meter(net)
    net.publish(1)
    net.advance(15)  # and a comment
    assert meter.read() == (0, len(http.wire.take()))


# -- from publish to write ------------------------------------------------------------------------


class Slow(Extension):
    """Takes a while over each reply to a connect."""

    def __init__(self, net, seconds):
        self._net = net
        self._seconds = seconds

    def outgoing(self, reply, call):
        if reply.channel == "/meta/connect":
            self._net.reactor.rightNow += self._seconds


def latency(net):
    return net.hub.metrics.latency


def test_a_delivery_to_whoever_waits_is_measured(net):
    http, client = poller(net, "/news")
    http.send(post(connect(client)))
    socket(net, "/news")
    net.hub.publish("/news", 1)
    net.reactor.rightNow += 0.03  # the turn goes on
    net.pump()
    assert latency(net).count == 2
    assert latency(net).sum == pytest.approx(0.06)


def test_each_event_is_measured(net):
    """From the first publish of the turn on."""
    socket(net, "/news")
    net.hub.publish("/news", 1)
    net.reactor.rightNow += 0.25
    net.hub.publish("/news", 2)
    net.pump()
    assert latency(net).count == 2
    assert latency(net).sum == pytest.approx(0.5)


def test_the_writing_itself_is_part_of_it(net):
    """A hundred clients at a time: whoever is written to late has waited for the others."""
    for _ in range(150):
        http, client = poller(net, "/news")
        http.send(post(connect(client)))
    net.hub.add_extension(Slow(net, 0.01))
    net.publish(1)
    assert latency(net).count == 150
    assert latency(net).sum == pytest.approx(100 * 1.0 + 50 * 1.5)


def test_what_waits_for_its_client_is_not_measured(net):
    http, client = poller(net, "/news")
    net.publish(1)
    net.advance(5)
    http.ask(post(connect(client)))
    assert latency(net).count == 0


def test_what_a_slow_stream_takes_later_is_not_measured(net):
    ws, _ = socket(net, "/news")
    ws.wire.stall()
    net.publish("x" * 70_000)
    assert latency(net).count == 1
    net.publish(2)
    net.advance(5)
    ws.wire.flow()
    assert latency(net).count == 1
    assert sent(net)[1] == 2
