"""What the same work costs at least, in Python: bare servers that know nothing of Bayeux.

    python -m tests.bench.floors sends FRAME_HEX CLIENTS
    python -m tests.bench.floors requests RESPONSE_HEX CLIENTS

``sends`` is the floor of fan-out: for each frame that its publisher sends, a bare loop of ``socket.send`` of
it to the clients of a channel.  ``requests`` is that of long-polling: a Twisted protocol that lets httptools
parse a request and answers always the same.  Both print the port that they listen on.
"""

from __future__ import annotations

import socket
import sys
from collections import defaultdict

from bayeux.load.machine import raise_open_files

_BACKLOG = 1000


def serve_sends(frame_size: int, clients: int) -> None:
    """Send what comes from the publisher; clients say which channel they are on, the publisher ``pub``."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
    print(f"listening on {listener.getsockname()[1]}", flush=True)
    channels: defaultdict[int, list[socket.socket]] = defaultdict(list)
    publisher: socket.socket | None = None
    for _ in range(clients + 1):
        peer, _address = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        role = peer.recv(16).strip()
        peer.send(b"\x81\x00")
        if role == b"pub":
            publisher = peer
        else:
            channels[int(role)].append(peer)
    assert publisher is not None
    size = 4 + frame_size
    unread = b""
    while data := publisher.recv(65_536):
        unread += data
        while len(unread) >= size:
            frame = unread[4:size]
            for peer in channels[int(unread[:4])]:
                peer.send(frame)
            unread = unread[size:]


def serve_requests(response: bytes) -> None:
    """Answer every request with the response."""
    import httptools
    from twisted.internet import protocol, reactor
    from twisted.internet.tcp import Server

    class Answers(protocol.Protocol):
        """Answers requests."""

        transport: Server

        def connectionMade(self) -> None:
            self.transport.setTcpNoDelay(True)
            self._parser = httptools.HttpRequestParser(self)

        def dataReceived(self, data: bytes) -> None:
            self._parser.feed_data(data)

        def on_message_complete(self) -> None:
            self.transport.write(response)

    factory = protocol.ServerFactory()
    factory.protocol = Answers
    port = reactor.listenTCP(0, factory, _BACKLOG, "127.0.0.1")
    print(f"listening on {port.getHost().port}", flush=True)
    reactor.run()


def main(kind: str, answer: str, clients: str) -> None:
    """Do as the module says."""
    raise_open_files()
    if kind == "sends":
        serve_sends(len(answer) // 2, int(clients))
    else:
        serve_requests(bytes.fromhex(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
