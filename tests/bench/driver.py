"""The load: very many clients of one server, in a process of its own on one thread.

    python -m tests.bench.driver SPEC

SPEC is JSON, the fields of ``Spec``.  When all clients are live it prints one line of JSON, ``Ready``; then
it reads lines of JSON, each a ``Load`` to be put on the server, and answers each with a line, ``Result``.  It
ends when its input ends.  Meanwhile it does what idle clients do.

The load is open: a message is published when it is due, whatever has become of those before, and its latency
counts from when it was due. It knows nothing of Twisted, so that it has little to do with what it measures.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import sys
import time
from array import array
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench import wire
from tests.bench.peers import (
    Failed,
    FramePeer,
    ManyChannelsPeer,
    Peer,
    PollingPeer,
    RequestPeer,
    WebSocketPeer,
)
from tests.bench.process import cpu_seconds, raise_open_files

WEBSOCKET, POLLING, MANY_CHANNELS = "websocket", "long-polling", "many channels"
PEERS: dict[str, type[Peer]] = {WEBSOCKET: WebSocketPeer, POLLING: PollingPeer, "sends": FramePeer,
                                "requests": RequestPeer, MANY_CHANNELS: ManyChannelsPeer}
_AT_ONCE = 40
"""How many clients are coming to life at a time; the accept queue of a server may be 50."""
_EVENTS = 1024
_STDIN = 0


@dataclass(frozen=True)
class Spec:
    """Who the clients are."""

    port: int
    pid: int
    """The server's, whose CPU time is measured."""
    kind: str
    """One of ``PEERS``."""
    clients: int
    channels: int = 10
    publishers: int = 4
    topic: str = "/bench"
    """Their channels are below it."""
    sample: str = ""
    """What a floor's publisher publishes, or its clients ask: bytes as latin-1."""
    patience: float = 60.0
    """Seconds in which all clients must be live."""


@dataclass(frozen=True)
class Load:
    """What is published."""

    rate: float
    """Deliveries a second, over all clients."""
    seconds: float
    warm: float = 1.0
    """Seconds of the same before, that are not measured."""
    payload: int = 50
    drain: float = 3.0
    """Seconds that late deliveries are waited for."""
    probe: bool = False
    """Whether to look what the server does while an event is on its way."""


@dataclass(frozen=True)
class Ready:
    """All clients are live."""

    seconds: float


@dataclass(frozen=True)
class Result:
    """What came of a load; times in seconds."""

    expected: int
    delivered: int
    in_time: int
    """Those that came before the load ended."""
    unserved: int
    """Subscribers to which not just the events of their channel came, each once."""
    seconds: float
    """How long the load lasted."""
    cpu: float
    """What the server used, from when the measuring began until all had come."""
    driver: float
    """What share of a core the driver used, while the load lasted."""
    p50: float
    p99: float
    worst: float
    work: float
    """The most CPU time that the server used while an event was on its way, if it was looked for."""
    errors: int
    closed: int
    """Both since the load before."""
    sample: str
    """What a subscriber got with one event in it, as it came."""
    request: str
    """What a subscriber by long-polling asks with."""


