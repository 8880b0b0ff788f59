"""The demos as people meet them: the real command, two browsers, and what can be seen on the pages.

Every wait is for something to be seen.  Pictures for the eye, each page on a phone and on a projector::

    DEMO_SCREENSHOTS=/tmp/pictures pytest tests/test_demos.py
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from tests.clients.drivers import DEADLINE, await_subscribed, chromium, until, watch
from tests.ports import free_port

DEMO = Path(__file__).resolve().parent.parent / "demo"
TWISTD = str(Path(sys.executable).with_name("twistd"))
SIZES = {"phone": (390, 844, 2, True), "projector": (1920, 1080, 1, False)}
"""Width, height, device pixels to a pixel, and whether it is a mobile."""


class Server:
    """A server in a process of its own; it keeps its port when it is started again."""

    def __init__(self, log: Path, *command: str) -> None:
        self.log, self.command, self.port = log, command, free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._began = 0
        """Where the log has what was said since the last start."""

    def start(self) -> None:
        """Let it run, if it does not, and wait until it answers."""
        if self.process is not None:
            return
        self.run([*self.command, f"tcp:{self.port}:interface=127.0.0.1"])
        self.says(rf"{self.origin}\b.*\n")

    def run(self, command: list[str], **options: Any) -> None:
        """Run a command, and wait until its port can be connected to."""
        with self.log.open("a") as log:
            self._began = log.tell()
            self.process = subprocess.Popen(command, **{"cwd": self.log.parent, **options},
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        until(self._accepts, self.log.read_text)

    def _runs(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()

    def _accepts(self) -> bool:
        self._runs()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def says(self, pattern: str) -> str:
        """Return what the log has of that pattern since the last start, as soon as it is written."""
        def found() -> re.Match[str] | None:
            self._runs()
            return re.search(pattern, self.log.read_bytes()[self._began:].decode(errors="replace"))

        match: re.Match[str] = until(found, self.log.read_text)
        return match[0]

    def stop(self) -> None:
        """Ask it to end, if it runs; it has to end well, by the signal or after it."""
        process, self.process = self.process, None
        if process is None:
            return
        try:
            process.terminate()
            assert process.wait(DEADLINE) in (0, -signal.SIGTERM), self.log.read_text()
        finally:
            process.kill()
            process.wait()
        self.check()

    def check(self) -> None:
        """Nothing has gone wrong so far that the log knows of."""
        said = self.log.read_text()
        assert "Traceback" not in said, said
        assert "Unhandled" not in said, said

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def presenter(self) -> str:
        """The presenter's link, as the log has it since the last start."""
        return self.says(rf"{self.origin}/\S*presenter#\S+(?=\s)")

    @property
    def key(self) -> str:
        """The presenter's key."""
        return self.presenter.partition("#")[2]

    def get(self, path: str, body: bytes | None = None) -> tuple[int, str, bytes]:
        """Ask for a path, or post to it; the value is status, media type and body."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)) as connection:
            connection.request("GET" if body is None else "POST", path, body,
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.headers.get_content_type(), answer.read()


class Browser:
    """One Chromium; windows are used again, as new ones are slow."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self.anchor = self.front = driver.current_window_handle  # without a window it would end
        self.spare: list[str] = []

    def window(self) -> str:
        """Return a window where nothing is open."""
        if not self.spare:
            self.driver.switch_to.new_window("window")
            self.front = self.driver.current_window_handle
            return self.front
        return self.spare.pop()

    def focus(self, window: str) -> Chrome:
        """Return the driver, for this window."""
        if self.front != window:
            self.driver.switch_to.window(window)
            self.front = window
        return self.driver

    def console(self) -> list[str]:
        """What was said there since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


class Page:
    """What is open in a window."""

    state = "return document.getElementById('state')?.dataset.state"

    def __init__(self, browser: Browser, address: str) -> None:
        self.browser = browser
        self.window = browser.window()
        self.driver.get(address)

    @property
    def driver(self) -> Chrome:
        return self.browser.focus(self.window)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def element(self, place: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, place)

    def await_true(self, script: str, *arguments: Any) -> Any:
        """Wait until the script returns something true, and return that."""
        return until(lambda: self.run(script, *arguments), lambda: f"{script}; {self}", pause=0.1)

    def shows(self, wanted: Any, script: str) -> None:
        """Wait until the script returns exactly this."""
        seen: list[Any] = []

        def equal() -> bool:
            seen[:] = [self.run(script)]
            return seen == [wanted]

        until(equal, lambda: f"{wanted!r} by {script}, but {seen} in {self}", pause=0.1)

    def connected(self) -> None:
        self.shows("connected", self.state)

    def __str__(self) -> str:
        seen = self.run("return [location.href, document.body.innerText]")
        return f"{seen}, console {self.browser.console()}"

    def picture(self, name: str) -> None:
        """Keep what is seen, if somebody wants it."""
        if not (folder := os.environ.get("DEMO_SCREENSHOTS")):
            return
        for size, (width, height, scale, mobile) in SIZES.items():
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile})
            self.shows(width, "return innerWidth")
            self.await_true("return [...document.images].every((image) => !image.getAnimations().length)")
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder, f"{name}-{size}.png")))
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def close(self) -> None:
        """Close the window."""
        self.driver.close()
        self.browser.focus(self.browser.anchor)
        self.window = ""

    def leave(self) -> None:
        """Leave the window to others, if it is not closed."""
        if self.window:
            self.run("sessionStorage.clear()")
            self.driver.get("about:blank")
            self.browser.spare.append(self.window)


@pytest.fixture(scope="module")
def browsers() -> Iterator[list[Browser]]:
    """Two browsers that have nothing in common."""
    with ExitStack() as stack:
        yield [Browser(stack.enter_context(chromium())) for _ in range(2)]


@pytest.fixture(scope="module")
def the_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("demos") / "log"
    server = Server(log, TWISTD, "-n", "--pidfile=", "bayeux", "--demo", "--listen")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(the_server: Server) -> Iterator[Server]:
    """The server, running; a test that makes it log an error fails."""
    the_server.start()
    yield the_server
    the_server.check()


@pytest.fixture
def visit(browsers: list[Browser]) -> Iterator[Callable[..., Any]]:
    """Open a page of a kind, in the first or the second browser, whose consoles have to stay empty."""
    with ExitStack() as stack:
        def visit(browser: int, address: str, kind: type[Page] = Page) -> Page:
            page = kind(browsers[browser], address)
            stack.callback(page.leave)
            return page

        for browser in browsers:
            browser.console()
        yield visit
    assert [browser.console() for browser in browsers] == [[], []]


# What a page must not do by itself is asked for without it.


def handshake(server: Server) -> str:
    """Return the id of a new session."""
    [reply] = send(server, {"channel": "/meta/handshake", "version": "1.0",
                            "supportedConnectionTypes": ["long-polling"]})
    return reply["clientId"]


def send(server: Server, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """Post messages; the answer is never worse than a reply to each."""
    status, _, body = server.get("/bayeux", json.dumps(messages).encode())
    assert status == 200, body
    return json.loads(body)


def test_index_leads_to_every_demo(server: Server, visit: Callable[..., Any]) -> None:
    index = visit(0, server.origin + "/")
    links = set(index.run("return [...document.links].map(link => link.href)"))
    demos = {f"{server.origin}/{script.parent.name}/" for script in DEMO.glob("*/server.py")}
    assert len(demos) >= 3
    assert links == demos | {f"{server.origin}/slideshow/presenter"}
    assert index.run("return [...document.images].every(image => image.naturalWidth > 0)")
    index.picture("index")
    for link in links:
        assert server.get(link.removeprefix(server.origin))[:2] == (200, "text/html"), link


def test_a_path_that_leads_nowhere_is_not_found(server: Server) -> None:
    for path in ("/nothing", "/chat/nothing", "/chat/rooms.py", "/chat/../server.py", "/slideshow/server.py"):
        assert server.get(path)[0] == 404, path


class Chat(Page):
    """Somebody's page of the chat."""

    said = """return [...document.querySelectorAll('#said .said')].map((line) =>
        [line.querySelector('.who b').textContent, line.querySelector('.text').textContent])"""
    notes = "return [...document.querySelectorAll('#said .note')].map((line) => line.textContent)"
    people = """return [document.getElementById('count').textContent,
        ...[...document.querySelectorAll('#people li')].map((line) => line.textContent)]"""
    door = "return document.getElementById('door').open"

    def enter(self, name: str) -> None:
        """Knock under a name; the page's address says at which room."""
        self.await_true(self.door)
        self.element("#name").send_keys(Keys.CONTROL, "a", Keys.NULL, name, Keys.ENTER)

    def say(self, text: str) -> None:
        """Say something, when what was said before is answered: until then the page takes nothing."""
        self.shows(False, "return document.querySelector('#speak button').disabled")
        self.element("#text").send_keys(text, Keys.ENTER)


