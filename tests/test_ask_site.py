"""The site in ``demo/ask_site`` beside the real command: its users, a program with cookies, two browsers.

Pictures of its pages, as ``tests/test_demos.py`` makes them::

    DEMO_SCREENSHOTS=/tmp/pictures pytest tests/test_ask_site.py
"""

from __future__ import annotations

import hashlib
import hmac
import http.cookiejar
import json
import os
import re
import shutil
import stat
import sys
import time
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Keys

from tests.clients.drivers import DEADLINE, chromium, until
from tests.test_demos import DEMO, TWISTD, Browser, Server, Watched

FOLDER = DEMO / "ask_site"
PASSWORDS = {"ann": "wool", "bo": "silk"}


class Flask(Server):
    """The site, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "site.log")
        self.live_port = 0
        """Is set by whoever knows it."""

    def start(self) -> None:
        if self.process is None:
            self.run([sys.executable, "-m", "flask", "--app", "app.py", "run", "--port", str(self.port)],
                     env={**os.environ, "LIVE_PORT": str(self.live_port), "PYTHONUNBUFFERED": "1"})


class Both:
    """The site and the Bayeux server beside it, from a copy of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "mine"
        shutil.copytree(FOLDER, self.folder, ignore=shutil.ignore_patterns("__pycache__", "secret.key"))
        self.site = Flask(self.folder)
        self.live = Server(
            self.folder / "live.log", TWISTD, "-n", "--pidfile=", "bayeux", "--config", "bayeux.toml",
            "--set", f"authorize_url={self.site.origin}/bayeux/authorize", "--set", "authorize_cache=0",
            "--allow-origin", self.site.origin, "--set", "max_interval=3600", "--listen")
        self.site.live_port = self.live.port
        self.url = f"{self.live.origin}/bayeux"

    def start(self) -> None:
        self.site.start()
        self.live.start()

    def stop(self) -> None:
        try:
            self.live.stop()
        finally:
            self.site.stop()

    def questions(self) -> int:
        """How many have been asked so far."""
        return self.site.log.read_text().count("POST /bayeux/authorize")


@pytest.fixture(scope="module")
def the_both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    both = Both(tmp_path_factory.mktemp("ask_site"))
    try:
        yield both
    finally:
        both.stop()


@pytest.fixture
def both(the_both: Both) -> Iterator[Both]:
    the_both.start()
    yield the_both
    the_both.site.check()
    the_both.live.check()


class Program:
    """A client without a browser that keeps cookies, with a session of its own."""

    def __init__(self, both: Both, user: str = "") -> None:
        self.both = both
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self.client = ""
        if user:
            form = urllib.parse.urlencode({"name": user, "password": PASSWORDS[user]}).encode()
            with self.opener.open(both.site.origin + "/login", form, timeout=DEADLINE) as page:
                assert f"Notes to {user}" in page.read().decode()

    def send(self, channel: str, **fields: Any) -> list[dict[str, Any]]:
        message = {"channel": channel, **({"clientId": self.client} if self.client else {}), **fields}
        request = urllib.request.Request(self.both.url, json.dumps([message]).encode(),
                                         {"Content-Type": "application/json"})
        with self.opener.open(request, timeout=DEADLINE) as answer:
            return json.load(answer)

    def shake(self) -> Any:
        [reply] = self.send("/meta/handshake", version="1.0", supportedConnectionTypes=["long-polling"])
        self.client = reply.get("clientId", "")
        return reply

    def reply(self, channel: str, **fields: Any) -> str:
        """Send one message; the value is what is said against it, or nothing."""
        replies = [reply for reply in self.send(channel, **fields) if "successful" in reply]
        assert len(replies) == 1
        return replies[0].get("error", "")

    def connect(self) -> list[Any]:
        return [message["data"] for message in self.send("/meta/connect", connectionType="long-polling")
                if "data" in message]


def test_who_is_not_logged_in_is_sent_away(both: Both) -> None:
    assert Program(both).shake()["error"] == "403::Log in first"


