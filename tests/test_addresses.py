"""IP addresses, networks of them, and which are those of one client."""

import pytest

from bayeux.addresses import BadNetwork, Networks, client_of, normal


@pytest.mark.parametrize(("text", "usual"), [
    ("192.0.2.7", "192.0.2.7"), ("::FFFF:192.0.2.7", "192.0.2.7"), ("2001:DB8:0::1", "2001:db8::1"),
    ("fe80::1%eth0", "fe80::1"), ("localhost", None), ("", None), ("192.0.2.7:80", None), ("1.2.3", None)])
def test_one_way_to_write_an_address(text, usual):
    assert normal(text) == usual


@pytest.mark.parametrize(("address", "client"), [
    ("192.0.2.7", "192.0.2.7"), ("", ""), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("::ffff:192.0.2.7", "192.0.2.7"), ("a:b", "a:b")])
def test_a_household_is_one_client(address, client):
    """G-19: whoever has an IPv6 address has a whole network of them."""
    assert client_of(address, 64) == client


@pytest.mark.parametrize(("address", "inside"), [
    ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.0.0.1", False), ("192.0.2.7", True),
    ("192.0.2.8", False), ("2001:db8::5", True), ("2001:db9::5", False), ("nonsense", False), ("", False)])
def test_networks(address, inside):
    networks = Networks(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])
    assert (address in networks) is inside
    assert bool(networks)


def test_a_unix_socket_has_no_address():
    assert "" in Networks(["unix"])
    assert "" not in Networks(["10.0.0.0/8"])
    assert not Networks([])


@pytest.mark.parametrize("text", ["10.0.0.1/8", "localhost", "", "10.0.0.0/33"])
def test_what_is_no_network(text):
    with pytest.raises(BadNetwork):
        Networks([text])
