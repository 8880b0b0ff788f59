"""The service for embedding: it starts and stops with an application, and leaves nobody hanging."""

import http.client
import json
import re
import signal
import subprocess
import sys

import msgspec
import pytest
import pytest_twisted
from twisted.application.service import MultiService
from twisted.internet import tcp
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site

from bayeux import (
    Access,
    BayeuxService,
    ChannelRule,
    KeyRule,
    Link,
    Policy,
    Session,
    Settings,
    SettingsError,
)
from bayeux.messages import Message
from tests.test_resource import (
    HANDSHAKE,
    Net,
    condition,
    connect,
    connections,
    get,
    post,
    publish,
    subscribe,
)


@pytest_twisted.async_yield_fixture
async def net():
    net = Net()
    yield net
    await net.close()


class Application:
    """An application with a Bayeux server in it."""

    def __init__(self, net):
        self._net = net
        self.bayeux = BayeuxService()
        self.services = MultiService()
        self.bayeux.setServiceParent(self.services)

    async def start(self):
        self.services.startService()
        root = Resource()
        root.putChild(b"bayeux", self.bayeux.resource)
        self.port = await self._net.listen(Site(root))

    async def stop(self):
        await self.services.stopService()

    async def wire(self):
        return await self._net.open(self.port)

    async def client(self, wire, *channels):
        """Return the id of a session that is past its first connect, and subscribed."""
        client = (await wire.ask(post(HANDSHAKE))).message["clientId"]
        await wire.ask(post(connect(client), *[subscribe(client, channel) for channel in channels]))
        return client

    async def hold(self, count, request=post):
        """Return so many connections on each of which a connect is held."""
        before = self.bayeux.hub.metrics.held
        wires = []
        for _ in range(count):
            wires.append(await self.wire())
            wires[-1].send(request(connect(await self.client(wires[-1], "/news"))))
        await condition(lambda: self.bayeux.hub.metrics.held == before + count)
        return wires


@pytest_twisted.async_yield_fixture
async def application(net):
    application = Application(net)
    await application.start()
    yield application
    if application.services.running:
        await application.stop()


# -- its parts ------------------------------------------------------------------------------------


def test_settings_and_policy_are_those_that_are_given():
    settings, policy = Settings(timeout=7), Policy()
    bayeux = BayeuxService(settings, policy, Clock())
    assert (bayeux.hub.settings, bayeux.hub.policy) == (settings, policy)


def test_settings_and_policy_have_defaults():
    bayeux = BayeuxService()
    assert bayeux.settings == Settings()
    assert type(bayeux.hub.policy) is Policy


def test_it_runs_on_the_clock_that_is_given():
    """Q-9: to its end."""
    clock, ends = Clock(), []
    bayeux = BayeuxService(clock=clock)
    bayeux.startService()
    bayeux.hub.sessions.open(Link("long-polling"))
    bayeux.stopService().addCallback(ends.append)
    assert ends == []
    clock.advance(0)
    assert ends == [None]
    assert not clock.getDelayedCalls()


def test_who_stops_it_again_waits_for_the_same_end(log):
    """As an application may, and then the reactor."""
    clock, ends = Clock(), []
    bayeux = BayeuxService(clock=clock)
    bayeux.startService()
    bayeux.hub.sessions.open(Link("long-polling"))
    for _ in range(2):
        bayeux.stopService().addCallback(ends.append)
    assert ends == []
    clock.advance(0)
    assert ends == [None, None]
    bayeux.stopService().addCallback(ends.append)
    assert len(ends) == 3
    assert [event["event"] for event in log] == ["stopping"]


def test_its_children_start_and_stop_with_it():
    clock = Clock()
    bayeux, child = BayeuxService(clock=clock), MultiService()
    child.setServiceParent(bayeux)
    bayeux.startService()
    assert child.running
    bayeux.stopService()
    assert not child.running


def key_file(path, secret):
    path.write_text(secret)
    path.chmod(0o600)
    return str(path)


def key_ids(bayeux):
    return [key.id for key in bayeux.hub.keys]


