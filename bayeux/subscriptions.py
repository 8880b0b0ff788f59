"""Subscribing and unsubscribing: what may be named, who is asked; all or nothing (section 9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import cast

from twisted.internet.defer import Deferred

from bayeux.channels import is_pattern, is_reserved, is_service
from bayeux.errors import Denied, InvalidChannel, MissingField, TooBusy, TooMany, UnknownClient
from bayeux.extensions import Call
from bayeux.guard import Guard
from bayeux.messages import Authenticated, Message, Reply
from bayeux.policy import Policy
from bayeux.results import deferred, is_later
from bayeux.session import Session
from bayeux.sessions import Sessions
from bayeux.settings import Settings


class Subscriptions:
    """Answers the subscribes and unsubscribes of one hub; ``policy`` returns who is asked about them."""

    def __init__(self, sessions: Sessions, settings: Settings, guard: Guard,
                 policy: Callable[[], Policy]) -> None:
        self._sessions = sessions
        self._settings = settings
        self._guard = guard
        self._policy = policy

    def subscribe(self, call: Call, session: Session) -> Reply | Deferred[Reply]:
        """Subscribe to all of the channels named, or to none."""
        if not session.alive:
            raise UnknownClient(session.id)
        message = call.message
        wanted = [pattern for pattern in self._patterns(message) if not is_service(pattern)]
        credentials, edition = session.credentials, self._guard.edition
        waiting = self._ask(iter(wanted), session, call)
        if waiting is None:
            return self._apply(wanted, session, message)

        def asked(_: None) -> Reply | Deferred[Reply]:
            if session.credentials is not credentials or self._guard.edition != edition:
                return self.subscribe(call, session)  # what was asked is no longer so
            return self._apply(wanted, session, message)

        return waiting.addCallback(asked)

    def unsubscribe(self, message: Message, session: Session) -> Reply:
        """Undo subscriptions, literally those named (S-8, S-9)."""
        self._sessions.unsubscribe(session, self._patterns(message))
        return _reply(message, session)

    def _patterns(self, message: Message) -> tuple[str, ...]:
        """Read and check what is to be subscribed or unsubscribed (S-1, S-3, S-5)."""
        patterns = message.subscription
        if not patterns:
            if patterns == "":
                raise InvalidChannel("")
            raise MissingField("subscription")
        if isinstance(patterns, str):
            patterns = (patterns,)
        if len(patterns) > self._settings.max_subscribe:
            raise TooMany("max_subscribe")
        for pattern in patterns:
            limit = self._settings.exceeded_by(pattern)
            if limit or not is_pattern(pattern):
                raise InvalidChannel(pattern, limit)
            if is_reserved(pattern):
                raise Denied("Forbidden channel", pattern)
        return patterns

    def _ask(self, patterns: Iterator[str], session: Session, call: Call) -> Deferred[None] | None:
        """Ask the policy about one pattern after the other; raises, now or later, for one that is refused."""
        for pattern in patterns:
            verdict = self._policy().can_subscribe(session, pattern, call.message, call.link)
            if verdict is True:
                continue
            if is_later(verdict):
                waiting = deferred(cast("Awaitable[bool]", verdict)).addCallback(_permitted, pattern)
                return waiting.addCallback(lambda _: self._ask(patterns, session, call))
            _permitted(bool(verdict), pattern)
        return None

    def _apply(self, wanted: Sequence[str], session: Session, message: Message) -> Reply:
        """Subscribe to what the policy allows, if there is room for all of it."""
        if not session.alive:
            raise UnknownClient(session.id)
        known = set(session.subscriptions)
        fresh = [pattern for pattern in dict.fromkeys(wanted) if pattern not in known]
        room = self._settings.max_subscriptions - len(session.subscriptions)
        if len(fresh) > room:
            raise Denied("Too many subscriptions", fresh[room], limit="max_subscriptions")
        if not self._sessions.room_for(fresh):
            raise TooBusy("max_channels")
        self._sessions.subscribe(session, fresh)
        if self._guard.leases is not None and isinstance(message, Authenticated):
            self._guard.leases.grant(session, message.credential, wanted)
        return _reply(message, session)


def _permitted(verdict: bool, pattern: str) -> None:
    if not verdict:
        raise Denied("Subscription denied", pattern)


def _reply(message: Message, session: Session) -> Reply:
    assert message.subscription is not None
    return Reply(message.channel, True, id=message.id, client_id=session.id,
                 subscription=message.subscription)
