"""Which of the server's own extensions are switched on, and how they are set; ``Signing`` always is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.interfaces import IReactorTime

from bayeux.extensions import Extension
from bayeux.extensions.ack import Ack
from bayeux.extensions.activity import Activity
from bayeux.extensions.binary import Binary
from bayeux.extensions.signing import Signing
from bayeux.extensions.timestamp import Timestamp
from bayeux.extensions.timesync import Timesync
from bayeux.keys import KeyRing
from bayeux.metrics import Metrics
from bayeux.settings import ExtensionName, Settings


def built_in(settings: Settings, clock: IReactorTime, wall: Callable[[], float], keys: KeyRing,
             metrics: Metrics) -> Sequence[Extension]:
    """Make the extensions that the settings name, in that order, each once, behind those that always are.

    ``wall`` tells the time of day in seconds since 1970.
    """
    make: Mapping[ExtensionName, Callable[[], Extension]] = {
        "ack": Ack,
        "timesync": lambda: Timesync(settings.timesync_accuracy, wall),
        "timestamp": lambda: Timestamp(wall),
        "activity": lambda: Activity(settings.max_inactivity, clock.seconds,
                                     events=settings.activity == "client-server"),
        "binary": Binary,
    }
    signing = Signing(keys, settings, metrics, clock.seconds, wall)  # first: others see what it has made
    return [signing, *(make[name]() for name in dict.fromkeys(settings.extensions))]
