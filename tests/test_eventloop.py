"""The reactor's turn, made by us: like its own, but for what it does for the log."""

import socket

import pytest
from twisted.internet import tcp
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.selectreactor import SelectReactor
from twisted.python.failure import Failure

from bayeux.eventloop import EventLoop


class Peer(Protocol):
    """A protocol that notes what happens to it."""

    def __init__(self):
        self.data = b""
        self.lost = []

    def dataReceived(self, data):
        self.data += data
        if data == b"fail":
            raise RuntimeError("as it was asked to")

    def connectionLost(self, reason):
        self.lost.append(reason.type)


@pytest.fixture
def reactor():
    reactor = EPollReactor()
    yield reactor
    reactor.removeAll()
    reactor.waker.connectionLost(None)
    reactor._poller.close()


@pytest.fixture
def loop(reactor):
    loop = EventLoop(reactor)
    loop.start()
    yield loop
    loop.stop()


@pytest.fixture
def peers(reactor):
    """Return a protocol on a connection of that reactor, and the other end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    protocol = Peer()
    transport = tcp.Server(ours, protocol, ("127.0.0.1", 1), None, 1, reactor)
    protocol.makeConnection(transport)
    yield protocol, theirs
    if transport.connected:
        reactor.removeAll()
        ours.close()
    theirs.close()


def turn(reactor):
    reactor.doIteration(0.05)


def test_it_reads_what_has_come(reactor, loop, peers):
    protocol, theirs = peers
    theirs.send(b"hello")
    turn(reactor)
    assert protocol.data == b"hello"
    turn(reactor)  # nothing has come
    assert protocol.data == b"hello"


def test_it_sees_that_a_connection_is_closed(reactor, loop, peers):
    protocol, theirs = peers
    theirs.close()
    turn(reactor)
    assert [reason.__name__ for reason in protocol.lost] == ["ConnectionDone"]


def test_it_writes_what_has_to_be_written(reactor, loop, peers):
    protocol, theirs = peers
    protocol.transport.write(b"hello")
    turn(reactor)
    assert theirs.recv(100) == b"hello"


def test_a_protocol_that_fails_costs_its_connection_only(reactor, loop, peers, logged_errors):
    """G-34: as the reactor itself has it."""
    protocol, theirs = peers
    theirs.send(b"fail")
    turn(reactor)
    assert protocol.lost == [RuntimeError]
    assert [error.getErrorMessage() for error in logged_errors] == ["as it was asked to"]
    logged_errors.clear()


def test_a_connection_that_another_has_closed_is_left_alone(reactor, loop):
    """In the same turn: both have something to read."""
    seen = []

    class Rival(Peer):
        def dataReceived(self, data):
            seen.append(self)
            for other in pair:
                if other is not self:
                    other.transport.connectionLost(Failure(ConnectionDone()))

    pair, ends = [Rival(), Rival()], []
    for protocol in pair:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        ends.append(theirs)
        protocol.connectionLost = lambda reason: None
        protocol.makeConnection(tcp.Server(ours, protocol, ("127.0.0.1", 1), None, 1, reactor))
        theirs.send(b"hello")
    turn(reactor)
    assert len(seen) == 1
    for protocol, theirs in zip(pair, ends, strict=True):
        if protocol.transport.connected:
            protocol.transport.connectionLost(Failure(ConnectionDone()))
        theirs.close()


def test_it_leaves_the_reactor_to_itself_again(reactor, loop):
    assert "doIteration" in vars(reactor)
    loop.stop()
    loop.stop()
    assert "doIteration" not in vars(reactor)


def test_a_reactor_of_another_kind_is_left_alone():
    reactor = SelectReactor()
    loop = EventLoop(reactor)
    loop.start()
    assert "doIteration" not in vars(reactor)
    loop.stop()
    reactor.removeAll()
