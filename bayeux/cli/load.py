"""``bayeux load``: a load on a Bayeux server, and what became of it (``bayeux.load``)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bayeux.load import command

NAME = "load"
HELP = "put a load on a Bayeux server, any that there is, and report"


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command is told."""
    command.add_arguments(parser)


def run(arguments: Namespace) -> None:
    """Do it; raises ``SystemExit`` with its own statuses: 1 if something was lost, 2 if nothing was done."""
    status = command.run(arguments)
    if status:
        raise SystemExit(status)
