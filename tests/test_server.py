"""What ``twistd bayeux`` runs, in this process: it listens by itself, and stops in good order."""

import io
import re
import resource
import socket
import tempfile

import pytest
import pytest_twisted
from twisted.application.service import Application, MultiService
from twisted.internet import reactor, tcp
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    SSL4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    connectProtocol,
)
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogPublisher

from bayeux import Access, Policy, Settings, SettingsError
from bayeux.logs import Lines
from bayeux.server import BayeuxServer, CannotListen
from tests.certificate import write_certificate
from tests.test_resource import (
    HANDSHAKE,
    Net,
    Wire,
    condition,
    connect,
    connections,
    get,
    post,
    publish,
    subscribe,
)

ANY = "tcp:0:interface=127.0.0.1"
PATIENT = 60.0
"""Seconds for a stop that is to be over when all is done, and not when its time is up."""


@pytest_twisted.async_yield_fixture
async def net():
    net = Net()
    yield net
    await net.close()


@pytest.fixture
def log():
    """Return the lines that servers log."""
    lines = []

    def observe(event):
        if event.get("log_namespace", "").startswith("bayeux."):
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


@pytest_twisted.async_yield_fixture
async def start(log):
    """Return what makes and starts a server; it is stopped after the test."""
    servers = []

    def start(policy=None, demo=False, **settings):
        settings = {"listen": (ANY,), "shutdown_timeout": PATIENT, **settings}
        server = BayeuxServer(Settings(**settings), policy, demo)
        servers.append(server)
        server.startService()
        return server

    yield start
    for server in servers:
        if server.running:
            await server.stopService()


@pytest.fixture
def ports(log):
    """Return what says on which ports the servers listen, by what they have logged."""
    return lambda: [int(found[1]) for line in log if (found := re.search(r":(\d+) at ", line))]


@pytest.fixture
def open_wire(net, ports):
    return lambda: net.open(ports()[-1])


async def client_of(wire):
    """Return the id of a session that is past its first connect."""
    client = (await wire.ask(post(HANDSHAKE))).message["clientId"]
    await wire.ask(post(connect(client), subscribe(client)))
    return client


async def turns():
    """Let the reactor do all that it can do without anything more coming."""
    for _ in range(20):
        await deferLater(reactor, 0)


def url(path):
    return post(method="GET", path=path, body=b"", length=False, content_type=None)


# -- listening ------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_it_answers_where_it_listens(start, open_wire):
    start()
    assert (await (await open_wire()).ask(post(HANDSHAKE))).message["successful"] is True


@pytest_twisted.ensureDeferred
async def test_one_line_says_where_it_listens(start, log):
    start(mounts=("/bayeux", "/faye"))
    (line,) = log
    assert re.fullmatch(r"Bayeux is served on http://127\.0\.0\.1:\d+ at /bayeux /faye", line)


@pytest_twisted.ensureDeferred
async def test_it_listens_on_every_endpoint(start, net, ports):
    server = start(listen=(ANY, ANY + ":backlog=99"))
    assert len(set(ports())) == 2
    one, two = [await net.open(port) for port in ports()]
    one.send(post(connect(await client_of(one))))
    await condition(lambda: server.hub.metrics.held == 1)
    await two.ask(post(publish(await client_of(two), 1)))
    assert (await one.response()).messages[0]["data"] == 1


@pytest_twisted.ensureDeferred
async def test_it_listens_on_a_unix_socket(start, log):
    """And a client that has no address is a client as any."""
    seen = []

    class Curious(Policy):
        def can_handshake(self, message, link):
            seen.append(link.address)
            return True

    with tempfile.TemporaryDirectory() as folder:  # pytest's own may be too long a path for a socket
        path = f"{folder}/socket"
        server = start(Curious(), listen=(f"unix:{path}",))
        assert log == [f"Bayeux is served on unix:{path} at /bayeux"]
        wire = await connectProtocol(UNIXClientEndpoint(reactor, path), Wire())
        client = await client_of(wire)
        wire.send(post(connect(client)))
        await condition(lambda: server.hub.metrics.held == 1)
        server.hub.publish("/news", 1)
        assert (await wire.response()).messages[0]["data"] == 1
        assert seen == [""]
        await server.stopService()
        await wire.end()


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
@pytest_twisted.ensureDeferred
async def test_it_listens_on_ipv6(start, ports, log):
    start(listen=(r"tcp6:0:interface=\:\:1",))
    assert re.match(r"Bayeux is served on http://\[::1\]:\d+ at ", log[0])
    wire = await connectProtocol(TCP6ClientEndpoint(reactor, "::1", ports()[0]), Wire())
    own = f"[::1]:{ports()[0]}"
    assert (await wire.ask(post(HANDSHAKE, host=own, origin=f"http://{own}"))).status == 200
    wire.transport.loseConnection()
    await wire.end()


