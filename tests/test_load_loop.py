"""load/loop.py: epoll and timers."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from bayeux.load.loop import READ, WRITE, Loop

MS = 1_000_000


class Noting:
    """A source that notes what it is told."""

    def __init__(self, sock: socket.socket, then: Callable[[], None] = lambda: None) -> None:
        self.sock = sock
        self.told: list[str] = []
        self.then = then

    def read(self) -> None:
        self.told.append(self.sock.recv(100).decode())
        self.then()

    def write(self) -> None:
        self.told.append("write")
        self.then()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def test_what_is_ready_is_served_without_waiting(loop: Loop, pair: Pair) -> None:
    source = Noting(pair[0])
    loop.add(pair[0].fileno(), source)
    pair[1].send(b"hello")
    loop.run(loop.clock())
    assert source.told == ["hello"]


def test_it_waits_for_what_comes_and_no_longer_than_it_is_to(loop: Loop, pair: Pair) -> None:
    source = Noting(pair[0], loop.leave)
    loop.add(pair[0].fileno(), source)
    for wait in (0.001, 0.012):  # less and more than what epoll itself can wait for
        began = loop.clock()
        loop.run(began + int(wait * 1000) * MS)
        assert loop.clock() >= began + int(wait * 1000) * MS
    loop.after(0.003, lambda: pair[1].send(b"x"))
    loop.run(loop.clock() + 3_600_000 * MS)
    assert source.told == ["x"]


def test_timers_are_called_in_order_and_not_before_their_time(loop: Loop) -> None:
    called: list[str] = []
    now = loop.clock()
    loop.at(now + 4 * MS, lambda: called.append("second"))
    loop.at(now + 2 * MS, lambda: called.append("first"))
    loop.at(now + 4 * MS, lambda: called.append("third"))
    loop.at(now + 3_600_000 * MS, lambda: called.append("never"))
    loop.run(now + 6 * MS)
    assert called == ["first", "second", "third"]


def test_a_timer_may_leave(loop: Loop) -> None:
    loop.after(0, loop.leave)
    before = time.monotonic()
    loop.run(loop.clock() + 3_600_000 * MS)
    assert time.monotonic() - before < 60


def test_writing_comes_before_reading_and_both_are_served(loop: Loop, pair: Pair) -> None:
    source = Noting(pair[0])
    loop.add(pair[0].fileno(), source, READ | WRITE)
    pair[1].send(b"x")
    loop.run(loop.clock())
    assert source.told == ["write", "x"]
    loop.change(pair[0].fileno(), WRITE)
    loop.run(loop.clock())
    assert source.told == ["write", "x", "write"]


def test_a_source_that_writing_has_taken_away_does_not_read(loop: Loop, pair: Pair) -> None:
    source = Noting(pair[0], lambda: loop.remove(pair[0].fileno()))
    loop.add(pair[0].fileno(), source, READ | WRITE)
    pair[1].send(b"x")
    loop.run(loop.clock())
    assert source.told == ["write"]


def test_a_source_that_an_earlier_one_takes_away_is_left_alone(loop: Loop, pair: Pair) -> None:
    sources = []
    for sock in pair:
        sock.setblocking(False)
        others = Noting(sock, lambda: [loop.remove(source.sock.fileno()) for source in sources])
        sources.append(others)
        loop.add(sock.fileno(), others)
    pair[0].send(b"x")
    pair[1].send(b"y")
    loop.run(loop.clock())
    assert sorted(source.told for source in sources)[0] == []


def test_who_is_not_to_read_hears_only_that_its_peer_is_gone(loop: Loop, pair: Pair) -> None:
    source = Noting(pair[0])
    loop.add(pair[0].fileno(), source)
    loop.change(pair[0].fileno(), 0)
    pair[1].send(b"x")
    loop.run(loop.clock())
    assert source.told == []
    pair[1].close()
    loop.run(loop.clock())
    assert source.told == ["x"]


def test_a_loop_that_is_closed_holds_nothing(pair: Pair) -> None:
    loop = Loop()
    loop.add(pair[0].fileno(), Noting(pair[0]))
    loop.close()
    with pytest.raises(ValueError, match="closed epoll"):
        loop.run(loop.clock())
    assert select.EPOLLIN == READ
