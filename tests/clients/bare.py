"""A subscriber with nothing between it and the wire; it takes an answer whole or not at all."""

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote, urlsplit

from drivers import DEADLINE
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

PATIENCE = 3.0
"""Seconds after which an answer is taken for lost, where the network may lose it."""
LOST = (OSError, http.client.HTTPException, WebSocketException, ValueError)
"""What is raised where an answer does not come, or not as a whole."""

Messages = list[dict[str, Any]]
Headers = dict[str, str]


class Polling:
    """Long-polling or, with ``jsonp``, callback-polling."""

    def __init__(self, url: str, cookies: Headers, jsonp: bool = False, patience: float = DEADLINE) -> None:
        self.patience = patience
        self.parts = urlsplit(url)
        self.cookies = cookies
        self.jsonp = jsonp
        self.connection: http.client.HTTPConnection | None = None

    def exchange(self, messages: Messages) -> Iterator[Messages]:
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.parts.netloc, timeout=self.patience)
        text = json.dumps(messages)
        if self.jsonp:
            self.connection.request("GET", f"{self.parts.path}?jsonp=got&message={quote(text)}",
                                    headers=self.cookies)
        else:
            self.connection.request("POST", self.parts.path, text,
                                    {"Content-Type": "application/json", **self.cookies})
        response = self.connection.getresponse()
        body = response.read()
        if cookie := response.getheader("Set-Cookie"):
            self.cookies["Cookie"] = cookie.partition(";")[0]
        if response.status != 200:  # 409: a copy of this request has come after it
            raise http.client.HTTPException(response.status)
        yield json.loads(body.removeprefix(b"/**/got(").removesuffix(b");") if self.jsonp else body)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class WebSocket:
    def __init__(self, url: str, cookies: Headers, patience: float = DEADLINE) -> None:
        self.patience = patience
        self.url = url.replace("http", "ws", 1)
        self.cookies = cookies
        self.stack = ExitStack()
        self.socket: ClientConnection | None = None

    def exchange(self, messages: Messages) -> Iterator[Messages]:
        if self.socket is None:
            self.socket = self.stack.enter_context(connect(
                self.url, open_timeout=self.patience, close_timeout=0, compression=None, ping_interval=None,
                proxy=None, additional_headers=self.cookies))
        self.socket.send(json.dumps(messages))
        left = {message["id"] for message in messages}
        while left:
            received = json.loads(self.socket.recv(timeout=self.patience))
            left -= {message.get("id") for message in received}
            yield received

    def close(self) -> None:
        self.stack.close()
        self.socket = None


class EventSource(Polling):
    """Polling, with an event stream beside it as soon as there is a session."""

    def __init__(self, url: str, cookies: Headers, subscriber: "Subscriber", patience: float) -> None:
        super().__init__(url, cookies, patience=patience)
        self.subscriber = subscriber
        self.listener: threading.Thread | None = None
        self.streams = 0

    def exchange(self, messages: Messages) -> Iterator[Messages]:
        if self.subscriber.client_id and self.listener is None:
            self.listener = threading.Thread(target=self._listen, daemon=True)
            self.listener.start()
        yield from super().exchange(messages)

    def _listen(self) -> None:
        while not self.subscriber.over.is_set():
            stream = http.client.HTTPConnection(self.parts.netloc, timeout=self.patience)
            try:
                stream.request("GET", f"{self.parts.path}/{self.subscriber.client_id}",
                               headers={"Accept": "text/event-stream", **self.cookies})
                response = stream.getresponse()
                self.streams += response.status == 200
                for line in response:
                    if line.startswith(b"data: ") and line.endswith(b"\r\n"):
                        self.subscriber.take(json.loads(line[6:]))
            except LOST:
                time.sleep(0.02)
            finally:
                stream.close()


