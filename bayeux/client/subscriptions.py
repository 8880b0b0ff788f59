"""The events of one channel, as an application takes them: by a callback, or one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from bayeux.channels import expand, is_service
from bayeux.client.envelopes import Message
from bayeux.client.errors import ClientError, Overflow, Unsubscribed
from bayeux.client.replay import replay_id
from bayeux.results import deferred, is_later

OverflowPolicy = Literal["fail", "drop_oldest", "drop_newest"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as the server has sent it."""

    channel: str
    """The channel that it was published to, never a pattern."""
    data: Any
    message: Message
    """Everything that the server has sent with it."""

    @property
    def replay_id(self) -> int | None:
        """Its replayId, where the server gives events one (XR-6)."""
        return replay_id(self.data)


Callback = Callable[[Event], object]


class Subscription:
    """What ``BayeuxClient.subscribe`` returns: it outlives sessions, and ends when it is given up or refused.

    With a callback this is called for each event; if it is a coroutine, or returns a Deferred, the next event
    waits for it.  Without one, the events are taken by ``async for``.  Awaiting the subscription itself waits
    until the server has agreed.

    At most ``buffer`` events wait to be taken.  What happens to one more is said by ``overflow``: ``"fail"``
    ends the subscription with an ``Overflow``, after the events that wait, so that nobody loses any without
    knowing; ``"drop_oldest"`` and ``"drop_newest"`` lose one, which is counted by ``dropped``.
    """

    def __init__(self, channel: str, callback: Callback | None, buffer: int, overflow: OverflowPolicy,
                 leave: Callable[[Subscription], Deferred[None]],
                 report: Callable[[Exception], None]) -> None:
        if buffer < 1:
            raise ValueError(f"a buffer holds at least one event, not {buffer}")
        if overflow not in ("fail", "drop_oldest", "drop_newest"):
            raise ValueError(f"overflow is 'fail', 'drop_oldest' or 'drop_newest', not {overflow!r}")
        self.channel = channel
        self.dropped = 0
        """Events that were lost because too many waited."""
        self._callback = callback
        self._size = buffer
        self._overflow = overflow
        self._leave = leave
        self._report = report
        self._buffer: deque[Event] = deque()
        self._busy = False
        """Whether the callback is still at work with an event."""
        self._draining = False
        self._takers: deque[Deferred[Event]] = deque()
        self._waiting: list[Deferred[Subscription]] = []
        self._is_ready = False
        self._is_over = False
        self._reason: Exception | None = None

    def __repr__(self) -> str:
        """Return its channel, and whether it goes on."""
        state = "over" if self._is_over else "ready" if self._is_ready else "not ready"
        return f"<Subscription {self.channel} {state}>"

    # -- for the application --------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Say whether events may still come."""
        return not self._is_over

    def when_ready(self) -> Deferred[Subscription]:
        """Return a Deferred of the subscription itself, which fires when the server has agreed.

        It fails with ``SubscribeRefused`` if the server refuses, with ``Unsubscribed`` or ``Closed`` if it
        was not asked in time.
        """
        if self._is_over:
            return fail(self._reason or Unsubscribed(f"{self.channel} is not subscribed to any more"))
        if self._is_ready:
            return succeed(self)
        waiting: Deferred[Subscription] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def __await__(self) -> Generator[Any, Any, Subscription]:
        """Wait until the server has agreed; see ``when_ready``."""
        return self.when_ready().__await__()

    def unsubscribe(self) -> Deferred[None]:
        """Give it up: no event is handed on from now on.

        The Deferred fires when the server knows, or cannot be told.
        """
        if self._is_over:
            return succeed(None)
        self._buffer.clear()
        self.end(None)
        return self._leave(self)

    def __aiter__(self) -> Subscription:
        """Return itself: the events are taken once, by whoever takes them first."""
        if self._callback is not None:
            raise TypeError(f"the events of {self.channel} go to a callback")
        return self

    def __anext__(self) -> Deferred[Event]:
        """Return a Deferred of the next event.

        It ends the loop after ``unsubscribe`` or ``disconnect``, and fails with the reason if the
        subscription has ended by itself.
        """
        if self._buffer:
            return succeed(self._buffer.popleft())
        if self._is_over:
            return fail(self._reason or StopAsyncIteration())
        taker: Deferred[Event] = Deferred(self._takers.remove)
        self._takers.append(taker)
        return taker

    # -- for the client -------------------------------------------------------------------------

    def ready(self) -> None:
        """Note that the server has agreed, for this session."""
        self._is_ready = True
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self)

    def take(self, event: Event) -> None:
        """Hand on an event, or keep it."""
        if self._is_over:
            return
        if self._callback is not None and not self._busy:
            self._call(event)
        elif self._takers:
            self._takers.popleft().callback(event)
        else:
            self._keep(event)

    def _keep(self, event: Event) -> None:
        if len(self._buffer) < self._size:
            self._buffer.append(event)
            return
        self.dropped += 1
        if self._overflow == "drop_oldest":
            self._buffer.popleft()
            self._buffer.append(event)
        elif self._overflow == "fail":
            error = Overflow(f"{self._size} events of {self.channel} wait already")
            self._report(error)
            self.end(error)
            self._leave(self)

    def _call(self, event: Event) -> None:
        assert self._callback is not None
        try:
            result: Any = self._callback(event)
            if not is_later(result):
                return
            later = deferred(result)
        except Exception as error:
            self._report(error)
            return
        self._busy = True
        later.addErrback(self._failed).addBoth(self._called)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        self._report(error if isinstance(error, Exception) else ClientError(str(error)))

    def _called(self, _: object) -> None:
        """Call for the events that have come meanwhile; not from within itself, as they may be many."""
        self._busy = False
        if self._draining:
            return
        self._draining = True
        while self._buffer and not self._busy:
            self._call(self._buffer.popleft())
        self._draining = False

    def end(self, reason: Exception | None) -> bool:
        """End, because of an error or because that is wanted; events that wait may still be taken.

        Says whether somebody has been told of it.
        """
        self._is_over = True
        self._reason = reason
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.errback(reason or Unsubscribed(f"{self.channel} was given up before the server had agreed"))
        takers, self._takers = self._takers, deque()
        for taker in takers:
            taker.errback(reason or StopAsyncIteration())
        return bool(waiting or takers)


class Subscriptions:
    """All subscriptions of a client, by channel or pattern."""

    def __init__(self) -> None:
        self._all: dict[str, list[Subscription]] = {}

    def __iter__(self) -> Iterator[Subscription]:
        return iter([each for some in self._all.values() for each in some])

    def add(self, subscription: Subscription) -> None:
        """Add one."""
        self._all.setdefault(subscription.channel, []).append(subscription)

    def remove(self, subscription: Subscription) -> bool:
        """Take one out; says whether it was the last of its channel."""
        some = self._all.get(subscription.channel, [])
        if subscription not in some:
            return False
        some.remove(subscription)
        if some:
            return False
        del self._all[subscription.channel]
        return True

    def of(self, channel: str) -> list[Subscription]:
        """List those of one channel or pattern itself."""
        return list(self._all.get(channel, ()))

    def matching(self, channel: str) -> list[Subscription]:
        """List those that select an event's channel; ``/**`` does not reach into ``/service/`` (C-13)."""
        return [each for name in expand(channel) if not is_service(channel) or is_service(name)
                for each in self._all.get(name, ())]
