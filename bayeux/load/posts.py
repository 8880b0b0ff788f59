"""A client's HTTP connection: one POST at a time, and its answer.

Responses are parsed by llhttp (httptools) without a call for each header, which costs no more than to look
for ``Content-Length`` by hand; so whatever a server makes of HTTP/1.1 is understood.  Only until a client is
live its headers are looked at, for cookies.  Most responses are not even parsed (``known``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Protocol

import httptools

from bayeux.load import wire
from bayeux.load.connection import CLOSED, Connection, Place
from bayeux.load.known import Known


class Receiver(Protocol):
    """Whose connection it is."""

    @abstractmethod
    def opened(self) -> None:
        """Begin: envelopes can be sent."""

    @abstractmethod
    def received(self, text: bytes) -> None:
        """Take an envelope."""

    @abstractmethod
    def gone(self, why: str) -> None:
        """Learn that what was asked for will not come."""


class _Heads:
    """What a parser calls while cookies are looked for."""

    def __init__(self, posts: Posts) -> None:
        self._posts = posts
        self.on_body = posts.on_body
        self.on_message_complete = posts.on_message_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"set-cookie":
            self._posts.keep_cookie(value)


class Posts(Connection):
    """One connection, opened again when the server has closed it between two requests."""

    __slots__ = ("_again", "_awaiting", "_between", "_complete", "_is_last", "_known", "_parser", "_parts",
                 "_settled", "_whole", "cookies", "receiver")

    pushes = False
    """Whether events come by themselves."""
    connection_type = "long-polling"

    def __init__(self, place: Place, receiver: Receiver, cookies: Mapping[str, str] | None = None) -> None:
        super().__init__(place)
        self.receiver = receiver
        self.cookies = dict(cookies or {})
        """What the server has set."""
        self._awaiting = False
        self._complete = False
        self._is_last = False
        self._settled = False
        self._between = True
        """Whether no response has come in part."""
        self._whole = b""
        """The response that is being handled, if it came in one piece."""
        self._known: Known | None = None
        self._again: Callable[[bytes, int], None] | None = None
        self._parts: list[bytes] = []
        self._parser = self._new_parser()

    # -- asking ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Have the client begin: the connection is made with its first request."""
        self.receiver.opened()

    def keep_cookie(self, line: bytes) -> None:
        """Note a cookie that the server sets."""
        name, _, value = line.decode("latin-1").partition(";")[0].partition("=")
        self.cookies[name.strip()] = value.strip()

    @property
    def awaits_answer(self) -> bool:
        """Whether something has been asked and not answered."""
        return self._awaiting

    def prepare(self, text: str) -> bytes:
        """Return an envelope as it is sent."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return wire.request(self.place.target, cookies, text)

    def post(self, text: str) -> None:
        """Send an envelope."""
        self.transmit(self.prepare(text))

    def transmit(self, request: bytes) -> None:
        """Send what was prepared; the one before must have been answered."""
        self._awaiting = True
        if self._sock is None:
            self.open()
        self.send(request)

    def settle(self) -> None:
        """Look at headers no longer."""
        self._settled = True
        self._parser = self._new_parser()

    def _new_parser(self) -> httptools.HttpResponseParser:
        return httptools.HttpResponseParser(self if self._settled else _Heads(self))

    # -- being answered -------------------------------------------------------------------------

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body (httptools)."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Note that a response has come whole, and whether another can (httptools): only now it is known."""
        self._complete = True
        self._is_last = not self._parser.should_keep_alive()

    def remember(self, event: bytes, again: Callable[[bytes, int], None]) -> None:
        """Call ``again`` for each response that means the same as the one that is being handled.

        It is called with the response, and where in it the event is; ``event`` is what that begins with, as
        far as it differs from others.  Only for a response that was followed by the next request at once.
        """
        at = self._whole.find(event)
        if at >= 0 and not self._is_last:
            self._known = Known(self._whole, at, len(event))
            self._again = again

    def feed(self, data: bytes) -> None:
        known = self._known
        if (known is not None and self._again is not None and self._between and self._awaiting
                and known.means(data)):
            self._awaiting = False
            self._again(data, known.event_at)
            return
        was_between, self._between = self._between, False
        parser = self._parser
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._lost(f"not HTTP: {error}")
            return
        if not self._complete:
            return
        self._complete = False
        self._between = True
        self._whole = data if was_between else b""
        status = parser.get_status_code()
        if status < 200:  # an interim response: the real one is to come
            self._parts.clear()
            return
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if not self._awaiting:  # not asked for: some servers say so when they close an idle connection
            return
        self._awaiting = False
        if self._is_last:
            self._end()
        if status == 200:
            self.receiver.received(body)
        else:
            self.receiver.gone(f"HTTP {status}")
        self._whole = b""

    def _end(self) -> None:
        """Close, and be ready to be opened again."""
        self.close()
        self._parts.clear()
        self._complete = False
        self._between = True
        self._parser = self._new_parser()

    def opened(self) -> None:
        pass  # what is to be sent is kept already

    def gone(self, why: str) -> None:
        parser, body = self._parser, b"".join(self._parts)
        self._end()
        if not self._awaiting:
            return
        self._awaiting = False
        if why == CLOSED and body.endswith((b"]", b"}")) and parser.get_status_code() == 200:
            # a body that ends with the connection
            self.receiver.received(body)
        else:
            self.receiver.gone(why)
