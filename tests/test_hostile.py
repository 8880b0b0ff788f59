"""Attacks, by raw bytes where an attacker has no more: those that no other test makes.

``docs/topics/security.rst`` says which test is for which threat.
"""

from __future__ import annotations

import json
import random
import re
import socket
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest
import pytest_twisted
from twisted.logger import eventAsText, globalLogPublisher

from bayeux import Call, Extension, Policy
from bayeux.keys import Key
from bayeux.signatures import sign
from tests.fakenet import (
    HANDSHAKE,
    HTTP,
    EventSourceClient,
    Net,
    WebSocketClient,
    connect,
    event,
    frame,
    listen,
    post,
    publish,
    request,
    script,
    subscribe,
    upgrade,
)
from tests.fuzz.http import HTTPDoor
from tests.fuzz.websocket import WebSocketReader
from tests.test_resource import Net as RealNet
from tests.test_resource import Server as RealServer
from tests.test_resource import condition, in_bayeux_site, net

__all__ = ["net"]  # a fixture

EVIL = "http://evil.example"
SECRET = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"
KEY = {"id": "web-a", "secret": SECRET, "publish": ("/news",), "subscribe": ("/news", "/private/**")}


def shake(http: HTTP, **headers: str) -> str:
    """Shake hands, and connect once; returns the session's id."""
    [reply] = http.ask(post(HANDSHAKE, **headers)).messages
    cookie = {"cookie": f"BAYEUX_BROWSER={http.wire.net.session(reply['clientId']).browser_id}"}
    http.ask(post(connect(reply["clientId"]), **{**cookie, **headers}))
    return str(reply["clientId"])


@pytest.fixture
def log():
    """Return the lines that are logged meanwhile, whatever their level."""
    lines: list[str] = []
    observe = lambda found: lines.append(eventAsText(found))  # noqa: E731 - one for the publisher
    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


# -- what a publisher sends stays between it and the server ---------------------------------------


