"""Where it was measured."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import twisted


def describe() -> str:
    """Return one line: processor, cores, versions."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return ", ".join([
        model[1] if model else platform.machine(), f"{os.cpu_count()} cores",
        f"Linux {platform.release()}", f"{platform.python_implementation()} {platform.python_version()}",
        f"Twisted {twisted.__version__}", f"Node {_node()}",
    ])


def _node() -> str:
    if shutil.which("node") is None:
        return "none"
    run = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=10, check=False)
    return run.stdout.strip()
