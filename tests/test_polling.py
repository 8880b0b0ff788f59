"""The polling transports, request value in, reply value out: BAYEUX.md sections 14.1 to 14.4."""

import json
from itertools import permutations
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bayeux.errors import BayeuxError
from bayeux.extensions import Extension
from bayeux.hub import Hub
from bayeux.policy import Policy
from bayeux.settings import Settings
from bayeux.transports import HTTPReply, HTTPRequest
from bayeux.transports.polling import Polling

BROWSER = "BAYEUX_BROWSER"
HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0",
             "supportedConnectionTypes": ["long-polling", "callback-polling"]}
FULL_ADVICE = {"reconnect": "retry", "interval": 0, "timeout": 30_000}


def connect(client, **more):
    return {"channel": "/meta/connect", "clientId": client, "connectionType": "long-polling", **more}


def disconnect(client, **more):
    return {"channel": "/meta/disconnect", "clientId": client, **more}


def subscribe(client, channel="/news", **more):
    return {"channel": "/meta/subscribe", "clientId": client, "subscription": channel, **more}


def publish(client, data="hi", channel="/news", **more):
    return {"channel": channel, "clientId": client, "data": data, **more}


def event(data, channel="/news"):
    return {"channel": channel, "data": data}


class Call:
    """One HTTP request and what has become of it so far."""

    def __init__(self, outcome):
        self._replies = []
        if isinstance(outcome, HTTPReply):
            self._replies.append(outcome)
        else:
            self._waiting = outcome
            outcome.reply.addCallback(self._replies.append)

    @property
    def answered(self):
        return bool(self._replies)

    @property
    def reply(self):
        assert self.answered, "not answered yet"
        return self._replies[0]

    @property
    def status(self):
        return self.reply.status

    @property
    def headers(self):
        names = [name for name, _ in self.reply.headers]
        assert len(names) == len(set(names)), "a header was written twice"
        return {name.decode().lower(): value.decode("latin-1") for name, value in self.reply.headers}

    @property
    def messages(self):
        assert self.status == 200, self.reply
        body = self.reply.body
        if self.headers["content-type"].startswith("text/javascript"):
            assert body.startswith(b"/**/")
            assert body.endswith(b");")
            body = body.partition(b"(")[2].removesuffix(b");")
        return json.loads(body)

    @property
    def message(self):
        (only,) = self.messages
        return only

    def lost(self):
        self._waiting.lost()

    def make_way(self):
        self._waiting.make_way()


class Server:
    """A hub behind the polling transports, on a clock of its own."""

    def __init__(self, policy=None, **settings):
        self.clock = Clock()
        self.hub = Hub(self.clock, Settings(**settings), policy)
        self.polling = Polling(self.hub)

    def send(self, body=b"", *, method=b"POST", target=b"/bayeux", secure=False, **headers):
        values = {"host": "example.org", **{name.replace("_", "-"): v for name, v in headers.items()}}
        request = HTTPRequest(method, target, lambda name: values.get(name, ""), body, "192.0.2.1", secure)
        return Call(self.polling.answer(request))

    def post(self, *messages, **more):
        return self.send(json.dumps(messages).encode(), **{"content_type": "application/json", **more})

    def form(self, *texts, **more):
        body = "&".join("message=" + quote(text) for text in texts).encode()
        return self.send(body, **{"content_type": "application/x-www-form-urlencoded", **more})

    def get(self, *messages, jsonp="cb", **more):
        fields = ["message=" + quote(json.dumps(message)) for message in messages]
        if jsonp is not None:
            fields.append("jsonp=" + quote(jsonp))
        return self.send(method=b"GET", target=b"/bayeux?" + "&".join(fields).encode(), **more)

    def handshake(self, **more):
        return self.post(HANDSHAKE, **more).message["clientId"]

    def client(self, *channels, **more):
        """Return the id of a session that is past its first connect, and subscribed."""
        client = self.handshake(**more)
        self.post(connect(client), *[subscribe(client, channel) for channel in channels], **more)
        return client

    def hold(self, client, **more):
        call = self.post(connect(client, id="held"), **more)
        assert not call.answered
        return call

    def turn(self):
        """Let the turn of the reactor end."""
        self.clock.advance(0)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def client(server):
    return server.client("/news")


# -- envelopes: M-1 to M-9 ------------------------------------------------------------------------


def test_one_bare_message_is_answered_by_an_array(server):
    """M-1, M-2."""
    call = server.send(json.dumps(HANDSHAKE).encode(), content_type="application/json")
    assert [message["channel"] for message in call.messages] == ["/meta/handshake"]


def test_an_array_of_messages_is_answered_in_its_order(server, client):
    """M-1, M-2, M-12."""
    call = server.post(subscribe(client, "/a", id="1"), publish(client, channel="/b", id="2"))
    assert [message["id"] for message in call.messages] == ["1", "2"]


@pytest.mark.parametrize("body", [
    b"", b"nonsense", b"[", b'[{"channel":', b'{"channel":"/a"}]', b"5", b'"text"', b"null", b"true",
    b"[NaN]", b'[{"channel":"/a","data":Infinity}]', b"{'channel':'/a'}",
    b'[{"channel":"/a"}] {}', b"[" * 10_000, b'[{"channel":"/a","id":' + b"9" * 5_000 + b"}]",
    b'[{"channel":"/a","data":"\xff"}]', "[]".encode("utf-16"), b"\x00",
])
def test_what_is_no_envelope_is_refused(server, body):
    """M-3, M-6, M-7, M-9."""
    assert server.send(body, content_type="application/json").status == 400


@pytest.mark.parametrize("body", [b"[]", b" [ ] "])
def test_an_empty_batch_is_refused(server, body):
    """M-4."""
    assert server.send(body, content_type="application/json").status == 400


def test_a_byte_order_mark_is_tolerated(server):
    """M-9."""
    call = server.send(b"\xef\xbb\xbf" + json.dumps([HANDSHAKE]).encode(), content_type="application/json")
    assert call.message["successful"] is True


@pytest.mark.parametrize("element", [5, None, "text", [], {}, {"channel": 7}, {"channel": "/a", "id": []}])
def test_a_bad_element_costs_only_itself(server, client, element):
    """M-5, L-7."""
    bad, good = server.post(element, publish(client, channel="/b")).messages
    assert (bad["successful"], bad["error"]) == (False, "400::Malformed message")
    assert good["successful"] is True


@given(
    method=st.sampled_from([b"GET", b"POST", b"OPTIONS", b"HEAD", b"PUT", b"get", b"\xff"]),
    query=st.one_of(st.binary(max_size=60), st.sampled_from([
        b"message=[]", b"message={}&jsonp=a", b"message=[{}]", b"jsonp=%ff", b"message=%ff&jsonp=a.b",
        b"%"])),
    body=st.one_of(st.binary(max_size=60), st.sampled_from([
        b"[{}]", b"message=%5B%5D", b'[{"channel":"/meta/connect","clientId":"x"}]', b"[[],{}]"])),
    content_type=st.one_of(st.sampled_from(["", "text/plain", "application/json", ";", "a/b;charset",
                                            "application/x-www-form-urlencoded; charset=utf-8;"]),
                           st.text(max_size=30)),
    origin=st.sampled_from(["", "http://example.org", "http://example.org\xff", "null"]),
    cookie=st.one_of(st.sampled_from(["", "BAYEUX_BROWSER", "BAYEUX_BROWSER=", ";;=;BAYEUX_BROWSER=a"]),
                     st.text(max_size=30)),
)
def test_whatever_comes_is_answered_and_raises_nothing(method, query, body, content_type, origin, cookie):
    """M-3, G-34: no input makes the transport fail."""
    call = Server().send(body, method=method, target=b"/bayeux?" + query, content_type=content_type,
                         origin=origin, cookie=cookie)
    assert call.status in (200, 204, 400, 403, 405, 415)
    if call.status == 200:
        assert call.messages


