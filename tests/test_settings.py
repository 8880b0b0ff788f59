"""settings.py: every option and limit, wherever it comes from (BAYEUX.md sections 17 and 20)."""

from __future__ import annotations

import ast
import inspect
import math
import tomllib
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bayeux.settings
from bayeux.configuration import anchor, parse_assignment, read_toml, write_value
from bayeux.keys import Key
from bayeux.rules import KeyRule
from bayeux.settings import Settings, SettingsError


def complaint(**values: Any) -> str:
    with pytest.raises(SettingsError) as error:
        Settings(**values)
    return str(error.value)


# -- defaults -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [
    pytest.param("timeout", 30.0, id="section 17: timeout"),
    pytest.param("interval", 0.0, id="section 17, A-8: interval"),
    pytest.param("max_interval", 10.0, id="section 17: max_interval"),
    pytest.param("max_lazy_timeout", 5.0, id="section 17: max_lazy_timeout"),
    pytest.param("sweep_period", 1.0, id="section 17: sweep_period"),
    pytest.param("multi_session_interval", 2.0, id="section 17: multi_session_interval"),
    pytest.param("max_sessions_per_browser", 4, id="B-4, section 25: max_sessions_per_browser"),
    pytest.param("max_queue", 1000, id="section 17: max_queue"),
    pytest.param("max_queue_bytes", 2**20, id="section 17: max_queue_bytes"),
    pytest.param("overflow", "disconnect", id="Q-7: overflow"),
    pytest.param("shutdown_spread", 5.0, id="Q-10: shutdown_spread"),
    pytest.param("legacy_clients", True, id="H-6: legacy_clients"),
    pytest.param("connection_types", ("websocket", "eventsource", "long-polling", "callback-polling"),
                 id="H-4, H-5: connection_types"),
    pytest.param("meta_connect_deliver_only", False, id="D-7: meta_connect_deliver_only"),
    pytest.param("broadcast_to_publisher", True, id="P-11: broadcast_to_publisher"),
    pytest.param("superseded_status", 409, id="K-12: superseded_status"),
    pytest.param("max_body", 2**20, id="G-1: max_body"),
    pytest.param("max_message", 65_536, id="G-2: max_message"),
    pytest.param("header_timeout", 10.0, id="G-3: header_timeout"),
    pytest.param("body_timeout", 30.0, id="G-3: body_timeout"),
    pytest.param("max_header_bytes", 16_384, id="G-4: max_header_bytes"),
    pytest.param("max_headers", 100, id="G-4: max_headers"),
    pytest.param("max_batch", 100, id="G-5: max_batch"),
    pytest.param("max_depth", 64, id="G-6: max_depth"),
    pytest.param("max_ext", 8192, id="G-8: max_ext"),
    pytest.param("max_channel", 256, id="G-9: max_channel"),
    pytest.param("max_segments", 32, id="G-9: max_segments"),
    pytest.param("max_subscribe", 100, id="G-10: max_subscribe"),
    pytest.param("max_subscriptions", 1000, id="G-11: max_subscriptions"),
    pytest.param("max_channels", 100_000, id="G-12: max_channels"),
    pytest.param("max_sessions", 100_000, id="G-13: max_sessions"),
    pytest.param("max_sessions_per_address", 100_000, id="G-13: max_sessions_per_address"),
    pytest.param("max_held", 100_000, id="G-14: max_held"),
    pytest.param("max_held_per_address", 100_000, id="G-14: max_held_per_address"),
    pytest.param("max_url", 8192, id="G-20: max_url"),
    pytest.param("max_nonces", 100_000, id="G-22: max_nonces"),
    pytest.param("signature_window", 300.0, id="Y-5: signature_window"),
    pytest.param("key_directory", "", id="key_directory"),
    pytest.param("max_client_interval", 3600.0, id="G-24: max_client_interval"),
    pytest.param("mounts", ("/bayeux",), id="section 25: mounts"),
    pytest.param("allowed_origins", (), id="O-1: allowed_origins"),
    pytest.param("require_origin", False, id="O-6: require_origin"),
    pytest.param("require_browser_cookie", False, id="B-2: require_browser_cookie"),
    pytest.param("cookie_name", "BAYEUX_BROWSER", id="B-1: cookie_name"),
    pytest.param("cookie_max_age", 0.0, id="B-1: cookie_max_age"),
    pytest.param("listen", ("tcp:8080:interface=127.0.0.1",), id="listen"),
    pytest.param("access_log", "", id="access_log"),
    pytest.param("authorize_url", "", id="authorize_url"),
    pytest.param("authorize", ("handshake", "subscribe"), id="authorize"),
    pytest.param("authorize_secret_file", "", id="authorize_secret_file"),
    pytest.param("authorize_timeout", 5.0, id="authorize_timeout"),
    pytest.param("authorize_concurrency", 20, id="authorize_concurrency"),
    pytest.param("authorize_queue", 1000, id="authorize_queue"),
    pytest.param("authorize_cache", 5.0, id="authorize_cache"),
    pytest.param("authorize_cache_size", 10_000, id="authorize_cache_size"),
    pytest.param("authorize_max_answer", 8192, id="authorize_max_answer"),
    pytest.param("authorize_max_data", 0, id="authorize_max_data"),
])
def test_a_default(name: str, value: object) -> None:
    assert getattr(Settings(), name) == value


