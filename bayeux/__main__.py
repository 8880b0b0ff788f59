"""``python -m bayeux`` is the command ``bayeux``."""

from __future__ import annotations

import sys

from bayeux.cli.main import main

sys.exit(main())
