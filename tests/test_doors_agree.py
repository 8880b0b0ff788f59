"""The front door and twisted.web are given the same bytes, and have to agree on what they mean.

What they may differ in is said in ``agree``, and nowhere else.
"""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.web.server import Site

from tests.test_parser import SMUGGLED
from tests.test_resource import HANDSHAKE, chunked, connect, get, post, publish, subscribe
from tests.test_site import Server

CLIENT = "c" * 27
"""Stands in a stream for the id of a session, which is another one on each server."""
LIMITS = {"max_body": 2_000, "max_header_bytes": 3_000, "max_headers": 20, "max_url": 1_000}


class Answers:
    """What a server has answered to a stream of bytes, and done."""

    def __init__(self, twisted, pieces):
        server = Server(**LIMITS)
        if twisted:
            server.site.buildProtocol = lambda address: Site.buildProtocol(server.site, address)
        client = server.client()
        self.taken = []
        receive = server.hub.receive

        def watched(messages, link):
            self.taken.append([getattr(message, "channel", "rejected") for message in messages])
            return receive(messages, link)

        server.hub.receive = watched
        connection = server.connection()
        for piece in pieces(client.encode()):
            connection.send(piece)
            server.clock.advance(0)
        server.clock.advance(31)  # a held connect ends, and what is incomplete
        connection.send(post(HANDSHAKE))  # is it still read?
        parts = re.split(rb"HTTP/1\.[01] (\d{3}) ", connection.output)
        assert not parts[0]
        self.answers = [(int(status), _body(rest, client))
                        for status, rest in zip(parts[1::2], parts[2::2], strict=True) if status != b"100"]
        self.closed = connection.closed
        server.hub.close()
        server.site.abort()

    @property
    def refused(self):
        """Whether the last answer is that this is no request, or one that is too large."""
        return self.closed and bool(self.answers) and self.answers[-1][0] in (400, 413, 414)

    def __repr__(self):
        return f"<{self.answers} closed={self.closed} {self.taken}>"

    def __eq__(self, other):
        return (self.answers, self.closed, self.taken) == (other.answers, other.closed, other.taken)


def _body(response, client):
    """Return the body of a response, without what is another one each time."""
    body = response.partition(b"\r\n\r\n")[2].replace(client.encode(), CLIENT.encode())
    return re.sub(rb'"clientId":"(?!c{27})[^"]*"', b'"clientId":"*"', body)


def cut(data, places):
    """Return what cuts a stream, once the id of the session in it is known."""
    def pieces(client):
        assert len(client) == len(CLIENT)
        whole = data.replace(CLIENT.encode(), client)
        edges = [0, *sorted(place % (len(whole) + 1) for place in places), len(whole)]
        return [whole[start:end] for start, end in pairwise(edges) if start < end]
    return pieces


def agree(door, twisted):
    """Say whether two doors have understood the same; ``door`` may be the stricter one.

    What llhttp refuses, it refuses by 400 and by closing, at the place of the request that is wrong: what
    came before has been answered the same, and of what comes from there on nothing is processed.
    The other way round they may not differ: what twisted.web refuses, the front door refuses.
    """
    if door == twisted:
        return True
    before = len(door.answers) - 1
    return (door.refused and door.answers[-1][0] == 400
            and door.answers[:before] == twisted.answers[:before]
            and door.taken == twisted.taken[:len(door.taken)] and len(door.taken) <= before)


# -- streams of requests --------------------------------------------------------------------------


