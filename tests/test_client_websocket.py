"""The WebSocket of a client, with servers of all kinds (BAYEUX.md section 15, RFC 6455)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http.cookiejar import CookieJar
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock
from websockets.frames import Opcode

from bayeux.client import cookies
from bayeux.client.addresses import Address, Endpoints
from bayeux.client.errors import BadAnswer, BadStatus, ConnectionFailed, NoAnswer, TooMuch
from bayeux.client.settings import ClientSettings
from bayeux.client.websocket import WebSocket
from tests.live import condition
from tests.peers import Connection, Happenings, Peer, ensure, within


class Sockets:
    """A transport on a clock, its server, and what it tells."""

    def __init__(self, peer: Peer, subprotocol: str = "") -> None:
        self.peer = peer
        self.told = Happenings()
        self.clock = Clock()
        self.headers: dict[str, str] = {}
        self.cookies = CookieJar()
        settings = ClientSettings(max_answer=1_000, ping_interval=20, network_delay=10, close_timeout=2)
        self.transport = WebSocket(
            self.clock, Address.read(peer.url), self.headers, self.cookies, Endpoints(reactor, None, 5),
            settings,
            subprotocol, self.told.note("received"), self.told.note("opened"), self.told.note("lost"))

    async def asked(self) -> tuple[Connection, Any]:
        self.transport.open()
        return await within(self.peer.upgrades.get())

    async def opened(self) -> Connection:
        connection, request = await self.asked()
        connection.accept(request)
        assert await self.told.next() == ("opened",)
        return connection

    async def loss(self) -> Any:
        name, error = await self.told.next()
        assert name == "lost"
        return error


@pytest_twisted.async_yield_fixture
async def sockets() -> AsyncIterator[Sockets]:
    sockets = Sockets(await Peer().listen())
    yield sockets
    closed = sockets.transport.close()
    await sockets.peer.close()
    await within(closed)
    assert sockets.clock.getDelayedCalls() == []


async def turn() -> None:
    """Let the reactor read what there is."""
    from twisted.internet.task import deferLater

    for _ in range(3):
        await deferLater(reactor, 0, lambda: None)


@ensure
async def test_it_opens_and_carries_messages_both_ways(sockets: Sockets) -> None:
    """W-2."""
    connection = await sockets.opened()
    sockets.transport.send(1, b'[{"a":1}]')
    frame = await within(connection.frames.get())
    assert (frame.opcode, bytes(frame.data)) == (Opcode.TEXT, b'[{"a":1}]')
    connection.text(b'[{"b":2}]')
    assert await sockets.told.next() == ("received", [{"b": 2}])


@ensure
async def test_the_upgrade_carries_headers_and_cookies_and_brings_some(sockets: Sockets) -> None:
    """W-16; load balancers set them."""
    sockets.headers["Authorization"] = "Bearer t"
    cookies.write(sockets.cookies, sockets.peer.url, ["BAYEUX_BROWSER=abc; Path=/"])
    connection, request = await sockets.asked()
    assert request.path == "/bayeux"
    assert (request.headers["Authorization"], request.headers["Cookie"]) == ("Bearer t", "BAYEUX_BROWSER=abc")
    assert "Sec-WebSocket-Extensions" not in request.headers
    connection.accept(request, Set_Cookie="node=7; Path=/")
    await sockets.told.next()
    assert "node=7" in cookies.read(sockets.cookies, sockets.peer.url)


@ensure
async def test_a_subprotocol_is_offered() -> None:
    """W-3."""
    peer = await Peer().listen()
    peer.subprotocols = ["bayeux"]
    sockets = Sockets(peer, "bayeux")
    connection, request = await sockets.asked()
    assert request.headers["Sec-WebSocket-Protocol"] == "bayeux"
    connection.accept(request)
    assert await sockets.told.next() == ("opened",)
    closed = sockets.transport.close()
    await peer.close()
    await within(closed)


@ensure
async def test_a_message_in_pieces_is_put_together(sockets: Sockets) -> None:
    connection = await sockets.opened()
    connection.text(b"[1,", fin=False)
    connection.socket.send_continuation(b"2,", fin=False)
    connection.socket.send_ping(b"x")
    connection.socket.send_continuation(b"3]", fin=True)
    connection.flush()
    assert await sockets.told.next() == ("received", [1, 2, 3])


@ensure
async def test_pings_are_answered(sockets: Sockets) -> None:
    connection = await sockets.opened()
    connection.socket.send_ping(b"x")
    connection.flush()
    frame = await within(connection.frames.get())
    assert (frame.opcode, bytes(frame.data)) == (Opcode.PONG, b"x")


@pytest.mark.parametrize("status", [400, 403, 404, 426, 500, 503])
@ensure
async def test_a_server_that_does_not_upgrade_says_why(sockets: Sockets, status: int) -> None:
    connection, _ = await sockets.asked()
    connection.answer(b"no", status=f"{status} No")
    error = await sockets.loss()
    assert isinstance(error, BadStatus)
    assert error.status == status
    await within(connection.lost)


@ensure
async def test_a_redirection_is_told(sockets: Sockets) -> None:
    connection, _ = await sockets.asked()
    connection.answer(b"", "Location: https://elsewhere.example/", status="301 Moved")
    assert "elsewhere" in str(await sockets.loss())


@pytest.mark.parametrize("said", [
    b"SSH-2.0-OpenSSH_9\r\n\r\n", b"HTTP/1.1 101 Yes\r\n\r\n", b"\x00" * 50 + b"\r\n",
    b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
    b"x" * 20_000,
])
@ensure
async def test_what_is_no_upgrade_is_none(sockets: Sockets, said: bytes) -> None:
    connection, _ = await sockets.asked()
    connection.write(said)
    error = await sockets.loss()
    assert isinstance(error, ConnectionFailed)
    await within(connection.lost)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 101 Sw"])
@ensure
async def test_a_connection_that_breaks_before_it_is_open_is_told(sockets: Sockets, said: bytes) -> None:
    connection, _ = await sockets.asked()
    connection.write(said)
    connection.transport.loseConnection()
    assert isinstance(await sockets.loss(), ConnectionFailed)


@ensure
async def test_a_server_that_is_not_there_is_told(sockets: Sockets) -> None:
    await sockets.peer.port.stopListening()
    sockets.transport.open()
    error = await sockets.loss()
    assert isinstance(error, ConnectionFailed)
    assert error.is_certain


@ensure
async def test_the_servers_close_is_told_with_its_reason(sockets: Sockets) -> None:
    """W-9."""
    connection = await sockets.opened()
    connection.socket.send_close(1001, "server stops")
    connection.flush()
    assert str(await sockets.loss()) == "the server has closed the WebSocket: 1001 server stops"


@ensure
async def test_a_cut_is_told(sockets: Sockets) -> None:
    connection = await sockets.opened()
    connection.abort()
    error = await sockets.loss()
    assert isinstance(error, ConnectionFailed)
    assert not error.is_certain


@pytest.mark.parametrize(("text", "expected"), [(b"<html>", BadAnswer), (b"5", BadAnswer),
                                                (b"[%s]" % (b" " * 1000), TooMuch), (b"\xff", BadAnswer)])
@ensure
async def test_a_message_that_makes_no_sense_ends_the_socket(sockets: Sockets, text: bytes,
                                                             expected: type[Exception]) -> None:
    connection = await sockets.opened()
    connection.text(text)
    frame = await within(connection.frames.get())
    assert frame.opcode is Opcode.CLOSE
    assert isinstance(await sockets.loss(), expected)


@ensure
async def test_a_message_that_is_too_large_in_all_its_pieces_ends_the_socket(sockets: Sockets) -> None:
    connection = await sockets.opened()
    connection.text(b"[" + b" " * 900, fin=False)
    connection.socket.send_continuation(b" " * 200, fin=True)
    connection.flush()
    assert isinstance(await sockets.loss(), TooMuch)


@ensure
async def test_binary_messages_are_refused(sockets: Sockets) -> None:
    """W-2."""
    connection = await sockets.opened()
    connection.socket.send_binary(b"[]")
    connection.flush()
    assert isinstance(await sockets.loss(), BadAnswer)


@ensure
async def test_a_server_that_breaks_the_rules_is_left(sockets: Sockets) -> None:
    connection = await sockets.opened()
    connection.write(b"\xff\xff\xff\xff")
    assert isinstance(await sockets.loss(), BadAnswer)


@ensure
async def test_nothing_is_taken_from_behind_a_message_that_made_no_sense(sockets: Sockets) -> None:
    connection = await sockets.opened()
    connection.socket.send_text(b"no")
    connection.socket.send_text(b"[1]")
    connection.flush()
    assert isinstance(await sockets.loss(), BadAnswer)
    assert sockets.told.nothing


# -- time ---------------------------------------------------------------------------------------

@ensure
async def test_a_silent_socket_is_pinged_and_lives_if_it_is_answered(sockets: Sockets) -> None:
    """N-3, W-14."""
    connection = await sockets.opened()
    for _ in range(3):
        sockets.clock.advance(20)
        frame = await within(connection.frames.get())
        assert frame.opcode is Opcode.PING
        await condition(lambda: sockets.transport._current._heard)
        sockets.clock.advance(10)
    assert sockets.told.nothing


@ensure
async def test_a_socket_that_is_heard_of_is_not_pinged(sockets: Sockets) -> None:
    connection = await sockets.opened()
    for _ in range(3):
        sockets.clock.advance(10)
        connection.text(b"[]")
        assert await sockets.told.next() == ("received", [])
        sockets.clock.advance(10)
    await turn()
    assert not connection.frames.pending


@ensure
async def test_a_half_open_socket_is_found_out(sockets: Sockets) -> None:
    connection = await sockets.opened()
    connection.transport.pauseProducing()
    sockets.clock.advance(20)
    sockets.clock.advance(9.9)
    await turn()
    assert sockets.told.nothing
    sockets.clock.advance(0.1)
    assert isinstance(await sockets.loss(), NoAnswer)
    connection.transport.resumeProducing()


# -- closing ------------------------------------------------------------------------------------

@ensure
async def test_closing_follows_the_rules_and_tells_nobody(sockets: Sockets) -> None:
    """W-18."""
    connection = await sockets.opened()
    closed = sockets.transport.close()
    frame = await within(connection.frames.get())
    assert (frame.opcode, bytes(frame.data)) == (Opcode.CLOSE, b"\x03\xe8")
    await within(closed)
    await within(connection.lost)
    assert sockets.told.nothing


@ensure
async def test_a_server_that_does_not_close_is_cut_off(sockets: Sockets) -> None:
    connection = await sockets.opened()
    connection.transport.pauseProducing()
    closed = sockets.transport.close()
    sockets.clock.advance(2)
    await within(closed)
    connection.transport.resumeProducing()


@ensure
async def test_a_server_that_answers_the_close_but_keeps_the_connection_is_cut_off(sockets: Sockets) -> None:
    connection = await sockets.opened()
    sockets.peer.lingers = True
    closed = sockets.transport.close()
    await within(connection.frames.get())
    await turn()
    sockets.clock.advance(2)
    await within(closed)


@ensure
async def test_what_comes_after_closing_is_not_told(sockets: Sockets) -> None:
    connection = await sockets.opened()
    closed = sockets.transport.close()
    connection.text(b"[1]")
    await within(closed)
    assert sockets.told.nothing


@ensure
async def test_closing_while_it_is_being_opened(sockets: Sockets) -> None:
    sockets.transport.open()
    await within(sockets.transport.close())
    connection, _ = await sockets.asked()
    closed = sockets.transport.close()
    await within(closed)
    await within(connection.lost)
    assert sockets.told.nothing


@ensure
async def test_another_one_can_be_opened_while_the_last_is_closing(sockets: Sockets) -> None:
    first = await sockets.opened()
    closed = sockets.transport.close()
    second = await sockets.opened()
    await within(closed)
    await within(first.lost)
    second.text(b"[2]")
    assert await sockets.told.next() == ("received", [2])
    sockets.transport.abort(1)


@ensure
async def test_a_handler_that_closes_the_socket_hears_nothing_more(sockets: Sockets) -> None:
    connection = await sockets.opened()

    def receive(messages: list[Any]) -> None:
        sockets.transport.close()
        sockets.told.queue.put(messages)

    sockets.transport.receive = receive
    connection.socket.send_text(b"[1]")
    connection.socket.send_text(b"[2]")
    connection.flush()
    assert await sockets.told.next() == [1]
    await within(connection.lost)
    assert sockets.told.nothing
