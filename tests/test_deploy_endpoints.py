"""Where ``twistd bayeux`` may listen besides at a port: at a UNIX socket, for a proxy, and by TLS."""

from __future__ import annotations

import signal
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.certificate import write_certificate
from tests.clients.drivers import DEADLINE, until
from tests.deployed import COMMAND, SOCKET_CONNECT, Process, Program, UnixProgram
from tests.ports import free_port

ELSEWHERE = "203.0.113.9"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Return what runs the command, with a port besides, by which one sees that it runs."""
    with ExitStack() as stack:

        def run(*options: str) -> Process:
            port = free_port()
            server = Process(tmp_path / "log", *COMMAND, "--access-log", "access", *options,
                             "--listen", f"tcp:{port}:interface=127.0.0.1", port=port)
            stack.callback(server.stop, signal.SIGKILL)
            server.start()
            return server

        yield run


def whose(folder: Path, program: str) -> set[str]:
    """Return the addresses of a program, as the access log has them."""
    lines = (folder / "access").read_text().splitlines()
    return {line.split('"')[1] for line in lines if line.endswith(f'"{program}"')}


# -- UNIX sockets -------------------------------------------------------------------------------


def test_a_proxy_may_come_by_a_unix_socket(run: Callable[..., Process], tmp_path: Path) -> None:
    """O-8: and be believed there, and not elsewhere."""
    server = run("--listen", "unix:bayeux.sock:mode=660", "--set", 'trusted_proxies=["unix"]')
    path = tmp_path / "bayeux.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    told = {"X_Forwarded_For": f"192.0.2.1, {ELSEWHERE}", "X_Forwarded_Proto": "https"}
    with closing(UnixProgram(path, "behind", **told, Origin="https://localhost")) as program:
        program.join("/a").publish("/a", 1)
        assert program.poll() == [1]
        assert program.set_cookie.endswith("; Secure")
    with closing(Program(server.port, "beside", headers=told)) as program:
        program.join()
    until(lambda: whose(tmp_path, "beside"), server.log.read_text)
    assert whose(tmp_path, "behind") == {ELSEWHERE}
    assert whose(tmp_path, "beside") == {"127.0.0.1"}
    assert server.stop() == 0
    assert not path.exists()


def test_without_being_named_it_is_not_believed(run: Callable[..., Process], tmp_path: Path) -> None:
    """O-8."""
    server = run("--listen", "unix:bayeux.sock", "--set", 'trusted_proxies=["127.0.0.1"]')
    with closing(UnixProgram(tmp_path / "bayeux.sock", "behind", X_Forwarded_For=ELSEWHERE)) as program:
        program.join()
    until(lambda: whose(tmp_path, "behind"), server.log.read_text)
    assert ELSEWHERE not in whose(tmp_path, "behind")


def test_events_are_pushed_by_a_unix_socket(run: Callable[..., Process], tmp_path: Path) -> None:
    """To one who waits."""
    run("--listen", "unix:bayeux.sock")
    with closing(UnixProgram(tmp_path / "bayeux.sock", "waits").join("/a")) as listener:
        with (listener.held() as heard,
              closing(UnixProgram(tmp_path / "bayeux.sock", "publishes").join()) as publisher):
            publisher.publish("/a", "now")
        assert heard == ["now"]


def test_a_socket_that_was_left_behind_is_no_hindrance(run: Callable[..., Process], tmp_path: Path) -> None:
    """As a server that was killed leaves it."""
    server = run("--listen", "unix:bayeux.sock")
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    assert (tmp_path / "bayeux.sock").exists()
    server.start()
    with closing(UnixProgram(tmp_path / "bayeux.sock", "later")) as program:
        assert program.join().client


# -- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(params=["ssl", "tls"])
def by_tls(request: pytest.FixtureRequest, run: Callable[..., Process], tmp_path: Path) -> Program:
    """Return a program that comes by TLS to a server without a proxy."""
    certificate, key = write_certificate(tmp_path)
    port = free_port()
    if request.param == "ssl":
        endpoint = f"ssl:{port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
    else:
        (tmp_path / "pems").mkdir()
        (tmp_path / "pems" / "localhost.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
        endpoint = f"tls:{tmp_path / 'pems'}:port={port}:interface=127.0.0.1"
    server = run("--listen", endpoint)
    server.told(f"https://127.0.0.1:{port}")
    return Program(port, "by TLS", tls=ssl.create_default_context(cafile=str(certificate)))


def test_all_transports_go_by_tls(by_tls: Program) -> None:
    """B-1, O-1: long-polling, WebSocket and EventSource, of a page of the same origin."""
    with closing(by_tls):
        by_tls.headers["Origin"] = by_tls.origin
        by_tls.join("/a")
        assert by_tls.set_cookie.endswith("; Secure")
        by_tls.publish("/a", "by https")
        assert by_tls.poll() == ["by https"]
        del by_tls.headers["Origin"]
        with by_tls.websocket() as socket:
            assert socket.ask(SOCKET_CONNECT)["successful"]
            by_tls.publish("/a", "by wss")
            assert socket.event() == "by wss"
        with by_tls.stream() as events:
            by_tls.publish("/a", "by a stream")
            assert next(events) == ["by a stream"]


def test_http_1_1_is_agreed_on(by_tls: Program) -> None:
    """What a browser that could speak HTTP/2 is told; and nothing older than TLS 1.2."""
    assert by_tls.tls is not None
    by_tls.tls.set_alpn_protocols(["h2", "http/1.1"])
    with (socket.create_connection(("127.0.0.1", by_tls.port), DEADLINE) as plain,
          by_tls.tls.wrap_socket(plain, server_hostname="localhost") as secure):
        assert secure.selected_alpn_protocol() == "http/1.1"
        assert secure.version() == "TLSv1.3"
    by_tls.close()
