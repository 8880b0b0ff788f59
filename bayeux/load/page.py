"""The report as a page: one file that refers to nothing else, light or dark as the reader has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from string import Template

from bayeux.load import plots, report
from bayeux.load.plots import Named, Report

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root {
  --page: #f6f7f9; --card: #ffffff; --ink: #16191d; --faint: #5c6670; --grid: #dde2e7; --band: #eef1f4;
  --series-1: #2166c4; --series-2: #15875c; --series-3: #c45a06; --series-4: #9b3b9e;
  --good: #116b45; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1c2024; --ink: #e8ebee; --faint: #9aa4ae; --grid: #353c43; --band: #24292e;
    --series-1: #62a0f0; --series-2: #3dbb8a; --series-3: #f0924a; --series-4: #cf83d2;
    --good: #52c795; --bad: #f2867e;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
p { margin: .25rem 0; }
.faint { color: var(--faint); }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.note { color: var(--series-3); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem;
  margin: 1.5rem 0; }
.tile, section { background: var(--card); border: 1px solid var(--grid); border-radius: .5rem;
  padding: .75rem 1rem; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.3; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.tile span { color: var(--faint); font-size: .85rem; }
section { margin: 1rem 0; padding: 1rem; overflow-x: auto; }
svg { display: block; width: 100%; height: auto; }
svg text { font-family: inherit !important; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th { color: var(--faint); font-weight: 500; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
tr:last-child td { border-bottom: 0; }
table.facts td:last-child { text-align: left; white-space: normal; overflow-wrap: anywhere; }
table.facts td:first-child { color: var(--faint); width: 11rem; }
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } }
</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")


def of_run(made: Report) -> str:
    """Return the page of one run."""
    latency = made["latency_ms"]
    tiles = [
        ("deliveries a second", f"{made['rate']:,.0f}"),
        ("p50 latency", _ms(latency.get("p50"))),
        ("p99 latency", _ms(latency.get("p99"))),
        ("max latency", _ms(latency.get("max"))),
        ("lost", f"{made['lost']:,}"),
    ]
    if made["server"] is not None and made["server"]["cpu_us_per_delivery"] is not None:
        tiles.append(("server CPU a delivery", f"{made['server']['cpu_us_per_delivery']:,.1f} µs"))
    named = [("", made)]
    body = [
        f"<h1>Load on {escape(made['url'])}</h1>", f'<p class="faint">{escape(_when(made))}</p>',
        _verdict(made), *(f'<p class="note">{escape(note)}</p>' for note in report.verdicts(made)),
        '<div class="tiles">' + "".join(
            f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for name, value in tiles) + "</div>",
        *_plots(named),
        _section("Phases", _phases(made)) if len(made["phases"]) > 1 else "",
        _section("Figures", _facts(report.figures(made))),
    ]
    return _page(f"Load on {made['url']}", body)


def of_comparison(reports: Named, rows: Sequence[Sequence[str]]) -> str:
    """Return the page of several runs side by side, with a table of their figures."""
    names = [name for name, _ in reports]
    body = [
        f"<h1>{escape(' and '.join(names))}</h1>",
        *(f'<p class="faint">{escape(name)}: {escape(made["url"])}, {escape(_when(made))}</p>'
          for name, made in reports),
        _section("Figures", _table(rows)), *_plots(reports),
    ]
    return _page(" and ".join(names), body)


# -- parts --------------------------------------------------------------------------------------

def _page(title: str, body: Iterable[str]) -> str:
    return _PAGE.substitute(title=escape(title), body="\n".join(part for part in body if part))


def _plots(reports: Named) -> Iterable[str]:
    for title, draw in (("Latency over time", plots.latency_over_time),
                        ("Latency by percentile", plots.percentiles),
                        ("Throughput", plots.throughput),
                        ("Processor and memory", plots.processes),
                        ("Time to connect, by percentile", plots.connect_times)):
        drawn = draw(reports)
        if drawn:
            yield _section(title, drawn)


def _verdict(made: Report) -> str:
    expected = f"{made['expected']:,}"
    if not made["expected"]:
        return '<p class="bad">Nothing was expected, so nothing is known.</p>'
    if made["lost"]:
        return f'<p class="bad">{made["lost"]:,} of {expected} deliveries were lost.</p>'
    return f'<p class="good">All {expected} deliveries have come.</p>'


def _when(made: Report) -> str:
    started = made["started"].replace("T", " ").removesuffix("+00:00")
    return (f"{started} UTC, {made['seconds']:g} s measured, "
            f"{made['clients']:,} clients by {made['transport']}, bayeux load {made['version']}")


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f} ms" if value < 100 else f"{value:,.0f} ms"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>"


def _facts(figures: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in figures)
    return f'<table class="facts">{lines}</table>'


def _phases(made: Report) -> str:
    note = "" if all(phase["measured"] for phase in made["phases"]) else '<p class="faint">* not measured</p>'
    return _table(report.phase_rows(made)) + note


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *lines = rows
    return "".join([
        "<table><thead><tr>", *(f"<th>{escape(cell)}</th>" for cell in head), "</tr></thead><tbody>",
        *("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines),
        "</tbody></table>"])
