"""The rules and keys of the configuration, to which a hub keeps, and which others may replace as it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy

from bayeux.access import Access
from bayeux.extensions import Extensions
from bayeux.extensions.tokens import Tokens
from bayeux.keys import Key, KeyRing
from bayeux.leases import Leases
from bayeux.metrics import Metrics
from bayeux.policy import Policy
from bayeux.rules import ChannelRule
from bayeux.sessions import Sessions
from bayeux.settings import Settings


class Guard:
    """Makes rules and keys count, from the start or from when there are any, also for live sessions.

    ``wall`` tells the time of day in seconds since 1970.
    """

    def __init__(self, sessions: Sessions, keys: KeyRing, settings: Settings, metrics: Metrics,
                 extensions: Extensions, wall: Callable[[], float]) -> None:
        self._sessions = sessions
        self._keys = keys
        self._settings = settings
        self._metrics = metrics
        self._extensions = extensions
        self._wall = wall
        self.access: Access | None = None
        """What decides by the rules; None: there have never been any."""
        self.leases: Leases | None = None
        """What sessions have by tokens and grants; None: there has never been a key."""

    @property
    def edition(self) -> int:
        """How often the rules have been replaced."""
        return 0 if self.access is None else self.access.edition

    def stand_before(self, policy: Policy) -> Access:
        """Return what lets a policy decide where there is no rule; made once."""
        self.access = Access(self._settings.channel, policy)
        return self.access

    def watch(self) -> Leases:
        """Understand tokens and grants from now on; without keys they are for somebody else."""
        if self.leases is None:
            assert self.access is not None  # as it is made first, wherever there are keys
            tokens = Tokens(self._keys, self._settings, self._metrics, self._wall)
            self.leases = Leases(self._sessions, self.access, tokens, self._keys, self._settings,
                                 self._metrics, self._wall)
            self._extensions.add(tokens)
            self._sessions.listeners.append(self.leases)
        return self.leases

    def replace_keys(self, keys: Iterable[Key], revoked_tokens: Iterable[str] | None) -> None:
        """Have these keys, and end what has depended on others (Y-10, Y-19)."""
        self._keys.replace(keys)
        if self.leases is not None:
            self.leases.look_again(revoked_tokens)

    def replace_rules(self, rules: Iterable[ChannelRule]) -> None:
        """Have these rules, and end the subscriptions that they forbid and those before did not.

        What another policy has allowed against the rules before stays.  Raises ``BadRule``, and then
        nothing has changed.
        """
        access = self.access
        if access is None:
            return
        before = copy(access)
        if not access.replace(rules):
            return
        forbidden: dict[str, bool] = {}
        """The same for all sessions that have shown nothing: nearly all."""
        for session in self._sessions.all():
            credentials = session.credentials
            lost = []
            for pattern in session.subscriptions:
                no = forbidden.get(pattern) if not credentials else None
                if no is None:
                    no = (access.decide(pattern, credentials) is False
                          and before.decide(pattern, credentials) is not False)
                    if not credentials:
                        forbidden[pattern] = no
                if no:
                    lost.append(pattern)
            if lost:
                self._metrics.subscriptions_expired += len(lost)
                self._sessions.unsubscribe(session, lost)
