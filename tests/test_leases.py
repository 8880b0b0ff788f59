"""leases.py: live sessions lose what their tokens and grants have opened (BAYEUX.md Y-16, Y-19)."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from bayeux import ChannelRule, Link, ListenOnly, Policy, Session
from bayeux.keys import Key
from bayeux.messages import Message
from bayeux.policy import Verdict
from bayeux.session import Release
from tests.client import Carrier, World
from tests.test_tokens import (
    GRANT,
    PRIVATE,
    SECRET,
    START,
    VECTOR,
    WEB_A,
    Member,
    ask_with_grant,
    private,
    shake_hands,
    signed_grant,
    token,
)

KEY = Key(id="web-a", secret=SECRET.encode(), publish=WEB_A.publish, subscribe=WEB_A.subscribe)
INBOX = "/private/alice/inbox"


def lasting(**settings: Any) -> World:
    """Make a private world whose sessions do not expire by themselves."""
    return private(**{"max_interval": 1e6, "timeout": 1e6, **settings})


def refresh(member: Member, token: object) -> Any:
    return member.publish("/service/token", token)


def is_sent_away(carrier: Carrier, client: Member) -> bool:
    """Say whether a held connect has been answered as Y-16 wants it."""
    assert carrier.messages is not None
    [reply] = carrier.messages
    advice = reply.pop("advice")
    return (reply == {"channel": "/meta/connect", "successful": False, "error": "401::Token expired"}
            and advice["reconnect"] == "handshake" and advice["interval"] >= 1000
            and client.session.removed_by is Release.EXPIRED)


# -- tokens -------------------------------------------------------------------------------------


def test_subscriptions_end_with_the_token() -> None:
    """Y-16: those that it has opened, and no others; the session stays, and is nobody's."""
    world = lasting()
    alice = Member(world)
    assert alice.subscribe("/news", INBOX, "/private/alice/*")["successful"] is True
    assert alice.session.subscriptions == ("/news", INBOX, "/private/alice/*")
    carrier = alice.connect()
    world.clock.advance(3599.9)
    assert alice.session.user == "alice"
    assert len(alice.session.subscriptions) == 3
    world.clock.advance(0.1)
    assert alice.session.user is None
    assert alice.session.subscriptions == ("/news",)
    assert world.hub.publish(INBOX, 1) == 0
    assert carrier.held
    assert alice.publish(INBOX, 1)["error"] == f"403:{INBOX}:Publish denied"
    assert alice.subscribe(INBOX)["successful"] is False
    assert world.hub.metrics.subscriptions_expired == 2


def test_leeway_holds_for_live_sessions_too() -> None:
    """Y-15: or else a session would end that has just been opened."""
    world = lasting(token_leeway=60.0)
    alice = Member(world)
    alice.subscribe(INBOX)
    world.clock.advance(3659)
    assert alice.session.subscriptions == (INBOX,)
    world.clock.advance(1)
    assert alice.session.subscriptions == ()


def test_a_held_connect_is_answered_where_a_token_is_required() -> None:
    """Y-16, K-19, H-12."""
    world = lasting(require_token=True)
    alice = Member(world)
    carrier = alice.connect()
    world.clock.advance(3600)
    assert is_sent_away(carrier, alice)
    assert world.hub.metrics.sessions_removed == {"expired": 1}
    assert world.hub.metrics.failures == {401: 1}


def test_a_session_without_held_connect_ends_all_the_same() -> None:
    """Y-16, K-4: its next connect is told to shake hands."""
    world = lasting(require_token=True)
    alice = Member(world)
    world.clock.advance(3600)
    assert not alice.session.alive
    [reply] = alice.ask(alice.connect_message())
    assert reply["error"] == f"402:{alice.id}:Unknown client ID"
    assert reply["advice"]["reconnect"] == "handshake"
    assert shake_hands(world)["error"] == "401::Token expired"


