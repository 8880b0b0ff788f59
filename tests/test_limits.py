"""Rates and numbers of section 20, on the running site: at the limit, and one past it."""

import json

import pytest

from bayeux.settings import Settings, SettingsError
from tests.fakenet import HANDSHAKE as HELLO
from tests.fakenet import HTTP, Net, WebSocketClient
from tests.fakenet import connect as meta_connect
from tests.fakenet import post as request
from tests.test_resource import HANDSHAKE, connect, post, publish, subscribe
from tests.test_site import Server


def errors(connection, *messages):
    """Return the errors of a batch."""
    connection.send(post(*messages))
    return [message.get("error") for message in connection.messages if "successful" in message]


# -- messages a second ----------------------------------------------------------------------------


def test_a_session_may_send_so_many_messages():
    """G-17: the others of the batch are handled, connects are not counted, and it may go on in time."""
    server = Server(messages_per_second=1.0, messages_burst=3)
    client, other = server.client(), server.client()
    connection = server.connection()
    batch = [publish(client, number) for number in range(4)]
    assert errors(connection, *batch) == [None, None, None, "429::Too many requests"]
    assert server.hub.metrics.published == 3
    assert server.hub.metrics.limited == {"messages_per_second": 1}
    assert errors(connection, connect(client, advice={"timeout": 0})) == [None]
    assert errors(connection, publish(other, 1)) == [None]
    server.clock.advance(1)
    assert errors(connection, publish(client, 5)) == [None]


def test_a_refused_subscribe_says_what_it_was_about():
    """M-30: dojox knows its subscribes by that alone."""
    server = Server(messages_per_second=1.0, messages_burst=1)
    client, connection = server.client(), server.connection()
    connection.send(post(subscribe(client, "/a"), subscribe(client, "/b")))
    assert [message["subscription"] for message in connection.messages] == ["/a", "/b"]
    assert connection.messages[1]["error"] == "429::Too many requests"


def test_an_address_may_send_so_many_messages():
    """G-17: whatever they say of whom they are from."""
    server = Server(messages_per_second_per_address=1.0, messages_burst_per_address=3)
    connection = server.connection()
    found = errors(connection, *[publish("nobody", number) for number in range(5)])
    assert found[3:] == ["429::Too many requests"] * 2
    assert found[0].startswith("402:")
    assert server.hub.metrics.limited["messages_per_second_per_address"] == 2


def test_an_address_may_shake_hands_so_often():
    """G-18: the advice spreads those who come back (G-13)."""
    server = Server(handshakes_per_second_per_address=1.0, handshakes_burst_per_address=2)
    connection = server.connection()
    connection.send(post(HANDSHAKE), post(HANDSHAKE), post(HANDSHAKE))
    [reply] = connection.messages
    assert (reply["successful"], reply["error"]) == (False, "429::Too many requests")
    assert reply["advice"]["reconnect"] == "handshake"
    assert 1000 <= reply["advice"]["interval"] <= 5000
    assert len(server.hub.sessions) == 2
    assert server.hub.metrics.limited == {"handshakes_per_second_per_address": 1}


def test_who_goes_on_is_refused_whole():
    """G-17: by 429, with nothing handled; others are served."""
    server = Server(messages_per_second=1.0, messages_burst=1, max_refused=3)
    client, other = server.client(), server.client()
    connection = server.connection()
    for number in range(5):
        connection.send(post(publish(client, number)))
    assert connection.statuses == [200, 200, 200, 200, 429]
    assert server.hub.metrics.refused[429] == 1
    connection.send(post(publish(other, 1)))
    assert connection.statuses[-1] == 200


def test_a_socket_that_goes_on_is_closed():
    """G-17: with 1008."""
    net = Net(messages_per_second=1.0, messages_burst=1, max_refused=2)
    socket = WebSocketClient(net)
    client = socket.ask(HELLO)[0]["clientId"]
    for number in range(4):
        socket.send({"channel": "/news", "clientId": client, "data": number})
    assert socket.close_code() == 1008
    net.stop()


# -- connects a second ----------------------------------------------------------------------------


