"""One handle for every kind of client: a program that speaks JSON lines, or a page in Chromium.

Both offer the same verbs (``verbs/*.mjs``, ``programs/``), so that one scenario serves all clients.
"""

import contextlib
import http.server
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from selenium import webdriver
from selenium.common.exceptions import TimeoutException

from tests.ports import free_port

HERE = Path(__file__).resolve().parent
DEADLINE = 30.0
"""Seconds that anything may take: long, for a busy machine; only failing tests wait so long."""


def until(condition: Callable[[], Any], what: Callable[[], Any], pause: float = 0.02) -> Any:
    """Return the first true value of the condition; fail after the deadline, saying what was awaited."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {DEADLINE} s in vain: {what()}"
        time.sleep(pause)
    return value


class VerbFailedError(Exception):
    """The client answered a verb with an error, or not at all."""


class Client:
    """The verbs every client has."""

    def call(self, verb: str, *args: Any) -> Any:
        raise NotImplementedError

    def errors(self) -> list[str]:
        """What went wrong inside the client and that no verb reported."""
        return []

    def said(self) -> str:
        """What it has to say about itself, for the message of a failed test."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def connect(self) -> None:
        self.call("connect")

    def subscribe(self, channel: str) -> None:
        self.call("subscribe", channel)

    def unsubscribe(self, channel: str) -> None:
        self.call("unsubscribe", channel)

    def publish(self, channel: str, data: Any) -> None:
        self.call("publish", channel, data)

    def disconnect(self) -> None:
        self.call("disconnect")

    @property
    def arrived(self) -> list[tuple[str, Any]]:
        """Every event that the server has sent, as (channel, data), even such as the client ignores."""
        return [(channel, data) for channel, data in self.call("arrived")]

    @property
    def received(self) -> list[tuple[str, Any]]:
        """Every event that the client has given to a subscription's callback."""
        return [(channel, data) for channel, data in self.call("received")]

    @property
    def state(self) -> str:
        return self.call("state")

    @property
    def client_id(self) -> str:
        return self.call("clientId")

    @property
    def carrier(self) -> str:
        """The connection type that its last connect went by."""
        return self.call("carrier")


class Program(Client):
    """A client in a process of its own."""

    def __init__(self, *command: str) -> None:
        self.stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the object
        self.process = subprocess.Popen(command, cwd=HERE, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.stderr)
        self.answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")

    def call(self, verb: str, *args: Any) -> Any:
        self.process.stdin.write(json.dumps({"verb": verb, "args": args}) + "\n")
        self.process.stdin.flush()
        try:
            line = self.answers.get(timeout=DEADLINE)
        except queue.Empty:
            raise VerbFailedError(f"{verb}{args}: no answer; it says:\n{self.said()}") from None
        if not line:
            raise VerbFailedError(f"{verb}{args}: the program ended; it says:\n{self.said()}")
        answer = json.loads(line)
        if "error" in answer:
            raise VerbFailedError(f"{verb}{args}: {answer['error']}; it says:\n{self.said()}")
        return answer["value"]

    def said(self) -> str:
        self.stderr.seek(0)
        return self.stderr.read()[-3000:]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.stderr.close()


class Tab:
    """A tab of Chromium in which pages of one site stand side by side; a tab for each would be slow."""

    def __init__(self, chromium: webdriver.Chrome, site: str) -> None:
        self.chromium = chromium
        self.site = site
        self.frames = 0
        chromium.get(f"{site}/pages/frames.html")

    def page(self, name: str, url: str, parameters: dict[str, str]) -> "Page":
        """Open a page of the site, with a client that connects to url."""
        self.frames += 1
        self.chromium.execute_script(
            "document.body.append(Object.assign(document.createElement('iframe'), {src: arguments[0]}))",
            self._address(name, url, parameters))
        return Page(self.chromium, f"frames[{self.frames - 1}]")

    def only_page(self, name: str, url: str, parameters: dict[str, str]) -> "Page":
        """Open a page that has the tab for itself."""
        self.chromium.get(self._address(name, url, parameters))
        return Page(self.chromium, "window")

    def _address(self, name: str, url: str, parameters: dict[str, str]) -> str:
        return f"{self.site}/pages/{name}.html?{urlencode({'url': url, **parameters})}"

    def close(self) -> None:
        """Leave the pages."""
        self.chromium.get("about:blank")