def test_every_setting_says_what_it_is() -> None:
    """DESIGN: each option documented, with its default."""
    [body] = [node.body for node in ast.parse(inspect.getsource(bayeux.settings)).body
              if isinstance(node, ast.ClassDef) and node.name == "Settings"]
    silent = [field.target.id for field, words in pairwise(body)
              if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
              and not (isinstance(words, ast.Expr) and isinstance(words.value, ast.Constant))]
    assert silent == []


def test_settings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        Settings().timeout = 5.0


def test_settings_that_say_the_same_are_equal() -> None:
    assert Settings(timeout=5) == Settings.of({"timeout": "5"})


# -- where they come from -----------------------------------------------------------------------


def test_settings_from_keywords() -> None:
    assert Settings(timeout=5, mounts=("/cometd", "/faye")).mounts == ("/cometd", "/faye")


def test_of_several_sources_the_last_wins() -> None:
    settings = Settings.of({"timeout": 1, "interval": 1}, {"timeout": 2}, {})
    assert (settings.timeout, settings.interval) == (2, 1)


def test_no_source_is_the_defaults() -> None:
    assert Settings.of() == Settings()


@pytest.mark.parametrize(("name", "given", "value"), [
    ("timeout", "5", 5.0), ("timeout", 5, 5.0), ("max_batch", "5", 5), ("legacy_clients", "false", False),
    ("legacy_clients", "1", True), ("mounts", ["/a", "/b"], ("/a", "/b")), ("cookie_name", "X", "X"),
    ("lazy_channels", {"/a/**": 2}, {"/a/**": 2.0}), ("max_sessions_per_browser", "-1", -1)])
def test_values_become_what_a_setting_needs(name: str, given: object, value: object) -> None:
    converted = getattr(Settings.of({name: given}), name)
    assert converted == value
    assert type(converted) is type(value)


def test_settings_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "bayeux.toml"
    text = '# a comment with an \u00e9\ntimeout = 60\nmounts = ["/cometd"]\nlazy_channels = {"/a" = 1}\n'
    file.write_text(text, encoding="utf-8")
    settings = Settings.of(read_toml(str(file)))
    assert (settings.timeout, settings.mounts, settings.lazy_channels) == (60, ("/cometd",), {"/a": 1})


