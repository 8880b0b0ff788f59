"""What this machine allows, and what its processes use.  Linux only."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from bayeux.load import LoadError
from bayeux.load.target import Target

_PAGE = resource.getpagesize()
_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_SCHEDULE = Path("/proc/self/schedstat")
_SPARE_PORTS = 500
"""Ports that others on this machine may be using."""


def raise_open_files(needed: int = 0, processes: int = 1) -> None:
    """Raise the soft limit of open files to the hard one.  Raises ``LoadError`` if that is too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and needed > hard:
        enough = -(-needed * processes // hard) + 1
        raise LoadError(
            f"{needed} open files are needed{' in each process' if processes > 1 else ''}, but the limit is "
            f"{hard}: raise the hard limit (ulimit -Hn {needed}, LimitNOFILE= in systemd), or use more "
            f"processes (--processes {enough})")


def local_ports() -> int:
    """Return how many connections one address of this machine can make to one server."""
    low, high = map(int, _PORTS.read_text().split())
    return high - low + 1


def sources(target: Target, connections: int) -> tuple[str, ...]:
    """Return the addresses to connect from, if one has too few ports; none if any address will do.

    Only for a server on this machine: everything in 127.0.0.0/8 is ours there.  Raises ``LoadError``.
    """
    ports = local_ports() - _SPARE_PORTS
    if connections <= ports:
        return ()
    if target.is_loopback and ":" not in target.address:
        return tuple(f"127.0.1.{number + 1}" for number in range(-(-connections // ports)))
    raise LoadError(
        f"{connections} connections to one address need as many local ports, and there are {ports}: widen "
        f"{_PORTS} (sysctl -w net.ipv4.ip_local_port_range='1024 65535'), or load the server from several "
        "machines")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, all its threads, in seconds, exact to nanoseconds.

    It is what ``clock_getcpuclockid`` gives; /proc/PID/stat counts in hundredths.  Raises ``OSError``.
    """
    return time.clock_gettime((~pid << 3) | 2)


def waited_seconds() -> float:
    """Return how long this process's main thread has waited for a processor that others had, in seconds.

    0 on a kernel that does not count it.
    """
    try:
        return int(_SCHEDULE.read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def rss_bytes(pid: int) -> int:
    """Return how much of a process is in memory.  Raises ``OSError``."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
