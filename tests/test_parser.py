"""One request, from its bytes to its values; and all that is no request, or might be taken for two."""

import tracemalloc

import pytest

from bayeux.settings import Settings
from bayeux.web.parser import BadRequest, ChunkScanner, RequestParser, Stage

NEXT = b"GET /next HTTP/1.1\r\n"
"""What follows a request, and is not to be taken for a part of it."""


def request(*lines, body=b"", line="POST /bayeux HTTP/1.1", host="Host: x"):
    """Return the bytes of a request; ``lines`` are its headers."""
    head = "".join(f"{line}\r\n" for line in (line, host, *lines) if line is not None)
    return f"{head}\r\n".encode("latin-1") + body


def sized(body=b"hello", *lines, **more):
    return request(f"Content-Length: {len(body)}", *lines, body=body, **more)


def in_chunks(body=b"5\r\nhello\r\n0\r\n\r\n", *lines, **more):
    return request("Transfer-Encoding: chunked", *lines, body=body, **more)


def parse(*pieces, **settings):
    """Feed a parser; returns it and what it leaves."""
    parser, rest = RequestParser(Settings(**settings)), b""
    for piece in pieces:
        rest = rest + piece if parser.stage is Stage.COMPLETE else parser.feed(piece)
    return parser, rest


def refusal(*pieces, **settings):
    """Return the status with which a request is refused."""
    with pytest.raises(BadRequest) as caught:
        parse(*pieces, **settings)
    return caught.value.status


def drops(data):
    return [data[index:index + 1] for index in range(len(data))]


# -- what a request says --------------------------------------------------------------------------


def test_a_request_has_a_method_a_target_and_headers():
    """L-1."""
    parser, _ = parse(request("X-One: 1", line="GET /bayeux?a=%20 HTTP/1.1"))
    assert parser.stage is Stage.COMPLETE
    assert (parser.method, parser.target, parser.version) == (b"GET", b"/bayeux?a=%20", "1.1")
    assert parser.fields == {b"host": b"x", b"x-one": b"1"}
    assert parser.body == b""


def test_the_names_of_headers_are_lower_case():
    """RFC 9110 5.1."""
    parser, _ = parse(request("X-oNe: Value"))
    assert parser.fields[b"x-one"] == b"Value"
    assert list(parser.fields) == [b"host", b"x-one"]


@pytest.mark.parametrize("value", ["chunked", " chunked", "chunked ", "\tchunked\t "])
def test_blanks_around_a_value_are_no_part_of_it(value):
    """RFC 9110 5.5."""
    parser, _ = parse(request(f"X-One:{value}"))
    assert parser.fields[b"x-one"] == b"chunked"


def test_several_values_of_one_header_are_one_list():
    """RFC 9110 5.3; but cookies are parted otherwise, RFC 9113 8.2.3."""
    parser, _ = parse(request("Accept: a", "Accept: b", "Cookie: c=1", "Cookie: d=2"))
    assert parser.fields[b"accept"] == b"a, b"
    assert parser.fields[b"cookie"] == b"c=1; d=2"


def test_a_header_may_have_any_bytes_in_it():
    """RFC 9110 5.5: obs-text is legal; what it means is not known here."""
    parser, _ = parse(request("X-One: \xff"))
    assert parser.fields[b"x-one"] == b"\xff"


@pytest.mark.parametrize("line, lines, keep", [
    ("GET / HTTP/1.1", [], True),
    ("GET / HTTP/1.1", ["Connection: close"], False),
    ("GET / HTTP/1.1", ["Connection: Foo, CLOSE"], False),
    ("GET / HTTP/1.1", ["Connection: keep-alive"], True),
    ("GET / HTTP/1.0", [], False),
    ("GET / HTTP/1.0", ["Connection: keep-alive"], False),
])
def test_a_connection_is_kept_by_http_1_1_only(line, lines, keep):
    """L-9: HTTP/1.0 works with ``Content-Length`` and close."""
    parser, _ = parse(request(*lines, line=line))
    assert parser.keep_alive is keep


# -- where a request ends -------------------------------------------------------------------------


