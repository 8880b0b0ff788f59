"""proxies.py: what proxies say of their clients, and whom the server believes (BAYEUX.md O-8)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.settings import Settings, SettingsError
from bayeux.transports import HTTPRequest
from bayeux.transports.proxies import Proxies
from tests.fakenet import HANDSHAKE, HTTP, Net, connect, in_bayeux_site, in_site, post, request

PROXY = "192.0.2.7"
"""From which all connections of ``Net`` come."""
TRUSTING = Settings(trusted_proxies=("192.0.2.7", "10.0.0.0/8", "2001:db8:a::/48"))
Door = Callable[..., Any]


def see(address: str = PROXY, settings: Settings = TRUSTING, secure: bool = False,
        **headers: str) -> HTTPRequest:
    """Return a request as it is seen; keywords are the ``X-Forwarded`` headers."""
    fields = {f"x-forwarded-{name.removesuffix('_')}": value for name, value in headers.items()}
    request = HTTPRequest(b"POST", b"/bayeux", lambda name: fields.get(name, ""), b"", address, secure)
    Proxies(settings).see_through(request)
    return request


# -- whose a request is -------------------------------------------------------------------------


@pytest.mark.parametrize(("forwarded", "client"), [
    pytest.param("203.0.113.5", "203.0.113.5", id="one"),
    pytest.param("198.51.100.1, 203.0.113.5", "203.0.113.5", id="what is left of the client is its own word"),
    pytest.param("203.0.113.5, 10.0.0.1", "203.0.113.5", id="two proxies"),
    pytest.param("1.1.1.1, 203.0.113.5 ,10.0.0.1,\t10.9.9.9", "203.0.113.5", id="three proxies"),
    pytest.param("10.0.0.2, 10.0.0.1", "10.0.0.2", id="only proxies: the first of them"),
    pytest.param("10.0.0.3, 203.0.113.5, 10.0.0.1", "203.0.113.5", id="a proxy left of the client is none"),
    pytest.param("2001:DB8:B::1", "2001:db8:b::1", id="IPv6"),
    pytest.param("203.0.113.5, 2001:db8:a::1", "203.0.113.5", id="a proxy with IPv6"),
    pytest.param("::ffff:203.0.113.5, ::ffff:10.0.0.1", "203.0.113.5", id="IPv4 by an IPv6 socket"),
    pytest.param("203.0.113.5:4711", "203.0.113.5", id="with a port"),
    pytest.param("[2001:db8:b::1]:4711", "2001:db8:b::1", id="IPv6 with a port"),
    pytest.param("[2001:db8:b::1]", "2001:db8:b::1", id="IPv6 in brackets"),
    pytest.param("203.0.113.5:1, [2001:db8:a::1]:2", "203.0.113.5", id="all with ports")])
def test_the_client_is_the_first_from_the_right_that_is_no_trusted_proxy(forwarded: str, client: str) -> None:
    """O-8."""
    assert see(for_=forwarded).address == client


@pytest.mark.parametrize("garbage", [
    "unknown", "_hidden", "localhost", "", ",", "203.0.113", "203.0.113.5:", "203.0.113.5:x", ":80", "[]:80",
    "[203.0.113.5", "2001:db8:b::1]:80", "for=203.0.113.5", '"203.0.113.5"', "\x00", "é", "1" * 5_000])
def test_what_is_no_address_is_nobodys(garbage: str) -> None:
    """O-8: whoever has passed it on is the last that is known."""
    assert see(for_=garbage).address == PROXY
    assert see(for_=f"203.0.113.5, {garbage}, 10.0.0.1").address == "10.0.0.1"


def test_without_the_header_the_proxy_is_the_client() -> None:
    """O-8."""
    assert see().address == PROXY


def test_very_many_hops_are_looked_through() -> None:
    """O-8."""
    assert see(for_=", ".join(["203.0.113.5"] + ["10.0.0.1"] * 2_000)).address == "203.0.113.5"


def test_of_very_many_addresses_that_a_client_has_made_up_none_counts() -> None:
    """O-8."""
    assert see(for_=", ".join(["1.1.1.1"] * 2_000 + ["203.0.113.5"])).address == "203.0.113.5"


@pytest.mark.parametrize("address", ["192.0.2.8", "2001:db8:b::1", ""])
def test_who_is_no_trusted_proxy_is_not_believed(address: str) -> None:
    """O-8: neither is a UNIX socket, if it is not named."""
    request = see(address, for_="203.0.113.5", proto="https", host="evil.example")
    assert (request.address, request.secure, request.host) == (address, False, "")


def test_whoever_comes_by_a_unix_socket_may_be_believed() -> None:
    """O-8."""
    request = see("", Settings(trusted_proxies=("unix",)), for_="203.0.113.5", proto="https")
    assert (request.address, request.secure) == ("203.0.113.5", True)


@given(st.text(alphabet="0123456789abcdef.:[]%, /", max_size=80))
def test_whatever_the_header_an_address_is_found(forwarded: str) -> None:
    """O-8: and twice the same, for a request may be looked at again."""
    request = see(for_=forwarded)
    first = request.address
    Proxies(TRUSTING).see_through(request)
    assert request.address == first != ""


# -- scheme and host ----------------------------------------------------------------------------


@pytest.mark.parametrize(("proto", "secure"), [
    ("https", True), ("HTTPS", True), ("wss", True), (" https ", True), ("http", False), ("ws", False)])
@pytest.mark.parametrize("before", [False, True])
def test_the_scheme_is_what_the_proxy_says(proto: str, secure: bool, before: bool) -> None:
    """O-8."""
    assert see(secure=before, proto=proto).secure is secure


@pytest.mark.parametrize("proto", ["", "ftp", "https:", "on", "https;", ","])
@pytest.mark.parametrize("before", [False, True])
def test_what_is_no_scheme_changes_nothing(proto: str, before: bool) -> None:
    """O-8."""
    assert see(secure=before, proto=proto).secure is before


@pytest.mark.parametrize(("forwarded", "host"), [
    pytest.param("203.0.113.5", "c.example", id="one proxy has said the last"),
    pytest.param("203.0.113.5, 10.0.0.1", "b.example", id="two"),
    pytest.param("203.0.113.5, 10.0.0.2, 10.0.0.1", "a.example", id="three"),
    pytest.param("203.0.113.5, 10.0.0.3, 10.0.0.2, 10.0.0.1", "a.example", id="one has said nothing"),
    pytest.param("10.0.0.1, 203.0.113.5", "c.example", id="what the client makes up is no proxy"),
    pytest.param("nonsense, 10.0.0.1", "b.example", id="nor is garbage")])
def test_the_first_trusted_proxy_knows_the_host(forwarded: str, host: str) -> None:
    """O-8: if each has added to the header what it has been asked for."""
    assert see(for_=forwarded, host="a.example, b.example,c.example").host == host


def test_a_single_host_is_that_of_all_proxies() -> None:
    """O-8: proxies rather write the header anew than add to it."""
    assert see(for_="203.0.113.5, 10.0.0.2, 10.0.0.1", host="here.example:8443").host == "here.example:8443"


# -- by both doors ------------------------------------------------------------------------------


@pytest.fixture(params=[in_site, in_bayeux_site])
def door(request: pytest.FixtureRequest) -> Door:
    return request.param


def seen(net: Net) -> list[tuple[str, bool, str]]:
    """Return a list to which is added of each request who it is from, whether by TLS, and for which host."""
    found = []
    polling = net.bayeux.resource.endpoint.polling
    answer = polling.answer

    def watched(request: HTTPRequest) -> Any:
        found.append((request.address, request.secure, request.host))
        return answer(request)

    polling.answer = watched
    return found


FORWARDED: dict[str, str | None] = {
    "x_forwarded_for": "203.0.113.5", "x_forwarded_proto": "https", "x_forwarded_host": "here.example"}


@pytest.mark.parametrize(("trusted", "expected"), [
    ((PROXY,), ("203.0.113.5", True, "here.example")), (("10.0.0.0/8",), (PROXY, False, "")),
    ((), (PROXY, False, ""))])
def test_both_doors_see_the_same_client(door: Door, trusted: tuple[str, ...],
                                        expected: tuple[str, bool, str]) -> None:
    """O-8."""
    net = Net(door, trusted_proxies=trusted)
    found = seen(net)
    assert HTTP(net).ask(post(HANDSHAKE, **FORWARDED)).status == 200
    assert found == [expected]


def test_the_header_may_come_several_times(door: Door) -> None:
    """O-8: HAProxy adds one of its own behind the client's."""
    net = Net(door, trusted_proxies=(PROXY,))
    found = seen(net)
    twice = post(HANDSHAKE, x_forwarded_for="1.1.1.1", X_Forwarded_For="203.0.113.5")
    assert HTTP(net).ask(twice).status == 200
    assert found == [("203.0.113.5", False, "")]


