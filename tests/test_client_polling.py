"""Long-polling of a client, with servers of all kinds (BAYEUX.md section 14)."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar
from typing import Any

import pytest
import pytest_twisted
from treq.cookies import IndexableCookieJar
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred

from bayeux.client.addresses import Endpoints
from bayeux.client.errors import BadAnswer, BadStatus, ConnectionFailed, TooMuch
from bayeux.client.polling import LongPolling
from bayeux.client.settings import ClientSettings
from tests.peers import Happenings, Peer, ensure, within


class Polls:
    """A transport, its server, and what it tells."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.told = Happenings()
        self.headers: dict[str, str] = {}
        self.cookies: CookieJar = IndexableCookieJar()
        settings = ClientSettings(max_answer=1_000)
        self.transport = LongPolling(
            reactor, peer.url, self.headers, self.cookies, Endpoints(reactor, None, 5), settings,
            self.told.note("received"), self.told.note("ended"), self.told.note("failed"))

    async def ask(self, number: int = 1, body: bytes = b"[1]") -> Any:
        self.transport.send(number, body)
        return await within(self.peer.requests.get())

    async def failure(self) -> Any:
        name, number, error = await self.told.next()
        assert (name, number) == ("failed", 1)
        assert self.told.nothing
        return error


@pytest_twisted.async_yield_fixture
async def polls() -> AsyncIterator[Polls]:
    polls = Polls(await Peer().listen())
    yield polls
    await within(polls.transport.close())
    await polls.peer.close()


@ensure
async def test_an_envelope_is_posted_as_json(polls: Polls) -> None:
    """L-3."""
    polls.headers["X-Mine"] = "1"
    connection, head, body = await polls.ask(body=b'[{"a":1}]')
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /bayeux HTTP/1.1"
    fields = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines[1:]}
    assert fields["content-type"] == "application/json;charset=UTF-8"
    assert fields["x-mine"] == "1"
    assert fields["content-length"] == "9"
    assert "accept-encoding" not in fields
    assert body == b'[{"a":1}]'
    connection.answer(b'[{"b":2}]')
    assert await polls.told.next() == ("received", [{"b": 2}])
    assert await polls.told.next() == ("ended", 1)


@ensure
async def test_a_connection_is_used_again_and_a_second_one_beside_it(polls: Polls) -> None:
    """K-17: the connect, and all else."""
    connect, _, _ = await polls.ask(1)
    other, _, _ = await polls.ask(2)
    assert other is not connect
    other.answer(b"[]")
    assert (await polls.told.next(), await polls.told.next()) == (("received", []), ("ended", 2))
    again, _, _ = await polls.ask(3)
    assert again is other


@ensure
async def test_cookies_come_back(polls: Polls) -> None:
    """B-1."""
    connection, _, _ = await polls.ask()
    connection.answer(b"[]", "Set-Cookie: BAYEUX_BROWSER=abc; Path=/; HttpOnly")
    await polls.told.next()
    _, head, _ = await polls.ask(2)
    assert b"\r\nCookie: BAYEUX_BROWSER=abc" in head


@pytest.mark.parametrize("status", ["400 Bad", "401 No", "404 Gone", "409 Conflict", "500 Oops", "503 Busy",
                                    "204 Nothing", "301 Moved", "307 Elsewhere"])
@ensure
async def test_any_other_status_is_told(polls: Polls, status: str) -> None:
    """E-4."""
    connection, _, _ = await polls.ask()
    connection.answer(b"" if status.startswith("204") else b"<html>" * 50, status=status)
    error = await polls.failure()
    assert isinstance(error, BadStatus)
    assert error.status == int(status[:3])


@ensure
async def test_a_redirection_is_not_followed(polls: Polls) -> None:
    connection, _, _ = await polls.ask()
    connection.answer(b"", "Location: https://elsewhere.example/", status="302 Found")
    assert "https://elsewhere.example/" in str(await polls.failure())


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"", b"[", b"5", b"\xff"])
@ensure
async def test_what_is_no_array_of_messages_is_told(polls: Polls, body: bytes) -> None:
    connection, _, _ = await polls.ask()
    connection.answer(body, "Content-Type: text/html")
    assert isinstance(await polls.failure(), BadAnswer)


