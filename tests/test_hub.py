"""The hub: what each message does (BAYEUX.md sections 2 to 13, 17, 18)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from bayeux import BayeuxError, Hub, Link, ListenOnly, Policy, Session, Settings
from bayeux.errors import Denied, InvalidChannel
from bayeux.messages import decode
from bayeux.session import Release
from tests.client import Client, World

HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}
ADVICE = {"reconnect": "retry", "interval": 0, "timeout": 30000}


def events(messages: list[Any] | None) -> list[Any]:
    """Return the data of the events among messages."""
    assert messages is not None, "there is no response yet"
    return [message["data"] for message in messages if "data" in message]


class TestHandshake:
    """Section 6."""

    def test_successful_reply(self) -> None:
        """H-3, A-2, A-3: everything that a client needs, complete advice included."""
        [reply] = World().ask({**HANDSHAKE, "id": "1"})
        client_id = reply.pop("clientId")
        assert re.fullmatch(r"[A-Za-z0-9]{27}", client_id)  # I-1
        assert reply == {
            "channel": "/meta/handshake", "successful": True, "id": "1", "version": "1.0",
            "minimumVersion": "1.0", "supportedConnectionTypes": ["long-polling", "callback-polling"],
            "advice": ADVICE,
        }

    def test_cross_origin_long_polling(self) -> None:
        """F-1, H-4: Faye's name for it, where there is CORS."""
        world = World(allowed_origins=("https://www.example.org",))
        [reply] = world.ask({**HANDSHAKE, "supportedConnectionTypes": ["cross-origin-long-polling"]})
        assert reply["supportedConnectionTypes"] == [
            "long-polling", "cross-origin-long-polling", "callback-polling"]
        [reply] = world.ask({"channel": "/meta/connect", "clientId": reply["clientId"],
                             "connectionType": "cross-origin-long-polling"})
        assert reply["successful"] is True

    def test_ids_are_unique(self) -> None:
        """I-2."""
        world = World()
        assert len({world.client(connect=False).id for _ in range(100)}) == 100

    @pytest.mark.parametrize("field", ["version", "supportedConnectionTypes"])
    def test_missing_field(self, field: str) -> None:
        """H-6, H-7, H-11: fails, advises against coming back, creates nothing."""
        world = World(legacy_clients=False)
        [reply] = world.ask({name: value for name, value in HANDSHAKE.items() if name != field})
        assert reply["error"] == f"400:{field}:Missing field"
        assert reply["successful"] is False
        assert reply["advice"]["reconnect"] == "none"  # H-12, H-13
        assert "clientId" not in reply
        assert reply["version"] == "1.0"
        assert len(world.hub.sessions) == 0

    def test_draft_clients_may_leave_out_connection_types(self) -> None:
        """H-6: by default dojox.cometd's cross-domain handshake succeeds."""
        [reply] = World().ask({"channel": "/meta/handshake", "version": "1.0"})
        assert reply["successful"] is True

    def test_no_common_connection_type(self) -> None:
        """H-4, E-21: unknown names are ignored, one in common is needed."""
        [reply] = World().ask({**HANDSHAKE, "supportedConnectionTypes": ["flash", "iframe"]})
        assert reply["error"] == "301:flash,iframe:Connection types not supported"
        assert reply["advice"]["reconnect"] == "none"

    def test_version_mismatch(self) -> None:
        """H-8, E-20."""
        [reply] = World().ask({**HANDSHAKE, "version": "0.9"})
        assert reply["error"] == "300:0.9:Version mismatch"
        assert reply["advice"]["reconnect"] == "none"

    def test_version_as_a_number(self) -> None:
        """M-21: a version is a string."""
        [reply] = World().ask({**HANDSHAKE, "version": 1.0})
        assert reply["error"] == "300::Version mismatch"

    def test_other_messages_in_its_batch_are_ignored(self) -> None:
        """H-9, H-10: only the first handshake is processed, wherever it stands."""
        world = World()
        other = world.client()
        other.subscribe("/a")
        replies = world.ask({"channel": "/a", "clientId": other.id, "data": 1}, HANDSHAKE, HANDSHAKE)
        assert [reply["channel"] for reply in replies] == ["/meta/handshake"]
        assert len(world.hub.sessions) == 2
        assert other.connect().held

    def test_always_makes_a_new_session(self) -> None:
        """H-15: a clientId in the request is ignored, the old session stays."""
        world = World()
        old = world.client()
        [reply] = world.ask({**HANDSHAKE, "clientId": old.id})
        assert reply["clientId"] != old.id
        assert old.session.alive

    def test_expires_without_connect(self) -> None:
        """H-17."""
        world = World(interval=2.0, max_interval=10.0, sweep_period=1.0)
        client = world.client(connect=False)
        world.clock.advance(11.9)
        assert client.session.alive
        world.clock.advance(1.2)
        assert not client.session.alive

    def test_refused_by_policy(self) -> None:
        """E-14, H-13."""
        class Refusing(Policy):
            def can_handshake(self, message: Any, link: Link) -> bool:
                return message.extensions().get("token") == "right"

        world = World(Refusing())
        [reply] = world.ask({**HANDSHAKE, "ext": {"token": "wrong"}})
        assert reply["error"] == "403::Handshake denied"
        assert reply["advice"]["reconnect"] == "none"
        assert "clientId" not in reply
        [reply] = world.ask({**HANDSHAKE, "ext": {"token": "right"}})
        assert reply["successful"] is True

    def test_too_many_sessions(self) -> None:
        """G-13, H-13: overload asks to come back, never in a tight loop."""
        world = World(max_sessions=2)
        world.client()
        gone = world.client()
        [reply] = world.ask(HANDSHAKE)
        assert reply["error"] == "503::Server too busy"
        assert reply["advice"]["reconnect"] == "handshake"
        assert 1000 <= reply["advice"]["interval"] <= 5000
        gone.ask(gone.message("/meta/disconnect"))
        assert world.client().session.alive

    def test_failing_policy(self, logged_errors: list[Any]) -> None:
        """E-26, H-13: a fault of ours tells the client to try again, slowly."""
        class Broken(Policy):
            def can_handshake(self, message: Any, link: Link) -> bool:
                raise RuntimeError("broken")

        world = World(Broken())
        [reply] = world.ask(HANDSHAKE)
        assert reply["error"] == "500::Internal server error"
        assert reply["advice"]["reconnect"] == "handshake"
        assert reply["advice"]["interval"] >= 1000
        assert len(logged_errors) == 1
        assert world.hub.metrics.application_errors == 1
        logged_errors.clear()


