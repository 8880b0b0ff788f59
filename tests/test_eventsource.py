"""The EventSource transport, bytes in and bytes out: BAYEUX.md section 16."""

import json

import pytest

from tests.fakenet import (
    HANDSHAKE,
    HTTP,
    EventSourceClient,
    Net,
    WebSocketClient,
    connect,
    disconnect,
    event,
    frame,
    in_bayeux_site,
    in_site,
    listen,
    post,
    publish,
    script,
    subscribe,
)

COOKIE = "BAYEUX_BROWSER=0123456789abcdef"


@pytest.fixture(params=[in_site, in_bayeux_site], ids=lambda door: door.__name__)
def door(request):
    return request.param


def beat(client, **more):
    return connect(client, connectionType="eventsource", **more)


class Client:
    """A session in a browser, and the stream that listens for it."""

    def __init__(self, net, *channels, stream=True):
        self.net = net
        self.http = HTTP(net)
        self.id = self.ask(HANDSHAKE)[0]["clientId"]
        self.stream = EventSourceClient(net, self.id, cookie=COOKIE) if stream else None
        if stream:
            assert self.stream.head.status == 200
        self.ask(beat(self.id), *[subscribe(self.id, channel) for channel in channels])

    def ask(self, *messages):
        return self.http.ask(post(*messages, cookie=COOKIE)).messages


def status(net, client, **headers):
    """Return the status with which a stream is refused."""
    return HTTP(net).ask(listen(client, **headers)).status


# -- opening --------------------------------------------------------------------------------------


def test_the_head_of_a_stream(door):
    """F-2: without a length, and not to be buffered by anybody."""
    client = Client(Net(door))
    assert client.stream.head.headers == {
        "content-type": "text/event-stream", "cache-control": "no-cache, no-store",
        "x-accel-buffering": "no", "x-content-type-options": "nosniff", "connection": "close"}


def test_the_first_bytes_say_when_to_come_back():
    """F-2."""
    assert Client(Net()).stream.chunks() == [b"retry: 5000"]
    assert Client(Net(eventsource_retry=0.25)).stream.chunks() == [b"retry: 250"]


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html, text/event-stream;q=0.9"])
def test_a_stream_is_asked_for_by_its_type(accept):
    """F-2."""
    net = Net()
    client = Client(net, stream=False)
    wire = net.open()
    wire.send(listen(client.id, cookie=COOKIE).replace(b"text/event-stream", accept.encode()))
    assert wire.take().startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("path", ["/bayeux/{}", "/bayeux/{}?x=1", "/bayeux/a/{}"])
def test_the_last_segment_names_the_session(door, path):
    """F-2, L-1."""
    net = Net(door)
    client = Client(net, stream=False)
    wire = net.open()
    wire.send(listen("X", cookie=COOKIE).replace(b"/bayeux/X", path.format(client.id).encode()))
    assert wire.take().startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_stream_may_come_by_http_1_0(door):
    """F-2: which is what nginx speaks to servers unless told otherwise; its end is that of the connection."""
    net = Net(door)
    client = Client(net, "/news", stream=False)
    wire = net.open()
    wire.send(listen(client.id, cookie=COOKIE).replace(b"HTTP/1.1", b"HTTP/1.0"))
    net.publish(1)
    assert wire.take().endswith(b'retry: 5000\r\n\r\ndata: [{"channel":"/news","data":1}]\r\n\r\n')
    client.ask(disconnect(client.id))
    assert wire.closed


@pytest.mark.parametrize("name", ["nobody", "", "a%20b", "x" * 4000])
def test_an_unknown_client_gets_no_stream(name):
    """F-7: 404 keeps a browser from trying again."""
    http = HTTP(Net())
    response = http.ask(listen(name))
    assert response.status == 404
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert name not in response.body.decode() or not name
    assert http.ask(post(HANDSHAKE)).messages[0]["successful"]


@pytest.mark.parametrize("headers", [{}, {"cookie": "BAYEUX_BROWSER=another0123456789"}])
def test_another_browser_gets_no_stream(headers):
    """F-9, B-2: the clientId in the address is not enough."""
    net = Net()
    client = Client(net, stream=False)
    assert status(net, client.id, **headers) == 404
    assert net.session(client.id).stream is None


def test_a_client_that_sends_no_cookie_gets_its_stream(door):
    """F-9, B-2: it was given one with its handshake, and as a page of another site may not send it back."""
    net = Net(door)
    http = HTTP(net)
    client = http.ask(post(HANDSHAKE)).messages[0]["clientId"]
    assert net.session(client).browser_id is not None
    stream = EventSourceClient(net, client)
    http.ask(post(beat(client), subscribe(client, "/news")))
    net.publish(1)
    assert stream.messages() == [event(1)]


