"""extensions: what looks at messages, replies and events on their way (BAYEUX.md section 19, XG-*)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from bayeux import BayeuxError, Link, Policy, Session
from bayeux.extensions import Call, Extension
from bayeux.messages import NO_CHANNEL, Event, Message, Reply
from bayeux.session import Release, State
from tests.client import Carrier, Client, World

HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}


def plain(**settings: Any) -> World:
    """Make a world without the server's own extensions."""
    return World(extensions=(), **settings)


def events(carrier: Carrier) -> list[Any]:
    """Return the data of the events in a response."""
    assert carrier.messages is not None, "there is no response yet"
    return [message["data"] for message in carrier.messages if "data" in message]


class Tracing(Extension):
    """Notes what it is called for."""

    def __init__(self, name: str, trace: list[str]) -> None:
        self.name = name
        self.trace = trace

    def incoming(self, call: Call) -> None:
        self.trace.append(f"{self.name} in {call.message.channel}")

    def outgoing(self, reply: Reply, call: Call) -> None:
        self.trace.append(f"{self.name} out {reply.channel}")

    def publishing(self, event: Event, call: Call | None) -> None:
        self.trace.append(f"{self.name} publishing {event.channel}")

    def delivering(self, event: Event, session: Session) -> Event:
        self.trace.append(f"{self.name} delivering {event.channel}")
        return event


class Incoming(Extension):
    """Answers ``incoming`` for one channel as it is told."""

    def __init__(self, verdict: Callable[[Call], object], channel: str = "/a") -> None:
        self.verdict = verdict
        self.channel = channel

    def incoming(self, call: Call) -> object:
        return self.verdict(call) if call.message.channel == self.channel else None


class Outgoing(Extension):
    """Answers ``outgoing`` for one channel as it is told."""

    def __init__(self, verdict: Callable[[Reply], object], channel: str = "/a") -> None:
        self.verdict = verdict
        self.channel = channel

    def outgoing(self, reply: Reply, call: Call) -> object:
        return self.verdict(reply) if reply.channel == self.channel else None


class Delivering(Extension):
    """Decides what a session gets of an event as it is told."""

    def __init__(self, decide: Callable[[Event], Any]) -> None:
        self.decide = decide

    def delivering(self, event: Event, session: Session) -> Any:
        return self.decide(event)


class Slow(Extension):
    """Thinks about every event, one after the other, until it is told what to deliver."""

    def __init__(self) -> None:
        self.thinking: list[tuple[Event, Deferred[Event | None]]] = []
        self.seen = 0

    def delivering(self, event: Event, session: Session) -> Awaitable[Event | None]:
        self.seen += 1
        decision: Deferred[Event | None] = Deferred()
        self.thinking.append((event, decision))
        return decision

    def decide(self) -> None:
        """Let the oldest event pass."""
        event, decision = self.thinking.pop(0)
        decision.callback(event)


def raising(error: Exception) -> Callable[[Any], object]:
    def verdict(_: Any) -> object:
        raise error
    return verdict


def coroutine(result: object) -> Callable[[Any], object]:
    async def verdict(_: Any) -> object:
        await succeed(None)
        if isinstance(result, Exception):
            raise result
        return result
    return verdict


def deferring(result: object) -> Callable[[Any], object]:
    return lambda _: fail(result) if isinstance(result, Exception) else succeed(result)


def at_once(result: object) -> Callable[[Any], object]:
    return raising(result) if isinstance(result, Exception) else lambda _: result


WAYS = [pytest.param(at_once, id="now"), pytest.param(deferring, id="Deferred"),
        pytest.param(coroutine, id="coroutine")]
"""How a hook may come to a result."""


