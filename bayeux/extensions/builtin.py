"""Which of the server's own extensions are switched on, and how they are set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.interfaces import IReactorTime

from bayeux.extensions import Extension
from bayeux.extensions.ack import Ack
from bayeux.extensions.activity import Activity
from bayeux.extensions.binary import Binary
from bayeux.extensions.timestamp import Timestamp
from bayeux.extensions.timesync import Timesync
from bayeux.settings import ExtensionName, Settings


def built_in(settings: Settings, clock: IReactorTime) -> Sequence[Extension]:
    """Make the extensions that the settings name, in that order, each once."""
    make: Mapping[ExtensionName, Callable[[], Extension]] = {
        "ack": Ack,
        "timesync": lambda: Timesync(settings.timesync_accuracy),
        "timestamp": Timestamp,
        "activity": lambda: Activity(settings.max_inactivity, clock.seconds,
                                     events=settings.activity == "client-server"),
        "binary": Binary,
    }
    return [make[name]() for name in dict.fromkeys(settings.extensions)]
