"""load/crowd.py: how subscribers come, and what phases have them do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from bayeux.load import crowd as module
from bayeux.load.client import State
from bayeux.load.crowd import AT_ONCE, Crowd, Subscriber
from bayeux.load.ledger import NEVER
from bayeux.load.scenario import Churn, Phase, Slow, Storm
from bayeux.load.schedule import Schedule
from bayeux.load.tally import Tally
from tests.loading import SECOND, FakeCarrier, FakeCrew, FakeStream, event

SHAKEN = {"channel": "/meta/handshake", "successful": True, "clientId": "abc"}
SUBSCRIBED = {"channel": "/meta/subscribe", "successful": True}


class Fake(Subscriber):
    CARRIERS: ClassVar[Any] = {"long-polling": FakeCarrier, "websocket": FakeStream}
    __slots__ = ()


class Playing:
    """A crowd of WebSockets on one channel, and a schedule of 10 messages a second."""

    def __init__(self, clients: int, *phases: Phase, ramp: float = 0.0) -> None:
        crew = FakeCrew()
        self.loop = crew.loop
        self.schedule = Schedule(phases or (Phase(10.0, 10.0),), self.loop.now, 1, 1)
        self.tally = Tally(self.schedule, FakeCrew.mark, self.loop.clock)
        self.tally.measure(self.schedule)
        self.crowd = Crowd(crew.place, self.tally, FakeCrew.mark, "", ramp)
        for _ in range(clients):
            self.crowd.add("websocket", "/load/abcdef-0", 0, 1, 1)
        self.clients = list(self.crowd)

    def let_in(self, *clients: Subscriber) -> None:
        """Have the server accept whoever waits for that."""
        for client in clients or self.clients:
            carrier = client.carrier
            assert isinstance(carrier, FakeCarrier)
            if client.state is State.SHAKING_HANDS:
                carrier.answer(SHAKEN)
                carrier.answer(SUBSCRIBED)

    def live(self, workers: int = 1) -> None:
        """Let all come to life, and begin."""
        self.crowd.come()
        while not self.crowd.has_come:
            self.let_in()
        self.crowd.follow(self.schedule, workers)

    def publish(self, *numbers: int) -> None:
        """Let messages come to whoever is live."""
        for client in self.clients:
            if client.state is State.LIVE:
                carrier = client.carrier
                assert isinstance(carrier, FakeCarrier)
                carrier.answer(*(event(number) for number in numbers))

    def states(self) -> list[State]:
        return [client.state for client in self.clients]


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "Subscriber", Fake)
    yield


def started(playing: Playing) -> int:
    return sum(state is not State.AWAY for state in playing.states())


def test_so_many_come_at_a_time_and_the_next_when_one_is_live() -> None:
    playing = Playing(AT_ONCE + 5)
    playing.crowd.come()
    assert (started(playing), playing.crowd.live) == (AT_ONCE, 0)
    playing.let_in(playing.clients[0], playing.clients[1])
    assert (started(playing), playing.crowd.live, playing.crowd.has_come) == (AT_ONCE + 2, 2, False)
    playing.let_in()
    playing.let_in()
    assert playing.crowd.live == len(playing.crowd) == AT_ONCE + 5
    assert playing.crowd.has_come


def test_who_fails_does_not_keep_others_from_coming() -> None:
    playing = Playing(AT_ONCE + 3)
    playing.crowd.come()
    playing.clients[0].gone("connection refused")
    playing.clients[0].come()
    playing.clients[0].gone("connection refused")  # only the first time
    assert started(playing) == AT_ONCE  # itself is away
    assert playing.tally.errors == {"handshake: connection refused": 2}
    assert not playing.crowd.has_come


def test_who_is_told_to_stay_away_is_not_waited_for() -> None:
    playing = Playing(2)
    playing.crowd.come()
    playing.let_in(playing.clients[0])
    carrier = playing.clients[1].carrier
    assert isinstance(carrier, FakeCarrier)
    carrier.answer({"channel": "/meta/handshake", "successful": False, "advice": {"reconnect": "none"}})
    assert (playing.crowd.has_come, playing.crowd.live) == (True, 1)


def test_a_ramp_lets_them_come_at_its_pace_whatever_becomes_of_them() -> None:
    playing = Playing(100, ramp=20.0)
    playing.crowd.come()
    seen = []
    for _ in range(5):
        playing.loop.advance(1.0)
        seen.append(started(playing))
    assert seen == [21, 41, 61, 81, 100]
    playing.let_in()
    assert started(playing) == 100


def test_how_long_it_took_to_be_live_is_noted() -> None:
    playing = Playing(1)
    playing.crowd.come()
    playing.loop.advance(0.25)
    playing.let_in()
    assert playing.tally.connects == [250_000]
    playing.clients[0].gone("connection closed")
    playing.loop.advance(1)
    assert playing.clients[0].state is State.LIVE
    assert playing.tally.connects == [250_000]  # who resumes a session is live at once


def test_what_a_client_misses_before_it_is_live_is_lost() -> None:
    playing = Playing(1)
    playing.crowd.come()
    playing.crowd.follow(playing.schedule, 1)
    playing.loop.advance(1.0)
    playing.let_in()
    playing.tally.close(playing.clients[0].ledger)
    assert playing.tally.lost == [100]


# -- churn --------------------------------------------------------------------------------------

def test_clients_leave_in_turn_and_come_back_after_a_time() -> None:
    playing = Playing(3, Phase(10.0, 10.0, churn=Churn(rate=2.0, away=0.4)))
    playing.live()
    seen = []
    for _ in range(4):
        playing.loop.advance(0.3)
        seen.append([state.value for state in playing.states()])
        playing.loop.advance(0.2)
    assert seen[0] == ["away", "live", "live"]
    assert seen[1][:2] == ["handshake", "away"]
    carrier = playing.clients[2].carrier
    assert isinstance(carrier, FakeCarrier)
    assert [client.client_id for client in playing.clients] == ["", "", ""]
    assert playing.loop.now == playing.schedule.begin + 2 * SECOND


def test_who_has_left_expects_nothing_until_it_is_subscribed_again() -> None:
    playing = Playing(1, Phase(10.0, 10.0, churn=Churn(rate=0.1, away=1.0)))
    playing.live()
    playing.publish(*range(48))
    playing.loop.advance(5.0)  # it leaves at the fifth second, with 48 and 49 on their way
    assert playing.clients[0].ledger.next == NEVER
    playing.loop.advance(1.5)
    playing.let_in()
    playing.publish(64, *range(65, 100))  # 64 was due before it was subscribed
    playing.tally.close(playing.clients[0].ledger)
    assert playing.tally.lost == [0]
    assert sum(playing.tally.take_latencies()[0].values()) == 48 + 35


def test_what_is_left_out_before_a_client_leaves_is_lost() -> None:
    playing = Playing(1, Phase(10.0, 10.0, churn=Churn(rate=0.1)))
    playing.live()
    playing.publish(0, 3)
    playing.loop.advance(5.0)
    playing.tally.close(playing.clients[0].ledger)
    assert playing.tally.lost == [2]


@pytest.mark.parametrize("abrupt", [False, True])
def test_clients_say_good_bye_unless_they_are_to_vanish(abrupt: bool) -> None:
    playing = Playing(1, Phase(10.0, 10.0, churn=Churn(rate=0.1, abrupt=abrupt)))
    playing.live()
    carrier = playing.clients[0].carrier
    assert isinstance(carrier, FakeCarrier)
    carrier.sent.clear()
    playing.loop.advance(5.0)
    assert carrier.closed is abrupt
    assert ["disconnect" in text for text in carrier.sent] == ([] if abrupt else [True])


def test_several_workers_share_the_churn() -> None:
    playing = Playing(10, Phase(10.0, 10.0, churn=Churn(rate=2.0, away=100.0)))
    playing.live(workers=2)
    playing.loop.advance(10.0)
    assert playing.crowd.live == 0
    playing = Playing(30, Phase(10.0, 10.0, churn=Churn(rate=2.0, away=100.0)))
    playing.live(workers=2)
    playing.loop.advance(20.0)
    assert playing.crowd.live == 20


def test_who_is_not_live_cannot_leave() -> None:
    playing = Playing(1, Phase(10.0, 10.0, churn=Churn(rate=1.0, away=100.0)))
    playing.live()
    playing.loop.advance(10.0)
    assert (playing.states(), playing.tally.errors) == ([State.AWAY], {})


# -- slow readers -------------------------------------------------------------------------------

def test_slow_readers_are_new_connections_whose_loss_is_not_counted() -> None:
    slowly = Phase(2.0, 10.0, slow=Slow(share=0.5, pause=1.0))
    playing = Playing(4, Phase(2.0, 10.0), slowly, Phase(2.0, 10.0))
    playing.live()
    playing.publish(*range(20))
    playing.loop.advance(2.1)
    playing.let_in()
    slow = playing.clients[:2]
    assert [client.pause for client in playing.clients] == [1.0, 1.0, 0.0, 0.0]
    assert [client.carrier.slow for client in playing.clients] == [True, True, False, False]
    for client in playing.clients[2:]:
        for number in range(20, 40):
            playing.tally.arrived(client.ledger, str(event(number)).encode(), str(event(number)).find("bxl-"))
    playing.publish(30)  # a slow reader has something in the end
    playing.loop.advance(2.1)
    playing.let_in()
    assert [client.pause for client in slow] == [0.0, 0.0]
    assert not any(client.carrier.slow for client in slow)
    playing.publish(*range(43, 60))
    for client in playing.clients:
        playing.tally.close(client.ledger)
    assert playing.tally.lost == [0, 0, 8]  # 40 to 42, by the two that were there; 42, by all
    assert playing.tally.duplicated == [0, 2, 0]


def test_slow_readers_do_not_leave_by_churn() -> None:
    playing = Playing(1, Phase(10.0, 10.0, slow=Slow(share=1.0), churn=Churn(rate=1.0, away=1.0)))
    playing.live()
    playing.loop.advance(0.1)
    playing.let_in()
    playing.loop.advance(5.0)
    assert playing.states() == [State.LIVE]


# -- a storm ------------------------------------------------------------------------------------

def test_a_storm_cuts_a_share_of_all_at_one_moment() -> None:
    playing = Playing(4, Phase(10.0, 10.0, storm=Storm(share=0.5, at=2.0)))
    playing.live()
    before = [client.carrier for client in playing.clients]
    playing.loop.advance(1.9)
    assert playing.crowd.live == 4
    playing.loop.advance(0.2)
    assert [state.value for state in playing.states()] == ["handshake", "handshake", "live", "live"]
    assert [carrier.closed for carrier in before if isinstance(carrier, FakeCarrier)][:2] == [False, False]
    playing.let_in()
    playing.publish(*range(21, 100))
    for client in playing.clients:
        playing.tally.close(client.ledger)
    assert playing.tally.lost == [2 * 21]  # by those whom it spared


def test_who_resumes_after_a_storm_has_to_miss_nothing() -> None:
    playing = Playing(1, Phase(10.0, 10.0, storm=Storm(share=1.0, at=2.0, resume=True)))
    playing.live()
    playing.loop.advance(2.1)
    assert playing.states() == [State.LIVE]
    assert playing.clients[0].is_resumed
    playing.publish(*range(1, 100))
    playing.tally.close(playing.clients[0].ledger)
    assert playing.tally.lost == [1]


def test_nothing_is_done_any_more_once_the_run_is_cut_short() -> None:
    playing = Playing(2, Phase(10.0, 10.0, storm=Storm(at=2.0), churn=Churn(rate=0.2)))
    playing.live()
    playing.schedule.cut(playing.loop.now + SECOND)
    playing.loop.advance(10)
    assert playing.crowd.live == 2


def test_a_worker_without_clients_has_nothing_to_do() -> None:
    playing = Playing(0, Phase(10.0, 10.0, storm=Storm(at=2.0), churn=Churn(rate=1.0), slow=Slow(share=0.1)))
    playing.live()
    playing.loop.advance(10)
    assert playing.crowd.has_come


def test_all_go_in_the_end() -> None:
    playing = Playing(2)
    playing.crowd.add("long-polling", "/load/abcdef-0", 0, 1, 1)
    playing.clients = list(playing.crowd)
    playing.live()
    carriers = [client.carrier for client in playing.clients]
    for carrier in carriers:
        assert isinstance(carrier, FakeCarrier)
        carrier.sent.clear()
    playing.crowd.disperse()
    assert [len(carrier.sent) for carrier in carriers if isinstance(carrier, FakeCarrier)] == [1, 1, 0]
    assert playing.states() == [State.AWAY] * 3
