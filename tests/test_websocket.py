"""The WebSocket transport, bytes in and bytes out: BAYEUX.md section 15; the frames are in test_rfc6455."""

import gc
import json
import tracemalloc
import zlib

import pytest
from twisted.internet.defer import Deferred

from bayeux import Policy
from bayeux.extensions import Extension
from bayeux.transports.websocket import WebSocket
from bayeux.web.site import BayeuxChannel
from tests.fakenet import (
    CLOSE,
    HANDSHAKE,
    HTTP,
    PING,
    PONG,
    TEXT,
    Net,
    WebSocketClient,
    close,
    connect,
    disconnect,
    envelope,
    event,
    frame,
    in_bayeux_site,
    in_site,
    parse_head,
    post,
    publish,
    request,
    script,
    subscribe,
    upgrade,
)


@pytest.fixture(params=[in_site, in_bayeux_site], ids=lambda door: door.__name__)
def door(request):
    return request.param


def start(net, *channels, **headers):
    """Open a socket with a session that is past its first connect, and subscribed; return both."""
    socket = WebSocketClient(net, **headers)
    (reply,) = socket.ask(HANDSHAKE)
    client = reply["clientId"]
    socket.ask(connect(client), *[subscribe(client, channel) for channel in channels])
    return socket, client


def poller(net, *channels, **headers):
    """Return the id of such a session that was opened by HTTP, without a cookie."""
    http = HTTP(net)
    client = http.ask(post(HANDSHAKE, **headers)).messages[0]["clientId"]
    http.ask(post(connect(client), *[subscribe(client, channel) for channel in channels], **headers))
    return client


def again(client):
    """Return a connect that is answered at once."""
    return connect(client, advice={"timeout": 0})


# -- the upgrade ----------------------------------------------------------------------------------


def test_the_answer_to_an_upgrade(door):
    """W-1, W-3; RFC 6455, 1.3: nothing but what is needed, and the offered subprotocol is ignored."""
    net = Net(door)
    head, rest = parse_head(_answer(net, upgrade(sec_websocket_protocol="bayeux, other")))
    assert rest == b""
    assert (head.status, head.headers) == (101, {
        "upgrade": "websocket", "connection": "Upgrade",
        "sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="})


def _answer(net, *pieces):
    wire = net.open()
    wire.send(*pieces)
    return wire.take()


@pytest.mark.parametrize("headers", [
    {"connection": "keep-alive, Upgrade"}, {"upgrade": "WebSocket"}, {"connection": "upgrade"},
    {"sec_websocket_extensions": "permessage-deflate; client_max_window_bits"},
    {"origin": "http://example.org"}, {"cookie": "BAYEUX_BROWSER=x"},
])
def test_what_browsers_and_libraries_send_is_a_valid_upgrade(headers):
    """W-1."""
    assert WebSocketClient(Net(), **headers).ask(HANDSHAKE)[0]["successful"]


@pytest.mark.parametrize("path", ["/bayeux", "/bayeux/", "/bayeux/handshake", "/bayeux?x=1"])
def test_an_upgrade_may_come_to_any_path_below(door, path):
    """W-1, L-1."""
    net = Net(door)
    wire = net.open()
    wire.send(upgrade().replace(b"GET /bayeux ", f"GET {path} ".encode()))
    assert parse_head(wire.take())[0].status == 101


