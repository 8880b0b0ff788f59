"""The reference: every setting and every public name is in it, and what it says of errors is so."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.task import Clock

import bayeux
import bayeux.client
from bayeux import ChannelRule, Hub, KeyRule, Link, Settings
from bayeux.cli.main import COMMANDS
from bayeux.messages import decode
from bayeux.tap import Options

DOCS = Path(bayeux.__file__).parent.parent / "docs"
REFERENCE = DOCS / "reference"

sys.path.append(str(DOCS / "_ext"))

from from_code import errors_in, settings_of, without_ids  # noqa: E402 - it is found only now


def page(name: str) -> str:
    return (REFERENCE / f"{name}.rst").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def built_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the pages, built by themselves, as text."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "index.rst").write_text(page("settings").replace("/topics/limits", "index"))
    (folder / "commands.rst").write_text(":orphan:\n\n" + page("commands").replace("`settings`", "`index`"))
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "-b", "text", "-c", str(DOCS), str(folder),
                    str(folder / "out")], check=True)
    return folder / "out"


def test_every_command_is_on_the_page(built_pages: Path) -> None:
    text = (built_pages / "commands.txt").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"usage: bayeux {command.NAME} " in text, command.NAME
    for option in Options().longOpt:
        assert f"--{option}" in text



def test_every_setting_is_on_the_page_with_its_default_and_text(built_pages: Path) -> None:
    built = (built_pages / "index.txt").read_text(encoding="utf-8")
    letters = re.sub(r"\W", "", built)
    for prefix, cls in (("", Settings), ("channel.", ChannelRule), ("key.", KeyRule)):
        documented = list(settings_of(f"{cls.__module__}.{cls.__qualname__}"))
        assert [each.name for each in documented] == [each.name for each in msgspec.structs.fields(cls)]
        for setting in documented:
            assert f"{prefix}{setting.name}" in built.split("\n"), setting.name
            assert re.sub(r"\W", "", setting.text) in letters, setting.name
            assert re.sub(r"\W", "", setting.default) in letters, setting.name


def test_a_setting_says_what_it_takes_and_what_it_is() -> None:
    known = {each.name: each for each in settings_of("bayeux.settings.Settings")}
    assert known["timeout"][1:3] == ("seconds, 0 or more", "30.0")
    assert known["max_body"][1:3] == ("bytes, 1 or more", "1048576")
    assert known["overflow"].kind == '``"disconnect"`` or ``"drop_oldest"`` or ``"drop_newest"``'
    assert known["mounts"].default == '["/bayeux"]'
    assert known["legacy_clients"].default == "true"
    assert known["max_interval"].text == (
        "Grace beyond ``interval`` for the next connect, before the session is removed.")
    assert known["max_queue"].heading == "limits"


@pytest.mark.parametrize(("said", "seen"), [
    ("Answered at once (K-6).", "Answered at once."),
    ("Never sent (K-4, K-6 to K-9).", "Never sent."),
    ("As told\n(section 15 and 16).", "As told."),
    ("A time (seconds since 1970).", "A time (seconds since 1970)."),
])
def test_ids_of_requirements_are_left_out(said: str, seen: str) -> None:
    assert without_ids(said) == seen


def test_every_public_name_is_in_the_reference() -> None:
    python, client = page("python"), page("client")
    assert [name for name in bayeux.__all__ if f":: bayeux.{name}" not in python
            and name not in ("__version__", "BayeuxError")] == []
    errors = {name for name in bayeux.client.__all__ if name in vars(bayeux.client.errors)}
    assert [name for name in bayeux.client.__all__
            if f":: bayeux.client.{name}" not in client and name not in errors] == []
    assert "automodule:: bayeux.client.errors" in client
    assert "automodule:: bayeux.errors" in python


@pytest.mark.parametrize("name", ["bayeux.BayeuxService", "bayeux.Hub", "bayeux.client.BayeuxClient",
                                  "bayeux.client.publish_once"])
def test_a_signature_that_is_written_out_is_that_of_the_code(name: str) -> None:
    """Sphinx cannot show those with interfaces of Zope."""
    pages = page("python") + page("client")
    [written] = re.findall(rf"^\.\. auto(?:class|function):: {name}\((.*)\)$", pages, re.MULTILINE)
    module, _, attribute = name.rpartition(".")
    documented = ast.parse(f"def f({written}): pass").body[0].args  # type: ignore[attr-defined]  # it is a def
    assert [each.arg for each in (*documented.args, *documented.kwonlyargs)] == [
        *inspect.signature(getattr(sys.modules[module], attribute)).parameters]


def test_nothing_in_the_reference_is_without_a_docstring() -> None:
    """What has none would not appear."""
    for module in (bayeux, bayeux.client):
        for name in module.__all__:
            thing = getattr(module, name)
            if isinstance(thing, type):
                undocumented = [key for key, value in vars(thing).items()
                                if not key.startswith("_") and callable(value) and not value.__doc__]
                assert undocumented == [], name


def test_the_table_of_errors_has_those_of_the_code() -> None:
    documented = {(int(code), text) for code, text
                  in re.findall(r"^   \* - ``(\d{3}):[^:`]*:([^`]+)``$", page("errors"), re.MULTILINE)}
    assert documented == errors_in(Path(bayeux.__file__).parent)


SITUATIONS: dict[str, dict[str, Any]] = {
    "no ``channel``": {"data": 1},
    "no ``data``": {"channel": "/a", "clientId": "C"},
    "no ``clientId``": {"channel": "/a", "data": 1},
    "unknown ``clientId``": {"channel": "/a", "data": 1, "clientId": "nope"},
    "subscribe to ``/meta/x``": {"channel": "/meta/subscribe", "subscription": "/meta/x", "clientId": "C"},
    "publish to ``/meta/x``": {"channel": "/meta/x", "data": 1, "clientId": "C"},
    "publish to ``/a/*``": {"channel": "/a/*", "data": 1, "clientId": "C"},
    "publish to ``/a.b``": {"channel": "/a.b", "data": 1, "clientId": "C"},
    "version 0.9": {"channel": "/meta/handshake", "version": "0.9"},
    "no transport in common": {"channel": "/meta/handshake", "version": "1.0",
                               "supportedConnectionTypes": ["iframe"]},
}


def test_what_the_deviations_say_of_errors_is_so() -> None:
    table = page("deviations").partition(":class: strings")[2].partition("\n\n\n")[0]
    rows = re.findall(r"^   \* - (.*)\n     - ``(.*)``$", table, re.MULTILINE)
    assert {situation for situation, _ in rows} == SITUATIONS.keys()
    hub, link = Hub(Clock()), Link("long-polling")

    def ask(message: dict[str, Any]) -> dict[str, Any]:
        return json.loads(hub.receive(decode(json.dumps(message).encode(), hub.settings), link).drain()[0])

    session = ask({"channel": "/meta/handshake", "version": "1.0"})["clientId"]
    for situation, error in rows:
        message = SITUATIONS[situation]
        if message.get("clientId") == "C":
            message = {**message, "clientId": session}
        assert ask(message)["error"] == error, situation


def test_the_page_of_the_browser_client_has_its_options_and_methods() -> None:
    script = (Path(bayeux.__file__).parent / "web" / "static" / "client.js").read_text(encoding="utf-8")
    described = script.partition("@param {object} options")[2].partition("*/")[0]
    client = script.partition("export class Client")[2]
    methods = {*re.findall(r"^  (?:async )?(?:get )?([a-z]+)\(.*\{$", client, re.MULTILINE)} - {"constructor"}
    assert {"subscribe", "publish", "state"} <= methods
    assert [name for name in {*re.findall(r"`(\w+)`[:,]", described), *methods}
            if not re.search(rf"``{name}[`(]", page("browser"))] == []
