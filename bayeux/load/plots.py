"""Plots as SVG that stands in a page: its colours are the page's, light or dark, and it refers to nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from bayeux.load import EXTRA, LoadError

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator
except ImportError:
    raise LoadError(EXTRA) from None

Report = dict[str, Any]
Named = Sequence[tuple[str, Report]]
"""One report, or two, and what each is called."""

INK, FAINT, GRID, BAND = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#050501", "#050502", "#050503", "#050504")
OTHERS = (SERIES[0], SERIES[2])
"""For two runs in one plot."""
_VARIABLES = {INK: "--ink", FAINT: "--faint", GRID: "--grid", BAND: "--band",
              **{color: f"--series-{number}" for number, color in enumerate(SERIES, 1)}}
"""Colours stand for variables of the page's style."""

_SETTINGS: Any = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "text.color": INK,
    "axes.edgecolor": GRID, "axes.labelcolor": FAINT, "axes.titlecolor": INK, "axes.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "axes.grid": True, "axes.grid.axis": "y", "grid.color": GRID, "grid.linewidth": 0.8,
    "axes.axisbelow": True, "xtick.color": FAINT, "ytick.color": FAINT, "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT, "ytick.major.size": 0, "lines.linewidth": 1.6,
    "lines.solid_joinstyle": "round", "legend.frameon": False, "legend.labelcolor": INK,
    "legend.handlelength": 1.4, "figure.facecolor": "none", "savefig.facecolor": "none",
}
_WIDTH = 9.0
_NINES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
_DECADES = 20
"""A range wider than this factor is shown on a logarithmic scale."""


def latency_over_time(reports: Named) -> str:
    """Draw percentiles of each second; of several reports only the 99th."""
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        values: list[float] = []
        if len(reports) == 1:
            report = reports[0][1]
            values += _line(axes, report, "max", "max", SERIES[3], dotted=True)
            for color, name in zip(SERIES[2::-1], ("p99", "p90", "p50"), strict=True):
                values += _line(axes, report, name, name, color)
            _phases(axes, report)
        else:
            for color, (label, report) in zip(OTHERS, reports, strict=False):
                values += _line(axes, report, "p99", f"{label}: p99", color)
        _finish(axes, "ms", values, wide=True)

    return _svg("Latency over time", 3.0, draw)


def percentiles(reports: Named) -> str:
    """Draw how latency grows from percentile to percentile."""
    return _curves(reports, "percentiles", "Latency by percentile", "of all deliveries")


def connect_times(reports: Named) -> str:
    """Draw the same of how long clients took to be live."""
    return _curves(reports, "connect_percentiles", "Time to connect, by percentile", "of all clients")