@pytest.mark.parametrize("headers", [
    {"sec_websocket_key": None}, {"sec_websocket_key": ""}, {"sec_websocket_key": "no base64!"},
    {"sec_websocket_key": "c2hvcnQ="}, {"sec_websocket_key": "\xe9"},
    {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="},
    {"connection": None}, {"connection": "keep-alive"}, {"connection": ",,;"},
    {"upgrade": "websocket, h2c"}, {"sec_websocket_extensions": ";;;"}, {"sec_websocket_protocol": ";"},
])
def test_what_is_no_valid_upgrade_is_refused(headers):
    """W-1: and the connection goes on."""
    wanted = "bayeux" if "sec_websocket_protocol" in headers else ""
    http = HTTP(Net(websocket_compression=True, websocket_protocol=wanted))
    response = http.ask(upgrade(**headers))
    assert (response.status, response.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert http.ask(post(HANDSHAKE)).messages[0]["successful"]


@pytest.mark.parametrize("version", ["8", "14", "013", "", None])
def test_another_version_is_told_which_one_there_is(version):
    """W-1; RFC 6455, 4.4."""
    http = HTTP(Net())
    response = http.ask(upgrade(sec_websocket_version=version))
    assert response.status == 426
    assert response.headers["sec-websocket-version"] == "13"
    assert response.headers["upgrade"] == "websocket"
    assert http.ask(post(HANDSHAKE)).messages[0]["successful"]


def test_http_1_0_has_no_upgrade(door):
    """RFC 9110, 7.8."""
    net = Net(door)
    http = HTTP(net)
    assert http.ask(upgrade().replace(b"HTTP/1.1", b"HTTP/1.0")).status == 426
    assert http.wire.closed
    assert len(net.streams) == 0


def test_only_a_get_is_an_upgrade():
    """RFC 6455, 4.1."""
    http = HTTP(Net())
    assert http.ask(upgrade().replace(b"GET", b"POST", 1)).status == 400


def test_where_it_is_disabled_there_is_none():
    """W-1: and it is not advertised."""
    http = HTTP(Net(connection_types=("long-polling", "callback-polling")))
    assert http.ask(upgrade()).status == 400
    assert "websocket" not in http.ask(post(HANDSHAKE)).messages[0]["supportedConnectionTypes"]


@pytest.mark.parametrize("headers", [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "https://example.org"},
    {"origin": "http://example.org", "Origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"},
])
def test_a_page_of_another_site_gets_no_socket(headers):
    """O-7, O-4: cross-site WebSocket hijacking."""
    net = Net()
    response = HTTP(net).ask(upgrade(**headers))
    assert response.status == 403
    assert len(net.streams) == 0


def test_an_allowed_page_of_another_site_gets_one():
    """O-1, O-7."""
    net = Net(allowed_origins=("https://www.example.com",))
    WebSocketClient(net, origin="https://www.example.com")
    assert HTTP(net).ask(upgrade(origin="https://www.example.net")).status == 403


def test_a_required_origin_is_required_here_too():
    """O-6, O-7."""
    net = Net(require_origin=True)
    assert HTTP(net).ask(upgrade()).status == 403
    WebSocketClient(net, origin="http://example.org")


def test_a_server_that_stops_takes_no_more_sockets():
    """Q-10."""
    net = Net()
    net.hub.close()
    assert HTTP(net).ask(upgrade()).status == 503


@pytest.mark.parametrize("offered", ["bayeux.v1", "other, bayeux.v1"])
def test_a_configured_subprotocol_is_selected(offered):
    """W-3."""
    socket = WebSocketClient(Net(websocket_protocol="bayeux.v1"), sec_websocket_protocol=offered)
    assert socket.head.headers["sec-websocket-protocol"] == "bayeux.v1"


@pytest.mark.parametrize("offered", [None, "other", "Bayeux.v1"])
def test_who_does_not_offer_the_configured_subprotocol_is_refused(offered):
    """W-3."""
    http = HTTP(Net(websocket_protocol="bayeux.v1"))
    assert http.ask(upgrade(sec_websocket_protocol=offered)).status == 400


# -- bytes around the upgrade ---------------------------------------------------------------------


def read(wire):
    """Read what a fresh socket has got: the head, and the messages behind it."""
    socket = WebSocketClient(wire.net, wire, open=False)
    socket.opened()
    assert socket.head.status == 101
    return socket, socket.messages()


def test_frames_that_come_with_the_upgrade_are_read(door):
    """In one read."""
    wire = Net(door).open()
    wire.send(upgrade() + envelope(HANDSHAKE) + envelope(connect("nobody")))
    assert [reply["successful"] for reply in read(wire)[1]] == [True, False]


def test_an_upgrade_may_come_byte_by_byte(door):
    """With a frame behind it."""
    wire = Net(door).open()
    wire.send(*[bytes([byte]) for byte in upgrade() + envelope(HANDSHAKE)])
    assert read(wire)[1][0]["successful"]


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_frame_may_be_split_around_the_upgrade(door, cut):
    """Its first bytes come with the request."""
    wire = Net(door).open()
    text = envelope(HANDSHAKE)
    wire.send(upgrade() + text[:cut], text[cut:])
    assert read(wire)[1][0]["successful"]


@pytest.mark.parametrize("together", [True, False])
def test_an_upgrade_may_have_a_body(door, together):
    """RFC 9110 lets it; the frames begin behind it."""
    wire = Net(door).open()
    head = upgrade(content_length="5")
    wire.send(*([head + b"hello" + envelope(HANDSHAKE)] if together else
                [head, b"hel", b"lo", envelope(HANDSHAKE)]))
    assert read(wire)[1][0]["successful"]


def test_an_upgrade_may_have_a_chunked_body(door):
    """RFC 9110."""
    wire = Net(door).open()
    wire.send(upgrade(transfer_encoding="chunked") + b"3\r\nabc\r\n0\r\n\r\n" + envelope(HANDSHAKE))
    assert read(wire)[1][0]["successful"]


def test_an_upgrade_may_follow_other_requests(door):
    """On one connection."""
    http = HTTP(Net(door))
    assert http.ask(post(HANDSHAKE)).messages[0]["successful"]
    http.send(upgrade())
    http.send(envelope(HANDSHAKE))
    assert read(http.wire)[1][0]["successful"]


def test_an_upgrade_may_be_pipelined_behind_another_request(door):
    """In one read, frames included."""
    wire = Net(door).open()
    wire.send(post(HANDSHAKE) + upgrade() + envelope(HANDSHAKE))
    data = wire.take()
    first, rest = parse_head(data)
    assert first.status == 200
    rest = rest[int(first.headers["content-length"]):]
    second, frames = parse_head(rest)
    assert second.status == 101
    assert b'"successful":true' in frames


def test_an_upgrade_releases_a_held_connect_before_it(door):
    """K-16."""
    net = Net(door)
    client = poller(net)
    wire = net.open()
    wire.send(post(connect(client, id="held")))
    assert wire.take() == b""
    wire.send(upgrade() + envelope(HANDSHAKE))
    first, rest = parse_head(wire.take())
    assert b'"id":"held"' in rest
    second, frames = parse_head(rest[int(first.headers["content-length"]):])
    assert (second.status, b'"successful":true' in frames) == (101, True)


def test_what_http_limits_in_time_is_over_with_the_upgrade(door):
    """G-3: a socket may be silent for longer than a request may take."""
    net = Net(door, header_timeout=1.0, body_timeout=1.0, websocket_ping_interval=1000.0)
    socket, client = start(net)
    socket.send(connect(client))
    net.advance(25)
    assert socket.ask(publish(client))[0]["successful"]


def test_nothing_of_http_is_kept_for_an_open_socket():
    """A parser with its buffers would be the most of an idle client."""
    def channels():
        gc.collect()
        return [each for each in gc.get_objects() if type(each) is BayeuxChannel]

    others = channels()
    net = Net()
    socket, _ = start(net)
    assert [each for each in channels() if each not in others] == []
    assert len(net.site.channels) == 0
    assert not socket.wire.closed


def test_a_policy_sees_the_headers_of_the_upgrade():
    """W-20: long after; of the handshake of WebSockets nothing is left."""
    seen = []

    class Curious(Policy):
        def can_handshake(self, message, link):
            names = "authorization", "x-a", "x-b", "sec-websocket-key", "sec-websocket-version"
            seen.append((link.connection_type, link.address, link.browser_id, *map(link.header, names)))
            return True

    net = Net(policy=Curious())
    WebSocketClient(net, authorization="Bearer \xe9", x_a="x-b", cookie="BAYEUX_BROWSER=0123456789abcdef"
                    ).ask(HANDSHAKE)
    assert seen == [("websocket", "192.0.2.7", "0123456789abcdef", "Bearer \xe9", "x-b", "", "", "")]


def test_the_sessions_of_a_socket_count_for_its_address():
    """G-13."""
    net = Net(max_sessions_per_address=1)
    WebSocketClient(net).ask(HANDSHAKE)
    (reply,) = WebSocketClient(net).ask(HANDSHAKE)
    assert reply["error"] == "503::Server too busy"
    assert reply["advice"]["interval"] >= 1000


# -- envelopes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "code"), [
    (frame("not JSON"), 1007), (frame(""), 1007), (frame('"text"'), 1007), (frame("[1"), 1007),
    (frame("[NaN]"), 1007), (frame("[" * 65 + "]" * 65), 1007),
    (frame(b'[{"channel":"/\xff"}]'), 1007), (frame(b"[]", 2), 1003),
    (frame(json.dumps([{}] * 101)), 1008),
])
def test_an_envelope_that_cannot_be_answered_closes_the_socket(data, code):
    """W-2, W-9, G-5, G-6: with a reason, and the session lives on."""
    net = Net()
    socket, client = start(net)
    socket.wire.send(data)
    assert socket.close_code() == code
    assert net.hub.metrics.closed == {code: 1}
    assert net.session(client) is not None
    assert WebSocketClient(net).ask(again(client))[0]["successful"]


