"""Which of the server's own extensions are switched on, and how they are set."""

from __future__ import annotations

from collections.abc import Sequence

from bayeux.extensions import Extension
from bayeux.extensions.ack import Ack
from bayeux.settings import Settings


def built_in(settings: Settings) -> Sequence[Extension]:
    """Make the extensions that the settings name, in that order."""
    make = {
        "ack": Ack,
    }
    return [make[name]() for name in settings.extensions if name in make]
