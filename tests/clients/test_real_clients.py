"""Clients that nobody here wrote, unmodified, each through the same scenarios (BAYEUX.md 6 to 19).

``verbs/`` and ``programs/`` hold how each is driven, ``drivers.py`` what they have in common.  Two of a
kind take part: what the one sends, the other must understand.  A publish is answered before the next is
sent, so the last of a series is a fence: once it has come, the ones before it have come or never will.
"""

import itertools
import json
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from drivers import HERE, Client, Notes, Program, Server, Tab, foreign_pages, until

JSON, FORM, TEXT_JSON = "application/json", "application/x-www-form-urlencoded", "text/json"
JSONP, TEXT = "jsonp", "text/plain"
WEBSOCKET, EVENTSOURCE = "websocket", "eventsource"


@dataclass(frozen=True)
class Kind:
    """A client library in one place, and what it makes its requests by: all of these, and nothing else."""

    carriers: frozenset[str]
    program: tuple[str, ...] = ()
    page: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    cross_origin: bool = False

    @property
    def extensions(self) -> list[str]:
        """Those that the client has been given; it then meets a server that has them all."""
        return self.parameters.get("extensions", "").split(",")

    @property
    def speaks_by(self) -> str:
        """The connection type that its messages come by, once it has found its best."""
        if WEBSOCKET in self.carriers:
            return "websocket"
        return "callback-polling" if self.carriers == {JSONP} else "long-polling"

    @property
    def hears_by(self) -> str:
        """The connection type that it has its events by."""
        return "eventsource" if EVENTSOURCE in self.carriers else self.speaks_by


def node(library: str, *carriers: str, **parameters: str) -> Kind:
    return Kind(frozenset(carriers), ("node", "programs/node.mjs", library), parameters=parameters)


def aiocometd(*carriers: str, **parameters: str) -> Kind:
    return Kind(frozenset(carriers), (sys.executable, "programs/aiocometd.py"), parameters=parameters)


def page(name: str, *carriers: str, **parameters: str) -> Kind:
    return Kind(frozenset(carriers), page=name, parameters=parameters)


def abroad(name: str, *carriers: str, **parameters: str) -> Kind:
    return Kind(frozenset(carriers), page=name, parameters=parameters, cross_origin=True)


ALL_TRANSPORTS = "websocket,long-polling,callback-polling"
EXTENSIONS = "ack,timesync,binary"

KINDS = {
    "cometd-node": node("cometd", JSON, transports="long-polling"),
    "cometd-node-all-transports": node("cometd", WEBSOCKET, transports=ALL_TRANSPORTS),
    "cometd-node-extensions": node("cometd", JSON, transports="long-polling", extensions=EXTENSIONS),
    "cometd-node-websocket-extensions": node("cometd", WEBSOCKET, transports="websocket",
                                             extensions=EXTENSIONS),
    "cometd": page("cometd", JSON, transports="long-polling"),
    "cometd-all-transports": page("cometd", WEBSOCKET, transports=ALL_TRANSPORTS),
    "cometd-websocket-extensions": page("cometd", WEBSOCKET, transports="websocket", extensions=EXTENSIONS),
    # With long-polling alone it gives up for good when a cross-origin handshake meets no server.
    "cometd-cross-origin": abroad("cometd", JSON, transports="long-polling,callback-polling"),
    "cometd-cross-origin-websocket": abroad("cometd", WEBSOCKET, transports="websocket"),
    "cometd-jsonp": page("cometd", JSONP, transports="callback-polling"),
    "cometd-jsonp-cross-origin": abroad("cometd", JSONP, transports="callback-polling"),
    # Faye handshakes by what is mandatory, and then goes on by the best.
    "faye-node": node("faye", JSON, WEBSOCKET),
    "faye-node-long-polling": node("faye", JSON, disable="websocket"),
    "faye": page("faye", JSON, WEBSOCKET),
    "faye-eventsource": page("faye", JSON, EVENTSOURCE, disable="websocket"),
    "faye-long-polling": page("faye", JSON, disable="websocket,eventsource"),
    "faye-cross-origin": abroad("faye", JSONP, WEBSOCKET),
    "faye-cross-origin-long-polling": abroad("faye", JSONP, TEXT, disable="websocket"),
    "faye-jsonp-cross-origin": abroad("faye", JSONP, disable="websocket,cross-origin-long-polling"),
    "dojox": page("dojox", FORM, TEXT_JSON),
    "dojox-extensions": page("dojox", FORM, TEXT_JSON, extensions="ack,timesync,timestamp"),
    "dojox-cross-origin": abroad("dojox", JSONP),
    "aiocometd": aiocometd(JSON, WEBSOCKET),
    "aiocometd-long-polling": aiocometd(JSON, transports="long-polling"),
    "own": page("own", JSON, WEBSOCKET),
    "own-long-polling": page("own", JSON, transports="long-polling"),
    "own-cross-origin": abroad("own", JSON, WEBSOCKET),
    "own-node-websocket": node("own", WEBSOCKET, transports="websocket"),
}
EXTENDED = {name: kind for name, kind in KINDS.items() if "extensions" in kind.parameters}

