"""The command ``bayeux`` for tests: what it is given, what it says, and how it ends."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.threads import deferToThread

from bayeux.cli.main import main

SECRET = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"


def in_process(*arguments: str, stdin: str = "") -> Any:
    """Run the command in a process of its own, while the reactor runs on."""
    return deferToThread(subprocess.run, [sys.executable, "-m", "bayeux", *arguments], input=stdin,
                         capture_output=True, text=True, timeout=60)


class Shell:
    """Runs commands in a folder; pytest's ``capsys`` and ``monkeypatch`` do the work."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str],
                 monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(folder)

    def key(self, name: str = "web-a.key", secret: str = SECRET, mode: int = 0o600) -> str:
        """Write the file of a secret; returns its name."""
        (self.folder / name).write_text(secret + "\n")
        (self.folder / name).chmod(mode)
        return name

    def run(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Run a command; returns its status, its output and its errors."""
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = main(arguments)
        except SystemExit as end:
            assert isinstance(end.code, int)
            status = end.code
        output, errors = self._capsys.readouterr()
        return status, output, errors

    def output(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run a command that succeeds; returns its output."""
        status, output, errors = self.run(*arguments, stdin=stdin)
        assert (status, errors) == (0, "")
        return output

    def complaint(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run a command that fails; returns the one line that says why."""
        status, output, errors = self.run(*arguments, stdin=stdin)
        assert (status, output) == (1, "")
        [line] = errors.splitlines()
        assert line.startswith(f"bayeux {arguments[0]}: ")
        return line.partition(": ")[2]

    def misuse(self, *arguments: str) -> str:
        """Run a command with arguments that cannot be meant; returns the line that says what is wrong."""
        status, output, errors = self.run(*arguments)
        assert (status, output) == (2, "")
        assert errors.startswith("usage: bayeux")
        return errors.splitlines()[-1].partition(": error: ")[2]
