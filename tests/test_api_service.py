"""api/service.py: the API of ``twistd bayeux``, from its key to the port where it listens."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bayeux import Link, Settings, SettingsError
from bayeux.api.errors import APIError
from bayeux.api.service import APIService, on_loopback
from bayeux.api.status import Status
from bayeux.exposition import CONTENT_TYPE
from bayeux.server import BayeuxServer, CannotListen
from bayeux.service import BayeuxService
from tests.api import KEY, Desk
from tests.test_resource import condition, post, publish
from tests.test_server import ANY, PATIENT, client_of, log, net, ports, start

__all__ = ["log", "net", "ports", "start"]  # fixtures


def write_key(folder: Path, key: str = KEY, mode: int = 0o600) -> str:
    file = folder / "api.key"
    file.write_text(key)
    file.chmod(mode)
    return str(file)


# -- where it listens -----------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "meant"), [
    ("tcp:9090", "tcp:9090:interface=127.0.0.1"),
    ("tcp:9090:backlog=5", "tcp:9090:backlog=5:interface=127.0.0.1"),
    ("tcp:port=9090", "tcp:port=9090:interface=127.0.0.1"),
    ("tcp6:9090", r"tcp6:9090:interface=\:\:1"),
    ("ssl:9090:privateKey=a:certKey=b", "ssl:9090:privateKey=a:certKey=b:interface=127.0.0.1"),
    ("ssl:9090:a.pem", "ssl:9090:a.pem:interface=127.0.0.1"),
    ("tcp:9090:interface=0.0.0.0", "tcp:9090:interface=0.0.0.0"),
    ("tcp:9090:interface=", "tcp:9090:interface="),
    ("tcp:9090:10.0.0.1", "tcp:9090:10.0.0.1"),
    (r"tcp6:9090:interface=\:\:", r"tcp6:9090:interface=\:\:"),
    ("unix:/run/a.sock", "unix:/run/a.sock"),
    ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
    ("nonsense", "nonsense")])
def test_it_listens_on_loopback_unless_told_otherwise(given: str, meant: str) -> None:
    assert on_loopback(given) == meant


async def ask(url: str, key: str | None = KEY) -> int:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    response = await treq.get(url, headers=headers, persistent=False)
    await response.content()
    return int(response.code)


def api_of(lines: list[str]) -> str:
    """Return the API's address, as it has been logged."""
    said = re.compile(r"The API is served on (.*), with its page at /admin/")
    return next(found[1] for line in lines if (found := said.fullmatch(line)))


@pytest_twisted.ensureDeferred
async def test_it_is_served_beside_the_public_port(start: Any, log: list[str], tmp_path: Path) -> None:
    """And not on it."""
    start(api_listen="tcp:0", api_key_file=write_key(tmp_path))
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", api_of(log))
    public = next(found[1] for line in log if (found := re.match(r"Bayeux is served on (\S+)", line)))
    assert await ask(f"{api_of(log)}/v1/stats") == 200
    assert await ask(f"{public}/v1/stats") == 404


@pytest_twisted.ensureDeferred
async def test_unless_it_is_wanted_there_is_none(start: Any, log: list[str]) -> None:
    server = start()
    assert server.api is None
    assert len(log) == 1


@pytest_twisted.ensureDeferred
async def test_while_the_server_stops_it_says_so(start: Any, log: list[str], net: Any, ports: Any,
                                                 tmp_path: Path) -> None:
    """Q-10: whoever sends clients here, as a load balancer does, is told to send no more."""
    answer: Deferred[None] = Deferred()
    server = start(api_listen="tcp:0", api_key_file=write_key(tmp_path))
    server.hub.service("/service/slow", lambda session, data: answer)
    wire = await net.open(ports()[0])
    wire.send(post(publish(await client_of(wire), channel="/service/slow")))
    await condition(lambda: server.hub.metrics.messages == 4)
    stopped = server.stopService()
    assert await ask(f"{api_of(log)}/readyz") == 503
    assert await ask(f"{api_of(log)}/healthz") == 200
    answer.callback(None)
    await wire.response()
    await stopped