class Listeners:
    """A client of every transport, subscribed to everything."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.polling, self.script, self.socket = HTTP(net), HTTP(net), WebSocketClient(net)
        self._polled, self._scripted, streamed = (shake(HTTP(net), cookie=f"BAYEUX_BROWSER={letter * 20}")
                                                  for letter in "abc")
        self._cookies = [f"BAYEUX_BROWSER={letter * 20}" for letter in "ab"]
        HTTP(net).ask(post(subscribe(streamed, "/**"), cookie="BAYEUX_BROWSER=" + "c" * 20))
        self.stream = EventSourceClient(net, streamed, cookie="BAYEUX_BROWSER=" + "c" * 20)
        self.polling.ask(post(subscribe(self._polled, "/**"), cookie=self._cookies[0]))
        self.polling.send(post(connect(self._polled), cookie=self._cookies[0]))
        self.script.ask(script(subscribe(self._scripted, "/**"), cookie=self._cookies[1]))
        self.script.send(script(connect(self._scripted), cookie=self._cookies[1]))
        [reply] = self.socket.ask(HANDSHAKE)
        self.socket.ask(subscribe(reply["clientId"], "/**"))

    def events(self) -> list[list[Any]]:
        """Return the events that each of them has got, checked for being nothing else but events."""
        [polled], [scripted] = self.polling.responses(), self.script.responses()
        found = [polled.messages[:-1], scripted.messages[:-1], self.socket.messages(), self.stream.messages()]
        assert all(message["channel"] == "/meta/connect" for message in (polled.messages[-1],
                                                                         scripted.messages[-1]))
        return found


CREDENTIALS = {"token": "T0KEN-secret", "grant": {"sig": "GRANT-secret"}, "auth": "AUTH-secret", "ack": 7,
               "private_pub_token": "FAYE-secret", "timesync": {"tc": 1}}
MORE = {"id": "ID-secret", "advice": {"reconnect": "none"}, "error": "403::ERROR-secret", "successful": False,
        "timestamp": "TIME-secret", "subscription": "/SUBSCRIPTION-secret", "password": "FIELD-secret",
        "connectionType": "TYPE-secret", "version": "VERSION-secret"}


@pytest.mark.parametrize("way", ["polling", "script", "socket"])
def test_no_field_of_a_publisher_is_forwarded(way: str) -> None:
    """D-4, A-6, Y-17: by no transport to none; the others would obey an advice."""
    net = Net(key=(KEY,))
    listeners = Listeners(net)
    http = HTTP(net)
    client = shake(http)
    net.session(client).browser_id = None
    message = publish(client, {"hello": 1}, ext=CREDENTIALS, **MORE)
    if way == "polling":
        http.ask(post(message, authorization="Basic HEADER-secret", cookie="session=COOKIE-secret"))
    elif way == "script":
        http.ask(script(message))
    else:
        WebSocketClient(net, authorization="Basic HEADER-secret").ask(message)
    assert listeners.events() == [[event({"hello": 1})]] * 4


def test_no_signature_is_forwarded() -> None:
    """D-4, Y-1: nor the name of the key, or of whoever sends it."""
    net = Net(key=(KEY,))
    listeners = Listeners(net)
    key = Key(id="web-a", secret=SECRET.encode(), publish=("/news",))
    HTTP(net).ask(post(sign(key, "/news", "hello", timestamp=int(Net.START))))
    assert listeners.events() == [[event("hello")]] * 4


def test_a_clientid_is_told_to_nobody_else(log: list[str], tmp_path: Path) -> None:
    """I-4, G-33: not in what others get, nor in any log, whatever happens to its client."""
    net = Net(access_log=str(tmp_path / "access.log"), max_subscriptions=2, max_queue=3)
    net.site.startFactory()
    listeners = Listeners(net)

    def fail(session: Any, data: Any) -> None:
        raise RuntimeError(f"a handler of {session}")

    net.hub.service("/service/fail", fail)
    http, socket = HTTP(net), WebSocketClient(net)
    client = shake(http, cookie="BAYEUX_BROWSER=" + "z" * 20)
    for message in (publish(client), publish(client, channel="/service/fail"),
                    publish(client, channel="/a//"), publish(client, channel="/meta/nothing"),
                    subscribe(client, ["/a", "/b", "/c"])):
        http.ask(post(message, cookie="BAYEUX_BROWSER=" + "z" * 20))
    http.ask(script(publish(client), cookie="BAYEUX_BROWSER=" + "z" * 20))
    http.ask(post(publish(client), cookie="BAYEUX_BROWSER=" + "y" * 20))  # another browser's
    socket.ask(publish(client, channel="/service/fail"))
    EventSourceClient(net, client, cookie="BAYEUX_BROWSER=" + "z" * 20)
    http.ask(listen(client, cookie="BAYEUX_BROWSER=" + "y" * 20))
    for events in listeners.events():
        assert client not in json.dumps(events)
    net.advance(60)
    net.site.stopFactory()
    assert "a handler of <Session" in "".join(log)
    assert client not in "".join(log)
    assert client not in (tmp_path / "access.log").read_text()


@pytest.fixture(autouse=True)
def expected_failures(request, logged_errors):
    """Forget the failures that a test has caused by its application."""
    yield
    if "log" in request.fixturenames:
        assert all(failure.check(RuntimeError) for failure in logged_errors)
        logged_errors.clear()


# -- pages of other sites -------------------------------------------------------------------------


class Curious(Policy):
    """Takes note of the credentials by which it could know who asks."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def _look(self, link: Any) -> bool:
        self.seen.append((link.header("cookie"), link.header("authorization")))
        return True

    def can_handshake(self, message: Any, link: Any) -> bool:
        return self._look(link)

    def can_publish(self, session: Any, channel: str, message: Any, link: Any) -> bool:
        return self._look(link)