def test_a_client_without_its_cookie_gets_no_stream_where_one_is_required():
    """F-9, B-2."""
    net = Net(require_browser_cookie=True)
    client = HTTP(net).ask(post(HANDSHAKE)).messages[0]["clientId"]
    assert status(net, client) == 404


def test_a_client_that_has_once_sent_its_cookie_has_to(door):
    """F-9, B-2: by whatever request."""
    net = Net(door)
    response = HTTP(net).ask(post(HANDSHAKE))
    client, cookie = response.messages[0]["clientId"], response.headers["set-cookie"].partition(";")[0]
    HTTP(net).ask(post(beat(client), cookie=cookie))
    assert status(net, client) == 404
    assert EventSourceClient(net, client, cookie=cookie).head.status == 200


def test_a_session_without_a_cookie_needs_none():
    """F-9, B-7: as one that was opened by WebSocket."""
    net = Net()
    client = WebSocketClient(net).ask(HANDSHAKE)[0]["clientId"]
    assert EventSourceClient(net, client).head.status == 200


@pytest.mark.parametrize("headers", [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}])
def test_a_page_of_another_site_gets_no_stream(headers):
    """O-7."""
    net = Net()
    client = Client(net, stream=False)
    assert status(net, client.id, cookie=COOKIE, **headers) == 403
    assert net.session(client.id).stream is None


def test_an_allowed_page_of_another_site_may_read_its_stream():
    """O-3: or the browser would not let it."""
    net = Net(allowed_origins=("https://www.example.com",))
    client = Client(net, stream=False)
    stream = EventSourceClient(net, client.id, cookie=COOKIE, origin="https://www.example.com")
    assert stream.head.headers["access-control-allow-origin"] == "https://www.example.com"
    assert stream.head.headers["access-control-allow-credentials"] == "true"
    assert stream.head.headers["vary"] == "Origin"
    refused = HTTP(net).ask(listen("nobody", origin="https://www.example.com"))
    assert refused.headers["access-control-allow-origin"] == "https://www.example.com"


@pytest.mark.parametrize("allowed, shown", [(("*",), ""), (("*", "https://a.example"), COOKIE)])
def test_the_stream_of_a_page_that_nobody_has_named_shows_no_cookies(allowed, shown):
    """O-1: to whoever looks at the session's stream."""
    net = Net(allowed_origins=allowed)
    client = Client(net, stream=False)
    EventSourceClient(net, client.id, cookie=COOKIE, origin="https://a.example")
    assert net.session(client.id).stream.header("cookie") == shown


def test_a_server_that_stops_opens_no_stream():
    """Q-10."""
    net = Net()
    client = Client(net, stream=False)
    net.hub.close()
    assert status(net, client.id, cookie=COOKIE) == 503


def test_where_it_is_disabled_there_is_none():
    """F-2: and it is not advertised."""
    net = Net(connection_types=("websocket", "long-polling"))
    response = HTTP(net).ask(post(HANDSHAKE))
    assert "eventsource" not in response.messages[0]["supportedConnectionTypes"]
    client = response.messages[0]["clientId"]
    assert status(net, client, cookie=response.headers["set-cookie"].partition(";")[0]) == 405


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
def test_only_a_get_opens_a_stream(method):
    """F-2."""
    net = Net()
    client = Client(net, stream=False)
    wire = net.open()
    wire.send(listen(client.id, cookie=COOKIE).replace(b"GET", method.encode(), 1))
    assert wire.take().startswith((b"HTTP/1.1 405", b"HTTP/1.1 400"))
    assert net.session(client.id).stream is None


def test_a_stream_may_follow_other_requests(door):
    """On one connection, as browsers do."""
    net = Net(door)
    client = Client(net, "/news", stream=False)
    client.http.send(listen(client.id, cookie=COOKIE))
    net.publish(1)
    assert client.http.wire.take().endswith(b'data: [{"channel":"/news","data":1}]\r\n\r\n')


# -- events ---------------------------------------------------------------------------------------


def test_an_event_is_one_line():
    """F-3: an array, without a name, ended by an empty line."""
    net = Net()
    client = Client(net, "/news")
    client.stream.chunks()
    net.publish({"a": 1})
    assert client.stream.wire.take() == b'data: [{"channel":"/news","data":{"a":1}}]\r\n\r\n'