def test_a_client_that_does_not_wait_is_made_to():
    """G-25: beyond the burst a connect that would be answered at once is answered late."""
    net = Net(connects_per_second=10.0, connects_burst=5)
    http = HTTP(net)
    client = http.ask(request(HELLO)).messages[0]["clientId"]
    answered = 0
    for _ in range(20):
        http.send(request(meta_connect(client, advice={"timeout": 0})))
        if not http.responses():
            break
        answered += 1
    assert 5 <= answered <= 7
    net.advance(1)
    [late] = http.responses()
    assert late.messages[0]["successful"] is True
    assert net.hub.metrics.limited["connects_per_second"] > 0
    net.stop()


def test_a_client_that_is_sent_events_is_not_held_back():
    """G-25: each of its connects is answered because there is news."""
    net = Net(connects_per_second=1.0, connects_burst=2)
    http = HTTP(net)
    client = http.ask(request(HELLO)).messages[0]["clientId"]
    http.ask(request({"channel": "/meta/subscribe", "clientId": client, "subscription": "/news"}))
    http.ask(request(meta_connect(client)))
    for number in range(30):
        net.publish(number)
        assert http.ask(request(meta_connect(client))).messages[0]["data"] == number
    assert net.hub.metrics.limited["connects_per_second"] == 0
    net.stop()


# -- connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["max_connections", "max_connections_per_address"])
def test_so_many_connections(setting):
    """G-19: one more is cut, and one that ends makes room, whatever it had become."""
    server = Server(**{setting: 2})
    first, second, third = (server.connection_or_none() for _ in range(3))
    assert third is None
    assert server.hub.metrics.limited == {setting: 1}
    first.transport.lose()
    fourth = server.connection_or_none()
    fourth.send(post(HANDSHAKE))
    assert fourth.statuses == [200]
    second.send(post(method="GET", path="/nowhere", body=b"", content_type=None))
    assert second.statuses == [404]
    second.transport.lose()
    assert server.connection_or_none() is not None
    assert server.connection_or_none() is None


def test_a_connection_that_never_asks_anything_valid_is_closed():
    """G-21: though it keeps asking."""
    server = Server(header_timeout=10.0)
    connection = server.connection()
    for _ in range(9):
        connection.send(post(body=b"nonsense"))
        server.clock.advance(1)
    assert not connection.closed
    connection.send(post(body=b"nonsense"))
    server.clock.advance(1.5)
    assert connection.closed


def test_one_valid_request_makes_it_a_client():
    """G-21."""
    server = Server(header_timeout=10.0)
    connection = server.connection()
    connection.send(post(HANDSHAKE))
    server.clock.advance(11)
    assert not connection.closed


# -- proxies --------------------------------------------------------------------------------------


def address_of(server, **headers):
    """Return which address a session gets that comes with these headers."""
    connection = server.connection()
    connection.send(post(HANDSHAKE, **headers))
    return server.hub.sessions.get(connection.messages[0]["clientId"]).address


@pytest.mark.parametrize(("forwarded", "address"), [
    ("198.51.100.1", "198.51.100.1"),
    ("203.0.113.9, 198.51.100.1", "198.51.100.1"),
    ("198.51.100.1, 10.0.0.5", "198.51.100.1"),
    ("6.6.6.6, 198.51.100.1, 10.0.0.5, 10.0.0.6", "198.51.100.1"),
    ("198.51.100.1:4711", "198.51.100.1"),
    ("[2001:db8::1]:4711", "2001:db8::1"),
    ("2001:DB8::1", "2001:db8::1"),
    ("nonsense", "192.0.2.7"),
    ("198.51.100.1, nonsense", "192.0.2.7"),
    ("", "192.0.2.7"),
    (None, "192.0.2.7"),
])
def test_a_trusted_proxy_says_whose_a_request_is(forwarded, address):
    """O-8: the first from the right that is no trusted proxy; what is left of it anybody can write."""
    server = Server(trusted_proxies=("192.0.2.7", "10.0.0.0/8"))
    assert address_of(server, x_forwarded_for=forwarded) == address


def test_nobody_else_is_believed():
    """O-8."""
    server = Server(trusted_proxies=("192.0.2.8",))
    assert address_of(server, x_forwarded_for="198.51.100.1", x_forwarded_proto="https") == "192.0.2.7"
    assert address_of(Server(), x_forwarded_for="198.51.100.1") == "192.0.2.7"


