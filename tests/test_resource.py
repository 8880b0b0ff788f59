"""The resource, by real HTTP: in a twisted.web site, under klein, and in the site of ``twistd bayeux``.

Every test runs on all three doors: what a client sees must not depend on which one it came in by.
"""

import gzip
import json
from dataclasses import dataclass
from urllib.parse import quote

import pytest
import pytest_twisted
from klein import Klein
from twisted.internet import reactor, tcp
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import Site

from bayeux import BayeuxService, Policy, Settings
from bayeux.web.site import BayeuxSite

HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}
PATIENCE = 5.0
"""Seconds after which a test gives up waiting for what must come."""


@dataclass
class Response:
    """One HTTP response as it came."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name):
        (only,) = self.headers[name]
        return only

    @property
    def messages(self):
        assert self.status == 200, self
        return json.loads(self.body)

    @property
    def message(self):
        (only,) = self.messages
        return only


class Wire(Protocol):
    """One connection: bytes out, HTTP responses in."""

    def __init__(self):
        self.data = b""
        self.closed = False
        self._news = None

    def dataReceived(self, data):
        self.data += data
        self._tell()

    def connectionLost(self, reason):
        self.closed = True
        self._tell()

    def _tell(self):
        news, self._news = self._news, None
        if news is not None:
            news.callback(None)

    async def until(self, condition):
        """Wait for bytes, or for the end of the connection, until a condition holds."""
        while not condition():
            self._news = Deferred()
            await self._news.addTimeout(PATIENCE, reactor)

    async def end(self):
        """Wait until the server has closed the connection; return what came before and was not read."""
        await self.until(lambda: self.closed)
        return self.data

    def send(self, *pieces):
        self.transport.write(b"".join(pieces))

    async def response(self, head=False):
        """Read the next response; ``head`` says that it answers a HEAD request."""
        await self.until(lambda: b"\r\n\r\n" in self.data or self.closed)
        start, blank, self.data = self.data.partition(b"\r\n\r\n")
        assert blank, f"the connection ended with {start!r}"
        status, *lines = start.decode("latin-1").split("\r\n")
        version, code, _ = status.split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        assert "transfer-encoding" not in headers
        length = 0 if head or int(code) in (100, 204, 304) else int(headers["content-length"][0])
        await self.until(lambda: len(self.data) >= length or self.closed)
        assert len(self.data) >= length
        body, self.data = self.data[:length], self.data[length:]
        return Response(int(code), headers, body)

    async def ask(self, *pieces):
        self.send(*pieces)
        return await self.response()


def post(*messages, path="/bayeux", body=None, version="1.1", method="POST", length=True, **headers):
    """Return the bytes of a request; keywords are headers."""
    if body is None:
        body = json.dumps(messages).encode()
    lines = {"host": "127.0.0.1", "content_type": "application/json", **headers}
    if length:
        lines["content_length"] = len(body)
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n"
                   for name, value in lines.items() if value is not None)
    return f"{method} {path} HTTP/{version}\r\n{head}\r\n".encode("latin-1") + body


def get(*messages, **more):
    """Return the bytes of a JSONP request."""
    fields = "&".join("message=" + quote(json.dumps(message)) for message in messages)
    return post(path=f"/bayeux?jsonp=cb&{fields}", method="GET", body=b"", length=False, content_type=None,
                **more)


def connect(client, **more):
    return {"channel": "/meta/connect", "clientId": client, "connectionType": "long-polling", **more}


def subscribe(client, channel="/news"):
    return {"channel": "/meta/subscribe", "clientId": client, "subscription": channel}


def publish(client, data="hi", channel="/news", **more):
    return {"channel": channel, "clientId": client, "data": data, **more}


async def condition(holds):
    """Wait until something holds that no connection tells of."""
    for _ in range(int(PATIENCE / 0.002)):
        if holds():
            return
        await deferLater(reactor, 0.002)
    raise AssertionError("it never came to hold")


def connections():
    """Return every open connection of this process, the server's ends included."""
    return [each for each in {*reactor.getReaders(), *reactor.getWriters()}
            if isinstance(each, tcp.Connection)]


