"""What live sessions have by tokens and grants, and lose when these are no longer good (Y-16, Y-19)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from bayeux.access import Access
from bayeux.credentials import Credential
from bayeux.deadlines import Deadlines
from bayeux.errors import Unauthenticated
from bayeux.extensions.tokens import Tokens
from bayeux.keys import KeyRing
from bayeux.metrics import Metrics
from bayeux.session import Release, Session
from bayeux.sessions import Sessions
from bayeux.settings import Settings


class _Lease:
    """A session that has shown something; others cost nothing here."""

    __slots__ = ("alarm", "deadline", "session")

    def __init__(self, session: Session) -> None:
        self.session: Session | None = session
        self.deadline: float | None = None
        self.alarm: float | None = None


class Leases:
    """Watches the credentials of all sessions; to be added to their listeners.

    ``access`` says what a session may do without one; ``wall`` tells the time of day in seconds since 1970.
    """

    def __init__(self, sessions: Sessions, access: Access, tokens: Tokens, keys: KeyRing, settings: Settings,
                 metrics: Metrics, wall: Callable[[], float]) -> None:
        self._sessions = sessions
        self._access = access
        self._tokens = tokens
        self._keys = keys
        self._settings = settings
        self._metrics = metrics
        self._wall = wall
        self._leases: dict[Session, _Lease] = {}
        self._deadlines: Deadlines[_Lease] = Deadlines(sessions.clock, self._due)

    def __len__(self) -> int:
        """Return how many sessions are watched."""
        return len(self._leases)

    def session_added(self, session: Session) -> None:
        """Watch a session, if it has shaken hands with a token."""
        self._watch(session)

    def session_removed(self, session: Session, reason: str) -> None:
        """Watch it no more."""
        self._forget(session)

    def grant(self, session: Session, credential: Credential, patterns: Iterable[str]) -> None:
        """Keep a grant, pattern by pattern, and where there is one already that which lasts longer.

        So there are never more than there are subscriptions, however many have been shown.
        """
        subscribed = set(session.subscriptions)
        grants = {one.subscribe: one for one in session.credentials
                  if one.is_grant and not subscribed.isdisjoint(one.subscribe)}
        for pattern in patterns:
            one = credential.only(pattern)
            older = grants.get(one.subscribe)
            if older is None or older.ends < one.ends:
                grants[one.subscribe] = one
        tokens = (one for one in session.credentials if not one.is_grant)
        session.credentials = (*tokens, *grants.values())
        self._watch(session)

    def refresh(self, session: Session, token: object) -> None:
        """Give a session another token of the same user, without interruption (Y-16).

        Raises ``Unauthenticated``.
        """
        credential = self._tokens.check(token)
        if session.token is None:
            raise self._tokens.refused("token_too_late", Unauthenticated("Handshake with a token first"))
        if session.token.user != credential.user:
            raise self._tokens.refused("token_of_another_user", Unauthenticated("Token of another user"))
        self._change(session, (credential, *(one for one in session.credentials if one.is_grant)))

    def look_again(self, revoked: Iterable[str] | None = None) -> None:
        """End what has depended on keys that are no more, or are good for less than before (Y-19).

        ``revoked`` are the ``jti`` of tokens that are not good from now on; None: as before.
        """
        if revoked is not None:
            self._tokens.revoke(revoked)
        for session in tuple(self._leases):
            self._look_after(session)

    def _due(self, lease: _Lease) -> None:
        self._look_after(cast(Session, lease.session))  # none that has been forgotten is ever due

    def _look_after(self, session: Session) -> None:
        """Take away what a session has a right to no longer, which may be all."""
        token, left = session.token, tuple(filter(None, map(self._left_of, session.credentials)))
        if token is not None and all(one.is_grant for one in left) and (
            self._settings.require_token or token.ends > self._wall()  # its key is gone, or it is revoked
        ):
            self._sessions.remove(session, "expired", Release.EXPIRED)
        else:
            self._change(session, left)

    def _left_of(self, credential: Credential) -> Credential | None:
        """Return what a credential is still good for."""
        now = self._wall()
        if credential.ends <= now or credential.id in self._tokens.revoked:
            return None
        left = credential.under(self._keys.find(credential.key.id, now))
        return None if left is None or (left.is_grant and not left.subscribe) else left

    def _change(self, session: Session, credentials: tuple[Credential, ...]) -> None:
        """Let a session have these, and no subscription that it could not make with them."""
        had, session.credentials = session.credentials, credentials
        lost = [pattern for pattern in session.subscriptions
                if self._access.decide(pattern, credentials) is False
                and self._access.decide(pattern, had) is not False]  # if so, another policy has let it
        if lost:
            self._metrics.subscriptions_expired += len(lost)
            self._sessions.unsubscribe(session, lost)
        self._watch(session)

    def _watch(self, session: Session) -> None:
        """See that a session is looked after when the first of its credentials ends."""
        if not session.credentials:
            self._forget(session)
            return
        lease = self._leases.get(session)
        if lease is None:
            lease = self._leases[session] = _Lease(session)
        now = self._wall()
        # A key may have gone while a policy was asked about whoever came with it.
        ends = min(one.ends if self._left_of(one) is one else now for one in session.credentials)
        self._deadlines.set(lease, self._sessions.clock.seconds() + max(0.0, ends - now))

    def _forget(self, session: Session) -> None:
        lease = self._leases.pop(session, None)
        if lease is not None:
            lease.session = None  # what the deadlines still have of it may stay there for long
            self._deadlines.forget(lease)
            if not self._leases:
                self._deadlines.stop()
