"""A ticker: the server invents prices of wool and ships, and publishes them.

``make_resource`` attaches it to a Bayeux server; ``python server.py`` runs it alone.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from pathlib import Path
from typing import Any

from twisted.application.internet import TimerService
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Site
from twisted.web.static import File

from bayeux import BayeuxService, ListenOnly, Session

STOCKS = {
    "HALY": ("Halley Comets", 75.86),
    "WOOL": ("Kentish Wool", 12.40),
    "NORM": ("Norman Shipping", 106.60),
    "ODO": ("Bishop Odo Holdings", 48.25),
    "LOOM": ("Loom and Needle", 31.15),
    "OAK": ("Royal Oak Timber", 220.00),
}
KEPT = 60
PERIOD = 1.0
"""Seconds between two rounds of prices."""


class Pages(File):
    """The files of a folder; browsers do not store them, so that a changed page is seen."""

    def render_GET(self, request: IRequest) -> Any:
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        return super().render_GET(request)

    render_HEAD = render_GET


class Ticker:
    """The prices, each a random walk that longs for where it began."""

    def __init__(self, bayeux: BayeuxService) -> None:
        self._hub = bayeux.hub
        self._prices = {symbol: deque([first], KEPT) for symbol, (_, first) in STOCKS.items()}
        for symbol in list(STOCKS) * (KEPT - 1):
            self._move(symbol)
        self._hub.service("/service/ticker/history", self._history)
        TimerService(PERIOD, self.tick).setServiceParent(bayeux)

    def tick(self) -> None:
        """Publish a new price for some of the stocks."""
        for symbol in random.sample(list(STOCKS), k=random.randint(2, len(STOCKS))):
            self._hub.publish(f"/ticker/{symbol}", {"price": self._move(symbol)})

    def _move(self, symbol: str) -> float:
        prices, (_, first) = self._prices[symbol], STOCKS[symbol]
        step = random.gauss(0, 0.004) * prices[-1] + 0.02 * (first - prices[-1])
        prices.append(round(max(prices[-1] + step, 0.01), 2))
        return prices[-1]

    def _history(self, session: Session, data: object) -> list[dict[str, Any]]:
        """Answer a page that has just come with what it needs to draw the first picture."""
        return [{"symbol": symbol, "name": name, "open": first, "prices": [*self._prices[symbol]]}
                for symbol, (name, first) in STOCKS.items()]


def make_resource(bayeux: BayeuxService) -> IResource:
    """Attach the ticker to a Bayeux server and return the resource that serves its page."""
    bayeux.hub.policy = ListenOnly("/ticker/*", before=bayeux.hub.policy)
    Ticker(bayeux)
    return Pages(str(Path(__file__).parent / "static"))


async def main(reactor: Any, listen: str = "tcp:8080:interface=127.0.0.1") -> None:
    """Serve this demo alone, until interrupted."""
    bayeux = BayeuxService()
    root = make_resource(bayeux)
    root.putChild(b"bayeux", bayeux.resource)
    bayeux.startService()
    reactor.addSystemEventTrigger("before", "shutdown", bayeux.stopService)
    address = (await serverFromString(reactor, listen).listen(Site(root))).getHost()
    print(f"http://{address.host}:{address.port}/", flush=True)
    await Deferred()


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