# -- encodings: L-3, L-4 --------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [
    "application/json", "application/json;charset=UTF-8", 'application/json; charset="utf-8"',
    "text/json;charset=UTF-8", "TEXT/JSON", "application/vnd.bayeux+json",
    "application/json;x=y;charset=us-ascii", "text/plain", "text/plain;charset=UTF-8", "application/xml", "",
])
def test_json_is_read_of_every_type_that_clients_send_it_as(server, content_type):
    """L-3."""
    assert server.post(HANDSHAKE, content_type=content_type).message["successful"] is True


@pytest.mark.parametrize("content_type", [
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded;charset=UTF-8",
    "text/plain", "text/plain;charset=UTF-8", "application/xml", "",
])
def test_a_form_is_read_of_every_type_that_clients_send_it_as(server, content_type):
    """L-3."""
    call = server.form(json.dumps(HANDSHAKE), content_type=content_type)
    assert call.message["successful"] is True


@pytest.mark.parametrize("content_type", ["application/json", "text/json"])
def test_a_form_under_a_json_type_is_not_json(server, content_type):
    """L-3."""
    assert server.form(json.dumps(HANDSHAKE), content_type=content_type).status == 400


def test_json_that_holds_a_form_is_json(server, client):
    """L-3: only a body that begins with ``message=`` is a form."""
    call = server.post(publish(client, "message=1"), content_type="text/plain")
    assert call.messages[0]["successful"] is True


@pytest.mark.parametrize("texts", [
    ['{"channel":"/1"}', '{"channel":"/2"}', '{"channel":"/3"}'],
    ['[{"channel":"/1"},{"channel":"/2"},{"channel":"/3"}]'],
    ['[{"channel":"/1"},{"channel":"/2"}]', '{"channel":"/3"}'],
    ['{"channel":"/1"}', '[{"channel":"/2"},{"channel":"/3"}]'],
    ['[{"channel":"/1"}]', "[]", '[{"channel":"/2"}]', '[{"channel":"/3"}]'],
])
def test_all_message_fields_of_a_form_are_one_batch_in_their_order(server, texts):
    """L-3, J-1: one or several, each one message or an array."""
    assert [message["channel"] for message in server.form(*texts).messages] == ["/1", "/2", "/3"]
    target = "/bayeux?jsonp=f&" + "&".join("message=" + quote(text) for text in texts)
    script = server.send(method=b"GET", target=target.encode())
    assert [message["channel"] for message in script.messages] == ["/1", "/2", "/3"]


def test_one_bad_field_of_a_form_refuses_all_of_it(server, client):
    """M-3, L-3: nothing of it was processed."""
    texts = [json.dumps(publish(client, channel="/news")), "nonsense"]
    assert server.form(*texts).status == 400
    assert server.post(connect(client, advice={"timeout": 0})).message["channel"] == "/meta/connect"


@pytest.mark.parametrize("encoded, text", [
    (b"a+b", "a b"), (b"a%20b", "a b"), (b"a%2Bb", "a+b"), (b"Zo%C3%AB", "Zoë"), (b"Zo\xc3\xab", "Zoë"),
    (b"1%3D2=3", "1=2=3"),
])
def test_a_form_is_percent_decoded_as_utf8_and_plus_is_a_blank(server, client, encoded, text):
    """L-4."""
    body = b'x=1&message={"channel":"/news","clientId":"%b","data":"%b"}&y' % (client.encode(), encoded)
    call = server.send(body, content_type="application/x-www-form-urlencoded")
    assert call.messages[1]["data"] == text


@pytest.mark.parametrize("body", [b"", b"x=1", b"Message=[]", b"message", b"message=", b"message=%5B%5D"])
def test_a_form_without_a_message_is_refused(server, body):
    """L-4, M-4."""
    assert server.send(body, content_type="application/x-www-form-urlencoded").status == 400


def test_a_form_that_names_a_callback_is_answered_as_json(server):
    """L-4, J-6."""
    body = b"jsonp=cb&message=" + quote(json.dumps(HANDSHAKE)).encode()
    call = server.send(body, target=b"/bayeux?jsonp=cb", content_type="application/x-www-form-urlencoded")
    assert call.headers["content-type"] == "application/json;charset=UTF-8"
    assert call.reply.body.startswith(b"[")


@pytest.mark.parametrize("content_type", [
    "multipart/form-data; boundary=x", "application/octet-stream", "text/html", "application/jsonx", "json",
    "application/json;charset=iso-8859-1", "text/plain; charset=UTF-16",
    "application/x-www-form-urlencoded; charset=latin1",
])
def test_another_type_or_charset_is_refused(server, content_type):
    """L-3, M-9."""
    assert server.post(HANDSHAKE, content_type=content_type).status == 415
    assert len(server.hub.sessions) == 0


# -- requests and responses: L-1, L-2, L-5 to L-12 ------------------------------------------------


@pytest.mark.parametrize("target", [b"/", b"/bayeux/", b"/bayeux/handshake", b"/bayeux/connect?x", b"/a/b/c"])
def test_the_path_has_no_meaning(server, target):
    """L-1."""
    assert server.post(HANDSHAKE, target=target).message["successful"] is True


@pytest.mark.parametrize("method", [b"HEAD", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"post", b"BREW"])
def test_other_methods_are_refused_and_process_nothing(server, method):
    """L-2."""
    target = b"/bayeux?message=" + quote(json.dumps(HANDSHAKE)).encode()
    call = server.post(HANDSHAKE, method=method, target=target)
    assert (call.status, call.headers["allow"]) == (405, "POST, GET, OPTIONS")
    assert len(server.hub.sessions) == 0


def test_a_response_is_an_array_of_json_with_its_headers(server):
    """L-5, L-6."""
    call = server.post(HANDSHAKE)
    assert call.headers == {
        "content-type": "application/json;charset=UTF-8",
        "cache-control": "no-cache, no-store", "pragma": "no-cache", "expires": "0",
        "x-content-type-options": "nosniff", "x-accel-buffering": "no",
    }
    assert call.reply.body.startswith(b"[{")
    assert call.reply.close is False


@pytest.mark.parametrize("body, status", [(b"nonsense", 400), (b"[" + b" " * 2_000 + b"]", 413)])
def test_an_error_is_plain_text_that_is_neither_cached_nor_sniffed(body, status):
    """L-6, G-23, G-30."""
    call = Server(max_body=1_000).send(body, content_type="application/json")
    assert call.status == status
    assert call.headers["content-type"] == "text/plain; charset=utf-8"
    assert call.headers["cache-control"] == "no-cache, no-store"
    assert call.headers["x-content-type-options"] == "nosniff"


def test_refusals_are_counted_by_status(server):
    """Q-11."""
    server.send(b"nonsense", content_type="application/json")
    server.post(HANDSHAKE, method=b"PUT")
    server.post(HANDSHAKE, origin="http://evil.example")
    assert server.hub.metrics.refused == {400: 1, 405: 1, 403: 1}