WHOLE = {
    "no body": (request(), b""),
    "an empty body": (sized(b""), b""),
    "a body": (sized(b"hello"), b"hello"),
    "a body with a request in it": (sized(request()), request()),
    "a body of a GET": (sized(b"hello", line="GET /bayeux HTTP/1.1"), b"hello"),
    "chunks": (in_chunks(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), b"hello"),
    "a chunk with blank lines in it": (in_chunks(b"6\r\na\r\n\r\n0\r\n0\r\n\r\n"), b"a\r\n\r\n0"),
    "no chunks": (in_chunks(b"0\r\n\r\n"), b""),
    "a long length of a chunk": (in_chunks(b"0000000000000005\r\nhello\r\n000\r\n\r\n"), b"hello"),
    "an upper-case length of a chunk": (in_chunks(b"A\r\nhellohello\r\n0\r\n\r\n"), b"hellohello"),
    "chunks with extensions": (in_chunks(b'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n'), b"hello"),
    "an upgrade in the trailers": (in_chunks(b"0\r\nUpgrade: x\r\n\r\n", "Connection: Upgrade"), b""),
    "trailers": (in_chunks(b"5\r\nhello\r\n0\r\nX-One: 1\r\nX-Two: 2\r\n\r\n"), b"hello"),
    "an upgrade, and a body": (sized(b"hello", "Connection: Upgrade", "Upgrade: h2c"), b"hello"),
    "an upgrade, and chunks": (in_chunks(b"1\r\nh\r\n0\r\n\r\n", "Connection: Upgrade", "upgrade: x"), b"h"),
    "CHUNKED": (request("Transfer-Encoding: Chunked ", body=b"5\r\nhello\r\n0\r\n\r\n"), b"hello"),
}


@pytest.mark.parametrize("data, body", WHOLE.values(), ids=WHOLE)
def test_a_request_ends_where_it_ends_however_it_is_cut(data, body):
    """RFC 9112 6.3: cut anywhere, and with the next one behind it."""
    data += NEXT
    for pieces in ([data], drops(data), *([data[:cut], data[cut:]] for cut in range(1, len(data)))):
        parser, rest = parse(*pieces)
        assert (parser.stage, parser.body, rest) == (Stage.COMPLETE, body, NEXT), pieces


@pytest.mark.parametrize("data, body", WHOLE.values(), ids=WHOLE)
def test_a_request_is_not_complete_before_its_end(data, body):
    """RFC 9112 8."""
    for end in range(len(data)):
        parser, rest = parse(data[:end])
        assert parser.stage is not Stage.COMPLETE
        assert rest == b""


def test_the_stages_of_a_request():
    """G-3: each has its time."""
    parser = RequestParser(Settings())
    data = sized(b"hello")
    stages = []
    for drop in drops(data):
        parser.feed(drop)
        stages.append(parser.stage)
    assert stages == [Stage.HEAD] * (len(data) - 6) + [Stage.BODY] * 5 + [Stage.COMPLETE]


def test_an_upgrade_is_a_header_like_any_other():
    """W-1: what becomes of it is not decided here."""
    parser, _ = parse(request("Connection: Upgrade", "UPGRADE: websocket"))
    assert parser.fields[b"upgrade"] == b"websocket"


TRAILERS = ["Host: y", "Cookie: a=1", "Origin: http://evil.example", "Connection: close", "X-One: 1"]


@pytest.mark.parametrize("trailer", TRAILERS)
def test_a_trailer_changes_nothing_about_a_request(trailer):
    """RFC 9110 6.5.1: what has been decided by the headers would be decided otherwise."""
    parser, _ = parse(in_chunks(f"0\r\n{trailer}\r\n\r\n".encode()))
    assert parser.fields == {b"host": b"x", b"transfer-encoding": b"chunked"}
    assert parser.keep_alive is True


@pytest.mark.parametrize("lines, line, expects", [
    (["Expect: 100-continue"], "POST / HTTP/1.1", True),
    (["Expect: 100-Continue "], "POST / HTTP/1.1", True),
    (["Expect: 200-ok"], "POST / HTTP/1.1", False),
    (["Expect: 100-continue"], "POST / HTTP/1.0", False),
    ([], "POST / HTTP/1.1", False),
])
def test_whether_a_client_waits_to_be_asked_for_the_body(lines, line, expects):
    """RFC 9110 10.1.1: HTTP/1.0 clients do not, whatever they say."""
    parser, _ = parse(request("Content-Length: 5", *lines, line=line))
    assert parser.expects is expects