class Net:
    """What a test has opened, to be closed after it."""

    def __init__(self):
        self._ports = []
        self._wires = []

    async def listen(self, site):
        """Let a site listen on a port of its own; return the port's number."""
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(site)
        self._ports.append(port)
        return port.getHost().port

    async def open(self, port):
        """Connect."""
        wire = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Wire())
        self._wires.append(wire)
        return wire

    async def close(self):
        for wire in self._wires:
            wire.transport.abortConnection()
        for port in self._ports:
            await port.stopListening()
        await condition(lambda: not connections())


@pytest_twisted.async_yield_fixture
async def net():
    net = Net()
    yield net
    await net.close()


def in_site(bayeux):
    """Embed the resource in a tree of an ordinary site."""
    root = Resource()
    root.putChild(b"bayeux", bayeux.resource)
    return Site(root)


def under_klein(bayeux):
    """Return the resource from a klein route.

    Without ``strict_slashes=False`` klein knows ``/bayeux`` and ``/bayeux/x`` but not ``/bayeux/``, which is
    where CometD's client for browsers posts most of its messages.
    """
    app = Klein()

    @app.route("/bayeux", branch=True, strict_slashes=False)
    def endpoint(request):
        return bayeux.resource

    return Site(app.resource())


def in_bayeux_site(bayeux):
    """Serve the resource by the site that ``twistd bayeux`` has."""
    root = Resource()
    root.putChild(b"bayeux", bayeux.resource)
    return BayeuxSite(root, bayeux.resource.endpoint, bayeux.settings, reactor)


class Server:
    """A running Bayeux server, and connections to it."""

    def __init__(self, net, door):
        self._net = net
        self._door = door
        self.bayeux = None

    async def start(self, policy=None, **settings):
        self.bayeux = BayeuxService(Settings(**settings), policy)
        self.bayeux.startService()
        self.port = await self._net.listen(self._door(self.bayeux))

    @property
    def hub(self):
        return self.bayeux.hub

    async def wire(self):
        if self.bayeux is None:
            await self.start()
        return await self._net.open(self.port)

    async def client(self, wire, *channels):
        """Return the id of a session that is past its first connect, and subscribed."""
        client = (await wire.ask(post(HANDSHAKE))).message["clientId"]
        await wire.ask(post(connect(client), *[subscribe(client, channel) for channel in channels]))
        return client

    async def held(self, count=1):
        """Wait until so many connects have been held."""
        await condition(lambda: self.hub.metrics.held == count)


@pytest_twisted.async_yield_fixture(params=[in_site, under_klein, in_bayeux_site],
                                    ids=lambda door: door.__name__)
async def server(net, request):
    server = Server(net, request.param)
    yield server
    if server.bayeux is not None:
        await server.bayeux.stopService()


# -- where it answers -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", [
    "/bayeux", "/bayeux/", "/bayeux/handshake", "/bayeux/connect", "/bayeux/a/b", "/bayeux?x", "/bayeux/?x",
])
@pytest_twisted.ensureDeferred
async def test_it_answers_at_its_path_and_everywhere_below(server, path):
    """L-1: CometD posts to all of these."""
    wire = await server.wire()
    assert (await wire.ask(post(HANDSHAKE, path=path))).message["successful"] is True


@pytest.mark.parametrize("path", ["/bayeu", "/bayeuxx", "/other/bayeux"])
@pytest_twisted.ensureDeferred
async def test_it_answers_nowhere_else(server, path):
    """L-1."""
    wire = await server.wire()
    assert (await wire.ask(post(HANDSHAKE, path=path))).status == 404


# -- the script for browsers ----------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_the_client_for_browsers_is_below_it(server):
    wire = await server.wire()
    response = await wire.ask(post(method="GET", path="/bayeux/client.js", body=b""))
    assert response.status == 200
    assert response.header("content-type") == "text/javascript; charset=utf-8"
    assert response.header("x-content-type-options") == "nosniff"
    assert response.header("access-control-allow-origin") == "*"
    assert b"export" in response.body


@pytest_twisted.ensureDeferred
async def test_who_has_the_script_is_told_that_it_has_not_changed(server):
    wire = await server.wire()
    request = {"method": "GET", "path": "/bayeux/client.js", "body": b"", "length": False}
    etag = (await wire.ask(post(**request))).header("etag")
    again = await wire.ask(post(**request, if_none_match=etag))
    assert (again.status, again.header("etag")) == (304, etag)
    assert (await wire.ask(post(**request, if_none_match='"other"'))).status == 200


