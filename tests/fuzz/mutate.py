"""Inputs made from seeds by chance: the same ones for the same seed."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Sequence

from tests.fuzz.base import Target


def mutations(target: type[Target], seed: int) -> Iterator[bytes]:
    """Yield the seeds of a target, and then what becomes of them, for ever."""
    seeds = target.seeds()
    tokens = [ast.literal_eval(f"b{line}") for line in target.words().read_text().splitlines()]
    yield from seeds
    chance = random.Random(seed)
    known = list(seeds)
    while True:
        data = chance.choice(known)
        for _ in range(chance.choice((1, 1, 2, 3, 5, 8))):
            data = _mutate(data, known, tokens, chance)
        if chance.random() < 0.05 and len(data) < 5_000:  # something to go on from
            if len(known) < len(seeds) + 500:
                known.append(data)
            else:
                known[chance.randrange(len(seeds), len(known))] = data
        yield data


def _mutate(data: bytes, known: Sequence[bytes], tokens: Sequence[bytes], chance: random.Random) -> bytes:
    start = chance.randint(0, len(data))
    end = min(len(data), start + chance.choice((0, 1, 1, 2, 4, 16, 64)))
    match chance.randrange(8):
        case 0:
            return data[:start] + data[end:]
        case 1:
            return data[:end] + data[start:end] * chance.choice((1, 1, 2, 40)) + data[end:]
        case 2 | 3:
            return data[:start] + chance.choice(tokens) + data[end:]
        case 4:
            return data[:start] + chance.randbytes(end - start or 1) + data[end:]
        case 5 if data:
            place = min(start, len(data) - 1)
            return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1:]
        case 6:
            other = chance.choice(known)
            return data[:start] + other[chance.randint(0, len(other)):]
        case _:
            place = chance.randint(0, len(data))
            return data[:place] + data[start:end] + data[place:]
