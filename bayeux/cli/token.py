"""``bayeux token``: a token with which a client may shake hands."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace

from bayeux.cli.options import add_key, duration, pattern, read_key, user
from bayeux.signatures import sign_token

NAME = "token"
HELP = "make a token for the handshake of a client"


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command is told."""
    parser.description = (
        "Print a token, which a client sends as ext.token of its handshake. The server lets it do what both "
        "the token and the key that has signed it are good for. Whoever has the token is that user.")
    add_key(parser)
    parser.add_argument("--user", type=user, required=True, metavar="NAME", help="whose token it is")
    for name in ("subscribe", "publish"):
        parser.add_argument(f"--{name}", type=pattern, action="extend", nargs="+", default=[],
                            metavar="PATTERN", help=f"what the user may {name} to, such as /news/**")
    parser.add_argument("--expires", type=duration, default="1h", metavar="TIME",
                        help="how long it is good: 90s, 15m, 1h (the default), 7d")


def run(arguments: Namespace) -> None:
    """Print the token; raises ``CommandError``."""
    now = int(time.time())
    print(sign_token(read_key(arguments), arguments.user, subscribe=arguments.subscribe,
                     publish=arguments.publish, expires=now + arguments.expires, issued=now))
