"""``bayeux sign``: a signed publish, ready to be posted."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

import msgspec

from bayeux.cli.options import add_data, add_key, channel, read_data, read_key
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
    add_data(parser)


def run(arguments: Namespace) -> None:
    """Print the message; raises ``CommandError``."""
    key = read_key(arguments)
    payload = read_data(arguments)
    message = sign_json(key, arguments.channel, payload)
    print(msgspec.json.encode([message]).decode("utf-8"))