@pytest.fixture
def guest(server: Server, visit: Callable[..., Any]) -> Callable[..., Chat]:
    """Open the chat at a room, and enter."""
    def guest(browser: int, room: str, name: str) -> Chat:
        page: Chat = visit(browser, server.origin + f"/chat/#{room}", Chat)
        page.enter(name)
        page.shows(False, page.door)
        return page

    return guest


def test_chat_each_hears_the_other_and_sees_who_is_here(guest: Callable[..., Chat]) -> None:
    ann = guest(0, "loom", "Ann")
    ann.shows(["1 here", "Ann (you)"], Chat.people)
    bo = guest(1, "loom", "Bo")
    ann.shows(["2 here", "Ann (you)", "Bo"], Chat.people)
    bo.shows(["2 here", "Ann", "Bo (you)"], Chat.people)
    ann.shows(["Bo came in"], Chat.notes)
    said = []
    for speaker, name, text in ((ann, "Ann", "Hello?"), (bo, "Bo", "Grüße, Ann"), (ann, "Ann", "雪")):
        speaker.say(text)
        said.append([name, text])
        for page in (ann, bo):
            page.shows(said, Chat.said)
    ann.shows("", "return document.getElementById('text').value")
    bo.picture("chat")


def test_chat_is_heard_by_nobody_who_is_not_in_the_room(server: Server, guest: Callable[..., Chat]) -> None:
    """Neither by a subscription, however wide, nor by what was known of it, nor by who has left."""
    ann, ear = guest(0, "tower", "Ann"), handshake(server)
    for room in ("tower", "yard"):  # in, and out again
        send(server, {"channel": JOIN, "clientId": ear, "data": {"name": "Eve", "room": room, "key": "k"}})
    patterns = ["/**", "/rooms/*", "/rooms/**", "/rooms/tower", "/service/**", "/service/chat/*", HEARD]
    send(server, *({"channel": "/meta/subscribe", "clientId": ear, "subscription": [pattern]}
                   for pattern in patterns))
    ann.shows(["1 here", "Ann (you)"], Chat.people)
    ann.say("Are we alone?")
    ann.shows([["Ann", "Are we alone?"]], Chat.said)
    heard = send(server, {"channel": SAY, "clientId": ear, "data": {"text": "Echo?"}},
                 {"channel": "/meta/connect", "clientId": ear, "connectionType": "long-polling"})
    assert "alone" not in json.dumps(heard)
    assert [event["data"]["text"] for event in heard if event["channel"] == HEARD] == ["Echo?"]


