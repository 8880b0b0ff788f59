"""cli/subscribe.py and cli/running.py: events by the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from bayeux.cli import CommandError
from bayeux.cli import subscribe as command
from bayeux.cli.subscribe import Listener
from bayeux.client import Change, Event, State
from bayeux.session import Session
from tests.cli import Shell
from tests.live import Guarded, Live, Turns, condition
from tests.peers import ensure, within


def start(*arguments: str, reactor: Any = reactor) -> Deferred[None]:
    """Do what the command does, in this process's reactor."""
    parser = ArgumentParser()
    command.add_arguments(parser)
    return Deferred.fromCoroutine(command.subscribe(reactor, parser.parse_args(arguments)))


def sessions(live: Live) -> list[Session]:
    return [session for session in live.hub.sessions._by_id.values() if session.subscriptions]


@ensure
async def test_each_event_is_a_line_of_json(live: Live, capsys: pytest.CaptureFixture[str]) -> None:
    live.serve()
    done = start("--count", "2", live.url, "/news/*", "/news/a")
    await condition(lambda: sessions(live) and len(sessions(live)[0].subscriptions) == 2)
    for data in ({"x": "\u00e9\n"}, 2, 3):
        live.hub.publish("/news/a", data)
    await within(done)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"channel": "/news/a", "data": {"x": "\u00e9\n"}}, {"channel": "/news/a", "data": 2}]
    assert len(live.hub.sessions) == 0


@ensure
async def test_time_may_be_up(live: Live) -> None:
    live.serve()
    with Turns() as turns:
        await within(start("--timeout", "1", live.url, "/a", reactor=turns))
        with pytest.raises(CommandError, match="0 of 3 events came within 1 s"):
            await within(start("--timeout", "1", "--count", "3", live.url, "/a", reactor=turns))


@ensure
async def test_a_refused_subscription_is_told(live: Live) -> None:
    live.serve(Guarded())
    with pytest.raises(CommandError, match="403:/secret/a:Subscription denied"):
        await within(start("--token", "monday", live.url, "/secret/a", "/b"))


@ensure
async def test_a_server_that_is_not_there_is_told() -> None:
    with Turns() as turns, pytest.raises(CommandError, match="cannot be reached"):
        await within(start("--connect-timeout", "1", "http://127.0.0.1:1/", "/a", reactor=turns))


@ensure
async def test_a_server_that_does_not_want_us_any_more_is_told(live: Live) -> None:
    live.serve()
    done = start(live.url, "/a")
    await condition(lambda: sessions(live))
    sessions(live)[0].disconnect()
    with pytest.raises(CommandError, match="refuses to go on"):
        await within(done)


@ensure
async def test_an_interrupted_process_says_goodbye_and_ends_with_130(live: Live) -> None:
    live.serve()
    process = subprocess.Popen([sys.executable, "-m", "bayeux", "subscribe", live.url, "/a"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        await condition(lambda: sessions(live))
        process.send_signal(signal.SIGINT)
        output, errors = await within(deferToThread(process.communicate))
        assert (process.returncode, output, errors) == (130, "", "")
        assert len(live.hub.sessions) == 0
    finally:
        process.kill()
        process.wait()


@ensure
async def test_a_reader_that_has_seen_enough_ends_it(live: Live) -> None:
    live.serve()
    process = subprocess.Popen([sys.executable, "-m", "bayeux", "subscribe", live.url, "/a"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        await condition(lambda: sessions(live))
        process.stdout.close()
        live.hub.publish("/a", 1)
        errors = await within(deferToThread(process.stderr.read))
        assert (process.wait(), errors) == (1, "")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_lost_connection_is_told_on_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    listener = Listener(None)
    listener.changed(Change(State.RECONNECTING, State.CONNECTED, OSError("cut")))
    listener.changed(Change(State.CONNECTED, State.RECONNECTING))
    assert capsys.readouterr().err == "bayeux subscribe: cut; trying again\n"
    assert not listener.finished.called


def test_enough_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    listener = Listener(1)
    for number in range(2):
        listener.take(Event("/a", number, {}))
    listener.finish(OSError("too late"))
    assert capsys.readouterr().out == '{"channel":"/a","data":0}\n'
    assert listener.finished.called


@pytest.mark.parametrize(("arguments", "complaint"), [
    (("http://x/", "/a/*/b"), "neither a channel nor a pattern"), (("http://x/",), "PATTERN"),
    (("--count", "0", "http://x/", "/a"), "not a number of events"),
    (("--count", "\u0663", "http://x/", "/a"), "not a number of events"),
])
def test_what_cannot_be_meant(shell: Shell, arguments: tuple[Any, ...], complaint: str) -> None:
    assert complaint in shell.misuse("subscribe", *arguments)
