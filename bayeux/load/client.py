"""One Bayeux client of the driver: how it comes to life, stays alive, goes and comes back.

A client is live when its subscription is acknowledged and its connect is on the way.  It does not wait for
the reply to the first connect: some servers hold that like any other (BAYEUX.md section 26).
"""

from __future__ import annotations

import enum
import random
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from bayeux.load import replies, wire
from bayeux.load.connection import Place
from bayeux.load.posts import Posts
from bayeux.load.replies import NotBayeux, Reply
from bayeux.load.websocket import WebSocket

_SUCCESSFUL = b'"successful"'
_PATIENCE = 1.0
_MOST_PATIENCE = 5.0


class State(enum.Enum):
    """Where a client is in its life."""

    AWAY = "away"
    SHAKING_HANDS = "handshake"
    SUBSCRIBING = "subscribe"
    LIVE = "live"
    OVER = "over"
    """The server has told it not to come back."""


class Crew(Protocol):
    """Who the clients belong to."""

    place: Place
    mark: bytes
    """What every event of the run has in it."""
    stamp: int
    """Bytes, from the mark on, in which one event differs from another."""
    ext: str
    """JSON, the ext of each handshake; or empty."""

    def became_live(self, client: Client) -> None:
        """Learn that a client is subscribed."""

    def failed(self, client: Client, what: str) -> None:
        """Learn that something went wrong."""

    def ended(self, client: Client) -> None:
        """Learn that the server has told a client to stay away."""