class Page(Client):
    """A client in a page."""

    CALL = """
        const [verb, args, done] = arguments;
        const failed = (error) => done({error: String(error?.stack ?? error?.message ?? error)});
        try {
            Promise.resolve(WINDOW.verbs[verb](...args)).then(
                (value) => done({value: value ?? null}), failed);
        } catch (error) {
            failed(error);
        }
    """

    def __init__(self, chromium: webdriver.Chrome, window: str) -> None:
        self.chromium = chromium
        self.window = window
        self.call_script = self.CALL.replace("WINDOW", window)
        self._await_verbs()

    def _await_verbs(self) -> None:
        until(lambda: self.chromium.execute_script(f"return Boolean({self.window}?.verbs)"),
              lambda: f"the page to offer its verbs; {self.said()}")

    def call(self, verb: str, *args: Any) -> Any:
        try:
            answer = self.chromium.execute_async_script(self.call_script, verb, args)
        except TimeoutException:
            raise VerbFailedError(f"{verb}{args}: no answer; {self.said()}") from None
        if "error" in answer:
            raise VerbFailedError(f"{verb}{args}: {answer['error']}; {self.said()}")
        return answer["value"]

    def reload(self) -> None:
        """Load the page again; it is another one then."""
        self.chromium.execute_script(f"delete {self.window}.verbs; {self.window}.location.reload()")
        self._await_verbs()

    def errors(self) -> list[str]:
        return self.chromium.execute_script(f"return {self.window}?.errors ?? []")

    def said(self) -> str:
        console = [entry["message"] for entry in self.chromium.get_log("browser")]
        return f"errors {self.errors()}, console {console[-20:]}"

    def close(self) -> None:
        """Nothing: its tab is left as a whole."""


@contextlib.contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """Run one headless Chromium with a fresh profile."""
    profile = tempfile.mkdtemp(prefix="chromium-")
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", f"--user-data-dir={profile}",
        # two pages take turns in front, and the one behind must not be slowed down
        "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
        "--disable-backgrounding-occluded-windows",
        # what has been left is to be gone
        "--disable-features=BackForwardCache",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.set_script_timeout(DEADLINE)
    driver.set_page_load_timeout(DEADLINE)
    try:
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


WATCH = """
    window.told = [];
    const {fetch} = window;
    window.fetch = async (...request) => {
        const response = await fetch(...request);
        window.told.push(await response.clone().text());
        return response;
    };
    window.WebSocket = class extends WebSocket {
        constructor(...address) {
            super(...address);
            this.addEventListener("message", ({data}) => window.told.push(data));
        }
    };
"""
SUBSCRIBED = """
    const agreed = new Set(told.filter((answer) => answer.startsWith("[{")).flatMap(JSON.parse)
        .filter((message) => message.channel === "/meta/subscribe" && message.successful)
        .map((message) => message.subscription));
    return arguments[0].every((channel) => agreed.has(channel));
"""


def watch(driver: webdriver.Chrome) -> dict[str, Any]:
    """Keep all that servers answer to the pages of this window in their ``told``; returns what ends that."""
    return driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})


def await_subscribed(driver: webdriver.Chrome, *channels: str) -> None:
    """Wait until the server has said to the page, which is watched, that it is subscribed to these.

    That it is connected says nothing of that: what is published then may come before the subscription.
    """
    until(lambda: driver.execute_script(SUBSCRIBED, channels),
          lambda: f"{channels} in {driver.execute_script('return told')}", pause=0.05)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Files of this folder, without a word."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def foreign_pages() -> Iterator[str]:
    """Serve this folder from another site than the server under test; the value is its origin."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=HERE)) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        yield f"http://localhost:{files.server_port}"
        files.shutdown()


class Notes(NamedTuple):
    """What the server under test has noted."""

    requests: list[dict[str, Any]]
    """The HTTP requests answered, upgrades and event streams among them."""
    messages: list[dict[str, Any]]
    """The Bayeux messages that came, by what each came, and by what its session then had its events."""
    ended: list[str]
    """Why sessions ended."""


class Server:
    """The server under test: the same port through all its restarts."""

    def __init__(self, log: Path, **settings: Any) -> None:
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/bayeux"
        self.log = log
        self.log.touch()
        self.settings = settings
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Let it run, and wait until it listens."""
        if self.process is not None:
            return
        command = [sys.executable, str(HERE / "server.py"), str(self.port), str(self.log),
                   json.dumps(self.settings)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line == "listening\n", f"the server under test does not start: {line!r}"

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, if it runs; on SIGTERM it has to end well."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(how)
        status = process.wait(DEADLINE)
        process.stdout.close()
        assert status == (-signal.SIGKILL if how == signal.SIGKILL else 0)

    @property
    def memory(self) -> int:
        """Bytes of memory that it has now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])

    @property
    def cpu(self) -> float:
        """Seconds of processor time that it has taken: whoever else is busy costs none of it."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def notes(self, since: int = 0) -> "Notes":
        """What has happened since that line of the log."""
        lines = [json.loads(line) for line in self._lines()[since:]]
        return Notes(*([line for line in lines if key in line] for key in ("method", "message")),
                     [line["ended"] for line in lines if "ended" in line])

    def settle(self) -> None:
        """Wait until nothing more comes: then all connects are held."""
        seen = [self.mark()]

        def quiet() -> bool:
            seen.append(self.mark())
            return seen[-1] == seen[-2]

        until(quiet, lambda: f"silence, but {seen} lines are in the log", pause=0.15)

    def mark(self) -> int:
        """The line that the log has come to."""
        return len(self._lines())

    def _lines(self) -> list[str]:
        """The lines of the log; the last one may be half written, and is none yet."""
        return self.log.read_text().split("\n")[:-1]
