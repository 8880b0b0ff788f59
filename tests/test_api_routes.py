"""api/routes.py: what can be asked of the API, by whom, and what the answers are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bayeux.api.routes import API
from tests.api import KEY, Desk, error_of
from tests.fakenet import HTTP, request

PUBLIC = {"/healthz", "/readyz", "/openapi.json"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def routes() -> list[tuple[str, str]]:
    """Return every method and path that there is."""
    return sorted((method, rule.rule.replace("<label>", "abcdefgh")) for rule in API.app.url_map.iter_rules()
                  for method in rule.methods or () if method != "HEAD")


# -- the key --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), routes())
@pytest.mark.parametrize("authorization", [
    None, "", "Bearer", "Bearer ", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Basic {KEY}", KEY,
    f"Bearer {KEY} {KEY}", "Bearer \u00e9", f"Digest {KEY}"])
def test_nothing_is_for_who_has_not_the_key(tmp_path: Path, method: str, path: str,
                                            authorization: str | None) -> None:
    """But whether the server lives and is ready, and what there is to be asked."""
    desk = Desk(tmp_path, metrics=lambda: b"")
    body = b'{"channel":"/news","data":1}' if method == "POST" else b""
    response = desk.ask(path, method, body, None, authorization=authorization,
                        content_type="application/json")
    if path in PUBLIC:
        assert response.status == 200
        return
    assert error_of(response) == (401, "unauthorized")
    assert response.headers["www-authenticate"] == 'Bearer realm="bayeux"'
    assert desk.metrics.published == 0
    assert desk.metrics.authentication_failures == ({} if authorization is None else {"api_key": 1})


@pytest.mark.parametrize("authorization", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER   {KEY} "])
def test_the_key_opens(desk: Desk, authorization: str) -> None:
    """RFC 9110, 11.1: the scheme's case does not matter."""
    assert desk.ask("/v1/stats", key=None, authorization=authorization).status == 200


def test_two_keys_are_none(desk: Desk) -> None:
    asked = (f"GET /v1/stats HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n"
             f"Authorization: Bearer {KEY}\r\n\r\n").encode()
    assert error_of(HTTP(desk).ask(asked)) == (401, "unauthorized")


def test_a_key_in_the_address_is_none(desk: Desk) -> None:
    """It would be in logs."""
    assert desk.ask(f"/v1/stats?access_token={KEY}", key=None).status == 401


# -- health ---------------------------------------------------------------------------------------


def test_it_answers_that_it_lives(desk: Desk) -> None:
    assert desk.get("/healthz") == {"status": "ok"}


def test_it_is_ready(desk: Desk) -> None:
    assert desk.get("/readyz") == {"status": "ready"}


def test_a_server_that_stops_lives_but_is_not_ready(desk: Desk) -> None:
    """Q-10."""
    desk.hub.close()
    assert error_of(desk.ask("/readyz", key=None)) == (503, "stopping")
    assert desk.ask("/healthz", key=None).status == 200
    desk.hub.open()
    assert desk.ask("/readyz", key=None).status == 200


def test_a_server_with_so_many_sessions_is_not_ready_for_more(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ready_max_sessions=2)
    desk.opened()
    assert desk.ask("/readyz").status == 200
    session = desk.opened()
    assert error_of(desk.ask("/readyz")) == (503, "overloaded")
    session.disconnect()
    assert desk.ask("/readyz").status == 200


# -- metrics --------------------------------------------------------------------------------------


def test_without_metrics_there_are_none(desk: Desk) -> None:
    assert error_of(desk.ask("/metrics")) == (404, "not_found")
    assert "/metrics" not in desk.get("/openapi.json")["paths"]


def test_metrics_are_what_they_are(tmp_path: Path) -> None:
    desk = Desk(tmp_path, metrics=lambda: b"bayeux_sessions 0\n")
    response = desk.ask("/metrics")
    assert (response.status, response.body) == (200, b"bayeux_sessions 0\n")
    assert response.headers["content-type"] == "text/plain; version=1"
    assert "/metrics" in desk.get("/openapi.json")["paths"]


# -- sessions -------------------------------------------------------------------------------------


