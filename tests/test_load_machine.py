"""load/machine.py: what this machine allows, and what processes use."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bayeux.load import LoadError, machine
from bayeux.load.target import Target

HERE = Target.of("http://127.0.0.1:1/")


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    try:
        machine.raise_open_files(100)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
        machine.raise_open_files(100)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_too_few_open_files_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1000, 1000))
    machine.raise_open_files(1000)
    with pytest.raises(LoadError) as raised:
        machine.raise_open_files(2500)
    assert str(raised.value) == (
        "2500 open files are needed, but the limit is 1000: raise the hard limit (ulimit -Hn 2500, "
        "LimitNOFILE= in systemd), or use more processes (--processes 4)")
    with pytest.raises(LoadError, match=r"are needed in each process, .* \(--processes 6\)"):
        machine.raise_open_files(1250, 4)


def test_without_a_limit_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    machine.raise_open_files(10**9)


def test_the_ports_of_this_machine_are_known() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert machine.local_ports() == high - low + 1


@pytest.mark.parametrize(("connections", "addresses"), [
    (1, 0), (9_500, 0), (9_501, 2), (19_000, 2), (19_001, 3)])
def test_more_addresses_are_used_where_one_has_too_few_ports(
        monkeypatch: pytest.MonkeyPatch, connections: int, addresses: int) -> None:
    monkeypatch.setattr(machine, "local_ports", lambda: 10_000)
    sources = machine.sources(HERE, connections)
    assert len(set(sources)) == addresses
    assert all(source.startswith("127.0.1.") for source in sources)


@pytest.mark.parametrize("url", ["http://192.0.2.1/", "http://[::1]/"])
def test_too_few_ports_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(machine, "local_ports", lambda: 10_000)
    assert machine.sources(Target.of(url), 9_000) == ()
    with pytest.raises(LoadError, match=r"30000 connections to one address need as many local ports, and "
                                        r"there are 9500: widen /proc/sys/.*ip_local_port_range \(sysctl -w"):
        machine.sources(Target.of(url), 30_000)


def test_cpu_time_is_that_of_the_process() -> None:
    before = machine.cpu_seconds(os.getpid())
    sum(range(1_000_000))
    assert 0.001 < machine.cpu_seconds(os.getpid()) - before < 5


def test_waiting_for_a_processor_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By kernels that do."""
    assert 0 <= machine.waited_seconds() < time.clock_gettime(time.CLOCK_BOOTTIME)
    monkeypatch.setattr(machine, "_SCHEDULE", tmp_path / "schedstat")
    assert machine.waited_seconds() == 0
    (tmp_path / "schedstat").write_text("152382 3079788000 1\n")
    assert machine.waited_seconds() == 3.079788


def test_memory_is_that_of_the_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "x = 'x' * 50_000_000; print(); input()"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 50_000_000 < machine.rss_bytes(process.pid) < 200_000_000
        process.communicate(b"\n")
    with pytest.raises(OSError, match="No such"):
        machine.rss_bytes(process.pid)
    with pytest.raises(OSError, match="Invalid argument"):
        machine.cpu_seconds(process.pid)
