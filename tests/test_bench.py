"""The benchmark runs: a tiny load goes through each of its parts, so that it does not rot."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace

import pytest

from tests.bench import crowds, scenarios, servers, table, wire
from tests.bench.__main__ import main
from tests.bench.driver import POLLING, WEBSOCKET, Load, Spec
from tests.bench.figures import DRIVER, Figure, Figures, Mark
from tests.bench.load import Clients
from tests.bench.process import BenchError, Process
from tests.bench.scale import Scale
from tests.bench.scenarios import SCENARIOS, Bench
from tests.bench.servers import FAYE, FLOOR, TXBAYEUX

TINY = Scale(clients=12, channels=3, seconds=0.2, warm=0.1, idle=12, settle=0.1, pause=0.2,
             many=12, hold=0.1, unrelated=1000, rounds=2)


@pytest.mark.parametrize("kind", [WEBSOCKET, POLLING])
def test_a_load_is_delivered_and_counted_beside_its_floor(kind):
    figures = Figures()
    Bench(TINY, figures, with_faye=False, say=print).fan_out(kind, 200, Mark(100, FLOOR), rivals=(TXBAYEUX,))
    of = {figure.name: figure for figure in figures}
    assert of["lost or later than 3 s"].values == {TXBAYEUX: [0], FLOOR: [0]}
    assert 0 < of["latency p50"].value(TXBAYEUX) <= of["latency p99"].value(TXBAYEUX) < 3000
    assert of["CPU a delivery"].ratio(FLOOR) > 0
    [(_, reached, kept)] = of["CPU a delivery"].verdicts()
    assert kept is (reached <= 100)


def test_idle_clients_hear_nothing_of_the_probe():
    figures = Figures()
    Bench(TINY, figures, with_faye=False, say=print).idle(POLLING, Mark(4))
    of = {figure.name: figure.value(TXBAYEUX) for figure in figures}
    assert of["lost by the probe"] == 0
    assert 0 < of["longest pause of the server"] <= of["longest wait of a probe"] < 3000
    assert of["CPU while idle, with a probe at 200/s"] < 1


def test_each_of_many_clients_receives_the_broadcast():
    figures = Figures()
    crowds.many(Bench(TINY, figures, with_faye=False, say=print))
    of = {(figure.scenario, figure.name): figure.value(TXBAYEUX) for figure in figures}
    for kind in (WEBSOCKET, POLLING):
        scenario = f"12 clients by {kind}"
        assert of[scenario, "clients that came to life"] == 12
        assert of[scenario, "connections lost"] == of[scenario, "clients that missed the broadcast"] == 0
        assert of[scenario, "time until the last one had it"] > 0


def test_a_publish_is_measured_with_and_without_unrelated_subscriptions():
    figures = Figures()
    crowds.unrelated(Bench(TINY, figures, with_faye=False, say=print))
    one, hundred = figures
    assert (one.name, hundred.name) == ("CPU a publish, 1 subscriber", "CPU a publish, 100 subscribers")
    assert 0 < one.value(FLOOR) < hundred.value(FLOOR)
    assert 0.2 < one.ratio(FLOOR) < 5


def test_half_of_the_most_is_measured_too(monkeypatch):
    """Whatever else this machine does: here no latency is too long."""
    monkeypatch.setattr(scenarios, "_TARGET", 3.0)
    figures = Figures()
    scale = replace(TINY, first_rates=(300, 300), step_seconds=0.2, refinements=0, widest=1, tries=5)
    Bench(scale, figures, with_faye=False, say=print).most(POLLING, Mark(100, FAYE))
    of = {figure.name: figure.value(TXBAYEUX) for figure in figures}
    assert (of["deliveries a second"], of["lost at half that rate"]) == (300, 0)
    assert 0 < of["latency p99 at half that rate"] < 3000


def test_clients_that_get_an_event_twice_are_found():
    again = wire.payload(10**18, 50).encode()  # its time is not that of the load
    sample = b"".join(b"\x81\x32" + data for data in (wire.payload(0, 50).encode(), again)).decode("latin-1")
    with servers.floor("sends", sample, clients=3) as server:
        spec = Spec(server.port, server.pid, "sends", clients=3, channels=1, publishers=1, sample=sample)
        with Clients(spec) as clients:
            result = clients.load(Load(rate=30, seconds=0.1, warm=0.0))
    assert (result.expected, result.delivered, result.unserved) == (3, 6, 3)


def test_a_driver_that_cannot_connect_says_so():
    with pytest.raises(BenchError, match="could not come to life: handshake: connection refused"):
        Clients(Spec(port=1, pid=os.getpid(), kind=WEBSOCKET, clients=1))


def test_a_process_does_not_outlive_an_error():
    with pytest.raises(KeyboardInterrupt), Process(["sleep", "60"]) as process:
        raise KeyboardInterrupt
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_ratio_is_taken_within_each_run():
    figure = Figure("s", "n", "us", values={TXBAYEUX: [10, 40, 30], FLOOR: [10, 20, 10]})
    assert (figure.value(TXBAYEUX), figure.value(FLOOR), figure.ratio(FLOOR)) == (30, 10, 2)
    assert figure.ratio(FAYE) is None


@pytest.mark.parametrize(("mark", "kept"), [
    (Mark(1.6, FLOOR), False), (Mark(2, FLOOR), True), (Mark(2, FLOOR, at_least=True), True),
    (Mark(2.1, FLOOR, at_least=True), False), (Mark(20), True), (Mark(19), False),
])
def test_a_mark_that_is_missed_is_called_so(mark, kept):
    figure = Figure("websocket", "CPU", "us", (mark,), {TXBAYEUX: [20], FLOOR: [10]})
    assert [verdict for _, _, verdict in figure.verdicts()] == [kept]
    assert f"{mark}: {'kept' if kept else 'MISSED'}" in table.render([figure])


def test_a_driver_that_was_the_limit_is_named():
    figures = Figures()
    figures.add("most by websocket", DRIVER, "cores", TXBAYEUX, 0.97)
    figures.add("most by websocket", DRIVER, "cores", FAYE, 0.5)
    assert [TXBAYEUX in note for note in figures.limited()] == [True]


def test_a_mark_without_its_rival_is_not_judged():
    assert not list(Figure("s", "n", "us", (Mark(2, FAYE),), {TXBAYEUX: [20]}).verdicts())


def test_a_payload_has_its_size_and_its_time():
    data = wire.payload(1_234_567_890_000, 50)
    assert len(data) == 50
    assert json.loads(data)["due"] == "0000001234567890"
    assert wire.stamp(data.encode(), 5_000) == wire.payload(5_000, 50).encode()


def test_an_unknown_scenario_is_named(capsys):
    assert main(["teleport"]) == 2
    assert "teleport" in capsys.readouterr().err


@pytest.mark.parametrize(("scenario", "option"), [("idle-websocket", "--idle"), ("many", "--many")])
def test_a_limit_of_open_files_that_is_too_low_is_named(capsys, scenario, option):
    assert main([scenario, "--no-faye", option, str(sys.maxsize)]) == 1
    assert f"{scenario} has failed: {sys.maxsize + 200} open files are needed" in capsys.readouterr().err


def test_a_scenario_that_fails_does_not_take_the_others_with_it(capsys, monkeypatch):
    def fails(bench):
        raise BenchError("only 9 of 10 clients are live")

    monkeypatch.setitem(SCENARIOS, "many", fails)
    monkeypatch.setitem(SCENARIOS, "unrelated", lambda bench: bench.figures.add("s", "n", "us", TXBAYEUX, 7))
    assert main(["many", "unrelated", "--no-faye"]) == 1
    printed = capsys.readouterr()
    assert "many has failed: only 9 of 10" in printed.err
    assert "s:\nn" in printed.out
