"""The units in ``demo/deploy``, by the tools that systemd has for where it is not in charge."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.deployed import DEPLOY, HANDSHAKE, Process, Program
from tests.ports import free_port
from tests.test_demos import TWISTD

NAMES = ("bayeux.service", "bayeux.socket")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Return a folder with the units, which name the command and the settings that are here."""
    (tmp_path / "bayeux.toml").write_text("timeout = 20.0\n")
    for name in NAMES:
        text = (DEPLOY / name).read_text()
        text = text.replace("/opt/bayeux/bin/twistd", TWISTD).replace("/etc/bayeux", str(tmp_path))
        (tmp_path / name).write_text(text)
    return tmp_path


def value(units: Path, unit: str, name: str) -> str:
    """Return what a unit says, its lines joined."""
    text = (units / unit).read_text().replace("\\\n", " ")
    [found] = re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)
    return found


def command_of(units: Path) -> list[str]:
    return shlex.split(value(units, "bayeux.service", "ExecStart"))


def test_systemd_understands_the_units(units: Path) -> None:
    """It says nothing: a misspelled name would be ignored otherwise."""
    done = subprocess.run(["systemd-analyze", "verify", *(str(units / name) for name in NAMES)],
                          capture_output=True, text=True, check=False)
    about_ours = [line for line in (done.stdout + done.stderr).splitlines() if "bayeux." in line]
    assert (done.returncode, about_ours) == (0, []), done.stderr


def test_the_service_is_hardened(units: Path) -> None:
    """By systemd's own count, from 0 (safe) to 10; the threshold is ten times that."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager",
                           str(units / "bayeux.service")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_it_may_open_a_file_for_each_connection(units: Path) -> None:
    """G-19: by default there may be so many."""
    assert int(value(units, "bayeux.service", "LimitNOFILE")) > 100_000


@pytest.fixture
def run(units: Path) -> Iterator[Callable[..., Process]]:
    """Return what runs a command in the folder of the units; it is ended after the test."""
    with ExitStack() as stack:

        def run(port: int, *command: str, pass_fds: tuple[int, ...] = ()) -> Process:
            process = Process(units / "log", *command, port=port, pass_fds=pass_fds)
            stack.callback(process.stop, signal.SIGKILL)
            process.start()
            return process

        yield run


@pytest.fixture
def activated(units: Path, run: Callable[..., Process]) -> Process:
    """Return the command of the unit, that gets its socket from systemd as soon as somebody connects."""
    port = free_port()
    return run(port, "systemd-socket-activate", "-E", "PYTHONPATH", "--fdname", "bayeux.socket",
               "-l", f"127.0.0.1:{port}", *command_of(units))


def test_the_socket_comes_from_systemd(activated: Process) -> None:
    """And who has connected before the server was there is answered."""
    program = Program(activated.port, "first").join("/a")
    program.publish("/a", 1)
    assert program.poll() == [1]
    program.close()
    assert activated.stop() == 0
    assert "Traceback" not in activated.log.read_text()


def test_a_reload_is_a_hangup(activated: Process, units: Path) -> None:
    """Y-10: the command of ``systemctl reload``."""
    Program(activated.port, "first").join().close()
    assert activated.process is not None
    (units / "bayeux.toml").write_text("nonsense = 1\n")
    reload = value(units, "bayeux.service", "ExecReload")
    subprocess.run(shlex.split(reload.replace("$MAINPID", str(activated.process.pid))), check=True)
    activated.told("the old settings are kept")


def test_while_it_starts_again_nobody_is_refused(units: Path, run: Callable[..., Process]) -> None:
    """systemd keeps the socket, so who connects meanwhile waits."""
    with socket.create_server(("127.0.0.1", 0)) as kept:
        # What is passed on begins with number 3, and is for that process alone.
        script = (f"exec 3<&{kept.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=bayeux.socket; "
                  f"exec {shlex.join(command_of(units))}")
        command, port = ("bash", "-c", script), kept.getsockname()[1]
        server = run(port, *command, pass_fds=(kept.fileno(),))
        Program(port, "before").join().close()
        assert server.stop() == 0
        with closing(Program(port, "meanwhile")) as program:
            program.connection.request("POST", "/bayeux", program.encode((HANDSHAKE,)),
                                       {"Content-Type": "application/json"})
            server.start()
            [reply] = json.loads(program.connection.getresponse().read())
        assert reply["successful"]
