"""load/connection.py: sockets that never block."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bayeux.load.connection import CLOSED, Connection, Place, describe
from bayeux.load.loop import READ, WRITE, Loop
from bayeux.load.target import Target
from tests.certificate import write_certificate
from tests.loading import FakeLoop
from tests.ports import free_port

SOON = 30_000_000_000


class Noting(Connection):
    """A connection that notes what becomes of it; each time the loop is left."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.data = b""
        self.told: list[str] = []

    def opened(self) -> None:
        self._note("opened")

    def feed(self, data: bytes) -> None:
        self.data += data
        self.place.loop.leave()

    def gone(self, why: str) -> None:
        self._note(why)

    def _note(self, what: str) -> None:
        self.told.append(what)
        self.place.loop.leave()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def place(loop: Loop, listener: socket.socket, *sources: str) -> Place:
    return Place(loop, Target.of(f"http://127.0.0.1:{listener.getsockname()[1]}/"), sources)


def until(loop: Loop, true: Callable[[], object]) -> None:
    """Let the loop run until something is so."""
    end = loop.clock() + SOON
    while not true():
        assert loop.clock() < end
        loop.run(loop.clock() + 5_000_000)


def open_(made: Noting, listener: socket.socket) -> socket.socket:
    """Open a connection; returns its other end."""
    made.open()
    until(made.place.loop, lambda: made.told)
    assert made.told == ["opened"]
    return listener.accept()[0]


def test_what_is_sent_arrives_and_what_comes_is_fed(loop: Loop, listener: socket.socket) -> None:
    made = Noting(place(loop, listener))
    made.open()
    made.send(b"early ")  # before the connection is there
    until(loop, lambda: made.told)
    peer = listener.accept()[0]
    made.send(b"late")
    with peer:
        peer.sendall(b"hello")
        until(loop, lambda: made.data)
        assert (peer.recv(10, socket.MSG_WAITALL), made.data) == (b"early late", b"hello")
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0  # ours, not the peer's
    until(loop, lambda: made.told != ["opened"])
    assert (made.told, made.is_closed) == (["opened", CLOSED], True)


def test_what_the_socket_does_not_take_is_sent_when_it_does(loop: Loop, listener: socket.socket) -> None:
    made = Noting(place(loop, listener))
    with open_(made, listener) as peer:
        peer.setblocking(False)
        made.send(b"a" * 10_000_000)
        made.send(b"b" * 1_000_000)
        got = bytearray()

        def all_is_there() -> bool:
            with contextlib.suppress(BlockingIOError):  # not yet: the kernel may take its time
                got.extend(peer.recv(1_000_000))
            return len(got) >= 11_000_000

        until(loop, all_is_there)
        assert got == b"a" * 10_000_000 + b"b" * 1_000_000
    made.close()


def test_a_server_that_is_not_there_refuses(loop: Loop) -> None:
    made = Noting(Place(loop, Target.of(f"http://127.0.0.1:{free_port()}/")))
    made.open()
    assert made.told == []  # not while it is opened
    until(loop, lambda: made.told)
    assert (made.told, made.is_closed) == (["connection refused"], True)


def test_a_connection_that_is_cut_is_reset(loop: Loop, listener: socket.socket) -> None:
    made = Noting(place(loop, listener))
    peer = open_(made, listener)
    made.close(reset=True)
    with pytest.raises(ConnectionResetError):
        peer.recv(1)
    peer.close()
    again = Noting(place(loop, listener))
    peer = open_(again, listener)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    until(loop, lambda: len(again.told) == 2)
    assert again.told == ["opened", "connection reset"]
    again.close()
    assert len(again.told) == 2


def test_what_is_closed_is_not_told_of(loop: Loop, listener: socket.socket) -> None:
    made = Noting(place(loop, listener))
    open_(made, listener).close()
    made.close()
    made.read()
    made.write()
    made.pause()
    made.resume()
    loop.run(loop.clock() + 5_000_000)
    assert made.told == ["opened"]


def test_nothing_is_read_while_it_rests(loop: Loop, listener: socket.socket) -> None:
    made = Noting(place(loop, listener))
    with open_(made, listener) as peer:
        made.pause()
        peer.sendall(b"hello")
        loop.run(loop.clock() + 20_000_000)
        assert made.data == b""
        made.send(b"x" * 10_000_000)  # more than fits: it is written on, and still nothing is read
        made.pause()
        loop.run(loop.clock() + 20_000_000)
        made.resume()
        until(loop, lambda: made.data)
        assert made.data == b"hello"
    made.close()


def test_a_slow_reader_takes_little_in(loop: Loop, listener: socket.socket) -> None:
    sizes = []
    for slow in (False, True):
        made = Noting(place(loop, listener))
        made.slow = slow
        with open_(made, listener) as peer:
            peer.setblocking(False)
            made.pause()
            sent = 0
            with pytest.raises(BlockingIOError):
                while True:
                    sent += peer.send(b"x" * 10_000)
            sizes.append(sent)
        made.close()
    assert sizes[1] < sizes[0]


def test_connections_come_from_the_given_addresses_in_turn(loop: Loop, listener: socket.socket) -> None:
    where = place(loop, listener, "127.0.1.1", "127.0.1.2")
    seen = []
    for _ in range(4):
        made = Noting(where)
        with open_(made, listener) as peer:
            seen.append(peer.getpeername()[0])
        made.close()
    assert sorted(seen) == ["127.0.1.1", "127.0.1.1", "127.0.1.2", "127.0.1.2"]


