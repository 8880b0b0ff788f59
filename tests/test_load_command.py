"""load/command.py: the command line of bayeux load, and with what status it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from bayeux.load import LoadError, plots
from bayeux.load import run as running
from bayeux.load.options import Options
from bayeux.load.outcome import Outcome
from tests import reports
from tests.cli import Shell

URL = "http://127.0.0.1:1/bayeux"
ALL = reports.done(lost=[0, 0])


class FakeRun:
    """Stands for a run; what becomes of it is the class's."""

    becomes: Outcome | BaseException
    asked: list[Options]

    def __init__(self, options: Options, display: object) -> None:
        self.asked.append(options)

    def go(self) -> Outcome:
        if isinstance(self.becomes, BaseException):
            raise self.becomes
        return self.becomes


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeRun]:
    FakeRun.becomes = reports.outcome(dones=(ALL, ALL))
    FakeRun.asked = []
    monkeypatch.setattr(running, "Run", FakeRun)
    for name in ("latency_over_time", "percentiles", "throughput", "processes", "connect_times"):
        monkeypatch.setattr(plots, name, lambda reports: "")  # they take a second
    return FakeRun


def test_a_run_is_told_and_succeeds(shell: Shell, fake: type[FakeRun]) -> None:
    status, output, errors = shell.run("load", URL, "--clients", "7")
    assert (status, errors) == (0, "")
    assert "\nlost            0\n" in output
    [asked] = fake.asked
    assert (asked.url, asked.clients) == (URL, 7)


def test_reports_are_written(shell: Shell, fake: type[FakeRun]) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    assert shell.run("load", URL, "--json", "a.json", "--html", "a.html")[0] == 0
    written = json.loads((shell.folder / "a.json").read_text())
    assert {"clients", "expected", "received", "lost", "duplicated", "rate", "latency_ms"} <= set(written)
    assert {"p50", "p90", "p99", "p99.9", "max"} <= set(written["latency_ms"])
    assert before <= datetime.fromisoformat(written["started"]) <= datetime.now(UTC)
    assert f"<h1>Load on {URL}</h1>" in (shell.folder / "a.html").read_text(encoding="utf-8")


def test_a_loss_is_status_1(shell: Shell, fake: type[FakeRun]) -> None:
    fake.becomes = reports.outcome()
    fake.becomes.interrupted = True
    status, output, _ = shell.run("load", URL, "--json", "a.json")
    assert status == 1
    assert "lost            4" in output
    assert json.loads((shell.folder / "a.json").read_text())["lost"] == 4


def test_a_loss_while_it_warms_up_is_none(shell: Shell, fake: type[FakeRun]) -> None:
    fake.becomes = reports.outcome(dones=(reports.done(lost=[5, 0]), ALL))
    assert shell.run("load", URL)[0] == 0


def test_an_interrupted_run_is_told_with_status_130(shell: Shell, fake: type[FakeRun]) -> None:
    assert isinstance(fake.becomes, Outcome)
    fake.becomes.interrupted = True
    status, output, _ = shell.run("load", URL, "--html", "a.html")
    assert status == 130
    assert "! interrupted: the figures are of what was done until then" in output
    assert (shell.folder / "a.html").exists()


def test_ctrl_c_twice_ends_it_without_a_word(shell: Shell, fake: type[FakeRun]) -> None:
    fake.becomes = KeyboardInterrupt()
    assert shell.run("load", URL) == (130, "", "")


def test_what_cannot_be_done_is_status_2(shell: Shell, fake: type[FakeRun]) -> None:
    fake.becomes = LoadError("no client is live")
    assert shell.run("load", URL) == (2, "", "bayeux load: no client is live\n")


@pytest.mark.parametrize(("words", "complaint"), [
    ((URL, "--clients", "0"), "--clients: Expected `int` >= 1"),
    ((URL, "x.json"), "one URL is expected, not x.json as well"),
    ((URL, "--html", "no/a.html"), "no/a.html: No such file or directory"),
    (("compare", "a.json"), "compare: two reports are expected, A.json B.json"),
    (("compare", "a.json", "b.json"), "a.json: No such file or directory")])
def test_what_cannot_be_meant_is_told_before_anything_is_done(
        shell: Shell, fake: type[FakeRun], words: tuple[str, ...], complaint: str) -> None:
    assert shell.run("load", *words) == (2, "", f"bayeux load: {complaint}\n")
    assert fake.asked == []


def test_a_url_is_needed(shell: Shell) -> None:
    assert shell.misuse("load") == "the following arguments are required: URL"


def test_help_says_all(shell: Shell) -> None:
    output = shell.output("load", "--help")
    assert "bayeux load [options] URL" in output
    assert "bayeux load compare A.json B.json [--html FILE]" in output
    assert "--scenario FILE" in output


@pytest.mark.usefixtures("fake")
def test_two_reports_are_compared(shell: Shell) -> None:
    for name in ("a", "b"):
        (shell.folder / f"{name}.json").write_text(json.dumps(reports.made()))
    output = shell.output("load", "compare", "a.json", "b.json", "--html", "c.html")
    assert output.split()[:3] == ["a", "b", "ratio"]
    assert "<h1>a and b</h1>" in (shell.folder / "c.html").read_text(encoding="utf-8")
