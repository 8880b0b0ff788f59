"""credentials.py: what is left of a token under another key, and what two patterns have in common."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.credentials import Credential, may_publish, may_subscribe, narrow
from bayeux.keys import Key
from tests.test_channels import CHANNELS, PATTERNS, selects

KEY = Key(id="web-a", secret=b"x" * 32, subscribe=("/**",), publish=("/**",))
CREDENTIAL = Credential(key=KEY, ends=1000.0, user="alice", subscribe=("/a/**", "/b"), publish=("/c/*",))

some_patterns = st.lists(st.sampled_from(PATTERNS), max_size=4)


@given(some_patterns, some_patterns)
def test_narrowed_patterns_select_what_both_select(patterns: list[str], limits: list[str]) -> None:
    """Y-15: a token opens what it says, as far as its key may."""
    narrowed = narrow(patterns, limits)
    assert len(set(narrowed)) == len(narrowed)
    for name in CHANNELS:
        assert any(selects(pattern, name) for pattern in narrowed) == (
            any(selects(pattern, name) for pattern in patterns)
            and any(selects(pattern, name) for pattern in limits))


@pytest.mark.parametrize(("patterns", "limits"), [(["/**"], ["/service/a"]), (["/service/**"], ["/**"])])
def test_services_are_not_among_everything(patterns: list[str], limits: list[str]) -> None:
    """C-15."""
    assert narrow(patterns, limits) == ()


def test_the_same_key() -> None:
    assert CREDENTIAL.under(KEY) is CREDENTIAL


def test_no_key() -> None:
    """Y-19."""
    assert CREDENTIAL.under(None) is None


def test_another_secret() -> None:
    """Y-19: whoever knew the old one has lost it."""
    assert CREDENTIAL.under(replace(KEY, secret=b"y" * 32)) is None


def test_a_key_that_may_do_less() -> None:
    """Y-19."""
    key = replace(KEY, subscribe=("/a/b", "/b"), publish=(), not_after=900.0)
    assert CREDENTIAL.under(key) == replace(
        CREDENTIAL, key=key, ends=900.0, subscribe=("/a/b", "/b"), publish=())


def test_a_key_that_may_do_more() -> None:
    key = replace(KEY, not_after=2000.0)
    assert CREDENTIAL.under(key) == replace(CREDENTIAL, key=key)


def test_what_is_opened() -> None:
    """S-10: by coverage."""
    assert may_subscribe([CREDENTIAL], "/a/x/*")
    assert may_subscribe([CREDENTIAL], "/b")
    assert not may_subscribe([CREDENTIAL], "/c/x")
    assert not may_subscribe([CREDENTIAL], "/**")
    assert not may_subscribe([], "/b")
    assert may_publish([CREDENTIAL], "/c/x")
    assert not may_publish([CREDENTIAL], "/c/x/y")
    assert not may_publish([CREDENTIAL], "/b")


def test_the_part_for_one_subscription() -> None:
    assert CREDENTIAL.only("/a/x") == replace(CREDENTIAL, subscribe=("/a/x",), publish=())


def test_no_secret_is_shown() -> None:
    """G-33."""
    assert "xxx" not in repr(CREDENTIAL)
