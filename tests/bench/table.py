"""The table that is printed."""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.figures import Figure
from tests.bench.servers import FAYE, FLOOR, TXBAYEUX

_HEAD = ("figure", "unit", TXBAYEUX, FLOOR, "x floor", FAYE, "x Faye", "mark")


def render(figures: Iterable[Figure]) -> str:
    """Return a table with a block for each scenario; ``x floor`` is txbayeux's ratio to the floor."""
    blocks: dict[str, list[tuple[str, ...]]] = {}
    for figure in figures:
        blocks.setdefault(figure.scenario, []).append(_row(figure))
    rows = [row for block in blocks.values() for row in block]
    widths = [max(len(row[column]) for row in [_HEAD, *rows]) for column in range(len(_HEAD))]
    lines = [_line(_HEAD, widths), "  ".join("-" * width for width in widths)]
    for scenario, block in blocks.items():
        lines += [f"{scenario}:", *(_line(row, widths) for row in block)]
    return "\n".join(lines)


def _row(figure: Figure) -> tuple[str, ...]:
    marks = ", ".join(f"{mark}: {'kept' if kept else 'MISSED'}" for mark, _, kept in figure.verdicts())
    return (figure.name, figure.unit, _number(figure.value(TXBAYEUX)), _number(figure.value(FLOOR)),
            _number(figure.ratio(FLOOR)), _number(figure.value(FAYE)), _number(figure.ratio(FAYE)), marks)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 1000 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    words = (cell.ljust(width) if column in (0, 1, len(widths) - 1) else cell.rjust(width)
             for column, (cell, width) in enumerate(zip(cells, widths, strict=True)))
    return "  ".join(words).rstrip()
