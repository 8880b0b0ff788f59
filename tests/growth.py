"""How the time that a function takes grows with its input; linear is what hostile input must get."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FACTOR = 8


def is_linear(run: Callable[[T], object], make: Callable[[int], T], size: int) -> bool:
    """Say whether ``run(make(8 * size))`` takes about 8 times as long as ``run(make(size))``.

    CPU time, the best of several, and three times as much allowed: a quadratic cost would be 64 times.
    """
    small, large = make(size), make(_FACTOR * size)
    return any(_best(run, large) <= 3 * _FACTOR * _best(run, small) for _ in range(3))


def _best(run: Callable[[T], object], argument: T) -> float:
    def once() -> float:
        start = time.process_time()
        run(argument)
        return time.process_time() - start

    gc.disable()
    try:
        return min(once() for _ in range(3))
    finally:
        gc.enable()
