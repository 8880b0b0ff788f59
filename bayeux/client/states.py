"""The life of a client, as one table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Where a client is; the values are for people and logs."""

    UNCONNECTED = "unconnected"
    """It has not been told to connect."""
    HANDSHAKING = "handshaking"
    """It has no session, and asks for one until it has."""
    CONNECTING = "connecting"
    """It has a session, by which no connect has been answered yet; messages are sent already."""
    CONNECTED = "connected"
    """The last connect was answered, and the next is under way."""
    RECONNECTING = "reconnecting"
    """The last connect has failed, and is tried again for the same session; messages wait."""
    DISCONNECTING = "disconnecting"
    """The server is being told that the client leaves."""
    DISCONNECTED = "disconnected"
    """The end."""


class Step(Enum):
    """What brings a client from one state to another."""

    START = "told to connect"
    GREETED = "the server has given it a session"
    ACCEPTED = "a connect was answered"
    FAILED = "a connect was not answered, or refused for now"
    FORGOTTEN = "the server does not know the session any more"
    LEAVE = "told to disconnect while it has a session"
    END = "the server knows that it leaves, or there is no point in going on"


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.UNCONNECTED, Step.START): State.HANDSHAKING,
    (State.HANDSHAKING, Step.GREETED): State.CONNECTING,
    (State.CONNECTING, Step.ACCEPTED): State.CONNECTED,
    (State.CONNECTED, Step.ACCEPTED): State.CONNECTED,
    (State.RECONNECTING, Step.ACCEPTED): State.CONNECTED,
    (State.CONNECTING, Step.FAILED): State.RECONNECTING,
    (State.CONNECTED, Step.FAILED): State.RECONNECTING,
    (State.RECONNECTING, Step.FAILED): State.RECONNECTING,
    (State.CONNECTING, Step.FORGOTTEN): State.HANDSHAKING,
    (State.CONNECTED, Step.FORGOTTEN): State.HANDSHAKING,
    (State.RECONNECTING, Step.FORGOTTEN): State.HANDSHAKING,
    (State.CONNECTING, Step.LEAVE): State.DISCONNECTING,
    (State.CONNECTED, Step.LEAVE): State.DISCONNECTING,
    (State.RECONNECTING, Step.LEAVE): State.DISCONNECTING,
    (State.UNCONNECTED, Step.END): State.DISCONNECTED,
    (State.HANDSHAKING, Step.END): State.DISCONNECTED,
    (State.CONNECTING, Step.END): State.DISCONNECTED,
    (State.CONNECTED, Step.END): State.DISCONNECTED,
    (State.RECONNECTING, Step.END): State.DISCONNECTED,
    (State.DISCONNECTING, Step.END): State.DISCONNECTED,
}
"""What is not here cannot happen."""

TALKING = frozenset({State.CONNECTING, State.CONNECTED, State.DISCONNECTING})
"""Where messages are sent: there is a session, and the way to the server is not known to be broken."""

ALIVE = frozenset({State.CONNECTING, State.CONNECTED, State.RECONNECTING})
"""Where there is a session that is to be kept."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state, as listeners are told of it."""

    state: State
    previous: State
    reason: Exception | None = None
    """What has gone wrong, if that is why."""