@pytest_twisted.ensureDeferred
async def test_where_it_cannot_listen_the_server_does_not_start(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp:{taken.getsockname()[1]}"
        server = BayeuxServer(Settings(listen=(ANY,), api_listen=endpoint, api_key_file=write_key(tmp_path)))
        with pytest.raises(CannotListen, match=f"cannot listen on {endpoint}:interface=.*: Address already"):
            server.startService()
    await server.stopService()


@pytest_twisted.ensureDeferred
async def test_it_ends_with_the_server(start: Any, log: list[str], tmp_path: Path) -> None:
    """Q-10: the leak gate sees that nothing is left; then it may begin anew."""
    server = start(api_listen="tcp:0", api_key_file=write_key(tmp_path))
    assert await ask(f"{api_of(log)}/readyz") == 200
    await server.stopService()
    assert server.hub.broker.observers == ()
    log.clear()
    server.startService()
    assert await ask(f"{api_of(log)}/readyz") == 200


# -- its key --------------------------------------------------------------------------------------


def test_without_a_key_there_is_no_api() -> None:
    with pytest.raises(SettingsError, match="api_key_file: the API needs a key: make one by bayeux keygen"):
        Settings(api_listen="tcp:9090")


def test_no_proxy_is_believed_who_it_speaks_for() -> None:
    """Twisted's wrapper believes everybody, here as for ``listen``."""
    with pytest.raises(SettingsError, match=r"^api_listen: 'haproxy:tcp:9090': the API believes no proxy"):
        Settings(api_listen="haproxy:tcp:9090", api_key_file="api.key")


@pytest.mark.parametrize(("key", "mode", "complaint"), [
    (KEY, 0o604, "chmod o-rwx"), ("short", 0o600, "bayeux keygen"), ("", 0o600, "bayeux keygen"),
    ("two words that are long enough to be a key", 0o600, "one word")])
def test_a_key_that_is_none_is_a_wrong_setting(tmp_path: Path, key: str, mode: int, complaint: str) -> None:
    settings = Settings(listen=(ANY,), api_listen="tcp:0", api_key_file=write_key(tmp_path, key, mode))
    with pytest.raises(SettingsError) as caught:
        BayeuxServer(settings)
    assert str(caught.value).startswith("api_key_file: ")
    assert complaint in str(caught.value)
    assert key == "" or key not in str(caught.value)


def test_a_key_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"api_key_file: .*/missing: No such file or directory"):
        BayeuxServer(Settings(listen=(ANY,), api_listen="tcp:0", api_key_file=str(tmp_path / "missing")))


def test_an_endpoint_that_is_none_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"api_listen: 'tcp:x:interface=127\.0\.0\.1' is no endpoint"):
        BayeuxServer(Settings(listen=(ANY,), api_listen="tcp:x", api_key_file=write_key(tmp_path)))


OTHER = "0th3r-DEMO-7c1e5a9b3d8f2c6e0a4b8d1f5c9e3a7b"


@pytest_twisted.ensureDeferred
async def test_its_key_is_read_again(start: Any, log: list[str], tmp_path: Path) -> None:
    """Y-10: at a reload, and the old one is none any more."""
    server = start(api_listen="tcp:0", api_key_file=write_key(tmp_path))
    write_key(tmp_path, OTHER)
    assert await ask(f"{api_of(log)}/v1/stats", OTHER) == 401
    assert server.reload() is True
    assert await ask(f"{api_of(log)}/v1/stats", OTHER) == 200
    assert await ask(f"{api_of(log)}/v1/stats", KEY) == 401


@pytest_twisted.ensureDeferred
async def test_its_key_may_be_in_another_file_from_then_on(start: Any, log: list[str],
                                                           tmp_path: Path) -> None:
    """Y-10: and the log does not say that this needs a restart."""
    server = start(api_listen="tcp:0", api_key_file=write_key(tmp_path))
    (tmp_path / "new").mkdir()
    other = write_key(tmp_path / "new", OTHER)
    changed = Settings(listen=(ANY,), shutdown_timeout=PATIENT, api_listen="tcp:0", api_key_file=other)
    assert server.reload(changed) is True
    assert await ask(f"{api_of(log)}/v1/stats", OTHER) == 200
    assert log[-2:] == ["reloaded; keys: 0, rules for channels: 0",
                        f"the key of the API has been read from {other}"]


