"""proxied.py: connections of proxies that say first whose they are, by the PROXY protocol (BAYEUX.md O-8)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress

from bayeux.settings import Settings, SettingsError
from bayeux.transports import HTTPRequest
from bayeux.web.channel import Peer
from bayeux.web.proxied import BadHeader, read_header
from tests.fakenet import HANDSHAKE, HTTP, Net, WebSocketClient, post, request

PROXY = "192.0.2.7"
"""From which all connections of ``Net`` come."""
MOST = 16_384
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def binary(payload: bytes = b"", family: int = 0x11, command: int = 0x21, length: int | None = None) -> bytes:
    """Return a header of version 2."""
    size = len(payload) if length is None else length
    return SIGNATURE + bytes([command, family]) + size.to_bytes(2) + payload


def field(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2) + value


IPV4 = bytes([203, 0, 113, 5, 192, 0, 2, 1]) + (4_711).to_bytes(2) + (443).to_bytes(2)
IPV6 = (ip_address("2001:db8::5").packed + ip_address("2001:db8::1").packed
        + (4_711).to_bytes(2) + (443).to_bytes(2))
BY_TLS = field(0x20, b"\1\0\0\0\0" + field(0x21, b"TLSv1.3"))
TCP4 = b"PROXY TCP4 203.0.113.5 192.0.2.1 4711 443\r\n"
TCP6 = b"PROXY TCP6 2001:db8::5 2001:db8::1 4711 443\r\n"
LONGEST = b"PROXY UNKNOWN ".ljust(105, b"x") + b"\r\n"

TOLD = [
    pytest.param(TCP4, "203.0.113.5", False, id="1-TCP4"),
    pytest.param(TCP6, "2001:db8::5", False, id="1-TCP6"),
    pytest.param(b"PROXY TCP6 ::ffff:203.0.113.5 ::ffff:10.0.0.1 4711 443\r\n", "203.0.113.5", False,
                 id="1-TCP6 IPv4 by an IPv6 socket"),
    pytest.param(binary(ip_address("::ffff:203.0.113.5").packed + IPV6[16:], 0x21), "203.0.113.5", False,
                 id="2-TCP6 IPv4 by an IPv6 socket"),
    pytest.param(binary(IPV4), "203.0.113.5", False, id="2-TCP4"),
    pytest.param(binary(IPV6, 0x21), "2001:db8::5", False, id="2-TCP6"),
    pytest.param(binary(IPV4 + BY_TLS), "203.0.113.5", True, id="2-TCP4 by TLS"),
    pytest.param(binary(IPV6 + field(4, b"") + BY_TLS, 0x21), "2001:db8::5", True, id="2-TCP6 by TLS"),
    pytest.param(binary(IPV4 + field(0x20, b"\0\0\0\0\0")), "203.0.113.5", False, id="2-no TLS"),
    pytest.param(binary(IPV4 + field(0x20, b"\6\0\0\0\0")), "203.0.113.5", False, id="2-certificate, no TLS"),
    pytest.param(binary(IPV4 + field(0x20, b"")), "203.0.113.5", False, id="2-nothing of TLS"),
    pytest.param(binary(IPV4 + field(1, b"h2") + b"\0\0"), "203.0.113.5", False, id="2-less than a field"),
    pytest.param(binary(bytes(216), 0x31), "", False, id="2-UNIX"),
]
NOT_TOLD = [
    pytest.param(b"PROXY UNKNOWN\r\n", id="1-UNKNOWN"),
    pytest.param(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", id="1-UNKNOWN with addresses"),
    pytest.param(LONGEST, id="1-as long as may be"),
    pytest.param(binary(b"", 0, 0x20), id="2-LOCAL"),
    pytest.param(binary(IPV4, 0x11, 0x20), id="2-LOCAL with an address"),
    pytest.param(binary(b"\1\xff\xff garbage", 0xff, 0x20), id="2-LOCAL with garbage"),
    pytest.param(binary(b"", 0), id="2-unknown"),
    pytest.param(binary(b"\1\xff\xff garbage", 0), id="2-unknown with garbage"),
]
BAD = [
    pytest.param(text, id=f"1-{number}") for number, text in enumerate([
        b"PROXY \r\n", b"PROXY TCP4\r\n", b"PROXY UNKNOWNS\r\n", b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 x 2\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 localhost 1.2.3.4 1 2\r\n", b"PROXY TCP4 \xe9 1.2.3.4 1 2\r\n",
        b"PROXY UNKNOWN".ljust(106, b"x") + b"\r\n", b"PROXY UNKNOWN ".ljust(106, b"x") + b"\r\n",
        b"PROXY UNKNOWN ".ljust(107, b"x"), b"PROXY UNKNOWN\n".ljust(107, b"\n")])
] + [
    pytest.param(binary(IPV4, command=0x11), id="2-version 1"),
    pytest.param(binary(IPV4, command=0x22), id="2-another command"),
    pytest.param(binary(IPV4, 0x12), id="2-UDP"),
    pytest.param(binary(IPV4[:-1]), id="2-TCP4 cut"),
    pytest.param(binary(IPV6[:-1], 0x21), id="2-TCP6 cut"),
    pytest.param(binary(bytes(215), 0x31), id="2-UNIX cut"),
    pytest.param(binary(IPV4 + b"\1\0\1"), id="2-a field cut"),
] + [
    pytest.param(data, id=f"none-{number}") for number, data in enumerate([
        b"GET / HTTP/1.1\r\n", b"POST /bayeux HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n", b"proxy TCP4 ",
        b"PROXYTCP4", b"\r\n\r\nGET", b"\x16\x03\x01", b"\0", b" PROXY ", SIGNATURE[:-1] + b"\r"])
]

# -- headers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "address", "secure"), TOLD)
@pytest.mark.parametrize("rest", [b"", b"GET / HTTP/1.1\r\n", TCP4])
def test_a_header_tells_whose_a_connection_is(data: bytes, address: str, secure: bool, rest: bytes) -> None:
    header = read_header(data + rest, MOST)
    assert header is not None
    assert header.size == len(data)
    assert header.peer is not None
    assert (getattr(header.peer.address, "host", ""), header.peer.secure) == (address, secure)


@pytest.mark.parametrize("data", [TCP4, TCP6, binary(IPV4), binary(IPV6, 0x21)])
def test_a_header_tells_the_port(data: bytes) -> None:
    header = read_header(data, MOST)
    assert header is not None
    assert header.peer is not None
    assert header.peer.address.port == 4_711


def test_who_has_come_to_the_proxy_by_a_unix_socket_has_no_address() -> None:
    assert read_header(binary(bytes(216), 0x31), MOST) == (232, Peer(UNIXAddress(None), False))


@pytest.mark.parametrize("data", NOT_TOLD)
@pytest.mark.parametrize("rest", [b"", b"GET / HTTP/1.1\r\n"])
def test_a_header_may_tell_nothing(data: bytes, rest: bytes) -> None:
    assert read_header(data + rest, MOST) == (len(data), None)


@pytest.mark.parametrize("data", [parameter.values[0] for parameter in [*TOLD, *NOT_TOLD]])
def test_a_part_of_a_header_is_waited_for(data: Any) -> None:
    assert {read_header(data[:end], MOST) for end in range(len(data))} == {None}


@pytest.mark.parametrize("data", BAD)
def test_what_is_no_header_is_known_as_such(data: bytes) -> None:
    with pytest.raises(BadHeader) as error:
        read_header(data, MOST)
    assert error.value.limit == ""


def test_a_header_of_version_2_may_be_as_long_as_the_limit() -> None:
    """G-2."""
    assert read_header(binary(IPV4 + field(4, bytes(69))), 100) is not None


def test_a_longer_one_is_refused_before_it_has_come() -> None:
    """G-2."""
    with pytest.raises(BadHeader) as error:
        read_header(binary(IPV4, length=85), 100)
    assert error.value.limit == "max_header_bytes"


@given(st.one_of(st.binary(), st.binary().map(b"PROXY ".__add__), st.binary().map(SIGNATURE.__add__),
                 st.builds(binary, st.binary(), st.sampled_from([0, 0x11, 0x21, 0x31])),
                 st.builds(lambda more: binary(IPV4 + more), st.binary())))
def test_whatever_comes_is_a_header_or_none(data: bytes) -> None:
    try:
        header = read_header(data, MOST)
    except BadHeader:
        return
    assert header is None or 0 < header.size <= len(data)


# -- connections --------------------------------------------------------------------------------


class Proxied:
    """A server behind a proxy, and of each request who it is from, and whether by TLS."""

    def __init__(self, **settings: Any) -> None:
        self.net = Net(**{"trusted_proxies": (PROXY,), "proxy_protocol": True, **settings})
        self.endpoint = self.net.bayeux.resource.endpoint
        self.metrics = self.net.hub.metrics
        self.seen: list[tuple[str, bool]] = []
        polling = self.endpoint.polling
        answer = polling.answer

        def watched(request: HTTPRequest) -> Any:
            self.seen.append((request.address, request.secure))
            return answer(request)

        polling.answer = watched


@pytest.fixture
def proxied() -> Proxied:
    return Proxied()


@pytest.mark.parametrize(("data", "address", "secure"), TOLD)
def test_a_request_may_come_in_the_same_read(proxied: Proxied, data: bytes, address: str,
                                             secure: bool) -> None:
    """O-8."""
    connection = HTTP(proxied.net)
    answer = connection.ask(data + post(HANDSHAKE))
    assert answer.status == 200
    assert ("; Secure" in answer.headers["set-cookie"]) is secure
    assert proxied.seen == [(address, secure)]
    assert connection.ask(post(HANDSHAKE)).status == 200
    assert proxied.seen == [(address, secure)] * 2


@pytest.mark.parametrize("data", [TCP6, LONGEST, binary(IPV4 + BY_TLS), binary(b"", 0, 0x20)])
def test_a_header_may_be_cut_anywhere(data: bytes) -> None:
    """O-8."""
    stream = data + post(HANDSHAKE)
    proxied = Proxied()
    for end in range(1, len(data) + 2):
        connection = HTTP(proxied.net)
        connection.wire.send(stream[:end], stream[end:])
        (answer,) = connection.responses()
        assert answer.status == 200
        connection.wire.lose()
    assert len(set(proxied.seen)) == 1
    assert len(proxied.endpoint.connections) == 0


def test_a_header_may_come_byte_by_byte(proxied: Proxied) -> None:
    """O-8."""
    connection = HTTP(proxied.net)
    connection.wire.send(*(bytes([byte]) for byte in TCP4 + post(HANDSHAKE)))
    assert [answer.status for answer in connection.responses()] == [200]
    assert proxied.seen == [("203.0.113.5", False)]


@pytest.mark.parametrize("data", NOT_TOLD)
def test_what_a_proxy_asks_for_itself_is_answered(proxied: Proxied, data: bytes) -> None:
    """O-8: as its health checks."""
    assert HTTP(proxied.net).ask(data + post(HANDSHAKE)).status == 200
    assert proxied.seen == [(PROXY, False)]


@pytest.mark.parametrize(("data", "address"), [
    pytest.param(TCP4, "203.0.113.5", id="it is the client's: its own word"),
    pytest.param(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n", "198.51.100.1", id="it is another proxy's"),
    pytest.param(b"PROXY UNKNOWN\r\n", "198.51.100.1", id="it is the proxy's")])
def test_whose_a_connection_is_says_whether_its_requests_are_believed(proxied: Proxied, data: bytes,
                                                                      address: str) -> None:
    """O-8."""
    HTTP(proxied.net).ask(data + post(HANDSHAKE, x_forwarded_for="198.51.100.1"))
    assert proxied.seen == [(address, False)]


@pytest.mark.parametrize("data", BAD)
def test_a_connection_that_begins_otherwise_is_cut(proxied: Proxied, data: bytes) -> None:
    """O-8: without an answer, for nobody knows whom to."""
    wire = proxied.net.open()
    wire.send(data + post(HANDSHAKE))
    assert wire.closed
    assert wire.take() == b""
    assert proxied.seen == []
    assert proxied.metrics.unannounced == 1
    assert len(proxied.endpoint.connections) == 0
    assert not proxied.net.site.channels


def test_a_header_that_is_too_long_is_counted_by_its_limit(proxied: Proxied) -> None:
    """G-2."""
    wire = proxied.net.open()
    wire.send(binary(IPV4, length=65_535))
    assert wire.closed
    assert proxied.metrics.limited["max_header_bytes"] == 1
    assert proxied.metrics.unannounced == 1


def test_who_is_no_trusted_proxy_begins_with_http() -> None:
    """O-8: whatever it says of itself, nobody believes it."""
    proxied = Proxied(trusted_proxies=("10.0.0.0/8",))
    assert HTTP(proxied.net).ask(post(HANDSHAKE)).status == 200
    assert HTTP(proxied.net).ask(TCP4 + post(HANDSHAKE)).status == 400
    assert proxied.seen == [(PROXY, False)]
    assert proxied.metrics.unannounced == 0


def test_a_trusted_proxy_begins_with_http_unless_the_protocol_is_set() -> None:
    """O-8."""
    proxied = Proxied(proxy_protocol=False)
    assert HTTP(proxied.net).ask(post(HANDSHAKE)).status == 200
    assert HTTP(proxied.net).ask(TCP4 + post(HANDSHAKE)).status == 400


def test_a_header_comes_once(proxied: Proxied) -> None:
    """O-8."""
    assert HTTP(proxied.net).ask(TCP4 + TCP4 + post(HANDSHAKE)).status == 400
    assert proxied.seen == []


@pytest.mark.parametrize("said", [b"", b"P", TCP4[:-1], SIGNATURE, binary(IPV4)[:-1]])
def test_a_proxy_that_does_not_say_whose_a_connection_is_is_cut_in_time(said: bytes) -> None:
    """G-3."""
    proxied = Proxied(header_timeout=5.0)
    wire = proxied.net.open()
    wire.send(*([said] if said else []))
    proxied.net.advance(4.9)
    assert not wire.closed
    proxied.net.advance(0.2)
    assert wire.closed
    assert wire.take() == b""
    assert proxied.metrics.limited["header_timeout"] == 1
    assert len(proxied.endpoint.connections) == 0


def test_a_header_that_trickles_has_no_more_time() -> None:
    """G-3."""
    proxied = Proxied(header_timeout=5.0)
    wire = proxied.net.open()
    for byte in TCP4[:5]:
        assert not wire.closed
        wire.send(bytes([byte]))
        proxied.net.advance(1)
    assert wire.closed


def test_the_first_request_has_its_own_time() -> None:
    """G-3, G-21."""
    proxied = Proxied(header_timeout=5.0)
    wire = proxied.net.open()
    proxied.net.advance(4)
    wire.send(TCP4)
    proxied.net.advance(4.9)
    assert not wire.closed
    proxied.net.advance(0.2)
    assert wire.closed


@pytest.mark.parametrize("said", [b"", TCP4[:9], TCP4])
def test_a_connection_may_be_lost_at_any_time(proxied: Proxied, said: bytes) -> None:
    wire = proxied.net.open()
    wire.send(*([said] if said else []))
    assert len(proxied.endpoint.connections) == 1
    wire.lose()
    assert wire.closed
    assert len(proxied.endpoint.connections) == 0
    assert not proxied.net.site.channels


def test_connections_are_counted_by_client() -> None:
    """G-19: the proxy may have any number, a client not."""
    proxied = Proxied(max_connections_per_address=2)
    wires = [proxied.net.open() for _ in range(5)]
    for wire in wires[:3]:
        wire.send(TCP4)
    wires[3].send(TCP6)
    wires[4].send(b"PROXY UNKNOWN\r\n")
    assert [wire.closed for wire in wires] == [False, False, True, False, False]
    assert proxied.metrics.limited["max_connections_per_address"] == 1
    assert proxied.metrics.unannounced == 0
    assert len(proxied.endpoint.connections) == 4
    wires[0].lose()
    again = proxied.net.open()
    again.send(TCP4)
    assert not again.closed


def test_connections_of_proxies_are_counted_in_all() -> None:
    """G-19."""
    proxied = Proxied(max_connections=2)
    wires = [proxied.net.open() for _ in range(3)]
    assert [wire.closed for wire in wires] == [False, False, True]
    assert proxied.metrics.limited["max_connections"] == 1
    assert len(proxied.endpoint.connections) == 2


def test_the_last_place_is_that_of_the_connection_itself() -> None:
    """G-19: it is not counted twice while its header is read."""
    proxied = Proxied(max_connections=1)
    assert HTTP(proxied.net).ask(TCP4 + post(HANDSHAKE)).status == 200


def test_a_websocket_is_its_clients(proxied: Proxied) -> None:
    """O-8, W-1."""
    wire = proxied.net.open()
    wire.send(TCP4)
    client = WebSocketClient(proxied.net, wire)
    (answer,) = client.ask(HANDSHAKE)
    assert answer["successful"]
    assert len(proxied.endpoint.connections) == 1
    wire.lose()
    assert len(proxied.endpoint.connections) == 0


def test_what_twisted_web_serves_is_its_clients_too(proxied: Proxied) -> None:
    """O-8: as the site's own door."""
    connection = HTTP(proxied.net)
    assert connection.ask(TCP4 + request(path="/bayeux/client.js")).status == 200
    assert connection.ask(post(HANDSHAKE)).status == 200
    assert proxied.seen == [("203.0.113.5", False)]


