"""One address for all transports: which of them a request goes to, and what the access log says of it."""

import json

import pytest
import pytest_twisted
from klein import Klein
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.web.server import Site

from bayeux import BayeuxService, Hub, Settings
from bayeux.transports import HTTPReply, HTTPRequest, RequestHeaders, Takeover
from bayeux.transports.endpoint import Endpoint
from bayeux.transports.eventsource import EventSource
from bayeux.transports.websocket import WebSocket
from tests.fakenet import (
    HANDSHAKE,
    HTTP,
    KEY,
    EventSourceClient,
    Net,
    WebSocketClient,
    close,
    connect,
    in_bayeux_site,
    listen,
    post,
    subscribe,
    upgrade,
)
from tests.test_resource import Net as RealNet
from tests.test_streams import Frames

UPGRADE = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-key": KEY,
           "sec-websocket-version": "13"}
LISTEN = {"accept": "text/event-stream"}


class Door:
    """An endpoint, and a session on it."""

    def __init__(self, **settings):
        self.hub = Hub(Clock(), Settings(**settings))
        self.endpoint = Endpoint(self.hub)
        handshake = self.ask("POST", body=json.dumps(HANDSHAKE).encode(), **{"content-type": "text/json"})
        self.client = json.loads(handshake.body)[0]["clientId"]
        self.cookie = handshake.cookies[0].decode().partition(";")[0]

    def ask(self, method, target="/bayeux", body=b"", **headers):
        headers = {"host": "example.org", **headers}
        return self.endpoint.answer(HTTPRequest(
            method.encode(), target.encode(), RequestHeaders(headers.items()), body))


@pytest.mark.parametrize(("method", "headers", "kind"), [
    ("GET", UPGRADE, WebSocket),
    ("GET", {**UPGRADE, "upgrade": "WEBSOCKET"}, WebSocket),
    ("GET", {**UPGRADE, **LISTEN}, WebSocket),
    ("GET", LISTEN, EventSource),
    ("GET", {"accept": "*/*"}, HTTPReply),
    ("GET", {"upgrade": "h2c"}, HTTPReply),
    ("POST", UPGRADE, HTTPReply),
    ("POST", LISTEN, HTTPReply),
    ("OPTIONS", LISTEN, HTTPReply),
    ("HEAD", LISTEN, HTTPReply),
])
def test_a_request_goes_to_the_transport_that_it_asks_for(method, headers, kind):
    """L-2, W-1, F-2."""
    door = Door()
    answer = door.ask(method, f"/bayeux/{door.client}", cookie=door.cookie, **headers)
    assert type(answer.protocol if isinstance(answer, Takeover) else answer) is kind


@pytest.mark.parametrize(("enabled", "headers"), [
    (("eventsource", "long-polling"), UPGRADE), (("websocket", "long-polling"), LISTEN)])
def test_what_is_disabled_is_an_ordinary_request(enabled, headers):
    """W-1, F-2."""
    door = Door(connection_types=enabled)
    answer = door.ask("GET", f"/bayeux/{door.client}", cookie=door.cookie, **headers)
    assert answer.status == 405


@pytest.mark.parametrize("headers", [UPGRADE, LISTEN])
def test_nothing_is_open_until_the_connection_is_taken_over(headers):
    """W-1: the answer alone makes no stream, and binds no session."""
    door = Door()
    door.ask("GET", f"/bayeux/{door.client}", cookie=door.cookie, **headers)
    assert len(door.endpoint.streams) == 0
    assert door.hub.sessions.get(door.client).stream is None


@pytest.mark.parametrize(("headers", "status"), [
    ({**UPGRADE, "origin": "http://evil.example"}, 403), ({**LISTEN, "origin": "http://evil.example"}, 403),
    ({**UPGRADE, "sec-websocket-version": "7"}, 426), ({**UPGRADE, "sec-websocket-key": "x"}, 400),
    ({**LISTEN, "cookie": "BAYEUX_BROWSER=another0123456789"}, 404),
])
def test_refusals_are_counted_and_constant(headers, status):
    """Q-11, G-23."""
    door = Door()
    answer = door.ask("GET", f"/bayeux/{door.client}", **{"cookie": door.cookie, **headers})
    assert answer.status == status
    assert door.hub.metrics.refused == {status: 1}
    assert door.client.encode() not in answer.body
    assert (b"Content-Type", b"text/plain; charset=utf-8") in answer.headers


@pytest.mark.parametrize(("headers", "status"), [
    ({**UPGRADE, "sec-websocket-version": "7"}, 426), ({**UPGRADE, "sec-websocket-key": "x"}, 400),
    ({**LISTEN, "cookie": "BAYEUX_BROWSER=another0123456789"}, 404)])