def test_reasons_for_closing_say_nothing_of_what_was_sent():
    """W-9, G-23."""
    socket, _ = start(Net())
    socket.wire.send(frame("secret" * 1000))
    ((opcode, payload),) = socket.frames()
    assert opcode == CLOSE
    assert 2 < len(payload) <= 125
    assert b"secret" not in payload


def test_an_empty_array_is_ignored():
    """M-4: old Faye clients keep connections alive by it."""
    socket, client = start(Net())
    socket.wire.send(frame("[]"))
    assert socket.frames() == []
    assert socket.ask(publish(client))[0]["successful"]


def test_a_byte_order_mark_is_tolerated():
    """M-9."""
    socket, client = start(Net())
    socket.wire.send(frame("\ufeff" + json.dumps([publish(client)])))
    assert socket.messages()[0]["successful"]


def test_the_replies_to_an_envelope_come_in_one():
    """W-8."""
    socket, client = start(Net())
    socket.send(publish(client, id="1"), subscribe(client, id="2"), publish("x", id="3"))
    ((first, second, third),) = socket.envelopes()
    assert [first["id"], second["id"], third["id"]] == ["1", "2", "3"]


@pytest.mark.parametrize("size", [0, 94, 95, 96, 65_000, 65_504, 65_505, 65_506, 200_000])
def test_events_of_any_size_are_framed_as_short_as_possible(size):
    """RFC 6455, 5.2: the client checks."""
    net = Net()
    socket, _ = start(net, "/news")
    net.publish("x" * size)
    assert socket.messages() == [event("x" * size)]


def test_an_event_is_framed_once_for_all(monkeypatch):
    """D-5."""
    from bayeux.transports import websocket

    framed = []
    original = websocket._text_frame
    monkeypatch.setattr(websocket, "_text_frame", lambda text: framed.append(text) or original(text))
    net = Net()
    sockets = [start(net, "/news")[0] for _ in range(3)]
    framed.clear()
    net.publish({"a": 1})
    assert len(framed) == 1
    texts = [socket.wire.take() for socket in sockets]
    assert texts[0] == texts[1] == texts[2] == b'\x81\x24[{"channel":"/news","data":{"a":1}}]'


# -- sessions and sockets -------------------------------------------------------------------------


def test_a_message_of_a_session_binds_the_socket_to_it():
    """W-5, W-13: events are pushed from then on, before any connect."""
    net = Net()
    client = poller(net, "/news")
    net.publish(1)
    socket = WebSocketClient(net)
    reply, waiting = socket.ask(publish(client, channel="/other"))
    assert (reply["channel"], waiting) == ("/other", event(1))
    net.publish(2)
    assert socket.messages() == [event(2)]


def test_only_one_session_speaks_on_a_socket():
    """W-5."""
    net = Net()
    socket, client = start(net, "/news")
    other = poller(net)
    (reply,) = socket.ask(publish(other))
    assert reply["error"] == f"402:{other}:Unknown client ID"
    net.publish(1)
    assert socket.messages() == [event(1)]
    assert net.session(client).stream is not None


def test_a_connect_of_another_session_takes_the_socket():
    """W-6, H-16: Faye shakes hands elsewhere, and goes on here."""
    net = Net()
    socket, old = start(net, "/news")
    http = HTTP(net)
    client = http.ask(script({**HANDSHAKE, "supportedConnectionTypes": ["callback-polling"]})
                      ).messages[0]["clientId"]
    socket.ask(connect(client), subscribe(client, "/other"))
    net.hub.publish("/news", 1)
    net.publish(2, "/other")
    assert socket.messages() == [event(2, "/other")]
    assert net.session(old).stream is None


def test_a_handshake_on_a_bound_socket_binds_the_new_session():
    """W-6: the old one keeps its events, and expires."""
    net = Net()
    socket, old = start(net, "/news")
    socket.send(connect(old))
    (reply,) = socket.ask(HANDSHAKE)
    client = reply["clientId"]
    socket.ask(subscribe(client, "/other"))
    net.hub.publish("/news", 1)
    net.publish(2, "/other")
    assert socket.messages() == [event(2, "/other")]
    assert len(net.session(old).queue) == 1
    socket.ask(connect(client))
    socket.send(connect(client))
    net.advance(12)
    assert net.session(old) is None
    assert net.session(client) is not None


def test_a_handshake_that_fails_leaves_the_socket_bound():
    """W-6."""
    net = Net()
    socket, _ = start(net, "/news")
    assert not socket.ask({**HANDSHAKE, "version": "0.1"})[0]["successful"]
    net.publish(1)
    assert socket.messages() == [event(1)]


def test_the_old_socket_of_a_session_that_has_moved_is_closed():
    """W-7, K-12d: events go to the newest only, and its held connect is not answered."""
    net = Net()
    old, client = start(net, "/news")
    old.send(connect(client, id="held"))
    new = WebSocketClient(net)
    assert new.ask(again(client))[0]["successful"]
    assert old.frames() == [(CLOSE, b"\x03\xe8no session")]
    new.send(connect(client))
    net.publish(1)
    assert new.messages() == [event(1)]
    assert len(net.hub.sessions.holds) == 1


def test_a_socket_is_closed_when_its_session_goes_on_by_polling():
    """W-7, W-16."""
    net = Net()
    old, client = start(net, "/news")
    old.send(connect(client, id="held"))
    http = HTTP(net)
    (reply,) = http.ask(post(connect(client, advice={"timeout": 0}))).messages
    assert reply["advice"] == {"reconnect": "retry", "interval": 0, "timeout": 30_000}  # W-17
    assert old.close_code() == 1000
    http.send(post(connect(client)))
    net.publish(1)
    assert http.responses()[0].messages[0] == event(1)


def test_a_publish_by_polling_does_not_take_the_session_from_its_socket():
    """W-7: only a connect does."""
    net = Net()
    socket, client = start(net, "/news")
    (reply,) = HTTP(net).ask(post(publish(client, 1))).messages
    assert reply["successful"]
    assert socket.messages() == [event(1)]