def test_everybody_hears_their_own_notes_alone(both: Both) -> None:
    """S-10: not by a pattern either."""
    ann = Program(both, "ann")
    assert ann.shake()["successful"] is True
    assert ann.reply("/meta/subscribe", subscription="/private/ann") == ""
    for channel in ("/private/bo", "/private/*", "/private/**", "/**", "/private/ann/x", "/private"):
        said = ann.reply("/meta/subscribe", subscription=channel)
        assert said == f"403:{channel}:Subscription denied"


def test_a_note_comes_from_whom_it_says(both: Both) -> None:
    ann, bo = Program(both, "ann"), Program(both, "bo")
    for program, name in ((ann, "ann"), (bo, "bo")):
        program.shake()
        assert program.reply("/meta/subscribe", subscription=f"/private/{name}") == ""
        program.connect()
    assert bo.reply("/private/ann", data={"from": "bo", "text": "Hello"}) == ""
    assert ann.connect() == [{"from": "bo", "text": "Hello"}]
    for data in ({"from": "ann", "text": "x"}, {"text": "x"}, "x", None, ["from", "bo"]):
        assert bo.reply("/private/ann", data=data) == "403:/private/ann:Publish denied"
    for channel in ("/private/cy", "/private", "/news", "/private/ann/x", "/service/x"):
        assert bo.reply(channel, data={"from": "bo"}) == f"403:{channel}:Publish denied"
    assert bo.reply("/private/ann", data={"from": "bo", "text": "x" * 3000}) == "413::Message too large"


def test_who_has_the_clientid_of_another_has_not_their_rights(both: Both) -> None:
    """I-4, and even so: the site looks at the cookie of each message."""
    bo, thief = Program(both, "bo"), Program(both)
    bo.shake()
    thief.client = bo.client
    assert thief.reply("/meta/subscribe", subscription="/private/bo") == "403:/private/bo:Log in first"


def test_who_has_logged_out_has_no_rights_any_more(both: Both) -> None:
    ann = Program(both, "ann")
    ann.shake()
    ann.opener.open(both.site.origin + "/logout", b"", timeout=DEADLINE).close()
    assert ann.reply("/meta/subscribe", subscription="/private/ann") == "403:/private/ann:Log in first"


def test_the_site_answers_nobody_else(both: Both) -> None:
    """A question without our signature, or with an old one, or changed: 400."""
    secret = (both.folder / "secret.key").read_bytes().strip()

    def ask(body: bytes, timestamp: str, signed: bytes | None = None) -> int:
        signed = timestamp.encode() + b"." + (signed or body)
        signature = hmac.new(secret, signed, hashlib.sha256).hexdigest()
        request = urllib.request.Request(
            both.site.origin + "/bayeux/authorize", body,
            {"Content-Type": "application/json", "X-Bayeux-Timestamp": timestamp,
             "X-Bayeux-Signature": f"sha256={signature}"})
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    now, question = int(time.time()), b'{"action":"handshake"}'
    assert ask(question, str(now)) == 200
    assert ask(question, str(now - 100)) == 400
    assert ask(question, str(now), b'{"action":"publish"}') == 400
    assert ask(question, "\xe9", b"x") == 400
    assert Program(both).opener.open(both.site.origin).status == 200


def test_the_secret_is_its_owners(both: Both) -> None:
    assert stat.S_IMODE((both.folder / "secret.key").stat().st_mode) == 0o600


def test_what_the_readme_says_works() -> None:
    """Its commands, and the addresses in the configuration: they have to fit together."""
    readme = (FOLDER / "README.rst").read_text()
    config = tomllib.loads((FOLDER / "bayeux.toml").read_text())
    [port] = re.findall(r"flask --app \S+app\.py run --port (\d+)", readme)
    assert config["authorize_url"] == f"http://127.0.0.1:{port}/bayeux/authorize"
    assert config["allowed_origins"] == [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]
    assert config["listen"] == ["tcp:8080:interface=127.0.0.1"]
    assert 'os.environ.get("LIVE_PORT", "8080")' in (FOLDER / "app.py").read_text()
    assert re.search(r"twistd -n bayeux --config \S+bayeux\.toml", readme)


# -- in browsers ------------------------------------------------------------------------------------


