"""The site of ``twistd bayeux``: what it bounds in size and in time, without sockets and without waiting."""

import json
import tracemalloc

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from bayeux.hub import Hub
from bayeux.settings import Settings
from bayeux.web.resource import BayeuxResource
from bayeux.web.site import BayeuxSite
from tests.test_resource import HANDSHAKE, chunked, connect, get, post, publish


class Transport(StringTransport):
    """A transport that, like a socket's, tells of its end in a later turn of the reactor."""

    def __init__(self, clock):
        super().__init__(peerAddress=IPv4Address("TCP", "192.0.2.7", 50_000), lenient=True)
        self.clock = clock
        self.lost = False
        self.aborted = False
        self.stuck = False
        """Whether the peer takes nothing more, so that what has been written is never gone."""

    def unregisterProducer(self):
        self.producer = None  # a socket's does not mind that there is none

    def loseConnection(self):
        if not self.disconnecting:
            self.disconnecting = True
            if not self.stuck:
                self.clock.callLater(0, self.lose)

    def abortConnection(self):
        self.aborted = self.disconnecting = True
        self.clock.callLater(0, self.lose)

    def lose(self):
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(ConnectionDone()))


class Connection:
    """One connection to a site."""

    def __init__(self, site, clock):
        self._clock = clock
        self.channel = site.buildProtocol(IPv4Address("TCP", "192.0.2.7", 50_000))
        self.transport = Transport(clock)
        self.transport.protocol = self.channel
        self.channel.makeConnection(self.transport)

    def send(self, *pieces):
        """Let bytes arrive, each piece by itself, unless the connection is gone."""
        for piece in pieces:
            if not self.transport.disconnecting:
                self.transport.protocol.dataReceived(piece)

    def drip(self, data, pause):
        """Let bytes arrive one by one; return after how many seconds the connection was gone, or None."""
        start = self._clock.seconds()
        for byte in data:
            self.send(bytes([byte]))
            self._clock.advance(pause)
            if self.closed:
                return self._clock.seconds() - start
        return None

    @property
    def closed(self):
        self._clock.advance(0)
        return self.transport.lost

    @property
    def output(self):
        return self.transport.value()

    @property
    def statuses(self):
        """The statuses of all responses so far, each of which must be whole."""
        data, found = self.output, []
        while data:
            head, blank, data = data.partition(b"\r\n\r\n")
            assert blank, head
            found.append(int(head.split(b" ")[1]))
            for line in head.split(b"\r\n"):
                name, _, value = line.partition(b": ")
                if name.lower() == b"content-length":
                    assert len(data) >= int(value)
                    data = data[int(value):]
        return found

    @property
    def messages(self):
        """The messages of the last response."""
        return json.loads(self.output.rpartition(b"\r\n\r\n")[2])


class Slow(Resource):
    """Something else on the site, which answers when it is told to."""

    isLeaf = True

    def render(self, request):
        self.request = request
        return NOT_DONE_YET

    def answer(self):
        self.request.setHeader(b"Content-Length", b"4")
        self.request.write(b"slow")
        self.request.finish()


class Server:
    """A site on a clock."""

    def __init__(self, **settings):
        self.clock = Clock()
        self.hub = Hub(self.clock, Settings(**settings))
        resource = BayeuxResource(self.hub)
        root = Resource()
        self.slow = Slow()
        root.putChild(b"bayeux", resource)
        root.putChild(b"slow", self.slow)
        self.site = BayeuxSite(root, resource.endpoint, self.hub.settings, self.clock,
                               lambda: 1_700_000_000 + self.clock.seconds())

    def connection(self):
        return Connection(self.site, self.clock)

    def connection_or_none(self):
        """Connect; returns None if there is no room for another."""
        connection = self.connection()
        return None if connection.closed else connection

    def client(self):
        """Return the id of a session that is past its first connect."""
        connection = self.connection()
        connection.send(post(HANDSHAKE))
        client = connection.messages[0]["clientId"]
        connection.send(post(connect(client)))
        connection.transport.lose()
        return client


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def small():
    return Server(max_body=1_000)


