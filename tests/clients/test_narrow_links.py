"""Connections that break before a whole backlog has come: with acknowledgement it gets through."""

import json
from collections.abc import Iterator

import pytest
from bare import Publisher
from drivers import Program, Server, until
from proxy import Faults, Network

ROOM = 30_000
"""Bytes from the server that any connection lets through."""
CLIENTS = {
    "cometd-websocket": ("cometd", {"transports": "websocket", "extensions": "ack"}),
    "cometd-long-polling": ("cometd", {"transports": "long-polling", "extensions": "ack"}),
    "own": ("own", {}),
    "own-long-polling": ("own", {"transports": "long-polling"}),
}


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("narrow") / "log", max_interval=60.0)
    server.start()
    yield server
    server.stop()


def test_a_backlog_gets_through_in_pieces(server: Server, net: Network) -> None:
    channel, clients = "/narrow", {}
    try:
        for name, (library, parameters) in CLIENTS.items():
            proxy = net.proxy(server.port)
            clients[name] = client = Program("node", "programs/node.mjs", library, json.dumps(parameters),
                                             proxy.url)
            client.connect()
            client.subscribe(channel)
            proxy.faults = lambda number: Faults(down=ROOM)
            proxy.cut()
        publisher = Publisher(server.url, channel)
        texts = [f"{number} {'.' * 1000}" for number in range(150)]
        for start in range(0, len(texts), 10):
            publisher.publish_all(texts[start:start + 10])
        publisher.close()
        everything = [(channel, text) for text in texts]
        for (name, client), proxy in zip(clients.items(), net.proxies, strict=True):
            until(lambda: len(client.received) >= len(everything),  # noqa: B023 - called before it goes on
                  lambda: f"{name}: {len(client.received)}, {client.said()}")  # noqa: B023 - as above
            assert client.received == everything, name
            assert proxy.cuts >= 3, f"{name}: it was spared"
    finally:
        for client in clients.values():
            client.close()