class TestOrder:
    """XG-3."""

    def test_incoming_as_added_and_outgoing_in_reverse(self) -> None:
        """Server-wide ones are the outer ones, a session's own the inner ones."""
        world, trace = plain(), []
        client = world.client()
        world.hub.add_extension(Tracing("1", trace))
        world.hub.add_extension(Tracing("2", trace))
        client.session.extensions += (Tracing("own 1", trace), Tracing("own 2", trace))
        client.subscribe("/a")
        assert trace == [f"{name} in /meta/subscribe" for name in ("1", "2", "own 1", "own 2")] + [
            f"{name} out /meta/subscribe" for name in ("own 2", "own 1", "2", "1")]

    def test_events(self) -> None:
        """A session's own ones are nearer to the server than the server-wide ones are."""
        world, trace = plain(), []
        client = world.client()
        client.subscribe("/a")
        world.hub.add_extension(Tracing("1", trace))
        world.hub.add_extension(Tracing("2", trace))
        client.session.extensions += (Tracing("own 1", trace), Tracing("own 2", trace))
        world.hub.publish("/a", 1)
        assert trace == ["1 publishing /a", "2 publishing /a"] + [
            f"{name} delivering /a" for name in ("own 2", "own 1", "2", "1")]

    def test_an_event_is_looked_at_once_and_delivered_to_each(self) -> None:
        world, trace = plain(), []
        for _ in range(3):
            world.client().subscribe("/a")
        world.hub.add_extension(Tracing("1", trace))
        world.hub.publish("/a", 1)
        assert trace == ["1 publishing /a"] + ["1 delivering /a"] * 3

    def test_extension_that_was_removed(self) -> None:
        world, trace = plain(), []
        client = world.client()
        client.subscribe("/a")
        first, second = Tracing("1", trace), Tracing("2", trace)
        world.hub.add_extension(first)
        world.hub.add_extension(second)
        world.hub.remove_extension(first)
        client.publish("/a", 1)
        assert trace == ["2 in /a", "2 publishing /a", "2 delivering /a", "2 out /a"]
        world.hub.remove_extension(second)
        client.publish("/a", 1)
        assert len(trace) == 4

    def test_own_extensions_are_for_their_session_alone(self) -> None:
        world, trace = plain(), []
        client, other = world.client(), world.client()
        client.session.extensions += (Tracing("own", trace),)
        other.subscribe("/a")
        other.publish("/a", 1)
        assert trace == []
        world.hub.publish("/b", 1)
        client.session.deliver("/private", 1)
        assert trace == ["own delivering /private"]  # what is published is for the server-wide ones

    def test_an_extension_of_its_own_from_the_handshake_on(self) -> None:
        """The reply to the handshake is the first that it sees."""
        world, trace = plain(), []

        class Greeting(Extension):
            def outgoing(self, reply: Reply, call: Call) -> None:
                if reply.channel == "/meta/handshake":
                    assert call.session is not None
                    call.session.extensions += (Tracing("own", trace),)

        world.hub.add_extension(Greeting())
        world.client()
        assert trace == ["own in /meta/connect", "own out /meta/connect"]


class TestWhatIsLookedAt:
    """Every message and every reply, whatever becomes of it; an event once (XG-1)."""

    def test_session_of_a_message(self) -> None:
        """I-6: whom it speaks for; None where it may not."""
        world = plain()
        client = world.client(browser="b")
        seen: list[Session | None] = []
        world.hub.add_extension(Incoming(lambda call: seen.append(call.session)))
        client.publish("/a", 1)
        world.ask(client.message("/a", data=1), link=Link("long-polling", browser_id="other"))  # B-2
        world.ask({"channel": "/a", "clientId": "unknown", "data": 1})
        world.ask({"channel": "/a", "data": 1})
        assert seen == [client.session, None, None, None]

    def test_session_of_a_handshake(self) -> None:
        """It is not there yet on the way in; a clientId in the message makes no difference (H-15)."""
        world = plain()
        old = world.client()
        seen: list[Session | None] = []

        class Both(Extension):
            def incoming(self, call: Call) -> None:
                seen.append(call.session)

            def outgoing(self, reply: Reply, call: Call) -> None:
                seen.append(call.session)

        world.hub.add_extension(Both())
        [reply] = world.ask({**HANDSHAKE, "clientId": old.id})
        assert seen == [None, world.hub.sessions.get(reply["clientId"])]

    def test_link_of_a_message(self) -> None:
        world = plain()
        links: list[Link] = []
        world.hub.add_extension(Incoming(lambda call: links.append(call.link)))
        client = world.client()
        client.publish("/a", 1)
        assert links == [client.link]

    def test_replies_to_what_is_no_message(self) -> None:
        """M-5: there is nothing to look at on the way in, but there is a reply."""
        world, trace = plain(), []
        world.hub.add_extension(Tracing("1", trace))
        world.ask({"id": 1})
        assert trace == [f"1 out {NO_CHANNEL}"]
        trace.clear()
        world.ask({"channel": "/a", "id": []})
        assert trace == ["1 out /a"]

    def test_reply_may_be_added_to(self) -> None:
        """XG-2."""
        world = plain()
        for number in (1, 2):
            world.hub.add_extension(Outgoing(lambda reply, number=number: reply.extend(f"x{number}", number)))
        assert world.client().publish("/a", 1)["ext"] == {"x1": 1, "x2": 2}

    def test_reply_may_be_of_a_kind_of_its_own(self) -> None:
        """E-32: an extension may answer with what is a reply, in the end."""
        class Answer(Reply):  # type: ignore[misc]  # that it is final is for mypy alone
            pass

        class Answering(Extension):
            def incoming(self, call: Call) -> None:
                if call.message.channel == "/a":
                    call.reply = Answer("/a", True, id=call.message.id)

        world = plain()
        world.hub.add_extension(Answering())
        client = world.client()
        assert client.ask(client.message("/a", data=1, id="7")) == [
            {"channel": "/a", "successful": True, "id": "7"}]

    def test_event_may_be_added_to(self) -> None:
        """D-4, D-5: for all who get it, from a client or from the application."""
        world = plain()
        calls: list[Call | None] = []

        class Adding(Extension):
            def publishing(self, event: Event, call: Call | None) -> None:
                calls.append(call)
                event.add("x", len(calls))

        world.hub.service("/service/s", lambda session, data: data)
        client = world.client()
        client.subscribe("/a")
        world.hub.add_extension(Adding())
        [_, event] = client.ask(client.message("/a", data=1, ext={"y": 2}))
        assert event == {"channel": "/a", "data": 1, "x": 1}
        assert calls[0] is not None
        assert calls[0].message.extensions() == {"y": 2}
        world.hub.publish("/a", 2)
        client.session.deliver("/b", 3)
        client.send(client.message("/service/s", data=4))
        assert calls[1] is None and calls[2] is None and len(calls) == 4

    def test_event_that_nobody_may_publish(self) -> None:
        """C-11, P-5: what is refused never becomes one."""
        world, trace = plain(), []
        client = world.client()
        world.hub.add_extension(Tracing("1", trace))
        client.publish("/meta/x", 1)
        client.publish("/a/*", 1)
        assert not [entry for entry in trace if "publishing" in entry]

    def test_message_may_be_changed(self) -> None:
        world = plain()
        client = world.client()
        client.subscribe("/a")

        def change(call: Call) -> None:
            call.message = Message(call.message.channel, client_id=call.message.client_id,
                                   data=b'"changed"')  # type: ignore[arg-type]  # as a careless extension would

        world.hub.add_extension(Incoming(change))
        carrier = client.send(client.message("/a", data="original"))
        assert events(carrier) == ["changed"]

    def test_notes(self) -> None:
        """What is remembered of a message is there when its reply goes out, and nowhere else."""
        world = plain()
        found: list[Any] = []

        class Remembering(Extension):
            def incoming(self, call: Call) -> None:
                if call.message.id == 1:
                    call.notes[Remembering] = "noted"

            def outgoing(self, reply: Reply, call: Call) -> None:
                found.append((reply.id, call.notes.get(Remembering)))

        client = world.client()
        world.hub.add_extension(Remembering())
        client.ask(client.message("/a", data=1, id=1), client.message("/a", data=1, id=2))
        assert found == [(1, "noted"), (2, None)]

    def test_connect_need_not_be_held(self) -> None:
        """K-7: an extension may decide that it is not."""
        world = plain()
        client = world.client()

        def hurry(call: Call) -> None:
            call.hold = False

        world.hub.add_extension(Incoming(hurry, "/meta/connect"))
        assert client.ask(client.connect_message())[0]["successful"] is True
        assert client.session.state is State.CONNECTED


