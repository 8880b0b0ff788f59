"""The site of the API: its requests are bounded as those of the front door, and refused as JSON."""

from __future__ import annotations

from typing import cast

import msgspec
from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.web.resource import IResource

from bayeux.addresses import as_usual, client_of
from bayeux.api.errors import APIError
from bayeux.metrics import Metrics
from bayeux.settings import Settings
from bayeux.transports import HTTPReply
from bayeux.web.channel import BayeuxChannel, BayeuxRequest
from bayeux.web.channels import ChannelSite
from bayeux.web.proxied import TurnedAway

_REFUSALS = {
    413: ("too_large", "the body is too large"),
    414: ("uri_too_long", "the address is too long"),
}


class APISite(ChannelSite):
    """Listens for the API alone: no messages of clients, no proxies, no access log."""

    name = "connections of the API"

    def __init__(self, root: IResource, settings: Settings, metrics: Metrics, reactor: IReactorTime) -> None:
        super().__init__(root, settings, metrics, reactor=reactor)
        self._by_client: dict[str, int] = {}

    def startFactory(self) -> None:
        """Open no access log: what is asked here is asked again and again, by machines."""

    def buildProtocol(self, addr: IAddress) -> IProtocol:  # type: ignore[override]  # nor HTTPChannel
        """Make the protocol of a new connection, if there is room for it."""
        settings = self.settings
        # By a UNIX socket it is nobody's, "", which is not counted.
        place = client_of(as_usual(getattr(addr, "host", "")), settings.ipv6_prefix)
        others = self._by_client.get(place, 0)
        full = ""
        if len(self.channels) >= settings.api_max_connections:
            full = "api_max_connections"
        elif others >= settings.api_max_connections_per_address:
            full = "api_max_connections_per_address"
        if full:
            self.metrics.limited[full] += 1
            return TurnedAway()
        channel = cast(BayeuxChannel, super().buildProtocol(addr))
        if place:
            self._by_client[place] = others + 1
            channel.place = place
        return cast(IProtocol, channel)

    def refusal(self, status: int, request: BayeuxRequest | None, limit: str) -> HTTPReply:
        """Return the answer to what is no request, or is one whose body is not read to its end."""
        code, text = _REFUSALS.get(status, ("bad_request", "this is no proper HTTP request"))
        error = APIError(code, text)
        self.metrics.api_errors[code] += 1
        if limit:
            self.metrics.limited[limit] += 1
        return HTTPReply(error.status, ((b"Content-Type", b"application/json"),),
                         msgspec.json.encode({"error": error.describe()}))

    def leave(self, place: str | None) -> None:
        """Count a connection out; those to the API are not counted with the clients'."""
        if place is None:
            return
        others = self._by_client[place] - 1
        if others:
            self._by_client[place] = others
        else:
            del self._by_client[place]