@pytest.mark.parametrize(("text", "assignment"), [
    ("timeout=5", ("timeout", 5)), ("timeout = 2.5", ("timeout", 2.5)),
    ("legacy_clients=false", ("legacy_clients", False)), ('mounts=["/a","/b"]', ("mounts", ["/a", "/b"])),
    ('lazy_channels={"/a" = 1}', ("lazy_channels", {"/a": 1})),
    ("public_url=https://example.org", ("public_url", "https://example.org")),
    ("cookie_same_site=Lax", ("cookie_same_site", "Lax")), ("cookie_name = X ", ("cookie_name", "X")),
    ('cookie_name="X"', ("cookie_name", "X")), ("access_log=/var/log/x", ("access_log", "/var/log/x")),
    ("public_url=", ("public_url", "")), ("a=b=c", ("a", "b=c"))])
def test_an_assignment_is_toml_or_else_a_plain_string(text: str, assignment: tuple[str, object]) -> None:
    assert parse_assignment(text) == assignment


# -- complaints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "text"), [
    ({"timeout": -1}, "timeout = -1: Expected `float` >= 0.0"),
    ({"timeout": "long"}, "timeout = 'long': Expected `float`, got `str`"),
    ({"timeout": None}, "timeout = None: Expected `float`, got `null`"),
    ({"timeout": True}, "timeout = True: Expected `float`, got `bool`"),
    ({"max_interval": 0}, "max_interval = 0: Expected `float` > 0.0"),
    ({"sweep_period": 0}, "sweep_period = 0: Expected `float` > 0.0"),
    ({"interval": 1e9}, "interval = 1000000000.0: Expected `float` <= 31536000.0"),
    ({"multi_session_interval": -2}, "multi_session_interval = -2: Expected `float` >= -1.0"),
    ({"max_batch": 0}, "max_batch = 0: Expected `int` >= 1"),
    ({"max_batch": 1.5}, "max_batch = 1.5: Expected `int`, got `float`"),
    ({"overflow": "explode"}, "overflow = 'explode': Invalid enum value 'explode'"),
    ({"cookie_same_site": "lax"}, "cookie_same_site = 'lax': Invalid enum value 'lax'"),
    ({"superseded_status": 200}, "superseded_status = 200: Expected `int` >= 400"),
    ({"connection_types": ("iframe",)},
     "connection_types = ('iframe',): Invalid enum value 'iframe' - at `$[0]`"),
    ({"mounts": "/bayeux"}, "mounts = '/bayeux': Expected `array`, got `str`"),
])
def test_a_value_that_a_setting_cannot_have(values: dict[str, Any], text: str) -> None:
    """What is said names the setting, the value, and what is wanted."""
    assert complaint(**values) == text


NUMBERS = [field.name for field in msgspec.structs.fields(Settings) if isinstance(field.default, float)]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_time_is_a_finite_number(name: str, value: float) -> None:
    """M-6, Q-9: in Python these are numbers too, and no clock could be set to them."""
    assert complaint(**{name: value}).startswith(f"{name} = {value}: Expected `float`")


@pytest.mark.parametrize("value", [math.nan, math.inf, -1])
def test_a_time_of_a_lazy_channel_is_a_finite_number(value: float) -> None:
    """D-12."""
    assert complaint(lazy_channels={"/a": value}).startswith("lazy_channels = {'/a': ")


@pytest.mark.parametrize("connection_types", [(), ("callback-polling",)])
def test_long_polling_cannot_be_switched_off(connection_types: tuple[str, ...]) -> None:
    """H-5."""
    assert complaint(connection_types=connection_types) == (
        "connection_types: long-polling must be among them: every client falls back to it (H-5)")


def test_callback_polling_can_be_switched_off() -> None:
    """J-10."""
    assert Settings(connection_types=("long-polling",)).connection_types == ("long-polling",)


def test_a_superseded_connect_is_never_answered_408() -> None:
    """K-12."""
    assert complaint(superseded_status=408) == (
        "superseded_status: browsers repeat a request that is answered 408 (K-12)")


@pytest.mark.parametrize("pattern", ["news", "/news/", "/news/*/x", ""])
def test_lazy_channels_are_channels(pattern: str) -> None:
    """D-12, C-2."""
    assert complaint(lazy_channels={pattern: 1.0}) == (
        f"lazy_channels: {pattern!r} is not a channel or pattern")


