"""The entry point for embedding: a hub, its endpoint, and their life with an application."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
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
"""Settings that count from any reload on."""


_AT_ONCE = 100
"""Sessions that are told of a stop in one turn: some ten milliseconds."""


class Carrier(Protocol):
    """What has connections."""

    name: str
    """What they are called."""

    def __len__(self) -> int:
        """Return how many are open."""

    def close(self) -> Deferred[None]:
        """Close all; fires when they are gone."""

    def abort(self) -> None:
        """Cut those that are left."""


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
        self.draining = False
        """Whether it is about to stop, and nobody new should be sent here."""
        self._delay: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        """Who wants to know when it has stopped."""
        self._closing: Sequence[Carrier] = ()
        self._stop_by = 0.0
        """When whoever is still connected is cut."""

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
                if self.authorizer is not None:
                    self.authorizer.guard()
            self.hub.replace_rules(settings.channel)
            self.hub.replace_keys(keys, settings.revoked_tokens)
            self._log.info("reloaded; keys: {keys}, rules for channels: {rules}", event="reloaded",
                           keys=len(keys), rules=len(settings.channel))

        return apply

    def reloaded(self, settings: Settings) -> frozenset[str]:
        """Return the names of those settings that count from a reload with these on."""
        return _RELOADED

    def not_reloaded(self, error: SettingsError) -> None:
        """Count and log that nothing has changed, as something is wrong."""
        self.hub.metrics.failed_reloads += 1
        self._log.error("the old settings are kept: {reason}", event="reload_failed", reason=str(error))

    def _tell_changes(self, settings: Settings) -> None:
        reloaded = self.reloaded(settings)
        changed = [field.name for field in msgspec.structs.fields(Settings) if field.name not in reloaded
                   and getattr(settings, field.name) != getattr(self.settings, field.name)]
        if changed:
            names = " and ".join(filter(None, (", ".join(changed[:-1]), changed[-1])))
            self._log.warn("{names} {have} changed; that needs a restart", event="restart_needed",
                           names=names, have="has" if len(changed) == 1 else "have")

    def startService(self) -> None:
        """Accept sessions."""
        self.draining = False
        self.hub.open()
        if self.authorizer is not None:
            self.authorizer.asker.open()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Answer every held connect and close every stream, but do not wait for these for ever (Q-10).

        With a ``drain_delay`` all goes on for so long before.  Fires a turn after the end, when plain sockets
        have got the answers.
        """
        begins, stopped = not self._waiting, Deferred[None]()
        if begins and not self.running:
            return succeed(None)
        self._waiting.append(stopped)
        if begins:
            Deferred.fromCoroutine(self._stop()).addBoth(self._stopped)
        return stopped

    def _stopped(self, outcome: Any) -> None:
        waiting, self._waiting = self._waiting, []
        for stopped in waiting:
            stopped.callback(outcome)  # a failure makes it fail

    def hurry(self) -> None:
        """Stop sooner: end the ``drain_delay``, or else tell all at once and cut who is still connected."""
        if self._delay is not None:
            self._delay.cancel()
        else:
            self._stop_by = self.clock.seconds()
            for carrier in self._closing:
                carrier.abort()

    async def _stop(self) -> None:
        await self._stay_for_a_while()
        self._stop_by = self.clock.seconds() + self.settings.shutdown_timeout
        await self.stop_listening()
        asked = None if self.authorizer is None else self.authorizer.asker.close()
        await self._retire()
        await self.close_all(self.carriers())
        await cast("Deferred[object]", super().stopService())
        if asked is not None:
            await asked
        await deferLater(self.clock, 0, lambda: None)

    async def close_all(self, carriers: Sequence[Carrier]) -> None:
        """Close connections, in as much of ``shutdown_timeout`` as is left; who takes longer is cut."""
        self._closing = carriers
        closed = [carrier.close() for carrier in carriers]
        for carrier, gone in zip(carriers, closed, strict=True):
            try:
                await gone.addTimeout(max(0.0, self._stop_by - self.clock.seconds()), self.clock)
            except TimeoutError:
                self._log.warn("{count} {what} were still open", event="cut", count=len(carrier),
                               what=carrier.name)
                carrier.abort()
        self._closing = ()

    async def _stay_for_a_while(self) -> None:
        """Go on, so that whoever sends clients here finds out that no more should come."""
        self.draining = True
        if self.settings.drain_delay:
            self._log.info("draining for {seconds:g} s before the stop", event="draining",
                           seconds=self.settings.drain_delay)
            self._delay = deferLater(self.clock, self.settings.drain_delay, lambda: None)
            with suppress(CancelledError):
                await self._delay
            self._delay = None

    async def _retire(self) -> None:
        """Tell every client, some in each turn: all at once would take a second with ten thousand of them."""
        sessions = self.hub.sessions
        sessions.stop_accepting()
        self._log.info("stopping; sessions told to come back: {sessions}, within {seconds:g} s",
                       event="stopping", sessions=len(sessions), seconds=round(sessions.longest_spread, 1))
        while sessions.retire(_AT_ONCE if self.clock.seconds() < self._stop_by else len(sessions)):
            await deferLater(self.clock, 0, lambda: None)

    async def stop_listening(self) -> None:
        """Accept no connections any more; an application that has this in it does that by itself."""

    def carriers(self) -> Sequence[Carrier]:
        """Return what has connections that are to be closed at the end."""
        return (self.resource.endpoint.streams,)
