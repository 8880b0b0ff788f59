"""HTTP/1 responses as bytes, for connections that are not twisted.web's (any more)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from twisted.internet.interfaces import IProtocol
from twisted.protocols.policies import ProtocolWrapper
from twisted.web.http import RESPONSES, datetimeToString

from bayeux.transports import Headers, HTTPReply


def head(reply: HTTPReply) -> bytes:
    """Write the status line and headers as they are, with the blank line."""
    return _head(reply.status, reply.headers, close=False) + b"\r\n"


def render(reply: HTTPReply, date: int, close: bool, with_body: bool = True) -> bytes:
    """Write a whole response; ``date`` is the time of day, in seconds since 1970."""
    cookies = b"".join(b"Set-Cookie: %b\r\n" % cookie for cookie in reply.cookies) if reply.cookies else b""
    length = b"Content-Length: %d\r\n" % len(reply.body) if reply.status != 204 else b""
    return b"%bDate: %b\r\n%b%b\r\n%b" % (
        _head(reply.status, reply.headers, close), _date(date), length, cookies,
        reply.body if with_body else b"")


@lru_cache(maxsize=256)
def _head(status: int, headers: Headers, close: bool) -> bytes:
    if close:
        headers = (*(field for field in headers if field[0] != b"Connection"), (b"Connection", b"close"))
    phrase = RESPONSES.get(status, b"Unknown")
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase) + b"".join(b"%b: %b\r\n" % field for field in headers)


@lru_cache(maxsize=2)
def _date(seconds: int) -> bytes:
    return bytes(datetimeToString(seconds))


def hand_over(transport: Any, protocol: IProtocol, data: bytes = b"", place: str | None = None) -> None:
    """Make a protocol that of a transport which has had another one, with bytes that were read already.

    ``place`` is where the connection is counted.
    """
    if place is not None:
        cast(Any, protocol).place = place
    transport.unregisterProducer()
    transport.resumeProducing()  # the other may have stopped it, and TLS would not tell the new one to go on
    if isinstance(transport, ProtocolWrapper):  # TLS
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    protocol.makeConnection(transport)
    if data:
        protocol.dataReceived(data)