def test_chat_people_speak_for_nobody_else(server: Server, guest: Callable[..., Chat]) -> None:
    ann, forger = guest(0, "loom", "Ann"), handshake(server)
    for channel in (HEARD, "/rooms/loom"):
        send(server, {"channel": channel, "clientId": forger,
                      "data": {"type": "say", "room": "loom", "name": "Bo", "text": "forged", "at": 1}})
    ann.say("fence")
    ann.shows([["Ann", "fence"]], Chat.said)


def test_chat_html_stays_text(guest: Callable[..., Chat]) -> None:
    markup = "<img src=x onerror=hurt=1><b>bold</b> &amp; <script>hurt=1</script>"
    made_elements = "return document.querySelectorAll('#said :is(img, script, i, b b, .text *)').length"
    ann, bo = guest(0, "plain", "<i>Ann</i>"), guest(1, "plain", "<b>Bo</b>")
    bo.say(markup)
    for page in (ann, bo):
        page.shows([["<b>Bo</b>", markup]], Chat.said)
        assert page.run(made_elements) == 0
    ann.shows(["2 here", "<b>Bo</b>", "<i>Ann</i> (you)"], Chat.people)
    bo.shows(["2 here", "<b>Bo</b> (you)", "<i>Ann</i>"], Chat.people)
    ann.shows(["<b>Bo</b> came in"], Chat.notes)
    assert ann.run("return window.hurt") is bo.run("return window.hurt") is None