class TestConnect:
    """Section 7."""

    def test_first_is_answered_at_once(self) -> None:
        """K-3, K-6, A-3, I-5: whatever it advises."""
        client = World().client(connect=False)
        assert client.ask(client.connect_message(id=7, advice={"timeout": 60000})) == [{
            "channel": "/meta/connect", "successful": True, "id": 7, "clientId": client.id,
            "advice": ADVICE,
        }]

    @pytest.mark.parametrize("identity", ["x", "1", 1, 0, 2**53, -3])
    def test_id_is_echoed_as_it_came(self, identity: object) -> None:
        """M-33, M-34: same type; none where none was."""
        client = World().client()
        reply = client.ask(client.connect_message(id=identity, advice={"timeout": 0}))[0]
        assert reply["id"] == identity
        assert type(reply["id"]) is type(identity)
        assert "id" not in client.ask(client.connect_message(advice={"timeout": 0}))[0]

    def test_held_until_an_event(self) -> None:
        """K-7a, D-8: events come before the connect reply, at the end of the turn."""
        world = World()
        client = world.client()
        client.subscribe("/a")
        carrier = client.connect(id="5")
        world.hub.publish("/a", 1)
        world.hub.publish("/a", 2)
        assert carrier.held
        world.turn()
        assert carrier.messages == [
            {"channel": "/a", "data": 1}, {"channel": "/a", "data": 2},
            {"channel": "/meta/connect", "successful": True, "id": "5", "clientId": client.id,
             "advice": ADVICE},
        ]

    def test_held_until_timeout(self) -> None:
        """K-7b, K-11: not an error."""
        world = World(timeout=30.0)
        carrier = world.client().connect()
        world.clock.advance(29.9)
        assert carrier.held
        world.clock.advance(0.2)
        assert carrier.why is Release.TIMEOUT
        assert carrier.messages is not None
        assert [message["successful"] for message in carrier.messages] == [True]

    @pytest.mark.parametrize(("asked", "held"), [(5000, 5.0), (60000, 30.0), (None, 30.0), ("5000", 30.0),
                                                 (-1, 30.0), (True, 30.0), (10**400, 30.0)])
    def test_timeout_that_the_client_wishes(self, asked: object, held: float) -> None:
        """K-8, G-24: honoured up to ours; anything but a number >= 0 is ignored."""
        world = World(timeout=30.0)
        carrier = world.client().connect(advice={"timeout": asked})
        world.clock.advance(held - 0.01)
        assert carrier.held
        world.clock.advance(0.02)
        assert not carrier.held

    def test_wish_is_for_one_connect(self) -> None:
        """K-8."""
        world = World(timeout=30.0)
        client = world.client()
        client.ask(client.connect_message(advice={"timeout": 0}))
        carrier = client.connect()
        world.clock.advance(29.0)
        assert carrier.held

    def test_answered_at_once_if_events_wait(self) -> None:
        """K-9."""
        world = World()
        client = world.client()
        client.subscribe("/a")
        world.hub.publish("/a", "x")
        assert events(client.ask(client.connect_message())) == ["x"]

    def test_not_held_in_a_batch(self) -> None:
        """K-10, D-8: answered in request order."""
        client = World().client()
        replies = client.ask(client.connect_message(id="1"),
                             client.message("/meta/subscribe", subscription="/a", id="2"))
        assert [reply["id"] for reply in replies] == ["1", "2"]

    def test_events_before_the_connect_reply_in_a_batch(self) -> None:
        """D-8: `[subscribe, connect, publish]`: replies in order, events just before the connect's."""
        client = World().client()
        messages = client.ask(client.message("/meta/subscribe", subscription="/a"), client.connect_message(),
                              client.message("/a", data=1))
        assert [m["channel"] for m in messages] == ["/meta/subscribe", "/a", "/meta/connect", "/a"]
        assert "data" in messages[1]
        assert "data" not in messages[3]

    @pytest.mark.parametrize(("client_id", "error"), [
        ("nobody", "402:nobody:Unknown client ID"), (None, "401::No client ID"),
        (5, "402::Unknown client ID"), ("x" * 200, "402::Unknown client ID"),
    ])
    def test_unknown_client(self, client_id: object, error: str) -> None:
        """K-4, E-12, E-13, I-3: with the advice without which clients retry for ever; no clientId (I-5)."""
        assert World().ask({"channel": "/meta/connect", "connectionType": "long-polling",
                            "clientId": client_id, "id": "1"}) == [{
            "channel": "/meta/connect", "successful": False, "id": "1", "error": error,
            "advice": {"reconnect": "handshake", "interval": 0},
        }]

    @pytest.mark.parametrize(("fields", "error"), [
        ({"connectionType": None}, "400:connectionType:Missing field"),
        ({"connectionType": "iframe"}, "301:iframe:Connection types not supported"),
        ({"connectionType": 3}, "301::Connection types not supported"),
    ])
    def test_bad_connection_type(self, fields: dict[str, object], error: str) -> None:
        """K-5: the session stays, and is told to retry."""
        client = World().client()
        [reply] = client.ask(client.connect_message(**fields))
        assert reply["error"] == error
        assert reply["advice"] == ADVICE
        assert client.session.alive

    def test_draft_names_of_long_polling(self) -> None:
        """K-5."""
        client = World().client()
        [reply] = client.ask(client.connect_message(connectionType="long-polling-json-encoded",
                                                    advice={"timeout": 0}))
        assert reply["successful"] is True

    def test_newer_supersedes_older(self) -> None:
        """K-12: the older is released without events, the newer gets them."""
        world = World()
        client = world.client()
        client.subscribe("/a")
        older = client.connect()
        world.hub.publish("/a", 1)  # queued in the very turn in which the newer one comes
        newer = client.connect()
        assert older.why is Release.SUPERSEDED
        assert older.messages is None
        assert events(newer.messages) == [1]
        assert world.hub.metrics.superseded == 1

    def test_newer_is_held_in_its_turn(self) -> None:
        """K-12e."""
        world = World()
        client = world.client()
        client.subscribe("/a")
        client.connect()
        newer = client.connect()
        assert newer.held
        world.hub.publish("/a", 1)
        world.turn()
        assert events(newer.messages) == [1]

    def test_loss_of_a_superseded_carrier_is_no_loss(self) -> None:
        """K-12, N-4: the dead older connection does not disturb the newer connect."""
        world = World()
        client = world.client()
        older = client.connect()
        newer = client.connect()
        older.lose()
        world.clock.advance(29.0)
        assert newer.held
        assert client.session.alive

    def test_other_messages_do_not_wait_for_it(self) -> None:
        """L-12: and they do not release it."""
        client = World().client()
        carrier = client.connect()
        assert client.publish("/x", 1)["successful"] is True
        assert carrier.held

    def test_script_transport_makes_way(self) -> None:
        """K-15: callback-polling's held connect is released by any other message."""
        client = World().client(serial=True)
        carrier = client.connect()
        client.publish("/x", 1)
        assert carrier.why is Release.MAKE_WAY
        assert carrier.messages is not None
        assert carrier.messages[0]["successful"] is True

    def test_makes_way_for_pipelined_bytes(self) -> None:
        """K-16."""
        client = World().client()
        carrier = client.connect()
        carrier.exchange.make_way()
        assert carrier.why is Release.MAKE_WAY
        carrier.exchange.make_way()  # once is enough

    def test_rejected_connect_still_carries_advice(self) -> None:
        """A-4: also where the element was malformed."""
        [reply] = World().ask({"channel": "/meta/connect", "id": [1]})
        assert reply["error"] == "400::Malformed message"
        assert reply["advice"]["reconnect"] == "retry"


class TestSeveralSessionsInOneBrowser:
    """Section 14.4."""

    def crowd(self, world: World, number: int) -> list[Client]:
        clients = [world.client(browser="b") for _ in range(number)]
        self.carriers = [client.connect() for client in clients]
        return clients

    def test_one_too_many_polls(self) -> None:
        """B-3, B-4: the extra connect is answered at once, to come again after a while."""
        world = World(max_sessions_per_browser=2, multi_session_interval=2.0)
        self.crowd(world, 2)
        assert all(carrier.held for carrier in self.carriers)
        extra = world.client(browser="b")
        [reply] = extra.ask(extra.connect_message())
        assert reply["successful"] is True
        assert reply["advice"] == {"reconnect": "retry", "interval": 2000, "timeout": 30000,
                                   "multiple-clients": True}

    def test_it_outlives_its_pause(self) -> None:
        """Q-3: the advised interval is added to the grace of this cycle."""
        world = World(max_sessions_per_browser=1, multi_session_interval=5.0, max_interval=10.0)
        self.crowd(world, 1)
        extra = world.client(browser="b")
        extra.ask(extra.connect_message())
        world.clock.advance(14.9)
        assert extra.session.alive
        world.clock.advance(1.2)
        assert not extra.session.alive

    def test_turned_away(self) -> None:
        """B-4: an interval of 0 or less refuses."""
        world = World(max_sessions_per_browser=1, multi_session_interval=-1)
        self.crowd(world, 1)
        extra = world.client(browser="b")
        [reply] = extra.ask(extra.connect_message())
        assert reply["successful"] is False
        assert reply["error"] == "403::Too many sessions in one browser"  # E-4
        assert reply["advice"]["reconnect"] == "none"
        assert reply["advice"]["multiple-clients"] is True

    @pytest.mark.parametrize("end", ["event", "timeout", "superseded", "disconnect", "lost", "kicked"])
    def test_every_end_of_a_hold_frees_its_place(self, end: str) -> None:
        """B-5."""
        world = World(max_sessions_per_browser=1)
        [first] = self.crowd(world, 1)
        if end == "event":
            first.session.deliver("/x", 1)
            world.turn()
        elif end == "timeout":
            world.clock.advance(30)
        elif end == "superseded":
            first.connect()
            first.connect().lose()
        elif end == "disconnect":
            first.ask(first.message("/meta/disconnect"))
        elif end == "lost":
            self.carriers[0].lose()
        elif end == "kicked":
            first.session.disconnect()
        second = world.client(browser="b")
        assert second.connect().held

    def test_superseding_does_not_count_twice(self) -> None:
        """B-6."""
        world = World(max_sessions_per_browser=1)
        [only] = self.crowd(world, 1)
        assert only.connect().held

    def test_other_browsers_and_none_are_not_counted(self) -> None:
        """B-7."""
        world = World(max_sessions_per_browser=1)
        self.crowd(world, 1)
        assert world.client(browser="other").connect().held
        assert world.client().connect().held
        assert world.client().connect().held

    def test_negative_means_any_number(self) -> None:
        """B-4."""
        world = World(max_sessions_per_browser=-1)
        self.crowd(world, 20)
        assert all(carrier.held for carrier in self.carriers)

    def test_another_browser_may_not_use_the_session(self) -> None:
        """B-2: a different cookie is refused, none is accepted unless told otherwise."""
        world = World()
        client = world.client(browser="mine")
        thief = Link("long-polling", browser_id="other")
        [reply] = world.ask(client.message("/meta/subscribe", subscription="/a"), link=thief)
        assert reply["error"].startswith("402:")
        [reply] = world.ask(client.message("/meta/subscribe", subscription="/a"), link=Link("long-polling"))
        assert reply["successful"] is True

    def test_the_cookie_can_be_required(self) -> None:
        """B-2."""
        world = World(require_browser_cookie=True)
        client = world.client(browser="mine")
        [reply] = world.ask(client.message("/meta/subscribe", subscription="/a"), link=Link("long-polling"))
        assert reply["error"].startswith("402:")