def test_a_refusal_may_be_read_by_an_allowed_page(headers, status):
    """O-3."""
    door = Door(allowed_origins=("https://www.example.com",))
    answer = door.ask("GET", f"/bayeux/{door.client}", origin="https://www.example.com", **headers)
    assert answer.status == status
    assert dict(answer.headers)[b"Access-Control-Allow-Origin"] == b"https://www.example.com"


def test_where_a_connection_cannot_be_taken_over_the_client_is_told():
    """W-1: as by HTTP/2."""
    reply = Door().endpoint.refuse_takeover()
    assert reply.status == 426
    assert dict(reply.headers)[b"Upgrade"] == b"websocket"


# -- the access log of BayeuxSite: F-9, G-33 ------------------------------------------------------


@pytest.fixture
def logged(tmp_path):
    """A server with an access log, and what that says."""
    path = tmp_path / "access.log"
    net = Net(in_bayeux_site, access_log=str(path))
    net.site.startFactory()
    net.lines = lambda: path.read_text().splitlines()
    yield net
    net.stop()
    net.site.stopFactory()


def test_an_upgrade_has_a_line_in_the_access_log(logged):
    """At once, and not when the socket ends; without its query."""
    wire = logged.open()
    wire.send(upgrade(user_agent="tester").replace(b"/bayeux ", b"/bayeux?token=secret "))
    (line,) = logged.lines()
    assert '"GET /bayeux HTTP/1.1" 101 - ' in line
    assert line.startswith('"192.0.2.7" - - ')
    assert line.endswith('"tester"')


def test_a_stream_has_a_line_without_its_client(logged):
    """F-9, G-33: whoever reads the log must not be able to use the session."""
    http = HTTP(logged)
    response = http.ask(post(HANDSHAKE))
    client = response.messages[0]["clientId"]
    cookie = response.headers["set-cookie"].partition(";")[0]
    EventSourceClient(logged, client, cookie=cookie)
    line = logged.lines()[-1]
    assert '"GET /bayeux/- HTTP/1.1" 200 - ' in line
    assert client not in line


@pytest.mark.parametrize("headers", [
    {"cookie": "BAYEUX_BROWSER=another0123456789"}, {"origin": "http://evil.example"},
    {"Upgrade": "websocket"}])
def test_a_stream_that_is_refused_has_a_line_without_its_client(logged, headers):
    """F-9: as its session may well be alive."""
    client = HTTP(logged).ask(post(HANDSHAKE)).messages[0]["clientId"]
    HTTP(logged).ask(listen(client, **headers))
    assert "GET /bayeux/- HTTP/1.1" in logged.lines()[-1]
    assert client not in "".join(logged.lines())


def test_a_stream_that_names_nobody_is_logged_as_it_came(logged):
    """F-9."""
    HTTP(logged).ask(listen("").replace(b"/bayeux/ ", b"/bayeux "))
    assert "GET /bayeux HTTP/1.1" in logged.lines()[-1]


def test_other_requests_are_logged_as_they_came(logged):
    """L-1."""
    HTTP(logged).ask(post(HANDSHAKE).replace(b"/bayeux ", b"/bayeux/handshake "))
    assert '"POST /bayeux/handshake HTTP/1.1" 200 ' in logged.lines()[-1]


# -- under klein, by real sockets -----------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_sockets_and_streams_work_under_klein():
    """W-1, F-2: from a route that returns the resource."""
    bayeux, app, net = BayeuxService(), Klein(), RealNet()

    @app.route("/bayeux", branch=True, strict_slashes=False)
    def endpoint(request):
        return bayeux.resource

    bayeux.startService()
    try:
        port = await net.listen(Site(app.resource()))
        socket, stream = Frames(await net.open(port)), await net.open(port)
        await socket.open()
        (reply,) = await socket.ask(HANDSHAKE)
        await socket.ask(connect(reply["clientId"]), subscribe(reply["clientId"]))
        bayeux.hub.publish("/news", 1)
        assert (await socket.frame())[1] == b'[{"channel":"/news","data":1}]'
        stream.send(listen(reply["clientId"]))
        await stream.until(lambda: stream.data.endswith(b"retry: 5000\r\n\r\n"))
        bayeux.hub.publish("/news", 2)
        await stream.until(lambda: stream.data.endswith(b'data: [{"channel":"/news","data":2}]\r\n\r\n'))
        socket.wire.send(close(1000))
        stopped = bayeux.stopService()
        await stream.end()
        await stopped
    finally:
        await net.close()
    assert not [call for call in reactor.getDelayedCalls() if "bayeux" in str(call)]


def test_two_endpoints_share_a_hub():
    """L-1: a session may move from one mount to the other."""
    net = Net()
    socket = WebSocketClient(net)
    client = socket.ask(HANDSHAKE)[0]["clientId"]
    other = Endpoint(net.hub)
    assert other.streams is not net.streams
    assert len(other.streams) == 0
    assert len(net.streams) == 1
    assert net.session(client).stream is not None