@pytest.mark.parametrize("text", ['{"a":\n 1}', '{\r\n"a"\r:1\n}', "[1,\n\n2]", '"\u2028\\n"'])
def test_line_ends_of_a_publisher_do_not_end_the_line(text):
    """F-3: JSON allows them between its tokens, and it is relayed as it came."""
    net = Net()
    client = Client(net, "/news")
    client.stream.chunks()
    envelope = '[{"channel":"/news","clientId":"' + client.id + '","data":' + text + "}]"
    HTTP(net).ask(post(cookie=COOKIE).partition(b"\r\n\r\n")[0].replace(
        b"content-length: 2", f"content-length: {len(envelope.encode())}".encode())
        + b"\r\n\r\n" + envelope.encode())
    assert client.stream.messages() == [event(json.loads(text))]


def test_events_that_wait_are_sent_when_the_stream_opens():
    """F-6, F-8."""
    net = Net()
    client = Client(net, "/news", stream=False)
    net.publish(1)
    net.publish(2)
    assert EventSourceClient(net, client.id, cookie=COOKIE).envelopes() == [[event(1), event(2)]]


def test_replies_come_with_the_post_and_events_with_the_stream():
    """F-4, F-6."""
    net = Net()
    client = Client(net, "/news")
    (reply,) = client.ask(publish(client.id, 1, id="1"))
    assert reply == {"channel": "/news", "id": "1", "successful": True}
    assert client.stream.messages() == [event(1)]


def test_without_a_stream_events_come_with_the_replies():
    """F-6, D-6."""
    net = Net()
    client = Client(net, "/news", stream=False)
    assert [message.get("data") for message in client.ask(publish(client.id, 1))] == [None, 1]


def test_a_lazy_event_comes_when_its_time_is_up():
    """D-12."""
    net = Net(max_lazy_timeout=3.0)
    client = Client(net, "/news")
    net.publish("lazy", lazy=True)
    net.advance(2.9)
    assert client.stream.messages() == []
    net.advance(0.1)
    assert client.stream.messages() == [event("lazy")]


def test_what_comes_on_a_stream_is_ignored():
    """There is nothing to be said on it."""
    net = Net()
    client = Client(net, "/news")
    client.stream.wire.send(post(publish(client.id, 1)), b"x" * 100_000, frame("[]"))
    assert client.stream.messages() == []
    net.publish(1)
    assert client.stream.messages() == [event(1)]


# -- heartbeats -----------------------------------------------------------------------------------


def test_connects_are_heartbeats():
    """F-5: answered at once, and advised to come at the rate at which others are held."""
    net = Net(timeout=20.0)
    client = Client(net)
    (reply,) = client.ask(beat(client.id, id="2"))
    assert reply == {"channel": "/meta/connect", "id": "2", "successful": True, "clientId": client.id,
                     "advice": {"reconnect": "retry", "interval": 20_000, "timeout": 0}}


def test_a_session_lives_as_long_as_its_heart_beats():
    """F-5, Q-3: every 30 seconds, with ten of grace."""
    net = Net()
    client = Client(net, "/news")
    for _ in range(4):
        net.advance(39)
        assert client.ask(beat(client.id))[0]["successful"]
    net.advance(42)
    assert net.session(client.id) is None
    assert client.stream.wire.closed


def test_a_lost_stream_can_be_opened_again():
    """F-8: as browsers do by themselves; nothing is missing."""
    net = Net()
    client = Client(net, "/news")
    net.publish(1)
    assert client.stream.messages() == [event(1)]
    client.stream.wire.lose()
    net.publish(2)
    again = EventSourceClient(net, client.id, cookie=COOKIE)
    net.publish(3)
    assert again.messages() == [event(2), event(3)]


def test_a_stream_may_be_opened_before_the_first_connect():
    """F-5, F-2: in the order in which Faye has it."""
    net = Net()
    http = HTTP(net)
    client = http.ask(post(HANDSHAKE, cookie=COOKIE)).messages[0]["clientId"]
    stream = EventSourceClient(net, client, cookie=COOKIE)
    http.ask(post(beat(client), subscribe(client), cookie=COOKIE))
    net.publish(1)
    assert stream.messages() == [event(1)]


def test_faye_shakes_hands_by_jsonp_and_listens_by_eventsource():
    """H-16, F-10."""
    net = Net()
    http = HTTP(net)
    client = http.ask(script(HANDSHAKE, cookie=COOKIE)).messages[0]["clientId"]
    stream = EventSourceClient(net, client, cookie=COOKIE)
    assert http.ask(post(beat(client), subscribe(client), cookie=COOKIE)).messages[0]["successful"]
    net.publish(1)
    assert stream.messages() == [event(1)]