@pytest.fixture
def certificate(tmp_path):
    """Return files with a new certificate for this test alone, and its key."""
    return write_certificate(tmp_path)


@pytest_twisted.ensureDeferred
async def test_it_serves_by_tls(start, ports, log, certificate):
    """B-1: its cookie is secure then; K-16, Q-10: all else is as without."""
    from twisted.internet.ssl import CertificateOptions

    cert, key = certificate
    server = start(listen=(f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={cert}",))
    assert log[0].startswith("Bayeux is served on https://127.0.0.1:")
    wire = await connectProtocol(
        SSL4ClientEndpoint(reactor, "127.0.0.1", ports()[0], CertificateOptions(verify=False)), Wire())
    own = f"127.0.0.1:{ports()[0]}"
    response = await wire.ask(post(HANDSHAKE, host=own, origin=f"https://{own}"))
    assert response.header("set-cookie").endswith("; Secure")
    client = response.message["clientId"]
    await wire.ask(post(connect(client)))
    wire.send(post(connect(client, id="1")))
    await condition(lambda: server.hub.metrics.held == 1)
    wire.send(get(publish(client, id="2")))
    assert (await wire.response()).message["id"] == "1"
    assert b'"id":"2"' in (await wire.response()).body
    wire.send(post(connect(client)))
    await condition(lambda: server.hub.metrics.held == 2)
    stopped = server.stopService()
    assert (await wire.response()).message["error"] == "503::Server too busy"
    assert await wire.end() == b""
    await stopped


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp:x", "", "tcp", "ssl:0:privateKey=/nonexistent"])
def test_an_endpoint_that_is_none_is_a_wrong_setting(endpoint):
    """In one line, which names it."""
    with pytest.raises(SettingsError) as caught:
        BayeuxServer(Settings(listen=(ANY, endpoint)))
    assert str(caught.value).startswith(f"listen: {endpoint!r} is no endpoint such as tcp:8080")
    assert "\n" not in str(caught.value)


@pytest_twisted.ensureDeferred
async def test_where_it_cannot_listen_it_says_so_in_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        server = BayeuxServer(Settings(listen=(ANY, endpoint)))
        with pytest.raises(CannotListen) as caught:
            server.startService()
    assert str(caught.value).endswith(f"cannot listen on {endpoint}: Address already in use")
    assert "\n" not in str(caught.value)
    await server.stopService()  # and what it did listen on is free again: the leak gate looks


@pytest_twisted.ensureDeferred
async def test_privileged_ports_are_taken_before_it_starts(net, ports, start):
    """Once, although it is told twice."""
    application = MultiService()
    server = BayeuxServer(Settings(listen=(ANY,)))
    server.setServiceParent(application)
    application.privilegedStartService()
    assert len(ports()) == 1
    application.startService()
    assert len(ports()) == 1
    assert (await (await net.open(ports()[0])).ask(post(HANDSHAKE))).status == 200
    await application.stopService()


@pytest.fixture
def few_files():
    """Let the soft limit of open files be lower than the hard one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] // 2, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_it_raises_the_limit_of_open_files(few_files, start):
    start()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (few_files, few_files)


@pytest_twisted.ensureDeferred
async def test_it_measures_how_late_it_is(start):
    """And stops to: a call that is left would be noticed by every test."""
    server = start()
    await condition(lambda: server.hub.metrics.lag.count)
    assert server.hub.metrics.longest_lag < 60


# -- what an operator tells it --------------------------------------------------------------------


class Source:
    """Settings that change; complaints are told to be of this source."""

    def __init__(self, **settings):
        self.settings = settings

    def read(self):
        return Settings(listen=(ANY,), **self.settings)

    def located(self, error):
        return SettingsError(f"here: {error}")


@pytest_twisted.async_yield_fixture
async def told(log):
    """Return a server whose settings may change."""
    server = BayeuxServer(Settings(listen=(ANY,)), source=Source(), lines=Lines(io.StringIO(), "json"))
    server.startService()
    yield server
    if server.running:
        await server.stopService()


def test_a_hangup_reloads_what_its_source_says_now(told, log):
    told._source.settings = {"log_level": "error", "timeout": 7.0,
                             "channel": ({"pattern": "/a", "publish": "nobody"},)}
    told._reload()
    assert log[-2:] == ["reloaded; keys: 0, rules for channels: 1",
                        "timeout has changed; that needs a restart"]
    assert isinstance(told.hub.policy, Access)
    told._lines({"log_level": LogLevel.warn, "log_format": "x", "log_time": 0.0})
    assert told._lines._output.getvalue() == ""


@pytest.mark.parametrize(("settings", "complaint"), [
    ({"timeout": -1}, "timeout = -1: Expected `float` >= 0.0"),
    ({"key": ({"id": "a", "secret_file": "/nonexistent"},)},
     "here: [[key]] 1: 'a': /nonexistent: No such file or directory"),
])
def test_what_its_source_says_wrongly_changes_nothing(told, log, settings, complaint):
    told._source.settings = settings
    told._reload()
    assert log[-1] == f"the old settings are kept: {complaint}"
    assert told.hub.metrics.failed_reloads == 1


def test_without_a_source_a_reload_is_none(start, log):
    server = start()
    server._reload()
    assert len(log) == 1


@pytest_twisted.ensureDeferred
async def test_told_to_stop_it_stops_the_reactor_and_then_hurries(start, open_wire, monkeypatch):
    server, stops = start(drain_delay=60.0), []
    monkeypatch.setattr(reactor, "stop", lambda: stops.append(server.stopService()))
    server._terminate()
    assert server.draining is True
    assert (await (await open_wire()).ask(post(HANDSHAKE))).message["successful"] is True
    server._terminate()
    await stops[0]
    assert len(stops) == 1
    assert not server.running


def test_an_application_of_twistds_is_told_where_to_log():
    lines = Lines(io.StringIO())
    application = Application("bayeux")
    BayeuxServer(Settings(listen=(ANY,)), lines=lines).setServiceParent(application)
    assert application.getComponent(ILogObserver) is lines
    other = Application("bayeux")
    BayeuxServer(Settings(listen=(ANY,))).setServiceParent(other)
    assert other.getComponent(ILogObserver, None) is None
    server = BayeuxServer(Settings(listen=(ANY,)), lines=lines)
    server.setServiceParent(MultiService())
    assert server.parent is not None


# -- what it serves -------------------------------------------------------------------------------


@pytest.mark.parametrize("mounts", [
    ("/bayeux",), ("/cometd", "/faye"), ("/a/b/c",), ("/a/b", "/a/c", "/b"),
])
@pytest_twisted.ensureDeferred
async def test_it_answers_under_every_mount(start, open_wire, mounts):
    """L-1: with the same sessions under all of them."""
    start(mounts=mounts)
    wire = await open_wire()
    client = (await wire.ask(post(HANDSHAKE, path=mounts[0]))).message["clientId"]
    for mount in mounts:
        for path in (mount, f"{mount}/", f"{mount}/connect"):
            reply = (await wire.ask(post(connect(client, advice={"timeout": 0}), path=path))).message
            assert reply["successful"] is True
        assert (await wire.ask(url(f"{mount}/client.js"))).status == 200


@pytest.mark.parametrize("mounts", [("/a", "/a/b"), ("/a/b", "/a")])
@pytest_twisted.ensureDeferred
async def test_a_mount_may_be_below_another(start, open_wire, mounts):
    """L-1."""
    start(mounts=mounts)
    wire = await open_wire()
    for mount in mounts:
        assert (await wire.ask(post(HANDSHAKE, path=mount))).message["successful"] is True


@pytest_twisted.ensureDeferred
async def test_it_answers_nowhere_else(start, open_wire):
    server = start(mounts=("/a/b",))
    wire = await open_wire()
    for path in ("/a", "/a/", "/b", "/a/bb", "/bayeux", "/"):
        assert (await wire.ask(post(HANDSHAKE, path=path))).status in (404, 405)
    assert len(server.hub.sessions) == 0


@pytest.mark.parametrize("request_", [
    url("/MARK"), url("/MARK/a/b"), url("/a/MARK"), url("/a"), post(HANDSHAKE, path="/?MARK"),
    post(HANDSHAKE, path="/a?MARK"), post(path="/", method="MARK"),
], ids=lambda request: request.partition(b" HTTP")[0].decode())
@pytest_twisted.ensureDeferred
async def test_what_is_not_there_is_told_plainly(start, open_wire, request_):
    """G-23, G-30: an error is constant plain text."""
    start(mounts=("/a/b",))
    response = await (await open_wire()).ask(request_)
    assert 400 <= response.status < 600
    assert response.header("content-type") == "text/plain; charset=utf-8"
    assert response.header("x-content-type-options") == "nosniff"
    assert b"MARK" not in response.body


@pytest_twisted.ensureDeferred
async def test_whoever_opens_it_in_a_browser_is_told_what_it_is(start, open_wire):
    start(mounts=("/bayeux", "/faye"))
    response = await (await open_wire()).ask(url("/"))
    assert response.body == b"This is a Bayeux server. Clients connect to /bayeux or /faye.\n"
    assert response.header("content-type") == "text/plain; charset=utf-8"


@pytest_twisted.ensureDeferred
async def test_the_demos_stand_beside_it(start, open_wire):
    start(demo=True)
    wire = await open_wire()
    assert b"<html" in (await wire.ask(url("/"))).body
    assert (await wire.ask(post(HANDSHAKE))).message["successful"] is True


@pytest_twisted.ensureDeferred
async def test_the_log_has_the_link_of_whoever_presents_the_slides(start, log, monkeypatch):
    """It is a secret, and there is no other place where it could be found."""
    start(demo=True)
    served, link = log
    pattern = r"The slideshow's presenter goes to (http://127\.0\.0\.1:\d+)/slideshow/presenter#([\w-]{32})"
    where, key = re.fullmatch(pattern, link).groups()
    assert served == f"Bayeux is served on {where} at /bayeux, with demos at /"
    start(demo=True)
    assert key not in log[3]
    monkeypatch.setenv("PRESENTER_KEY", "for ever & a %{day}")
    start(demo=True)
    assert log[5].endswith("/slideshow/presenter#for%20ever%20%26%20a%20%25%7Bday%7D")


@pytest_twisted.ensureDeferred
async def test_requests_are_bounded(start, open_wire):
    """G-1: its site is the one that bounds them while they are read."""
    start(max_body=1_000)
    wire = await open_wire()
    assert (await wire.ask(post(body=b"", length=False, content_length=1_001))).status == 413


@pytest_twisted.ensureDeferred
async def test_its_access_log_is_complete_when_it_has_stopped(start, open_wire, tmp_path):
    path = tmp_path / "access.log"
    server = start(access_log=str(path))
    await (await open_wire()).ask(post(HANDSHAKE))
    await server.stopService()
    assert '"POST /bayeux HTTP/1.1" 200 ' in path.read_text()


@pytest_twisted.ensureDeferred
async def test_its_access_log_has_what_a_stop_answers(start, open_wire, tmp_path):
    path = tmp_path / "access.log"
    server = start(access_log=str(path))
    wires = [await open_wire() for _ in range(3)]
    for wire in wires:
        wire.send(post(connect(await client_of(wire))))
    await condition(lambda: server.hub.metrics.held == 3)
    before = len(path.read_text().splitlines())
    await server.stopService()
    lines = path.read_text().splitlines()[before:]
    assert ['"POST /bayeux HTTP/1.1" 200 ' in line for line in lines] == [True] * 3
    assert server._site._logFile is None


# -- the end --------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_stop_answers_held_connects_and_waits_until_their_clients_have_it(start, open_wire, log):
    """Q-10."""
    server = start()
    wires = [await open_wire() for _ in range(10)]
    for wire in wires:
        wire.send(post(connect(await client_of(wire))))
    await condition(lambda: server.hub.metrics.held == 10)
    await server.stopService()
    assert not [each for each in connections() if isinstance(each, tcp.Server)]
    for wire in wires:
        response = await wire.response()
        assert response.message["error"] == "503::Server too busy"
        assert response.message["advice"]["reconnect"] == "handshake"
        assert await wire.end() == b""
    assert not [line for line in log if "still open" in line]


@pytest_twisted.ensureDeferred
async def test_a_stop_closes_idle_connections(start, open_wire, log):
    """Q-10: at once, rather than when the time for it is up."""
    server = start()
    fresh, used = await open_wire(), await open_wire()
    await used.ask(post(HANDSHAKE))
    await server.stopService()
    assert await fresh.end() == b""
    assert await used.end() == b""
    assert not [line for line in log if "still open" in line]


@pytest_twisted.ensureDeferred
async def test_a_stopped_server_accepts_no_connection(start, net, ports):
    """Q-10."""
    server = start()
    await server.stopService()
    with pytest.raises(ConnectionRefusedError):
        await net.open(ports()[0])


@pytest_twisted.ensureDeferred
async def test_a_stop_waits_for_an_application_that_thinks(start, open_wire):
    """Q-10."""
    answer, ends = Deferred(), []
    server = start()
    server.hub.service("/service/slow", lambda session, data: answer)
    wire = await open_wire()
    client = await client_of(wire)
    wire.send(post(publish(client, channel="/service/slow")))
    await condition(lambda: server.hub.metrics.messages == 4)
    stopped = server.stopService().addCallback(ends.append)
    await turns()
    assert ends == []
    answer.callback(None)
    assert (await wire.response()).message["successful"] is True
    await stopped


@pytest_twisted.ensureDeferred
async def test_a_stop_waits_until_a_slow_client_has_its_answer(start, open_wire):
    """Q-10: also what is still in the server's buffers."""
    ends = []
    server = start()
    wire = await open_wire()
    client = await client_of(wire)
    narrow(wire)
    wire.transport.pauseProducing()
    wire.send(post(*[publish(client, "x" * 65_000) for _ in range(15)]))
    await condition(lambda: server.hub.metrics.queued == 15)
    stopped = server.stopService().addCallback(ends.append)
    await turns()
    assert ends == []
    wire.transport.resumeProducing()
    assert len((await wire.response()).messages) == 30
    await stopped


@pytest_twisted.ensureDeferred
async def test_a_stop_does_not_wait_for_ever(start, open_wire, log):
    """Q-10: who does not read, or has nothing to say in time, is cut off."""
    server = start(shutdown_timeout=0.05)
    server.hub.service("/service/slow", lambda session, data: Deferred())
    deaf, slow = await open_wire(), await open_wire()
    client = await client_of(deaf)
    narrow(deaf)
    deaf.transport.pauseProducing()
    deaf.send(post(*[publish(client, "x" * 65_000) for _ in range(15)]))
    slow.send(post(publish(await client_of(slow), channel="/service/slow")))
    await condition(lambda: server.hub.metrics.messages == 22)
    await server.stopService()
    assert await slow.end() == b""
    assert "2 connections were still open" in log
    await condition(lambda: not [each for each in connections() if isinstance(each, tcp.Server)])


def narrow(wire):
    """Let the kernel buffer less between a client and its server than the answer that is to come."""
    wire.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
    for each in connections():
        if isinstance(each, tcp.Server) and each.getPeer() == wire.transport.getHost():
            each.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)


@pytest_twisted.ensureDeferred
async def test_after_a_stop_it_can_be_started_again(start, open_wire, ports):
    server = start()
    for count in (1, 2, 3):
        wire = await open_wire()
        client = await client_of(wire)
        wire.send(post(connect(client)))
        await condition(lambda count=count: server.hub.metrics.held == count)
        await server.stopService()
        assert (await wire.response()).message["error"] == "503::Server too busy"
        server.startService()
        assert len(ports()) == count + 1
