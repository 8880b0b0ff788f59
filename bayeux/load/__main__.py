"""The command: ``python -m bayeux.load URL``, and ``python -m bayeux.load compare A.json B.json``.

Exit status: 0 if all that was expected has come, 1 if something was lost, 2 if the load could not be put on
the server as asked, 130 if it was interrupted and nothing was lost until then.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from bayeux.load import LoadError, options

LOST, FAILED, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Do as the command line says; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == ["compare"]:
            return _compare(words[1:])
        return _load(words)
    except LoadError as error:
        print(f"bayeux load: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _load(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bayeux load", description=(
        "Put a load on a Bayeux server: subscribers, publishers, and what became of each message. "
        "'bayeux load compare A.json B.json' sets two reports side by side."))
    options.add_arguments(parser)
    asked = options.parse(parser.parse_args(words))
    options.check_files(asked)
    from bayeux.load import progress, report, run  # they need the extra

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


def _compare(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bayeux load compare", description=(
        "Set two reports side by side."))
    from bayeux.load import compare

    compare.add_arguments(parser)
    return compare.run(parser.parse_args(words))


if __name__ == "__main__":
    sys.exit(main())
