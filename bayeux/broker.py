"""From a publish to all who are subscribed: clients' sessions, and the application's callbacks."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, cast

from twisted.python.failure import Failure

from bayeux.channels import expand
from bayeux.errors import BayeuxError
from bayeux.faults import Faults
from bayeux.messages import Event, decode_data
from bayeux.metrics import Metrics
from bayeux.registry import Registry
from bayeux.results import deferred, is_later
from bayeux.rules import ChannelRule
from bayeux.session import Session
from bayeux.sessions import Sessions
from bayeux.settings import Settings

Subscriber = Callable[[str, Any], object]
"""An application's callback: it is given the channel and the data."""
Observer = Callable[[Event], object]
"""Is given every event just as it goes out; it changes nothing and does as little as can be."""


class Broker:
    """Hands out events, one after the other, to sessions first."""

    def __init__(self, sessions: Sessions, settings: Settings, metrics: Metrics,
                 faults: Faults) -> None:
        self._sessions = sessions
        self._settings = settings
        self._lazy_rules: dict[str, float] = {}
        self.replace_rules(settings.channel)
        self._metrics = metrics
        self._faults = faults
        self._registry: Registry[Subscriber] = Registry()
        self.observers: tuple[Observer, ...] = ()
        """Who is shown every event."""
        self._backlog: deque[tuple[Event, Session | None]] = deque()
        self._publishing = False

    def replace_rules(self, rules: Collection[ChannelRule]) -> None:
        """Have these rules say which channels are lazy, for what is published from now on."""
        self._lazy_rules = {}
        if any(rule.lazy for rule in rules):
            self._lazy_rules = {rule.pattern: self._settings.max_lazy_timeout if rule.lazy else 0.0
                                for rule in rules}

    def subscribe(self, pattern: str, callback: Subscriber) -> None:
        """Call an application's callback for each event on a channel or pattern."""
        self._registry.add(pattern, callback)

    def unsubscribe(self, pattern: str, callback: Subscriber) -> None:
        """Undo one ``subscribe``."""
        self._registry.remove(pattern, callback)

    def observe(self, observer: Observer) -> None:
        """Show every event to one more observer."""
        self.observers += (observer,)

    def leave_off(self, observer: Observer) -> None:
        """Undo an ``observe``."""
        self.observers = tuple(one for one in self.observers if one != observer)

    def laziness(self, channel: str) -> float:
        """Return for how many seconds the events of a channel may wait for company (D-12)."""
        for lazy in (self._settings.lazy_channels, self._lazy_rules):
            if lazy:
                for pattern in expand(channel):
                    if pattern in lazy:
                        return lazy[pattern]
        return 0.0

    def publish(self, event: Event, publisher: Session | None) -> int:
        """Hand an event to everybody who is subscribed; returns how many sessions that are."""
        self._metrics.published += 1
        reached = self._sessions.reach(event, publisher)
        self._backlog.append((event, publisher))
        if not self._publishing:
            self._work_off()
        return reached

    def _work_off(self) -> None:
        """Hand out events one after the other: what a callback publishes waits for its turn (D-9)."""
        self._publishing = True
        try:
            while self._backlog:
                event, publisher = self._backlog.popleft()
                self._sessions.publish(event, publisher)
                for observer in self.observers:
                    self._show(observer, event)
                callbacks = tuple(self._registry.match(event.channel))
                if callbacks:
                    self._call(callbacks, event)
        finally:
            self._publishing = False

    def _show(self, observer: Observer, event: Event) -> None:
        try:
            observer(event)
        except Exception:
            self._faults.tell("an observer failed on {channel}", Failure(), event="observer_failed",
                              channel=event.channel)

    def _call(self, callbacks: Sequence[Subscriber], event: Event) -> None:
        try:
            data = decode_data(event.data)
        except BayeuxError as error:  # legal JSON that Python cannot hold: no fault of the callbacks
            self._sessions.failed(error)
            return
        for callback in callbacks:
            try:
                result = callback(event.channel, data)
                if is_later(result):
                    deferred(cast("Awaitable[object]", result)).addErrback(self._callback_failed,
                                                                           event.channel)
            except Exception:
                self._callback_failed(Failure(), event.channel)

    def _callback_failed(self, failure: Failure, channel: str) -> None:
        self._faults.tell("a subscriber failed on {channel}", failure, event="subscriber_failed",
                          channel=channel)
