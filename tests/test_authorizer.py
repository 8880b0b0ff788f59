"""What the site is asked, what becomes of its answers, and how a server with an ``authorize_url`` lives."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
from msgspec import Raw
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.web.resource import Resource

from bayeux import BayeuxService, Call, Extension, Link, Policy, Session, Settings
from bayeux.errors import Denied
from bayeux.messages import Message, Reply, SignedMessage, decode
from bayeux.policy import Verdict
from bayeux.rules import KeyRule
from bayeux.web.asker import Answer, Asker, Unanswered
from bayeux.web.authorizer import Authorizer
from bayeux.web.site import BayeuxSite
from tests.client import Carrier, Client
from tests.client import World as Hubs
from tests.test_asker import Connection, Site, response
from tests.test_asker import site as _site
from tests.test_resource import HANDSHAKE, Net, Wire, condition, connect, get, post, publish, subscribe

site = _site
KEY = KeyRule(id="web-a", secret="k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d")
EVERYTHING = ("handshake", "subscribe", "publish")
YES, NO = Answer(True), Answer(False)


class Told(Asker):
    """A site that answers as a test says: ``answer`` at once, or where that is None, when it is told to."""

    def __init__(self) -> None:
        self.answer: Answer | None = YES
        self.questions: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.waiting: list[Deferred[Answer]] = []

    def ask(self, question: bytes, headers: Mapping[str, str]) -> Deferred[Answer]:
        self.bodies.append(question)
        self.questions.append(json.loads(question))
        self.headers.append(dict(headers))
        if self.answer is not None:
            return succeed(self.answer)
        self.waiting.append(Deferred())
        return self.waiting[-1]


class World(Hubs):
    """A hub that asks a site."""

    def __init__(self, policy: Policy | None = None, asked: tuple[str, ...] = EVERYTHING,
                 **settings: Any) -> None:
        super().__init__(policy, authorize_url="http://127.0.0.1/may", authorize=asked, **settings)
        self.site = Told()
        hub = self.hub
        self.authorizer = Authorizer(hub.settings, hub.policy, self.clock, hub.metrics, self.site)
        hub.policy = self.authorizer
        hub.add_extension(self.authorizer.users)

    def shake(self, link: Link | None = None, **fields: Any) -> Any:
        """Shake hands; returns the reply."""
        [reply] = self.ask({**HANDSHAKE, **fields}, link=link)
        return reply

    def member(self, asked: bool = False, **headers: str) -> Client:
        """Make a client whose handshake the site has agreed to, and forget the question."""
        self.site.answer = self.site.answer or YES
        client = Client(self, link_of(**headers), True)
        if not asked:
            self.forget()
        return client

    def forget(self) -> None:
        self.site.questions.clear()
        self.site.bodies.clear()
        self.site.headers.clear()


def link_of(kind: str = "long-polling", address: str = "192.0.2.7", **headers: str) -> Link:
    return Link(kind, address, serial=kind == "callback-polling", header=lambda name: headers.get(name, ""))


class TestQuestions:
    """What is asked."""

    def test_of_a_handshake(self) -> None:
        """H-14: with the credentials of its ``ext``."""
        world = World()
        ext = {"auth": {"token": "t"}, "ack": True, "timesync": {"tc": 1}, "binary": True, "activity": 1}
        assert world.shake(link_of(), ext=ext)["successful"] is True
        assert world.site.questions == [
            {"action": "handshake", "address": "192.0.2.7", "ext": {"auth": {"token": "t"}}}]

    def test_of_a_subscribe(self) -> None:
        """S-10: each channel or pattern by itself, as it stands."""
        world = World()
        client = world.member()
        assert client.subscribe("/a", "/b/**")["successful"] is True
        name = world.site.questions[0]["session"]
        assert world.site.questions == [
            {"action": "subscribe", "channel": channel, "session": name, "address": "192.0.2.7"}
            for channel in ("/a", "/b/**")]
        assert client.session.subscriptions == ("/a", "/b/**")

    def test_of_a_publish(self) -> None:
        world = World()
        client = world.member()
        client.ask(client.message("/a", data={"secret": 1}, ext={"auth": 5}))
        [question] = world.site.questions
        del question["session"]
        assert question == {"action": "publish", "channel": "/a", "address": "192.0.2.7", "ext": {"auth": 5}}

    def test_of_a_message_to_a_service(self) -> None:
        world = World()
        assert world.member().publish("/service/x", 1)["successful"] is True
        assert world.site.questions[0]["channel"] == "/service/x"

    def test_sessions_are_told_apart_without_their_client_id(self) -> None:
        """I-4: whoever knows that is the client, and the site may log what it is asked."""
        world = World()
        one, other = world.member(), world.member()
        for client in (one, other, one):
            client.subscribe("/a", "/b")
        names = [question["session"] for question in world.site.questions]
        assert names[:4] == [names[0], names[0], names[2], names[2]]
        assert names[0] != names[2]
        assert {len(name) for name in names} == {32}
        for client in (one, other):
            assert not any(client.id.encode() in body for body in world.site.bodies)

    def test_sessions_of_another_process_have_other_names(self) -> None:
        """Nobody can find out what a clientId becomes."""
        names = []
        for _ in range(2):
            world = World()
            session = world.member().session
            session.id = "x" * 27
            world.authorizer.can_subscribe(session, "/a", Message("/meta/subscribe"), link_of())
            names.append(world.site.questions[0]["session"])
        assert names[0] != names[1]

    @pytest.mark.parametrize("asked", [
        ("handshake",), ("subscribe",), ("publish",), ("handshake", "publish")])
    def test_only_what_is_to_be_asked(self, asked: tuple[str, ...]) -> None:
        world = World(asked=asked)
        client = world.member(asked=True)
        client.subscribe("/a")
        client.publish("/a", 1)
        assert tuple(question["action"] for question in world.site.questions) == asked

    def test_publishing_is_not_asked_about_by_default(self) -> None:
        assert Settings().authorize == ("handshake", "subscribe")

    def test_what_is_no_channel_is_not_asked_about(self) -> None:
        """S-5: cheap checks come first."""
        world = World()
        client = world.member()
        for pattern in ("/a//b", "/meta/x", "a", "/" + "x" * 300):
            assert client.subscribe(pattern)["successful"] is False
            assert client.publish(pattern, 1)["successful"] is False
        assert world.site.questions == []

    @pytest.mark.parametrize("ext", [{}, {"ack": True}, [], "x", None, 5])
    def test_an_ext_in_which_there_is_nothing_for_the_site(self, ext: Any) -> None:
        """M-31."""
        world = World()
        world.shake(link_of(), ext=ext)
        assert world.site.questions == [{"action": "handshake", "address": "192.0.2.7"}]

    @pytest.mark.parametrize(("keys", "seen"), [
        ({}, {"auth", "token", "grant", "hmac"}), ({"key": (KEY,)}, {"auth"}),
        ({"key_directory": "."}, {"auth"})])
    def test_tokens_go_to_who_checks_them(self, keys: dict[str, Any], seen: set[str], tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
        """Y-17: where this server has keys, or a place for them, they are for it."""
        monkeypatch.chdir(tmp_path)
        world = World(**keys, asked=("handshake",))
        ext = Raw(b'{"auth":1,"token":"t","grant":{},"hmac":{}}')
        world.authorizer.can_handshake(Message("/meta/handshake", ext=ext), link_of())
        assert world.site.questions[0]["ext"].keys() == seen

    @pytest.mark.parametrize("ext", [
        b'{"auth":1,"grant":{},"hmac":{}}', b'{"auth":1,"gr\\u0061nt":{},"h\\u006dac":1}'])
    def test_so_they_do_where_the_keys_are_in_a_directory(self, tmp_path: Path, ext: bytes) -> None:
        """Y-17."""
        (tmp_path / "web-a.toml").write_text(f'secret = "{KEY.secret}"')
        (tmp_path / "web-a.toml").chmod(0o600)
        world = World(key_directory=str(tmp_path), asked=("handshake",))
        world.authorizer.can_handshake(Message("/meta/handshake", ext=Raw(ext)), link_of())
        assert world.site.questions[0]["ext"] == {"auth": 1}

    @pytest.mark.parametrize(("keys", "asked"), [((), 1), ((KEY,), 0)])
    def test_the_next_token_is_not_shown_as_data(self, keys: tuple[KeyRule, ...], asked: int) -> None:
        """Y-16, Y-17: where this server has keys, that channel is between a client and it."""
        world = World(key=keys, authorize_max_data=100)
        world.member().publish("/service/token", "a.b.c")
        assert len(world.site.questions) == asked

    def test_what_only_json_can_hold_is_passed_on_as_it_came(self) -> None:
        world = World(authorize_max_data=100)
        client = world.member()
        number = b"1" * 40
        envelope = (b'{"channel":"/a","clientId":"%b","ext":{"n":%b,"t":1.10},"data":["\\ud800",%b]}'
                    % (client.id.encode(), number, number))
        Carrier(world.hub.receive(decode(envelope, world.hub.settings), client.link))
        assert b'"ext":{"n":%b,"t":1.10}' % number in world.site.bodies[0]
        assert world.site.bodies[0].endswith(b'"data":["\\ud800",%b]}' % number)


class TestData:
    """The data of a publish."""

    def test_it_is_not_shown_by_default(self) -> None:
        world = World()
        assert world.member().publish("/a", "x" * 10_000)["successful"] is True
        assert "data" not in world.site.questions[0]

    def test_it_is_shown_up_to_a_limit_and_one_past_it_refused(self) -> None:
        """Or one could hide from the site what it is to judge."""
        world = World(authorize_max_data=10)
        client = world.member()
        assert client.publish("/a", "x" * 8)["successful"] is True
        assert client.publish("/a", "x" * 9)["error"] == "413::Message too large"
        assert [question["data"] for question in world.site.questions] == ["x" * 8]

    def test_the_site_judges_it(self) -> None:
        world = World(authorize_max_data=10)
        client = world.member()
        heard: list[Any] = []
        world.hub.subscribe("/a", lambda channel, data: heard.append(data))
        client.publish("/a", None)
        world.site.answer = NO
        assert client.publish("/a", 2)["successful"] is False
        assert heard == [None]
        assert [question["data"] for question in world.site.questions] == [None, 2]


class TestHeaders:
    """What the site knows its user by."""

    def test_cookie_and_authorization_of_the_message_itself(self) -> None:
        world = World()
        client = world.member(cookie="session=old")
        client.link = link_of(cookie="session=new", authorization="Bearer x", referer="/private")
        client.subscribe("/a")
        assert world.site.headers == [{
            "X-Forwarded-For": "192.0.2.7", "Cookie": "session=new", "Authorization": "Bearer x"}]

    def test_a_client_of_which_nothing_is_known(self) -> None:
        world = World()
        world.shake(link_of(address=""))
        assert world.site.questions == [{"action": "handshake", "address": ""}]
        assert world.site.headers == [{}]


class TestAnswers:
    """What becomes of them."""

    def test_no_to_a_handshake(self) -> None:
        """E-14, H-13: and do not try again."""
        world = World()
        world.site.answer = NO
        reply = world.shake()
        assert (reply["error"], reply["advice"]["reconnect"]) == ("403::Handshake denied", "none")
        assert world.hub.metrics.sessions_added == 0

    def test_no_to_a_subscribe(self) -> None:
        """E-15: nothing is subscribed, not even what was allowed."""
        world = World()
        client = world.member()
        world.site.answer = None
        carrier = client.send(client.message("/meta/subscribe", subscription=["/a", "/b", "/c"]))
        world.site.waiting[0].callback(YES)
        assert carrier.held
        world.site.waiting[1].callback(NO)
        assert carrier.messages is not None
        assert carrier.messages[0]["error"] == "403:/b:Subscription denied"
        assert client.session.subscriptions == ()
        assert len(world.site.questions) == 2

    def test_no_to_a_publish(self) -> None:
        """E-16."""
        world = World()
        client = world.member()
        world.site.answer = NO
        assert client.publish("/a", 1)["error"] == "403:/a:Publish denied"
        assert world.hub.metrics.published == 0

    def test_a_no_with_a_reason(self) -> None:
        world = World()
        client = world.member()
        world.site.answer = Answer(False, "Members only (ask Ann)")
        assert client.subscribe("/a")["error"] == "403:/a:Members only (ask Ann)"
        assert client.publish("/a", 1)["error"] == "403:/a:Members only (ask Ann)"
        assert world.shake()["error"] == "403::Members only (ask Ann)"

    @pytest.mark.parametrize(("reason", "told"), [
        ("x" * 200, "x" * 200), ("x" * 201, "Subscription denied"), ("", "Subscription denied"),
        ("no: never", "Subscription denied"), ("D\xe9sol\xe9", "Subscription denied"),
        ("a\r\nb", "Subscription denied"),
    ])
    def test_a_reason_that_an_error_cannot_hold_is_left_out(self, reason: str, told: str) -> None:
        """E-1."""
        world = World()
        client = world.member()
        world.site.answer = Answer(False, reason)
        assert client.subscribe("/a")["error"] == f"403:/a:{told}"

    def test_no_answer_is_a_no_for_now(self) -> None:
        """E-27, H-13: the client may come back, but not at once."""
        world = World()
        client = world.member()
        world.site.answer = None
        for send in (lambda: client.send(client.message("/meta/subscribe", subscription="/a")),
                     lambda: client.send(client.message("/a", data=1)), lambda: world.send(HANDSHAKE)):
            carrier = send()
            world.site.waiting.pop().errback(Unanswered("status", "it answers with status 500"))
            assert carrier.messages is not None
            assert carrier.messages[0]["error"] == "503::Server too busy"
        assert carrier.messages[0]["advice"]["reconnect"] == "handshake"
        assert carrier.messages[0]["advice"]["interval"] >= 1000
        assert client.session.subscriptions == ()
        assert world.hub.metrics.published == 0
        assert world.hub.metrics.failures == {503: 3}
        assert world.hub.metrics.application_errors == 0

    def test_a_client_that_leaves_while_the_site_thinks(self) -> None:
        """S-12."""
        world = World()
        client = world.member()
        world.site.answer = None
        carriers = [client.send(client.message("/meta/subscribe", subscription="/a")),
                    client.send(client.message("/a", data=1))]
        client.ask(client.message("/meta/disconnect"))
        for carrier, asked in zip(carriers, world.site.waiting, strict=True):
            asked.callback(YES)
            assert carrier.messages is not None
            assert carrier.messages[0]["error"] == f"402:{client.id}:Unknown client ID"
        assert world.hub.publish("/a", 1) == 0
        assert world.hub.metrics.published == 1

    def test_a_connection_that_is_lost_while_the_site_thinks(self) -> None:
        """N-1: what was asked for happens; a session that nobody knows of ends by itself."""
        world = World(max_interval=10.0)
        client = world.member()
        world.site.answer = None
        carriers = [client.send(client.message("/meta/subscribe", subscription="/a")), world.send(HANDSHAKE)]
        for carrier, asked in zip(carriers, world.site.waiting, strict=True):
            carrier.lose()
            asked.callback(YES)
        assert client.session.subscriptions == ("/a",)
        assert world.hub.metrics.sessions_added == 2
        world.clock.advance(12)
        assert world.hub.metrics.sessions_removed == {"timeout": 2}


class Before(Policy):
    """A policy that has decided."""

    def __init__(self, verdict: Callable[[], Verdict]) -> None:
        self.verdict = verdict

    def can_handshake(self, message: Message, link: Link) -> Verdict:
        return self.verdict()

    def can_subscribe(self, session: Session, pattern: str, message: Message, link: Link) -> Verdict:
        return self.verdict()

    def can_publish(self, session: Session | None, channel: str, message: Message, link: Link) -> Verdict:
        return self.verdict()


def refuse() -> bool:
    raise Denied("Not today")


class TestOtherPolicies:
    """The site is asked last."""

    @pytest.mark.parametrize("verdict", [
        lambda: False, lambda: succeed(False), refuse, lambda: fail(Denied("Not today"))])
    def test_what_is_refused_already_is_not_asked_about(self, verdict: Callable[[], Verdict]) -> None:
        before = Before(lambda: True)
        world = World(before)
        client = world.member()
        before.verdict = verdict
        for reply in (client.subscribe("/a"), client.publish("/a", 1), world.shake()):
            assert reply["error"].startswith("403:")
        assert world.site.questions == []

    @pytest.mark.parametrize("later", [False, True])
    def test_what_is_allowed_is_asked_about(self, later: bool) -> None:
        before = Before(lambda: succeed(True) if later else True)
        world = World(before)
        client = world.member()
        world.site.answer = NO
        for reply in (client.subscribe("/a"), client.publish("/a", 1), world.shake()):
            assert reply["error"].startswith("403:")
        assert len(world.site.questions) == 3

    def test_what_is_not_asked_about_is_decided_before(self) -> None:
        before = Before(lambda: True)
        world = World(before, asked=("handshake",))
        client = world.member()
        before.verdict = lambda: False
        assert client.subscribe("/a")["successful"] is client.publish("/a", 1)["successful"] is False

    def test_a_publish_without_session_is_refused_unasked(self) -> None:
        """P-8, E-12: the site's yes alone does not allow it."""
        world = World()
        [reply] = world.ask({"channel": "/a", "data": 1}, link=link_of())
        assert reply["error"] == "401::No client ID"
        assert world.site.questions == []

    def test_a_publish_without_session_where_such_may_be(self) -> None:
        """P-8."""
        world = World(Before(lambda: True))
        [reply] = world.ask({"channel": "/a", "data": 1}, link=link_of())
        assert reply["successful"] is True
        assert world.site.questions == [{"action": "publish", "channel": "/a", "address": "192.0.2.7"}]

    @pytest.mark.parametrize("verdict", [True, False])
    def test_what_a_key_has_signed_is_not_asked_about(self, verdict: bool) -> None:
        """Y-7: a key is the site's own."""
        world = World(Before(lambda: verdict))
        message = SignedMessage("/a", key_id="web-a")
        assert world.authorizer.can_publish(None, "/a", message, link_of()) is verdict
        assert world.site.questions == []


