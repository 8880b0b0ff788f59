"""The console command ``bayeux``: one module a command, put together in ``main``."""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot do what it was asked to; its text says why, and it ends with status 1."""
