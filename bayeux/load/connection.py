"""A TCP connection of the driver, TLS or not; it never blocks."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from abc import ABC, abstractmethod

from bayeux.load.loop import READ, WRITE, Loop
from bayeux.load.target import Target

_MOST = 65_536
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_BIND_ADDRESS_NO_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
"""Linux: choose the port when the connection is made, so that it has to be free for this server only."""
_SMALL_BUFFER = 4096
_WORDS = {errno.ECONNREFUSED: "connection refused", errno.ECONNRESET: "connection reset",
          errno.EPIPE: "connection reset", errno.ETIMEDOUT: "connection timed out",
          errno.EADDRNOTAVAIL: "no local port is free", errno.EMFILE: "too many open files",
          errno.ENFILE: "too many open files"}
CLOSED = "connection closed"


def describe(error: OSError) -> str:
    """Return what went wrong in a few words that are always the same."""
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'verify_message', '') or getattr(error, 'reason', '') or 'failed'}"
    return _WORDS.get(error.errno or 0) or (error.strerror or str(error)).lower()


class Place:
    """Where connections go, and from where: what all of one worker have in common."""

    def __init__(self, loop: Loop, target: Target, sources: tuple[str, ...] = ()) -> None:
        self.loop = loop
        self.target = target
        self.tls = target.tls()
        self.sources = sources
        """Addresses of this machine to connect from in turn; none: any."""
        self._turn = 0

    def next_source(self) -> str:
        """Return the address that the next connection is made from; empty for any."""
        if not self.sources:
            return ""
        self._turn += 1
        return self.sources[self._turn % len(self.sources)]


class Connection(ABC):
    """One connection, opened when asked for."""

    __slots__ = ("_failing", "_is_open", "_sock", "_unsent", "place", "slow")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.slow = False
        """Whether the kernel is to take little in, so that the server feels that nobody reads."""
        self._sock: socket.socket | None = None
        self._is_open = False
        self._failing = False
        self._unsent = b""

    # -- for children ---------------------------------------------------------------------------

    @abstractmethod
    def feed(self, data: bytes) -> None:
        """Take what has come."""

    @abstractmethod
    def opened(self) -> None:
        """Begin: the connection is there."""

    @abstractmethod
    def gone(self, why: str) -> None:
        """The connection is not there any more, or could not be made."""

    # -- life -----------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect."""
        target = self.place.target
        try:
            sock = socket.socket(target.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            return self._fail_later(describe(error))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.slow:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
            source = self.place.next_source()
            if source:
                sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                sock.bind((source, 0))
            failed = sock.connect_ex((target.address, target.port))
            if failed not in (0, errno.EINPROGRESS):
                raise OSError(failed, os.strerror(failed))
        except OSError as error:
            sock.close()
            return self._fail_later(describe(error))
        self._sock = sock
        self.place.loop.add(sock.fileno(), self, WRITE)
        return None

    def _fail_later(self, why: str) -> None:
        """Tell in the next turn: whoever opens a connection or sends does not expect to hear at once."""
        self._failing = True

        def fail() -> None:
            if self._failing:
                self._lost(why)

        self.place.loop.after(0, fail)

    def close(self, reset: bool = False) -> None:
        """Let go of the connection, if there is one; ``gone`` is not called."""
        sock, self._sock = self._sock, None
        self._is_open = self._failing = False
        self._unsent = b""
        if sock is not None:
            self.place.loop.remove(sock.fileno())
            if reset:  # nothing waits to be sent, and the port is free again at once
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()

    @property
    def is_closed(self) -> bool:
        """Whether there is no connection, nor will be."""
        return self._sock is None

    def pause(self) -> None:
        """Read nothing until ``resume``."""
        if self._sock is not None and self._is_open:
            self.place.loop.change(self._sock.fileno(), WRITE if self._unsent else 0)

    def resume(self) -> None:
        """Read again."""
        if self._sock is not None and self._is_open:
            self.place.loop.change(self._sock.fileno(), READ | (WRITE if self._unsent else 0))

    # -- bytes ----------------------------------------------------------------------------------

    def read(self) -> None:
        """Read what has come."""
        sock = self._sock
        if sock is None or self._failing:
            return
        try:
            data = sock.recv(_MOST)
        except _LATER:
            if self._unsent:  # TLS has shaken hands, perhaps
                self.write()
            return
        except OSError as error:
            self._lost(describe(error))
            return
        if data:
            self.feed(data)
        else:
            self._lost(CLOSED)

    def _lost(self, why: str) -> None:
        self.close()
        self.gone(why)

    def send(self, data: bytes) -> None:
        """Send, or keep what the socket does not take until it does."""
        sock = self._sock
        if sock is None or self._unsent or not self._is_open:
            self._unsent += data
            return
        try:
            sent = sock.send(data)
        except ssl.SSLWantReadError:  # TLS shakes hands; ``read`` goes on
            self._unsent = data
            return
        except _LATER:
            sent = 0
        except ssl.SSLError as error:  # reading would only tell that the connection is closed
            self._fail_later(describe(error))
            return
        except OSError:
            return  # reading will tell
        if sent < len(data):
            self._unsent = data[sent:]
            self.place.loop.change(sock.fileno(), READ | WRITE)

    def write(self) -> None:
        """Go on: the connection is there, or the socket takes more."""
        sock = self._sock
        if sock is None:
            return
        if not self._is_open:
            failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                self._lost(describe(OSError(failed, os.strerror(failed))))
                return
            if self.place.tls is not None:
                sock = self._sock = self.place.tls.wrap_socket(
                    sock, server_hostname=self.place.target.name, do_handshake_on_connect=False)
            self._is_open = True
            self.place.loop.change(sock.fileno(), READ)
            self.opened()
        data, self._unsent = self._unsent, b""
        if data and self._sock is sock:
            self.place.loop.change(sock.fileno(), READ)
            self.send(data)