class TestUsers:
    """Whose session it is, in the site's own words."""

    def test_the_site_is_reminded_of_what_it_has_answered(self) -> None:
        """It may know a user by credentials that only a handshake carries."""
        world = World()
        world.site.answer = Answer(True, user="Zo\xeb")
        client, other = world.member(), World().member()
        world.site.answer = Answer(True, user="somebody else")
        client.subscribe("/a")
        client.publish("/a", 1)
        assert [question["user"] for question in world.site.questions] == ["Zo\xeb", "Zo\xeb"]
        assert client.session.user == "Zo\xeb"
        assert other.session.user is None

    def test_one_that_comes_later_too(self) -> None:
        world = World()
        world.site.answer = None
        carrier = world.send(HANDSHAKE)
        world.site.waiting[0].callback(Answer(True, user="ann"))
        assert carrier.messages is not None
        session = world.hub.sessions.get(carrier.messages[0]["clientId"])
        assert session is not None
        assert session.user == "ann"

    @pytest.mark.parametrize("user", [None, ""])
    def test_none_is_none(self, user: str | None) -> None:
        world = World()
        world.site.answer = Answer(True, user=user)
        client = world.member()
        client.subscribe("/a")
        assert "user" not in world.site.questions[0]
        assert client.session.extensions == ()

    def test_a_client_cannot_name_one(self) -> None:
        world = World()
        reply = world.shake(link_of(), user="ann", ext={"user": "ann"}, clientId="ann")
        assert world.site.questions == [
            {"action": "handshake", "address": "192.0.2.7", "ext": {"user": "ann"}}]
        session = world.hub.sessions.get(reply["clientId"])
        assert session is not None
        assert session.user is None

    def test_one_whose_session_never_comes_is_forgotten(self) -> None:
        """Nor is it another's: at once, or as others come."""
        world = World(authorize_cache_size=3, max_sessions=1)
        world.site.answer = Answer(True, user="ann")
        world.shake()
        assert world.shake()["error"] == "503::Server too busy"
        assert len(world.authorizer.users) == 0

        class Bad(Extension):
            def outgoing(self, reply: Any, call: Any) -> None:
                raise Denied("Not today")

        world.hub.add_extension(Bad())
        for _ in range(5):
            assert world.shake()["error"] == "403::Not today"
            assert len(world.authorizer.users) <= 3

    def test_another_handshake_is_not_taken_for_one_that_is_expected(self) -> None:
        """Not even where it stands in the same place of the memory."""
        users, session = World().authorizer.users, World().member().session
        users.expect(Message("/meta/handshake"), "ann")
        others = [Message("/meta/handshake") for _ in range(100)]
        for message in others:
            call = Call(message, link_of())
            call.session = session
            users.outgoing(Reply("/meta/handshake", True), call)
        assert session.user is None

    def test_a_no_has_none(self) -> None:
        world = World()
        world.site.answer = Answer(False, user="ann")
        assert world.shake()["successful"] is False

    def test_answers_that_are_remembered_have_theirs(self) -> None:
        world = World()
        world.site.answer = Answer(True, user="ann")
        world.member(cookie="session=ann")
        client = world.member(cookie="session=ann")
        assert world.hub.metrics.authorize_cached == 1
        assert client.session.user == "ann"


