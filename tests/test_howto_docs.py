"""What stands in the how-tos and topics can be used as it stands."""

from __future__ import annotations

import ast
import json
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from bayeux import BayeuxService, Link, Settings
from bayeux.messages import decode
from tests.test_tutorial_chat import Reader
from tests.test_tutorials import DOCS, blocks

PAGES = sorted([*(DOCS / "howto").glob("*.rst"), *(DOCS / "topics").glob("*.rst")])
EMBED = DOCS / "howto" / "embed.rst"
HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}


def written_in(language: str) -> list[Any]:
    return [pytest.param(block, id=f"{page.stem}-{number}")
            for page in PAGES for number, block in enumerate(blocks(page, language))]


@pytest.mark.parametrize("program", written_in("python"))
def test_python_can_be_read(program: str) -> None:
    ast.parse(program)


@pytest.mark.parametrize("file", written_in("toml"))
def test_settings_are_settings(file: str) -> None:
    Settings.of(tomllib.loads(file))


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path, EMBED)
    yield reader
    reader.close()


def test_the_application_runs(reader: Reader) -> None:
    application, *_ = reader.read("python")
    reader.write("app.py", application)
    (reader.folder / "public").mkdir()
    reader.write("public/hello.txt", "hello")
    reader.start("twistd -ny app.py", "8080")
    address = f"http://127.0.0.1:{reader.ports['8080']}"
    with urllib.request.urlopen(f"{address}/hello.txt") as answer:
        assert answer.read() == b"hello"
    request = urllib.request.Request(f"{address}/bayeux", json.dumps([HANDSHAKE]).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        [reply] = json.load(answer)
    assert reply["successful"] is True
    assert reply["advice"]["timeout"] == 25_000


class Application:
    """The blocks of the page, run one after the other in an application that is there already."""

    def __init__(self, user: str | None = "ann") -> None:
        clock = Clock()
        self.names: dict[str, Any] = {"bayeux": BayeuxService(clock=clock), "clock": clock,
                                      "user_of": lambda cookie: user}
        self.said: list[str] = []
        self.names["print"] = lambda *words: self.said.append(" ".join(map(str, words)))

    def run(self, beginning: str) -> None:
        [block] = [block for block in blocks(EMBED, "python") if beginning in block]
        exec(block.replace("BayeuxService(", "BayeuxService(clock=clock, "), self.names)

    def ask(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        hub = self.names["bayeux"].hub
        messages = decode(json.dumps(message).encode(), hub.settings)
        exchange = hub.receive(messages, Link("long-polling", "::1"))
        return [json.loads(answer) for answer in exchange.drain()]


def test_the_application_publishes_listens_and_answers() -> None:
    application = Application()
    application.run('bayeux.hub.publish("/orders/eu"')
    session = application.ask(HANDSHAKE)[0]["clientId"]
    _, answer = application.ask({"channel": "/service/add", "clientId": session, "data": [1, 2]})
    assert answer == {"channel": "/service/add", "data": 3}
    application.ask({"channel": "/chat/lobby", "clientId": session, "data": "hello"})
    assert application.said == ["/chat/lobby hello"]


def test_members_hear_what_is_their_own() -> None:
    application = Application()
    application.run("class Members")
    session = application.ask(HANDSHAKE)[0]["clientId"]
    for channel, allowed in (("/users/ann", True), ("/users/bob", False), ("/users/*", False)):
        subscribe = {"channel": "/meta/subscribe", "clientId": session, "subscription": channel}
        assert application.ask(subscribe)[0]["successful"] is allowed


def test_who_is_no_member_stays_outside() -> None:
    application = Application(user=None)
    application.run("class Members")
    assert application.ask(HANDSHAKE)[0]["error"] == "403::Handshake denied"


def test_the_doorbell_rings() -> None:
    application = Application()
    application.run("class Doorbell")
    session = application.ask(HANDSHAKE)[0]["clientId"]
    application.ask({"channel": "/meta/disconnect", "clientId": session})
    assert application.said == ["somebody came from ::1", "somebody left: disconnect"]
