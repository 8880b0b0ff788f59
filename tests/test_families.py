"""What the metrics are called: an interface, which dashboards and alert rules are made of."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

import bayeux
from bayeux.families import ANSWERS, AUTHENTICATION_FAILURES, COUNTED, LIMITS_OF_ALL, MEASURED, REASONS
from bayeux.histograms import Histogram
from bayeux.metrics import Metrics
from bayeux.settings import Settings

PACKAGE = Path(bayeux.__file__).parent
FAMILIES = [*COUNTED.values(), *MEASURED.values()]


def test_whatever_is_counted_has_a_name():
    """A new field of ``Metrics`` needs a family, and a row in ``docs/reference/metrics.rst``."""
    assert set(COUNTED) == {field.name for field in fields(Metrics)}


def test_no_name_is_there_twice():
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    assert [family.name for family in MEASURED.values()] == list(MEASURED)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_name_keeps_to_the_conventions(family):
    """https://prometheus.io/docs/practices/naming"""
    assert re.fullmatch(r"(bayeux|process)(_[a-z]+)+", family.name)
    assert family.name.endswith("_total") == (family.kind == "counter")
    if family.kind == "histogram":
        assert family.name.endswith("_seconds")
    if "bytes" in family.name:
        assert re.search(r"_bytes(_total)?$", family.name)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_its_help_is_one_sentence_of_plain_text(family):
    assert re.fullmatch(r"[A-Z][^\\\n\"]+[a-z0-9]\.", family.help)


@pytest.mark.parametrize("name", list(COUNTED))
def test_its_kind_is_that_of_what_is_counted(name):
    value, family = getattr(Metrics(), name), COUNTED[name]
    assert (family.kind == "histogram") == isinstance(value, Histogram)
    assert bool(family.labels) == isinstance(value, dict)
    assert (family.kind == "gauge") == (isinstance(value, float) and family.kind != "counter")


def literals(called):
    """Yield the texts in the arguments of all calls of such functions in the package."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(called):
                yield [part.value for argument in node.args for part in ast.walk(argument)
                       if isinstance(part, ast.Constant)]


def test_the_reasons_are_those_that_sessions_are_removed_for():
    removals = literals(("sessions.remove", "_owner.remove", "self.remove"))
    assert {text for texts in removals for text in texts} == set(REASONS)


def test_the_kinds_are_those_that_are_documented():
    source = (PACKAGE / "metrics.py").read_text(encoding="utf-8")
    text = source.partition("authentication_failures")[2].partition('"""')[2].partition('"""')[0]
    assert set(re.findall(r"``(\w+)``", text)) == set(AUTHENTICATION_FAILURES)


def test_the_answers_are_those_that_can_come_of_a_question():
    found = {texts[0] for texts in literals("Unanswered") if texts}
    assert {"allowed", "denied"} | found == set(ANSWERS)


def test_the_limits_are_settings():
    assert [name for name in LIMITS_OF_ALL if not isinstance(getattr(Settings(), name), int)] == []
