"""How much of everything is measured."""

from __future__ import annotations

from dataclasses import dataclass

HOLD = 30.0
"""Seconds for which the servers hold a connect: so often every idle client is answered and asks again."""


@dataclass(frozen=True)
class Scale:
    """Clients, rates and times; times are seconds."""

    clients: int = 1000
    channels: int = 10
    websocket_rates: tuple[int, ...] = (10_000, 20_000)
    polling_rates: tuple[int, ...] = (5_000,)
    seconds: float = 5.0
    warm: float = 1.0
    step_seconds: float = 3.0
    """How long each rate is tried when the most is looked for."""
    first_rates: tuple[int, int] = (60_000, 8_000)
    """Where the search for the most begins, WebSocket and long-polling."""
    tries: int = 2
    """How often a rate may fail before it counts as not carried: somebody else may have had the processor."""
    refinements: int = 3
    """How often the gap between what is carried and what is not is halved."""
    widest: int = 20
    """How many rates are tried at most to find that gap."""
    idle: int = 2000
    settle: float = 1.0
    """How long they are left alone before their memory is measured."""
    pause: float = 12.0
    """For how long the probe looks for pauses."""
    many: int = 19_000
    """How many clients ``many`` has; the server needs a file for each, and so does the driver."""
    hold: float = HOLD
    """For how long these are left alone before they receive something."""
    unrelated: int = 100_000
    """Subscriptions that have nothing to do with what is published, in thousands."""
    rounds: int = 10
    """How often the server with them and the one without take turns."""


QUICK = Scale(clients=300, websocket_rates=(5_000,), polling_rates=(2_000,), seconds=1.0, warm=0.3,
              step_seconds=0.7, tries=1, refinements=0, widest=3, idle=300, pause=0.6, many=300, hold=0.6,
              unrelated=2_000, rounds=2)