def test_it_knows_of_tls_there(proxied: Proxied) -> None:
    """O-8."""
    connection = HTTP(proxied.net)
    assert connection.ask(binary(IPV4 + BY_TLS) + request(path="/bayeux/client.js")).status == 200
    assert "; Secure" in connection.ask(post(HANDSHAKE)).headers["set-cookie"]
    assert proxied.seen == [("203.0.113.5", True)]


def test_a_proxy_by_a_unix_socket_says_whose_a_connection_is_too() -> None:
    """O-8."""
    proxied = Proxied(trusted_proxies=("unix",))
    build = proxied.net.site.buildProtocol
    proxied.net.site.buildProtocol = lambda address: build(UNIXAddress(None))
    assert HTTP(proxied.net).ask(TCP4 + post(HANDSHAKE)).status == 200
    assert proxied.seen == [("203.0.113.5", False)]


def test_a_proxy_by_an_ipv6_socket_is_the_same() -> None:
    """O-8: a socket for both has IPv4 addresses in IPv6's."""
    proxied = Proxied()
    build = proxied.net.site.buildProtocol
    proxied.net.site.buildProtocol = (
        lambda address: build(IPv4Address("TCP", f"::ffff:{PROXY}", 1)))
    assert HTTP(proxied.net).ask(TCP4 + post(HANDSHAKE)).status == 200


