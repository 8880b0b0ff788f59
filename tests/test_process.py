"""What the operating system says of this process, compared with what others make of it."""

import builtins
import gc
import os
import resource
import time

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector

from bayeux import process


@pytest.fixture
def theirs():
    """Return what Prometheus' own collector says, by name."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry.get_sample_value


def test_the_files_that_are_open(theirs):
    gc.collect()  # or what an earlier test has left open could be closed just now
    before = process.usage().open_files
    with open(os.devnull), open(os.devnull):
        assert process.usage().open_files == before + 2
    assert abs(before - theirs("process_open_fds")) <= 1  # the listing itself is one


def test_how_many_there_may_be():
    assert process.usage().most_files == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_an_old_kernel_has_its_open_files_listed(monkeypatch):
    """Before 6.2 the size of the directory is 0."""
    usual = os.stat

    def stat(path, *args, **kwargs):
        found = usual(path, *args, **kwargs)
        return os.stat_result([*found[:6], 0, *found[7:10]]) if path == "/proc/self/fd" else found

    now = process.usage().open_files
    monkeypatch.setattr(os, "stat", stat)
    assert abs(process.usage().open_files - now) <= 1


def test_memory(theirs):
    memory = process.usage().memory
    assert memory == pytest.approx(theirs("process_resident_memory_bytes"), rel=0.05)
    kept = bytearray(os.urandom(1 << 20) * 50)
    assert process.usage().memory > memory + (len(kept) >> 1)


def test_cpu():
    before = process.usage().cpu
    while process.usage().cpu < before + 0.01:
        pass
    assert process.usage().cpu == pytest.approx(time.process_time(), abs=1.0)


def test_the_start(theirs):
    assert process.started() == pytest.approx(theirs("process_start_time_seconds"), abs=2.0)


def test_outside_linux_some_things_are_not_known(monkeypatch):
    def nothing(path, *args, **kwargs):
        raise FileNotFoundError(path)

    monkeypatch.setattr(builtins, "open", nothing)
    monkeypatch.setattr(os, "stat", nothing)
    usage, start = process.usage(), process.started()
    monkeypatch.undo()
    assert usage.memory is usage.open_files is start is None
    assert usage.cpu > 0
