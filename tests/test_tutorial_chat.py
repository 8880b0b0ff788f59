"""The tutorial of the chat is followed to the letter, in an empty folder and with a real browser."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.clients.drivers import DEADLINE, await_subscribed, chromium, until, watch
from tests.ports import free_port
from tests.test_tutorials import DOCS, blocks

PAGE = DOCS / "tutorial" / "chat.rst"


class Reader:
    """Somebody who does what the page says; only the ports are others, as those may be taken."""

    def __init__(self, folder: Path, page: Path = PAGE) -> None:
        self.folder = folder
        self.page = page
        self.ports = {"8080": str(free_port()), "8000": str(free_port())}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        commands = folder / "bin"
        commands.mkdir()
        twistd = Path(sys.executable).with_name("twistd")
        listen = f" --listen tcp:{self.ports['8080']}:interface=127.0.0.1" if page == PAGE else ""
        for name, command in {"bayeux": f'{sys.executable} -m bayeux "$@"',
                              "twistd": f'{twistd} "$@"{listen}',
                              "python3": f'{sys.executable} "$@"'}.items():
            (commands / name).write_text(f"#!/bin/sh\nexec {command}\n")
            (commands / name).chmod(0o755)
        self.environment = {"PATH": f"{commands}:/usr/bin:/bin", "PYTHONPATH": str(DOCS.parent)}

    def read(self, language: str) -> list[str]:
        return [re.sub("8080|8000", lambda port: self.ports[port[0]], block)
                for block in blocks(self.page, language)]

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def append(self, name: str, text: str) -> None:
        self.write(name, (self.folder / name).read_text() + "\n" + text)

    def start(self, command: str, port: str) -> None:
        """Run what goes on in its terminal, until it listens."""
        log = self.folder / f"{port}.log"
        with log.open("wb") as output:
            self.running[port] = subprocess.Popen(shlex.split(command), cwd=self.folder, env=self.environment,
                                                  stdin=subprocess.DEVNULL, stdout=output, stderr=output)

        def listens() -> bool:
            assert self.running[port].poll() is None, log.read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", int(self.ports[port]))) == 0

        until(listens, log.read_text)

    def stop(self, port: str) -> None:
        process = self.running.pop(port)
        process.terminate()
        process.wait(DEADLINE)

    def run(self, command: str) -> str:
        """Run a command that ends; what it says, its errors first."""
        ended = subprocess.run(["/bin/sh", "-c", command], cwd=self.folder, env=self.environment, text=True,
                               capture_output=True, timeout=DEADLINE, check=False)
        return ended.stderr + ended.stdout

    def close(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.close()


def shows(driver: Chrome, element: str, text: str) -> None:
    """Wait until an element of the page has that text."""
    def found() -> bool:
        return driver.find_element(By.ID, element).text == text

    until(found, lambda: (text, driver.find_element(By.TAG_NAME, "body").text, driver.get_log("browser")))


def sessions(console: str) -> list[tuple[str, str]]:
    """Return the commands in a block, and what each says."""
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", console, re.M)


def test_it_works_to_the_letter(reader: Reader) -> None:
    settings, rules = reader.read("toml")
    [page], [line] = reader.read("html"), reader.read("javascript")
    _, serve, serve_page, listen = reader.read("shell")
    hello, make_key, try_it = (sessions(block) for block in reader.read("console"))
    reader.write("bayeux.toml", settings)
    (reader.folder / "public").mkdir()
    reader.write("public/index.html", page)
    reader.start(serve, "8080")
    reader.start(serve_page, "8000")
    with chromium() as driver:
        watch(driver)
        chat(reader, driver, hello)
        hears(reader, driver, listen)
        said = [(reader.run(command), output) for command, output in make_key]
        reader.write("public/index.html", page.replace("</script>", f"{line}</script>"))
        reader.append("bayeux.toml", rules)
        reader.stop("8080")
        shows(driver, "state", "reconnecting")
        reader.start(serve, "8080")
        shows(driver, "state", "connected")
        open_page(reader, driver, "/chat/lobby", "/news/*")
        said += [(reader.run(command), output) for command, output in try_it]
        assert [actual for actual, _ in said] == [expected for _, expected in said]
        shows(driver, "news", "It works")
        assert "I was here" not in driver.page_source


def open_page(reader: Reader, driver: Chrome, *channels: str) -> None:
    """Open the page in a window that is watched; it hears of these channels then."""
    driver.get(f"http://127.0.0.1:{reader.ports['8000']}/")
    shows(driver, "state", "connected")
    await_subscribed(driver, *channels)


def chat(reader: Reader, driver: Chrome, hello: Any) -> None:
    """Talk from one window to another, and from the shell to both."""
    open_page(reader, driver, "/chat/lobby")
    first = driver.current_window_handle
    driver.switch_to.new_window("window")
    watch(driver)
    open_page(reader, driver, "/chat/lobby")
    say(driver, "Ann", "<b>hello</b>")
    said = "Ann: <b>hello</b>"
    shows(driver, "said", said)
    [(command, nothing)] = hello
    assert reader.run(command) == nothing
    shows(driver, "said", f"{said}\nthe shell: hello")
    driver.close()
    driver.switch_to.window(first)
    shows(driver, "said", f"{said}\nthe shell: hello")


def hears(reader: Reader, driver: Chrome, listen: str) -> None:
    """Listen in the shell to what is said in a window."""
    listening = subprocess.Popen(shlex.split(listen), cwd=reader.folder, env=reader.environment, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until(lambda: say(driver, "Bob", "well?") or listening.poll() is not None,
              lambda: "an event", pause=0.3)
        heard = '{"channel":"/chat/lobby","data":{"name":"Bob","text":"well?"}}\n'
        assert listening.communicate()[0] == heard
    finally:
        listening.kill()
        listening.wait()


def say(driver: Chrome, name: str, text: str) -> None:
    """Say something, when what was said before is said."""
    until(lambda: driver.find_element(By.ID, "text").get_property("value") == "", lambda: "it is not said")
    for element, value in (("name", name), ("text", text)):
        field = driver.find_element(By.ID, element)
        field.clear()
        field.send_keys(value)
    driver.find_element(By.TAG_NAME, "button").click()
