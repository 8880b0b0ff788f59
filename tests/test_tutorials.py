"""The programs in the tutorials are run as they stand there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from twisted.internet.threads import deferToThread

import bayeux
from tests.live import Live, condition
from tests.peers import ensure, within

DOCS = Path(bayeux.__file__).parent.parent / "docs"


def blocks(page: Path, language: str) -> list[str]:
    """Return the blocks in a language that a page has, in order."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(rf"\.\. code-block:: {language}\n(?: +:caption:.*\n)?\n((?:   .*\n|\n)+)", text)
    return [textwrap.dedent(block).strip("\n") + "\n" for block in found]


def programs(page: Path) -> list[str]:
    """Return the blocks of Python in a page."""
    return blocks(page, "python")


TUTORIALS = [page for page in sorted((DOCS / "tutorial").glob("*.rst")) if programs(page)]


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_all_that_is_python_can_be_read(tutorial: Path) -> None:
    for program in programs(tutorial):
        ast.parse(program)


@ensure
async def test_the_service_that_listens(live: Live, tmp_path: Path) -> None:
    (tmp_path / "listen.py").write_text(programs(DOCS / "tutorial" / "listen.rst")[0])
    packed: list[object] = []
    live.serve()
    live.hub.subscribe("/packing", lambda channel, data: packed.append(data))
    process = subprocess.Popen([sys.executable, "listen.py", live.url], cwd=tmp_path, text=True,
                               env={"PYTHONPATH": str(DOCS.parent)}, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        assert await within(deferToThread(process.stdout.readline)) == "listening\n"
        live.hub.publish("/orders/eu", {"number": 17})
        assert await within(deferToThread(process.stdout.readline)) == "/orders/eu {'number': 17}\n"
        await condition(lambda: packed == [{"order": 17}])
        process.terminate()
        _, errors = await within(deferToThread(process.communicate))
        assert errors.splitlines() == ["disconnecting ", "disconnected "]
        assert len(live.hub.sessions) == 0
    finally:
        process.kill()
        process.wait()