class TestIncoming:
    """On the way in: E-22, E-32."""

    @pytest.mark.parametrize("way", WAYS)
    def test_veto(self, way: Callable[[object], Any]) -> None:
        """E-22: and no further extension sees the message; the replies are looked at all the same."""
        world, trace = plain(), []
        client = world.client()
        client.subscribe("/a")
        world.hub.add_extension(Incoming(way(False)))
        world.hub.add_extension(Tracing("2", trace))
        [reply] = client.ask(client.message("/a", data=1, id=7))
        assert reply == {"channel": "/a", "successful": False, "id": 7, "error": "403::Message rejected"}
        assert trace == ["2 out /a"]
        assert world.hub.metrics.failures == {403: 1}
        assert world.hub.metrics.published == 0

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("verdict", [None, True, 0, ""])
    def test_anything_but_false_lets_pass(self, way: Callable[[object], Any], verdict: object) -> None:
        world = plain()
        world.hub.add_extension(Incoming(way(verdict)))
        assert world.client().publish("/a", 1) == {"channel": "/a", "successful": True}

    @pytest.mark.parametrize("way", WAYS)
    def test_bayeux_error_is_told_to_the_client(self, way: Callable[[object], Any]) -> None:
        """E-1."""
        world = plain()
        world.hub.add_extension(Incoming(way(BayeuxError(401, "Authentication invalid"))))
        assert world.client().publish("/a", 1)["error"] == "401::Authentication invalid"
        assert world.hub.metrics.application_errors == 0

    @pytest.mark.parametrize("way", WAYS)
    def test_any_other_exception(self, way: Callable[[object], Any], logged_errors: list[Any]) -> None:
        """E-26, E-32: costs its message alone."""
        world = plain()
        client = world.client()
        client.subscribe("/b")
        world.hub.add_extension(Incoming(way(RuntimeError("secret"))))
        answer = client.ask(client.message("/b", data=1), client.message("/a", data=2),
                            client.message("/b", data=3))
        assert [message.get("error", message.get("data")) for message in answer] == [
            None, "500::Internal server error", None, 1, 3]
        assert world.hub.metrics.application_errors == 1
        assert [error.value.args for error in logged_errors] == [("secret",)]
        logged_errors.clear()

    def test_veto_of_a_handshake(self) -> None:
        """H-13: like any other that fails."""
        world = plain()
        world.hub.add_extension(Incoming(at_once(False), "/meta/handshake"))
        [reply] = world.ask(HANDSHAKE)
        assert reply["error"] == "403::Message rejected"
        assert reply["advice"]["reconnect"] == "none"
        assert len(world.hub.sessions) == 0

    def test_veto_of_a_connect(self) -> None:
        """K-19, Q-3: it was none, so one that is held stays so."""
        world = plain()
        client = world.client()
        carrier = client.connect()
        world.hub.add_extension(Incoming(at_once(False), "/meta/connect"))
        [reply] = client.ask(client.connect_message())
        assert reply["error"] == "403::Message rejected"
        assert reply["advice"]["reconnect"] == "retry"
        assert carrier.held

    @pytest.mark.parametrize("way", WAYS)
    def test_veto_by_an_extension_of_the_session(self, way: Callable[[object], Any]) -> None:
        world = plain()
        client, other = world.client(), world.client()
        client.session.extensions += (Incoming(way(False)),)
        assert client.publish("/a", 1)["successful"] is False
        assert other.publish("/a", 1)["successful"] is True


