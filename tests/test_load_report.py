"""load/report.py: what came of a run, as values and as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bayeux.load import LoadError, report
from bayeux.load.orders import Tick
from bayeux.load.outcome import Outcome, Server
from bayeux.load.report import Report
from bayeux.load.scenario import Phase
from bayeux.load.schedule import Schedule
from tests.reports import BEGIN, SECOND, STARTED, done, made, options, outcome

# -- values -------------------------------------------------------------------------------------

def test_it_counts_what_is_measured() -> None:
    built = made()
    assert {name: built[name] for name in (
        "sent", "expected", "received", "lost", "duplicated", "out_of_order", "seconds", "rate", "sent_rate",
        "live")} == {
        "sent": 40, "expected": 104, "received": 100, "lost": 4, "duplicated": 6, "out_of_order": 8,
        "seconds": 2.0, "rate": 50.0, "sent_rate": 20.0, "live": 10}
    assert built["latency_ms"] == {"min": 2.0, "mean": 3.96, "p50": 2.0, "p90": 2.0, "p99": 100.0,
                                   "p99.9": 100.0, "max": 100.0}
    assert built["connect_ms"]["max"] == 40.0
    assert built["connect_percentiles"][-1] == (100.0, 40.0)
    assert built["percentiles"][0] == (0.0, 2.0)


def test_it_says_what_was_asked_for() -> None:
    built = made()
    assert {name: built[name] for name in (
        "url", "clients", "channels", "transport", "publishers", "processes", "size", "started",
        "interrupted", "format")} == {
        "url": "http://127.0.0.1:8080/bayeux", "clients": 10, "channels": 2, "transport": "long-polling",
        "publishers": 2, "processes": 2, "size": 50, "started": "2026-03-04T05:06:07+00:00",
        "interrupted": False, "format": 1}


def test_each_phase_has_its_part() -> None:
    warm, load = made()["phases"]
    assert (warm["name"], warm["measured"], warm["begin"], warm["seconds"]) == ("warm-up", False, 0.0, 1.0)
    assert (warm["sent"], warm["expected"], warm["received"], warm["lost"]) == (10, 52, 50, 2)
    assert (load["name"], load["measured"], load["begin"], load["seconds"]) == ("load", True, 1.0, 2.0)
    assert (load["expected"], load["received"], load["rate"]) == (104, 100, 50.0)
    assert warm["latency_ms"]["max"] == 4.0


def test_rates_are_of_what_went_and_came_while_it_was_measured() -> None:
    """A server that cannot keep up delivers the rest when nothing more is published, or in the next phase."""
    slow = done(published=[5, 15], delivered=[20, 30])
    built = made(dones=(slow, slow))
    assert (built["sent"], built["received"], built["lost"]) == (40, 100, 4)
    assert (built["sent_rate"], built["rate"]) == (15.0, 30.0)
    assert [phase["rate"] for phase in built["phases"]] == [40.0, 30.0]
    assert built["driver"]["cpu_us_per_delivery"] == 7000.0  # 0.42 s, 60 deliveries
    assert built["server"]["cpu_us_per_delivery"] == 16_666.67


def test_a_delivery_costs_what_was_used_while_it_was_measured() -> None:
    """Not what is used afterwards, until half a second later the last has come and clients say good-bye."""
    built = made()
    assert built["driver"] == {"cpu": 0.21, "busiest": 0.1, "waited": 0.0, "cpu_us_per_delivery": 4200.0,
                               "limited": False, "starved": False}
    assert built["server"] == {
        "pids": [7, 8], "cpu": 0.5, "cpu_us_per_delivery": 10_000.0, "rss_mib_before": 50.0,
        "rss_mib_idle": 60.0, "rss_mib": 63.5, "rss_kib_per_client": 1024.0}


def test_without_a_process_of_the_server_nothing_is_said_of_it() -> None:
    built = made(options(pid=()))
    assert built["server"] is None
    assert "server_cpu" not in built["timeline"][0]


def test_a_process_that_ended_before_it_was_looked_at_has_no_figures() -> None:
    asked = options()
    ended = outcome(asked)
    ended.server = Server()
    assert report.build(asked, ended, STARTED)["server"] is None


def test_every_second_is_told() -> None:
    first, _, third = made()["timeline"]
    assert first == {
        "second": 1, "sent": 20, "received": 50, "live": 10, "errors": 2, "p50": 1.0, "p90": 4.0, "p99": 4.0,
        "max": 4.0, "driver_cpu": 0.21, "server_cpu": 0.5, "server_rss_mib": 61.0}
    assert (third["second"], third["max"]) == (3, 100.0)


def test_a_second_after_the_end_is_told_if_something_came() -> None:
    asked = options()
    late = outcome(asked)
    late.tick(0, Tick(4, BEGIN + 4 * SECOND, 0, {1: {900_000: 1}}, 9.0, 5, 0))
    assert [line["second"] for line in report.build(asked, late, STARTED)["timeline"]] == [1, 2, 3, 4]


def empty(phase: Phase, cut: int | None = None) -> Report:
    """Return the report of a run in which nothing came, that perhaps was cut short."""
    asked = options(phases=(phase,))
    schedule = Schedule(asked.phases, BEGIN, 2, 2)
    if cut is not None:
        schedule.cut(cut)
    nothing = Outcome(schedule, 2, Server())
    nothing.server.cpu.add(BEGIN, 1.0)  # type: ignore[union-attr]  # it is there
    return report.build(asked, nothing, STARTED)


def test_a_run_in_which_nothing_comes_has_no_latencies() -> None:
    built = empty(Phase(2.0, 0.0, "idle"))
    assert built["latency_ms"] == built["connect_ms"] == {}
    assert built["percentiles"] == built["timeline"] == []
    assert (built["expected"], built["rate"]) == (0, 0.0)
    assert built["driver"]["cpu_us_per_delivery"] is built["server"]["cpu_us_per_delivery"] is None
    json.dumps(built)


def test_a_run_that_is_cut_short_before_it_begins_has_no_rates() -> None:
    built = empty(Phase(2.0, 5.0, "load"), cut=BEGIN)
    assert (built["rate"], built["seconds"], built["driver"]["cpu"], built["server"]["cpu"]) == (0, 0, 0, 0)


def test_a_phase_that_a_run_does_not_get_to_is_not_told_and_costs_nothing() -> None:
    """It would begin when what is late is waited for."""
    phases = Phase(1.0, 10.0, "warm-up", measure=False), Phase(2.0, 20.0, "load"), Phase(9.0, 20.0, "more")
    asked = options(phases=phases)
    schedule = Schedule(phases, BEGIN, 2, 2)
    schedule.cut(BEGIN + 2 * SECOND)
    cut = Outcome(schedule, 1, None)
    for second in range(6):
        cut.tick(0, Tick(second, BEGIN + second * SECOND, 0, {}, 0.5 * second, 5, 0))
    cut.done(done(sent=[10, 20, 0], published=[10, 20, 0], delivered=[50, 100, 0], lost=[0, 0, 0],
                  duplicated=[0, 0, 0], out_of_order=[0, 0, 0]), BEGIN + 5 * SECOND)
    built = report.build(asked, cut, STARTED)
    assert [(phase["name"], phase["seconds"]) for phase in built["phases"]] == [("warm-up", 1), ("load", 1)]
    assert (built["seconds"], built["rate"], built["sent_rate"]) == (1, 100, 20)
    assert (built["driver"]["cpu"], built["driver"]["cpu_us_per_delivery"]) == (0.5, 5000)


# -- reading ------------------------------------------------------------------------------------

def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    text = json.dumps(made())
    (tmp_path / "a.json").write_text(text)
    assert report.read(tmp_path / "a.json") == json.loads(text)


@pytest.mark.parametrize(("content", "complaint"), [
    (None, "No such file or directory"), (b"oops", "not JSON: Expecting value"),
    (b"\xff", "not JSON: 'utf-8' codec"),
    (b"[]", "no report of this version of bayeux load (--json FILE writes one)"),
    (b'{"format": 2, "latency_ms": {}}', "no report of this version"), (b'{"format": 1}', "no report")])
def test_what_is_no_report_is_told(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LoadError) as raised:
        report.read(path)
    assert str(raised.value).startswith(f"{path}: {complaint}")


# -- text ---------------------------------------------------------------------------------------

def test_it_is_a_page_of_text() -> None:
    assert report.text(made()) == """\
