"""Writing at once: what goes to the socket itself, what to the transport's buffer, and in which order."""

import socket
import ssl
from contextlib import suppress
from errno import ENOBUFS, EPIPE, EWOULDBLOCK

import pytest
from twisted.internet import tcp, unix
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory

from bayeux.metrics import Metrics
from bayeux.transports.wire import tidy, write
from tests.certificate import write_certificate
from tests.fakenet import Reactor


class Socket:
    """A socket of which the kernel takes so much each time: a number of bytes, or an error."""

    def __init__(self, *takes):
        self.takes = list(takes)
        self.sent = b""

    def setblocking(self, flag):
        pass

    def fileno(self):
        return 3

    def send(self, data):
        take = self.takes.pop(0) if self.takes else len(data)
        if isinstance(take, OSError):
            raise take
        self.sent += bytes(data[:take])
        return min(take, len(data))


def server_end(*takes, kind=tcp.Server):
    """Return Twisted's own transport on such a socket."""
    return kind(Socket(*takes), Protocol(), ("192.0.2.7", 50_000), None, 1, Reactor())


def turn(transport):
    """Have the reactor find that the socket can be written to, as often as the transport wants to know."""
    while transport in transport.reactor.writers:
        error = transport.doWrite()
        if error is not None:
            return error
    return None


@pytest.mark.parametrize("kind", [tcp.Server, unix.Server])
def test_what_the_socket_takes_is_sent_at_once(kind):
    """And the reactor has nothing to do with it."""
    transport = server_end(kind=kind)
    write(transport, b"hello", Metrics())
    assert transport.socket.sent == b"hello"
    assert not transport.reactor.writers


@pytest.mark.parametrize("takes", [[1], [4], [1, 1, 1], [OSError(EWOULDBLOCK, "")], [OSError(ENOBUFS, "")],
                                   [2, OSError(EWOULDBLOCK, ""), 1]])
def test_what_the_socket_does_not_take_is_sent_when_it_does(takes):
    """Each byte once, in order."""
    transport = server_end(*takes)
    write(transport, b"hello", Metrics())
    write(transport, b", world", Metrics())
    assert transport.socket.sent == b"hello"[:takes[0] if isinstance(takes[0], int) else 0]
    assert turn(transport) is None
    assert transport.socket.sent == b"hello, world"


def test_nothing_overtakes_what_waits():
    """Although the socket could take it by now."""
    transport = server_end()
    transport.write(b"first ")
    write(transport, b"second", Metrics())
    assert transport.socket.sent == b""
    turn(transport)
    assert transport.socket.sent == b"first second"


def test_nothing_overtakes_what_has_been_sent_in_part():
    """The rest of it waits in another place than what has not been tried yet."""
    transport = server_end(3)
    transport.write(b"first ")
    transport.doWrite()
    write(transport, b"second", Metrics())
    assert transport.socket.sent == b"fir"
    turn(transport)
    assert transport.socket.sent == b"first second"


def test_when_all_is_sent_the_next_is_sent_at_once_again():
    """A moment of congestion does not last."""
    transport = server_end(1)
    write(transport, b"first ", Metrics())
    turn(transport)
    write(transport, b"second", Metrics())
    assert transport.socket.sent == b"first second"
    assert not transport.reactor.writers


def test_a_broken_socket_is_noticed_by_the_reactor():
    """Not in the middle of whatever writes: the loss of a connection is told in a turn of its own."""
    transport = server_end(OSError(EPIPE, ""), OSError(EPIPE, ""))
    write(transport, b"hello", Metrics())
    assert transport.connected
    assert turn(transport) is CONNECTION_LOST


def test_too_much_pauses_the_producer():
    """G-16: as if it had been written in the usual way."""
    transport = server_end(1_000)
    paused = []

    class Producer:
        def pauseProducing(self):
            paused.append(True)

        def stopProducing(self):
            pass

    transport.registerProducer(Producer(), True)
    write(transport, bytes(100_000), Metrics())
    assert paused == [True]


def test_what_the_socket_takes_at_once_pauses_nobody():
    """G-16: only what waits in this process counts."""
    transport = server_end()
    transport.registerProducer(object(), True)
    write(transport, bytes(100_000), Metrics())
    assert len(transport.socket.sent) == 100_000


def test_a_connection_that_is_being_closed_sends_it_before():
    """As ``transport.write`` does."""
    transport = server_end()
    transport.loseConnection()
    write(transport, b"farewell", Metrics())
    turn(transport)
    assert transport.socket.sent == b"farewell"


