"""registry.py: patterns to subscribers (BAYEUX.md C-7 to C-9, C-17, S-6)."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bayeux.channels import matches
from bayeux.registry import Registry

patterns = st.sampled_from(["/a", "/b", "/a/b", "/a/b/c", "/*", "/**", "/a/*", "/a/**", "/a/b/*", "/a/b/**"])
names = st.sampled_from(["/a", "/b", "/c", "/a/b", "/a/c", "/a/b/c", "/a/b/c/d", "/b/a"])
steps = st.lists(st.tuples(st.sampled_from(["add", "remove"]), patterns, st.sampled_from("xyz")))


@given(steps, names)
def test_a_name_finds_whoever_has_a_matching_pattern(script: list[tuple[str, str, str]], name: str) -> None:
    """C-7, S-6, S-9: against a plain set of pairs, each of which is looked at."""
    registry: Registry[str] = Registry()
    pairs: set[tuple[str, str]] = set()
    for what, pattern, subscriber in script:
        if what == "add":
            registry.add(pattern, subscriber)
            pairs.add((pattern, subscriber))
        else:
            registry.remove(pattern, subscriber)
            pairs.discard((pattern, subscriber))
    expected = sorted({subscriber for pattern, subscriber in pairs if matches(pattern, name)})
    assert sorted(registry.match(name)) == expected
    assert len(registry) == len({pattern for pattern, _ in pairs})
    counts = Counter(pattern for pattern, _ in pairs)
    assert {pattern: registry.count(pattern) for pattern in registry} == counts
    assert registry.count(name) == counts[name]


def test_a_subscriber_is_found_once_however_many_of_its_patterns_match() -> None:
    """C-9."""
    registry: Registry[str] = Registry()
    for pattern in ("/a", "/*", "/**"):
        registry.add(pattern, "x")
    assert list(registry.match("/a")) == ["x"]


def test_subscribers_of_a_channel_are_found_in_the_order_they_came() -> None:
    registry: Registry[int] = Registry()
    for subscriber in (3, 1, 2, 1):
        registry.add("/a", subscriber)
    assert list(registry.match("/a")) == [3, 1, 2]


def test_what_nobody_is_subscribed_to_finds_nobody() -> None:
    assert list(Registry[str]().match("/a")) == []


def test_removing_what_was_never_subscribed_is_no_difference() -> None:
    """S-6."""
    registry: Registry[str] = Registry()
    registry.add("/a", "x")
    registry.remove("/a", "y")
    registry.remove("/b", "x")
    assert list(registry.match("/a")) == ["x"]


def test_an_unsubscribe_is_literal() -> None:
    """S-9."""
    registry: Registry[str] = Registry()
    registry.add("/a/**", "x")
    registry.remove("/a/b", "x")
    assert list(registry.match("/a/b")) == ["x"]


def test_a_pattern_is_kept_while_it_has_a_subscriber() -> None:
    """C-17."""
    registry: Registry[str] = Registry()
    registry.add("/a", "x")
    registry.add("/a", "y")
    registry.remove("/a", "x")
    assert "/a" in registry
    registry.remove("/a", "y")
    assert "/a" not in registry
    assert len(registry) == 0


def test_a_pattern_is_one_text_for_all_its_subscribers() -> None:
    """As each session keeps its own patterns, and thousands may have the same."""
    registry: Registry[str] = Registry()
    first = registry.add("/a/b", "x")
    assert registry.add("".join(["/a", "/b"]), "y") is first
    registry.remove("/a/b", "x")
    assert registry.add("".join(["/a", "/b"]), "x") is first
    assert list(registry.match("/a/b")) == ["y", "x"]


def test_a_pattern_is_found_by_no_other_of_its_names() -> None:
    registry: Registry[str] = Registry()
    registry.add("/a/*", "x")
    assert "/a/b" not in registry
