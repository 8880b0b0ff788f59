"""One HTTP/1 request, from its bytes to its values: llhttp reads it, and here is known where it ends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from sys import intern
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from bayeux.settings import Settings
from bayeux.transports import HTTPRequest

_MAX_CHUNK_LINE = 256
"""Bytes of the line that says how long a chunk is."""
_MAX_PIECES = 1_000
_REQUEST_LINE = re.compile(rb"\S+ \S+ HTTP/1\.[01]\r\n")
"""llhttp takes also what is for RTSP or Icecast, and other versions than these."""
_CHUNK_LENGTH = re.compile(rb"[0-9A-Fa-f]+(?=[;\r])")
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_SHORT = 32
"""Bytes of a target that many clients may have in common."""
_HIDDEN = b"upgrade-hidden"
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)(/[^#]*|\?[^#]*|)", re.IGNORECASE)


class BadRequest(Exception):
    """The bytes are no request that may be answered; ``status`` says what is wrong (G-1, G-4, G-20).

    ``limit`` is the setting that was exceeded, "" if none was.
    """

    def __init__(self, status: int, limit: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.limit = limit


class Stage(Enum):
    """How far a request has come."""

    HEAD = auto()
    BODY = auto()
    COMPLETE = auto()


class Head:
    """The line and headers of a request, known to be right.

    ``fields`` are the headers by lower-case name, several of one name being joined; where they have been
    let go of, in a connection that waits for its next request, they are looked for in the bytes.
    """

    __slots__ = ("data", "fields")

    def __init__(self, data: bytes, fields: dict[bytes, bytes]) -> None:
        self.data = data
        self.fields: dict[bytes, bytes] | None = fields

    def __call__(self, name: str) -> str:
        """Return a value as text, "" where there is none."""
        value = self._found().get(name.encode("ascii"))
        return "" if value is None else value.decode("latin-1")

    def names(self) -> list[str]:
        """Return all names."""
        return [name.decode("latin-1") for name in self._found()]

    def _found(self) -> dict[bytes, bytes]:
        if self.fields is not None:
            return self.fields
        fields: dict[bytes, bytes] = {}
        for line in self.data.split(b"\r\n")[1:-2]:
            name, _, value = line.partition(b":")
            _add(fields, name.lower(), value)
        return fields


def _add(fields: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    """Add a header to others (RFC 9110, 5.3; cookies are parted otherwise, RFC 9113, 8.2.3)."""
    value = value.strip(b" \t")
    if name in fields:
        value = fields[name] + (b"; " if name == b"cookie" else b", ") + value
    fields[name] = value


@lru_cache(maxsize=64)
def _shared(text: bytes) -> bytes:
    """Return the same object for the same bytes: connections keep it, and there are few different ones."""
    return text


@dataclass(slots=True)
class ReadRequest(HTTPRequest):
    """A request, and how it was sent: one that begins with the same bytes is the same but for its body."""

    size: int | None = None
    """Bytes of the whole; None if it may not be known again by its head."""
    version: str = ""
    """That of HTTP."""
    keep_alive: bool = False
    """Whether another may follow on the same connection."""

    @property
    def head(self) -> bytes:
        """Its line and headers, up to the blank line, as they came."""
        return cast(Head, self.header).data

    def shrink(self) -> None:
        """Keep in little memory what has been answered: the body may be large."""
        self.body = b""
        if self.size is not None:
            cast(Head, self.header).fields = None


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Split the target of a request into host and path; the host is empty unless it is named there.

    Whoever takes us for a proxy names it, and then it counts, whatever the Host header says (RFC 9112,
    3.2.2).
    """
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return b"", target
    host, path = absolute.groups()
    return host, path if path.startswith(b"/") else b"/" + path