class TestDisconnect:
    """Section 8."""

    def test_removes_the_session(self) -> None:
        """X-1, X-2, X-5."""
        world = World()
        client = world.client()
        client.subscribe("/a")
        assert client.ask(client.message("/meta/disconnect", id="9")) == [
            {"channel": "/meta/disconnect", "successful": True, "id": "9", "clientId": client.id}]
        assert len(world.hub.sessions) == 0
        assert world.hub.publish("/a", 1) == 0
        [reply] = client.ask(client.connect_message())
        assert reply["advice"]["reconnect"] == "handshake"

    def test_releases_the_held_connect(self) -> None:
        """X-3, K-14."""
        client = World().client()
        carrier = client.connect(id="4")
        client.ask(client.message("/meta/disconnect"))
        assert carrier.messages == [{
            "channel": "/meta/connect", "successful": True, "id": "4", "clientId": client.id,
            "advice": {"reconnect": "none", "interval": 0, "timeout": 30000}}]

    def test_after_a_connect_in_its_batch(self) -> None:
        """X-3, X-7: the connect's reply knows."""
        client = World().client()
        replies = client.ask(client.connect_message(), client.message("/meta/disconnect"))
        assert [reply["successful"] for reply in replies] == [True, True]
        assert replies[0]["advice"]["reconnect"] == "none"

    def test_unknown_client_gets_no_advice(self) -> None:
        """X-4, A-5."""
        [reply] = World().ask({"channel": "/meta/disconnect", "clientId": "nobody"})
        assert reply == {"channel": "/meta/disconnect", "successful": False,
                         "error": "402:nobody:Unknown client ID"}

    def test_messages_around_it(self) -> None:
        """X-7: those before it are processed, those after it are unknown."""
        world = World()
        client, other = world.client(), world.client()
        other.subscribe("/a")
        replies = client.ask(client.message("/a", data=1), client.message("/meta/disconnect"),
                             client.message("/a", data=2))
        assert [reply["successful"] for reply in replies] == [True, True, False]
        assert events(other.ask(other.connect_message())) == [1]

    def test_by_the_server_while_held(self) -> None:
        """X-6: an extra message, without an id, and advice to stay away."""
        client = World().client()
        carrier = client.connect(id="4")
        client.session.disconnect()
        assert carrier.messages is not None
        assert carrier.messages[0] == {"channel": "/meta/disconnect", "successful": True}
        assert carrier.messages[1]["advice"]["reconnect"] == "none"
        assert carrier.messages[1]["id"] == "4"

    def test_by_the_server_between_connects(self) -> None:
        """X-6: the next connect is told to shake hands."""
        client = World().client()
        client.session.disconnect()
        client.session.disconnect()  # twice is no difference
        [reply] = client.ask(client.connect_message())
        assert reply["error"].startswith("402:")
        assert reply["advice"]["reconnect"] == "handshake"


class TestSubscribe:
    """Section 9."""

    def test_echoes_a_string(self) -> None:
        """S-2, M-30."""
        client = World().client()
        assert client.ask(client.message("/meta/subscribe", subscription="/a/*", id="5")) == [
            {"channel": "/meta/subscribe", "successful": True, "id": "5", "clientId": client.id,
             "subscription": "/a/*"}]

    def test_echoes_an_array(self) -> None:
        """S-2, M-30: same order, one reply."""
        assert World().client().subscribe("/b", "/a/**", "/b")["subscription"] == ["/b", "/a/**", "/b"]

    @pytest.mark.parametrize(("subscription", "error"), [
        (None, "400:subscription:Missing field"), ([], "400:subscription:Missing field"),
        (5, "400:subscription:Missing field"), ("", "405::Invalid channel"), ("a", "405:a:Invalid channel"),
        ("/a/*/b", "405:/a/*/b:Invalid channel"), ("/a\n", "405::Invalid channel"),
        ("/meta/subscribe", "403:/meta/subscribe:Forbidden channel"),
        ("/meta", "403:/meta:Forbidden channel"), ("/meta/*", "403:/meta/*:Forbidden channel"),
        ("/meta/**", "403:/meta/**:Forbidden channel"), ("/service", "403:/service:Forbidden channel"),
    ])
    def test_refusals(self, subscription: object, error: str) -> None:
        """S-3, S-5, E-11, E-17, E-19, C-12, C-16: and no advice (A-5)."""
        client = World().client()
        [reply] = client.ask(client.message("/meta/subscribe", subscription=subscription))
        assert reply["successful"] is False
        assert reply["error"] == error
        assert "advice" not in reply
        assert client.session.subscriptions == ()

    def test_all_or_nothing(self) -> None:
        """S-4: the error names the first offender, the reply echoes the whole request."""
        client = World().client()
        reply = client.subscribe("/ok", "/bad//", "/meta/x")
        assert reply["error"] == "405:/bad//:Invalid channel"
        assert reply["subscription"] == ["/ok", "/bad//", "/meta/x"]
        assert client.session.subscriptions == ()

    def test_service_channels_succeed_and_record_nothing(self) -> None:
        """C-14."""
        client = World().client()
        assert client.subscribe("/service/x", "/service/**")["successful"] is True
        assert client.session.subscriptions == ()

    def test_twice_is_once(self) -> None:
        """S-6, C-9: however many patterns match, one event comes once."""
        world = World()
        client = world.client()
        client.subscribe("/a/b", "/a/*")
        client.subscribe("/a/b", "/**")
        assert world.hub.publish("/a/b", 1) == 1
        assert events(client.ask(client.connect_message())) == [1]

    def test_effective_within_the_batch(self) -> None:
        """S-7, D-8: `[subscribe, publish]` delivers, after the replies."""
        client = World().client()
        messages = client.ask(client.message("/meta/subscribe", subscription="/a"),
                              client.message("/a", data=1))
        assert [("data" in m, m["channel"]) for m in messages] == [
            (False, "/meta/subscribe"), (False, "/a"), (True, "/a")]

    def test_before_the_first_connect(self) -> None:
        """S-11, P-12."""
        client = World().client(connect=False)
        client.subscribe("/a")
        client.publish("/a", 1)
        assert client.session.alive

    def test_unknown_client(self) -> None:
        """S-12, A-5."""
        [reply] = World().ask({"channel": "/meta/subscribe", "clientId": "x", "subscription": "/a"})
        assert reply == {"channel": "/meta/subscribe", "successful": False, "subscription": "/a",
                         "error": "402:x:Unknown client ID"}

    def test_unsubscribe_is_literal(self) -> None:
        """S-8, S-9."""
        world = World()
        client = world.client()
        client.subscribe("/a/b", "/a/*")
        [reply] = client.ask(client.message("/meta/unsubscribe", subscription="/a/b"))
        assert reply == {"channel": "/meta/unsubscribe", "successful": True, "clientId": client.id,
                         "subscription": "/a/b"}
        assert world.hub.publish("/a/b", 1) == 1
        client.ask(client.message("/meta/unsubscribe", subscription=["/a/*"]))
        assert world.hub.publish("/a/b", 2) == 0

    def test_policy_knows_by_what_link_it_came(self) -> None:
        """A session moves between links, and only the newest has the cookie of whoever is logged in now."""
        seen: list[Link] = []

        class Curious(Policy):
            def can_subscribe(self, session: Session, pattern: str, message: Any, link: Link) -> bool:
                seen.append(link)
                return True

        client = World(ListenOnly("/prices/*", before=Curious())).client()
        client.link = Link("long-polling", header=lambda name: f"its {name}")
        assert client.subscribe("/a", "/b")["successful"] is True
        assert seen == [client.link, client.link]

    def test_unsubscribe_what_was_not(self) -> None:
        """S-6."""
        client = World().client()
        [reply] = client.ask(client.message("/meta/unsubscribe", subscription="/never"))
        assert reply["successful"] is True

    def test_policy_is_asked_for_each(self) -> None:
        """E-15, S-10: with coverage, as a policy should."""
        from bayeux.channels import covers

        class Public(Policy):
            def can_subscribe(self, session: Session, pattern: str, message: Any, link: Link) -> bool:
                return covers("/public/**", pattern)

        client = World(Public()).client()
        assert client.subscribe("/public/a", "/public/*")["successful"] is True
        for pattern in ("/**", "/*", "/private/a", "/public"):
            assert client.subscribe(pattern)["error"] == f"403:{pattern}:Subscription denied"

    def test_too_many_in_one_message(self) -> None:
        """G-10: at the limit and one past it."""
        client = World(max_subscribe=3).client()
        assert client.subscribe("/a", "/b", "/c")["successful"] is True
        assert client.subscribe("/a", "/b", "/c", "/d")["error"] == "429::Too many requests"

    def test_too_many_for_a_session(self) -> None:
        """G-11: at the limit and one past it; nothing is applied, what is there does not count again."""
        client = World(max_subscriptions=3).client()
        assert client.subscribe("/a", "/b")["successful"] is True
        assert client.subscribe("/b", "/c", "/d")["error"] == "403:/d:Too many subscriptions"
        assert set(client.session.subscriptions) == {"/a", "/b"}
        assert client.subscribe("/a", "/c")["successful"] is True

    def test_too_many_for_the_server(self) -> None:
        """G-12, C-17: other clients may subscribe to what exists; what is left is freed."""
        world = World(max_channels=2)
        first, second = world.client(), world.client()
        first.subscribe("/a", "/b")
        assert second.subscribe("/c")["error"] == "503::Server too busy"
        assert second.subscribe("/a", "/b")["successful"] is True
        first.ask(first.message("/meta/disconnect"))
        second.ask(second.message("/meta/unsubscribe", subscription="/b"))
        assert second.subscribe("/c")["successful"] is True

    def test_channel_length(self) -> None:
        """G-9, C-6: at the limits and one past them."""
        client = World().client()
        for fine in ("/" + "x" * 255, "/x" * 32):
            assert client.subscribe(fine)["successful"] is True
            assert client.publish(fine, 1)["successful"] is True
        for bad in ("/" + "x" * 256, "/x" * 33):
            assert client.subscribe(bad)["error"].endswith(":Invalid channel")
            assert client.publish(bad, 1)["error"].endswith(":Invalid channel")


