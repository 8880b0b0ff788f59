"""api/channels.py: who is subscribed to what, and where most is published."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from bayeux import Hub, Link, Settings
from bayeux.api.channels import ChannelList, _covered
from bayeux.api.traffic import Traffic
from bayeux.channels import covers
from bayeux.messages import Event


class World:
    """A hub whose traffic is counted."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.hub = Hub(self.clock, Settings(api_rate_period=1, **settings))
        self.traffic = Traffic(self.clock, self.hub.settings, self.hub.metrics)
        self.traffic.start()
        self.list = ChannelList(self.hub.sessions, self.traffic)

    def subscribe(self, *channels: str) -> None:
        session = self.hub.sessions.open(Link("long-polling"))
        self.hub.sessions.subscribe(session, channels)

    def publish(self, **counts: int) -> None:
        """Publish so often on each of these, below ``/``, in a second."""
        for name, count in counts.items():
            for _ in range(count):
                self.traffic.count(Event(f"/{name}", b"1"))
        self.clock.advance(1)


def names(page: tuple[list[dict[str, Any]], bool]) -> list[str]:
    return [each["channel"] for each in page[0]]


def test_they_are_listed_by_name() -> None:
    world = World()
    world.subscribe("/b", "/a/**", "/c")
    world.subscribe("/b", "/a/b")
    assert world.list.by_name("", 10, None) == ([
        {"channel": "/a/**", "subscribers": 1, "rate": 0.0},
        {"channel": "/a/b", "subscribers": 1, "rate": 0.0},
        {"channel": "/b", "subscribers": 2, "rate": 0.0},
        {"channel": "/c", "subscribers": 1, "rate": 0.0}], False)


def test_also_those_that_nobody_listens_to_but_each_once() -> None:
    world = World()
    world.subscribe("/b")
    world.publish(a=3, b=1, c=2)
    assert world.list.by_name("", 10, None) == ([
        {"channel": "/a", "subscribers": 0, "rate": 3.0},
        {"channel": "/b", "subscribers": 1, "rate": 1.0},
        {"channel": "/c", "subscribers": 0, "rate": 2.0}], False)


def test_the_busiest_come_first_and_those_alike_by_name() -> None:
    world = World()
    world.subscribe("/quiet", "/b")
    world.publish(a=1, b=3, d=2, c=2)
    busiest = [
        {"channel": "/b", "subscribers": 1, "rate": 3.0},
        {"channel": "/c", "subscribers": 0, "rate": 2.0},
        {"channel": "/d", "subscribers": 0, "rate": 2.0},
        {"channel": "/a", "subscribers": 0, "rate": 1.0}]
    for limit in range(1, 6):
        assert world.list.by_rate(limit, None) == busiest[:limit]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
def test_page_by_page_each_is_met_once(limit: int) -> None:
    world = World()
    world.publish(a=1, b=3, c=2, d=2, e=7, f=2)
    found: list[str] = []
    more = True
    while more:
        page = world.list.by_name(found[-1] if found else "", limit, None)
        assert len(page[0]) <= limit
        found += names(page)
        more = page[1]
    assert found == ["/a", "/b", "/c", "/d", "/e", "/f"]


@pytest.mark.parametrize(("pattern", "found"), [
    ("/a/*", ["/a/*", "/a/b"]), ("/a/**", ["/a/*", "/a/**", "/a/b", "/a/b/c"]), ("/a/b", ["/a/b"]),
    ("/x", []), ("/**", ["/a", "/a/*", "/a/**", "/a/b", "/a/b/c", "/b"])])
def test_those_that_a_pattern_covers(pattern: str, found: list[str]) -> None:
    """S-10."""
    world = World()
    world.subscribe("/a", "/a/b", "/a/b/c", "/a/*", "/a/**", "/b")
    assert names(world.list.by_name("", 10, pattern)) == found


texts = st.builds(
    lambda segments, end: "/" + "/".join([*segments, *end]), st.lists(st.sampled_from(["a", "b", "service"]),
                                                                      min_size=1, max_size=3),
    st.sampled_from([(), ("*",), ("**",)]))
patterns = st.one_of(texts, st.sampled_from(["/*", "/**"]))


@given(patterns, st.lists(patterns, unique=True))
def test_a_pattern_covers_what_it_covers_for_whoever_subscribes(pattern: str, names: list[str]) -> None:
    """S-10, C-15: the same as where a subscription is judged."""
    assert list(_covered(names, pattern)) == [name for name in names if covers(pattern, name)]


def test_the_busiest_that_a_pattern_covers() -> None:
    world = World()
    world.publish(**{"a": 1, "a/b": 2, "a/c": 3, "b/c": 4})
    assert [each["channel"] for each in world.list.by_rate(10, "/a/*")] == ["/a/c", "/a/b"]