def test_an_address_that_cannot_be_had_is_told_later(loop: Loop, listener: socket.socket) -> None:
    made = Noting(place(loop, listener, "192.0.2.1"))
    made.open()
    assert made.told == []
    until(loop, lambda: made.told)
    assert made.told == ["no local port is free"]


def test_a_failure_is_not_told_to_who_has_closed_meanwhile(loop: Loop, listener: socket.socket) -> None:
    made = Noting(place(loop, listener, "192.0.2.1"))
    made.open()
    made.close()
    loop.run(loop.clock() + 5_000_000)
    assert made.told == []


def test_too_many_open_files_is_told(loop: Loop, listener: socket.socket,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    made = Noting(place(loop, listener))
    monkeypatch.setattr(socket, "socket", fail)
    made.open()
    monkeypatch.undo()
    until(loop, lambda: made.told)
    assert made.told == ["too many open files"]


@pytest.mark.parametrize(("error", "told"), [
    (OSError(errno.ECONNREFUSED, "x"), "connection refused"), (OSError(errno.EPIPE, "x"), "connection reset"),
    (OSError(errno.ETIMEDOUT, "x"), "connection timed out"), (OSError(errno.ENETDOWN, "Network is down"),
                                                              "network is down"),
    (OSError("odd"), "odd"), (ssl.SSLError(1, "[SSL: X] y"), "TLS: failed")])
def test_errors_have_few_words(error: OSError, told: str) -> None:
    assert describe(error) == told


class FakeSocket:
    """A socket that does with each send as it is told, and has nothing to read."""

    def __init__(self, *sends: int | OSError) -> None:
        self._sends = list(sends)
        self.sent = b""
        self.reads = 0

    def fileno(self) -> int:
        return 9

    def send(self, data: bytes) -> int:
        taken = self._sends.pop(0)
        if isinstance(taken, OSError):
            raise taken
        self.sent += data[:taken]
        return taken

    def recv(self, most: int) -> bytes:
        self.reads += 1
        raise BlockingIOError

    def close(self) -> None:
        pass


def fake(*sends: int | OSError) -> tuple[Noting, FakeLoop, FakeSocket]:
    """Return a connection that is open."""
    loop, sock = FakeLoop(), FakeSocket(*sends)
    made = Noting(Place(loop, Target.of("http://127.0.0.1:1/")))
    made._sock = sock  # type: ignore[assignment]  # as far as it is needed
    made._is_open = True
    loop.add(9, made, READ)
    return made, loop, sock


def test_what_a_full_socket_does_not_take_waits_until_it_does() -> None:
    made, loop, sock = fake(BlockingIOError(), 1, 2)
    made.send(b"abc")
    assert loop.watched == {9: READ | WRITE}
    made.write()
    assert (sock.sent, loop.watched) == (b"a", {9: READ | WRITE})
    made.write()
    assert (sock.sent, loop.watched) == (b"abc", {9: READ})


def test_that_the_peer_has_gone_is_told_by_reading() -> None:
    made, loop, _ = fake(ConnectionResetError())
    made.send(b"abc")
    loop.advance(0)
    assert (made.told, loop.watched) == ([], {9: READ})


def test_there_is_nothing_to_read_now_and_then() -> None:
    made, _, sock = fake()
    made.read()
    assert (made.told, sock.reads) == ([], 1)


def test_a_network_that_cannot_be_reached_is_told_later(loop: Loop) -> None:
    made = Noting(Place(loop, Target.of("http://255.255.255.255:1/")))
    made.open()
    assert made.told == []
    until(loop, lambda: made.told)
    assert made.told[0] in ("permission denied", "network is unreachable")


# -- TLS ----------------------------------------------------------------------------------------

@pytest.fixture
def echo(listener: socket.socket, tmp_path: Path) -> Iterator[int]:
    """Yield the port of a server that answers one connection by TLS with what it is sent."""
    certificate = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            try:
                with context.wrap_socket(sock, server_side=True) as secure:
                    while data := secure.recv(65_536):
                        secure.sendall(data)
            except OSError:
                pass  # the client does not like the certificate

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    thread.join()


def secure(loop: Loop, port: int, verify: bool) -> Noting:
    return Noting(Place(loop, Target.of(f"https://127.0.0.1:{port}/", verify=verify)))


def test_tls_carries_what_is_sent(loop: Loop, echo: int) -> None:
    made = secure(loop, echo, verify=False)
    made.open()
    until(loop, lambda: made.told)
    made.send(b"x" * 100_000)
    made.send(b"y")
    until(loop, lambda: len(made.data) == 100_001)
    assert made.data == b"x" * 100_000 + b"y"
    made.close()


def test_a_certificate_that_is_found_bad_while_it_sends_is_told_in_the_next_turn() -> None:
    """Reading would only tell that the connection is closed."""
    made, loop, sock = fake(ssl.SSLError(1, "bad certificate"))
    made.send(b"x")
    made.read()
    assert (made.told, sock.reads) == ([], 0)
    loop.advance(0)
    assert made.told == ["TLS: failed"]
    assert loop.watched == {}


def test_while_tls_shakes_hands_what_is_to_be_sent_waits_for_what_comes() -> None:
    made, loop, sock = fake(ssl.SSLWantReadError(), 2)
    made.send(b"xy")
    assert loop.watched == {9: READ}
    made.read()
    assert (sock.sent, made.told) == (b"xy", [])


def test_a_certificate_that_is_not_trusted_is_told(loop: Loop, echo: int) -> None:
    made = secure(loop, echo, verify=True)
    made.open()
    made.send(b"x")
    until(loop, lambda: len(made.told) == 2)
    assert made.told[1].startswith("TLS: self")