@pytest.mark.parametrize("said", [b"", TCP4[:9]])
def test_a_server_that_stops_does_not_wait_for_headers(proxied: Proxied, said: bytes) -> None:
    """L-12."""
    wire = proxied.net.open()
    wire.send(*([said] if said else []))
    gone: list[None] = []
    proxied.net.site.close().addCallback(gone.append)
    assert wire.closed
    assert gone


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "name", "what"), [
    ({}, "proxy_protocol", "trusted_proxies names"),
    ({"trusted_proxies": ("unix",), "listen": ("ssl:443",)}, "listen", "before TLS"),
    ({"trusted_proxies": ("unix",), "listen": ("tls:443",)}, "listen", "before TLS"),
    ({"trusted_proxies": ("unix",), "listen": ("haproxy:tcp:80",)}, "listen", "instead of haproxy")])
def test_settings_that_cannot_be_are_complained_of(values: Any, name: str, what: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings(proxy_protocol=True, **values)
    assert name in str(error.value)
    assert what in str(error.value)


def test_twisteds_own_wrapper_is_complained_of_in_any_case() -> None:
    """It believes everybody."""
    with pytest.raises(SettingsError) as error:
        Settings(listen=("haproxy:tcp:80",))
    assert "set proxy_protocol and trusted_proxies" in str(error.value)


def test_tls_may_be_listened_by_without_the_protocol() -> None:
    assert Settings(trusted_proxies=("unix",), listen=("ssl:443",)).listen == ("ssl:443",)
