"""The publishers in ``demo/publish`` beside the real command, with its configuration; somebody listens."""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Keys

from tests.clients.drivers import DEADLINE, chromium
from tests.ports import free_port
from tests.test_demos import TWISTD, Browser, Server, Watched
from tests.test_publishers import COMMANDS, PAYLOADS, PUBLISH, Site, in_haste

DJANGO_PORT, NOBODYS_PORT = free_port(), free_port()


class Listener:
    """A client that is subscribed to everything, by long-polling."""

    def __init__(self, server: Server) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
        [handshaken] = json.loads(self._ask({"channel": "/meta/handshake", "version": "1.0",
                                             "supportedConnectionTypes": ["long-polling"]}))
        self.client = handshaken["clientId"]
        self._ask({"channel": "/meta/subscribe", "subscription": ["/news/**", "/comments/**"]})
        self._ask(self._connect())

    def _connect(self) -> dict[str, Any]:
        return {"channel": "/meta/connect", "connectionType": "long-polling"}

    def _send(self, message: dict[str, Any]) -> None:
        if message["channel"] != "/meta/handshake":
            message["clientId"] = self.client
        self.connection.request("POST", "/bayeux", json.dumps(message), {"Content-Type": "application/json"})

    def _ask(self, message: dict[str, Any]) -> str:
        self._send(message)
        return self.connection.getresponse().read().decode()

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """Hold a connect meanwhile; in the end there is what it was answered."""
        heard: list[str] = []
        self._send(self._connect())
        yield heard
        heard.append(self.connection.getresponse().read().decode())

    def so_far(self) -> list[Any]:
        """The data of all events that have come and are not yet known."""
        answer = self._ask({**self._connect(), "advice": {"timeout": 0}})
        return [message["data"] for message in json.loads(answer) if "data" in message]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The command with the configuration that stands beside the publishers, and a key made for it."""
    folder = tmp_path_factory.mktemp("live")
    shutil.copy(PUBLISH / "bayeux.toml", folder)
    subprocess.run([sys.executable, "-m", "bayeux", "keygen", "web-a.key"], cwd=folder, check=True,
                   capture_output=True)
    server = Server(folder / "log", TWISTD, "-n", "--pidfile=", "bayeux", "--config", "bayeux.toml",
                    "--set", "max_interval=3600",  # a publisher may take its time
                    "--allow-origin", f"http://127.0.0.1:{DJANGO_PORT}", "--listen")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def site(server: Server) -> Site:
    return Site(server.log.parent / "web-a.key", f"{server.origin}/bayeux")


@pytest.fixture
def listener(server: Server) -> Iterator[Listener]:
    listener = Listener(server)
    with closing(listener.connection):
        yield listener


@pytest.fixture(params=COMMANDS.values(), ids=COMMANDS)
def publisher(request: pytest.FixtureRequest) -> list[str]:
    return request.param


EVERYTHING = "[" + ",".join(payload for name, payload in PAYLOADS.items() if name != "60 KB") + "]"


@pytest.mark.parametrize("payload", [EVERYTHING, PAYLOADS["60 KB"]], ids=["everything", "60 KB"])
def test_a_payload_is_heard_as_it_was_written(publisher: list[str], payload: str, listener: Listener,
                                              site: Site) -> None:
    """Y-1: a string is signed, the JSON in it is heard, and nothing of the signature is (D-4)."""
    with listener.listening() as heard:
        assert site.run(publisher, "/news/sport", payload).stderr == ""
    assert f'{{"channel":"/news/sport","data":{payload}}}' in heard[0]
    assert "hmac" not in heard[0]


def test_what_is_heard_is_heard_once_though_its_answer_was_lost(
        publisher: list[str], tmp_path: Path, server: Server, listener: Listener, site: Site) -> None:
    """Y-9."""
    lost: list[bytes] = []

    class Relay(BaseHTTPRequestHandler):
        """Passes requests on, and keeps the first answer to itself."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            _, _, answer = server.get("/bayeux", body)
            if not lost:
                lost.append(answer)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as relay:
        threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.01}).start()
        site.environment["BAYEUX_URL"] = f"http://127.0.0.1:{relay.server_port}/bayeux"
        done = site.run(in_haste(publisher, tmp_path), "/news/sport", '{"once":true}')
        relay.shutdown()
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(lost[0])[0]["successful"] is True
    assert listener.so_far() == [{"once": True}]


