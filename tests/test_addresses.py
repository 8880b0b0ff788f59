"""IP addresses: one way to write each, the networks of proxies, and who counts as one client."""

from __future__ import annotations

import doctest
import re

import pytest

import bayeux.addresses
from bayeux.addresses import BadNetwork, Networks, client_of, normal, read_network


@pytest.mark.parametrize(("text", "usual"), [
    ("192.0.2.7", "192.0.2.7"),
    ("2001:DB8:0:0::1", "2001:db8::1"),
    ("::ffff:192.0.2.7", "192.0.2.7"),
    ("::ffff:c000:207", "192.0.2.7"),
    ("fe80::1%eth0", "fe80::1"),
    ("", None), ("localhost", None), ("192.0.2", None), ("192.0.2.256", None), ("192.0.2.7:80", None),
    ("192.0.2.7\n", None), ("192.0.2.07", None), (" 192.0.2.7", None), ("[::1]", None), ("٣.1.1.1", None),
    ("%eth0", None), ("unknown", None), ("1" * 10_000, None),
])
def test_an_address_is_written_in_one_way(text: str, usual: str | None) -> None:
    assert normal(text) == usual


def test_the_examples_are_true() -> None:
    assert doctest.testmod(bayeux.addresses).failed == 0


@pytest.mark.parametrize(("address", "client"), [
    ("192.0.2.7", "192.0.2.7"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("2001:db8:1:2::", "2001:db8:1:2::/64"),
    ("2001:DB8:1:2:FFFF::", "2001:db8:1:2::/64"),
    ("2001:db8:1:3::", "2001:db8:1:3::/64"),
    ("::ffff:192.0.2.7", "192.0.2.7"),
    ("fe80::1%eth0", "fe80::/64"),
    ("", ""),
    ("no:address", "no:address"),
])
def test_a_network_of_ipv6_is_one_client(address: str, client: str) -> None:
    """G-19: whoever has one address of it has all, and so a limit by address would be none."""
    assert client_of(address, 64) == client


def test_how_large_such_a_network_is_can_be_set() -> None:
    assert client_of("2001:db8:1:2:3::", 48) == "2001:db8:1::/48"
    assert client_of("2001:db8:1:2:3::", 128) == "2001:db8:1:2:3::/128"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.0", "10.255.255.255", "2001:db8::1",
                                     "::ffff:10.0.0.1", "2001:DB8:0::1"])
def test_an_address_is_in_a_network(address: str) -> None:
    assert address in Networks(("127.0.0.1", "10.0.0.0/8", "2001:db8::/32"))


@pytest.mark.parametrize("address", ["127.0.0.2", "11.0.0.0", "9.255.255.255", "2001:db9::1", "", "unix"])
def test_or_it_is_in_none(address: str) -> None:
    assert address not in Networks(("127.0.0.1", "10.0.0.0/8", "2001:db8::/32"))


def test_who_comes_by_a_unix_socket_has_no_address() -> None:
    networks = Networks(("unix",))
    assert "" in networks
    assert "127.0.0.1" not in networks


def test_there_may_be_no_networks() -> None:
    assert [bool(Networks(texts)) for texts in ((), ("unix",), ("::1",))] == [False, True, True]


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.*", "*", "unix:"])
def test_what_is_no_network_is_told(text: str) -> None:
    with pytest.raises(BadNetwork, match=f"{re.escape(text)}.+"):
        read_network(text)
