"""What has to work through any proxy that stands before two servers, with the files of ``demo/deploy``.

``front`` is the proxy; each of its kind is tested by a class of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from twisted.internet.threads import deferToThread
from websockets.exceptions import InvalidStatus

from bayeux.client import BayeuxClient
from tests.clients.drivers import DEADLINE, until
from tests.deployed import CONNECT, HANDSHAKE, SOCKET_CONNECT, Backend, Front
from tests.live import POLLING, QUICK, WEBSOCKET
from tests.peers import ensure, within

ELSEWHERE = "203.0.113.9"
"""Where no program is, though it may say so."""
PAGE = {"X_Forwarded_For": ELSEWHERE, "X_Forwarded_Host": "evil.example",
        "Forwarded": f"for={ELSEWHERE};host=evil.example"}
"""What a client may say of itself."""


class ProxyContract:
    """Everything that a client may do."""

    # -- transports -----------------------------------------------------------------------------

    def test_a_held_connect_is_answered_when_something_is_published(self, front: Front) -> None:
        """Not when the hold ends: that is longer than this waits."""
        listener, publisher = front.program("holds").join("/held"), front.program("publishes").join()
        with listener.held() as heard:
            publisher.publish("/held", "now")
        assert heard == ["now"]
        listener.close()
        publisher.close()

    def test_events_come_by_websocket(self, front: Front) -> None:
        """W-1: of a page of the same origin, as the server knows its host; the session began by POST."""
        program = front.program("socket").join("/socket")
        with program.websocket() as socket:
            assert socket.ask(SOCKET_CONNECT)["successful"]
            for number in range(3):
                program.publish("/socket", number)
                assert socket.event() == number
        program.close()

    def test_a_session_may_begin_by_websocket(self, front: Front) -> None:
        """W-2: and be looked for where it is, by another transport."""
        program = front.program("begins")
        with program.websocket() as socket:
            reply = socket.ask(HANDSHAKE)
            program.client = reply["clientId"]
            assert socket.ask({"channel": "/meta/subscribe", "subscription": "/begun"})["successful"]
        assert program.ask(CONNECT)[-1]["successful"]
        program.publish("/begun", 1)
        assert program.poll() == [1]
        program.close()

    def test_events_come_by_eventsource_while_the_stream_is_open(self, front: Front) -> None:
        """F-1: nothing in between keeps them until there are more."""
        program = front.program("stream").join("/stream")
        with program.stream() as events:
            for number in range(3):
                program.publish("/stream", number)
                assert next(events) == [number]
        program.close()

    def test_large_batches_pass(self, front: Front) -> None:
        """In both directions, by long-polling and by WebSocket."""
        program = front.program("large").join("/large")
        texts = [f"{number}" * 60_000 for number in range(9)]
        program.publish("/large", *texts)
        assert program.poll() == texts
        with program.websocket() as socket:
            assert socket.ask(SOCKET_CONNECT)["successful"]
            socket.send(*({"channel": "/large", "data": text} for text in texts))
            assert [socket.event() for _ in texts] == texts
        program.close()

    def test_a_body_that_is_too_large_is_refused(self, front: Front) -> None:
        """G-1: by whoever sees it first."""
        program = front.program("too large")
        assert program.post(b"[" + b" " * 1_048_576 + b"]")[0] == 413
        program.close()

    # -- who it is ------------------------------------------------------------------------------

    def test_the_server_knows_where_a_client_is(self, front: Front) -> None:
        """O-8: for the server's own and for twisted.web; on connections that carry others' requests too."""
        for number in range(2, 6):
            program = front.program(f"is at {number}", f"127.0.0.{number}").join()
            program.get("/bayeux/client.js")
            program.close()
            until(lambda name=f"is at {number}": len(front.addresses(name)) == 3,
                  lambda: front.backends[0].requests.read_text())
            assert front.addresses(f"is at {number}") == [f"127.0.0.{number}"] * 3

    def test_no_client_says_where_it_is(self, front: Front) -> None:
        """O-8: one who says to be elsewhere, or the proxy, is where it is."""
        liar = front.program("lies", "127.0.0.7", X_Forwarded_For=f"{ELSEWHERE}, 127.0.0.1").join()
        with liar.websocket() as socket:
            assert socket.ask(SOCKET_CONNECT)["successful"]
        liar.get("/bayeux/client.js")
        liar.close()
        until(lambda: len(front.addresses("lies")) == 4, lambda: front.addresses("lies"))
        assert set(front.addresses("lies")) == {"127.0.0.7"}

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_no_client_says_what_page_it_is_of(self, front: Front, scheme: str) -> None:
        """O-4: not even one that says that the server has the name of its own site."""
        origin = f"{scheme}://evil.example"
        liar = front.program("pretends", "127.0.0.7", Origin=origin, X_Forwarded_Proto=scheme, **PAGE)
        assert liar.post(liar.encode((HANDSHAKE,)))[0] == 403
        honest = front.program("honest", Origin=f"http://127.0.0.1:{front.port}")
        assert honest.join().client
        liar.close()
        honest.close()

    def test_a_websocket_of_another_page_is_refused(self, front: Front) -> None:
        """W-1."""
        program = front.program("foreign", **PAGE)
        with pytest.raises(InvalidStatus, match="403"), program.websocket("http://evil.example"):
            raise AssertionError("it is open")

    # -- two servers ----------------------------------------------------------------------------

    def test_each_client_keeps_its_server(self, front: Front) -> None:
        """The cookie that comes with the first answer changes nothing, nor does another transport."""
        for number in range(100, 124):
            program = front.program(f"sticks {number}", f"127.0.0.{number}").join("/sticks")
            with program.websocket() as socket:
                assert socket.ask(SOCKET_CONNECT)["successful"]
            program.publish("/sticks", number)
            assert program.poll() == [number]
            program.close()
            assert len(front.servers_of(f"sticks {number}")) == 1
        assert {server for number in range(100, 124)
                for server in front.servers_of(f"sticks {number}")} == {0, 1}

    def test_programs_without_cookies_keep_theirs_too(self, front: Front) -> None:
        """B-2."""
        for number in range(130, 140):
            program = front.program(f"bare {number}", f"127.0.0.{number}").join("/bare")
            program.cookies.clear()
            program.publish("/bare", number)
            program.cookies.clear()
            assert program.poll() == [number]
            program.close()

    @ensure
    @ensure
    async def test_clients_of_a_server_that_stops_go_to_the_other(self, front: Front) -> None:
        """Q-10: they subscribe again there, and do not wait for the one that they had."""
        before = [asked(backend) for backend in front.backends]
        async with BayeuxClient(front.url, transports=(POLLING,), settings=QUICK) as client:
            events = client.subscribe("/moves")
            await within(events.when_ready())
            [theirs] = [backend for backend, count in zip(front.backends, before, strict=True)
                        if asked(backend) > count]
            was = client.client_id
            await deferToThread(theirs.stop)
            try:
                await deferToThread(until, lambda: client.client_id not in (None, was), lambda: client.state)
                assert (await within(client.publish("/moves", "on the other")))["successful"]
                assert (await within(events.__anext__())).data == "on the other"
            finally:
                await deferToThread(theirs.start)
        await deferToThread(front.proxy.restart)  # or it would take a while to see that all is well again

    # -- the proxy itself -----------------------------------------------------------------------

    @ensure
    @ensure
    async def test_sessions_outlive_the_proxy(self, front: Front) -> None:
        """What is published while it is started again is not lost."""
        for transport in (WEBSOCKET, POLLING):
            async with BayeuxClient(front.url, transports=(transport,), settings=QUICK) as client:
                events = client.subscribe("/outlives")
                await within(events.when_ready())
                was = client.client_id
                await deferToThread(front.proxy.restart)
                assert (await within(client.publish("/outlives", transport)))["successful"]
                assert (await within(events.__anext__())).data == transport
                assert client.client_id == was

    # -- TLS ------------------------------------------------------------------------------------

    def test_tls_ends_in_front(self, front: Front) -> None:
        """B-1, O-1: the server knows: its cookie is secure, and pages by https are its own."""
        program = front.program("https", "127.0.0.8", tls=True)
        program.headers["Origin"] = program.origin
        program.join("/tls")
        assert program.set_cookie.endswith("; Secure")
        with program.held() as heard:
            other = front.program("https", "127.0.0.8", tls=True).join()
            other.publish("/tls", "by https")
            other.close()
        assert heard == ["by https"]
        del program.headers["Origin"]
        with program.websocket() as socket:
            assert socket.ask(SOCKET_CONNECT)["successful"]
            program.publish("/tls", "by wss")
            assert socket.event() == "by wss"
        with program.stream() as events:
            program.publish("/tls", "by a stream")
            assert next(events) == ["by a stream"]
        program.close()
        assert set(front.addresses("https")) == {"127.0.0.8"}

    def test_a_page_by_http_is_another_than_one_by_https(self, front: Front) -> None:
        """O-1."""
        program = front.program("other scheme", tls=True)
        program.headers["Origin"] = program.origin.replace("https", "http")
        assert program.post(program.encode((HANDSHAKE,)))[0] == 403
        program.close()

    def test_browsers_may_speak_http2_with_the_proxy(self, front: Front) -> None:
        """B-7."""
        curl = shutil.which("curl")
        assert curl
        url = f"https://localhost:{front.tls_port}/bayeux"
        done = subprocess.run(
            [curl, "--silent", "--show-error", "--http2", "--cacert", str(front.certificate), "--ipv4",
             "--write-out", "\n%{http_version} %{http_code}", "--header", "Content-Type: application/json",
             "--header", f"Origin: https://localhost:{front.tls_port}", "--data", json.dumps(HANDSHAKE), url],
            capture_output=True, text=True, timeout=DEADLINE, check=True)
        body, _, told = done.stdout.rpartition("\n")
        assert told == "2 200"
        assert '"successful":true' in body


def asked(backend: Backend) -> int:
    """Return how many requests of clients a server has answered."""
    return backend.requests.read_text().count('"POST /bayeux ')