def test_its_keys_are_read_at_the_start_and_when_it_is_told(tmp_path):
    """Y-10: without a restart."""
    file = key_file(tmp_path / "a.toml", f'secret = "{"x" * 40}"')
    bayeux = BayeuxService(Settings(key_directory=str(tmp_path)), clock=Clock())
    ring = bayeux.hub.keys
    assert key_ids(bayeux) == ["a"]
    key_file(tmp_path / "b.toml", f'secret = "{"y" * 40}"')
    assert key_ids(bayeux) == ["a"]
    assert bayeux.reload() is True
    assert key_ids(bayeux) == ["a", "b"]
    assert bayeux.hub.keys is ring
    assert bayeux.reload(Settings(key=(KeyRule(id="c", secret_file=file),))) is False
    assert bayeux.reload(Settings(key=(KeyRule(id="c", secret="z" * 40),))) is True
    assert key_ids(bayeux) == ["c"]


def test_keys_that_cannot_be_read_again_stay(tmp_path):
    """Y-10: it is told in the log, without the secret, and counted."""
    key_file(tmp_path / "a.toml", f'secret = "{"x" * 40}"')
    bayeux = BayeuxService(Settings(key_directory=str(tmp_path)), clock=Clock())
    key_file(tmp_path / "b.toml", 'secret = "short"')
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        assert bayeux.reload() is False
    finally:
        globalLogPublisher.removeObserver(events.append)
    [event] = events
    assert formatEvent(event) == (
        "the old settings are kept: key: 'b': the secret has 5 characters and needs 32 that are random; "
        "make one by: bayeux keygen")
    assert event["log_level"] is LogLevel.error
    assert key_ids(bayeux) == ["a"]
    assert bayeux.hub.metrics.failed_reloads == 1
    key_file(tmp_path / "b.toml", f'secret = "{"y" * 40}"')
    assert bayeux.reload() is True
    assert bayeux.hub.metrics.failed_reloads == 1


@pytest.fixture
def log():
    """Return the events that are logged."""
    events = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def test_its_rules_are_those_of_the_new_settings(log):
    bayeux = BayeuxService(clock=Clock())
    assert bayeux.reload(Settings(channel=(ChannelRule(pattern="/a", publish="nobody"),))) is True
    assert isinstance(bayeux.hub.policy, Access)
    assert formatEvent(log[0]) == "reloaded; keys: 0, rules for channels: 1"
    log.clear()
    assert bayeux.reload() is True
    assert formatEvent(log[-1]) == "reloaded; keys: 0, rules for channels: 0"


def test_tokens_are_not_shown_to_the_site_once_there_are_keys():
    """Y-17: also by a server that was started without any."""
    settings = Settings(authorize_url="http://127.0.0.1/may", authorize=("publish",))
    bayeux = BayeuxService(settings, clock=Clock())
    bayeux.reload(msgspec.structs.replace(settings, key=(KeyRule(id="c", secret="z" * 40),)))
    verdict = bayeux.authorizer.can_publish(
        Session(None), "/service/token", Message("/service/token"), Link("long-polling"))
    assert verdict is True


def test_rules_come_before_the_site_that_is_asked():
    """Also those of a server that was started with none."""
    bayeux = BayeuxService(Settings(authorize_url="http://127.0.0.1/may"), clock=Clock())
    policy = bayeux.hub.policy
    bayeux.reload(Settings(authorize_url="http://127.0.0.1/may", channel=(
        ChannelRule(pattern="/a", publish="nobody"),)))
    assert bayeux.hub.policy is policy
    assert policy.can_publish(Session(None), "/a", Message("/a"), Link("long-polling")) is False


def test_settings_that_need_a_restart_are_named(log):
    bayeux = BayeuxService(clock=Clock())
    assert bayeux.reload(Settings(timeout=7, listen=("tcp:1",), max_queue=9)) is True
    assert bayeux.settings.timeout == 30
    assert formatEvent(log[-1]) == "timeout, max_queue and listen have changed; that needs a restart"
    assert bayeux.reload(Settings(timeout=7)) is True
    assert formatEvent(log[-1]) == "timeout has changed; that needs a restart"


