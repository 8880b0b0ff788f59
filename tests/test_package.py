"""What is given to others: the wheel and the sdist, what is in them, and that the wheel runs by itself.

It is installed for every Python that we support and that is here, on PATH or by pyenv; the names of the tests
say for which.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployed import Process, Program
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.11", "3.12", "3.13")
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
INSTALL_DEADLINE = 300.0
"""Seconds for an installation: it waits for the network."""


def pythons() -> dict[str, str]:
    """Return the interpreters that are here by version."""
    found = {RUNNING: sys.executable}
    for version in VERSIONS:
        of_pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        candidates = [*map(str, of_pyenv), shutil.which(f"python{version}") or ""]
        for candidate in filter(None, candidates):
            if version not in found and _works(candidate, version):
                found[version] = candidate
    return found


def _works(python: str, version: str) -> bool:
    """Say whether that is what it seems to be; pyenv has names on PATH for what it would not run."""
    done = subprocess.run([python, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


PYTHONS = pythons()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both, the wheel built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder),
                           str(ROOT)], capture_output=True, text=True, check=False,
                          env=_outside())
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [wheel] = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return an environment for each Python, with the wheel and what it needs; all are made at once."""
    folders = {version: tmp_path_factory.mktemp("env") / version for version in PYTHONS}
    running = {}
    for version, folder in folders.items():
        subprocess.run([PYTHONS[version], "-m", "venv", "--without-pip", str(folder)], check=True,
                       env=_outside())
        running[version] = subprocess.Popen(
            [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet",
             "--no-compile", "--disable-pip-version-check", str(wheel)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_outside())
    _wait(running)
    # Whatever is imported is compiled now, and not while a test waits for a server.
    _wait({version: subprocess.Popen(
        [str(folder / "bin" / "twistd"), "bayeux", "--help"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env=_outside()) for version, folder in folders.items()})
    return folders


def _wait(running: dict[str, subprocess.Popen[str]]) -> None:
    """Wait until commands have ended, and well."""
    for version, process in running.items():
        output, _ = process.communicate(timeout=INSTALL_DEADLINE)
        assert process.returncode == 0, f"{version}: {output}"


def _outside() -> dict[str, str]:
    """Return an environment in which this checkout is not found by accident."""
    return {name: text for name, text in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


# -- what is in them ----------------------------------------------------------------------------


def test_the_descriptions_are_accepted(built: Path) -> None:
    """By what looks at them before they are uploaded."""
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())],
                   check=True, capture_output=True)


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    """Modules, the browser's client, the demos, and the mark that there are types."""
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {f"bayeux/{file.relative_to(ROOT / 'bayeux').as_posix()}" for file in _files(ROOT / "bayeux")}
    sources |= {f"bayeux/demo/{file.relative_to(ROOT / 'demo').as_posix()}" for file in _files(ROOT / "demo")}
    assert sources - names == set()
    assert {"bayeux/py.typed", "bayeux/web/static/client.js", "bayeux/demo/deploy/nginx.conf"} <= names


def _files(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder that belongs to the project; demos are elsewhere, and linked to."""
    for file in folder.rglob("*"):
        inside = file.relative_to(folder).parts
        if (file.is_file() and not {"__pycache__", "demo"} & set(inside) and not file.name.startswith(".")
                and file.suffix not in (".pyc", ".key", ".pid")):
            yield file


def test_the_wheel_has_nothing_else(wheel: Path) -> None:
    """No tests, and of the namespace of Twisted's plugins our module alone."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bayeux", "twisted"}
    assert [name for name in names if name.startswith("twisted/")] == ["twisted/plugins/bayeux_plugin.py"]
    assert [name for name in names if re.search(r"tests?/|__pycache__|\.key$|dropin\.cache", name)] == []


def test_the_sdist_has_what_one_needs_to_go_on(built: Path) -> None:
    """Tests and documentation, but nothing that these have fetched or found."""
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.rst", "LICENSE", "tests/run", "tests/test_package.py", "docs/changelog.rst",
            "tests/clients/package-lock.json", "demo/deploy/Dockerfile", "pyproject.toml"} <= names
    assert [name for name in names if re.search(r"node_modules|__pycache__|\.key$|\.venv|finds/", name)] == []
    assert sdist.stat().st_size < 3_000_000


def test_it_says_for_which_pythons_it_is(wheel: Path) -> None:
    """For those that it is tried on here."""
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        text = archive.read(metadata).decode()
    said = re.findall(r"^Classifier: Programming Language :: Python :: (3\.\d+)$", text, re.MULTILINE)
    assert tuple(said) == VERSIONS
    assert RUNNING in said
    assert "\nRequires-Python: >=3.11\n" in text


# -- the quick start ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", PYTHONS)
def test_the_quick_start_works(installed: dict[str, Path], version: str, tmp_path: Path) -> None:
    """The README's: the demos are there, somebody gets an event, and it ends well."""
    commands, port = installed[version] / "bin", free_port()
    server = Process(tmp_path / "log", str(commands / "twistd"), "-n", "--pidfile=", "bayeux", "--demo",
                     "--listen", f"tcp:{port}:interface=127.0.0.1", port=port, environment=_outside())
    try:
        server.start()
        program = Program(port, "browser")
        for path, text in (("/", b"<html"), ("/chat/", b"<html"), ("/bayeux/client.js", b"export"),
                           ("/slideshow/", b"<html"), ("/ticker/", b"<html")):
            status, body = program.get(path)
            assert (status, text in body) == (200, True), path
        with program.join("/a").held() as heard:
            subprocess.run([str(commands / "bayeux"), "publish", f"http://127.0.0.1:{port}/bayeux", "/a",
                            '"hello"'], check=True, env=_outside())
        assert heard == ["hello"]
        program.close()
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()
    finally:
        server.stop(signal.SIGKILL)
