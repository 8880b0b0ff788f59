"""load/compare.py: two runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bayeux.load import LoadError, compare, page
from bayeux.load.report import Report
from tests.reports import made


def write(path: Path, report: Report) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report))
    return path


def rows(*reports: Report) -> dict[str, tuple[str, ...]]:
    return {name: values for name, *values in compare.table(["a", "b"], list(reports))}  # type: ignore[misc]  # all


def test_each_figure_has_its_ratio() -> None:
    one, other = made(), made(busy=0.3)
    other.update(rate=75.0, lost=0)
    told = rows(one, other)
    assert told[""] == ["a", "b", "ratio"]
    assert told["delivered a second"] == ["50", "75", "1.50"]
    assert told["lost"] == ["4", "0", "0.00"]
    assert told["latency p99.9, ms"] == ["100.00", "100.00", "1.00"]
    assert told["connect time p50, ms"] == ["20.02", "20.02", "1.00"]
    assert told["server's CPU a delivery, us"] == ["10,000.0", "10,000.0", "1.00"]
    assert told["driver's CPU a delivery, us"] == ["4,200.0", "12,200.0", "2.90"]


def test_what_one_of_them_does_not_know_is_left_open() -> None:
    one, other = made(), made()
    other["server"] = None
    other["latency_ms"] = {}
    told = rows(one, other)
    assert told["server's CPU, cores"] == ["0.50", "-", "-"]
    assert told["latency p50, ms"] == ["2.00", "-", "-"]
    assert rows(other, one)["latency p50, ms"] == ["-", "2.00", "-"]


def test_what_neither_knows_is_left_out() -> None:
    one = made()
    one["server"] = None
    assert not [name for name in rows(one, one) if "server" in name]


def test_nothing_has_no_ratio() -> None:
    one, other = made(), made()
    one["lost"] = 0
    assert rows(one, other)["lost"] == ["0", "4", "-"]


def differences(one: Report, other: Report) -> list[str]:
    return list(compare.differences(["a", "b"], [one, other]))


def test_two_runs_of_one_load_can_be_compared() -> None:
    assert differences(made(), made()) == []


def test_different_loads_are_told() -> None:
    other = {**made(), "clients": 20, "transport": "mixed"}
    assert differences(made(), other) == [
        "different loads: transport is long-polling in a, mixed in b",
        "different loads: clients is 10 in a, 20 in b"]


def test_another_rate_is_another_load() -> None:
    assert differences(made(), {**made(), "sent_rate": 30.0}) == [
        "different loads: 20 messages a second were published in a, 30 in b"]
    assert differences(made(), {**made(), "sent_rate": 20.4}) == []


def test_a_run_that_is_not_to_be_believed_is_told() -> None:
    assert differences({**made(), "interrupted": True}, made(busy=0.9)) == [
        "a: interrupted", "b: the driver was the bottleneck"]


def test_reports_are_called_as_their_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = made(), made(busy=0.9)
    compare.run([write(tmp_path / "before.json", before), write(tmp_path / "after.json", after)], None)
    head, first, *_, note = capsys.readouterr().out.splitlines()
    assert head.split() == ["before", "after", "ratio"]
    assert first.split() == ["clients", "10", "10", "1.00"]
    assert note == "! after: the driver was the bottleneck"


def test_files_of_one_name_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = write(tmp_path / "x" / "a.json", made()), write(tmp_path / "y" / "a.json", made())
    compare.run([one, other], None)
    assert capsys.readouterr().out.split()[:2] == [str(one), str(other)]


def test_they_are_a_page_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_plots", lambda reports: [f"<p>{len(reports)} drawn</p>"])  # it takes seconds
    paths = [write(tmp_path / "a.json", made()), write(tmp_path / "b.json", made())]
    compare.run(paths, tmp_path / "c.html")
    text = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "<h1>a and b</h1>" in text
    assert "<p>2 drawn</p>" in text


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.json", made()), write(tmp_path / "b.json", made())]
    with pytest.raises(LoadError, match=r"nowhere/c\.html: No such file"):
        compare.run(paths, tmp_path / "nowhere" / "c.html")