@pytest.mark.parametrize("message", [
    connect("nobody"), subscribe("nobody"), publish("nobody"), publish(None), disconnect("nobody"),
    {"channel": "/meta/nonsense"}, {"channel": "nonsense"}, {"channel": "/meta/handshake"}, {},
])
@pytest.mark.parametrize("send", [Server.post, Server.get])
def test_no_processed_batch_is_answered_by_an_empty_one(server, send, message):
    """L-7, E-4: one reply and status 200, whatever is wrong with the message."""
    assert send(server, message).message["successful"] is False


def test_a_connect_with_company_is_not_held(server, client):
    """K-10, L-10."""
    call = server.post(connect(client, id="1"), subscribe(client, "/a", id="2"))
    assert [message["id"] for message in call.messages] == ["1", "2"]


def test_a_connect_with_company_in_another_form_field_is_not_held(server, client):
    """K-10, L-3."""
    assert server.form(json.dumps(connect(client)), json.dumps(subscribe(client, "/a"))).answered


def test_other_requests_are_answered_while_a_connect_is_held(server, client):
    """L-12, P-2: and one that concerns nobody leaves it held."""
    held = server.hold(client)
    assert server.post(subscribe(client, "/b")).message["successful"] is True
    assert server.post(publish(client, channel="/nobody")).message["successful"] is True
    server.turn()
    assert not held.answered


def test_an_event_releases_the_held_connect_at_the_end_of_the_turn(server, client):
    """K-7a, D-8: all events of the turn go in one response."""
    held = server.hold(client)
    server.hub.publish("/news", 1)
    server.hub.publish("/news", 2)
    assert not held.answered
    server.turn()
    assert held.messages == [event(1), event(2), {
        "channel": "/meta/connect", "id": "held", "clientId": client, "successful": True,
        "advice": FULL_ADVICE,
    }]


def test_a_held_connect_is_answered_when_its_time_is_up(server, client):
    """K-11, A-3."""
    held = server.hold(client)
    server.clock.advance(29.9)
    assert not held.answered
    server.clock.advance(0.1)
    assert held.message["successful"] is True
    assert held.message["advice"] == FULL_ADVICE


def test_the_first_connect_is_answered_at_once(server):
    """K-6."""
    assert server.post(connect(server.handshake())).message["successful"] is True


def test_a_publish_of_another_client_comes_with_the_held_connect(server, client):
    """P-10, D-1."""
    held = server.hold(client)
    server.post(publish(server.client(), {"a": [1]}, ext={"token": "secret"}, id="7"))
    server.turn()
    assert held.messages[0] == event({"a": [1]})


# -- JSONP: J-1 to J-11 ---------------------------------------------------------------------------


def test_a_get_is_answered_by_a_script(server):
    """J-1, J-4, J-5."""
    call = server.get(HANDSHAKE, jsonp="cb")
    assert call.status == 200
    assert call.headers["content-type"] == "text/javascript; charset=utf-8"
    assert call.headers["content-disposition"] == "attachment; filename=f.txt"
    assert call.headers["x-content-type-options"] == "nosniff"
    assert call.headers["cache-control"] == "no-cache, no-store"
    assert call.reply.body.startswith(b'/**/cb([{"channel":"/meta/handshake"')
    assert call.reply.body.endswith(b"]);")


@pytest.mark.parametrize("target", [b"/bayeux", b"/bayeux?", b"/bayeux?jsonp=cb", b"/bayeux?messages=[]"])
def test_a_get_without_a_message_is_refused(server, target):
    """J-1."""
    assert server.send(method=b"GET", target=target).status == 400


def test_the_callback_has_a_name_by_default(server):
    """J-2."""
    assert server.get(HANDSHAKE, jsonp=None).reply.body.startswith(b"/**/jsonpcallback([")


@pytest.mark.parametrize("name", ["a", "$", "_", "a1", "dojo.io.script.jsonp_dojoIoScript1._jsonpCallback",
                                  "window.$._0", "a" * 64, "a." * 31 + "ab"])
def test_a_callback_may_be_a_dotted_name_of_64_characters(server, name):
    """J-3, G-20."""
    assert server.get(HANDSHAKE, jsonp=name).reply.body.startswith(b"/**/%b([" % name.encode())


@pytest.mark.parametrize("name", [
    "", "1", "a-b", "a b", "a(", "alert(1)//", "a[0]", ".a", "a.", "a..b", "a.1", "a\n", "a\r", "a;b", "é",
    "a\x00", "</script>", "a" * 65, "a." * 32 + "a",
])
def test_another_callback_is_refused_and_nothing_is_processed(server, name):
    """J-3, G-20."""
    call = server.get(HANDSHAKE, jsonp=name)
    assert call.status == 400
    assert call.headers["content-type"].startswith("text/plain")
    assert len(server.hub.sessions) == 0


def test_two_callbacks_are_refused(server):
    """J-3."""
    target = b"/bayeux?jsonp=a&message=" + quote(json.dumps(HANDSHAKE)).encode()
    assert server.send(method=b"GET", target=target).status == 200
    assert server.send(method=b"GET", target=target + b"&jsonp=a").status == 400


def test_a_response_never_begins_with_what_the_request_says(server):
    """J-4, G-31: a callback that is the head of a Flash file does not make the response one."""
    rosetta = "CWSMIKI0hCD0Up0IZUnnnnnnnnnnnnnnnnnnUU5nnnnnn3Snn7iiudIbEAt333sw"
    assert len(rosetta) == 64
    assert server.get(HANDSHAKE, jsonp=rosetta).reply.body.startswith(b"/**/CWS")


def test_line_separators_in_a_script_are_escaped(server, client):
    """J-4: U+2028 and U+2029 would end a line of the script; elsewhere they are relayed as they came."""
    text = "a\u2028b\u2029c"
    body = json.dumps([publish(client, text)], ensure_ascii=False).encode()
    assert text.encode() in server.send(body, content_type="application/json").reply.body
    server.hub.publish("/news", text)
    script = server.get(connect(client))
    assert b"a\\u2028b\\u2029c" in script.reply.body
    assert text not in script.reply.body.decode()
    assert script.messages[0]["data"] == text


@pytest.mark.parametrize("jsonp", ["cb", None, "", "a-b"])
def test_a_get_never_yields_bare_json(server, client, jsonp):
    """J-6."""
    server.hub.publish("/news", "private")
    call = server.get(connect(client), jsonp=jsonp)
    assert call.reply.body.startswith(b"/**/") or call.status == 400


def test_only_errors_of_the_envelope_are_errors_of_http(server):
    """J-7, E-4."""
    assert server.get(connect("nobody")).message["error"] == "402:nobody:Unknown client ID"
    assert server.send(method=b"GET", target=b"/bayeux?jsonp=cb&message=nonsense").status == 400


def test_over_callback_polling_events_come_with_connects_only(server, client):
    """J-8, D-7b."""
    server.hub.publish("/news", 1)
    assert server.get(publish(client, 2)).message["channel"] == "/news"
    messages = server.get(connect(client, advice={"timeout": 0})).messages
    assert [message.get("data") for message in messages] == [1, 2, None]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_request_target_has_its_limit(method):
    """J-9, G-20: at the limit it is accepted, one byte more is 414."""
    server = Server(max_url=300)
    body = json.dumps([HANDSHAKE]).encode()
    start = b"/bayeux?message=" + quote(body).encode() + b"&x="
    target = start + b"x" * (300 - len(start))
    for extra, status in ((b"", 200), (b"x", 414)):
        assert server.send(body, method=method, target=target + extra,
                           content_type="application/json").status == status
    assert len(server.hub.sessions) == 1


