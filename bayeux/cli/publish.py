"""``bayeux publish``: one message to one channel of any Bayeux server."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import TimeoutError

from bayeux.cli import CommandError
from bayeux.cli.options import (
    add_data,
    add_key,
    add_server,
    channel,
    duration,
    read_data,
    read_key,
    token_ext,
)
from bayeux.cli.running import run as run_reactor
from bayeux.client import BayeuxClient, ClientError, ClientSettings
from bayeux.client.envelopes import Message
from bayeux.client.stateless import publish_once
from bayeux.messages import decode_data
from bayeux.signatures import sign_json

NAME = "publish"
HELP = "publish a message"


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command is told."""
    parser.description = (
        "Publish JSON to a channel, and end with status 0 when the server has taken it. With --key it is "
        "signed and needs no session; without, a session is opened for it. Example: bayeux publish "
        "--key web-a.key http://localhost:8080/bayeux /news/sport '{\"score\":\"1:0\"}'")
    add_server(parser)
    parser.add_argument("--timeout", type=duration, default=10, metavar="TIME",
                        help="how long the server may take to connect, and to answer; 10s if not given")
    add_key(parser, required=False)
    parser.add_argument("channel", type=channel, metavar="CHANNEL", help="where it is published")
    add_data(parser)


def run(arguments: Namespace) -> None:
    """Publish; raises ``CommandError``."""
    payload = read_data(arguments)
    message = None
    if arguments.key is not None:
        message = sign_json(read_key(arguments), arguments.channel, payload)
    run_reactor(partial(publish, arguments=arguments, payload=payload, message=message))


async def publish(reactor: Any, arguments: Namespace, payload: str, message: Message | None) -> None:
    """Publish a payload of JSON text, or the signed message that there is of it."""
    settings = replace(ClientSettings(), network_delay=float(arguments.timeout))
    try:
        if message is not None:
            await publish_once(arguments.url, message, reactor=reactor, settings=settings)
            return
        client = BayeuxClient(arguments.url, reactor=reactor, ext=token_ext(arguments), settings=settings)
        client.on_error(lambda error: None)  # what matters is raised
        try:
            await client.connect(timeout=arguments.timeout)
            published = client.publish(arguments.channel, decode_data(payload.encode("utf-8")))
            await published.addTimeout(arguments.timeout, reactor)
        finally:
            await client.disconnect()
    except TimeoutError:
        raise CommandError(f"the server has not answered within {arguments.timeout} s; the message may have "
                           "arrived or not") from None
    except ClientError as error:
        raise CommandError(str(error)) from None