def test_rules_that_no_key_can_fulfil_are_not_taken(tmp_path):
    """All or nothing: neither are the keys."""
    key_file(tmp_path / "a.toml", f'secret = "{"x" * 40}"')
    bayeux = BayeuxService(Settings(key=(KeyRule(id="c", secret="z" * 40),)), clock=Clock())
    wrong = Settings(key_directory=str(tmp_path), channel=(ChannelRule(pattern="/a", subscribe="token"),))
    assert bayeux.reload(wrong) is False
    assert key_ids(bayeux) == ["c"]
    assert bayeux.hub.metrics.failed_reloads == 1


def test_with_a_bad_key_there_is_no_service(tmp_path):
    with pytest.raises(SettingsError, match="No such file or directory"):
        BayeuxService(Settings(key_directory=str(tmp_path / "missing")), clock=Clock())


# -- its life with an application -----------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_it_serves_while_its_application_runs(application):
    wire = await application.wire()
    client = await application.client(wire, "/news")
    assert application.bayeux.hub.publish("/news", 1) == 1
    assert (await wire.ask(post(connect(client)))).messages[0]["data"] == 1


@pytest.mark.parametrize("request_", [post, get], ids=["long-polling", "callback-polling"])
@pytest_twisted.ensureDeferred
async def test_when_its_application_stops_every_held_connect_is_answered(application, request_):
    """Q-10: with the advice to come back, and then the connection is closed."""
    wires = await application.hold(20, request_)
    await application.stop()
    intervals = set()
    for wire in wires:
        response = await wire.response()
        assert response.status == 200
        assert response.header("connection") == "close"
        (reply,) = json.loads(re.search(rb"\[.*\]", response.body)[0])
        assert reply["successful"] is False
        assert reply["error"] == "503::Server too busy"
        assert reply["advice"]["reconnect"] == "handshake"
        intervals.add(reply["advice"]["interval"])
        assert await wire.end() == b""
    assert 0 <= min(intervals) <= max(intervals) <= 5_000
    assert len(intervals) > 1  # they do not all come back at once


@pytest_twisted.ensureDeferred
async def test_a_stop_is_done_when_the_answers_have_been_handed_to_the_sockets(application):
    """Q-10: a reactor that then stops, and drops all its connections, takes none of them back."""
    wires = await application.hold(20)
    await application.stop()
    for connection in connections():
        if isinstance(connection, tcp.Server):
            connection.connectionLost(Failure(ConnectionLost()))
    for wire in wires:
        assert (await wire.response()).message["error"] == "503::Server too busy"


@pytest_twisted.ensureDeferred
async def test_a_stop_ends_every_session(application):
    """Q-10: listeners are told so."""
    removed = []

    class Listener:
        def session_added(self, session):
            pass

        def session_removed(self, session, reason):
            removed.append((session.id, reason))

    application.bayeux.hub.add_listener(Listener())
    wire = await application.wire()
    client = await application.client(wire)
    await application.stop()
    assert removed == [(client, "shutdown")]
    assert len(application.bayeux.hub.sessions) == 0


@pytest.mark.parametrize("message, advice", [
    (connect, "handshake"), (subscribe, None), (publish, None),
])
@pytest_twisted.ensureDeferred
async def test_while_it_is_stopped_no_message_is_accepted(application, message, advice):
    """Q-10, E-27, A-5."""
    wire = await application.wire()
    client = await application.client(wire)
    await application.stop()
    response = await wire.ask(post(message(client)))
    assert response.header("connection") == "close"
    assert response.message["error"] == "503::Server too busy"
    assert response.message.get("advice", {}).get("reconnect") == advice