class TestPublish:
    """Sections 10 and 13."""

    def test_reply_and_delivery(self) -> None:
        """P-2, P-3, D-1 to D-4: nothing of the publisher's message but data."""
        world = World()
        sender, receiver = world.client(), world.client()
        receiver.subscribe("/a")
        assert sender.ask(sender.message("/a", data={"x": 1}, id="9", ext={"token": "secret"},
                                         advice={"reconnect": "none"}, foo=1)) == [
            {"channel": "/a", "successful": True, "id": "9"}]
        assert receiver.ask(receiver.connect_message())[0] == {"channel": "/a", "data": {"x": 1}}

    def test_null_is_data(self) -> None:
        """M-28, P-4."""
        client = World().client()
        client.subscribe("/a")
        assert client.ask(client.message("/a", data=None))[1] == {"channel": "/a", "data": None}

    @pytest.mark.parametrize(("channel", "error"), [
        ("/a/*", "405:/a/*:Invalid channel"), ("/**", "405:/**:Invalid channel"),
        ("a", "405:a:Invalid channel"), ("", "405::Invalid channel"), ("/a/", "405:/a/:Invalid channel"),
        ("/a\n", "405::Invalid channel"), ("/\u00e9", "405::Invalid channel"),
        ("/meta/foo", "404:/meta/foo:Unknown channel"),
        ("/meta/subscribe/x", "404:/meta/subscribe/x:Unknown channel"),
        ("/meta/Handshake", "404:/meta/Handshake:Unknown channel"),
        ("/meta/connect/", "404:/meta/connect/:Unknown channel"),
        ("/meta", "403:/meta:Forbidden channel"), ("/service", "403:/service:Forbidden channel"),
    ])
    def test_bad_channels(self, channel: str, error: str) -> None:
        """P-5, P-6, C-3, C-10, C-11, C-16."""
        client, reply = self.publish_to(channel)
        assert reply["error"] == error
        assert reply["channel"] == channel  # M-20
        assert "advice" not in reply
        assert set(client.session.subscriptions) == {"/**"}
        assert events(client.ask(client.connect_message(advice={"timeout": 0}))) == []

    def publish_to(self, channel: str) -> tuple[Client, Any]:
        client = World().client()
        client.subscribe("/**")
        return client, client.ask(client.message(channel, data=1, subscription="/x"))[0]

    def test_data_missing(self) -> None:
        """P-4."""
        client = World().client()
        [reply] = client.ask(client.message("/a"))
        assert reply == {"channel": "/a", "successful": False, "error": "400:data:Missing field"}

    def test_stale_client_is_no_stateless_publish(self) -> None:
        """P-7."""
        class Open(Policy):
            def can_publish(self, session: Session | None, channel: str, message: Any, link: Link) -> bool:
                return True

        world = World(Open())
        [reply] = world.ask({"channel": "/a", "clientId": "stale", "data": 1})
        assert reply["error"] == "402:stale:Unknown client ID"

    @pytest.mark.parametrize("fields", [{}, {"clientId": None}])
    def test_stateless_is_off(self, fields: dict[str, object]) -> None:
        """P-8: and answered all the same."""
        [reply] = World().ask({"channel": "/a", "data": 1, "id": "3", **fields})
        assert reply == {"channel": "/a", "successful": False, "id": "3", "error": "401::No client ID"}

    def test_stateless_by_policy(self) -> None:
        """P-8, P-9: authorised in its own right, and answered without anybody's events."""
        class Signed(Policy):
            def can_publish(self, session: Session | None, channel: str, message: Any, link: Link) -> bool:
                return session is not None or message.extensions().get("signed") is True

        world = World(Signed())
        client = world.client()
        client.subscribe("/a")
        assert world.ask({"channel": "/a", "data": 1, "ext": {"signed": True}}) == [
            {"channel": "/a", "successful": True}]
        [reply] = world.ask({"channel": "/a", "data": 2})
        assert reply["error"] == "403:/a:Publish denied"
        assert events(client.ask(client.connect_message())) == [1]

    def test_publisher_is_left_out_if_told_so(self) -> None:
        """P-11."""
        world = World(broadcast_to_publisher=False)
        client, other = world.client(), world.client()
        client.subscribe("/a")
        other.subscribe("/a")
        assert client.ask(client.message("/a", data=1)) == [{"channel": "/a", "successful": True}]
        assert events(other.ask(other.connect_message())) == [1]
        assert world.hub.publish("/a", 2) == 2

    def test_one_session_a_batch(self) -> None:
        """I-6: a batch speaks for the first valid session in it."""
        world = World()
        first, second = world.client(), world.client()
        replies = world.ask({"channel": "/a", "clientId": "nobody", "data": 0}, first.message("/a", data=1),
                            second.message("/a", data=2), first.message("/a", data=3))
        assert [reply["successful"] for reply in replies] == [False, True, False, True]

    def test_a_bad_element_costs_only_itself(self) -> None:
        """M-5, E-32."""
        world = World()
        client = world.client()
        client.subscribe("/a")
        messages = client.ask(client.message("/a", data=1), {"id": "x"}, client.message("/a", data=2))
        assert [m.get("error") for m in messages[:3]] == [None, "400::Malformed message", None]
        assert messages[1]["channel"] == "/meta/unknown"
        assert events(messages) == [1, 2]

    def test_direct_delivery(self) -> None:
        """D-6: waiting events go with any reply, and the held connect stays."""
        world = World()
        client = world.client()
        client.subscribe("/a")
        carrier = client.connect()
        world.hub.publish("/a", 1)
        assert events(client.ask(client.message("/b", data=0))) == [1]
        world.turn()
        assert carrier.held

    @pytest.mark.parametrize("reason", ["setting", "serial"])
    def test_connect_only_delivery(self, reason: str) -> None:
        """D-7."""
        world = World(meta_connect_deliver_only=reason == "setting")
        client = world.client(serial=reason == "serial")
        client.subscribe("/a")
        assert len(client.ask(client.message("/a", data=1))) == 1
        assert events(client.ask(client.connect_message())) == [1]

    def test_order(self) -> None:
        """D-9: events come in the order in which they were published."""
        world = World()
        client = world.client()
        client.subscribe("/**")
        for number in range(50):
            world.hub.publish(f"/c/{number % 3}", number)
        assert events(client.ask(client.connect_message())) == list(range(50))

    def test_refused_by_policy(self) -> None:
        """E-16."""
        class Quiet(Policy):
            def can_publish(self, session: Session | None, channel: str, message: Any, link: Link) -> bool:
                return False

        assert World(Quiet()).client().publish("/a", 1)["error"] == "403:/a:Publish denied"


