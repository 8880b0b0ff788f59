"""The command ``bayeux load``: put a load on a server, or set two reports side by side.

Exit status: 0 if all that was expected has come, 1 if something was lost, 2 if the load could not be put on
the server as asked, 130 if it was interrupted and nothing was lost until then.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from bayeux.load import LoadError, options

LOST, FAILED, INTERRUPTED = 1, 2, 130
_COMPARE = "compare"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all that the command takes."""
    parser.usage = "%(prog)s [options] URL\n       %(prog)s compare A.json B.json [--html FILE]"
    parser.description = (
        "Put a load on a Bayeux server: subscribers, publishers, and what became of each message. "
        "'compare' sets two reports side by side. The exit status is 1 if something was lost, 2 if it could "
        "not be done as asked.")
    options.add_arguments(parser)
    parser.add_argument("reports", nargs="*", type=Path, default=(), metavar="FILE", help=argparse.SUPPRESS)


def run(given: argparse.Namespace) -> int:
    """Do as the command line says; returns the exit status."""
    try:
        if given.url == _COMPARE:
            return _compare(given)
        if given.reports:
            raise LoadError(f"one URL is expected, not {given.reports[0]} as well")
        return _load(options.parse(given))
    except LoadError as error:
        print(f"bayeux load: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _load(asked: options.Options) -> int:
    options.check_files(asked)
    from bayeux.load import progress, report, run  # these need the extra

    if asked.html is not None:
        from bayeux.load import page  # before the run: it says so if matplotlib is missing
    started = datetime.now(UTC)
    with progress.choose(asked) as display:
        outcome = run.Run(asked, display).go()
    made = report.build(asked, outcome, started)
    print(report.text(made))
    if asked.json is not None:
        asked.json.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    if asked.html is not None:
        asked.html.write_text(page.of_run(made), encoding="utf-8")
    if made["lost"]:
        return LOST
    return INTERRUPTED if made["interrupted"] else 0


def _compare(given: argparse.Namespace) -> int:
    from bayeux.load import compare

    if len(given.reports) != 2:
        raise LoadError("compare: two reports are expected, A.json B.json")
    compare.run(given.reports, given.html)
    return 0
