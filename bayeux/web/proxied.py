"""The PROXY protocol: before the first byte of a connection a proxy says whose it is (versions 1 and 2).

As HAProxy has specified it.  Twisted's own wrapper believes everybody, waits for ever, and wants the whole
beginning of a header at once.
"""

from __future__ import annotations

from ipaddress import IPv4Address as IPv4
from ipaddress import IPv6Address as IPv6
from ipaddress import ip_address
from typing import Any, NamedTuple, Protocol

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from bayeux.deadlines import Deadlines
from bayeux.settings import Settings
from bayeux.web.channel import Connection, Peer, Timed
from bayeux.web.response import hand_over

_TEXT = b"PROXY "
_TEXT_MOST = 107
"""Bytes of a header of version 1, its line end included."""
_PORTS = 65_535
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16
"""Bytes of a header of version 2 up to the addresses."""
_LOCAL, _PROXY = 0x20, 0x21
_UNKNOWN, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_ADDRESSES = {_TCP4: 12, _TCP6: 36, _UNIX: 216}
"""Bytes of the addresses of each family."""
_TLS = 0x20
"""The type of what is told about TLS."""


class BadHeader(Exception):
    """A connection does not begin as the PROXY protocol wants it; ``limit`` is a setting, or ""."""

    def __init__(self, limit: str = "") -> None:
        super().__init__()
        self.limit = limit


class Header(NamedTuple):
    """What a header says."""

    size: int
    """Bytes of it."""
    peer: Peer | None
    """None: it is the proxy's own, or nobody knows whose."""


def read_header(data: bytes, most: int) -> Header | None:
    """Read the header that bytes begin with, of at most so many bytes; None: it is not complete.

    Raises ``BadHeader``.
    """
    if data.startswith(_SIGNATURE):
        return _read_binary(data, most)
    if data.startswith(_TEXT):
        return _read_text(data)
    if _SIGNATURE.startswith(data) or _TEXT.startswith(data):
        return None
    raise BadHeader


def _read_text(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, _TEXT_MOST)
    if end < 0:
        if len(data) >= _TEXT_MOST:
            raise BadHeader
        return None
    match data[:end].split(b" "):
        case [_, b"UNKNOWN", *_]:
            return Header(end + 2, None)
        case [_, b"TCP4" | b"TCP6" as family, source, _, port, _] if port.isdigit() and int(port) <= _PORTS:
            try:
                address = ip_address(source.decode("ascii"))
            except ValueError:
                raise BadHeader from None
            if address.version != int(family[3:]):
                raise BadHeader
            return Header(end + 2, Peer(_address(address, int(port)), secure=False))
    raise BadHeader


def _read_binary(data: bytes, most: int) -> Header | None:
    if len(data) < _FIXED:
        return None
    command, family, length = data[12], data[13], int.from_bytes(data[14:16])
    if command not in (_LOCAL, _PROXY):
        raise BadHeader
    size = _FIXED + length
    if size > most:
        raise BadHeader("max_header_bytes")
    if len(data) < size:
        return None
    if command == _LOCAL:
        return Header(size, None)
    if family == _UNKNOWN:
        return Header(size, None)  # whatever else it says is not to be looked at
    if family not in _ADDRESSES or length < _ADDRESSES[family]:
        raise BadHeader
    start = _FIXED + _ADDRESSES[family]
    addresses, secure = data[_FIXED:start], _is_by_tls(data[start:size])
    address: IAddress
    if family == _TCP4:
        address = _address(IPv4(addresses[:4]), int.from_bytes(addresses[8:10]))
    elif family == _TCP6:
        address = _address(IPv6(addresses[:16]), int.from_bytes(addresses[32:34]))
    else:
        address = UNIXAddress(None)
    return Header(size, Peer(address, secure))


def _is_by_tls(more: bytes) -> bool:
    """Look for what the proxy says of TLS among the fields behind the addresses."""
    while len(more) >= 3:
        end = 3 + int.from_bytes(more[1:3])
        if end > len(more):
            raise BadHeader
        if more[0] == _TLS and end > 3:
            return bool(more[3] & 1)
        more = more[end:]
    return False


def _address(address: IPv4 | IPv6, port: int) -> IAddress:
    """Return an address; an IPv4 address that came by an IPv6 socket of the proxy is still one."""
    if isinstance(address, IPv6) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv6):
        return IPv6Address("TCP", str(address), port)
    return IPv4Address("TCP", str(address), port)


class Home(Protocol):
    """What a connection needs of its site before it is known whose it is."""

    settings: Settings
    clock: IReactorTime
    deadlines: Deadlines[Timed]
    channels: set[Connection]

    def welcome(self, peer: Peer | None) -> IProtocol | None:
        """Return what goes on with a connection of a proxy, None if there is no room for it."""

    def cut(self, limit: str) -> None:
        """Take note of a connection that is cut because of that setting."""

    def unannounced(self) -> None:
        """Take note of a connection that is cut because it does not begin as it has to."""

    def leave(self, place: str | None) -> None:
        """Count a connection out."""

    def channel_lost(self) -> None:
        """Take note of a connection that is gone."""


@implementer(IProtocol)
class Proxied:
    """A connection of a proxy, until it has said whose it is."""

    __slots__ = ("_data", "_site", "alarm", "deadline", "place", "transport")

    def __init__(self, site: Home, place: str) -> None:
        self._site = site
        self.place: str | None = place
        self._data = b""
        self.deadline: float | None = None
        self.alarm: float | None = None

    def makeConnection(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        self._site.channels.add(self)
        self._site.deadlines.set(self, self._site.clock.seconds() + self._site.settings.header_timeout)
        self.connectionMade()

    def connectionMade(self) -> None:
        """Do nothing: the proxy has the first word."""

    def dataReceived(self, data: bytes) -> None:
        """Read the header; whatever is behind it is for whoever goes on with the connection."""
        self._data += data
        try:
            header = read_header(self._data, self._site.settings.max_header_bytes)
        except BadHeader as error:
            if error.limit:
                self._site.cut(error.limit)
            self._site.unannounced()
            self.abort()
            return
        if header is not None:
            self._go_on(header)

    def _go_on(self, header: Header) -> None:
        rest, self._data = self._data[header.size:], b""
        self._forget()
        protocol = self._site.welcome(header.peer)
        if protocol is None:
            self.abort()
        else:
            hand_over(self.transport, protocol, rest)

    def connectionLost(self, reason: Failure) -> None:
        """End."""
        self._forget()

    def _forget(self) -> None:
        place, self.place = self.place, None
        self._site.leave(place)
        self._site.channels.discard(self)
        self._site.deadlines.forget(self)
        self._site.channel_lost()

    def due(self) -> None:
        """End a connection of which nobody has said in time whose it is."""
        self._site.cut("header_timeout")
        self.abort()

    def close(self) -> None:
        """Close: nothing is being answered."""
        self.transport.loseConnection()

    def abort(self) -> None:
        """Cut the connection."""
        self._data = b""
        self.transport.abortConnection()


@implementer(IProtocol)
class TurnedAway:
    """A connection for which there is no room (G-19)."""

    def makeConnection(self, transport: Any) -> None:
        """Cut it."""
        transport.abortConnection()

    def connectionMade(self) -> None:
        """Do nothing: this is not called."""

    def dataReceived(self, data: bytes) -> None:
        """Ignore what comes."""

    def connectionLost(self, reason: Failure) -> None:
        """Do nothing: it was not counted."""