@pytest.mark.parametrize("pattern", ["/news", "/news/*", "/news/**", "/**"])
def test_lazy_channels_may_be_patterns(pattern: str) -> None:
    """D-12."""
    assert Settings(lazy_channels={pattern: 0.5}).lazy_channels == {pattern: 0.5}


@pytest.mark.parametrize("mount", ["bayeux", "/bayeux/", "/", "//bayeux", "/a//b", ""])
def test_a_mount_is_a_path(mount: str) -> None:
    """L-1."""
    assert complaint(mounts=("/cometd", mount)) == f"mounts: {mount!r} must look like /bayeux"


@pytest.mark.parametrize("mount", ["/bayeux", "/app/cometd"])
def test_a_mount_may_be_deep(mount: str) -> None:
    """L-1."""
    assert Settings(mounts=(mount,)).mounts == (mount,)


def test_a_server_is_mounted_somewhere() -> None:
    assert complaint(mounts=()) == "mounts: at least one is needed"


def test_a_server_listens_somewhere() -> None:
    assert complaint(listen=()) == "listen: at least one endpoint is needed"


NO_ORIGINS = ["www.example.org", "https://", "://x", "https:/www.example.org", "https://www.example.org/",
              "https://www.example.org/app", "https://www.example.org?x", "https://www.example.org#x",
              "https://me@example.org", "https://www example.org", "HTTPS://www.example.org",
              "https://WWW.example.org", "https://*.example.org/", ""]


@pytest.mark.parametrize("origin", NO_ORIGINS)
def test_an_allowed_origin_is_one(origin: str) -> None:
    """O-1: exact, as browsers write it."""
    assert complaint(allowed_origins=("https://ok.example", origin)) == (
        f"allowed_origins / public_url: {origin!r} must look like https://www.example.org, "
        "without path or default port")


@pytest.mark.parametrize("origin", [
    "https://www.example.org", "http://localhost:8080", "http://[::1]:8080", "*", "null", "app://host"])
def test_what_may_be_allowed(origin: str) -> None:
    """O-1, O-5."""
    assert Settings(allowed_origins=(origin,)).allowed_origins == (origin,)


@pytest.mark.parametrize("url", [url for url in NO_ORIGINS if url])
def test_a_public_url_is_an_origin(url: str) -> None:
    """O-8."""
    assert complaint(public_url=url) == (
        f"allowed_origins / public_url: {url!r} must look like https://www.example.org, "
        "without path or default port")


@pytest.mark.parametrize("url", ["*", "null"])
def test_a_public_url_is_one_address(url: str) -> None:
    """O-8."""
    assert complaint(public_url=url) == "public_url: must be one address, https://www.example.org"


@pytest.mark.parametrize("host", ["", "*", "www.example.org:80", "http://www.example.org", "WWW.example.org",
                                  "::1", "[::1]:80", "a b"])
def test_a_name_of_the_server_is_one(host: str) -> None:
    """As it stands in ``Host``, without the port."""
    assert complaint(allowed_hosts=("www.example.org", host)) == (
        f"allowed_hosts: {host!r} must look like www.example.org or [::1], without a port")


def test_names_that_a_server_may_have() -> None:
    names = ("www.example.org", "localhost", "127.0.0.1", "[::1]", "a_b-c")
    assert Settings(allowed_hosts=names).allowed_hosts == names


HEADER_TEXTS = ["cookie_name", "cookie_path", "cookie_domain", "allowed_headers"]


@pytest.mark.parametrize("name", HEADER_TEXTS)
@pytest.mark.parametrize("character", list(';,= \t\r\n"'))
def test_what_goes_into_a_header_cannot_end_it(name: str, character: str) -> None:
    """B-1, O-2."""
    text = f"/a{character}b"
    value = (text,) if name == "allowed_headers" else text
    assert complaint(**{name: value}) == f"{name}: holds a character that a header cannot"


