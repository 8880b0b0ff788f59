"""What the driver writes: Bayeux messages, requests and frames, as bytes that are made once.

Every event carries a stamp, a plain ASCII string that survives whatever a server does to the JSON around it
(spaces, the order of members, chunks): the run's mark and the message's number.  When the message was due
follows from its number (``schedule``).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from bayeux.load.target import Target

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
HANDSHAKE, CONNECT, SUBSCRIBE = "/meta/handshake", "/meta/connect", "/meta/subscribe"
DISCONNECT = "/meta/disconnect"

DIGITS = 10
"""Of a message's number."""
_TAG = "abcdefghijkmnpqrstuvwxyz23456789"


def new_tag() -> str:
    """Return what tells this run's channels and messages from those of any other."""
    return "".join(secrets.choice(_TAG) for _ in range(6))


def mark(tag: str) -> bytes:
    """Return what stands before the number in every message of a run."""
    return f"bxl-{tag}-".encode()


def data(stamp: str, number: int, size: int) -> str:
    """Return the data of an event, ``size`` bytes of JSON or what the stamp takes."""
    text = f'{{"m":"{stamp}{number:0{DIGITS}d}"}}'
    return text if len(text) >= size else f'{text[:-2]}{"." * (size - len(text))}"}}'


def nonce(stamp: str, number: int) -> str:
    """Return what a message is signed with: it is of that message alone (Y-3)."""
    return f"{stamp}{number:0{DIGITS}d}"


LEAST = len(data(mark(new_tag()).decode(), 0, 0))
"""The least size of the data."""


# -- messages -----------------------------------------------------------------------------------

def handshake(connection_type: str, ext: str = "") -> str:
    """Return a handshake; ``ext`` is JSON."""
    more = f',"ext":{ext}' if ext else ""
    return (f'[{{"channel":"{HANDSHAKE}","version":"1.0","minimumVersion":"1.0",'
            f'"supportedConnectionTypes":["{connection_type}"],"id":"1"{more}}}]')


def subscribe(client_id: str, channel: str) -> str:
    """Return a subscription to one channel."""
    return f'[{{"channel":"{SUBSCRIBE}","clientId":"{client_id}","subscription":"{channel}","id":"2"}}]'


def connect(client_id: str, connection_type: str, more: str = "") -> str:
    """Return a connect; ``more`` are further members, each with a comma before it."""
    return (f'[{{"channel":"{CONNECT}","clientId":"{client_id}","connectionType":"{connection_type}",'
            f'"id":"3"{more}}}]')


def publish(client_id: str, channel: str, payload: str) -> str:
    """Return a publish; the payload is JSON."""
    return f'[{{"channel":"{channel}","clientId":"{client_id}","data":{payload},"id":"4"}}]'


def disconnect(client_id: str) -> str:
    """Return a disconnect."""
    return f'[{{"channel":"{DISCONNECT}","clientId":"{client_id}","id":"5"}}]'


# -- HTTP ---------------------------------------------------------------------------------------

def request(target: Target, cookies: str, body: str) -> bytes:
    """Return the POST of an envelope."""
    text = body.encode()
    return _head("POST", target, [
        "Content-Type: application/json;charset=UTF-8", *([f"Cookie: {cookies}"] if cookies else []),
        f"Content-Length: {len(text)}"]) + text


def upgrade(target: Target, cookies: str = "") -> bytes:
    """Return the request for a WebSocket."""
    return _head("GET", target, [
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13", *([f"Cookie: {cookies}"] if cookies else []),
        *([] if any(line.lower().startswith("origin:") for line in target.headers)
          else [f"Origin: {target.origin}"])])


def _head(method: str, target: Target, lines: Sequence[str]) -> bytes:
    return "\r\n".join([f"{method} {target.path} HTTP/1.1", f"Host: {target.host}", *target.headers, *lines,
                        "", ""]).encode("latin-1")


# -- WebSocket ----------------------------------------------------------------------------------

def masked(opcode: int, text: bytes) -> bytes:
    """Return a client's frame, with a mask of zeros: that is legal, and costs the driver nothing."""
    size = len(text)
    if size < 126:
        return bytes((0x80 | opcode, 0x80 | size)) + bytes(4) + text
    if size < 65_536:
        return bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big") + bytes(4) + text
    return bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big") + bytes(4) + text