def test_clients_that_end_together_do_not_come_back_together() -> None:
    """Q-10, PEERS: reconnect storms caused by our own advice."""
    world = lasting(require_token=True, shutdown_spread=100.0)
    carriers = [Member(world).connect() for _ in range(20)]
    world.clock.advance(3600)
    assert len({carrier.messages[-1]["advice"]["interval"] for carrier in carriers if carrier.messages}) > 15


def test_a_user_whose_subscriptions_need_no_token_keeps_them() -> None:
    """Y-16: only what it would not have without."""
    world = lasting(channel=(ChannelRule(pattern="/private/**", subscribe="anyone"),))
    alice = Member(world)
    alice.subscribe(INBOX)
    world.clock.advance(3600)
    assert alice.session.subscriptions == (INBOX,)


def test_what_another_policy_has_allowed_is_left() -> None:
    """A policy before the rules may know better."""
    class Generous(Policy):
        def can_subscribe(self, session: Session, pattern: str, message: Message, link: Link) -> bool:
            return True

    world = lasting()
    world.hub.policy = Generous()
    alice = Member(world)
    alice.subscribe(INBOX, "/private/bob")
    world.clock.advance(3600)
    assert alice.session.subscriptions == ("/private/bob",)


def test_the_time_of_day_counts() -> None:
    """Whoever sets the clock back makes tokens last longer, and nothing turns in circles."""
    world = lasting()
    alice = Member(world)
    alice.subscribe(INBOX)
    world.START -= 100
    world.clock.advance(3600)
    assert alice.session.user == "alice"
    assert len(world.clock.getDelayedCalls()) <= 2
    world.clock.advance(100)
    assert alice.session.user is None


def test_each_session_ends_in_its_time() -> None:
    world = lasting()
    members = [Member(world, token(exp=START + n)) for n in (30, 10, 20)]
    users = []
    for _ in range(4):
        users.append([member.session.user is not None for member in members])
        world.clock.advance(10)
    assert users == [[True] * 3, [True, False, True], [True, False, False], [False] * 3]


# -- refresh ------------------------------------------------------------------------------------


def test_a_token_is_refreshed_without_interruption() -> None:
    """Y-16."""
    world = lasting(require_token=True)
    alice = Member(world)
    alice.subscribe(INBOX)
    carrier = alice.connect()
    world.clock.advance(3000)
    assert refresh(alice, token(exp=START + 7200)) == {"channel": "/service/token", "successful": True}
    world.clock.advance(3000)
    assert carrier.held
    assert alice.session.subscriptions == (INBOX,)
    world.clock.advance(1200)
    assert is_sent_away(carrier, alice)


def test_a_token_for_less() -> None:
    """Y-16: the newest counts."""
    alice = Member(lasting())
    alice.subscribe(INBOX, "/news")
    assert refresh(alice, token(ch={"s": ["/private/alice/outbox"]}))["successful"] is True
    assert alice.session.subscriptions == ("/news",)
    assert alice.subscribe("/private/alice/outbox")["successful"] is True
    assert alice.publish(INBOX, 1)["successful"] is False


def test_grants_outlive_a_refresh() -> None:
    alice = Member(lasting())
    alice.grant(signed_grant(pat="/private/shared"), "/private/shared")
    refresh(alice, token(jti="t-2"))
    assert alice.session.subscriptions == ("/private/shared",)


def test_a_token_for_more() -> None:
    alice = Member(lasting())
    refresh(alice, token(ch={"s": ["/private/**"], "p": ["/private/**"]}))
    assert alice.subscribe("/private/bob")["successful"] is True
    assert alice.publish("/private/bob", 1)["successful"] is True


def test_a_token_that_ends_earlier() -> None:
    world = lasting()
    alice = Member(world)
    refresh(alice, token(exp=START + 10))
    world.clock.advance(10)
    assert alice.session.user is None


@pytest.mark.parametrize(("bad", "error", "kind"), [
    (token(sub="bob"), "401::Token of another user", "token_of_another_user"),
    (token(sub=None), "401::Token of another user", "token_of_another_user"),
    (token(exp=START), "401::Token expired", "token_expired"),
    (VECTOR[:-2], "401::Authentication invalid", "token_invalid"),
    ({"token": VECTOR}, "401::Authentication invalid", "token_invalid"),
    (None, "401::Authentication invalid", "token_invalid")])
