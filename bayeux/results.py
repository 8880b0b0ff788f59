"""What an application returns, now or later: a value, a Deferred, a coroutine."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def is_later(result: object) -> bool:
    """Say whether a result has to be waited for."""
    return inspect.isawaitable(result)


def deferred(result: Awaitable[T]) -> Deferred[T]:
    """Make a Deferred of a result that has to be waited for.

    A Deferred of the application's is left to it: it may have given the same one to others.
    """

    async def wait() -> T:
        return await result

    return Deferred.fromCoroutine(result if isinstance(result, Coroutine) else wait())


def then(result: Any, proceed: Callable[[Any], T | Deferred[T]]) -> T | Deferred[T]:
    """Call ``proceed`` with a result: at once, or when it comes."""
    if inspect.isawaitable(result):
        return deferred(result).addCallback(proceed)
    return proceed(result)
