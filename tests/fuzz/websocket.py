"""The WebSocket reader: whatever frames come, what goes out are frames, and a breach ends the connection."""

from __future__ import annotations

import json
import zlib
from enum import Enum, auto
from typing import ClassVar

from bayeux.errors import EnvelopeError
from bayeux.messages import decode
from tests.fakenet import CLOSE, PING, PONG, TEXT, Wire, frame, parse_head, upgrade
from tests.fuzz.net import CLIENT, Peers, pieces

MOST = 2_000
"""Bytes of one message."""
_CONTROL = 8


class Fate(Enum):
    """What becomes of a connection."""

    OPEN = auto()
    CLOSED = auto()
    EITHER = auto()
    """Something is incomplete, or compressed."""


class Frames:
    """An oracle: frames read one after the other, as RFC 6455 says (5.2, 5.4, 5.5)."""

    def __init__(self, data: bytes, settings: object) -> None:
        self._data = data
        self._settings = settings
        self._message: bytes | None = None

    def fate(self) -> Fate:
        """Return what becomes of a connection by which a client has sent this."""
        while self._data:
            found = self._next()
            if found is not Fate.OPEN:
                return found
        return Fate.OPEN

    def _next(self) -> Fate:
        if len(self._data) < 2:
            return Fate.EITHER
        first, second = self._data[:2]
        length, at = second & 127, 2
        if length > 125:
            at = 4 if length == 126 else 10
            length = int.from_bytes(self._data[2:at], "big")
        if len(self._data) < at + 4 + length or not second & 128:
            return Fate.CLOSED if len(self._data) >= at and not second & 128 else Fate.EITHER
        if length > MOST:
            return Fate.CLOSED
        mask, masked = self._data[at:at + 4], self._data[at + 4:at + 4 + length]
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
        self._data = self._data[at + 4 + length:]
        return self._take(first >= 128, first & 0x70, first & 15, payload)

    def _take(self, last: bool, reserved: int, opcode: int, payload: bytes) -> Fate:
        if reserved:
            return Fate.CLOSED
        if opcode & _CONTROL:
            return Fate.OPEN if last and len(payload) < 126 and opcode in (PING, PONG) else Fate.CLOSED
        if opcode not in (0, TEXT) or (opcode == 0) is (self._message is None):
            return Fate.CLOSED
        self._message = (self._message or b"") + payload
        if len(self._message) > MOST:
            return Fate.CLOSED
        if not last:
            return Fate.OPEN
        message, self._message = self._message, None
        try:
            decode(message, self._settings)  # type: ignore[arg-type]  # they are Settings
        except EnvelopeError:
            return Fate.CLOSED
        return Fate.OPEN


def check_frames(output: bytes, compressed: bool) -> bool:
    """See that what a server has sent are whole frames (RFC 6455 5.1); says whether it has closed."""
    inflate = zlib.decompressobj(-15)
    while output:
        first, second = output[:2]
        assert second < 128, "masked"
        length, at = second, 2
        if second > 125:
            at = 4 if second == 126 else 10
            length = int.from_bytes(output[2:at], "big")
            assert length > (125 if second == 126 else 65_535)
        payload, output = output[at:at + length], output[at + length:]
        assert len(payload) == length, "half a frame"
        if first == 0x80 | CLOSE:
            assert length != 1
            assert length <= 125
            payload[2:].decode()
            assert not output, "more after the end"
            return True
        if first & 0x40:
            assert compressed
            first, payload = first & ~0x40, inflate.decompress(payload + b"\0\0\xff\xff")
        assert first in (0x80 | TEXT, 0x80 | PING, 0x80 | PONG), first
        if first & 15 == TEXT:
            assert all(isinstance(message, dict) for message in json.loads(payload))
        else:
            assert length <= 125
    return False


def framed(data: bytes) -> bytes:
    """Make frames of records: their first byte, the length of a payload, which is masked here."""
    found = b""
    while data:
        size = data[1] if data[1:] and data[1] < 255 else len(data)
        payload, first = data[2:2 + size], data[0]
        found += frame(payload, first & 15, first >= 128, first >> 4 & 7)
        data = data[2 + size:]
    return found


class WebSocketReader(Peers):
    """What comes after an upgrade.

    Of the first byte one bit offers compression, one says that the rest are records (see ``framed``).
    """

    name = "websocket"
    settings: ClassVar = {"websocket_max_message": MOST, "websocket_compression": True, "max_batch": 10}

    def __init__(self) -> None:
        self._heard: dict[Wire, bool] = {}
        super().__init__()

    def talk(self, data: bytes) -> bytes:
        """Send frames."""
        mode, data = data[:1] or b"\0", data[1:].replace(CLIENT, self.anybody.encode())
        compressed = bool(mode[0] & 1)
        if mode[0] & 2:
            data = framed(data)
        wire = self.net.open()
        wire.send(upgrade(sec_websocket_extensions="permessage-deflate" if compressed else None))
        head, _ = parse_head(wire.take())
        assert head.status == 101
        for piece in pieces(data):
            wire.send(piece)
        output = wire.take()
        closed = check_frames(output, compressed)
        fate = Fate.EITHER if compressed else Frames(data, self.net.hub.settings).fate()
        assert fate is Fate.EITHER or (fate is Fate.CLOSED) is closed, (fate, closed, output)
        self._heard[wire] = closed
        return output

    def wait(self) -> None:
        """Let those end that have been closed."""
        self.net.advance(3)
        heard, self._heard = self._heard, {}
        for wire, closed in heard.items():
            assert wire.closed or not closed
