"""How many connections there may be, G-19: whoever has them, in all and of one address."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.metrics import Metrics
from bayeux.settings import Settings
from bayeux.transports.connections import Connections
from tests.fakenet import HANDSHAKE, HTTP, EventSourceClient, Net, Wire, connect, post, request, upgrade


def connections(**settings: Any) -> tuple[Connections, Metrics]:
    metrics = Metrics()
    return Connections(Settings(**settings), metrics), metrics


# -- counting -----------------------------------------------------------------------------------


def test_so_many_connections_and_no_more() -> None:
    """G-19."""
    counted, metrics = connections(max_connections=3)
    places = [counted.enter(f"192.0.2.{number}") for number in range(4)]
    assert [place is None for place in places] == [False, False, False, True]
    assert metrics.limited == {"max_connections": 1}
    counted.leave(places[0])
    assert counted.enter("192.0.2.9") is not None


def test_so_many_connections_of_an_address_and_no_more() -> None:
    """G-19: and what is refused is not counted."""
    counted, metrics = connections(max_connections_per_address=2)
    places = [counted.enter("192.0.2.1") for _ in range(4)]
    assert [place is None for place in places] == [False, False, True, True]
    assert metrics.limited == {"max_connections_per_address": 2}
    assert len(counted) == 2
    assert counted.enter("192.0.2.2") is not None
    counted.leave(places[0])
    assert counted.enter("192.0.2.1") is not None


def test_what_has_no_address_counts_in_all_only() -> None:
    """G-19: as the connections of a trusted proxy, which are everybody's."""
    counted, _ = connections(max_connections_per_address=1, max_connections=3)
    assert [counted.enter("") is None for _ in range(4)] == [False, False, False, True]


def test_what_has_no_place_does_not_leave_it() -> None:
    counted, _ = connections()
    counted.leave(None)
    assert len(counted) == 0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["", "192.0.2.1", "2001:db8::1", "2001:db8::2"]))))
def test_nothing_is_kept_of_who_has_left(steps: list[tuple[bool, str]]) -> None:
    """G-19: whatever comes and goes."""
    counted, _ = connections(max_connections=5, max_connections_per_address=2)
    open_: list[str] = []
    for enters, address in steps:
        if enters or not open_:
            place = counted.enter(address)
            if place is not None:
                open_.append(place)
        else:
            counted.leave(open_.pop(0))
        assert len(counted) == len(open_) <= 5
        assert all(open_.count(place) <= 2 for place in open_ if place)
    for place in open_:
        counted.leave(place)
    assert (len(counted), counted._by_client) == (0, {})


# -- by the site of twistd bayeux ---------------------------------------------------------------


def refused(net: Net, address: str = "192.0.2.7") -> bool:
    """Connect, and say whether that is cut at once, without a word."""
    wire = net.open(address)
    assert wire.take() == b""
    return wire.closed


def as_http(net: Net) -> Wire:
    http = HTTP(net)
    assert http.ask(post(HANDSHAKE)).status == 200
    return http.wire


def as_held(net: Net) -> Wire:
    http = HTTP(net)
    client = http.ask(post(HANDSHAKE)).messages[0]["clientId"]
    http.ask(post(connect(client)))
    http.send(post(connect(client)))
    return http.wire


def as_websocket(net: Net) -> Wire:
    wire = net.open()
    wire.send(upgrade())
    assert wire.take().startswith(b"HTTP/1.1 101 ")
    return wire


def as_eventsource(net: Net) -> Wire:
    http = HTTP(net)
    client = http.ask(post(HANDSHAKE)).messages[0]["clientId"]
    http.wire.lose()
    return EventSourceClient(net, client).wire


def as_page(net: Net) -> Wire:
    """A connection that twisted.web has."""
    http = HTTP(net)
    assert http.ask(request(path="/nowhere")).status == 404
    return http.wire


def as_page_and_then_websocket(net: Net) -> Wire:
    """One that goes from here to twisted.web, and from there to a stream."""
    http = HTTP(net)
    assert http.ask(request(path="/nowhere")).status == 404
    http.wire.send(upgrade())
    assert http.wire.take().startswith(b"HTTP/1.1 101 ")
    return http.wire