class Client:
    """A client with one subscription, or none."""

    CARRIERS: ClassVar[Mapping[str, type[Posts | WebSocket]]] = {
        "long-polling": Posts, "websocket": WebSocket}
    """By what each kind of client sends and receives."""

    __slots__ = ("_advised", "_failures", "_interval", "_life", "carrier", "channel", "client_id", "connect",
                 "crew", "is_resumed", "kind", "pause", "since", "state")

    def __init__(self, crew: Crew, kind: str, channel: str = "") -> None:
        self.crew = crew
        self.kind = kind
        self.channel = channel
        """What it subscribes to; empty for nothing."""
        self.carrier: Posts | WebSocket = self.CARRIERS[kind](crew.place, self)
        self.client_id = ""
        self.state = State.AWAY
        self.since = 0
        """When it began to come to life, on the loop's clock, by the first attempt; 0 before that."""
        self.pause = 0.0
        """Seconds between what it has read and the next: it is a slow reader."""
        self.connect = b""
        """A connect, as it is sent."""
        self._interval = self._advised = 0.0
        self._failures = 0
        self._life = 0
        """Counts its lives, so that a timer of an earlier one does nothing."""
        self.is_resumed = False
        """Whether it has come back with the session that it had."""

    # -- coming and going -----------------------------------------------------------------------

    def come(self, resume: bool = False) -> None:
        """Come to life; with the session that there was, or with a new one."""
        self._life += 1
        self.since = self.since or self.crew.place.loop.clock()
        old = self.carrier
        old.close()
        self.carrier = self.CARRIERS[self.kind](self.crew.place, self)
        self.carrier.slow = self.pause > 0
        self.is_resumed = resume and bool(self.client_id)
        if self.is_resumed and isinstance(self.carrier, Posts) and isinstance(old, Posts):
            self.carrier.cookies = old.cookies
        self.state = State.SHAKING_HANDS
        self.carrier.begin()

    def go(self, reset: bool = False) -> None:
        """Let go of the connection, without a word."""
        self._life += 1
        self.since = 0
        self.state = State.AWAY
        self.carrier.close(reset)

    def disconnect(self) -> None:
        """Say good-bye, and go."""
        if self.client_id and self.state is State.LIVE:
            farewell = wire.disconnect(self.client_id)
            if isinstance(self.carrier, Posts):  # the connection waits for its connect: use another
                Farewell(self.crew.place, self.carrier).post(farewell)
            else:
                self.carrier.post(farewell)
        self.client_id = ""
        self.go()

    def come_after(self, seconds: float, resume: bool = False) -> None:
        """Come back after a time, unless something else becomes of the client meanwhile."""
        life = self._life

        def come() -> None:
            if self._life == life:
                self.come(resume)

        self.crew.place.loop.after(seconds, come)

    def _retry(self, what: str, resume: bool = False, interval: float = 0.0, once: bool = False) -> None:
        """Begin again after something went wrong: soon the first time, if it is worth it, then later."""
        self.crew.failed(self, what)
        self._failures += 1
        since = 0 if self.state is State.LIVE else self.since
        self.go()
        self.since = since
        if once and self._failures == 1:
            wait = interval
        else:
            wait = max(interval, min(_MOST_PATIENCE, self._failures * _PATIENCE) * random.uniform(0.5, 1))
        self.come_after(wait, resume)

    # -- what its carrier tells -----------------------------------------------------------------

    def opened(self) -> None:
        """Begin: envelopes can be sent."""
        if self.is_resumed:
            self._become_live()
        else:
            self.carrier.post(wire.handshake(self.carrier.connection_type, self.crew.ext))

    def gone(self, why: str) -> None:
        """Come back, by another connection."""
        if self.state is State.LIVE:
            self._retry(why, resume=True, once=not why.startswith("HTTP"))
        elif self.state is not State.OVER:
            self._retry(f"{self.state.value}: {why}")

    def received(self, text: bytes) -> None:
        """Take an envelope."""
        if self.state is not State.LIVE:
            self._understand(text)
            return
        at = text.find(self.crew.mark)
        if at >= 0:
            self.arrived(text, at)
        carrier = self.carrier
        if carrier.pushes:
            if at < 0 or _SUCCESSFUL in text:
                self._understand(text)
            return
        messages = self._understand(text)
        if self.state is State.LIVE:
            if not _has_connect(messages):
                self._retry("connect: an answer without its reply", resume=True)
            elif at >= 0 and len(messages) == 2 and carrier.awaits_answer:
                carrier.remember(text[at:at + self.crew.stamp], self.again)

    def again(self, response: bytes, at: int) -> None:
        """Take a response that means what an earlier one meant: an event, and that it is to connect again."""
        self.arrived(response, at)
        self.carrier.transmit(self.connect)

    def _understand(self, text: bytes) -> Sequence[Reply]:
        """Do what the server's replies ask for; returns all messages."""
        try:
            messages = replies.decode(text)
        except NotBayeux as error:
            self._retry(str(error))
            return ()
        for message in messages:
            if message.successful is not None:
                self._replied(message)
        return messages

    # -- what the server says -------------------------------------------------------------------

    def _replied(self, reply: Reply) -> None:
        channel = reply.channel
        if channel == wire.CONNECT:
            if self.state is State.LIVE:
                self._connected(reply)
        elif channel == wire.HANDSHAKE:
            if self.state is State.SHAKING_HANDS:
                self._handshaken(reply)
        elif channel == wire.SUBSCRIBE:
            if self.state is State.SUBSCRIBING:
                self._subscribed(reply)
        elif channel == wire.DISCONNECT:
            if self.state is State.LIVE:
                self._retry("disconnected by the server")
        else:
            self.published(reply)

    def arrived(self, text: bytes, at: int) -> None:
        """Take the events in what has come; the first one's mark is there.  This client wants none."""

    def published(self, reply: Reply) -> None:
        """Take the reply to a publish; this client makes none."""

    def _handshaken(self, reply: Reply) -> None:
        if not reply.successful or not reply.client_id:
            self._refused("handshake", reply)
            return
        self.client_id = reply.client_id
        if self.channel:
            self.state = State.SUBSCRIBING
            self.carrier.post(self.subscription())
        else:
            self._become_live()

    def subscription(self) -> str:
        """Return what it subscribes with."""
        return wire.subscribe(self.client_id, self.channel)

    def _subscribed(self, reply: Reply) -> None:
        if reply.successful:
            self._become_live()
        else:
            self._refused("subscribe", reply)

    def _become_live(self) -> None:
        self.state = State.LIVE
        self.carrier.settle()
        self.connect = self.carrier.prepare(wire.connect(self.client_id, self.carrier.connection_type))
        self.carrier.transmit(self.connect)
        self.crew.became_live(self)
        if self.pause and self.carrier.pushes:
            self._read_slowly()

    def _connected(self, reply: Reply) -> None:
        advice = reply.advice
        if advice is not None and advice.interval is not None and advice.interval != self._advised:
            self._advised = advice.interval
            self._interval = max(0.0, advice.interval / 1000)
        if not reply.successful:
            self._refused("connect", reply)
        elif advice is not None and advice.reconnect == "none":
            self._end("connect: told not to come back")
        else:
            self._failures = 0
            wait = self._interval if self.carrier.pushes else self._interval or self.pause
            if wait:
                self._connect_later(wait)
            else:
                self.carrier.transmit(self.connect)

    def _connect_later(self, seconds: float) -> None:
        life = self._life

        def connect() -> None:
            if self._life == life:
                self.carrier.transmit(self.connect)

        self.crew.place.loop.after(seconds, connect)

    def _refused(self, what: str, reply: Reply) -> None:
        advice = reply.advice or replies.Advice()
        text = f"{what}: {replies.reason(reply)}"
        interval = max(0.0, (advice.interval or 0) / 1000)
        if advice.reconnect == "none":
            self._end(text)
        elif what == "connect" and advice.reconnect == "retry":
            self.crew.failed(self, text)
            self._connect_later(max(interval, _PATIENCE))
        else:
            self._retry(text, interval=interval, once=what == "connect")

    def _end(self, why: str) -> None:
        """Stay away, as the server says."""
        self.crew.failed(self, why)
        self.go()
        self.state = State.OVER
        self.crew.ended(self)

    # -- reading slowly -------------------------------------------------------------------------

    def _read_slowly(self) -> None:
        """Read once in a while only; by long-polling a slow reader asks late instead."""
        life = self._life
        loop = self.crew.place.loop

        def rest() -> None:
            if self._life == life:
                self.carrier.pause()
                loop.after(self.pause, read)

        def read() -> None:
            if self._life == life:
                self.carrier.resume()
                loop.after(0.02, rest)

        rest()


def _has_connect(messages: Sequence[Reply]) -> bool:
    """Say whether there is a reply to a connect; nearly always it is the last message."""
    return bool(messages) and (messages[-1].channel == wire.CONNECT
                               or any(message.channel == wire.CONNECT for message in messages))


class Farewell:
    """Takes one request by a connection of its own, whatever is answered; the loop is left then."""

    def __init__(self, place: Place, like: Posts) -> None:
        self._posts = Posts(place, self, like.cookies)
        self._loop = place.loop

    def post(self, text: str) -> None:
        """Send, and close when it is answered."""
        self._posts.post(text)

    def opened(self) -> None:
        pass

    def received(self, text: bytes) -> None:
        self.gone("")

    def gone(self, why: str) -> None:
        self._posts.close()
        self._loop.leave()
