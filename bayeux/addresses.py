"""IP addresses: one way to write each, networks of them, and which are those of one client."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

UNIX = "unix"
"""Stands among networks for whoever connects by a UNIX socket."""

Network = IPv4Network | IPv6Network


class BadNetwork(ValueError):
    """A text is neither an address nor a network of addresses."""


def normal(text: str) -> str | None:
    """Return an IP address as it is usually written, None if it is none.

    A zone is left out, and an IPv4 address stays one though it came by an IPv6 socket.

    >>> normal("::FFFF:192.0.2.7"), normal("fe80:0::1%eth0"), normal("localhost")
    ('192.0.2.7', 'fe80::1', None)
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def as_usual(host: str) -> str:
    """Return the address of a connection as it is usually written; one by a UNIX socket has none, "".

    A socket that listens for IPv6 may have clients by IPv4, whose addresses it writes as IPv6's.
    """
    return (normal(host) or host) if ":" in host else host


def client_of(address: str, prefix: int) -> str:
    """Return by which text all addresses of one client are counted together.

    Of IPv6 addresses those with the same first ``prefix`` bits are one client's, as each household and
    each rented machine has a whole network of them.
    """
    return _network_of(address, prefix) if ":" in address else address


@lru_cache(maxsize=1024)
def _network_of(address: str, prefix: int) -> str:
    usual = normal(address)
    if usual is None or ":" not in usual:
        return usual or address
    return str(ip_network(f"{usual}/{prefix}", strict=False))


def read_network(text: str) -> Network | None:
    """Read an address or a network, ``192.0.2.7``, ``10.0.0.0/8``; None is ``unix``.

    Raises ``BadNetwork``.
    """
    if text == UNIX:
        return None
    try:
        return ip_network(text)
    except ValueError as error:
        raise BadNetwork(str(error)) from None


class Networks:
    """Some networks, in one of which an address is, or is not.  Raises ``BadNetwork`` for what is none."""

    def __init__(self, texts: Iterable[str]) -> None:
        networks = [read_network(text) for text in texts]
        self._has_unix = None in networks
        self._networks = tuple(network for network in networks if network is not None)
        self._find = lru_cache(maxsize=1024)(self._search)

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return self._has_unix or bool(self._networks)

    def __contains__(self, address: str) -> bool:
        """Say whether an address is in one of them; the empty one is that of a UNIX socket."""
        return self._find(address) if address else self._has_unix

    def _search(self, address: str) -> bool:
        usual = normal(address)
        if usual is None:
            return False
        found = ip_address(usual)
        return any(found in network for network in self._networks)
