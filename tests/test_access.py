"""access.py: the rules of a configuration decide who may subscribe and publish (S-10, P-8, Y-11, Y-19)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from bayeux import Access, ChannelRule, Link, ListenOnly, Policy, Session
from bayeux.credentials import Credential
from bayeux.keys import Key
from bayeux.messages import Message, SignedMessage
from bayeux.policy import Verdict
from bayeux.tables import BadRule
from tests.client import World
from tests.test_channels import CHANNELS, PATTERNS, selects

KEY = Key(id="web-a", secret=b"x" * 32, subscribe=("/**",), publish=("/**",))
LINK = Link("long-polling")


class Nobody(Session):
    """A session that nobody keeps, with a token."""

    def __init__(self, subscribe: Sequence[str] = (), publish: Sequence[str] = ()) -> None:
        super().__init__(None)  # type: ignore[arg-type]  # it is asked for nothing
        self.credentials = (
            Credential(key=KEY, ends=1e12, subscribe=tuple(subscribe), publish=tuple(publish)),)


def rules(**subscribe: Any) -> list[ChannelRule]:
    return [ChannelRule(pattern=pattern, subscribe=who) for pattern, who in subscribe.items()]


def subscribing(access: Policy, pattern: str, session: Session | None = None) -> Verdict:
    return access.can_subscribe(session or Nobody(), pattern, Message("/meta/subscribe"), LINK)


# -- which rule decides, by counting ------------------------------------------------------------


def most_specific(patterns: Sequence[str], name: str) -> str | None:
    """Return the pattern that decides about a channel, as it is written down in words."""
    def rank(pattern: str) -> tuple[int, int]:
        return (pattern == name) * 2 + pattern.endswith("/*"), len(pattern)

    return max((pattern for pattern in patterns if selects(pattern, name)), key=rank, default=None)


def allowed(rules: Mapping[str, str], granted: Sequence[str], name: str) -> bool:
    """Say whether somebody may subscribe to one concrete channel."""
    decisive = most_specific(list(rules), name)
    who = "anyone" if decisive is None else rules[decisive]
    return who == "anyone" or (who == "token" and any(selects(pattern, name) for pattern in granted))


some_rules = st.dictionaries(st.sampled_from(PATTERNS), st.sampled_from(["anyone", "token", "nobody"]),
                             max_size=6)
some_patterns = st.lists(st.sampled_from(PATTERNS), max_size=4)


@given(some_rules, some_patterns)
@example({"/**": "nobody", "/a/**": "token", "/a/*": "anyone"}, ["/a/**"])
@example({"/a/**": "token", "/a/a/**": "anyone"}, [])
@example({"/a/a": "nobody"}, [])
def test_a_pattern_is_allowed_if_and_only_if_each_of_its_channels_is(
    rules: dict[str, Any], granted: list[str],
) -> None:
    """S-10, Y-19: no subscription, however wide or narrow, hears what a rule keeps from its session.

    The segment ``z`` of the channels is in no pattern, and some are deeper than all of these: what holds
    for them holds for all channels that there are.
    """
    access = Access(ChannelRule(pattern=pattern, subscribe=who) for pattern, who in rules.items())
    session = Nobody(granted)
    right = {name: allowed(rules, granted, name) for name in CHANNELS}
    wrong = [pattern for pattern in (*PATTERNS, *CHANNELS)
             if subscribing(access, pattern, session) != all(
                 right[name] for name in CHANNELS if selects(pattern, name))]
    assert wrong == []


@given(some_rules, st.permutations(range(6)))
def test_the_order_of_the_rules_makes_no_difference(rules: dict[str, Any], order: list[int]) -> None:
    items = [ChannelRule(pattern=pattern, subscribe=who) for pattern, who in rules.items()]
    one, other = Access(items), Access(items[i] for i in order if i < len(items))
    assert [subscribing(one, pattern) for pattern in PATTERNS] == [
        subscribing(other, pattern) for pattern in PATTERNS]


@given(some_rules, some_patterns, some_patterns)
def test_nobody_receives_what_a_rule_keeps_from_them(
    rules: dict[str, Any], granted: list[str], wanted: list[str],
) -> None:
    """PEERS, eavesdropping by wildcard: from the subscribe to the delivery."""
    world = World(Access(ChannelRule(pattern=pattern, subscribe=who) for pattern, who in rules.items()),
                  max_subscribe=10)
    client = world.client()
    client.session.credentials = Nobody(granted).credentials
    taken = [pattern for pattern in wanted if client.subscribe(pattern)["successful"]]
    carrier = client.connect()
    for name in CHANNELS[:40]:
        world.hub.publish(name, name)
    world.turn()
    got = [message["data"] for message in carrier.messages or () if "data" in message]
    assert all(allowed(rules, granted, name) for name in got)
    assert got == [name for name in CHANNELS[:40] if any(selects(pattern, name) for pattern in taken)]


# -- subscribing --------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["/private/a", "/private/*", "/private/**", "/**"])
def test_what_is_private_is_not_reached_by_a_wider_pattern(pattern: str) -> None:
    """S-10, Y-19."""
    access = Access(rules(**{"/private/a": "token"}))
    assert subscribing(access, pattern) is False
    assert subscribing(access, pattern, Nobody([pattern])) is True
    assert subscribing(access, pattern, Nobody(["/private/a"])) is True


@pytest.mark.parametrize("pattern", ["/private", "/private/b", "/private/a/*", "/private/a/b", "/*"])
def test_a_rule_is_for_what_it_selects_alone(pattern: str) -> None:
    """C-7."""
    assert subscribing(Access(rules(**{"/private/a": "nobody"})), pattern) is True


def test_a_token_for_a_part_is_not_one_for_all() -> None:
    """S-10."""
    access = Access(rules(**{"/private/**": "token"}))
    session = Nobody(["/private/*", "/private/a/**"])
    assert subscribing(access, "/private/a", session) is True
    assert subscribing(access, "/private/a/b/c", session) is True
    assert subscribing(access, "/private/b/c", session) is False
    assert subscribing(access, "/private/**", session) is False


def test_rules_for_services_do_not_bar_patterns() -> None:
    """C-13, C-15: no subscription selects a service."""
    access = Access([ChannelRule(pattern="/service/**", publish="nobody")])
    assert subscribing(access, "/**") is True


def test_a_refusal_names_the_channel() -> None:
    """E-15, S-4: and nothing is subscribed to."""
    world = World(channel=(ChannelRule(pattern="/secret/**", subscribe="nobody"),))
    client = world.client()
    reply = client.subscribe("/a", "/secret/b")
    assert reply["error"] == "403:/secret/b:Subscription denied"
    assert "advice" not in reply
    assert client.session.subscriptions == ()


@pytest.mark.parametrize("channel", ["/meta/subscribe/x", "/meta/subscribe/", "/meta/Subscribe"])
def test_no_name_that_begins_like_subscribe_gets_around_the_rules(channel: str) -> None:
    """C-10; PEERS, meta prefix."""
    client = World(channel=(ChannelRule(pattern="/secret", subscribe="nobody"),)).client()
    [reply] = client.ask(client.message(channel, subscription="/secret"))
    assert reply["successful"] is False
    assert client.session.subscriptions == ()


# -- publishing ---------------------------------------------------------------------------------


def publish_rules(**publish: Any) -> tuple[ChannelRule, ...]:
    return tuple(ChannelRule(pattern=pattern, publish=who) for pattern, who in publish.items())


REPLIES = {
    None: {"successful": True},
    "no session": {"successful": False, "error": "401::No client ID"},
    "denied": {"successful": False, "error": "403:/a/b:Publish denied"},
    "signature": {"successful": False, "error": "401::Signature required"},
}


@pytest.mark.parametrize(("who", "stateless", "session", "token"), [
    ("anyone", None, None, None), ("session", "no session", None, None),
    ("token", "no session", "denied", None), ("signed", "signature", "signature", "signature"),
    ("nobody", "denied", "denied", "denied")])
def test_who_may_publish(who: str, stateless: str | None, session: str | None, token: str | None) -> None:
    """P-8, E-12, E-16, E-23, Y-11: without a session, with one, and with a token."""
    world = World(Access(publish_rules(**{"/a/*": who})))
    heard: list[Any] = []
    world.hub.subscribe("/**", lambda channel, data: heard.append(data))
    client = world.client()
    [reply] = world.ask({"channel": "/a/b", "data": 1})
    assert reply == {"channel": "/a/b", **REPLIES[stateless]}
    assert client.publish("/a/b", 2) == {"channel": "/a/b", **REPLIES[session]}
    client.session.credentials = Nobody(["/a/b"], ["/a/*"]).credentials
    assert client.publish("/a/b", 3) == {"channel": "/a/b", **REPLIES[token]}
    assert heard == [n for n, why in ((1, stateless), (2, session), (3, token)) if why is None]
    assert world.hub.publish("/a/b", 4) == 0  # the application may always


def test_a_stale_session_is_not_taken_for_none() -> None:
    """P-7."""
    world = World(channel=publish_rules(**{"/a": "anyone"}))
    [reply] = world.ask({"channel": "/a", "data": 1, "clientId": "gone"})
    assert reply["error"] == "402:gone:Unknown client ID"


@pytest.mark.parametrize(("who", "verdict"), [
    ("anyone", True), ("session", True), ("token", True), ("signed", True), ("nobody", False)])
@pytest.mark.parametrize("session", [None, Nobody()])
def test_what_a_key_has_signed(who: str, verdict: bool, session: Session | None) -> None:
    """Y-11: it may be published wherever anybody may; whether that key may is checked with the signature."""
    access = Access(publish_rules(**{"/a": who}))
    assert access.can_publish(session, "/a", SignedMessage("/a", key_id="web-a"), LINK) is verdict


def test_the_most_specific_rule_decides_about_a_publish() -> None:
    access = Access(publish_rules(
        **{"/**": "nobody", "/a/**": "session", "/a/*": "nobody", "/a/b": "anyone"}))
    verdicts = {name: access.can_publish(Nobody(), name, Message(name), LINK)
                for name in ("/a", "/a/b", "/a/c", "/a/c/d", "/b")}
    assert verdicts == {"/a": False, "/a/b": True, "/a/c": False, "/a/c/d": True, "/b": False}


def test_a_token_to_publish_somewhere_else() -> None:
    access = Access(publish_rules(**{"/a/**": "token"}))
    session = Nobody(["/a/**"], ["/a/*"])
    assert access.can_publish(session, "/a/b", Message("/a/b"), LINK) is True
    assert access.can_publish(session, "/a/b/c", Message("/a/b/c"), LINK) is False


def test_services() -> None:
    """C-15, V-1: rules for everything are not for them, those under ``/service/`` are."""
    world = World(Access(publish_rules(**{"/**": "nobody", "/service/admin/*": "token"})))
    world.hub.service("/service/echo", lambda session, data: None)
    client = world.client()
    assert client.publish("/service/echo", 1)["successful"] is True
    assert client.publish("/service/admin/stop", 1)["error"] == "403:/service/admin/stop:Publish denied"
    client.session.credentials = Nobody([], ["/**"]).credentials
    assert client.publish("/service/admin/stop", 1)["successful"] is False
    client.session.credentials = Nobody([], ["/service/admin/*"]).credentials
    assert client.publish("/service/admin/stop", 1)["successful"] is True


def test_the_next_token_may_always_be_sent() -> None:
    """Y-16: or else nobody whose token has no word about it could stay."""
    access = Access(publish_rules(**{"/service/**": "nobody"}))
    assert access.can_publish(Nobody(), "/service/token", Message("/service/token"), LINK) is True
    assert access.can_publish(Nobody(), "/service/tokens", Message("/service/tokens"), LINK) is False


# -- with other policies ------------------------------------------------------------------------


class Later(Policy):
    """Keeps everybody waiting, and remembers who asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.verdict: Deferred[bool] = Deferred()

    def can_handshake(self, message: Message, link: Link) -> Verdict:
        self.asked.append("handshake")
        return self.verdict

    def can_subscribe(self, session: Session, pattern: str, message: Message, link: Link) -> Verdict:
        self.asked.append(pattern)
        return self.verdict

    def can_publish(self, session: Session | None, channel: str, message: Message, link: Link) -> Verdict:
        self.asked.append(channel)
        return self.verdict