class TestWaitingOnTheWayIn:
    """A hook that takes its time."""

    def start(self) -> tuple[World, Client, Deferred[object]]:
        """Have messages to ``/a`` wait."""
        world, verdict = plain(), Deferred()
        client = world.client()
        client.subscribe("/*")
        world.hub.add_extension(Incoming(lambda call: verdict))
        return world, client, verdict

    def test_batch_keeps_its_order(self) -> None:
        """M-12: what is behind waits, and so do its events."""
        world, client, verdict = self.start()
        carrier = client.send(client.message("/b", data=1), client.message("/a", data=2),
                              client.message("/b", data=3))
        assert carrier.held
        assert world.hub.metrics.published == 1
        verdict.callback(None)
        assert carrier.messages is not None
        assert [message["channel"] for message in carrier.messages[:3]] == ["/b", "/a", "/b"]
        assert events(carrier) == [1, 2, 3]

    def test_other_extensions_wait(self) -> None:
        """XG-3."""
        world, client, verdict = self.start()
        trace: list[str] = []
        world.hub.add_extension(Tracing("2", trace))
        client.send(client.message("/a", data=1))
        assert trace == []
        verdict.callback(None)
        assert trace == ["2 in /a", "2 publishing /a", "2 delivering /a", "2 out /a"]

    def test_veto_that_comes_late(self) -> None:
        """E-22, M-12."""
        _, client, verdict = self.start()
        carrier = client.send(client.message("/a", data=1), client.message("/b", data=2))
        verdict.callback(False)
        assert carrier.messages is not None
        assert [message["successful"] for message in carrier.messages[:2]] == [False, True]
        assert events(carrier) == [2]

    def test_same_verdict_for_several(self) -> None:
        """The Deferred is the application's own."""
        _, client, verdict = self.start()
        carriers = [client.send(client.message("/a", data=n)) for n in range(3)]
        verdict.callback(None)
        assert [carrier.messages[0]["successful"] for carrier in carriers if carrier.messages] == [True] * 3
        assert verdict.result is None

    def test_session_that_is_gone_when_the_verdict_comes(self) -> None:
        """X-5, P-7."""
        world, client, verdict = self.start()
        carrier = client.send(client.message("/a", data=1))
        client.session.disconnect()
        verdict.callback(None)
        assert carrier.messages is not None
        assert carrier.messages[0]["error"].startswith("402:")
        assert world.hub.metrics.published == 0

    @pytest.mark.parametrize("lost", [False, True])
    def test_connect_that_waits_to_be_held(self, lost: bool) -> None:
        """K-7: it is held then; N-1: unless its carrier has gone, and then it expires."""
        world, verdict = plain(), Deferred()
        client = world.client()
        world.hub.add_extension(Incoming(lambda call: verdict, "/meta/connect"))
        carrier = client.connect()
        assert client.session.state is State.CONNECTED
        if lost:
            carrier.lose()
        verdict.callback(None)
        assert carrier.held is not lost
        assert client.session.state is (State.CONNECTED if lost else State.HELD)
        assert len(world.hub.sessions.holds) == (0 if lost else 1)
        world.clock.advance(30)
        world.clock.advance(12)
        assert not client.session.alive

    def test_handshake_that_waits(self) -> None:
        world, verdict = plain(), Deferred()
        world.hub.add_extension(Incoming(lambda call: verdict, "/meta/handshake"))
        carrier = world.send(HANDSHAKE)
        assert len(world.hub.sessions) == 0
        verdict.callback(None)
        assert carrier.messages is not None
        assert carrier.messages[0]["successful"] is True

    def test_message_that_makes_way_does_so_at_once(self) -> None:
        """K-15."""
        world, verdict = plain(), Deferred()
        client = world.client(serial=True)
        world.hub.add_extension(Incoming(lambda call: verdict))
        carrier = client.connect()
        client.send(client.message("/a", data=1))
        assert carrier.why is Release.MAKE_WAY