def test_sessions_are_listed(desk: Desk) -> None:
    opened = {desk.opened().label for _ in range(5)}
    desk.advance(2.0)
    listed = desk.get("/v1/sessions")
    assert listed["next"] is None
    assert {session["id"] for session in listed["sessions"]} == opened
    assert {session["age"] for session in listed["sessions"]} == {2.0}


def test_sessions_are_listed_page_by_page(desk: Desk) -> None:
    opened = {desk.opened().label for _ in range(5)}
    found: list[str] = []
    pages = 0
    page = desk.get("/v1/sessions", limit=2)
    while True:
        pages += 1
        found += [session["id"] for session in page["sessions"]]
        if page["next"] is None:
            break
        assert page["next"] == found[-1]
        page = desk.get("/v1/sessions", limit=2, after=page["next"])
    assert pages == 3
    assert len(found) == 5
    assert set(found) == opened


def test_a_page_has_a_hundred_unless_asked_otherwise(desk: Desk) -> None:
    for _ in range(101):
        desk.opened()
    assert len(desk.get("/v1/sessions")["sessions"]) == 100
    assert len(desk.get("/v1/sessions", limit=101)["sessions"]) == 101


def test_a_page_has_its_limit(tmp_path: Path) -> None:
    desk = Desk(tmp_path, api_max_page=2)
    for _ in range(3):
        desk.opened("/a", "/b", "/c")
    assert len(desk.get("/v1/sessions", limit=2)["sessions"]) == 2
    for path, limit in (("/v1/sessions?limit=3", 0), ("/v1/channels?limit=3", 0)):
        assert error_of(desk.ask(path)) == (400, "invalid_parameter"), limit
    assert len(desk.get("/v1/sessions")["sessions"]) == 2
    assert len(desk.get("/v1/channels")["channels"]) == 2


def test_a_session_has_its_channels(desk: Desk) -> None:
    session = desk.opened("/a", "/b/*")
    desk.opened("/c")
    told = desk.get(f"/v1/sessions/{session.label}")
    assert told["channels"] == ["/a", "/b/*"]
    assert told["id"] == session.label


def test_no_whole_id_is_told(desk: Desk) -> None:
    """I-4."""
    session = desk.opened("/a")
    for path in ("/v1/sessions", f"/v1/sessions/{session.label}", "/v1/stats", "/v1/channels"):
        assert session.id.encode() not in desk.ask(path).body


def test_a_session_is_disconnected(desk: Desk) -> None:
    """X-6."""
    session, other = desk.opened("/a"), desk.opened("/a")
    response = desk.ask(f"/v1/sessions/{session.label}", "DELETE")
    assert (response.status, response.body) == (204, b"")
    assert set(response.headers) == {"date", "server", "x-content-type-options"}  # RFC 9110, 15.3.5
    assert (session.alive, other.alive) == (False, True)
    assert desk.metrics.sessions_removed == {"kicked": 1}
    assert error_of(desk.ask(f"/v1/sessions/{session.label}", "DELETE")) == (404, "unknown_session")
    assert error_of(desk.ask(f"/v1/sessions/{session.label}")) == (404, "unknown_session")


@pytest.mark.parametrize("label", ["abcdefgh", "x", "%00", "~", "*", "%2e%2e", "a" * 27])
def test_a_session_that_is_not_there(desk: Desk, label: str) -> None:
    desk.opened()
    assert error_of(desk.ask(f"/v1/sessions/{label}"))[0] == 404
    assert error_of(desk.ask(f"/v1/sessions/{label}", "DELETE"))[0] == 404


# -- channels -------------------------------------------------------------------------------------


def test_channels_are_listed(desk: Desk) -> None:
    desk.opened("/a", "/b/*")
    desk.opened("/a")
    assert desk.get("/v1/channels") == {"next": None, "channels": [
        {"channel": "/a", "subscribers": 2, "rate": 0.0}, {"channel": "/b/*", "subscribers": 1, "rate": 0.0}]}


def test_whatever_is_published_counts(desk: Desk) -> None:
    """By whomever."""
    desk.published([{"channel": "/api", "data": 1}] * 10)
    desk.hub.publish("/application", 1)
    desk.advance(5.0)
    busiest = desk.get("/v1/channels", order="rate")["channels"]
    assert busiest == [{"channel": "/api", "subscribers": 0, "rate": 2.0},
                       {"channel": "/application", "subscribers": 0, "rate": 0.2}]
    assert desk.get("/v1/channels", order="rate", limit=1) == {"channels": busiest[:1], "next": None}, (
        "there is no other page")


