"""What the operating system says of this process."""

from __future__ import annotations

import os
import resource
import time
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_START = 19
"""Which field of ``/proc/self/stat``, counted behind the name of the program, is when it was started."""


class Usage(NamedTuple):
    """What the process uses; what is not to be had outside Linux is None."""

    cpu: float
    """Seconds of CPU since its start."""
    memory: int | None
    """Bytes that it has in memory."""
    open_files: int | None
    """Files and sockets that it has open."""
    most_files: int
    """How many it may have open."""


def usage() -> Usage:
    """Return what the process uses now, in some hundredths of a millisecond."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Usage(time.process_time(), _memory(), _open_files(), soft)


def started() -> float | None:
    """Return when the process was started, in seconds since 1970."""
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_START]) / _TICKS
    return time.time() - age


def _memory() -> int | None:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return None


def _open_files() -> int | None:
    """Count the open files: by listing them, where the kernel (before 6.2) does not say how many there are.

    With 15,000 clients that takes 50 milliseconds.
    """
    try:
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
    except OSError:
        return None