class TestMemory:
    """The same question, asked again."""

    def test_a_yes_stands_for_a_while(self) -> None:
        """However often it is asked for: it is not prolonged."""
        world = World(authorize_cache=5.0, max_interval=100.0)
        client = world.member()
        for second in range(10):
            world.clock.advance(0 if second == 0 else 1)
            assert client.publish("/a", 1)["successful"] is True
            assert len(world.site.questions) == 1 + second // 5
        assert world.hub.metrics.authorize_cached == 8

    def test_a_no_does_not(self) -> None:
        """The user may have done something about it."""
        world = World()
        client = world.member()
        for answer in (NO, YES):
            world.site.answer = answer
            assert client.publish("/a", 1)["successful"] is answer.allow
        assert world.hub.metrics.authorize_cached == 0

    def test_nor_does_no_answer(self) -> None:
        world = World()
        client = world.member()
        world.site.answer = None
        client.send(client.message("/a", data=1))
        world.site.waiting[0].errback(Unanswered("timeout", "it has not answered"))
        world.site.answer = YES
        assert client.publish("/a", 1)["successful"] is True
        assert len(world.site.questions) == 2

    def test_it_stands_for_nothing_else(self) -> None:
        """All that was sent has to be the same."""
        world = World(authorize_max_data=100)
        client, other = world.member(), world.member(cookie="x")

        def say(link: Link, sender: Client = client, channel: str = "/a", **fields: Any) -> None:
            sender.link = link
            assert sender.ask({**sender.message(channel, data=1), **fields})[0]["successful"] is True

        for number in (1, 2):
            say(link_of())
            say(link_of(), other)
            say(link_of(), channel="/b")
            say(link_of(), data=2)
            say(link_of(), ext={"auth": 1})
            say(link_of(address="192.0.2.8"))
            say(link_of(cookie="x"))
            say(link_of(authorization="x"))
            say(link_of(cookie="x', 'Authorization': 'x"))
            assert client.subscribe("/a")["successful"] is True
            client.link = link_of()
            assert client.subscribe("/a")["successful"] is True
            assert (len(world.site.questions), world.hub.metrics.authorize_cached) == (11, 11 * number - 11)

    def test_it_can_be_switched_off(self) -> None:
        world = World(authorize_cache=0)
        client = world.member()
        client.publish("/a", 1)
        client.publish("/a", 1)
        assert len(world.site.questions) == 2
        assert len(world.authorizer.known) == 0

    def test_only_so_many_are_remembered(self) -> None:
        """At the limit and one past it."""
        world = World(authorize_cache_size=3)
        client = world.member()
        for channel in ("/a", "/b", "/c", "/a", "/b", "/c", "/d", "/b", "/c", "/d", "/a"):
            client.publish(channel, 1)
            assert len(world.authorizer.known) <= 3
        assert [question["channel"] for question in world.site.questions] == ["/a", "/b", "/c", "/d", "/a"]

    def test_what_does_not_stand_any_more_is_forgotten(self) -> None:
        world = World(authorize_cache=5.0, max_interval=100.0)
        client = world.member()
        for number in range(20):
            client.publish(f"/{number}", 1)
            world.clock.advance(1)
            assert len(world.authorizer.known) <= 6

    def test_what_is_asked_again_does_not_stand_before_what_is_forgotten(self) -> None:
        world = World(authorize_cache=5.0, max_interval=100.0)
        client = world.member(asked=True)
        world.clock.advance(5)
        for seconds, channel, known in ((1, "/a", 1), (4, "/b", 2), (2, "/a", 2), (0, "/c", 2)):
            client.publish(channel, 1)
            assert len(world.authorizer.known) == known
            world.clock.advance(seconds)

    def test_what_comes_again_is_the_newest(self) -> None:
        world = World(authorize_cache=5.0, authorize_cache_size=2, max_interval=100.0)
        client = world.member()
        client.publish("/a", 1)
        world.clock.advance(5)
        for channel in ("/b", "/a", "/b"):
            client.publish(channel, 1)
        assert [question["channel"] for question in world.site.questions] == ["/a", "/b", "/a"]


