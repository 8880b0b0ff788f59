"""A TCP proxy that is as bad as the networks that there are: it cuts, delays, stalls and duplicates.

``Faults`` say what happens to one connection.  A proxy asks for them as each connection comes, by its number,
so that a seed makes the same mishaps again.  Everything runs in one thread beside the test.
"""

import asyncio
import contextlib
import random
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Faults:
    """What happens to one connection; without any it is a good one."""

    up: int | None = None
    """After so many bytes from the client it is over, at the latest."""
    down: int | None = None
    """The same, from the server."""
    stall: float = 0.0
    """So many seconds it then hangs before both sides are told; 0: they are told at once."""
    delay: float = 0.0
    """The longest time that each piece is held up, in seconds."""
    duplicate: bool = False
    """Each POST is sent once more, by a connection of its own, and what comes back there is thrown away."""


def rough(seed: object, most: int) -> Callable[[int], Faults]:
    """Return mishaps of all kinds: no connection lasts; some end before an answer, some within one.

    ``most`` is how many bytes may come by any from the server.
    """

    def choose(number: int) -> Faults:
        chance = random.Random(f"{seed}/{number}")
        size = int(100 * (most / 100) ** chance.random())
        kind = chance.choice(["up", "down", "duplicate"])
        return Faults(
            up=size // 10 if kind == "up" else None,
            down=size if kind != "up" else most,
            stall=chance.choice([0.0, 0.0, 0.1, 0.5]),
            delay=chance.choice([0.0, 0.0, 0.0, 0.03]),
            duplicate=kind == "duplicate",
        )

    return choose


def perfect(number: int) -> Faults:
    return Faults()


@dataclass(eq=False)
class Connection:
    """One connection of a client, and the one that was made to the server for it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    faults: Faults
    server: asyncio.StreamWriter | None = None
    task: asyncio.Task[None] | None = None
    passed: dict[str, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    is_upgraded: bool = False
    is_over: bool = False


class Proxy:
    """A port before that of the server."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int, faults: Callable[[int], Faults]) -> None:
        self.loop = loop
        self.server_port = port
        self.faults = faults
        self.chance = random.Random(0)
        self.connections: set[Connection] = set()
        self.copies: set[asyncio.Task[None]] = set()
        self.accepted = self.cuts = self.duplicated = 0
        self.refuses_upgrades = False
        self.listening: asyncio.Server | None = None

    # -- for tests, in their own thread ---------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/bayeux"

    def cut(self) -> int:
        """Cut the connections that there are; the value is how many."""
        return self._run(self._cut())

    def stall(self) -> int:
        """Let nothing more through the connections that there are, and tell nobody; the value is how many."""
        return self._run(self._stall())

    def heal(self) -> None:
        """Have no mishaps any more: who has had one before is cut, and no copy comes from now on."""
        self._run(self._heal())

    def close(self) -> None:
        self._run(self._close())

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        return future.result(10)

    # -- in the thread of the loop --------------------------------------------------------------

    async def listen(self) -> None:
        self.listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self.listening.sockets[0].getsockname()[1]

    async def _stall(self) -> int:
        for connection in self.connections:
            connection.flowing.clear()
        return len(self.connections)

    async def _cut(self) -> int:
        for connection in self.connections:
            self._end(connection)
        return len(self.connections)

    async def _heal(self) -> None:
        self.faults = perfect
        await self._cut()
        await self._uncopy()

    async def _uncopy(self) -> None:
        """Send what was to be sent once more no more, and take back what is sent."""
        for copy in self.copies:
            copy.cancel()
        await asyncio.gather(*self.copies, return_exceptions=True)

    async def _close(self) -> None:
        self.listening.close()
        await self._cut()
        await self._uncopy()
        await asyncio.gather(*(connection.task for connection in self.connections), return_exceptions=True)

    def _end(self, connection: Connection) -> None:
        """Reset both sides: what they have not read is gone."""
        self.cuts += 1
        connection.is_over = True
        connection.flowing.set()
        for writer in (connection.writer, connection.server):
            if writer is not None:
                writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        connection = Connection(reader, writer, self.faults(self.accepted), task=asyncio.current_task())
        connection.flowing.set()
        self.connections.add(connection)
        try:
            server, connection.server = await asyncio.open_connection("127.0.0.1", self.server_port)
            await asyncio.gather(self._pump(connection, "up", reader, connection.server),
                                 self._pump(connection, "down", server, writer))
        except OSError:
            pass
        finally:
            for each in (writer, connection.server):
                if each is not None:
                    each.transport.abort()
            self.connections.discard(connection)

    async def _pump(self, connection: Connection, way: str, reader: asyncio.StreamReader,
                    writer: asyncio.StreamWriter) -> None:
        faults, request = connection.faults, bytearray()
        while data := await reader.read(65536):
            await connection.flowing.wait()
            if faults.delay:
                await asyncio.sleep(self.chance.uniform(0, faults.delay))
            if connection.is_over:
                return
            if way == "up":
                connection.is_upgraded |= b"\r\nUpgrade: websocket" in data
                if connection.is_upgraded and self.refuses_upgrades:
                    self._end(connection)
                    return
                if faults.duplicate and not connection.is_upgraded:
                    request += data
                    self._copy(request)
            limit = getattr(faults, way)
            if limit is not None and connection.passed[way] + len(data) > limit:
                writer.write(data[:limit - connection.passed[way]])
                await writer.drain()
                await asyncio.sleep(faults.stall)
                self._end(connection)
                return
            connection.passed[way] += len(data)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    def _copy(self, request: bytearray) -> None:
        """Take the complete POSTs out of what has come, and send them once more."""
        while (head := request.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"\r\ncontent-length: *(\d+)", request[:head], re.IGNORECASE)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(request) < end:
                return
            if request.startswith(b"POST"):
                task = self.loop.create_task(self._send_copy(bytes(request[:end])))
                self.copies.add(task)
                task.add_done_callback(self.copies.discard)
            del request[:end]

    async def _send_copy(self, request: bytes) -> None:
        await asyncio.sleep(self.chance.choice([0, 0.001, 0.02]))
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server_port)
            self.duplicated += 1
            try:
                writer.write(request)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(65536), 1.0)
            finally:
                writer.transport.abort()


class Network:
    """A thread for proxies."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.proxies: list[Proxy] = []

    def proxy(self, port: int, faults: Callable[[int], Faults] = perfect) -> Proxy:
        """Open a port before another."""
        proxy = Proxy(self.loop, port, faults)
        asyncio.run_coroutine_threadsafe(proxy.listen(), self.loop).result(10)
        self.proxies.append(proxy)
        return proxy

    def close(self) -> None:
        for proxy in self.proxies:
            proxy.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Have proxies for a while."""
    net = Network()
    try:
        yield net
    finally:
        net.close()
