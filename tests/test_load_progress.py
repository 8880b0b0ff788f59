"""load/progress.py: how a run goes, while it does."""

from __future__ import annotations

import io
import re
import sys

import pytest

from bayeux.load import LoadError, progress
from bayeux.load.latency import Latencies
from bayeux.load.outcome import Second
from bayeux.load.progress import Bars, Lines
from bayeux.load.scenario import Phase
from bayeux.load.schedule import Schedule
from tests.reports import PHASES, options


def second(*, arrivals: int = 5, errors: int = 0) -> Second:
    latencies = Latencies()
    if arrivals:
        latencies.add({1500: arrivals})
    return Second(sent=1200, latencies=latencies, live=10, errors=errors)


@pytest.mark.parametrize(("made", "cpu", "told"), [
    (second(), None, "published 1,200, delivered 5, p50 1.5 p99 1.5 max 1.5 ms, live 10"),
    (second(arrivals=0), 0.256, "published 1,200, delivered 0, server 0.26 cores, live 10"),
    (second(arrivals=0, errors=1234), None, "published 1,200, delivered 0, live 10, errors 1,234")])
def test_a_second_is_told_in_a_line(made: Second, cpu: float | None, told: str) -> None:
    assert progress.describe(made, cpu) == told


SPANS = Schedule(PHASES, 0, 2, 2).spans


# -- lines --------------------------------------------------------------------------------------

class Told:
    """What lines are written."""

    def __init__(self, *phases: Phase) -> None:
        self.text = ""
        self.display = Lines(options(clients=100, phases=phases or PHASES), self.write)

    def write(self, text: str) -> None:
        self.text += text

    def take(self) -> list[str]:
        lines, self.text = self.text.splitlines(), ""
        return lines


def test_lines_tell_tenths_of_the_clients() -> None:
    told = Told()
    with told.display as display:
        for live in (0, 5, 9, 10, 19, 55, 55, 100):
            display.coming(live, 100, 0)
    assert [line.split()[0] for line in told.take()] == ["0", "10", "55", "100"]
    told.display.coming(110, 1000, 3)
    assert told.take() == []


def test_lines_tell_errors_and_few_clients() -> None:
    told = Told()
    told.display.coming(1, 3, 2000)
    assert told.take() == ["1 of 3 clients are live, errors 2,000"]


def test_lines_tell_seconds() -> None:
    told = Told()
    told.display.second(1, second(), SPANS[0], None)
    told.display.second(12, second(), SPANS[1], 0.5)
    assert told.take() == [
        "   1 s  warm-up: published 1,200, delivered 5, p50 1.5 p99 1.5 max 1.5 ms, live 10",
        "  12 s  load: published 1,200, delivered 5, p50 1.5 p99 1.5 max 1.5 ms, server 0.50 cores, live 10"]


def test_a_long_run_has_few_lines() -> None:
    told = Told(Phase(600.0, 10.0, "long"))
    for number in range(1, 601):
        told.display.second(number, second(), SPANS[1], None)
    lines = told.take()
    assert len(lines) == 60
    assert lines[0].startswith("  10 s  load")


def test_what_is_late_is_told_once() -> None:
    told = Told()
    told.display.draining()
    told.display.draining()
    assert told.take() == ["waiting for what is late"]


# -- bars ---------------------------------------------------------------------------------------

class Terminal:
    """A terminal that somebody looks at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._written = io.StringIO()
        self._written.isatty = lambda: True  # type: ignore[method-assign]  # it is to look like one

    def choose(self) -> Bars:
        """Return what is shown on it."""
        self._monkeypatch.setattr(sys, "stderr", self._written)
        self._monkeypatch.setenv("TERM", "xterm")
        self._monkeypatch.setenv("COLUMNS", "200")
        display = progress.choose(options())
        assert isinstance(display, Bars)
        return display

    def shown(self) -> list[str]:
        """Return the lines of it at the end: the clients, and each phase."""
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._written.getvalue())
        return [line.strip() for line in re.split("[\r\n]", text) if line.strip()][-3:]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def test_a_person_is_shown_bars(terminal: Terminal) -> None:
    with terminal.choose() as display:
        display.coming(4, 10, 0)
        display.coming(10, 10, 7)
        display.second(1, second(), SPANS[0], None)
        display.second(2, second(arrivals=0), SPANS[1], 0.5)
    clients, warm, load = terminal.shown()
    assert re.match(r"clients +━+ 100% \d:\d\d:\d\d 10 live, errors 7", clients)
    assert re.match(r"warm-up +━+ 100% .*published 1,200, delivered 5,", warm)
    assert re.match(r"load +━+.? *━* +50% .*published 1,200, delivered 0, server 0.50 cores, live 10", load)


def test_bars_are_full_at_the_end(terminal: Terminal) -> None:
    with terminal.choose() as display:
        for number in (1, 2, 3):
            display.second(number, second(), SPANS[min(1, number - 1)], None)
        display.draining()
    _, warm, load = terminal.shown()
    assert "100%" in warm
    assert re.match(r"load +━+ 100% \S+ waiting for what is late", load)


def test_a_phase_that_has_not_begun_is_empty(terminal: Terminal) -> None:
    with terminal.choose() as display:
        display.second(1, second(), SPANS[0], None)
    assert re.match(r"load +━+ +0% -:--:--", terminal.shown()[2])


def test_bars_need_rich(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(LoadError, match=r"pip install 'txbayeux\[load\]'"):
        terminal.choose()


def test_a_file_is_written_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    with progress.choose(options()) as display:
        display.draining()
    assert isinstance(display, Lines)
    assert written.getvalue() == "waiting for what is late\n"