def test_a_bad_refresh_changes_nothing(bad: object, error: str, kind: str) -> None:
    """Y-16: same ``sub`` required."""
    world = lasting()
    alice = Member(world)
    alice.subscribe(INBOX)
    reply = refresh(alice, bad)
    assert reply == {"channel": "/service/token", "successful": False, "error": error}
    assert alice.session.user == "alice"
    assert alice.session.subscriptions == (INBOX,)
    assert world.hub.metrics.authentication_failures == {kind: 1}


def test_a_refresh_of_a_token_without_name() -> None:
    alice = Member(lasting(), token(sub=None))
    assert refresh(alice, token(sub=None, ch={"s": ["/private/x"]}))["successful"] is True
    assert alice.subscribe("/private/x")["successful"] is True


def test_a_session_does_not_become_somebody_by_a_refresh() -> None:
    """Who has shaken hands without a token does so again: a session is the same user's from first to last."""
    world = lasting()
    client = world.client()
    assert client.publish("/service/token", VECTOR)["error"] == "401::Handshake with a token first"
    assert client.session.user is None
    alice = Member(world)
    world.clock.advance(3600)
    assert refresh(alice, token(exp=START + 7200))["error"] == "401::Handshake with a token first"
    assert world.hub.metrics.authentication_failures == {"token_too_late": 2}


def test_a_refresh_without_session() -> None:
    """V-5."""
    world = lasting()
    [reply] = world.ask({"channel": "/service/token", "data": VECTOR})
    assert reply["error"] == "401::No client ID"


def test_the_channel_for_refreshes_has_its_handler() -> None:
    with pytest.raises(ValueError, match="has a handler already"):
        lasting().hub.service("/service/token", lambda session, data: None)
    World().hub.service("/service/token", lambda session, data: None)  # without keys it is like any other


# -- grants -------------------------------------------------------------------------------------


def test_a_subscription_ends_with_its_grant() -> None:
    """Y-15, Y-16: and the session goes on, though tokens be required."""
    world = lasting(require_token=True)
    alice = Member(world, token(ch=None, exp=START + 7200))
    alice.grant(GRANT, INBOX)
    alice.subscribe("/news")
    world.clock.advance(3599)
    assert alice.session.subscriptions == (INBOX, "/news")
    world.clock.advance(1)
    assert alice.session.subscriptions == ("/news",)
    assert alice.session.user == "alice"


def test_a_subscription_that_a_token_opens_too_outlives_its_grant() -> None:
    """Y-16: and the other way round."""
    world = lasting()
    alice = Member(world)
    alice.grant(signed_grant(exp=START + 10), INBOX)
    alice.grant(signed_grant(exp=START + 7200), "/private/alice/a")
    world.clock.advance(10)
    assert alice.session.subscriptions == (INBOX, "/private/alice/a")
    world.clock.advance(3590)
    assert alice.session.subscriptions == ("/private/alice/a",)
    world.clock.advance(3600)
    assert alice.session.subscriptions == ()


@pytest.mark.parametrize("order", [(10, 20), (20, 10)])
def test_of_two_grants_that_which_lasts_longer_counts(order: tuple[int, int]) -> None:
    world = lasting()
    client = world.client()
    for seconds in order:
        ask_with_grant(client, signed_grant(exp=START + seconds), INBOX)
    assert len(client.session.credentials) == 1
    world.clock.advance(19)
    assert client.session.subscriptions == (INBOX,)
    world.clock.advance(1)
    assert client.session.subscriptions == ()
    assert client.session.credentials == ()


