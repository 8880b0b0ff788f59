"""The messages of a client that wait to be sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bayeux.client.outbox import Outbox, Request


def request(size: int = 0, channel: str = "/a") -> Request:
    return Request(channel, size=size)


def outbox(*sizes: int, batch: int = 100, most: int = 10_000) -> tuple[Outbox, list[Request]]:
    box, requests = Outbox(batch, most), [request(size) for size in sizes]
    for each in requests:
        box.add(each)
    return box, requests


def test_an_envelope_takes_as_many_as_it_may() -> None:
    """G-5."""
    box, requests = outbox(0, 0, 0, 0, 0, batch=2)
    assert [box.take(), box.take(), box.take(), box.take()] == [requests[:2], requests[2:4], requests[4:], []]


def test_an_envelope_takes_as_many_bytes_as_it_may() -> None:
    """G-1; each message is counted with its head."""
    box, requests = outbox(800, 800, 800, most=2000)
    assert box.take() == requests[:2]


def test_a_message_that_is_too_large_by_itself_goes_alone() -> None:
    box, requests = outbox(5, 90_000, 5, most=1000)
    assert [box.take(), box.take(), box.take()] == [[each] for each in requests]


def test_a_group_stays_together() -> None:
    box, [first] = outbox(0, batch=3)
    with box.group():
        group = [request() for _ in range(3)]
        for each in group:
            box.add(each)
        assert box.take() == [first]
        assert box.take() == []
        assert len(box) == 3
    assert box.take() == group


def test_a_group_within_a_group_is_part_of_it() -> None:
    box, _ = outbox()
    with box.group():
        box.add(request())
        with box.group():
            box.add(request())
        box.add(request())
    assert len(box.take()) == 3


def test_a_group_that_is_too_large_is_split_in_order() -> None:
    box, _ = outbox(batch=2, most=1_000)
    group = [request(size) for size in (0, 0, 900, 900, 0)]
    with box.group():
        for each in group:
            box.add(each)
    box.add(last := request())
    assert [box.take() for _ in range(5)] == [group[:2], group[2:3], group[3:4], [*group[4:], last], []]


def test_an_empty_group_is_nothing() -> None:
    box, _ = outbox()
    with box.group():
        pass
    assert box.take() == [] and len(box) == 0


def test_a_group_that_fails_keeps_what_was_asked_for() -> None:
    box, _ = outbox()
    try:
        with box.group():
            box.add(request())
            raise KeyError
    except KeyError:
        pass
    assert len(box.take()) == 1


def test_what_is_put_first_keeps_its_order() -> None:
    box, requests = outbox(0)
    first = [request(), request()]
    box.put_first(first)
    assert box.take() == first + requests


def test_what_is_taken_out_is_gone_wherever_it_stood() -> None:
    box, requests = outbox(0, 0)
    with box.group():
        box.add(open_one := request())
        box.remove([requests[0], open_one])
        assert list(box) == [requests[1]]
    assert box.take() == [requests[1]]


def test_what_a_request_is() -> None:
    assert request().is_publish and not request().is_subscription
    assert request(channel="/meta/subscribe").is_subscription
    assert request(channel="/meta/unsubscribe").is_subscription
    assert not request(channel="/meta/disconnect").is_publish
    assert not request(channel="/meta/disconnect").is_subscription


@given(st.lists(st.lists(st.integers(0, 3000), max_size=6), max_size=6))
def test_whatever_waits_comes_out_once_in_order_and_within_bounds(groups: list[list[int]]) -> None:
    box = Outbox(4, 2_500)
    requests = []
    for sizes in groups:
        with box.group():
            for size in sizes:
                requests.append(request(size))
                box.add(requests[-1])
    assert len(box) == len(requests) and list(box) == requests
    taken = []
    while batch := box.take():
        assert len(batch) <= 4
        assert len(batch) == 1 or sum(200 + each.size for each in batch) <= 2_500
        taken += batch
    assert taken == requests