def test_where_each_socket_must_shake_hands_a_session_cannot_move_to_one():
    """W-5."""
    net = Net(require_handshake_per_connection=True)
    client = poller(net)
    socket = WebSocketClient(net)
    for message in connect(client), publish(client):
        (reply,) = socket.ask(message)
        assert reply["error"] == f"402:{client}:Unknown client ID"
    own = socket.ask(HANDSHAKE)[0]["clientId"]
    assert socket.ask(connect(own))[0]["successful"]
    assert not socket.ask(connect(client))[0]["successful"]
    assert HTTP(net).ask(post(again(own))).messages[0]["successful"]


@pytest.mark.parametrize(("cookie", "allowed"), [
    ("0123456789abcdef", True), ("another0123456789", False), (None, False)])
def test_a_session_of_another_browser_cannot_be_taken(cookie, allowed):
    """B-2, W-16: the cookie of the upgrade counts."""
    net = Net()
    client = poller(net, cookie="BAYEUX_BROWSER=0123456789abcdef")
    socket = WebSocketClient(net, cookie=cookie and f"BAYEUX_BROWSER={cookie}")
    assert socket.ask(again(client))[0]["successful"] is allowed


def test_no_event_comes_before_the_reply_to_the_handshake():
    """W-13, H-10: nor with it."""

    class Greeter:
        def session_added(self, session):
            session.deliver("/hello", "you")

        def session_removed(self, session, reason):
            pass

    net = Net()
    net.hub.add_listener(Greeter())
    socket = WebSocketClient(net)
    socket.send(HANDSHAKE)
    (reply,), (greeting,) = socket.envelopes()
    assert reply["successful"]
    assert greeting == event("you", "/hello")


def test_a_push_does_not_end_the_held_connect():
    """W-10: which is answered when its time is up, alone."""
    net = Net()
    socket, client = start(net, "/news")
    socket.send(connect(client, id="3"))
    net.publish(1)
    net.publish(2)
    assert socket.envelopes() == [[event(1)], [event(2)]]
    net.advance(30)
    ((reply,),) = socket.envelopes()
    assert (reply["id"], reply["successful"]) == ("3", True)


def test_with_connect_only_delivery_events_end_the_connect():
    """W-11."""
    net = Net(meta_connect_deliver_only=True)
    socket, client = start(net, "/news")
    net.publish(1)
    assert socket.frames() == []
    socket.send(connect(client, id="3"))
    ((first, reply),) = socket.envelopes()
    assert (first, reply["id"]) == (event(1), "3")


def test_a_lazy_event_that_waits_goes_with_a_reply():
    """D-12, D-6."""
    net = Net()
    socket, client = start(net, "/news")
    net.publish("lazy", lazy=True)
    assert socket.frames() == []
    reply, lazy = socket.ask(publish(client, channel="/other"))
    assert (reply["channel"], lazy) == ("/other", event("lazy"))


# -- keeping alive --------------------------------------------------------------------------------


def test_an_idle_socket_is_pinged():
    """W-14: every 25 seconds."""
    net = Net(unbound_timeout=1.0, timeout=300.0)
    socket, client = start(net)
    socket.send(connect(client))
    net.advance(26)
    for _ in range(3):
        assert socket.frames()[-1] == (PING, b"")
        socket.wire.send(frame(b"", PONG))
        net.advance(25)
    assert not socket.wire.closed


def test_a_peer_that_does_not_answer_two_pings_is_cut():
    """W-14: the session may come back, and nothing that was queued is lost."""
    net = Net(timeout=300.0, unbound_timeout=25.0)
    socket, client = start(net, "/news")
    socket.send(connect(client))
    net.advance(74)
    assert [opcode for opcode, _ in socket.frames()] == [PING, PING]
    assert not socket.wire.closed
    net.advance(1)
    assert socket.wire.closed
    assert net.hub.metrics.unanswered_pings == 1
    net.publish(1)
    assert event(1) in WebSocketClient(net).ask(again(client))


def test_an_event_of_the_moment_in_which_the_peer_is_given_up_is_kept():
    """D-13: it must not be written to a connection that is being cut."""
    net = Net(timeout=300.0, unbound_timeout=25.0)
    socket, client = start(net, "/news")
    socket.send(connect(client))
    net.advance(40)
    net.reactor.callLater(35, net.hub.publish, "/news", 1)  # so it is before that, but goes out after it
    net.advance(35)
    assert socket.wire.closed
    assert len(net.session(client).queue) == 1


def test_any_sign_of_life_is_as_good_as_a_pong():
    """W-14."""
    net = Net(timeout=300.0)
    socket, client = start(net)
    socket.send(connect(client))
    for _ in range(8):
        net.advance(24)
        socket.frames()
        socket.wire.send(frame("[]"))
    assert not socket.wire.closed


def test_a_socket_without_a_session_is_closed():
    """G-21: and pings do not help."""
    net = Net()
    socket = WebSocketClient(net)
    for _ in range(9):
        net.advance(1)
        socket.wire.send(frame(b"", PING))
    assert [opcode for opcode, _ in socket.frames()] == [PONG] * 9
    net.advance(1)
    assert socket.close_code() == 1000


def test_a_handshake_that_an_application_thinks_about_may_take_longer():
    """G-21: the client has done its part."""
    answer = Deferred()

    class Slow(Policy):
        def can_handshake(self, message, link):
            return answer

    net = Net(policy=Slow())
    socket = WebSocketClient(net)
    socket.send(HANDSHAKE)
    net.advance(35)
    answer.callback(True)
    assert socket.messages()[0]["successful"]


def test_a_peer_that_does_not_read_is_not_spared_for_a_handshake_that_is_thought_about():
    """G-16."""

    class Slow(Policy):
        def can_handshake(self, message, link):
            return Deferred()

    net = Net(policy=Slow(), write_timeout=20.0)
    socket = WebSocketClient(net)
    socket.wire.stall()
    socket.send(HANDSHAKE)
    for _ in range(2):
        socket.wire.send(frame(b"*" * 125, PING) * 400)
    net.advance(20)
    assert socket.wire.closed
    assert net.hub.metrics.stalled == 1


def test_a_socket_that_is_unbound_by_a_disconnect_is_closed_after_a_while():
    """X-3, W-18: the client is to close; code 1000."""
    net = Net(unbound_timeout=5.0)
    socket, client = start(net)
    socket.send(connect(client))
    net.advance(12)
    socket.frames()
    socket.send(disconnect(client))
    socket.messages()
    net.advance(4.9)
    assert socket.frames() == []
    net.advance(0.1)
    assert socket.close_code() == 1000