class TestService:
    """Section 11."""

    def world(self, handler: Any, **settings: Any) -> tuple[World, Client]:
        world = World(**settings)
        world.hub.service("/service/echo", handler)
        return world, world.client()

    def test_answer(self) -> None:
        """V-2, V-3: reply and event are separate; the event has the request's id."""
        _, client = self.world(lambda session, data: {"got": data})
        assert client.ask(client.message("/service/echo", data=[1], id="12")) == [
            {"channel": "/service/echo", "successful": True, "id": "12"},
            {"channel": "/service/echo", "id": "12", "data": {"got": [1]}},
        ]

    def test_answer_without_id(self) -> None:
        """V-3: aiocometd wants it so."""
        _, client = self.world(lambda session, data: data, service_answer_id=False)
        assert client.ask(client.message("/service/echo", data=1, id="12"))[1] == {
            "channel": "/service/echo", "data": 1}

    def test_no_answer(self) -> None:
        """V-1: None is no answer."""
        _, client = self.world(lambda session, data: None)
        assert len(client.ask(client.message("/service/echo", data=1))) == 1

    def test_no_handler(self) -> None:
        """V-1: ignored."""
        client = World().client()
        assert client.ask(client.message("/service/other", data=1)) == [
            {"channel": "/service/other", "successful": True}]

    def test_nobody_else_receives_it(self) -> None:
        """C-13, C-15: neither the message nor the answer, whatever they subscribe to."""
        world, client = self.world(lambda session, data: data)
        spy = world.client()
        spy.subscribe("/**", "/*", "/service/echo", "/service/*")
        heard: list[Any] = []
        world.hub.subscribe("/**", lambda channel, data: heard.append(channel))
        client.publish("/service/echo", 1)
        client.publish("/service/other", 1)
        assert events(spy.ask(spy.connect_message(advice={"timeout": 0}))) == []
        assert heard == []

    def test_handler_is_given_session_and_data(self) -> None:
        """V-1."""
        seen: list[Any] = []
        _, client = self.world(lambda session, data: seen.append((session, data)))
        client.publish("/service/echo", {"a": None})
        assert seen == [(client.session, {"a": None})]

    def test_needs_a_session(self) -> None:
        """V-5: also where the policy lets stateless publishes pass."""
        class Open(Policy):
            def can_publish(self, session: Session | None, channel: str, message: Any, link: Link) -> bool:
                return True

        world = World(Open())
        world.hub.service("/service/echo", lambda session, data: data)
        [reply] = world.ask({"channel": "/service/echo", "data": 1})
        assert reply["error"] == "401::No client ID"

    def test_deferred_answer(self) -> None:
        """V-4, L-10: the batch is answered when all of it is, in order (M-12)."""
        later: Deferred[str] = Deferred()
        _, client = self.world(lambda session, data: later)
        carrier = client.send(client.message("/service/echo", data=1, id="1"),
                              client.message("/meta/subscribe", subscription="/a", id="2"))
        assert carrier.held
        assert client.session.subscriptions == ()
        later.callback("done")
        assert carrier.messages is not None
        assert [m.get("id") for m in carrier.messages] == ["1", "2", "1"]
        assert carrier.messages[2]["data"] == "done"

    def test_coroutine_answer(self) -> None:
        """V-4."""
        async def handler(session: Session, data: Any) -> Any:
            return [data, await succeed("x")]

        _, client = self.world(handler)
        assert events(client.ask(client.message("/service/echo", data=1))) == [[1, "x"]]

    @pytest.mark.parametrize("failing", [
        lambda session, data: 1 / 0,
        lambda session, data: fail(RuntimeError("later")),
        lambda session, data: object(),  # no JSON
        lambda session, data: "\ud800",  # no UTF-8
    ])
    def test_handler_that_fails(self, failing: Any, logged_errors: list[Any]) -> None:
        """E-26, E-32: costs its own message a 500, nothing else."""
        world, client = self.world(failing)
        client.subscribe("/a")
        messages = client.ask(client.message("/a", data=1), client.message("/service/echo", data=1, id="1"),
                              client.message("/a", data=2))
        assert messages[1] == {"channel": "/service/echo", "successful": False, "id": "1",
                               "error": "500::Internal server error"}
        assert events(messages) == [1, 2]
        assert world.hub.metrics.application_errors == 1
        assert world.hub.metrics.failures[500] == 1
        assert len(logged_errors) == 1
        logged_errors.clear()

    def test_error_that_the_handler_chooses(self) -> None:
        """E-1: a BayeuxError is told as it is, and is no fault to be logged."""
        def handler(session: Session, data: Any) -> None:
            raise BayeuxError(403, "Not in this room", "chat")

        _, client = self.world(handler)
        assert client.publish("/service/echo", 1)["error"] == "403:chat:Not in this room"

    def test_answer_for_a_client_that_left(self) -> None:
        """V-4: comes to nothing."""
        later: Deferred[str] = Deferred()
        _, client = self.world(lambda session, data: later)
        carrier = client.send(client.message("/service/echo", data=1))
        client.ask(client.message("/meta/disconnect"))
        later.callback("too late")
        assert carrier.messages == [{"channel": "/service/echo", "successful": True}]

    def test_newer_connect_gets_the_events(self) -> None:
        """K-12: not an older batch whose service is slow."""
        later: Deferred[str] = Deferred()
        world, client = self.world(lambda session, data: later)
        slow = client.send(client.connect_message(), client.message("/service/echo", data=1))
        newer = client.connect()
        client.session.deliver("/x", 1)
        later.callback("done")
        assert events(slow.messages) == []
        world.turn()
        assert events(newer.messages) == [1, "done"]

    def test_decorator(self) -> None:
        world = World()

        @world.hub.service("/service/twice")
        def twice(session: Session, data: Any) -> Any:
            return data * 2

        client = world.client()
        assert events(client.ask(client.message("/service/twice", data=4))) == [8]

    @pytest.mark.parametrize("channel", ["/chat", "/service", "/service/*", "/service/", "service/x"])
    def test_handler_for_what_is_no_service(self, channel: str) -> None:
        with pytest.raises(InvalidChannel):
            World().hub.service(channel, lambda session, data: None)

    def test_one_handler_a_channel(self) -> None:
        world, _ = self.world(lambda session, data: None)
        with pytest.raises(ValueError, match="has a handler already"):
            world.hub.service("/service/echo", lambda session, data: None)


class TestAsynchronousPolicy:
    """A policy may have to ask somebody."""

    class Asking(Policy):
        def __init__(self) -> None:
            self.questions: list[Deferred[bool]] = []

        def ask(self, *_: Any) -> Deferred[bool]:
            self.questions.append(Deferred())
            return self.questions[-1]

        can_subscribe = ask
        can_publish = ask

    def test_subscribe(self) -> None:
        """S-4: applied when all are allowed."""
        policy = self.Asking()
        client = World(policy).client()
        carrier = client.send(client.message("/meta/subscribe", subscription=["/a", "/b"]))
        policy.questions[0].callback(True)
        assert carrier.held
        assert client.session.subscriptions == ()
        policy.questions[1].callback(True)
        assert set(client.session.subscriptions) == {"/a", "/b"}
        assert carrier.messages is not None
        assert carrier.messages[0]["successful"] is True

    def test_subscribe_refused(self) -> None:
        """S-4, E-15: the first refusal ends it."""
        policy = self.Asking()
        client = World(policy).client()
        carrier = client.send(client.message("/meta/subscribe", subscription=["/a", "/b"]))
        policy.questions[0].callback(False)
        assert len(policy.questions) == 1
        assert carrier.messages is not None
        assert carrier.messages[0]["error"] == "403:/a:Subscription denied"

    def test_client_that_leaves_meanwhile(self) -> None:
        """S-12: nothing is left of it in the registry."""
        policy = self.Asking()
        world = World(policy)
        client = world.client()
        carrier = client.send(client.message("/meta/subscribe", subscription="/a"))
        client.ask(client.message("/meta/disconnect"))
        policy.questions[0].callback(True)
        assert carrier.messages is not None
        assert carrier.messages[0]["error"].startswith("402:")
        assert world.hub.publish("/a", 1) == 0

    def test_order_of_effects(self) -> None:
        """M-12: a later message of the batch waits."""
        policy = self.Asking()
        world = World(policy)
        client = world.client()
        heard: list[Any] = []
        world.hub.subscribe("/a", lambda channel, data: heard.append(data))
        client.send(client.message("/a", data=1), client.message("/a", data=2))
        policy.questions[0].callback(True)
        assert heard == [1]
        policy.questions[1].callback(False)
        assert heard == [1]

    def test_connection_lost_meanwhile(self) -> None:
        """D-13, N-1: events stay; expiry, stopped by the connect, runs again."""
        policy = self.Asking()
        world = World(policy)
        client = world.client()
        client.session.deliver("/x", 1)
        carrier = client.send(client.connect_message(), client.message("/a", data=1))
        carrier.lose()
        policy.questions[0].callback(True)
        assert events(client.ask(client.connect_message())) == [1]
        world.clock.advance(12)
        assert not client.session.alive


