"""cli/sign.py: a signed publish, ready to be posted (21.2)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bayeux.keys import Key
from bayeux.signatures import sign_json
from tests.cli import SECRET, Shell
from tests.client import World

KEY = Key(id="web-a", secret=SECRET.encode(), publish=("/news/**",))


def signed(shell: Shell, *arguments: str, stdin: bytes = b"") -> Any:
    output = shell.output("sign", "--key", shell.key(), *arguments, stdin=stdin)
    assert output.count("\n") == 1
    [message] = json.loads(output)
    return message


def test_a_message_is_signed(shell: Shell) -> None:
    message = signed(shell, "--id", "web-x", "/news/sport", '{"score": "1:0"}')
    seal = message["ext"]["hmac"]
    assert message == sign_json(Key(id="web-x", secret=SECRET.encode()), "/news/sport", '{"score": "1:0"}',
                                timestamp=seal["ts"], nonce=seal["nonce"])


def test_the_server_takes_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    message = signed(shell, "/news/sport", '"Zo\u00eb"')
    monkeypatch.setattr(World, "START", float(message["ext"]["hmac"]["ts"]))
    world = World()
    world.hub.keys.replace([KEY])
    assert world.ask(message)[0]["successful"] is True


@pytest.mark.parametrize("arguments", [[], ["-"]])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_data_may_come_by_the_standard_input(shell: Shell, arguments: list[str], end: bytes) -> None:
    """21.3: without the line end of ``echo``."""
    data = '{"n": "\u00eb"}'
    assert signed(shell, "/news", *arguments, stdin=data.encode() + end)["data"] == data


@pytest.mark.parametrize("data", ["-5", "null", "1.10", r'"\ud800"', "[1, 2]"])
def test_the_data_stays_as_it_is(shell: Shell, data: str) -> None:
    """Section 25: numbers and escapes untouched."""
    assert signed(shell, "/news", data)["data"] == data


@pytest.mark.parametrize("data", ["text", "", "{", "NaN", "1 2", "\ufeff1", '"\udc80"'])
def test_what_is_not_json_is_not_signed(shell: Shell, data: str) -> None:
    assert shell.complaint("sign", "--key", shell.key(), "/news", data) == (
        "the data is not JSON; a text needs its double quotes: '\"text\"'")


def test_what_is_not_utf8_is_not_signed(shell: Shell) -> None:
    assert shell.complaint("sign", "--key", shell.key(), "/news", stdin=b'"\xff"') == "the data is not UTF-8"


def test_a_key_that_is_not_there(shell: Shell) -> None:
    assert shell.complaint("sign", "--key", "missing.key", "/news", "1") == (
        "missing.key: No such file or directory")


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["/news", "1"], "the following arguments are required: --key"),
    (["--key", "a.key"], "the following arguments are required: CHANNEL"),
    (["--key", "a.key", "/news/*", "1"], "argument CHANNEL: '/news/*' is not a channel such as /news/sport"),
    (["--key", "a.key", "--id", "a b", "/news", "1"], "argument --id: 'a b' is not 1 to 64 letters")])
def test_what_cannot_be_meant(shell: Shell, arguments: list[str], complaint: str) -> None:
    assert shell.misuse("sign", *arguments).startswith(complaint)
