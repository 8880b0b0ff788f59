"""The command line: which command is meant, and with what status it ends."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Protocol

from bayeux._version import __version__
from bayeux.cli import CommandError, check, keygen, load, publish, sign, subscribe, token


class Command(Protocol):
    """What the module of a command has."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say what the command is told; ``parser.description`` what it does."""

    def run(self, arguments: Namespace) -> None:
        """Do it; raises ``CommandError``."""


COMMANDS: tuple[Command, ...] = (publish, subscribe, keygen, sign, token, check, load)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, by default those of the process.

    Returns its exit status: 0, or 1 after one line on the standard error that says what went wrong.
    Raises ``SystemExit`` with 2 for arguments that cannot be meant.
    """
    parser = ArgumentParser(prog="bayeux", description="Tools for a Bayeux server; twistd bayeux runs it.")
    parser.add_argument("--version", action="version", version=f"txbayeux {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    for command in COMMANDS:
        one = commands.add_parser(command.NAME, help=command.HELP)
        command.add_arguments(one)
        one.set_defaults(run=command.run)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except CommandError as error:
        print(f"bayeux {options.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # who reads has seen enough; the interpreter is not to try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"bayeux {options.command}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
