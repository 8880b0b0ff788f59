"""docs/howto/load-test.rst: says of every option what it does, and nothing that is not so."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from bayeux.load import command, options, scenario
from bayeux.load.options import Options
from tests.reports import made

HOWTO = Path(__file__).parent.parent / "docs" / "howto"
PAGE = (HOWTO / "load-test.rst").read_text(encoding="utf-8")
SCENARIO = tomllib.loads((HOWTO / "scenario.toml").read_text(encoding="utf-8"))
EXAMPLES = re.findall(r"^ +bayeux load (.*?)(?:  +#.*)?$", PAGE, re.MULTILINE)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    command.add_arguments(made)
    return made


OPTIONS = {action.option_strings[-1]: action for action in parser()._actions if action.option_strings}


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"--help"}))
def test_every_option_is_described(name: str) -> None:
    heads = re.findall(r"^(``--.*``)$", PAGE, re.MULTILINE)
    assert [head for head in heads if re.search(rf"``{name}( |``)", head)]


def test_no_other_option_is_described() -> None:
    page = re.sub("bayeux token .*", "", PAGE)  # another command
    assert set(re.findall(r"(?<![\w-])--[a-z]+\b", page)) <= set(OPTIONS)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_can_be_typed(example: str) -> None:
    given = parser().parse_args(shlex.split(example.replace("$(cat twistd.pid)", "1234")))
    assert given.url in ("URL", "compare") or given.url.startswith(("http://", "https://"))
    if given.url != "compare" and {given.token, given.key, given.scenario} == {None}:
        options.parse(argparse.Namespace(**{**vars(given), "pid": None}))


@pytest.mark.parametrize(("name", "default"), [
    ("clients", "100"), ("channels", "10"), ("publishers", "4"), ("size", "50"), ("drain", "10"),
    ("patience", "60"), ("prefix", "/load")])
def test_defaults_are_as_they_are_said_to_be(name: str, default: str) -> None:
    assert str(getattr(Options(url=""), name)).removesuffix(".0") == default
    found = re.search(rf"^``--{name}(?: [A-Z]+)?``\n((?:    .*\n|\n)+)", PAGE, re.MULTILINE)
    assert found is not None
    assert re.search(rf"{default}(``)?\s+if\s+not\s+given", found[1])


def test_the_scenario_is_one_and_has_all_that_there_can_be() -> None:
    for table, kind in (("churn", scenario.Churn), ("slow", scenario.Slow), ("storm", scenario.Storm)):
        [phase] = [phase for phase in SCENARIO["phase"] if table in phase]
        assert list(phase[table]) == list(kind.__struct_fields__)
    assert {name for phase in SCENARIO["phase"] for name in phase} == set(scenario.Phase.__struct_fields__)
    read = scenario.read(HOWTO / "scenario.toml")
    assert [phase.name for phase in read.phases] == ["warm-up", "visitors", "phones", "the network breaks"]
    for name in set(scenario.Scenario.__struct_fields__) - {"phases"}:
        assert f"``{name}``" in PAGE.partition("\nPhases\n")[2]


def test_the_scenario_shows_the_defaults() -> None:
    phases = scenario.read(HOWTO / "scenario.toml").phases
    assert phases[1].churn == scenario.Churn(rate=20)
    assert phases[2].slow == scenario.Slow(share=0.1)
    assert phases[3].storm == scenario.Storm()


def test_the_keys_of_a_report_are_there() -> None:
    report = made()
    part = PAGE.partition("``--json FILE``\n")[2].partition("``--html FILE``")[0]
    keys = set(re.findall(r"``(\w+|p99\.9)``", part)) - {"compare"}
    assert keys <= {*report, *report["latency_ms"]}
    assert {"clients", "expected", "received", "lost", "duplicated", "rate", "latency_ms"} <= keys