def test_chat_refuses_a_name_in_use(server: Server, guest: Callable[..., Chat],
                                    visit: Callable[..., Any]) -> None:
    ann, bo = guest(0, "names", "Ann"), visit(1, server.origin + "/chat/#names", Chat)
    bo.enter("ANN")
    bo.shows("Somebody here has that name already", "return document.getElementById('refusal').textContent")
    assert bo.run(Chat.door)
    bo.picture("chat-refusal")
    bo.enter("Bo")
    for page, people in ((ann, ["Ann (you)", "Bo"]), (bo, ["Ann", "Bo (you)"])):
        page.shows(["2 here", *people], Chat.people)
    ann.shows(["Bo came in"], Chat.notes)


def test_chat_whoever_closes_the_page_is_gone(guest: Callable[..., Chat]) -> None:
    ann, bo = guest(0, "leaving", "Ann"), guest(1, "leaving", "Bo")
    ann.shows(["2 here", "Ann (you)", "Bo"], Chat.people)
    bo.close()
    ann.shows(["1 here", "Ann (you)"], Chat.people)
    ann.shows(["Bo came in", "Bo left"], Chat.notes)


def test_chat_whoever_comes_late_sees_what_was_said_in_this_room(guest: Callable[..., Chat]) -> None:
    ann, cy = guest(0, "late", "Ann"), guest(0, "elsewhere", "Cy")
    said = [["Ann", text] for text in ("one", "two", "three")]
    for _, text in said:
        ann.say(text)
        ann.shows(said[:said.index(["Ann", text]) + 1], Chat.said)
    bo = guest(1, "late", "Bo")
    bo.shows(said, Chat.said)
    cy.say("fence")  # what came to this page has come before
    cy.shows([["Cy", "fence"]], Chat.said)


NOT_YET = "Not connected. Your message waits here until you send it again."


def test_pages_come_back_by_themselves_after_a_restart(
        server: Server, visit: Callable[..., Any], guest: Callable[..., Chat],
        browsers: list[Browser]) -> None:
    ann, bo = guest(0, "restart", "Ann"), guest(1, "restart", "Bo")
    turn(server, 3)
    presenter, viewer = present(server, visit), visit(1, server.origin + "/slideshow/", Slides)
    viewer.shows("3 of 8", Slides.place)
    before = viewer.run(Slides.address)
    ann.say("before")
    for page in (ann, bo):
        page.shows([["Ann", "before"]], Chat.said)

    server.stop()
    assert server.log.read_text().endswith("Server Shut Down.\n")
    for page in (ann, bo, presenter, viewer):
        page.shows("reconnecting", Page.state)
    bo.say("after")
    bo.shows(NOT_YET, "return document.getElementById('trouble').textContent")
    server.start()

    for page, people in ((ann, ["Ann (you)", "Bo"]), (bo, ["Ann", "Bo (you)"])):
        page.connected()
        page.shows(["2 here", *people], Chat.people)
    bo.shows("", "return document.getElementById('trouble').textContent")
    bo.say("")
    for page in (ann, bo):
        page.shows([["Ann", "before"], ["Bo", "after"]], Chat.said)
    ann.say("again")
    for page in (ann, bo):
        page.shows([["Ann", "before"], ["Bo", "after"], ["Ann", "again"]], Chat.said)

    # The new server begins with the first slide, and has other addresses and another key.
    viewer.shows("1 of 8", Slides.place)
    presenter.shows(True, Slides.locked)
    presenter.driver.get(server.presenter)
    presenter.shows("1 of 8", Slides.place)
    presenter.shows(False, Slides.locked)
    presenter.turn_to(3)
    viewer.shows("3 of 8", Slides.place)
    assert viewer.run(Slides.address) == presenter.run(Slides.address) != before

    for browser in browsers:
        only_missed(server, browser)


def only_missed(server: Server, browser: Browser) -> None:
    """A browser has complained of nothing but that the server was not there.

    A socket that was being opened then, and closed, it calls by its address.
    """
    socket = f"WebSocket connection to 'ws://127.0.0.1:{server.port}/bayeux' failed: "
    for line in browser.console():
        assert line.startswith(f"{server.origin}/bayeux"), line
        assert "net::ERR_" in line or socket in line


