"""channels.py: grammar, matching, coverage (BAYEUX.md section 4, S-10)."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bayeux.channels import (
    covering,
    covers,
    expand,
    is_meta,
    is_name,
    is_pattern,
    is_reserved,
    is_service,
    matches,
)
from tests.growth import is_linear

SEGMENT_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_!~()$@"

segments = st.text(SEGMENT_CHARACTERS, min_size=1, max_size=4)
names = st.lists(segments, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))
nearly = st.text("/a*Z0-_!~()$@ \n\r\x00.+#{}é²١\u212a", max_size=12)
"""Texts of which some are channels; the last ones are a letter, digits and a letter to Unicode alone."""


def reference(text: str, wildcards: bool) -> bool:
    """Read a channel one character after the other (C-1, C-2)."""
    state = "start"
    for char in text:
        if char == "/" and state in ("start", "segment"):
            state = "slash"
        elif char in SEGMENT_CHARACTERS and state in ("slash", "segment"):
            state = "segment"
        elif char == "*" and wildcards and state == "slash":
            state = "star"
        elif char == "*" and state == "star":
            state = "two stars"
        else:
            return False
    return state in ("segment", "star", "two stars")


def selects(pattern: str, name: str) -> bool:
    """Compare a pattern and a name segment by segment (C-7)."""
    wanted, given = pattern.split("/")[1:], name.split("/")[1:]
    if wanted[-1] == "*":
        return len(given) == len(wanted) and given[:-1] == wanted[:-1]
    if wanted[-1] == "**":
        return len(given) >= len(wanted) and given[:len(wanted) - 1] == wanted[:-1]
    return given == wanted


def channels(names: Sequence[str], most: int) -> list[str]:
    """List every channel of up to so many segments of these names."""
    return ["/" + "/".join(parts) for count in range(1, most + 1) for parts in product(names, repeat=count)]


NAMES = ("a", "ab")  # one begins like the other
PATTERNS = [*channels(NAMES, 3), *(parent + wildcard for parent in ["", *channels(NAMES, 2)]
                                   for wildcard in ("/*", "/**"))]
CHANNELS = channels((*NAMES, "z"), 4)
"""Two segments deeper than any wildcard of ``PATTERNS`` stands, and ``z`` is in none of them: so two
patterns that select the same of these select the same of all channels."""


@settings(deadline=None, max_examples=300)
@given(nearly | st.text() | names)
@example("")
@example("/")
def test_a_name_is_what_the_grammar_says(text: str) -> None:
    """C-1, C-3."""
    assert is_name(text) == reference(text, wildcards=False)


@settings(deadline=None, max_examples=300)
@given(nearly | st.builds("{}{}".format, names | st.just(""),
                          st.sampled_from(["", "/", "/*", "/**", "/***"])))
@example("/*")
@example("/**")
def test_a_pattern_is_what_the_grammar_says(text: str) -> None:
    """C-2, C-3."""
    assert is_pattern(text) == reference(text, wildcards=True)


def test_every_character_of_the_grammar_makes_a_segment() -> None:
    """C-1."""
    assert [character for character in SEGMENT_CHARACTERS if not is_name("/" + character)] == []


@pytest.mark.parametrize("text", [
    "", "/", "//", "foo", "foo/bar", "/foo/", "/foo//bar", "//foo", "/foo bar", " /foo", "/foo ", "/foo\t",
    "/\x00", "/foo\x7f", "/foo.bar", "/foo+bar", "/foo#bar", "/{foo}", "/foo?a=b", "/foo,bar", "/foo:bar",
    "/foo%20bar", "/foo\\bar", '/"'])
def test_what_is_no_channel_is_not_made_one(text: str) -> None:
    """C-3, C-5: nothing is trimmed or normalised, and CometD's wider grammar is off."""
    assert not is_name(text)
    assert not is_pattern(text)


@pytest.mark.parametrize("text", [
    "/foo\n", "/foo\r", "/foo/*\n", "/foo/**\n", "/fo\u00f6", "/\u0661", "/\u00b2", "/\uff11", "/\u212a",
    "/foo\u2028"])
def test_what_regular_expressions_are_known_to_let_through(text: str) -> None:
    """C-4: a line end after ``$``, letters and digits of other scripts."""
    assert not is_name(text)
    assert not is_pattern(text)


@pytest.mark.parametrize("text", [
    "*", "**", "/foo*", "/foo**", "/*foo", "/foo/*/bar", "/foo/**/bar", "/**/foo", "/*/*", "/**/*",
    "/foo/***", "/***", "/*/", "/foo/**/"])
def test_a_wildcard_is_the_whole_last_segment(text: str) -> None:
    """C-2."""
    assert not is_pattern(text)


@pytest.mark.parametrize("text", ["/*", "/**", "/foo/*", "/foo/bar/**"])
def test_a_pattern_is_no_name(text: str) -> None:
    """P-5 rests on it."""
    assert is_pattern(text)
    assert not is_name(text)


def test_case_matters() -> None:
    """C-1."""
    assert not matches("/foo", "/Foo")


@pytest.mark.parametrize("make", [
    pytest.param(lambda size: "/a" * size + " ", id="segments and a blank"),
    pytest.param(lambda size: "/" + "a" * size + "*", id="one long segment and a star"),
    pytest.param(lambda size: "/*" * size, id="wildcards"),
    pytest.param(lambda size: "/" * size, id="slashes"),
])
def test_hostile_texts_are_told_in_linear_time(make) -> None:
    """G-32."""
    assert is_linear(lambda text: (is_name(text), is_pattern(text)), make, 20_000)


