"""What WebSocket and EventSource share: a connection taken over from HTTP, to be written to at any time.

The peer's slowness stays its own: while it does not take what it has been sent, its events wait in its
session's queue, which is bounded, and nothing more is read from it (G-16, D-14).
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocol, IPushProducer, ISSLTransport, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from bayeux.deadlines import Deadlines
from bayeux.hub import Hub
from bayeux.session import Session, Stream
from bayeux.transports import HTTPRequest, RequestHeaders
from bayeux.transports.connections import Connections
from bayeux.transports.wire import write

_CLOSING_TIME = 2.0
"""Seconds in which a peer has to take what is still to be sent, and to close its side."""


class Streams:
    """All streams of one endpoint, and one timer for them."""

    name = "streams"

    def __init__(self, hub: Hub, connections: Connections) -> None:
        self.hub = hub
        self.metrics = hub.metrics
        self.by_transport: Counter[str] = Counter()
        """How many each transport has open."""
        self.connections = connections
        self.settings = hub.settings
        self.deadlines: Deadlines[Connection] = Deadlines(hub.sessions.clock, _due)
        self._open: set[Connection] = set()
        self._emptied: Deferred[None] | None = None

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def close(self) -> Deferred[None]:
        """Close them all, because the server stops; fires when all are gone."""
        for connection in tuple(self._open):
            connection.going_away()
        if not self._open:
            return succeed(None)
        if self._emptied is None:
            self._emptied = Deferred()
        return self._emptied

    def abort(self) -> None:
        """Cut those that are left."""
        for connection in tuple(self._open):
            connection.abort()

    def add(self, connection: Connection) -> None:
        """Take note of a new one."""
        self._open.add(connection)
        self.by_transport[connection.connection_type] += 1

    def remove(self, connection: Connection) -> None:
        """Take note of one that is gone."""
        if connection in self._open:
            self._open.remove(connection)
            self.by_transport[connection.connection_type] -= 1
        self.deadlines.forget(connection)
        if not self._open:
            self.deadlines.stop()  # or its timer would outlive them
        if self._emptied is not None and not self._open:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)


class Transport(Protocol):
    """What a connection needs of what carries it, TCP or TLS."""

    def write(self, data: bytes) -> None: ...
    def loseConnection(self) -> None: ...
    def loseWriteConnection(self) -> None: ...
    def abortConnection(self) -> None: ...
    def registerProducer(self, producer: object, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...


@implementer(IProtocol, IPushProducer)
class Connection(Stream):
    """One stream: the link of a session, and the protocol of a Twisted transport.

    To keep an idle client cheap it is all of this in one object.
    """

    __slots__ = ("_streams", "alarm", "closing", "deadline", "place", "transport")

    def __init__(self, streams: Streams, connection_type: str, request: HTTPRequest,
                 browser_id: str | None) -> None:
        super().__init__(connection_type, request.address, browser_id, header=_kept(request))
        self._streams = streams
        self.place: str | None = None
        """Where it is counted."""
        self.deadline: float | None = None
        self.alarm: float | None = None
        self.closing = False
        """Whether it has parted from its session for good, and is only to be closed properly."""

    # -- the protocol of a transport ------------------------------------------------------------

    def makeConnection(self, transport: ITransport) -> None:
        """Begin: the transport is ours from now on."""
        self.transport = cast(Transport, transport)
        self._streams.add(self)
        self.transport.registerProducer(self, True)
        self.wait(self._streams.settings.unbound_timeout)
        self.connectionMade()

    def connectionMade(self) -> None:
        """Say the first word, if there is one."""

    def dataReceived(self, data: bytes) -> None:
        """Take what the peer sends."""
        raise NotImplementedError

    def connectionLost(self, reason: Failure) -> None:
        """End, and forget."""
        self.end()
        self._streams.connections.leave(self.place)
        self._streams.remove(self)
        self.transport.unregisterProducer()  # TLS would still know this object: a cycle

    def pauseProducing(self) -> None:
        """Stop, as the transport wants: the peer does not keep up."""
        if self.congested or self.closing:
            return  # Twisted says so with every write; and the last thing to be read is the peer's farewell
        self.congested = True
        self.wait(self._streams.settings.write_timeout)
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on: the peer has taken everything."""
        self.congested = False
        if self.closing:
            return
        self.wait(self._streams.settings.unbound_timeout if self.session is None else self.patience)
        self.read_on()
        if self.session is not None:
            self._streams.hub.sessions.dispatch(self.session)

    def stopProducing(self) -> None:
        """Do nothing: that the connection is lost is told elsewhere."""

    def read_on(self) -> None:
        """Read again, after it has been stopped."""
        self.transport.resumeProducing()

    # -- the stream of a session ----------------------------------------------------------------

    def push(self) -> None:
        """Write what the session has queued, until the peer has enough to do."""
        while not self.congested and (session := self.session) is not None and session.queue.events:
            self.write_events(session)

    def unbound(self, moved: bool) -> None:
        """Close, if the session has moved; else the client may want to say something more."""
        if moved:
            self.close()
        elif self._streams.hub.sessions.closed:
            if not self.congested:  # or else the peer has its time to take what it was sent
                self.wait(0)  # the server stops, and is about to say so
        else:
            self.wait(self._streams.settings.unbound_timeout)

    # -- time -----------------------------------------------------------------------------------

    @property
    def patience(self) -> float:
        """How long it may be idle, in seconds, before something is done about that."""
        raise NotImplementedError

    def wait(self, seconds: float) -> None:
        """Have ``due`` called after so many seconds, instead of what was set before."""
        self._streams.deadlines.set(self, self._streams.hub.sessions.clock.seconds() + seconds)

    def due(self) -> None:
        """Do what has to be done about a connection on which nothing happens."""
        if self.closing:
            self.abort()
        elif self.congested:
            self._streams.metrics.stalled += 1
            self.limited("write_timeout")
            self.abort()
        elif self.session is None and self._streams.hub.sessions.closed:
            self.going_away()
        elif self.session is None:
            self.limited("unbound_timeout")
            self.close()
        else:
            self.wait(self.patience)
            self.idle()

    def limited(self, limit: str) -> None:
        """Count that a limit was in the way, if it has a name."""
        if limit:
            self._streams.metrics.limited[limit] += 1

    # -- for the kinds of streams ---------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write to the connection, and count it."""
        write(self.transport, data, self._streams.metrics)

    def write_events(self, session: Session) -> None:
        """Write some of the events that a session has queued."""
        raise NotImplementedError

    def idle(self) -> None:
        """Show the peer, and whatever is between, that the connection is alive."""
        raise NotImplementedError

    def close(self) -> None:
        """Close in an orderly way."""
        raise NotImplementedError

    def going_away(self) -> None:
        """Close, because the server stops."""
        raise NotImplementedError

    def end(self) -> None:
        """Part from the session, which has some time to come back by another link (W-15)."""
        self.closing = True
        self._streams.hub.sessions.unbind(self)
        self.wait(_CLOSING_TIME)

    def lose(self) -> None:
        """Close the connection when all is written."""
        self.transport.unregisterProducer()  # for which TLS would wait, and TCP too if it has stopped us
        self.transport.loseConnection()

    def end_writing(self) -> None:
        """Let the peer know that nothing more comes, and hear it out: it might not see why otherwise."""
        self.transport.unregisterProducer()
        if ISSLTransport.providedBy(self.transport):
            self.transport.loseConnection()  # which here is no more than that
        else:
            self.transport.loseWriteConnection()

    def abort(self) -> None:
        """Cut the connection; it takes no event any more (D-13)."""
        self.end()
        self.transport.abortConnection()


def _kept(request: HTTPRequest) -> RequestHeaders:
    """Return the headers that say something of the client, and not only of the request."""
    return RequestHeaders((name, request.header(name)) for name in request.header.names()
                          if not name.startswith(("sec-websocket-", "connection", "upgrade")))


def _due(connection: Connection) -> None:
    connection.due()
