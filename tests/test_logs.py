"""logs.py: the log as lines of text or JSON, and that no secret is in it."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger, LogLevel, globalLogPublisher
from twisted.python import log as legacy

from bayeux import KeyRule, Policy
from bayeux.journal import Journal
from bayeux.logs import Lines, lines_for
from tests.fakenet import HTTP, Net, listen, post, publish, request, subscribe, upgrade
from tests.test_tokens import SECRET, VECTOR, signed_grant


class Log:
    """What loggers write by ``Lines``."""

    def __init__(self, *arguments: Any) -> None:
        self.output = io.StringIO()
        self.lines = Lines(self.output, *arguments)
        self.ours = Logger("bayeux.hub.Hub", observer=self.lines)
        self.theirs = Logger("twisted.web", observer=self.lines)

    @property
    def text(self) -> str:
        return self.output.getvalue()

    def objects(self) -> list[Any]:
        return [json.loads(line) for line in self.text.splitlines()]


def test_a_line_of_json() -> None:
    log = Log("json")
    log.lines({"log_level": LogLevel.warn, "log_namespace": "bayeux.service.BayeuxService", "event": "cut",
               "log_time": 1_700_000_000.25, "log_format": "{count} streams were open", "count": 2,
               "log_source": object(), "share": 0.5, "who": None, "is_last": True})
    assert log.objects() == [{
        "time": "2023-11-14T22:13:20.250000Z", "level": "warn", "namespace": "bayeux.service.BayeuxService",
        "message": "2 streams were open", "event": "cut", "count": 2, "share": 0.5, "who": None,
        "is_last": True}]


def test_a_whole_second_has_its_fraction_too() -> None:
    """So that lines sort by their text."""
    log = Log("json")
    log.lines({"log_level": LogLevel.info, "log_time": 0.0, "log_format": "x"})
    assert log.objects()[0]["time"] == "1970-01-01T00:00:00.000000Z"


def test_of_what_others_log_there_is_the_message_alone() -> None:
    """What else they have put into it is not ours to show."""
    log = Log("json")
    log.theirs.info("hello {who}", who="you", secret="x")
    assert set(log.objects()[0]) == {"time", "level", "namespace", "message"}
    assert log.objects()[0]["message"] == "hello you"


def test_only_plain_values_become_fields_and_none_takes_the_place_of_another() -> None:
    log = Log("json")
    log.lines({"log_level": LogLevel.info, "log_namespace": "bayeux.hub.Hub", "log_format": "{_how} {thing}",
               "_how": "so", "thing": [1], "level": "x", "message": "y", "time": 1, "namespace": "z"})
    [line] = log.objects()
    assert set(line) == {"time", "level", "namespace", "message"}
    assert (line["level"], line["namespace"], line["message"]) == ("info", "bayeux.hub.Hub", "so [1]")


def test_a_failure_is_one_line_of_json() -> None:
    log = Log("json")
    try:
        raise ValueError("broken")
    except ValueError:
        log.ours.failure("it failed", event="handler_failed")
    [line] = log.objects()
    assert line["level"] == "critical"
    assert line["event"] == "handler_failed"
    assert "ValueError: broken" in line["traceback"]


def test_whatever_is_in_a_message_it_is_one_line_of_plain_ascii() -> None:
    log = Log("json")
    log.ours.info("{text}", text="a\nb\u2028c\x00\ud800é")
    assert len(log.text.splitlines()) == 1
    assert log.text.isascii()
    assert log.objects()[0]["message"] == "a\nb\u2028c\x00\ud800é"


def test_text_is_as_twistd_writes_it() -> None:
    log = Log()
    log.ours.info("hello\nyou")
    assert log.text.endswith(" [bayeux.hub.Hub#info] hello\n\tyou\n")


def test_what_is_below_the_level_is_left_out() -> None:
    log = Log("json", "warn")
    for level in ("debug", "info", "warn", "error", "critical"):
        log.ours.emit(LogLevel.levelWithName(level), level)
    assert [line["message"] for line in log.objects()] == ["warn", "error", "critical"]


def test_the_level_can_be_changed() -> None:
    log = Log("json")
    log.ours.debug("one")
    log.lines.set_level("debug")
    log.ours.debug("two")
    assert [line["message"] for line in log.objects()] == ["two"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_twisteds_old_log_is_in_it_too(log_format: str) -> None:
    log = Log(log_format)
    globalLogPublisher.addObserver(log.lines)
    try:
        legacy.msg("Site starting")
    finally:
        globalLogPublisher.removeObserver(log.lines)
    assert log.text.count("Site starting") == 1


def test_an_event_without_a_message_is_no_line_of_text() -> None:
    log = Log()
    log.lines({"log_time": 0.0})
    assert log.text == ""


# -- twistd's options ---------------------------------------------------------------------------


@pytest.fixture
def rotation() -> Any:
    """Let nobody have asked for SIGUSR1, and leave it so."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


def say(lines: Lines | None) -> None:
    assert lines is not None
    Logger("bayeux.hub", observer=lines).info("hello")


def test_it_goes_to_standard_output_unless_twistd_is_a_daemon(capsys: Any) -> None:
    for logfile in (None, "-"):
        say(lines_for({"nodaemon": True, "logfile": logfile}, "json", "info"))
    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == ["hello"] * 2