def test_a_request_target_of_8_kib_is_accepted(server):
    """J-9."""
    start = b"/bayeux?jsonp=cb&message=" + quote(json.dumps(HANDSHAKE)).encode() + b"&x="
    assert server.send(method=b"GET", target=start + b"x" * (8_192 - len(start))).status == 200


def test_callback_polling_can_be_switched_off():
    """J-10."""
    server = Server(connection_types=("long-polling",))
    call = server.get(HANDSHAKE)
    assert (call.status, call.headers["allow"]) == (405, "POST, OPTIONS")
    assert len(server.hub.sessions) == 0
    assert server.post(HANDSHAKE).message["supportedConnectionTypes"] == ["long-polling"]


@pytest.mark.parametrize("message, error", [
    (publish(None), "401::No client ID"),
    (subscribe(None), "401::No client ID"),
    (connect(None), "401::No client ID"),
])
def test_a_cookie_alone_authorises_nothing_over_jsonp(server, message, error):
    """J-11."""
    cookie = server.post(HANDSHAKE).reply.cookies[0].decode().partition(";")[0]
    assert server.get(message, cookie=cookie).message["error"] == error


# -- errors reflect nothing: G-23 -----------------------------------------------------------------


@pytest.mark.parametrize("request_", [
    {"method": b"GET", "target": b"/bayeux?message=MARK&jsonp=MARK"},
    {"method": b"GET", "target": b"/bayeux?message=[]&jsonp=MARK-"},
    {"method": b"GET", "target": b"/bayeux?MARK=MARK"},
    {"method": b"MARK"},
    {"body": b"MARK", "content_type": "application/json"},
    {"body": b"message=MARK", "content_type": "application/x-www-form-urlencoded"},
    {"body": b"[]", "content_type": "MARK/MARK"},
    {"body": b"[]", "content_type": "application/json; charset=MARK"},
    {"body": b"MARK" * 300},
    {"target": b"/MARK" * 300},
    {"body": b"[]", "origin": "http://MARK.example"},
    {"method": b"OPTIONS", "origin": "http://MARK.example", "access_control_request_method": "POST"},
])
def test_an_error_says_nothing_that_the_request_said(request_):
    """G-23, J-3."""
    call = Server(max_url=1_000, max_body=1_000).send(**request_)
    assert call.status >= 400
    assert b"MARK" not in call.reply.body
    assert "MARK" not in str(call.headers)


