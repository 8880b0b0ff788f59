"""The report of a run: plain values, as they are written to JSON, and the same as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bayeux._version import __version__
from bayeux.load import LoadError
from bayeux.load.latency import Latencies
from bayeux.load.options import Options
from bayeux.load.outcome import Outcome
from bayeux.load.schedule import Span
from bayeux.load.series import Series

FORMAT = 1
"""Of the file; another one is not understood."""
_SECOND = 1_000_000_000
_MIB = 1_048_576
_BUSY = 0.85
"""From this share of a core on, in any second, a worker may be the limit."""

_STARVED, _MUCH = 1 / 3, 0.05
"""A worker waits too much for a processor from these shares on: of the time in which it has something to do,
and of all time, as whoever is woken for very little always waits for a large part of that."""

Report = dict[str, Any]


# -- values -------------------------------------------------------------------------------------

def build(options: Options, outcome: Outcome, started: datetime) -> Report:
    """Return everything about a run; what is not measured (``measure = false``) only in its phases."""
    spans = outcome.schedule.spans
    reached = [number for number, span in enumerate(spans) if span.stop > span.begin]  # it may be cut short
    phases = {number: _phase(outcome, number) for number in reached}
    measured = [number for number in reached if spans[number].phase.measure]
    latencies = Latencies()
    for number in measured:
        latencies.merge(outcome.parts[number].latencies)
    counts = {name: sum(phases[number][name] for number in measured)
              for name in ("sent", "expected", "received", "lost", "duplicated", "out_of_order")}
    seconds = sum(phases[number]["seconds"] for number in measured)
    published = sum(outcome.parts[number].published for number in measured)
    delivered = sum(outcome.parts[number].delivered for number in measured)
    return {
        "format": FORMAT,
        "version": __version__,
        "url": options.url,
        "started": started.isoformat(timespec="seconds"),
        "interrupted": outcome.interrupted,
        **{name: getattr(options, name) for name in
           ("clients", "channels", "transport", "publishers", "processes", "size")},
        "live": outcome.live,
        "seconds": round(seconds, 3),
        **counts,
        "unsent": outcome.unsent,
        "refused": outcome.refused,
        "errors": dict(outcome.errors.most_common()),
        "rate": _rate(delivered, seconds),
        "sent_rate": _rate(published, seconds),
        "latency_ms": latencies.summary(),
        "connect_ms": outcome.connects.summary(),
        "late_ms": outcome.late.summary(),
        "driver": _driver(outcome, [spans[number] for number in measured], delivered),
        "server": _server(options, outcome, [spans[number] for number in measured], delivered),
        "phases": list(phases.values()),
        "timeline": list(_timeline(outcome)),
        "percentiles": latencies.curve(),
        "histogram": latencies.encode(),
        "connect_percentiles": outcome.connects.curve(),
    }


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 3) if seconds else 0.0


def _phase(outcome: Outcome, number: int) -> Report:
    span, part = outcome.schedule.spans[number], outcome.parts[number]
    seconds = (span.stop - span.begin) / _SECOND
    received = part.latencies.count
    return {
        "name": span.phase.name, "begin": round((span.begin - outcome.schedule.begin) / _SECOND, 3),
        "seconds": round(seconds, 3), "measured": span.phase.measure, "sent": part.sent,
        "expected": received + part.lost, "received": received, "lost": part.lost,
        "duplicated": part.duplicated, "out_of_order": part.out_of_order,
        "rate": _rate(part.delivered, seconds), "latency_ms": part.latencies.summary(),
    }


def _seconds(outcome: Outcome, span: Span) -> Iterator[tuple[int, int]]:
    """Yield the seconds of the run that are in a phase from beginning to end."""
    begin = outcome.schedule.begin
    start = span.begin + (begin - span.begin) % _SECOND
    while start + _SECOND <= span.stop:
        yield start, start + _SECOND
        start += _SECOND


def _driver(outcome: Outcome, spans: list[Span], delivered: int) -> Report:
    seconds = sum(span.stop - span.begin for span in spans) / _SECOND
    ran = [_growth(cpu, spans) for cpu in outcome.cpu]
    waited = [_growth(waited, spans) for waited in outcome.waited]
    busiest = round(max(*(cpu.rate(start, end) * _SECOND for cpu in outcome.cpu
                          for span in spans for start, end in _seconds(outcome, span)),
                        *(used / seconds if seconds else 0.0 for used in ran), 0.0), 3)
    starved = round(max(wait / (wait + used) if wait > _MUCH * seconds else 0.0
                        for wait, used in zip(waited, ran, strict=True)), 3)
    used = _growth(outcome.own_cpu, spans) + sum(ran)
    return {
        "cpu": round(used / seconds, 3) if seconds else 0.0,
        "busiest": busiest,
        "waited": starved,
        "cpu_us_per_delivery": round(used / delivered * 1e6, 2) if delivered else None,
        "limited": busiest > _BUSY,
        "starved": starved > _STARVED,
    }


def _growth(series: Series, spans: list[Span]) -> float:
    return sum(series.growth(span.begin, span.stop) for span in spans)


def _server(options: Options, outcome: Outcome, spans: list[Span], delivered: int) -> Report | None:
    server = outcome.server
    if server is None or not len(server.cpu):
        return None
    seconds = sum(span.stop - span.begin for span in spans) / _SECOND
    used = _growth(server.cpu, spans)
    idle = server.rss.at(0)
    return {
        "pids": list(options.pid),
        "cpu": round(used / seconds, 3) if seconds else 0.0,
        "cpu_us_per_delivery": round(used / delivered * 1e6, 2) if delivered else None,
        "rss_mib_before": round(server.rss_before / _MIB, 2),
        "rss_mib_idle": round(idle / _MIB, 2),
        "rss_mib": round(server.rss.at(outcome.ended) / _MIB, 2),
        "rss_kib_per_client": round((idle - server.rss_before) / 1024 / options.clients, 2),
    }


def _timeline(outcome: Outcome) -> Iterator[Report]:
    begin = outcome.schedule.begin
    for number, second in enumerate(outcome.seconds):
        start, end = begin + number * _SECOND, begin + (number + 1) * _SECOND
        if start >= outcome.schedule.stop and not second.latencies.count:
            break
        summary = second.latencies.quick()
        line: Report = {
            "second": number + 1, "sent": second.sent, "received": second.latencies.count,
            "live": second.live, "errors": second.errors,
            **{name: summary.get(name) for name in ("p50", "p90", "p99", "max")},
            "driver_cpu": round(sum(cpu.rate(start, end) for cpu in [*outcome.cpu, outcome.own_cpu])
                                * _SECOND, 3),
        }
        if outcome.server is not None and len(outcome.server.cpu):
            line["server_cpu"] = round(outcome.server.cpu.rate(start, end) * _SECOND, 3)
            line["server_rss_mib"] = round(outcome.server.rss.at(end) / _MIB, 2)
        yield line


def read(path: Path) -> Report:
    """Read a report.  Raises ``LoadError``."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise LoadError(f"{path}: not JSON: {error}") from None
    if not isinstance(report, dict) or report.get("format") != FORMAT or "latency_ms" not in report:
        raise LoadError(f"{path}: no report of this version of bayeux load (--json FILE writes one)")
    return report