PAYLOAD = {
    "text": "Grüße, 雪, 💧, \"quotes\" \\ & <b> </script> \u2028 + %41",
    "numbers": [0, -1, 1.5, 9007199254740991],
    "others": [True, False, None, [], {}, ""],
}


@pytest.fixture(scope="module")
def foreign_site() -> Iterator[str]:
    with foreign_pages() as origin:
        yield origin


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, foreign_site: str) -> Iterator[Server]:
    assert (HERE / "node_modules").is_dir(), f"run npm ci in {HERE}, or tests/run"
    # It holds a connect longer than any test waits: an event that only a timeout brings comes too late.
    server = Server(tmp_path_factory.mktemp("clients") / "log", timeout=60.0, shutdown_spread=0.3,
                    allowed_origins=[foreign_site])
    yield server
    server.stop()


@pytest.fixture(scope="module")
def extended_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("clients") / "log", timeout=60.0, shutdown_spread=0.3,
                    extensions=["ack", "timestamp", "binary"])  # and timesync, with an odd clock
    yield server
    server.stop()


class World:
    """Where the clients of a test come from."""

    def __init__(self, kind: Kind, request: pytest.FixtureRequest, stack: ExitStack) -> None:
        self.kind = kind
        self.server: Server = request.getfixturevalue(
            "extended_server" if "extensions" in kind.parameters else "server")
        self.server.start()
        self.stack = stack
        self.clients: list[Client] = []
        if kind.page:
            site = request.getfixturevalue("foreign_site") if kind.cross_origin else self.server.origin
            self.tab = Tab(request.getfixturevalue("browser"), site)
            stack.callback(self.tab.close)

    def client(self) -> Client:
        """Start one more client, and connect it."""
        kind = self.kind
        if kind.page:
            client = self.tab.page(kind.page, self.server.url, kind.parameters)
        else:
            client = Program(*kind.program, json.dumps(kind.parameters), self.server.url)
        self.stack.callback(client.close)
        self.clients.append(client)
        assert client.state != "connected"
        client.connect()
        await_state("connected", client)
        return client

    def errors(self) -> list[str]:
        """What went wrong inside the clients."""
        return [error for client in self.clients for error in client.errors()]


