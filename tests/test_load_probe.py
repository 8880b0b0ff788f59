"""load/probe.py: what cannot work is told at once."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import ClassVar

import pytest

from bayeux.load import LoadError
from bayeux.load import probe as module
from bayeux.load.loop import Loop
from bayeux.load.probe import Probe
from bayeux.load.target import Target
from tests.loading import FakeStream, Server
from tests.ports import free_port


def probe(url: str, kind: str = "long-polling", publish: bool = True, patience: float = 30.0,
          ext: str = "") -> None:
    Probe(Target.of(url), kind, "/load", ext, publish).run(patience)


def complaint(server: Server) -> str:
    with server.listening() as url, pytest.raises(LoadError) as raised:
        probe(url)
    told = str(raised.value)
    assert told.startswith(f"{url}, long-polling: ")
    return told.removeprefix(f"{url}, long-polling: ")


@pytest.mark.parametrize("publish", [True, False])
def test_it_shakes_hands_subscribes_publishes_and_goes(publish: bool) -> None:
    server = Server()
    with server.listening() as url:
        probe(url, publish=publish)
        with server.changed:
            assert server.changed.wait_for(lambda: server.asked["/meta/disconnect"], 30)
    [published] = [name for name in server.asked if name.startswith("/load/bxl-")] if publish else [""]
    assert server.asked[published] == publish
    assert (server.asked["/meta/handshake"], server.asked["/meta/subscribe"]) == (1, 1)
    assert "A=1" in server.cookies


@pytest.mark.parametrize(("channel", "told"), [
    ("/meta/handshake", "handshake: 403 Denied"), ("/meta/subscribe", "subscribe: 403 Denied")])
def test_a_refusal_is_told(channel: str, told: str) -> None:
    assert complaint(Server(refuse={channel: {"error": "403::Denied"}})) == told


class Refusing(Server):
    """Refuses every publish."""

    def _answer(self, message):  # type: ignore[no-untyped-def]  # as the parent's
        if message["channel"].startswith("/load/"):
            return [{"channel": message["channel"], "successful": False,
                     "error": "403:/load/x:Publish denied"}]
        return super()._answer(message)


def test_a_refused_publish_is_told_with_what_to_look_at() -> None:
    assert complaint(Refusing()) == (
        "publish: 403 Publish denied (this server does not let such clients publish: see --token, --ext, "
        "--header, --prefix)")


def test_a_server_that_wants_no_clients_is_told() -> None:
    refusal = {"error": "403::Denied", "advice": {"reconnect": "none"}}
    assert complaint(Server(refuse={"/meta/handshake": refusal})) == "handshake: 403 Denied"


def test_a_server_that_wants_a_token_is_told_with_where_to_get_one() -> None:
    refusal = {"error": "401::Token required", "advice": {"reconnect": "none"}}
    assert complaint(Server(refuse={"/meta/handshake": refusal})) == (
        "handshake: 401 Token required (bayeux token makes one, for --token)")


class Answering(FakeStream):
    """A WebSocket to a server that takes everything."""

    asked: ClassVar[list[str]] = []

    def post(self, text: str) -> None:
        [message] = json.loads(text)
        self.asked.append(message["channel"])
        reply = {"channel": message["channel"], "successful": True, "clientId": "c"}
        self.place.loop.after(0, lambda: self.answer(reply))


def test_by_websocket_one_connection_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Probe, "CARRIERS", {"websocket": Answering})
    probe("http://127.0.0.1:1/", "websocket")
    handshake, subscribe, publish, disconnect = Answering.asked
    assert (handshake, subscribe, disconnect) == ("/meta/handshake", "/meta/subscribe", "/meta/disconnect")
    assert publish.startswith("/load/bxl-")


def test_a_server_at_another_path_is_told() -> None:
    assert complaint(Server(status=404)) == (
        "handshake: HTTP 404 (does the URL have the path at which Bayeux is served?)")


def test_a_server_that_is_not_there_is_told() -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(LoadError, match=r"connection refused \(is the server running\?\)"):
        probe(url)


def test_a_server_without_websocket_is_told() -> None:
    told = r"websocket: handshake: no WebSocket: HTTP 400 \(does this server have WebSocket"
    with Server().listening() as url, pytest.raises(LoadError, match=told):
        probe(url, "websocket")


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(silent: str) -> None:
    with pytest.raises(LoadError, match=r"handshake: no answer within 0\.05 s"):
        probe(silent, patience=0.05)


class Forgetful(Server):
    """Never answers a publish with a reply to it."""

    def __init__(self, answers: object) -> None:
        super().__init__()
        self.answers = answers

    def _answer(self, message):  # type: ignore[no-untyped-def]  # as the parent's
        if message["channel"].startswith("/load/"):
            return [self.answers]
        return super()._answer(message)


def test_a_publish_that_is_not_answered_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours pass as soon as it has been asked for."""
    passed = 0

    class Late(Forgetful):
        def _answer(self, message):  # type: ignore[no-untyped-def]  # as the parent's
            nonlocal passed
            passed += 7200 * message["channel"].startswith("/load/")
            return super()._answer(message)

    monkeypatch.setattr(module, "Loop", lambda: Loop(lambda: time.monotonic_ns() + passed * 10**9))
    with (Late({"channel": "/x", "data": 1}).listening() as url,
          pytest.raises(LoadError, match=r"publish: no answer within 3600 s")):
        probe(url, patience=3600)


def test_an_answer_to_a_publish_that_is_no_bayeux_is_told() -> None:
    assert complaint(Forgetful("oops")) == "publish: not Bayeux: '[\"oops\"]'"


def test_a_connection_that_is_lost_while_it_publishes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaking(Server):
        def _answer(self, message):  # type: ignore[no-untyped-def]  # as the parent's
            if message["channel"].startswith("/load/"):
                raise ConnectionError
            return super()._answer(message)

    assert complaint(Breaking()) == "publish: connection closed"


def test_the_ext_of_the_handshake_is_that_of_the_clients() -> None:
    seen = []

    class Noting(Server):
        def _answer(self, message):  # type: ignore[no-untyped-def]  # as the parent's
            seen.append(message.get("ext"))
            return super()._answer(message)

    with Noting().listening() as url:
        probe(url, ext='{"token":"t"}')
    assert seen[0] == {"token": "t"}
