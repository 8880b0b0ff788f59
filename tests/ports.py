"""Ports of this machine that are kept: nobody else is given one before who is to have it comes for it."""

from __future__ import annotations

import socket

_KEPT: list[socket.socket] = []


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens; it is kept until this process ends.

    The kernel gives no connection or listener that wants any port one that is bound.  A server that asks for
    it by number gets it, now and whenever it is started again, if it sets SO_REUSEADDR, as all of them do;
    until then connections to it are refused.
    """
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    _KEPT.append(kept)
    port: int = kept.getsockname()[1]
    return port