def body_of(size):
    return json.dumps([HANDSHAKE]).encode().ljust(size)


# -- bodies: G-1 ----------------------------------------------------------------------------------


def test_a_body_at_the_limit_is_accepted(small):
    """G-1."""
    connection = small.connection()
    connection.send(post(body=body_of(1_000)))
    assert connection.messages[0]["successful"] is True


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_chunked_body_at_the_limit_is_accepted(small, size):
    """G-1."""
    connection = small.connection()
    connection.send(post(body=chunked(body_of(1_000), size), length=False, transfer_encoding="chunked"))
    assert connection.messages[0]["successful"] is True


def announced(path="/bayeux", size=1_001, **headers):
    """Return the head of a request whose body is to be too large."""
    return post(path=path, body=b"", length=False, content_length=size, **headers)


def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_read(small):
    """G-1."""
    connection = small.connection()
    connection.send(announced())
    head, _, body = connection.output.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    assert status.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in headers
    assert b"Content-Length: %d" % len(body) in headers
    assert b"Content-Type: text/plain; charset=utf-8" in headers
    assert b"X-Content-Type-Options: nosniff" in headers


@pytest.mark.parametrize("size", [1, 7, 64, 1_001])
def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large(small, size):
    """G-1: before it is complete."""
    connection = small.connection()
    connection.send(post(body=b"", length=False, transfer_encoding="chunked"))
    body = chunked(body_of(1_000), size).removesuffix(b"0\r\n\r\n")
    connection.send(body)
    assert connection.statuses == []
    connection.send(b"1\r\nx")
    assert connection.statuses == [413]


def test_a_chunk_is_counted_as_it_comes(small):
    """G-1: one that announces itself as endless need not end."""
    connection = small.connection()
    connection.send(post(body=b"", length=False, transfer_encoding="chunked"))
    connection.send(b"ffffff\r\n", *[b"x" * 100 for _ in range(10)])
    assert connection.statuses == []
    connection.send(b"x")
    assert connection.statuses == [413]


def test_of_what_is_refused_nothing_is_processed(small):
    """G-1, E-4."""
    connection = small.connection()
    connection.send(post(body=body_of(1_001)))
    connection.send(post(HANDSHAKE))
    assert connection.statuses == [413]
    assert len(small.hub.sessions) == 0
    assert small.hub.metrics.refused == {413: 1}


@pytest.mark.parametrize("request_", [
    post(body=b"", length=False, content_length=10**12),
    post(body=b"", length=False, transfer_encoding="chunked") + b"ffffffff\r\n",
], ids=["announced", "chunked"])
def test_what_comes_after_a_refusal_is_not_kept(small, request_):
    """G-1: 16 MiB that arrive within the time for which a refused client is still listened to."""
    connection = small.connection()
    connection.send(request_, b"x" * 2_000)
    assert connection.statuses == [413]
    tracemalloc.start()
    try:
        connection.send(*[b"x" * 2**16 for _ in range(256)])
        assert tracemalloc.get_traced_memory()[0] < 2**18
    finally:
        tracemalloc.stop()
    assert connection.statuses == [413]


@pytest.mark.parametrize("pieces", [
    [announced()],
    [announced(), b"x" * 500],
    [announced(), b"x" * 1_001],
    [announced() + b"x" * 1_001],
    [post(body=b"", length=False, transfer_encoding="chunked"), b"3e9\r\n" + b"x" * 1_001],
    [post(body=chunked(body_of(1_001), 1_001), length=False, transfer_encoding="chunked")],
    [post(body=chunked(body_of(1_001), 7), length=False, transfer_encoding="chunked"), post(HANDSHAKE)],
], ids=["head", "some", "all", "all at once", "a chunk", "all chunks at once", "and more"])
def test_the_connection_of_a_refused_request_is_closed(small, pieces):
    """G-1: soon, also if its client does nothing more."""
    connection = small.connection()
    connection.send(*pieces)
    assert connection.statuses == [413]
    small.clock.advance(5)
    assert connection.closed


