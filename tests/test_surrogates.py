"""surrogates.py: escapes that the parser refuses, hidden from it and put back (M-8; BAYEUX.md section 25)."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeux.errors import MalformedEnvelope
from bayeux.surrogates import SIZE, hide, show

PARTS = [r"\ud83d", r"\ude00", r"\uDBFF", r"\udfff", r"\ud7ff", r"\\", r"\"", r"\n", r"\u0041", "u", "d800",
         "é", "\ue000", "["]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(PARTS), max_size=8))
def test_what_is_hidden_can_be_read_and_is_put_back(parts: list[str]) -> None:
    """M-8: and nothing is hidden where nothing needs to be."""
    text = f'"{"".join(parts)}"'.encode()
    try:
        hidden = hide(text, 100)
    except MalformedEnvelope:
        assert isinstance(msgspec.json.decode(text), str)
    else:
        assert any("\ud800" <= character <= "\udfff" for character in json.loads(text))
        assert isinstance(msgspec.json.decode(hidden), str)
        assert len(hidden) == len(text)
        assert show(hidden) == text


@pytest.mark.parametrize("text", [
    b"", b"nonsense", rb'"\ud83d\ude00"', rb'"\\ud800"', rb'"\ud80z"', rb'"\ud8',
    rb'"\ud800\ue000"', rb'"\ue000\ud800"', rb'"\uEfFf \uDfFf"'])
def test_what_cannot_be_helped_is_refused(text: bytes) -> None:
    """M-8: also where the two could not be told apart afterwards."""
    with pytest.raises(MalformedEnvelope):
        hide(text, 100)


@pytest.mark.parametrize(("count", "good"), [(1, True), (5, True), (6, False)])
def test_no_more_are_hidden_than_is_said(count: int, good: bool) -> None:
    """G-32."""
    text = rb"\ud800" * count
    assert len(text) == count * SIZE
    if good:
        assert show(hide(text, 5)) == text
    else:
        with pytest.raises(MalformedEnvelope):
            hide(text, 5)
