"""load/signer.py: a load on a server that takes nothing but what is signed."""

from __future__ import annotations

import json
import re

import pytest_twisted

from bayeux.load.signer import Signer
from bayeux.rules import ChannelRule, KeyRule
from bayeux.signatures import digest, publish_text
from tests.cli import SECRET, Shell, in_process
from tests.live import Live

SIGNED = {"channel": (ChannelRule(pattern="/load/**", publish="signed"),),
          "key": (KeyRule(id="web-a", secret=SECRET, publish=("/load/**",)),)}


def test_it_signs_the_data_as_it_is() -> None:
    """Y-1 to Y-3."""
    [message] = json.loads(Signer("web-a", SECRET.encode()).publish("abc", "/load/a", '{"m":"x"}', "n" * 16))
    seal = message["ext"].pop("hmac")
    assert message == {"channel": "/load/a", "clientId": "abc", "data": '{"m":"x"}', "id": "4", "ext": {}}
    text = publish_text("web-a", seal["ts"], "n" * 16, "/load/a", '{"m":"x"}')
    assert seal == {"v": 1, "kid": "web-a", "ts": seal["ts"], "nonce": "n" * 16,
                    "sig": digest(SECRET.encode(), text).hex()}


@pytest_twisted.ensureDeferred
async def test_a_load_is_signed(live: Live, shell: Shell) -> None:
    live.serve(**SIGNED)
    key = str(shell.folder / shell.key())
    done = await in_process("load", live.url, "--clients", "4", "--channels", "2", "--transport", "mixed",
                            "--rate", "20", "--duration", "1", "--warmup", "0", "--key", key)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^delivered +40 of 40 expected", done.stdout, re.MULTILINE)
    assert live.hub.metrics.signed == 22, "the two that went first are signed too"


@pytest_twisted.ensureDeferred
async def test_what_is_missing_is_told(live: Live, shell: Shell) -> None:
    live.serve(**SIGNED)
    done = await in_process("load", live.url, "--clients", "1")
    assert done.returncode == 2
    assert "401 Signature required (this server takes signed messages only: --key signs them)" in done.stderr
    key = str(shell.folder / shell.key())
    done = await in_process("load", live.url, "--clients", "1", "--key", key, "--id", "other")
    assert done.returncode == 2
    assert "401 Invalid signature (is this the server's key, and has it that --id?)" in done.stderr