def test_a_client_may_shake_hands_again_after_a_disconnect():
    """H-15: on the same socket, which then stays."""
    net = Net(unbound_timeout=5.0)
    socket, client = start(net)
    socket.ask(disconnect(client))
    client = socket.ask(HANDSHAKE)[0]["clientId"]
    socket.ask(connect(client))
    socket.send(connect(client))
    net.advance(9)
    assert not socket.wire.closed


# -- closing --------------------------------------------------------------------------------------


def test_a_close_of_the_client_is_answered_and_the_session_lives_on():
    """W-15: its held connect is gone, its events wait."""
    net = Net()
    socket, client = start(net, "/news")
    socket.send(connect(client))
    socket.wire.send(close(1001, "leaving"))
    assert socket.frames() == [(CLOSE, b"\x03\xe9leaving")]
    assert socket.wire.closed
    assert len(net.hub.sessions.holds) == 0
    net.publish(1)
    assert event(1) in WebSocketClient(net).ask(again(client))


def test_after_the_answer_to_a_close_nothing_is_written():
    """RFC 6455, 5.5.1; D-13: while that has not gone out yet, either."""
    net = Net()
    socket, client = start(net, "/news")
    socket.wire.stall()
    socket.wire.send(close(1000))
    net.publish(1)
    assert len(net.session(client).queue) == 1
    socket.wire.flow()
    assert socket.frames() == [(CLOSE, b"\x03\xe8")]
    assert socket.wire.closed


def test_messages_before_a_close_in_the_same_read_are_handled():
    """Of what comes behind it nothing is."""
    net = Net()
    socket, client = start(net)
    socket.wire.send(envelope(publish(client, id="1")) + close(1000) + envelope(publish(client, id="2")))
    (opcode, text), last = socket.frames()
    assert (opcode, b'"id":"1"' in text) == (TEXT, True)
    assert last == (CLOSE, b"\x03\xe8")
    assert net.hub.metrics.published == 1


def test_a_peer_that_does_not_answer_a_close_is_cut():
    """W-9: after two seconds."""
    net = Net()
    socket, _ = start(net)
    socket.wire.send(frame("nonsense"))
    assert socket.close_code() == 1007
    net.advance(1.9)
    assert not socket.wire.closed
    net.advance(0.1)
    assert socket.wire.closed


def test_a_peer_that_answers_a_close_is_rid_of_at_once():
    """RFC 6455, 7.1.1: the server closes the connection; and it answers no close with another."""
    socket, _ = start(Net())
    socket.wire.send(frame("nonsense"))
    assert socket.close_code() == 1007
    socket.wire.send(close(1007))
    assert socket.frames() == []
    assert socket.wire.closed


def test_a_socket_is_closed_once():
    """RFC 6455, 5.5.1: although the server stops just then."""
    net = Net()
    socket, _ = start(net)
    socket.wire.send(frame("nonsense"))
    net.bayeux.stopService()
    assert [opcode for opcode, _ in socket.frames()] == [CLOSE]
    assert net.hub.metrics.closed == {1007: 1}


def test_nothing_is_handled_after_the_server_has_closed():
    """RFC 6455, 5.5.1, 7.1.7."""
    net = Net()
    socket, client = start(net, "/news")
    socket.wire.send(frame("nonsense") + envelope(publish(client)))
    socket.send(publish(client))
    net.publish(1)
    assert [opcode for opcode, _ in socket.frames()] == [CLOSE]
    assert net.hub.metrics.published == 1


def test_a_message_that_makes_the_server_stop_is_not_answered_behind_the_close():
    """RFC 6455, 5.5.1."""
    net = Net()

    def stop(session, data):
        net.bayeux.stopService()

    net.hub.service("/service/stop", stop)
    socket, client = start(net)
    socket.send(publish(client, channel="/service/stop"))
    assert [opcode for opcode, _ in socket.frames()] == [CLOSE]


def test_a_stop_closes_every_socket_and_waits():
    """W-9, Q-10: until they are gone."""
    net = Net()
    sockets = [start(net)[0] for _ in range(3)]
    sockets.append(WebSocketClient(net))
    stopped = []
    net.bayeux.stopService().addCallback(stopped.append)
    assert [socket.close_code() for socket in sockets] == [1001] * 4
    assert not stopped
    for socket in sockets:
        assert not stopped
        socket.wire.send(close(1001))
    net.pump()
    assert stopped
    assert net.reactor.seconds() == 0


def test_a_stop_gives_a_slow_socket_its_time():
    """Q-10: what it was sent already, and the last word, get to it."""
    net = Net()
    socket, _ = start(net, "/news")
    socket.wire.stall()
    net.publish("x" * 70_000)
    net.bayeux.stopService()
    net.advance(1)
    assert not socket.wire.closed
    assert net.hub.metrics.stalled == 0
    socket.wire.flow()
    frames = socket.frames()
    assert len(frames[0][1]) > 70_000
    assert frames[-1][0] == CLOSE


def test_a_stop_does_not_wait_for_ever():
    """Q-10: for peers that neither read nor close."""
    net = Net()
    socket, _ = start(net, "/news")
    socket.wire.stall()
    net.publish("x" * 200_000)
    WebSocketClient(net)
    stopped = []
    net.bayeux.stopService().addCallback(stopped.append)
    net.advance(1.9)
    assert not stopped
    net.advance(0.2)
    assert stopped
    assert len(net.streams) == 0
    assert net.hub.sessions.is_idle()


# -- applications that take their time: W-21 ------------------------------------------------------


@pytest.fixture
def slow():
    """A server with a service that answers when a test lets it."""
    net = Net()
    net.answers = []

    def think(session, data):
        net.answers.append(Deferred())
        return net.answers[-1]

    net.hub.service("/service/slow", think)
    return net


def ids(messages):
    return [message.get("id") for message in messages]


def test_messages_behind_one_that_is_thought_about_wait_their_turn(slow):
    """W-21: their effects come in their order."""
    socket, client = start(slow, "/news")
    slowly = {"channel": "/service/slow"}
    socket.wire.send(envelope(publish(client, id="1", **slowly)) + envelope(publish(client, 2, id="2"))
                     + envelope(publish(client, id="3", **slowly)) + envelope(publish(client, 4, id="4")))
    assert socket.frames() == []
    assert slow.hub.metrics.published == 0
    slow.answers[0].callback(None)
    assert [ids(each) for each in socket.envelopes()] == [["1"], ["2", None]]
    assert slow.hub.metrics.published == 1
    slow.answers[1].callback(None)
    assert [ids(each) for each in socket.envelopes()] == [["3"], ["4", None]]


