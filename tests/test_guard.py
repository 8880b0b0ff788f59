"""guard.py: rules and keys that are replaced while sessions live (Y-10, Y-19)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from bayeux import Access, ChannelRule, Link, Policy, Session
from bayeux.keys import Key
from bayeux.messages import Message
from bayeux.policy import Verdict
from bayeux.tables import BadRule
from tests.client import World
from tests.test_tokens import SECRET, WEB_A, Member, private

KEY = Key(id="web-a", secret=SECRET.encode(), publish=WEB_A.publish, subscribe=WEB_A.subscribe)
NOBODY = ChannelRule(pattern="/a/**", subscribe="nobody", publish="nobody")


def test_new_rules_decide_about_what_comes_now() -> None:
    world = World()
    client = world.client()
    assert client.subscribe("/a/b")["successful"] is True
    world.hub.replace_rules([NOBODY])
    assert client.subscribe("/a/c")["error"] == "403:/a/c:Subscription denied"
    assert client.publish("/a/b", 1)["error"] == "403:/a/b:Publish denied"
    assert client.publish("/b", 1)["successful"] is True


def test_rules_may_be_taken_away() -> None:
    world = World(channel=(NOBODY,))
    client = world.client()
    world.hub.replace_rules([])
    assert client.subscribe("/a/b")["successful"] is True
    assert client.publish("/a/b", 1)["successful"] is True


def test_subscriptions_that_new_rules_forbid_end() -> None:
    """Also patterns, if any channel of theirs is closed (S-10); they are counted."""
    world = World()
    clients = [world.client(), world.client()]
    for client in clients:
        client.subscribe("/a/b", "/**", "/b")
    world.hub.replace_rules([NOBODY])
    assert [client.session.subscriptions for client in clients] == [("/b",), ("/b",)]
    assert world.hub.metrics.subscriptions_expired == 4
    assert world.hub.sessions.channels == 1


def test_what_a_token_has_opened_stays_where_rules_ask_for_one_now() -> None:
    """Y-19: each session is judged by what it has shown."""
    world = private()
    alice, stranger = Member(world), world.client()
    for client in (alice, stranger):
        assert client.subscribe("/other/b")["successful"] is True
    assert alice.subscribe("/private/alice/a")["successful"] is True
    world.hub.replace_rules([ChannelRule(pattern="/private/**", subscribe="token"),
                             ChannelRule(pattern="/other/**", subscribe="token")])
    assert alice.session.subscriptions == ("/private/alice/a",)
    assert stranger.session.subscriptions == ()


@pytest.mark.parametrize("alice_is_first", [True, False])
def test_of_one_channel_some_may_keep_their_subscription(alice_is_first: bool) -> None:
    world = private()
    world.hub.replace_rules([])
    clients = [Member(world), world.client()] if alice_is_first else [world.client(), Member(world)]
    for client in clients:
        assert client.subscribe("/private/alice/a")["successful"] is True
    world.hub.replace_rules([ChannelRule(pattern="/private/**", subscribe="token")])
    assert [bool(client.session.subscriptions) for client in clients] == [alice_is_first, not alice_is_first]


def test_what_another_policy_has_allowed_against_the_rules_stays() -> None:
    world = World(channel=(NOBODY,))
    world.hub.policy = Policy()
    client = world.client()
    client.subscribe("/a/b")
    world.hub.replace_rules([NOBODY, ChannelRule(pattern="/c")])
    assert client.session.subscriptions == ("/a/b",)


def test_rules_that_cannot_be_meant_change_nothing() -> None:
    world = World(channel=(NOBODY,))
    with pytest.raises(BadRule):
        world.hub.replace_rules([ChannelRule(pattern="/b"), ChannelRule(pattern="/b")])
    assert world.client().subscribe("/a/b")["successful"] is False


def test_the_same_rules_again_are_no_others() -> None:
    """So nobody who has asked is asked again, and no subscription is looked at."""
    access = Access([NOBODY])
    assert access.replace([NOBODY]) is False
    assert access.edition == 0
    assert access.replace([]) is True
    assert access.edition == 1


def test_new_rules_say_what_is_lazy() -> None:
    """D-12."""
    world = World()
    client = world.client()
    client.subscribe("/a")
    world.hub.replace_rules([ChannelRule(pattern="/a", lazy=True)])
    carrier = client.connect()
    world.hub.publish("/a", 1)
    world.turn()
    assert carrier.held
    world.hub.replace_rules([])
    world.hub.publish("/a", 2)
    world.turn()
    assert not carrier.held


class Thinking(Policy):
    """Takes its time."""

    def __init__(self) -> None:
        self.questions: list[Deferred[bool]] = []

    def can_subscribe(self, session: Session, pattern: str, message: Message, link: Link) -> Verdict:
        self.questions.append(Deferred())
        return self.questions[-1]


@pytest.mark.parametrize("at_first", [(), (ChannelRule(pattern="/x"),)])
def test_rules_that_change_while_a_policy_thinks_are_asked_again(at_first: tuple[ChannelRule, ...]) -> None:
    """Nobody gets in by having asked early."""
    policy = Thinking()
    world = World(policy, channel=at_first)
    client = world.client()
    carrier = client.send(client.message("/meta/subscribe", subscription="/a/b"))
    world.hub.replace_rules([NOBODY])
    policy.questions[0].callback(True)
    assert carrier.messages is not None
    assert carrier.messages[0]["error"] == "403:/a/b:Subscription denied"
    assert client.session.subscriptions == ()


def test_a_server_may_get_its_first_key_while_it_runs() -> None:
    """Y-10, Y-15: tokens are understood from then on, and were somebody else's affair before."""
    world = World()
    before = world.client()
    world.hub.guard(keys=True)
    world.hub.replace_rules([ChannelRule(pattern="/private/**", subscribe="token")])
    world.hub.replace_keys([KEY])
    assert before.subscribe("/private/alice/a")["successful"] is False
    assert Member(world).subscribe("/private/alice/a")["successful"] is True
    world.hub.replace_keys([])
    assert len(world.hub.sessions) == 1


def test_the_guard_is_set_up_once() -> None:
    world = private()
    leases: Any = world.hub.leases
    policy = world.hub.policy
    world.hub.guard(keys=True)
    assert world.hub.leases is leases
    assert world.hub.policy is policy
