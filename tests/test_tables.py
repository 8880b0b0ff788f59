"""tables.py: ``[[channel]]`` and ``[[key]]`` of a configuration, and what is told of those that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from bayeux import Settings, SettingsError
from bayeux.configuration import located, read_toml
from bayeux.hub import Hub
from bayeux.keys import Key
from bayeux.rules import ChannelRule, KeyRule
from bayeux.tables import check_openers, find_table
from bayeux.tap import Options, makeService

SECRET = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"
KEY = {"id": "web-a", "secret": SECRET, "publish": ["/news/**"], "subscribe": ["/private/**"]}


def complaint(**values: Any) -> str:
    with pytest.raises(SettingsError) as error:
        Settings.of(values)
    assert SECRET not in str(error.value)
    return str(error.value)


def complaint_about_channels(*tables: Any, key: Any = (KEY,)) -> str:
    return complaint(channel=list(tables), key=list(key))


def channel(pattern: str, **fields: Any) -> dict[str, Any]:
    return {"pattern": pattern, **fields}


# -- reading ------------------------------------------------------------------------------------


def test_tables_become_rules() -> None:
    settings = Settings.of({
        "channel": [channel("/news/**", publish="signed", lazy=True),
                    channel("/private/*", subscribe="token")],
        "key": [KEY]})
    assert settings.channel == (
        ChannelRule(pattern="/news/**", publish="signed", subscribe="anyone", lazy=True),
        ChannelRule(pattern="/private/*", publish="session", subscribe="token", lazy=False))
    [key] = settings.key
    assert (key.id, key.publish, key.subscribe) == ("web-a", ("/news/**",), ("/private/**",))


def test_rules_as_keywords_and_tables_say_the_same() -> None:
    assert Settings(channel=(ChannelRule(pattern="/a", publish="nobody"),)) == Settings.of(
        {"channel": [channel("/a", publish="nobody")]})


def test_tables_as_keywords() -> None:
    assert Settings(channel=[channel("/a")]).channel == (ChannelRule(pattern="/a"),)  # type: ignore[arg-type]


def test_no_tables() -> None:
    assert (Settings().channel, Settings().key) == ((), ())


# -- what a table cannot be ---------------------------------------------------------------------


@pytest.mark.parametrize(("table", "text"), [
    (channel("/a", publsh="signed"), "[[channel]] 1 (/a): there is no 'publsh'; did you mean 'publish'?"),
    (channel("/a", zzz=1), "[[channel]] 1 (/a): there is no 'zzz'"),
    (channel("/a", publish="sined"), "[[channel]] 1 (/a): publish = 'sined': choose anyone, session, token, "
                                     "signed or nobody"),
    (channel("/a", subscribe="session"), "[[channel]] 1 (/a): subscribe = 'session': choose anyone, token or "
                                         "nobody"),
    (channel("/a", lazy="perhaps"), "[[channel]] 1 (/a): lazy = 'perhaps': Expected `bool`, got `str`"),
    ({"publish": "nobody"}, "[[channel]] 1: pattern is missing"),
    ({"pattern": 5}, "[[channel]] 1: pattern = 5: Expected `str`, got `int`"),
    ("/a", "[[channel]] 1: must be a table of names and values"),
    (channel("a"), "[[channel]] 1 (a): this is neither a channel nor a pattern such as /news/**"),
    (channel("/a/**/b"), "[[channel]] 1 (/a/**/b): this is neither a channel nor a pattern such as /news/**"),
    (channel("/a\n"), "[[channel]] 1: this is neither a channel nor a pattern such as /news/**"),
    (channel("/meta/**"), "[[channel]] 1 (/meta/**): the protocol's own channels have no rules"),
    (channel("/meta/connect"), "[[channel]] 1 (/meta/connect): the protocol's own channels have no rules"),
    (channel("/service"), "[[channel]] 1 (/service): the protocol's own channels have no rules"),
    (channel("/service/token"),
     "[[channel]] 1 (/service/token): whoever has a session may send its next token there; it has no rule"),
    (channel("/service/a", subscribe="token"),
     "[[channel]] 1 (/service/a): services can only be published to; take out subscribe and lazy"),
    (channel("/service/**", lazy=True),
     "[[channel]] 1 (/service/**): services can only be published to; take out subscribe and lazy"),
])
def test_a_wrong_table(table: Any, text: str) -> None:
    assert complaint_about_channels(table) == text


@pytest.mark.parametrize("value", ["x", 5, {"pattern": "/a"}])
def test_what_is_no_tables_at_all(value: Any) -> None:
    assert complaint(channel=value) == "[[channel]]: must be tables, each under a line [[channel]]"


@pytest.mark.parametrize(("fields", "text"), [
    ({"secret": 5}, "[[key]] 1 (web-a): secret: Expected `str`, got `int`"),
    ({"secret": [SECRET]}, "[[key]] 1 (web-a): secret: Expected `str`, got `array`"),
    ({"sekret": SECRET}, "[[key]] 1 (web-a): there is no 'sekret'; did you mean 'secret'?"),
    ({"publish": "/news/**"}, "[[key]] 1 (web-a): publish = '/news/**': Expected `array`, got `str`"),
    ({"max_payload": 0}, "[[key]] 1 (web-a): max_payload = 0: Expected `int` >= 1"),
    ({"publish": ["news"]}, "[[key]] 1: 'web-a': publish: 'news' is neither a channel nor a pattern such as "
                            "/news/**"),
    ({"id": ""}, "[[key]] 1: '': an id is 1 to 64 letters, digits, or characters of _ . -"),
])
def test_a_wrong_key(fields: dict[str, Any], text: str) -> None:
    """G-33: and no word of any secret."""
    assert complaint(key=[{**KEY, **fields}]) == text


def test_a_key_twice() -> None:
    """Y-7."""
    assert complaint(key=[KEY, {**KEY, "id": "b"}, KEY]) == (
        "[[key]] 3: 'web-a': there are two keys of that id; give each its own")


# -- contradictions -----------------------------------------------------------------------------


def test_two_rules_for_one_pattern() -> None:
    assert complaint_about_channels(channel("/a"), channel("/b"), channel("/a", publish="nobody")) == (
        "[[channel]] 3 (/a): [[channel]] 1 is for the same pattern; make one of the two")


@pytest.mark.parametrize(("fields", "text"), [
    ({"publish": "signed"}, "publish = 'signed' needs a [[key]] that has such channels in its publish"),
    ({"publish": "token"}, "publish = 'token' needs a [[key]] that has such channels in its publish"),
    ({"subscribe": "token"}, "subscribe = 'token' needs a [[key]] that has such channels in its subscribe")])
@pytest.mark.parametrize("keys", [
    [], [{**KEY, "publish": ["/newsroom/**", "/news"], "subscribe": ["/other/*"]}]])
def test_a_rule_that_no_key_can_fulfil(fields: dict[str, Any], text: str, keys: list[Any]) -> None:
    assert complaint_about_channels(channel("/a"), channel("/news/**", **fields), key=keys) == (
        f"[[channel]] 2 (/news/**): {text}")


@pytest.mark.parametrize("pattern", ["/news/**", "/news/*", "/news/sport", "/**"])
@pytest.mark.parametrize("opened", ["/news/**", "/news/sport", "/news/*", "/**"])
def test_a_key_for_any_of_its_channels_is_enough(pattern: str, opened: str) -> None:
    rule = ChannelRule(pattern=pattern, publish="signed", subscribe="token")
    check_openers([rule], [Key(id="a", secret=b"", publish=(opened,), subscribe=(opened,))])


def test_a_key_for_everything_is_none_for_services() -> None:
    """C-15."""
    assert "needs a [[key]]" in complaint_about_channels(
        channel("/service/a", publish="token"), key=[{**KEY, "publish": ["/**"]}])


def test_a_token_is_required_and_nobody_can_make_one() -> None:
    assert complaint(require_token=True) == (
        "require_token: nobody can have a token while there is no [[key]] for one")
    assert Settings.of({"require_token": True, "key": [KEY]}).require_token is True
    assert Settings(require_token=True, key_directory="keys").require_token is True


def test_keys_of_a_directory_are_known_only_when_they_have_been_read(tmp_path: Path) -> None:
    """The same contradiction is found then."""
    settings = Settings(channel=(ChannelRule(pattern="/news/**", publish="signed"),),
                        key_directory=str(tmp_path))
    with pytest.raises(SettingsError, match=r"^\[\[channel\]\] 1 \(/news/\*\*\): publish = 'signed' needs"):
        Hub(Clock(), settings)
    file = tmp_path / "web-a.toml"
    file.write_text(f'secret = "{SECRET}"\npublish = ["/news/**"]\n')
    file.chmod(0o600)
    assert len(Hub(Clock(), settings).keys) == 1


# -- lines --------------------------------------------------------------------------------------


FILE = f'''# [[channel]]
timeout = 5
revoked_tokens = ["""
[[channel]]
"""]
public_url = "https://example.org"   # "

[[channel]]
pattern = "/news/**"  # [[channel]]
publish = "signed"

  [[ "channel" ]] # here
pattern = '/a'
[[key]]
id = "web-a"
secret = \'\'\'{SECRET}\'\'\'
publish = ["/news/**"]
[['channel']]
pattern = "/b"
[[key]]
id = "web-b"
secret_file = "web-b.key"
'''


@pytest.mark.parametrize(("table", "index", "line"), [
    ("channel", 0, 8), ("channel", 1, 12), ("channel", 2, 18), ("key", 0, 14), ("key", 1, 20),
    ("channel", 3, None), ("key", None, None)])
def test_where_a_table_begins(table: Any, index: int | None, line: int | None) -> None:
    assert find_table(FILE, table, index) == line


@pytest.mark.parametrize(("text", "line"), [
    ('\nchannel = [{pattern = "/a"}]', 2), ("\n\n [channel]\n", 3), ("\n'channel' = 5", 2), ("x = 1", None),
    ("channels = 1", None)])
def test_where_tables_are_that_have_no_header_of_their_own(text: str, line: int | None) -> None:
    assert find_table(text, "channel", 0) == line


@given(st.text('[]channel"\'#\n\\ =x', max_size=40))
def test_no_text_is_too_strange_to_be_looked_through(text: str) -> None:
    line = find_table(text, "channel", 0)
    assert line is None or "channel" in text.split("\n")[line - 1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the name of a file that only its owner can read, with a key in a file of its own."""
    secret = tmp_path / "web-b.key"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    path = tmp_path / "bayeux.toml"
    path.touch(0o600)
    return path