def test_no_more_grants_are_kept_than_there_are_subscriptions() -> None:
    """G-11: however many are shown."""
    world = lasting()
    client = world.client()
    for n in range(20):
        ask_with_grant(client, signed_grant(exp=START + 100 - n), INBOX, "/private/alice/a")
        another = f"/private/alice/{n}"
        ask_with_grant(client, signed_grant(exp=START + 100, pat=another), another)
        client.ask(client.message("/meta/unsubscribe", subscription=another))
    assert len(client.session.subscriptions) == 2
    assert len(client.session.credentials) <= 3


def test_a_refused_subscribe_keeps_no_grant() -> None:
    """S-4."""
    client = lasting().client()
    ask_with_grant(client, GRANT, INBOX, "/private/bob")
    assert client.session.credentials == ()


def test_a_grant_that_ends_while_a_policy_thinks() -> None:
    world = lasting(channel=PRIVATE)
    slow = Slow(world.hub.policy)
    world.hub.policy = slow
    client = world.client()
    carrier = client.send(client.message("/meta/subscribe", subscription=INBOX, ext={"grant": GRANT}))
    world.clock.advance(3600)
    slow.verdict.callback(True)
    assert carrier.messages is not None
    world.clock.advance(0)
    assert client.session.subscriptions == ()


class Slow(Policy):
    """Keeps one subscribe waiting, after it has asked the policy before."""

    def __init__(self, before: Policy) -> None:
        self._before = before
        self.verdict: Deferred[bool] = Deferred()
        self.asked = 0

    def can_subscribe(self, session: Session, pattern: str, message: Message, link: Link) -> Verdict:
        self.asked += 1
        verdict = self._before.can_subscribe(session, pattern, message, link)
        return self.verdict if self.asked == 1 else verdict


def test_a_token_that_ends_while_a_policy_thinks_opens_nothing() -> None:
    """Y-16: what was allowed before it ended is asked again."""
    world = lasting()
    slow = Slow(world.hub.policy)
    world.hub.policy = slow
    alice = Member(world)
    carrier = alice.send(alice.message("/meta/subscribe", subscription=[INBOX]))
    world.clock.advance(3600)
    assert carrier.messages is None
    slow.verdict.callback(True)
    assert carrier.messages is not None
    assert carrier.messages[0]["error"] == f"403:{INBOX}:Subscription denied"
    assert alice.session.subscriptions == ()


def test_a_token_that_stays_while_a_policy_thinks() -> None:
    world = lasting()
    slow = Slow(world.hub.policy)
    world.hub.policy = slow
    alice = Member(world)
    carrier = alice.send(alice.message("/meta/subscribe", subscription=[INBOX]))
    slow.verdict.callback(True)
    assert carrier.messages is not None
    assert carrier.messages[0]["successful"] is True
    assert slow.asked == 1


# -- keys that change ---------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [[], [replace(KEY, secret=b"y" * 32)], [replace(KEY, id="web-b")],
                                  [replace(KEY, not_after=START)], [replace(KEY, not_before=START + 1)]])
def test_a_key_that_is_removed_ends_its_sessions(keys: list[Key]) -> None:
    """Y-19: held connects are told to shake hands anew, with a token by another key."""
    world = lasting()
    alice, nobody = Member(world), world.client()
    carrier, other = alice.connect(), nobody.connect()
    world.hub.replace_keys(keys)
    assert is_sent_away(carrier, alice)
    assert other.held
    assert shake_hands(world)["error"] == "401::Authentication invalid"


def test_a_key_that_is_removed_ends_what_its_grants_have_opened() -> None:
    """Y-19."""
    world = lasting()
    client = world.client()
    client.subscribe("/news")
    ask_with_grant(client, GRANT, INBOX)
    world.hub.replace_keys([])
    assert client.session.subscriptions == ("/news",)
    assert client.session.credentials == ()
    assert client.session.alive


def test_a_grant_by_another_key_does_not_save_the_session() -> None:
    """Y-19."""
    other = Key(id="web-b", secret=b"y" * 32, subscribe=("/private/**",))
    world = lasting()
    world.hub.replace_keys([KEY, other])
    alice = Member(world)
    alice.grant(signed_grant("y" * 32, kid="web-b"), INBOX)
    world.hub.replace_keys([other])
    assert not alice.session.alive