def test_a_client_that_is_still_sending_has_a_moment_to_read_the_refusal(small):
    """G-1: it would see a reset connection instead, if that was closed at once."""
    connection = small.connection()
    connection.send(announced(), b"x" * 500)
    small.clock.advance(1)
    assert not connection.closed
    assert not connection.transport.disconnecting


def test_a_client_that_goes_on_sending_is_cut_off(small):
    """G-1, G-3: each piece gives it no more time."""
    connection = small.connection()
    connection.send(announced(size=10**9))
    assert connection.drip(b"x" * 100, pause=0.5) < 5


def test_a_client_is_not_asked_for_a_body_that_has_been_refused(small):
    """G-1, RFC 9110 section 10.1.1: 413 is the whole answer to ``Expect: 100-continue``."""
    connection = small.connection()
    connection.send(announced(expect="100-continue"))
    assert connection.statuses == [413]


def test_a_refusal_carries_the_cors_headers():
    """O-3, G-1."""
    server = Server(max_body=1_000, allowed_origins=("https://www.example.com",))
    connection = server.connection()
    connection.send(announced(origin="https://www.example.com"))
    assert b"\r\nAccess-Control-Allow-Origin: https://www.example.com\r\n" in connection.output
    assert b"\r\nVary: Origin\r\n" in connection.output


def test_a_refusal_tells_a_foreign_origin_nothing(small):
    """O-4."""
    connection = small.connection()
    connection.send(announced(origin="https://evil.example"))
    assert connection.statuses == [413]
    assert b"Access-Control" not in connection.output


@pytest.mark.parametrize("path", ["/slow", "/nowhere", "/bayeux/client.js"])
def test_bodies_for_the_rest_of_the_site_are_bounded_too(small, path):
    """G-1."""
    connection = small.connection()
    connection.send(announced(path))
    assert connection.statuses == [413]


def test_a_refusal_waits_for_its_turn(small):
    """G-1, L-9: behind a request that is still being answered."""
    connection = small.connection()
    connection.send(post(method="GET", path="/slow", body=b""), announced())
    assert connection.statuses == []
    small.slow.answer()
    assert connection.statuses == [200, 413]


def test_a_connection_lost_in_the_middle_of_an_upload_leaves_nothing(small):
    """N-1, G-1."""
    connection = small.connection()
    connection.send(announced(size=900), b"x" * 100)
    connection.transport.lose()
    assert not small.clock.getDelayedCalls()
    assert not small.site.channels


# -- time: G-3, G-21 ------------------------------------------------------------------------------


def test_a_connection_that_says_nothing_is_closed(server):
    """G-21."""
    connection = server.connection()
    server.clock.advance(9.9)
    assert not connection.closed
    server.clock.advance(0.2)
    assert connection.closed


def test_a_first_request_has_its_time_from_the_beginning_of_the_connection(server):
    """G-21: to say nothing for a while gains none."""
    connection = server.connection()
    server.clock.advance(9)
    assert connection.drip(post(HANDSHAKE), pause=0.5) == pytest.approx(1, abs=0.5)


def test_the_time_for_headers_is_absolute(server):
    """G-3: a byte now and then gives no more of it."""
    assert server.connection().drip(post(HANDSHAKE), pause=0.5) == pytest.approx(10, abs=0.5)


def test_the_time_for_a_body_is_absolute(server):
    """G-3."""
    connection = server.connection()
    head, blank, body = post(body=body_of(200)).partition(b"\r\n\r\n")
    connection.send(head + blank)
    assert connection.drip(body, pause=1) == pytest.approx(30, abs=1)


