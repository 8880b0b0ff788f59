"""load/options.py: what a run is asked to be."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from rich.pretty import pretty_repr

from bayeux.load import LoadError, options, wire
from bayeux.load.options import Options
from bayeux.load.scenario import Phase, simple
from bayeux.load.signer import Signer

URL = "http://127.0.0.1:8080/bayeux"


def parse(*words: str) -> Options:
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    return options.parse(parser.parse_args([*words, URL]))


def test_everything_has_a_default() -> None:
    assert parse() == Options(url=URL)
    assert Options(url=URL).phases == simple(10.0, 10.0, 2.0)
    assert not Options(url=URL).insecure


def test_everything_can_be_set(tmp_path: Path) -> None:
    made = parse("--clients", "7", "--channels", "3", "--transport", "mixed", "--publishers", "2",
                 "--size", "99", "--ramp", "50", "--processes", "2", "--patience", "5", "--drain", "1",
                 "--prefix", "/a/b", "--ext", '{"token":"t"}', "--header", "A: b", "--header", "C: d",
                 "--insecure", "--pid", "1", "--pid", "2", "--rate", "20", "--duration", "3", "--warmup", "0",
                 "--json", f"{tmp_path}/a.json", "--html", f"{tmp_path}/a.html")
    assert made == Options(
        url=URL, clients=7, channels=3, transport="mixed", publishers=2, size=99, ramp=50.0, processes=2,
        patience=5.0, drain=1.0, prefix="/a/b", ext='{"token":"t"}', header=("A: b", "C: d"), insecure=True,
        pid=(1, 2), phases=(Phase(3.0, 20.0, "load"),), json=tmp_path / "a.json", html=tmp_path / "a.html")
    assert made.kinds == ("long-polling", "websocket")
    assert parse("--transport", "websocket").kinds == ("websocket",)


def test_the_command_line_wins_over_a_scenario(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text("clients = 5\nchannels = 2\n[[phase]]\nduration = 1\nrate = 9")
    made = parse("--scenario", str(path), "--clients", "8")
    assert (made.clients, made.channels, made.phases) == (8, 2, (Phase(1.0, 9.0, "phase 1"),))


@pytest.mark.parametrize("option", ["--rate", "--duration", "--warmup"])
def test_a_scenario_has_its_own_times(tmp_path: Path, option: str) -> None:
    with pytest.raises(LoadError, match=f"{option} and --scenario do not go together"):
        parse("--scenario", "x.toml", option, "1")


@pytest.mark.parametrize(("words", "complaint"), [
    (("--clients", "0"), "--clients: Expected `int` >= 1"),
    (("--rate", "-1"), "--rate: Expected `float` >= 0.0"),
    (("--duration", "0"), "--duration: Expected `float` > 0.0"),
    (("--warmup", "-1"), "--warmup: Expected `float` >= 0.0"),
    (("--size", "5"), f"--size: an event takes {wire.LEAST} bytes at least, to tell which it is"),
    (("--prefix", "/meta/x"), "--prefix: '/meta/x' is no name of a channel that can be published to"),
    (("--prefix", "x"), "--prefix: 'x' is no name of a channel that can be published to"),
    (("--clients", "2", "--processes", "3"), "--processes: there are fewer clients than processes"),
    (("--ext", "{"), "--ext: not JSON: Expecting property name"),
    (("--ext", "[1]"), "--ext: a JSON object is expected")])
def test_what_cannot_be_meant_is_told(words: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(LoadError) as raised:
        parse(*words)
    assert str(raised.value).startswith(complaint)


def test_a_token_is_a_part_of_ext(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")
    assert parse("--token", "t").ext == '{"token":"t"}'
    assert parse("--token", f"@{tmp_path}/token", "--ext", '{"a": 1}').ext == '{"a":1,"token":"from a file"}'


@pytest.mark.parametrize(("content", "complaint"), [
    (None, "No such file or directory"), (b"\xff", "'utf-8' codec can't decode")])
def test_a_token_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LoadError) as raised:
        parse("--token", f"@{path}")
    assert str(raised.value).startswith(f"--token: {path}: {complaint}")


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    """Y-4; and nothing that is logged shows it."""
    path = tmp_path / "web-a.key"
    path.write_text("s" * 32 + "\n")
    path.chmod(0o600)
    made = parse("--key", str(path))
    assert made.signer == Signer("web-a", b"s" * 32)
    assert parse("--key", str(path), "--id", "other").signer == Signer("other", b"s" * 32)
    assert "sss" not in repr(made)
    assert "sss" not in pretty_repr(made)
    assert "web-a" in repr(made)


NO_ID = "'a b' is no key's id: 1 to 64 letters, digits, or characters of _ . -"


@pytest.mark.parametrize(("words", "complaint"), [
    (("--id", "web-a"), "--id names a key, so it needs --key"),
    (("--key", "a b.key"), NO_ID + "; give it by --id"),
    (("--key", "short.key", "--id", "a b"), NO_ID),
    (("--key", "none.key"), "--key: none.key: No such file"),
    (("--key", "short.key"), "--key: short.key: "),
])
def test_a_key_that_cannot_be_used_is_told(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], complaint: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.key").write_text("short")
    (tmp_path / "short.key").chmod(0o600)
    with pytest.raises(LoadError) as raised:
        parse(*words)
    assert str(raised.value).startswith(complaint)


def test_a_report_that_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "old.html").write_text("old")
    options.check_files(Options(url=URL, json=tmp_path / "a.json", html=tmp_path / "old.html"))
    with pytest.raises(LoadError, match=r"nowhere/b.html: No such file or directory"):
        options.check_files(Options(url=URL, html=tmp_path / "nowhere" / "b.html"))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old.html", "old")]
