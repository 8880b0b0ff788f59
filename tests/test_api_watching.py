"""api/watching.py: whoever has the key watches channels, and nobody notices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bayeux.api.watching import Watch
from bayeux.messages import decode
from bayeux.session import Link
from tests.api import KEY, Desk, error_of
from tests.fakenet import HANDSHAKE, HTTP, Response, connect, disconnect, publish, request, subscribe

PATIENT = 30.0


class Watcher:
    """Somebody who watches, by two connections as a browser does."""

    def __init__(self, desk: Desk, *patterns: str) -> None:
        self.desk = desk
        self.polling, self.other = HTTP(desk), HTTP(desk)
        self.id = self.say(HANDSHAKE)[0]["clientId"]
        for pattern in patterns:
            assert self.say(subscribe(self.id, pattern))[0]["successful"]
        self.poll()
        assert [message["successful"] for message in self.come()] == [True]
        self.poll()

    def ask(self, *messages: Any, **headers: str | None) -> Response:
        """Send messages that are answered at once."""
        return self.other.ask(asked(*messages, **headers))

    def say(self, *messages: Any) -> list[Any]:
        return self.ask(*messages).messages

    def poll(self) -> None:
        """Wait for what comes."""
        self.polling.send(asked(connect(self.id)))

    def come(self) -> list[Any]:
        """Return what has come by the connect that is held, if it has been answered."""
        self.desk.pump()
        return [message for response in self.polling.responses() for message in response.messages]

    def events(self) -> list[tuple[str, Any]]:
        """Return the events that have come, and wait for more."""
        messages = self.come()
        if any(message["channel"] == "/meta/connect" for message in messages):
            self.poll()
        return [(message["channel"], message["data"]) for message in messages if "data" in message]


def asked(*messages: Any, key: str | None = KEY, **headers: str | None) -> bytes:
    """Return a request to watch."""
    given: dict[str, str | None] = {"content_type": "application/json", **headers}
    if key is not None:
        given["authorization"] = f"Bearer {key}"
    return request("POST", "/v1/watch", json.dumps(messages).encode(), **given)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def is_observed(desk: Desk) -> bool:
    """Say whether the server shows its events to those who watch."""
    watch = desk.service.api.watch
    return any(getattr(observer, "__self__", None) is watch for observer in desk.hub.broker.observers)


class TestWhoMay:
    @pytest.mark.parametrize("key", [None, "another"])
    def test_nobody_without_the_key(self, desk: Desk, key: str | None) -> None:
        response = HTTP(desk).ask(asked(HANDSHAKE, key=key))
        assert error_of(response) == (401, "unauthorized")
        assert len(desk.service.api.watch.hub.sessions) == 0

    def test_a_clientid_is_no_key(self, desk: Desk) -> None:
        watcher = Watcher(desk, "/news")
        response = HTTP(desk).ask(asked(connect(watcher.id), key=None))
        assert error_of(response) == (401, "unauthorized")

    def test_a_key_that_is_no_longer_good_ends_it(self, desk: Desk) -> None:
        watcher = Watcher(desk, "/news")
        desk.service.api.key = b"the next one"
        assert error_of(watcher.ask(subscribe(watcher.id, "/b"))) == (401, "unauthorized")

    @pytest.mark.parametrize("method", ["GET", "OPTIONS", "PUT"])
    def test_by_post_only(self, desk: Desk, method: str) -> None:
        """Neither scripts (JSONP) nor streams, and no page of another origin gets to know that it may."""
        response = desk.ask("/v1/watch?jsonp=x&message=%5B%5D", method, accept="text/event-stream")
        assert error_of(response) == (405, "method_not_allowed")
        assert response.headers["allow"] == "POST"

    def test_the_origin_says_nothing_where_the_key_has(self, desk: Desk) -> None:
        """Behind a proxy the page has another origin than the request."""
        response = HTTP(desk).ask(asked(HANDSHAKE, origin="https://admin.example.org"))
        assert response.messages[0]["successful"]
        assert response.headers["cache-control"].startswith("no-cache, no-store")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in response.headers if name.startswith("access-control")]

    def test_nobody_before_the_api_is_started(self, desk: Desk) -> None:
        assert Watch(desk.hub).hub.sessions.closed

    def test_the_cookie_is_not_that_of_the_public_port(self, desk: Desk) -> None:
        """Cookies know no ports, and another browser's costs a client its session (B-2)."""
        cookie = HTTP(desk).ask(asked(HANDSHAKE)).headers["set-cookie"]
        assert cookie.startswith("BAYEUX_WATCH=")
        assert desk.hub.settings.cookie_name not in cookie

    def test_so_many_and_no_more(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path, api_max_watchers=2)
        first, _ = Watcher(desk), Watcher(desk)
        [reply] = HTTP(desk).ask(asked(HANDSHAKE)).messages
        assert reply["error"].startswith("503:")
        assert desk.metrics.limited == {"api_max_watchers": 1}
        first.say(disconnect(first.id))
        assert HTTP(desk).ask(asked(HANDSHAKE)).messages[0]["successful"]