@pytest_twisted.ensureDeferred
async def test_while_it_is_stopped_nobody_can_handshake(application):
    """Q-10, E-27; H-13: nor is anybody told to try again at once."""
    wire = await application.wire()
    await application.stop()
    response = await wire.ask(post(HANDSHAKE))
    assert response.message["error"] == "503::Server too busy"
    assert response.message["advice"]["reconnect"] == "handshake"
    assert response.message["advice"]["interval"] >= 1_000
    assert "set-cookie" not in response.headers


@pytest_twisted.ensureDeferred
async def test_after_a_stop_it_can_be_started_again(application):
    """All that a client can do works as before."""
    await application.stop()
    application.services.startService()
    (wire,) = await application.hold(1)
    publisher = await application.wire()
    await publisher.ask(post(publish(await application.client(publisher), "again")))
    assert (await wire.response()).messages[0]["data"] == "again"


@pytest_twisted.ensureDeferred
async def test_clients_of_before_are_told_to_handshake(application):
    """N-10, K-4."""
    client = await application.client(await application.wire())
    await application.stop()
    application.services.startService()
    reply = (await (await application.wire()).ask(post(connect(client)))).message
    assert reply["error"] == f"402:{client}:Unknown client ID"
    assert reply["advice"] == {"reconnect": "handshake", "interval": 0}


@pytest_twisted.ensureDeferred
async def test_what_the_application_has_set_up_outlives_a_stop(application):
    """Its subscriptions, services and policy."""
    heard = []
    hub = application.bayeux.hub
    hub.subscribe("/news", lambda channel, data: heard.append(data))
    hub.service("/service/double", lambda session, data: 2 * data)
    await application.stop()
    application.services.startService()
    wire = await application.wire()
    client = await application.client(wire)
    response = await wire.ask(post(publish(client, 1), publish(client, 21, "/service/double")))
    assert heard == [1]
    assert response.messages[-1]["data"] == 42


@pytest_twisted.ensureDeferred
async def test_it_can_be_stopped_and_started_many_times(application):
    """Nothing is left over of each time: the leak gate looks."""
    for _ in range(3):
        (wire,) = await application.hold(1)
        await application.stop()
        assert (await wire.response()).message["successful"] is False
        application.services.startService()


# -- in a process of its own ----------------------------------------------------------------------


PROGRAM = """
from bayeux import BayeuxService
from klein import Klein
from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

api, bayeux = Klein(), BayeuxService()

@api.route("/hello")
def hello(request):
    return "hello"

root = Resource()
root.putChild(b"bayeux", bayeux.resource)
root.putChild(b"api", api.resource())
bayeux.startService()
reactor.addSystemEventTrigger("before", "shutdown", bayeux.stopService)
listening = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(root))
listening.addCallback(lambda port: print(port.getHost().port, flush=True))
reactor.run()
"""


def ask(port, *messages, method="POST", path="/bayeux"):
    """Send a request by a connection of its own; return that, its response still to be read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = json.dumps(messages) if messages else None
    connection.request(method, path, body, {"Content-Type": "application/json"})
    return connection


def read(connection):
    response = connection.getresponse()
    assert response.status == 200
    messages = json.load(response)
    connection.close()
    return messages


def hold(port, count):
    """Let so many clients hold a connect; return their connections."""
    clients = [read(ask(port, HANDSHAKE))[0]["clientId"] for _ in range(count)]
    for client in clients:
        read(ask(port, connect(client)))
    held = [ask(port, connect(client)) for client in clients]
    read(ask(port, HANDSHAKE))  # answered after all that came before it was read
    return held


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clients_receive_their_answers_when_the_process_is_ended(number):
    """Q-10: by real sockets, fifty of them."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            port = int(process.stdout.readline())
            api = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            api.request("GET", "/api/hello")
            assert api.getresponse().read() == b"hello"
            held = hold(port, 50)
            process.send_signal(number)
            for connection in held:
                (reply,) = read(connection)
                assert reply["error"] == "503::Server too busy"
                assert reply["advice"]["reconnect"] == "handshake"
            _, errors = process.communicate(timeout=10)
            api.close()
        finally:
            process.kill()
    assert process.returncode == 0
    assert errors == ""
