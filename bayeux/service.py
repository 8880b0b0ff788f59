"""The entry point for embedding: a hub, its endpoint, and their life with an application."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import msgspec
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from bayeux.clocks import MonotonicClock
from bayeux.hub import Hub
from bayeux.policy import Policy
from bayeux.settings import Settings, SettingsError
from bayeux.web.resource import BayeuxResource

if TYPE_CHECKING:
    from bayeux.web.authorizer import Authorizer

_RELOADED = frozenset({"channel", "key", "key_directory", "revoked_tokens", "log_level"})
"""Settings that count from a reload on."""


class BayeuxService(MultiService):
    """A Bayeux server inside a Twisted application.

    Put ``resource`` anywhere into a twisted.web tree, or return it from a klein route, publish and
    subscribe by ``hub``, and attach the service to the application, so that held connects are
    answered when it stops.  ``clock`` is the reactor's, and ``wall`` the time of day, unless a test gives
    others.  With an ``authorize_url`` the site is asked what the policy allows; raises ``SettingsError``
    where it cannot be.
    """

    _log = Logger()

    def __init__(self, settings: Settings | None = None, policy: Policy | None = None,
                 clock: IReactorTime | None = None, wall: Callable[[], float] = time.time) -> None:
        super().__init__()
        if clock is None:
            from twisted.internet import reactor

            clock = MonotonicClock(cast(IReactorTime, reactor))
        self.clock = clock
        self.settings = settings or Settings()
        self.hub = Hub(clock, self.settings, policy, wall)
        self.authorizer: Authorizer | None = None
        """What asks the site who may do what, if there is an ``authorize_url``."""
        if self.settings.authorize_url:
            from bayeux.web.authorizer import Authorizer  # an HTTP client is much to load for nothing

            self.hub.guard()  # rules come first, even if there are none before a reload
            self.authorizer = Authorizer(self.settings, self.hub.policy, clock, self.hub.metrics)
            self.hub.policy = self.authorizer
            self.hub.add_extension(self.authorizer.users)
        self.resource = BayeuxResource(self.hub)

    def reload(self, settings: Settings | None = None) -> bool:
        """Have the keys, the rules for channels and the revoked tokens of these settings (Y-10, Y-19).

        Without any, have those from the start, the keys being read again from their files.  If something
        is wrong all stays as it is, which is logged; returns whether it was all right.  Other settings
        that differ are named in the log: they need a restart.
        """
        settings = settings or self.settings
        try:
            apply = self.prepare(settings)
        except SettingsError as error:
            self.not_reloaded(error)
            return False
        apply()
        self._tell_changes(settings)
        return True

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """Read what a reload needs and return what makes it count; raises ``SettingsError``."""
        keys = settings.read_keys()
        settings.check_keys(keys)

        def apply() -> None:
            if settings.has_keys:
                self.hub.guard(keys=True)
            self.hub.replace_rules(settings.channel)
            self.hub.replace_keys(keys, settings.revoked_tokens)
            self._log.info("reloaded; keys: {keys}, rules for channels: {rules}", event="reloaded",
                           keys=len(keys), rules=len(settings.channel))

        return apply

    def not_reloaded(self, error: SettingsError) -> None:
        """Count and log that nothing has changed, as something is wrong."""
        self.hub.metrics.failed_reloads += 1
        self._log.error("the old settings are kept: {reason}", event="reload_failed", reason=str(error))

    def _tell_changes(self, settings: Settings) -> None:
        changed = [field.name for field in msgspec.structs.fields(Settings) if field.name not in _RELOADED
                   and getattr(settings, field.name) != getattr(self.settings, field.name)]
        if changed:
            names = " and ".join(filter(None, (", ".join(changed[:-1]), changed[-1])))
            self._log.warn("{names} {have} changed; that needs a restart", event="restart_needed",
                           names=names, have="has" if len(changed) == 1 else "have")

    def startService(self) -> None:
        """Accept sessions."""
        self.hub.open()
        if self.authorizer is not None:
            self.authorizer.asker.open()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Answer every held connect and close every stream, but do not wait for these for ever (Q-10).

        Fires a turn later, when plain sockets have got the answers.
        """
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        self.hub.close()
        asked = None if self.authorizer is None else self.authorizer.asker.close()
        streams = self.resource.endpoint.streams
        closed = streams.close()
        await cast("Deferred[object]", super().stopService())
        try:
            await closed.addTimeout(self.settings.shutdown_timeout, self.clock)
        except TimeoutError:
            self._log.warn("{count} streams were still open", event="cut", count=len(streams))
            streams.abort()
        if asked is not None:
            await asked
        await deferLater(self.clock, 0, lambda: None)
