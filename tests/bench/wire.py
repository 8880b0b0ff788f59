"""What the driver writes, built once, and how it finds what it needs in what it reads."""

from __future__ import annotations

import json

MOUNT = "/bayeux"
TEXT, CLOSE, PING = 1, 8, 9

DUE = b'"due":"'
"""Stands in every payload before the time at which its publish was due."""
DIGITS = 16
"""Of that time, in microseconds of the monotonic clock."""

CONNECT = b'"/meta/connect"'
LONGEST = 65_536


def payload(due: int, size: int) -> str:
    """Return the data of an event, ``size`` bytes of JSON, but no less than what the time takes."""
    padding = "x" * (size - 33)
    return f'{{"due":"{due // 1000:0{DIGITS}d}","x":"{padding}"}}'


def stamp(template: bytes, due: int) -> bytes:
    """Return something that was published before with another due time."""
    at = template.index(DUE) + len(DUE)
    return b"%b%0*d%b" % (template[:at], DIGITS, due // 1000, template[at + DIGITS:])


def handshake(connection_type: str) -> str:
    return ('[{"channel":"/meta/handshake","version":"1.0","minimumVersion":"1.0",'
            f'"supportedConnectionTypes":["{connection_type}"],"id":"1"}}]')


def subscribe(client_id: str, channel: str) -> str:
    return f'[{{"channel":"/meta/subscribe","clientId":"{client_id}","subscription":"{channel}","id":"2"}}]'


def subscribe_many(client_id: str, channels: list[str], at_once: int) -> str:
    """Return an envelope of subscribe messages with so many channels in each."""
    groups = (channels[at:at + at_once] for at in range(0, len(channels), at_once))
    return json.dumps([{"channel": "/meta/subscribe", "clientId": client_id, "subscription": group, "id": "2"}
                       for group in groups])


def connect(client_id: str, connection_type: str, advice: str = "") -> str:
    return (f'[{{"channel":"/meta/connect","clientId":"{client_id}","connectionType":"{connection_type}",'
            f'"id":"3"{advice}}}]')


def publish(client_id: str, channel: str, data: str) -> str:
    return f'[{{"channel":"{channel}","clientId":"{client_id}","data":{data},"id":"4"}}]'


def request(port: int, cookie: str, body: str) -> bytes:
    """Return the POST of an envelope."""
    cookies = f"Cookie: {cookie}\r\n" if cookie else ""
    return (f"POST {MOUNT} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Content-Type: application/json;charset=UTF-8\r\n{cookies}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def upgrade(port: int) -> bytes:
    """Return the request for a WebSocket."""
    return (f"GET {MOUNT} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\nOrigin: http://127.0.0.1:{port}\r\n\r\n").encode()


def masked(opcode: int, text: bytes) -> bytes:
    """Return a client's frame, with a mask of zeros: that is legal, and costs the driver nothing."""
    size = len(text)
    if size < 126:
        return bytes((0x80 | opcode, 0x80 | size)) + bytes(4) + text
    return bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2) + bytes(4) + text


def field(text: bytes, name: bytes) -> str:
    """Return the value of a member that is a string, in compact JSON; empty if there is none."""
    mark = b'"%b":"' % name
    at = text.find(mark)
    return "" if at < 0 else text[at + len(mark):text.index(b'"', at + len(mark))].decode()


def content_length(head: bytes) -> int:
    """Return how long the body of a response is.  Raises ``ValueError`` if it does not say."""
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        raise ValueError(f"a response without Content-Length: {head[:200]!r}")
    end = lower.find(b"\r\n", at + 2)
    return int(lower[at + 17:end if end > 0 else len(lower)])


def cookies(head: bytes) -> str:
    """Return what a browser would send back of the cookies that a response sets."""
    lines = head.split(b"\r\n")
    return "; ".join(line[11:].split(b";")[0].strip().decode() for line in lines
                     if line[:11].lower() == b"set-cookie:")
