"""One handle for every kind of client: a program that speaks JSON lines, or a page in Chromium.

Both offer the same verbs (``verbs/*.mjs``, ``programs/``), so that one scenario serves all clients.
"""

import contextlib
import http.server
import json
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from selenium import webdriver
from selenium.common.exceptions import TimeoutException

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


def page_address(site: str, name: str, url: str, parameters: dict[str, str]) -> str:
    """Where a site has the page of a client library that connects to url."""
    return f"{site}/pages/{name}.html?{urlencode({'url': url, **parameters})}"


class Page(Client):
    """A client in a tab of Chromium."""

    CALL = """
        const [verb, args, done] = arguments;
        const failed = (error) => done({error: String(error?.stack ?? error?.message ?? error)});
        try {
            Promise.resolve(window.verbs[verb](...args)).then(
                (value) => done({value: value ?? null}), failed);
        } catch (error) {
            failed(error);
        }
    """

    def __init__(self, chromium: webdriver.Chrome, address: str) -> None:
        self.chromium = chromium
        chromium.switch_to.new_window("tab")
        self.tab = chromium.current_window_handle
        chromium.get(address)
        until(lambda: chromium.execute_script("return Boolean(window.verbs)"),
              lambda: f"{address} to offer its verbs; {self.said()}")

    def _focus(self) -> None:
        if self.chromium.current_window_handle != self.tab:
            self.chromium.switch_to.window(self.tab)

    def call(self, verb: str, *args: Any) -> Any:
        self._focus()
        try:
            answer = self.chromium.execute_async_script(self.CALL, verb, args)
        except TimeoutException:
            raise VerbFailedError(f"{verb}{args}: no answer; {self.said()}") from None
        if "error" in answer:
            raise VerbFailedError(f"{verb}{args}: {answer['error']}; {self.said()}")
        return answer["value"]

    def errors(self) -> list[str]:
        self._focus()
        return self.chromium.execute_script("return window.errors")

    def said(self) -> str:
        console = [entry["message"] for entry in self.chromium.get_log("browser")]
        return f"errors {self.errors()}, console {console[-20:]}"

    def close(self) -> None:
        self._focus()
        self.chromium.close()
        self.chromium.switch_to.window(self.chromium.window_handles[0])


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


class Server:
    """The server under test: the same port through all its restarts."""

    def __init__(self, log: Path, **settings: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
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

    def notes(self, since: int = 0) -> tuple[list[dict[str, Any]], list[str]]:
        """The Bayeux requests answered, and why sessions ended, since that line of the log."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()[since:]]
        return ([line for line in lines if "ended" not in line],
                [line["ended"] for line in lines if "ended" in line])

    def mark(self) -> int:
        """The line that the log has come to."""
        return len(self.log.read_text().splitlines())