VICTIM = {"cookie": "session=VICTIM", "authorization": "Basic VICTIM"}
"""What a browser adds, whoever has made the page."""
WAYS = {
    "JSON": post(HANDSHAKE, origin=EVIL, **VICTIM),
    "a form": request("POST", body=b"message=" + quote(json.dumps([HANDSHAKE])).encode(),
                      content_type="application/x-www-form-urlencoded", origin=EVIL, **VICTIM),
    "a form of plain text": request("POST", body=b"message=" + json.dumps([HANDSHAKE]).encode(),
                                    content_type="text/plain", origin=EVIL, **VICTIM),
    "a sandboxed frame": post(HANDSHAKE, origin="null", **VICTIM),
    "a form, by a browser that hides its origin": post(HANDSHAKE, sec_fetch_site="cross-site", **VICTIM),
    "a script": script(HANDSHAKE, sec_fetch_site="cross-site", **VICTIM),
    "a WebSocket": upgrade(origin=EVIL, **VICTIM),
    "a stream": listen("x", origin=EVIL, **VICTIM),
}


@pytest.mark.parametrize("attack", WAYS.values(), ids=WAYS)
def test_a_page_of_another_site_can_do_nothing(attack: bytes) -> None:
    """O-1 to O-7: CSRF, and CSWSH; before anything is processed, and it may not read the answer either."""
    policy = Curious()
    net = Net(policy=policy)
    http = HTTP(net)
    response = http.ask(attack)
    assert response.status == 403
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert len(net.hub.sessions) == len(policy.seen) == 0


@pytest.mark.parametrize("way", ["JSON", "a form", "a form of plain text", "a script", "a WebSocket"])
def test_where_every_page_is_welcome_none_acts_for_its_visitor(way: str) -> None:
    """O-1, J-11: reflecting any origin with credentials would give away what the cookies stand for."""
    policy = Curious()
    net = Net(policy=policy, allowed_origins=("*",))
    wire = net.open()
    wire.send(WAYS[way])
    if way == "a WebSocket":
        wire.send(frame(json.dumps([HANDSHAKE])))
    assert b'"successful":true' in wire.take()
    assert policy.seen == [("", "")]


def test_what_a_page_says_of_itself_in_trailers_is_not_believed() -> None:
    """O-4, RFC 9110 6.5.1."""
    body = json.dumps([HANDSHAKE]).encode()
    chunks = b"%x\r\n%b\r\n0\r\nOrigin: http://example.org\r\nCookie: BAYEUX_BROWSER=%b\r\n\r\n" % (
        len(body), body, b"v" * 20)
    head = request("POST", content_type="application/json", transfer_encoding="chunked", origin=EVIL)
    net = Net()
    assert HTTP(net).ask(head + chunks).status == 403
    assert len(net.hub.sessions) == 0


def test_the_cookie_of_a_browser_is_no_session() -> None:
    """B-2, CSRF: it tells browsers apart, and whoever has only that can do nothing in a session's name."""
    net = Net()
    client = shake(HTTP(net), cookie="BAYEUX_BROWSER=" + "v" * 20)
    messages = [{"channel": "/news", "data": 1}, {"channel": "/meta/subscribe", "subscription": "/**"},
                {"channel": "/meta/disconnect"},
                {"channel": "/meta/connect", "connectionType": "long-polling"}]
    for message in HTTP(net).ask(post(*messages, cookie="BAYEUX_BROWSER=" + "v" * 20)).messages:
        assert message["error"] == "401::No client ID"
    assert net.session(client).subscriptions == ()


REBOUND = {"host": "evil.example", "sec_fetch_site": "same-origin"}
"""What a browser sends for a page whose name leads here now: it is of this server's origin, by its name."""
FROM_REBOUND = {
    "JSON": post(HANDSHAKE, origin=EVIL, **REBOUND),
    "a WebSocket": upgrade(origin=EVIL, **REBOUND),
    "a script, which has no origin": script(HANDSHAKE, **REBOUND),
}