class TestOutgoing:
    """On the way out: E-32."""

    @pytest.mark.parametrize("way", WAYS)
    def test_exception(self, way: Callable[[object], Any], logged_errors: list[Any]) -> None:
        """E-32: the reply becomes an unsuccessful one, and the others are what they were."""
        world = plain()
        client = world.client()
        client.subscribe("/*")
        world.hub.add_extension(Outgoing(way(RuntimeError("secret"))))
        answer = client.ask(client.message("/a", data=1, id=7), client.message("/b", data=2))
        assert answer[0] == {"channel": "/a", "successful": False, "id": 7,
                             "error": "500::Internal server error"}
        assert answer[1]["successful"] is True
        assert [message["data"] for message in answer[2:]] == [1, 2]
        assert world.hub.metrics.failures == {500: 1}
        assert len(logged_errors) == 1
        logged_errors.clear()

    @pytest.mark.parametrize("way", WAYS)
    def test_bayeux_error(self, way: Callable[[object], Any]) -> None:
        world = plain()
        world.hub.add_extension(Outgoing(way(BayeuxError(499, "No"))))
        reply = world.client().publish("/a", 1)
        assert reply["successful"] is False
        assert reply["error"] == "499::No"

    @pytest.mark.parametrize("way", WAYS)
    def test_refusal(self, way: Callable[[object], Any]) -> None:
        """E-22."""
        world = plain()
        world.hub.add_extension(Outgoing(way(False)))
        assert world.client().publish("/a", 1)["error"] == "403::Message rejected"

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize(("error", "reconnect", "least"), [
        (BayeuxError(403, "No"), "none", 0), (BayeuxError(503, "Busy"), "handshake", 1000)])
    def test_handshake_that_fails_last(
            self, way: Callable[[object], Any], error: BayeuxError, reconnect: str, least: int) -> None:
        """H-11, H-12: a session that its client was refused must not be of use to it."""
        world = plain()
        world.hub.add_extension(Outgoing(way(error), "/meta/handshake"))
        [reply] = world.ask(HANDSHAKE)
        assert reply["error"] == str(error)
        assert "clientId" not in reply
        assert reply["advice"]["reconnect"] == reconnect
        assert reply["advice"]["interval"] >= least
        assert reply["version"] == "1.0"
        assert len(world.hub.sessions) == 0
        assert world.hub.metrics.sessions_removed == {"kicked": 1}

    def test_handshake_that_has_failed_before(self) -> None:
        world = plain()
        world.hub.add_extension(Outgoing(at_once(BayeuxError(403, "No")), "/meta/handshake"))
        [reply] = world.ask({"channel": "/meta/handshake"})
        assert reply["error"] == "403::No"

    def test_held_connect_is_looked_at_when_it_is_answered(self) -> None:
        """K-7: not when it comes."""
        world, trace = plain(), []
        client = world.client()
        client.subscribe("/a")
        world.hub.add_extension(Outgoing(lambda reply: trace.append(reply), "/meta/connect"))
        carrier = client.connect()
        assert trace == []
        world.hub.publish("/a", 1)
        world.turn()
        assert len(trace) == 1
        assert events(carrier) == [1]

    def test_connects_that_are_not_answered_are_not_looked_at(self) -> None:
        """K-12, N-1."""
        world, trace = plain(), []
        client = world.client()
        first = client.connect()
        world.hub.add_extension(Outgoing(lambda reply: trace.append(reply), "/meta/connect"))
        second = client.connect()
        assert first.why is Release.SUPERSEDED
        second.lose()
        assert trace == []

    @pytest.mark.parametrize("way", WAYS)
    def test_held_connect_that_fails_last(
            self, way: Callable[[object], Any], logged_errors: list[Any]) -> None:
        """E-32: its events are not lost."""
        world = plain()
        client = world.client()
        client.subscribe("/a")
        carrier = client.connect()
        world.hub.add_extension(Outgoing(way(RuntimeError("secret")), "/meta/connect"))
        world.hub.publish("/a", 1)
        world.turn()
        assert carrier.messages is not None
        assert events(carrier) == [1]
        assert carrier.messages[-1]["error"] == "500::Internal server error"
        logged_errors.clear()

    def test_connect_that_fails_last_of_a_client_that_gets_events_with_connects_only(self) -> None:
        """D-7, XA-3: a client looks at nothing else in it, so its events wait for the next."""
        world = plain(meta_connect_deliver_only=True)
        client = world.client()
        client.session.deliver("/a", 1)
        refusing = Outgoing(at_once(BayeuxError(403, "No")), "/meta/connect")
        world.hub.add_extension(refusing)
        assert events(client.connect()) == []
        world.hub.remove_extension(refusing)
        assert events(client.connect()) == [1]


