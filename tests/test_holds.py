"""holds.py: how many connects are held, and whether one more may be (section 14.4, G-14)."""

from __future__ import annotations

from typing import Any

import pytest

from bayeux.holds import Holds
from bayeux.session import Session
from bayeux.settings import Settings
from tests.test_session import FakeOwner


def session(address: str = "", browser: str | None = None) -> Session:
    one = Session(FakeOwner())
    one.address, one.browser_id = address, browser
    return one


def holds(*of: Session, **settings: Any) -> Holds:
    """Return the holds of these sessions, a connect of each."""
    holds = Holds(Settings(**settings))
    for one in of:
        holds.count(one, 1)
    return holds


def test_they_are_counted_in_and_out() -> None:
    one, other = session(), session()
    some = holds(one, other)
    assert len(some) == 2
    some.count(one, -1)
    assert len(some) == 1


def test_of_all_there_may_be_so_many() -> None:
    """G-14."""
    one = session("192.0.2.1")
    some = holds(one, session("192.0.2.2"), max_held=2)
    assert some.full(session("192.0.2.3")) == "max_held"
    some.count(one, -1)
    assert some.full(session("192.0.2.3")) == ""


@pytest.mark.parametrize(("address", "full"), [
    ("192.0.2.1", ""), ("2001:db8:0:1::3", "max_held_per_address"), ("2001:db8:0:2::1", "")])
def test_of_one_client_there_may_be_so_many(address: str, full: str) -> None:
    """G-14: all addresses of one network of IPv6 are one client's."""
    one = session("2001:db8:0:1::1")
    some = holds(one, session("2001:db8:0:1::2"), session("192.0.2.1"), max_held_per_address=2)
    assert some.full(session(address)) == full
    some.count(one, -1)
    assert some.full(session(address)) == ""


def test_a_browser_may_have_so_many() -> None:
    """B-3, B-4."""
    one = session(browser="b")
    some = holds(one, session(browser="c"), session(), max_sessions_per_browser=1)
    assert some.crowded(session(browser="b"))
    assert not some.crowded(session(browser="d"))
    assert not some.crowded(session())
    some.count(one, -1)
    assert not some.crowded(session(browser="b"))
    assert some.by_browser == {"c": 1}


def test_browsers_are_not_counted_where_they_may_have_any_number() -> None:
    """B-4."""
    some = holds(session(browser="b"), session(browser="b"), max_sessions_per_browser=-1)
    assert not some.crowded(session(browser="b"))
    assert some.by_browser == {}