@pytest_twisted.ensureDeferred
async def test_the_head_of_the_script(server):
    wire = await server.wire()
    wire.send(post(method="HEAD", path="/bayeux/client.js", body=b"", length=False))
    head = await wire.response(head=True)
    whole = await wire.ask(post(method="GET", path="/bayeux/client.js", body=b"", length=False))
    assert head.status == 200
    assert head.header("etag") == whole.header("etag")
    assert head.header("content-length") == str(len(whole.body))


# -- responses ------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_response_has_its_headers_each_once(server):
    """L-5, L-6, L-11."""
    wire = await server.wire()
    response = await wire.ask(post(HANDSHAKE))
    response.headers.pop("server", None)  # twisted.web's
    del response.headers["date"], response.headers["set-cookie"]
    assert response.headers == {
        "content-type": ["application/json;charset=UTF-8"], "content-length": [str(len(response.body))],
        "cache-control": ["no-cache, no-store"], "pragma": ["no-cache"], "expires": ["0"],
        "x-content-type-options": ["nosniff"], "x-accel-buffering": ["no"],
    }


@pytest_twisted.ensureDeferred
async def test_the_cookie_is_set_once_and_then_known(server):
    """B-1, B-2: also where a browser sends its cookies in two headers."""
    wire = await server.wire()
    cookie = (await wire.ask(post(HANDSHAKE))).header("set-cookie").partition(";")[0]
    again = await wire.ask(post(HANDSHAKE, Cookie="a=b", cookie=cookie))
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
@pytest_twisted.ensureDeferred
async def test_other_methods_are_refused(server, method):
    """L-2: and the connection goes on."""
    wire = await server.wire()
    response = await wire.ask(post(HANDSHAKE, method=method))
    assert (response.status, response.header("allow")) == (405, "POST, GET, OPTIONS")
    assert response.header("content-type") == "text/plain; charset=utf-8"
    assert len(server.hub.sessions) == 0
    assert (await wire.ask(post(HANDSHAKE))).status == 200


@pytest_twisted.ensureDeferred
async def test_head_is_refused_without_a_body(server):
    """L-2: it processes no messages."""
    wire = await server.wire()
    wire.send(get(HANDSHAKE).replace(b"GET", b"HEAD", 1))
    assert (await wire.response(head=True)).status == 405
    assert len(server.hub.sessions) == 0
    assert (await wire.ask(post(HANDSHAKE))).status == 200


@pytest_twisted.ensureDeferred
async def test_a_preflight_is_answered_without_a_body(server):
    """O-2; RFC 9110 section 8.6: nor with the length of one."""
    await server.start(allowed_origins=("https://www.example.com",))
    wire = await server.wire()
    response = await wire.ask(post(method="OPTIONS", body=b"", origin="https://www.example.com",
                                   access_control_request_method="POST"))
    assert response.status == 204
    assert response.header("access-control-allow-origin") == "https://www.example.com"
    assert "content-length" not in response.headers
    assert (await wire.ask(post(HANDSHAKE))).status == 200


@pytest_twisted.ensureDeferred
async def test_the_own_origin_is_that_of_the_host_header(server):
    """O-1."""
    wire = await server.wire()
    own = f"127.0.0.1:{server.port}"
    assert (await wire.ask(post(HANDSHAKE, host=own, origin=f"http://{own}"))).status == 200
    assert (await wire.ask(post(HANDSHAKE, host=own, origin=f"https://{own}"))).status == 403
    assert (await wire.ask(post(HANDSHAKE, host=own, origin="http://127.0.0.1"))).status == 403


@pytest_twisted.ensureDeferred
async def test_two_origins_are_no_allowed_one(server):
    """O-1."""
    wire = await server.wire()
    response = await wire.ask(post(HANDSHAKE, Origin="http://127.0.0.1", origin="http://evil.example"))
    assert response.status == 403