class Subscriber(threading.Thread):
    """Subscribes to one channel and connects, by one transport or by any of several, whatever happens."""

    def __init__(self, url: str, channel: str, *transports: str, ack: bool,
                 patience: float = DEADLINE) -> None:
        super().__init__(daemon=True, name=f"{'+'.join(transports)}{' with ack' if ack else ''}")
        cookies: Headers = {}
        carriers = {"long-polling": lambda: Polling(url, cookies, patience=patience),
                    "callback-polling": lambda: Polling(url, cookies, jsonp=True, patience=patience),
                    "websocket": lambda: WebSocket(url, cookies, patience),
                    "eventsource": lambda: EventSource(url, cookies, self, patience)}
        self.carriers = {name: carriers[name]() for name in transports}
        self.channel = channel
        self.ack: int | None = None
        self.wants_ack = ack
        self.chance = random.Random(self.name)
        self.ids = itertools.count(1)
        self.client_id = ""
        self.received: list[Any] = []
        self.times: list[float] = []
        """When each came."""
        self.connects = 0
        self.losses = 0
        self.over = threading.Event()
        self.subscribed = threading.Event()
        self.refusal: dict[str, Any] | None = None

    def trust(self) -> None:
        """Take no answer for lost any more by any connection that is made from now on."""
        for carrier in self.carriers.values():
            carrier.patience = DEADLINE

    def run(self) -> None:
        hello = {"channel": "/meta/handshake", "version": "1.0",
                 "supportedConnectionTypes": list(self.carriers), "ext": {"ack": self.wants_ack}}
        reply = self._ask(hello)
        if reply is None:
            return
        self.client_id = reply["clientId"]
        self.ack = 0 if reply.get("ext", {}).get("ack") else None
        if self._ask({"channel": "/meta/subscribe", "subscription": self.channel}):
            self.subscribed.set()
        while self._ask({"channel": "/meta/connect"}):
            self.connects += 1
            if self.ack is None and "eventsource" in self.carriers:
                self.over.wait(0.2)
        for carrier in self.carriers.values():
            carrier.close()

    def _ask(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Send a message until it is answered; the value is its reply, or None when it is over."""
        while not self.over.is_set():
            name = self.chance.choice(list(self.carriers))
            asked = {**message, "id": str(next(self.ids))}
            if self.client_id:
                asked["clientId"] = self.client_id
            if message["channel"] == "/meta/connect":
                asked["connectionType"] = name
                if self.ack is not None:
                    asked["ext"] = {"ack": self.ack}
            reply = None
            try:
                for received in self.carriers[name].exchange([asked]):
                    self.take(received)
                    reply = next((each for each in received if each.get("id") == asked["id"]), reply)
            except LOST:
                self.losses += 1
                self.carriers[name].close()
                continue
            if not reply["successful"]:
                self.refusal = reply
                return None
            return reply
        return None

    def take(self, messages: Messages) -> None:
        for message in messages:
            if message["channel"] == self.channel and "data" in message:
                self.received.append(message["data"])
                self.times.append(time.monotonic())
            elif message["channel"] == "/meta/connect" and self.ack is not None and message["successful"]:
                self.ack = message["ext"]["ack"]


class Publisher:
    """Publishes numbers to a channel, by a connection of its own."""

    def __init__(self, url: str, channel: str) -> None:
        self.polling = Polling(url, {})
        self.channel = channel
        self.published = 0
        [[reply]] = self.polling.exchange([{"channel": "/meta/handshake", "version": "1.0", "id": "0",
                                            "supportedConnectionTypes": ["long-polling"]}])
        self.client_id = reply["clientId"]

    def publish(self, count: int) -> None:
        """Publish so many more in one batch."""
        first = self.published + 1
        self.published += count
        self.publish_all(range(first, self.published + 1))

    def publish_all(self, data: Iterable[Any]) -> None:
        """Publish these in one batch."""
        [replies] = self.polling.exchange([
            {"channel": self.channel, "clientId": self.client_id, "data": each, "id": str(number)}
            for number, each in enumerate(data)])
        assert all(reply["successful"] for reply in replies), replies

    def close(self) -> None:
        self.polling.close()
