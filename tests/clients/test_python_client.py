"""The project's client for Python, by real servers and broken networks (BAYEUX.md 14 to 19).

Servers are in processes of their own; the client runs in this one's reactor.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from drivers import DEADLINE, Server
from proxy import Network, rough
from twisted.internet import reactor
from twisted.internet.task import deferLater

from bayeux.client import (
    BayeuxClient,
    ClientExtension,
    ClientSettings,
    Closed,
    ConnectTimeout,
    PublishRefused,
    State,
    SubscribeRefused,
    Uncertain,
)
from tests.bench.servers import Server as Listening
from tests.bench.servers import faye
from tests.ports import free_port

HERE = Path(__file__).parent
WEBSOCKET, POLLING = "websocket", "long-polling"
BOTH = (WEBSOCKET, POLLING)
QUICK = ClientSettings(first_backoff=0.1, max_backoff=0.5)
IMPATIENT = ClientSettings(first_backoff=0.1, max_backoff=0.5, network_delay=2.0, open_timeout=1.0,
                           ping_interval=1.0)
"""Finds out soon about a connection by which nothing comes; and so takes what is slow for lost."""

ensure = pytest_twisted.ensureDeferred
transports = pytest.mark.parametrize("transports", [(WEBSOCKET,), (POLLING,), BOTH], ids="+".join)


async def until(condition: Callable[[], Any], what: Callable[[], Any] = lambda: "",
                pause: float = 0.02) -> Any:
    """Wait, while the reactor runs, for the first true value."""
    end = reactor.seconds() + DEADLINE
    while not (value := condition()):
        assert reactor.seconds() < end, f"waited {DEADLINE} s in vain: {what()}"
        await deferLater(reactor, pause, lambda: None)
    return value


class Connects(ClientExtension):
    """Counts the connects that were answered."""

    def __init__(self) -> None:
        self.answered = 0

    def incoming(self, message: dict[str, Any]) -> None:
        self.answered += message["channel"] == "/meta/connect"


class Clients:
    """Makes clients that are gone after the test."""

    def __init__(self) -> None:
        self.all: dict[BayeuxClient, Connects] = {}

    def make(self, url: str, chosen: tuple[str, ...] = BOTH, **options: Any) -> BayeuxClient:
        options.setdefault("settings", QUICK)
        connects = Connects()
        client = BayeuxClient(url, transports=chosen, extensions=[connects], **options)
        self.all[client] = connects
        return client

    async def connect_is_held(self, client: BayeuxClient) -> None:
        """Wait until the server has held a connect as long as it does, and answered."""
        connects = self.all[client]
        before = connects.answered
        await until(lambda: connects.answered >= before + 2)  # the first of them may have had an event

    async def connect(self, url: str, chosen: tuple[str, ...] = BOTH, **options: Any) -> BayeuxClient:
        client = self.make(url, chosen, **options)
        return await client.connect(timeout=DEADLINE)


@pytest_twisted.async_yield_fixture
async def clients() -> AsyncIterator[Clients]:
    clients = Clients()
    yield clients
    for client in clients.all:
        await client.disconnect()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("python") / "log", timeout=2.0, max_interval=30.0)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def faye_url() -> Iterator[str]:
    server = faye()
    yield f"http://127.0.0.1:{server.port}/bayeux"
    server.end()


@pytest.fixture(scope="module")
def cometd_url() -> Iterator[str]:
    module = HERE / "node_modules" / "cometd-nodejs-server"
    server = Listening(["node", str(HERE / "cometd_server.cjs"), str(module), "/cometd"],
                       r"listening on (\d+)")
    yield f"http://127.0.0.1:{server.port}/cometd"
    server.end()


async def scenario(clients: Clients, url: str, chosen: tuple[str, ...]) -> BayeuxClient:
    """Two clients say hello."""
    listener, speaker = [await clients.connect(url, chosen) for _ in range(2)]
    got: list[Any] = []
    events = await listener.subscribe("/hello/*")
    await speaker.subscribe("/hello/world", lambda event: got.append(event.data))
    for number in range(3):
        assert (await speaker.publish("/hello/world", {"number": number}))["successful"]
    assert [(await anext(events)).data["number"] for _ in range(3)] == [0, 1, 2]
    await until(lambda: [data["number"] for data in got] == [0, 1, 2], lambda: got)
    with speaker.batch():
        for number in range(250):
            speaker.publish("/hello/many", number)
    assert [(await anext(events)).data for _ in range(250)] == list(range(250))
    await events.unsubscribe()
    await speaker.publish("/hello/late", 1)
    with pytest.raises(StopAsyncIteration):
        await anext(events)
    return listener


# -- servers ------------------------------------------------------------------------------------

@transports
@ensure
async def test_our_server(server: Server, clients: Clients, transports: tuple[str, ...]) -> None:
    client = await scenario(clients, server.url, transports)
    assert client.transport == transports[0]
    with pytest.raises(SubscribeRefused, match="405"):
        await client.subscribe("/no/*/way")
    with pytest.raises(PublishRefused, match="405"):
        await client.publish("/hello/*", 1)
    await clients.connect_is_held(client)
    assert (client.state, client.metrics.losses) == (State.CONNECTED, 0)


@transports
@ensure
async def test_faye(faye_url: str, clients: Clients, transports: tuple[str, ...]) -> None:
    client = await scenario(clients, faye_url, transports)
    assert client.transport == transports[0]
    with pytest.raises(SubscribeRefused, match="405"):
        await client.subscribe("/no/*/way")


@pytest.mark.parametrize("chosen", [(POLLING,), BOTH], ids="+".join)
@ensure
async def test_cometd(cometd_url: str, clients: Clients, chosen: tuple[str, ...]) -> None:
    """It has no WebSocket; with the ack extension."""
    client = await scenario(clients, cometd_url, chosen)
    assert client.transport == POLLING
    await clients.connect_is_held(client)
    assert (client.state, client.metrics.losses) == (State.CONNECTED, 0)


@ensure
async def test_a_server_without_websockets_is_used_without_them(tmp_path: Path, clients: Clients) -> None:
    server = Server(tmp_path / "log", connection_types=[POLLING])
    server.start()
    try:
        client = await clients.connect(server.url)
        assert client.transport == POLLING
        await client.disconnect()
    finally:
        server.stop()


# -- what may happen to a server ----------------------------------------------------------------

@transports
@ensure
async def test_a_restart_costs_a_session_and_no_subscription(tmp_path: Path, clients: Clients,
                                                             transports: tuple[str, ...]) -> None:
    """N-10, H-15."""
    server = Server(tmp_path / "log", timeout=2.0)
    server.start()
    try:
        client = await clients.connect(server.url, transports)
        events = await client.subscribe("/news")
        before = client.client_id
        server.stop()
        await until(lambda: client.state is not State.CONNECTED)
        published = client.publish("/news", "back")
        server.start()
        await until(lambda: client.state is State.CONNECTED)
        assert client.client_id != before
        assert (await published)["successful"]
        assert (await anext(events)).data == "back"
        await client.disconnect()
    finally:
        server.stop()


@transports
@ensure
async def test_a_server_that_is_killed_is_missed_and_found_again(tmp_path: Path, clients: Clients,
                                                                 transports: tuple[str, ...]) -> None:
    import signal

    server = Server(tmp_path / "log", timeout=2.0)
    client = clients.make(server.url, transports)
    connecting = client.connect()
    await until(lambda: client.metrics.failures["ConnectionFailed"] > 1)
    server.start()
    try:
        await connecting
        server.stop(signal.SIGKILL)
        await until(lambda: client.state is State.RECONNECTING)
        server.start()
        await until(lambda: client.state is State.CONNECTED)
        assert client.metrics.sessions == 2
        await client.disconnect()
    finally:
        server.stop()


@ensure
async def test_a_server_that_is_not_there_fails_a_connect_in_time(clients: Clients) -> None:
    client = clients.make(f"http://127.0.0.1:{free_port()}/bayeux")
    connecting = client.connect()
    await until(lambda: client.metrics.failures["ConnectionFailed"])
    with pytest.raises(ConnectTimeout, match="refused"):
        await client.connect(timeout=0.1)
    with pytest.raises(Closed):
        await connecting
    assert client.state is State.DISCONNECTED


# -- what may happen to a connection ------------------------------------------------------------

@transports
@ensure
async def test_a_cut_costs_no_session_and_no_event(server: Server, net: Network, clients: Clients,
                                                   transports: tuple[str, ...]) -> None:
    """XA-5, N-1."""
    proxy = net.proxy(server.port)
    channel = f"/cut/{len(transports)}/{transports[0]}"
    publisher = await clients.connect(server.url)
    client = await clients.connect(proxy.url, transports)
    events, before = await client.subscribe(channel), client.client_id
    for first in range(0, 60, 20):
        for number in range(first, first + 20):
            await publisher.publish(channel, number)
            if number % 20 == 10:
                proxy.cut()
        assert [(await anext(events)).data for _ in range(20)] == list(range(first, first + 20))
    assert client.client_id == before
    assert client.metrics.losses >= 1


@transports
@ensure
async def test_a_half_open_connection_is_found_out(server: Server, net: Network, clients: Clients,
                                                   transports: tuple[str, ...]) -> None:
    """N-3."""
    proxy = net.proxy(server.port)
    channel = f"/half/{len(transports)}/{transports[0]}"
    publisher = await clients.connect(server.url)
    client = await clients.connect(proxy.url, transports, settings=IMPATIENT)
    events = await client.subscribe(channel)
    assert proxy.stall() > 0
    await publisher.publish(channel, "lost at first")
    assert (await anext(events)).data == "lost at first"
    assert client.metrics.sessions == 1


@ensure
async def test_a_publish_on_a_half_open_connection_is_uncertain(server: Server, net: Network,
                                                               clients: Clients) -> None:
    proxy = net.proxy(server.port)
    client = await clients.connect(proxy.url, (WEBSOCKET,), settings=IMPATIENT)
    proxy.stall()
    with pytest.raises(Uncertain):
        await client.publish("/uncertain", 1)
    assert (await client.publish("/uncertain", 2, resend=True))["successful"]


@ensure
async def test_a_proxy_that_lets_no_socket_through_is_lived_with(server: Server, net: Network,
                                                                 clients: Clients) -> None:
    proxy = net.proxy(server.port)
    proxy.refuses_upgrades = True
    client = await clients.connect(proxy.url)
    events, before = await client.subscribe("/proxy"), client.client_id
    assert client.transport == POLLING
    await until(lambda: client.metrics.sessions and proxy.cuts > 3)  # it tries for better in between
    await client.publish("/proxy", 1)
    assert (await anext(events)).data == 1
    proxy.refuses_upgrades = False
    await until(lambda: client.transport == WEBSOCKET)
    await client.publish("/proxy", 2)
    assert (await anext(events)).data == 2
    assert (client.client_id, client.metrics.losses) == (before, 0)


@ensure
async def test_with_acknowledgement_nothing_is_lost_doubled_or_out_of_order(
        server: Server, net: Network, clients: Clients, closing: ExitStack) -> None:
    """N-2, XA-*; a network that cuts, delays, stalls and duplicates."""
    publisher = await clients.connect(server.url)
    heard: dict[str, list[Any]] = {}
    proxies = []
    for chosen in ((WEBSOCKET,), (POLLING,), BOTH):
        proxy = net.proxy(server.port)
        client = await clients.connect(proxy.url, chosen, settings=IMPATIENT)
        got = heard["+".join(chosen)] = []
        await client.subscribe("/torture/python", lambda event, got=got: got.append(event.data))
        proxy.faults = rough(f"1/{chosen}", most=8_000)
        proxy.cut()
        proxies.append(proxy)
    published = 0

    def suffered() -> bool:
        """Publish some more, and say whether it is enough, and nobody was spared."""
        nonlocal published
        with publisher.batch():
            for _ in range(10):
                publisher.publish("/torture/python", published)
                published += 1
        return published >= 300 and all(proxy.cuts >= 3 for proxy in proxies)

    await until(suffered, lambda: [proxy.cuts for proxy in proxies], pause=0.05)
    for proxy in proxies:
        proxy.heal()
    for name, got in heard.items():
        await until(lambda: got and got[-1] == published - 1,  # noqa: B023 - called at once
                    lambda: (name, got[-5:]))  # noqa: B023 - as above
        assert got == list(range(published)), name
