"""A server with clients that must not notice what others send: for what comes by a connection."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

from tests.fakenet import (
    HANDSHAKE,
    HTTP,
    Net,
    WebSocketClient,
    connect,
    event,
    post,
    subscribe,
)
from tests.fuzz.base import BATCH, Target, nothing_fails

ROOM = 8 * 1_048_576
"""Bytes that a batch may take at its worst: a quarter of a megabyte each."""
_MEASURED = 16
"""One batch in so many is measured, as that takes its time."""
CLIENT = b"c" * 27
"""Stands in an input for the id of a session that anybody may use."""


class Peers(Target):
    """A server on a network of its own.  Each input comes by a connection of its own, in pieces.

    After each batch: two bystanders have got an event, one by long-polling and one by WebSocket; nothing was
    logged as a failure; the memory was bounded; connections end in their time, and nothing is left of them.
    """

    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self._batches = 0
        self._begin()

    def _begin(self) -> None:
        self._watch = ExitStack()
        self._watch.enter_context(nothing_fails())
        if self._batches % _MEASURED == 0:
            tracemalloc.start()
            self._watch.callback(tracemalloc.stop)
        self._batches += 1
        self._count = 0
        self.net = Net(allowed_origins=("*",), **self.settings)
        self.net.hub.service("/service/echo", lambda session, data: data)
        self._polling = HTTP(self.net)
        self._polled = self._shake(self._polling)
        self._polling.ask(post(subscribe(self._polled, "/bystanders")))
        self._polling.send(post(connect(self._polled)))
        self._socket = WebSocketClient(self.net)
        [reply] = self._socket.ask(HANDSHAKE)
        self._listening = reply["clientId"]
        self._socket.ask(subscribe(self._listening, "/bystanders"))
        self.anybody = self._shake(HTTP(self.net))

    def _shake(self, http: HTTP) -> str:
        """Make a session that has connected once, without a cookie."""
        [reply] = http.ask(post(HANDSHAKE)).messages
        self.net.session(reply["clientId"]).browser_id = None
        http.ask(post(connect(reply["clientId"])))
        return str(reply["clientId"])

    def run(self, data: bytes) -> None:
        """Take one input."""
        self._count += 1
        output = self.talk(data)
        assert self._polled.encode() not in output
        assert self._listening.encode() not in output
        if self._count == 4 * BATCH:  # whoever drives this has forgotten
            self.settle()

    def talk(self, data: bytes) -> bytes:
        """Send an input by a new connection, check the answers, and return them."""
        raise NotImplementedError

    def wait(self) -> None:
        """Check what becomes of the connections when it is said no more on them."""
        raise NotImplementedError

    def settle(self) -> None:
        """See that nobody else has noticed, and that nothing is left."""
        self._ask_bystanders()
        if tracemalloc.is_tracing():
            _, peak = tracemalloc.get_traced_memory()
            assert peak < ROOM, peak
        self.wait()
        self.net.lose()
        self.net.advance(100)
        net = self.net
        assert not net.ends
        assert not net.site.channels
        assert not net.streams
        assert net.hub.sessions.is_idle()
        assert not net.reactor.getDelayedCalls()
        self._watch.close()
        self._begin()

    def _ask_bystanders(self) -> None:
        self.net.publish(self._batches, "/bystanders")
        [response] = self._polling.responses()
        assert response.messages[0] == event(self._batches, "/bystanders"), response
        assert response.messages[1]["successful"] is True
        assert self._socket.messages() == [event(self._batches, "/bystanders")]


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut an input into pieces, each time the same ones."""
    chance = random.Random(zlib.crc32(data))
    most = chance.choice((1, 7, 64, 1_000, 100_000))
    while data:
        size = chance.randint(1, most)
        if len(data) > 100 * most:
            size = len(data) // 50
        yield data[:size]
        data = data[size:]