@pytest.mark.parametrize(("settings", "refused"), [
    ({}, set()),
    ({"public_url": "http://example.org"}, {"JSON", "a WebSocket"}),
    ({"allowed_hosts": ("example.org",)}, set(FROM_REBOUND)),
    ({"allowed_hosts": ("example.org",), "allowed_origins": ("*",)}, set(FROM_REBOUND)),
])
def test_dns_rebinding(settings: dict[str, Any], refused: set[str]) -> None:
    """O-1, O-8: what each setting keeps out, and what only the names of the server do."""
    found = set()
    for way, attack in FROM_REBOUND.items():
        net = Net(**settings)
        wire = net.open()
        wire.send(attack)
        if wire.take().startswith(b"HTTP/1.1 403 "):
            found.add(way)
    assert found == refused
    assert HTTP(Net(**settings)).ask(post(HANDSHAKE, origin="http://example.org")).status == 200


@pytest.mark.parametrize("method", ["TRACE", "PUT", "DELETE", "PATCH", "PROPFIND"])
@pytest.mark.parametrize("path", ["/bayeux", "/"])
def test_no_method_shows_a_page_what_its_browser_sends(method: str, path: str) -> None:
    """G-23: cross-site tracing."""
    wire = Net().open()
    wire.send(request(method, path, **VICTIM))
    output = wire.take()
    assert re.match(rb"HTTP/1\.1 (404|405|501) ", output)
    assert b"VICTIM" not in output


def test_nobody_says_where_they_come_from() -> None:
    """O-8, G-13: not by a header, unless something is configured that may."""
    addresses = []

    class Watching(Policy):
        def can_handshake(self, message: Any, link: Any) -> bool:
            addresses.append(link.address)
            return True

    net = Net(policy=Watching())
    for name in ("x_forwarded_for", "x_real_ip", "forwarded", "true_client_ip", "x_client_ip"):
        HTTP(net).ask(post(HANDSHAKE, **{name: "203.0.113.9"}))
    assert set(addresses) == {"192.0.2.7"}


# -- bombs ----------------------------------------------------------------------------------------


