"""Subscribers that stop reading: theirs does not pile up, and nobody else notices (D-14, G-16, Q-7)."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from bare import Polling, Publisher, Subscriber, WebSocket
from drivers import Server, until

READERS = {"websocket": 50, "long-polling": 20}
ROUNDS = 150
LOAD = [{"text": "x" * 10_000}] * 20
"""What the slow one has to take beside, in each round: 30 MB in all."""


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("slow") / "log", timeout=1.0, max_interval=5.0)
    server.start()
    yield server
    server.stop()


class Stalled:
    """Subscribes and connects, and never reads again."""

    def __init__(self, server: Server, transport: str, pattern: str) -> None:
        self.carrier = WebSocket(server.url, {}) if transport == "websocket" else Polling(server.url, {})
        self.client_id = self._ask(channel="/meta/handshake", version="1.0",
                                   supportedConnectionTypes=[transport])["clientId"]
        self._ask(channel="/meta/subscribe", subscription=pattern)
        connect = {"channel": "/meta/connect", "connectionType": transport}
        self._ask(**connect)
        if transport == "websocket":
            self.carrier.socket.send(self._message(**connect))
        else:
            self.socket = socket.create_connection(("127.0.0.1", server.port))
            body = self._message(**connect)
            self.socket.sendall(b"POST /bayeux HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                                % (server.port, len(body), body.encode()))

    def _message(self, **fields: Any) -> str:
        if fields["channel"] != "/meta/handshake":
            fields["clientId"] = self.client_id
        return json.dumps([{"id": "1", **fields}])

    def _ask(self, **fields: Any) -> dict[str, Any]:
        [[reply]] = self.carrier.exchange(json.loads(self._message(**fields)))
        return reply

    def close(self) -> None:
        self.carrier.close()
        if isinstance(self.carrier, Polling):
            self.socket.close()


@pytest.mark.parametrize("transport", READERS)
def test_a_subscriber_that_stops_reading_costs_neither_memory_nor_the_others_time(
        transport: str, server: Server, closing: ExitStack) -> None:
    """Its queue overflows while events go on coming; the server works no more for the others than before."""
    readers = [Subscriber(server.url, "/all/news", transport, ack=False) for _ in range(READERS[transport])]
    for reader in readers:
        reader.start()
    until(lambda: all(reader.connects for reader in readers), lambda: [reader.refusal for reader in readers])
    news, load = Publisher(server.url, "/all/news"), Publisher(server.url, "/all/load")
    for publisher in (news, load):
        closing.callback(publisher.close)
    memory: list[int] = []

    def rounds(count: int) -> float:
        """Publish news, with a load beside; returns the processor time that the server takes for all."""
        before = server.cpu
        for _ in range(count):
            load.publish_all(LOAD)
            news.publish(1)
            memory.append(server.memory)
        until(lambda: all(len(reader.received) == news.published for reader in readers),
              lambda: [(len(reader.received), reader.refusal) for reader in readers])
        return server.cpu - before

    try:
        rounds(3)  # warm up
        alone = rounds(ROUNDS)
        closing.callback(Stalled(server, transport, "/all/**").close)
        before, start = server.memory, server.mark()
        memory.clear()
        beside = rounds(ROUNDS)
    finally:
        for reader in readers:
            reader.over.set()
        for reader in readers:
            reader.join()
    assert all(reader.received == list(range(1, news.published + 1)) for reader in readers)
    print(f"memory +{(max(memory) - before) / 1e6:.1f} MB, {alone:.2f} s alone, {beside:.2f} s beside")
    assert max(memory) - before < 12_000_000
    assert beside < 2 * alone + 0.5
    assert server.notes(start).ended[0] == "overflow"
