"""What an application returns, now or later (section 11)."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from bayeux.results import deferred, is_later, then


async def coroutine(value: Any) -> Any:
    return value


class Awaitable:
    """Something else that can be awaited."""

    def __await__(self) -> Generator[Any, Any, int]:
        return succeed(3).__await__()


@pytest.mark.parametrize("value", [None, 0, "x", [], {}, object])
def test_a_value_is_there_now(value: object) -> None:
    assert not is_later(value)
    assert then(value, lambda result: [result]) == [value]


@pytest.mark.parametrize("make", [lambda: succeed(3), lambda: coroutine(3), Awaitable])
def test_what_can_be_awaited_comes_later(make: Any) -> None:
    got: list[Any] = []
    waiting = then(make(), lambda result: result + 1)
    assert isinstance(waiting, Deferred)
    waiting.addCallback(got.append)
    assert got == [4]


def test_a_deferred_keeps_its_value_for_others() -> None:
    shared: Deferred[int] = Deferred()
    got: list[Any] = []
    for _ in range(2):
        deferred(shared).addCallback(got.append)
    shared.callback(5)
    assert got == [5, 5]
    assert shared.result == 5


def test_a_failure_is_told() -> None:
    """E-26; and it is not logged as unhandled as well."""
    got: list[Any] = []
    deferred(fail(RuntimeError("x"))).addErrback(lambda failure: got.append(failure.value))
    assert [type(error) for error in got] == [RuntimeError]


def test_an_asyncio_future_is_not_ours() -> None:
    """On another reactor nobody would ever call us back: it fails rather than hangs."""
    loop = asyncio.new_event_loop()
    try:
        got: list[Any] = []
        deferred(loop.create_future()).addErrback(lambda failure: got.append(failure.type))
        assert len(got) == 1
    finally:
        loop.close()