class TestWaitingOnTheWayOut:
    """A hook that takes its time with a reply."""

    def start(self, channel: str = "/meta/connect") -> tuple[World, Client, Deferred[object]]:
        world, done = plain(), Deferred()
        client = world.client()
        client.subscribe("/*")
        world.hub.add_extension(Outgoing(lambda reply: done, channel))
        return world, client, done

    def test_batch_keeps_its_order(self) -> None:
        """M-12."""
        world, client, done = self.start("/a")
        carrier = client.send(client.message("/a", data=1), client.message("/b", data=2))
        assert carrier.held
        assert world.hub.metrics.published == 1
        done.callback(None)
        assert events(carrier) == [1, 2]

    def test_events_that_come_meanwhile_go_along(self) -> None:
        """D-13: they leave their queue when they are written."""
        world, client, done = self.start()
        carrier = client.connect()
        world.hub.publish("/a", 1)
        world.turn()
        assert carrier.held
        world.hub.publish("/a", 2)
        done.callback(None)
        assert events(carrier) == [1, 2]

    @pytest.mark.parametrize("held", [True, False])
    def test_carrier_that_is_lost_meanwhile(self, held: bool) -> None:
        """N-1, Q-2: nothing is lost, and the session expires unless it comes back."""
        world, client, done = self.start()
        if held:
            carrier = client.connect()
            world.hub.publish("/a", 1)
            world.turn()
        else:
            world.hub.publish("/a", 1)
            carrier = client.connect()
        carrier.lose()
        done.callback(None)
        assert carrier.messages is None
        assert len(client.session.queue) == 1
        world.clock.advance(12)
        assert not client.session.alive

    def test_carrier_that_is_lost_meanwhile_and_a_hook_that_never_ends(self) -> None:
        """Q-2."""
        world, client, _ = self.start()
        carrier = client.connect()
        world.hub.publish("/a", 1)
        world.turn()
        carrier.lose()
        world.clock.advance(12)
        assert not client.session.alive

    def test_newer_connect_that_comes_meanwhile(self) -> None:
        """K-12: the events are for that."""
        world, client, done = self.start()
        older = client.connect()
        world.hub.publish("/a", 1)
        world.turn()
        newer = client.connect()
        done.callback(None)
        assert events(older) == []
        assert events(newer) == [1]

    @pytest.mark.parametrize("held", [True, False])
    def test_session_that_is_removed_meanwhile(self, held: bool) -> None:
        """X-6: its client is told so."""
        world, client, done = self.start()
        if held:
            carrier = client.connect()
            world.hub.publish("/a", 1)
            world.turn()
        else:
            carrier = client.connect(advice={"timeout": 0})
        client.session.disconnect()
        assert carrier.held
        done.callback(None)
        assert carrier.messages is not None
        assert [message["channel"] for message in carrier.messages] == ["/meta/disconnect", "/meta/connect"]
        assert carrier.messages[1]["advice"]["reconnect"] == "none"
        world.clock.advance(60)
        assert world.hub.sessions.is_idle()


    @pytest.mark.parametrize("held", [True, False])
    def test_server_that_stops_meanwhile(self, held: bool) -> None:
        """Q-10: the client is told to come back, whether its connect was still held or not."""
        world, client, done = self.start()
        if held:
            carrier = client.connect()
            world.hub.publish("/a", 1)
            world.turn()
        else:
            carrier = client.connect(advice={"timeout": 0})
        world.hub.close()
        done.callback(None)
        assert carrier.messages is not None
        *events, reply = carrier.messages
        assert [event["data"] for event in events] == ([1] if held else [])
        assert reply["error"] == "503::Server too busy"
        assert reply["advice"]["reconnect"] == "handshake"


