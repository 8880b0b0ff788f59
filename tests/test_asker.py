"""The asker, by real HTTP to a site that does as a test says; time is the test's too."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import hmac
import ipaddress
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher

from bayeux import Settings, SettingsError
from bayeux.metrics import Metrics
from bayeux.web.asker import Answer, Asker, Unanswered
from tests.test_resource import condition, connections

QUESTION = b'{"action":"handshake"}'
YES = b'{"allow":true}'
NO = b'{"allow":false}'


def response(body: bytes = YES, status: str = "200 OK", **headers: str) -> bytes:
    """Return the bytes of an HTTP response."""
    headers = {"content_length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items() if value)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


@dataclass
class Request:
    """One request as it came, on a connection that the test may write to."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: Connection

    def answer(self, data: bytes | None = None, close: bool = False) -> None:
        self.connection.transport.write(response() if data is None else data)
        if close:
            self.connection.transport.loseConnection()

    def hang_up(self) -> None:
        self.connection.transport.loseConnection()


class Connection(Protocol):
    """The site's end of a connection."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.data = b""
        self.lost = False

    def connectionMade(self) -> None:
        self.site.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        head, blank, body = self.data.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        if blank and len(body) == int(headers["content-length"]):
            self.data = b""
            request = Request(line, headers, body, self)
            self.site.requests.append(request)
            self.site.act(request)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class Site(Factory):
    """A site whose answers a test gives: at once by ``act``, or later."""

    noisy = False

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.requests: list[Request] = []
        self.act: Callable[[Request], None] = lambda request: None
        self.ports: list[Any] = []

    def buildProtocol(self, address: Any) -> Connection:
        return Connection(self)

    async def listen(self, endpoint: Any = None) -> int:
        port = await (endpoint or TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")).listen(self)
        self.ports.append(port)
        return port.getHost().port

    def always(self, data: bytes, close: bool = False) -> None:
        """Answer every question so from now on."""
        self.act = lambda request: request.answer(data, close)

    async def asked(self, count: int) -> None:
        """Wait until so many questions have come, in all."""
        await condition(lambda: len(self.requests) >= count)


class World:
    """An asker and a site."""

    def __init__(self, site: Site, port: int, scheme: str = "http", path: str = "/may",
                 **settings: Any) -> None:
        self.site, self.port = site, port
        self.clock = Clock()
        self.metrics = Metrics()
        self.settings = Settings(authorize_url=f"{scheme}://127.0.0.1:{port}{path}", **settings)
        self.asker = Asker(self.settings, self.clock, self.metrics, wall=lambda: 1_700_000_000.9)

    def ask(self, question: bytes = QUESTION, **headers: str) -> Deferred[Answer]:
        return self.asker.ask(question, headers)

    async def kind(self) -> str:
        """Ask, and return what kind of failure that is."""
        with pytest.raises(Unanswered) as error:
            await self.ask()
        assert self.metrics.authorize_answers[error.value.kind] == 1
        return error.value.kind


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    yield site
    for port in site.ports:
        await port.stopListening()
    for connection in site.connections:
        if not connection.lost:
            connection.transport.abortConnection()
    await condition(lambda: not connections())


Make = Callable[..., Any]


@pytest_twisted.async_yield_fixture
async def make(site: Site) -> AsyncIterator[Make]:
    """Make an asker of a site that listens; close it after the test."""
    worlds: list[World] = []

    async def make(endpoint: Any = None, **more: Any) -> World:
        worlds.append(World(site, await site.listen(endpoint), **more))
        return worlds[-1]

    yield make
    for world in worlds:
        await world.asker.close()
        assert len(world.asker) == 0
        assert world.clock.getDelayedCalls() == []


@pytest.fixture
def log() -> Iterator[list[str]]:
    said: list[str] = []

    def observe(event: Any) -> None:
        if not (line := formatEvent(event)).startswith(("Site starting", "(TCP Port")):  # the test's own
            said.append(line)

    globalLogPublisher.addObserver(observe)
    yield said
    globalLogPublisher.removeObserver(observe)


# -- questions and answers --------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_question_is_posted_as_json(site: Site, make: Make) -> None:
    world = await make(path="/may?by=live")
    site.always(response())
    assert await world.ask(**{"Cookie": "session=caf\xe9", "X-Forwarded-For": "192.0.2.7"}) == Answer(True)
    [request] = site.requests
    assert request.line == "POST /may?by=live HTTP/1.1"
    assert request.body == QUESTION
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{world.port}"
    assert request.headers["cookie"] == "session=caf\xe9"
    assert request.headers["x-forwarded-for"] == "192.0.2.7"
    assert request.headers["user-agent"].startswith("txbayeux/")
    assert not any(name.startswith("x-bayeux") for name in request.headers)
    assert (world.metrics.authorize_asked, world.metrics.authorize_answers) == (1, {"allowed": 1})


@pytest.mark.parametrize(("body", "answer"), [
    (YES, Answer(True)),
    (NO, Answer(False)),
    (b'{"allow":true,"user":"ann","more":[1]}', Answer(True, user="ann")),
    (b'\n{ "allow": false, "reason": "Members only" }\n', Answer(False, "Members only")),
    (b'{"allow":true,"reason":null,"user":null}', Answer(True)),
])
@pytest_twisted.ensureDeferred
async def test_an_answer(site: Site, make: Make, body: bytes, answer: Answer) -> None:
    world = await make()
    site.always(response(body))
    assert await world.ask() == answer


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
@pytest.mark.parametrize("body", [b"", YES, b"<p>Log in first", b"x" * 10_000])
@pytest_twisted.ensureDeferred
async def test_a_status_that_is_a_no_whatever_the_body_says(site: Site, make: Make, status: str,
                                                          body: bytes) -> None:
    world = await make()
    site.always(response(body, status))
    assert await world.ask() == Answer(False)
    assert world.metrics.authorize_answers == {"denied": 1}


@pytest.mark.parametrize("data", [
    response(b"4\r\n{\"al\r\na\r\nlow\":true}\r\n0\r\n\r\n", content_length="", transfer_encoding="chunked"),
    response(gzip.compress(YES), content_encoding="gzip"),
], ids=["chunked", "gzip"])
@pytest_twisted.ensureDeferred
async def test_an_answer_in_another_coding(site: Site, make: Make, data: bytes) -> None:
    world = await make()
    site.always(data)
    assert await world.ask() == Answer(True)


@pytest_twisted.ensureDeferred
async def test_an_answer_that_ends_with_its_connection(site: Site, make: Make) -> None:
    """As those of small development servers do, in HTTP/1.0."""
    world = await make()
    site.always(b"HTTP/1.0 200 OK\r\n\r\n" + YES, close=True)
    assert await world.ask() == Answer(True)


@pytest_twisted.ensureDeferred
async def test_a_signature_is_over_time_and_body(site: Site, make: Make, tmp_path: Path) -> None:
    """Y-4: the key is the text of the file, as it stands."""
    secret = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text(secret + "\n")
    world = await make(authorize_secret_file=str(tmp_path / "key"))
    site.always(response())
    await world.ask()
    [request] = site.requests
    assert request.headers["x-bayeux-timestamp"] == "1700000000"
    expected = hmac.new(secret.encode(), b"1700000000." + QUESTION, hashlib.sha256).hexdigest()
    assert request.headers["x-bayeux-signature"] == f"sha256={expected}"
    howto = Path(__file__).parent.parent / "docs/howto/ask-the-application.rst"
    for part in (secret, "1700000000", QUESTION.decode(), expected):
        assert f"``{part}``" in howto.read_text()


@pytest_twisted.ensureDeferred
async def test_a_cookie_that_the_site_sets_goes_with_nobody_elses_question(site: Site, make: Make) -> None:
    """Or the next client would be taken for the one before."""
    world = await make()
    site.always(response(set_cookie="session=ann; Path=/"))
    await world.ask()
    await world.ask()
    await world.ask(Cookie="session=bo")
    assert [request.headers.get("cookie") for request in site.requests] == [None, None, "session=bo"]


# -- answers that are none: every kind is a failure, and counted ---------------------------------------


@pytest.mark.parametrize("status", [
    "201 Created", "204 No Content", "301 Moved", "302 Found", "307 Temporary Redirect", "400 Bad Request",
    "404 Not Found", "500 Internal Server Error", "502 Bad Gateway",
])
@pytest_twisted.ensureDeferred
async def test_any_other_status(site: Site, make: Make, status: str) -> None:
    world = await make()
    body = b"" if status.startswith("204") else YES
    site.always(response(body, status, location=f"http://127.0.0.1:{world.port}/elsewhere"))
    assert await world.kind() == "status"
    assert len(site.requests) == 1  # a redirect is not followed: it could lead anywhere


@pytest.mark.parametrize("body", [
    b"", b"true", b"null", b"[]", b"{}", b"allow", b'{"allow":"true"}', b'{"allow":1}', b'{"allow":null}',
    b'{"Allow":true}', b'{"allow":true', b'{"allow":true}{}', b'{"allow":true,"user":5}',
    b'{"allow":true,"reason":["x"]}', b'[{"allow":true}]', b'{"allow":true,"user":"\xff"}', b"\xff\xfe",
    b'{"allow":true,"deep":' + b"[" * 4000, b'{"allow":true,"user":"\\ud800"}',
])
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_not_as_it_should_be(site: Site, make: Make, body: bytes) -> None:
    world = await make()
    site.always(response(body))
    assert await world.kind() == "malformed"


@pytest.mark.parametrize("data", [
    b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 yes\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    response(content_length="50"), response(content_length="", transfer_encoding="chunked", body=b"zz\r\n"),
], ids=["another protocol", "status", "length", "cut short", "chunk"])
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_no_http(site: Site, make: Make, data: bytes) -> None:
    world = await make()
    site.always(data, close=True)
    assert await world.kind() == "unreachable"


@pytest.mark.parametrize("body", [b"no gzip, as it says", gzip.compress(YES)[:20], b"\x1f\x8b"],
                         ids=["not at all", "in part", "hardly"])
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_not_compressed_as_it_says(site: Site, make: Make, body: bytes) -> None:
    world = await make()
    site.always(response(body, content_encoding="gzip"))
    assert await world.kind() == "malformed"


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("kind", ["length", "chunked", "gzip"])
@pytest_twisted.ensureDeferred
async def test_an_answer_at_the_limit_and_one_past_it(site: Site, make: Make, kind: str, close: bool) -> None:
    world = await make(authorize_max_answer=1000)

    def answer(length: int) -> bytes:
        body = YES + b" " * (length - len(YES))
        if kind == "chunked":
            chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
            return response(chunks + b"0\r\n\r\n", content_length="", transfer_encoding="chunked")
        if kind == "gzip":
            return response(gzip.compress(body), content_encoding="gzip")
        return response(body)

    site.always(answer(1000), close)
    assert await world.ask() == Answer(True)
    for excess in (1, 100):
        site.always(answer(1000 + excess), close)
        with pytest.raises(Unanswered, match="authorize_max_answer"):
            await world.ask()
    assert world.metrics.authorize_answers == {"allowed": 1, "too_large": 2}


@pytest_twisted.ensureDeferred
async def test_an_answer_without_end_is_not_read_on(site: Site, make: Make) -> None:
    world = await make(authorize_max_answer=1000)

    def pour(request: Request) -> None:
        request.answer(response(content_length=str(10**12)))

    site.act = pour
    asking = world.ask()
    await site.asked(1)
    [request] = site.requests
    request.answer(b" " * 1000)
    with pytest.raises(Unanswered) as error:
        await asking
    assert error.value.kind == "too_large"
    await condition(lambda: request.connection.lost)


@pytest_twisted.ensureDeferred
async def test_a_site_that_is_not_there(site: Site, make: Make) -> None:
    world = await make()
    await site.ports.pop().stopListening()
    assert await world.kind() == "unreachable"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", response(content_length="50")],
                         ids=["nothing", "half a head", "half a body"])
@pytest_twisted.ensureDeferred
async def test_a_site_that_takes_too_long(site: Site, make: Make, answer: bytes) -> None:
    """It is hung up on, as it might never stop."""
    world = await make(authorize_timeout=3)
    site.always(answer)
    asking = world.ask()
    await site.asked(1)
    await condition(lambda: answer == b"" or connections())
    world.clock.advance(2.9)
    assert not asking.called
    world.clock.advance(0.1)
    with pytest.raises(Unanswered) as error:
        await asking
    assert error.value.kind == "timeout"
    assert world.metrics.authorize_answers == {"timeout": 1}
    await condition(lambda: site.requests[0].connection.lost)


# -- connections ------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_connection_is_used_again(site: Site, make: Make) -> None:
    world = await make()
    for status in ("200 OK", "403 Forbidden", "200 OK"):
        site.always(response(status=status))
        await world.ask()
    assert (len(site.requests), len(site.connections)) == (3, 1)


@pytest_twisted.ensureDeferred
async def test_as_many_connections_are_kept_as_there_are_questions_at_once(site: Site, make: Make) -> None:
    world = await make(authorize_concurrency=5)
    for round_ in (1, 2):
        asking = [world.ask() for _ in range(5)]
        await site.asked(5 * round_)
        for request in site.requests[-5:]:
            request.answer()
        for each in asking:
            assert await each == Answer(True)
    assert len(site.connections) == 5


@pytest_twisted.ensureDeferred
async def test_a_connection_that_is_idle_is_closed(site: Site, make: Make) -> None:
    world = await make()
    site.always(response())
    await world.ask()
    world.clock.advance(4)
    await condition(lambda: site.connections[0].lost)
    assert await world.ask() == Answer(True)


@pytest_twisted.ensureDeferred
async def test_a_connection_that_the_site_closes_is_no_failure(site: Site, make: Make) -> None:
    """It closes idle ones after a time of its own, just when the next question is on its way."""
    world = await make()
    site.always(response())
    await world.ask()

    def close_the_first(request: Request) -> None:
        request.answer() if request.connection is site.connections[-1] and len(site.connections) > 1 \
            else request.hang_up()

    site.act = close_the_first
    assert await world.ask() == Answer(True)
    assert len(site.requests) == 3
    assert world.metrics.authorize_answers == {"allowed": 2}


@pytest_twisted.ensureDeferred
async def test_a_site_that_closes_every_connection_is_asked_twice_and_no_more(site: Site, make: Make) -> None:
    world = await make()
    site.act = Request.hang_up
    assert await world.kind() == "unreachable"
    assert len(site.requests) == 2


# -- bounds -----------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_so_many_questions_are_asked_at_once_and_the_rest_wait(site: Site, make: Make) -> None:
    world = await make(authorize_concurrency=2)
    asking = [world.ask(b"%d" % number) for number in range(5)]
    await site.asked(2)
    assert world.metrics.authorize_asked == 2
    site.requests[1].answer()
    await site.asked(3)
    assert world.metrics.authorize_asked == 3
    assert {request.body for request in site.requests} == {b"0", b"1", b"2"}  # as they came
    site.requests[0].answer()
    site.requests[2].answer()
    await site.asked(5)
    for request in site.requests[3:]:
        request.answer(response(NO))
    assert [(await each).allow for each in asking] == [True, True, True, False, False]
    assert len(site.connections) == 2


@pytest_twisted.ensureDeferred
async def test_so_many_wait_and_one_more_is_not_asked(site: Site, make: Make) -> None:
    world = await make(authorize_concurrency=1, authorize_queue=2)
    asking = [world.ask() for _ in range(3)]
    assert await world.kind() == "overflow"
    for count in (1, 2, 3):
        await site.asked(count)
        site.requests[-1].answer()
    assert [await each for each in asking] == [Answer(True)] * 3
    site.always(response())
    assert await world.ask() == Answer(True)


@pytest_twisted.ensureDeferred
async def test_where_none_may_wait(site: Site, make: Make) -> None:
    world = await make(authorize_concurrency=1, authorize_queue=0)
    asking = world.ask()
    assert await world.kind() == "overflow"
    await site.asked(1)
    site.requests[0].answer()
    assert await asking == Answer(True)


@pytest_twisted.ensureDeferred
async def test_waiting_for_a_turn_is_part_of_the_time(site: Site, make: Make) -> None:
    """A client is answered within it, however slow the site is."""
    world = await make(authorize_concurrency=1, authorize_timeout=3)
    first = world.ask()
    world.clock.advance(1)
    second = world.ask()
    await site.asked(1)
    world.clock.advance(2)
    with pytest.raises(Unanswered, match="within 3 seconds"):
        await first
    await site.asked(2)
    site.requests[1].answer()
    assert await second == Answer(True)


@pytest_twisted.ensureDeferred
async def test_a_question_whose_time_is_over_before_its_turn_is_not_asked(site: Site, make: Make) -> None:
    world = await make(authorize_concurrency=1, authorize_timeout=3)
    asking = [world.ask(), world.ask()]
    await site.asked(1)
    world.clock.advance(3)
    for each in asking:
        with pytest.raises(Unanswered):
            await each
    assert world.metrics.authorize_answers == {"timeout": 2}
    site.always(response())
    assert await world.ask() == Answer(True)
    assert world.metrics.authorize_asked <= 3


# -- the end ----------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_closing_gives_up_what_is_asked_and_what_waits(site: Site, make: Make, log: list[str]) -> None:
    world = await make(authorize_concurrency=1)
    asking = [world.ask() for _ in range(3)]
    await site.asked(1)
    closed = world.asker.close()
    for each in asking:
        with pytest.raises(Unanswered) as error:
            await each
        assert error.value.kind == "stopped"
    await closed
    assert world.metrics.authorize_asked == 1
    assert world.metrics.authorize_answers == {"stopped": 3}
    await condition(lambda: site.connections[0].lost)
    assert log == []


@pytest_twisted.ensureDeferred
async def test_closing_while_it_connects(site: Site, make: Make) -> None:
    world = await make()
    asking = world.ask()
    await world.asker.close()
    with pytest.raises(Unanswered):
        await asking
    assert site.requests == []


@pytest_twisted.ensureDeferred
async def test_closing_while_an_answer_comes(site: Site, make: Make) -> None:
    world = await make()
    site.always(response(content_length="50"))
    asking = world.ask()
    await site.asked(1)
    await condition(lambda: not site.requests[0].connection.transport.dataBuffer)
    await world.asker.close()
    with pytest.raises(Unanswered):
        await asking
    await condition(lambda: site.connections[0].lost)


@pytest_twisted.ensureDeferred
async def test_when_it_is_closed_it_asks_nothing_until_it_is_opened(site: Site, make: Make) -> None:
    world = await make()
    site.always(response())
    await world.ask()
    await world.asker.close()
    await condition(lambda: site.connections[0].lost)
    assert await world.kind() == "stopped"
    assert len(site.requests) == 1
    world.asker.open()
    assert await world.ask() == Answer(True)


@pytest_twisted.ensureDeferred
async def test_nothing_is_logged_while_all_is_well(site: Site, make: Make, log: list[str]) -> None:
    """Nor of connections that come and go."""
    world = await make()
    site.always(response(connection="close"))
    for _ in range(2):
        await world.ask()
    assert len(site.connections) == 2
    assert log == []


# -- what is told to the operator -------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_failures_are_logged_once_a_minute_without_secrets(site: Site, make: Make, log: list[str],
                                                                 caplog: pytest.LogCaptureFixture) -> None:
    """G-33: no cookie, no query."""
    caplog.set_level(logging.DEBUG)
    world = await make(path="/may?key=hidden")
    site.always(response(b"hidden", "302 Found", location="/login?hidden"))
    for _ in range(3):
        with pytest.raises(Unanswered):
            await world.ask(Cookie="session=hidden", Authorization="Bearer hidden")
    site.always(response(b"hidden"))
    world.clock.advance(60)
    for _ in range(2):
        with pytest.raises(Unanswered):
            await world.ask(Cookie="session=hidden")
    where = f"http://127.0.0.1:{world.port}/may cannot be asked who may do what, so nobody may"
    assert log == [f"{where}: it answers with status 302, instead of 200, 401 or 403",
                   f'{where}: its answer is not JSON like {{"allow": true}}']
    assert world.metrics.authorize_answers == {"status": 3, "malformed": 2}
    assert "hidden" not in caplog.text


@pytest_twisted.ensureDeferred
async def test_a_failure_is_explained(site: Site, make: Make, log: list[str]) -> None:
    world = await make()
    site.act = Request.hang_up
    await world.kind()
    world.clock.advance(60)
    await site.ports.pop().stopListening()
    with pytest.raises(Unanswered):
        await world.ask()
    assert log[0].endswith(": Connection was closed cleanly.")
    assert log[1].endswith(": Connection was refused by other side: 111: Connection refused.")


# -- the secret and https ---------------------------------------------------------------------------


def refusal(**settings: Any) -> str:
    with pytest.raises(SettingsError) as error:
        Asker(Settings(authorize_url="http://127.0.0.1/may", **settings), Clock(), Metrics())
    return str(error.value)


def test_a_secret_that_cannot_be_read(tmp_path: Path) -> None:
    file = str(tmp_path / "none")
    expected = f"authorize_secret_file: {file}: No such file or directory"
    assert refusal(authorize_secret_file=file) == expected
    assert refusal(authorize_secret_file="a\0b").startswith("authorize_secret_file: a\0b: ")


def test_a_secret_that_is_too_short(tmp_path: Path) -> None:
    """Y-4: at the limit, and one below it."""
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_text("x" * 31 + "\n")
    expected = f"authorize_secret_file: {file}: the secret has 31 characters and needs 32"
    assert refusal(authorize_secret_file=str(file)).startswith(expected)
    file.write_text("x" * 32)
    Asker(Settings(authorize_url="http://127.0.0.1/may", authorize_secret_file=str(file)), Clock(), Metrics())


def test_https_needs_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "twisted.internet.ssl", None)
    settings = Settings(authorize_url="https://127.0.0.1/may")
    with pytest.raises(SettingsError, match=r"authorize_url: https needs more: pip install 'txbayeux\[tls\]"):
        Asker(settings, Clock(), Metrics())


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Any, Path]:
    """Return a context for a TLS server with a certificate of its own, and the file that one would trust."""
    pytest.importorskip("OpenSSL", reason="needs the extra tls")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from twisted.internet.ssl import PrivateCertificate

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(hours=1))
    address = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))
    builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption())
    (tmp_path / "cert.pem").write_bytes(pem)
    return PrivateCertificate.loadPEM(private + pem).options(), tmp_path / "cert.pem"


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_nobody_vouches_for_is_refused(site: Site, make: Make,
                                                              certificate: tuple[Any, Path]) -> None:
    endpoint = SSL4ServerEndpoint(reactor, 0, certificate[0], interface="127.0.0.1")
    world = await make(endpoint, scheme="https")
    site.always(response())
    assert await world.kind() == "unreachable"
    assert site.requests == []


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_the_system_trusts(site: Site, make: Make, certificate: tuple[Any, Path],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    endpoint = SSL4ServerEndpoint(reactor, 0, certificate[0], interface="127.0.0.1")
    world = await make(endpoint, scheme="https")
    site.always(response())
    assert await world.ask() == Answer(True)
    assert await world.ask() == Answer(True)
    assert len(site.connections) == 1
