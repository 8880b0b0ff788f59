"""Signs what is published, for a server that takes nothing else (21.2)."""

from __future__ import annotations

from typing import Any

import msgspec

from bayeux.keys import Key
from bayeux.signatures import sign_json


class Signer(msgspec.Struct, frozen=True):
    """One key, in a form that can be told to workers."""

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        """Return a text that may be logged: without the secret."""
        return f"<Signer {self.key_id}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what may be logged, too."""
        return [("key_id", self.key_id)]

    def publish(self, client_id: str, channel: str, payload: str, nonce: str) -> str:
        """Return a signed publish; the payload is JSON, the nonce never the same (Y-1 to Y-3)."""
        message = sign_json(Key(id=self.key_id, secret=self.secret), channel, payload, nonce=nonce)
        return msgspec.json.encode([{**message, "clientId": client_id, "id": "4"}]).decode()