@pytest_twisted.ensureDeferred
async def test_a_policy_is_told_of_the_peer(server):
    seen = []

    class Curious(Policy):
        def can_handshake(self, message, link):
            seen.append((link.address, link.header("x-tenant"), link.header("x-other")))
            return True

    await server.start(Curious())
    wire = await server.wire()
    await wire.ask(post(HANDSHAKE, x_tenant="blue"))
    assert seen == [("127.0.0.1", "blue", "")]


# -- request bodies -------------------------------------------------------------------------------


def chunked(body, size):
    pieces = [body[start:start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest_twisted.ensureDeferred
async def test_a_chunked_body_is_read(server, size):
    """G-1, L-3."""
    wire = await server.wire()
    body = chunked(json.dumps([HANDSHAKE]).encode(), size)
    response = await wire.ask(post(body=body, length=False, transfer_encoding="chunked"))
    assert response.message["successful"] is True
    assert (await wire.ask(post(HANDSHAKE))).status == 200


@pytest_twisted.ensureDeferred
async def test_a_form_is_read(server):
    """L-3: although an ordinary site reads forms itself as well."""
    wire = await server.wire()
    body = b"message=" + quote(json.dumps(HANDSHAKE)).encode()
    response = await wire.ask(post(body=body, content_type="application/x-www-form-urlencoded"))
    assert response.message["successful"] is True


@pytest_twisted.ensureDeferred
async def test_a_compressed_body_is_not_decoded(server):
    """L-3, G-1: what is compressed cannot be bounded by its size."""
    wire = await server.wire()
    body = gzip.compress(json.dumps([HANDSHAKE]).encode())
    assert (await wire.ask(post(body=body, content_encoding="gzip"))).status == 400
    assert len(server.hub.sessions) == 0


@pytest_twisted.ensureDeferred
async def test_a_response_is_not_compressed(server):
    """L-8."""
    wire = await server.wire()
    response = await wire.ask(post(HANDSHAKE, accept_encoding="gzip, br"))
    assert "content-encoding" not in response.headers
    assert response.message["successful"] is True


@pytest_twisted.ensureDeferred
async def test_large_bodies_go_both_ways(server):
    """G-1, G-2: just within the limits; twisted.web keeps such a body in a file."""
    wire = await server.wire()
    client = await server.client(wire, "/news")
    data = "x" * 65_000
    response = await wire.ask(post(*[publish(client, data) for _ in range(15)]))
    assert [message["data"] for message in response.messages if "data" in message] == [data] * 15


@pytest_twisted.ensureDeferred
async def test_a_client_that_asks_before_it_sends_its_body_is_told_to(server):
    """L-5: curl does so with large bodies."""
    wire = await server.wire()
    request = post(HANDSHAKE, expect="100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    assert (await wire.ask(head, b"\r\n\r\n")).status == 100
    assert (await wire.ask(body)).message["successful"] is True


# -- connections ----------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_connection_is_kept(server):
    """L-9."""
    wire = await server.wire()
    for _ in range(5):
        assert (await wire.ask(post(HANDSHAKE))).status == 200


@pytest.mark.parametrize("headers", [{"version": "1.0"}, {"connection": "close"}])
@pytest_twisted.ensureDeferred
async def test_a_connection_is_closed_for_who_wants_that(server, headers):
    """L-9: with a Content-Length nevertheless."""
    wire = await server.wire()
    response = await wire.ask(post(HANDSHAKE, **headers))
    assert response.message["successful"] is True
    assert await wire.end() == b""


@pytest_twisted.ensureDeferred
async def test_a_connect_by_http_1_0_is_held(server):
    """L-9, K-7."""
    wire = await server.wire()
    client = await server.client(wire, "/news")
    wire.send(post(connect(client), version="1.0"))
    await server.held()
    server.hub.publish("/news", 1)
    assert (await wire.response()).messages[0]["data"] == 1
    assert await wire.end() == b""


@pytest_twisted.ensureDeferred
async def test_two_pipelined_requests_are_both_answered_in_their_order(server):
    """K-16, L-9."""
    wire = await server.wire()
    client = await server.client(wire)
    wire.send(*[post(publish(client, id=str(number))) for number in range(10)])
    assert [(await wire.response()).message["id"] for _ in range(10)] == [str(number) for number in range(10)]


@pytest_twisted.ensureDeferred
async def test_requests_may_come_in_any_pieces(server):
    """M-12: a byte at a time."""
    wire = await server.wire()
    client = await server.client(wire)
    wire.transport.setTcpNoDelay(True)
    for byte in post(publish(client, id="1")) + get(publish(client, id="2")):
        wire.send(bytes([byte]))
        await deferLater(reactor, 0)
    assert (await wire.response()).message["id"] == "1"
    assert b'"id":"2"' in (await wire.response()).body


# -- held connects --------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_held_connect_is_answered_with_the_event(server):
    """K-7a, L-12: published over another connection meanwhile."""
    one, two = await server.wire(), await server.wire()
    client = await server.client(one, "/news")
    one.send(post(connect(client, id="7")))
    await server.held()
    await two.ask(post(publish(await server.client(two), {"a": 1})))
    event, reply = (await one.response()).messages
    assert event == {"channel": "/news", "data": {"a": 1}}
    assert (reply["id"], reply["successful"]) == ("7", True)


@pytest_twisted.ensureDeferred
async def test_a_connect_held_over_callback_polling_is_answered_by_a_script(server):
    """J-4."""
    wire = await server.wire()
    client = await server.client(wire, "/news")
    wire.send(get(connect(client)))
    await server.held()
    server.hub.publish("/news", 1)
    response = await wire.response()
    assert response.body.startswith(b'/**/cb([{"channel":"/news","data":1},')
    assert response.header("content-disposition") == "attachment; filename=f.txt"


@pytest_twisted.ensureDeferred
async def test_a_held_connect_is_answered_when_its_time_is_up(server):
    """K-11."""
    wire = await server.wire()
    client = await server.client(wire)
    response = await wire.ask(post(connect(client, advice={"timeout": 20})))
    assert response.message["successful"] is True
    assert server.hub.metrics.held == 1


@pytest_twisted.ensureDeferred
async def test_a_superseded_connect_gets_409_and_its_connection_stays_of_use(server):
    """K-12."""
    one, two = await server.wire(), await server.wire()
    client = await server.client(one)
    one.send(post(connect(client)))
    await server.held()
    two.send(post(connect(client)))
    old = await one.response()
    assert (old.status, old.body, old.header("content-length")) == (409, b"", "0")
    assert (await one.ask(post(publish(client)))).status == 200


@pytest_twisted.ensureDeferred
async def test_a_connection_lost_while_a_connect_is_held_loses_no_event(server):
    """N-1, D-13."""
    one, two = await server.wire(), await server.wire()
    client = await server.client(one, "/news")
    one.send(post(connect(client)))
    await server.held()
    one.transport.loseConnection()
    await condition(lambda: server.hub.metrics.carriers_lost == 1)
    server.hub.publish("/news", 1)
    assert (await two.ask(post(connect(client)))).messages[0]["data"] == 1


@pytest_twisted.ensureDeferred
async def test_a_connection_lost_while_an_application_thinks_harms_nobody(server):
    """N-1, G-34."""
    answer = Deferred()
    one, two = await server.wire(), await server.wire()
    client = await server.client(one)
    server.hub.service("/service/slow", lambda session, data: answer)
    one.send(post(publish(client, channel="/service/slow")))
    await condition(lambda: server.hub.metrics.messages == 3)
    before = len(connections())
    one.transport.loseConnection()
    await condition(lambda: len(connections()) == before - 2)
    answer.callback("done")
    assert (await two.ask(post(connect(client)))).messages[0]["data"] == "done"


# -- bytes behind a held connect: K-16 ------------------------------------------------------------


@pytest.mark.parametrize("held", [post, get], ids=["long-polling", "callback-polling"])
@pytest_twisted.ensureDeferred
async def test_bytes_of_a_next_request_release_a_held_connect(server, held):
    """K-16."""
    wire = await server.wire()
    client = await server.client(wire)
    wire.send(held(connect(client, id="1")))
    await server.held()
    wire.send(post(publish(client, id="2")))
    assert b'"id":"1"' in (await wire.response()).body
    assert (await wire.response()).message["id"] == "2"


@pytest.mark.parametrize("held", [post, get], ids=["long-polling", "callback-polling"])
@pytest_twisted.ensureDeferred
async def test_bytes_that_came_together_with_a_connect_release_it(server, held):
    """K-16: in one segment."""
    wire = await server.wire()
    client = await server.client(wire)
    wire.send(held(connect(client, id="1")), post(publish(client, id="2")))
    assert b'"id":"1"' in (await wire.response()).body
    assert (await wire.response()).message["id"] == "2"


@pytest_twisted.ensureDeferred
async def test_a_single_byte_is_enough(server):
    """K-16: the rest of the next request may take its time."""
    wire = await server.wire()
    client = await server.client(wire)
    wire.send(post(connect(client)))
    await server.held()
    request = post(publish(client))
    wire.send(request[:1])
    assert (await wire.response()).message["channel"] == "/meta/connect"
    wire.send(request[1:])
    assert (await wire.response()).message["channel"] == "/news"


@pytest_twisted.ensureDeferred
async def test_connects_that_are_pipelined_follow_one_another(server):
    """K-16, K-12e: each makes way for the next; the last one is held."""
    wire = await server.wire()
    client = await server.client(wire, "/news")
    wire.send(*[post(connect(client, id=str(number))) for number in range(4)])
    for number in range(3):
        assert (await wire.response()).message["id"] == str(number)
    await server.held(4)
    server.hub.publish("/news", 1)
    assert (await wire.response()).messages[1]["id"] == "3"


@pytest_twisted.ensureDeferred
async def test_a_later_connect_on_the_connection_makes_way_too(server):
    """K-16: after one that was released by an event."""
    wire = await server.wire()
    client = await server.client(wire, "/news")
    for number in range(2):
        wire.send(post(connect(client)))
        await server.held(2 * number + 1)
        server.hub.publish("/news", number)
        assert (await wire.response()).messages[0]["data"] == number
        wire.send(post(connect(client)))
        await server.held(2 * number + 2)
        wire.send(post(publish(client, channel="/other")))
        assert (await wire.response()).message["channel"] == "/meta/connect"
        assert (await wire.response()).message["channel"] == "/other"


@pytest_twisted.ensureDeferred
async def test_much_behind_a_held_connect_is_read_in_its_order(server):
    """K-16, N-12: more than twisted.web buffers behind a request."""
    wire = await server.wire()
    client = await server.client(wire)
    wire.send(post(connect(client)))
    await server.held()
    wire.send(*[post(publish(client, "x" * 30_000, id=str(number))) for number in range(5)])
    assert (await wire.response()).message["channel"] == "/meta/connect"
    assert [(await wire.response()).message["id"] for _ in range(5)] == [str(number) for number in range(5)]


@pytest_twisted.ensureDeferred
async def test_bytes_behind_what_an_application_thinks_about_wait(server):
    """K-16: there is no way to be made."""
    answer = Deferred()
    wire = await server.wire()
    client = await server.client(wire)
    server.hub.service("/service/slow", lambda session, data: answer)
    wire.send(post(publish(client, channel="/service/slow", id="1")), post(publish(client, id="2")))
    await condition(lambda: server.hub.metrics.messages == 3)
    answer.callback(None)
    assert [(await wire.response()).message["id"] for _ in range(2)] == ["1", "2"]


# -- the end --------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_stop_answers_the_held_connect_and_closes_its_connection(server):
    """Q-10."""
    wire = await server.wire()
    client = await server.client(wire)
    wire.send(post(connect(client)))
    await server.held()
    server.hub.close()
    response = await wire.response()
    assert response.message["error"] == "503::Server too busy"
    assert response.header("connection") == "close"
    assert await wire.end() == b""


@pytest_twisted.ensureDeferred
async def test_nothing_is_processed_after_a_response_that_closes_the_connection(server):
    """Q-10, RFC 9112 section 9.6: what was pipelined behind it is sent again by its client."""
    answer = Deferred()
    wire = await server.wire()
    client = await server.client(wire)
    server.hub.service("/service/slow", lambda session, data: answer)
    wire.send(post(publish(client, channel="/service/slow")), post(HANDSHAKE))
    await condition(lambda: server.hub.metrics.messages == 3)
    server.hub.close()
    answer.callback(None)
    assert (await wire.response()).header("connection") == "close"
    assert await wire.end() == b""
    assert server.hub.metrics.messages == 3