@pytest.mark.parametrize(("channel", "payload", "environment", "error"), [
    ("/chat/loom", "{}", {}, "403:/chat/loom:Publish denied"),
    ("/news/*", "{}", {}, "405:/news/*:Invalid channel"),
    ("/news/sport", "{} {}", {}, "400::Malformed message"),
    ("/news/sport", "text", {}, "400::Malformed message"),
    ("/news/sport", "{}", {"BAYEUX_KEY_ID": "web-b"}, "401::Invalid signature"),
    ("/news/sport", "{}", {"BAYEUX_KEY_ID": "web a"}, "401::Signature malformed"),
    ("/news/sport", json.dumps("x" * 65_536), {}, "413::Message too large"),
], ids=str)
def test_every_refusal_is_told(publisher: list[str], channel: str, payload: str, environment: dict[str, str],
                               error: str, listener: Listener, site: Site) -> None:
    site.environment.update(environment)
    done = site.run(publisher, channel, payload)
    assert done.returncode == 1
    assert done.stderr.endswith(f"the server refuses: {error}\n")
    assert listener.so_far() == []


def test_nobody_else_can_publish_there(server: Server, listener: Listener) -> None:
    """Y-11: neither without a session nor with one."""
    for client in ({}, {"clientId": listener.client}):
        message = {"channel": "/news/sport", "data": 1, **client}
        _, _, answer = server.get("/bayeux", json.dumps(message).encode())
        [reply] = json.loads(answer)
        assert (reply["successful"], reply["error"]) == (False, "401::Signature required")
    assert listener.so_far() == []


class Django(Server):
    """The guest book."""

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        super().__init__(log)
        self.port = DJANGO_PORT
        self.environment = environment
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(cookies)

    def start(self) -> None:
        self.run([sys.executable, str(PUBLISH / "django_view.py"), f"127.0.0.1:{self.port}"],
                 env=self.environment)

    def write(self, name: str, text: str) -> str:
        """Fill in the form and send it; the value is the page that comes then."""
        page = self.opener.open(f"{self.origin}/").read().decode()
        token = re.search('name="csrfmiddlewaretoken" value="(.+?)"', page)[1]
        form = urllib.parse.urlencode({"csrfmiddlewaretoken": token, "name": name, "text": text})
        return self.opener.open(f"{self.origin}/", form.encode()).read().decode()


@pytest.fixture
def guest_book(tmp_path: Path, site: Site) -> Iterator[Callable[..., Django]]:
    started: list[Django] = []

    def guest_book(**environment: str) -> Django:
        book = Django(tmp_path / "django.log", {**site.environment, "PYTHONUNBUFFERED": "1", **environment})
        started.append(book)
        book.start()
        return book

    yield guest_book
    for book in started:
        book.stop()


HURT = '<img src=x onerror=hurt=1> </script> "quoted" \\ Zoë \u2028 🧵'


def test_a_comment_of_the_django_site_appears_on_open_pages(
        guest_book: Callable[..., Django], listener: Listener) -> None:
    book = guest_book()
    with chromium() as driver:
        page = Watched(Browser(driver), book.origin)
        page.subscribed("/comments/guestbook")
        with listener.listening() as heard:
            assert "<b>Ann</b>" in book.write("Ann", HURT)
        [comment] = [message["data"] for message in json.loads(heard[0]) if "data" in message]
        assert comment == {"id": 1, "name": "Ann", "text": HURT}
        lines = "return [...document.querySelectorAll('li')].map((line) => line.textContent)"
        page.shows([f"Ann {HURT}"], lines)
        page.element("#id_name").send_keys("Bo")
        page.element("#id_text").send_keys("I see it.", Keys.ENTER)
        page.shows([f"Ann {HURT}", "Bo I see it."], lines)
        assert page.run("return window.hurt ?? document.querySelectorAll('li img').length") == 0
        assert page.browser.console() == []
        page.picture("guest-book")


def test_a_comment_is_saved_though_nobody_can_be_told(guest_book: Callable[..., Django]) -> None:
    book = guest_book(BAYEUX_URL=f"http://127.0.0.1:{NOBODYS_PORT}/bayeux")
    assert "Is anybody there?" in book.write("Ann", "Is anybody there?")
    assert "comment 1 is not published: no reply from http://127.0.0.1:" in book.log.read_text()


def test_a_comment_that_is_too_long_is_neither_saved_nor_told(
        guest_book: Callable[..., Django], listener: Listener) -> None:
    page = guest_book().write("Ann", "x" * 1001)
    assert "at most 1000 characters" in page
    assert "<li data-id" not in page
    assert listener.so_far() == []
