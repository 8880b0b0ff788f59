"""Replay of events that were missed, as Salesforce has it (section 19.6)."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from bayeux.channels import META_HANDSHAKE, META_SUBSCRIBE, expand
from bayeux.client.envelopes import Message
from bayeux.client.extensions import ClientExtension, add

NEW_EVENTS = -1
"""Replay from here on: nothing that was published before."""
ALL_EVENTS = -2
"""Replay everything that the server still has."""


class Replay(ClientExtension):
    """Asks the server, at each subscription, for the events since the last that has come.

    ``cursors`` maps a subscription to the replayId of its last event, or to ``NEW_EVENTS`` or ``ALL_EVENTS``;
    give one that lives on (such as a ``shelve``) and the next process goes on where this one has ended.  A
    subscription that is not in it begins with ``otherwise``.  The number is noted as an event is handed out;
    who must not miss one that is not dealt with yet keeps ``event.replay_id`` beside its own data.

    Where the server no longer has what follows a cursor it refuses to subscribe
    (``Refused.is_invalid_replay``): events are lost then, and what to do is for the application to say:
    ``forget``, and subscribe again.
    """

    def __init__(self, cursors: MutableMapping[str, int] | None = None, otherwise: int = NEW_EVENTS) -> None:
        self.cursors: MutableMapping[str, int] = {} if cursors is None else cursors
        self.otherwise = otherwise
        self.agreed = False
        """Whether the server replays."""
        self._subscriptions: set[str] = set()

    def forget(self, subscription: str) -> None:
        """Begin that subscription anew with ``otherwise``."""
        self.cursors.pop(subscription, None)

    def outgoing(self, message: Message) -> None:
        """Ask for replay at the handshake (XR-1), and name a cursor with each subscription (XR-2)."""
        if message["channel"] == META_HANDSHAKE:
            add(message, "replay", True)
        elif message["channel"] == META_SUBSCRIBE and self.agreed:
            name = message["subscription"]
            self._subscriptions.add(name)
            add(message, "replay", {name: self.cursors.get(name, self.otherwise)})

    def incoming(self, message: Message) -> None:
        """Note whether the server agrees, and how far the events of each subscription have come."""
        if message.get("channel") == META_HANDSHAKE:
            extra = message.get("ext")
            self.agreed = isinstance(extra, dict) and bool(extra.get("replay"))
        elif (number := replay_id(message.get("data"))) is not None:
            for name in expand(message["channel"]):
                if name in self._subscriptions:
                    self.cursors[name] = number


def replay_id(data: Any) -> int | None:
    """Return the replayId of an event's data, if it has one (XR-6)."""
    event = data.get("event") if isinstance(data, dict) else None
    number = event.get("replayId") if isinstance(event, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None