# -- a server that asks -----------------------------------------------------------------------------


class Server:
    """A Bayeux server with a site of its own, by real sockets."""

    def __init__(self, net: Net, site: Site, port: int, **settings: Any) -> None:
        settings.setdefault("authorize", EVERYTHING)
        self.net, self.site = net, site
        self.bayeux = BayeuxService(Settings(authorize_url=f"http://127.0.0.1:{port}/may", **settings))
        self.metrics = self.bayeux.hub.metrics
        self.port = 0

    async def start(self) -> None:
        self.bayeux.startService()
        root = Resource()
        root.putChild(b"bayeux", self.bayeux.resource)
        bayeux = self.bayeux
        site = BayeuxSite(root, bayeux.resource.endpoint, bayeux.settings, bayeux.clock)
        self.port = await self.net.listen(site)

    async def wire(self) -> Wire:
        return cast(Wire, await self.net.open(self.port))

    async def session(self, wire: Wire, **headers: str) -> str:
        return cast(str, (await wire.ask(post(HANDSHAKE, **headers))).message["clientId"])


@pytest_twisted.async_yield_fixture
async def serve(site: Site) -> AsyncIterator[Callable[..., Any]]:
    net, servers = Net(), []

    async def serve(**settings: Any) -> Server:
        servers.append(Server(net, site, await site.listen(), **settings))
        await servers[-1].start()
        return servers[-1]

    yield serve
    for server in servers:
        if server.bayeux.running:
            await server.bayeux.stopService()
    for port in site.ports:
        await port.stopListening()
    site.ports.clear()
    for connection in site.connections:
        if not connection.lost:
            connection.transport.abortConnection()
    await net.close()


