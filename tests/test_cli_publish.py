"""cli/publish.py and cli/running.py: a message by the command line."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from bayeux.cli import CommandError
from bayeux.cli import publish as command
from bayeux.keys import Key
from bayeux.rules import ChannelRule, KeyRule
from bayeux.signatures import sign_json
from tests.cli import SECRET, Shell, in_process
from tests.live import Guarded, Live, Turns
from tests.peers import Peer, ensure, within


def parsed(*arguments: str) -> Namespace:
    parser = ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


async def publish(*arguments: str, **options: Any) -> None:
    """Do what the command does, in this process's reactor."""
    chosen = parsed(*arguments)
    message = options.get("message")
    await within(Deferred.fromCoroutine(
        command.publish(options.get("reactor", reactor), chosen, chosen.data, message)))


@ensure
async def test_a_message_is_published(live: Live) -> None:
    got: list[Any] = []
    live.serve()
    live.hub.subscribe("/news/*", lambda channel, data: got.append((channel, data)))
    await publish(live.url, "/news/a", '{"x":1}')
    assert got == [("/news/a", {"x": 1})]
    assert len(live.hub.sessions) == 0


@ensure
async def test_by_a_process_of_its_own_it_ends_with_0_and_says_nothing(live: Live) -> None:
    got: list[Any] = []
    live.serve()
    live.hub.subscribe("/news/*", lambda channel, data: got.append(data))
    done = await in_process("publish", live.url, "/news/a", stdin='["from stdin"]\n')
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert got == [["from stdin"]]


@ensure
async def test_a_refusal_is_one_line_and_status_1(live: Live) -> None:
    live.serve(channel=(ChannelRule(pattern="/news/**", publish="nobody"),))
    done = await in_process("publish", live.url, "/news/a", "1")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("bayeux publish: the server refuses to publish to /news/a: 403:")


@ensure
async def test_with_a_key_no_session_is_needed(live: Live, shell: Shell) -> None:
    got: list[Any] = []
    live.serve(Guarded(), key=(KeyRule(id="web-a", secret=SECRET, publish=("/news/**",)),),
                channel=(ChannelRule(pattern="/news/**", publish="signed"),))
    live.hub.subscribe("/news/*", lambda channel, data: got.append(data))
    key = str(shell.folder / shell.key())
    done = await in_process("publish", "--key", key, live.url, "/news/a", '"signed"')
    assert (done.returncode, done.stderr, got) == (0, "", ["signed"])
    done = await in_process("publish", "--key", key, "--id", "other", live.url, "/news/a", '"signed"')
    assert done.returncode == 1 and "401::Invalid signature" in done.stderr


@ensure
async def test_what_is_wrong_with_a_signature_is_told(live: Live) -> None:
    live.serve()
    message = sign_json(Key(id="nobody", secret=SECRET.encode()), "/a", "1")
    with pytest.raises(CommandError, match="401::Invalid signature"):
        await publish(live.url, "/a", "1", message=message)


@ensure
async def test_a_token_goes_with_the_handshake(live: Live, shell: Shell) -> None:
    live.serve(Guarded())
    with pytest.raises(CommandError, match="403::Handshake denied"):
        await publish(live.url, "/a", "1")
    await publish("--token", "monday", live.url, "/a", "1")
    (shell.folder / "token").write_text("monday\n")
    await publish("--token", f"@{shell.folder}/token", live.url, "/a", "1")
    with pytest.raises(CommandError, match="No such file"):
        await publish("--token", "@/nowhere", live.url, "/a", "1")


@ensure
async def test_a_server_that_is_not_there_is_told() -> None:
    told = "not connected within 1 s: the server cannot be reached"
    with Turns() as turns, pytest.raises(CommandError, match=told):
        await publish("--timeout", "1", "http://127.0.0.1:1/", "/a", "1", reactor=turns)


@ensure
async def test_a_server_that_takes_the_message_and_says_nothing_leaves_it_open() -> None:
    peer = await Peer().listen()
    with Turns() as turns:
        publishing = Deferred.fromCoroutine(publish("--timeout", "1", peer.url, "/a", "1", reactor=turns))
        connection, _ = await within(peer.upgrades.get())
        connection.answer(b"", status="404 No")
        for answer in (b'[{"channel":"/meta/handshake","id":"1","successful":true,"clientId":"C"}]',
                       b'[{"channel":"/meta/connect","id":"2","successful":true}]'):
            connection, _, _ = await within(peer.requests.get())
            connection.answer(answer)
        for _ in range(2):
            await within(peer.requests.get())
        body = b""
        while b"disconnect" not in body:
            connection, _, body = await within(peer.requests.get())
        connection.answer(b'[{"channel":"/meta/disconnect","id":"5","successful":true}]')
        with pytest.raises(CommandError, match="may have arrived"):
            await within(publishing)
    await peer.close()


@pytest.mark.parametrize(("arguments", "complaint"), [
    (("ftp://x", "/a", "1"), "ftp://x"), (("http://x/", "a", "1"), "'a' is not a channel"),
    (("http://x/", "/a/*", "1"), "is not a channel"), (("--timeout", "x", "http://x/", "/a"),
                                                       "not a duration"),
])
def test_what_cannot_be_meant(shell: Shell, arguments: tuple[str, ...], complaint: str) -> None:
    assert complaint in shell.misuse("publish", *arguments)


def test_what_is_no_json(shell: Shell) -> None:
    assert "not JSON" in shell.complaint("publish", "http://x/", "/a", "{x")