def test_a_socket_is_not_read_while_messages_wait(slow):
    """W-21, G-16: so what waits is bounded by what was read at once."""
    socket, client = start(slow)
    socket.send(publish(client, channel="/service/slow"))
    messages = [envelope(publish(client, "x" * 10_000, id=str(number))) for number in range(50)]
    socket.wire.send(b"".join(messages))
    assert len(socket.wire.end.coming) > 400_000
    slow.answers[0].callback(None)
    replies = socket.messages()
    assert ids(replies)[1:] == [str(number) for number in range(50)]


def test_a_socket_is_read_again_only_when_both_sides_keep_up(slow):
    """W-21, G-16: messages wait, and the peer does not read; whichever ends first is not enough."""
    for handled_first in True, False:
        socket, client = start(slow, "/news")
        socket.wire.stall()
        socket.wire.send(envelope(publish(client, channel="/service/slow"))
                         + envelope(publish(client, id="2")))
        for _ in range(4):
            slow.publish("x" * 30_000)
        assert socket.wire.end not in slow.reactor.readers
        if handled_first:
            slow.answers[-1].callback(None)
            slow.pump()
        else:
            socket.wire.flow()
        assert socket.wire.end not in slow.reactor.readers
        if handled_first:
            socket.wire.flow()
        else:
            slow.answers[-1].callback(None)
        assert socket.wire.end in slow.reactor.readers
        assert "2" in ids(socket.messages())


def test_a_ping_is_answered_while_an_application_thinks(slow):
    """W-14: as long as no message waits behind it."""
    socket, client = start(slow)
    socket.send(publish(client, channel="/service/slow"))
    socket.wire.send(frame(b"?", PING))
    assert socket.frames() == [(PONG, b"?")]


def test_a_peer_is_pinged_while_an_application_thinks(slow):
    """W-14: or nobody would notice that it is gone."""
    socket, client = start(slow)
    slow.session(client).grace = 1000.0
    socket.send(publish(client, channel="/service/slow"))
    slow.advance(11)
    assert socket.frames() == [(PING, b"")]


def test_events_are_pushed_while_an_application_thinks(slow):
    """W-10, D-14."""
    socket, client = start(slow, "/news")
    socket.send(publish(client, channel="/service/slow"))
    slow.publish(1)
    assert socket.messages() == [event(1)]


def test_a_socket_that_is_not_read_is_not_cut_for_silence(slow):
    """W-14, W-21: its pongs cannot be seen."""
    socket, client = start(slow)
    socket.send(publish(client, channel="/service/slow", id="1"))
    socket.send(publish(client, id="2"))
    for _ in range(10):
        slow.advance(9)
        HTTP(slow).ask(post(publish(client)))
    assert not socket.wire.closed
    slow.answers[0].callback(None)
    assert ids(m for m in socket.messages() if m["successful"]) == ["1", "2"]


def test_a_close_behind_a_message_that_is_thought_about(slow):
    """W-15, W-21: the answer is for nobody, but the session lives on."""
    socket, client = start(slow)
    socket.send(publish(client, channel="/service/slow"))
    socket.wire.send(close(1000))
    assert socket.wire.closed
    slow.answers[0].callback("answer")
    assert {"channel": "/service/slow", "data": "answer"} in WebSocketClient(slow).ask(again(client))


def test_a_socket_lost_while_an_application_thinks_harms_nobody(slow):
    """W-15, G-34: nor while messages wait behind it."""
    socket, client = start(slow)
    socket.send(publish(client, channel="/service/slow"))
    socket.send(publish(client))
    slow.lose()
    slow.answers[0].callback("answer")
    slow.advance(5)
    assert slow.hub.metrics.published == 0
    assert WebSocketClient(slow).ask(again(client))[0]["data"] == "answer"


def test_the_rest_of_a_batch_of_a_lost_socket_does_not_take_its_session_back(slow):
    """W-7, D-13: it has come back by another, and that is where its events go."""
    socket, client = start(slow, "/news")
    socket.send(publish(client, channel="/service/slow"), publish(client, channel="/other"))
    socket.wire.lose()
    new = WebSocketClient(slow)
    new.ask(again(client))
    slow.answers[0].callback(None)
    slow.publish(1)
    assert new.messages() == [event(1)]


def test_very_many_messages_may_wait(slow):
    """W-21: for applications that think about each, if only for no time."""

    async def quick(session, data):
        return None

    slow.hub.service("/service/quick", quick)
    socket, client = start(slow)
    socket.send(publish(client, channel="/service/slow", id=-1))
    messages = [envelope(publish(client, channel="/service/quick", id=number)) for number in range(500)]
    socket.wire.send(b"".join(messages))
    slow.answers[0].callback(None)
    assert ids(socket.messages()) == list(range(-1, 500))


def test_what_waits_is_dropped_when_a_message_closes_the_socket(slow):
    """W-9."""
    socket, client = start(slow)
    socket.send(publish(client, channel="/service/slow"))
    socket.wire.send(frame("nonsense") + envelope(publish(client)))
    assert socket.frames() == []
    slow.answers[0].callback(None)
    assert [opcode for opcode, _ in socket.frames()] == [TEXT, CLOSE]
    assert slow.hub.metrics.published == 0
    socket.wire.send(close(1007))
    assert socket.wire.closed


def test_a_connect_that_an_extension_thinks_about_is_answered_then():
    """XG: on its way out; an event meanwhile comes by itself."""
    answer = Deferred()

    class Slow(Extension):
        def outgoing(self, reply, call):
            return answer if reply.id == "slow" else None

    net = Net()
    net.hub.add_extension(Slow())
    socket, client = start(net, "/news")
    socket.send(connect(client, id="slow"))
    net.advance(30)
    socket.messages()
    net.publish(1)
    assert socket.messages() == [event(1)]
    answer.callback(None)
    assert ids(socket.messages()) == ["slow"]


def test_a_socket_lost_while_an_extension_thinks_about_a_reply_takes_no_event_along():
    """D-13, N-1."""
    answer = Deferred()

    class Slow(Extension):
        def outgoing(self, reply, call):
            return answer if reply.id == "slow" else None

    net = Net()
    net.hub.add_extension(Slow())
    socket, client = start(net, "/news")
    socket.send(connect(client, id="slow"))
    net.advance(30)
    socket.messages()
    socket.wire.lose()
    net.publish(1)
    answer.callback(None)
    assert len(net.session(client).queue) == 1
    net.advance(12)
    assert net.session(client) is None


