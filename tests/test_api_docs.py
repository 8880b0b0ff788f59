"""``docs/reference/api.rst``: its examples are tried on a running server, and its codes are all there."""

from __future__ import annotations

import json
import re
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from bayeux.api.errors import STATUS
from tests.api import KEY
from tests.test_api_openapi import address

__all__ = ["address"]  # a fixture

TEXT = (Path(__file__).parent.parent / "docs" / "reference" / "api.rst").read_text()
ROWS = re.findall(r"\n   \* - (\d+)\n     - ``(\w+)``\n", TEXT)


def test_its_table_has_every_code_and_no_other() -> None:
    assert {code: int(status) for status, code in ROWS} == STATUS
    assert len(ROWS) == len(STATUS)


def blocks() -> Iterator[tuple[str, str]]:
    for language, block in re.findall(r"\.\. code-block:: (\w+)\n\n((?:   .*\n|\n)+)", TEXT):
        yield language, textwrap.dedent(block).strip()


def examples() -> Iterator[tuple[str, object]]:
    """Yield every call of curl, and the answer that stands behind it, if one does."""
    found = list(blocks())
    for (language, block), (next_language, answer) in zip(found, [*found[1:], ("", "")], strict=True):
        if language == "shell" and block.startswith("curl "):
            yield block, json.loads(answer) if next_language == "json" else None


@pytest.mark.parametrize(("command", "answer"), list(examples()))
def test_an_example_is_answered_as_it_is_told(address: str, tmp_path: Path, command: str,
                                              answer: dict[str, object] | None) -> None:
    (tmp_path / "api.key").write_text(KEY + "\n")
    (tmp_path / ".curlrc").write_text("silent\nfail-with-body\n")
    if "/ID" in command:
        listed = curl(f'curl -H "Authorization: Bearer $(cat api.key)" {address}/v1/sessions', tmp_path)
        command = command.replace("/ID", "/" + json.loads(listed)["sessions"][0]["id"])
    told = curl(command.replace("http://127.0.0.1:9090", address), tmp_path)
    if answer is None:
        assert told == "" or json.loads(told)
        return
    assert shape(json.loads(told)) == shape(answer)


def shape(value: object) -> object:
    """Return what an example has in common with what is there: its fields, and those of the first listed."""
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, dict):
        return {name: shape(each) if isinstance(each, list) and name != "channels" else None
                for name, each in value.items()}
    return None


def curl(command: str, folder: Path) -> str:
    """Run a command in a folder where the key is."""
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.run(["bash", "-c", command], cwd=folder, env=environment, check=True, text=True,
                          stdout=subprocess.PIPE).stdout
