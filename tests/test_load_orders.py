"""load/orders.py: what the command and its workers tell each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.load import orders
from bayeux.load.orders import Broken, Coming, Done, Go, Lines, Plan, Stop, Tick
from bayeux.load.scenario import Churn, Phase
from bayeux.load.signer import Signer

PLAN = Plan(url="http://127.0.0.1:1/", headers=("A: b",), verify=True, run="abcdef", prefix="/load", ext="",
            signer=Signer("web-a", b"s" * 32), transport="mixed", clients=10, channels=2, publishers=1,
            size=50, ramp=0.0, worker=0, workers=1, sources=(), phases=(Phase(1.0, 2.0, churn=Churn(3.0)),),
            drain=1.0)


@pytest.mark.parametrize("order", [PLAN, Go(12345678901234567), Stop(1)])
def test_an_order_is_read_as_it_was_given(order: orders.Order) -> None:
    assert orders.order(orders.line(order)) == order


@pytest.mark.parametrize("news", [
    Coming(3, True, {"connection refused": 2}), Tick(1, 2, 3, {0: {1000: 5}}, 0.5, 10, 0), Broken("why"),
    Done(sent=[1], published=[1], delivered=[2], lost=[2], duplicated=[3], out_of_order=[4], unsent=5,
         refused=6, late={7: 8}, connects={9: 10}, errors={"x": 11}, live=12)])
def test_news_are_read_as_they_were_told(news: orders.News) -> None:
    assert orders.news(orders.line(news)) == news


@given(st.lists(st.integers(1, 30)), st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)))
def test_lines_are_whole_however_they_come(sizes: list[int], lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    taken, made = [], Lines()
    for size in sizes:
        taken += made.feed(data[:size])
        data = data[size:]
    taken += made.feed(data)
    assert taken == lines