Serve = Callable[..., Any]


def test_without_an_address_nobody_is_asked() -> None:
    bayeux = BayeuxService()
    assert bayeux.authorizer is None
    assert type(bayeux.hub.policy) is Policy


def test_the_policy_that_is_given_comes_before() -> None:
    policy = Before(lambda: False)
    bayeux = BayeuxService(Settings(authorize_url="http://127.0.0.1/may"), policy)
    assert isinstance(bayeux.hub.policy, Authorizer)
    assert bayeux.hub.policy.can_handshake(Message("/meta/handshake"), link_of()) is False


@pytest_twisted.ensureDeferred
async def test_a_client_that_the_site_knows(serve: Serve, site: Site) -> None:
    """From the cookie of its request to the site's decision."""
    server = await serve()

    def judge(request: Any) -> None:
        question = json.loads(request.body)
        ann = request.headers.get("cookie") == "session=ann"
        allow = ann and question.get("channel") in (None, "/private/ann")
        request.answer(response(json.dumps({"allow": allow, "user": "ann"}).encode()))

    site.act = judge
    wire = await server.wire()
    assert (await wire.ask(post(HANDSHAKE))).message["error"] == "403::Handshake denied"
    client = await server.session(wire, cookie="session=ann")
    replies = await wire.ask(post(subscribe(client, "/private/ann"), subscribe(client, "/private/*"),
                                  publish(client, 1, "/private/ann"), publish(client, 1, "/private/bo"),
                                  cookie="session=ann"))
    assert [reply.get("error") for reply in replies.messages if "successful" in reply] == [
        None, "403:/private/*:Subscription denied", None, "403:/private/bo:Publish denied"]
    questions = [json.loads(request.body) for request in site.requests]
    assert [question.get("user") for question in questions] == [None, None, *["ann"] * 4]
    assert {question["address"] for question in questions} == {"127.0.0.1"}
    assert {request.headers["x-forwarded-for"] for request in site.requests} == {"127.0.0.1"}
    assert len(site.connections) == 1
    assert server.metrics.authorize_asked == 6
    assert server.metrics.authorize_answers == {"allowed": 3, "denied": 3}


