"""load/page.py and load/plots.py: the report as one file that refers to nothing else."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from bayeux.load import LoadError, page, plots
from bayeux.load.report import Report
from tests.reports import made, options

VOID = {"meta", "br", "use", "path"}
SECTIONS = ["Latency over time", "Latency by percentile", "Throughput", "Processor and memory",
            "Time to connect, by percentile", "Phases", "Figures"]


class Reader(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(data.strip())

    def values(self, name: str) -> Iterator[str]:
        return (value or "" for key, value in self.attributes if key == name)


@pytest.fixture(scope="module")
def text() -> str:
    return page.of_run(made())


@pytest.fixture(scope="module")
def comparison() -> str:
    other = made(options(url="http://other/"))
    return page.of_comparison([("old", made()), ("new", other)], [("", "old", "new"), ("lost", "4", "<4>")])


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave them out, where nothing is said of them: they take a second."""
    for name in ("latency_over_time", "percentiles", "throughput", "processes", "connect_times"):
        monkeypatch.setattr(plots, name, lambda reports: "")


def headings(text: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", text)


@pytest.mark.parametrize("which", ["text", "comparison"])
def test_it_is_one_file(which: str, request: pytest.FixtureRequest) -> None:
    """It loads nothing, runs nothing, and says nothing to anybody."""
    text = request.getfixturevalue(which)
    reader = Reader(text)
    assert "script" not in text
    assert not list(reader.values("src"))
    links = [*reader.values("href"), *reader.values("xlink:href"), *re.findall(r"url\((.*?)\)", text)]
    assert links
    assert all(link.startswith("#") for link in links)
    ids = list(reader.values("id"))
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in links} <= set(ids)


@pytest.mark.parametrize("which", ["text", "comparison"])
def test_all_colours_are_of_the_page(which: str, request: pytest.FixtureRequest) -> None:
    body = request.getfixturevalue(which).partition("</style>")[2]
    assert not re.search(r"#[0-9a-f]{6}\b", body)
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", body))
    assert {"--ink", "--faint", "--grid", "--series-1", "--series-3"} <= used


def test_it_shows_all_that_is_known(text: str) -> None:
    assert headings(text) == SECTIONS
    words = Reader(text).text
    assert "Load on http://127.0.0.1:8080/bayeux" in words
    assert "4 of 104 deliveries were lost." in words
    assert words[words.index("deliveries a second") - 1] == "50"
    assert words[words.index("p99 latency") - 1] == "100 ms"
    assert words[words.index("p50 latency") - 1] == "2.0 ms"
    assert words[words.index("server CPU a delivery") - 1] == "10,000.0 µs"
    assert "2026-03-04 05:06:07 UTC, 2 s measured, 10 clients by long-polling, bayeux load" in " ".join(words)
    assert {"p50", "p90", "p99", "max", "delivered a second", "published a second", "cores", "MiB in memory",
            "server", "driver", "warm-up", "load", "* not measured", "out of order", "99 %"} <= set(words)


@pytest.mark.usefixtures("no_plots")
def test_what_spoils_a_run_is_told_at_once() -> None:
    assert '<p class="note">interrupted: ' in page.of_run({**made(), "interrupted": True})


@pytest.mark.usefixtures("no_plots")
@pytest.mark.parametrize(("counts", "verdict"), [
    ({"lost": 0}, '<p class="good">All 104 deliveries have come.</p>'),
    ({"expected": 0, "lost": 0}, '<p class="bad">Nothing was expected, so nothing is known.</p>')])
def test_it_says_what_came_of_it(counts: Report, verdict: str) -> None:
    assert verdict in page.of_run({**made(), **counts})


def test_what_is_not_known_is_not_shown() -> None:
    bare = made(options(pid=()))
    bare.update(latency_ms={}, percentiles=[], connect_percentiles=[], phases=bare["phases"][1:])
    text = page.of_run(bare)
    assert headings(text) == ["Latency over time", "Throughput", "Figures"]
    assert "server" not in Reader(text).text
    assert "<b>-</b><span>p50 latency</span>" in text