@pytest_twisted.ensureDeferred
async def test_it_goes_to_the_file_that_twistd_is_told(tmp_path: Path, rotation: None) -> None:
    """Also where that is the usual one; SIGUSR1 begins another, as always."""
    path = tmp_path / "x.log"
    say(lines_for({"logfile": str(path)}, "json", "info"))
    assert json.loads(path.read_text())["message"] == "hello"
    signal.raise_signal(signal.SIGUSR1)
    await deferLater(reactor, 0, lambda: None)
    assert path.read_text() == ""
    assert json.loads((tmp_path / "x.log.1").read_text())["message"] == "hello"


def test_a_daemon_has_the_usual_file(tmp_path: Path, rotation: None, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    say(lines_for({}, "text", "info"))
    assert "hello" in (tmp_path / "twistd.log").read_text()


def test_who_handles_the_signal_already_keeps_it(tmp_path: Path, rotation: None) -> None:
    def mine(number: int, frame: object) -> None: ...
    signal.signal(signal.SIGUSR1, mine)
    lines_for({"logfile": str(tmp_path / "x.log")}, "json", "info")
    assert signal.getsignal(signal.SIGUSR1) is mine


@pytest.mark.parametrize("twistd", [
    {"logger": "some.observer", "nodaemon": True}, {"syslog": True}, {"logfile": "-"},
])
def test_what_twistd_is_told_otherwise_stands(twistd: dict[str, Any]) -> None:
    assert lines_for(twistd, "text", "info") is None


# -- secrets ------------------------------------------------------------------------------------

COOKIE, PASSWORD, DATA = "c00kie" * 5, "Basic cGFzc3dvcmQ=", "what-alice-says"
KEY = KeyRule(id="web-a", secret=SECRET, publish=("/**",), subscribe=("/private/**",))


class Failing(Policy):
    """Fails wherever it is asked."""

    def can_subscribe(self, *arguments: Any) -> Any:
        raise RuntimeError("the policy is broken")

    def can_publish(self, *arguments: Any) -> Any:
        return Deferred() if arguments[0] is None else self.can_subscribe()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_gets_into_the_log_whatever_fails(log_format: str, logged_errors: list[Any]) -> None:
    """G-33, I-4: tokens, grants, keys, signatures, cookies, passwords, data, whole ids."""
    log = Log(log_format, "debug")
    net = Net(policy=Failing(), key=(KEY,), max_queue=2, max_body=5_000, messages_per_second=20.0,
              messages_burst=30, max_refused=50)
    journal = Journal(net.reactor, 1.0, net.hub.metrics, net.hub.witnesses)
    net.hub.add_listener(journal)
    journal.start()
    globalLogPublisher.addObserver(log.lines)
    try:
        ids = _fail_in_every_way(net)
        journal.tell()
        net.advance(100)
        net.bayeux.reload()
        net.stop()
    finally:
        globalLogPublisher.removeObserver(log.lines)
        journal.stop()
        net.lose()
        logged_errors.clear()
    assert "the policy is broken" in log.text
    assert "messages refused with 401" in log.text
    assert "sessions expired, not heard of in time: 1; the last: session " in log.text
    assert ids[0][:8] in log.text
    for secret in (*ids, SECRET, VECTOR, VECTOR[:20], COOKIE, PASSWORD, DATA, *_parts(signed_grant())):
        assert secret not in log.text


def _parts(grant: dict[str, Any]) -> list[str]:
    return [str(grant["sig"])]


def _fail_in_every_way(net: Net) -> list[str]:
    """Let clients be refused for all sorts of reasons; returns their ids."""
    secret = {"cookie": f"a={COOKIE}", "authorization": PASSWORD}

    def ask(*messages: Any, body: bytes = b"") -> Any:
        http = HTTP(net)
        http.send(request("POST", body=body, **secret) if body else post(*messages, **secret))
        return http.responses()

    ids = [ask({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"],
                "ext": {"token": VECTOR}})[0].messages[0]["clientId"] for _ in range(3)]
    alice = ids[0]
    grant = signed_grant()
    for ext in ({"token": VECTOR[:-3]}, {"token": [VECTOR]}, {"grant": grant}, {"hmac": grant}):
        ask({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["x"], "ext": ext})
        ask({**subscribe(alice, "/private/x"), "ext": ext})
        ask({**publish(alice, DATA, "/private/x"), "ext": ext})
        ask({"channel": "/a", "data": DATA, "ext": ext})
    ask(subscribe(alice, "/nothing"))
    ask(publish(alice, DATA))
    ask({"channel": "/service/token", "clientId": alice, "data": VECTOR[:-4]})
    ask({"channel": f"/meta/{SECRET}", "clientId": alice})
    ask({"channel": f"/bad?{VECTOR}", "clientId": alice, "data": DATA})
    ask({"channel": "/meta/connect", "clientId": "x" + alice, "connectionType": "long-polling"})
    ask(body=f'[{{"token":"{VECTOR}"'.encode())
    ask(body=DATA.encode() * 1_000)
    ask(*[publish(alice, DATA) for _ in range(90)])
    for _ in range(20):
        net.hub.publish("/a", DATA)
    session = net.hub.sessions.get(ids[1])
    assert session is not None
    for _ in range(5):
        session.deliver("/a", DATA)
    other = net.hub.sessions.get(ids[2])
    assert other is not None
    other.disconnect()
    HTTP(net).send(listen(alice, origin="http://evil", **secret))
    HTTP(net).send(upgrade(origin="http://evil", **secret))
    socket = net.open()
    socket.send(upgrade(**secret), b"\xff" * 9)
    return ids


def test_the_log_of_a_process_is_ours_to_see(capsys: Any) -> None:
    """Lines go out as they come: nothing waits in a buffer for the end."""
    class Output(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    output = Output()
    Logger("x", observer=Lines(output)).info("hello")
    assert output.flushed == 1