@pytest.mark.parametrize(("pattern", "selected"), [
    ("/foo", ["/foo"]),
    ("/foo/*", ["/foo/bar"]),
    ("/foo/**", ["/foo/bar", "/foo/bar/boo"]),
    ("/*", ["/foo", "/foobar"]),
    ("/**", ["/foo", "/foo/bar", "/foo/bar/boo", "/foobar", "/foobar/boo"]),
])
def test_the_table_of_matches(pattern: str, selected: list[str]) -> None:
    """C-7."""
    columns = ["/foo", "/foo/bar", "/foo/bar/boo", "/foobar", "/foobar/boo"]
    assert [name for name in columns if matches(pattern, name)] == selected


def test_matching_is_comparing_segment_by_segment() -> None:
    """C-7, for all small patterns and channels there are."""
    wrong = [(pattern, name) for pattern in PATTERNS for name in CHANNELS
             if matches(pattern, name) != selects(pattern, name)]
    assert wrong == []


def test_expansion_of_the_example() -> None:
    """C-8."""
    assert sorted(expand("/a/b/c")) == sorted(["/a/b/c", "/a/b/*", "/a/b/**", "/a/**", "/**"])


@given(names)
def test_expansion_is_two_more_than_segments(name: str) -> None:
    """C-8."""
    assert len(expand(name)) == len(set(expand(name))) == name.count("/") + 2


@given(names)
def test_expansion_holds_patterns_that_select_the_name(name: str) -> None:
    """C-8."""
    assert all(is_pattern(pattern) and selects(pattern, name) for pattern in expand(name))


def test_coverage_is_selecting_every_channel_that_the_other_can_select() -> None:
    """S-10, by counting, for all pairs of small patterns."""
    selected = {pattern: {name for name in CHANNELS if selects(pattern, name)} for pattern in PATTERNS}
    wrong = [(granted, requested) for granted in PATTERNS for requested in PATTERNS
             if covers(granted, requested) != (selected[requested] <= selected[granted])]
    assert wrong == []


@pytest.mark.parametrize(("pattern", "wider"), [
    ("/a/b", ("/a/b", "/a/*", "/a/**", "/**")), ("/a/b/*", ("/a/b/*", "/a/b/**", "/a/**", "/**")),
    ("/a/b/**", ("/a/b/**", "/a/**", "/**")), ("/*", ("/*", "/**")), ("/**", ("/**",)),
    ("/service/a", ("/service/a", "/service/*", "/service/**")),
    ("/service/*", ("/service/*", "/service/**")), ("/service/**", ("/service/**",)),
    ("/service/a/**", ("/service/a/**", "/service/**")),
    ("/services/**", ("/services/**", "/**"))])
def test_what_is_wider_comes_in_the_order_of_how_specific_it_is(pattern: str, wider: tuple[str, ...]) -> None:
    """S-10, C-15: ``/**`` is no word about services."""
    assert covering(pattern) == wider


def test_of_two_patterns_with_a_channel_in_common_one_covers_the_other() -> None:
    """What deciding by the most specific one rests upon."""
    apart = [(one, other) for one in PATTERNS for other in PATTERNS
             if (covers(one, other) or covers(other, one)) != any(
                 selects(one, name) and selects(other, name) for name in CHANNELS)]
    assert apart == []


@pytest.mark.parametrize(("granted", "requested"), [
    ("/**", "/service/a"), ("/**", "/service/**"),
    ("/private/a", "/private/*"), ("/private/a", "/private/**"), ("/private/a", "/**"),
    ("/private/*", "/private/**"), ("/private/*", "/private/a/b"), ("/private/*", "/private/a/*"),
    ("/private/**", "/private"), ("/private/**", "/privateer/x"), ("/private/**", "/privateer/*"),
    ("/private/**", "/privateer/**"), ("/private/**", "/*")])
def test_a_grant_is_not_stretched(granted: str, requested: str) -> None:
    """S-10."""
    assert not covers(granted, requested)


@given(names, segments)
def test_a_deep_grant_covers_everything_below_it(name: str, segment: str) -> None:
    """S-10."""
    below = f"{name}/{segment}"
    assert all(covers(f"{name}/**", requested)
               for requested in (below, f"{name}/*", f"{name}/**", f"{below}/*", f"{below}/**"))


@pytest.mark.parametrize("channel", ["/meta", "/meta/connect", "/meta/x/y", "/meta/*", "/meta/**"])
def test_what_belongs_to_the_protocol(channel: str) -> None:
    """C-10, C-12, C-16."""
    assert is_meta(channel)
    assert is_reserved(channel)


@pytest.mark.parametrize("channel", ["/service/x", "/service/x/y", "/service/*", "/service/**"])
def test_what_belongs_to_services(channel: str) -> None:
    """C-13, C-14."""
    assert is_service(channel)
    assert not is_reserved(channel)


def test_the_bare_name_of_services_is_reserved() -> None:
    """C-16."""
    assert is_reserved("/service")
    assert not is_service("/service")


@pytest.mark.parametrize("channel", ["/metafoo", "/Meta/connect", "/services/x", "/Service/x", "/a/meta/x",
                                     "/a/service/x", "/*", "/**"])
def test_what_looks_reserved_but_is_not(channel: str) -> None:
    """C-16."""
    assert not is_meta(channel)
    assert not is_service(channel)
    assert not is_reserved(channel)