def refusal(path: Path, text: str, *arguments: str) -> str:
    """Return what twistd says of a configuration."""
    path.write_text(text, encoding="utf-8")
    options = Options()
    with pytest.raises(SystemExit) as end:
        options.parseOptions(["--config", str(path), "--set", 'listen=["tcp:0"]', *arguments])
        makeService(options)
    assert SECRET not in str(end.value)
    return str(end.value)


def test_a_good_file_is_taken(file: Path) -> None:
    file.write_text(FILE, encoding="utf-8")
    settings = Settings.of(read_toml(str(file)))
    assert [rule.pattern for rule in settings.channel] == ["/news/**", "/a", "/b"]
    assert len(settings.read_keys()) == 2


@pytest.mark.parametrize(("old", "new", "text"), [
    ('"/b"', '"/a"', ":18: [[channel]] 3 (/a): [[channel]] 2 is for the same pattern; make one of the two"),
    ("publish = \"signed\"", "publish = \"sined\"", ":8: [[channel]] 1 (/news/**): publish = 'sined': choose "
     "anyone, session, token, signed or nobody"),
    ('publish = ["/news/**"]', "", ":8: [[channel]] 1 (/news/**): publish = 'signed' needs a [[key]] that "
     "has such channels in its publish"),
    ("pattern = '/a'", "patern = '/a'", ":12: [[channel]] 2: there is no 'patern'; did you mean 'pattern'?"),
    ('"web-b"', '"web-a"', ":20: [[key]] 2: 'web-a': there are two keys of that id; give each its own"),
    ("secret_file", "secretfile", ":20: [[key]] 2 (web-b): there is no 'secretfile'; did you mean "
     "'secret_file'?"),
    ("timeout = 5", "timeout = -5", ":2: timeout = -5: Expected `float` >= 0.0"),
    ("timeout = 5", "key = 5\n[x]", ":2: [[key]]: must be tables, each under a line [[key]]"),
])
def test_a_file_is_refused_with_the_line(file: Path, old: str, new: str, text: str) -> None:
    changed = FILE.replace(old, new, 1)
    if "key = 5" in new:
        changed = "\nkey = 5\n"
    assert refusal(file, changed) == f"twistd bayeux: {file}{text}"


