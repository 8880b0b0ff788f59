"""cli/check.py: whether a configuration can be meant, and what it comes to."""

from __future__ import annotations

import tomllib

import msgspec
import pytest

from bayeux.settings import Settings
from tests.cli import SECRET, Shell

WHOLE = """\
timeout = 20
mounts = ["/bayeux", "/push"]
lazy_channels = {"/slow" = 2.5}
cookie_name = "B"

[[channel]]
pattern = "/news/**"
publish = "signed"

[[key]]
id = "web-a"
secret_file = "web-a.key"
publish = ["/news/**"]
not_after = 2999-01-01T00:00:00Z
"""


def written(shell: Shell, text: str, mode: int = 0o600) -> str:
    """Write a configuration; returns its name."""
    (shell.folder / "bayeux.toml").write_text(text)
    (shell.folder / "bayeux.toml").chmod(mode)
    return "bayeux.toml"


def test_what_is_printed_is_a_configuration_that_comes_to_the_same(shell: Shell) -> None:
    shell.key()
    output = shell.output("check", written(shell, WHOLE))
    again = shell.output("check", written(shell, output))
    assert again.replace("  # by default", "") == output.replace("  # by default", "")
    settings = Settings.of(tomllib.loads(output))
    assert (settings.timeout, settings.mounts, settings.lazy_channels, settings.cookie_name) == (
        20, ("/bayeux", "/push"), {"/slow": 2.5}, "B")
    assert settings.channel[0].publish == "signed"
    assert settings.key[0].secret_file == str(shell.folder / "web-a.key")
    assert settings.key[0].not_after is not None
    assert settings.key[0].not_after.year == 2999


def test_every_setting_is_printed_and_a_default_called_one(shell: Shell) -> None:
    lines = shell.output("check", written(shell, "timeout = 20\nmax_lazy_timeout = 5")).splitlines()
    assert [line.partition(" = ")[0] for line in lines] == [
        field.name for field in msgspec.structs.fields(Settings) if field.name not in ("channel", "key")]
    assert [line for line in lines if not line.endswith("  # by default")] == ["timeout = 20.0"]


def test_only_what_differs_is_printed_if_that_is_asked_for(shell: Shell) -> None:
    file = written(shell, 'timeout = 20\nmax_lazy_timeout = 5\n[[channel]]\npattern = "/x"')
    assert shell.output("check", "--changed", file) == (
        'timeout = 20.0\n\n'
        '[[channel]]\npattern = "/x"\npublish = "session"\nsubscribe = "anyone"\nlazy = false\n')


def test_an_empty_file_is_one(shell: Shell) -> None:
    assert shell.output("check", "--changed", written(shell, "")) == ""


def test_secrets_are_not_shown(shell: Shell) -> None:
    """G-33."""
    output = shell.output("check", written(
        shell, f'[[key]]\nid = "web-a"\nsecret = "{SECRET}"\npublish = ["/news"]'))
    assert SECRET not in output
    assert "# secret is not shown" in output


@pytest.mark.parametrize(("text", "complaint"), [
    ("timeout = [", "bayeux.toml: "),
    ("timeouts = 1", "bayeux.toml:1: there is no setting 'timeouts'"),
    ("timeout = -1", "bayeux.toml:1: timeout = -1: "),
    ('listen = ["carrier pigeon"]', "bayeux.toml:1: listen: 'carrier pigeon' is no endpoint"),
    ('\n[[channel]]\npattern = "/x"\npublish = "sign"',
     "bayeux.toml:2: [[channel]] 1 (/x): publish = 'sign': choose"),
    ('[[channel]]\npattern = "/x"\npublish = "signed"', "bayeux.toml:1: [[channel]] 1 (/x): "),
    ('[[key]]\nid = "web-a"\nsecret_file = "missing.key"', "bayeux.toml:1: [[key]] 1: 'web-a': "),
    ('authorize_url = "http://localhost/a"\nauthorize_secret_file = "missing"',
     "bayeux.toml:2: authorize_secret_file"),
])
def test_what_is_wrong_is_told_in_one_line(shell: Shell, text: str, complaint: str) -> None:
    """And where, as far as that is known."""
    assert shell.complaint("check", written(shell, text)).startswith(complaint)


def test_a_file_that_is_not_there(shell: Shell) -> None:
    assert shell.complaint("check", "missing.toml") == "missing.toml: No such file or directory"


def test_secrets_that_everybody_may_read_are_refused(shell: Shell) -> None:
    """Y-4."""
    text = f'[[key]]\nid = "web-a"\nsecret = "{SECRET}"\npublish = ["/news"]'
    assert "bayeux.toml" in shell.complaint("check", written(shell, text, 0o644))


@pytest.mark.parametrize(("key", "doubt"), [
    ('publish = ["/news"]\nnot_after = 2020-01-01T00:00:00Z',
     "the key web-a has come to its end, and is good for nothing any more"),
    ("", "the key web-a is good for nothing: give it patterns in publish or subscribe"),
])
def test_what_can_hardly_be_meant_is_told_too(shell: Shell, key: str, doubt: str) -> None:
    """Although it is allowed."""
    shell.key()
    status, output, errors = shell.run(
        "check", "--changed", written(shell, f'[[key]]\nid = "web-a"\nsecret_file = "web-a.key"\n{key}'))
    assert status == 0
    assert "[[key]]" in output
    assert errors == f"bayeux check: bayeux.toml: {doubt}\n"


def test_a_folder_without_keys_is_told_of(shell: Shell) -> None:
    (shell.folder / "keys").mkdir()
    status, _, errors = shell.run("check", written(shell, 'key_directory = "keys"'))
    assert status == 0
    assert errors == f"bayeux check: bayeux.toml: there is no key in {shell.folder / 'keys'} as yet\n"


def test_it_needs_a_file(shell: Shell) -> None:
    assert shell.misuse("check") == "the following arguments are required: FILE"