@pytest.mark.parametrize(("headers", "origin", "status"), [
    (FORWARDED, "https://here.example", 200), (FORWARDED, "http://here.example", 403),
    (FORWARDED, "http://example.org", 403), ({"x_forwarded_proto": "https"}, "https://example.org", 200),
    ({"x_forwarded_host": "here.example:80"}, "http://here.example", 200)])
def test_the_own_origin_is_that_which_the_proxy_serves(door: Door, headers: dict[str, str | None],
                                                       origin: str, status: int) -> None:
    """O-8."""
    net = Net(door, trusted_proxies=(PROXY,))
    assert HTTP(net).ask(post(HANDSHAKE, **headers, origin=origin)).status == status


@pytest.mark.parametrize(("origin", "status"), [("https://here.example", 403), ("http://example.org", 200)])
def test_nobody_else_says_which_the_own_origin_is(door: Door, origin: str, status: int) -> None:
    """O-8."""
    net = Net(door, trusted_proxies=("10.0.0.0/8",))
    assert HTTP(net).ask(post(HANDSHAKE, **FORWARDED, origin=origin)).status == status


@pytest.mark.parametrize(("trusted", "proto", "secure"), [
    (PROXY, "https", True), (PROXY, "http", False), ("10.0.0.0/8", "https", False)])
