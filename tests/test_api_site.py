"""api/site.py: what the API's connections are held to, and how it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import UNIXAddress
from twisted.logger import globalLogPublisher

from bayeux.web.proxied import TurnedAway
from tests.api import KEY, Desk, error_of
from tests.fakenet import HTTP, request


def start(folder: Path, **settings: Any) -> Desk:
    return Desk(folder, **settings)


@pytest.mark.parametrize(("asked", "status", "code", "limit"), [
    (b"nonsense\r\n\r\n", 400, "bad_request", ""),
    (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "bad_request", ""),
    (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_request", ""),
    (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long", "max_header_bytes"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 200 + b"\r\n", 400, "bad_request", "max_headers"),
    (request("POST", "/v1/publish", content_length="1000001"), 413, "too_large", "max_body")],
    ids=["no HTTP", "no host", "two hosts", "a long address", "many headers", "a large body"])
def test_what_is_no_proper_request_is_refused_as_json(tmp_path: Path, asked: bytes, status: int, code: str,
                                                      limit: str) -> None:
    """G-1, G-4, G-20: with the limits of the front door, and the connection is closed."""
    desk = start(tmp_path, max_body=1_000_000)
    http = HTTP(desk)
    http.send(asked)
    [response] = http.responses()
    assert error_of(response) == (status, code)
    assert desk.metrics.api_errors == {code: 1}
    assert desk.metrics.limited == ({limit: 1} if limit else {})
    assert desk.metrics.refused == {}
    desk.advance(3.0)
    assert http.wire.closed


def test_a_body_that_turns_out_too_large_is_refused(tmp_path: Path) -> None:
    """G-1: before it has been read to its end."""
    desk = start(tmp_path, max_body=10)
    http = HTTP(desk)
    http.send(request("POST", "/v1/publish", transfer_encoding="chunked", authorization=f"Bearer {KEY}")
              + b"b\r\n12345678901\r\n")
    [response] = http.responses()
    assert error_of(response) == (413, "too_large")


def test_a_request_has_to_come_in_time(tmp_path: Path) -> None:
    """G-3."""
    desk = start(tmp_path, header_timeout=5.0)
    http = HTTP(desk)
    http.send(b"GET /healthz HTTP/1.1\r\n")
    desk.advance(6.0)
    assert http.wire.closed
    assert desk.metrics.limited == {"header_timeout": 1}
    assert desk.metrics.stalled == 0


def test_who_does_not_take_the_answer_is_cut(tmp_path: Path) -> None:
    """G-16."""
    desk = start(tmp_path, write_timeout=5.0, max_message=1_000_000)
    for _ in range(1000):
        desk.opened(*[f"/{'x' * 200}/{number}" for number in range(3)])
    http = HTTP(desk)
    http.wire.stall()
    http.send(request("GET", "/v1/sessions?limit=1000", authorization=f"Bearer {KEY}"))
    desk.advance(6.0)
    assert http.wire.closed
    assert desk.metrics.limited == {"write_timeout": 1}
    assert desk.metrics.stalled == 1


def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    desk = start(tmp_path)
    http = HTTP(desk)
    http.ask(request("GET", "/healthz"))
    desk.advance(90.0)
    assert http.wire.closed


def test_so_many_connections_and_no_more(tmp_path: Path) -> None:
    """Whoever holds all of them keeps others out of the API, but takes no more open files."""
    desk = start(tmp_path, api_max_connections=2)
    first, second, third = (HTTP(desk) for _ in range(3))
    assert third.wire.closed
    assert desk.metrics.limited == {"api_max_connections": 1}
    assert [http.ask(request("GET", "/healthz")).status for http in (first, second)] == [200, 200]
    first.wire.lose()
    assert HTTP(desk).ask(request("GET", "/healthz")).status == 200


@pytest.mark.parametrize(("mine", "others"), [
    ("192.0.2.7", "192.0.2.8"), ("2001:db8::1", "2001:db8:0:1::1"), ("::ffff:192.0.2.7", "192.0.2.8")])
def test_so_many_connections_of_an_address_and_no_more(tmp_path: Path, mine: str, others: str) -> None:
    """G-19: or whoever reaches the port could keep everybody else out."""
    desk = start(tmp_path, api_max_connections_per_address=2)
    first, _, third = (HTTP(desk, mine) for _ in range(3))
    assert third.wire.closed
    assert desk.metrics.limited == {"api_max_connections_per_address": 1}
    assert HTTP(desk, others).ask(request("GET", "/healthz")).status == 200
    first.wire.lose()
    assert HTTP(desk, mine).ask(request("GET", "/healthz")).status == 200
    assert HTTP(desk, mine).wire.closed


def test_connections_of_an_ipv6_network_count_together(tmp_path: Path) -> None:
    desk = start(tmp_path, api_max_connections_per_address=1)
    HTTP(desk, "2001:db8::1")
    assert HTTP(desk, "2001:db8::2").wire.closed


def test_by_a_unix_socket_there_are_no_addresses(tmp_path: Path) -> None:
    desk = start(tmp_path, api_max_connections_per_address=1)
    assert not any(isinstance(desk.site.buildProtocol(UNIXAddress(None)), TurnedAway) for _ in range(3))


def test_of_addresses_that_have_gone_nothing_is_kept(tmp_path: Path) -> None:
    desk = start(tmp_path)
    first, second = HTTP(desk), HTTP(desk)
    assert desk.site._by_client == {"192.0.2.7": 2}
    first.wire.lose()
    second.wire.lose()
    assert desk.site._by_client == {}


@pytest.mark.parametrize("asked", [
    request("GET", "/v1/stats"), request("GET", "/v1/stats", authorization="Bearer another"),
    request("POST", "/v1/watch", b"[]", content_type="application/json"),
    request("POST", "/v1/publish", b'{"channel":"/a","data":1}', content_type="application/json")])
def test_who_has_not_the_key_has_no_connection_either(tmp_path: Path, asked: bytes) -> None:
    """There are few, and they are for who has it."""
    desk = start(tmp_path)
    http = HTTP(desk)
    response = http.ask(asked)
    assert error_of(response) == (401, "unauthorized")
    assert response.headers["connection"] == "close"
    assert http.wire.closed


@pytest.mark.parametrize("path", ["/v1/stats", "/v1/sessions/nobody", "/healthz", "/admin/"])
def test_who_has_it_keeps_it(tmp_path: Path, path: str) -> None:
    http = HTTP(start(tmp_path))
    for _ in range(2):
        response = http.ask(request("GET", path, authorization=f"Bearer {KEY}"))
        assert "connection" not in response.headers
        assert not http.wire.closed


def test_they_are_not_counted_with_the_clients(tmp_path: Path) -> None:
    desk = start(tmp_path, max_connections=1)
    assert [HTTP(desk).ask(request("GET", "/healthz")).status for _ in range(3)] == [200] * 3
    assert desk.metrics.limited == {}


def test_a_close_lets_answers_be_written_and_tells_when_all_are_gone(tmp_path: Path) -> None:
    """Q-10."""
    desk = start(tmp_path)
    ends: list[str] = []
    idle, slow = HTTP(desk), HTTP(desk)
    slow.wire.stall()
    slow.send(request("GET", "/healthz"))
    closed = desk.service.site.close()
    closed.addCallback(lambda _: ends.append("closed"))
    assert idle.wire.closed
    assert ends == []
    slow.wire.flow()
    assert slow.responses()[0].status == 200
    desk.lose()
    assert ends == ["closed"]


def test_a_close_without_connections_is_done_at_once(tmp_path: Path) -> None:
    desk = start(tmp_path)
    ends: list[None] = []
    desk.service.site.close().addCallback(ends.append)
    assert ends == [None]


def test_what_is_left_can_be_cut(tmp_path: Path) -> None:
    desk = start(tmp_path)
    http = HTTP(desk)
    http.wire.stall()
    http.send(request("GET", "/healthz"))
    desk.service.site.abort()
    desk.pump()
    assert http.wire.closed


def test_it_speaks_no_other_version(tmp_path: Path) -> None:
    assert start(tmp_path).service.site.acceptableProtocols() == [b"http/1.1"]


def test_it_writes_no_access_log(tmp_path: Path) -> None:
    """Or twistd's own log would have a line for each time that its health is asked for."""
    events: list[Any] = []
    desk = start(tmp_path)
    desk.service.stopService()
    desk.site.startFactory()
    globalLogPublisher.addObserver(events.append)
    try:
        HTTP(desk).ask(request("GET", "/healthz"))
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert events == []
    desk.lose()
    assert not desk.reactor.getDelayedCalls()
