"""The WebSocket of a client (section 15): frames by ``websockets``, the connection by Twisted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from bayeux.client import cookies as _cookies
from bayeux.client.addresses import Address
from bayeux.client.envelopes import decode
from bayeux.client.errors import BadAnswer, BadStatus, ConnectionFailed, NoAnswer, TooMuch, TransportError
from bayeux.client.polling import error_of
from bayeux.client.settings import ClientSettings

_LOGGER = logging.getLogger("bayeux.client.websocket")
_LOGGER.disabled = True  # what goes wrong is told by errors
_NORMAL, _UNSUPPORTED, _NOT_JSON, _TOO_BIG = 1000, 1003, 1007, 1009


class WebSocket:
    """Sends envelopes by a WebSocket, or rather by one after the other.

    After ``open`` either ``opened`` or ``lost`` is called, and ``lost`` when an open one closes; ``receive``
    is given the messages of each frame.
    """

    name = "websocket"
    is_stream = True

    def __init__(self, clock: IReactorTime, address: Address, headers: Mapping[str, str], cookies: CookieJar,
                 endpoints: IAgentEndpointFactory, settings: ClientSettings, subprotocol: str,
                 receive: Callable[[list[Any]], None], opened: Callable[[], None],
                 lost: Callable[[TransportError], None]) -> None:
        self.clock = clock
        self.address = address
        self.headers = headers
        self.cookies = cookies
        self.settings = settings
        self.subprotocol = subprotocol
        self.receive = receive
        self.opened = opened
        self._lost = lost
        self._endpoints = endpoints
        self._current: Connection | None = None
        self._connecting: Deferred[Any] | None = None
        self._closing: set[Connection] = set()
        self._all_closed: list[Deferred[None]] = []

    def open(self) -> None:
        """Open another one."""
        connection = self._current = Connection(self)
        factory = Factory.forProtocol(lambda: connection)
        factory.noisy = False
        endpoint = self._endpoints.endpointForURI(URI.fromBytes(self.address.http.encode("ascii")))
        connecting = self._connecting = endpoint.connect(factory)
        connecting.addErrback(lambda failure: self.ended(connection, error_of(failure)))

    def send(self, number: int, envelope: bytes) -> None:
        """Send an envelope by the one that is open."""
        assert self._current is not None
        self._current.send(envelope)

    def abort(self, number: int) -> None:
        """Do nothing: an answer that nobody waits for costs nothing."""

    def close(self) -> Deferred[None]:
        """Close, if there is something to be closed; fires when everything is."""
        connection, self._current = self._current, None
        if connection is not None:
            if connection.transport is None:
                assert self._connecting is not None
                self._connecting.cancel()
            else:
                self._closing.add(connection)
                connection.close()
        if not self._closing:
            return succeed(None)
        closed: Deferred[None] = Deferred()
        self._all_closed.append(closed)
        return closed

    def ended(self, connection: Connection, reason: TransportError) -> None:
        """Note that a connection is over, or did not come about."""
        self._closing.discard(connection)
        if not self._closing:
            waiting, self._all_closed = self._all_closed, []
            for closed in waiting:
                closed.callback(None)
        if connection is self._current:
            self._current = None
            self._lost(reason)

    def is_current(self, connection: Connection) -> bool:
        """Say whether anything that a connection brings is wanted."""
        return connection is self._current


class Connection(Protocol):
    """One connection."""

    transport: Any = None

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._protocol = ClientProtocol(
            parse_uri(socket.address.websocket), max_size=socket.settings.max_answer, logger=_LOGGER,
            subprotocols=[Subprotocol(socket.subprotocol)] if socket.subprotocol else None)
        self._timer: IDelayedCall | None = None
        self._heard = False
        """Whether something has come since the timer was started."""
        self._partial: bytearray | None = None
        self._reason: TransportError | None = None
        """Why it is given up."""

    def connectionMade(self) -> None:
        """Ask for the upgrade."""
        socket = self._socket
        self.transport.setTcpNoDelay(True)
        request = self._protocol.connect()
        for name, value in socket.headers.items():
            request.headers[name] = value
        cookie = _cookies.read(socket.cookies, socket.address.http)
        if cookie:
            request.headers["Cookie"] = cookie
        self._protocol.send_request(request)
        self._flush()

    def send(self, envelope: bytes) -> None:
        """Send a text message."""
        self._protocol.send_text(envelope)
        self._flush()

    def close(self) -> None:
        """Close, as the rules are, or cut it if the peer does not."""
        self._start(self._socket.settings.close_timeout, self.abort)
        if self._protocol.state is OPEN:
            self._protocol.send_close(_NORMAL)
            self._flush()
        else:
            self.transport.loseConnection()

    def abort(self) -> None:
        """Cut it."""
        self.transport.abortConnection()

    # -- reading --------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Read what has come."""
        self._heard = True
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if self._reason is not None or not self._socket.is_current(self):
                break
            if isinstance(event, Response):
                self._answered(event)
            else:
                self._take(cast(Frame, event))
        if self._protocol.handshake_exc is not None and self._reason is None:
            self._reason = _refusal(self._protocol.handshake_exc)
            self.transport.loseConnection()
        self._flush()

    def _answered(self, response: Response) -> None:
        url = self._socket.address.http
        _cookies.write(self._socket.cookies, url, response.headers.get_all("Set-Cookie"))
        if self._protocol.handshake_exc is None:
            self._start(self._socket.settings.ping_interval, self._idle)
            self._socket.opened()

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY:
            self._fail(_UNSUPPORTED, BadAnswer("the server sends binary messages"))
        elif frame.opcode is Opcode.TEXT and frame.fin:
            self._message(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            self._partial = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._partial is not None:
            self._partial += frame.data
            if frame.fin:
                whole, self._partial = bytes(self._partial), None
                self._message(whole)

    def _message(self, text: bytes) -> None:
        try:
            messages = decode(text)
        except BadAnswer as error:
            self._fail(_NOT_JSON, error)
        else:
            self._socket.receive(messages)

    def _fail(self, code: int, reason: TransportError) -> None:
        self._reason = reason
        self._protocol.fail(code)
        self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.transport.write(data)
            else:  # nothing more is to be sent
                self._start(self._socket.settings.close_timeout, self.abort)
                self.transport.loseConnection()

    # -- time -----------------------------------------------------------------------------------

    def _start(self, delay: float, act: Callable[[], None]) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._heard = False
        self._timer = self._socket.clock.callLater(delay, act)

    def _idle(self) -> None:
        if self._heard:
            self._start(self._socket.settings.ping_interval, self._idle)
            return
        self._protocol.send_ping(b"")
        self._flush()
        self._start(self._socket.settings.network_delay, self._silent)

    def _silent(self) -> None:
        if self._heard:
            self._start(self._socket.settings.ping_interval, self._idle)
        else:
            self._reason = NoAnswer("the server does not answer a ping")
            self.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say why it is over."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._socket.ended(self, self._reason or self._why(reason))

    def _why(self, reason: Failure) -> TransportError:
        protocol = self._protocol
        if protocol.close_rcvd is not None:
            return ConnectionFailed(f"the server has closed the WebSocket: {_say(protocol.close_rcvd)}")
        if protocol.close_sent is not None and protocol.close_sent.code == _TOO_BIG:
            return TooMuch(f"the server's message is larger than {self._socket.settings.max_answer} bytes")
        if protocol.close_sent is not None and protocol.close_sent.code != _NORMAL:
            return BadAnswer(f"the server breaks the rules of WebSocket: {_say(protocol.close_sent)}")
        return error_of(reason)


def _say(close: Close) -> str:
    return f"{close.code} {close.reason}".strip()


def _refusal(error: Exception) -> TransportError:
    """Say why the server does not open a WebSocket."""
    if isinstance(error, InvalidStatus):
        response = error.response
        return BadStatus(response.status_code, WebSocket.name, response.headers.get("Location", ""))
    return ConnectionFailed(f"the server does not open a WebSocket: {error}")