def test_nobody_is_asked_for_a_body_that_there_is_not():
    """RFC 9110 10.1.1."""
    parser, _ = parse(sized(b"", "Expect: 100-continue"))
    assert parser.expects is False


# -- limits ---------------------------------------------------------------------------------------


def test_the_number_of_headers_has_its_limit():
    """G-4."""
    parse(request("A: 1", "B: 2"), max_headers=3)
    assert refusal(request("A: 1", "B: 2", "A: 3"), max_headers=3) == 400


def test_trailers_are_headers_to_the_limit():
    """G-4: they cost as much."""
    data = in_chunks(b"0\r\nA: 1\r\nB: 2\r\n\r\n")
    parse(data, max_headers=4)
    assert refusal(data, max_headers=3) == 400


@pytest.mark.parametrize("cut", [False, True])
def test_the_size_of_the_head_has_its_limit(cut):
    """G-4: at the limit, and one past it, however it is cut."""
    data = request("X: " + "x" * 100)
    pieces = drops(data) if cut else [data]
    parser, _ = parse(*pieces, max_header_bytes=len(data))
    assert parser.stage is Stage.COMPLETE
    assert refusal(*pieces, max_header_bytes=len(data) - 1) == 400


@pytest.mark.parametrize("cut", [False, True])
def test_a_request_line_that_takes_all_the_room_is_too_long(cut):
    """G-20."""
    data = request(line=f"GET /{'x' * 1_000} HTTP/1.1")
    assert refusal(*(drops(data) if cut else [data]), max_header_bytes=1_000) == 414


def test_a_head_that_is_too_large_is_refused_before_it_ends():
    """G-4."""
    assert refusal(b"GET / HTTP/1.1\r\n" + b"x" * 1_000, max_header_bytes=1_000) == 400


def test_a_body_that_is_announced_as_too_large_is_refused_at_once():
    """G-1."""
    parse(request("Content-Length: 10"), max_body=10)
    assert refusal(request("Content-Length: 11"), max_body=10) == 413


@pytest.mark.parametrize("cut", [False, True])
def test_chunks_are_counted_as_they_come(cut):
    """G-1."""
    parse(in_chunks(b"a\r\n0123456789\r\n0\r\n\r\n"), max_body=10)
    data = in_chunks(b"9\r\n012345678\r\nffff\r\n9x")
    assert refusal(*(drops(data) if cut else [data]), max_body=10) == 413


@pytest.mark.parametrize("head, piece, end", [
    (request("Content-Length: 100000"), b"ab", b""),
    (request("Transfer-Encoding: chunked"), b"2\r\nab\r\n", b"0\r\n\r\n"),
], ids=["length", "chunked"])
def test_a_body_in_very_many_pieces_takes_no_more_memory_than_another(head, piece, end):
    """G-1: each would be an object of its own."""
    tracemalloc.start()
    try:
        parser, _ = parse(head, max_chunks=100_000)
        for _ in range(50_000):
            parser.feed(piece)
        assert tracemalloc.get_traced_memory()[0] < 300_000
    finally:
        tracemalloc.stop()
    parser.feed(end)
    assert parser.stage is Stage.COMPLETE
    assert parser.body == b"ab" * 50_000


@pytest.mark.parametrize("line", [b"nonsense\r\n", b";" * 300 + b"\r\n", b"5;" + b"x" * 300])
def test_of_two_faults_in_one_read_the_first_counts(line):
    """G-1: as when the bytes come one by one."""
    data = in_chunks(b"b\r\n0123456789a\r\n" + line)
    assert refusal(data, max_body=10) == refusal(*drops(data), max_body=10) == 413


