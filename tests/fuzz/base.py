"""What is fuzzed: a target, its seeds, and the log that has to stay empty."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from twisted.logger import LogEvent, globalLogPublisher

HERE = Path(__file__).parent
BATCH = 32
"""Inputs after which a target looks at what they have left behind, so that a find is known by few."""


class Target:
    """Something that is given bytes; an exception of any kind is a find."""

    name: ClassVar[str]
    def run(self, data: bytes) -> None:
        """Take one input, and check what comes of it."""
        raise NotImplementedError

    def settle(self) -> None:
        """Check what a batch of inputs has left behind, and forget it."""

    @classmethod
    def seeds(cls) -> list[bytes]:
        """Return what is known to be worth a try, in a fixed order."""
        return [path.read_bytes() for path in sorted(cls.corpus().iterdir())]

    @classmethod
    def corpus(cls) -> Path:
        """Return the folder of the seeds."""
        return HERE / "corpus" / cls.name

    @classmethod
    def words(cls) -> Path:
        """Return the file of what inputs are made of: a dictionary as libFuzzer reads it."""
        return HERE / "words" / cls.name


@contextmanager
def nothing_fails() -> Iterator[None]:
    """Raise if anything is logged as a failure meanwhile."""
    failures: list[str] = []

    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure") or (event.get("isError") and event.get("failure"))
        if failure:
            failures.append(failure.getTraceback())

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)
    assert not failures, "\n".join(failures)


class Number(str):
    """A number as it is written, since Python cannot hold each."""


class Twice(dict[str, Any]):
    """An object in which a name comes twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Twice(found)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=Number, parse_float=Number,
                            parse_constant=_constant)


def read_json(text: str) -> Any:
    """Read JSON by the standard library, numbers as they are written; raises ``ValueError``."""
    try:
        return _decoder.decode(text.strip(" \t\r\n"))
    except RecursionError:
        raise ValueError("too deep") from None


def depth_of(value: Any) -> int:
    """Return how deep a value is nested."""
    deepest, left = 0, [(value, 1)]
    while left:
        one, depth = left.pop()
        if isinstance(one, dict | list):
            deepest = max(deepest, depth)
            left += [(inner, depth + 1) for inner in (one.values() if isinstance(one, dict) else one)]
    return deepest