clients         10 by long-polling, 2 channels, 2 publishers
published       40, 20.0 a second in 2 s
delivered       100 of 104 expected, 50 a second
lost            4
duplicated      6
out of order    8
latency         p50 2.00, p90 2.00, p99 100.00, p99.9 100.00, max 100.00 ms
connect time    p50 20.02, p90 40.00, p99 40.00, p99.9 40.00, max 40.00 ms
server's CPU    0.50 cores, 10000.0 us a delivery
server's memory 63.5 MiB; with all clients idle 60.0, before them 50.0: 1024 KiB a client
driver's CPU    0.21 cores, 4200.0 us a delivery

phase      s  published  delivered  lost  a second  p50 ms  p99 ms  max ms
warm-up *  1         10         50     2        50    1.00    4.00    4.00
load       2         40        100     4        50    2.00  100.00  100.00
* not measured"""


def test_one_phase_alone_is_no_table() -> None:
    text = report.text(empty(Phase(2.0, 0.0, "idle")))
    assert "phase" not in text
    assert "latency" not in text
    assert "server's CPU    0.00 cores\n" in text


def test_phases_that_all_count_have_no_note() -> None:
    built = made()
    built["phases"][0]["measured"] = True
    assert "not measured" not in report.text(built)


def test_a_phase_without_arrivals_has_no_latencies() -> None:
    built = made()
    built["phases"][1]["latency_ms"] = {}
    assert report.phase_rows(built)[2][-3:] == ("-", "-", "-")


def test_errors_are_told_by_kind() -> None:
    built = made(dones=(done(errors={"HTTP 503": 1, "connection reset": 1500}), done()))
    assert [value for name, value in report.figures(built) if name == "errors"] == [
        "1,500 x connection reset", "1 x HTTP 503"]


# -- what has to be known -----------------------------------------------------------------------

def test_a_good_run_needs_no_words() -> None:
    assert list(report.verdicts(made())) == []
    assert "!" not in report.text(made())


@pytest.mark.parametrize(("spoilt", "note"), [
    ({"interrupted": True}, "interrupted: the figures are of what was done until then"),
    ({"live": 9}, "only 9 of 10 clients are live at the end"),
    ({"driver": {"limited": True, "busiest": 0.97, "starved": False}},
     "the driver is the bottleneck: a worker used 97% of a core in its busiest second; use more --processes, "
     "or another machine"),
    ({"unsent": 3}, "3 messages were due and could not be published"),
    ({"late_ms": {"p99": 101}}, "one message in a hundred was published 101 ms late or more")])
def test_what_spoils_a_run_is_told(spoilt: Report, note: str) -> None:
    built = {**made(), **spoilt}
    [told] = report.verdicts(built)
    assert told.startswith(note)
    if "driver" not in spoilt:
        assert report.text(built).endswith(f"\n\n! {told}")


@pytest.mark.parametrize(("waits", "share", "starved"), [
    (0.04, 0.0, False), (0.1, 0.25, False), (0.2, 0.4, True)])
def test_a_worker_that_does_not_get_its_processor_is_told(waits: float, share: float, starved: bool) -> None:
    built = made(busy=0.3, waits=waits)
    assert (built["driver"]["waited"], built["driver"]["starved"]) == (share, starved)
    told = "a worker for 40% of the time in which it had something to do"
    assert any(told in note for note in report.verdicts(built)) is starved


@pytest.mark.parametrize(("busy", "limited"), [(0.85, False), (0.86, True)])
def test_a_worker_without_time_to_spare_is_the_bottleneck(busy: float, limited: bool) -> None:
    built = made(busy=busy)
    assert built["driver"]["limited"] is limited
    assert any("bottleneck" in note for note in report.verdicts(built)) is limited


def hurried(*used: float, phases: tuple[Phase, ...]) -> Report:
    """Return the report of a run in which one of two workers used so much of a core each half second."""
    asked = options(phases=phases)
    made = Outcome(Schedule(asked.phases, BEGIN, 2, 2), 2, None)
    for number in range(len(used) + 1):
        made.cpu[0].add(BEGIN + number * SECOND // 2, sum(used[:number]) / 2)
        made.cpu[1].add(BEGIN + number * SECOND // 2, 0.0)
    driver: Report = report.build(asked, made, STARTED)["driver"]
    return driver


def test_one_second_without_time_to_spare_is_enough() -> None:
    """On an average of all seconds it would be hidden, though its latencies are the highest."""
    driver = hurried(0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, phases=(Phase(4.0, 5.0),))
    assert (driver["cpu"], driver["busiest"], driver["limited"]) == (0.3, 0.9, True)


def test_a_second_that_is_not_measured_does_not_count() -> None:
    phases = Phase(1.5, 5.0, measure=False), Phase(2.0, 5.0), Phase(1.5, 5.0, measure=False)
    driver = hurried(1, 1, 1, 0.2, 0.4, 0.3, 0.2, 1, 1, 1, phases=phases)
    assert (driver["busiest"], driver["limited"]) == (0.35, False)


def test_a_phase_without_a_whole_second_counts_on_an_average() -> None:
    driver = hurried(0.1, 0.9, 0.1, phases=(Phase(0.5, 5.0, measure=False), Phase(0.5, 5.0)))
    assert (driver["busiest"], driver["limited"]) == (0.9, True)


def test_a_driver_that_is_the_bottleneck_is_late_of_course() -> None:
    built = {**made(busy=1.0), "late_ms": {"p99": 500}}
    assert len(list(report.verdicts(built))) == 1