def test_no_grant_outlives_its_key() -> None:
    """Y-7."""
    world = lasting()
    world.hub.replace_keys([replace(KEY, not_after=START + 60)])
    client = world.client()
    ask_with_grant(client, GRANT, INBOX)
    world.clock.advance(60)
    assert client.session.subscriptions == ()


def test_a_key_that_stays_ends_nothing() -> None:
    """Y-10: it is the same if it says the same."""
    world = lasting()
    alice, client = Member(world), world.client()
    alice.subscribe(INBOX)
    ask_with_grant(client, GRANT, INBOX)
    world.hub.replace_keys([replace(KEY), Key(id="new", secret=b"n" * 32)])
    world.hub.replace_keys([replace(KEY, subscribe=("/**",))])
    assert alice.session.subscriptions == client.session.subscriptions == (INBOX,)
    assert alice.session.user == "alice"
    world.clock.advance(3600)
    assert alice.session.subscriptions == client.session.subscriptions == ()


def test_a_key_that_may_do_less() -> None:
    """Y-19: a token never opens more than its key may now; what it has lost does not come back."""
    world = lasting()
    alice, client = Member(world), world.client()
    alice.subscribe(INBOX, "/private/alice/outbox")
    ask_with_grant(client, GRANT, INBOX, "/private/alice/outbox")
    world.hub.replace_keys([replace(KEY, subscribe=(INBOX,), publish=())])
    assert alice.session.subscriptions == client.session.subscriptions == (INBOX,)
    assert alice.publish(INBOX, 1)["successful"] is False
    assert alice.session.user == "alice"
    assert len(client.session.credentials) == 1


def test_a_key_that_is_to_end_earlier() -> None:
    """Y-10: an old key gets ``not_after``."""
    world = lasting()
    alice = Member(world)
    alice.subscribe(INBOX)
    world.hub.replace_keys([replace(KEY, not_after=START + 60)])
    world.clock.advance(59)
    assert alice.session.subscriptions == (INBOX,)
    world.clock.advance(1)
    assert alice.session.subscriptions == ()
    assert alice.session.alive


def test_no_session_outlives_the_key_of_its_token() -> None:
    """Y-7."""
    world = lasting()
    world.hub.replace_keys([replace(KEY, not_after=START + 60)])
    alice = Member(world)
    world.clock.advance(60)
    assert alice.session.user is None


def test_a_token_that_is_revoked_ends_its_sessions() -> None:
    """Y-19."""
    world = lasting()
    alice, second = Member(world), Member(world, token(jti="t-2"))
    carrier = alice.connect()
    world.hub.replace_keys([KEY], ["t-1"])
    assert is_sent_away(carrier, alice)
    assert second.session.user == "alice"
    assert shake_hands(world)["error"] == "401::Authentication invalid"
    world.hub.replace_keys([KEY])  # says nothing of tokens
    assert shake_hands(world)["error"] == "401::Authentication invalid"
    world.hub.replace_keys([KEY], [])
    assert shake_hands(world)["successful"] is True


def test_tokens_without_a_name_of_their_own_cannot_be_revoked() -> None:
    world = lasting()
    alice = Member(world, token(jti=None))
    world.hub.replace_keys([KEY], [""])
    assert alice.session.user == "alice"


def test_a_key_that_goes_while_a_policy_thinks_of_its_handshake() -> None:
    """Y-19: the session ends as soon as it has begun."""
    verdict: Deferred[bool] = Deferred()

    class Asking(Policy):
        def can_handshake(self, message: Message, link: Link) -> Deferred[bool]:
            return verdict

    world = World(Asking(), channel=PRIVATE, key=(WEB_A,))
    carrier = world.send({"channel": "/meta/handshake", "version": "1.0", "ext": {"token": VECTOR},
                          "supportedConnectionTypes": ["long-polling"]})
    world.hub.replace_keys([])
    verdict.callback(True)
    assert carrier.messages is not None
    assert len(world.hub.sessions) == 1
    world.clock.advance(0)
    assert len(world.hub.sessions) == 0


