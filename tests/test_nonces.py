"""nonces.py: a nonce serves once, while that can be told (Y-8, Y-9, G-22)."""

from __future__ import annotations

import gc
from itertools import pairwise

import pytest
from twisted.internet.task import Clock

from bayeux.errors import TooBusy
from bayeux.nonces import Nonces

START = 1_700_000_000.0
A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def nonces(clock: Clock) -> Nonces:
    return Nonces(3, 600.0, clock.seconds, START)


def use(nonces: Nonces, nonce: str, signature: bytes = A, timestamp: int = int(START)) -> None:
    nonces.use(nonce, signature, timestamp)
    nonces.settle(nonce, signature, True)


def test_a_nonce_is_free_until_it_is_used(nonces: Nonces) -> None:
    assert nonces.find("one") is None
    nonces.use("one", A, 5)
    assert (nonces.find("one"), nonces.find("two"), len(nonces)) == (A, None, 1)
    nonces.settle("one", A, True)
    assert (nonces.find("one"), len(nonces)) == (A, 1)


def test_one_that_failed_is_free_again(nonces: Nonces) -> None:
    nonces.use("one", A, 5)
    nonces.settle("one", A, False)
    assert (nonces.find("one"), len(nonces)) == (None, 0)


def test_one_is_remembered_for_its_time(nonces: Nonces, clock: Clock) -> None:
    """Y-8: to its end."""
    use(nonces, "one")
    clock.advance(600)
    use(nonces, "two", B)
    assert nonces.find("one") == A
    clock.advance(0.1)
    use(nonces, "three", B)
    assert (nonces.find("one"), nonces.find("two")) == (None, B)


def test_there_is_room_for_so_many(nonces: Nonces, clock: Clock) -> None:
    """G-22, Y-8: fails closed, and none is forgotten before its time."""
    for name in ("one", "two", "three"):
        use(nonces, name)
    with pytest.raises(TooBusy):
        nonces.use("four", B, 5)
    assert [nonces.find(name) for name in ("one", "two", "three", "four")] == [A, A, A, None]
    assert nonces.wait(B) is None
    clock.advance(600.1)
    use(nonces, "four", B)
    assert len(nonces) == 1


def test_a_crowd_is_forgotten_little_by_little(clock: Clock) -> None:
    """Nobody waits for all of it, and in the end it is gone."""
    nonces = Nonces(1_000, 600.0, clock.seconds, START)
    for number in range(1_000):
        use(nonces, str(number))
    clock.advance(601)
    sizes = []
    for number in range(200):
        use(nonces, f"new {number}")
        sizes.append(len(nonces))
    assert sizes[0] == 993
    assert max(before - after for before, after in pairwise(sizes)) == 7
    assert sizes[-1] == 200


def test_before_the_start_nothing_is_known(nonces: Nonces) -> None:
    """Y-8: what an earlier process has seen is lost."""
    assert nonces.floor == START - 1


def test_what_is_forgotten_is_never_good_again(nonces: Nonces, clock: Clock) -> None:
    """Y-8: not even where the time of day is set back."""
    use(nonces, "one", timestamp=int(START) + 100)
    use(nonces, "two", B, timestamp=int(START) + 50)
    assert nonces.floor == START - 1
    clock.advance(601)
    use(nonces, "three", timestamp=int(START) + 700)
    assert nonces.floor == START + 101


def test_whoever_comes_meanwhile_waits(nonces: Nonces) -> None:
    """Y-9: until it is known what has become of the first."""
    nonces.use("one", A, 5)
    told: list[bytes | None] = []
    for _ in range(2):
        waiting = nonces.wait(A)
        assert waiting is not None
        waiting.addCallback(lambda _: told.append(nonces.find("one")))
    assert (told, nonces.wait(B)) == ([], None)
    nonces.settle("one", A, True)
    assert told == [A, A]
    assert nonces.wait(A) is None


def test_whoever_waited_for_one_that_failed_finds_it_free(nonces: Nonces) -> None:
    nonces.use("one", A, 5)
    told: list[bytes | None] = []
    waiting = nonces.wait(A)
    assert waiting is not None
    waiting.addCallback(lambda _: told.append(nonces.find("one")))
    nonces.settle("one", A, False)
    assert told == [None]


def test_one_that_takes_longer_than_it_is_remembered_harms_nobody(nonces: Nonces, clock: Clock) -> None:
    nonces.use("one", A, 5)
    clock.advance(601)
    use(nonces, "two", B)
    assert nonces.find("one") is None
    use(nonces, "one", B)
    nonces.settle("one", A, False)
    assert nonces.find("one") == B


def test_what_is_remembered_is_nothing_to_the_collector(clock: Clock) -> None:
    """DESIGN: a pause for each hundred thousand would be felt."""
    nonces = Nonces(1_000, 600.0, clock.seconds, START)
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1_000):
        use(nonces, str(number), number.to_bytes(32, "big"), 1_700_000_000 + number)
    gc.collect()
    assert len(gc.get_objects()) - before < 100
