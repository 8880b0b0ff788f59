"""The EventSource transport (section 16): a stream of server-sent events; everything else comes by POST."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from twisted.internet.interfaces import IProtocol

from bayeux.channels import META_CONNECT
from bayeux.errors import TooBusy
from bayeux.messages import Advice, Reply, join
from bayeux.session import Session
from bayeux.transports import Headers, HTTPReply, HTTPRequest, Takeover
from bayeux.transports.streams import Connection, Streams

_HEADERS: Headers = (
    (b"Content-Type", b"text/event-stream"),
    (b"Cache-Control", b"no-cache, no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Accel-Buffering", b"no"),
    (b"Connection", b"close"),
)
_COMMENT = b":\r\n\r\n"
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


class EventSources:
    """Opens EventSource streams; one for each endpoint."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams

    def answer(self, request: HTTPRequest, cors: Headers, browser_id: str | None) -> Takeover | int:
        """Return the stream that a request asks for, or the HTTP status that refuses it (F-2, F-7).

        Its origin has been checked.  The clientId is in the address, so its browser has to match, if that is
        known to send a cookie (F-9); of one that does not the clientId is all that there is, here as with any
        other transport (B-2).
        """
        if self.streams.hub.sessions.closed:
            return 503
        client_id = request.target.partition(b"?")[0].rpartition(b"/")[2].decode("latin-1")
        session = self.streams.hub.sessions.get(client_id)
        if session is None:
            return 404  # which keeps a browser from trying again
        link = EventSource(self.streams, request, browser_id, session)
        if not self.streams.hub.speakers.is_of(session, link, moves=True):
            return 404
        return Takeover(HTTPReply(200, _HEADERS + cors), cast(IProtocol, link))


class EventSource(Connection):
    """The link of a client that listens by EventSource."""

    __slots__ = ("_opener",)

    def __init__(self, streams: Streams, request: HTTPRequest, browser_id: str | None,
                 session: Session) -> None:
        super().__init__(streams, "eventsource", request, browser_id)
        self._opener: Session | None = session

    def connectionMade(self) -> None:
        """Tell the browser when to come back after a loss, and take over the session's events (F-2, F-7)."""
        retry = round(1000 * self._streams.settings.eventsource_retry)
        self.write(b"retry: %d\r\n\r\n" % retry)
        session, self._opener = self._opener, None
        if session is not None and session.alive:
            self._streams.hub.sessions.bind(session, self)
            self.wait(self.patience)

    def dataReceived(self, data: bytes) -> None:
        """Ignore what comes: there is nothing to be said on this connection."""

    def write_events(self, session: Session) -> None:
        """Write events as one server-sent event, on one line (F-3)."""
        events = session.take(self._streams.settings.max_buffer)
        self._streams.metrics.events_sent += len(events)
        self._write([event.json for event in events])

    def _write(self, messages: Iterable[bytes]) -> None:
        # JSON has line ends between tokens only, but there it may come with them.
        self.write(b"data: %b\r\n\r\n" % join(messages).translate(_LINE_ENDS))

    @property
    def patience(self) -> float:
        """How long before the next comment, in seconds."""
        return self._streams.settings.eventsource_comment_interval

    def idle(self) -> None:
        """Write a comment, so that nobody takes the connection for dead (F-3)."""
        self.write(_COMMENT)

    def unbound(self, moved: bool) -> None:
        """Close: it cannot get another session (F-7, F-8).

        If that is because the server stops, say when to come back, as there is no connect that could (Q-10).
        """
        sessions = self._streams.hub.sessions
        if sessions.closed and not self.closing:
            advice = Advice("handshake", sessions.spread())
            self._write([Reply(META_CONNECT, False, error=str(TooBusy()), advice=advice).encode()])
        self.close()

    def close(self) -> None:
        """Close."""
        if not self.closing:
            self.end()
            self.lose()

    def going_away(self) -> None:
        """Close, because the server stops."""
        self.close()