def test_a_hub_without_keys_may_be_given_some() -> None:
    """They count for signatures; nothing is there that could end."""
    world = World()
    world.hub.replace_keys([KEY])
    assert len(world.hub.keys) == 1


# -- what is kept -------------------------------------------------------------------------------


def test_sessions_without_token_are_not_watched() -> None:
    world = lasting()
    world.client()
    assert len(world.hub.leases or ()) == 0


def test_nothing_is_kept_of_sessions_that_are_gone() -> None:
    """C-17, Q-6: and no timer until the hour at which they would have ended."""
    world = private(max_interval=10.0)
    for _ in range(5):
        alice = Member(world)
        alice.grant(GRANT, INBOX)
    assert len(world.hub.leases or ()) == 5
    alice.ask(alice.message("/meta/disconnect"))
    assert len(world.hub.leases or ()) == 4
    world.clock.advance(20)
    assert len(world.hub.leases or ()) == 0
    assert world.hub.sessions.is_idle()
    assert world.clock.getDelayedCalls() == []


def test_a_hub_that_is_closed_has_no_timer() -> None:
    """Q-10."""
    world = lasting()
    Member(world)
    world.hub.close()
    assert world.clock.getDelayedCalls() == []


def test_a_session_that_has_lost_everything_is_watched_no_more() -> None:
    world = lasting()
    Member(world)
    world.clock.advance(3600)
    assert len(world.hub.leases or ()) == 0


def test_an_ended_session_is_left_alone() -> None:
    """Its deadline may come when it is gone, among others."""
    world = lasting()
    alice, second = Member(world), Member(world, token(exp=START + 7200))
    alice.session.disconnect()
    kept = [lease.session for lease in gc.get_objects() if type(lease).__name__ == "_Lease"]
    assert alice.session not in kept  # there may be thousands that have gone within an hour
    world.clock.advance(3600)
    assert second.session.user == "alice"


@given(st.lists(st.tuples(st.sampled_from(["token", "grant", "refresh", "wait", "keys", "unsubscribe"]),
                          st.sampled_from([INBOX, "/private/alice/**", "/private/bob", "/news", "/**"]),
                          st.integers(1, 40)), max_size=25))
def test_whatever_happens_nobody_has_what_is_not_open_to_them(steps: list[tuple[str, str, int]]) -> None:
    """Y-16, Y-19: at every moment each subscription is public, or opened by what is still good."""
    world = lasting()
    alice = Member(world, token(exp=START + 40))
    good: dict[str, float] = {"/private/alice/**": START + 40}  # patterns that a token or grant has opened
    for step, pattern, seconds in steps:
        ends = int(world.wall()) + seconds
        if step == "token":
            alice.subscribe(pattern)
        elif step == "grant" and pattern not in ("/news", "/**"):
            if alice.grant(signed_grant(exp=ends, pat=pattern), pattern)["successful"]:
                good[pattern] = max(good.get(pattern, 0.0), ends)
        elif step == "refresh":
            if refresh(alice, token(exp=ends))["successful"]:
                good["/private/alice/**"] = max(good["/private/alice/**"], ends)
        elif step == "unsubscribe":
            alice.ask(alice.message("/meta/unsubscribe", subscription=pattern))
        elif step == "keys":
            world.hub.replace_keys([replace(KEY)])
        else:
            world.clock.advance(seconds)
        opened = {pattern for pattern, end in good.items() if end > world.wall()}
        for subscription in alice.session.subscriptions:
            assert subscription == "/news" or subscription in opened or (
                subscription == INBOX and "/private/alice/**" in opened)
        assert len(alice.session.credentials) <= 1 + len(alice.session.subscriptions) + 5


def test_a_policy_in_front_is_no_hindrance() -> None:
    world = lasting()
    world.hub.policy = ListenOnly("/news", before=world.hub.policy)
    alice = Member(world)
    alice.subscribe(INBOX)
    world.clock.advance(3600)
    assert alice.session.subscriptions == ()
