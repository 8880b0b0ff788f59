"""Random lives of sessions, checked against a model: nothing lost, nothing twice, nothing left behind.

Clients shake hands, connect, publish, open streams, lose their connections, fall silent and leave, in any
order.  The model knows what each client must have got: every event published while it was subscribed, in
order, as long as its session lives (D-9, D-13, N-1, Q-*).
"""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bayeux.channels import matches
from bayeux.session import Stream
from tests.client import Carrier, Client, World

PATTERNS = st.sampled_from(["/a", "/b/c", "/b/*", "/b/**", "/**", "/*"])
CHANNELS = st.sampled_from(["/a", "/b", "/b/c", "/b/c/d"])
PEERS = st.integers(0, 2)
LAZY = "/b/c/d"


class Peer:
    """What one client is owed, and what it has got."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.patterns: set[str] = set()
        self.owed: list[int] = []
        self.got: list[int] = []
        self.carriers: list[Carrier] = []
        self.streams: list[Listening] = []
        """Those that are open."""

    def collect(self) -> None:
        """Read the responses that have been written."""
        for carrier in self.carriers:
            for message in carrier.messages or ():
                if "data" in message:
                    self.got.append(message["data"])
        self.carriers = [carrier for carrier in self.carriers if carrier.held]

    def sent(self, carrier: Carrier) -> None:
        """Keep track of an exchange."""
        self.carriers.append(carrier)
        self.collect()


class Listening(Stream):
    """A client's EventSource, or socket: it takes one event after the other, unless it is congested."""

    __slots__ = ("peer",)

    def __init__(self, peer: Peer, connection_type: str) -> None:
        super().__init__(connection_type, browser_id=peer.client.link.browser_id)
        self.peer = peer

    def push(self) -> None:
        assert self in self.peer.streams
        self.peer.collect()  # what has been written before
        while not self.congested and self.session is not None and self.session.queue.events:
            assert self.session is self.peer.client.session
            self.peer.got += [msgspec.json.decode(event.data) for event in self.session.take(1)]

    def unbound(self, moved: bool) -> None:
        assert self.session is None
        self.peer.streams.remove(self)