@pytest.mark.parametrize("size, fits", [(256, True), (257, False)])
@pytest.mark.parametrize("line", [b"5;%b\r\nhello\r\n0\r\n\r\n", b"0;%b\r\n\r\n", b"0\r\nX:%b\r\n\r\n"])
def test_the_line_of_a_chunk_has_its_limit(line, size, fits):
    """G-1: extensions and trailers are no way to send more than the body may hold."""
    data = in_chunks(line % (b"x" * (size - 4)))
    for pieces in ([data], drops(data)):
        if fits:
            assert parse(*pieces)[0].stage is Stage.COMPLETE
        else:
            assert refusal(*pieces) == 400


def test_no_more_is_kept_of_a_line_than_its_limit():
    """G-1: one that does not end."""
    scanner = ChunkScanner(100)
    assert scanner.scan(b"5;" + b"x" * 100_000) == 0
    assert scanner.wrong
    assert scanner._line == b""


# -- what might be taken for another request ------------------------------------------------------


CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED = {
    "both lengths": request("Content-Length: 5", "Transfer-Encoding: chunked", body=CHUNKS),
    "both lengths, in turn": request("Transfer-Encoding: chunked", "Content-Length: 5", body=CHUNKS),
    "two lengths": request("Content-Length: 5", "Content-Length: 6", body=b"hello!"),
    "one length twice": request("Content-Length: 5", "Content-Length: 5", body=b"hello"),
    "a list of lengths": request("Content-Length: 5, 5", body=b"hello"),
    "a length with a sign": request("Content-Length: +5", body=b"hello"),
    "a negative length": request("Content-Length: -5", body=b"hello"),
    "a hexadecimal length": request("Content-Length: 0x5", body=b"hello"),
    "a length with a blank in it": request("Content-Length: 5 5", body=b"hello"),
    "a length with an underscore": request("Content-Length: 1_0", body=b"hellohello"),
    "a length in other digits": request("Content-Length: \xb2", body=b"hello"),
    "an empty length": request("Content-Length:", body=b"hello"),
    "a length beyond all numbers": request("Content-Length: " + "9" * 40, body=b"hello"),
    "a folded header": request("X-One: 1\r\n 2"),
    "a folded header, by tab": request("X-One: 1\r\n\t2"),
    "a folded first header": request(host=" Host: x"),
    "a folded length": request("Content-Length:\r\n 5", body=b"hello"),
    "a folded encoding": request("Transfer-Encoding:\r\n chunked", body=CHUNKS),
    "bare LF everywhere": sized().replace(b"\r\n", b"\n"),
    "bare LF behind the request line": sized().replace(b"\r\n", b"\n", 1),
    "bare LF between headers": request("X-One: 1\nContent-Length: 5", body=b"hello"),
    "bare LF as the blank line": b"POST /bayeux HTTP/1.1\r\nHost: x\r\n\nhello\r\n\r\n",
    "two bare LF": b"POST /bayeux HTTP/1.1\r\nHost: x\n\nhello\r\n\r\n",
    "bare CR behind the request line": sized().replace(b"\r\n", b"\r", 1),
    "bare CR in a value": request("X-One: 1\rContent-Length: 5", body=b"hello"),
    "bare CR at the end of a value": request("X-One: 1\r"),
    "a blank line of two CR": b"POST /bayeux HTTP/1.1\r\nHost: x\r\n\r\r\n\r\n",
    "a blank before the colon": request("Content-Length : 5", body=b"hello"),
    "a tab before the colon": request("Content-Length\t: 5", body=b"hello"),
    "a blank before the name": request(" Content-Length: 5", body=b"hello"),
    "a header without a colon": request("Content-Length 5", body=b"hello"),
    "a header without a name": request(": 5"),
    "two hosts": request("Host: y"),
    "one host twice": request("Host: x"),
    "no host": request(host=None),
    "NUL in a value": request("X-One: 1\0"),
    "NUL in a name": request("X\0One: 1"),
    "NUL in the target": request(line="GET /bayeux?\0 HTTP/1.1"),
    "a vertical tab in a value": request("X-One: 1\x0b2"),
    "identity": request("Transfer-Encoding: identity", body=b"hello"),
    "identity and a length": request("Transfer-Encoding: identity", "Content-Length: 5", body=b"hello"),
    "gzip": request("Transfer-Encoding: gzip", body=b"hello"),
    "gzip, chunked": request("Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "gzip and chunked": request("Transfer-Encoding: gzip", "Transfer-Encoding: chunked", body=CHUNKS),
    "identity and chunked": request("Transfer-Encoding: identity", "Transfer-Encoding: chunked", body=CHUNKS),
    "chunked, identity": request("Transfer-Encoding: chunked, identity", body=CHUNKS),
    "chunked twice": request("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=CHUNKS),
    "xchunked": request("Transfer-Encoding: xchunked", body=CHUNKS),
    "chunked with a parameter": request("Transfer-Encoding: chunked;a=b", body=CHUNKS),
    "chunked in quotes": request('Transfer-Encoding: "chunked"', body=CHUNKS),
    "chunked behind a vertical tab": request("Transfer-Encoding: \x0bchunked", body=CHUNKS),
    "chunked in a list": request("Transfer-Encoding: , chunked", body=CHUNKS),
    "an empty encoding": request("Transfer-Encoding:", body=CHUNKS),
    "chunked by HTTP/1.0": request("Transfer-Encoding: chunked", line="POST /bayeux HTTP/1.0", body=CHUNKS),
    "a chunk without a length": in_chunks(b"\r\nhello\r\n0\r\n\r\n"),
    "a chunk with an extension only": in_chunks(b";a=b\r\nhello\r\n0\r\n\r\n"),
    "a chunk with a sign": in_chunks(b"+5\r\nhello\r\n0\r\n\r\n"),
    "a negative chunk": in_chunks(b"-5\r\nhello\r\n0\r\n\r\n"),
    "a negative last chunk": in_chunks(b"-0\r\n\r\n"),
    "a chunk with 0x": in_chunks(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a chunk with an underscore": in_chunks(b"0_5\r\nhello\r\n0\r\n\r\n"),
    "a blank before the length of a chunk": in_chunks(b" 5\r\nhello\r\n0\r\n\r\n"),
    "a blank behind the length of a chunk": in_chunks(b"5 \r\nhello\r\n0\r\n\r\n"),
    "a blank before an extension": in_chunks(b"5 ;a\r\nhello\r\n0\r\n\r\n"),
    "a chunk beyond all numbers": in_chunks(b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "bare LF behind the length of a chunk": in_chunks(b"5\nhello\r\n0\r\n\r\n"),
    "bare LF behind an extension": in_chunks(b"5;a\nhello\r\n0\r\n\r\n"),
    "bare CR in an extension": in_chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "NUL in an extension": in_chunks(b"5;a\0\r\nhello\r\n0\r\n\r\n"),
    "bare LF behind a chunk": in_chunks(b"5\r\nhello\n0\r\n\r\n"),
    "bare LF behind the last chunk": in_chunks(b"5\r\nhello\r\n0\n\r\n"),
    "bare LF as the end of all chunks": in_chunks(b"5\r\nhello\r\n0\r\n\n"),
    "a chunk that is longer than it says": in_chunks(b"4\r\nhello\r\n0\r\n\r\n"),
    "a chunk that is shorter than it says": in_chunks(b"6\r\nhello\r\n0\r\n\r\n"),
    "a length in the trailers": in_chunks(b"0\r\nContent-Length: 5\r\n\r\n"),
    "an encoding in the trailers": in_chunks(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "a folded trailer": in_chunks(b"0\r\nX-One: 1\r\n 2\r\n\r\n"),
    "bare LF behind a trailer": in_chunks(b"0\r\nX-One: 1\n\r\n"),
    "a blank as the last line": in_chunks(b"0\r\n \r\n\r\n"),
    "HTTP/0.9": request(line="GET /bayeux HTTP/0.9"),
    "HTTP/1.2": request(line="GET /bayeux HTTP/1.2"),
    "HTTP/1.10": request(line="GET /bayeux HTTP/1.10"),
    "HTTP/2.0": request(line="GET /bayeux HTTP/2.0"),
    "HTTP/2.0's beginning": request(line="PRI /bayeux HTTP/2.0"),
    "lower-case HTTP": request(line="GET /bayeux http/1.1"),
    "no version": request(line="GET /bayeux "),
    "a blank behind the version": request(line="GET /bayeux HTTP/1.1 "),
    "two blanks in the request line": request(line="GET /bayeux  HTTP/1.1"),
    "a tab in the request line": request(line="GET /bayeux\tHTTP/1.1"),
    "RTSP": request(line="OPTIONS /bayeux RTSP/1.0"),
    "Icecast": request(line="SOURCE /bayeux ICE/1.0"),
    "CONNECT": request(line="CONNECT /bayeux HTTP/1.1"),
    "CONNECT to somewhere": request(line="CONNECT example.org:80 HTTP/1.1"),
    "a method of its own": request(line="BREW /bayeux HTTP/1.1"),
    "a lower-case method": request(line="post /bayeux HTTP/1.1"),
    "a byte before the method": request(line="\xffPOST /bayeux HTTP/1.1"),
    "an upgrade in disguise": request("Connection: Upgrade", "Upgrade-Hidden: x"),
}


@pytest.mark.parametrize("data", SMUGGLED.values(), ids=SMUGGLED)
def test_what_others_might_read_otherwise_is_refused(data):
    """RFC 9112 11.2: a proxy that has its own idea of where this ends would let something pass unseen."""
    data += b"\r\n\r\n" + sized(b"hello")  # so that nothing is missing
    for pieces in ([data], drops(data), [data[:20], data[20:]]):
        assert refusal(*pieces) == 400


def test_a_body_may_have_so_many_chunks():
    """G-1: one that comes byte by byte costs more than it should."""
    chunks = b"1\r\nx\r\n" * 9 + b"0\r\n\r\n"
    parser, _ = parse(in_chunks(chunks), max_chunks=10)
    assert parser.body == b"x" * 9
    for pieces in ([in_chunks(chunks)], drops(in_chunks(chunks))):
        assert refusal(*pieces, max_chunks=9) == 413


def read(data):
    """Return a request that has come whole."""
    parser = RequestParser(Settings())
    parser.feed(data)
    return parser.request("192.0.2.7", False)


def test_a_request_is_known_again_by_its_head():
    """All bytes of it, and how many there are with the body."""
    data = sized(b"hello")
    found = read(data)
    assert (found.head, found.size) == (data.removesuffix(b"hello"), len(data))
    assert (found.body, found.address, found.secure) == (b"hello", "192.0.2.7", False)


def test_a_request_in_chunks_is_of_no_known_size():
    """The next one with the same head may be longer."""
    assert read(in_chunks(b"5\r\nhello\r\n0\r\n\r\n")).size is None


def test_a_header_that_is_absent_is_empty():
    """As ``HTTPRequest.header`` has it."""
    found = read(request("X-One: 1"))
    assert (found.header("x-one"), found.header("origin")) == ("1", "")
    assert list(found.header.names()) == ["host", "x-one"]


def test_headers_are_the_same_when_they_are_kept_in_little_memory():
    """RFC 9110 5.3: however often they come, and whatever they are written like."""
    found = read(request("X-One:  1 ", "Cookie: a=b", "cookie: c=d", "x-ONE:2", "X-None:", "X-Two: a:b",
                         "Connection: Upgrade", "Upgrade: x"))
    names = list(found.header.names())
    values = [found.header(name) for name in names]
    found.shrink()
    assert list(found.header.names()) == names
    assert [found.header(name) for name in names] == values
    assert (found.header("x-one"), found.header("cookie")) == ("1, 2", "a=b; c=d")
    assert (found.header("x-none"), found.header("x-three"), found.header("x-two")) == ("", "", "a:b")


def test_a_host_that_the_target_names_is_kept():
    """RFC 9112 3.2.2: the next request with the same head is read again."""
    found = read(request(line="GET http://example.org/bayeux HTTP/1.1"))
    found.shrink()
    assert (found.header("host"), found.target, found.size) == ("example.org", b"/bayeux", None)


def test_what_connections_have_in_common_is_kept_once():
    """It is kept as long as they are."""
    one, other = read(sized()), read(bytes(bytearray(sized())))
    assert (one.method is other.method, one.target is other.target) == (True, True)


def test_a_target_that_is_long_is_not_remembered():
    """J-1: it has messages in it, with a clientId."""
    line = "GET /bayeux?jsonp=cb&message=" + "x" * 30 + " HTTP/1.1"
    assert read(request(line=line)).target is not read(request(line=line)).target