def test_where_there_is_no_rule_the_policy_before_decides() -> None:
    later = Later()
    access = Access([ChannelRule(pattern="/a/**", publish="anyone"),
                     ChannelRule(pattern="/n", subscribe="nobody")], later)
    assert access.can_handshake(Message("/meta/handshake"), LINK) is later.verdict
    assert subscribing(access, "/a/*") is True
    assert subscribing(access, "/b") is later.verdict
    assert subscribing(access, "/**") is False
    assert access.can_publish(None, "/a/b", Message("/a/b"), LINK) is True
    assert access.can_publish(None, "/b", Message("/b"), LINK) is later.verdict
    assert later.asked == ["handshake", "/b", "/b"]


def test_of_a_pattern_that_is_only_partly_ruled_the_policy_before_decides_too() -> None:
    """S-10: it may know of a channel there that nobody may hear."""
    later = Later()
    access = Access([ChannelRule(pattern="/a/b")], later)
    assert subscribing(access, "/a/*") is later.verdict


def test_a_client_waits_for_the_policy_before() -> None:
    later = Later()
    world = World(channel=(ChannelRule(pattern="/a"),))
    client = world.client()
    world.hub.policy = Access([ChannelRule(pattern="/a")], later)
    carrier = client.send(client.message("/meta/subscribe", subscription=["/a", "/b"]))
    assert carrier.messages is None
    later.verdict.callback(True)
    assert carrier.messages is not None
    assert client.session.subscriptions == ("/a", "/b")


