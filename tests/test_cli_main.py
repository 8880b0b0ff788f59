"""cli/main.py: which command is meant, and how it ends."""

from __future__ import annotations

import configparser
import os
import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import bayeux
from bayeux.cli import sign
from bayeux.cli.main import COMMANDS, main
from tests.cli import Shell


def test_the_command_is_installed() -> None:
    config = configparser.ConfigParser()
    config.read(Path(bayeux.__file__).parent.parent / "setup.cfg")
    name, _, place = config["options.entry_points"]["console_scripts"].strip().partition(" = ")
    module, _, function = place.partition(":")
    assert (name, getattr(import_module(module), function)) == ("bayeux", main)


def test_help_names_every_command(shell: Shell) -> None:
    output = shell.output("--help")
    for command in COMMANDS:
        assert re.search(rf"\n    {command.NAME}\s", output)
        assert command.HELP in " ".join(output.split())
    assert [command.NAME for command in COMMANDS] == [
        "publish", "subscribe", "keygen", "sign", "token", "check", "load"]


@pytest.mark.parametrize("command", [command.NAME for command in COMMANDS])
def test_every_command_has_its_help(shell: Shell, command: str) -> None:
    assert shell.output(command, "--help").startswith(f"usage: bayeux {command} ")


def test_the_version(shell: Shell) -> None:
    assert shell.output("--version") == f"txbayeux {bayeux.__version__}\n"


@pytest.mark.parametrize(("arguments", "complaint"), [
    ([], "the following arguments are required: COMMAND"),
    (["nonsense"], "argument COMMAND: invalid choice: 'nonsense'"),
    (["--nonsense"], "the following arguments are required: COMMAND")])
def test_what_cannot_be_meant_ends_with_status_2(shell: Shell, arguments: list[str], complaint: str) -> None:
    assert shell.misuse(*arguments).startswith(complaint)


@pytest.mark.parametrize(("error", "status", "told"), [
    (OSError(28, "No space left on device"), 1, "bayeux sign: No space left on device\n"),
    (KeyboardInterrupt(), 130, "")])
def test_what_comes_between_is_no_traceback(shell: Shell, monkeypatch: pytest.MonkeyPatch,
                                            error: BaseException, status: int, told: str) -> None:
    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(sign, "sign_json", fail)
    assert shell.run("sign", "--key", shell.key(), "/a", "1") == (status, "", told)


def test_the_module_is_the_command(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bayeux", "sign", "--key", "missing.key", "/a", "1"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("bayeux", run_name="__main__")
    assert end.value.code == 1


def process(shell: Shell, *arguments: str, **streams: Any) -> tuple[int, str]:
    """Run the command in a process of its own; returns its status and its errors."""
    with subprocess.Popen([sys.executable, "-m", "bayeux", *arguments], text=True, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, cwd=shell.folder, **streams) as running:
        assert running.stderr is not None
        errors = running.stderr.read()
    return running.returncode, errors


def test_the_real_command(shell: Shell) -> None:
    """``python -m bayeux`` is the same."""
    with open(shell.folder / "out", "w") as out:
        assert process(shell, "sign", "--key", shell.key(), "/a", "1", stdout=out) == (0, "")
    assert (shell.folder / "out").read_text().startswith('[{"channel":"/a"')


def test_a_reader_that_has_seen_enough_is_no_traceback(shell: Shell) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as out:
        assert process(shell, "sign", "--key", shell.key(), "/a", "1", stdout=out) == (1, "")


def test_a_full_disk_is_no_traceback(shell: Shell) -> None:
    with open("/dev/full", "w") as full:
        status, errors = process(shell, "sign", "--key", shell.key(), "/a", "1", stdout=full)
    assert (status, errors) == (1, "bayeux sign: No space left on device\n")
