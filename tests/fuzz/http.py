"""The HTTP door: whatever comes, what goes out is HTTP, and a connection is as open as it says."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from bayeux.transports import HTTPRequest
from bayeux.web.parser import BadRequest, RequestParser, Stage
from bayeux.web.site import BayeuxSite
from tests.fakenet import HANDSHAKE, Wire, post
from tests.fuzz.net import CLIENT, Peers, pieces

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2}) [A-Za-z -]+")
_HEADER = re.compile(rb"[A-Za-z-]+: ?[\t -~\x80-\xff]*")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answers:
    """What a server has sent by one connection; raises ``AssertionError`` for what is not HTTP."""

    def __init__(self, output: bytes) -> None:
        self.statuses: list[int] = []
        self.closes = False
        """Whether the last response says that the connection ends with it."""
        self.is_stream = False
        """Whether something else than HTTP follows."""
        while output:
            assert not self.closes, f"more after the end: {output[:100]!r}"
            output = output.removeprefix(_CONTINUE)
            if output and not self.is_stream:
                output = self._read(output)
            elif self.is_stream:
                return

    def _read(self, output: bytes) -> bytes:
        head, blank, rest = output.partition(b"\r\n\r\n")
        assert blank, f"half a head: {output[:100]!r}"
        line, *lines = head.split(b"\r\n")
        found = _STATUS.fullmatch(line)
        assert found, line
        status = int(found[2])
        assert all(_HEADER.fullmatch(line) for line in lines), head
        fields = [line.partition(b":") for line in lines]
        headers = {name.lower(): value.strip() for name, _, value in fields}
        repeated = len(fields) - len(headers)
        assert repeated == 0, head
        self.statuses.append(status)
        if status == 101 or headers.get(b"content-type") == b"text/event-stream":
            self.is_stream = True
            return rest
        assert headers[b"x-content-type-options"] == b"nosniff", head  # G-30
        self.closes = headers.get(b"connection", b"").lower() == b"close" or found[1] == b"0"
        if status == 204:
            assert b"content-length" not in headers
            return rest
        assert b"transfer-encoding" not in headers
        size = int(headers[b"content-length"])
        if not rest or rest.startswith(b"HTTP/1."):
            return rest  # it was a HEAD, or there is nothing
        assert len(rest) >= size, f"half a body: {output[:200]!r}"
        _check_body(status, headers, rest[:size])
        return rest[size:]


def _check_body(status: int, headers: dict[bytes, bytes], body: bytes) -> None:
    """See that a body is what its type says."""
    kind = headers[b"content-type"]
    if kind.startswith(b"application/json"):
        messages = json.loads(body)
    elif kind.startswith(b"text/javascript") and b"content-disposition" in headers:
        script = re.fullmatch(rb"/\*\*/[A-Za-z0-9_$.]{1,64}\((.*)\);", body, re.DOTALL)
        assert script, body
        assert b"\xe2\x80\xa8" not in body
        messages = json.loads(script[1])
    else:
        assert status != 200 or kind.startswith(b"text/javascript"), (status, kind)
        return
    assert messages, body
    assert all(isinstance(message, dict) and "channel" in message for message in messages), body


Told = tuple[bytes, bytes, dict[str, str], bytes]


def told(request: HTTPRequest) -> Told:
    """Return what a request says."""
    return (request.method, request.target, {name: request.header(name) for name in request.header.names()},
            request.body)


def one_by_one(data: bytes, site: BayeuxSite) -> tuple[list[Told], bool]:
    """Return the requests in a stream, up to the first that is none, the last, or for something else.

    Also says whether no request may be answered behind them.
    """
    found: list[Told] = []
    while True:
        data = data.removeprefix(b"\r\n")
        parser = RequestParser(site.settings)
        try:
            data = parser.feed(data)
        except BadRequest:
            return found, False  # twisted.web may be asked, for something else
        if parser.stage is not Stage.COMPLETE or not site.is_ours(parser.target):
            return found, False
        request = parser.request("", False)
        found.append(told(request))
        if not request.keep_alive:
            return found, True


class HTTPDoor(Peers):
    """A stream of requests, and of what is none."""

    name = "http"
    settings: ClassVar = {"max_body": 2_000, "max_header_bytes": 3_000, "max_headers": 20, "max_url": 1_000,
                          "max_chunks": 50, "trusted_proxies": ("192.0.2.7",)}

    def __init__(self) -> None:
        self._taken: list[Told] = []
        self._heard: dict[Wire, bytes] = {}
        super().__init__()

    def talk(self, data: bytes) -> bytes:
        """Send requests, and see that each is understood by itself, whatever came before it."""
        data = data.replace(CLIENT, self.anybody.encode())
        wire, self._taken = self.net.open(), []
        for piece in pieces(data):
            wire.send(piece)
        output = wire.take()
        model, ended = one_by_one(data, self.net.site)
        count = min(len(model), len(self._taken))  # some may wait, or be for twisted.web and then for us
        assert self._taken[:count] == model[:count], (self._taken, model)
        assert not ended or len(self._taken) == count, (self._taken, model)
        assert Answers(output).closes or not wire.closed, output
        self._heard[wire] = output
        return output

    def _begin(self) -> None:
        super()._begin()
        endpoint = self.net.site.endpoint
        answer = endpoint.answer

        def watched(request: HTTPRequest) -> Any:
            self._taken.append(told(request))
            return answer(request)

        endpoint.answer = watched

    def wait(self) -> None:
        """Let what is held be answered, and what is incomplete be cut; who is left is alive."""
        self.net.advance(31)
        heard, self._heard = self._heard, {}
        for wire, before in heard.items():
            answers = Answers(before + wire.take())
            if answers.closes:
                assert wire.closed, before
            elif not answers.is_stream and not wire.closed:
                wire.send(b"\r\n" + post(HANDSHAKE))
                assert Answers(wire.take()).statuses == [200], before