MESSAGES = st.sampled_from([
    HANDSHAKE, connect(CLIENT), connect(CLIENT, advice={"timeout": 0}), subscribe(CLIENT), publish(CLIENT),
    publish(CLIENT, "\u2028\xe9"), publish("nobody"), {"channel": "/meta/unsubscribe", "clientId": CLIENT,
                                                       "subscription": "/news"}, {"channel": 1}, 5,
])
BODIES = st.one_of(
    st.lists(MESSAGES, min_size=1, max_size=3).map(lambda batch: json.dumps(batch).encode()),
    st.sampled_from([b"[]", b"", b"nonsense", b"\r\n", b"message=[]", b"[" * 100, b"x" * 2_001,
                     b" " * 1_999 + b"5"]),
)
MORE = st.fixed_dictionaries({}, optional={
    "connection": st.sampled_from(["keep-alive"] * 4 + ["Upgrade", "close", "foo, close"]),
    "upgrade": st.sampled_from(["h2c", "foo"]),
    "expect": st.sampled_from(["100-continue", "nothing"]),
    "content_type": st.sampled_from(["text/plain ", "application/json", "text/html", None]),
    "origin": st.sampled_from(["http://127.0.0.1", "http://evil.example"]),
    "accept": st.just("*/*"),
    "version": st.sampled_from(["1.1"] * 9 + ["1.0"]),
    "x_long": st.sampled_from([100, 500, 1_400, 3_000]).map(lambda size: "x" * size),
    "method": st.sampled_from(["POST", "POST", "PUT", "HEAD", "OPTIONS"]),
    "path": st.sampled_from(["/bayeux", "/bayeux/", "/bayeux/connect", "/bayeux?x", "/nowhere", "/", "*",
                             "/%62ayeux", "/bayeux/client.js/", "/bayeux/../x", "/bayeux?" + "x" * 1_100]),
})


@st.composite
def posts(draw):
    body, more = draw(BODIES), draw(MORE)
    if draw(st.integers(0, 2)):
        return post(body=body, **more)
    size, extra = draw(st.integers(1, 50)), draw(st.sampled_from([b"", b"", b"X-One: 1\r\n", b"Host: y\r\n"]))
    coded = chunked(body, size).removesuffix(b"\r\n") + extra + b"\r\n"
    return post(body=coded, length=False, transfer_encoding="chunked", **more)


GETS = st.lists(MESSAGES, max_size=2).map(lambda messages: get(*messages))
USUAL = st.one_of(MESSAGES.map(post), posts(), GETS, st.just(b"\r\n"))
WRONG = st.sampled_from(list(SMUGGLED.values()))
TOKENS = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"x", b"0", b"-", b"\xff", b";", b",", b"\r\n\r\n",
          b"\r\n ", b"Host: y\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1",
          b"/"]


@st.composite
def mangled(draw):
    """A request in which something is inserted, replaced, left out or doubled; mostly in its head."""
    data = draw(posts() | GETS)
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(data)) | st.integers(0, min(len(data), 200)))
        length = draw(st.sampled_from([0, 0, 1, 1, 2, 17]))
        token = draw(st.sampled_from([b"", data[place:place + length] * 2, *TOKENS]))
        data = data[:place] + token + data[place + length:]
    return data


STREAMS = st.builds(lambda before, odd, after: b"".join([*before, odd, *after]),
                    st.lists(USUAL, max_size=4), st.one_of(USUAL, mangled(), WRONG),
                    st.lists(USUAL, max_size=2))
END = b"\r\n" + post(path="/end", method="GET", body=b"")
"""The end of whatever head is incomplete: twisted.web refuses a line of it as soon as it has come."""
PLACES = st.lists(st.integers(0, 10_000), max_size=8)
FEW = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(STREAMS, PLACES, PLACES)
def test_the_doors_agree(stream, places, others):
    """L-1, RFC 9112 11.2: however each of them gets its bytes."""
    stream += END
    door, twisted = Answers(False, cut(stream, places)), Answers(True, cut(stream, others))
    assert agree(door, twisted), (stream, door, twisted)


@FEW
@given(STREAMS, PLACES, st.integers(1, 50))
def test_the_front_door_does_not_mind_how_bytes_are_cut(stream, places, size):
    """RFC 9112 2.2: nothing depends on which bytes come together."""
    whole = Answers(False, cut(stream, []))
    assert Answers(False, cut(stream, places)) == whole
    assert Answers(False, cut(stream, range(0, len(stream), size))) == whole


@pytest.mark.parametrize("stream", SMUGGLED.values(), ids=SMUGGLED)
def test_what_is_refused_here_is_refused_or_read_as_one_request_there(stream):
    """RFC 9112 11.2: twisted.web never finds more than one request in what the front door refuses."""
    door, twisted = (Answers(kind, cut(stream, [])) for kind in (False, True))
    assert door.answers[-1][0] == 400
    assert len(twisted.answers) <= 2