@ensure
async def test_what_is_compressed_is_not_inflated(polls: Polls) -> None:
    """A little could become very much."""
    connection, _, _ = await polls.ask()
    connection.answer(gzip.compress(b"[]"), "Content-Encoding: gzip")
    assert isinstance(await polls.failure(), BadAnswer)


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
])
@ensure
async def test_an_answer_that_is_too_large_is_not_read_to_its_end(polls: Polls, head: bytes) -> None:
    connection, _, _ = await polls.ask()
    connection.write(head + b"x" * 1001)
    assert isinstance(await polls.failure(), TooMuch)
    await within(connection.lost)


@ensure
async def test_an_answer_may_be_as_large_as_allowed(polls: Polls) -> None:
    connection, _, _ = await polls.ask()
    connection.answer(b"[%s]" % (b" " * 998))
    assert (await polls.told.next())[0] == "received"


@ensure
async def test_an_answer_may_come_in_pieces(polls: Polls) -> None:
    connection, _, _ = await polls.ask()
    connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[7\r\n1\r\n]\r\n0\r\n\r\n")
    assert await polls.told.next() == ("received", [7])


@ensure
async def test_an_answer_may_end_with_its_connection(polls: Polls) -> None:
    connection, _, _ = await polls.ask()
    connection.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[7]")
    connection.transport.loseConnection()
    assert await polls.told.next() == ("received", [7])


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"SSH-2.0-OpenSSH_9\r\n\r\n",
                                  b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[1,"])
@ensure
async def test_a_connection_that_breaks_leaves_it_open_what_the_server_did(polls: Polls, said: bytes) -> None:
    """N-2."""
    connection, _, _ = await polls.ask()
    connection.write(said)
    connection.transport.loseConnection()
    error = await polls.failure()
    assert isinstance(error, ConnectionFailed)
    assert not error.is_certain and str(error).startswith("the connection was lost: ")


@ensure
async def test_a_server_that_is_not_there_has_certainly_done_nothing(polls: Polls) -> None:
    await polls.peer.port.stopListening()
    polls.transport.send(1, b"[]")
    error = await polls.failure()
    assert isinstance(error, ConnectionFailed)
    assert error.is_certain and str(error).startswith("the server cannot be reached: ")


@ensure
async def test_who_gives_an_answer_up_closes_its_connection_and_is_not_told(polls: Polls) -> None:
    connection, _, _ = await polls.ask()
    polls.transport.abort(1)
    polls.transport.abort(1)
    await within(connection.lost)
    assert polls.told.nothing


@ensure
async def test_that_can_be_done_within_an_answer_too(polls: Polls) -> None:
    connection, _, _ = await polls.ask()
    arrived: Deferred[None] = Deferred()
    read = polls.transport._read

    def reading(response: Any) -> Any:
        reactor.callLater(0, arrived.callback, None)
        return read(response)

    polls.transport._read = reading  # type: ignore[method-assign]  # to see when the head has come
    polls.transport.abort(1)
    await within(connection.lost)
    connection, _, _ = await polls.ask(2)
    connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[1,")
    await within(arrived)
    polls.transport.abort(2)
    await within(connection.lost)
    assert polls.told.nothing


@ensure
async def test_closing_leaves_nothing(polls: Polls) -> None:
    idle, _, _ = await polls.ask(1)
    idle.answer(b"[]")
    await polls.told.next()
    await polls.told.next()
    busy, _, _ = await polls.ask(2)
    await within(polls.transport.close())
    for connection in {idle, busy}:
        await within(connection.lost)
    assert polls.told.nothing


@ensure
async def test_a_connection_attempt_can_be_given_up(polls: Polls) -> None:
    polls.transport.send(1, b"[]")
    polls.transport.abort(1)
    assert polls.told.nothing


def test_it_need_not_be_opened() -> None:
    assert not LongPolling.is_stream
    assert issubclass(CancelledError, Exception)
