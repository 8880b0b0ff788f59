"""The load: very many clients of one server, in a process of its own on one thread.

    python -m tests.bench.driver SPEC

SPEC is JSON, the fields of ``Spec``.  When all clients are live it prints one line of JSON, ``Ready``; then
it reads lines of JSON, each a ``Load`` to be put on the server, and answers each with a line, ``Result``.  It
ends when its input ends.  Meanwhile it does what idle clients do.

The clients are those of ``bayeux load``; here they also count what a floor sends them.  The load is open: a
message is published when it is due, whatever has become of those before, and its latency counts from when it
was due.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from array import array
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from bayeux.load import LoadError
from bayeux.load import wire as messages
from bayeux.load.client import Client
from bayeux.load.connection import Place
from bayeux.load.loop import Loop
from bayeux.load.machine import cpu_seconds, raise_open_files
from bayeux.load.press import Publisher
from bayeux.load.target import Target
from tests.bench import wire
from tests.bench.peers import Failed, FramePeer, ManyChannels, Peer, RequestPeer, Subscriber

WEBSOCKET, POLLING, MANY_CHANNELS = "websocket", "long-polling", "many channels"
KINDS = (WEBSOCKET, POLLING, MANY_CHANNELS, "sends", "requests")
_AT_ONCE = 40
"""How many clients are coming to life at a time; the accept queue of a server may be 50."""
_STDIN = 0
_LOOK = 50_000_000
_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Spec:
    """Who the clients are."""

    port: int
    pid: int
    """The server's, whose CPU time is measured."""
    kind: str
    """One of ``KINDS``."""
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
        self.topic = spec.topic
        self.mark = wire.DUE
        self.stamp = len(wire.DUE) + wire.DIGITS
        self.ext = ""
        self._loop = Loop()
        self.place = Place(self._loop, Target.of(f"http://127.0.0.1:{spec.port}{wire.MOUNT}"))
        self._loop.add(_STDIN, self)
        self._input = b""
        self._ended = False
        self._peers: list[Subscriber | FramePeer | RequestPeer] = []
        self._publishers: list[Publisher | FramePeer] = []
        self._live = 0
        self._sample = spec.sample.encode("latin-1")
        self._latencies = array("q")
        self._from = 0
        """What was due before is not measured."""
        self._payloads: dict[int, tuple[int, str]] = {}
        """Of each message that is due: its channel, its data."""
        self.problems: Counter[str] = Counter()
        self._probe = False
        self._cpu_at: dict[int, float] = {}
        """What the server had used when a message was published, by when that was due in microseconds."""
        self._work = 0.0

    # -- the loop -------------------------------------------------------------------------------

    def read(self) -> None:
        """Read orders."""
        data = os.read(_STDIN, 65_536)
        self._input += data
        if not data:
            self._ended = True
            self._loop.remove(_STDIN)
        self._loop.leave()

    def write(self) -> None:
        pass

    # -- coming to life -------------------------------------------------------------------------

    def set_up(self) -> Ready:
        """Let all clients come to life.  Raises ``Failed``."""
        spec, began = self.spec, time.monotonic()
        total = spec.clients + spec.publishers
        started = 0
        while self._live < total:
            while started < total and started - self._live < _AT_ONCE:
                self._start(started)
                started += 1
            self._loop.run(self._loop.clock() + _LOOK // 50)
            if time.monotonic() - began > spec.patience:
                raise Failed(f"only {self._live} of {total} clients are live after {spec.patience:g} s")
            if self._ended:
                break
        return Ready(time.monotonic() - began)

    def _start(self, number: int) -> None:
        """Let a client come: first the subscribers, then the publishers."""
        spec = self.spec
        channel = number % spec.channels if number < spec.clients else None
        if spec.kind == "sends":
            frames = FramePeer(self, channel)
            (self._publishers if channel is None else self._peers).append(frames)
            frames.open()
        elif spec.kind == "requests":
            asking = RequestPeer(self, number % spec.channels)
            self._peers.append(asking)
            asking.open()
        elif channel is None:
            publisher = Publisher(self, spec.kind)
            self._publishers.append(publisher)
            publisher.come()
        else:
            subscriber = (ManyChannels(self, WEBSOCKET, channel) if spec.kind == MANY_CHANNELS
                          else Subscriber(self, spec.kind, channel))
            self._peers.append(subscriber)
            subscriber.come()

    # -- what clients tell ----------------------------------------------------------------------

    def became_live(self, peer: Peer | Client) -> None:
        """Count a peer."""
        self._live += 1
        if isinstance(peer, Publisher):
            peer.became_live()
        self._loop.leave()

    def failed(self, peer: Peer | Client, what: str) -> None:
        """Count what went wrong.  Raises ``Failed`` if not all are live yet."""
        if self._live < self.spec.clients + self.spec.publishers:
            raise Failed(f"a client could not come to life: {what}")
        self.problems[what] += 1

    def ended(self, client: Client) -> None:
        pass  # it has failed

    def message(self, client_id: str, number: int) -> str:
        """Return the publish of a message."""
        channel, data = self._payloads.pop(number)
        return messages.publish(client_id, f"{self.topic}/{channel}", data)

    def refuse(self, why: str) -> None:
        """Count a publish that the server did not take."""
        self.problems[why] += 1

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
        for peer in self._peers:
            peer.events = 0
        self._probe, self._work = load.probe, 0.0
        self._cpu_at.clear()
        own = cpu = 0.0
        is_over = False
        while not is_over and not self._ended:
            now = time.monotonic_ns()
            is_over = now >= stop  # what the loop came back late for is published all the same
            while published < count and (is_over or begin + int(published * gap) <= now):
                if published == warm:  # however late: what is measured begins with this message
                    own, cpu = time.process_time(), cpu_seconds(self.spec.pid)
                self._publish(published, begin + int(published * gap), load.payload)
                published += 1
            if not is_over:
                self._loop.run(min(begin + int(published * gap), stop))
        seconds = (time.monotonic_ns() - self._from) / 1e9
        own = time.process_time() - own
        in_time = len(self._latencies)
        due_each = [len(range(warm + (channel - warm) % self.spec.channels, count, self.spec.channels))
                    for channel in range(self.spec.channels)]
        expected = sum(due_each[peer.number or 0] for peer in self._peers)
        end = time.monotonic() + load.drain
        while not self._have_all(expected, due_each) and time.monotonic() < end and not self._ended:
            self._loop.run(self._loop.clock() + _LOOK // 5)
        cpu = cpu_seconds(self.spec.pid) - cpu
        times = sorted(self._latencies) or [0]
        if self._sampled() is None:
            self._sample_one_more(count, load)
        sampled = self._sampled()
        closed = sum(count for what, count in self.problems.items() if "connection" in what)
        result = Result(
            expected=expected, delivered=len(self._latencies), in_time=in_time,
            unserved=sum(peer.events != due_each[peer.number or 0] for peer in self._peers),
            seconds=seconds, cpu=cpu, driver=own / seconds,
            p50=times[len(times) // 2] / 1e9, p99=times[int(len(times) * 0.99)] / 1e9,
            worst=times[-1] / 1e9, work=self._work, errors=self.problems.total() - closed, closed=closed,
            sample=sampled.sample.decode("latin-1") if sampled else "",
            request=sampled.connect.decode("latin-1") if sampled else "",
        )
        self.problems.clear()
        return result

    def _have_all(self, expected: int, due_each: list[int]) -> bool:
        """Say whether each subscriber has got what is due to it; another may have got too much."""
        return len(self._latencies) >= expected and all(
            peer.events >= due_each[peer.number or 0] for peer in self._peers)

    def _sampled(self) -> Subscriber | None:
        """Return somebody who was last sent one event."""
        return next((peer for peer in self._peers if isinstance(peer, Subscriber)
                     and peer.sample.count(wire.DUE) == 1), None)

    def _sample_one_more(self, number: int, load: Load) -> None:
        """Publish once more, which is not measured: if the driver was late all came together."""
        if not any(isinstance(publisher, Publisher) for publisher in self._publishers):
            return
        self._from = sys.maxsize
        self._publish(number, time.monotonic_ns(), load.payload)
        end = time.monotonic() + load.drain
        while self._sampled() is None and time.monotonic() < end and not self._ended:
            self._loop.run(self._loop.clock() + _LOOK // 5)

    def _publish(self, number: int, due: int, size: int) -> None:
        """Publish the next message."""
        channel = number % self.spec.channels
        if self.spec.kind == "requests":  # a floor has no publisher: the clients of a channel ask
            for peer in self._peers[channel::self.spec.channels]:
                if isinstance(peer, RequestPeer):
                    peer.ask(self._sample, due)
            return
        publisher = self._publishers[number % len(self._publishers)]
        if isinstance(publisher, FramePeer):
            publisher.publish(channel, wire.stamp(self._sample, due))
        else:
            if self._probe:
                self._cpu_at[due // 1000] = cpu_seconds(self.spec.pid)
            self._payloads[number] = channel, wire.payload(due, size)
            publisher.publish(number)

    # -- orders ---------------------------------------------------------------------------------

    def next_order(self) -> dict[str, Any] | None:
        """Serve the clients until there is an order; returns None if there will be none."""
        while b"\n" not in self._input:
            if self._ended:
                return None
            self._loop.run(self._loop.clock() + _SECOND)
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
    except (Failed, LoadError, ValueError) as error:
        print(json.dumps({"failed": str(error)}), flush=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(sys.argv[1])