class TestLifeCycle:
    """Section 17."""

    def test_expires_after_a_connect_reply(self) -> None:
        """Q-2b, Q-3, Q-4."""
        world = World(max_interval=10.0)
        client = world.client()
        world.clock.advance(9.9)
        assert client.session.alive
        world.clock.advance(1.2)
        assert not client.session.alive
        assert world.hub.metrics.sessions_removed == {"timeout": 1}

    def test_never_expires_while_held(self) -> None:
        """Q-1."""
        world = World(timeout=1000.0)
        client = world.client()
        client.connect()
        world.clock.advance(999)
        assert client.session.alive

    def test_other_messages_are_signs_of_life(self) -> None:
        """Q-3."""
        world = World(max_interval=10.0)
        client = world.client()
        world.clock.advance(9)
        client.publish("/a", 1)
        world.clock.advance(9.5)
        assert client.session.alive
        world.clock.advance(2)
        assert not client.session.alive

    def test_interval_that_the_client_announces(self) -> None:
        """Q-3, G-24: for this cycle, capped."""
        world = World(max_interval=10.0, max_client_interval=100.0)
        client = world.client()
        client.ask(client.connect_message(advice={"timeout": 0, "interval": 50_000}))
        world.clock.advance(59)
        assert client.session.alive
        client.ask(client.connect_message(advice={"timeout": 0, "interval": 10**9}))
        world.clock.advance(109)
        assert client.session.alive
        client.ask(client.connect_message(advice={"timeout": 0}))
        world.clock.advance(12)
        assert not client.session.alive

    def test_lost_carrier_keeps_the_queue(self) -> None:
        """N-1, D-13, Q-2c: also what was queued in the turn in which it was lost."""
        world = World(max_interval=10.0)
        client = world.client()
        client.subscribe("/a")
        carrier = client.connect()
        world.hub.publish("/a", 1)
        carrier.lose()
        world.turn()
        world.hub.publish("/a", 2)
        assert events(client.ask(client.connect_message())) == [1, 2]
        assert world.hub.metrics.carriers_lost == 1

    def test_lost_carrier_starts_expiry(self) -> None:
        """Q-2c, Q-8."""
        world = World(max_interval=10.0)
        client = world.client()
        client.connect().lose()
        world.clock.advance(9.9)
        assert client.session.alive
        world.clock.advance(1.2)
        assert not client.session.alive

    def test_timer_of_an_older_cycle(self) -> None:
        """Q-5."""
        world = World(max_interval=10.0)
        client = world.client()
        world.clock.advance(9)
        carrier = client.connect()
        world.clock.advance(20)
        assert carrier.held
        assert client.session.alive

    @pytest.mark.parametrize(("limit", "alive"), [(20.0, False), (-1.0, True), (0.0, True)])
    def test_a_connect_that_is_processed_too_long(self, limit: float, alive: bool) -> None:
        """Section 17, max_processing: off unless set; a hold is no processing."""
        world = World(max_processing=limit, timeout=60.0)
        world.hub.service("/service/never", lambda session, data: Deferred())
        stuck, waiting = world.client(), world.client()
        carrier = waiting.connect()
        stuck.send(stuck.connect_message(), stuck.message("/service/never", data=1))
        world.clock.advance(19)
        assert stuck.session.alive
        world.clock.advance(3)
        assert stuck.session.alive is alive
        assert carrier.held

    def test_overflow_disconnects(self) -> None:
        """Q-7, G-15: at the limit and one past it; the client is told to shake hands."""
        world = World(max_queue=3)
        client = world.client()
        client.subscribe("/a")
        for number in range(3):
            world.hub.publish("/a", number)
        assert client.session.alive
        world.hub.publish("/a", 3)
        assert not client.session.alive
        assert world.hub.metrics.dropped == 4
        assert world.hub.metrics.sessions_removed == {"overflow": 1}
        [reply] = client.ask(client.connect_message())
        assert reply["advice"]["reconnect"] == "handshake"

    @pytest.mark.parametrize(("overflow", "kept"), [("drop_oldest", [1, 2, 3]), ("drop_newest", [0, 1, 2])])
    def test_overflow_drops(self, overflow: str, kept: list[int]) -> None:
        """Q-7: counted, never silently."""
        world = World(max_queue=3, overflow=overflow)
        client = world.client()
        client.subscribe("/a")
        for number in range(4):
            world.hub.publish("/a", number)
        assert events(client.ask(client.connect_message())) == kept
        assert world.hub.metrics.dropped == 1

    def test_every_event_that_is_dropped_counts(self) -> None:
        """Q-7: a large one may push out several."""
        world = World(max_queue_bytes=150, overflow="drop_oldest")
        client = world.client()
        for size in (10, 10, 10, 80):
            client.session.deliver("/a", "x" * size)
        assert world.hub.metrics.queued == 4
        assert world.hub.metrics.dropped == 4 - len(client.session.queue) > 1

    def test_overflow_by_bytes(self) -> None:
        """Q-7."""
        world = World(max_queue_bytes=100)
        client = world.client()
        client.subscribe("/a")
        world.hub.publish("/a", "x" * 40)
        assert client.session.alive
        world.hub.publish("/a", "x" * 40)
        assert not client.session.alive

    def test_burst_into_a_held_connect(self) -> None:
        """D-14, Q-7: more than the queue holds, in one turn, overflows only if the client does not come."""
        world = World(max_queue=3)
        client = world.client()
        client.subscribe("/a")
        carrier = client.connect()
        for number in range(5):
            world.hub.publish("/a", number)
        assert client.session.alive
        assert events(carrier.messages) == [0, 1, 2]
        assert events(client.ask(client.connect_message())) == [3, 4]

    def test_slow_subscriber_does_not_disturb_others(self) -> None:
        """D-14."""
        world = World(max_queue=2)
        slow, quick = world.client(), world.client()
        for client in (slow, quick):
            client.subscribe("/a")
        received = []
        for number in range(5):
            carrier = quick.connect()
            world.hub.publish("/a", number)
            world.turn()
            received += events(carrier.messages)
        assert received == [0, 1, 2, 3, 4]
        assert not slow.session.alive

    def test_close(self) -> None:
        """Q-10: every held connect is told to come back, at different times; nobody is let in."""
        world = World(shutdown_spread=5.0)
        clients = [world.client() for _ in range(20)]
        carriers = [client.connect() for client in clients]
        world.hub.close()
        intervals = set()
        for carrier in carriers:
            assert carrier.messages is not None
            [reply] = carrier.messages
            assert reply["successful"] is False
            assert reply["error"] == "503::Server too busy"
            assert reply["advice"]["reconnect"] == "handshake"
            assert 0 <= reply["advice"]["interval"] <= 5000
            intervals.add(reply["advice"]["interval"])
        assert len(intervals) > 10
        [reply] = world.ask(HANDSHAKE)
        assert reply["error"] == "503::Server too busy"
        [reply] = clients[0].ask(clients[0].connect_message())
        assert reply["error"] == "503::Server too busy"
        assert reply["advice"]["reconnect"] == "handshake"
        assert world.clock.getDelayedCalls() == []

    def test_open_again(self) -> None:
        world = World()
        world.hub.close()
        world.hub.open()
        assert world.client().connect().held


