"""When the garbage collector runs."""

import gc
import weakref

import pytest
from twisted.internet.task import Clock

from bayeux.garbage import Garbage
from bayeux.metrics import Metrics


class Thing:
    pass


def old_cycle():
    """Make something that became garbage too late for the collections of what is young."""
    thing = Thing()
    thing.itself = thing
    gc.collect(1)
    gc.collect(1)
    return weakref.ref(thing)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def garbage(clock):
    garbage = Garbage(clock, 3600.0, Metrics())
    yield garbage
    garbage.stop()


def test_python_does_not_collect_everything_by_itself_any_more(garbage):
    garbage.start()
    assert gc.get_threshold()[2] >= 1_000_000_000
    assert gc.get_threshold()[0] > 0


def test_what_is_there_at_the_start_is_left_out(garbage):
    kept = [Thing()]
    garbage.start()
    assert gc.get_freeze_count() > 1_000
    assert all(each is not kept for each in gc.get_objects())


def test_everything_is_collected_now_and_then(garbage, clock):
    garbage.start()
    for _ in range(2):
        old = old_cycle()
        clock.advance(3599)
        gc.collect(1)
        assert old() is not None
        clock.advance(1)
        assert old() is None


def test_the_longest_pause_is_known(clock):
    metrics = Metrics()
    garbage = Garbage(clock, 3600.0, metrics)
    garbage.start()
    assert metrics.longest_collection == 0
    clock.advance(3600)
    garbage.stop()
    assert 0 < metrics.longest_collection < 10


def test_at_the_end_everything_is_as_before(garbage, clock):
    before = gc.get_threshold()
    garbage.start()
    garbage.start()
    garbage.stop()
    garbage.stop()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
    assert clock.getDelayedCalls() == []
