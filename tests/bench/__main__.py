"""The command; ``--help`` says what it takes, docs/topics/performance.rst what its figures mean."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path

from tests.bench import machine, servers, table
from tests.bench.figures import Figures
from tests.bench.process import BenchError, raise_open_files
from tests.bench.scale import QUICK, Scale
from tests.bench.scenarios import SCENARIOS, Bench


def arguments() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(
        "Measure txbayeux beside bare floors and beside Faye; each figure is a ratio within one run."))
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO",
                        help=f"which; all if none is named: {', '.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="a smoke test of all, in about a minute")
    parser.add_argument("--runs", type=int, default=1, help="take the medians of so many runs [1]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there too")
    parser.add_argument("--idle", type=int, metavar="N", help=f"how many idle clients [{Scale.idle}]")
    parser.add_argument("--pause", type=float, metavar="SECONDS",
                        help=f"how long to look for pauses [{Scale.pause:g}]")
    parser.add_argument("--many", type=int, metavar="N", help=f"how many clients at most [{Scale.many}]")
    parser.add_argument("--seconds", type=float, help=f"how long each load lasts [{Scale.seconds:g}]")
    parser.add_argument("--no-faye", action="store_true", help="leave Faye out")
    return parser


def main(words: list[str] | None = None) -> int:
    """Measure, print the table; returns the exit status."""
    options = arguments().parse_args(words)
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        print(f"there is no scenario {unknown[0]!r}; known: {', '.join(SCENARIOS)}", file=sys.stderr)
        return 2
    given = {name: value for name in ("idle", "pause", "many", "seconds")
             if (value := getattr(options, name)) is not None}
    scale = replace(QUICK if options.quick else Scale(), **given)
    missing = "" if options.no_faye else servers.faye_missing()
    figures = Figures()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    status = 0
    try:
        raise_open_files()
        if missing:
            _say(missing)
        bench = Bench(scale, figures, not options.no_faye and not missing, _say)
        for run in range(options.runs):
            if options.runs > 1:
                _say(f"-- run {run + 1} of {options.runs}")
            for name in options.scenarios or SCENARIOS:
                try:
                    SCENARIOS[name](bench)
                except BenchError as error:  # the other scenarios are worth having all the same
                    _say(f"{name} has failed: {error}")
                    status = 1
    except KeyboardInterrupt:
        _say("interrupted; what was measured until then:")
        status = 130
    print(f"{machine.describe()}; {options.runs} run{'s' if options.runs > 1 else ''}\n")
    print(table.render(figures))
    for note in [*figures.limited(), *([missing] if missing else [])]:
        print(f"\n{note}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine.describe(), "scale": asdict(scale),
                                            "figures": figures.as_json()}, indent=1) + "\n")
    return status


def _say(text: str) -> None:
    """Tell how it goes, apart from the table."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