def test_a_key_without_an_api_needs_a_restart(start: Any, log: list[str], tmp_path: Path) -> None:
    changed = Settings(listen=(ANY,), shutdown_timeout=PATIENT, api_listen="tcp:0",
                       api_key_file=write_key(tmp_path))
    assert start().reload(changed) is True
    assert log[-1] == "api_listen and api_key_file have changed; that needs a restart"


@pytest_twisted.ensureDeferred
async def test_a_key_that_cannot_be_read_again_leaves_all_as_it_was(start: Any, log: list[str],
                                                                    tmp_path: Path) -> None:
    """Y-10: the other keys too."""
    server = start(api_listen="tcp:0", api_key_file=write_key(tmp_path))
    write_key(tmp_path, OTHER, mode=0o644)
    assert server.reload() is False
    assert server.hub.metrics.failed_reloads == 1
    assert "chmod o-rwx" in log[-1]
    write_key(tmp_path, OTHER)
    wrong = Settings(listen=(ANY,), api_listen="tcp:0", api_key_file=write_key(tmp_path, OTHER),
                     key_directory=str(tmp_path / "missing"))
    assert server.reload(wrong) is False
    assert await ask(f"{api_of(log)}/v1/stats", KEY) == 200


@pytest_twisted.ensureDeferred
async def test_settings_without_an_api_leave_its_key(start: Any, log: list[str], tmp_path: Path) -> None:
    server = start(api_listen="tcp:0", api_key_file=write_key(tmp_path))
    assert server.reload(Settings(listen=(ANY,), shutdown_timeout=PATIENT)) is True
    assert await ask(f"{api_of(log)}/v1/stats", KEY) == 200
    assert log[-2:] == ["reloaded; keys: 0, rules for channels: 0",
                        "api_listen and api_key_file have changed; that needs a restart"]


# -- what it costs when it is off, and when it is on ----------------------------------------------


def test_publishes_are_counted_only_while_it_runs(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.service.stopService()
    assert desk.hub.broker.observers == ()
    assert not desk.reactor.getDelayedCalls()
    desk.hub.publish("/a", 1)
    desk.service.startService()
    desk.hub.publish("/b", 1)
    desk.advance(5.0)
    assert [each["channel"] for each in desk.get("/v1/channels", order="rate")["channels"]] == ["/b"]


def test_a_server_that_is_about_to_stop_is_not_ready() -> None:
    """Q-10: though its hub goes on as yet."""
    bayeux = BayeuxService(Settings(), clock=Clock())
    soon = [False]
    status = Status(bayeux.hub, bayeux.resource.endpoint, lambda: soon[0])
    status.check_ready()
    soon[0] = True
    with pytest.raises(APIError) as caught:
        status.check_ready()
    assert caught.value.code == "stopping"


def test_it_can_be_embedded(tmp_path: Path) -> None:
    """Sessions that were there before are listed as well."""
    clock = Clock()
    bayeux = BayeuxService(Settings(api_key_file=write_key(tmp_path)), clock=clock)
    session = bayeux.hub.sessions.open(Link("long-polling"))
    service = APIService(bayeux.hub, bayeux.resource.endpoint)
    assert service.api._index.find(session.label) == (session, 0.0)


def test_statistics_count_sessions_by_their_transport() -> None:
    """Those that have none are left out; and it costs the same however many sessions there are."""
    clock = Clock()
    bayeux = BayeuxService(Settings(), clock=clock)
    sessions = bayeux.hub.sessions
    gone = sessions.open(Link("eventsource"))
    for _ in range(3):
        sessions.open(Link("long-polling")).deliver("/a", 1)
    gone.disconnect()
    stats = Status(bayeux.hub, bayeux.resource.endpoint).stats()
    assert stats["sessions_by_transport"] == {"long-polling": 3}
    assert stats["queued_events"] == 3


@pytest_twisted.ensureDeferred
async def test_prometheus_reads_it_with_the_key(start: Any, log: list[str], tmp_path: Path) -> None:
    start(api_listen="tcp:0", api_key_file=write_key(tmp_path))
    assert await ask(f"{api_of(log)}/metrics", None) == 401
    response = await treq.get(f"{api_of(log)}/metrics", headers={"Authorization": f"Bearer {KEY}"},
                              persistent=False)
    assert response.headers.getRawHeaders("content-type") == [CONTENT_TYPE]
    assert "bayeux_sessions{" in await response.text()
