"""``bayeux keygen``: a new key's secret, and what the server's configuration has to say of it."""

from __future__ import annotations

import os
import secrets
import string
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bayeux.channels import is_pattern
from bayeux.cli import CommandError
from bayeux.cli.options import key_id, pattern
from bayeux.configuration import write_value
from bayeux.keys import is_key_id

NAME = "keygen"
HELP = "make a key for signatures and tokens, or for the HTTP API"

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 43
"""Characters that have the randomness of 32 bytes (Y-4); nothing in them has to be quoted anywhere, and
they are no hex or base64 that somebody could take for something to be decoded."""


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command is told."""
    parser.description = (
        "Make a secret, write it to FILE, which only its owner can read, and print the table [[key]] for the "
        "server's configuration. A FILE that exists is left alone.")
    parser.add_argument("--id", type=key_id, metavar="ID",
                        help="the key's id; by default FILE's name without suffix")
    for name, what in (("publish", "it may sign for"), ("subscribe", "its tokens and grants may open")):
        parser.add_argument(f"--{name}", type=pattern, action="append", default=[], metavar="PATTERN",
                            help=f"channels that {what}, such as /news/**; repeatable")
    parser.add_argument("--api", action="store_true",
                        help="make the key of the HTTP API instead, by default in api.key")
    parser.add_argument("file", nargs="?", metavar="FILE", help="where the secret goes; by default ID.key")


def run(arguments: Namespace) -> None:
    """Make the key; raises ``CommandError``."""
    if arguments.api:
        _make_api_key(arguments)
        return
    identity, file = arguments.id, arguments.file
    if identity is None:
        identity = f"key-{secrets.token_hex(4)}" if file is None else Path(file).stem
        if not is_key_id(identity):
            raise CommandError(f"{identity!r} cannot be a key's id; give it by --id")
    if file is None:
        file = f"{identity}.key"
    if "*" in file and is_pattern(file):
        raise CommandError(f"{file} looks like a pattern: each needs its own --publish or --subscribe")
    _write(file)
    print(f"bayeux keygen: wrote {file}; the server and whoever signs need it, nobody else", file=sys.stderr)
    print(_table(identity, file, arguments))


def _make_api_key(arguments: Namespace) -> None:
    if arguments.id is not None or arguments.publish or arguments.subscribe:
        raise CommandError("the API's key has no id and no channels: it opens all; leave out --id, --publish "
                           "and --subscribe")
    file = arguments.file or "api.key"
    _write(file)
    print(f"bayeux keygen: wrote {file}; the server and whoever uses its API need it, nobody else",
          file=sys.stderr)
    print(f"api_key_file = {write_value(file)}  # as seen from the folder of the configuration file")


def _write(path: str) -> None:
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(secret + "\n")
    except FileExistsError:
        raise CommandError(f"{path} exists already; name another file, or take it away first") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _table(identity: str, file: str, arguments: Namespace) -> str:
    lines = ["[[key]]", f"id = {write_value(identity)}",
             f"secret_file = {write_value(file)}  # as seen from the folder of the configuration file"]
    for name in ("publish", "subscribe"):
        patterns = getattr(arguments, name)
        lines.append(f"{name} = {write_value(patterns)}" if patterns else f"{name} = []  # nothing, as yet")
    return "\n".join(lines)
