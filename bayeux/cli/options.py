"""What several commands are told in the same way: keys, channels, durations."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from bayeux.channels import is_name, is_pattern, is_reserved
from bayeux.cli import CommandError
from bayeux.keys import BadKey, Key, is_key_id, read_secret

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd]?)")


def add_key(parser: ArgumentParser) -> None:
    """Add the options that name a key; ``read_key`` reads it."""
    parser.add_argument("--key", metavar="FILE", required=True, help="the file that holds the key's secret")
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