class Slides(Page):
    """A page of the slideshow: a viewer's, or the presenter's."""

    place = "return document.getElementById('place').textContent"
    address = "return document.querySelector('#stage img:last-child')?.src"
    preview = "return document.querySelector('#preview img')?.src ?? null"
    listed = "return [...document.querySelectorAll('#list img')].map((image) => image.src)"
    current = """return [...document.querySelectorAll('#list button')].flatMap(
        (button, index) => button.getAttribute('aria-current') === 'true' ? [index + 1] : [])"""
    notes = "return document.getElementById('text').textContent"
    drawn = "return [...document.images].every((image) => image.complete && image.naturalWidth === 1600)"
    locked = "return !document.getElementById('lock').hidden"
    disabled = "return ['back', 'forward'].map((id) => document.getElementById(id).disabled)"

    def turn_to(self, number: int) -> None:
        """Present this slide, by the list."""
        self.run("document.querySelectorAll('#list button')[arguments[0] - 1].click()", number)
        self.shows(f"{number} of 8", self.place)

    def press(self, key: str) -> None:
        self.element("body").send_keys(key)


class Watched(Page):
    """A page with all that the server answers it kept in ``window.told``."""

    def __init__(self, browser: Browser, address: str) -> None:
        super().__init__(browser, "about:blank")
        self.watcher = watch(self.driver)
        self.driver.get(address)

    def subscribed(self, *channels: str) -> None:
        """Wait until the server has said that it is."""
        await_subscribed(self.driver, *channels)

    def leave(self) -> None:
        self.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", self.watcher)
        super().leave()


def deck(server: Server) -> list[dict[str, Any]]:
    """Return the slides, as only the presenter may know them."""
    _, event = send(server, {"channel": "/service/slideshow/deck", "clientId": handshake(server),
                            "data": {"key": server.key}})
    return event["data"]["slides"]


def turn(server: Server, number: int) -> None:
    """Let everybody see this slide."""
    [reply] = send(server, {"channel": "/service/slideshow/show", "clientId": handshake(server),
                            "data": {"key": server.key, "number": number}})
    assert reply["successful"], reply


def present(server: Server, visit: Callable[..., Any]) -> Slides:
    """Open the presenter's page."""
    presenter: Slides = visit(0, server.presenter, Slides)
    presenter.connected()
    presenter.await_true(Slides.place)
    return presenter


def test_slideshow_viewers_follow_the_presenter(server: Server, visit: Callable[..., Any]) -> None:
    turn(server, 1)
    slides = deck(server)
    presenter, viewer = present(server, visit), visit(1, server.origin + "/slideshow/", Slides)

    def followed(number: int) -> None:
        words = slides[number - 1]["words"]
        viewer.shows([f"{number} of 8", slides[number - 1]["address"], 1600, words, words.split("\n")[0]], """
            const slide = document.querySelector('#stage img:last-child');
            const [place, words] = ['place', 'words'].map((id) => document.getElementById(id).textContent);
            return [place, slide?.getAttribute('src'), slide?.naturalWidth, words, document.title]""")

    followed(1)
    presenter.element("#forward").click()
    followed(2)
    for key, number in ((Keys.PAGE_DOWN, 3), (Keys.END, 8), (Keys.ARROW_LEFT, 7), (Keys.HOME, 1)):
        presenter.press(key)
        followed(number)
    for _ in range(3):
        presenter.press(Keys.ARROW_RIGHT)
    followed(4)
    presenter.element("#back").click()
    followed(3)
    viewer.shows(1, "return document.querySelectorAll('#stage img').length")
    viewer.picture("slideshow")


def test_slideshow_is_turned_with_the_presenter_s_key_only(server: Server, visit: Callable[..., Any]) -> None:
    """A viewer has all that the pages consist of, and so may send whatever the presenter's page sends."""
    turn(server, 2)
    viewer = visit(1, server.origin + "/slideshow/", Slides)
    viewer.shows("2 of 8", Slides.place)
    viewer.run("""
        const { init } = await import("/bayeux/client.js");
        const client = init("/bayeux");
        window.events = [];
        window.errors = [];
        client.subscribe("/service/slideshow/deck", (deck) => events.push(deck));
        const send = (service, data) =>
            client.publish(`/service/slideshow/${service}`, data).catch((error) => errors.push(error.code));
        for (const key of arguments[0]) {
            await send("deck", { key });
            await send("show", { key, number: 8 });
        }
        await send("deck");
        await send("show", { number: 8 });
        """, ["", None, 1, [], {}, server.key[:-1], server.key + " ", server.key.swapcase(), "x" * 60_000])
    viewer.shows([403] * 20, "return errors")
    assert viewer.run("return events") == []
    turn(server, 3)
    viewer.shows("3 of 8", Slides.place)
    assert deck(server)[7]["address"] not in viewer.run("return document.documentElement.outerHTML")