def test_channels_are_listed_page_by_page(desk: Desk) -> None:
    desk.opened("/a", "/b", "/c")
    page = desk.get("/v1/channels", limit=2)
    assert ([each["channel"] for each in page["channels"]], page["next"]) == (["/a", "/b"], "/b")
    page = desk.get("/v1/channels", limit=2, after="/b")
    assert ([each["channel"] for each in page["channels"]], page["next"]) == (["/c"], None)


def test_channels_that_a_pattern_covers(desk: Desk) -> None:
    desk.opened("/a", "/b/c", "/b/*")
    assert [each["channel"] for each in desk.get("/v1/channels", pattern="/b/**")["channels"]] == [
        "/b/*", "/b/c"]


# -- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [
    "limit=0", "limit=1001", "limit=-1", "limit=", "limit=1.0", "limit=x", "limit=%20", "limit=%D9%A2",
    "limit=99999999999999999999", "limit=1&limit=1", "limti=1", "after=%ff", "%ff=1", "after=a&after=a"])
@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/channels"])
def test_a_wrong_parameter_is_refused(desk: Desk, path: str, query: str) -> None:
    assert error_of(desk.ask(f"{path}?{query}")) == (400, "invalid_parameter")


@pytest.mark.parametrize("query", ["order=busy", "order=Name", "order=", "order=rate&after=/a",
                                   "order=rate&after=", "pattern=", "pattern=a",
                                   "pattern=/a//b", "pattern=/*/a", "pattern=/" + "a" * 1000 + "/"])
def test_a_wrong_order_or_pattern_is_refused(desk: Desk, query: str) -> None:
    assert error_of(desk.ask(f"/v1/channels?{query}")) == (400, "invalid_parameter")


def test_the_complaint_says_which_there_are(desk: Desk) -> None:
    assert json.loads(desk.ask("/v1/sessions?limti=1").body)["error"]["message"] == (
        "the parameters here are limit, after")


@pytest.mark.parametrize("after", ["", "~", "\u00e9", "\x00", "a" * 100, "zzzzzzzz"])
def test_behind_anything_there_is_something_or_nothing(desk: Desk, after: str) -> None:
    desk.opened("/a")
    for path in ("/v1/sessions", "/v1/channels"):
        desk.get(path, after=after)
    desk.get("/v1/channels", after=after, order="name")


# -- statistics -----------------------------------------------------------------------------------


def test_statistics(desk: Desk) -> None:
    session = desk.opened("/a", "/b")
    session.deliver("/a", 1)
    desk.advance(3.0)
    stats = desk.get("/v1/stats")
    counters = stats.pop("counters")
    assert stats == {
        "version": "0.1.0", "uptime": 3.0, "sessions": 1, "sessions_by_transport": {"long-polling": 1},
        "held_connects": 0, "queued_events": 1, "channels": 2, "connections": 0}
    assert counters["sessions_added"] == 1
    assert counters["queued"] == 1
    assert counters["sessions_removed"] == {}


def test_every_counter_is_in_the_statistics(desk: Desk) -> None:
    desk.metrics.failures[402] += 2
    counters = desk.get("/v1/stats")["counters"]
    assert set(desk.metrics.__slots__) - set(counters) == {"lag", "latency", "pauses"}  # how they are spread
    assert counters["failures"] == {"402": 2}


# -- HTTP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "allow"), [
    ("POST", "/healthz", "GET, HEAD"), ("PUT", "/v1/publish", "POST"), ("GET", "/v1/publish", "POST"),
    ("POST", "/v1/sessions", "GET, HEAD"), ("PATCH", "/v1/sessions/abcdefgh", "DELETE, GET, HEAD"),
    ("OPTIONS", "/v1/publish", "POST"), ("BREW", "/v1/stats", "GET, HEAD"),
    ("TRACE", "/readyz", "GET, HEAD")])