class Notes(Watched):
    """A user's page."""

    notes = "return [...document.querySelectorAll('#notes li')].map((line) => line.innerText)"
    said = "return document.getElementById('said').textContent"
    title = "return document.querySelector('h1')?.textContent"

    def log_in(self, name: str, password: str) -> None:
        self.element("#name").send_keys(name)
        self.element("#password").send_keys(password, Keys.ENTER)

    def listens(self, name: str) -> None:
        """Wait until the server has let the page in, and listen to the notes of its user."""
        self.connected()
        self.subscribed(f"/private/{name}")


@pytest.fixture(scope="module")
def browsers() -> Iterator[list[Browser]]:
    with ExitStack() as stack:
        yield [Browser(stack.enter_context(chromium())) for _ in range(2)]


@pytest.fixture
def visit(both: Both, browsers: list[Browser]) -> Iterator[Callable[[int], Notes]]:
    with ExitStack() as stack:
        def visit(browser: int) -> Notes:
            page = Notes(browsers[browser], both.site.origin + "/")
            stack.callback(page.leave)
            stack.callback(page.driver.delete_all_cookies)
            return page

        yield visit


def test_two_users_write_to_each_other(both: Both, visit: Callable[[int], Notes]) -> None:
    ann, bo = visit(0), visit(1)
    ann.picture("ask-site-door")
    ann.log_in("ann", "silk")
    ann.shows("That name and password do not go together.",
              "return document.querySelector('.wrong')?.textContent ?? ''")
    ann.log_in("ann", "wool")
    bo.log_in("bo", "silk")
    ann.listens("ann")
    bo.listens("bo")
    ann.picture("ask-site-empty")
    bo.element("#text").send_keys("Is <b>this</b> yours?", Keys.ENTER)
    bo.shows("Sent to ann.", Notes.said)
    ann.shows(["bo Is <b>this</b> yours?"], Notes.notes)
    ann.element("#text").send_keys("Grüße", Keys.ENTER)
    bo.shows(["ann Grüße"], Notes.notes)
    bo.picture("ask-site")
    sneak = """return (async () => {
        const {init} = await import(arguments[0] + '/client.js');
        const transports = arguments[1];
        let opened;
        const socket = new Promise((resolve) => (opened = resolve));
        class Socket extends WebSocket {
            constructor(...address) {
                super(...address);
                this.addEventListener('open', opened);
            }
        }
        const client = init(arguments[0], {credentials: 'include', transports, WebSocket: Socket});
        client.addEventListener('error', (event) => event.preventDefault());
        if (transports.includes('websocket')) await socket;  // which must not be closed while it is opened
        const error = await client.subscribe('/private/ann', () => {}).ready.catch((error) => error.message);
        await client.disconnect();
        return error;
    })()"""
    for transports in (["websocket", "long-polling"], ["long-polling"]):
        assert bo.run(sneak, both.url, transports) == "403:/private/ann:Subscription denied"
        assert ann.run(sneak, both.url, transports) is None
    assert [page.browser.console() for page in (ann, bo)] == [[], []]


def test_who_logs_out_hears_nothing_more(both: Both, visit: Callable[[int], Notes]) -> None:
    ann, bo = visit(0), visit(1)
    asked = both.questions()
    ann.log_in("ann", "wool")
    bo.log_in("bo", "silk")
    ann.listens("ann")
    bo.listens("bo")
    asked += 2 * len(["handshake", "subscribe"])
    assert both.questions() == asked
    ann.element("header button").click()
    ann.shows("Log in", Notes.title)
    bo.element("#text").send_keys("Still there?", Keys.ENTER)
    bo.shows("Sent to ann.", Notes.said)
    assert both.questions() == asked + 1


def test_a_site_that_is_down_lets_nobody_in_and_pages_come_back(
        both: Both, visit: Callable[[int], Notes], browsers: list[Browser]) -> None:
    """They are told to try again, and who they are is asked again then."""
    ann = visit(0)
    ann.log_in("ann", "wool")
    ann.connected()
    both.site.stop()
    both.live.stop()
    both.live.start()
    until(lambda: "cannot be asked who may do what" in both.live.log.read_text(), both.live.log.read_text)
    ann.shows("reconnecting", Notes.state)
    both.site.start()  # where everybody is logged out
    ann.shows("disconnected", Notes.state)
    ann.run("location.reload()")
    ann.shows("Log in", Notes.title)
    browsers[0].console()