@pytest.mark.parametrize(("link", "why"), [
    ("presenter", "There is no key in this link."),
    ("presenter#wrong", "This is not the key that the server has now."),
    ("presenter#%", "There is no key in this link."),
])
def test_slideshow_presenter_s_page_says_what_it_needs(
        link: str, why: str, server: Server, visit: Callable[..., Any]) -> None:
    turn(server, 4)
    page = visit(0, f"{server.origin}/slideshow/{link}", Slides)
    page.shows(True, Slides.locked)
    assert page.run("return document.getElementById('why').textContent") == why
    visible = "return ['main', 'footer'].filter((name) => document.querySelector(name).checkVisibility())"
    assert page.run(visible) == page.run(Slides.listed) == []
    if link == "presenter":
        page.picture("slideshow-locked")
    page.driver.get(server.presenter)  # in the same tab only the end of the address changes
    page.shows(False, Slides.locked)
    page.shows("4 of 8", Slides.place)
    assert page.run(visible) == ["main", "footer"]
    page.turn_to(5)


def test_slideshow_key_is_in_no_request(server: Server, visit: Callable[..., Any]) -> None:
    presenter = present(server, visit)
    assert len(server.key) >= 32
    presenter.shows(True, Slides.drawn)
    # What has been fetched is in the list a little later than it is seen.
    fetched = presenter.await_true("""
        const names = performance.getEntries().map((entry) => entry.name).slice(1);
        return names.length > 10 && names""")
    assert not any(server.key in address for address in fetched)


def test_slideshow_who_comes_late_sees_the_slide_that_is_shown(server: Server,
                                                               visit: Callable[..., Any]) -> None:
    turn(server, 5)
    viewer = visit(1, server.origin + "/slideshow/", Slides)
    viewer.shows("5 of 8", Slides.place)
    viewer.shows(f"{server.origin}/slideshow/{deck(server)[4]['address']}", Slides.address)
    viewer.shows(True, Slides.drawn)


def test_slideshow_presenter_sees_what_comes_next(server: Server, visit: Callable[..., Any]) -> None:
    presenter = present(server, visit)
    addresses = presenter.run(Slides.listed)
    assert len(set(addresses)) == 8
    notes = set()
    for number, following in ((1, addresses[1]), (2, addresses[2]), (8, None)):
        presenter.turn_to(number)
        presenter.shows(addresses[number - 1], Slides.address)
        presenter.shows(following, Slides.preview)
        presenter.shows([number], Slides.current)
        presenter.shows([number == 1, number == 8], Slides.disabled)
        presenter.shows(True, Slides.drawn)
        notes.add(presenter.run(Slides.notes))
        if number == 2:
            presenter.picture("slideshow-presenter")
    assert len(notes) == 3
    assert all(notes)


def test_slideshow_viewers_learn_no_address_before_its_slide_is_shown(server: Server,
                                                                      visit: Callable[..., Any]) -> None:
    turn(server, 3)
    viewer = visit(1, server.origin + "/slideshow/", Watched)
    viewer.shows("3 of 8", Slides.place)
    for number in (4, 7):
        turn(server, number)
        viewer.shows(f"{number} of 8", Slides.place)
    slides = deck(server)
    # What has been fetched is in the list a little later than it is seen.
    viewer.shows([f"{server.origin}/slideshow/{slides[number - 1]['address']}" for number in (3, 4, 7)], """
        const names = performance.getEntriesByType('resource').map((entry) => entry.name);
        return names.filter((name) => name.includes('/slides/'))""")

    viewer.await_true("return told.join().includes(arguments[0])", slides[6]["address"])
    told = viewer.run("return told.join() + document.documentElement.outerHTML")
    assert [slide["number"] for slide in slides if slide["address"][7:-4] in told] == [3, 4, 7]
    assert not any(slide["notes"] in told for slide in slides)


