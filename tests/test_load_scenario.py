"""load/scenario.py: phases from a file, and clear words about what is wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayeux.load import LoadError
from bayeux.load.scenario import Churn, Phase, Slow, Storm, read, simple

FULL = """
clients = 500
transport = "mixed"

[[phase]]
name = "warm-up"
duration = 5
rate = 100
measure = false

[[phase]]
duration = 20
rate = 50.5
churn = {rate = 20, away = 0.5, abrupt = true}

[[phase]]
name = "all at once"
duration = 10
slow = {share = 0.1, pause = 3}
storm = {share = 0.5, at = 2, resume = true}
"""


def scenario(folder: Path, text: str) -> Path:
    path = folder / "scenario.toml"
    path.write_text(text)
    return path


def test_a_scenario_has_phases_and_options(tmp_path: Path) -> None:
    made = read(scenario(tmp_path, FULL))
    assert made.options() == {"clients": 500, "transport": "mixed"}
    assert made.phases == (
        Phase(5.0, 100.0, "warm-up", measure=False),
        Phase(20.0, 50.5, "phase 2", churn=Churn(20.0, 0.5, True)),
        Phase(10.0, 0.0, "all at once", slow=Slow(0.1, 3.0), storm=Storm(0.5, 2.0, True)),
    )


def test_what_a_disturbance_leaves_open_has_defaults(tmp_path: Path) -> None:
    made = read(scenario(tmp_path, "[[phase]]\nduration=9\nchurn={rate=1}\nslow={share=1}\nstorm={}"))
    assert made.phases[0].churn == Churn(1.0, away=1.0, abrupt=False)
    assert made.phases[0].slow == Slow(1.0, pause=2.0)
    assert made.phases[0].storm == Storm(share=1.0, at=1.0, resume=False)


@pytest.mark.parametrize(("text", "complaint"), [
    ("", "no phase: at least one table [[phase]] is needed"),
    ("phase = 3", "no phase: at least one table [[phase]] is needed"),
    ("[[phase]]\nrate = 1", "phase 1: Object missing required field `duration`"),
    ("[[phase]]\nduration = 1\n[[phase]]\nname='busy'\nduration = 1\nrat = 3",
     "phase 2 (busy): Object contains unknown field `rat`; "
     "known: duration, rate, name, measure, churn, slow, storm"),
    ("[[phase]]\nduration = 0", "phase 1: duration: Expected `float` > 0.0"),
    ("[[phase]]\nduration = 1\nrate = 'fast'", "phase 1: rate: Expected `float`, got `str`"),
    ("[[phase]]\nduration = 1\nchurn = {}", "phase 1: churn: Object missing required field `rate`"),
    ("[[phase]]\nduration = 1\nslow = {share = 1.5}", "phase 1: slow.share: Expected `float` <= 1.0"),
    ("[[phase]]\nduration = 1\nstorm = {at = 1}", "phase 1: the storm at 1 s comes after the phase's end"),
    ("[[phase]]\nduration = 1\nmeasure = false", "no phase is measured"),
    ("client = 3\n[[phase]]\nduration = 1", "Object contains unknown field `client`; known: phases, clients, "
     "channels, publishers, processes, transport, size, ramp"),
    ("clients = 0\n[[phase]]\nduration = 1", "clients: Expected `int` >= 1"),
    ("transport = 'pigeon'\n[[phase]]\nduration = 1", "transport: Invalid enum value 'pigeon'"),
    ("= 3", "Invalid statement (at line 1, column 1)"),
])
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    path = scenario(tmp_path, text)
    with pytest.raises(LoadError) as raised:
        read(path)
    assert str(raised.value) == f"{path}: {complaint}"


def test_a_file_that_is_not_there_or_is_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"nowhere.toml: No such file or directory"):
        read(tmp_path / "nowhere.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(LoadError, match=r"bytes.toml: .*decode"):
        read(tmp_path / "bytes.toml")


def test_a_simple_load_warms_up_if_it_is_to() -> None:
    assert simple(7.0, 5.0, 2.0) == (Phase(2.0, 7.0, "warm-up", measure=False), Phase(5.0, 7.0, "load"))
    assert simple(7.0, 5.0, 0.0) == (Phase(5.0, 7.0, "load"),)
