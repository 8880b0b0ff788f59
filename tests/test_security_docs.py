"""The threat table of ``docs/topics/security.rst``: each class of holes is in it, and each test exists."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs" / "topics" / "security.rst").read_text()

CLASSES = [
    "Meta-channel prefix bypass", "Eavesdropping by wildcard", "Leaked clientId", "CSWSH", "CSRF",
    "CORS reflection", "JSONP callback injection", "Rosetta Flash", "Content sniffing", "U+2028", "Huge body",
    "Huge frame", "Deflate bomb", "Message-count bomb", "JSON nesting", "Credentials forwarded",
    "One exception ends all", "Replies crossing clients", "Request smuggling",
    "Disconnect during a held request", "Slow readers", "Slowloris", "Reconnect storm by our own advice",
    "Log injection", "SSRF by token claims",
]
"""The classes of holes that other servers of this kind have had."""


def rows():
    """Return the table: of each threat its defence and the names of its tests."""
    found = {}
    for row in TEXT.split("\n   * - ")[2:]:
        threat, defence, tests = re.split(r"\n     - ", row.split("\n\n")[0])
        assert threat not in found
        found[threat] = " ".join(defence.split()), re.findall(r"``(test_[^`]+)``", tests)
    return found


def names(file):
    """Return the names of all tests in a file, and of its classes of tests."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
            found |= {f"{node.name}::{inner.name}" for inner in node.body
                      if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


def test_every_class_of_holes_has_a_row():
    assert set(CLASSES) <= rows().keys()


@pytest.mark.parametrize("threat", rows())
def test_every_threat_has_a_defence_and_tests_that_exist(threat):
    defence, tests = rows()[threat]
    assert len(defence) > 10
    assert tests
    assert len(tests) == len(set(tests))
    for test in tests:
        file, _, name = test.partition("::")
        assert name in names(TESTS / file), test


def test_every_attack_is_in_the_table():
    """What is tried in ``test_hostile.py`` is tried because of a threat."""
    named = {test for _, tests in rows().values() for test in tests}
    attacks = {name for name in names(TESTS / "test_hostile.py") if name.startswith("test_")}
    assert {f"test_hostile.py::{name}" for name in attacks} <= named