class Sessions(RuleBasedStateMachine):
    """Three clients, each with one session after another.

    The end of a reactor turn is a step of its own, so that a publish and a loss may share one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.world = World(timeout=30.0, max_interval=10.0, sweep_period=1.0, max_sessions_per_browser=2,
                           connection_types=("eventsource", "long-polling", "callback-polling"),
                           lazy_channels={LAZY: 5.0}, max_queue=100_000)
        self.everybody: list[Peer] = []
        self.number = 0
        self.peers = [self.newcomer(None, False, "/**"), self.newcomer("b", False, "/b/**"),
                      self.newcomer("b", True, "/a")]

    def newcomer(self, browser: str | None, serial: bool, pattern: str) -> Peer:
        peer = Peer(self.world.client(browser, serial))
        self.everybody.append(peer)
        self.subscribe_peer(peer, pattern)
        return peer

    def subscribe_peer(self, peer: Peer, pattern: str) -> None:
        alive = peer.client.session.alive
        peer.sent(peer.client.send(peer.client.message("/meta/subscribe", subscription=pattern)))
        if alive:
            peer.patterns.add(pattern)

    def collect(self) -> None:
        for peer in self.everybody:
            peer.collect()

    def owe(self, channel: str) -> None:
        self.number += 1
        for peer in self.everybody:
            if peer.client.session.alive and any(matches(p, channel) for p in peer.patterns):
                peer.owed.append(self.number)

    @precondition(lambda self: any(not peer.client.session.alive for peer in self.peers))
    @rule(browser=st.sampled_from([None, "a", "b"]), serial=st.booleans(), pattern=PATTERNS)
    def handshake(self, browser: str | None, serial: bool, pattern: str) -> None:
        index = next(i for i, peer in enumerate(self.peers) if not peer.client.session.alive)
        self.peers[index] = self.newcomer(browser, serial, pattern)

    @rule(index=PEERS, pattern=PATTERNS)
    def subscribe(self, index: int, pattern: str) -> None:
        self.subscribe_peer(self.peers[index], pattern)

    @rule(index=PEERS, pattern=PATTERNS)
    def unsubscribe(self, index: int, pattern: str) -> None:
        peer = self.peers[index]
        peer.sent(peer.client.send(peer.client.message("/meta/unsubscribe", subscription=pattern)))
        peer.patterns.discard(pattern)

    @rule(index=PEERS, timeout=st.sampled_from([None, None, 0, 3000]))
    def connect(self, index: int, timeout: int | None) -> None:
        peer = self.peers[index]
        carrier = peer.client.connect(**({} if timeout is None else {"advice": {"timeout": timeout}}))
        peer.collect()  # the older one, if there was one, is answered first
        peer.sent(carrier)

    @rule()
    def everybody_connects(self) -> None:
        for index in range(3):
            if not self.peers[index].carriers:
                self.connect(index, None)

    @rule(index=PEERS, channel=CHANNELS)
    def publish(self, index: int, channel: str) -> None:
        peer = self.peers[index]
        if peer.client.session.alive:
            self.owe(channel)
        carrier = peer.client.send(peer.client.message(channel, data=self.number))
        self.collect()
        peer.sent(carrier)

    @rule(channel=CHANNELS)
    def publish_from_the_server(self, channel: str) -> None:
        self.owe(channel)
        self.world.hub.publish(channel, self.number)
        self.collect()

    @rule(index=PEERS)
    def lose_the_connection(self, index: int) -> None:
        for carrier in self.peers[index].carriers:
            carrier.lose()
        self.peers[index].collect()

    @rule(index=PEERS)
    def beat(self, index: int) -> None:
        """Connect by the name of EventSource, whether there is one or not (F-5)."""
        peer = self.peers[index]
        carrier = peer.client.connect(connectionType="eventsource")
        peer.collect()
        peer.sent(carrier)

    @rule(index=PEERS, connection_type=st.sampled_from(["eventsource", "websocket"]))
    def open_a_stream(self, index: int, connection_type: str) -> None:
        peer = self.peers[index]
        if peer.client.session.alive:
            stream = Listening(peer, connection_type)
            peer.streams.append(stream)
            self.world.hub.sessions.bind(peer.client.session, stream)

    @rule(index=PEERS)
    def hear_late_of_a_stream(self, index: int) -> None:
        """As Faye does when its browser is slow."""
        self.open_a_stream(index, "eventsource")
        self.connect(index, 0)

    @rule(index=PEERS)
    def lose_the_stream(self, index: int) -> None:
        for stream in tuple(self.peers[index].streams):
            self.peers[index].streams.remove(stream)
            self.world.hub.sessions.unbind(stream)
            assert stream.session is None

    @rule(index=PEERS, congested=st.booleans())
    def congest(self, index: int, congested: bool) -> None:
        for stream in self.peers[index].streams:
            stream.congested = congested
            assert stream.session is not None
            if not congested:
                self.world.hub.sessions.dispatch(stream.session)
        self.collect()

    @rule()
    def turn(self) -> None:
        self.world.turn()
        self.collect()

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 9.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.collect()

    @rule(index=PEERS, how=st.sampled_from(["client", "server"]))
    def leave(self, index: int, how: str) -> None:
        peer = self.peers[index]
        if how == "server":
            peer.client.session.disconnect()
        else:
            peer.sent(peer.client.send(peer.client.message("/meta/disconnect")))
        peer.collect()
        assert not peer.client.session.alive
        assert not peer.carriers

    @invariant()
    def everything_is_delivered_once_and_in_order(self) -> None:
        for peer in self.everybody:
            session = peer.client.session
            queued = [msgspec.json.decode(event.data) for event in session.queue.events]
            if session.alive:
                assert peer.got + queued == peer.owed
            else:
                assert peer.got == peer.owed[:len(peer.got)]
                assert not queued

    @invariant()
    def at_most_one_connect_is_held(self) -> None:
        for peer in self.everybody:
            assert len(peer.carriers) <= 1
            assert not peer.carriers or peer.client.session.alive

    @invariant()
    def at_most_one_stream_is_open(self) -> None:
        for peer in self.everybody:
            assert len(peer.streams) <= 1
            assert not peer.streams or peer.client.session.alive
            assert peer.client.session.stream in (None, *peer.streams)

    @invariant()
    def nothing_waits_that_could_go(self) -> None:
        """At the end of a turn."""
        if not self.world.clock.getDelayedCalls() or self.world.clock.getDelayedCalls()[0].getTime() > (
                self.world.clock.seconds()):
            for peer in self.everybody:
                session = peer.client.session
                takes = peer.carriers if session.stream is None else not session.stream.congested
                if takes and session.lazy_until is None:
                    assert not session.queue.events

    @invariant()
    def holds_are_counted_by_browser(self) -> None:
        held = Counter(peer.client.session.browser_id for peer in self.everybody if peer.carriers)
        del held[None]
        assert self.world.hub.sessions.holds.by_browser == held
        assert all(count <= 2 for count in held.values())

    def teardown(self) -> None:
        """Everybody falls silent: nothing may be left."""
        self.world.clock.pump([1.0] * 60)
        self.collect()
        sessions = self.world.hub.sessions
        assert len(sessions) == 0
        assert sessions.is_idle()
        assert self.world.clock.getDelayedCalls() == []


Sessions.TestCase.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestSessions = Sessions.TestCase
