"""Two reports side by side: ``bayeux load compare A.json B.json``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bayeux.load import options, report
from bayeux.load.report import Report

_FIGURES: list[tuple[str, tuple[str, ...], str]] = [
    ("clients", ("clients",), ",.0f"),
    ("published a second", ("sent_rate",), ",.1f"),
    ("delivered a second", ("rate",), ",.0f"),
    ("expected", ("expected",), ",.0f"),
    ("lost", ("lost",), ",.0f"),
    ("duplicated", ("duplicated",), ",.0f"),
    ("out of order", ("out_of_order",), ",.0f"),
    *((f"latency {name}, ms", ("latency_ms", name), ",.2f")
      for name in ("p50", "p90", "p99", "p99.9", "max")),
    *((f"connect time {name}, ms", ("connect_ms", name), ",.2f") for name in ("p50", "p99", "max")),
    ("server's CPU, cores", ("server", "cpu"), ",.2f"),
    ("server's CPU a delivery, us", ("server", "cpu_us_per_delivery"), ",.1f"),
    ("server's memory, MiB", ("server", "rss_mib"), ",.1f"),
    ("memory a client, KiB", ("server", "rss_kib_per_client"), ",.2f"),
    ("driver's CPU a delivery, us", ("driver", "cpu_us_per_delivery"), ",.1f"),
]
_SAME = ("transport", "channels", "publishers", "size", "clients")
"""Where runs differ in these they are different loads."""
_NEARLY = 0.05
"""By so much of the higher one two rates may differ."""


def run(paths: Sequence[Path], html: Path | None) -> None:
    """Print the table, and write the page if it is wanted.  Raises ``LoadError``."""
    reports = [report.read(path) for path in paths]
    names = _names(paths)
    rows = table(names, reports)
    if html is not None:
        from bayeux.load import page  # it needs matplotlib

        options.check_writable(html)
        html.write_text(page.of_comparison(list(zip(names, reports, strict=True)), rows), encoding="utf-8")
    print("\n".join(report.table(rows)))
    for note in differences(names, reports):
        print(f"! {note}")


def _names(paths: Sequence[Path]) -> list[str]:
    """Return what to call the reports: their files' names, unless those are the same."""
    names = [path.stem for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def table(names: list[str], reports: list[Report]) -> list[tuple[str, ...]]:
    """Return a row for each figure that is in one of them: both values, and the second by the first."""
    rows: list[tuple[str, ...]] = [("", *names, "ratio")]
    for name, path, form in _FIGURES:
        values = [_value(made, path) for made in reports]
        if all(value is None for value in values):
            continue
        first, second = values
        ratio = f"{second / first:.2f}" if first and second is not None else "-"
        rows.append((name, *("-" if value is None else format(value, form) for value in values), ratio))
    return rows


def _value(made: Any, path: tuple[str, ...]) -> float | None:
    for key in path:
        made = made.get(key) if isinstance(made, dict) else None
    return made if isinstance(made, int | float) else None


def differences(names: list[str], reports: list[Report]) -> Iterator[str]:
    """Yield what makes the two hard to compare."""
    for key in _SAME:
        first, second = (made.get(key) for made in reports)
        if first != second:
            yield f"different loads: {key} is {first} in {names[0]}, {second} in {names[1]}"
    first, second = (made["sent_rate"] for made in reports)
    if abs(first - second) > _NEARLY * max(first, second):
        yield (f"different loads: {first:g} messages a second were published in {names[0]}, {second:g} in "
               f"{names[1]}")
    for name, made in zip(names, reports, strict=True):
        if made["driver"]["limited"]:
            yield f"{name}: the driver was the bottleneck"
        if made["driver"].get("starved"):
            yield f"{name}: the driver had to wait for a processor"
        if made["interrupted"]:
            yield f"{name}: interrupted"
