"""cli/token.py: a token for a handshake (Y-15)."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

from tests.cli import SECRET, Shell


def claims(shell: Shell, *arguments: str) -> Any:
    """Make a token; returns what it claims."""
    token = shell.output("token", "--key", shell.key(), "--user", "alice", *arguments)
    assert token.endswith("\n")
    assert jwt.get_unverified_header(token.strip()) == {"alg": "HS256", "typ": "JWT", "kid": "web-a"}
    return jwt.decode(token.strip(), SECRET, algorithms=["HS256"])


def test_a_token_is_made(shell: Shell) -> None:
    before = int(time.time())
    made = claims(shell, "--subscribe", "/private/alice/**", "/news/*", "--publish", "/private/alice/inbox",
                  "--subscribe", "/x", "--expires", "15m")
    assert made.pop("jti")
    assert before <= made["iat"] <= time.time()
    assert made == {"sub": "alice", "iat": made["iat"], "exp": made["iat"] + 900,
                    "ch": {"s": ["/private/alice/**", "/news/*", "/x"], "p": ["/private/alice/inbox"]}}


def test_by_default_it_is_good_for_an_hour_and_for_nothing(shell: Shell) -> None:
    made = claims(shell)
    assert made["exp"] - made["iat"] == 3600
    assert made["ch"] == {"s": [], "p": []}


def test_the_patterns_of_one_are_not_those_of_the_next(shell: Shell) -> None:
    claims(shell, "--subscribe", "/a")
    assert claims(shell, "--subscribe", "/b")["ch"]["s"] == ["/b"]


def test_a_key_that_is_not_there(shell: Shell) -> None:
    assert shell.complaint("token", "--key", "missing.key", "--user", "alice") == (
        "missing.key: No such file or directory")


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["--user", "alice"], "the following arguments are required: --key"),
    (["--key", "a.key"], "the following arguments are required: --user"),
    (["--key", "a.key", "--user", ""], "argument --user: '' is not a name"),
    (["--key", "a.key", "--user", "a", "--expires", "soon"], "argument --expires: 'soon' is not a duration"),
    (["--key", "a.key", "--user", "a", "--publish", "x"], "argument --publish: 'x' is neither a channel nor"),
    (["--key", "a.key", "--user", "a", "more"], "unrecognized arguments: more")])
def test_what_cannot_be_meant(shell: Shell, arguments: list[str], complaint: str) -> None:
    assert shell.misuse("token", *arguments).startswith(complaint)
