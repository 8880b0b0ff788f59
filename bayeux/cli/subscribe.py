"""``bayeux subscribe``: the events of channels of any Bayeux server, a line of JSON each."""

from __future__ import annotations

import json
import math
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bayeux.cli import CommandError
from bayeux.cli.options import add_server, duration, pattern, token_ext
from bayeux.cli.running import run as run_reactor
from bayeux.client import BayeuxClient, Change, ClientError, Closed, Event, State, Unsubscribed

NAME = "subscribe"
HELP = "print the events of channels"


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command is told."""
    parser.description = (
        "Print each event as a line of JSON with its channel and data, until interrupted. When the "
        "connection is lost it is made again. Example: bayeux subscribe --count 1 "
        "http://localhost:8080/bayeux '/news/*'")
    add_server(parser)
    parser.add_argument("--count", type=_count, metavar="N", help="end with status 0 after so many events")
    parser.add_argument("--timeout", type=duration, metavar="TIME",
                        help="end after this time: with status 0, or 1 if fewer than --count events came")
    parser.add_argument("--connect-timeout", type=duration, default=10, metavar="TIME",
                        help="how long the server may take to connect; 10s if not given")
    parser.add_argument("patterns", type=pattern, nargs="+", metavar="PATTERN",
                        help="a channel, or several by a pattern such as /news/**")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of events")
    return int(text)


def run(arguments: Namespace) -> None:
    """Print events; raises ``CommandError``."""
    run_reactor(partial(subscribe, arguments=arguments))


async def subscribe(reactor: Any, arguments: Namespace) -> None:
    """Print events until there are enough, or time is up."""
    listener = Listener(arguments.count)
    client = BayeuxClient(arguments.url, reactor=reactor, ext=token_ext(arguments))
    client.on_error(lambda error: None)  # what matters is raised
    client.on_state(listener.changed)
    timer = None
    try:
        await client.connect(timeout=min(arguments.connect_timeout, arguments.timeout or math.inf))
        if arguments.timeout is not None:
            timer = reactor.callLater(arguments.timeout, listener.finish)
        for each in arguments.patterns:
            client.subscribe(each, listener.take).when_ready().addErrback(listener.failed)
        await listener.finished
    except ClientError as error:
        raise CommandError(str(error)) from None
    finally:
        if timer is not None and timer.active():
            timer.cancel()
        await client.disconnect()
    if arguments.count is not None and listener.taken < arguments.count:
        raise CommandError(f"{listener.taken} of {arguments.count} events came within {arguments.timeout} s")


class Listener:
    """Prints events until it has had enough."""

    def __init__(self, count: int | None) -> None:
        self.finished: Deferred[None] = Deferred()
        self.taken = 0
        self._count = count
        self._last: object = None

    def take(self, event: Event) -> None:
        """Print an event, once, though several patterns may have selected it."""
        if event.message is self._last or self.finished.called:
            return
        self._last = event.message
        try:
            line = json.dumps({"channel": event.channel, "data": event.data}, separators=(",", ":"))
            print(line, flush=True)
        except OSError as error:  # nobody reads any more
            self.finish(error)
            return
        self.taken += 1
        if self.taken == self._count:
            self.finish()

    def changed(self, change: Change) -> None:
        """Tell of a connection that is lost, and fail if it is for good."""
        if change.state is State.RECONNECTING:
            print(f"bayeux subscribe: {change.reason}; trying again", file=sys.stderr)
        elif change.state is State.DISCONNECTED and change.reason is not None:
            self.finish(change.reason)

    def failed(self, failure: Failure) -> None:
        """End, as a subscription was refused."""
        if not failure.check(Closed, Unsubscribed):  # that is the end itself
            self.finish(failure.value if isinstance(failure.value, Exception) else None)

    def finish(self, error: Exception | None = None) -> None:
        """End, because of an error or because it is enough."""
        if self.finished.called:
            return
        if error is None:
            self.finished.callback(None)
        else:
            self.finished.errback(error)
