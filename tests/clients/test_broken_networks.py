"""Clients whose connections break: cut, half-open, or by a proxy that lets no socket through (BAYEUX.md 18).

The session outlives its connections: no client shakes hands again.  With acknowledgement nothing is lost.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from bare import Publisher
from drivers import Client, Program, Server, Tab, until
from proxy import Network, Proxy
from selenium.webdriver import Chrome

HOLD = 2.0
ACK = {"extensions": "ack"}
ACKNOWLEDGING = {
    "cometd": ("cometd", {"transports": "websocket,long-polling", **ACK}),
    "cometd-long-polling": ("cometd", {"transports": "long-polling", **ACK}),
    "own": ("own", {}),
    "own-long-polling": ("own", {"transports": "long-polling"}),
}
FAYE = {"faye": ({}, "websocket"), "faye-long-polling": ({"disable": "websocket"}, "long-polling")}
"""Parameters, and by what it connects once it has found its best."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("broken") / "log", timeout=HOLD, max_interval=30.0,
                    eventsource_retry=0.2)
    server.start()
    yield server
    server.stop()


def join(closing: ExitStack, library: str, parameters: dict[str, str], proxy: Proxy, channel: str) -> Client:
    """Connect a client by the proxy, and subscribe it."""
    client = Program("node", "programs/node.mjs", library, json.dumps(parameters), proxy.url)
    closing.callback(client.close)
    client.connect()
    client.subscribe(channel)
    return client


def hears(client: Client, publisher: Publisher) -> None:
    """Wait until the newest event has come."""
    newest = (publisher.channel, publisher.published)
    until(lambda: newest in client.received, lambda: f"{newest}, {client.received[-3:]}, {client.said()}")


def hears_again(client: Client, publisher: Publisher) -> None:
    """Publish until it hears: what comes before that may be lost, but nothing after it."""
    before = publisher.published
    until(lambda: publisher.publish(1) or any(number > before for _, number in client.received),
          client.said, pause=0.1)
    hears(client, publisher)


def everything(publisher: Publisher) -> list[tuple[str, Any]]:
    return [(publisher.channel, number) for number in range(1, publisher.published + 1)]


@pytest.mark.parametrize(("library", "parameters"), ACKNOWLEDGING.values(), ids=ACKNOWLEDGING)
def test_a_cut_in_mid_flight_costs_no_event(library: str, parameters: dict[str, str], server: Server,
                                            net: Network, closing: ExitStack) -> None:
    proxy = net.proxy(server.port)
    publisher = Publisher(server.url, f"/cut/{library}/{len(parameters)}")
    closing.callback(publisher.close)
    client = join(closing, library, parameters, proxy, publisher.channel)
    identity = client.client_id
    for _ in range(3):
        for _ in range(20):
            publisher.publish(5)
        hears(client, publisher)
        server.settle()
        assert proxy.stall() > 0
        for _ in range(2):  # when the second is answered, the first has been written to the client
            publisher.publish(5)
        proxy.cut()
        publisher.publish(5)
        hears(client, publisher)
    assert client.received == everything(publisher)
    assert client.client_id == identity


def found_its_best(client: Client, carrier: str) -> None:
    """Wait until Faye connects by that: it is connected before, by what is mandatory."""
    until(lambda: client.carrier == carrier, client.said)


@pytest.mark.parametrize(("parameters", "carrier"), FAYE.values(), ids=FAYE)
def test_faye_goes_on_with_its_session_after_a_cut(parameters: dict[str, str], carrier: str, server: Server,
                                                   net: Network, closing: ExitStack) -> None:
    proxy = net.proxy(server.port)
    publisher = Publisher(server.url, f"/cut/faye/{len(parameters)}")
    closing.callback(publisher.close)
    client = join(closing, "faye", parameters, proxy, publisher.channel)
    identity = client.client_id
    found_its_best(client, carrier)
    for _ in range(2):
        publisher.publish(5)
        assert proxy.cut() > 0
        hears_again(client, publisher)
    heard = [number for _, number in client.received]
    assert heard == sorted(set(heard))
    assert (client.client_id, client.carrier) == (identity, carrier)


def test_half_open_connections_are_found_out_without_loss(server: Server, net: Network,
                                                          closing: ExitStack) -> None:
    publisher = Publisher(server.url, "/half-open")
    closing.callback(publisher.close)
    clients, identities = [], []
    for name, (library, parameters) in ACKNOWLEDGING.items():
        if name == "own-long-polling":
            continue  # it would find out as well, but after twelve seconds
        proxy = net.proxy(server.port)
        clients.append(join(closing, library, parameters, proxy, publisher.channel))
        if library == "cometd":
            clients[-1].call("losePatience", 1000)  # only now: before that it would be an error to be slow
        identities.append(clients[-1].client_id)
    publisher.publish(5)
    for client in clients:
        hears(client, publisher)
    server.settle()
    for proxy in net.proxies:
        assert proxy.stall() > 0
    for _ in range(10):
        publisher.publish(5)  # into the void, as far as the server can tell
    for client in clients:
        hears(client, publisher)
        assert client.received == everything(publisher)
    assert [client.client_id for client in clients] == identities


def test_own_client_polls_while_no_socket_gets_through_and_then_comes_back(
        server: Server, net: Network, closing: ExitStack) -> None:
    proxy = net.proxy(server.port)
    publisher = Publisher(server.url, "/no-sockets")
    closing.callback(publisher.close)
    client = join(closing, "own", {}, proxy, publisher.channel)
    identity = client.client_id
    assert client.carrier == "websocket"
    proxy.refuses_upgrades = True
    proxy.cut()
    publisher.publish(5)
    hears(client, publisher)
    assert client.carrier == "long-polling"
    proxy.refuses_upgrades = False
    until(lambda: publisher.publish(1) or client.carrier == "websocket", client.said, pause=0.1)
    publisher.publish(5)
    hears(client, publisher)
    assert client.received == everything(publisher)
    assert client.client_id == identity


def test_faye_by_eventsource_hears_again_after_a_cut_and_after_a_restart(
        server: Server, net: Network, closing: ExitStack, browser: Chrome) -> None:
    proxy = net.proxy(server.port)
    tab = Tab(browser, f"http://127.0.0.1:{proxy.port}")
    closing.callback(tab.close)
    client = tab.page("faye", proxy.url, {"disable": "websocket"})
    publisher = Publisher(server.url, "/cut/eventsource")
    closing.callback(publisher.close)
    client.connect()
    client.subscribe(publisher.channel)
    identity = client.client_id
    found_its_best(client, "eventsource")
    publisher.publish(1)
    hears(client, publisher)
    assert proxy.cut() > 0
    publisher.publish(1)
    hears(client, publisher)
    assert client.client_id == identity
    server.stop()
    server.start()
    # It learns from its next connect that its session is gone: by then a timeout may have passed.
    successor = Publisher(server.url, publisher.channel)
    closing.callback(successor.close)
    successor.published = publisher.published
    hears_again(client, successor)
    assert client.client_id != identity
    heard = [number for _, number in client.received]
    assert heard == sorted(set(heard))