@pytest.mark.usefixtures("no_plots")
def test_a_server_that_delivered_nothing_has_no_cost_a_delivery() -> None:
    bare = made()
    bare["server"]["cpu_us_per_delivery"] = None
    assert "server CPU a delivery" not in page.of_run(bare)


@pytest.mark.usefixtures("no_plots")
def test_phases_that_all_count_have_no_note() -> None:
    all_count = made()
    all_count["phases"][0]["measured"] = True
    assert "* not measured" not in page.of_run(all_count)


@pytest.mark.usefixtures("no_plots")
def test_names_are_text() -> None:
    wild = made(options(url="http://<b>/&"))
    wild["phases"][0]["name"] = "<i>$x$"
    words = Reader(page.of_run(wild)).text
    assert "Load on http://<b>/&" in words
    assert "<i>$x$ *" in words  # it is not measured


def test_names_are_text_in_plots_too() -> None:
    wild = made()
    wild["phases"][0].update(name="<i>$x$")
    assert "<i>$x$" in Reader(plots.latency_over_time([("", wild)])).text


def test_two_runs_share_the_plots(comparison: str) -> None:
    assert headings(comparison) == ["Figures", *SECTIONS[:5]]
    words = Reader(comparison).text
    assert "old and new" in words
    assert {"old: p99", "new: p99", "old: server", "new: server", "<4>"} <= set(words)
    assert "driver" not in words
    assert any(word.startswith("new: http://other/, 2026-03-04") for word in words)


# -- plots --------------------------------------------------------------------------------------

def labels(drawn: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawn)


def with_latencies(*values: float | None) -> list[tuple[str, Report]]:
    report = made()
    report["timeline"] = [{"second": second, "p50": value, "p90": value, "p99": value, "max": value}
                          for second, value in enumerate(values, 1)]
    return [("", report)]


def test_latencies_that_differ_very_much_have_a_logarithmic_scale() -> None:
    assert {"1", "10", "100"} <= set(labels(plots.latency_over_time(with_latencies(1.0, None, 200.0))))


def test_latencies_that_do_not_differ_much_begin_at_zero() -> None:
    told = labels(plots.latency_over_time(with_latencies(10.0, 100.0)))
    assert {"0", "30", "60", "90", "120"} <= set(told)


def test_a_second_without_arrivals_is_a_gap() -> None:
    whole = plots.latency_over_time(with_latencies(1.0, 1.0, 1.0, 1.0, 1.0))
    broken = plots.latency_over_time(with_latencies(1.0, 1.0, None, 1.0, 1.0))
    line = re.compile(r'<path d="(M [^"]*)"[^>]*clip-path')
    assert all(path.count("M") == 1 for path in line.findall(whole))
    assert any(path.count("M") == 2 for path in line.findall(broken))


def test_seconds_without_arrivals_at_the_end_are_shown() -> None:
    assert "12" in labels(plots.latency_over_time(with_latencies(*[5.0] * 3, *[None] * 9)))


def test_nothing_at_all_can_be_drawn() -> None:
    empty = with_latencies()
    assert "ms" in labels(plots.latency_over_time(empty))


def test_a_measured_phase_at_the_beginning_has_its_name() -> None:
    report = made()
    report["phases"][0]["measured"] = True
    drawn = plots.latency_over_time([("", report)])
    assert {"warm-up", "load"} <= set(labels(drawn))
    assert "--band" in plots.latency_over_time([("", made())])
    assert "--band" not in drawn


def test_the_time_to_connect_is_of_clients() -> None:
    assert "of all clients" in labels(plots.connect_times([("", made())]))
    assert "of all deliveries" in labels(plots.percentiles([("", made())]))


def test_without_the_library_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(LoadError, match=r"pip install 'txbayeux\[load\]'"):
        importlib.reload(plots)