@pytest_twisted.ensureDeferred
async def test_a_jsonp_request_goes_without_its_cookies(serve: Serve, site: Site) -> None:
    """J-11."""
    server = await serve()
    site.always(response())
    wire = await server.wire()
    handshake = {**HANDSHAKE, "ext": {"token": "t"}}
    await wire.ask(get(handshake, cookie="session=ann", authorization="Basic eA=="))
    [request] = site.requests
    assert {"cookie", "authorization"}.isdisjoint(request.headers)
    assert json.loads(request.body)["ext"] == {"token": "t"}


@pytest_twisted.ensureDeferred
async def test_a_socket_keeps_the_headers_of_its_upgrade(serve: Serve, site: Site) -> None:
    """W-5: all messages on it are asked about with them."""
    from websockets.client import ClientProtocol
    from websockets.uri import parse_uri

    server = await serve()
    site.always(response())
    socket = ClientProtocol(parse_uri(f"ws://127.0.0.1:{server.port}/bayeux"))
    upgrade = socket.connect()
    upgrade.headers["Cookie"] = "session=ann"
    upgrade.headers["Authorization"] = "Bearer x"
    socket.send_request(upgrade)
    wire = await server.wire()
    wire.send(*socket.data_to_send())
    await wire.until(lambda: b"\r\n\r\n" in wire.data)
    socket.receive_data(wire.data)
    socket.send_text(json.dumps([HANDSHAKE]).encode())
    wire.send(*socket.data_to_send())
    await site.asked(1)
    assert site.requests[0].headers["cookie"] == "session=ann"
    assert site.requests[0].headers["authorization"] == "Bearer x"


