"""What has happened to a client, how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class ClientMetrics:
    """Counts since a client was made; they only ever go up."""

    sessions: int = 0
    """Handshakes that were successful."""
    losses: int = 0
    """How often a connect failed after one had succeeded."""
    events: int = 0
    """Events that came."""
    unclaimed: int = 0
    """Events for which there was no subscription."""
    published: int = 0
    """Messages that the server has taken."""
    unpublished: Counter[str] = field(default_factory=Counter)
    """Messages that it has not, or that nobody knows of, by the name of the error."""
    failures: Counter[str] = field(default_factory=Counter)
    """Why it was not connected, or no more, by the name of the error."""
    errors: int = 0
    """Errors that were reported: of callbacks, of extensions, refusals that nobody waited for."""