@pytest.mark.parametrize("name", HEADER_TEXTS)
@pytest.mark.parametrize("character", ["\x00", "\x7f", "\u0436"])
def test_what_goes_into_a_header_is_ascii_that_can_be_seen(name: str, character: str) -> None:
    """B-1, O-2: else it fails later, at the start or with a client's first handshake."""
    text = f"/a{character}b"
    value = (text,) if name == "allowed_headers" else text
    assert complaint(**{name: value}) == f"{name}: holds a character that a header cannot"


def test_the_cookie_has_a_name() -> None:
    """B-1."""
    assert complaint(cookie_name="") == "cookie_name: must not be empty"


def test_an_unknown_setting_is_not_swallowed() -> None:
    with pytest.raises(SettingsError) as error:
        Settings.of({"zzz": 1})
    assert str(error.value) == "there is no setting 'zzz'"


@pytest.mark.parametrize(("name", "meant"), [
    ("timeot", "timeout"), ("maxInterval", "max_interval"), ("allow_origins", "allowed_origins"),
    ("mount", "mounts")])
def test_a_slip_of_the_pen_is_put_right(name: str, meant: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.of({name: 1})
    assert str(error.value) == f"there is no setting {name!r}; did you mean {meant!r}?"


@pytest.mark.parametrize(("name", "value", "text"), [
    ("timeout", "long", "timeout = 'long': Expected `float`, got `str`"),
    ("timeout", "-1", "timeout = '-1': Expected `float` >= 0.0"),
    ("timeout", "nan", "timeout = 'nan': Expected `float` >= 0.0"),
    ("legacy_clients", "maybe", "legacy_clients = 'maybe': Expected `bool`, got `str`"),
    ("listen", "tcp:8080", "listen = 'tcp:8080': Expected `array`, got `str`"),
    ("superseded_status", "408", "superseded_status: browsers repeat a request that is answered 408 (K-12)")])
def test_a_source_with_a_wrong_value(name: str, value: object, text: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.of({name: value})
    assert str(error.value) == text


@pytest.mark.parametrize("text", ["timeout", "", "timeout:5", "--timeout"])
def test_an_assignment_needs_its_sign(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse_assignment(text)
    assert str(error.value) == f"{text!r} must look like NAME=VALUE"


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000], ids=["digits", "brackets"])
def test_no_value_of_an_assignment_is_a_traceback(value: str) -> None:
    with pytest.raises(SettingsError):
        Settings.of(dict([parse_assignment(f"max_batch={value}")]))


_scalars = (st.text(st.characters(exclude_categories=["Cs"])) | st.booleans() | st.integers(-2**63, 2**63 - 1)
            | st.floats(allow_nan=False, allow_infinity=False) | st.datetimes(timezones=st.just(UTC)))
_names = st.text("ab/*\x7f\"\n")


@given(st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(_names, inner)))
def test_what_is_written_is_read_again(value: object) -> None:
    assert tomllib.loads(f"value = {write_value(value)}") == {"value": value}


def test_what_no_setting_can_be_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        write_value(object())


@pytest.mark.parametrize(("name", "reason"), [
    ("missing.toml", "No such file or directory"), ("", "Is a directory"), ("a\x00b", "embedded null byte")])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    path = f"{tmp_path}/{name}"
    with pytest.raises(SettingsError) as error:
        read_toml(path)
    assert str(error.value) == f"{path}: {reason}"