def test_slideshow_addresses_cannot_be_guessed(server: Server) -> None:
    addresses = [slide["address"] for slide in deck(server)]
    assert len(set(addresses)) == 8
    for address in addresses:
        assert re.fullmatch(r"slides/[\w-]{22,}\.svg", address), "128 bits are 22 characters of base64"
        status, kind, body = server.get(f"/slideshow/{address}")
        assert (status, kind, body[:4]) == (200, "image/svg+xml", b"<svg")
        assert not any(other[7:-4].encode() in body for other in addresses)
        token = address[7:-4]
        other = ("B" if token[0] == "A" else "A") + token[1:]
        for wrong in (other, token[:-1], token.swapcase(), ""):
            assert server.get(f"/slideshow/slides/{wrong}.svg")[0] == 404
    for number in range(9):
        assert server.get(f"/slideshow/slides/{number}.svg")[0] == 404
    for folder in ("slides", "slides/"):
        status, _, body = server.get(f"/slideshow/{folder}")
        assert status in (404, 405)
        assert b".svg" not in body


class Ticker(Page):
    """A page of the ticker."""

    symbols = "return [...document.querySelectorAll('#board .symbol')].map((place) => place.textContent)"
    prices = "return [...document.querySelectorAll('#board .price')].map((place) => place.textContent)"
    lines = "return [...document.querySelectorAll('#board .line')].map((path) => path.getAttribute('d'))"
    time = "return document.getElementById('time').textContent"


def test_ticker_prices_change_by_themselves(server: Server, visit: Callable[..., Any]) -> None:
    page, other = (visit(browser, server.origin + "/ticker/", Ticker) for browser in (0, 1))
    page.shows(["HALY", "WOOL", "NORM", "ODO", "LOOM", "OAK"], Ticker.symbols)
    prices, lines = page.run(Ticker.prices), page.run(Ticker.lines)
    assert all(re.fullmatch(r"\d+\.\d\d", price) for price in prices), prices
    assert all(line.count("L") == 59 for line in lines), "a minute is there from the start"
    for _ in range(2):
        page.await_true(f"{Ticker.prices}.some((price, n) => price !== arguments[0][n])", prices)
        prices = page.run(Ticker.prices)
    assert page.run(Ticker.lines) != lines
    assert page.run(Ticker.time)
    until(lambda: page.run(Ticker.prices) == other.run(Ticker.prices), lambda: f"{page}, {other}", pause=0.1)
    page.picture("ticker")


@pytest.mark.parametrize("channel", ["/slideshow/current", "/ticker/WOOL"])
def test_pages_cannot_speak_for_the_server(server: Server, channel: str) -> None:
    [reply] = send(server, {"channel": channel, "clientId": handshake(server), "data": {"text": "forged"}})
    assert (reply["successful"], reply["error"][:3]) == (False, "403")


JOIN, SAY, HEARD = "/service/chat/join", "/service/chat/say", "/service/chat/heard"
SHOW, DECK = "/service/slideshow/show", "/service/slideshow/deck"
KEY = "<the presenter's key>"


@pytest.mark.parametrize(("channel", "data", "code"), [
    *((JOIN, data, 400) for data in (
        None, [], "text", {}, {"name": 1, "room": "a", "key": "k"},
        {"name": "Ann", "room": "../a", "key": "k"}, {"name": "Ann", "room": "A", "key": "k"},
        {"name": "Ann", "room": "a" * 25, "key": "k"},
        {"name": "A" * 25, "room": "a", "key": "k"}, {"name": " \t", "room": "a", "key": "k"},
        {"name": "A\u202enn", "room": "a", "key": "k"}, {"name": "\ud800", "room": "a", "key": "k"},
        {"name": "Ann", "room": "a"}, {"name": "Ann", "room": "a", "key": ""})),
    (SAY, {"text": "from outside"}, 403),
    *((SHOW, data, 403) for data in (None, [], "text", {}, {"key": "k", "number": 2})),
    *((SHOW, {"key": KEY, "number": number}, 404)
      for number in (0, 9, -1, True, "2", 2.5, None, [1], 10**30)),
    (SHOW, {"key": KEY}, 404),
    *((DECK, data, 403) for data in (None, [], "text", {}, {"key": 5}, {"key": "é"})),
    (DECK, {"key": "\ud800"}, 400),
])
def test_services_refuse_what_no_page_sends(server: Server, channel: str, data: Any, code: int) -> None:
    if isinstance(data, dict) and data.get("key") == KEY:
        data = {**data, "key": server.key}
    [reply] = send(server, {"channel": channel, "clientId": handshake(server), "data": data})
    assert (reply["successful"], reply["error"][:3]) == (False, str(code))


