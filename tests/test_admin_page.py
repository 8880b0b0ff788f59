"""The admin page as an operator meets it: the real command, a browser, and what can be seen and done there.

Every wait is for something to be seen.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from tests.api import KEY
from tests.clients.drivers import DEADLINE, chromium, until
from tests.ports import free_port
from tests.test_tap import TWISTD

SECRET = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"
HOWTO = Path(__file__).parent.parent / "docs" / "howto" / "admin-page.rst"
EVIL = "<img src=x onerror=\"document.title='harm'\"><script>document.title='harm'</script>"
# A busy channel is listed for one period, and the page asks every four seconds: with a shorter one, whoever
# publishes and stops for a moment might never be seen.
CONFIGURATION = f"""\
max_interval = 3600
api_rate_period = 2.5
ready_max_sessions = 25
[[key]]
id = "web"
secret = "{SECRET}"
subscribe = ["/**"]
"""


class Server:
    """The command in a process of its own; when it is started again the API has the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in (("api.key", KEY), ("bayeux.toml", CONFIGURATION)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        self.log = folder / "log"
        self.port = free_port()
        self.url = ""

    def start(self) -> None:
        """Run it, and wait until it has said where."""
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*TWISTD, "--config", "bayeux.toml", "--listen", "tcp:0:interface=127.0.0.1",
                 "--api", f"tcp:{self.port}", "--api-key-file", "api.key"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.url = f"http://127.0.0.1:{until(self._ports, self.log.read_text)['Bayeux']}/bayeux"

    def _ports(self) -> dict[str, str]:
        """Return what is served on which port, as soon as all has been said."""
        said = self.log.read_text()
        assert self.process.poll() is None, said
        found = dict(re.findall(r"(Bayeux|The API) is served on http://127\.0\.0\.1:(\d+)\b.*\n", said))
        return found if len(found) == 2 else {}

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()
        said = self.log.read_text()
        assert "Traceback" not in said, said

    def change_key(self, key: str) -> None:
        """Have another key count from now on."""
        (self.folder / "api.key").write_text(key)
        self.process.send_signal(signal.SIGHUP)
        until(lambda: requests.get(f"{self.page}v1/stats", timeout=10,
                                   headers={"Authorization": f"Bearer {key}"}).ok, self.log.read_text)

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def client(self, *channels: str, user: str | None = None) -> str:
        """Shake hands and subscribe; returns the whole id of the session."""
        ext = {}
        if user is not None:
            claims = {"sub": user, "exp": int(time.time()) + 3600}
            ext["token"] = jwt.encode(claims, SECRET, algorithm="HS256", headers={"kid": "web"})
        [reply] = self.say({"channel": "/meta/handshake", "version": "1.0", "ext": ext,
                            "supportedConnectionTypes": ["long-polling"]})
        client = str(reply["clientId"])
        for channel in channels:
            [answer] = self.say({"channel": "/meta/subscribe", "clientId": client, "subscription": channel})
            assert answer["successful"]
        return client

    def say(self, *messages: dict[str, Any]) -> Any:
        return requests.post(self.url, json=messages, timeout=10).json()

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask the API."""
        answer = requests.request(method, f"{self.page}v1/{path}", timeout=10,
                                  headers={"Authorization": f"Bearer {KEY}"}, **options)
        assert answer.ok, answer.text
        return answer

    def publish(self, channel: str, data: object) -> None:
        self.ask("POST", "publish", json={"channel": channel, "data": data})

    def end_sessions(self) -> None:
        for session in self.ask("GET", "sessions").json()["sessions"]:
            self.ask("DELETE", f"sessions/{session['id']}")


class Page:
    """What is open in the browser."""

    def __init__(self, driver: Chrome, server: Server) -> None:
        self.driver = driver
        self.server = server
        self._expected: tuple[str, ...] = ()

    def expects(self, *words: str) -> None:
        """Take it that the browser complains, by such words, however often and late."""
        self._expected = words

    def complaints(self) -> list[str]:
        """What it has said since it was asked last, and was not expected to."""
        return [line for line in self.console() if not any(word in line for word in self._expected)]

    def open(self) -> None:
        """Come as somebody who has never been here."""
        self.driver.get(self.server.page)
        self.shows("#login", "key, please")

    def enter(self) -> None:
        """Type the key."""
        self.type("#key", KEY, Keys.ENTER)
        self.shows("#state", "Live")

    def leave(self) -> None:
        """Leave nothing to the next."""
        self.driver.execute_script("sessionStorage.clear()")
        self.driver.get("about:blank")

    def element(self, place: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, place)

    def text(self, place: str) -> str:
        """Return what can be read there, "" where nothing is shown."""
        return str(self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].filter((each) => each.checkVisibility())"
            ".map((each) => each.innerText).join('\\n').replace(/\\n+/g, '\\n')", place))

    def shows(self, place: str, wanted: str) -> None:
        """Wait until that can be read there."""
        until(lambda: wanted in self.text(place),
              lambda: f"{wanted!r} in {place}, but it says {self.text(place)!r}; {self.console()}", pause=0.1)

    def comes_to(self, wanted: Any, script: str) -> None:
        """Wait until the script returns exactly that."""
        until(lambda: self.driver.execute_script(script) == wanted,
              lambda: f"{wanted} by {script}, but {self.driver.execute_script(script)}", pause=0.1)

    def shows_no_more(self, place: str, unwanted: str) -> None:
        until(lambda: unwanted not in self.text(place),
              lambda: f"{unwanted!r} to go from {place}: {self.text(place)!r}", pause=0.1)

    def shows_while_published(self, place: str, wanted: str, channel: str, data: object = 1) -> None:
        """Publish until it can be read there."""
        def shown() -> bool:
            self.server.publish(channel, data)
            return wanted in self.text(place)

        until(shown, lambda: f"{wanted!r} in {place}: {self.text(place)!r}", pause=0.1)

    def lists_while_published(self, channel: str, data: object = 1) -> None:
        """Publish until the channel is among the busiest; soon after it is so no more."""
        self.shows_while_published("#channels tbody", channel, channel, data)

    def type(self, place: str, *keys: str) -> None:
        self.element(place).clear()
        self.element(place).send_keys(*keys)

    def press(self, place: str) -> None:
        """Press a button, by its key: lists come and go above it, and a mouse could miss it."""
        self.element(place).send_keys(Keys.ENTER)

    def row(self, client: str) -> str:
        """Return where the table has the button for a session, as soon as it is there."""
        place = f"#sessions [aria-label='Disconnect {client[:8]}']"
        until(lambda: self.driver.find_elements(By.CSS_SELECTOR, place), lambda: self.text("#sessions"))
        return place

    def focused(self) -> str:
        return str(self.driver.execute_script(
            "return document.activeElement.getAttribute('aria-label') ?? document.activeElement.id"))

    def console(self) -> list[str]:
        """What was said there since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(driver: Chrome, server: Server) -> Iterator[Page]:
    """Return the page, before the key is typed in; the browser must not complain of it unexpectedly."""
    page = Page(driver, server)
    page.console()
    page.open()
    yield page
    page.leave()
    server.end_sessions()
    assert page.complaints() == []


def test_an_empty_server(page: Page) -> None:
    page.enter()
    page.shows("#sessions", "Nobody is here.")
    page.shows("#channels", "Nothing has been published")
    page.shows("#figures", "Sessions\n0")
    assert page.driver.current_url.endswith("/admin/"), "the key is not in the address"


def test_another_key_is_refused(page: Page) -> None:
    page.expects("401")
    page.type("#key", "another", Keys.ENTER)
    page.shows("#key-error", "does not take this key")
    assert not page.text("#board")
    assert page.driver.execute_script("return sessionStorage.length") == 0
    page.type("#key", "no key ∞", Keys.ENTER)
    page.shows("#key-error", "does not take this key")
    assert any("401" in line for line in page.console())


def test_the_tab_keeps_the_key_until_it_is_to_forget_it(page: Page, server: Server) -> None:
    """With it goes all that was shown."""
    client = server.client(user="ada")
    page.enter()
    page.row(client)
    page.driver.refresh()
    page.shows("#state", "Live")
    page.press("#forget")
    page.shows("#login", "key, please")
    assert client[:8] not in page.driver.execute_script("return document.documentElement.outerHTML")
    page.driver.refresh()
    page.shows("#login", "key, please")


HOLD = """
window.coming = [];
const [held, real] = [new RegExp(arguments[0]), window.fetch];
window.fetch = async (...asked) => {
  const answer = await real(...asked);
  if (!held.test(asked[0])) return answer;
  const { ok, status } = answer, said = status === 204 ? null : await answer.json();
  await new Promise((go) => window.coming.push(go));
  return { ok, status, json: async () => said };
};
"""
LISTS = "v1/channels|v1/sessions[?]|readyz"
"""What a look asks for, all at once, behind the numbers: not each time."""
LET_GO = """
for (const go of window.coming.splice(0)) go();
setTimeout(arguments[0]);  // behind all that then follows
"""


@pytest.mark.parametrize(("asked", "held", "answers"), [
    ("#sessions tbody .id button", "v1/sessions/", 1), ("#publish .main", "v1/publish", 1),
    ("#disconnect", "v1/sessions/", 1), ("a look", LISTS, 3)])
def test_what_was_asked_before_the_key_was_forgotten_shows_nothing(page: Page, server: Server, asked: str,
                                                                   held: str, answers: int) -> None:
    """What is still on its way is for who had the key."""
    client = server.client("/secret/channel", user="ada")
    page.enter()
    row = page.row(client)
    page.type("#publish-channel", "/secret/channel")
    if asked == "#disconnect":
        page.press(row)
        page.shows("#session", client[:8])
    page.driver.execute_script(HOLD, held)
    if asked != "a look":
        page.driver.execute_script("document.querySelector(arguments[0]).click()", asked)

    def come() -> bool:
        server.publish("/secret/channel", 1)  # there is a busy channel to be told of
        return bool(page.driver.execute_script("return window.coming.length") == answers)

    until(come, lambda: f"answers; {page.console()}", pause=0.1)
    page.driver.execute_script("document.querySelector('#forget').click()")
    before = page.driver.execute_script("return document.body.innerHTML")
    page.driver.execute_async_script(LET_GO)
    after = page.driver.execute_script("return document.body.innerHTML")
    assert after == before
    assert client[:8] not in after
    assert page.driver.execute_script("return document.querySelector('dialog').open") is False


def test_a_session_is_seen_and_disconnected(page: Page, server: Server) -> None:
    """By keyboard; the focus comes back."""
    client = server.client("/news/sport", "/chat/**", user="ada")
    page.enter()
    button = page.row(client)
    page.shows("#sessions tbody", "ada")
    page.shows("#sessions tbody", "127.0.0.1")
    assert client not in page.driver.page_source, "an id is a secret"
    page.driver.execute_script("arguments[0].focus()", page.element(button))
    page.element(button).send_keys(Keys.ENTER)
    page.shows("#session", f"Session {client[:8]}")
    page.shows("#session", "/news/sport\n/chat/**")
    assert page.focused() == "leave", "who presses Enter once too often does no harm"
    page.element("#leave").send_keys(Keys.ESCAPE)
    page.shows_no_more("#session", "Session")
    assert page.focused() == f"Disconnect {client[:8]}"
    page.press(button)
    page.shows("#session", "Disconnecting ends it")
    page.press("#disconnect")
    page.shows("#sessions-said", f"{client[:8]} is disconnected.")
    page.shows_no_more("#sessions tbody", client[:8])
    [reply] = server.say({"channel": "/meta/connect", "clientId": client, "connectionType": "long-polling"})
    assert reply["error"].startswith("402:")


def test_a_session_is_found_by_the_id_of_the_logs(page: Page, server: Server) -> None:
    page.expects("404")
    client = server.client("/found")
    page.enter()
    page.type("#label", client[:8], Keys.ENTER)
    page.shows("#session", "/found")
    page.press("#leave")
    page.type("#label", "AAAAAAAA", Keys.ENTER)
    page.shows("#sessions-said", "there is no session of that id")


def test_the_sessions_have_pages(page: Page, server: Server) -> None:
    page.expects("readyz")
    for _ in range(25):
        server.client()
    page.enter()
    page.shows("#sessions nav", "Page 1")
    page.shows("#state", "Live, but not ready for more: there are 25 sessions")
    rows = "return document.querySelectorAll('#sessions tbody tr').length"
    first = page.text("#sessions tbody")
    assert page.driver.execute_script(rows) == 20
    page.press("#after")
    page.shows("#sessions nav", "Page 2")
    until(lambda: page.driver.execute_script(rows) < 20, lambda: page.text("#sessions"))
    assert not set(page.text("#sessions .id").split()) & set(first.split())
    page.press("#before")
    page.shows("#sessions nav", "Page 1")


def test_a_message_is_published_and_said_how_many_it_reaches(page: Page, server: Server) -> None:
    """What is sent is what was typed: JavaScript would have rounded the number."""
    page.expects("v1/publish")
    client = server.client("/to/me")
    page.enter()
    page.type("#publish-channel", "/to/me")
    page.type("#publish-data", '{"n": 12345678901234567890}', Keys.CONTROL + Keys.ENTER)
    page.shows("#publish-said", "it goes to 1 session.")
    connect = {"channel": "/meta/connect", "clientId": client, "connectionType": "long-polling"}
    answer = requests.post(server.url, json=[connect], timeout=10)
    assert '{"n": 12345678901234567890}' in answer.text
    page.type("#publish-data", "{oops")
    page.press("#publish .main")
    page.shows("#publish-said", "The data is not JSON")
    page.type("#publish-data", "1")
    page.type("#publish-channel", "/meta/connect", Keys.ENTER)
    page.shows("#publish-said", "nobody can publish to /meta")
    page.type("#publish-channel", "news", Keys.ENTER)
    page.shows("#publish-said", "a channel looks like")


def test_channels_are_watched_as_events_come(page: Page, server: Server) -> None:
    page.enter()
    page.type("#watch-pattern", "/seen/**", Keys.ENTER)
    page.shows("#watch-said", "Watching /seen/**")
    server.publish("/seen/here", {"text": "first"})
    page.shows("#events", '{"text":"first"}')
    server.publish("/unseen", 1)
    page.press("#hold")
    server.publish("/seen/there", {"text": "second"})
    page.shows("#tally", "1 held")
    assert "second" not in page.text("#events")
    page.press("#hold")
    page.shows("#events", "second")
    assert page.text("#events code").split() == ["/seen/there", "/seen/here"], "the newest first"
    page.press("#watched button")
    page.shows_no_more("#watched", "/seen")
    server.publish("/seen/here", {"text": "third"})
    page.type("#watch-pattern", "/seen/*", Keys.ENTER)
    page.shows("#watch-said", "Watching /seen/* since")
    server.publish("/seen/here", {"text": "fourth"})
    page.shows("#events", "fourth")
    assert "third" not in page.text("#events")


def test_what_cannot_be_watched_is_said(page: Page) -> None:
    page.enter()
    page.type("#watch-pattern", "/meta/**", Keys.ENTER)
    page.shows("#watch-said", "/meta/**: Forbidden channel")
    page.type("#watch-pattern", "news", Keys.ENTER)
    page.shows("#watch-said", "Not a channel: news")
    assert page.text("#watched") == ""


def test_a_busy_channel_is_listed_and_watched_from_there(page: Page, server: Server) -> None:
    page.enter()
    press = """
        const button = document.querySelector("#channels [aria-label='Watch /busy/one']");
        button?.click();
        return button !== null"""

    def pressed() -> bool:
        """Press it as soon as it is there: it is gone again when nothing more is published."""
        server.publish("/busy/one", 1)
        return bool(page.driver.execute_script(press))

    until(pressed, lambda: page.text("#channels"), pause=0.1)
    page.shows("#watched", "/busy/one")


def test_what_clients_say_does_no_harm(page: Page, server: Server) -> None:
    """A user, and what is published, of such a name are but text; channels cannot have one."""
    channel = "/evil/!~()$@-_javascript"
    client = server.client(channel, user=EVIL)
    server.client(user="a\u202egnp.exe\u0007")
    page.enter()
    page.shows("#sessions tbody", EVIL)
    page.shows("#sessions tbody", "a\\u202egnp.exe\\u0007")
    page.press(page.row(client))
    page.shows("#session dl", EVIL)
    page.shows("#session-channels", channel)
    page.press("#leave")
    page.type("#watch-pattern", "/**", Keys.ENTER)
    page.shows("#watch-said", "Watching /**")
    server.publish(channel, {EVIL: [EVIL]})
    page.shows("#events", json.dumps({EVIL: [EVIL]}, separators=(",", ":")))
    page.lists_while_published(channel)
    made = "return document.querySelectorAll('main img, main script, dialog img, dialog script').length"
    assert page.driver.execute_script(made) == 0
    assert page.driver.title == "Bayeux server"


ATTEMPTS = [
    "document.body.append(Object.assign(document.createElement('script'), {text: 'harm = 1'}))",
    "document.body.innerHTML = '<img src=x onerror=\"harm = 1\">'",
    "setTimeout('harm = 1')",
    "document.body.setAttribute('onclick', 'harm = 1'); document.body.click()",
    "document.body.append(Object.assign(document.createElement('script'), {src: 'data:,harm = 1'}))"]


def test_the_policy_stops_what_the_page_would_not(page: Page) -> None:
    """Whoever found a way to have the page do this had not won anything."""
    for attempt in ATTEMPTS:
        page.driver.execute_script(f"try {{ {attempt} }} catch {{}}")
        done: Any = page.driver.execute_async_script(
            "const done = arguments[0]; setTimeout(() => done(typeof harm), 50)")
        assert done == "undefined", attempt
        assert page.console(), f"which says what was stopped: {attempt}"


def test_the_page_talks_to_nobody_else(page: Page) -> None:
    error: str = page.driver.execute_async_script(
        "fetch('http://127.0.0.1:9/').catch((error) => arguments[0](error.message))")
    assert error == "Failed to fetch"
    assert any("Content Security Policy" in line for line in page.console())


def test_a_proxy_before_it_gets_its_cookies_and_certificates(page: Page) -> None:
    """Or a single sign-on there would send every request of the page to its login."""
    page.enter()
    page.driver.execute_script("""
        window.sent = {};
        const real = window.fetch;
        window.fetch = (url, options) => {
          window.sent[new URL(url).pathname] = options.credentials;
          return real(url, options);
        };
    """)
    page.type("#watch-pattern", "/any", Keys.ENTER)
    page.shows("#watch-said", "Watching /any")
    paths = {"/v1/stats", "/v1/watch", "/v1/sessions"}
    sent = "return window.sent"
    until(lambda: paths <= page.driver.execute_script(sent).keys(), lambda: "requests", pause=0.1)
    assert set(page.driver.execute_script(sent).values()) == {"same-origin"}


def test_a_program_watches_as_the_documentation_says(page: Page, server: Server, tmp_path: Path) -> None:
    """``docs/howto/admin-page.rst``."""
    [program] = re.findall(r"code-block:: javascript\n\n((?:   .*\n|\n)+)", HOWTO.read_text())
    program = textwrap.dedent(program).replace("http://127.0.0.1:9090/", server.page)
    (tmp_path / "watch.mjs").write_text(program)
    (tmp_path / "client.mjs").write_text(requests.get(f"{server.page}admin/client.js", timeout=10).text)
    with subprocess.Popen(["node", "watch.mjs"], cwd=tmp_path, env={**os.environ, "KEY": KEY}, text=True,
                          stdout=subprocess.PIPE) as process:
        said: list[str] = []
        assert process.stdout is not None
        reader = threading.Thread(target=lambda lines: said.append(next(lines)), args=(process.stdout,))
        reader.start()

        def heard() -> bool:
            server.publish("/chat/lobby", "hello")
            return bool(said)

        until(heard, lambda: "an event", pause=0.1)
        process.kill()
    reader.join()
    assert said == ["/chat/lobby hello\n"]


def test_a_server_that_goes_away_and_comes_back(page: Page, server: Server) -> None:
    """It is said, and what was shown before stays; a new start is no rate below nothing."""
    page.expects("Failed to load resource")
    page.enter()
    page.type("#watch-pattern", "/again/**", Keys.ENTER)
    page.shows("#watch-said", "Watching")
    server.stop()
    page.shows("#state", "No answer from the server since")
    page.shows("#figures", "Publishes/s")
    page.shows("#watch-said", "trying to get back")
    server.start()
    page.shows("#state", "Live")
    page.shows("#watch-said", "Back since")
    # That it is back says nothing of its subscriptions yet.
    page.shows_while_published("#events", "hello again", "/again/here", "hello again")
    assert "-" not in page.text("#figures .value")


def test_a_key_that_is_no_longer_good(page: Page, server: Server) -> None:
    """Whoever is inside is shown the door, and why."""
    page.expects("401")
    page.enter()
    server.change_key("another-key-of-thirty-two-characters-or-more")
    try:
        page.shows("#key-error", "does not take this key")
        assert page.driver.execute_script("return sessionStorage.length") == 0
        assert not page.text("#board")
    finally:
        server.change_key(KEY)


def test_nothing_is_wider_than_the_screen(page: Page, server: Server) -> None:
    server.client("/" + "/".join(["a-long-name-of-a-channel"] * 10), user="x" * 500)
    page.enter()
    page.type("#watch-pattern", "/**", Keys.ENTER)
    page.shows("#watch-said", "Watching")
    page.lists_while_published("/" + "/".join(["b" * 60] * 4), {"text": "y" * 3000})
    page.shows("#events", "yyy")
    try:
        for width in (320, 390, 768, 1280, 1920):
            page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
            page.comes_to(width, "return innerWidth")
            page.comes_to(True, "return document.documentElement.scrollWidth <= innerWidth")
            page.comes_to([], "return [...document.querySelectorAll('.card, #events li')].filter((each) => "
                              "each.scrollWidth > each.clientWidth).map((each) => each.innerText)")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_while_nobody_looks_nothing_is_asked(page: Page) -> None:
    page.enter()
    # Each look begins with the numbers; one that is under way goes on with the lists.
    page.driver.execute_script(
        "Object.defineProperty(document, 'hidden', {get: () => window.unseen, configurable: true});"
        "window.unseen = true; window.asked = 0; const fetched = window.fetch;"
        "window.fetch = (...all) => { window.asked += /v1.stats/.test(all[0]); return fetched(...all); }")
    done: Any = page.driver.execute_async_script("setTimeout(arguments[0], 2500)")
    assert done is None
    before = page.driver.execute_script("return window.asked")
    assert before == 0
    page.driver.execute_script("window.unseen = false; document.dispatchEvent(new Event('visibilitychange'))")
    until(lambda: page.driver.execute_script("return window.asked"), lambda: "a question", pause=0.1)


def test_what_is_seen_can_be_read_out(page: Page) -> None:
    """Plots have words, tables have heads, buttons have names; what changes is told politely."""
    page.enter()
    page.shows("#figures", "Deliveries/s")
    labels = "return [...document.querySelectorAll('canvas')].map((each) => each.ariaLabel)"
    words = " in the last 5 minutes: from "
    until(lambda: all(words in label for label in page.driver.execute_script(labels)),
          lambda: page.driver.execute_script(labels))
    unnamed = ("return [...document.querySelectorAll('button')].filter((each) => "
               "!each.textContent.trim() && !each.ariaLabel).length")
    assert page.driver.execute_script(unnamed) == 0
    for place in ("#state", "#publish-said", "#watch-said", "#sessions-said"):
        assert page.element(place).get_attribute("role") == "status"
