"""``bayeux sign``: a signed publish, ready to be posted."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

import msgspec

from bayeux.cli import CommandError
from bayeux.cli.options import add_key, channel, read_key
from bayeux.errors import MalformedMessage
from bayeux.messages import check_data
from bayeux.settings import Settings
from bayeux.signatures import sign_json

NAME = "sign"
HELP = "sign a message, to be published without a session"


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command is told."""
    parser.description = (
        "Print a signed message. Publish it within five minutes: bayeux sign --key web-a.key /news "
        "'{\"score\":\"1:0\"}' | curl -H 'Content-Type: application/json' --data-binary @- "
        "http://localhost:8080/bayeux")
    add_key(parser)
    parser.add_argument("channel", type=channel, metavar="CHANNEL", help="where it is published")
    parser.add_argument("data", nargs="?", default="-", metavar="JSON",
                        help="what is published; - or nothing: read it from the standard input")


def run(arguments: Namespace) -> None:
    """Print the message; raises ``CommandError``."""
    key = read_key(arguments)
    payload = _read(arguments.data).strip("\r\n")
    try:
        check_data(payload.encode("utf-8"), Settings())
    except (MalformedMessage, UnicodeEncodeError):
        raise CommandError("the data is not JSON; a text needs its double quotes: '\"text\"'") from None
    message = sign_json(key, arguments.channel, payload)
    print(msgspec.json.encode([message]).decode("utf-8"))


def _read(data: str) -> str:
    if data != "-":
        return data
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise CommandError("the data is not UTF-8") from None
