"""What the metrics are called outside: one family for each counter, and for each state that is measured.

Names keep to the conventions of Prometheus: they begin with ``bayeux``, end in their unit, counters in
``_total``.  They are an interface: dashboards and alert rules are made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bayeux.settings import TRANSPORTS

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """The samples of one name."""

    name: str
    help: str
    """One sentence, for whoever reads the exposition."""
    kind: Kind = "counter"
    labels: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    """Values of its label that are there from the start: of a counter that appears with 1, Prometheus sees
    no increase."""


REASONS = ("disconnect", "timeout", "kicked", "overflow", "expired", "shutdown")
"""Why sessions are removed."""
AUTHENTICATION_FAILURES = (
    "malformed", "unknown_key", "wrong_signature", "timestamp", "nonce_reused", "too_many_nonces", "channel",
    "payload", "token_missing", "token_invalid", "token_too_early", "token_revoked", "token_expired",
    "token_too_late", "token_of_another_user", "grant_invalid", "grant_expired", "grant_of_another_user",
    "api_key",
)
"""What is counted of those who are not who they say, or may not do what they want."""
LIMITS_OF_ALL = ("max_sessions", "max_held", "max_connections", "max_channels", "max_nonces")
"""The limits that turn clients away who have done nothing."""
ANSWERS = ("allowed", "denied", "overflow", "stopped", "unreachable", "status", "too_large", "malformed",
           "timeout")
"""What comes of a question to the site."""

COUNTED: Mapping[str, Family] = {
    "messages": Family("bayeux_messages_received_total", "Messages received, of every kind, bad ones too."),
    "published": Family("bayeux_events_published_total", "Events published, by clients and the application."),
    "queued": Family("bayeux_deliveries_total", "Events put into queues: one for each receiver."),
    "dropped": Family("bayeux_deliveries_dropped_total", "Deliveries lost to a full queue."),
    "events_sent": Family("bayeux_events_sent_total",
                          "Events written to clients, those included that ack sends again."),
    "replies_sent": Family("bayeux_replies_sent_total", "Replies written to clients."),
    "latency": Family("bayeux_publish_to_write_seconds",
                      "Time from a publish to its events being written to the clients that wait for it.",
                      "histogram"),
    "bytes_received": Family("bayeux_received_bytes_total", "Bytes read from connections."),
    "bytes_sent": Family("bayeux_sent_bytes_total", "Bytes written to connections."),
    "held": Family("bayeux_connects_held_total", "Connects that were held."),
    "superseded": Family("bayeux_connects_superseded_total", "Held connects that a newer one replaced."),
    "carriers_lost": Family("bayeux_carriers_lost_total",
                            "Requests whose connection was lost before the answer could be written."),
    "sessions_added": Family("bayeux_sessions_added_total", "Successful handshakes."),
    "sessions_removed": Family("bayeux_sessions_removed_total", "Sessions removed, by reason.",
                               labels=("reason",), known=REASONS),
    "failures": Family("bayeux_errors_total", "Unsuccessful replies, by error code.", labels=("code",)),
    "refused": Family("bayeux_requests_refused_total", "Requests refused as a whole, by HTTP status.",
                      labels=("status",)),
    "limited": Family("bayeux_limited_total", "What a limit was in the way of, by the setting that it is.",
                      labels=("setting",), known=LIMITS_OF_ALL),
    "signed": Family("bayeux_signed_publishes_total", "Signed publishes whose signature was good."),
    "duplicates": Family("bayeux_duplicate_publishes_total",
                         "Signed publishes that had been handled before and were not delivered again."),
    "authentication_failures": Family("bayeux_authentication_failures_total",
                                      "Signatures, tokens and grants that were refused, by what was wrong.",
                                      labels=("kind",), known=AUTHENTICATION_FAILURES),
    "api_errors": Family("bayeux_api_errors_total",
                         "Requests and messages that the API has refused, by its code.", labels=("code",)),
    "subscriptions_expired": Family("bayeux_subscriptions_expired_total",
                                    "Subscriptions that have ended with the token or grant behind them."),
    "failed_reloads": Family("bayeux_reloads_failed_total",
                             "Reloads of keys or settings that have failed: the old ones stay."),
    "unannounced": Family("bayeux_connections_unannounced_total",
                          "Connections of trusted proxies that began without a PROXY header, and were cut."),
    "stalled": Family("bayeux_connections_stalled_total",
                      "Connections cut because their peer did not take what it was sent."),
    "unanswered_pings": Family("bayeux_pings_unanswered_total",
                               "WebSockets cut because their peer did not answer pings."),
    "closed": Family("bayeux_websockets_closed_total", "WebSockets that the server closed, by close code.",
                     labels=("code",)),
    "collections_put_off": Family("bayeux_gc_put_off_total",
                                  "Full garbage collections put off because there were too many clients."),
    "collections": Family("bayeux_gc_collections_total", "Garbage collections, by generation.",
                          labels=("generation",), known=("0", "1", "2")),
    "pauses": Family("bayeux_gc_pause_seconds", "Length of garbage collections, in which nobody is served.",
                     "histogram"),
    "longest_collection": Family("bayeux_gc_longest_full_seconds",
                                 "The longest full garbage collection since the start.", "gauge"),
    "lag": Family("bayeux_reactor_lag_seconds", "How late the reactor came to a timer, four times a second.",
                  "histogram"),
    "longest_lag": Family("bayeux_reactor_longest_lag_seconds", "The longest of these so far.", "gauge"),
    "application_errors": Family("bayeux_application_errors_total",
                                 "Exceptions in handlers, callbacks, listeners, policies and extensions."),
    "authorize_asked": Family("bayeux_authorize_questions_total", "Questions that were put to the site."),
    "authorize_cached": Family("bayeux_authorize_cached_total",
                               "Questions that needed not be put to it, as the answer was known."),
    "authorize_answers": Family("bayeux_authorize_answers_total",
                                "What came of questions: allowed, denied, or why there was no answer.",
                                labels=("answer",), known=ANSWERS),
}
"""By the field of ``Metrics``."""

MEASURED: Mapping[str, Family] = {family.name: family for family in (
    Family("bayeux_build_info", "Which versions run; the value is always 1.", "gauge",
           ("version", "python", "twisted")),
    Family("bayeux_uptime_seconds", "Time since the server was made.", "gauge"),
    Family("bayeux_sessions", "Live sessions, by the transport by which they were last heard of.", "gauge",
           ("transport",), TRANSPORTS),
    Family("bayeux_held_connects", "Connects that are held now.", "gauge"),
    Family("bayeux_channels", "Channels and patterns with at least one subscriber.", "gauge"),
    Family("bayeux_connections", "Open connections that were accepted by the server itself.", "gauge"),
    Family("bayeux_streams", "Open WebSockets and EventSources, with or without a session.", "gauge",
           ("transport",), ("websocket", "eventsource")),
    Family("bayeux_sessions_behind", "Sessions with events in their queue that they do not take.", "gauge"),
    Family("bayeux_queued_events", "Events in the queues of these.", "gauge"),
    Family("bayeux_queued_bytes", "Bytes of these events.", "gauge"),
    Family("bayeux_largest_queue_bytes", "Bytes of the events in the largest queue.", "gauge"),
    Family("process_cpu_seconds_total", "CPU time that the process has used."),
    Family("process_resident_memory_bytes", "Main memory that the process has.", "gauge"),
    Family("process_start_time_seconds", "When the process was started, in seconds since 1970.", "gauge"),
    Family("process_open_fds", "Files and sockets that the process has open.", "gauge"),
    Family("process_max_fds", "How many it may have open.", "gauge"),
)}
"""By name; those of the process are called as Prometheus' own clients call them."""