class TestLazy:
    """D-12."""

    def test_waits_for_company(self) -> None:
        world = World(lazy_channels={"/stats/**": 5.0})
        client = world.client()
        client.subscribe("/**")
        carrier = client.connect()
        world.hub.publish("/stats/cpu", 1)
        world.turn()
        assert carrier.held
        world.hub.publish("/news", 2)
        world.turn()
        assert events(carrier.messages) == [1, 2]

    def test_but_not_for_ever(self) -> None:
        """The oldest lazy event counts."""
        world = World(lazy_channels={"/stats/**": 5.0})
        client = world.client()
        client.subscribe("/**")
        carrier = client.connect()
        world.hub.publish("/stats/cpu", 1)
        world.clock.advance(4.9)
        world.hub.publish("/stats/cpu", 2)
        assert carrier.held
        world.clock.advance(0.2)
        assert events(carrier.messages) == [1, 2]

    def test_waiting_when_the_connect_comes(self) -> None:
        """The connect is held for what is left of the time."""
        world = World(lazy_channels={"/stats/**": 5.0})
        client = world.client()
        client.subscribe("/**")
        world.hub.publish("/stats/cpu", 1)
        world.clock.advance(3)
        carrier = client.connect()
        assert carrier.held
        world.clock.advance(2.1)
        assert events(carrier.messages) == [1]

    def test_goes_with_a_direct_response(self) -> None:
        """And then the held connect has its whole time again."""
        world = World(lazy_channels={"/stats/**": 5.0}, timeout=30.0)
        client = world.client()
        client.subscribe("/**")
        carrier = client.connect()
        world.hub.publish("/stats/cpu", 1)
        assert events(client.ask(client.message("/meta/unsubscribe", subscription="/x"))) == [1]
        world.clock.advance(20)
        assert carrier.held
        world.clock.advance(11)
        assert not carrier.held

    def test_goes_with_the_timeout(self) -> None:
        world = World(lazy_channels={"/stats": 100.0}, timeout=30.0)
        client = world.client()
        client.subscribe("/**")
        carrier = client.connect()
        world.hub.publish("/stats", 1)
        world.clock.advance(30)
        assert events(carrier.messages) == [1]

    def test_mark_is_for_what_it_matches(self) -> None:
        """A mark on /news is not one on /news/sport; 0 is no delay."""
        world = World(lazy_channels={"/news": 5.0, "/now": 0.0})
        client = world.client()
        client.subscribe("/**")
        for channel in ("/news/sport", "/now"):
            carrier = client.connect()
            world.hub.publish(channel, 1)
            world.turn()
            assert not carrier.held

    def test_lazy_publish(self) -> None:
        world = World(max_lazy_timeout=7.0)
        client = world.client()
        client.subscribe("/a")
        carrier = client.connect()
        world.hub.publish("/a", 1, lazy=True)
        world.clock.advance(6.9)
        assert carrier.held
        world.clock.advance(0.2)
        assert events(carrier.messages) == [1]


class TestLocal:
    """The application's own publishing and subscribing."""

    def test_publish_says_how_many(self) -> None:
        world = World()
        for _ in range(3):
            world.client().subscribe("/a", "/**")
        assert world.hub.publish("/a", {"b": [1, None]}) == 3
        assert world.hub.publish("/z", 1) == 3
        assert world.hub.metrics.published == 2
        assert world.hub.metrics.queued == 6

    @pytest.mark.parametrize("channel", ["a", "/a/*", "/**", "", "/a b"])
    def test_publish_to_what_is_no_channel(self, channel: str) -> None:
        with pytest.raises(InvalidChannel):
            World().hub.publish(channel, 1)

    @pytest.mark.parametrize("channel", ["/meta/connect", "/meta", "/service/x", "/service"])
    def test_publish_to_a_reserved_channel(self, channel: str) -> None:
        with pytest.raises(Denied):
            World().hub.publish(channel, 1)

    def test_publish_what_json_cannot_hold(self) -> None:
        with pytest.raises(TypeError):
            World().hub.publish("/a", object())

    def test_subscribe(self) -> None:
        """The callback is given channel and data, once an event."""
        world = World()
        heard: list[Any] = []

        def callback(channel: str, data: Any) -> None:
            heard.append((channel, data))

        world.hub.subscribe("/a/*", callback)
        world.hub.subscribe("/a/**", callback)
        world.client().publish("/a/b", {"x": 1})
        world.hub.publish("/a/c", 2)
        world.hub.publish("/b", 3)
        assert heard == [("/a/b", {"x": 1}), ("/a/c", 2)]
        world.hub.unsubscribe("/a/*", callback)
        world.hub.unsubscribe("/a/**", callback)
        world.hub.publish("/a/c", 4)
        assert len(heard) == 2

    @pytest.mark.parametrize("pattern", ["/meta/**", "/service/x", "/service/**", "/a//b", "a"])
    def test_subscribe_to_what_cannot_be(self, pattern: str) -> None:
        with pytest.raises(InvalidChannel):
            World().hub.subscribe(pattern, lambda channel, data: None)

    @pytest.mark.parametrize("failing", [lambda c, d: 1 / 0, lambda c, d: fail(RuntimeError("x"))])
    def test_callback_that_fails(self, failing: Any, logged_errors: list[Any]) -> None:
        """E-32: it is logged and counted, and nobody else notices."""
        world = World()
        heard: list[Any] = []
        world.hub.subscribe("/a", failing)
        world.hub.subscribe("/a", lambda channel, data: heard.append(data))
        client = world.client()
        client.subscribe("/a")
        assert events(client.ask(client.message("/a", data=1))) == [1]
        assert heard == [1]
        assert world.hub.metrics.application_errors == 1
        assert len(logged_errors) == 1
        logged_errors.clear()

    def test_observer_that_fails(self, logged_errors: list[Any]) -> None:
        """E-32: neither the publisher nor the next observer notices."""
        world = World()
        seen: list[Any] = []
        world.hub.broker.observe(lambda event: 1 / 0)
        world.hub.broker.observe(lambda event: seen.append((event.channel, event.data)))
        assert world.hub.publish("/a", 1) == 0
        assert seen == [("/a", b"1")]
        assert world.hub.metrics.application_errors == 1
        logged_errors.clear()

    def test_callback_that_publishes(self) -> None:
        """It may, and comes after what it answers (D-9)."""
        world = World()
        world.hub.subscribe("/a", lambda channel, data: world.hub.publish("/b", data + 1))
        client = world.client()
        client.subscribe("/a", "/b")
        world.hub.publish("/a", 1)
        assert events(client.ask(client.connect_message())) == [1, 2]

    def test_asynchronous_callback(self) -> None:
        heard: list[Any] = []

        async def callback(channel: str, data: Any) -> None:
            heard.append(await succeed(data))

        world = World()
        world.hub.subscribe("/a", callback)
        world.hub.publish("/a", 1)
        assert heard == [1]

    def test_deliver_to_one(self) -> None:
        world = World()
        client, other = world.client(), world.client()
        carrier, nothing = client.connect(), other.connect()
        client.session.deliver("/private", {"a": 1})
        world.turn()
        assert carrier.messages is not None
        assert carrier.messages[0] == {"channel": "/private", "data": {"a": 1}}
        assert nothing.held

    def test_deliver_to_one_who_is_gone(self) -> None:
        client = World().client()
        client.session.disconnect()
        client.session.deliver("/private", 1)
        assert not client.session.queue

    def test_listeners(self, logged_errors: list[Any]) -> None:
        """Q-4, X-2: added, removed and why; one that fails does not disturb the others."""
        world = World(max_interval=10.0, max_queue=1)
        told: list[Any] = []

        class Listener:
            def session_added(self, session: Session) -> None:
                told.append(("added", session))

            def session_removed(self, session: Session, reason: str) -> None:
                told.append((reason, session))

        class Broken(Listener):
            def session_added(self, session: Session) -> None:
                raise RuntimeError("broken")

        broken, listener = Broken(), Listener()
        world.hub.add_listener(broken)
        world.hub.add_listener(listener)
        first = world.client()
        assert told == [("added", first.session)]
        assert len(logged_errors) == 1
        logged_errors.clear()
        world.hub.remove_listener(broken)
        told.clear()
        first.ask(first.message("/meta/disconnect"))
        kicked = world.client()
        kicked.session.disconnect()
        full = world.client()
        full.session.deliver("/x", 1)
        full.session.deliver("/x", 1)
        late = world.client()
        world.clock.advance(12)
        last = world.client()
        world.hub.close()
        assert [entry for entry in told if entry[0] != "added"] == [
            ("disconnect", first.session), ("kicked", kicked.session), ("overflow", full.session),
            ("timeout", late.session), ("shutdown", last.session)]

    def test_defaults(self) -> None:
        hub = Hub(Clock())
        assert hub.settings == Settings()

    def test_session_repr_hides_the_id(self) -> None:
        """G-33, I-4."""
        client = World().client()
        assert client.id not in repr(client.session)