class TestEvents:
    def test_they_come_as_they_are_published(self, desk: Desk) -> None:
        watcher = Watcher(desk, "/news/*")
        desk.publish({"text": "hello", "n": [1, 2.5, None, "\u2028"]}, "/news/sport")
        assert watcher.events() == [("/news/sport", {"text": "hello", "n": [1, 2.5, None, "\u2028"]})]
        desk.publish(1, "/other")
        assert watcher.events() == []

    def test_those_of_clients_too(self, desk: Desk) -> None:
        watcher, client = Watcher(desk, "/**"), desk.opened()
        body = json.dumps(publish(client.id, 1, "/a/b")).encode()
        desk.hub.receive(decode(body, desk.hub.settings), Link("long-polling"))
        desk.published({"channel": "/a/c", "data": 2})
        assert watcher.events() + watcher.events() == [("/a/b", 1), ("/a/c", 2)]

    def test_one_that_several_patterns_match_comes_once(self, desk: Desk) -> None:
        watcher = Watcher(desk, "/news/*", "/news/sport", "/**")
        desk.publish(1, "/news/sport")
        assert watcher.events() == [("/news/sport", 1)]

    def test_nobody_acknowledges_them(self, desk: Desk) -> None:
        """Q-7, XA-1: what is to be acknowledged must not be dropped, and this is to be dropped."""
        [reply] = HTTP(desk).ask(asked({**HANDSHAKE, "ext": {"ack": True}})).messages
        assert reply["successful"]
        assert "ack" not in reply.get("ext", {})

    @pytest.mark.parametrize(("setting", "value"), [
        ("max_channel", 400), ("max_segments", 60), ("max_message", 100_000), ("max_depth", 100),
        ("max_subscriptions", 2_000), ("max_queue", 5), ("max_queue_bytes", 5_000), ("max_batch", 200),
        ("max_body", 2_000_000), ("max_ext", 10_000), ("max_subscribe", 200), ("timeout", 20.0)])
    def test_watchers_have_the_limits_of_the_server(self, tmp_path: Path, setting: str, value: float) -> None:
        desk = Desk(tmp_path, **{setting: value})
        assert getattr(desk.service.api.watch.hub.settings, setting) == value

    def test_json_that_python_cannot_hold_comes_as_it_is(self, desk: Desk) -> None:
        """M-7: and watching makes no failure of it."""
        watcher, client = Watcher(desk, "/a"), desk.opened()
        body = b'{"channel":"/a","clientId":"%b","data":1e999}' % client.id.encode()
        desk.hub.receive(decode(body, desk.hub.settings), Link("long-polling"))
        desk.pump()
        assert b'"data":1e999' in watcher.polling.wire.take()
        assert not desk.metrics.failures

    def test_each_watcher_gets_its_own(self, desk: Desk) -> None:
        one, other = Watcher(desk, "/a"), Watcher(desk, "/b")
        desk.publish(1, "/a")
        desk.publish(2, "/b")
        assert one.events() == [("/a", 1)]
        assert other.events() == [("/b", 2)]

    def test_what_comes_soon_after_another_comes_with_the_next_poll(self, desk: Desk) -> None:
        """A page that watches much is not to poll for every event."""
        watcher = Watcher(desk, "/a")
        desk.publish(1, "/a")
        assert len(watcher.come()) == 2
        desk.publish(2, "/a")
        desk.publish(3, "/a")
        watcher.poll()
        assert watcher.events() == [("/a", 2), ("/a", 3)]
        assert HTTP(desk).ask(asked(HANDSHAKE)).messages[0]["advice"]["interval"] == 200