def test_the_cookie_is_for_tls_if_the_client_has_that(door: Door, trusted: str, proto: str,
                                                      secure: bool) -> None:
    """O-8, B-1."""
    net = Net(door, trusted_proxies=(trusted,))
    answer = HTTP(net).ask(post(HANDSHAKE, x_forwarded_proto=proto))
    assert ("; Secure" in answer.headers["set-cookie"]) is secure


def test_a_connection_of_a_proxy_is_of_many_clients(door: Door) -> None:
    """O-8: the head of each request tells whose it is, and the same head tells the same again."""
    net = Net(door, trusted_proxies=(PROXY,))
    found = seen(net)
    connection = HTTP(net)
    for address in ["203.0.113.5", "203.0.113.5", "203.0.113.6", "203.0.113.5", "203.0.113.5"]:
        answer = connection.ask(post(HANDSHAKE, x_forwarded_for=address, x_forwarded_proto="https"))
        assert "; Secure" in answer.headers["set-cookie"]
    assert [address[-1] for address, _, _ in found] == list("55655")
    assert {secure for _, secure, _ in found} == {True}


def test_a_head_that_is_refused_is_refused_again(door: Door) -> None:
    """O-8."""
    net = Net(door, trusted_proxies=(PROXY,))
    connection = HTTP(net)
    refused = post(HANDSHAKE, **FORWARDED, origin="https://evil.example")
    welcome = post(HANDSHAKE, **FORWARDED, origin="https://here.example")
    assert [connection.ask(data).status for data in [refused, refused, welcome, refused]] == [
        403, 403, 200, 403]


def test_what_is_too_large_is_answered_to_the_page_that_the_proxy_serves(door: Door) -> None:
    """O-8, G-1: or the page could not read the answer."""
    net = Net(door, trusted_proxies=(PROXY,), max_body=100)
    answer = HTTP(net).ask(post({**HANDSHAKE, "ext": "x" * 200}, **FORWARDED, origin="https://here.example"))
    assert answer.status == 413
    assert answer.headers["access-control-allow-origin"] == "https://here.example"


def test_held_connects_are_counted_by_client(door: Door) -> None:
    """O-8, G-17: not by proxy."""
    net = Net(door, trusted_proxies=(PROXY,), max_held_per_address=1)
    held = []
    for address in ["203.0.113.5", "203.0.113.6"]:
        connection = HTTP(net)
        (answer,) = connection.ask(post(HANDSHAKE, x_forwarded_for=address)).messages
        for _ in range(2):
            connection.send(post(connect(answer["clientId"]), x_forwarded_for=address))
        held.append(len(connection.responses()))
    assert held == [1, 1]


@pytest.mark.parametrize(("address", "known"), [
    ("203.0.113.5", "203.0.113.5"), ("::ffff:203.0.113.5", "203.0.113.5"), ("2001:DB8::1", "2001:db8::1"),
    ("fe80::1%eth0", "fe80::1"), ("", "")])
def test_who_comes_by_no_proxy_is_known_by_the_usual_address(door: Door, address: str, known: str) -> None:
    """G-19: a socket for IPv6 that has clients by IPv4 too writes their addresses as IPv6's."""
    net = Net(door)
    found = seen(net)
    assert HTTP(net, address).ask(post(HANDSHAKE)).status == 200
    assert [who for who, _, _ in found] == [known]


@pytest.mark.parametrize(("trusted", "client"), [(PROXY, "203.0.113.5"), ("10.0.0.0/8", PROXY)])
@pytest.mark.parametrize("data", [
    pytest.param(post(HANDSHAKE, x_forwarded_for="203.0.113.5"), id="answered"),
    pytest.param(post("x" * 200, x_forwarded_for="203.0.113.5"), id="too large"),
    pytest.param(request(path="/bayeux/client.js", x_forwarded_for="203.0.113.5"), id="by twisted.web")])
def test_the_access_log_names_the_client(tmp_path: Path, trusted: str, client: str, data: bytes) -> None:
    """O-8, G-33: if it is known."""
    path = tmp_path / "access.log"
    net = Net(trusted_proxies=(trusted,), access_log=str(path), max_body=150)
    net.site.doStart()
    HTTP(net).ask(data)
    net.site.doStop()
    net.site.close_log()
    (line,) = path.read_text().splitlines()
    assert line.split(" ")[0].strip('"') == client


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["localhost", "10.0.0.1/8", "*", "", "proxy.example"])
def test_a_proxy_that_is_no_network_is_complained_of(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings(trusted_proxies=(text,))
    assert "trusted_proxies" in str(error.value)
    assert "10.0.0.0/8, or unix" in str(error.value)
    assert text in str(error.value)


def test_networks_and_unix_sockets_may_be_trusted() -> None:
    assert Settings(trusted_proxies=("10.0.0.0/8", "::1", "unix")).trusted_proxies