def as_silent(net: Net) -> Wire:
    return net.open()


KINDS = [as_silent, as_http, as_held, as_websocket, as_eventsource, as_page, as_page_and_then_websocket]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("setting", ["max_connections", "max_connections_per_address"])
def test_a_connection_is_counted_whatever_becomes_of_it(kind: Any, setting: str) -> None:
    """G-19: until it is gone, and no longer."""
    net = Net(**{setting: 1})
    wire = kind(net)
    assert refused(net)
    assert net.hub.metrics.limited == {setting: 1}
    assert not wire.closed
    wire.lose()
    assert len(net.bayeux.resource.endpoint.connections) == 0
    assert not refused(net)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_nothing_is_left_of_connections_when_the_server_has_stopped(kind: Any) -> None:
    net = Net()
    kind(net)
    net.stop()
    net.site.abort()
    net.pump()
    assert len(net.bayeux.resource.endpoint.connections) == 0


def test_one_address_that_has_its_connections_is_nothing_to_others() -> None:
    """G-19."""
    net = Net(max_connections_per_address=2)
    wires = [net.open("192.0.2.1") for _ in range(5)]
    assert [wire.closed for wire in wires] == [False, False, True, True, True]
    assert HTTP(net, "192.0.2.2").ask(post(HANDSHAKE)).messages[0]["successful"]


def test_a_flood_of_slow_requests_from_one_address_is_nothing_to_others() -> None:
    """G-19, G-3: slowloris; so many connections, and each of them for ten seconds."""
    net = Net(max_connections_per_address=20)
    wires = []
    for second in range(30):
        for _ in range(100):
            wires.append(net.open("192.0.2.1"))
        for wire in wires:
            if not wire.closed:
                wire.send(b"P")
        assert sum(not wire.closed for wire in wires) <= 20
        assert HTTP(net, f"198.51.100.{second}").ask(post(HANDSHAKE)).messages[0]["successful"]
        net.advance(1)
    assert net.hub.metrics.limited["max_connections_per_address"] == 3_000 - 60
    assert net.hub.metrics.limited["header_timeout"] >= 40


# -- who sends nothing valid: G-21 --------------------------------------------------------------


FOREIGN = post(HANDSHAKE, origin="http://evil.example")


def test_a_connection_without_a_valid_request_does_not_last() -> None:
    """G-21: however many it sends that are not."""
    net = Net()
    http = HTTP(net)
    for _ in range(9):
        assert http.ask(FOREIGN).status == 403
        net.advance(1)
    assert not http.wire.closed
    net.advance(1)
    assert http.wire.closed
    assert net.hub.metrics.limited == {"header_timeout": 1}


def test_nor_does_one_whose_next_request_is_on_its_way_for_long() -> None:
    """G-21, G-3: that has its own time."""
    net = Net()
    http = HTTP(net)
    http.ask(FOREIGN)
    net.advance(9)
    http.send(FOREIGN[:-1])
    net.advance(9)
    assert not http.wire.closed
    assert http.ask(FOREIGN[-1:]).status == 403
    net.advance(0.1)
    assert http.wire.closed


@pytest.mark.parametrize("then", [b"", FOREIGN])
def test_a_connection_that_has_had_a_valid_one_is_kept(then: bytes) -> None:
    """G-21, L-9: whatever comes after it."""
    net = Net()
    http = HTTP(net)
    http.ask(FOREIGN)
    http.ask(post(HANDSHAKE))
    if then:
        assert http.ask(then).status == 403
    net.advance(59)
    assert not http.wire.closed
    net.advance(2)
    assert http.wire.closed
    assert net.hub.metrics.limited == {}


def test_a_connect_that_another_replaces_is_valid() -> None:
    """G-21, K-12: though its status is that of an error."""
    net = Net()
    client = HTTP(net).ask(post(HANDSHAKE)).messages[0]["clientId"]
    HTTP(net).ask(post(connect(client)))
    first, second = HTTP(net), HTTP(net)
    first.send(post(connect(client)))
    second.send(post(connect(client)))
    assert [response.status for response in first.responses()] == [409]
    net.advance(20)
    assert not first.wire.closed
