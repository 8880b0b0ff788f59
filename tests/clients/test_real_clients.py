"""Clients that nobody here wrote, unmodified, each through the same two scenarios (BAYEUX.md 6 to 11, 14).

``verbs/`` and ``programs/`` hold how each is driven, ``drivers.py`` what they have in common.  Two of a
kind take part: what the one sends, the other must understand.  A publish is answered before the next is
sent, so the last of a series is a fence: once it has come, the ones before it have come or never will.
"""

import itertools
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from drivers import HERE, Client, Page, Program, Server, chromium, foreign_pages, page_address, until
from selenium.webdriver import Chrome

JSON, FORM, TEXT_JSON = "application/json", "application/x-www-form-urlencoded", "text/json"
JSONP, TEXT = "jsonp", "text/plain"


@dataclass(frozen=True)
class Kind:
    """A client library in one place, and how it carries its messages when left to choose."""

    carriers: set[str]
    program: tuple[str, ...] = ()
    page: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    cross_origin: bool = False


def node(library: str, *arguments: str) -> Kind:
    return Kind({JSON}, program=("node", "programs/node.mjs", library, *arguments))


def page(name: str, *carriers: str, **parameters: str) -> Kind:
    return Kind(set(carriers), page=name, parameters=parameters)


def abroad(name: str, *carriers: str, **parameters: str) -> Kind:
    return Kind(set(carriers), page=name, parameters=parameters, cross_origin=True)


KINDS = {
    "cometd-node": node("cometd", "long-polling"),
    "cometd-node-all-transports": node("cometd", "websocket,long-polling,callback-polling"),
    "cometd": page("cometd", JSON, transports="long-polling"),
    "cometd-all-transports": page("cometd", JSON, transports="websocket,long-polling,callback-polling"),
    # With long-polling alone it gives up for good when a cross-origin handshake meets no server.
    "cometd-cross-origin": abroad("cometd", JSON, transports="long-polling,callback-polling"),
    "cometd-jsonp": page("cometd", JSONP, transports="callback-polling"),
    "cometd-jsonp-cross-origin": abroad("cometd", JSONP, transports="callback-polling"),
    "faye-node": node("faye"),
    "faye": page("faye", JSON),
    "faye-cross-origin": abroad("faye", JSONP, TEXT),
    "faye-jsonp-cross-origin": abroad("faye", JSONP, disable="cross-origin-long-polling"),
    "dojox": page("dojox", FORM, TEXT_JSON),
    "dojox-cross-origin": abroad("dojox", JSONP, connectTimeout="5000"),
    "aiocometd": Kind({JSON}, program=(sys.executable, "programs/aiocometd.py")),
    "own": page("own", JSON),
}

PAYLOAD = {
    "text": "Grüße, 雪, 💧, \"quotes\" \\ & <b> </script> \u2028 + %41",
    "numbers": [0, -1, 1.5, 9007199254740991],
    "others": [True, False, None, [], {}, ""],
}


@pytest.fixture(scope="session")
def foreign_site() -> Iterator[str]:
    with foreign_pages() as origin:
        yield origin


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, foreign_site: str) -> Iterator[Server]:
    assert (HERE / "node_modules").is_dir(), f"run npm ci in {HERE}, or tests/run"
    # It holds a connect longer than any test waits: an event that only a timeout brings comes too late.
    server = Server(tmp_path_factory.mktemp("clients") / "log", timeout=60.0, shutdown_spread=1.0,
                    allowed_origins=[foreign_site])
    yield server
    server.stop()


class World:
    """Where the clients of a test come from."""

    def __init__(self, kind: Kind, server: Server, request: pytest.FixtureRequest, stack: ExitStack) -> None:
        self.kind = kind
        self.server = server
        self.request = request
        self.stack = stack
        self.clients: list[Client] = []

    def client(self) -> Client:
        """Start one more client, and connect it."""
        client = Program(*self.kind.program, self.server.url) if self.kind.program else self._page()
        self.stack.callback(client.close)
        self.clients.append(client)
        assert client.state != "connected"
        client.connect()
        await_state("connected", client)
        return client

    def _page(self) -> Client:
        site = self.request.getfixturevalue("foreign_site") if self.kind.cross_origin else self.server.origin
        address = page_address(site, self.kind.page, self.server.url, self.kind.parameters)
        return Page(self.request.getfixturevalue("browser"), address)

    def errors(self) -> list[str]:
        """What went wrong inside the clients."""
        return [error for client in self.clients for error in client.errors()]


@pytest.fixture
def world(kind: Kind, server: Server, request: pytest.FixtureRequest) -> Iterator[World]:
    server.start()
    with ExitStack() as stack:
        yield World(kind, server, request, stack)


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
    requests, ended = world.server.notes(start)
    assert ended == ["disconnect"] * 3
    assert world.errors() == []
    check_requests(requests, world.kind)


def check_requests(requests: list[dict[str, Any]], kind: Kind) -> None:
    """The client carried its messages as it should, and was refused only what is not offered."""
    probes = [request for request in requests
              if request["upgrade"] == "websocket" or request["accept"] == "text/event-stream"]
    assert all(400 <= probe["status"] < 500 for probe in probes), probes
    used = [request for request in requests if request not in probes]
    assert {request["status"] for request in used} <= {200, 204}, used
    messages = [request for request in used if request["method"] != "OPTIONS"]
    assert {JSONP if request["jsonp"] else request["type"] for request in messages} == kind.carriers
    for request in messages:
        if not request["jsonp"]:
            assert request["origin"].startswith("http://localhost:") == kind.cross_origin, request


AIOCOMETD = (
    "it sleeps the milliseconds of Q-10's interval as seconds (A-8); without an interval its handshake meets "
    "no server, it sends [connect, subscribe] with the old clientId, and forgets what it is then refused"
)


def restarts() -> Iterator[Any]:
    for name, kind in KINDS.items():
        yield pytest.param(kind, signal.SIGKILL, id=f"{name}-unplugged")
        marks = [pytest.mark.xfail(run=False, reason=AIOCOMETD)] if name == "aiocometd" else []
        yield pytest.param(kind, signal.SIGTERM, id=f"{name}-stopped", marks=marks)


@pytest.mark.parametrize(("kind", "how"), list(restarts()))
def test_each_client_comes_back_after_a_restart(world: World, how: signal.Signals, root: str) -> None:
    exact, below = f"{root}/exact", f"{root}/all/a/b"
    alice, bob = pair = world.client(), world.client()
    for client in pair:
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
