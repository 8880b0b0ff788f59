"""A client's machine on a clock, without transports: what it sends is here, and what it hears is made up."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock

from bayeux.client import effects
from bayeux.client.errors import ConnectionFailed, TransportError
from bayeux.client.machine import Machine
from bayeux.client.outbox import Request
from bayeux.client.settings import ClientSettings
from bayeux.client.states import State

POLLING, WEBSOCKET = "long-polling", "websocket"
STREAMS = {POLLING: False, WEBSOCKET: True}
ADVICE = {"reconnect": "retry", "interval": 0, "timeout": 30_000}
LOST = ConnectionFailed("cut")


class Sent:
    """One envelope that the machine has sent."""

    def __init__(self, effect: effects.Send) -> None:
        self.transport = effect.transport
        self.number = effect.number
        self.messages = json.loads(effect.envelope)

    @property
    def message(self) -> dict[str, Any]:
        [message] = self.messages
        return message

    @property
    def channels(self) -> list[str]:
        return [message["channel"] for message in self.messages]

    def __repr__(self) -> str:
        return f"{self.number} by {self.transport}: {self.messages}"


class Driven:
    """A machine, and what it has wanted; ``random`` is always 1, so that back-offs are what is due."""

    def __init__(self, *transports: str, settings: dict[str, Any] | None = None, ext: Any = None,
                 **options: Any) -> None:
        self.clock = Clock()
        options.setdefault("random", lambda: 1.0)
        self.machine = Machine([(name, STREAMS[name]) for name in transports or (POLLING,)],
                               ClientSettings(**settings or {}), **options)
        self.timers: dict[effects.Timer, Any] = {}
        self.ext = ext
        self.asked: list[int] = []
        self.answers_asks = True
        self.sent: list[Sent] = []
        """What was sent and neither answered nor aborted."""
        self.opening: list[str] = []
        self.open: set[str] = set()
        self.closed: list[str] = []
        self.aborted: list[int] = []
        self.changes: list[tuple[State, Exception | None]] = []
        self.events: list[Any] = []
        self.settled: dict[Request, Any] = {}
        self.topics: list[tuple[str, str]] = []
        self.refused: list[Exception] = []
        self.reported: list[Exception] = []

    # -- driving --------------------------------------------------------------------------------

    def run(self) -> None:
        while wanted := self.machine.take():
            for effect in wanted:
                self.do(effect)

    def do(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Send(transport, number, _):
                assert not STREAMS[transport] or transport in self.open, "it is not open"
                self.sent.append(Sent(effect))
            case effects.Abort(_, number):
                self.aborted.append(number)
                self.sent = [sent for sent in self.sent if sent.number != number]
            case effects.Start(timer, delay):
                self.stop(timer)
                self.timers[timer] = self.clock.callLater(delay, self.due, timer)
            case effects.Stop(timer):
                assert timer in self.timers, "it does not run"
                self.stop(timer)
            case effects.Open(transport):
                assert transport not in self.open
                self.opening.append(transport)
            case effects.Close(transport):
                self.closed.append(transport)
                self.vanish(transport)
            case effects.Ask(number):
                self.asked.append(number)
                if self.answers_asks:
                    self.machine.greet(number, self.ext)
            case effects.Changed(change):
                self.changes.append((change.state, change.reason))
            case effects.Deliver(message):
                self.events.append((message["channel"], message["data"]))
            case effects.Settled(request, outcome):
                assert request not in self.settled, "it is settled already"
                self.settled[request] = outcome
            case effects.Subscribed(topic):
                self.topics.append(("subscribed", topic.name))
            case effects.Left(topic):
                self.topics.append(("left", topic.name))
            case effects.Unsubscribable(topic, reason):
                self.topics.append(("refused", topic.name))
                self.refused.append(reason)
            case effects.Report(error):
                self.reported.append(error)

    def stop(self, timer: effects.Timer) -> None:
        call = self.timers.pop(timer, None)
        if call is not None:
            call.cancel()

    def due(self, timer: effects.Timer) -> None:
        del self.timers[timer]
        self.machine.due(timer)
        self.run()

    def vanish(self, transport: str) -> None:
        self.open.discard(transport)
        self.opening = [name for name in self.opening if name != transport]
        if STREAMS[transport]:
            self.sent = [sent for sent in self.sent if sent.transport != transport]

    def do_(self, name: str, *arguments: Any) -> None:
        """Call a method of the machine, and do what it then wants."""
        getattr(self.machine, name)(*arguments)
        self.run()

    # -- the network ----------------------------------------------------------------------------

    def opened(self, transport: str = WEBSOCKET) -> None:
        self.opening.remove(transport)
        self.open.add(transport)
        self.do_("opened", transport)

    def lose(self, transport: str = WEBSOCKET, reason: TransportError = LOST) -> None:
        self.vanish(transport)
        self.do_("lost", transport, reason)

    def fail(self, sent: Sent, reason: TransportError = LOST) -> None:
        self.sent.remove(sent)
        self.do_("failed", sent.number, reason)

    def hear(self, *messages: Any, by: str = POLLING) -> None:
        self.do_("received", by, list(messages))

    def answer(self, sent: Sent, *messages: Any) -> None:
        """Answer an envelope; what has no ``id`` gets that of the message on its channel."""
        self.sent.remove(sent)
        ids = {message["channel"]: message["id"] for message in reversed(sent.messages)}
        told = [{"id": ids[message["channel"]], **message}
                if "successful" in message and message["channel"] in ids else message for message in messages]
        self.hear(*told, by=sent.transport)
        if not STREAMS[sent.transport]:
            self.do_("ended", sent.number)

    def end(self, sent: Sent, *messages: Any) -> None:
        """Answer a poll with just that, whatever it is."""
        self.sent.remove(sent)
        self.hear(*messages, by=sent.transport)
        self.do_("ended", sent.number)

    def agree(self, sent: Sent, *events: Any, **fields: Any) -> None:
        """Answer an envelope with success for each of its messages, after the events."""
        replies = [{"channel": message["channel"], "id": message["id"], "successful": True, **fields}
                   for message in sent.messages]
        for reply, message in zip(replies, sent.messages, strict=True):
            if "subscription" in message:
                reply["subscription"] = message["subscription"]
        self.answer(sent, *events, *replies)

    # -- what is usual --------------------------------------------------------------------------

    def last(self, channel: str) -> Sent:
        """The newest unanswered envelope with a message of that channel."""
        return next(sent for sent in reversed(self.sent) if channel in sent.channels)

    def has(self, channel: str) -> bool:
        return any(channel in sent.channels for sent in self.sent)

    def greet(self, client_id: str = "C1", **fields: Any) -> None:
        """Answer the handshake."""
        handshake = self.last("/meta/handshake")
        self.answer(handshake, {
            "channel": "/meta/handshake", "successful": True, "clientId": client_id, "version": "1.0",
            "supportedConnectionTypes": [WEBSOCKET, POLLING], "advice": ADVICE, **fields})

    def connect(self, *events: Any, **fields: Any) -> None:
        """Answer the newest connect."""
        self.agree(self.last("/meta/connect"), *events, **fields)

    def start(self, **fields: Any) -> Driven:
        """Be connected, the second connect being held."""
        self.do_("start")
        if self.opening:
            self.opened()
        self.greet(**fields)
        self.connect(advice=ADVICE)
        return self

    def turn(self) -> None:
        self.clock.advance(0)

    def publish(self, data: Any = 1, channel: str = "/a", **options: Any) -> Request:
        request = Request(channel, {"data": data}, len(json.dumps(data)), **options)
        self.do_("publish", request)
        return request

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def connects(self) -> list[Sent]:
        return [sent for sent in self.sent if "/meta/connect" in sent.channels]

    @property
    def requests(self) -> list[Sent]:
        return [sent for sent in self.sent
                if not {"/meta/connect", "/meta/handshake"} & set(sent.channels)]


def refusal(channel: str, error: str, **fields: Any) -> dict[str, Any]:
    return {"channel": channel, "successful": False, "error": error, **fields}