class TestUnnoticed:
    def test_a_watcher_is_no_client(self, desk: Desk) -> None:
        desk.opened("/news")
        before = desk.get("/v1/stats")
        watcher = Watcher(desk, "/news", "/elsewhere/**")
        assert desk.published({"channel": "/news", "data": 1})["delivered"] == 1
        assert watcher.events() == [("/news", 1)]
        after = desk.get("/v1/stats")
        for name in ("sessions", "held_connects", "channels"):
            assert after[name] == before[name]
        assert len(desk.get("/v1/sessions")["sessions"]) == 1
        assert after["counters"]["queued"] - before["counters"]["queued"] == 1
        assert after["counters"]["messages"] == before["counters"]["messages"]

    def test_no_policy_is_asked(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path, channel=[{"pattern": "/secret/**", "subscribe": "nobody"}])
        watcher = Watcher(desk, "/secret/**")
        desk.publish(1, "/secret/plan")
        assert watcher.events() == [("/secret/plan", 1)]

    @pytest.mark.parametrize("channel", ["/news", "/service/skipped", "/service/x"])
    def test_a_watcher_publishes_nothing(self, desk: Desk, channel: str) -> None:
        watcher, other = Watcher(desk, "/**"), Watcher(desk, "/**")
        [reply] = watcher.say(publish(watcher.id, 1, channel))
        assert not reply["successful"]
        assert reply["error"].startswith("403:")
        assert desk.metrics.published == 0
        assert watcher.events() == other.events() == []

    @pytest.mark.parametrize("pattern", ["/meta/connect", "/meta/**", "news", "/a b", "/" + "a" * 300])
    def test_what_cannot_be_watched_is_refused(self, desk: Desk, pattern: str) -> None:
        watcher = Watcher(desk)
        [reply] = watcher.say(subscribe(watcher.id, pattern))
        assert not reply["successful"]
        assert not is_observed(desk)

    def test_channels_of_services_are_between_the_server_and_one_client(self, desk: Desk) -> None:
        watcher = Watcher(desk)
        watcher.say(subscribe(watcher.id, "/service/**"))
        assert not is_observed(desk)


class TestWhenTheServerIsObserved:
    """As long as somebody watches anything."""

    def test_two_who_watch_the_same(self, desk: Desk) -> None:
        one, other = Watcher(desk, "/a", "/b"), Watcher(desk, "/a")
        assert is_observed(desk)
        one.say({"channel": "/meta/unsubscribe", "clientId": one.id, "subscription": ["/a", "/b"]})
        assert is_observed(desk)
        desk.publish(1, "/a")
        assert (one.events(), other.events()) == ([], [("/a", 1)])
        other.say({"channel": "/meta/unsubscribe", "clientId": other.id, "subscription": "/a"})
        assert not is_observed(desk)

    def test_one_who_leaves(self, desk: Desk) -> None:
        watcher = Watcher(desk, "/a")
        watcher.say(disconnect(watcher.id))
        assert not is_observed(desk)

    def test_one_who_is_heard_of_no_more(self, desk: Desk) -> None:
        watcher = Watcher(desk, "/a")
        watcher.polling.wire.lose()
        desk.advance(desk.hub.settings.timeout + PATIENT, 1.0)
        assert not is_observed(desk)

    def test_the_end_of_the_api(self, desk: Desk) -> None:
        """Who waits is answered, or the server would wait for them; and then anybody may come again."""
        watcher = Watcher(desk, "/a")
        desk.service.stopService()
        [reply] = watcher.come()
        assert reply["channel"] == "/meta/connect"
        assert not is_observed(desk)
        assert HTTP(desk).ask(asked(HANDSHAKE)).messages[0]["error"].startswith("503:")
        desk.service.startService()
        again = Watcher(desk, "/a")
        desk.publish(1, "/a")
        assert again.events() == [("/a", 1)]

    def test_nothing_is_left_of_it(self, desk: Desk) -> None:
        watch = desk.service.api.watch
        watcher = Watcher(desk, "/a")
        watcher.say(disconnect(watcher.id))
        desk.advance(2 * PATIENT, 1.0)
        assert watch.hub.sessions.is_idle()


