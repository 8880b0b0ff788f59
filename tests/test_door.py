"""The front door: requests are answered in their order, whatever else happens on their connection.

What it bounds in size and in time is in ``test_site.py`` too, for all of the site.
"""

import json
import re

import pytest
from twisted.internet.defer import Deferred
from twisted.web.http import HTTPChannel

from bayeux.web.door import Door
from tests.fakenet import HTTP, Net, WebSocketClient, frame, listen, upgrade
from tests.test_parser import SMUGGLED
from tests.test_resource import HANDSHAKE, chunked, connect, get, post, publish, subscribe
from tests.test_site import Server, logged

__all__ = ["logged"]  # a fixture

FOREIGN = post(method="GET", path="/nowhere", body=b"", content_type=None)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def slow(server):
    """Return a server with a service that answers when it is told to, and its answers."""
    answers = []

    def handler(session, data):
        answers.append(Deferred())
        return answers[-1]

    server.hub.service("/service/slow", handler)
    return server, answers


def ask_slowly(client, data=None):
    return post(publish(client, data, channel="/service/slow"))


def statuses(output):
    """Return the statuses of all responses, also of those to HEAD."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", output)]


# -- one after the other --------------------------------------------------------------------------


def numbered(count):
    """Return requests that are told apart by their answers."""
    return [post({**HANDSHAKE, "id": str(number)}) for number in range(count)]


def ids(output):
    return [int(number) for number in re.findall(rb'"id":"(\d+)"', output)]


def test_pipelined_requests_are_answered_in_order(server):
    """L-9, CVE-2024-41671: many in one read."""
    connection = server.connection()
    connection.send(b"".join(numbered(50)))
    assert connection.statuses == [200] * 50
    assert ids(connection.output) == list(range(50))


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_requests_may_be_cut_anywhere(server, size):
    """L-9."""
    connection = server.connection()
    stream = b"".join([*numbered(3), post(body=chunked(json.dumps(HANDSHAKE).encode(), 5), length=False,
                                          transfer_encoding="chunked"), get(HANDSHAKE)])
    connection.send(*(stream[start:start + size] for start in range(0, len(stream), size)))
    assert connection.statuses == [200] * 5


def test_requests_behind_a_held_connect_are_answered_after_it(server):
    """K-16, CVE-2020-35681."""
    client = server.client()
    connection = server.connection()
    connection.send(post(connect(client, id="0")))
    assert connection.statuses == []
    connection.send(post(publish(client, id="1")) + post(publish(client, id="2")))
    assert connection.statuses == [200] * 3
    assert ids(connection.output) == [0, 1, 2]


def test_requests_that_come_with_a_connect_are_answered_after_it(server):
    """K-16."""
    client = server.client()
    connection = server.connection()
    connection.send(post(connect(client, id="0")) + post(publish(client, id="1")))
    assert ids(connection.output) == [0, 1]


def test_requests_behind_a_slow_application_wait(slow):
    """CVE-2024-41671: nothing overtakes, and nothing is begun before its turn."""
    server, answers = slow
    client = server.client()
    connection = server.connection()
    connection.send(ask_slowly(client) + ask_slowly(client), post({**HANDSHAKE, "id": "3"}))
    assert len(answers) == 1
    answers[0].callback("first")
    assert len(answers) == 2
    assert connection.statuses == [200]
    answers[1].callback("second")
    assert connection.statuses == [200] * 3
    assert connection.output.find(b'"first"') < connection.output.find(b'"second"')
    assert ids(connection.output) == [3]


@pytest.mark.parametrize("together", [True, False])
def test_very_many_pipelined_connects_are_no_recursion(together):
    """K-16, G-34: each makes way for the next, at once."""
    server = Server(connects_per_second=0)
    client = server.client()
    connection = server.connection()
    requests = [post(connect(client)) for _ in range(1_500)]
    connection.send(*([b"".join(requests)] if together else requests))
    server.clock.advance(30)
    assert connection.statuses == [200] * 1_500


def test_two_connections_that_take_the_connect_from_one_another_are_no_recursion():
    """K-12, K-16, G-34."""
    server = Server(connects_per_second=0)
    client = server.client()
    connections = [server.connection(), server.connection()]
    for connection in connections:
        connection.send(b"".join(post(connect(client)) for _ in range(1_200)))
    server.clock.advance(30)
    for connection in connections:
        assert len(connection.statuses) == 1_200
        assert set(connection.statuses) <= {200, 409}


def test_very_many_answers_that_come_at_once_are_no_recursion(slow):
    """G-34: the application has answered before it is waited for."""
    server, answers = slow
    client = server.client()
    connection = server.connection()
    connection.send(ask_slowly(client))
    connection.send(b"".join(post(publish(client)) for _ in range(1_500)))
    answers[0].callback(None)
    assert connection.statuses == [200] * 1_501


# -- memory ---------------------------------------------------------------------------------------


def test_a_flood_behind_a_request_is_not_read():
    """G-16: no more than a read beyond what is looked at early (N-12)."""
    net = Net()
    net.hub.service("/service/slow", lambda session, data: Deferred())
    wire = net.open()
    wire.send(ask_slowly("x"))
    client = HTTP(net).ask(post(HANDSHAKE)).messages[0]["clientId"]
    wire.take()
    wire.send(ask_slowly(client))
    wire.send(b"x" * 1_000_000)
    assert len(wire.end.coming) > 850_000


def test_a_flood_of_requests_that_have_to_wait_is_not_read_faster_than_it_is_answered():
    """G-16: each answer would else make room for another read."""
    net = Net()
    answers = []
    net.hub.service("/service/slow", lambda session, data: answers.append(Deferred()) or answers[-1])
    client = HTTP(net).ask(post(HANDSHAKE)).messages[0]["clientId"]
    wire = net.open()
    wire.send(ask_slowly(client) * 5_000)
    unread = len(wire.end.coming)
    for answer in range(20):
        answers[answer].callback(None)
        net.pump()
    assert len(answers) == 21
    assert len(wire.end.coming) == unread


def test_a_flood_is_answered_to_its_end():
    """G-16: reading goes on once there is room again."""
    net = Net()
    answers = []
    net.hub.service("/service/slow", lambda session, data: answers.append(Deferred()) or answers[-1])
    client = HTTP(net).ask(post(HANDSHAKE)).messages[0]["clientId"]
    wire = net.open()
    wire.send(ask_slowly(client) * 1_000)
    for answer in range(1_000):
        answers[answer].callback(None)
        net.pump()
    assert statuses(wire.take()) == [200] * 1_000


def test_a_flood_of_line_ends_is_not_kept(server):
    """RFC 9112 2.2: they are nothing, and give no time either."""
    connection = server.connection()
    for _ in range(10):
        connection.send(b"\r\n" * 10_000)
        server.clock.advance(0.9)
    assert connection.channel._buffer == b""
    server.clock.advance(1)
    assert connection.closed


@pytest.mark.parametrize("pieces", [[b"\r\n"], [b"\r", b"\n"], [b"\r"], [b"\r\n\r", b"\n"]])
def test_a_line_end_is_no_beginning_of_a_request(server, pieces):
    """RFC 9112 2.2, G-3: wherever it is cut, the connection stays as idle as it was."""
    connection = server.connection()
    connection.send(post(HANDSHAKE), *pieces)
    server.clock.advance(30)
    assert not connection.closed


# -- what a client asks for -----------------------------------------------------------------------


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def waiting(**more):
    """Return the head of a request whose client waits to be asked for its body, and the body."""
    request = post(HANDSHAKE, expect="100-continue", **more)
    head, blank, body = request.partition(b"\r\n\r\n")
    return head + blank, body


def test_a_client_that_waits_is_asked_for_its_body_once(server):
    """RFC 9110 10.1.1."""
    connection = server.connection()
    head, body = waiting()
    connection.send(head)
    assert connection.output == CONTINUE
    connection.send(*(bytes([byte]) for byte in body))
    assert connection.statuses == [100, 200]


def test_a_client_that_has_sent_its_body_is_not_asked_for_it(server):
    """RFC 9110 10.1.1."""
    connection = server.connection()
    connection.send(b"".join(waiting()))
    assert connection.statuses == [200]


def test_an_old_client_is_not_asked_for_its_body(server):
    """RFC 9110 15.2: HTTP/1.0 knows no such responses."""
    connection = server.connection()
    head, body = waiting(version="1.0")
    connection.send(head, body)
    assert connection.statuses == [200]


def test_a_client_that_waits_has_the_time_of_a_body(server):
    """G-3: counted from the end of its head."""
    connection = server.connection()
    head, body = waiting()
    connection.send(head)
    assert connection.drip(body, pause=1) == pytest.approx(30, abs=1)


@pytest.mark.parametrize("more", [{}, {"connection": "keep-alive"}])
def test_http_1_0_is_answered_and_closed(server, more):
    """L-9: and of what comes behind it nothing is done."""
    connection = server.connection()
    connection.send(post(HANDSHAKE, version="1.0", **more) + post(HANDSHAKE))
    assert connection.statuses == [200]
    assert b"\r\nConnection: close\r\n" in connection.output
    assert connection.closed
    assert len(server.hub.sessions) == 1


def test_a_client_may_ask_for_the_end(server):
    """RFC 9112 9.6: what comes behind that is not processed."""
    connection = server.connection()
    connection.send(post(HANDSHAKE, connection="close") + post(HANDSHAKE))
    assert connection.statuses == [200]
    assert connection.closed
    assert len(server.hub.sessions) == 1


def test_head_processes_nothing_and_has_no_body(server):
    """L-2: and the next response begins where it should."""
    connection = server.connection()
    connection.send(post(HANDSHAKE, method="HEAD") + post(HANDSHAKE))
    first, second = connection.output.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"405 ")
    assert first.endswith(b"\r\n\r\n")
    assert second.startswith(b"200 ")
    assert len(server.hub.sessions) == 1


@pytest.mark.parametrize("path", ["/bayeux", "/nowhere"])
def test_a_refused_head_has_no_body_either(path):
    """RFC 9110 9.3.2, G-1: whoever reads it."""
    connection = Server(max_body=10).connection()
    connection.send(post(HANDSHAKE, method="HEAD", path=path))
    assert connection.output.startswith(b"HTTP/1.1 413 ")
    assert connection.output.endswith(b"\r\n\r\n")


def test_options_has_no_body_and_keeps_the_connection(server):
    """O-5, L-9."""
    connection = server.connection()
    connection.send(post(method="OPTIONS", body=b"") + post(HANDSHAKE))
    assert connection.statuses == [204, 200]


def test_a_stream_of_events_goes_by_http_1_0_but_a_websocket_does_not(server):
    """F-2, W-1."""
    events, sockets = server.connection(), server.connection()
    events.send(post(HANDSHAKE))
    cookie = re.search(rb"Set-Cookie: ([^;]+)", events.output)[1].decode()
    client = events.messages[0]["clientId"]
    events = server.connection()
    events.send(listen(client, version="1.0", cookie=cookie))
    sockets.send(upgrade(version="1.0"))
    assert events.output.startswith(b"HTTP/1.1 200 ")
    assert sockets.output.startswith(b"HTTP/1.1 426 ")
    assert sockets.closed


# -- peers that do not take their answers ---------------------------------------------------------


def test_nothing_is_done_for_a_client_that_does_not_take_its_answers():
    """G-16: of a flood of requests no more are processed than there is room for their answers."""
    net = Net()
    wire = net.open()
    wire.stall()
    wire.send(b"".join(numbered(2_000)))
    done = len(net.hub.sessions)
    assert done < 200
    assert wire.end.buffered < 70_000
    assert wire.end.coming
    wire.flow()
    assert ids(wire.take()) == list(range(2_000))


def test_a_client_that_never_takes_its_answers_is_cut_off():
    """G-16: and is counted."""
    net = Net(write_timeout=5)
    wire = net.open()
    wire.stall()
    wire.send(b"".join(numbered(2_000)))
    net.advance(4.9)
    assert wire.end.connected
    net.advance(0.2)
    assert not wire.end.connected
    assert net.hub.metrics.stalled == 1


def test_a_held_connect_outlives_a_moment_of_congestion(server):
    """G-16, K-7: a transport such as TLS has things of its own to write."""
    client = server.client()
    connection = server.connection()
    connection.send(post(connect(client, advice={"timeout": 3_600_000})))
    producer = connection.transport.producer
    producer.pauseProducing()
    assert connection.transport.producerState == "paused"
    server.clock.advance(1)
    producer.resumeProducing()
    assert connection.transport.producerState == "producing"  # or its loss would not be seen
    server.clock.advance(29)
    assert not connection.closed
    assert connection.statuses == [200]


def test_congestion_by_the_last_words_is_not_the_business_of_the_door(server):
    """G-16, W-19: the connection has another protocol when its time is over."""
    connection = server.connection()
    take, door = connection.transport.write, connection.channel

    def take_no_more(data):
        take(data)
        connection.transport.producer.pauseProducing()

    connection.transport.write = take_no_more
    connection.send(upgrade())
    assert connection.output.startswith(b"HTTP/1.1 101 ")
    assert (door.deadline, door.alarm) == (None, None)


def test_a_closing_connection_reads_on(server):
    """RFC 8446 6.1: TLS waits for its peer to close as well, and would not see that it has."""
    connection = server.connection()
    connection.transport.stuck = True
    connection.send(post(HANDSHAKE))
    connection.transport.producer.pauseProducing()
    server.site.close()
    assert connection.transport.disconnecting
    assert connection.transport.producerState == "producing"


# -- what is for something else -------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("together", [True, False])
def test_a_request_for_something_else_takes_the_connection_with_it(server, before, together):
    """L-9: with all that comes behind it, in order."""
    connection = server.connection()
    requests = [*numbered(before), FOREIGN, post({**HANDSHAKE, "id": "7"})]
    connection.send(*([b"".join(requests)] if together else requests))
    assert statuses(connection.output) == [200] * before + [404, 200]
    assert ids(connection.output) == [*range(before), 7]
    assert isinstance(connection.transport.protocol, HTTPChannel)


def test_a_request_for_something_else_may_come_in_pieces(server):
    """L-9: whose it is, is seen before it is complete."""
    connection = server.connection()
    connection.send(*(bytes([byte]) for byte in FOREIGN + post(HANDSHAKE)))
    assert statuses(connection.output) == [404, 200]


def test_a_request_for_something_else_waits_for_what_is_before_it(server):
    """L-9, K-16."""
    client = server.client()
    connection = server.connection()
    connection.send(post(connect(client)), FOREIGN)
    assert statuses(connection.output) == [200, 404]


def test_a_request_for_something_else_has_no_more_time_for_it(server):
    """G-3: counted from its first byte, whoever reads it."""
    connection = server.connection()
    assert connection.drip(FOREIGN + b"x" * 100, pause=0.5) == pytest.approx(10, abs=0.5)


def test_a_connection_that_is_given_away_counts_once(server):
    """Q-10: who closes the site closes it too."""
    connection = server.connection()
    connection.send(FOREIGN)
    assert server.site.channels == {connection.transport.protocol}
    assert (connection.channel.deadline, connection.channel.alarm) == (None, None)
    connection.transport.lose()
    assert not server.site.channels


def test_a_connection_that_is_given_away_is_read_again():
    """N-12: it had been stopped, as there was much behind a request that was waited for."""
    net = Net()
    answers = []
    net.hub.service("/service/slow", lambda session, data: answers.append(Deferred()) or answers[-1])
    client = HTTP(net).ask(post(HANDSHAKE)).messages[0]["clientId"]
    wire = net.open()
    wire.send(ask_slowly(client))
    wire.send(FOREIGN + FOREIGN * 1_000 + post({**HANDSHAKE, "id": "7"}))
    answers[0].callback(None)
    output = wire.take()
    assert statuses(output) == [200] + [404] * 1_001 + [200]
    assert ids(output) == [7]


@pytest.mark.parametrize("foreign", [b"", FOREIGN])
def test_a_websocket_begins_on_any_connection(foreign):
    """W-1: also on one that twisted.web has, and with frames in the same read."""
    net = Net()
    wire = net.open()
    if foreign:
        wire.send(foreign)
        wire.take()
    wire.send(upgrade() + frame(json.dumps([HANDSHAKE])))
    client = WebSocketClient(net, wire, open=False)
    client.opened()
    assert client.head.status == 101
    assert client.messages()[0]["successful"] is True


def test_a_websocket_begins_behind_other_requests():
    """W-1, L-9: what has been asked before is answered before."""
    net = Net()
    wire = net.open()
    wire.send(numbered(1)[0] + upgrade() + frame(json.dumps([{**HANDSHAKE, "id": "7"}])))
    output = wire.take()
    assert statuses(output) == [200, 101]
    assert ids(output) == [0, 7]


def test_a_connection_that_is_lost_is_forgotten(server):
    """N-1: wherever it was."""
    client = server.client()
    for data in (b"", b"POST /bay", post(HANDSHAKE)[:-5], post(HANDSHAKE), post(connect(client))):
        connection = server.connection()
        connection.send(data)
        connection.transport.lose()
    assert not server.site.channels
    assert server.hub.metrics.carriers_lost == 1


# -- what might be taken for another request ------------------------------------------------------


ODD_TARGETS = {
    "an absolute target of another kind": post(HANDSHAKE, path="ftp://example.org/bayeux"),
    "an absolute target with a password": post(HANDSHAKE, path="http://a:b@example.org/bayeux"),
    "an absolute target and no host": post(HANDSHAKE, path="http://example.org/bayeux", host=None),
    "CONNECT elsewhere": post(HANDSHAKE, path="example.com:443", method="CONNECT"),
    "no slash": post(HANDSHAKE, path="bayeux"),
    "no target": b"POST HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET /bayeux\r\n\r\n",
}


@pytest.mark.parametrize("request_", (SMUGGLED | ODD_TARGETS).values(), ids=SMUGGLED | ODD_TARGETS)
def test_nothing_is_processed_behind_what_others_might_read_otherwise(server, request_):
    """RFC 9112 11.2: one 400, and the end, however it is cut (G-23, G-34)."""
    data = request_ + b"\r\n\r\n" + post(HANDSHAKE) * 3
    for pieces in ([data], [data[at:at + 1] for at in range(len(data))]):
        connection = server.connection()
        connection.send(*pieces)
        assert connection.statuses == [400]
        assert connection.closed
        assert connection.output.count(b"\r\nConnection: close\r\n") == 1
        assert len(server.hub.sessions) == 0


@pytest.mark.parametrize("request_", [
    SMUGGLED["no host"], SMUGGLED["two hosts"], *list(ODD_TARGETS.values())[:3]])
def test_nor_on_a_connection_that_twisted_web_has(server, request_):
    """RFC 9112 3.2."""
    connection = server.connection()
    connection.send(FOREIGN, request_ + b"\r\n\r\n" + post(HANDSHAKE))
    assert statuses(connection.output) == [404, 400]
    assert connection.closed
    assert len(server.hub.sessions) == 0


@pytest.mark.parametrize("before", [b"", FOREIGN], ids=["here", "by twisted.web"])
@pytest.mark.parametrize("target", ["http://example.org/bayeux", "HTTP://example.org:8080/bayeux/x"])
def test_a_target_may_be_absolute(server, before, target):
    """RFC 9112 3.2.2: proxies are asked so, and a server must accept it."""
    connection = server.connection()
    connection.send(before + post(HANDSHAKE, path=target))
    assert statuses(connection.output)[-1] == 200
    assert len(server.hub.sessions) == 1


@pytest.mark.parametrize("origin, status", [("http://example.org", 200), ("http://127.0.0.1", 403)])
@pytest.mark.parametrize("before", [b"", FOREIGN], ids=["here", "by twisted.web"])
def test_an_absolute_target_says_which_host_is_meant(server, before, origin, status):
    """RFC 9112 3.2.2: and not the header; O-1 goes by it."""
    connection = server.connection()
    connection.send(before + post(HANDSHAKE, path="http://example.org/bayeux", origin=origin))
    assert statuses(connection.output)[-1] == status


def test_an_absolute_target_of_something_else_is_served_too(server):
    connection = server.connection()
    connection.send(post(method="GET", path="http://example.org/nowhere", body=b"", content_type=None))
    assert connection.statuses == [404]


def test_a_bad_request_waits_for_its_turn(slow):
    """CVE-2024-41671: what was asked before it is answered."""
    server, answers = slow
    client = server.client()
    connection = server.connection()
    connection.send(ask_slowly(client) + SMUGGLED["both lengths"] + post(HANDSHAKE))
    assert connection.statuses == []
    answers[0].callback(None)
    assert connection.statuses == [200, 400]
    assert connection.closed


# -- the end: Q-10 --------------------------------------------------------------------------------


def test_a_connection_that_is_closed_while_it_waits_answers_nothing_more(slow):
    """Q-10: of the requests behind the one that is being answered."""
    server, answers = slow
    client = server.client()
    connection = server.connection()
    connection.send(ask_slowly(client) + post(HANDSHAKE))
    server.site.close()
    answers[0].callback(None)
    assert connection.statuses == [200]
    assert b"\r\nConnection: close\r\n" in connection.output
    assert connection.closed


def test_a_connection_that_is_closed_while_it_is_congested_gets_its_answers():
    """Q-10, G-16: what is written already."""
    net = Net()
    wire = net.open()
    wire.stall()
    wire.send(b"".join(numbered(2_000)))
    done = len(net.hub.sessions)
    net.site.close()
    wire.flow()
    assert ids(wire.take()) == list(range(done))
    assert not wire.end.connected


@pytest.mark.parametrize("later", [False, True])
def test_an_application_may_close_the_site_while_it_answers(server, later):
    """Q-10: it gets its answer, and nothing behind that is begun."""
    answer = Deferred()

    def handler(session, data):
        server.site.close()
        return answer if later else None

    server.hub.service("/service/slow", handler)
    client = server.client()
    connection = server.connection()
    connection.send(ask_slowly(client) + post(HANDSHAKE))
    answer.callback(None)
    assert connection.statuses == [200]
    assert b"\r\nConnection: close\r\n" in connection.output
    assert connection.closed
    assert not server.site.channels


def test_a_connection_is_cut_while_it_waits(slow):
    """Q-10: the answer that comes too late goes nowhere."""
    server, answers = slow
    client = server.client()
    connection = server.connection()
    connection.send(ask_slowly(client))
    server.site.abort()
    assert connection.closed
    answers[0].callback(None)
    assert connection.output == b""
    assert not server.site.channels


# -- the access log: G-33 -------------------------------------------------------------------------


def test_the_access_log_has_a_line_for_what_is_held(logged):
    """G-33: when it is answered."""
    server, read = logged
    client = server.client()
    connection = server.connection()
    before = len(read().splitlines())
    connection.send(post(connect(client), path="/bayeux/connect"))
    assert len(read().splitlines()) == before
    server.clock.advance(30)
    assert '"POST /bayeux/connect HTTP/1.1" 200 ' in read().splitlines()[before]


@pytest.mark.parametrize("request_, line", [
    (SMUGGLED["both lengths"], ' /bayeux HTTP/1.1" 400 '),
    (upgrade(), '"GET /bayeux HTTP/1.1" 101 '),
    (post(HANDSHAKE, method="HEAD"), '"HEAD /bayeux HTTP/1.1" 405 - '),
    (post(HANDSHAKE, path="/bayeux/%0a\"x"), '"POST /bayeux/%0a\\"x HTTP/1.1" 200 '),
    (post(HANDSHAKE, user_agent='a"b'), '"a\\"b"'),
])
def test_the_access_log_says_what_was_asked_and_answered(logged, request_, line):
    """G-33: nobody can write lines of their own."""
    server, read = logged
    server.connection().send(request_)
    (only,) = read().splitlines()
    assert line in only


# -- an idle client is cheap ----------------------------------------------------------------------


def test_an_idle_connection_keeps_nothing_of_its_requests(server):
    """G-19: no parser, no bytes; it is one object."""
    connection = server.connection()
    connection.send(post(HANDSHAKE))
    door = connection.channel
    assert isinstance(door, Door)
    assert (door._parser, door._logged, door._answer, door._buffer) == (None, None, None, b"")
    assert door._known.body == b""
    assert not hasattr(door, "__dict__")


# -- the same head again --------------------------------------------------------------------------


@pytest.mark.parametrize("between", [b"", b"\r\n"], ids=["nothing between", "a line end between"])
@pytest.mark.parametrize("cut", [0, 1, 30, 200, 250, -1])
def test_requests_with_the_same_head_are_each_answered_by_its_own_body(server, cut, between):
    """RFC 9112 9.3: however they are cut, and though only the first head is read."""
    connection = server.connection()
    for number in range(10, 20):
        data = between + post({**HANDSHAKE, "id": str(number)})
        connection.send(*(piece for piece in (data[:cut], data[cut:]) if piece))
    assert ids(connection.output) == list(range(10, 20))


def test_requests_with_the_same_head_may_come_together(server):
    """K-16."""
    connection = server.connection()
    connection.send(post({**HANDSHAKE, "id": "10"}))
    connection.send(b"".join(post({**HANDSHAKE, "id": str(number)}) for number in range(11, 20)))
    assert ids(connection.output) == list(range(10, 20))


def test_a_head_that_differs_in_one_header_is_read(server):
    """O-4: what is known of one is not what another says."""
    connection = server.connection()
    same = post(HANDSHAKE, origin="http://127.0.0.1")
    for request in (same, same, same.replace(b"//127.0.0.1", b"//127.0.0.2"), same):
        connection.send(request)
    assert connection.statuses == [200, 200, 403, 200]


def test_a_session_of_another_browser_is_not_used_by_a_head_that_is_known(server):
    """B-2: the cookie is in the head."""
    connection = server.connection()
    connection.send(post(HANDSHAKE, cookie="BAYEUX_BROWSER=aaaaaaaaaaaaaaaaaaaa"))
    client = connection.messages[0]["clientId"]
    mine = post(publish(client, 1), cookie="BAYEUX_BROWSER=aaaaaaaaaaaaaaaaaaaa")
    others = mine.replace(b"aaaaaaaa", b"bbbbbbbb")
    answers = []
    for request in (mine, mine, others, others):
        connection.send(request)
        answers.append(connection.messages[0]["successful"])
    assert answers == [True, True, False, False]


def test_a_known_head_with_a_body_that_is_too_large_is_refused(server):
    """G-1: its length is a part of it."""
    connection = server.connection()
    large = post(HANDSHAKE).replace(b"Content-Length: ", b"content-length: 99999999")
    connection.send(post(HANDSHAKE), post(HANDSHAKE))
    connection.send(re.sub(rb"(?i)content-length: \d+", b"content-length: 99999999", large))
    assert connection.statuses == [200, 200, 413]


def test_a_known_head_that_asks_for_it_closes_the_connection(server):
    """L-9."""
    connection = server.connection()
    connection.send(post(HANDSHAKE, connection="close") * 3)
    assert connection.statuses == [200]
    assert connection.closed


def test_a_request_with_a_known_head_is_answered_though_the_server_is_stopping(server):
    """Q-10: who stops it may be asked in the middle of the request."""
    connection = server.connection()
    connection.send(post(HANDSHAKE))
    client = connection.messages[0]["clientId"]
    server.hub.service("/service/stop", lambda session, data: server.site.close() and None)
    for channel in ("/service/none", "/service/stop"):
        connection.send(post(publish(client, 1, channel=channel)))
    assert connection.statuses == [200, 200, 200]
    assert connection.closed


def test_a_client_gets_events_by_its_connects(server):
    """K-15: all together, on one connection."""
    client = server.client()
    connection = server.connection()
    connection.send(post(subscribe(client)))
    connection.send(post(connect(client, id="1")))
    server.hub.publish("/news", "hello")
    server.clock.advance(0)
    assert [message.get("data") for message in connection.messages if "data" in message] == ["hello"]
