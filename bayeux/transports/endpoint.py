"""One address where clients find the server: every request that comes there goes to its transport."""

from __future__ import annotations

from bayeux.hub import Hub
from bayeux.transports import Answer, Headers, HTTPReply, HTTPRequest, Takeover
from bayeux.transports.connections import Connections
from bayeux.transports.eventsource import EventSources
from bayeux.transports.polling import Polling
from bayeux.transports.proxies import Proxies
from bayeux.transports.streams import Streams
from bayeux.transports.websocket import WebSockets

_REFUSALS: dict[int, Headers] = {
    426: ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Version", b"13")),
}


class Endpoint:
    """Answers HTTP requests by whichever transport they ask for; knows nothing of who parsed the HTTP."""

    def __init__(self, hub: Hub) -> None:
        self.polling = Polling(hub)
        self.connections = Connections(hub.settings, hub.metrics)
        self.streams = Streams(hub, self.connections)
        self.proxies = Proxies(hub.settings) if hub.settings.trusted_proxies else None
        enabled = hub.settings.connection_types
        self._websockets = WebSockets(self.streams) if "websocket" in enabled else None
        self._eventsources = EventSources(self.streams) if "eventsource" in enabled else None

    def answer(self, request: HTTPRequest) -> Answer:
        """Answer a request, now or later, or take its connection over; this raises nothing."""
        if self.proxies is not None and request.known is None:
            self.proxies.see_through(request)
        if request.method == b"GET":
            if self._websockets is not None and request.header("upgrade").lower() == "websocket":
                return self._upgrade(request, self._websockets)
            if self._eventsources is not None and "text/event-stream" in request.header("accept"):
                return self._listen(request, self._eventsources)
        return self.polling.answer(request)

    def refuse(self, status: int, request: HTTPRequest, limit: str = "") -> HTTPReply:
        """Return the answer to a request that is not read to its end, perhaps for a limit of that name."""
        if self.proxies is not None:
            self.proxies.see_through(request)
        return self.polling.refuse(status, self.polling.cors(request), limit=limit, address=request.address)

    def refuse_takeover(self) -> HTTPReply:
        """Return the answer where a connection cannot be taken over, as with HTTP/2."""
        return self._refuse(426)

    def _upgrade(self, request: HTTPRequest, websockets: WebSockets) -> Answer:
        cors = self.polling.origins.check(request)  # O-7
        if cors is None:
            return self.polling.refuse(403, address=request.address)
        if self.streams.hub.sessions.closed:
            return self.polling.refuse(503, address=request.address)
        answer = websockets.answer(self.polling.origins.disclose(request), self.polling.cookie.read(request))
        return self._taken(answer, cors, request)

    def _listen(self, request: HTTPRequest, eventsources: EventSources) -> Answer:
        cors = self.polling.origins.check(request)
        if cors is None:
            return self.polling.refuse(403, address=request.address)
        answer = eventsources.answer(
            self.polling.origins.disclose(request), cors, self.polling.cookie.read(request))
        return self._taken(answer, cors, request)

    def _taken(self, answer: Takeover | int, cors: Headers, request: HTTPRequest) -> Answer:
        return self._refuse(answer, cors, request.address) if isinstance(answer, int) else answer

    def _refuse(self, status: int, cors: Headers = (), address: str = "") -> HTTPReply:
        return self.polling.refuse(status, cors + _REFUSALS.get(status, ()), address=address)