@pytest_twisted.ensureDeferred
async def test_a_client_that_is_lost_while_the_site_thinks(serve: Serve, site: Site) -> None:
    """N-1: nobody is answered, and nothing fails."""
    server = await serve()
    wire = await server.wire()
    wire.send(post(HANDSHAKE))
    await site.asked(1)
    wire.transport.abortConnection()
    await wire.end()
    site.requests[0].answer()
    await condition(lambda: server.metrics.authorize_answers == {"allowed": 1})
    assert server.metrics.application_errors == 0


@pytest_twisted.ensureDeferred
async def test_a_site_that_is_down_lets_nobody_in(serve: Serve, site: Site) -> None:
    server = await serve()
    await site.ports.pop().stopListening()
    wire = await server.wire()
    message = (await wire.ask(post(HANDSHAKE))).message
    assert message["error"] == "503::Server too busy"
    assert message["advice"]["reconnect"] == "handshake"
    assert server.metrics.authorize_answers == {"unreachable": 1}


@pytest_twisted.ensureDeferred
async def test_a_server_that_stops_answers_those_for_whom_it_asks(serve: Serve, site: Site) -> None:
    """Q-10: at once, though the site never answers; and it can start again."""
    server = await serve(authorize_cache=0)
    site.always(response())
    wire = await server.wire()
    client = await server.session(wire)
    site.act = lambda request: None
    waiting = [(await server.wire(), message) for message in (
        HANDSHAKE, subscribe(client), publish(client, 1))]
    for other, message in waiting:
        other.send(post(message))
    await site.asked(4)
    await server.bayeux.stopService()
    for other, _ in waiting:
        assert (await other.response()).message["error"] == "503::Server too busy"
    await condition(lambda: all(connection.lost for connection in site.connections))
    assert server.metrics.authorize_answers == {"allowed": 1, "stopped": 3}
    assert (await (await server.wire()).ask(post(HANDSHAKE))).message["error"] == "503::Server too busy"
    assert len(site.requests) == 4
    server.bayeux.startService()
    site.always(response())
    await server.session(await server.wire())