def test_the_time_for_a_chunked_body_is_absolute(server):
    """G-3."""
    connection = server.connection()
    connection.send(post(body=b"", length=False, transfer_encoding="chunked"))
    assert connection.drip(chunked(body_of(200), 1), pause=1) == pytest.approx(30, abs=1)


def test_headers_and_body_have_their_time_each(server):
    """G-3: 9 seconds for the one, 29 for the other."""
    connection = server.connection()
    head, blank, body = post(body=body_of(100)).partition(b"\r\n\r\n")
    assert connection.drip(head + blank, pause=9 / len(head + blank)) is None
    assert connection.drip(body, pause=29 / len(body)) is None
    assert connection.messages[0]["successful"] is True


def test_the_times_can_be_set():
    """G-3."""
    server = Server(header_timeout=2, body_timeout=3)
    assert server.connection().drip(post(HANDSHAKE), pause=0.5) == pytest.approx(2, abs=0.5)
    connection = server.connection()
    connection.send(announced(size=100))
    assert connection.drip(b"x" * 99, pause=0.5) == pytest.approx(3, abs=0.5)


def test_a_slow_client_is_cut_off_without_an_answer(server):
    """G-3."""
    connection = server.connection()
    connection.drip(post(HANDSHAKE), pause=0.5)
    assert (connection.output, connection.transport.aborted) == (b"", True)


def test_a_next_request_has_its_own_time_from_its_first_byte(server):
    """G-3, L-9: not from the end of the last response."""
    connection = server.connection()
    connection.send(post(HANDSHAKE))
    server.clock.advance(9)
    request = post(HANDSHAKE)
    assert connection.drip(request, pause=9 / len(request)) is None
    assert connection.statuses == [200, 200]


def test_a_next_request_that_drips_is_cut_off_as_well(server):
    """G-3."""
    connection = server.connection()
    connection.send(post(HANDSHAKE))
    assert connection.drip(post(HANDSHAKE), pause=0.5) == pytest.approx(10, abs=0.5)


def test_a_connection_between_two_requests_is_kept(server):
    """L-9, N-11: clients keep idle connections for longer than a request may take to come."""
    connection = server.connection()
    connection.send(post(HANDSHAKE))
    server.clock.advance(30)
    connection.send(post(HANDSHAKE))
    assert connection.statuses == [200, 200]


def test_a_connection_that_is_idle_for_long_is_closed(server):
    """G-19: there is not room for all who have ever come."""
    connection = server.connection()
    connection.send(post(HANDSHAKE))
    server.clock.advance(120)
    assert connection.closed


@pytest.mark.parametrize("stuck", [False, True], ids=["", "and does not take its answer"])
def test_an_idle_connection_of_twisted_webs_is_closed_without_a_line_in_the_log(server, stuck):
    """Many clients that come and go are nothing to report."""
    lines = []
    globalLogPublisher.addObserver(lines.append)
    connection = server.connection()
    connection.transport.stuck = stuck
    connection.send(post(method="GET", path="/nowhere", body=b""))
    server.clock.advance(59)
    assert not connection.transport.disconnecting
    server.clock.advance(2)
    assert connection.transport.disconnecting
    assert connection.closed is not stuck
    server.clock.advance(15)
    assert connection.closed
    globalLogPublisher.removeObserver(lines.append)
    assert lines == []
    assert server.hub.metrics.limited == {}


@pytest.mark.parametrize("last", [post(HANDSHAKE, connection="close"), b"nonsense\r\n\r\n"])
def test_a_client_that_does_not_take_its_last_answer_is_cut_off(server, last):
    """G-16: its connection would else be closed when all is written, and that is never."""
    connection = server.connection()
    connection.transport.stuck = True
    connection.send(last)
    assert len(connection.statuses) == 1
    server.clock.advance(30)
    assert not connection.closed
    server.clock.advance(60)
    assert connection.closed


