"""Handshakes: who gets a session, and what it is told of this server (section 6)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from bayeux.channels import META_HANDSHAKE
from bayeux.errors import BayeuxError, Denied, MissingField
from bayeux.exchange import Exchange
from bayeux.extensions import Call
from bayeux.messages import Authenticated, Reply
from bayeux.policy import Policy
from bayeux.results import then
from bayeux.sessions import Sessions
from bayeux.settings import Settings
from bayeux.versions import VERSION, check_version

_DRAFT_TYPES = ("long-polling-json-encoded", "long-polling-form-encoded")
"""dojox.cometd's names for what is plain long-polling (K-5)."""


class Handshakes:
    """Answers the handshakes of one hub; ``policy`` returns who is asked about them."""

    def __init__(self, sessions: Sessions, settings: Settings, policy: Callable[[], Policy]) -> None:
        self._sessions = sessions
        self._settings = settings
        self._policy = policy
        self.connection_types = _advertised(settings)
        """Those that a client may choose from."""

    def has(self, connection_type: str) -> bool:
        """Say whether a client may connect by that."""
        return connection_type in self.connection_types or connection_type in _DRAFT_TYPES

    def answer(self, call: Call, exchange: Exchange) -> Reply | Deferred[Reply]:
        """Create a session."""
        message = call.message
        if message.version is None:
            raise MissingField("version")
        check_version(message.version, message.minimum_version)
        offered = message.supported_connection_types
        if offered is None:
            if not self._settings.legacy_clients:
                raise MissingField("supportedConnectionTypes")
            offered = (exchange.link.connection_type,)  # H-6
        if not any(self.has(name) for name in offered):
            raise BayeuxError(301, "Connection types not supported", *offered)

        def opened(allowed: bool) -> Reply:
            if not allowed:
                raise Denied("Handshake denied")
            credentials = (message.credential,) if isinstance(message, Authenticated) else ()
            exchange.session = call.session = session = self._sessions.open(exchange.link, credentials)
            exchange.opened = True
            return Reply(
                META_HANDSHAKE, True, id=message.id, client_id=session.id,
                version=VERSION, minimum_version=VERSION,
                supported_connection_types=self.connection_types,
                advice=self._sessions.advice("retry"),
            )

        return then(self._policy().can_handshake(message, exchange.link), opened)


def _advertised(settings: Settings) -> tuple[str, ...]:
    """Return what a handshake says that the server supports (H-4).

    Faye's name for long-polling by CORS is among it where pages of other origins are allowed (F-1).
    """
    if not settings.allowed_origins:
        return settings.connection_types
    polling = settings.connection_types.index("long-polling") + 1
    return (*settings.connection_types[:polling], "cross-origin-long-polling",
            *settings.connection_types[polling:])
