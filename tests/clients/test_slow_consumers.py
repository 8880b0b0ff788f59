"""Subscribers that stop reading: theirs does not pile up, and nobody else notices (D-14, G-16, Q-7)."""

import json
import socket
import time
from collections.abc import Iterator
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
        transport: str, server: Server) -> None:
    readers = [Subscriber(server.url, "/all/news", transport, ack=False) for _ in range(READERS[transport])]
    for reader in readers:
        reader.start()
    until(lambda: all(reader.connects for reader in readers), lambda: [reader.refusal for reader in readers])
    stalled = Stalled(server, transport, "/all/**")
    news, load = Publisher(server.url, "/all/news"), Publisher(server.url, "/all/load")
    sent = []
    try:
        for _ in range(3):  # warm up
            news.publish(1)
            sent.append(time.monotonic())
        before, start, memory = server.memory, server.mark(), []
        for _ in range(ROUNDS):
            load.publish_all(LOAD)
            sent.append(time.monotonic())
            news.publish(1)
            memory.append(server.memory)
        until(lambda: all(len(reader.received) == len(sent) for reader in readers),
              lambda: [(len(reader.received), reader.refusal) for reader in readers])
    finally:
        for reader in readers:
            reader.over.set()
        for reader in readers:
            reader.join()
        stalled.close()
        news.close()
        load.close()
    assert all(reader.received == list(range(1, len(sent) + 1)) for reader in readers)
    delays = sorted(came - went for reader in readers for came, went in zip(reader.times, sent, strict=True))
    median, percentile_99 = (delays[len(delays) * share // 100] for share in (50, 99))
    print(f"memory +{(max(memory) - before) / 1e6:.1f} MB, median {1000 * median:.0f} ms, "
          f"99 % in {1000 * percentile_99:.0f} ms, all in {1000 * delays[-1]:.0f} ms")
    assert max(memory) - before < 12_000_000
    assert median < 0.1
    assert delays[-1] < 2
    assert server.notes(start).ended[0] == "overflow"
