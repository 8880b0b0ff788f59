"""What an application returns, now or later: a value, a Deferred, a coroutine."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def is_later(result: object) -> bool:
    """Say whether a result has to be waited for."""
    return not (result is None or result is True) and inspect.isawaitable(result)


def deferred(result: Awaitable[T]) -> Deferred[T]:
    """Make a Deferred of a result that has to be waited for.

    A Deferred of the application's keeps its value: it may have given the same one to others.
    """
    if isinstance(result, Deferred):
        return _copy(result)

    async def wait() -> T:
        return await result

    return Deferred.fromCoroutine(result if isinstance(result, Coroutine) else wait())


def _copy(original: Deferred[T]) -> Deferred[T]:
    copy: Deferred[T] = Deferred()

    def succeeded(value: T) -> T:
        copy.callback(value)
        return value

    original.addCallbacks(succeeded, copy.errback)
    return copy


def then(result: Any, proceed: Callable[[Any], T | Deferred[T]]) -> T | Deferred[T]:
    """Call ``proceed`` with a result: at once, or when it comes."""
    if is_later(result):
        return deferred(result).addCallback(proceed)
    return proceed(result)
