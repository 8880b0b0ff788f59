"""The life of a client, as one table."""

from __future__ import annotations

import pytest

from bayeux.client.effects import Changed, Start, Stop
from bayeux.client.life import Life
from bayeux.client.states import ALIVE, TALKING, TRANSITIONS, State, Step


def test_every_state_can_be_reached_and_has_an_end() -> None:
    reached = {State.UNCONNECTED}
    for _ in State:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert reached == set(State)
    assert {before for (before, step) in TRANSITIONS if step is Step.END} == set(State) - {State.DISCONNECTED}


def test_the_end_is_the_end() -> None:
    assert not [step for before, step in TRANSITIONS if before is State.DISCONNECTED]


def test_every_step_is_taken_somewhere() -> None:
    assert {step for _, step in TRANSITIONS} == set(Step)


@pytest.mark.parametrize("step", [Step.ACCEPTED, Step.FAILED, Step.FORGOTTEN, Step.LEAVE])
def test_who_has_a_session_can_be_accepted_fail_be_forgotten_and_leave(step: Step) -> None:
    assert {before for before, each in TRANSITIONS if each is step} == ALIVE


def test_a_session_talks_unless_it_is_being_reconnected() -> None:
    assert ALIVE - {State.RECONNECTING} | {State.DISCONNECTING} == TALKING


def test_a_step_that_leads_nowhere_else_is_not_told() -> None:
    life = Life()
    for step in (Step.START, Step.GREETED, Step.ACCEPTED, Step.ACCEPTED):
        life.step(step)
    assert [effect.change.state for effect in life.take() if isinstance(effect, Changed)] == [
        State.HANDSHAKING, State.CONNECTING, State.CONNECTED]
    assert life.take() == []


def test_a_step_that_cannot_be_taken_is_a_fault() -> None:
    with pytest.raises(KeyError):
        Life().step(Step.ACCEPTED)


def test_a_timer_that_does_not_run_is_not_stopped() -> None:
    life = Life()
    life.emit(Stop(("a", 1)))
    life.emit(Start(("a", 1), 5.0))
    life.emit(Stop(("a", 1)))
    life.emit(Stop(("a", 1)))
    assert life.take() == [Start(("a", 1), 5.0), Stop(("a", 1))]