class TestDelivering:
    """What a session gets of an event."""

    def ask(self, decide: Callable[[Event], Any], own: bool = False) -> list[Any]:
        """Publish 1, 2 and 3; returns what a client gets of them."""
        world = plain()
        client = world.client()
        client.subscribe("/a")
        if own:
            client.session.extensions += (Delivering(decide),)
        else:
            world.hub.add_extension(Delivering(decide))
        for number in (1, 2, 3):
            world.hub.publish("/a", number)
        return events(client.connect())

    @pytest.mark.parametrize("own", [False, True])
    @pytest.mark.parametrize("way", WAYS)
    def test_same_another_or_nothing(self, way: Callable[[object], Any], own: bool) -> None:
        def decide(event: Event) -> Any:
            number = int(event.data)
            return way({1: event, 2: None, 3: Event("/a", b"33")}[number])(event)

        assert self.ask(decide, own) == [1, 33]

    @pytest.mark.parametrize("way", WAYS)
    def test_exception(self, way: Callable[[object], Any], logged_errors: list[Any]) -> None:
        """E-32, D-14: costs that event, for that session."""
        def decide(event: Event) -> Any:
            return way(RuntimeError("secret") if event.data == b"2" else event)(event)

        assert self.ask(decide) == [1, 3]
        assert len(logged_errors) == 1
        logged_errors.clear()

    @pytest.mark.parametrize("way", WAYS)
    def test_nothing_is_asked_about_nothing(self, way: Callable[[object], Any]) -> None:
        """XG-3: extensions come in reverse order, and one that keeps an event keeps it from the others."""
        world, trace = plain(), []
        client = world.client()
        client.subscribe("/a")
        world.hub.add_extension(Tracing("1", trace))
        world.hub.add_extension(Delivering(way(None)))
        world.hub.publish("/a", 1)
        assert trace == ["1 publishing /a"]
        assert not client.session.queue

    @pytest.mark.parametrize("way", WAYS)
    def test_next_extension_gets_what_the_one_before_made(self, way: Callable[[object], Any]) -> None:
        world = plain()
        client = world.client()
        client.subscribe("/a")
        world.hub.add_extension(Delivering(lambda event: Event("/a", event.data + b"1")))
        world.hub.add_extension(Delivering(way(Event("/a", b"2"))))
        world.hub.publish("/a", 0)
        assert events(client.connect()) == [21]

    def test_others_do_not_wait(self) -> None:
        """D-14."""
        world = plain()
        client, other = world.client(), world.client()
        for each in (client, other):
            each.subscribe("/a")
        slow = Slow()
        client.session.extensions += (slow,)
        world.hub.publish("/a", 1)
        assert events(other.connect()) == [1]

    def test_events_keep_their_order_behind_a_slow_one(self) -> None:
        """D-9: the second is not even looked at before the first is through."""
        world, slow = plain(), Slow()
        client = world.client()
        client.session.extensions += (slow,)
        for number in (1, 2, 3):
            client.session.deliver("/a", number)
        assert slow.seen == 1
        assert not client.session.queue
        slow.decide()
        assert [event.data for event in client.session.queue.events] == [b"1"]
        assert slow.seen == 2
        client.session.deliver("/a", 4)
        for _ in range(3):
            slow.decide()
        assert events(client.connect()) == [1, 2, 3, 4]
        assert slow.thinking == []

    def test_line_is_worked_off_and_begun_anew(self) -> None:
        world, slow = plain(), Slow()
        client = world.client()
        client.session.extensions += (slow,)
        for number in (1, 2):
            client.session.deliver("/a", number)
            slow.decide()
        assert events(client.connect()) == [1, 2]

    def test_slow_failure_in_a_line(self, logged_errors: list[Any]) -> None:
        """E-32: the events behind it go on."""
        world, slow = plain(), Slow()
        client = world.client()
        client.session.extensions += (slow,)
        for number in (1, 2, 3):
            client.session.deliver("/a", number)
        slow.decide()
        slow.thinking.pop()[1].errback(RuntimeError("secret"))
        slow.decide()
        assert events(client.connect()) == [1, 3]
        assert world.hub.metrics.application_errors == 1
        logged_errors.clear()

    def test_slow_event_releases_the_connect_when_it_comes(self) -> None:
        """K-7."""
        world, slow = plain(), Slow()
        client = world.client()
        client.session.extensions += (slow,)
        carrier = client.connect()
        client.session.deliver("/a", 1)
        world.turn()
        assert carrier.held
        slow.decide()
        world.turn()
        assert events(carrier) == [1]

    @pytest.mark.parametrize("limit", [{"max_queue": 3}, {"max_queue_bytes": 84}])
    def test_line_is_bounded(self, limit: dict[str, int]) -> None:
        """Q-7: in number and bytes; then the client has to learn of its loss."""
        world, slow = plain(overflow="drop_oldest", **limit), Slow()
        client = world.client()
        client.session.extensions += (slow,)
        carrier = client.connect()
        for number in range(4):  # the first is thought about, three stand in line
            client.session.deliver("/a", number)
        assert client.session.alive
        client.session.deliver("/a", 4)
        assert not client.session.alive
        assert client.session.removed_by is Release.OVERFLOW
        assert carrier.messages is not None
        assert carrier.messages[0]["advice"]["reconnect"] == "handshake"
        assert world.hub.metrics.sessions_removed == {"overflow": 1}
        assert world.hub.metrics.dropped == 5

    def test_nothing_is_asked_for_who_is_gone(self) -> None:
        """X-2: the line behind the slow event is thrown away."""
        world, slow = plain(), Slow()
        client = world.client()
        client.session.extensions += (slow,)
        for number in (1, 2):
            client.session.deliver("/a", number)
        client.session.disconnect()
        slow.decide()
        client.session.deliver("/a", 3)
        assert slow.seen == 1
        assert not client.session.queue
        assert world.hub.metrics.queued == 0

    def test_extension_that_is_removed_while_events_wait(self) -> None:
        """The one that it thinks about waits on; those behind it are not its any more."""
        world, slow = plain(), Slow()
        client = world.client()
        client.subscribe("/a")
        world.hub.add_extension(slow)
        for number in (1, 2):
            world.hub.publish("/a", number)
        world.hub.remove_extension(slow)
        world.hub.publish("/a", 3)
        assert not client.session.queue
        slow.decide()
        assert slow.seen == 1
        assert events(client.connect()) == [1, 2, 3]