def test_a_client_that_stops_taking_its_answers_is_cut_off(server):
    """G-16: counted from when the transport has had enough."""
    connection = server.connection()
    connection.send(post(HANDSHAKE))
    connection.transport.producer.pauseProducing()
    server.clock.advance(29.9)
    assert not connection.closed
    assert server.hub.metrics.stalled == 0
    server.clock.advance(0.2)
    assert connection.closed
    assert connection.transport.aborted
    assert server.hub.metrics.stalled == 1


def test_requests_behind_an_answer_that_is_not_taken_do_not_prolong_its_time(server):
    """G-16."""
    connection = server.connection()
    take = connection.transport.write

    def take_no_more(data):
        take(data)
        connection.transport.producer.pauseProducing()

    connection.transport.write = take_no_more
    connection.send(post(HANDSHAKE) + post(HANDSHAKE) + post(HANDSHAKE))
    server.clock.advance(30.1)
    assert connection.closed


def test_a_client_that_takes_its_answers_at_last_is_kept(server):
    """G-16: and its next request has the usual time (G-3)."""
    connection = server.connection()
    connection.send(post(HANDSHAKE))
    connection.transport.producer.pauseProducing()
    server.clock.advance(29)
    connection.transport.producer.resumeProducing()
    server.clock.advance(29)
    assert not connection.closed
    assert server.hub.metrics.stalled == 0
    assert connection.drip(post(HANDSHAKE), pause=0.5) == pytest.approx(10, abs=0.5)


def test_no_time_runs_while_a_connect_is_held(server):
    """K-7, G-3."""
    client = server.client()
    connection = server.connection()
    connection.send(post(connect(client)))
    server.clock.advance(29.9)
    assert connection.statuses == []
    assert not connection.closed
    server.clock.advance(0.1)
    assert connection.messages[0]["successful"] is True


def test_no_time_runs_while_something_else_is_being_answered(server):
    """G-3."""
    connection = server.connection()
    connection.send(post(method="GET", path="/slow", body=b""))
    server.clock.advance(1_000)
    server.slow.answer()
    assert connection.statuses == [200]


def test_after_a_held_connect_time_runs_again(server):
    """G-3."""
    client = server.client()
    connection = server.connection()
    connection.send(post(connect(client)))
    server.clock.advance(30)
    assert connection.drip(post(HANDSHAKE), pause=0.5) == pytest.approx(10, abs=0.5)


def test_the_rest_of_a_pipelined_request_has_its_time(server):
    """G-3, K-16: from when its turn has come."""
    client = server.client()
    connection = server.connection()
    connection.send(post(connect(client)))
    request = post(publish(client))
    connection.send(request[:40])
    assert connection.statuses == [200]
    assert connection.drip(b"x" * 100, pause=0.5) == pytest.approx(10, abs=0.5)


def test_the_body_of_a_pipelined_request_has_the_time_of_a_body(server):
    """G-3: its head came together with the end of the body before."""
    connection = server.connection()
    first, second = post(HANDSHAKE), post(HANDSHAKE)
    connection.send(first[:-5], first[-5:] + second[:-50])
    assert connection.statuses == [200]
    assert connection.drip(second[-50:], pause=0.5) is None
    assert connection.statuses == [200, 200]


def test_no_timer_is_left_of_a_connection_that_is_gone(server):
    """G-3."""
    for data in (b"", b"POST", announced(size=100), post(HANDSHAKE)):
        connection = server.connection()
        connection.send(data)
        connection.transport.lose()
    server.hub.close()
    assert not server.clock.getDelayedCalls()


# -- headers: G-4, G-20 ---------------------------------------------------------------------------


def test_the_number_of_headers_has_its_limit():
    """G-4: at the limit, and one past it."""
    headers = {f"X_{number}": "x" for number in range(7)}  # and Host, Content-Type, Content-Length
    for limit, status in ((10, 200), (9, 400)):
        server = Server(max_headers=limit)
        connection = server.connection()
        connection.send(post(HANDSHAKE, **headers))
        assert connection.statuses == [status]
        assert connection.closed is (status != 200)
        assert len(server.hub.sessions) == (status == 200)