# -- origins: O-1 to O-6 --------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [
    {},
    {"origin": "http://example.org"},
    {"origin": "https://example.org", "secure": True},
    {"origin": "http://example.org:8080", "host": "example.org:8080"},
    {"origin": "http://example.org", "host": "Example.ORG"},
    {"origin": "http://[::1]:8080", "host": "[::1]:8080"},
    {"sec_fetch_site": "same-origin"},
    {"sec_fetch_site": "none"},
    {"origin": "http://example.org", "sec_fetch_site": "same-origin"},
    {"referer": "http://evil.example/"},
])
def test_the_own_origin_is_allowed(server, headers):
    """O-1, O-6; O-5: ``Referer`` says nothing."""
    assert server.post(HANDSHAKE, **headers).message["successful"] is True


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "https://example.org"},
    {"origin": "http://example.org", "secure": True},
    {"origin": "http://example.org:8080"},
    {"origin": "http://example.org", "host": "example.org:8080"},
    {"origin": "http://example.org.evil.example"},
    {"origin": "http://example.org/"},
    {"origin": "http://example.org, http://evil.example"},
    {"origin": "null"},
    {"origin": "http://evil.example", "referer": "http://example.org/"},
    {"origin": "http://evil.example", "x_forwarded_host": "evil.example"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"origin": "http://evil.example", "sec_fetch_site": "same-origin"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
def test_another_origin_is_refused_before_anything_is_processed(server, client, headers, content_type):
    """O-1, O-4, O-5, O-6, O-8: text/plain needs no preflight, so this check is all there is."""
    held = server.hold(client)
    call = server.post(publish(client, "forged"), content_type=content_type, **headers)
    assert call.status == 403
    assert not [name for name in call.headers if name.startswith("access-control")]
    server.turn()
    assert not held.answered


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_form_and_a_script_of_another_origin_are_refused_too(server, headers):
    """O-4."""
    assert server.form(json.dumps(HANDSHAKE), **headers).status == 403
    assert server.get(HANDSHAKE, **headers).status == 403
    assert len(server.hub.sessions) == 0


def test_the_origin_is_looked_at_before_everything_else(server):
    """O-4: a foreign page does not even learn what the server thinks of its request."""
    for bad in ({"method": b"PUT"}, {"target": b"/" * 9_000}, {"body": b"nonsense"}, {"method": b"OPTIONS"}):
        assert server.send(**bad, origin="http://evil.example").status == 403


ALLOWED = "https://www.example.com"


@pytest.fixture
def open_server():
    return Server(allowed_origins=(ALLOWED,), max_body=1_000, max_url=1_000)


def assert_cors(call, origin=ALLOWED):
    assert call.headers["access-control-allow-origin"] == origin
    assert call.headers["access-control-allow-credentials"] == "true"
    assert call.headers["vary"] == "Origin"


@pytest.mark.parametrize("send", [Server.post, Server.get])
def test_an_allowed_origin_is_told_so(open_server, send):
    """O-1, O-3."""
    call = send(open_server, HANDSHAKE, origin=ALLOWED, sec_fetch_site="cross-site")
    assert call.message["successful"] is True
    assert_cors(call)


def test_to_allow_one_origin_allows_no_other(open_server):
    """O-1."""
    assert open_server.post(HANDSHAKE, origin="https://www.example.com:8443").status == 403
    assert open_server.post(HANDSHAKE, origin="http://example.org").status == 200


@pytest.mark.parametrize("status, request_", [
    (400, {"body": b"nonsense", "content_type": "application/json"}),
    (400, {"method": b"GET"}),
    (405, {"method": b"PUT"}),
    (413, {"body": b" " * 1_001}),
    (414, {"target": b"/" * 1_001}),
    (415, {"body": b"[]", "content_type": "text/html"}),
])
def test_errors_carry_the_cors_headers_as_well(open_server, status, request_):
    """O-3."""
    call = open_server.send(**request_, origin=ALLOWED)
    assert call.status == status
    assert_cors(call)


def test_a_superseded_connect_carries_the_cors_headers_as_well(open_server):
    """O-3, K-12."""
    client = open_server.client()
    held = open_server.hold(client, origin=ALLOWED)
    open_server.hold(client, origin=ALLOWED)
    assert held.status == 409
    assert_cors(held)


def test_a_held_connect_carries_the_cors_headers(open_server):
    """O-3."""
    held = open_server.hold(open_server.client(), origin=ALLOWED)
    open_server.clock.advance(30)
    assert_cors(held)


def test_a_preflight_of_an_allowed_origin(open_server):
    """O-2."""
    call = open_server.send(method=b"OPTIONS", origin=ALLOWED, access_control_request_method="POST",
                            access_control_request_headers="content-type")
    assert (call.status, call.reply.body) == (204, b"")
    assert_cors(call)
    assert call.headers["access-control-allow-methods"] == "POST, GET, OPTIONS"
    assert call.headers["access-control-allow-headers"] == (
        "Accept, Authorization, Content-Type, Pragma, X-Requested-With")
    assert call.headers["access-control-max-age"] == "86400"


@pytest.mark.parametrize("more", [{}, {"origin": ALLOWED, "access_control_request_method": "POST"}])
def test_an_answer_without_a_body_is_not_sniffed_either(open_server, more):
    """G-30: on every response."""
    call = open_server.send(method=b"OPTIONS", **more)
    assert (call.status, call.headers["x-content-type-options"]) == (204, "nosniff")


def test_a_preflight_allows_the_headers_that_are_configured():
    """O-2."""
    call = Server(allowed_origins=(ALLOWED,), allowed_headers=("X-Tenant",)).send(
        method=b"OPTIONS", origin=ALLOWED, access_control_request_method="POST")
    assert call.headers["access-control-allow-headers"].endswith(", X-Tenant")


def test_a_preflight_of_another_origin_is_refused(open_server):
    """O-2."""
    call = open_server.send(method=b"OPTIONS", origin="http://evil.example",
                            access_control_request_method="POST")
    assert call.status == 403
    assert not [name for name in call.headers if name.startswith("access-control")]


def test_options_that_are_no_preflight_name_the_methods(server):
    """L-2, O-2."""
    call = server.send(method=b"OPTIONS")
    assert (call.status, call.headers["allow"]) == (204, "POST, GET, OPTIONS")


def test_a_star_makes_the_server_public_but_the_origin_is_still_named():
    """O-1, O-3: browsers refuse a star where cookies are sent."""
    call = Server(allowed_origins=("*",)).post(HANDSHAKE, origin="http://anywhere.example")
    assert_cors(call, "http://anywhere.example")


def test_the_origin_null_is_allowed_where_it_is_listed():
    """O-5."""
    assert_cors(Server(allowed_origins=("null",)).post(HANDSHAKE, origin="null"), "null")


def test_the_origin_null_is_not_allowed_by_a_star():
    """O-5: only if listed literally; a sandboxed frame is nobody."""
    assert Server(allowed_origins=("*",)).post(HANDSHAKE, origin="null").status == 403
    assert Server(allowed_origins=("*", "null")).post(HANDSHAKE, origin="null").status == 200


def test_an_origin_can_be_required():
    """O-6."""
    server = Server(require_origin=True)
    assert server.post(HANDSHAKE).status == 403
    assert server.post(HANDSHAKE, origin="http://example.org").status == 200


def test_a_script_of_another_site_is_answered_where_other_sites_are_allowed(open_server, server):
    """O-6: browsers send no Origin with a script, so JSONP can be told no better."""
    assert open_server.get(HANDSHAKE, sec_fetch_site="cross-site").message["successful"] is True
    assert open_server.post(HANDSHAKE, sec_fetch_site="cross-site").status == 403
    assert server.get(HANDSHAKE, sec_fetch_site="cross-site").status == 403


def test_behind_a_proxy_the_own_origin_is_the_public_url():
    """O-8."""
    server = Server(public_url="https://public.example")
    assert server.post(HANDSHAKE, host="10.0.0.7:8080", origin="https://public.example").status == 200
    assert server.post(HANDSHAKE, host="10.0.0.7:8080", origin="http://10.0.0.7:8080").status == 403


# -- the browser's cookie: B-1, B-2 ---------------------------------------------------------------


def browser_of(call):
    (cookie,) = call.reply.cookies
    name, _, value = cookie.decode().partition(";")[0].partition("=")
    assert name == BROWSER
    return value


def test_a_handshake_sets_the_cookie(server):
    """B-1, H-18."""
    (cookie,) = server.post(HANDSHAKE).reply.cookies
    pair, *attributes = cookie.decode().split("; ")
    assert pair.startswith("BAYEUX_BROWSER=")
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax"]


def test_the_cookie_is_new_and_long_each_time(server):
    """B-1: at least 128 random bits, of 62 characters."""
    values = {browser_of(server.post(HANDSHAKE)) for _ in range(50)}
    assert len(values) == 50
    assert min(map(len, values)) >= 22
    assert all(value.isascii() and value.isalnum() for value in values)


def test_a_handshake_over_jsonp_sets_the_cookie(server):
    """H-18."""
    assert browser_of(server.get(HANDSHAKE))


def test_a_browser_that_has_the_cookie_keeps_it(server):
    """B-1."""
    browser = browser_of(server.post(HANDSHAKE))
    assert server.post(HANDSHAKE, cookie=f"a=b; {BROWSER}={browser}; c=d").reply.cookies == ()


@pytest.mark.parametrize("value", [
    "", "short", "a" * 15, "a" * 65, "a" * 20 + "<", "a" * 20 + "é", "a b" * 10])
def test_a_cookie_that_is_not_well_formed_is_replaced(server, value):
    """B-1."""
    assert browser_of(server.post(HANDSHAKE, cookie=f"{BROWSER}={value}")) != value


def test_another_cookie_is_not_taken_for_it(server):
    """B-1."""
    cookie = f"NOT_{BROWSER}={'a' * 27}; x={BROWSER}={'a' * 27}"
    assert browser_of(server.post(HANDSHAKE, cookie=cookie)) != "a" * 27


def test_nothing_but_a_successful_handshake_sets_the_cookie(server, client):
    """B-1, P-9."""
    for message in (connect(client, advice={"timeout": 0}), subscribe(client), publish(client), publish(None),
                    disconnect(client), {**HANDSHAKE, "version": "0.1"}):
        assert server.post(message).reply.cookies == ()


@pytest.mark.parametrize("settings, secure", [
    ({}, True), ({"public_url": "https://public.example"}, False),
])
def test_over_https_the_cookie_is_secure(settings, secure):
    """B-1."""
    (cookie,) = Server(**settings).post(HANDSHAKE, secure=secure).reply.cookies
    assert cookie.endswith(b"; Secure")


def test_everything_about_the_cookie_can_be_set():
    """B-1."""
    (cookie,) = Server(
        cookie_name="Bayeux_HTTP_ID", cookie_path="/comet", cookie_domain="example.org", cookie_max_age=3600,
        cookie_same_site="None", cookie_partitioned=True,
    ).post(HANDSHAKE).reply.cookies
    name, *attributes = cookie.decode().split("; ")
    assert name.startswith("Bayeux_HTTP_ID=")
    assert sorted(attributes) == [
        "Domain=example.org", "HttpOnly", "Max-Age=3600", "Partitioned", "Path=/comet", "SameSite=None"]


def test_the_cookie_need_not_say_same_site():
    """B-1."""
    (cookie,) = Server(cookie_same_site="").post(HANDSHAKE).reply.cookies
    assert b"SameSite" not in cookie


EVERY_KIND = [connect, subscribe, publish, disconnect]


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("send", [Server.post, Server.get])
def test_another_browser_cannot_use_the_session(server, client, kind, send):
    """B-2, E-13."""
    reply = send(server, kind(client), cookie=f"{BROWSER}={'x' * 27}").message
    assert reply["error"] == f"402:{client}:Unknown client ID"
    assert "clientId" not in reply
    assert reply.get("advice") == ({"reconnect": "handshake", "interval": 0} if kind is connect else None)
    server.hold(client)  # it is still there, and its browser's


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_the_browser_of_the_session_can_use_it(server, kind):
    """B-2."""
    first = server.post(HANDSHAKE)
    message = kind(first.message["clientId"])
    assert server.post(message, cookie=f"{BROWSER}={browser_of(first)}").messages[0]["successful"] is True


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_client_without_cookies_can_use_its_session(server, kind):
    """B-2."""
    assert server.post(kind(server.handshake())).messages[0]["successful"] is True


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_the_cookie_can_be_required(kind):
    """B-2."""
    server = Server(require_browser_cookie=True)
    first = server.post(HANDSHAKE)
    client = first.message["clientId"]
    assert server.post(kind(client)).message["error"].startswith("402:")
    cookie = f"{BROWSER}={browser_of(first)}"
    assert server.post(kind(client), cookie=cookie).messages[0]["successful"] is True


# -- several sessions of one browser: B-3 to B-7 --------------------------------------------------


COOKIE = f"{BROWSER}={'b' * 27}"


def full(server, count=4):
    """Let one browser hold as many connects as it may; return its sessions and their calls."""
    clients = [server.client("/news", f"/only/{number}", cookie=COOKIE) for number in range(count)]
    return {client: server.hold(client, cookie=COOKIE) for client in clients}


def test_the_fifth_connect_of_a_browser_is_not_held(server):
    """B-4: it is answered at once, and told to poll."""
    full(server)
    client = server.client(cookie=COOKIE)
    assert server.post(connect(client, id="8"), cookie=COOKIE).message == {
        "channel": "/meta/connect", "id": "8", "clientId": client, "successful": True,
        "advice": {"reconnect": "retry", "interval": 2000, "timeout": 30_000, "multiple-clients": True},
    }


def test_who_is_over_the_limit_still_gets_events_when_it_polls(server):
    """B-4, K-9."""
    full(server)
    client = server.client("/mine", cookie=COOKIE)
    server.hub.publish("/mine", 1)
    assert server.post(connect(client), cookie=COOKIE).messages[0] == event(1, "/mine")


def test_who_is_over_the_limit_does_not_expire_between_its_polls(server):
    """B-4, Q-3: this cycle's interval counts."""
    full(server)
    client = server.client(cookie=COOKIE)
    server.post(connect(client), cookie=COOKIE)
    server.clock.advance(11)  # max_interval alone is 10
    assert server.post(connect(client), cookie=COOKIE).message["successful"] is True


@pytest.mark.parametrize("interval", [0, -1])
def test_who_is_over_the_limit_can_be_turned_away(interval):
    """B-4."""
    server = Server(multi_session_interval=interval)
    full(server)
    reply = server.post(connect(server.client(cookie=COOKIE)), cookie=COOKIE).message
    assert reply["successful"] is False
    assert reply["error"].startswith("403:")
    assert reply["advice"]["reconnect"] == "none"
    assert reply["advice"]["multiple-clients"] is True


def test_held_connects_are_counted_not_sessions(server):
    """B-3."""
    for _ in range(10):
        server.client(cookie=COOKIE)
    full(server)


def test_other_browsers_are_counted_by_themselves(server):
    """B-3."""
    full(server)
    other = f"{BROWSER}={'c' * 27}"
    server.hold(server.client(cookie=other), cookie=other)


def test_sessions_without_a_cookie_are_not_counted_together(server):
    """B-7."""
    for _ in range(10):
        server.hold(server.client())


@pytest.mark.parametrize("limit", [1, 2, 6])
def test_the_limit_can_be_set(limit):
    """B-4."""
    server = Server(max_sessions_per_browser=limit)
    full(server, limit)
    assert server.post(connect(server.client(cookie=COOKIE)), cookie=COOKIE).answered


def test_a_negative_limit_is_none():
    """B-4."""
    full(Server(max_sessions_per_browser=-1), 20)


def _superseded(server, client, holds):
    """A newer connect takes the place, then goes as well."""
    server.hold(client, cookie=COOKIE).lost()


def _timeout(server, client, holds):
    """The first one's time is up, while the others have come again in between."""
    server.clock.advance(15)
    for other in holds:
        if other != client:
            server.hold(other, cookie=COOKIE)
    server.clock.advance(15)


ENDS = {
    "event": lambda server, client, holds: (server.hub.publish("/only/0", 1), server.turn()),
    "timeout": _timeout,
    "superseded": _superseded,
    "client disconnects": lambda server, client, holds: server.post(disconnect(client), cookie=COOKIE),
    "server disconnects": lambda server, client, holds: server.hub.sessions.get(client).disconnect(),
    "connection lost": lambda server, client, holds: holds[client].lost(),
    "made way": lambda server, client, holds: holds[client].make_way(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_every_end_of_a_hold_makes_room_for_one_more(server, end):
    """B-5: who is held then gets the ordinary advice again."""
    holds = full(server)
    end(server, next(iter(holds)), holds)
    fifth, sixth = server.client("/news", cookie=COOKIE), server.client(cookie=COOKIE)
    held = server.hold(fifth, cookie=COOKIE)
    assert server.post(connect(sixth), cookie=COOKIE).message["advice"]["multiple-clients"] is True
    server.hub.publish("/news", 1)
    server.turn()
    assert held.messages[-1]["advice"] == FULL_ADVICE


def test_a_newer_connect_of_the_same_session_does_not_count_twice(server):
    """B-6."""
    for client in full(server):
        server.hold(client, cookie=COOKIE)


def test_no_browser_is_remembered_when_its_holds_have_ended(server):
    """B-5: the counts themselves do not leak."""
    for call in full(server).values():
        call.lost()
    assert not server.hub.sessions.holds.by_browser


# -- a superseded connect: K-12 -------------------------------------------------------------------


def test_a_newer_connect_supersedes_the_held_one(server, client):
    """K-12: 409, an empty body, hence no advice."""
    old = server.hold(client)
    new = server.hold(client)
    assert (old.status, old.reply.body) == (409, b"")
    assert not new.answered


def test_the_superseded_status_can_be_set():
    """K-12b."""
    server = Server(superseded_status=500)
    client = server.client()
    old = server.hold(client)
    server.hold(client)
    assert (old.status, old.reply.body) == (500, b"")


def test_events_go_to_the_newer_connect(server, client):
    """K-12a: also those that the held one was about to be answered with."""
    old = server.hold(client)
    server.hub.publish("/news", 1)
    new = server.post(connect(client))
    assert (old.status, old.reply.body) == (409, b"")
    assert new.messages[0] == event(1)
    server.turn()


def test_a_connect_that_is_not_held_supersedes_too(server, client):
    """K-12e."""
    old = server.hold(client)
    assert server.post(connect(client, advice={"timeout": 0})).message["successful"] is True
    assert old.status == 409


def test_a_connect_of_another_session_supersedes_nothing(server, client):
    """K-12."""
    held = server.hold(client)
    server.hold(server.client())
    assert not held.answered


# -- making way: K-15, K-16 -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [subscribe, publish])
@pytest.mark.parametrize("send", [Server.post, Server.get])
def test_another_message_releases_a_connect_held_over_callback_polling(server, client, kind, send):
    """K-15."""
    held = server.get(connect(client, id="1"))
    assert not held.answered
    send(server, kind(client, channel="/other"))
    assert (held.message["id"], held.message["successful"]) == ("1", True)
    assert held.message["advice"] == FULL_ADVICE


def test_a_message_of_another_client_does_not(server, client):
    """K-15."""
    held = server.get(connect(client))
    server.post(subscribe(server.client()))
    assert not held.answered


def test_bytes_behind_a_held_connect_release_it(server, client):
    """K-16: empty and successful."""
    held = server.hold(client)
    held.make_way()
    assert held.message == {"channel": "/meta/connect", "id": "held", "clientId": client, "successful": True,
                            "advice": FULL_ADVICE}


def test_a_released_connect_cannot_be_released_again(server, client):
    """K-16: bytes that go on coming do nothing to the next one."""
    held = server.hold(client)
    held.make_way()
    again = server.hold(client)
    held.make_way()
    assert not again.answered


def test_bytes_behind_a_request_that_an_application_thinks_about_change_nothing(server, client):
    """K-16."""
    answer = Deferred()
    server.hub.service("/service/slow", lambda session, data: answer)
    call = server.post(publish(client, channel="/service/slow"))
    call.make_way()
    assert not call.answered
    answer.callback("done")
    assert call.messages[1]["data"] == "done"


# -- lost carriers: N-1, D-13, Q-2 ----------------------------------------------------------------


def test_events_wait_for_a_client_whose_connection_is_lost(server, client):
    """N-1, D-13."""
    held = server.hold(client)
    held.lost()
    server.hub.publish("/news", 1)
    server.turn()
    assert not held.answered
    assert server.post(connect(client)).messages[0] == event(1)


def test_events_that_were_about_to_be_sent_wait_as_well(server, client):
    """D-13: the connection goes after the publish, in the same turn."""
    held = server.hold(client)
    server.hub.publish("/news", 1)
    held.lost()
    server.turn()
    assert not held.answered
    assert server.post(connect(client)).messages[0] == event(1)


def test_expiry_starts_when_the_connection_is_lost(server, client):
    """Q-2c, Q-8: max_interval later, within two sweeps."""
    held = server.hold(client)
    server.clock.advance(20)
    held.lost()
    server.clock.advance(9.9)
    assert len(server.hub.sessions) == 1
    server.clock.advance(2.1)
    assert len(server.hub.sessions) == 0


def test_the_loss_of_an_old_connection_does_not_touch_a_newer_connect(server, client):
    """N-4, Q-5."""
    old = server.hold(client)
    new = server.hold(client)
    old.lost()
    server.clock.advance(20)
    server.hub.publish("/news", 1)
    server.turn()
    assert new.messages[0] == event(1)


def test_a_lost_connection_is_counted(server, client):
    """Q-11."""
    server.hold(client).lost()
    assert server.hub.metrics.carriers_lost == 1


# -- applications that take their time ------------------------------------------------------------


class Slow(Policy):
    """Says nothing until it is asked to; one Deferred for each question."""

    def __init__(self, *questions):
        self.questions = questions
        self.asked = []

    def _ask(self, question):
        if question not in self.questions:
            return True
        self.asked.append(Deferred())
        return self.asked[-1]

    def can_handshake(self, message, link):
        return self._ask("handshake")

    def can_subscribe(self, session, pattern, message, link):
        return self._ask("subscribe")

    def can_publish(self, session, channel, message, link):
        return self._ask("publish")

    def say(self, verdict):
        self.asked.pop(0).callback(verdict)


@pytest.mark.parametrize("verdict", [True, False])
def test_a_handshake_is_answered_when_the_policy_has_decided(verdict):
    """H-2, E-14; B-1: the cookie comes with it."""
    policy = Slow("handshake")
    call = Server(policy).post(HANDSHAKE)
    assert not call.answered
    policy.say(verdict)
    assert call.message["successful"] is verdict
    assert len(call.reply.cookies) == verdict


def test_a_batch_goes_on_when_the_policy_has_decided():
    """M-12, L-10, W-21: in order, and the events of it as D-8 says."""
    policy = Slow("publish")
    server = Server(policy)
    client = server.client("/news")
    call = server.post(publish(client, 1, id="1"), connect(client, id="2"), publish(client, 2, id="3"))
    policy.say(True)
    assert not call.answered
    policy.say(True)
    assert [message.get("id", message.get("data")) for message in call.messages] == ["1", 1, 2, "2", "3"]


def test_a_slow_batch_delays_nobody_else():
    """L-12, D-14."""
    server = Server(Slow("publish"))
    client = server.client("/news")
    server.post(publish(client))
    assert server.post(subscribe(client, "/b")).message["successful"] is True
    held = server.hold(client)
    server.hub.publish("/news", 1)
    server.turn()
    assert held.messages[0] == event(1)


def test_a_handshake_whose_connection_is_lost_leaves_no_session_for_ever():
    """H-17, N-7."""
    policy = Slow("handshake")
    server = Server(policy)
    call = server.post(HANDSHAKE)
    call.lost()
    policy.say(True)
    assert not call.answered
    server.clock.advance(12)
    assert len(server.hub.sessions) == 0


def test_a_publish_whose_connection_is_lost_is_delivered_nevertheless(server):
    """N-8, P-10: only its reply is lost."""
    policy = Slow("publish")
    server = Server(policy)
    held = server.hold(server.client("/news"))
    call = server.post(publish(server.client(), 1))
    call.lost()
    policy.say(True)
    server.turn()
    assert not call.answered
    assert held.messages[0] == event(1)


def test_a_subscribe_whose_connection_is_lost_is_effective_nevertheless():
    """N-7, S-6."""
    policy = Slow()
    server = Server(policy)
    client = server.client()
    policy.questions = ("subscribe",)
    call = server.post(subscribe(client, "/news"))
    call.lost()
    policy.say(True)
    assert server.hub.publish("/news", 1) == 1
    assert server.post(connect(client)).messages[0] == event(1)


def test_what_a_service_answers_to_a_lost_connection_waits_for_the_next_connect(server, client):
    """D-13, V-4."""
    answer = Deferred()
    server.hub.service("/service/slow", lambda session, data: answer)
    call = server.post(publish(client, channel="/service/slow"))
    call.lost()
    answer.callback("done")
    assert not call.answered
    assert server.post(connect(client)).messages[0]["data"] == "done"


def test_a_service_that_fails_after_the_connection_is_lost_harms_nobody(server, client, logged_errors):
    """E-26, E-32."""
    answer = Deferred()
    server.hub.service("/service/slow", lambda session, data: answer)
    call = server.post(publish(client, channel="/service/slow"))
    call.lost()
    answer.errback(ZeroDivisionError())
    assert not call.answered
    assert logged_errors.pop().type is ZeroDivisionError
    server.hold(client)


def test_a_service_that_refuses_says_why(server, client):
    """E-16: an error of the protocol is told as it is."""
    answer = Deferred()
    server.hub.service("/service/slow", lambda session, data: answer)
    call = server.post(publish(client, channel="/service/slow"))
    answer.errback(BayeuxError(429, "Too many requests"))
    assert call.message["error"] == "429::Too many requests"


def test_a_service_that_is_a_coroutine_is_waited_for(server, client):
    """V-2, V-3."""
    answer = Deferred()

    @server.hub.service("/service/slow")
    async def slow(session, data):
        return [data, await answer]

    call = server.post(publish(client, "question", "/service/slow", id="7"))
    assert not call.answered
    answer.callback("answer")
    assert call.messages == [
        {"channel": "/service/slow", "id": "7", "successful": True},
        {"channel": "/service/slow", "id": "7", "data": ["question", "answer"]},
    ]


@pytest.mark.parametrize("verdicts", [0, 1])
@pytest.mark.parametrize("batch", [
    [connect, publish, publish], [publish, connect, publish], [publish, publish, connect],
], ids=lambda batch: "+".join(kind.__name__ for kind in batch))
def test_a_session_expires_whose_connection_is_lost_in_the_middle_of_a_batch(batch, verdicts):
    """Q-2c, N-1: no session is left for ever, wherever the connect is in the batch."""
    policy = Slow("publish")
    server = Server(policy)
    client = server.client("/news")
    call = server.post(*[kind(client) for kind in batch])
    for _ in range(verdicts):
        policy.say(True)
    call.lost()
    for _ in range(2 - verdicts):
        policy.say(True)
    server.clock.advance(12)
    assert len(server.hub.sessions) == 0


def test_events_of_a_batch_whose_connection_was_lost_wait_for_the_next_connect():
    """D-13."""
    policy = Slow("publish")
    server = Server(policy)
    client = server.client("/news")
    call = server.post(connect(client), publish(client, 1))
    call.lost()
    policy.say(True)
    assert not call.answered
    assert server.post(connect(client)).messages[0] == event(1)


# -- limits: G-1, G-5 -----------------------------------------------------------------------------


def test_a_body_has_its_limit():
    """G-1: at the limit it is accepted; one byte more is 413, and the connection is closed."""
    server = Server(max_body=1_000)
    body = json.dumps([HANDSHAKE]).encode().ljust(1_000)
    assert server.send(body, content_type="application/json").status == 200
    call = server.send(body + b" ", content_type="application/json")
    assert (call.status, call.reply.close) == (413, True)
    assert len(server.hub.sessions) == 1


def test_the_limit_of_a_body_is_a_mebibyte(server):
    """G-1."""
    body = json.dumps([HANDSHAKE]).encode()
    assert server.send(body.ljust(2**20), content_type="application/json").status == 200
    assert server.send(body.ljust(2**20 + 1), content_type="application/json").status == 413


@pytest.mark.parametrize("send", [
    lambda server, messages: server.post(*messages),
    lambda server, messages: server.form(*map(json.dumps, messages)),
    lambda server, messages: server.form(json.dumps(messages[:50]), json.dumps(messages[50:])),
], ids=["json", "fields", "arrays in fields"])
def test_a_batch_has_its_limit(server, client, send):
    """G-5: 100 messages; of one more nothing is processed."""
    messages = [publish(client, number, "/news") for number in range(101)]
    assert len(send(server, messages[:100]).messages) == 200
    assert send(server, messages).status == 400
    assert server.post(connect(client, advice={"timeout": 0})).message["channel"] == "/meta/connect"


# -- order in a response: D-8 ---------------------------------------------------------------------


KINDS = ("connect", "publish", "subscribe")
BATCHES = [order for length in (1, 2, 3) for order in permutations(KINDS, length)]
TRANSPORTS = {
    "direct": ({}, Server.post),
    "connect-only": ({"meta_connect_deliver_only": True}, Server.post),
    "callback-polling": ({}, Server.get),
}


@pytest.mark.parametrize("batch", BATCHES, ids="+".join)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_events_go_before_the_connect_reply_or_else_after_the_last_reply(transport, batch):
    """D-8, D-6, D-7, P-11: replies in request order; events, in their order, where they may go at all."""
    settings, send = TRANSPORTS[transport]
    server = Server(**settings)
    client = server.client("/news")
    server.hub.publish("/news", "before")
    messages = {"connect": connect(client), "publish": publish(client, "own"),
                "subscribe": subscribe(client, "/b")}
    events = ["before", "own"] if "publish" in batch else ["before"]
    expected = []
    for kind in batch:
        expected += [*events, kind] if kind == "connect" else [kind]
    if "connect" not in batch and transport == "direct":
        expected += events
    answer = send(server, *[messages[kind] for kind in batch])
    replies = {"/meta/connect": "connect", "/meta/subscribe": "subscribe", "/news": "publish"}
    assert [message["data"] if "data" in message else replies[message["channel"]]
            for message in answer.messages] == expected


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_handshake_reply_stands_alone(server, client, position):
    """D-8, H-9, H-10: wherever it is in its batch; nothing else of it is processed."""
    server.hub.publish("/news", "before")
    batch = [publish(client, "own"), subscribe(client, "/b")]
    batch.insert(position, HANDSHAKE)
    assert server.post(*batch).message["channel"] == "/meta/handshake"
    assert server.post(connect(client)).messages[0] == event("before")


def test_events_of_a_held_connect_go_before_its_reply(server, client):
    """D-8, D-9."""
    held = server.hold(client)
    for number in range(3):
        server.post(publish(server.client(), number))
    server.turn()
    *events, reply = held.messages
    assert [message["data"] for message in events] == [0, 1, 2]
    assert reply["channel"] == "/meta/connect"


def test_no_event_comes_with_a_disconnect(server, client):
    """X-2, X-7: the queue goes with the session, and what comes after it is of nobody."""
    server.hub.publish("/news", 1)
    gone, late = server.post(disconnect(client), publish(client)).messages
    assert (gone["successful"], late["error"]) == (True, f"402:{client}:Unknown client ID")


# -- the end: K-14, X-6, Q-10 ---------------------------------------------------------------------


def test_a_disconnect_releases_the_held_connect(server, client):
    """K-14, X-3."""
    held = server.hold(client)
    server.post(disconnect(client))
    assert held.message["successful"] is True
    assert held.message["advice"] == {"reconnect": "none", "interval": 0, "timeout": 30_000}


def test_a_disconnect_by_the_server_is_told_to_the_held_connect(server, client):
    """X-6."""
    held = server.hold(client)
    server.hub.sessions.get(client).disconnect()
    assert held.messages[0] == {"channel": "/meta/disconnect", "successful": True}
    assert held.messages[1]["advice"]["reconnect"] == "none"


def test_a_stop_answers_held_connects_and_closes_their_connections(server, client):
    """Q-10."""
    held = server.hold(client)
    server.hub.close()
    assert held.message["successful"] is False
    assert held.message["error"] == "503::Server too busy"
    assert held.message["advice"]["reconnect"] == "handshake"
    assert 0 <= held.message["advice"]["interval"] <= 5_000
    assert held.reply.close is True


# -- a connect that an extension thinks about -------------------------------------------------------


class Thoughtful(Extension):
    """Lets connects wait."""

    def __init__(self):
        self.verdicts = []

    def incoming(self, call):
        if call.message.channel != "/meta/connect":
            return None
        self.verdicts.append(Deferred())
        return self.verdicts[-1]


@pytest.fixture
def thinking():
    """A server with a slow extension, and a client of it that is past its first connect."""
    server = Server()
    client = server.client()
    server.slow = Thoughtful()
    server.hub.add_extension(server.slow)
    return server, client


def test_a_connect_is_held_when_an_extension_has_let_it_in(thinking):
    """K-7: it may be some time before it is known whether it is to be held."""
    server, client = thinking
    server.post(subscribe(client))
    call = server.post(connect(client))
    server.slow.verdicts[0].callback(None)
    assert not call.answered
    server.hub.publish("/news", "hi")
    server.clock.advance(0)
    assert [message["channel"] for message in call.messages] == ["/news", "/meta/connect"]


def test_a_connect_lost_while_an_extension_thinks_is_not_held_afterwards(thinking):
    """N-1: the session waits for its client, and then expires."""
    server, client = thinking
    call = server.post(connect(client))
    call.lost()
    server.slow.verdicts[0].callback(None)
    assert len(server.hub.sessions.holds) == 0
    server.clock.advance(12)
    assert len(server.hub.sessions) == 0
    assert not call.answered


def test_a_connect_lost_while_an_extension_thinks_takes_nothing_from_the_next(thinking):
    """N-4: its client has connected again meanwhile, and waits there."""
    server, client = thinking
    server.post(subscribe(client))
    lost, newer = server.post(connect(client)), server.post(connect(client))
    lost.lost()
    server.slow.verdicts[1].callback(None)
    server.slow.verdicts[0].callback(None)
    assert not newer.answered
    server.hub.publish("/news", "hi")
    server.clock.advance(0)
    assert newer.messages[0] == event("hi")