def test_a_connection_that_is_lost_is_left_alone():
    """There is no socket any more."""
    transport = server_end()
    transport.connected = False
    write(transport, b"hello", Metrics())
    assert transport.socket.sent == b""
    assert not transport.reactor.writers


def test_behind_its_own_end_nothing_is_sent():
    """After ``loseWriteConnection`` the peer has been told that nothing comes."""
    transport = server_end(OSError(EPIPE, ""))
    transport._writeDisconnected = True
    write(transport, b"hello", Metrics())
    assert transport.socket.sent == b""
    assert not transport.reactor.writers


def test_nothing_passes_tls_by():
    """A socket on which TLS has been started is the same object as before, and must get no plain text."""
    transport = server_end()
    transport.TLS = True
    transport.protocol = StringTransport()
    write(transport, b"secret", Metrics())
    assert transport.socket.sent == b""
    assert transport.protocol.value() == b"secret"


def test_a_transport_of_another_kind_is_written_to_in_the_usual_way():
    """As TLS, which wraps the socket's."""
    transport = StringTransport()
    write(transport, b"hello", Metrics())
    assert transport.value() == b"hello"


def test_a_transport_that_only_inherits_is_written_to_in_the_usual_way():
    """Its ``write`` may be another one."""
    class Counting(tcp.Server):
        def write(self, data):
            written.append(data)

    written = []
    write(server_end(kind=Counting), b"hello", Metrics())
    assert written == [b"hello"]


def test_a_real_socket_gets_every_byte_in_order():
    """What the kernel does not take, the reactor sends; and between two turns come new ones."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        transport = tcp.Server(ours, Protocol(), ("192.0.2.7", 50_000), None, 1, Reactor())
        pieces = [bytes([number]) * 70_000 for number in range(30)]
        received = bytearray()
        for piece in pieces:
            write(transport, piece, Metrics())
        assert transport.reactor.writers, "the kernel has taken it all: no test"
        while transport.reactor.writers:
            received += theirs.recv(50_000)
            transport.doWrite()
        while len(received) < 30 * 70_000:
            received += theirs.recv(1 << 20)
        assert bytes(received) == b"".join(pieces)


# -- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def tls(tmp_path):
    """Return a connection by TLS, its transport, and the peer, past the handshake."""
    cert, key = write_certificate(tmp_path)
    context = DefaultOpenSSLContextFactory(str(key), str(cert))
    factory = TLSMemoryBIOFactory(context, False, ServerFactory.forProtocol(Protocol), Clock())
    connection = factory.buildProtocol(None)
    transport = server_end()
    transport.protocol = connection
    connection.makeConnection(transport)
    tidy(connection)
    peer = Peer()
    while not peer.shaken:
        connection.dataReceived(peer.say())
        connection.factory._clock.advance(0)
        turn(transport)
        peer.hear(transport.socket.sent)
        transport.socket.sent = b""
    return connection, transport, peer


class Peer:
    """The other end of a TLS connection, without a socket."""

    def __init__(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing)
        self.shaken = False

    def say(self):
        if not self.shaken:
            with suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
                self.shaken = True
        return self._outgoing.read()

    def hear(self, data):
        self._incoming.write(data)

    def farewell(self):
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()


class Producer:
    def __init__(self):
        self.paused = False

    def pauseProducing(self):
        self.paused = True

    def resumeProducing(self):
        self.paused = False

    def stopProducing(self):
        pass


def test_a_peer_that_says_farewell_while_it_is_written_to_is_let_go(tls):
    """G-16: its socket would wait for a producer that has nothing more to say."""
    connection, transport, peer = tls
    producer = Producer()
    connection.registerProducer(producer, True)
    transport.socket.takes = [OSError(EWOULDBLOCK, "")]
    connection.write(bytes(200_000))
    connection.factory._clock.advance(0)
    transport.doWrite()
    assert producer.paused
    connection.dataReceived(peer.farewell())
    assert turn(transport) is CONNECTION_DONE


def test_a_connection_by_tls_is_written_to_in_the_usual_way(tls):
    """Its socket is not for what is not encrypted."""
    connection, transport, _ = tls
    write(connection, b"hello", Metrics())
    connection.factory._clock.advance(0)
    turn(transport)
    assert transport.socket.sent
    assert b"hello" not in transport.socket.sent