def test_a_session_that_moves_while_an_extension_thinks_about_a_reply_expires():
    """Q-2: unless it connects where it is now."""
    answer = Deferred()

    class Slow(Extension):
        def outgoing(self, reply, call):
            return answer if reply.id == "slow" else None

    net = Net(unbound_timeout=100.0)
    net.hub.add_extension(Slow())
    socket, client = start(net, "/news")
    socket.send(connect(client, id="slow"))
    net.advance(30)
    moved = WebSocketClient(net)
    moved.ask(publish(client, channel="/other"))
    assert socket.frames()[-1] == (CLOSE, b"\x03\xe8no session")
    answer.callback(None)
    net.publish(1)
    assert moved.messages() == [event(1)]
    net.advance(12)
    assert net.session(client) is None


# -- permessage-deflate: W-4 ----------------------------------------------------------------------


class Deflating:
    """A client that compresses."""

    def __init__(self, net, offer="permessage-deflate"):
        self.socket = WebSocketClient(net, sec_websocket_extensions=offer)
        assert self.socket.head.headers["sec-websocket-extensions"].startswith("permessage-deflate")
        self._deflate = zlib.compressobj(wbits=-15)
        self._inflate = zlib.decompressobj(wbits=-15)

    def pack(self, text):
        data = self._deflate.compress(text) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(b"\0\0\xff\xff")
        return data[:-4]

    def framed(self, *messages):
        return frame(self.pack(json.dumps(messages).encode()), reserved=4)

    def send(self, *messages):
        self.socket.wire.send(self.framed(*messages))

    def messages(self):
        found = []
        for opcode, payload in self.socket.frames():
            assert opcode == TEXT | 0x40, (opcode, payload)
            found += json.loads(self._inflate.decompress(payload + b"\0\0\xff\xff"))
        return found

    def ask(self, *messages):
        self.send(*messages)
        return self.messages()

    def start(self, *channels):
        client = self.ask(HANDSHAKE)[0]["clientId"]
        self.ask(connect(client), *[subscribe(client, channel) for channel in channels])
        return client


def test_compression_is_off_unless_configured():
    """W-4."""
    socket = WebSocketClient(Net(), sec_websocket_extensions="permessage-deflate")
    assert "sec-websocket-extensions" not in socket.head.headers


def test_who_does_not_offer_compression_gets_none():
    """W-4."""
    net = Net(websocket_compression=True)
    socket, _ = start(net, "/news")
    net.publish(1)
    assert socket.messages() == [event(1)]


def test_messages_are_compressed_both_ways():
    """W-4; RFC 7692: with a context that is kept from message to message."""
    net = Net(websocket_compression=True)
    client = Deflating(net)
    client.start("/news")
    plain, _ = start(net, "/news")
    sizes = []
    for number in range(3):
        net.publish({"text": "the same again " * 10, "number": number})
        before = len(client.socket.wire.end.taken)
        (message,) = client.messages()
        assert message["data"]["number"] == number
        assert plain.messages() == [message]
        sizes.append(before)
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("end, code", [(close(1000), 1000), (frame(b"", opcode=3), 1002),
                                       (frame(b"", opcode=2), 1003), (frame(b"\xff\xff", reserved=4), 1002)])
def test_a_compressed_message_before_the_end_is_answered(end, code):
    """W-9: in the same read, whether the client closes or breaks the rules."""
    net = Net(websocket_compression=True)
    client = Deflating(net)
    identity = client.start("/news")
    client.socket.wire.send(client.framed(publish(identity, id="1")) + end)
    *answers, (opcode, reason) = client.socket.frames()
    assert [opcode for opcode, _ in answers] == [TEXT | 0x40]
    assert (opcode, int.from_bytes(reason[:2], "big")) == (CLOSE, code)
    assert net.hub.metrics.published == 1


def test_a_ping_before_a_compressed_message_is_answered_once():
    """RFC 6455, 5.5.3."""
    client = Deflating(Net(websocket_compression=True))
    client.start()
    client.socket.wire.send(frame(b"x", PING) + client.framed(HANDSHAKE))
    assert [opcode & 15 for opcode, _ in client.socket.frames()] == [PONG, TEXT]


def test_a_message_that_is_not_compressed_may_come_among_others():
    """RFC 7692, 6."""
    client = Deflating(Net(websocket_compression=True))
    identity = client.start()
    client.socket.send(publish(identity, id="1"))
    assert client.messages()[0]["id"] == "1"
    assert client.ask(publish(identity, id="2"))[0]["id"] == "2"


def test_a_compressed_message_may_come_in_fragments_and_bytes():
    """RFC 7692, 6.2; with a ping in between."""
    client = Deflating(Net(websocket_compression=True))
    packed = client.pack(json.dumps([HANDSHAKE]).encode())
    data = (frame(packed[:5], fin=False, reserved=4) + frame(b"?", PING)
            + frame(packed[5:9], 0, fin=False) + frame(packed[9:], 0))
    client.socket.wire.send(*[bytes([byte]) for byte in data])
    pong, (opcode, _) = client.socket.frames()
    assert (pong, opcode) == ((PONG, b"?"), TEXT | 0x40)


@pytest.mark.parametrize(("packed", "code"), [(b"\xff\xff\xff", 1002), (zlib.compress(b"x" * 99), 1002)])
def test_what_cannot_be_inflated_closes_the_socket(packed, code):
    """RFC 7692."""
    client = Deflating(Net(websocket_compression=True))
    client.start()
    client.socket.wire.send(frame(packed, reserved=4))
    assert client.socket.close_code() == code


def test_a_message_may_be_inflated_up_to_the_limit():
    """G-7, W-4: exactly."""
    net = Net(websocket_compression=True, websocket_max_message=10_000, max_message=20_000)
    for size, whole in (10_000, True), (10_001, False):
        client = Deflating(net)
        identity = client.start()
        text = json.dumps([publish(identity, id="1")]).encode().ljust(size)
        client.socket.wire.send(frame(client.pack(text), reserved=4))
        if whole:
            assert ids(client.messages()) == ["1"]
        else:
            assert client.socket.close_code() == 1009