def _curves(reports: Named, key: str, title: str, of: str) -> str:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        values: list[float] = []
        nines = 1.0
        for color, (label, report) in zip(OTHERS, reports, strict=False):
            curve = [(percent, value) for percent, value in report[key] if percent < 100]
            places = [1 / (1 - percent / 100) for percent, _ in curve]
            nines = max([nines, *places])
            axes.plot(places, [value for _, value in curve], color=color, label=label, marker="o",
                      markersize=3)
            values += [value for _, value in curve]
        axes.set_xscale("log")
        shown = [percent for percent in _NINES if 1 / (1 - percent / 100) <= nines * 1.01]
        axes.xaxis.set_major_locator(FixedLocator([1 / (1 - percent / 100) for percent in shown]))
        axes.xaxis.set_major_formatter(FixedFormatter([f"{percent:g} %" for percent in shown]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(of)
        _finish(axes, "ms", values, legend=len(reports) > 1, seconds=False, wide=True)

    return _svg(title, 2.8, draw) if any(report[key] for _, report in reports) else ""


def throughput(reports: Named) -> str:
    """Draw what was published and delivered each second."""
    def draw(figure: Figure) -> None:
        delivered, published = figure.subplots(2, sharex=True, height_ratios=(2, 1))
        for axes, key, what in ((delivered, "received", "delivered a second"),
                                (published, "sent", "published a second")):
            values: list[float] = []
            for color, (label, report) in zip(OTHERS, reports, strict=False):
                values += _line(axes, report, key, label, color)
            if len(reports) == 1:
                _phases(axes, reports[0][1], name=axes is delivered)
            _finish(axes, what, values, legend=len(reports) > 1 and axes is delivered,
                    seconds=axes is published)

    return _svg("Throughput", 3.8, draw)


def processes(reports: Named) -> str:
    """Draw the CPU and the memory of the server, as far as they are known, and the driver's CPU."""
    known = [(label, report) for label, report in reports if report["server"] is not None]

    def draw(figure: Figure) -> None:
        cpu, memory = figure.subplots(2, sharex=True)
        used: list[float] = []
        rss: list[float] = []
        for color, (label, report) in zip(OTHERS, known, strict=False):
            mine = f"{label}: " if len(reports) > 1 else ""
            used += _line(cpu, report, "server_cpu", f"{mine}server", color)
            rss += _line(memory, report, "server_rss_mib", f"{mine}server", color)
            if len(reports) == 1:
                used += _line(cpu, report, "driver_cpu", "driver", SERIES[2])
                _phases(cpu, report)
                _phases(memory, report, name=False)
        _finish(cpu, "cores", used, seconds=False)
        _finish(memory, "MiB in memory", rss, legend=False)

    return _svg("Processor and memory", 4.0, draw) if known else ""


# -- parts --------------------------------------------------------------------------------------

def _line(axes: Axes, report: Report, key: str, label: str, color: str, dotted: bool = False) -> list[float]:
    """Draw one value of each second; returns the values that there are."""
    timeline = report["timeline"]
    values = [line.get(key) for line in timeline]
    axes.plot([line["second"] for line in timeline],
              [float("nan") if value is None else value for value in values], color=color, label=label,
              linestyle=":" if dotted else "-", marker="o" if len(timeline) < 3 else "", markersize=4)
    axes.update_datalim([(line["second"], 0) for line in timeline], updatey=False)  # those without one too
    return [value for value in values if value is not None]


def _phases(axes: Axes, report: Report, name: bool = True) -> None:
    """Mark where phases begin, and shade those that are not measured."""
    for phase in report["phases"]:
        begin, end = phase["begin"], phase["begin"] + phase["seconds"]
        if not phase["measured"]:
            axes.axvspan(begin, end, color=BAND, linewidth=0, zorder=0)
        elif begin:
            axes.axvline(begin, color=GRID, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
        if name and len(report["phases"]) > 1:
            axes.annotate(phase["name"].replace("$", r"\$"), (begin, 1), (3, -3),
                          xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
                          fontsize=8, color=FAINT)


def _finish(axes: Axes, unit: str, values: Iterable[float], *, legend: bool = True, seconds: bool = True,
            wide: bool = False) -> None:
    """Set scales and labels: from zero, or logarithmic where values differ very much."""
    axes.set_title(unit, loc="left", fontsize=9, color=FAINT, pad=8)
    known = [value for value in values if value > 0]
    if wide and known and max(known) > _DECADES * min(known):
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(top=max(known) * 2)
    else:
        axes.set_ylim(0, max(known, default=1) * 1.2)
        axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    if seconds:
        axes.set_xlabel("seconds")
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.margins(x=0.01)
    if legend:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.2)


def _svg(title: str, height: float, draw: Any) -> str:
    with rc_context(_SETTINGS):
        figure = Figure((_WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None,
                                                        "Type": None})
    return _inline(written.getvalue(), title)


def _inline(text: str, title: str) -> str:
    """Make an SVG file a part of a page."""
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    head, rest = text.split(">", 1)
    size = re.search(r'viewBox="[^"]*"', head)
    text = f'<svg role="img" aria-label="{escape(title)}" {size[0] if size else ""}>{rest}'
    prefix = re.sub(r"\W+", "-", title.lower())
    text = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{prefix}-", text)
    return re.sub(r"#0[0-5]0[0-5]0[0-5]", lambda found: f"var({_VARIABLES.get(found[0], '--ink')})", text)