def test_rules_stand_before_the_policy_of_the_application() -> None:
    """A policy that is given to the hub decides what the configuration is silent about."""
    world = World(ListenOnly("/a/*"), channel=(ChannelRule(pattern="/a/b", publish="session"),))
    client = world.client()
    assert client.publish("/a/b", 1)["successful"] is True
    assert client.publish("/a/c", 1)["successful"] is False


def test_another_policy_may_stand_before_the_rules() -> None:
    world = World(channel=(ChannelRule(pattern="/a/**", publish="anyone"),))
    world.hub.policy = ListenOnly("/a/b", before=world.hub.policy)
    client = world.client()
    assert client.publish("/a/b", 1)["successful"] is False
    assert client.publish("/a/c", 1)["successful"] is True


def test_without_rules_nothing_is_between() -> None:
    policy = Policy()
    assert World(policy).hub.policy is policy
    assert subscribing(Access([]), "/**") is True


@pytest.mark.parametrize("patterns", [["/a", "/a"], ["a"], ["/meta/x"]])
def test_rules_that_cannot_be_meant(patterns: list[str]) -> None:
    with pytest.raises(BadRule):
        Access([ChannelRule(pattern=pattern) for pattern in patterns])


# -- lazy ---------------------------------------------------------------------------------------


def waits(world: World, channel: str) -> float:
    """Return for how long an event waits for company."""
    client = world.client()
    client.subscribe("/**")
    carrier = client.connect()
    world.hub.publish(channel, 1)
    for tenths in range(100):
        if not carrier.held:
            return tenths / 10
        world.clock.advance(0.1)
    raise AssertionError("it is never delivered")


@pytest.mark.parametrize(("channel", "seconds"), [
    ("/stats/a", 3.0), ("/stats/a/b", 3.0), ("/stats", 0.1), ("/stats/now", 0.1), ("/other/a", 2.0),
    ("/stats/b", 1.0), ("/stats/now/x", 3.0)])
def test_lazy_rules(channel: str, seconds: float) -> None:
    """D-12: the most specific rule says so, unless the setting ``lazy_channels`` does."""
    world = World(
        channel=(ChannelRule(pattern="/stats/**", lazy=True), ChannelRule(pattern="/stats/now"),
                 ChannelRule(pattern="/other/a"), ChannelRule(pattern="/stats/b")),
        lazy_channels={"/other/*": 2.0, "/stats/b": 1.0}, max_lazy_timeout=3.0)
    assert waits(world, channel) == pytest.approx(seconds, abs=0.15)
