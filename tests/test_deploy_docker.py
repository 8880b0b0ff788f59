"""``demo/deploy/Dockerfile``, without Docker: what it says is read, and its commands are run as they stand.

Whether it builds is not tried here: that takes a daemon, and base images from elsewhere.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.deployed import DEPLOY, Process, Program
from tests.ports import free_port
from tests.test_demos import TWISTD

ROOT = DEPLOY.parent.parent
Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    """Return the instructions in order, continued lines joined."""
    text = re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Dockerfile").read_text())
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def last(name: str) -> str:
    """Return what the image that results has by that instruction."""
    found: dict[str, str] = {}
    for instruction, rest in instructions():
        if instruction == "FROM":
            found.clear()
        found[instruction] = rest
    return found[name]


def command(name: str) -> list[str]:
    """Return a command in exec form: any other would have a shell between Docker and the server."""
    words: list[str] = json.loads(last(name)[last(name).index("["):])
    assert all(isinstance(word, str) for word in words)
    return words


def test_all_instructions_are_such() -> None:
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
             "ENTRYPOINT", "CMD"}
    assert {name for name, _ in instructions()} <= known
    assert instructions()[0][0] == "FROM"


def test_the_base_is_a_python_that_we_run_on_and_has_no_compiler() -> None:
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert len(set(bases)) == 1
    [version] = re.findall(r"^python:3\.(\d+)-slim$", bases[0])
    assert int(version) >= 11


def test_what_is_copied_is_there() -> None:
    """From the checkout, or from the stage before under the same name."""
    for rest in [rest for name, rest in instructions() if name == "COPY"]:
        *options, source, _ = rest.split()
        assert options in ([], ["--from=build"])
        assert (ROOT / source).exists() or "--from=build" in options
    assert any(rest.endswith("AS build") for name, rest in instructions() if name == "FROM")


def test_nothing_secret_or_large_goes_along() -> None:
    """Of what a checkout may have besides the sources; and these do go."""
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()

    def goes(path: str) -> bool:
        parts = path.split("/")
        return not any(fnmatch(part, pattern.removeprefix("**/"))
                       for pattern in ignored for part in (parts if "**" in pattern else parts[:1]))

    for path in (".git", ".venv", "build", "dist", "tests", "tests/clients/node_modules",
                 "demo/ask_site/secret.key", "bayeux/__pycache__", "txbayeux.egg-info"):
        assert not goes(path), path
    for path in ("setup.cfg", "pyproject.toml", "README.rst", "LICENSE", "bayeux/hub.py",
                 "bayeux/web/static/client.js", "demo/chat/server.py", "twisted/plugins/bayeux_plugin.py"):
        assert (ROOT / path).exists()
        assert goes(path), path


def test_it_does_not_run_as_root() -> None:
    """By number, which Kubernetes wants."""
    user, _, group = last("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    """Return the image's command, at a port that is free here."""
    program, *arguments = command("ENTRYPOINT")
    assert program == "twistd"
    port = free_port()
    assert last("EXPOSE") == "8080"
    arguments += [word.replace("tcp:8080", f"tcp:{port}:interface=127.0.0.1") for word in command("CMD")]
    server = Process(tmp_path / "log", TWISTD, *arguments, port=port)
    server.start()
    yield server
    server.stop(signal.SIGKILL)


def health(server: Process) -> int:
    """Return the status of the image's check of a server."""
    program, *arguments = command("HEALTHCHECK")
    assert program == "python"
    arguments = [word.replace(":8080", f":{server.port}") for word in arguments]
    return subprocess.run([sys.executable, *arguments], stderr=subprocess.DEVNULL, check=False).returncode


def test_it_serves_is_healthy_and_ends_when_it_is_told_to(server: Process) -> None:
    """Q-10: by the signal that Docker sends."""
    Program(server.port, "anybody").join().close()
    assert health(server) == 0
    number = signal.Signals[last("STOPSIGNAL")]
    assert server.stop(number) in (0, -number)
    assert "Traceback" not in server.log.read_text()
    assert health(server) == 1
