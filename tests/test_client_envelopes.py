"""What a server's bytes are taken for (BAYEUX.md section 2)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.client.envelopes import copy, decode
from bayeux.client.errors import BadAnswer


@pytest.mark.parametrize(("body", "messages"), [
    (b"[]", []), (b'[{"a":1}]', [{"a": 1}]), (b' [1, "x"] ', [1, "x"]), (b'{"a":1}', [{"a": 1}]),
    (b'\xef\xbb\xbf[{"a":1}]', [{"a": 1}]), ('["Zo\xeb"]'.encode(), ["Zo\xeb"]),
])
def test_what_is_an_answer(body: bytes, messages: list[Any]) -> None:
    """M-2."""
    assert decode(body) == messages


@pytest.mark.parametrize("body", [
    b"", b"<html>", b"5", b'"text"', b"null", b"[", b"[}", b"[NaN]", b"[Infinity]", b"\xff\xfe[\x00",
    b'["\xff"]',
    b"[" * 5_000 + b"]" * 5_000, b'{"a":' * 100_000, b'["\\ud800",' + b"[" * 5_000,
])
def test_what_is_none(body: bytes) -> None:
    """M-3, M-6, M-7."""
    with pytest.raises(BadAnswer):
        decode(body)


def test_an_error_shows_how_the_answer_begins() -> None:
    with pytest.raises(BadAnswer, match=r"it begins with '<html><body>Bad gateway'"):
        decode(b"<html><body>Bad gateway")
    with pytest.raises(BadAnswer) as caught:
        decode(b"<" * 5_000)
    assert len(str(caught.value)) < 150


def test_half_a_character_is_taken_as_it_came() -> None:
    """M-8: JSON allows the escape, and browsers send it."""
    assert decode(b'[{"channel":"/a","data":"\\ud800"}]') == [{"channel": "/a", "data": "\ud800"}]


def test_a_copy_is_what_a_receiver_sees() -> None:
    value = {"when": date(2026, 1, 2), "list": (1, 2)}
    copied = copy(value)
    assert copied == {"when": "2026-01-02", "list": [1, 2]}


@pytest.mark.parametrize("value", [object(), {1: {2: object()}}])
def test_what_is_no_json_has_no_copy(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        copy(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_messages_or_a_bad_answer(body: bytes) -> None:
    try:
        assert isinstance(decode(body), list)
    except BadAnswer as error:
        assert str(error)