# -- moving, and the end --------------------------------------------------------------------------


def test_a_second_stream_replaces_the_first():
    """F-7."""
    net = Net()
    client = Client(net, "/news")
    client.stream.chunks()
    second = EventSourceClient(net, client.id, cookie=COOKIE)
    assert client.stream.wire.closed
    net.publish(1)
    assert client.stream.wire.take() == b""
    assert second.messages() == [event(1)]


def test_a_stream_ends_with_its_session():
    """F-8: here by the client's wish."""
    net = Net()
    client = Client(net)
    client.ask(disconnect(client.id))
    assert client.stream.wire.closed
    assert len(net.streams) == 0


@pytest.mark.parametrize("end", ["disconnect", "expire"])
def test_a_stream_ends_when_the_server_ends_its_session(end):
    """F-8, X-6, Q-4: after what has been written."""
    net = Net()
    client = Client(net, "/news")
    net.publish(1)
    if end == "disconnect":
        net.session(client.id).disconnect()
    else:
        net.advance(42)
    assert client.stream.wire.closed
    assert client.stream.messages() == [event(1)]
    assert status(net, client.id, cookie=COOKIE) == 404


def test_a_stream_stands_aside_while_its_session_goes_on_by_long_polling():
    """W-7."""
    net = Net()
    client = Client(net, "/news")
    client.http.send(post(connect(client.id), cookie=COOKIE))
    net.publish(1)
    (response,) = client.http.responses()
    assert response.messages[0] == event(1)
    net.publish(2)
    assert client.ask(publish(client.id, 3))[1:] == [event(2), event(3)]
    assert client.stream.messages() == []
    assert not client.stream.wire.closed
    assert net.hub.sessions.by_transport == {"long-polling": 1, "eventsource": 0}


def test_faye_may_hear_late_that_its_stream_is_open():
    """It connects once more by what it has used before; neither an event nor the stream is lost by that."""
    net = Net()
    http = HTTP(net)
    client = http.ask(post(HANDSHAKE, cookie=COOKIE)).messages[0]["clientId"]
    http.ask(post(connect(client), subscribe(client), cookie=COOKIE))
    stream = EventSourceClient(net, client, cookie=COOKIE)
    http.send(post(connect(client), cookie=COOKIE))
    net.publish(1)
    assert http.responses()[0].messages[0] == event(1)
    net.publish(2)
    assert [reply["channel"] for reply in http.ask(post(beat(client), cookie=COOKIE)).messages] == [
        "/meta/connect"]
    assert stream.messages() == [event(2)]
    net.publish(3)
    assert stream.messages() == [event(3)]
    assert net.hub.sessions.by_transport == {"long-polling": 0, "eventsource": 1}


def test_a_held_connect_does_not_keep_its_events_from_a_stream_that_is_taken_up():
    net = Net()
    client = Client(net, "/news")
    client.http.send(post(connect(client.id), cookie=COOKIE))
    assert HTTP(net).ask(post(beat(client.id), cookie=COOKIE)).messages[0]["successful"]
    assert client.http.responses()[0].status == 409
    net.publish(1)
    assert client.stream.messages() == [event(1)]


@pytest.mark.parametrize("end", ["disconnect", "expire", "second", "websocket"])
def test_a_stream_that_stands_aside_ends_with_its_session_or_makes_room(end):
    """F-7, F-8."""
    net = Net()
    client = Client(net, "/news")
    client.ask(connect(client.id, advice={"timeout": 0}))
    if end == "disconnect":
        client.ask(disconnect(client.id))
    elif end == "expire":
        net.advance(62)
    elif end == "second":
        second = EventSourceClient(net, client.id, cookie=COOKIE)
        net.publish(1)
        assert second.messages() == [event(1)]
    else:
        WebSocketClient(net, cookie=COOKIE).send(connect(client.id, connectionType="websocket"))
    assert client.stream.wire.closed
    assert client.stream.messages() == []
    assert net.hub.sessions.take_up(net.session(client.id)) is None


def test_a_stream_that_is_lost_while_it_stands_aside_is_forgotten():
    """W-15: the held connect goes on, and a heartbeat finds nothing to take up."""
    net = Net()
    client = Client(net, "/news")
    client.http.send(post(connect(client.id), cookie=COOKIE))
    client.stream.wire.lose()
    net.publish(1)
    assert client.http.responses()[0].messages[0] == event(1)
    client.ask(beat(client.id))
    net.publish(2)
    assert client.ask(publish(client.id, 3))[1:] == [event(2), event(3)]


