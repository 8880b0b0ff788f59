"""addresses.py: addresses as they are written, networks of them, and whose they are (BAYEUX.md G-19, O-8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.addresses import BadNetwork, Networks, client_of, normal, read_network

# -- one address --------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "usual"), [
    ("192.0.2.7", "192.0.2.7"), ("2001:DB8:0:0::1", "2001:db8::1"), ("::ffff:192.0.2.7", "192.0.2.7"),
    ("::ffff:c000:207", "192.0.2.7"), ("fe80::1%eth0", "fe80::1"), ("::", "::"), ("::1", "::1")])
def test_each_address_is_written_in_one_way(text: str, usual: str) -> None:
    assert normal(text) == usual


@pytest.mark.parametrize("text", [
    "", " ", "localhost", "unix", "unknown", "192.0.2", "192.0.2.256", "192.0.2.07", "192.0.2.7:80", "[::1]",
    "192.0.2.7 ", "10.0.0.0/8", "1", "2001:db8::1::2", "::1]", "%eth0", "\u0661.2.3.4", "192.0.2.7\0"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert normal(text) is None


@given(st.one_of(st.text(), st.ip_addresses().map(str)))
def test_what_is_usual_stays_as_it_is(text: str) -> None:
    usual = normal(text)
    assert usual is None or normal(usual) == usual


# -- one client ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("address", "prefix", "client"), [
    ("192.0.2.7", 64, "192.0.2.7"), ("::ffff:192.0.2.7", 64, "192.0.2.7"),
    ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"), ("2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::/48"),
    ("2001:db8::1", 128, "2001:db8::1/128"), ("fe80::1%eth0", 64, "fe80::/64"), ("", 64, ""),
    ("no:address", 64, "no:address")])
def test_a_network_of_ipv6_is_one_client(address: str, prefix: int, client: str) -> None:
    """G-19."""
    assert client_of(address, prefix) == client


# -- networks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [
    "", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "*", "UNIX", "::/129", "10.0.0.0/8 "])
def test_what_is_no_network_is_refused_with_its_reason(text: str) -> None:
    with pytest.raises(BadNetwork) as error:
        read_network(text)
    assert text in str(error.value)


@pytest.mark.parametrize(("texts", "address"), [
    (["192.0.2.7"], "192.0.2.7"), (["10.0.0.0/8"], "10.0.0.0"), (["10.0.0.0/8"], "10.255.255.255"),
    (["10.0.0.0/8"], "::ffff:10.1.2.3"), (["2001:db8::/32"], "2001:DB8:ffff::1"), (["::1"], "0:0::1"),
    (["10.0.0.0/8", "::1"], "::1"), (["fe80::/10"], "fe80::1%eth0"), (["0.0.0.0/0"], "192.0.2.7")])
def test_an_address_is_in_a_network(texts: list[str], address: str) -> None:
    """O-8."""
    assert address in Networks(texts)


@pytest.mark.parametrize(("texts", "address"), [
    ([], "192.0.2.7"), (["192.0.2.7"], "192.0.2.8"), (["10.0.0.0/8"], "11.0.0.0"), (["0.0.0.0/0"], "::1"),
    (["::/0"], "192.0.2.7"), (["::/0"], "localhost"), (["unix"], "192.0.2.7"), (["unix"], "unix"),
    (["10.0.0.0/8"], "")])
def test_an_address_is_in_no_network(texts: list[str], address: str) -> None:
    """O-8."""
    assert address not in Networks(texts)


def test_a_unix_socket_is_in_a_network_if_it_is_named() -> None:
    """O-8: it has no address."""
    assert "" in Networks(["10.0.0.0/8", "unix"])


@pytest.mark.parametrize(("texts", "are"), [([], False), (["unix"], True), (["::1"], True)])
def test_networks_may_be_none(texts: list[str], are: bool) -> None:
    assert bool(Networks(texts)) is are