class Driver:
    """The clients, and the one loop that serves them."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.port = spec.port
        self.topic = spec.topic
        self.errors = self.closed = 0
        self._epoll = select.epoll()  # first, so that select() can wait for its descriptor
        self._peers: dict[int, Peer] = {}
        self._subscribers: list[Peer] = []
        self._publishers: list[Peer] = []
        self._live = 0
        self._epoll.register(_STDIN, select.EPOLLIN)
        self._input = b""
        self._ended = False
        self._sample = spec.sample.encode("latin-1")
        self._latencies = array("q")
        self._from = 0
        """What was due before is not measured."""
        self._probe = False
        self._cpu_at: dict[int, float] = {}
        """What the server had used when a message was published, by when that was due in microseconds."""
        self._work = 0.0

    # -- the loop -------------------------------------------------------------------------------

    def turn(self, seconds: float) -> None:
        """Serve what is ready; wait for that so long at most."""
        if seconds > 0.00005:  # epoll itself waits for whole milliseconds
            select.select([self._epoll.fileno()], [], [], seconds)
        for descriptor, events in self._epoll.poll(0, _EVENTS):
            if descriptor == _STDIN:
                self._read_input()
                continue
            peer = self._peers[descriptor]
            if events & select.EPOLLOUT:
                self._epoll.modify(descriptor, select.EPOLLIN)
                if peer.live or peer.unsent:
                    peer.send_on()
                else:
                    peer.connected()
            if events & ~select.EPOLLOUT and not peer.read():
                self._lost(peer)

    def _read_input(self) -> None:
        data = os.read(_STDIN, 65_536)
        self._input += data
        if not data:
            self._ended = True
            self._epoll.unregister(_STDIN)

    def _lost(self, peer: Peer) -> None:
        if not peer.live:
            raise Failed("a connection was closed before its client was live")
        self.closed += 1
        self._epoll.unregister(peer.sock)
        del self._peers[peer.sock.fileno()]
        peer.sock.close()

    def watch(self, peer: Peer) -> None:
        """Go on sending when the peer's socket takes it."""
        self._epoll.modify(peer.sock, select.EPOLLIN | select.EPOLLOUT)

    # -- coming to life -------------------------------------------------------------------------

    def set_up(self) -> Ready:
        """Let all clients come to life.  Raises ``Failed``."""
        spec, began = self.spec, time.monotonic()
        kind = PEERS[spec.kind]
        total = spec.clients + spec.publishers
        started = 0
        while self._live < total:
            while started < total and started - self._live < _AT_ONCE:
                subscriber = started < spec.clients
                peer = kind(self, started % spec.channels if subscriber else None)
                (self._subscribers if subscriber else self._publishers).append(peer)
                with contextlib.suppress(BlockingIOError):
                    peer.sock.connect(("127.0.0.1", spec.port))
                self._peers[peer.sock.fileno()] = peer
                self._epoll.register(peer.sock, select.EPOLLIN | select.EPOLLOUT)
                started += 1
            self.turn(0.1)
            if time.monotonic() - began > spec.patience:
                raise Failed(f"only {self._live} of {total} clients are live after {spec.patience:g} s")
            if self._ended:
                break
        return Ready(time.monotonic() - began)

    def became_live(self) -> None:
        """Count a peer."""
        self._live += 1

    # -- load -----------------------------------------------------------------------------------

    def arrived(self, text: bytes) -> int:
        """Note the events in what has come; returns how many of them count."""
        at = text.find(wire.DUE)
        if at < 0:
            return 0
        now = time.monotonic_ns()
        before = len(self._latencies)
        while at >= 0:
            at += 7
            due = int(text[at:at + wire.DIGITS]) * 1000
            if due >= self._from:
                self._latencies.append(now - due)
                if self._probe:
                    self._note_work(due // 1000, (now - due) / 1e9)
            at = text.find(wire.DUE, at)
        return len(self._latencies) - before

    def count(self, due: int) -> int:
        """Note an answer to what was asked at a time; returns 1 if it counts."""
        if due < self._from:
            return 0
        self._latencies.append(time.monotonic_ns() - due)
        return 1

    def _note_work(self, due: int, latency: float) -> None:
        """Note what the server has used since an event was published, but no more than that took."""
        began = self._cpu_at.pop(due, None)
        if began is not None:
            self._work = max(self._work, min(latency, cpu_seconds(self.spec.pid) - began))

    def load(self, load: Load) -> Result:
        """Put a load on the server, and tell what came of it."""
        share = self.spec.clients / self.spec.channels
        gap = 1e9 * share / load.rate
        begin = time.monotonic_ns() + 10_000_000
        published, warm = 0, round(load.warm * 1e9 / gap)
        count = warm + max(1, round(load.seconds * 1e9 / gap))
        self._from = (begin + int(warm * gap)) // 1000 * 1000
        stop = begin + int(count * gap)
        self._latencies = array("q")
        for peer in self._subscribers:
            peer.events = 0
        self._probe, self._work = load.probe, 0.0
        self._cpu_at.clear()
        started = False
        own = cpu = 0.0
        while (now := time.monotonic_ns()) < stop and not self._ended:
            if not started and now >= self._from:
                started, own, cpu = True, time.process_time(), cpu_seconds(self.spec.pid)
            due = begin + int(published * gap)
            while due <= now and published < count and self._publish(published, due, load.payload):
                published += 1
                due = begin + int(published * gap)
            late = due <= now  # the publishers are busy
            self.turn((stop if late or published == count else min(due, stop)) / 1e9 - now / 1e9)
        seconds = (time.monotonic_ns() - self._from) / 1e9
        own = time.process_time() - own
        in_time = len(self._latencies)
        due_each = [len(range(warm + (channel - warm) % self.spec.channels, count, self.spec.channels))
                    for channel in range(self.spec.channels)]
        expected = sum(due_each[peer.channel or 0] for peer in self._subscribers)
        end = time.monotonic() + load.drain
        while len(self._latencies) < expected and time.monotonic() < end and not self._ended:
            if published < count and self._publish(published, begin + int(published * gap), load.payload):
                published += 1
            else:
                self.turn(0.01)
        cpu = cpu_seconds(self.spec.pid) - cpu
        times = sorted(self._latencies) or [0]
        sample = next((peer for peer in self._subscribers if peer.sample.count(wire.DUE) == 1), None)
        result = Result(
            expected=expected, delivered=len(self._latencies), in_time=in_time,
            unserved=sum(peer.events != due_each[peer.channel or 0] for peer in self._subscribers),
            seconds=seconds, cpu=cpu, driver=own / seconds,
            p50=times[len(times) // 2] / 1e9, p99=times[int(len(times) * 0.99)] / 1e9,
            worst=times[-1] / 1e9, work=self._work, errors=self.errors, closed=self.closed,
            sample=sample.sample.decode("latin-1") if sample else "",
            request=getattr(sample, "connect", b"").decode("latin-1"),
        )
        self.errors = self.closed = 0
        return result

    def _publish(self, number: int, due: int, size: int) -> bool:
        """Publish the next message; returns False if no publisher can now."""
        channel = number % self.spec.channels
        if self.spec.kind == "requests":  # a floor has no publisher: the clients of a channel ask
            for peer in self._subscribers[channel::self.spec.channels]:
                if isinstance(peer, RequestPeer):
                    peer.ask(self._sample, due)
            return True
        publishers = self._publishers
        for turn in range(len(publishers)):
            peer = publishers[(number + turn) % len(publishers)]
            if not peer.busy:
                if isinstance(peer, FramePeer):
                    peer.publish_frame(channel, wire.stamp(self._sample, due))
                else:
                    if self._probe:
                        self._cpu_at[due // 1000] = cpu_seconds(self.spec.pid)
                    peer.publish(channel, wire.payload(due, size))
                return True
        return False

    # -- orders ---------------------------------------------------------------------------------

    def next_order(self) -> dict[str, Any] | None:
        """Serve the clients until there is an order; returns None if there will be none."""
        while b"\n" not in self._input:
            if self._ended:
                return None
            self.turn(1.0)
        line, _, self._input = self._input.partition(b"\n")
        order: dict[str, Any] = json.loads(line)
        return order


def main(text: str) -> None:
    """Do as the module says."""
    raise_open_files()
    gc.disable()  # nothing here is in cycles that come and go
    driver = Driver(Spec(**json.loads(text)))
    try:
        print(json.dumps(asdict(driver.set_up())), flush=True)
        while (order := driver.next_order()) is not None:
            print(json.dumps(asdict(driver.load(Load(**order)))), flush=True)
    except (Failed, ValueError) as error:
        print(json.dumps({"failed": str(error)}), flush=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(sys.argv[1])