@pytest.mark.parametrize("size, status", [(15_000, 200), (16_400, 400)])
def test_the_size_of_the_headers_has_its_limit(server, size, status):
    """G-4: 16 KiB, whether it is one header or many."""
    for headers in ({f"X_{number}": "x" * (size // 20) for number in range(20)}, {"x_large": "x" * size}):
        connection = server.connection()
        connection.send(post(HANDSHAKE, **headers))
        assert connection.statuses == [status]
        assert connection.closed is (status != 200)


@pytest.mark.parametrize("limit", [1_000, 40_000])
def test_the_limit_of_the_headers_can_be_set(limit):
    """G-4: to less and to more than twisted.web's own for a line."""
    for size, status in ((limit - 300, 200), (limit + 100, 400)):
        for headers in ({f"X_{number}": "x" * (size // 20) for number in range(20)}, {"x_large": "x" * size}):
            connection = Server(max_header_bytes=limit).connection()
            connection.send(post(HANDSHAKE, **headers))
            assert connection.statuses == [status]


def test_headers_that_do_not_end_are_not_kept(server):
    """G-4: 16 MiB of them."""
    connection = server.connection()
    tracemalloc.start()
    try:
        connection.send(b"GET /bayeux HTTP/1.1\r\n", *[b"X: " + b"x" * 2**16 for _ in range(256)])
        assert tracemalloc.get_traced_memory()[0] < 2**19
    finally:
        tracemalloc.stop()
    assert connection.closed


@pytest.mark.parametrize("size", [
    8_193, 16_000, 17_000, 100_000,
])
def test_who_sends_a_request_target_that_is_too_long_is_told_so(server, size):
    """J-9, G-20: also where it is longer than all headers may be."""
    connection = server.connection()
    connection.send(post(method="GET", path="/bayeux?".ljust(size, "x"), body=b""))
    assert connection.statuses == [414]


# -- bad requests ---------------------------------------------------------------------------------


BAD = {
    "nonsense": b"nonsense\r\n\r\n",
    "no version": b"GET /bayeux\r\n\r\n",
    "a version of its own": b"GET /bayeux BAYEUX/1.0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(160) + b"\r\n\r\n",
    "zeros": bytes(100) + b"\r\n\r\n",
    "a header without a colon": b"POST /bayeux HTTP/1.1\r\nnonsense\r\n\r\n",
    "a header with a blank in its name": b"POST /bayeux HTTP/1.1\r\nContent Length: 5\r\n\r\n",
    "a length that is none": b"POST /bayeux HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    "a length of thousands of digits":
        b"POST /bayeux HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
    "a negative length": b"POST /bayeux HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /bayeux HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
    "length and chunks":
        b"POST /bayeux HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n[]",
    "another encoding": b"POST /bayeux HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a chunk without a size": b"POST /bayeux HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    "a chunk longer than it says": b"POST /bayeux HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxxxx",
}


@pytest.mark.parametrize("request_", BAD.values(), ids=BAD)
def test_a_bad_request_ends_its_connection_and_harms_no_other(server, request_):
    """G-23, G-34: no traceback, neither to the client nor in the log (which the leak gate reads)."""
    client = server.client()
    other = server.connection()
    other.send(post(connect(client)))
    connection = server.connection()
    connection.send(request_)
    assert connection.statuses in ([400], [])
    assert connection.closed
    assert other.statuses == []
    server.hub.sessions.get(client).deliver("/news", 1)
    server.clock.advance(0)
    assert other.messages[0]["data"] == 1


@pytest.mark.parametrize("request_", [
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /bayeux HTTP/1.1\r\n\r\n",
    b"POST http://example.org/bayeux HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]",
    b"POST /bayeux HTTP/1.1\r\nHost: x\r\nContent-Type: \xff;\xfe\r\nContent-Length: 2\r\n\r\n[]",
    b"POST /bayeux HTTP/1.1\r\nHost: \xff\r\nOrigin: \xff\r\nCookie: \xff\r\nContent-Length: 2\r\n\r\n[]",
    b"POST /bayeux/%ff%00?\xff HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]",
    b"POST /%2e%2e/bayeux HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]",
])
def test_an_odd_request_is_answered_without_an_error(server, request_):
    """G-34: never a 500."""
    connection = server.connection()
    connection.send(request_)
    (status,) = connection.statuses
    assert status < 500


def test_a_form_that_is_not_read_is_not_looked_into_either(server):
    """L-3: nothing of it is parsed on the way to who refuses it."""
    connection = server.connection()
    connection.send(post(body=b"nonsense", content_type="multipart/form-data"))
    assert connection.statuses == [415]


def test_a_connection_outlives_very_many_held_connects(server):
    """K-16, L-9: none of them leaves anything behind on it."""
    client = server.client()
    connection = server.connection()
    head, blank, body = post(connect(client)).partition(b"\r\n\r\n")
    for _ in range(1_200):
        connection.send(head + blank, body)
        server.hub.sessions.get(client).deliver("/news", 1)
        server.clock.advance(0)
    assert connection.statuses == [200] * 1_200


# -- the access log: G-33 -------------------------------------------------------------------------


@pytest.fixture
def logged(tmp_path):
    """Return a server that writes an access log, and what reads it."""
    path = tmp_path / "access.log"
    server = Server(access_log=str(path))
    server.site.doStart()
    yield server, path.read_text
    server.site.doStop()
    server.site.close_log()


def test_the_access_log_has_a_line_for_each_request(logged):
    """With the peer, what was asked for, and the status."""
    server, read = logged
    server.connection().send(post(HANDSHAKE), post(body=b"nonsense"))
    first, second = read().splitlines()
    assert first.startswith('"192.0.2.7" - - [')
    assert '"POST /bayeux HTTP/1.1" 200 ' in first
    assert '"POST /bayeux HTTP/1.1" 400 ' in second


def test_the_access_log_says_when_by_the_time_of_day(logged):
    """The clock of the site's timers is another: it begins with the machine."""
    server, read = logged
    server.connection().send(post(HANDSHAKE))
    server.clock.advance(100)
    server.connection().send(post(method="GET", path="/nowhere", body=b""))
    own, other = read().splitlines()
    assert "[14/Nov/2023:22:13:20 +0000]" in own
    assert "[14/Nov/2023:22:15:00 +0000]" in other


def test_the_access_log_has_no_query(logged):
    """G-33: a query is a client's messages, with its id in them."""
    server, read = logged
    client = server.client()
    server.connection().send(get(publish(client, "secret")))
    assert '"GET /bayeux HTTP/1.1" 200 ' in read()
    assert client not in read()
    assert "secret" not in read()


def test_there_is_no_access_log_unless_it_is_asked_for(server, monkeypatch):
    """G-33: twisted.web's own default is twistd's log."""
    lines = []
    monkeypatch.setattr("twisted.python.log.logfile.write", lines.append)
    server.site.doStart()
    server.connection().send(post(HANDSHAKE))
    server.site.doStop()
    server.site.close_log()
    assert lines == []


# -- whatever is served ---------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [
    post(HANDSHAKE), post(body=b"nonsense"), announced(size=2**21), b"nonsense\r\n\r\n",
    post(method="GET", path="/bayeux/client.js", body=b""), post(method="GET", path="/nowhere", body=b""),
    post(method="GET", path="/slow", body=b""),
])
def test_no_browser_is_to_guess_the_type_of_anything(server, request_):
    """G-30: on every response, once."""
    connection = server.connection()
    connection.send(request_)
    if not connection.statuses:
        server.slow.answer()
    assert connection.output.count(b"\r\nX-Content-Type-Options: nosniff\r\n") == 1


# -- other protocols ------------------------------------------------------------------------------


def test_http_2_is_not_offered(server, monkeypatch):
    """It has limits of its own, which this site does not set; over TLS it would be negotiated."""
    monkeypatch.setattr(http, "H2_ENABLED", True)
    assert server.site.acceptableProtocols() == [b"http/1.1"]


# -- the end: Q-10 --------------------------------------------------------------------------------


@pytest.fixture
def closed(server):
    """Return what closes a server and says whether it has been closed entirely."""
    ends = []

    def close():
        server.hub.close()
        server.site.close().addCallback(ends.append)

    return close, ends


def test_a_site_without_connections_is_closed_at_once(server, closed):
    """Q-10."""
    close, ends = closed
    close()
    assert ends == [None]


def test_idle_connections_are_closed(server, closed):
    """Q-10: whether they have ever said anything, or are in the middle of something."""
    close, ends = closed
    connections = [server.connection() for _ in range(4)]
    for connection, data in zip(connections, [b"", b"POST", post(HANDSHAKE), announced(size=9)], strict=True):
        connection.send(data)
    close()
    assert ends == []
    assert all(connection.closed for connection in connections)
    assert ends == [None]


def test_held_connects_are_answered_and_their_connections_closed(server, closed):
    """Q-10."""
    close, ends = closed
    connection, client = server.connection(), server.client()
    connection.send(post(connect(client)))
    close()
    assert connection.messages[0]["error"] == "503::Server too busy"
    assert connection.closed
    assert ends == [None]


def test_an_application_may_finish_its_answer(server, closed):
    """Q-10: and then the connection is closed."""
    close, ends = closed
    answer = Deferred()
    server.hub.service("/service/slow", lambda session, data: answer)
    connection, client = server.connection(), server.client()
    connection.send(post(publish(client, channel="/service/slow")))
    close()
    assert not connection.closed
    answer.callback(None)
    assert connection.messages[0]["successful"] is True
    assert connection.closed
    assert ends == [None]


def test_the_rest_of_the_site_may_finish_its_answers(server, closed):
    """Q-10: their connections are closed as well, although nothing in them says so."""
    close, ends = closed
    connection = server.connection()
    connection.send(post(method="GET", path="/slow", body=b""))
    close()
    assert not connection.closed
    server.slow.answer()
    assert connection.statuses == [200]
    assert connection.closed
    assert ends == [None]


def test_what_is_left_can_be_cut(server, closed):
    """Q-10: finish within a bounded time."""
    close, ends = closed
    connection = server.connection()
    connection.send(post(method="GET", path="/slow", body=b""))
    close()
    server.site.abort()
    assert connection.closed
    assert connection.transport.aborted
    assert ends == [None]


def test_a_site_can_be_closed_again(server, closed):
    """Q-10: after it has been of use again."""
    close, ends = closed
    for count in (1, 2):
        server.hub.open()
        connection = server.connection()
        connection.send(post(HANDSHAKE))
        assert connection.statuses == [200]
        close()
        assert connection.closed
        assert ends == [None] * count


@pytest.mark.parametrize("pieces", [[post(HANDSHAKE) + b"\r\n"], [post(HANDSHAKE), b"\r\n"]])
def test_a_line_end_after_a_body_is_nothing(server, pieces):
    """RFC 9112 2.2: old clients send one; it begins no request, so no time runs for it (G-3)."""
    connection = server.connection()
    connection.send(*pieces)
    server.clock.advance(30)
    assert not connection.closed
    connection.send(post(HANDSHAKE))
    assert connection.statuses == [200, 200]


@pytest.mark.parametrize("together", [True, False])
def test_a_line_end_after_a_connect_does_not_release_it(server, together):
    """K-16: such a client would poll without pause."""
    client = server.client()
    connection = server.connection()
    connection.send(*([post(connect(client)) + b"\r\n"] if together else [post(connect(client)), b"\r\n"]))
    assert connection.statuses == []
    connection.send(b"P")
    assert connection.statuses == [200]
