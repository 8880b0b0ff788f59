"""``python -m bayeux.load``: the same as ``bayeux load``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bayeux.load import command


def main(argv: Sequence[str] | None = None) -> int:
    """Do as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="bayeux load")
    command.add_arguments(parser)
    return command.run(parser.parse_intermixed_args(argv))


if __name__ == "__main__":
    sys.exit(main())
