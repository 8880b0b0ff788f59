"""The header of the PROXY protocol: it says the same however it is cut, and an address that is one."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.address import IPv4Address, UNIXAddress

from bayeux.web.proxied import BadHeader, Header, read_header
from tests.fuzz.base import Target

MOST = 300


class Proxied(Target):
    """What a proxy sends at the beginning of a connection."""

    name = "proxied"

    def run(self, data: bytes) -> None:
        """Read it as it grows, a byte at a time: once there is an answer, that is the answer."""
        found: Header | BadHeader | None = None
        for end in range(min(len(data), MOST) + 1):
            try:
                header = read_header(data[:end], MOST)
            except BadHeader as error:
                found = error if found is None else found
                assert isinstance(found, BadHeader), (data[:end], found)
            else:
                assert found is None or header == found, (data[:end], header, found)
                found = header if found is None else found
        if isinstance(found, Header):
            self._check(data, found)
        elif found is None:
            assert len(data) < MOST, "it waits for ever"

    def _check(self, data: bytes, header: Header) -> None:
        assert 0 < header.size <= len(data)
        if header.peer is None or isinstance(header.peer.address, UNIXAddress):
            return
        address = header.peer.address
        known = ip_address(address.host)
        assert known.version == (4 if isinstance(address, IPv4Address) else 6)
        if data.startswith(b"PROXY "):
            line = data[:header.size].decode("latin-1")
            assert line.endswith("\r\n")
            assert ip_address(line.split(" ")[2]) == known
        else:
            start = 16
            assert known.packed == data[start:start + len(known.packed)]
