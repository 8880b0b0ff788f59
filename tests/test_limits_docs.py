"""The table of ``docs/topics/limits.rst``: each limit is a setting with that default, each test exists."""

import re
from pathlib import Path

import msgspec
import pytest

from bayeux.settings import Settings
from tests.test_security_docs import names

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs" / "topics" / "limits.rst").read_text()
ROWS = [re.split(r"\n     - ", row.split("\n\n")[0]) for row in TEXT.split("\n   * - ")[2:]]
TESTED = sorted({test for row in ROWS for test in re.findall(r"``(test_\w+\.py::[^`]+)``", row[3])})
SETTINGS = [setting for row in ROWS for setting in re.findall(r"``(\w+)`` = ([\w.]+)", row[1])]


@pytest.mark.parametrize(("name", "default"), SETTINGS)
def test_a_default_is_what_the_table_says(name, default):
    assert float(getattr(Settings(), name)) == float(default)


@pytest.mark.parametrize("test", TESTED)
def test_a_test_that_the_table_names_is_there(test):
    file, _, name = test.partition("::")
    assert name in names(TESTS / file)


def test_each_row_has_a_setting_an_answer_and_a_test():
    for row in ROWS:
        assert len(row) == 4, row
        assert "`` = " in row[1], row
        assert "::test" in row[3] or "::Test" in row[3], row


def test_no_limit_is_forgotten():
    """G-1 to G-25: a setting that bounds something has such a name."""
    bounds = {field.name for field in msgspec.structs.fields(Settings)
              if re.search(r"^max_|_per_second|_burst|_max_message$", field.name)}
    elsewhere = {"max_interval", "max_processing", "max_lazy_timeout", "max_inactivity"}
    """Times of the protocol and of the application, not of what a peer can make large."""
    assert bounds - elsewhere == {name for name, _ in SETTINGS} & bounds
