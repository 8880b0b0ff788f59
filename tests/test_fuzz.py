"""The short form of ``python -m tests.fuzz``: the seeds, and some thousands made of them by chance."""

import importlib
import itertools
from collections import Counter

import pytest

from tests.fuzz.base import BATCH
from tests.fuzz.mutate import mutations
from tests.fuzz.targets import TARGETS

RUNS = {"channels": 20_000, "envelope": 6_000, "signature": 8_000, "token": 4_000,
        "proxied": 2_000, "http": 1_000, "websocket": 1_000}
"""A second or two each."""


def load(name):
    module, kind = TARGETS[name]
    return getattr(importlib.import_module(module), kind)


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes(name):
    """Issue 5, 7; G-34, E-32: no traceback, no wrong answer, and nobody else notices."""
    target = load(name)()
    for number, data in enumerate(itertools.islice(mutations(type(target), seed=1), RUNS[name]), 1):
        target.run(data)
        if number % BATCH == 0:
            target.settle()
    target.settle()


@pytest.mark.parametrize("name", TARGETS)
def test_chance_can_be_repeated(name):
    """A find can be made again by its seed."""
    target = load(name)
    once, again, otherwise = (list(itertools.islice(mutations(target, seed), 200)) for seed in (1, 1, 2))
    assert once == again != otherwise
    assert Counter(once).most_common(1)[0][1] < 20


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_few_and_small(name):
    """They are run each time, and read by people."""
    seeds = load(name).seeds()
    assert 10 <= len(seeds) <= 50
    assert all(len(seed) <= 5_000 for seed in seeds)