# -- text ---------------------------------------------------------------------------------------

def verdicts(report: Report) -> Iterator[str]:
    """Yield what has to be known before the figures are believed."""
    if report["interrupted"]:
        yield "interrupted: the figures are of what was done until then"
    if report["live"] < report["clients"]:
        yield f"only {report['live']} of {report['clients']} clients are live at the end"
    if report["driver"]["limited"]:
        yield (f"the driver is the bottleneck: a worker used {report['driver']['busiest']:.0%} of a core in "
               "its busiest second; use more --processes, or another machine")
    if report["driver"].get("starved"):  # reports of earlier versions do not say
        yield (f"the driver had to wait for a processor, a worker for {report['driver']['waited']:.0%} of "
               "the time in which it had something to do, and so latencies are too high: leave it a core "
               "that nobody else has, or use another machine")
    if report["unsent"]:
        yield (f"{report['unsent']} messages were due and could not be published: the publishers were not "
               "answered in time, or the driver did not get to them: it or the server has too much to do, or "
               "there are too few --publishers")
    late = report["late_ms"].get("p99", 0.0)
    if late > 100 and not report["driver"]["limited"]:
        yield (f"one message in a hundred was published {late:.0f} ms late or more: its publisher waited for "
               "an answer, or this machine was busy")


def figures(report: Report) -> Iterator[tuple[str, str]]:
    """Yield names and values, for people."""
    yield "clients", (f"{report['clients']:,} by {report['transport']}, {report['channels']:,} channels, "
                      f"{report['publishers']} publishers")
    yield "published", f"{report['sent']:,}, {report['sent_rate']:,.1f} a second in {report['seconds']:g} s"
    yield "delivered", (f"{report['received']:,} of {report['expected']:,} expected, "
                        f"{report['rate']:,.0f} a second")
    yield "lost", f"{report['lost']:,}"
    yield "duplicated", f"{report['duplicated']:,}"
    yield "out of order", f"{report['out_of_order']:,}"
    for name, what in (("latency", "latency_ms"), ("connect time", "connect_ms")):
        if report[what]:
            yield name, ", ".join(f"{key} {report[what][key]:,.2f}" for key in
                                  ("p50", "p90", "p99", "p99.9", "max")) + " ms"
    server = report["server"]
    if server is not None:
        yield "server's CPU", _cpu(server)
        yield "server's memory", (
            f"{server['rss_mib']:,.1f} MiB; with all clients idle {server['rss_mib_idle']:,.1f}, before them "
            f"{server['rss_mib_before']:,.1f}: {server['rss_kib_per_client']:g} KiB a client")
    yield "driver's CPU", _cpu(report["driver"])
    for kind, count in report["errors"].items():
        yield "errors", f"{count:,} x {kind}"


def _cpu(used: Report) -> str:
    each = used["cpu_us_per_delivery"]
    return f"{used['cpu']:.2f} cores" + ("" if each is None else f", {each:.1f} us a delivery")


def text(report: Report) -> str:
    """Return the report for a terminal."""
    lines = [f"{name:<16}{value}" for name, value in figures(report)]
    phases = report["phases"]
    if len(phases) > 1:
        lines += ["", *table(phase_rows(report))]
        if not all(phase["measured"] for phase in phases):
            lines.append("* not measured")
    notes = [f"! {note}" for note in verdicts(report)]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def phase_rows(report: Report) -> list[tuple[str, ...]]:
    """Return a row for each phase, and one before them that says what is in them."""
    rows: list[tuple[str, ...]] = [
        ("phase", "s", "published", "delivered", "lost", "a second", "p50 ms", "p99 ms", "max ms")]
    for phase in report["phases"]:
        latency = phase["latency_ms"]
        rows.append((
            phase["name"] + ("" if phase["measured"] else " *"), f"{phase['seconds']:g}",
            f"{phase['sent']:,}", f"{phase['received']:,}", f"{phase['lost']:,}", f"{phase['rate']:,.0f}",
            *(f"{latency[key]:,.2f}" if latency else "-" for key in ("p50", "p99", "max"))))
    return rows


def table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0]),
                 *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()