class TestReentrancy:
    """Answering one request may let the next one in, before the hub has come to an end with the first."""

    def test_superseding_lets_another_connect_in(self) -> None:
        """K-12: the last to come is held, everybody else is answered, and nobody is counted twice (B-6)."""
        world = World(max_sessions_per_browser=1)
        client = world.client(browser="b")
        client.subscribe("/a")
        first = client.connect()
        pipelined: list[Any] = []
        first.then = lambda: pipelined.append(client.connect())
        second = client.connect()
        assert first.why is second.why is Release.SUPERSEDED
        assert pipelined[0].held
        assert world.hub.sessions.holds.by_browser == {"b": 1}
        world.hub.publish("/a", 1)
        world.turn()
        assert events(pipelined[0].messages) == [1]
        assert world.hub.sessions.holds.by_browser == {}

    def test_loss_of_a_superseded_connect_leaves_the_newer_one(self) -> None:
        """K-12, N-4: also when the loss comes after all else."""
        world = World()
        client = world.client()
        older, newer = client.connect(), client.connect()
        older.exchange.lost()
        older.exchange.make_way()
        assert newer.held

    def test_superseding_lets_a_disconnect_in(self) -> None:
        """X-3: the newer connect is answered, nothing is left."""
        world = World()
        client = world.client()
        first = client.connect()
        first.then = lambda: client.ask(client.message("/meta/disconnect"))
        second = client.connect()
        assert second.messages is not None
        assert second.messages[0]["advice"]["reconnect"] == "none"
        world.clock.advance(60)
        assert world.hub.sessions.is_idle()

    def test_order_when_a_listener_publishes(self) -> None:
        """D-9: what is published because of an event comes after it, for everybody."""
        world = World(max_queue=1)
        full, other = world.client(), world.client()
        full.subscribe("/a")
        other.subscribe("/**")

        class Gossip:
            def session_added(self, session: Session) -> None:
                pass

            def session_removed(self, session: Session, reason: str) -> None:
                world.hub.publish("/gone", reason)

        other.connect()
        world.hub.publish("/a", 1)
        world.turn()
        world.hub.add_listener(Gossip())
        carrier = other.connect()
        world.hub.publish("/a", 2)
        assert not full.session.alive
        assert events(carrier.messages) == [2]
        assert events(other.ask(other.connect_message())) == ["overflow"]

    def test_order_when_a_callback_publishes(self) -> None:
        """D-9: every callback hears the event before what another has made of it."""
        world = World()
        heard: list[Any] = []
        world.hub.subscribe("/a", lambda channel, data: world.hub.publish("/b", data))
        for pattern in ("/a", "/b"):
            world.hub.subscribe(pattern, lambda channel, data: heard.append(channel))
        world.hub.publish("/a", 1)
        assert heard == ["/a", "/b"]

    def test_script_that_waits_is_released_by_any_message(self) -> None:
        """K-15: also by one that fails."""
        client = World().client(serial=True)
        carrier = client.connect()
        client.ask(client.message("/meta/foo"))
        assert carrier.why is Release.MAKE_WAY

    def test_client_that_leaves_while_its_publish_is_judged(self) -> None:
        """P-7: it is not published, and no service is called."""
        verdict: Deferred[bool] = Deferred()

        class Slow(Policy):
            def can_publish(self, session: Session | None, channel: str, message: Any, link: Link) -> Any:
                return verdict

        world = World(Slow())
        heard: list[Any] = []
        world.hub.subscribe("/a", lambda channel, data: heard.append(data))
        client = world.client()
        carrier = client.send(client.message("/a", data=1))
        client.session.disconnect()
        verdict.callback(True)
        assert carrier.messages is not None
        assert carrier.messages[0]["error"].startswith("402:")
        assert heard == []

    def test_verdict_that_is_shared(self) -> None:
        """A policy may give the same Deferred to several who ask."""
        verdict: Deferred[bool] = Deferred()

        class Shared(Policy):
            def can_publish(self, session: Session | None, channel: str, message: Any, link: Link) -> Any:
                return verdict

        client = World(Shared()).client()
        carriers = [client.send(client.message("/a", data=n)) for n in range(3)]
        verdict.callback(True)
        assert [carrier.messages[0]["successful"] for carrier in carriers if carrier.messages] == [True] * 3


class TestLimitsByAddress:
    """G-13, G-14."""

    def link(self, address: str) -> Link:
        return Link("long-polling", address=address)

    def test_sessions(self) -> None:
        """At the limit and one past it; other addresses are not concerned, and a place becomes free."""
        world = World(max_sessions_per_address=2)
        first, _ = (Client(world, self.link("a"), connect=True) for _ in range(2))
        [reply] = world.ask(HANDSHAKE, link=self.link("a"))
        assert reply["error"] == "503::Server too busy"
        assert reply["advice"]["interval"] >= 1000
        Client(world, self.link("b"), connect=True)
        first.session.disconnect()
        Client(world, self.link("a"), connect=True)

    @pytest.mark.parametrize("limit", ["max_held", "max_held_per_address"])
    def test_held_connects(self, limit: str) -> None:
        """The one too many is answered at once, to come again after a while."""
        world = World(**{limit: 1})
        first, second = (Client(world, self.link("a"), connect=True) for _ in range(2))
        held = first.connect()
        [reply] = second.ask(second.connect_message())
        assert reply["successful"] is True
        assert reply["advice"] == {"reconnect": "retry", "interval": 2000, "timeout": 30000}
        held.lose()
        assert second.connect().held
        assert len(world.hub.sessions.holds) == 1

    def test_nothing_stays_of_sessions_that_are_gone(self) -> None:
        """Q-6: not even an entry in a list of deadlines."""
        world = World()
        for _ in range(1000):
            client = world.client()
            client.ask(client.connect_message(advice={"timeout": 0, "interval": 3_600_000}))
            client.session.disconnect()
        assert world.hub.sessions.pending_deadlines < 200


class TestFailuresAreCounted:
    """Q-11: every unsuccessful reply, by its code."""

    def test_at_shutdown(self) -> None:
        world = World()
        world.client().connect()
        world.hub.close()
        assert world.hub.metrics.failures == {503: 1}

    def test_when_a_browser_is_turned_away(self) -> None:
        world = World(max_sessions_per_browser=0, multi_session_interval=0)
        client = world.client(browser="b")
        client.ask(client.connect_message())
        assert world.hub.metrics.failures == {403: 1}

    @pytest.mark.parametrize("data", [b"1e400", b'"\\ud800"', b"9" * 5000])
    def test_data_that_no_callback_can_be_given(self, data: bytes) -> None:
        """Section 25: it is relayed; the callback is passed over, and nothing is logged."""
        world = World()
        heard: list[Any] = []
        world.hub.subscribe("/a", lambda channel, data: heard.append(data))
        client = world.client()
        client.subscribe("/a")
        envelope = b'{"channel":"/a","clientId":"%b","data":%b}' % (client.id.encode(), data)
        exchange = world.hub.receive(decode(envelope, world.hub.settings), client.link)
        assert exchange.drain()[1] == b'{"channel":"/a","data":%b}' % data
        assert heard == []
        assert world.hub.metrics.failures == {400: 1}


@pytest.mark.parametrize("channel", ["/a b", "/a/*", "", "/meta/connect", '/a"b'])
def test_deliver_to_what_is_no_channel(channel: str) -> None:
    """E-19: a session's other events would be lost with it."""
    with pytest.raises(InvalidChannel):
        World().client().session.deliver(channel, 1)


def test_listen_only() -> None:
    """P-5, E-16: clients may subscribe, the server publishes, and other channels are as they were."""
    world = World(ListenOnly("/prices/**"))
    client = world.client()
    assert client.subscribe("/prices/*")["successful"] is True
    assert client.publish("/prices/wool", 1)["error"] == "403:/prices/wool:Publish denied"
    assert client.publish("/price", 1)["successful"] is True
    assert world.hub.publish("/prices/wool", 1) == 1
    [reply] = world.ask({"channel": "/other", "data": 1})
    assert reply["error"] == "401::No client ID"
    assert World(ListenOnly("/**")).client().publish("/service/x", 1)["successful"] is True  # C-15
    with pytest.raises(InvalidChannel):
        ListenOnly("prices/*")