def test_the_loss_of_a_stream_that_stands_aside_does_not_prolong_its_session():
    """Q-3: it has been connecting by other means."""
    net = Net()
    client = Client(net)
    client.ask(connect(client.id, advice={"timeout": 0}))
    net.advance(net.hub.settings.max_interval - 0.5)
    client.stream.wire.lose()
    net.advance(2)
    assert net.session(client.id) is None


def test_a_stop_tells_who_listens_by_a_stream_that_stands_aside():
    """Q-10: with what is queued, as no connect is held that could."""
    net = Net()
    client = Client(net, "/news")
    client.ask(connect(client.id, advice={"timeout": 0}))
    net.publish(1)
    net.stop()
    first, last = client.stream.messages()
    assert first == event(1)
    assert last["advice"]["reconnect"] == "handshake"


def test_a_held_connect_has_what_a_stream_that_is_lost_has_not_taken():
    """W-15, G-16."""
    net = Net(write_timeout=5.0)
    client = Client(net, "/news", stream=False)
    client.http.send(post(connect(client.id), cookie=COOKIE))
    stream = EventSourceClient(net, client.id, cookie=COOKIE)
    stream.wire.stall()
    for number in range(50):
        net.publish(f"{number}{'.' * 10_000}")
    assert client.http.responses() == []
    net.advance(6)
    assert stream.wire.closed
    (response,) = client.http.responses()
    assert response.messages[-2]["data"].startswith("49.")


def test_a_stop_ends_every_stream():
    """Q-10."""
    net = Net()
    streams = [Client(net).stream for _ in range(3)]
    stopped = []
    net.bayeux.stopService().addCallback(stopped.append)
    assert all(stream.wire.closed for stream in streams)
    assert stopped


def test_a_stop_tells_who_listens_when_to_come_back():
    """Q-10: it has no connect that is held; and Faye would learn of it by its next one only."""
    net = Net(shutdown_spread=2.0)
    stream = Client(net).stream
    stream.messages()
    net.bayeux.stopService()
    (message,) = stream.messages()
    advice = message.pop("advice")
    assert message == {"channel": "/meta/connect", "successful": False, "error": "503::Server too busy"}
    assert advice.pop("reconnect") == "handshake"
    assert 0 <= advice.pop("interval") <= 2000
    assert advice == {}


def test_a_stream_that_is_closed_already_is_not_given_more_time():
    """G-16: because the server stops."""
    net = Net()
    client = Client(net, "/news")
    client.stream.wire.stall()
    net.publish("x" * 30_000)
    client.ask(disconnect(client.id))
    net.advance(1.5)
    net.bayeux.stopService()
    net.advance(0.5)
    assert client.stream.wire.closed


def test_a_comment_keeps_an_idle_stream_alive():
    """F-3: every 15 seconds."""
    net = Net(timeout=60.0)
    client = Client(net)
    client.stream.chunks()
    net.advance(14.9)
    assert client.stream.chunks() == []
    net.advance(0.1)
    assert client.stream.chunks() == [b":"]
    net.advance(45)
    assert client.stream.chunks() == [b":"] * 3


# -- acknowledged delivery ------------------------------------------------------------------------


def test_with_acknowledgement_events_do_not_come_by_the_stream():
    """XA-2, D-7: connects are held then, and the stream stays silent."""
    net = Net()
    http, other = HTTP(net), HTTP(net)
    client = http.ask(post({**HANDSHAKE, "ext": {"ack": True}}, cookie=COOKIE)).messages[0]["clientId"]
    stream = EventSourceClient(net, client, cookie=COOKIE)
    http.ask(post(beat(client), subscribe(client), cookie=COOKIE))
    http.send(post(beat(client, ext={"ack": 1}), cookie=COOKIE))
    other.ask(post(publish(client, 1), cookie=COOKIE))
    (response,) = http.responses()
    assert response.messages[0] == event(1)
    assert response.messages[1]["ext"] == {"ack": 2}
    assert stream.messages() == []


def test_nothing_is_left_of_streams_that_are_gone():
    """F-8, Q-4."""
    net = Net()
    for number in range(300):
        client = Client(net)
        if number % 2:
            client.stream.wire.lose()
        else:
            client.ask(disconnect(client.id))
        client.http.wire.lose()
    net.advance(60)
    assert len(net.streams) == 0
    assert net.hub.sessions.is_idle()
    assert net.reactor.getDelayedCalls() == []