class TestPublishing:
    """What happens to an event before anybody gets it."""

    def test_exception(self, logged_errors: list[Any]) -> None:
        """E-32: costs only what it would have added."""
        world, trace = plain(), []

        class Broken(Extension):
            def publishing(self, event: Event, call: Call | None) -> None:
                raise BayeuxError(403, "not even this")

        client = world.client()
        client.subscribe("/a")
        world.hub.add_extension(Broken())
        world.hub.add_extension(Tracing("2", trace))
        assert client.publish("/a", 1)["successful"] is True
        assert "2 publishing /a" in trace
        assert world.hub.metrics.application_errors == 1
        assert len(logged_errors) == 1
        logged_errors.clear()


class TestAnswered:
    """``Call.answered``: what an extension is told of a message that it let in."""

    def world(self, told: list[Reply], policy: Policy | None = None) -> World:
        world = World(policy, extensions=())

        def listen(call: Call) -> None:
            call.answered = told.append

        world.hub.add_extension(Incoming(listen))
        return world

    def test_it_is_told_the_reply_once(self) -> None:
        told: list[Reply] = []
        self.world(told).client().publish("/a", 1)
        assert [(reply.channel, reply.successful) for reply in told] == [("/a", True)]

    def test_it_is_told_what_has_failed(self) -> None:
        """E-32: wherever it did."""
        told: list[Reply] = []
        world = self.world(told)
        world.ask({"channel": "/a", "data": 1})
        world.hub.add_extension(Incoming(lambda call: fail(BayeuxError(499, "no"))))
        world.ask({"channel": "/a", "data": 1})
        assert [reply.error for reply in told] == ["401::No client ID", "499::no"]

    def test_it_is_told_when_the_answer_comes(self) -> None:
        class Thinking(Policy):
            def can_publish(self, *arguments: object) -> Deferred[bool]:
                return verdict

        verdict: Deferred[bool] = Deferred()
        told: list[Reply] = []
        self.world(told, Thinking()).send({"channel": "/a", "data": 1})
        assert told == []
        verdict.callback(True)
        assert [reply.successful for reply in told] == [True]

    def test_it_comes_before_the_hooks_for_replies(self) -> None:
        """It may add to what these see."""
        told: list[Reply] = []
        seen: list[int] = []

        class Out(Extension):
            def outgoing(self, reply: Reply, call: Call) -> None:
                seen.append(len(told))

        world = self.world(told)
        world.hub.add_extension(Out())
        world.ask({"channel": "/a", "data": 1})
        assert seen == [1]

    def test_an_extension_may_answer_itself(self) -> None:
        """``Call.reply``: the message is not handled."""
        world = World(extensions=())

        def answer(call: Call) -> None:
            call.reply = Reply("/a", True, id="x")

        world.hub.add_extension(Incoming(answer))
        assert world.ask({"channel": "/a", "data": 1}) == [{"channel": "/a", "successful": True, "id": "x"}]
        assert world.hub.metrics.published == 0


class TestBuiltIn:
    """Which of the server's own are there."""

    def names(self, **settings: Any) -> list[str]:
        first, *others = [type(extension).__name__ for extension in World(**settings).hub._extensions._all]
        assert first == "Signing"  # always, and before all others
        return others

    def test_by_default(self) -> None:
        assert self.names() == ["Ack", "Timesync", "Binary"]

    def test_none(self) -> None:
        assert self.names(extensions=()) == []

    def test_as_the_settings_name_them(self) -> None:
        """XG-3: in that order, each once."""
        wanted = ("binary", "timestamp", "activity", "timesync", "ack", "binary")
        assert self.names(extensions=wanted) == ["Binary", "Timestamp", "Activity", "Timesync", "Ack"]

    def test_unknown_extensions_are_ignored(self) -> None:
        """XG-1: and not echoed."""
        [reply] = World().ask({**HANDSHAKE, "ext": {"replay": True, "reload": {}}})
        assert reply["successful"] is True
        assert "ext" not in reply

    @pytest.mark.parametrize("policy", [None, Policy()])
    def test_hooks_that_nobody_overrides_are_not_called(self, policy: Policy | None) -> None:
        """D-14: without a ``delivering`` hook events take the short way."""
        world = World(policy)
        world.hub.add_extension(Extension())
        assert world.hub._extensions.filters == ()
