"""How an application takes the events of a channel."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from bayeux.client.errors import Closed, Overflow, SubscribeRefused, Unsubscribed
from bayeux.client.subscriptions import Event, Subscription, Subscriptions


def event(data: Any = 1, channel: str = "/a") -> Event:
    return Event(channel, data, {"channel": channel, "data": data})


class Owner:
    """What a subscription has of its client."""

    def __init__(self) -> None:
        self.left: list[Subscription] = []
        self.reported: list[Exception] = []

    def make(self, callback: Any = None, buffer: int = 3, overflow: Any = "fail") -> Subscription:
        return Subscription("/a", callback, buffer, overflow, self.leave, self.reported.append)

    def leave(self, subscription: Subscription) -> Deferred[None]:
        self.left.append(subscription)
        return succeed(None)


def result(deferred: Deferred[Any]) -> Any:
    """What a Deferred has: its value, its error, or None if nothing yet."""
    got: list[Any] = []
    deferred.addBoth(got.append)
    if not got:
        return None
    return got[0].value if isinstance(got[0], Failure) else got[0]


async def listed(subscription: Subscription) -> list[Any]:
    return [each.data async for each in subscription]


# -- by a callback ------------------------------------------------------------------------------

def test_a_callback_gets_each_event() -> None:
    got: list[Event] = []
    subscription = Owner().make(got.append)
    subscription.take(event(1))
    subscription.take(event(2))
    assert [each.data for each in got] == [1, 2]
    assert (got[0].channel, got[0].message, got[0].replay_id) == ("/a", {"channel": "/a", "data": 1}, None)


def test_an_event_knows_its_replay_id() -> None:
    """XR-6."""
    assert event({"event": {"replayId": 5}}).replay_id == 5


def test_a_callback_that_raises_costs_only_its_own_event() -> None:
    owner, got = Owner(), []

    def callback(each: Event) -> None:
        if each.data == 1:
            raise KeyError("no")
        got.append(each.data)

    subscription = owner.make(callback)
    subscription.take(event(1))
    subscription.take(event(2))
    assert got == [2]
    assert [type(error) for error in owner.reported] == [KeyError]


def test_the_next_event_waits_for_a_coroutine() -> None:
    started, gates = [], [Deferred[None](), Deferred[None]()]

    async def callback(each: Event) -> None:
        started.append(each.data)
        await gates[each.data]

    subscription = Owner().make(callback)
    subscription.take(event(0))
    subscription.take(event(1))
    assert started == [0]
    gates[0].callback(None)
    assert started == [0, 1]
    gates[1].callback(None)


def test_a_coroutine_that_fails_is_reported_and_the_next_event_comes() -> None:
    owner, started = Owner(), []
    gate: Deferred[None] = Deferred()

    def callback(each: Event) -> Any:
        started.append(each.data)
        return gate if each.data == 0 else None

    subscription = owner.make(callback)
    subscription.take(event(0))
    subscription.take(event(1))
    gate.errback(OSError("x"))
    assert [str(error) for error in owner.reported] == ["x"]
    assert started == [0, 1]


def test_what_is_thrown_at_a_callback_and_is_no_exception_is_reported_too() -> None:
    owner = Owner()
    gate: Deferred[None] = Deferred()
    owner.make(lambda each: gate).take(event())
    gate.errback(Failure(SystemExit("out")))
    assert [str(error) for error in owner.reported] == ["out"]


def test_many_events_that_have_waited_are_handed_on_without_recursion() -> None:
    got, gate = [], Deferred[None]()

    async def callback(each: Event) -> None:
        got.append(each.data)
        if each.data == 0:
            await gate

    subscription = Owner().make(callback, buffer=5_000)
    for number in range(5_000):
        subscription.take(event(number))
    gate.callback(None)
    assert got == list(range(5_000))


def test_a_callback_may_give_the_subscription_up() -> None:
    owner, got = Owner(), []
    subscription = owner.make(lambda each: (got.append(each.data), subscription.unsubscribe())[0])
    subscription.take(event(1))
    subscription.take(event(2))
    assert got == [1]
    assert owner.left == [subscription]


def test_who_has_a_callback_does_not_iterate() -> None:
    with pytest.raises(TypeError, match="callback"):
        aiter(Owner().make(print))


# -- one after the other ------------------------------------------------------------------------

def test_events_are_taken_in_order_whether_they_wait_or_are_waited_for() -> None:
    subscription = Owner().make()
    subscription.take(event(1))
    taking = Deferred.fromCoroutine(listed(subscription))
    subscription.take(event(2))
    subscription.take(event(3))
    subscription.end(None)
    assert result(taking) == [1, 2, 3]


def test_two_takers_share_the_events() -> None:
    subscription = Owner().make()
    first, second = subscription.__anext__(), subscription.__anext__()
    subscription.take(event(1))
    subscription.take(event(2))
    assert (result(first).data, result(second).data) == (1, 2)


def test_a_taker_that_gives_up_takes_no_event() -> None:
    subscription = Owner().make()
    first = subscription.__anext__()
    first.cancel()
    assert isinstance(result(first), CancelledError)
    subscription.take(event(1))
    assert result(subscription.__anext__()).data == 1


def test_after_giving_up_the_loop_ends_at_once() -> None:
    owner = Owner()
    subscription = owner.make()
    subscription.take(event(1))
    assert subscription.active
    subscription.unsubscribe()
    assert not subscription.active
    subscription.take(event(2))
    assert result(Deferred.fromCoroutine(listed(subscription))) == []
    assert owner.left == [subscription]
    subscription.unsubscribe()
    assert owner.left == [subscription]


def test_an_end_that_was_not_wanted_is_raised_behind_the_events_that_waited() -> None:
    subscription = Owner().make()
    subscription.take(event(1))
    error = Closed("over")
    subscription.end(error)
    assert result(subscription.__anext__()).data == 1
    assert result(subscription.__anext__()) is error
    assert result(Deferred.fromCoroutine(listed(subscription))) is error


def test_who_waits_when_it_ends_is_told() -> None:
    subscription = Owner().make()
    first, second = subscription.__anext__(), Deferred.fromCoroutine(listed(subscription))
    error = Closed("over")
    assert subscription.end(error)
    assert result(first) is error and result(second) is error


def test_nobody_is_told_where_nobody_waits() -> None:
    assert not Owner().make().end(Closed("over"))


# -- too many -----------------------------------------------------------------------------------

def test_a_full_buffer_ends_the_subscription_behind_its_events() -> None:
    owner = Owner()
    subscription = owner.make(buffer=2)
    for number in range(5):
        subscription.take(event(number))
    assert owner.left == [subscription]
    [error] = owner.reported
    assert isinstance(error, Overflow)
    assert [result(subscription.__anext__()).data for _ in range(2)] == [0, 1]
    assert result(subscription.__anext__()) is error
    assert subscription.dropped == 1


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [3, 4]), ("drop_newest", [0, 1])])
def test_a_full_buffer_may_lose_events(policy: str, kept: list[int]) -> None:
    owner = Owner()
    subscription = owner.make(buffer=2, overflow=policy)
    for number in range(5):
        subscription.take(event(number))
    assert [result(subscription.__anext__()).data for _ in range(2)] == kept
    assert subscription.dropped == 3
    assert subscription.active and owner.reported == []


def test_what_a_busy_callback_has_waiting_is_bounded_too() -> None:
    owner, gate, got = Owner(), Deferred[None](), []

    def callback(each: Event) -> Any:
        got.append(each.data)
        return gate

    subscription = owner.make(callback, buffer=1)
    for number in range(3):
        subscription.take(event(number))
    assert isinstance(owner.reported[0], Overflow)
    gate.callback(None)
    assert got == [0, 1]


@pytest.mark.parametrize("wrong", [{"buffer": 0}, {"buffer": -1}, {"overflow": "explode"}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Owner().make(**wrong)


# -- being ready --------------------------------------------------------------------------------

def test_it_is_ready_when_the_server_has_agreed() -> None:
    subscription = Owner().make()

    async def wait() -> Subscription:
        return await subscription

    first, second = subscription.when_ready(), Deferred.fromCoroutine(wait())
    assert "not ready" in repr(subscription)
    subscription.ready()
    subscription.ready()
    assert result(first) is result(second) is result(subscription.when_ready()) is subscription
    assert repr(subscription) == "<Subscription /a ready>"


def test_who_waits_for_a_refused_one_is_told() -> None:
    subscription = Owner().make()
    waiting = subscription.when_ready()
    error = SubscribeRefused({"error": "403::no"}, "/a")
    assert subscription.end(error)
    assert result(waiting) is error and result(subscription.when_ready()) is error
    assert repr(subscription) == "<Subscription /a over>"


def test_one_that_is_given_up_will_never_be_ready() -> None:
    subscription = Owner().make()
    waiting = subscription.when_ready()
    subscription.unsubscribe()
    assert isinstance(result(waiting), Unsubscribed)
    assert isinstance(result(subscription.when_ready()), Unsubscribed)


def test_waiting_can_be_given_up() -> None:
    subscription = Owner().make()
    waiting = subscription.when_ready()
    waiting.cancel()
    assert isinstance(result(waiting), CancelledError)
    subscription.ready()


# -- all of them --------------------------------------------------------------------------------

def subscribed(*channels: str) -> tuple[Subscriptions, dict[str, Subscription]]:
    all_of_them, by_name = Subscriptions(), {}
    for channel in channels:
        by_name[channel] = Subscription(channel, print, 1, "fail", lambda _: succeed(None), print)
        all_of_them.add(by_name[channel])
    return all_of_them, by_name


@pytest.mark.parametrize(("channel", "selected"), [
    ("/a/b", {"/a/b", "/a/*", "/a/**", "/**"}), ("/a", {"/*", "/**"}), ("/service/x", {"/service/x",
                                                                                       "/service/*"}),
    ("/x/y/z", {"/**"}),
])
def test_patterns_select_as_on_the_server(channel: str, selected: set[str]) -> None:
    """C-7, C-13."""
    all_of_them, _ = subscribed("/a/b", "/a/*", "/a/**", "/*", "/**", "/service/x", "/service/*")
    assert {each.channel for each in all_of_them.matching(channel)} == selected


def test_the_last_of_a_channel_is_told_from_the_others() -> None:
    all_of_them, by_name = subscribed("/a")
    second = Subscription("/a", print, 1, "fail", lambda _: succeed(None), print)
    all_of_them.add(second)
    assert all_of_them.of("/a") == [by_name["/a"], second] == list(all_of_them)
    assert not all_of_them.remove(by_name["/a"])
    assert not all_of_them.remove(by_name["/a"])
    assert all_of_them.remove(second)
    assert not all_of_them.remove(second)
    assert list(all_of_them) == [] == all_of_them.of("/a")
