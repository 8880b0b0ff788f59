"""ports.py: a port that is kept for who is to have it."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.ports import free_port


def test_who_asks_for_it_may_listen_there_and_again() -> None:
    address = "127.0.0.1", free_port()
    for _ in range(2):
        with socket.socket() as early:
            assert early.connect_ex(address) == errno.ECONNREFUSED
        with socket.create_server(address) as server, socket.create_connection(address):
            server.accept()[0].close()


def test_it_is_not_free_for_others() -> None:
    """The kernel looks for a port by the same rule as this socket: one that it need not share."""
    with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
        other.bind(("127.0.0.1", free_port()))