def test_another_method_is_refused_with_those_that_there_are(desk: Desk, method: str, path: str,
                                                             allow: str) -> None:
    """RFC 9110, 15.5.6.  There is no answer to a preflight either: no page of another site gets in."""
    response = desk.ask(path, method)
    assert error_of(response) == (405, "method_not_allowed")
    assert response.headers["allow"] == allow


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/sessions/", "/healthz/", "/v1//stats",
                                  "/v1/sessions/a/b", "/%ff", "/v1/%c3%28", "/v1/watch/", "/healthz%00",
                                  "/%2e%2e/"])
def test_what_is_not_there_is_told_plainly(desk: Desk, path: str) -> None:
    assert error_of(desk.ask(path)) == (404, "not_found")
    assert error_of(desk.ask(path, key=None)) == (404, "not_found")


def test_an_error_has_nothing_in_it_of_what_was_sent(desk: Desk) -> None:
    """G-23."""
    for path in ("/MARK", "/v1/sessions/MARK", "/v1/sessions?MARK=1", "/v1/sessions?limit=MARK",
                 "/v1/channels?order=MARK", "/v1/channels?pattern=MARK"):
        assert b"MARK" not in desk.ask(path).body
    assert b"MARK" not in desk.post({"channel": "MARK", "data": 1}).body
    assert b"MARK" not in desk.post(b"MARK").body


@pytest.mark.parametrize("host", ["%%%", "a b", "evil.example", "\u00e9", "x" * 300, "[",
                                  "localhost:99999999"])
def test_it_is_called_by_any_name(desk: Desk, host: str) -> None:
    """A name that leads here does not get a page in: that takes the key."""
    assert desk.ask("/healthz", host=host.encode().decode("latin-1")).status == 200
    assert desk.ask("/v1/stats", key=None, host=host.encode().decode("latin-1")).status == 401


def test_no_page_of_another_site_may_read_it(desk: Desk) -> None:
    for path in ("/healthz", "/v1/stats", "/openapi.json"):
        response = desk.ask(path, origin="https://evil.example")
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("headers", [
    {"content_type": None}, {"content_type": "text/plain"}, {"content_type": "application/jsonp"},
    {"content_type": "application/x-www-form-urlencoded"}, {"content_type": ""},
    {"content_type": "application/json", "content_encoding": "gzip"}])
def test_a_body_has_to_be_json_by_its_type(desk: Desk, headers: dict[str, str | None]) -> None:
    """A page of another site can send only other types without asking."""
    response = desk.ask("/v1/publish", "POST", b'{"channel":"/news","data":1}', **headers)
    assert error_of(response) == (415, "unsupported_media_type")
    assert desk.metrics.published == 0


@pytest.mark.parametrize("media", ["application/json", "application/json; charset=utf-8", "Application/JSON",
                                   "application/json ;x=y"])
def test_json_may_be_named_in_several_ways(desk: Desk, media: str) -> None:
    assert desk.post({"channel": "/news", "data": 1}, content_type=media).status == 200


def test_the_head_alone(desk: Desk) -> None:
    http = HTTP(desk)
    http.send(request("HEAD", "/v1/stats", authorization=f"Bearer {KEY}"))
    taken = http.wire.take()
    assert taken.startswith(b"HTTP/1.1 200 ")
    assert taken.endswith(b"\r\n\r\n")


def test_a_fault_of_ours_is_told_as_such_and_logged(desk: Desk, logged_errors: list[Any],
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayeux.api.status.Status.stats", lambda self: 1 // 0)
    response = desk.ask("/v1/stats")
    assert error_of(response) == (500, "internal")
    assert b"division" not in response.body
    [error] = logged_errors
    assert error.check(ZeroDivisionError)
    logged_errors.clear()


def test_what_is_refused_is_counted_by_its_code(desk: Desk) -> None:
    for path in ("/v1", "/v1", "/v1/sessions/abcdefgh", "/v1/sessions?limit=0"):
        desk.ask(path)
    assert desk.metrics.api_errors == {"not_found": 2, "unknown_session": 1, "invalid_parameter": 1}


def test_a_connection_serves_many_requests(desk: Desk) -> None:
    http = HTTP(desk)
    for _ in range(3):
        assert http.ask(request("GET", "/healthz")).status == 200
    http.send(request("GET", "/healthz") + request("GET", "/readyz"))
    assert [response.status for response in http.responses()] == [200, 200]
