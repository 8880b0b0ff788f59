"""cli/options.py: what several commands are told in the same way."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable

import pytest

from bayeux.cli import CommandError
from bayeux.cli.options import add_key, channel, duration, key_id, pattern, read_key, user
from bayeux.keys import Key
from tests.cli import SECRET, Shell


def key(*arguments: str) -> Key:
    parser = ArgumentParser()
    add_key(parser)
    return read_key(parser.parse_args(arguments))


def test_a_key_is_read_from_its_file(shell: Shell) -> None:
    """Y-4: it never is an argument."""
    assert key("--key", shell.key(), "--id", "other") == Key(id="other", secret=SECRET.encode())


def test_its_id_is_the_name_of_its_file(shell: Shell) -> None:
    assert key("--key", str(shell.folder / shell.key("web-b.key"))).id == "web-b"


@pytest.mark.parametrize(("name", "mode", "secret", "complaint"), [
    ("a b.key", 0o600, SECRET, "'a b' cannot be a key's id; give it by --id"),
    ("a.key", 0o644, SECRET, "a.key: every user of this machine may read the secret; do: chmod o-rwx a.key"),
    ("a.key", 0o600, "short", "a.key: the secret has 5 characters and needs 32 that are random; make one by: "
                              "bayeux keygen")])
def test_a_key_that_cannot_be_used(shell: Shell, name: str, mode: int, secret: str, complaint: str) -> None:
    with pytest.raises(CommandError) as error:
        key("--key", shell.key(name, secret, mode))
    assert str(error.value) == complaint


def test_a_key_that_is_not_there(shell: Shell) -> None:
    with pytest.raises(CommandError, match=r"^missing.key: No such file or directory$"):
        key("--key", "missing.key")


@pytest.mark.parametrize(("text", "seconds"), [
    ("1", 1), ("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800)])
def test_a_duration(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(("read", "text", "complaint"), [
    *[(duration, text, "is not a duration such as 90s, 15m, 1h or 7d")
      for text in ("", "0", "-1", "1.5h", "1w", "h", "1 h", "1h\n", "9" * 10, "\u0661h")],
    *[(channel, text, "is not a channel such as /news/sport")
      for text in ("", "news", "/news/*", "/meta/x", "/service", "/a/")],
    *[(pattern, text, "is neither a channel nor a pattern such as /news/**")
      for text in ("", "news", "/news/*/x", "/meta/**", "/service")],
    *[(key_id, text, "is not 1 to 64 letters, digits, or characters of _ . -")
      for text in ("", "a b", "a/b")],
    *[(user, text, "is not a name") for text in ("", "a\nb", "\udc80")]])
def test_what_it_cannot_be(read: Callable[[str], object], text: str, complaint: str) -> None:
    with pytest.raises(ArgumentTypeError) as error:
        read(text)
    assert str(error.value) == f"{text!r} {complaint}"


@pytest.mark.parametrize(("read", "text"), [
    (channel, "/news/sport"), (channel, "/service/x"), (pattern, "/**"), (pattern, "/a"),
    (key_id, "web_a.1-x"), (user, "Zo\u00eb M.")])
def test_what_it_can_be(read: Callable[[str], object], text: str) -> None:
    assert read(text) == text
