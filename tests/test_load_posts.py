"""load/posts.py: requests, and whatever a server makes of a response."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator

import pytest

from bayeux.load.connection import Place
from bayeux.load.loop import Loop
from bayeux.load.posts import Posts
from bayeux.load.target import Target

SOON = 30_000_000_000
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[{}]"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n3;x=y\r\n{}]\r\n0\r\nX: 1\r\n\r\n"


class Noting:
    """A receiver that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def opened(self) -> None:
        self.told.append("opened")

    def received(self, text: bytes) -> None:
        self.told.append(text.decode())

    def gone(self, why: str) -> None:
        self.told.append(f"gone: {why}")


class Counting(Posts):
    """Posts that count the bytes that have come."""

    __slots__ = ("fed",)

    def feed(self, data: bytes) -> None:
        self.fed += len(data)
        super().feed(data)


class Wire:
    """Posts, and the other end of their connections, which the test plays."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(30)
        self.loop = Loop()
        target = Target.of(f"http://127.0.0.1:{self.listener.getsockname()[1]}/bayeux")
        self.receiver = Noting()
        self.posts = Counting(Place(self.loop, target), self.receiver)
        self.posts.fed = 0
        self.peer: socket.socket | None = None

    def accept(self) -> None:
        """Take the connection that the next request is to come by."""
        if self.peer is not None:
            self.peer.close()
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(30)
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def asked(self) -> bytes:
        """Return what has been asked."""
        peer = self.peer
        assert peer is not None
        self.until(lambda: select.select([peer], [], [], 0)[0])
        return peer.recv(65_536)

    def answer(self, *pieces: bytes) -> None:
        """Let an answer come, piece by piece."""
        assert self.peer is not None
        for piece in pieces:
            end = self.posts.fed + len(piece)
            self.peer.sendall(piece)
            self.until(lambda end=end: self.posts.fed >= end)

    def hang_up(self) -> None:
        assert self.peer is not None
        self.peer.close()
        self.until(lambda: self.posts.is_closed)

    def until(self, true: Callable[[], object]) -> None:
        """Let the loop run until something is so."""
        end = self.loop.clock() + SOON
        while not true():
            assert self.loop.clock() < end
            self.loop.run(self.loop.clock() + 1_000_000)

    def ask(self, text: str = "[1]", connect: bool = False) -> None:
        self.posts.post(text)
        if connect:
            self.accept()
        assert text.encode() in self.asked()

    def told(self) -> list[str]:
        told, self.receiver.told = self.receiver.told, []
        return told

    def close(self) -> None:
        self.posts.close()
        if self.peer is not None:
            self.peer.close()
        self.listener.close()
        self.loop.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def test_a_client_begins_before_there_is_a_connection(wire: Wire) -> None:
    wire.posts.begin()
    assert wire.told() == ["opened"]
    assert wire.posts.is_closed


@pytest.mark.parametrize("response", [
    PLAIN, CHUNKED,
    PLAIN.lower().replace(b"http/1.1", b"HTTP/1.1"),
    b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,
    b"HTTP/1.1 102 Processing\r\nX: 1\r\n\r\n" + CHUNKED,
    PLAIN.replace(b"Content-Length: 4", b"content-length:4 \r\nX-A:\r\nConnection: keep-alive")])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_response_is_understood_however_it_is_made_and_cut(wire: Wire, response: bytes, piece: int) -> None:
    """BAYEUX.md 26: servers differ."""
    wire.ask(connect=True)
    wire.answer(*(response[at:at + piece] for at in range(0, len(response), piece)))
    assert wire.told() == ["[{}]"]
    assert not wire.posts.awaits_answer
    wire.ask()  # by the same connection
    wire.answer(PLAIN)
    assert wire.told() == ["[{}]"]


def test_a_body_may_end_with_the_connection(wire: Wire) -> None:
    for body in (b"[{}]", b"{}"):
        wire.ask(connect=True)
        wire.answer(b"HTTP/1.1 200 OK\r\n\r\n", body)
        assert wire.told() == []
        wire.hang_up()
        assert wire.told() == [body.decode()]


def test_a_body_that_is_cut_short_is_lost(wire: Wire) -> None:
    wire.ask(connect=True)
    wire.answer(PLAIN[:-2])
    wire.hang_up()
    assert wire.told() == ["gone: connection closed"]


@pytest.mark.parametrize("response", [
    PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"), PLAIN.replace(b"Content", b"Connection: close\r\nContent")])
def test_a_connection_that_ends_with_its_response_is_made_anew(wire: Wire, response: bytes) -> None:
    wire.ask(connect=True)
    wire.answer(response)
    assert (wire.told(), wire.posts.is_closed) == (["[{}]"], True)
    wire.ask(connect=True)
    wire.answer(PLAIN)
    assert (wire.told(), wire.posts.is_closed) == (["[{}]"], False)


def test_a_connection_that_is_closed_between_requests_is_made_anew(wire: Wire) -> None:
    wire.ask(connect=True)
    wire.answer(PLAIN)
    wire.hang_up()
    wire.told()
    wire.ask(connect=True)
    wire.answer(PLAIN)
    assert wire.told() == ["[{}]"]


def test_a_connection_that_is_lost_is_told_to_who_waits(wire: Wire) -> None:
    wire.ask(connect=True)
    wire.hang_up()
    assert wire.told() == ["gone: connection closed"]
    wire.ask(connect=True)  # and it can be used again
    wire.answer(PLAIN)
    assert wire.told() == ["[{}]"]


@pytest.mark.parametrize("status", [204, 404, 409, 503])
def test_any_other_status_is_a_failure(wire: Wire, status: int) -> None:
    wire.ask(connect=True)
    wire.answer(b"HTTP/1.1 %d X\r\n%b\r\n" % (status, b"" if status == 204 else b"Content-Length: 0\r\n"))
    assert wire.told() == [f"gone: HTTP {status}"]


def test_what_is_not_http_is_told(wire: Wire) -> None:
    wire.ask(connect=True)
    wire.answer(b"SSH-2.0-OpenSSH\r\n")
    [told] = wire.told()
    assert told.startswith("gone: not HTTP: ")
    assert wire.posts.is_closed


def test_a_response_that_nobody_asked_for_is_let_go(wire: Wire) -> None:
    """Some servers tell a client that was idle for too long so, and close."""
    wire.ask(connect=True)
    wire.answer(PLAIN)
    wire.told()
    wire.answer(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    wire.hang_up()
    assert wire.told() == []


def test_cookies_are_kept_and_sent_until_the_client_is_settled(wire: Wire) -> None:
    wire.ask(connect=True)
    wire.answer(b"HTTP/1.1 200 OK\r\nSet-Cookie: A=1; Path=/\r\nset-cookie: B = two ;Secure\r\n"
                b"Content-Length: 2\r\n\r\n[]")
    wire.posts.post("[]")
    assert b"\r\nCookie: A=1; B=two\r\n" in wire.asked()
    wire.posts.settle()
    wire.answer(b"HTTP/1.1 200 OK\r\nSet-Cookie: A=2\r\nContent-Length: 2\r\n\r\n[]")
    assert wire.posts.cookies == {"A": "1", "B": "two"}


# -- responses that mean the same ---------------------------------------------------------------

def response(number: int, more: bytes = b"") -> bytes:
    body = b'[{"m":"bxl-%04d"},{"channel":"/meta/connect"%b}]' % (number, more)
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(number: int) -> bytes:
    body = b'[{"m":"bxl-%04d"}]' % number
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


class Remembering(Noting):
    """A receiver that asks again at once, and has what it was sent remembered."""

    def __init__(self, posts: Posts) -> None:
        super().__init__()
        self.posts = posts

    def received(self, text: bytes) -> None:
        super().received(text)
        self.posts.transmit(self.posts.prepare("[]"))
        at = text.find(b"bxl-")
        self.posts.remember(text[at:at + 8], self.again)

    def again(self, data: bytes, at: int) -> None:
        self.told.append(f"again {data[at:at + 8].decode()}")
        self.posts.transmit(self.posts.prepare("[]"))


@pytest.fixture
def remembering(wire: Wire) -> Wire:
    wire.receiver = wire.posts.receiver = Remembering(wire.posts)
    wire.ask(connect=True)
    return wire


@pytest.mark.parametrize("make", [response, chunked])
def test_a_response_that_means_the_same_is_not_read_again(remembering: Wire, make: object) -> None:
    assert callable(make)
    for number in range(1, 4):
        remembering.answer(make(number))
    assert remembering.told()[1:] == ["again bxl-0002", "again bxl-0003"]


def test_a_response_that_comes_in_pieces_is_read(remembering: Wire) -> None:
    remembering.answer(response(1))
    remembering.told()
    remembering.answer(response(2)[:30], response(2)[30:])
    assert remembering.told()[0].startswith('[{"m":"bxl-0002"}')
    remembering.answer(response(3))  # what came in pieces is not remembered, what was is
    assert remembering.told() == ["again bxl-0003"]


def test_the_rest_of_a_response_is_never_taken_for_a_whole_one(remembering: Wire) -> None:
    remembering.answer(response(1))
    remembering.told()
    tricky = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(response(2))
    remembering.answer(tricky, response(2))  # a body that looks like the response that is known
    assert remembering.told() == [response(2).decode()]


def test_a_response_with_something_else_in_it_is_read(remembering: Wire) -> None:
    remembering.answer(response(1), response(2, b',"advice":{"reconnect":"none"}'))
    assert ["none" in told for told in remembering.told()] == [False, True]


def test_a_known_response_that_nobody_asked_for_is_let_go(wire: Wire) -> None:
    wire.receiver = wire.posts.receiver = Remembering(wire.posts)
    wire.ask(connect=True)
    wire.answer(response(1))
    wire.told()
    wire.answer(response(2) + response(3))
    assert "again" not in "".join(wire.told())


def test_the_last_response_of_a_connection_is_not_remembered(wire: Wire) -> None:
    wire.receiver = wire.posts.receiver = Remembering(wire.posts)
    wire.ask(connect=True)
    closing = response(1).replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")
    wire.answer(closing)
    wire.accept()
    wire.answer(closing.replace(b"0001", b"0002"))
    assert [told[:15] for told in wire.told()] == ['[{"m":"bxl-0001', '[{"m":"bxl-0002']
