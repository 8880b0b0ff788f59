"""Advice as a client reads it (BAYEUX.md section 12)."""

from __future__ import annotations

from typing import Any

import pytest

from bayeux.client.advice import Advice


def test_all_of_it() -> None:
    """A-1."""
    read = Advice.read({"reconnect": "handshake", "interval": 1500, "timeout": 30000,
                        "multiple-clients": True})
    assert read == Advice("handshake", 1.5, 30.0, True)


def test_what_is_left_out_is_the_default_and_not_what_was_before() -> None:
    """A-2."""
    assert Advice.read({}) == Advice("retry", 0.0, 60.0, False)


@pytest.mark.parametrize("value", [None, 5, "retry", [], ["reconnect"]])
def test_what_is_no_advice_is_the_default(value: Any) -> None:
    assert Advice.read(value, "none") == Advice("none")


@pytest.mark.parametrize("value", ["no", None, 7, [], {}])
def test_what_cannot_be_done_is_what_would_be_done_otherwise(value: Any) -> None:
    assert Advice.read({"reconnect": value}, "handshake").reconnect == "handshake"


@pytest.mark.parametrize("value", ["500", True, None, [], -1, -0.5])
def test_times_that_make_no_sense_are_the_default(value: Any) -> None:
    """A-7."""
    read = Advice.read({"interval": value, "timeout": value})
    assert (read.interval, read.timeout) == (0.0, 60.0)


def test_a_negative_interval_means_never() -> None:
    """A-7."""
    assert Advice.read({"reconnect": "retry", "interval": -1}).reconnect == "none"
    assert Advice.read({"reconnect": "retry", "timeout": -1}).reconnect == "retry"


def test_huge_times_are_cut_to_what_a_timer_can_hold() -> None:
    read = Advice.read({"interval": 10 ** 400, "timeout": 1e300})
    assert read.interval == read.timeout == 1e6


@pytest.mark.parametrize("value", [1, "true", None, False])
def test_multiple_clients_is_exactly_true(value: Any) -> None:
    assert not Advice.read({"multiple-clients": value}).multiple_clients
