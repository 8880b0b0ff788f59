"""Writing to a socket in the turn in which there is something to write."""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix

_SOCKETS = frozenset({tcp.Server, unix.Server})


def write(transport: Any, data: bytes) -> None:
    """Write to a transport: at once if it is a plain socket that has nothing else to write.

    ``transport.write`` leaves it to the reactor to find out that the socket can take more, which costs
    more than the sending itself.  What is asked of the transport is Twisted's own affair, and so it is
    asked here only; a transport of any other kind, as TLS, is written to in the usual way.
    """
    if type(transport) in _SOCKETS and not transport.dataBuffer and not transport._tempDataBuffer and (
        transport.connected and not transport.disconnecting and not transport.TLS
    ):
        try:
            sent = transport.socket.send(data)
        except OSError:
            pass  # the socket is full, or lost: the reactor finds out which
        else:
            if sent == len(data):
                return
            data = data[sent:]
    transport.write(data)
