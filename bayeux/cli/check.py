"""``bayeux check``: whether a configuration can be meant, and what it comes to."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

import msgspec

from bayeux.cli import CommandError
from bayeux.configuration import located, read_toml, write_value
from bayeux.server import BayeuxServer
from bayeux.settings import Settings, SettingsError

NAME = "check"
HELP = "check a configuration, and print the settings that it comes to"

_TABLES = ("channel", "key")


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command is told."""
    parser.description = (
        "Check the file that twistd bayeux --config FILE would be given, and the files that it names, and "
        "print all settings that it comes to, as such a file; what is not in FILE is marked as a default. "
        "Secrets are not shown.")
    parser.add_argument("--changed", action="store_true", help="print only what differs from the defaults")
    parser.add_argument("file", metavar="FILE", help="the file of settings, TOML")


def run(arguments: Namespace) -> None:
    """Check the file; raises ``CommandError`` with what is wrong, and the line where that is known."""
    try:
        values = read_toml(arguments.file)
    except SettingsError as error:
        raise CommandError(str(error)) from None
    try:
        settings = Settings.of(values)
        server = BayeuxServer(settings)  # whatever twistd would find wrong with it, this does
    except SettingsError as error:
        raise CommandError(str(located(arguments.file, error))) from None
    for complaint in _doubts(server):
        print(f"bayeux check: {arguments.file}: {complaint}", file=sys.stderr)
    for line in _lines(settings, arguments.changed):
        print(line)


def _doubts(server: BayeuxServer) -> Iterator[str]:
    """Say what is allowed, but can hardly be meant."""
    keys, settings = list(server.hub.keys), server.settings
    if settings.has_keys and not keys:
        yield f"there is no key in {settings.key_directory} as yet"
    for key in keys:
        if key.not_after <= time.time():
            yield f"the key {key.id} has come to its end, and is good for nothing any more"
        elif not key.publish and not key.subscribe:
            yield f"the key {key.id} is good for nothing: give it patterns in publish or subscribe"


def _lines(settings: Settings, changed: bool) -> Iterator[str]:
    """Write settings as TOML: tables come last, as all that follows one would be in it."""
    for field in msgspec.structs.fields(Settings):
        value, default = getattr(settings, field.name), _default(field)
        if field.name not in _TABLES and not (changed and value == default):
            yield f"{field.name} = {write_value(value)}{'  # by default' if value == default else ''}"
    for table in _TABLES:
        for rule in getattr(settings, table):
            yield ""
            yield f"[[{table}]]"
            yield from _table(rule)


def _table(rule: msgspec.Struct) -> Iterator[str]:
    for field in msgspec.structs.fields(rule):
        value = getattr(rule, field.name)
        if field.name == "secret" and value:
            yield "# secret is not shown"
        elif value not in ("", None):
            yield f"{field.name} = {write_value(value)}"


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default