@pytest.fixture
def world(kind: Kind, request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(kind, request, stack)


NUMBERS = itertools.count(1)


@pytest.fixture
def root() -> str:
    """A branch of the channels for this test alone."""
    return f"/{next(NUMBERS)}"


def await_state(state: str, *clients: Client) -> None:
    until(lambda: all(client.state == state for client in clients),
          lambda: f"{state}, but {[(client.state, client.said()) for client in clients]}")


def expect(client: Client, seen: int, *events: tuple[str, Any]) -> None:
    """After its first ``seen`` events the client gets exactly these, the last of them being the fence."""
    until(lambda: events[-1] in client.received[seen:],
          lambda: f"{events[-1]}, got {client.received[seen:]}; {client.said()}")
    assert client.arrived[seen:] == client.received[seen:] == list(events)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_client_gets_what_it_subscribed_to_and_nothing_else(world: World, root: str) -> None:
    start = world.server.mark()
    exact, fence, again = f"{root}/exact", f"{root}/fence", f"{root}/again"
    alice, bob = world.client(), world.client()
    alice.subscribe(exact)
    alice.subscribe(f"{root}/one/*")
    alice.subscribe(f"{root}/all/**")
    alice.subscribe(fence)
    bob.subscribe(exact)

    names = ["exact", "exactly", "exact/below", "Exact", "one", "one/a", "one/a/b", "ones/a",
             "all", "all/a", "all/a/b/c", "fence"]
    published = [(f"{root}/{name}", name) for name in names]
    for channel, data in published:
        bob.publish(channel, data)
    hers = {"exact", "one/a", "all/a", "all/a/b/c", "fence"}
    expect(alice, 0, *[(channel, data) for channel, data in published if data in hers])
    expect(bob, 0, (exact, "exact"))

    alice.publish(exact, PAYLOAD)
    expect(alice, 5, (exact, PAYLOAD))
    expect(bob, 1, (exact, PAYLOAD))

    alice.unsubscribe(exact)
    alice.unsubscribe(f"{root}/one/*")
    alice.unsubscribe(f"{root}/all/**")
    for channel, data in published:
        bob.publish(channel, data)
    expect(alice, 6, (fence, "fence"))
    expect(bob, 2, (exact, "exact"))

    # A disconnect ends the subscriptions too: the next session starts from nothing.
    alice.disconnect()
    await_state("disconnected", alice)
    bob.publish(fence, "while she is gone")
    alice.connect()
    bob.publish(fence, "no longer hers")
    alice.subscribe(again)
    bob.publish(fence, "still not hers")
    bob.publish(again, "hers")
    expect(alice, 7, (again, "hers"))

    alice.disconnect()
    bob.disconnect()
    await_state("disconnected", alice, bob)
    notes = world.server.notes(start)
    assert notes.ended == ["disconnect"] * 3
    assert world.errors() == []
    check_requests(notes.requests, world.kind)
    check_messages(notes, world.kind)


def check_requests(requests: list[dict[str, Any]], kind: Kind) -> None:
    """The client's requests were of the kinds that they should be, and none was refused."""
    successes = {WEBSOCKET: {101}, "OPTIONS": {204}}
    if kind.page == "own" and WEBSOCKET in kind.carriers:
        successes[JSON] = {200, 409}  # its connect is held when its socket opens beside, and takes over
    for request in requests:
        request["carrier"] = carrier(request)
        assert request["status"] in successes.get(request["carrier"], {200}), request
    assert {request["carrier"] for request in requests} - {"OPTIONS"} == kind.carriers
    for request in requests:
        if request["carrier"] != JSONP and not (request["carrier"] == WEBSOCKET and kind.program):
            assert request["origin"].startswith("http://localhost:") == kind.cross_origin, request


def carrier(request: dict[str, Any]) -> str:
    if request["method"] == "OPTIONS":
        return "OPTIONS"
    if request["upgrade"] == "websocket":
        return WEBSOCKET
    if request["accept"] == "text/event-stream":
        return EVENTSOURCE
    return JSONP if request["jsonp"] else request["type"]


def check_messages(notes: Notes, kind: Kind) -> None:
    """In the end the client spoke and heard by the best that it has; it acknowledged if it can."""
    last = {note["message"]: (note["by"], note["events_by"]) for note in notes.messages}
    publish, disconnect = list(last.values())[-1], last["/meta/disconnect"]
    assert publish == disconnect == (kind.speaks_by, kind.hears_by)
    acks = [note["ack"] for note in notes.messages if note["message"] == "/meta/connect"]
    if "ack" in kind.extensions or kind.page == "own" or "own" in kind.program:
        assert {type(ack) for ack in acks} == {int}
        assert max(acks) >= 2
    else:
        assert set(acks) == {None}


@pytest.mark.parametrize("kind", EXTENDED.values(), ids=EXTENDED)
def test_extended_clients_learn_the_servers_time(world: World, root: str) -> None:
    began = time.monotonic()
    client = world.client()
    client.subscribe(f"{root}/exact")
    client.publish(f"{root}/exact", "event")
    expect(client, 0, (f"{root}/exact", "event"))
    # offset and lag together, as dojox.cometd takes the one for the other; no message took longer than all
    assert abs(client.call("shift") / 1000 + 3600) < 1 + time.monotonic() - began
    stamps = client.call("stamps")
    assert len(stamps) >= 4
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d", stamp) for stamp in stamps), stamps
    client.disconnect()
    assert world.errors() == []


BINARY = {name: kind for name, kind in EXTENDED.items() if "binary" in kind.extensions}


@pytest.mark.parametrize("kind", BINARY.values(), ids=BINARY)
def test_binary_data_arrives_as_it_was_sent(world: World, root: str) -> None:
    alice, bob = world.client(), world.client()
    channel = f"{root}/file"
    alice.subscribe(channel)
    pieces = ["864fd26fb559f75b", "", *("00ff80" * length for length in (1, 2, 3, 400)),
              bytes(range(256)).hex()]
    sent = [{"data": piece, "last": number == len(pieces), "meta": {"number": number}}
            for number, piece in enumerate(pieces, 1)]
    for chunk in sent:
        bob.call("publishBinary", channel, chunk["data"], chunk["last"], chunk["meta"])
    until(lambda: len(alice.call("binary")) >= len(sent), alice.said)
    assert alice.call("binary") == sent
    alice.disconnect()
    bob.disconnect()
    assert world.errors() == []


AIOCOMETD = (
    "it sleeps the milliseconds of Q-10's interval as seconds (A-8); without an interval its handshake meets "
    "no server, it sends [connect, subscribe] with the old clientId, and forgets what it is then refused"
)


# Those that come back just as another here does; and faye-eventsource, which learns that its session is gone
# from its next connect only, once in a timeout (F-5; see test_broken_networks.py).
ALIKE = {"cometd-node-extensions", "cometd-node-websocket-extensions", "cometd-cross-origin-websocket",
         "cometd-websocket-extensions", "cometd-jsonp-cross-origin", "faye-eventsource", "faye-long-polling",
         "faye-cross-origin-long-polling", "own-cross-origin", "dojox-extensions", "aiocometd-long-polling"}


def restarts() -> Iterator[Any]:
    for name, kind in KINDS.items():
        if name in ALIKE:
            continue
        yield pytest.param(kind, signal.SIGKILL, id=f"{name}-unplugged")
        marks = [pytest.mark.xfail(run=False, reason=AIOCOMETD)] if name == "aiocometd" else []
        yield pytest.param(kind, signal.SIGTERM, id=f"{name}-stopped", marks=marks)


@pytest.mark.parametrize(("kind", "how"), list(restarts()))
def test_each_client_comes_back_after_a_restart(world: World, how: signal.Signals, root: str) -> None:
    exact, below = f"{root}/exact", f"{root}/all/a/b"
    alice, bob = pair = world.client(), world.client()
    for client in pair:
        if world.kind.page == "dojox":  # it notices a lost JSONP request by the time alone
            client.call("losePatience", 2000, 2500)
        client.subscribe(exact)
        client.subscribe(f"{root}/all/**")
    bob.publish(exact, "before")
    for client in pair:
        expect(client, 0, (exact, "before"))

    world.server.stop(how)
    world.server.start()

    # A newcomer calls until both are back; what they miss meanwhile is gone with the old server.
    carol = world.client()
    called: list[int] = []

    def call() -> int:
        called.append(len(called) + 1)  # dojox.cometd drops what is false, such as 0
        for channel in (exact, below):
            carol.publish(channel, called[-1])
        return called[-1]

    def heard_by_both() -> bool:
        call()
        return all({exact, below} <= {channel for channel, _ in client.received[1:]} for client in pair)

    until(heard_by_both, lambda: [(client.received, client.said()) for client in pair], pause=0.1)
    await_state("connected", *pair)
    fence = (below, call())
    for client in pair:
        until(lambda: fence in client.received, client.said)  # noqa: B023 - called before the loop goes on
        for channel in (exact, below):
            heard = [data for where, data in client.arrived[1:] if where == channel]
            assert sorted(heard) == called[min(heard) - 1:], "a call is missing or has come twice"

    # Both are heard again, too.
    seen = [len(client.received) for client in pair]
    for offset, (client, channel) in enumerate(((alice, below), (bob, exact))):
        client.publish(channel, "hello")
        for listener, before in zip(pair, seen, strict=True):
            expect(listener, before + offset, (channel, "hello"))

    for client in (*pair, carol):
        client.disconnect()
    await_state("disconnected", *pair, carol)
    assert world.errors() == []