def test_two_clients_of_one_proxy_by_one_connection():
    """O-8: the head that is known is that of one of them."""
    server = Server(trusted_proxies=("192.0.2.7",))
    connection, found = server.connection(), []
    for client in ("198.51.100.1", "198.51.100.2", "198.51.100.2", "198.51.100.1"):
        connection.send(post(HANDSHAKE, x_forwarded_for=client))
        found.append(server.hub.sessions.get(connection.messages[0]["clientId"]).address)
    assert found == ["198.51.100.1", "198.51.100.2", "198.51.100.2", "198.51.100.1"]


@pytest.mark.parametrize(("trusted", "origin", "status"), [
    (("192.0.2.7",), "https://live.example.org", 200), (("192.0.2.7",), "http://live.example.org", 403),
    (("192.0.2.7",), "https://127.0.0.1", 403), ((), "https://live.example.org", 403),
    ((), "http://127.0.0.1", 200)])
def test_the_own_origin_is_what_a_trusted_proxy_says(trusted, origin, status):
    """O-8; and the cookie is for https alone then (B-1)."""
    server = Server(trusted_proxies=trusted)
    connection = server.connection()
    connection.send(post(HANDSHAKE, origin=origin, x_forwarded_proto="https",
                         x_forwarded_host="live.example.org"))
    assert connection.statuses == [status]
    assert (b"; Secure" in connection.output) is (status == 200 and bool(trusted))


@pytest.mark.parametrize("rate", ["max_connections_per_address", "max_sessions_per_address"])
def test_a_trusted_proxy_is_not_one_client(rate):
    """G-13, G-19: those behind it are."""
    server = Server(trusted_proxies=("192.0.2.7",), **{rate: 1})
    for client in ("198.51.100.1", "198.51.100.2"):
        connection = server.connection()
        connection.send(post(HANDSHAKE, x_forwarded_for=client))
        assert connection.messages[0]["successful"] is True


# -- the PROXY protocol ---------------------------------------------------------------------------


V1 = b"PROXY TCP4 198.51.100.1 192.0.2.1 56324 443\r\n"
V1_LONG = b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2 = SIGNATURE + b"\x21\x11\x00\x0c" + bytes([198, 51, 100, 1, 192, 0, 2, 1]) + b"\xdc\x04\x01\xbb"
V2_LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


def proxied(**settings):
    return Server(proxy_protocol=True, trusted_proxies=("192.0.2.7",), **settings)


@pytest.mark.parametrize(("header", "address"), [
    (V1, "198.51.100.1"), (V1_LONG, "2001:db8::1"), (V2, "198.51.100.1"), (V2_LOCAL, "192.0.2.7"),
    (b"PROXY UNKNOWN\r\n", "192.0.2.7")])
def test_a_proxy_says_at_the_beginning_whose_a_connection_is(header, address):
    """O-8: however its bytes are cut."""
    data = header + post(HANDSHAKE)
    for pieces in ([data], [data[at:at + 1] for at in range(len(data))], [header, post(HANDSHAKE)]):
        server = proxied()
        connection = server.connection()
        connection.send(*pieces)
        client = json.loads(connection.output.rpartition(b"\r\n\r\n")[2])[0]["clientId"]
        assert server.hub.sessions.get(client).address == address


@pytest.mark.parametrize("header", [
    post(HANDSHAKE), b"PROXY TCP4 nonsense\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2" + b" " * 200,
    SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12), SIGNATURE + b"\x21\x11\xff\xff" + bytes(300),
    b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"])
def test_what_begins_otherwise_is_cut(header):
    """O-8: nothing of it is taken for a request."""
    server = proxied()
    connection = server.connection()
    connection.send(header, post(HANDSHAKE))
    assert connection.closed
    assert len(server.hub.sessions) == 0


def test_a_proxy_that_says_nothing_is_cut():
    """G-3."""
    server = proxied(header_timeout=10.0)
    connection = server.connection()
    connection.send(V1[:10])
    server.clock.advance(9)
    assert not connection.closed
    server.clock.advance(2)
    assert connection.closed


@pytest.mark.parametrize(("settings", "complaint"), [
    ({"proxy_protocol": True}, "proxy_protocol: is for the proxies that trusted_proxies names"),
    ({"trusted_proxies": ("localhost",)}, "trusted_proxies: must be addresses"),
    ({"listen": ("haproxy:tcp:8080",)}, "listen: 'haproxy:tcp:8080': instead of haproxy:")])
def test_settings_that_cannot_be_meant(settings, complaint):
    with pytest.raises(SettingsError) as error:
        Settings(**settings)
    assert str(error.value).startswith(complaint)
