"""The pauses between tries."""

from __future__ import annotations

from bayeux.client.backoff import Backoff


def test_each_pause_is_twice_the_one_before_up_to_the_limit() -> None:
    backoff = Backoff(1, 10, lambda: 1.0)
    assert [backoff.next() for _ in range(6)] == [1, 2, 4, 8, 10, 10]


def test_a_pause_is_at_least_half_of_what_is_due() -> None:
    backoff = Backoff(1, 10, lambda: 0.0)
    assert [backoff.next() for _ in range(3)] == [0.5, 1, 2]


def test_after_a_success_it_begins_anew() -> None:
    backoff = Backoff(1, 10, lambda: 1.0)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == 1


def test_any_number_of_failures_can_be_borne() -> None:
    backoff = Backoff(0.001, 30, lambda: 1.0)
    for _ in range(2000):
        last = backoff.next()
    assert last == 30
