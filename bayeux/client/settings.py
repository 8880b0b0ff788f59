"""The limits and times of a client."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Every limit and time of a client, with its default; times are seconds, sizes bytes.

    Raises ``ValueError`` for what is not a positive number.
    """

    network_delay: float = 10.0
    """How long an answer may take beyond the time that the server holds the request; then it is lost."""
    open_timeout: float = 5.0
    """A TCP connection, with TLS, and the opening of a WebSocket must be done within this time each: shorter
    than most servers' patience with a session that does not connect, so that another transport can go on
    with it."""
    ping_interval: float = 20.0
    """After this long without a byte a WebSocket is pinged, and after ``network_delay`` more it is lost."""
    first_backoff: float = 1.0
    """The pause after a first failure, at most; it doubles with each further one."""
    max_backoff: float = 30.0
    """The longest pause between two tries."""
    max_upgrade_backoff: float = 600.0
    """The longest pause between tries for a better transport while another one works."""
    max_refusals: int = 5
    """So many handshakes may be refused in a row where the server advises another try; then the client ends.
    Those that are refused because the server is busy are not counted."""
    leave_timeout: float = 5.0
    """How long ``disconnect`` waits until the server knows."""
    close_timeout: float = 2.0
    """How long a WebSocket that is closed may take for it; then it is cut."""
    max_outbox: int = 1_000
    """Messages that wait to be sent or to be answered."""
    max_batch: int = 100
    """Messages in one request; servers refuse more."""
    max_batch_size: int = 262_144
    """Bytes of the messages in one request; a single one may be larger."""
    max_answer: int = 8_388_608
    """Bytes of one answer, or one message of a WebSocket."""
    idle_timeout: float = 4.0
    """How long a connection for requests is kept while there are none: shorter than any server keeps it, or a
    request could meet a connection that is being closed."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            wanted = "a positive whole number" if field.type == "int" else "a positive number"
            good = isinstance(value, int) or (field.type == "float" and isinstance(value, float))
            if isinstance(value, bool) or not good or not 0 < value < float("inf"):
                raise ValueError(f"{field.name} must be {wanted}, not {value!r}")
