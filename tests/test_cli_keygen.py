"""cli/keygen.py: a new key, for the server and for who signs (Y-4)."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path

import pytest

from bayeux.configuration import read_toml
from bayeux.keys import read_keys
from bayeux.settings import Settings
from tests.cli import Shell


def made(shell: Shell, *arguments: str) -> tuple[dict[str, object], str]:
    """Make a key; returns the table that is printed, and what is said beside it."""
    status, output, errors = shell.run("keygen", *arguments)
    assert status == 0
    [table] = tomllib.loads(output)["key"]
    return table, errors


def test_a_key_is_made(shell: Shell) -> None:
    table, errors = made(shell, "--id", "web-a", "--publish", "/news/**", "--publish", "/x",
                         "--subscribe", "/p/*", "secret.key")
    assert table == {"id": "web-a", "secret_file": "secret.key", "publish": ["/news/**", "/x"],
                     "subscribe": ["/p/*"]}
    assert errors == "bayeux keygen: wrote secret.key; the server and whoever signs need it, nobody else\n"
    secret = (shell.folder / "secret.key").read_text()
    assert re.fullmatch("[A-Za-z0-9]{43}\n", secret)
    assert secret.strip() not in str(table) + errors


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_only_its_owner_can_read_it(shell: Shell, umask: int) -> None:
    """Y-4: whatever the process would allow others, or forbid itself."""
    before = os.umask(umask)
    try:
        made(shell, "a.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((shell.folder / "a.key").stat().st_mode) == 0o600


def test_secrets_differ(shell: Shell) -> None:
    for number in range(20):
        made(shell, f"{number}.key")
    assert len({path.read_text() for path in shell.folder.iterdir()}) == 20


def test_the_id_is_the_name_of_the_file(shell: Shell) -> None:
    (shell.folder / "keys").mkdir()
    assert made(shell, "keys/web-b.key")[0]["id"] == "web-b"


def test_a_file_may_be_anywhere(shell: Shell) -> None:
    """Also where its path could pass for a channel."""
    path = str(shell.folder / "key")
    assert made(shell, path)[0]["secret_file"] == path


def test_the_file_is_named_by_the_id(shell: Shell) -> None:
    assert made(shell, "--id", "web-c")[0]["secret_file"] == "web-c.key"
    assert (shell.folder / "web-c.key").exists()


def test_neither_has_to_be_given(shell: Shell) -> None:
    tables = [made(shell)[0] for _ in range(2)]
    assert len({str(table["id"]) for table in tables}) == 2
    for table in tables:
        assert re.fullmatch("key-[0-9a-f]{8}", str(table["id"]))
        assert (shell.folder / f"{table['id']}.key").exists()


def test_a_key_is_good_for_nothing_by_itself(shell: Shell) -> None:
    """Y-7."""
    table, _ = made(shell, "a.key")
    assert (table["publish"], table["subscribe"]) == ([], [])


@pytest.mark.parametrize("name", ["a.key", "Zo\u00eb's \"key\".key", "back\\slash.key"])
def test_the_table_goes_into_the_configuration_as_it_is(shell: Shell, name: str) -> None:
    output = shell.run("keygen", "--id", "a", "--publish", "/news/**", name)[1]
    config = shell.folder / "bayeux.toml"
    config.write_text("timeout = 5\n" + output)
    settings = Settings.of(read_toml(str(config)))
    [key] = settings.read_keys()
    assert key.secret == (shell.folder / name).read_bytes().strip()
    assert key.may_publish("/news/sport")
    assert read_keys(settings.key) == [key]


@pytest.mark.parametrize(("arguments", "file"), [([], "api.key"), (["my.key"], "my.key")])
def test_the_key_of_the_api_is_made(shell: Shell, arguments: list[str], file: str) -> None:
    status, output, errors = shell.run("keygen", "--api", *arguments)
    assert status == 0
    assert errors == (
        f"bayeux keygen: wrote {file}; the server and whoever uses its API need it, nobody else\n")
    secret = (shell.folder / file).read_text()
    assert re.fullmatch("[A-Za-z0-9]{43}\n", secret)
    assert secret.strip() not in output + errors
    config = shell.folder / "bayeux.toml"
    config.write_text('api_listen = "tcp:9090"\n' + output)
    assert Settings.of(read_toml(str(config))).api_key_file == str(shell.folder / file)
    assert stat.S_IMODE((shell.folder / file).stat().st_mode) == 0o600


@pytest.mark.parametrize("arguments", [["--id", "a"], ["--publish", "/a"], ["--subscribe", "/a"]])
def test_the_key_of_the_api_opens_all(shell: Shell, arguments: list[str]) -> None:
    assert shell.complaint("keygen", "--api", *arguments).startswith("the API's key has no id and no channel")
    assert list(shell.folder.iterdir()) == []


def test_nothing_is_overwritten(shell: Shell) -> None:
    shell.key("web-a.key")
    assert shell.complaint("keygen", "web-a.key") == (
        "web-a.key exists already; name another file, or take it away first")
    assert shell.complaint("keygen", "--id", "web-a").startswith("web-a.key exists already")
    assert (shell.folder / "web-a.key").read_text().startswith("k3y-DEMO")


def test_a_link_is_not_followed(shell: Shell) -> None:
    (shell.folder / "a.key").symlink_to(shell.folder / "elsewhere")
    assert shell.complaint("keygen", "a.key").startswith("a.key exists already")
    assert not (shell.folder / "elsewhere").exists()


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["missing/a.key"], "missing/a.key: No such file or directory"),
    (["a\x00b", "--id", "a"], "a\x00b: embedded null byte"),
    (["a b.key"], "'a b' cannot be a key's id; give it by --id"),
    (["--publish", "/a", "/news/**", "--id", "a"],
     "/news/** looks like a pattern: each needs its own --publish or --subscribe")])
def test_what_cannot_be_made(shell: Shell, arguments: list[str], complaint: str) -> None:
    assert shell.complaint("keygen", *arguments) == complaint
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize("arguments", [
    ["--publish", "news"], ["--subscribe", "/meta/**"], ["--id", "a b"], ["a", "b"], ["--publish"]])
def test_what_cannot_be_meant(shell: Shell, arguments: list[str]) -> None:
    assert shell.misuse("keygen", *arguments)
    assert list(Path(shell.folder).iterdir()) == []
