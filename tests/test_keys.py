"""keys.py: what a key is good for, and what is read of one (BAYEUX.md 21.2, Y-3 to Y-10)."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from bayeux.keys import BadKey, Key, KeyRing, check_rules, is_key_id, read_keys, read_secret
from bayeux.rules import KeyRule

SECRET = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


def rule(**fields: Any) -> KeyRule:
    return KeyRule(**{"id": "web-a", "secret": SECRET, **fields})


def complaint(*rules: KeyRule, directory: str = "") -> str:
    with pytest.raises(BadKey) as error:
        read_keys(rules, directory)
    text = str(error.value)
    assert SECRET not in text
    return text


def put(path: Path, text: str | bytes, mode: int = 0o600) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    path.chmod(mode)
    return str(path)


# -- what a key is good for ---------------------------------------------------------------------


def key(**fields: Any) -> Key:
    return Key(**{"id": "web-a", "secret": SECRET.encode(), **fields})


def test_a_key_is_good_for_nothing_by_default() -> None:
    """Y-7."""
    assert not key().may_publish("/news")
    assert not key().may_subscribe("/news")


@pytest.mark.parametrize(("pattern", "channel", "good"), [
    ("/news/**", "/news/sport", True), ("/news/**", "/news", False), ("/news/*", "/news/a/b", False),
    ("/news/*", "/news/**", False), ("/news/**", "/news/*", True), ("/news/a", "/news/*", False),
    ("/**", "/news", True), ("/**", "/service/x", False), ("/*", "/service", True),
    ("/**", "/service/**", False), ("/service/**", "/service/x", True), ("/service/*", "/news", False)])
def test_a_key_is_good_for_what_its_patterns_cover(pattern: str, channel: str, good: bool) -> None:
    """S-10, and C-15: ``/**`` is about broadcast channels."""
    assert key(publish=("/other", pattern)).may_publish(channel) is good
    assert key(subscribe=("/other", pattern)).may_subscribe(channel) is good
    assert not key(publish=(pattern,)).may_subscribe(channel)
    assert not key(subscribe=(pattern,)).may_publish(channel)


def test_no_representation_has_the_secret() -> None:
    """Y-4: never logged."""
    for thing in (key(), rule(), [key()], {"key": rule()}):
        assert SECRET not in repr(thing)
        assert "web-a" in repr(thing)


@pytest.mark.parametrize(("text", "good"), [
    ("a", True), ("Web_a.1-x", True), ("a" * 64, True), ("", False), ("a" * 65, False), ("a b", False),
    ("a/b", False), ("a\n", False), ("\u00e4", False), ("a:b", False)])
def test_the_grammar_of_an_id(text: str, good: bool) -> None:
    """Y-3."""
    assert is_key_id(text) is good


# -- the ring -----------------------------------------------------------------------------------


def test_a_ring_finds_keys_by_their_id() -> None:
    one, two = key(id="one"), key(id="two")
    ring = KeyRing([one, two])
    assert (ring.find("one", 0), ring.find("two", 0), ring.find("three", 0)) == (one, two, None)
    assert (len(ring), list(ring)) == (2, [one, two])


@pytest.mark.parametrize(("now", "good"), [(9.9, False), (10, True), (19.9, True), (20, False)])
def test_a_key_is_found_while_it_is_good(now: float, good: bool) -> None:
    """Y-7, Y-10."""
    assert (KeyRing([key(not_before=10, not_after=20)]).find("web-a", now) is not None) is good


def test_the_keys_of_a_ring_may_be_replaced() -> None:
    """Y-10: by all of the new ones at once."""
    ring = KeyRing([key(id="old")])
    ring.replace([key(id="new")])
    assert (ring.find("old", 0), len(ring)) == (None, 1)
    assert ring.find("new", 0) is not None


# -- tables -------------------------------------------------------------------------------------


def test_a_table_makes_a_key() -> None:
    """Y-4: the secret is its text as it stands."""
    made = read_keys([rule(publish=("/news/**",), subscribe=("/a",), not_before=NOON, max_payload=5,
                           not_after=datetime(2027, 1, 1, 14, 0, 0, tzinfo=timezone(timedelta(hours=1))))])
    assert made == [Key(id="web-a", secret=SECRET.encode(), publish=("/news/**",), subscribe=("/a",),
                        not_before=1_798_804_800, not_after=1_798_808_400, max_payload=5)]


def test_a_key_without_dates_is_always_good() -> None:
    ring = KeyRing(read_keys([rule()]))
    assert ring.find("web-a", -1e12)
    assert ring.find("web-a", 1e12)


def test_no_table_is_no_key() -> None:
    assert read_keys([]) == []


WRONG = {
    "no id": ({"id": ""}, "'': an id is 1 to 64 letters, digits, or characters of _ . -"),
    "an id with a blank": ({"id": "a b"}, "'a b': an id is 1 to 64 letters"),
    "no secret": ({"secret": ""}, "'web-a': needs one of secret and secret_file, and not both"),
    "two secrets": ({"secret_file": "x"}, "'web-a': needs one of secret and secret_file, and not both"),
    "a short secret": ({"secret": "x" * 31},
                       "'web-a': the secret has 31 characters and needs 32 that are random; make one by: b"),
    "a secret with a blank": ({"secret": "x" * 40 + " y"}, "a secret is one word of visible ASCII"),
    "a secret of two lines": ({"secret": "x" * 40 + "\nx"}, "a secret is one word of visible ASCII"),
    "a secret in another alphabet": ({"secret": "\u00e4" * 40}, "a secret is one word of visible ASCII"),
    "a secret that is no text": ({"secret": "\ud800" * 40}, "a secret is one word of visible ASCII"),
    "a secret with a mark": ({"secret": "\ufeff" + "x" * 40}, "the secret begins with a byte order mark"),
    "a bad pattern": ({"publish": ("/a", "news")},
                      "'web-a': publish: 'news' is neither a channel nor a pattern such as /news/**"),
    "another bad pattern": ({"subscribe": ("/a/*/b",)}, "subscribe: '/a/*/b' is neither a channel nor"),
    "a pattern of the protocol": ({"publish": ("/meta/**",)},
                                  "publish: '/meta/**' belongs to the protocol itself; take it out"),
    "another of the protocol": ({"subscribe": ("/service",)}, "subscribe: '/service' belongs to the"),
    "a beginning without zone": ({"not_before": datetime(2027, 1, 1)},
                                 "not_before: a time needs its zone, as in 2027-01-01T00:00:00Z"),
    "an end without zone": ({"not_after": datetime(2027, 1, 1)}, "not_after: a time needs its zone"),
    "an end at the beginning": ({"not_before": NOON, "not_after": NOON},
                                "'web-a': not_before must be earlier than not_after"),
}


