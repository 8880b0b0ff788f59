"""Channel names and patterns, against an oracle that goes through them letter by letter."""

from __future__ import annotations

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
from bayeux.errors import InvalidChannel
from tests.fuzz.base import Target

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_!~()$@")
_LONGEST = 64
"""Characters of a text that is looked at: what is compared grows with its square."""


def segments(text: str) -> list[str] | None:
    """Return the segments of a channel or pattern, None if it is neither (C-1, C-2)."""
    if not text or text[0] != "/":
        return None
    found = text[1:].split("/")
    for index, segment in enumerate(found):
        is_last = index == len(found) - 1
        if not (segment and all(letter in _LETTERS for letter in segment)) and not (
            is_last and segment in ("*", "**")
        ):
            return None
    return found


def selects(pattern: list[str], name: list[str]) -> bool:
    """Say whether a pattern selects a channel (C-7)."""
    if pattern[-1] == "**":
        return len(name) >= len(pattern) and name[:len(pattern) - 1] == pattern[:-1]
    if pattern[-1] == "*":
        return len(name) == len(pattern) and name[:-1] == pattern[:-1]
    return name == pattern


def witnesses(one: list[str], other: list[str]) -> list[list[str]]:
    """Return channels among which there is one for each way in which two patterns can differ."""
    found: list[list[str]] = []
    for pattern in (one, other):
        stem = pattern[:-1] if pattern[-1] in ("*", "**") else pattern
        found += [[*stem, *more] for more in ([], ["x0"], ["x0", "x1"])]
        rest = (other if pattern is one else one)[len(stem):]
        found.append([*stem, *("x2" if segment in ("*", "**") else segment for segment in rest)])
    return [name for name in found if name]


class Channels(Target):
    """Two texts, on two lines: what they are, and what they have to do with each other."""

    name = "channels"

    def run(self, data: bytes) -> None:
        """Compare every answer with that of the oracle."""
        texts = [text[:_LONGEST] for text in data.decode("utf-8", "replace").split("\n", 1)]
        for text in texts:
            self._look_at(text)
        if len(texts) == 2:
            self._compare(*texts)

    def _look_at(self, text: str) -> None:
        parts = segments(text)
        wild = parts is not None and parts[-1] in ("*", "**")
        assert is_pattern(text) is (parts is not None), text
        assert is_name(text) is (parts is not None and not wild), text
        assert is_meta(text) is (text.split("/")[:2] == ["", "meta"]), text
        assert is_service(text) is (text[:9] == "/service/"), text
        assert is_reserved(text) is (is_meta(text) or text == "/service"), text
        assert str(InvalidChannel(text)).startswith("405:"), text
        if parts is not None and not wild:
            stems = [parts[:count] for count in range(len(parts) + 2)]
            every = {text, *("/" + "/".join([*stem, star]) for stem in stems for star in ("*", "**"))}
            found = expand(text)
            assert len(found) == len(set(found)) == len(parts) + 2, text  # C-8
            assert set(found) == {one for one in every if selects(one[1:].split("/"), parts)}, text

    def _compare(self, one: str, other: str) -> None:
        a, b = segments(one), segments(other)
        if a is None or b is None:
            return
        if is_name(other):
            assert matches(one, other) is selects(a, b), (one, other)
        names = [name for name in witnesses(a, b) if selects(b, name)]
        # C-15: of services it says nothing.
        expected = other[:9] != "/service/" if a == ["**"] else all(selects(a, name) for name in names)
        assert covers(one, other) is expected, (one, other, names)
        assert covering(other)[0] == other
