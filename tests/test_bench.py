"""The benchmark runs: a tiny load goes through each of its parts, so that it does not rot."""

from __future__ import annotations

import json
import os
import sys

import pytest

from tests.bench import table, wire
from tests.bench.__main__ import main
from tests.bench.driver import Spec
from tests.bench.figures import DRIVER, Figure, Figures, Mark
from tests.bench.load import Clients
from tests.bench.process import BenchError, Process, cpu_seconds
from tests.bench.scenarios import POLLING, WEBSOCKET, Bench, Scale
from tests.bench.servers import FAYE, FLOOR, TXBAYEUX

TINY = Scale(clients=12, channels=3, seconds=0.2, warm=0.1, idle=12, settle=0.1, pause=0.2)


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
    assert 0 < of["longest pause of a probe"] < 3000
    assert of["CPU while idle, with a probe at 50/s"] < 1


def test_a_driver_that_cannot_connect_says_so():
    with pytest.raises(BenchError, match="closed before its client was live"):
        Clients(Spec(port=1, pid=os.getpid(), kind=WEBSOCKET, clients=1))


def test_a_process_does_not_outlive_an_error():
    with pytest.raises(KeyboardInterrupt), Process(["sleep", "60"]) as process:
        raise KeyboardInterrupt
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_cpu_time_is_that_of_the_process():
    before = cpu_seconds(os.getpid())
    sum(range(1_000_000))
    assert 0.001 < cpu_seconds(os.getpid()) - before < 5


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


def test_a_response_is_read():
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\nSet-Cookie: a=b; Path=/\r\n"
    assert (wire.content_length(head), wire.cookies(head)) == (12, "a=b")
    with pytest.raises(ValueError, match="without Content-Length"):
        wire.content_length(b"HTTP/1.1 200 OK\r\n")


def test_an_unknown_scenario_is_named(capsys):
    assert main(["teleport"]) == 2
    assert "teleport" in capsys.readouterr().err


def test_a_limit_of_open_files_that_is_too_low_is_named(capsys):
    assert main(["idle-websocket", "--no-faye", "--idle", str(sys.maxsize)]) == 1
    assert "open files" in capsys.readouterr().err
