"""load/websocket.py: upgrades and frames."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bayeux.load import wire
from bayeux.load.connection import CLOSED
from bayeux.load.websocket import WebSocket
from tests.loading import FakeCrew

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Recorder(WebSocket):
    """A WebSocket whose socket is a list of what is sent."""

    def __init__(self) -> None:
        crew = FakeCrew()
        super().__init__(crew.place, self)
        self.sent: list[bytes] = []
        self.told: list[str] = []
        self.ended = False

    @property
    def is_closed(self) -> bool:
        return self.ended

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self, reset: bool = False) -> None:
        self.ended = True

    def opened(self) -> None:
        self.told.append("opened")

    def received(self, text: bytes) -> None:
        self.told.append(text.decode())

    def gone(self, why: str) -> None:
        self.told.append(f"gone: {why}")


def frame(first: int, payload: bytes, mask: int = 0) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, mask | size)) + payload
    if size < 65_536:
        return bytes((first, mask | 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, mask | 127)) + size.to_bytes(8, "big") + payload


def text(payload: str, first: int = 0x81) -> bytes:
    return frame(first, payload.encode())


@pytest.fixture
def socket() -> Iterator[Recorder]:
    made = Recorder()
    made.feed(UPGRADED)
    assert made.told == ["opened"]
    made.told.clear()
    yield made


def test_it_asks_to_be_upgraded_when_the_connection_is_there() -> None:
    crew = FakeCrew()
    sent = []

    class Real(WebSocket):
        def send(self, data: bytes) -> None:
            sent.append(data)

    Real(crew.place, Recorder()).opened()
    assert sent == [wire.upgrade(crew.place.target)]


@pytest.mark.parametrize("piece", [1, 10, 1000])
def test_what_comes_with_the_upgrade_is_read(piece: int) -> None:
    made = Recorder()
    data = UPGRADED + text("[1]")
    for at in range(0, len(data), piece):
        made.feed(data[at:at + piece])
    assert made.told == ["opened", "[1]"]


@pytest.mark.parametrize(("response", "why"), [
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "gone: no WebSocket: HTTP 404"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "gone: no WebSocket: HTTP 200"),
    (b"SSH-2.0\r\n", "gone: no WebSocket: Expected HTTP/, RTSP/ or ICE/")])
def test_a_server_that_has_none_says_so(response: bytes, why: str) -> None:
    made = Recorder()
    made.feed(response)
    assert made.told == [why]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
@pytest.mark.parametrize("split", [0, 1, 2, 3, 5, 11])
def test_a_text_is_read_whatever_its_size_and_wherever_it_is_cut(socket: Recorder, size: int,
                                                                 split: int) -> None:
    data = text("x" * size)
    for part in (data[:split], data[split:]):
        if part:
            socket.feed(part)
    assert socket.told == ["x" * size]


def test_several_frames_at_once_are_all_read(socket: Recorder) -> None:
    data = text("one") + text("two") + text("three")
    socket.feed(data[:-3])
    socket.feed(data[-3:] + text("four"))
    assert socket.told == ["one", "two", "three", "four"]


def test_a_message_in_fragments_is_put_together(socket: Recorder) -> None:
    socket.feed(text("o", 0x01) + text("n", 0x00))
    socket.feed(frame(0x89, b"?"))  # a ping may come in between
    socket.feed(text("e", 0x80))
    socket.feed(text("two"))
    assert (socket.told, socket.sent) == (["one", "two"], [wire.masked(wire.PONG, b"?")])


def test_a_ping_is_answered_and_a_pong_is_not(socket: Recorder) -> None:
    socket.feed(frame(0x89, b"abc") + frame(0x8a, b"x"))
    assert (socket.sent, socket.told) == ([wire.masked(wire.PONG, b"abc")], [])


@pytest.mark.parametrize(("payload", "why"), [
    (b"\x03\xe9bye", "WebSocket closed: 1001"), (b"", "WebSocket closed")])
def test_why_a_server_closes_is_told_when_it_has(payload: bytes, why: str) -> None:
    receiver = Recorder()
    made = Recorder()
    made.receiver = receiver
    made.feed(UPGRADED + frame(0x88, payload))
    assert made.sent == [wire.masked(wire.CLOSE, payload[:2])]
    WebSocket.gone(made, CLOSED)
    WebSocket.gone(made, "connection reset")
    assert receiver.told == ["opened", f"gone: {why}", "gone: connection reset"]


@pytest.mark.parametrize(("data", "why"), [
    (frame(0x81, b"\0\0\0\0x", mask=0x80), "a frame of the server is masked"),
    (frame(0xc1, b"x"), "an extension is used that was not agreed on"),
    (frame(0x82, b"x"), "a frame with opcode 2 where none is expected"),
    (frame(0x80, b"x"), "a frame with opcode 0 where none is expected"),
    (frame(0x01, b"x") + frame(0x81, b"y"), "a frame with opcode 1 where none is expected"),
    (b"\x81\x7f" + (1 << 40).to_bytes(8, "big") + b"x", f"a frame of {1 << 40} bytes")])
def test_a_server_that_breaks_the_protocol_is_left(socket: Recorder, data: bytes, why: str) -> None:
    socket.feed(data)
    assert socket.told == [f"gone: WebSocket: {why}"]
    assert socket.ended


def test_nothing_is_read_once_the_client_has_gone(socket: Recorder) -> None:
    class Leaving(Recorder):
        def received(self, text: bytes) -> None:
            super().received(text)
            socket.close()

    socket.receiver = receiver = Leaving()
    socket.feed(text("one") + text("two"))
    assert receiver.told == ["one"]


def test_a_client_that_goes_at_once_reads_nothing() -> None:
    made = Recorder()

    class Leaving(Recorder):
        def opened(self) -> None:
            made.close()

    made.receiver = receiver = Leaving()
    made.feed(UPGRADED + text("one"))
    assert receiver.told == []


def test_an_envelope_is_a_text_frame(socket: Recorder) -> None:
    socket.post("[]")
    socket.transmit(socket.prepare("[1]"))
    socket.settle()
    socket.remember(b"", lambda data, at: None)
    assert socket.sent == [wire.masked(wire.TEXT, b"[]"), wire.masked(wire.TEXT, b"[1]")]
    assert (socket.pushes, socket.awaits_answer) == (True, False)