def test_a_bomb_is_not_inflated():
    """W-4, G-7: a hundred megabytes in a hundred kilobytes."""
    net = Net(websocket_compression=True)
    client = Deflating(net)
    client.start()
    packer = zlib.compressobj(9, wbits=-15)
    packed = b"".join(packer.compress(b" " * 1_000_000) for _ in range(100))
    packed += packer.flush(zlib.Z_SYNC_FLUSH)[:-4]
    data = frame(packed, reserved=4)
    tracemalloc.start()
    try:
        client.socket.wire.send(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert client.socket.close_code() == 1009
    assert peak < 4_000_000


def many_bombs(client, count):
    """Return that many messages of almost a megabyte each, in a kilobyte each."""
    return b"".join(frame(client.pack(b"[]".ljust(1_000_000)), reserved=4) for _ in range(count))


def test_of_many_bombs_only_a_few_are_inflated_at_once():
    """W-4, G-16: however many come in one read."""
    net = Net(websocket_compression=True)
    client = Deflating(net)
    identity = client.start()
    data = many_bombs(client, 60)
    assert len(data) < 65_536
    tracemalloc.start()
    try:
        client.socket.wire.send(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000
    assert client.ask(publish(identity, id="1"))[0]["id"] == "1"


def test_of_many_bombs_only_a_few_wait_while_an_application_thinks():
    """W-21, G-16."""
    answer = Deferred()
    net = Net(websocket_compression=True)
    net.hub.service("/service/slow", lambda session, data: answer)
    client = Deflating(net)
    identity = client.start()
    client.send(publish(identity, channel="/service/slow", id="1"))
    last = json.dumps([publish(identity, id="2")]).encode()
    client.socket.wire.send(many_bombs(client, 60) + frame(client.pack(last), reserved=4))
    (link,) = net.streams._open
    assert sum(map(len, link._inbox)) < 6_000_000
    answer.callback(None)
    assert ids(client.messages()) == ["1", "2"]


# -- what is left ---------------------------------------------------------------------------------


def sockets():
    """Return the sockets that are anywhere in memory."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, WebSocket)]


@pytest.mark.parametrize("settings", [{}, {"websocket_compression": True}])
def test_nothing_is_left_of_sockets_that_are_gone(settings):
    """W-15, Q-4: of a thousand, closed in every way."""
    before = set(map(id, sockets()))
    net = Net(**settings)
    for number in range(1000):
        socket = WebSocketClient(net, sec_websocket_extensions="permessage-deflate")
        if not settings:
            client = socket.ask(HANDSHAKE)[0]["clientId"]
            socket.send(connect(client), subscribe(client))
            socket.send(connect(client))
        match number % 5:
            case 0:
                socket.wire.lose()
            case 1:
                socket.wire.send(close(1000))
            case 2:
                socket.wire.send(frame("nonsense"))
            case 3 if not settings:
                socket.send(disconnect(client))
            case 4:
                socket.wire.send(frame(b"half", fin=False)[:-1])
                socket.wire.lose()
    net.advance(60)
    assert len(net.streams) == 0
    assert net.hub.sessions.is_idle()
    assert net.reactor.getDelayedCalls() == []
    assert [each for each in sockets() if id(each) not in before] == []


def test_a_lost_socket_holds_nothing_of_what_was_read():
    """G-16: although the list of deadlines may know it for a while."""
    net = Net()
    start(net)
    socket = WebSocketClient(net)
    (link,) = [each for each in net.streams._open if each.session is None]
    socket.wire.send(frame(b"x" * 500_000, fin=False) + frame(b"x" * 400_000, 0)[:-1])
    socket.wire.lose()
    assert not any(getattr(link, name) for name in ("_partial", "_inbox", "_reader", "_unread"))


def test_an_idle_socket_keeps_no_reader():
    """Memory: not even one whose messages come in pieces."""
    net = Net()
    socket, client = start(net)
    (link,) = net.streams._open
    assert link._reader is None
    data = envelope(publish(client)) + frame(b"", PING) + envelope(publish(client))
    for cut in range(1, len(data)):
        socket.wire.send(data[:cut], data[cut:])
        assert link._reader is None
    assert len(socket.frames()) == 3 * (len(data) - 1)
    for size in 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537:
        socket.wire.send(frame(b"[]".ljust(size)))
        assert link._reader is None


@pytest.mark.parametrize("piece", [1, 7, 100, 150])
def test_what_sockets_send_at_the_same_time_is_not_mixed_up(piece):
    """Although they share what reads it."""
    net = Net()
    clients = [start(net) for _ in range(3)]
    streams = [b"".join(envelope(publish(client, id=f"{which}-{number}")) for number in range(5))
               for which, (_, client) in enumerate(clients)]
    for place in range(0, max(map(len, streams)), piece):
        for (socket, _), stream in zip(clients, streams, strict=True):
            socket.wire.send(stream[place:place + piece])
    for which, (socket, _) in enumerate(clients):
        assert ids(socket.messages()) == [f"{which}-{number}" for number in range(5)]


def test_what_sockets_send_in_fragments_is_not_mixed_up():
    """Each fragment comes whole."""
    net = Net()
    clients = [start(net) for _ in range(3)]
    texts = [json.dumps([publish(client, id=str(which))]) for which, (_, client) in enumerate(clients)]
    for (socket, _), text in zip(clients, texts, strict=True):
        socket.wire.send(frame(text[:9], fin=False))
    for which, ((socket, _), text) in enumerate(zip(clients, texts, strict=True)):
        socket.wire.send(frame(text[9:], 0))
        assert ids(socket.messages()) == [str(which)]
    assert all(link._partial is None for link in net.streams._open)


def test_what_sockets_compress_is_not_mixed_up():
    """W-4: each has a context of its own."""
    net = Net(websocket_compression=True)
    clients = [Deflating(net) for _ in range(3)]
    identities = [client.start() for client in clients]
    plain, other = start(net)
    for number in range(3):
        assert ids(plain.ask(publish(other, id=number))) == [number]
        for client, identity in zip(clients, identities, strict=True):
            (reply,) = client.ask(publish(identity, identity * 9, id=number))
            assert (reply["id"], reply["successful"]) == (number, True)


def test_readers_are_shared_and_few_are_kept():
    """Memory: one is enough for all whose messages come whole, and of many not all are kept."""
    net = Net()
    spare = net.bayeux.resource.endpoint._websockets._spare
    clients = [start(net) for _ in range(100)]
    assert len(spare) == 1
    for socket, client in clients:
        socket.wire.send(envelope(publish(client))[:20])
    for socket, client in clients:
        socket.wire.send(envelope(publish(client))[20:])
        assert socket.messages()[0]["successful"]
    assert len(spare) == 64


def test_refused_requests_leave_nothing():
    """W-1: whatever has been prepared for the socket."""
    net = Net()
    for headers in {"sec_websocket_key": None}, {"origin": "null"}, {"sec_websocket_version": "1"}:
        HTTP(net).ask(upgrade(**headers))
    HTTP(net).ask(request(path="/bayeux/nobody", accept="text/event-stream"))
    assert len(net.streams) == 0
    assert net.streams.deadlines._timer is None
