"""Plain counters: what happened, how often; cheap to count on the hot path, exported when asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bayeux.histograms import Histogram

_LATENCIES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_PAUSES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds: the bounds of what is counted by its length."""


@dataclass(slots=True)
class Metrics:
    """Counts since the start of one hub; only ever go up."""

    messages: int = 0
    """Messages received, of every kind, bad ones included."""
    published: int = 0
    """Events published, by clients and by the application."""
    queued: int = 0
    """Deliveries: events put in a session's queue."""
    dropped: int = 0
    """Deliveries lost to a full queue (Q-7)."""
    events_sent: int = 0
    """Events handed to a client's connection, those included that ``ack`` sends again."""
    replies_sent: int = 0
    """Replies handed to a client's connection."""
    latency: Histogram = field(default_factory=lambda: Histogram(_LATENCIES))
    """Seconds from a publish to its events being handed to the sockets of clients that wait for it: for each
    delivery, counted from the first publish of the reactor's turn to the end of the hundred in which it
    was.  What waits in a queue for its client is not in it."""
    bytes_received: int = 0
    """Bytes read from connections: requests with their heads and bodies, frames.  Where twisted.web reads
    the requests, as in an application, bodies only.  With TLS, what is inside."""
    bytes_sent: int = 0
    """Bytes written to connections, of the same."""
    held: int = 0
    """Connects that were held."""
    superseded: int = 0
    """Held connects that a newer one replaced (K-12)."""
    carriers_lost: int = 0
    """Requests whose connection was lost before the answer could be written (N-1)."""
    sessions_added: int = 0
    """Successful handshakes."""
    sessions_removed: Counter[str] = field(default_factory=Counter)
    """Sessions removed, by reason."""
    failures: Counter[int] = field(default_factory=Counter)
    """Unsuccessful replies, by error code."""
    refused: Counter[int] = field(default_factory=Counter)
    """Requests that a transport refused as a whole, by HTTP status."""
    limited: Counter[str] = field(default_factory=Counter)
    """What a limit was in the way of, by the setting that it is."""
    signed: int = 0
    """Signed publishes whose signature was good."""
    duplicates: int = 0
    """Signed publishes that had been handled before, and were not delivered again (Y-9)."""
    authentication_failures: Counter[str] = field(default_factory=Counter)
    """What was refused, by kind.  Signed publishes: ``malformed``; ``unknown_key``, or one that is not good
    now; ``wrong_signature``, ``timestamp``, ``nonce_reused``, ``too_many_nonces``, ``channel``, ``payload``.
    Tokens: ``token_missing``, ``token_invalid``, ``token_too_early``, ``token_revoked``, ``token_expired``,
    ``token_too_late``, ``token_of_another_user``.  Grants: ``grant_invalid``, ``grant_expired``,
    ``grant_of_another_user``.  The HTTP API: ``api_key``, a wrong one."""
    subscriptions_expired: int = 0
    """Subscriptions that have ended with what they were allowed by: tokens, grants, rules (Y-16, Y-19)."""
    failed_reloads: int = 0
    """Times that settings were to be read again and could not be: the old ones stay (Y-10)."""
    unannounced: int = 0
    """Connections of trusted proxies that did not begin with a header of the PROXY protocol, and were cut."""
    stalled: int = 0
    """Connections that were cut because their peer did not take what it was sent (G-16)."""
    unanswered_pings: int = 0
    """WebSockets that were cut because their peer did not answer pings (W-14)."""
    closed: Counter[int] = field(default_factory=Counter)
    """WebSockets that the server closed, by close code."""
    api_errors: Counter[str] = field(default_factory=Counter)
    """What the API has refused, requests and single messages, by its code."""
    collections_put_off: int = 0
    """Full garbage collections that were not made, as there were too many clients to keep waiting."""
    collections: Counter[int] = field(default_factory=Counter)
    """Garbage collections, by generation: 2 are the full ones."""
    pauses: Histogram = field(default_factory=lambda: Histogram(_PAUSES))
    """Seconds of garbage collections, of every generation, in which nobody was served."""
    longest_collection: float = 0.0
    """Seconds of the longest full garbage collection, in which nobody was served."""
    lag: Histogram = field(default_factory=lambda: Histogram(_PAUSES))
    """Seconds that the reactor was late for a timer, measured four times a second."""
    longest_lag: float = 0.0
    """The longest of these."""
    application_errors: int = 0
    """Exceptions in the application's handlers, callbacks, listeners and policies."""
    authorize_asked: int = 0
    """Questions that were put to the site."""
    authorize_cached: int = 0
    """Questions that needed not be put to it: the answer was known."""
    authorize_answers: Counter[str] = field(default_factory=Counter)
    """What came of questions: ``allowed`` and ``denied``, or why there was no answer."""