@pytest.mark.parametrize("text", ["", " \n", 5, None, "x" * 1001, "\ud800"])
def test_chat_refuses_what_cannot_be_said(server: Server, text: Any) -> None:
    session = handshake(server)
    send(server, {"channel": JOIN, "clientId": session, "data": {"name": "Ann", "room": "odd", "key": "k"}})
    [reply] = send(server, {"channel": SAY, "clientId": session, "data": {"text": text}})
    assert (reply["successful"], reply["error"][:3]) == (False, "400")


# The demos outside the command.


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Run a program as a server of its own."""
    with ExitStack() as stack:
        def alone(*command: str) -> Server:
            server = Server(tmp_path / "log", sys.executable, *command)
            stack.callback(server.stop)
            server.start()
            return server

        yield alone


def test_embedding_application_tells_every_page(alone: Callable[..., Server],
                                                visit: Callable[..., Any]) -> None:
    server = alone(str(DEMO / "embed.py"))
    pages = [visit(browser, server.origin + "/") for browser in (0, 1)]
    news = "return [...document.querySelectorAll('li')].map((line) => line.textContent)"

    told: list[int] = []

    def told_both() -> bool:
        _, _, answer = server.get("/api/publish", b"")
        told.append(int(answer.removeprefix(b"told ")))
        return told[-1] == 2

    until(told_both, lambda: told, pause=0.1)
    until(lambda: sum(len(page.run(news)) for page in pages) == sum(told),
          lambda: f"{told}, {list(map(str, pages))}", pause=0.1)

    before = [len(page.run(news)) for page in pages]
    pages[0].element("button").click()
    for page, count in zip(pages, before, strict=True):
        page.shows(count + 1, f"{news}.length")
        assert all(re.fullmatch(r"It is \d\d:\d\d:\d\d", text) for text in page.run(news))
    pages[0].picture("embed")
    # It is somebody's application, which may have no icon; nothing else is missed.
    assert {line for page in pages for line in page.browser.console()} <= {
        f"{server.origin}/favicon.ico - Failed to load resource: "
        "the server responded with a status of 404 (Not Found)"}


def chat_works(page: Chat) -> None:
    page.enter("Ann")
    page.shows(["1 here", "Ann (you)"], Chat.people)


def slideshow_works(page: Slides) -> None:
    page.shows("1 of 8", Slides.place)
    page.shows(True, Slides.drawn)


def ticker_works(page: Ticker) -> None:
    page.await_true(Ticker.time)
    assert len(page.run(Ticker.prices)) == 6


@pytest.mark.parametrize(("name", "kind", "works"), [
    ("chat", Chat, chat_works), ("slideshow", Slides, slideshow_works), ("ticker", Ticker, ticker_works),
], ids=["chat", "slideshow", "ticker"])
def test_copied_folder_runs_alone(name: str, kind: type[Page], works: Callable[[Page], None], tmp_path: Path,
                                  alone: Callable[..., Server], visit: Callable[..., Any]) -> None:
    shutil.copytree(DEMO / name, tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    server = alone("mine/server.py")
    page = visit(0, server.origin + "/", kind)
    page.connected()
    works(page)


def test_slideshow_key_of_the_environment_lives_through_a_restart(
        alone: Callable[..., Server], visit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESENTER_KEY", "kept: 100% é & #")
    server = alone(str(DEMO / "slideshow" / "server.py"))
    presenter = visit(0, server.presenter, Slides)
    presenter.shows("1 of 8", Slides.place)
    presenter.turn_to(2)
    server.stop()
    presenter.shows("reconnecting", Page.state)
    server.start()
    presenter.shows("1 of 8", Slides.place)
    presenter.turn_to(2)
    assert not presenter.run(Slides.locked)
    only_missed(server, presenter.browser)