@pytest_twisted.ensureDeferred
async def test_a_stop_closes_what_is_idle(serve: Serve, site: Site) -> None:
    server = await serve()
    site.always(response())
    await server.session(await server.wire())
    [connection] = cast("list[Connection]", site.connections)
    assert not connection.lost
    await server.bayeux.stopService()
    await condition(lambda: connection.lost)


def test_a_stop_waits_until_that_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, closed, stopped = Clock(), Deferred(), []
    bayeux = BayeuxService(Settings(authorize_url="http://127.0.0.1/may"), clock=clock)
    assert bayeux.authorizer is not None
    monkeypatch.setattr(bayeux.authorizer.asker, "close", lambda: closed)
    bayeux.startService()
    bayeux.stopService().addCallback(stopped.append)
    clock.advance(0)
    assert stopped == []
    closed.callback(None)
    clock.advance(0)
    assert stopped == [None]


@pytest_twisted.ensureDeferred
async def test_a_held_connect_is_not_asked_about(serve: Serve, site: Site) -> None:
    server = await serve()
    site.always(response())
    wire = await server.wire()
    client = await server.session(wire)
    await wire.ask(post(connect(client)))
    wire.send(post(connect(client)))
    await condition(lambda: server.metrics.held == 1)
    assert len(site.requests) == 1