def bombs(size: int) -> dict[str, bytes]:
    """Return requests of about so many bytes, which are far more when they are read."""
    def body(text: bytes, kind: str = "application/json") -> bytes:
        return request("POST", body=text[:size], content_type=kind)

    return {
        "empty messages": body(b"[" + b"{}," * (size // 3 - 2) + b"{}]"),
        "numbers": body(b"[" + b"1," * (size // 2 - 2) + b"1]"),
        "fields of a form": body(b"message=[]&" * (size // 11), "application/x-www-form-urlencoded"),
        "messages in fields of a form": body(b"message=" + b"%7B%7D%2C" * (size // 9), "text/plain"),
        "percent signs": body(b"message=" + b"%" * size, "text/plain"),
        "arrays in arrays": body(b"[" * (size // 2) + b"]" * (size // 2)),
        "objects in objects": body(b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6)),
        "escapes": body(b'["' + b"\\ud800" * (size // 6 - 2) + b'"]'),
        "names": body(b"[{" + b",".join(b'"%d":1' % number for number in range(size // 12)) + b"}]"),
        "a zip": request("POST", body=b"\x1f\x8b\x08" + b"\0" * 1_000, content_encoding="gzip",
                         content_type="application/json"),
    }


@pytest.mark.parametrize("name", bombs(100))
def test_a_bomb_is_bounded(name: str) -> None:
    """CVE-2026-32689, G-1, G-5, G-6: a megabyte is no more than a few dozen, and leaves nothing."""
    net = Net()
    http = HTTP(net)
    data = bombs(1_048_576)[name]
    tracemalloc.start()
    try:
        response = http.ask(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert response.status == 400 or not response.messages[0]["successful"]
    assert peak < 48 * 1_048_576
    assert len(net.hub.sessions) == 0
    assert net.hub.metrics.published == 0


def test_a_bomb_of_messages_is_refused_on_a_socket_too() -> None:
    """G-5, W-9: and nothing of it is done."""
    net = Net()
    socket = WebSocketClient(net)
    socket.wire.send(frame(json.dumps([HANDSHAKE] * 101)))
    assert socket.close_code() == 1008
    assert len(net.hub.sessions) == 0


def test_a_message_that_asks_for_very_much_costs_little() -> None:
    """G-9, G-10: a channel has as many parents as it has segments."""
    net = Net()
    http = HTTP(net)
    client = shake(http)
    net.session(client).browser_id = None
    deep = "/a" * 30_000
    tracemalloc.start()
    try:
        for message in (publish(client, channel=deep), publish(client, channel="/service" + deep),
                        subscribe(client, deep), subscribe(client, deep + "/**"),
                        subscribe(client, ["/a"] * 10_000)):
            [reply] = http.ask(post(message)).messages
            assert reply["successful"] is False
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1_048_576


# -- other clients on the same connection, as behind a proxy --------------------------------------


class Member:
    """A client that comes by somebody else's connection, as by a proxy's."""

    def __init__(self, net: Net, letter: str) -> None:
        self.address = f"203.0.113.{ord(letter) - 90}"
        self.headers = {"cookie": f"BAYEUX_BROWSER={letter * 20}", "x_forwarded_for": self.address,
                        "origin": "http://example.org"}
        self.letter = letter
        self.client = shake(HTTP(net), **self.headers)

    def ask(self, number: int) -> bytes:
        """Return a request whose answer says who has sent it."""
        return post(publish(self.client, number, channel="/service/who", id=f"{self.letter}{number:04}"),
                    **self.headers)


@pytest.mark.parametrize("together", [1, 3, 40])
def test_replies_do_not_cross_clients_on_one_connection(together: int) -> None:
    """CVE-2024-41671, CVE-2020-35681: their heads are of one length, and differ in who they are from."""
    net = Net(trusted_proxies=("192.0.2.7",))
    links = {}

    class Watching(Policy):
        def can_publish(self, session: Any, channel: str, message: Any, link: Any) -> bool:
            links[message.id] = link.address, link.header("cookie"), link.browser_id, session.id
            return True

    net.hub.policy = Watching()
    net.hub.service("/service/who", lambda session, data: [session.id, data])
    members = [Member(net, letter) for letter in "abc"]
    chance = random.Random(1)
    asked = [(chance.choice(members), number) for number in range(120)]
    proxy = HTTP(net)
    responses = []
    for start in range(0, len(asked), together):
        proxy.send(b"".join(member.ask(number) for member, number in asked[start:start + together]))
        responses += proxy.responses()
    assert len(responses) == len(asked)
    for (member, number), response in zip(asked, responses, strict=True):
        reply, answer = response.messages
        identity = f"{member.letter}{number:04}"
        assert (reply["id"], answer["data"]) == (identity, [member.client, number])
        assert links[identity] == (
            member.address, member.headers["cookie"], member.letter * 20, member.client)


def test_a_known_head_does_not_let_one_client_use_the_session_of_another() -> None:
    """B-2: whoever comes next on the connection; and of a held connect too."""
    net = Net()
    one, other = Member(net, "a"), Member(net, "b")
    proxy = HTTP(net)
    for _ in range(3):
        proxy.ask(post(publish(one.client), **one.headers))
        [reply] = proxy.ask(post(publish(one.client), **other.headers)).messages
        assert reply["error"] == f"402:{one.client}:Unknown client ID"
        proxy.ask(post(publish(other.client), **other.headers))
    proxy.send(post(connect(one.client), **one.headers))
    proxy.send(post(connect(one.client), **other.headers))
    held, refused = proxy.responses()
    assert held.messages[0]["successful"] is True
    assert refused.messages[0]["error"] == f"402:{one.client}:Unknown client ID"


def test_a_body_with_a_known_head_in_it_is_a_body() -> None:
    """RFC 9112 6.3: though it comes in a piece of its own, and the last request had that head."""
    victim = post(HANDSHAKE, x_who="v")
    hidden = json.dumps([{"channel": "/x", "data": "y" * 50}]).encode()
    outer = request("POST", body=hidden + victim * 2, content_type="application/json", x_who="a")
    for cut in (len(outer) - len(victim), len(outer) - 2 * len(victim), len(outer) - 2 * len(victim) - 1):
        net = Net()
        http = HTTP(net)
        http.ask(victim)
        http.send(outer[:cut])
        http.send(outer[cut:])
        [response] = http.responses()
        assert response.status == 400
        assert len(net.hub.sessions) == 1
        assert http.ask(victim).status == 200


# -- all at once ----------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_barrage_by_real_sockets_is_not_noticed_by_others(net: RealNet) -> None:
    """G-34: half of it cut off in the middle, by a reset; nothing is left open, and nothing is logged."""
    server = RealServer(net, in_bayeux_site)
    bystander = await server.wire()
    client = await server.client(bystander, "/news")
    chance = random.Random(1)
    attacks = [*HTTPDoor.seeds(), *(upgrade() + seed[1:] for seed in WebSocketReader.seeds())]
    for number, data in enumerate(attacks * 2):
        bystander.send(post(connect(client)))
        wire = await server.wire()
        wire.send(data[:chance.randint(0, 2 * len(data))])
        if chance.random() < 0.5:
            await condition(lambda wire=wire: not wire.transport.dataBuffer)
            wire.transport.abortConnection()
        server.hub.publish("/news", number)
        found = await bystander.response()
        assert found.messages[0] == event(number)
    await server.bayeux.stopService()


# -- the end of the others ------------------------------------------------------------------------


def test_one_exception_ends_nothing_but_its_message(log: list[str]) -> None:
    """E-32, G-34: wherever the application fails, on whatever carrier."""
    class Failing(Policy):
        def can_handshake(self, message: Any, link: Any) -> bool:
            return self._fail(message)

        def can_subscribe(self, session: Any, pattern: str, message: Any, link: Any) -> bool:
            return self._fail(message)

        def can_publish(self, session: Any, channel: str, message: Any, link: Any) -> bool:
            return self._fail(message)

        def _fail(self, message: Any) -> bool:
            if message.extensions().get("fail"):
                raise RuntimeError("a policy")
            return True

    net = Net(policy=Failing())
    def fail(*arguments: Any) -> None:
        raise RuntimeError("an application")

    net.hub.service("/service/fail", fail)
    net.hub.subscribe("/news", fail)
    http, socket = HTTP(net), WebSocketClient(net)
    bystander = WebSocketClient(net)
    [reply] = bystander.ask(HANDSHAKE)
    bystander.ask(subscribe(reply["clientId"], "/**"))
    ext = {"fail": True}
    for ask in (lambda *messages: http.ask(post(*messages)).messages, socket.ask):
        [refused] = ask({**HANDSHAKE, "ext": ext})
        assert refused["error"] == "500::Internal server error"
        [reply] = ask(HANDSHAKE)
        client = reply["clientId"]
        net.session(client).browser_id = None
        replies = ask(subscribe(client, ext=ext), publish(client, ext=ext),
                      publish(client, channel="/service/fail"), publish(client, 1, id="good"))
        assert [reply["successful"] for reply in replies if "successful" in reply] == [False] * 3 + [True]
    assert bystander.messages() == [event(1), event(1)]
    assert net.hub.metrics.application_errors == 10


def test_clients_that_obey_do_not_come_back_all_at_once() -> None:
    """Q-10, X-6, H-13: a server that stops sends its clients away; they are the next one's load."""
    net = Net(shutdown_spread=10.0, max_sessions_per_browser=-1)
    waiting = [HTTP(net) for _ in range(200)]
    for http in waiting:
        client = shake(http)
        net.session(client).browser_id = None
        http.send(post(connect(client)))
    net.stop()
    intervals = []
    for http in waiting:
        [response] = http.responses()
        [reply] = response.messages
        assert reply["advice"]["reconnect"] == "handshake"
        intervals.append(reply["advice"]["interval"])
    in_a_second = Counter(interval // 1_000 for interval in intervals)
    assert len(in_a_second) == 10
    assert max(in_a_second.values()) < 60


def test_nobody_who_is_refused_is_told_to_come_back_at_once() -> None:
    """H-12, H-13: Faye's client does as it is told, a hundred times a second."""
    def refuse(*arguments: Any) -> bool:
        return False

    policy = Policy()
    policy.can_handshake = refuse  # type: ignore[method-assign]  # a shorter way to subclass it
    expired = jwt.encode({"exp": int(Net.START) - 100}, SECRET, headers={"kid": "web-a"})
    handshakes = {
        "policy": (Net(policy=policy), HANDSHAKE),
        "version": (Net(), {**HANDSHAKE, "version": "7.0", "minimumVersion": "7.0"}),
        "types": (Net(), {**HANDSHAKE, "supportedConnectionTypes": ["none"]}),
        "full": (Net(max_sessions_per_address=1), HANDSHAKE),
        "no token": (Net(key=(KEY,), require_token=True), HANDSHAKE),
        "bad token": (Net(key=(KEY,)), {**HANDSHAKE, "ext": {"token": "x"}}),
        "old token": (Net(key=(KEY,)), {**HANDSHAKE, "ext": {"token": expired}}),
        "broken": (Net(), {"channel": "/meta/handshake"}),
    }
    for name, (server, handshake) in handshakes.items():
        http = HTTP(server)
        if name == "full":
            http.ask(post(HANDSHAKE))
        [reply] = http.ask(post(handshake)).messages
        assert reply["successful"] is False, name
        advice = reply["advice"]
        assert advice["reconnect"] in ("none", "handshake"), name
        assert advice["reconnect"] == "none" or advice["interval"] >= 1_000, name


def test_nobody_writes_lines_into_the_log(log: list[str]) -> None:
    """G-33: by a name that no channel can have, or one that is looked at before that is known."""
    class Failing(Extension):
        def incoming(self, call: Call) -> None:
            raise RuntimeError("an extension")

    net = Net(log_interval=0.0)
    net.hub.add_extension(Failing())
    forged = "\n2026-01-01T00:00:00+0000 [-] root logged in\r\x1b[2J\u2028\x00"
    HTTP(net).ask(post({"channel": "/a" + forged, "data": 1}))
    HTTP(net).ask(post({"channel": forged, "data": 1, "clientId": forged, "id": forged}))
    WebSocketClient(net).ask({"channel": "/meta/" + forged, "subscription": forged, "version": forged})
    written = "".join(log)
    assert written.count("a handler failed on '") >= 2
    assert "[-] root logged in" in written
    for character in "\r\x1b\u2028\x00":
        assert character not in written
    assert not re.search(r"^2026-01-01", written, re.MULTILINE)


# -- what a token says ----------------------------------------------------------------------------


def test_no_token_makes_the_server_ask_anybody_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2026-32301: SSRF by claims; keys are those of the configuration, wherever a token says they are."""
    def forbidden(*arguments: Any, **more: Any) -> None:
        raise AssertionError("it has asked")

    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    place = "http://169.254.169.254/latest/meta-data/"
    claims = {"exp": int(Net.START) + 100, "iss": place, "aud": place, "sub": place, "jku": place,
              "ch": {"s": ["/private/**"]}}
    own = {"kty": "oct", "k": "AAAA", "kid": "evil"}
    headers = {"kid": place, "jku": place, "x5u": place, "jwk": own, "x5c": ["AAAA"], "iss": place}
    net = Net(key=(KEY,), channel=({"pattern": "/private/**", "subscribe": "token"},))
    http = HTTP(net)
    known, evil = {**headers, "kid": "web-a"}, {**headers, "kid": "evil"}
    for token, allowed in ((jwt.encode(claims, SECRET, headers=known), True),
                           (jwt.encode(claims, "0" * 32, headers=headers), False),
                           (jwt.encode(claims, "", algorithm="none", headers=known), False),
                           (jwt.encode(claims, "\0\0\0" + "0" * 29, headers=evil), False)):
        [reply] = http.ask(post({**HANDSHAKE, "ext": {"token": token}})).messages
        assert reply["successful"] is allowed
        assert allowed or reply["error"] == "401::Authentication invalid"