def test_a_secret_that_is_not_there_is_told_with_the_line(file: Path) -> None:
    """It is noticed only when the service is made."""
    text = refusal(file, FILE.replace("web-b.key", "web-c.key"))
    assert text.startswith(f"twistd bayeux: {file}:20: [[key]] 2: 'web-b': ")
    assert "No such file" in text


def test_a_key_in_a_folder_of_its_own_is_told_without_a_line(tmp_path: Path) -> None:
    """It is in no table."""
    file = tmp_path / "b.toml"
    file.write_text('secret = "short"')
    file.chmod(0o600)
    settings = Settings(key=(KeyRule(id="a", secret=SECRET),), key_directory=str(tmp_path))
    with pytest.raises(SettingsError, match=r"^key: 'b': the secret has 5 characters"):
        settings.read_keys()


def test_rules_of_the_file_with_keys_of_the_command_line(file: Path, tmp_path: Path) -> None:
    """What a file lacks by itself may come from elsewhere."""
    directory = tmp_path / "keys"
    directory.mkdir()
    key = directory / "a.toml"
    key.write_text(f'secret = "{SECRET}"\npublish = ["/news/**"]')
    key.chmod(0o600)
    file.write_text('[[channel]]\npattern = "/news/**"\npublish = "signed"\n')
    options = Options()
    options.parseOptions(["--config", str(file), "--set", f"key_directory={directory}"])
    assert options.settings.key_directory == str(directory)
    key.write_text(f'secret = "{SECRET}"')
    with pytest.raises(SystemExit, match=rf"^twistd bayeux: {file}:1: \[\[channel\]\] 1 "):
        makeService(options)


def test_what_is_wrong_on_the_command_line_is_not_the_fault_of_the_file(file: Path) -> None:
    text = refusal(file, "timeout = 5\n", "--set", 'channel=[{pattern="a"}]')
    assert text.startswith("twistd bayeux: [[channel]] 1 (a): this is neither")


def test_a_rule_of_the_command_line_that_no_key_can_fulfil(file: Path, tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    directory.mkdir()
    text = refusal(file, '[[channel]]\npattern = "/x"\n', "--set", f"key_directory={directory}",
                   "--set", 'channel=[{pattern="/a", publish="signed"}]')
    assert text.startswith("twistd bayeux: [[channel]] 1 (/a): publish = 'signed' needs")


def test_the_complaint_without_a_table_has_the_name_of_the_file(file: Path) -> None:
    assert str(located(str(file), SettingsError("x: no"))) == f"{file}: x: no"


def test_key_rules_hide_their_secret() -> None:
    """G-33."""
    settings = Settings(key=(KeyRule(id="web-a", secret=SECRET),))
    assert SECRET not in repr(settings)
