"""Every transport, held to the one contract."""

import sys

import pytest

from bayeux.transports import RequestHeaders
from tests.contract_transports import CallbackPolling, EventSource, LongPolling, TransportContract, WebSocket


class TestLongPolling(TransportContract):
    driver = LongPolling


class TestCallbackPolling(TransportContract):
    driver = CallbackPolling


class TestWebSocket(TransportContract):
    driver = WebSocket


class TestEventSource(TransportContract):
    driver = EventSource


def again(text):
    """Return an equal text that is another object."""
    return text.encode().decode()


def test_headers_that_many_have_are_kept_once():
    """They are kept for as long as their connections."""
    agents = [RequestHeaders([(again("user-agent"), again("Mozilla")), (again("x-a"), again("Mozilla"))])
              for _ in range(2)]
    assert agents[0].names()[0] is agents[1].names()[0]
    assert agents[0]("user-agent") is agents[1]("user-agent")
    assert agents[0]("x-a") is not agents[1]("x-a")


@pytest.mark.parametrize("name", ["x-{}", "x-{}" + "x" * 1_000, "user-agent"])
def test_nothing_that_a_peer_has_sent_is_kept_for_ever(name):
    """G-4: as interned texts are, in Python 3.12 to 3.12.6."""
    kept = RequestHeaders((again(name.format(number)), f"agent {number}" * size)
                          for number in range(5) for size in (1, 100))
    for text in (*kept.names(), *map(kept, kept.names())):
        if text != "user-agent":
            assert sys.intern(copy := again(text)) is copy, "it was interned"


def test_only_so_many_texts_are_kept_for_others():
    """G-4: and no long ones."""
    one = RequestHeaders([("user-agent", again("one"))])
    RequestHeaders(("user-agent", f"agent {number}") for number in range(5_000))
    assert RequestHeaders([("user-agent", again("one"))])("user-agent") is not one("user-agent")
    long = [RequestHeaders([("user-agent", again("x" * 300))]) for _ in range(2)]
    assert long[0]("user-agent") is not long[1]("user-agent")
