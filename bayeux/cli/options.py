"""What several commands are told in the same way: keys, channels, durations."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from bayeux.channels import is_name, is_pattern, is_reserved
from bayeux.cli import CommandError
from bayeux.client.addresses import Address
from bayeux.errors import MalformedMessage
from bayeux.keys import BadKey, Key, is_key_id, read_secret
from bayeux.messages import check_data
from bayeux.settings import Settings

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd]?)")


def add_key(parser: ArgumentParser, required: bool = True) -> None:
    """Add the options that name a key; ``read_key`` reads it."""
    parser.add_argument("--key", metavar="FILE", required=required,
                        help="the file that holds the key's secret")
    parser.add_argument("--id", type=key_id, metavar="ID",
                        help="the key's id on the server; by default FILE's name without its suffix")


def read_key(arguments: Namespace) -> Key:
    """Read the key that the options name; raises ``CommandError``."""
    identity = arguments.id or Path(arguments.key).stem
    if not is_key_id(identity):
        raise CommandError(f"{identity!r} cannot be a key's id; give it by --id")
    try:
        return Key(id=identity, secret=read_secret(arguments.key))
    except BadKey as error:
        raise CommandError(str(error)) from None


def add_data(parser: ArgumentParser) -> None:
    """Add the argument that is what is published; ``read_data`` reads it."""
    parser.add_argument("data", nargs="?", default="-", metavar="JSON",
                        help="what is published; - or nothing: read it from the standard input")


def read_data(arguments: Namespace) -> str:
    """Read what is published, as JSON text; raises ``CommandError`` if it is none."""
    payload = _read(arguments.data).strip("\r\n")
    try:
        check_data(payload.encode("utf-8"), Settings())
    except (MalformedMessage, UnicodeEncodeError):
        raise CommandError("the data is not JSON; a text needs its double quotes: '\"text\"'") from None
    return payload


def _read(data: str) -> str:
    if data != "-":
        return data
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise CommandError("the data is not UTF-8") from None


def add_server(parser: ArgumentParser) -> None:
    """Add the argument and options that say which server is meant, and how."""
    parser.add_argument("--token", metavar="TOKEN",
                        help="a token for the handshake, as bayeux token prints it; @FILE: read it from FILE")
    parser.add_argument("url", type=url, metavar="URL", help="the server, http://localhost:8080/bayeux")


def token_ext(arguments: Namespace) -> dict[str, str] | None:
    """Return the ``ext`` of a handshake that has the token; raises ``CommandError`` if it cannot be read."""
    token: str | None = arguments.token
    if token is None:
        return None
    if token.startswith("@"):
        try:
            token = Path(token[1:]).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise CommandError(f"{token[1:]}: {getattr(error, 'strerror', None) or error}") from None
    return {"token": token}


def url(text: str) -> str:
    """Read the address of a server."""
    try:
        Address.read(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return text


def key_id(text: str) -> str:
    """Read the id of a key."""
    if not is_key_id(text):
        raise ArgumentTypeError(f"{text!r} is not 1 to 64 letters, digits, or characters of _ . -")
    return text


def channel(text: str) -> str:
    """Read a channel that can be published to."""
    if not is_name(text) or is_reserved(text):
        raise ArgumentTypeError(f"{text!r} is not a channel such as /news/sport")
    return text


def pattern(text: str) -> str:
    """Read a channel or a pattern of channels."""
    if not is_pattern(text) or is_reserved(text):
        raise ArgumentTypeError(f"{text!r} is neither a channel nor a pattern such as /news/**")
    return text


def user(text: str) -> str:
    """Read the name of a user."""
    if not text or not text.isprintable():
        raise ArgumentTypeError(f"{text!r} is not a name")
    return text


def duration(text: str) -> int:
    """Read a duration, ``90``, ``15m``, ``1h``, ``7d``; returns seconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is not a duration such as 90s, 15m, 1h or 7d")
    return int(match[1]) * _SECONDS[match[2]]
