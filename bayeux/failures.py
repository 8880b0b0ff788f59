"""What becomes of a message that failed: the one place where errors become replies (E-32)."""

from __future__ import annotations

from msgspec import UNSET
from twisted.python.failure import Failure

from bayeux.channels import META_CONNECT, META_HANDSHAKE, META_SUBSCRIBE, META_UNSUBSCRIBE
from bayeux.errors import (
    BayeuxError,
    Expired,
    InternalError,
    MissingClientID,
    TooBusy,
    TooMany,
    UnknownClient,
)
from bayeux.extensions import Call
from bayeux.faults import Faults
from bayeux.journal import Witnesses
from bayeux.messages import Advice, Message, Rejected, Reply
from bayeux.session import Link, Release
from bayeux.sessions import Sessions
from bayeux.versions import VERSION

_BREATH = 1.0
"""Seconds for which who connects too often is asked to wait (G-25)."""


class Failures:
    """Makes the unsuccessful replies of one hub, with the advice that belongs to each."""

    def __init__(self, sessions: Sessions, faults: Faults, connection_types: tuple[str, ...],
                 witnesses: Witnesses) -> None:
        self._witnesses = witnesses
        self._sessions = sessions
        self._faults = faults
        self._connection_types = connection_types

    def answer(self, message: Message | Rejected, error: BaseException, link: Link) -> Reply:
        """Return the reply to a message that failed, and that has come by that link."""
        told = self._told(error, message.channel)
        session = self._sessions.get(message.client_id)
        self._witnesses["message", told.code] = link.address, "" if session is None else session.label
        reply = Reply(message.channel, False, id=message.id, error=str(self._sessions.failed(told)))
        if message.channel == META_HANDSHAKE:
            reply.version = reply.minimum_version = VERSION
            reply.supported_connection_types = self._connection_types
            reply.advice = self._refusal_advice(told)
        elif message.channel == META_CONNECT:
            if isinstance(told, UnknownClient | MissingClientID):
                reply.advice = Advice("handshake", 0)  # K-4
            elif isinstance(told, TooMany):
                reply.advice = self._sessions.advice("retry", _BREATH)
            elif isinstance(told, TooBusy):
                reply.advice = Advice("handshake", self._sessions.spread())
            else:
                reply.advice = self._sessions.advice("retry")
        elif message.channel in (META_SUBSCRIBE, META_UNSUBSCRIBE) and message.subscription is not None:
            reply.subscription = message.subscription
        return reply

    def spoil(self, reply: Reply, call: Call, error: BaseException) -> None:
        """Make an unsuccessful reply of one that an extension failed to let out."""
        told = self._told(error, reply.channel)
        reply.successful = False
        reply.error = str(self._sessions.failed(told))
        if reply.channel == META_HANDSHAKE and call.session is not None:
            self._sessions.remove(call.session, "kicked", Release.KICKED)  # which must be of no use (H-12)
            reply.client_id = UNSET
            reply.advice = self._refusal_advice(told)

    def _told(self, error: BaseException, channel: str) -> BayeuxError:
        """Return what a client is told of an error: of those that are not meant for it, only that it was."""
        if isinstance(error, BayeuxError):
            return error
        self._faults.tell("a handler failed on {channel!r}", Failure(error), event="handler_failed",
                          channel=channel[:64])
        return InternalError()

    def _refusal_advice(self, error: BayeuxError) -> Advice:
        """Advise whoever could not shake hands; nobody may try again in a tight loop (H-12, H-13)."""
        if error.code >= 429 or isinstance(error, Expired):
            return Advice("handshake", self._sessions.spread(least=1.0))
        return self._sessions.advice("none")