@pytest.mark.parametrize(("content", "reason"), [
    (b"timeout = ", "Invalid value (at end of document)"),
    (b"timeout: 5", "Expected '=' after a key in a key/value pair (at line 1, column 8)"),
    (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte")],
    ids=["no value", "yaml", "not UTF-8"])
def test_a_file_that_is_not_toml(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "bayeux.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as error:
        read_toml(str(file))
    assert str(error.value) == f"{file}: {reason}"


def test_no_file_is_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "bayeux.toml"
    file.write_text("timeout = " + "[" * 5000)
    with pytest.raises(SettingsError):
        read_toml(str(file))


def test_a_table_in_a_file_is_an_unknown_setting(tmp_path: Path) -> None:
    file = tmp_path / "bayeux.toml"
    file.write_text("[server]\ntimeout = 5\n")
    with pytest.raises(SettingsError, match="there is no setting 'server'"):
        Settings.of(read_toml(str(file)))


@pytest.mark.parametrize("mount", ["bayeux", "/", "/a/", "/a//b", "/a b", "/a?b", "/a#b", "/%41", ""])
def test_a_mount_is_a_plain_path(mount: str) -> None:
    """L-1: anything else could never match a request."""
    with pytest.raises(SettingsError, match="must look like /bayeux"):
        Settings(mounts=(mount,))


@pytest.mark.parametrize("origin", [
    "https://*.example.org", "https://a:443", "http://a:80", "https://a\n", "https://ex\u00e4mple.org",
    "https://A", "//a", "a", "https://a/", "https://a?b", "https://u@a", "https://"])
def test_an_origin_that_no_browser_sends(origin: str) -> None:
    """O-1: it could never be equal."""
    with pytest.raises(SettingsError, match="must look like"):
        Settings(allowed_origins=(origin,))


@pytest.mark.parametrize("origin", [
    "https://www.example.org", "http://localhost:8080", "http://[::1]:9", "https://a:80",
    "chrome-extension://abcdef", "null", "*"])
def test_an_origin_that_a_browser_sends(origin: str) -> None:
    """O-1, O-5."""
    assert Settings(allowed_origins=(origin,)).allowed_origins == (origin,)


@pytest.mark.parametrize("url", [
    "http://127.0.0.1:8000/bayeux/authorize", "https://www.example.org", "http://[::1]/may",
    "https://example.org/may?key=a%20b", "http://localhost:1/"])
def test_an_address_that_can_be_asked(url: str) -> None:
    assert Settings(authorize_url=url).authorize_url == url


@pytest.mark.parametrize("url", [
    "www.example.org", "/may", "ftp://a/", "file:///etc/passwd", "http:/a", "http://", "http://:80/",
    "http://a:x/", "http://a:99999/", "http://a:0/", "http://u@a/", "http://u:p@a/", "http://a/#b",
    "http://a/ b", "http://a/\r\nb", "http://\u00e4/", "http://[::1/", "unix:/run/site.sock"])
def test_an_address_that_cannot_be_asked(url: str) -> None:
    expected = "authorize_url: must look like https://www.example.org/authorize, without user name or #"
    assert complaint(authorize_url=url) == expected


def test_questions_that_nobody_asks() -> None:
    expected = "authorize: with an authorize_url, one of handshake, subscribe and publish at least"
    assert complaint(authorize_url="http://a/", authorize=()) == expected
    assert complaint(authorize=("connect",)).startswith("authorize = ")
    assert Settings(authorize=()).authorize == ()


# -- keys ---------------------------------------------------------------------------------------

SECRET = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"
KEYS = f"""
timeout = 5
key_directory = "more"
[[key]]
id = "web-a"
secret_file = "web-a.key"
publish = ["/news/**"]
not_after = 2027-01-01T00:00:00Z
[[key]]
id = "web-b"
secret = "{SECRET}"
"""


def test_keys_are_found_from_the_file_that_names_them(tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """Y-10: wherever the process goes, and whenever it looks."""
    folder = tmp_path / "etc"
    (folder / "more").mkdir(parents=True)
    for path, text in ((folder / "bayeux.toml", KEYS), (folder / "web-a.key", SECRET + "\n"),
                       (folder / "more" / "web-c.toml", f'secret = "{SECRET}"')):
        path.write_text(text)
        path.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    settings = Settings.of(read_toml("etc/bayeux.toml"))
    monkeypatch.chdir("/")
    secret = SECRET.encode()
    assert settings.read_keys() == [
        Key(id="web-a", secret=secret, publish=("/news/**",), not_after=1_798_761_600),
        Key(id="web-b", secret=secret), Key(id="web-c", secret=secret)]
    assert settings.timeout == 5


@pytest.mark.parametrize("values", [
    {"timeout": 5}, {"key": []}, {"key": 5}, {"key": [5]}, {"key": [{"id": "a"}, 5]},
    {"key": [{"secret_file": 5}]}, {"key": [{"secret_file": ""}]},
    {"key": [{"secret_file": "/b/c"}]}, {"key_directory": ""},
    {"key_directory": 5}, {"key_directory": "/a"}, {"key": {"id": "a"}}])
def test_what_is_no_relative_path_stays(values: dict[str, Any]) -> None:
    """It is for ``Settings`` to say what is wrong."""
    assert anchor(values, "/etc") == values


def test_a_relative_path_is_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = {"id": "a", "secret_file": "../a.key"}
    assert anchor({"key_directory": "keys", "key": [table]}, "/etc/x") == {
        "key_directory": "/etc/x/keys", "key": [{"id": "a", "secret_file": "/etc/a.key"}]}
    assert anchor({"key_directory": "keys"}, "") == {"key_directory": str(tmp_path / "keys")}
    assert table["secret_file"] == "../a.key"


@pytest.mark.parametrize(("mode", "text", "good"), [
    (0o644, KEYS, False), (0o640, KEYS, True), (0o644, KEYS.replace("secret =", "publish = [] #"), True),
    (0o644, "timeout = 5", True)])
def test_a_file_with_a_secret_in_it_is_for_the_server_alone(tmp_path: Path, mode: int, text: str,
                                                           good: bool) -> None:
    """Y-4."""
    path = tmp_path / "bayeux.toml"
    path.write_text(text)
    path.chmod(mode)
    if good:
        assert read_toml(str(path))["timeout"] == 5
    else:
        with pytest.raises(SettingsError) as error:
            read_toml(str(path))
        assert str(error.value) == (
            f"{path}: every user of this machine may read the secret; do: chmod o-rwx {path}")


@pytest.mark.parametrize(("fields", "text"), [
    ({"publsh": []}, "[[key]] 1 (web-a): there is no 'publsh'; did you mean 'publish'?"),
    ({"publish": "/a"}, "[[key]] 1 (web-a): publish = '/a': Expected `array`, got `str`"),
    ({"publish": ["a"]},
     "[[key]] 1: 'web-a': publish: 'a' is neither a channel nor a pattern such as /news/**"),
    ({"not_after": "soon"}, "[[key]] 1 (web-a): not_after = 'soon': Invalid RFC3339 encoded datetime"),
    ({"secret_file": "x"}, "[[key]] 1: 'web-a': needs one of secret and secret_file, and not both")])
def test_what_is_wrong_with_a_key_is_told_without_its_secret(fields: dict[str, Any], text: str) -> None:
    """Y-4, G-33."""
    with pytest.raises(SettingsError) as error:
        Settings.of({"key": [{"id": "web-a", "secret": SECRET, **fields}]})
    assert str(error.value) == text


def test_keys_from_keywords_are_checked_too() -> None:
    """Y-4: and no complaint and no representation has the secret."""
    assert complaint(key=(KeyRule(id="a b", secret=SECRET),)).startswith("[[key]] 1: 'a b': an id is")
    assert complaint(key=[SECRET]) == "[[key]] 1: must be a table of names and values"
    assert SECRET not in repr(Settings(key=(KeyRule(id="a", secret=SECRET),)))


def test_a_key_that_cannot_be_read(tmp_path: Path) -> None:
    path = str(tmp_path / "missing")
    settings = Settings(key=(KeyRule(id="a", secret_file=path),))
    with pytest.raises(SettingsError) as error:
        settings.read_keys()
    assert str(error.value) == f"[[key]] 1: 'a': {path}: No such file or directory"
    with pytest.raises(SettingsError):
        Settings(key_directory=path).read_keys()
