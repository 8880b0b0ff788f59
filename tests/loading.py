"""What the tests of the load driver share: a clock that they turn, a server that does as it is told."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bayeux.load import wire
from bayeux.load.connection import Place
from bayeux.load.loop import Loop
from bayeux.load.target import Target

SECOND = 1_000_000_000
Message = dict[str, Any]


class FakeLoop(Loop):
    """A loop with a clock that stands still until it is advanced; it watches nothing."""

    def __init__(self) -> None:
        super().__init__(lambda: self.now)
        self.now = 1_000 * SECOND
        self.watched: dict[int, int] = {}

    def add(self, descriptor: int, source: Any, events: int = 1) -> None:
        self.watched[descriptor] = events

    def change(self, descriptor: int, events: int) -> None:
        self.watched[descriptor] = events

    def remove(self, descriptor: int) -> None:
        del self.watched[descriptor]

    def advance(self, seconds: float) -> None:
        """Let time pass, and make the calls that become due, each at its time."""
        end = self.now + int(seconds * SECOND)
        while self._timers and self._timers[0][0] <= end:
            self.now = max(self.now, self._timers[0][0])
            self.run(self.now)
        self.now = end


class FakeCarrier:
    """Notes what is sent; a test says what comes."""

    connection_type = "long-polling"
    pushes = False

    def __init__(self, place: Place, receiver: Any) -> None:
        self.place = place
        self.receiver = receiver
        self.sent: list[str] = []
        self.cookies: dict[str, str] = {}
        self.closed: bool | None = None
        """Whether it was cut, once it is closed."""
        self.slow = self.settled = self.paused = False
        self.known: tuple[bytes, Callable[[bytes, int], None]] | None = None

    @property
    def awaits_answer(self) -> bool:
        return not self.pushes

    def begin(self) -> None:
        self.receiver.opened()

    def prepare(self, text: str) -> bytes:
        return text.encode()

    def post(self, text: str) -> None:
        self.sent.append(text)

    def transmit(self, request: bytes) -> None:
        self.sent.append(request.decode())

    def settle(self) -> None:
        self.settled = True

    def close(self, reset: bool = False) -> None:
        self.closed = reset

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def remember(self, event: bytes, again: Callable[[bytes, int], None]) -> None:
        self.known = event, again

    # -- what tests ask -------------------------------------------------------------------------

    def take(self) -> Message:
        """Return the one message that was sent since the last time."""
        [text] = self.sent
        self.sent.clear()
        [message] = json.loads(text)
        return message

    def answer(self, *messages: Message) -> None:
        """Let messages come."""
        self.receiver.received(json.dumps(messages).encode())


class FakeStream(FakeCarrier):
    """The same as a WebSocket is."""

    connection_type = "websocket"
    pushes = True


class FakeCrew:
    """Whom clients tell, noted down."""

    mark = b"bxl-abcdef-"
    stamp = len(mark) + wire.DIGITS
    ext = ""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.place = Place(self.loop, Target.of("http://127.0.0.1:1/bayeux"))
        self.live: list[Any] = []
        self.failures: list[str] = []
        self.over: list[Any] = []

    def became_live(self, client: Any) -> None:
        self.live.append(client)

    def failed(self, client: Any, what: str) -> None:
        self.failures.append(what)

    def ended(self, client: Any) -> None:
        self.over.append(client)


def event(number: int, channel: str = "/load/abcdef-0", mark: bytes = FakeCrew.mark) -> Message:
    """Return an event as it comes."""
    return {"channel": channel, "data": json.loads(wire.data(mark.decode(), number, 50))}


# -- a server -----------------------------------------------------------------------------------

class Session:
    """What the server knows of a client."""

    def __init__(self) -> None:
        self.channels: set[str] = set()
        self.queue: deque[Message] = deque()


class Server:
    """A Bayeux server by long-polling that is told how to fail; every answer takes a thread.

    ``deliver`` makes of each event, and of the session that it is for, the list of those that are sent.
    """

    def __init__(self, *, deliver: Callable[[Session, Message], list[Message]] | None = None,
                 refuse: dict[str, Message] | None = None, chunked: bool = False, spaces: bool = False,
                 replies_first: bool = False, close_after: bool = False, status: int = 200,
                 hold: float = 5.0) -> None:
        self.deliver = deliver or (lambda session, message: [message])
        self.refuse = refuse or {}
        """Members of the replies to messages of a channel: those fail."""
        self.chunked = chunked
        self.separators = (", ", " : ") if spaces else (",", ":")
        self.replies_first = replies_first
        self.close_after = close_after
        self.status = status
        self.hold = hold
        self.asked: Counter[str] = Counter()
        self.cookies: set[str] = set()
        self.headers: list[dict[str, str]] = []
        self.sessions: dict[str, Session] = {}
        self.changed = threading.Condition()
        self.is_stopping = False

    def answer(self, messages: list[Message]) -> list[Message]:
        """Return all that is to be answered, when it is time."""
        with self.changed:
            answers = [answer for message in messages for answer in self._answer(message)]
            self.changed.notify_all()
            return answers

    def _answer(self, message: Message) -> list[Message]:
        channel = message["channel"]
        self.asked[channel] += 1
        reply: Message = {"channel": channel, "id": message.get("id"), "successful": True}
        if channel in self.refuse:
            return [{**reply, "successful": False, **self.refuse[channel]}]
        if channel == "/meta/handshake":
            client_id = f"client{len(self.sessions)}"
            self.sessions[client_id] = Session()
            return [{**reply, "clientId": client_id, "version": "1.0"}]
        session = self.sessions.get(message["clientId"])
        if session is None:
            advice = {"reconnect": "handshake", "interval": 0}
            return [{**reply, "successful": False, "error": "402::Unknown client ID", "advice": advice}]
        if channel == "/meta/subscribe":
            session.channels.add(message["subscription"])
        elif channel == "/meta/disconnect":
            del self.sessions[message["clientId"]]
        elif channel == "/meta/connect":
            self.changed.wait_for(lambda: session.queue or self.is_stopping
                                  or message["clientId"] not in self.sessions, self.hold)
            events = list(session.queue)
            session.queue.clear()
            return [reply, *events] if self.replies_first else [*events, reply]
        else:
            for other in self.sessions.values():
                if channel in other.channels:
                    other.queue.extend(self.deliver(other, {"channel": channel, "data": message["data"]}))
        return [reply]

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Yield its URL, as long as it listens."""
        ours = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # a response is written in one go
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                ours.headers.append(dict(self.headers))
                ours.cookies.add(self.headers.get("Cookie", ""))
                text = json.dumps(ours.answer(json.loads(body)), separators=ours.separators).encode()
                self.send_response(ours.status)
                self.send_header("Set-Cookie", "A=1; Path=/")
                if ours.close_after:
                    self.send_header("Connection", "close")
                if ours.chunked:
                    half = len(text) // 2
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    self.wfile.write(b"".join(b"%x\r\n%b\r\n" % (len(part), part)
                                              for part in (text[:half], text[half:], b"")))
                else:
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)

            def do_GET(self) -> None:
                self.send_error(400)

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # who asked has gone
                    super().handle()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 100

        listener = Listener(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_port}/bayeux"
        finally:
            with self.changed:
                self.is_stopping = True
                self.changed.notify_all()
            listener.shutdown()
            thread.join()
            listener.server_close()
