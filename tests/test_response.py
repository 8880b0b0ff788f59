"""Responses as bytes, and connections that change their protocol."""

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from bayeux.transports import HTTPReply
from bayeux.web.response import hand_over, head, render

BIRTH = 784_111_777
"""The example of RFC 9110, section 5.6.7: Sun, 06 Nov 1994 08:49:37 GMT."""
JSON = ((b"Content-Type", b"application/json"), (b"Pragma", b"no-cache"))


def test_a_response_is_whole():
    """L-5: all in one, with its length."""
    assert render(HTTPReply(200, JSON, b"[{}]"), BIRTH, close=False) == (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: application/json\r\n"
        b"Pragma: no-cache\r\n"
        b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"Content-Length: 4\r\n"
        b"\r\n"
        b"[{}]")


def test_an_empty_response_says_that_it_is():
    """L-5, RFC 9112 6.3: or its client would wait for the end of the connection."""
    assert b"\r\nContent-Length: 0\r\n" in render(HTTPReply(409, JSON), BIRTH, close=False)


def test_a_response_that_cannot_have_a_body_has_no_length():
    """RFC 9110 8.6: 204."""
    assert b"Content-Length" not in render(HTTPReply(204, JSON), BIRTH, close=False)


def test_a_response_to_head_has_the_length_of_what_is_left_out():
    """L-2, RFC 9110 9.3.2."""
    response = render(HTTPReply(405, JSON, b"no\n"), BIRTH, close=False, with_body=False)
    assert b"\r\nContent-Length: 3\r\n" in response
    assert response.endswith(b"\r\n\r\n")


def test_the_last_response_of_a_connection_says_so():
    """RFC 9112 9.6, L-9."""
    response = render(HTTPReply(200, JSON, b"[]"), BIRTH, close=True)
    assert response.count(b"\r\nConnection: close\r\n") == 1


def test_the_last_response_says_nothing_else_about_the_connection():
    """RFC 9112 9.6: also where it would offer an upgrade."""
    response = render(HTTPReply(426, ((b"Connection", b"Upgrade"), *JSON)), BIRTH, close=True)
    assert response.count(b"\r\nConnection:") == 1
    assert b"\r\nConnection: close\r\n" in response


def test_closing_one_does_not_close_the_next():
    """L-9: heads that are remembered are so with what they say about the connection."""
    reply = HTTPReply(200, JSON, b"[]")
    render(reply, BIRTH, close=True)
    assert b"Connection" not in render(reply, BIRTH, close=False)


def test_each_cookie_has_a_line_of_its_own():
    """RFC 6265 3."""
    response = render(HTTPReply(200, JSON, cookies=[b"a=1", b"b=2"]), BIRTH, close=False)
    assert b"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n" in response


def test_the_cookie_of_one_client_is_not_given_to_the_next():
    """B-1: what is remembered of a response has nothing of a client in it."""
    render(HTTPReply(200, JSON, cookies=[b"a=1"]), BIRTH, close=False)
    assert b"Set-Cookie" not in render(HTTPReply(200, JSON), BIRTH, close=False)


def test_the_date_goes_with_the_time():
    """RFC 9110 6.6.1."""
    dates = [render(HTTPReply(200, ()), BIRTH + second, close=False) for second in (0, 1, 2, 0)]
    assert [date.partition(b"08:49:")[2][:2] for date in dates] == [b"37", b"38", b"39", b"37"]


def test_a_status_without_a_name_is_answered_too():
    """``superseded_status`` may be any."""
    assert render(HTTPReply(599, ()), BIRTH, close=False).startswith(b"HTTP/1.1 599 Unknown\r\n")


def test_the_head_of_a_takeover_is_written_as_it_is():
    """W-1: no length and no date; what follows is another protocol."""
    reply = HTTPReply(101, ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")))
    assert head(reply) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")


class Next(Protocol):
    """The protocol that a connection is given to; it notes what happens to it."""

    def __init__(self):
        self.got = []

    def connectionMade(self):
        self.got.append("made")
        self.transport.registerProducer(self, True)

    def dataReceived(self, data):
        self.got.append(data)


def wrapped(transport):
    """Return what stands between a transport and its protocol, as TLS does."""
    wrapper = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
    wrapper.makeConnection(transport)
    transport.protocol = wrapper
    return wrapper


@pytest.mark.parametrize("data, got", [(b"abc", ["made", b"abc"]), (b"", ["made"])])
def test_a_protocol_begins_before_it_gets_what_was_read_already(data, got):
    """W-1."""
    transport, protocol = StringTransport(), Next()
    transport.registerProducer(Protocol(), True)
    hand_over(transport, protocol, data)
    assert protocol.got == got
    assert transport.protocol is protocol
    assert transport.producer is protocol


def test_under_tls_the_inner_protocol_is_changed():
    """W-1: the wrapper stays between the socket and it."""
    transport, protocol = StringTransport(), Next()
    wrapper = wrapped(transport)
    wrapper.registerProducer(Protocol(), True)
    hand_over(wrapper, protocol, b"abc")
    assert transport.protocol is wrapper
    wrapper.dataReceived(b"def")
    assert protocol.got == ["made", b"abc", b"def"]


@pytest.mark.parametrize("make", [lambda transport: transport, lambda transport: wrapped(transport)],
                         ids=["plain", "under-tls"])
def test_reading_goes_on_where_the_one_before_had_stopped_it(make):
    """W-1: as behind an answer that its peer is slow to take."""
    transport, protocol = StringTransport(), Next()
    outer = make(transport)
    outer.registerProducer(Protocol(), True)
    outer.pauseProducing()
    assert transport.producerState == "paused"
    hand_over(outer, protocol)
    assert transport.producerState == "producing"