@pytest.mark.parametrize(("fields", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_table_is_told(fields: dict[str, Any], text: str) -> None:
    """By its id, and with what to do; before any file is read."""
    wrong = rule(**fields)
    assert text in complaint(wrong)
    with pytest.raises(BadKey) as error:
        check_rules([rule(id="other"), wrong])
    assert text in str(error.value)


def test_a_secret_of_32_characters_is_enough() -> None:
    """Y-4."""
    assert read_keys([rule(secret="x" * 32)])[0].secret == b"x" * 32


def test_an_id_is_given_once() -> None:
    assert complaint(rule(), rule(id="b"), rule()) == (
        "'web-a': there are two keys of that id; give each its own")


# -- the file of a secret -----------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_secret_may_be_in_a_file_of_its_own(tmp_path: Path, end: str) -> None:
    """Y-4: the line end that an editor adds is none of it."""
    path = put(tmp_path / "web-a.key", SECRET + end)
    assert read_keys([rule(secret="", secret_file=path)]) == read_keys([rule()])


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o601, 0o666])
def test_a_secret_that_everybody_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Y-4: with the command that helps."""
    path = put(tmp_path / "web-a.key", SECRET, mode)
    assert complaint(rule(secret="", secret_file=path)) == (
        f"'web-a': {path}: every user of this machine may read the secret; do: chmod o-rwx {path}")


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_the_group_of_the_server_may_read_a_secret(tmp_path: Path, mode: int) -> None:
    assert read_secret(put(tmp_path / "web-a.key", SECRET, mode)) == SECRET.encode()


@pytest.mark.parametrize(("content", "text"), [
    (b"", "the secret has 0 characters"), (b"\n", "the secret has 0 characters"),
    (b"x" * 31 + b"\n", "the secret has 31 characters"), (b"x" * 40 + b"\ny", "one word of visible ASCII"),
    (b" " + b"x" * 40, "one word of visible ASCII"), (b"x" * 40 + b" \n", "one word of visible ASCII"),
    (os.urandom(31) + b"\x00", "one word of visible ASCII"),
    (b"\xef\xbb\xbf" + b"x" * 40, "begins with a byte order mark; save it without"),
    (b"x" * 65_537, "too large for a key")],
    ids=["empty", "a line end", "short", "two lines", "a blank before", "a blank behind", "bytes", "a mark",
         "large"])
def test_what_cannot_be_a_secret(tmp_path: Path, content: bytes, text: str) -> None:
    path = put(tmp_path / "x", content)
    with pytest.raises(BadKey) as error:
        read_secret(path)
    assert str(error.value).startswith(f"{path}: ")
    assert text in str(error.value)


def test_a_secret_is_as_long_as_it_wants(tmp_path: Path) -> None:
    assert len(read_secret(put(tmp_path / "x", b"x" * 65_536))) == 65_536


@pytest.mark.parametrize(("name", "reason"), [
    ("missing", "No such file or directory"), ("", "Is a directory"), ("a\x00b", "embedded null byte")])
def test_a_secret_that_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    path = f"{tmp_path}/{name}"
    assert complaint(rule(secret="", secret_file=path)) == f"'web-a': {path}: {reason}"


# -- the directory ------------------------------------------------------------------------------


def test_every_file_of_the_directory_is_a_key(tmp_path: Path) -> None:
    """Y-10: one comes and another goes without a change to the configuration."""
    put(tmp_path / "b.toml", f'secret = "{SECRET}"\npublish = ["/b"]\nnot_after = 2027-01-01T12:00:00Z')
    put(tmp_path / "a.toml", f'id = "first"\nsecret = "{SECRET}"')
    put(tmp_path / "b.toml~", "nonsense")
    put(tmp_path / ".#c.toml", "nonsense")
    put(tmp_path / "a.key", "nonsense")
    secret = SECRET.encode()
    assert read_keys([rule()], str(tmp_path)) == [
        Key(id="web-a", secret=secret), Key(id="first", secret=secret),
        Key(id="b", secret=secret, publish=("/b",), not_after=1_798_804_800)]


def test_the_keys_of_the_directory_are_in_order(tmp_path: Path) -> None:
    """What is wrong is then told alike each time."""
    names = [f"key-{number}" for number in (5, 2, 8, 1, 9, 4, 7, 3, 6)]
    for name in names:
        put(tmp_path / f"{name}.toml", f'secret = "{SECRET}"')
    assert [key.id for key in read_keys([], str(tmp_path))] == sorted(names)


def test_a_secret_in_the_directory_is_relative_to_it(tmp_path: Path) -> None:
    put(tmp_path / "web-a.key", SECRET)
    put(tmp_path / "web-a.toml", 'secret_file = "web-a.key"', 0o644)
    assert read_keys([], str(tmp_path)) == [Key(id="web-a", secret=SECRET.encode())]


BAD_FILES = {
    "no TOML": ("secret = ", "Invalid value"),
    "no text": (b"\xff", "codec can't decode"),
    "deep": ("secret = " + "[" * 5000, "nested too deep"),
    "an unknown field": (f'secret = "{SECRET}"\npublsh = []', "unknown field `publsh`"),
    "a wrong type": (f'secret = "{SECRET}"\npublish = "/a"', "Expected `array`, got `str` - at `$.publish`"),
    "a payload of nothing": (f'secret = "{SECRET}"\nmax_payload = 0', "Expected `int` >= 1"),
    "a date": (f'secret = "{SECRET}"\nnot_after = 2027-01-01', "got `date` - at `$.not_after`"),
    "a table": (f'[[key]]\nsecret = "{SECRET}"', "holds the fields of one key alone, without a line [[key]]"),
}


@pytest.mark.parametrize(("content", "text"), BAD_FILES.values(), ids=BAD_FILES)
def test_what_is_wrong_with_a_file_of_the_directory(tmp_path: Path, content: str, text: str) -> None:
    path = put(tmp_path / "web-a.toml", content)
    said = complaint(directory=str(tmp_path))
    assert said.startswith(f"{path}: ")
    assert text in said


def test_what_is_wrong_with_the_key_of_a_file(tmp_path: Path) -> None:
    put(tmp_path / "web-a.toml", 'secret = "x"')
    assert complaint(directory=str(tmp_path)).startswith("'web-a': the secret has 1 characters")


def test_a_file_of_the_directory_with_a_secret_is_for_the_server_alone(tmp_path: Path) -> None:
    """Y-4."""
    path = put(tmp_path / "web-a.toml", f'secret = "{SECRET}"', 0o644)
    assert complaint(directory=str(tmp_path)).startswith(f"{path}: every user of this machine may read")


def test_a_key_of_the_directory_may_not_be_in_the_tables_too(tmp_path: Path) -> None:
    put(tmp_path / "web-a.toml", f'secret = "{SECRET}"')
    assert "two keys of that id" in complaint(rule(), directory=str(tmp_path))


@pytest.mark.parametrize(("name", "reason"), [
    ("missing", "No such file or directory"), ("file", "Not a directory"), ("a\x00b", "embedded null byte")])
def test_a_directory_that_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    put(tmp_path / "file", "")
    path = f"{tmp_path}/{name}"
    assert complaint(directory=path) == f"key_directory: {path}: {reason}"


def test_a_directory_may_be_empty(tmp_path: Path) -> None:
    assert read_keys([], str(tmp_path)) == []