class TestTooMuch:
    def test_of_too_many_events_the_rest_is_left_out_and_told_of(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path, api_watch_rate=5.0)
        watcher = Watcher(desk, "/a")
        for n in range(12):
            desk.publish(n, "/a")
        seen = watcher.events() + watcher.events()
        assert seen == [("/a", n) for n in range(5)]
        assert desk.metrics.limited == {"api_watch_rate": 1}, "whatever the number that it costs"
        desk.advance(0.9)
        assert watcher.events() == []
        desk.advance(0.1)
        assert watcher.events() == [("/service/skipped", {"events": 7})]
        for n in range(12, 20):
            desk.publish(n, "/a")
        assert watcher.events() + watcher.events() == [("/a", n) for n in range(12, 17)]
        desk.advance(1.0)
        assert watcher.events() == [("/service/skipped", {"events": 3})]
        assert desk.metrics.limited == {"api_watch_rate": 2}
        desk.advance(5.0)
        assert watcher.events() == []

    def test_they_may_be_any_number(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path, api_watch_rate=0.0)
        watcher = Watcher(desk, "/a")
        for n in range(500):
            desk.publish(n, "/a")
        assert len(watcher.events() + watcher.events()) == 500
        assert desk.metrics.limited == {}

    def test_who_does_not_fetch_loses_the_oldest_and_is_told_so(self, tmp_path: Path) -> None:
        """Q-7: a watcher takes no more memory than a client; and others lose nothing by it."""
        desk = Desk(tmp_path, max_queue=3)
        watcher, other = Watcher(desk, "/a"), Watcher(desk, "/**")
        desk.publish(0, "/a")
        assert ("/a", 0) in [(m["channel"], m.get("data")) for m in watcher.come()]
        assert other.events() == [("/a", 0)]
        for n in range(1, 6):
            desk.publish(n, "/a")
            assert other.events() == [("/a", n)]
            desk.advance(0.2)
        assert desk.metrics.limited == {}, "which are about clients"
        assert desk.metrics.dropped == 0
        watcher.poll()
        assert watcher.events() == [("/service/skipped", {"events": 2}), ("/a", 3), ("/a", 4), ("/a", 5)]
        desk.publish(6, "/a")
        desk.advance(2.0)
        assert watcher.events() == [("/a", 6)], "that is told once"
        assert other.events() == [("/a", 6)], "and to nobody else"

    def test_who_does_not_fetch_notices_either_is_told_of_all(self, tmp_path: Path) -> None:
        """A notice that has to make room is worth what it told of."""
        desk = Desk(tmp_path, max_queue=2, api_watch_rate=2.0)
        watcher = Watcher(desk, "/a")
        desk.publish(0, "/a")
        watcher.come()
        for n in range(1, 5):  # one is shown, three are not
            desk.publish(n, "/a")
        desk.advance(1.0)  # and that is told
        for n in range(5, 8):  # two more, before which the first and the notice have to go; one is not shown
            desk.publish(n, "/a")
        watcher.poll()
        assert watcher.events() == [("/service/skipped", {"events": 4}), ("/a", 5), ("/a", 6)]
        desk.advance(1.0)
        assert watcher.events() == [("/service/skipped", {"events": 1})]

    def test_a_watcher_whose_client_wants_to_acknowledge_is_not_ended(self, tmp_path: Path) -> None:
        """Q-7: as client.js does unless it is told not to."""
        desk = Desk(tmp_path, max_queue=3)
        [reply] = HTTP(desk).ask(asked({**HANDSHAKE, "ext": {"ack": True}})).messages
        HTTP(desk).ask(asked(subscribe(reply["clientId"], "/a")))
        for n in range(10):
            desk.publish(n, "/a")
        [session] = desk.service.api.watch.hub.sessions
        assert session.alive
        assert len(session.queue) == 3

    def test_one_browser_may_watch_in_any_number_of_tabs(self, tmp_path: Path) -> None:
        """B-4: they have one cookie, and every poll of each is held."""
        desk = Desk(tmp_path)
        cookie = "BAYEUX_WATCH=" + "a" * 27
        clients = [HTTP(desk).ask(asked(HANDSHAKE, cookie=cookie)).messages[0]["clientId"] for _ in range(8)]
        tabs = [HTTP(desk) for _ in clients]
        for client, tab in zip(clients, tabs, strict=True):
            tab.ask(asked(connect(client), cookie=cookie))
            tab.send(asked(connect(client), cookie=cookie))
        assert [tab.responses() for tab in tabs] == [[]] * 8

    def test_a_notice_that_is_due_when_the_api_ends_is_not_given(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path, api_watch_rate=1.0)
        Watcher(desk, "/a")
        desk.publish(0, "/a")
        desk.publish(1, "/a")
        assert [call for call in desk.reactor.getDelayedCalls() if "_tell" in repr(call.func)]
        desk.service.stopService()
        assert not [call for call in desk.reactor.getDelayedCalls() if "_tell" in repr(call.func)]