class RequestParser:
    """Takes the bytes of one request, as they come, and leaves those of the next.

    llhttp does not say where a request ends; that is told by the blank line, the Content-Length, or the
    lengths of the chunks, all of which it checks.
    """

    __slots__ = ("_chunks", "_count", "_head", "_is_absolute", "_left", "_parser", "_pieces", "_settings",
                 "_size", "expects", "fields", "head", "keep_alive", "method", "stage", "target", "version")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._head = b""
        self._left = 0
        self._chunks: ChunkScanner | None = None
        self._is_absolute = False
        """Whether the target names a host, and so not the header."""
        self._size = 0
        self._count = 0
        self.stage = Stage.HEAD
        self.method = b""
        self.target = b""
        self.fields: dict[bytes, bytes] = {}
        """Headers by lower-case name, several of one name being joined."""
        self.head = b""
        """The line and headers, when they are complete."""
        self._pieces: list[bytes] = []
        self.version = ""
        """That of HTTP."""
        self.keep_alive = True
        self.expects = False
        """Whether the client waits to be asked for the body."""

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def request(self, address: str, secure: bool) -> ReadRequest:
        """Return what has come, from a peer of that IP address, by TLS or not."""
        body, again = self.body, self._chunks is None and not self._is_absolute
        return ReadRequest(
            _shared(self.method), _shared(self.target) if len(self.target) < _SHORT else self.target,
            Head(self.head, self.fields), body, address, secure,
            size=len(self.head) + len(body) if again else None,
            version=self.version, keep_alive=self.keep_alive)

    def feed(self, data: bytes) -> bytes:
        """Take bytes; returns those that come after the request.  Raises ``BadRequest``."""
        if self.stage is Stage.HEAD:
            data = self._feed_head(data)
        if self.stage is Stage.BODY:
            data = self._feed_body(data)
        if self.stage is Stage.COMPLETE:
            self._parser = None  # it knows this object: a cycle, which would be garbage with each request
        return data

    def _feed_head(self, data: bytes) -> bytes:
        head = self._head + data if self._head else data
        end = head.find(b"\r\n\r\n", max(0, len(self._head) - 3)) + 4
        limit = self._settings.max_header_bytes
        if end < 4 or end > limit:
            if len(head) > limit or end > limit:
                raise BadRequest(400 if b"\n" in head[:limit] else 414, "max_header_bytes")
            self._head = head
            if b"\n\n" in head:
                raise BadRequest(400)
            return b""
        self._head = b""
        self.head = head[:end]
        if _REQUEST_LINE.match(head) is None:
            raise BadRequest(400)
        self._parse(_hide_upgrade(self.head))
        self._check()
        if self.stage is Stage.HEAD:
            self._begin_body()
        return head[end:]

    def _check(self) -> None:
        """Refuse what llhttp leaves to its users (RFC 9112, 3.2 and 6.1)."""
        modern = self.version == "1.1"
        coding = self.fields.get(b"transfer-encoding")
        if modern and b"host" not in self.fields:
            raise BadRequest(400)
        if coding is not None and not (modern and coding.lower() == b"chunked"):
            raise BadRequest(400)
        host, self.target = split_target(self.target)
        if host:
            self.fields[b"host"] = host
            self._is_absolute = True
        elif not self.target.startswith((b"/", b"*")):
            raise BadRequest(400)

    def _begin_body(self) -> None:
        self.stage = Stage.BODY
        if b"transfer-encoding" in self.fields:
            self._chunks = ChunkScanner(self._settings.max_chunks)
        else:
            self._left = int(self.fields[b"content-length"])
            if self._left > self._settings.max_body:
                raise BadRequest(413, "max_body")
        self.expects = self.version == "1.1" and self.fields.get(b"expect", b"").lower() == b"100-continue"

    def _feed_body(self, data: bytes) -> bytes:
        if self._chunks is None:  # then there is nothing about it that could be wrong
            mine = data[:self._left]
            self._keep(mine)
            self._left -= len(mine)
            if not self._left:
                self.stage = Stage.COMPLETE
            return data[len(mine):]
        end = self._chunks.scan(data)
        self._parse(data[:end])
        if self._chunks.wrong:
            raise BadRequest(400)
        if self._chunks.left < 0:
            raise BadRequest(413, "max_chunks")
        return data[end:]

    def _keep(self, piece: bytes) -> None:
        """Add to the body; very many small pieces would take far more memory than it."""
        self._pieces.append(piece)
        if len(self._pieces) > _MAX_PIECES:
            self._pieces = [b"".join(self._pieces)]

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:  # CONNECT is an upgrade, to llhttp
            if isinstance(error.__context__, BadRequest):
                raise error.__context__ from None
            raise BadRequest(400) from None

    # -- what llhttp calls ----------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count += 1
        if self._count > self._settings.max_headers:
            raise BadRequest(400, "max_headers")
        if self.stage is Stage.BODY:
            return  # a trailer changes nothing about the request (RFC 9110, 6.5.1)
        name = name.lower()
        if name == b"host" and name in self.fields:
            raise BadRequest(400)
        _add(self.fields, b"upgrade" if name == _HIDDEN else name, value)

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self.method = self._parser.get_method()
        self.version = intern(self._parser.get_http_version())  # one text for all
        self.keep_alive = self.version == "1.1" and self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._keep(body)
        self._size += len(body)
        if self._size > self._settings.max_body:
            raise BadRequest(413, "max_body")

    def on_message_complete(self) -> None:
        self.stage = Stage.COMPLETE


def _hide_upgrade(head: bytes) -> bytes:
    """Keep an upgrade from llhttp, which would take it that no body follows.  Raises ``BadRequest``."""
    if b"upgrade" not in head.lower():
        return head
    if _HIDDEN in head.lower():
        raise BadRequest(400)
    return _UPGRADE.sub(b"\r\n%b:" % _HIDDEN, head)


class ChunkScanner:
    """Finds the end of a chunked body, however its bytes are cut; whether they are right is for llhttp."""

    __slots__ = ("_last", "_left", "_line", "left", "wrong")

    def __init__(self, most: int) -> None:
        self.left = most
        """How many chunks there may be yet; below zero: there are too many."""
        self._line = b""
        """What has come of a line."""
        self._left = 0
        """Bytes of the chunk, and of the line end behind it, that have yet to come."""
        self._last = False
        """Whether only trailers are to come."""
        self.wrong = False
        """Whether the body does not go on, since a line is too long or is no length."""

    def scan(self, data: bytes) -> int:
        """Return how many of these bytes belong to the body; fewer than all if it ends in them."""
        position = 0
        while position < len(data) and self.left >= 0:
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                position += step
                continue
            end = data.find(b"\n", position) + 1
            line = self._line + data[position:end or len(data)]
            if len(line) > _MAX_CHUNK_LINE or (end and not self._take(line)):
                self.wrong = True
                return position
            self._line = b"" if end else line
            position = end or len(data)
            if self._last and line == b"\r\n":
                return position
        return position

    def _take(self, line: bytes) -> bool:
        """Read a line, unless it is a trailer; says whether it may stand there."""
        if not self._last:
            length = _CHUNK_LENGTH.match(line)
            if length is None:
                return False
            size = int(length[0], 16)
            self.left -= 1
            self._last = size == 0
            self._left = size + 2 if size else 0
        return True
