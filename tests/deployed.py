"""Real servers behind something, and programs that come to them from addresses of their own.

All of 127.0.0.0/8 is this machine, so a program may come from an address that is not its neighbour's.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_websocket
from websockets.typing import Origin

from tests.certificate import write_certificate
from tests.clients.drivers import DEADLINE, until
from tests.ports import free_port
from tests.test_demos import DEMO, TWISTD, Server

DEPLOY = DEMO / "deploy"
"""The files that are tried."""
PROXY = "127.0.0.1"
"""Where proxies come from."""
COMMAND = (TWISTD, "-n", "--pidfile=", "bayeux")


class Backend(Server):
    """``twistd bayeux``, which writes down who has asked for what."""

    def __init__(self, folder: Path, name: str, *options: str) -> None:
        self.requests = folder / f"{name}.access"
        super().__init__(folder / f"{name}.log", *COMMAND, "--access-log", str(self.requests),
                         "--set", "shutdown_spread=0.1", *options, "--listen")

    def addresses(self, program: str) -> list[str]:
        """Return from where the requests of a program have come, as the server knows it."""
        return re.findall(rf'^"(\S+)" .* "{program}"$', self.requests.read_text(), re.MULTILINE)


class Process:
    """Something that has a port, in a process of its own."""

    def __init__(self, log: Path, *command: str, port: int, pass_fds: tuple[int, ...] = (),
                 environment: Mapping[str, str] | None = None) -> None:
        self.log, self.command, self.port = log, command, port
        self.pass_fds, self.environment = pass_fds, environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it, and wait until its port can be connected to."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=self.pass_fds, env=self.environment,
                                            cwd=self.log.parent)
        until(self.accepts, self.log.read_text)

    def accepts(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it, and with it all connections; returns its status."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(DEADLINE)
        finally:
            process.kill()
            process.wait()

    def told(self, text: str) -> None:
        """Wait until its log has that text."""
        until(lambda: text in self.log.read_text(), self.log.read_text)

    def restart(self) -> None:
        """Let it be gone for a moment."""
        self.stop()
        self.start()


class Front:
    """A proxy with two servers behind it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        self.certificate, self.key = write_certificate(folder)
        self.backends = [Backend(folder, name, "--set", f'trusted_proxies=["{PROXY}"]', *options)
                         for name in ("a", "b")]
        self.proxy: Process
        """Is set by whoever makes the front."""

    def configure(self, name: str, replaced: Mapping[str, str]) -> Path:
        """Write the file of that name as it is to be used here; each text to be replaced has to be there."""
        text = (DEPLOY / name).read_text()
        for old, new in replaced.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (self.folder / name).write_text(text)
        return self.folder / name

    def start_backends(self) -> None:
        """Run the servers."""
        for backend in self.backends:
            backend.start()

    def stop(self) -> None:
        """End it all."""
        self.proxy.stop()
        for backend in self.backends:
            backend.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/bayeux"

    def trust(self) -> ssl.SSLContext:
        """Return what trusts the front's certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def program(self, name: str, address: str = PROXY, *, tls: bool = False, **headers: str) -> Program:
        """Return a program by that name, at that address."""
        return Program(self.tls_port if tls else self.port, name, address, self.trust() if tls else None,
                       headers)

    def addresses(self, program: str) -> list[str]:
        """Return from where the requests of a program have come, as whichever server knows it."""
        return [address for backend in self.backends for address in backend.addresses(program)]

    def servers_of(self, program: str) -> set[int]:
        """Return which servers a program has come to."""
        return {number for number, backend in enumerate(self.backends) if backend.addresses(program)}


class Program:
    """A client by any transport that keeps its cookies, and whose requests can be told from others'."""

    def __init__(self, port: int, name: str, address: str = PROXY, tls: ssl.SSLContext | None = None,
                 headers: Mapping[str, str] | None = None) -> None:
        self.port, self.address, self.tls = port, address, tls
        self.headers = {"User-Agent": name, **{
            field.replace("_", "-"): value for field, value in (headers or {}).items()}}
        self.cookies: dict[str, str] = {}
        self.set_cookie = ""
        self.client = ""
        self.events: list[Any] = []
        """The data of those that have come with replies."""
        self.connection = self._open()

    def _open(self) -> http.client.HTTPConnection:
        source = (self.address, 0)
        if self.tls is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, DEADLINE, source)
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=DEADLINE,
                                                 source_address=source, context=self.tls)
        connection._create_connection = lambda _, *rest: socket.create_connection(  # not by IPv6
            ("127.0.0.1", self.port), *rest)
        return connection

    @property
    def host(self) -> str:
        return f"{'127.0.0.1' if self.tls is None else 'localhost'}:{self.port}"

    @property
    def origin(self) -> str:
        """The origin of a page of the front."""
        return f"{'http' if self.tls is None else 'https'}://{self.host}"

    def close(self) -> None:
        self.connection.close()

    def move(self, address: str) -> None:
        """Go to another address, as a phone does."""
        self.connection.close()
        self.address = address
        self.connection = self._open()

    # -- requests -------------------------------------------------------------------------------

    def _fields(self) -> dict[str, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {**self.headers, **({"Cookie": cookie} if cookie else {})}

    def _response(self) -> http.client.HTTPResponse:
        response = self.connection.getresponse()
        for header in response.headers.get_all("Set-Cookie", []):
            self.set_cookie = header
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        return response

    def post(self, body: bytes) -> tuple[int, bytes]:
        """Post a body; returns the status and the body of the answer."""
        self.connection.request("POST", "/bayeux", body,
                                {"Content-Type": "application/json", **self._fields()})
        response = self._response()
        return response.status, response.read()

    def get(self, path: str) -> tuple[int, bytes]:
        """Get what is there; returns the status and the body of the answer."""
        self.connection.request("GET", path, headers=self._fields())
        response = self._response()
        return response.status, response.read()

    # -- Bayeux ---------------------------------------------------------------------------------

    def encode(self, messages: tuple[dict[str, Any], ...]) -> bytes:
        """Return an envelope of this client."""
        client = {"clientId": self.client} if self.client else {}
        return json.dumps([{**client, **message} for message in messages]).encode()

    def ask(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Send messages by long-polling; returns their replies."""
        status, body = self.post(self.encode(messages))
        assert status == 200, (status, body)
        return self._take(body)

    def _take(self, body: bytes) -> list[dict[str, Any]]:
        """Keep the events of a response; returns its replies."""
        messages: list[dict[str, Any]] = json.loads(body)
        self.events += [message["data"] for message in messages if "successful" not in message]
        return [message for message in messages if "successful" in message]

    def join(self, *channels: str) -> Program:
        """Shake hands, subscribe and connect for the first time; returns itself."""
        [reply] = self.ask(HANDSHAKE)
        self.client = reply["clientId"]
        if channels:
            [reply] = self.ask({"channel": "/meta/subscribe", "subscription": list(channels)})
            assert reply["successful"], reply
        [reply] = self.ask(CONNECT)
        assert reply["successful"], reply
        return self

    def publish(self, channel: str, *data: Any) -> None:
        """Publish, all in one request."""
        for reply in self.ask(*({"channel": channel, "data": each} for each in data)):
            assert reply["successful"], reply

    def poll(self) -> list[Any]:
        """Connect, and do not wait; returns the data of all events that have come so far."""
        [reply] = self.ask({**CONNECT, "advice": {"timeout": 0}})
        assert reply["successful"], reply
        events, self.events = self.events, []
        return events

    @contextmanager
    def held(self) -> Iterator[list[Any]]:
        """Hold a connect meanwhile; in the end there is the data of what it was answered."""
        heard: list[Any] = []
        self.connection.request("POST", "/bayeux", self.encode((CONNECT,)),
                                {"Content-Type": "application/json", **self._fields()})
        yield heard
        response = self._response()
        assert response.status == 200
        [reply] = self._take(response.read())
        assert reply["successful"], reply
        heard += self.events

    @contextmanager
    def stream(self) -> Iterator[Iterator[list[Any]]]:
        """Open an EventSource; yields the data of its events, as they come, one list each."""
        with closing(self._open()) as connection:
            connection.request("GET", f"/bayeux/{self.client}", headers={
                "Accept": "text/event-stream", **self._fields()})
            response = connection.getresponse()
            assert response.status == 200
            assert response.headers.get_content_type() == "text/event-stream"
            yield ([message["data"] for message in json.loads(line[6:])]
                   for line in response if line.startswith(b"data: "))

    @contextmanager
    def websocket(self, origin: str = "") -> Iterator[Socket]:
        """Open a WebSocket, as a page of that origin would, by default of the front's own."""
        scheme = "ws" if self.tls is None else "wss"
        plain = socket.create_connection(("127.0.0.1", self.port), DEADLINE, (self.address, 0))
        fields = self._fields()
        with connect_websocket(f"{scheme}://{self.host}/bayeux", sock=plain, ssl=self.tls,
                               origin=Origin(origin or self.origin),
                               user_agent_header=fields.pop("User-Agent"), additional_headers=fields,
                               open_timeout=DEADLINE, compression=None, max_size=None,
                               proxy=None) as connection:
            yield Socket(self, connection)


class Socket:
    """An open WebSocket of a program."""

    def __init__(self, program: Program, connection: ClientConnection) -> None:
        self.program, self.connection = program, connection
        self.events: list[Any] = []
        """The data of those that have come between replies."""

    def send(self, *messages: dict[str, Any]) -> None:
        self.connection.send(self.program.encode(messages).decode())

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message; returns what it is answered."""
        self.send(message)
        while True:
            for came in json.loads(self.connection.recv(DEADLINE)):
                if "successful" in came:
                    assert came["channel"] == message["channel"]
                    return dict(came)
                self.events.append(came["data"])

    def event(self) -> Any:
        """Return the data of the next event."""
        while not self.events:
            self.events += [came["data"] for came in json.loads(self.connection.recv(DEADLINE))
                            if "data" in came]
        return self.events.pop(0)


class UnixProgram(Program):
    """One that comes by a UNIX socket, as a proxy would."""

    def __init__(self, path: Path, name: str, **headers: str) -> None:
        self.path = path
        super().__init__(0, name, headers=headers)

    def _open(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", timeout=DEADLINE)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(DEADLINE)
        connection.sock.connect(str(self.path))
        return connection


HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0",
             "supportedConnectionTypes": ["websocket", "eventsource", "long-polling"]}
CONNECT = {"channel": "/meta/connect", "connectionType": "long-polling"}
SOCKET_CONNECT = {"channel": "/meta/connect", "connectionType": "websocket", "advice": {"timeout": 0}}
"""Is answered at once."""
