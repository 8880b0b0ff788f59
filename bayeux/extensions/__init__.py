"""Extensions: what looks at messages, changes or refuses them, on their way in and out (section 19).

The server's own stand beside this module and are switched on by the setting ``extensions``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, cast

from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bayeux.errors import Denied
from bayeux.faults import Faults
from bayeux.messages import Event, Message, Reply
from bayeux.metrics import Metrics
from bayeux.queues import EventQueue
from bayeux.results import deferred, is_later
from bayeux.session import Link, Session
from bayeux.settings import Settings


class Call:
    """One message of a client, from when it comes in until its reply goes out."""

    __slots__ = ("_notes", "answered", "hold", "link", "message", "reply", "session")

    def __init__(self, message: Message, link: Link) -> None:
        self.message = message
        self.link = link
        self.session: Session | None = None
        """Whom it speaks for: None before a handshake has succeeded, and for who may not speak so."""
        self.hold = True
        """Whether a connect may be held (K-7); an extension may decide that it is not."""
        self.reply: Reply | None = None
        """The answer, where an extension gives it: the message is not handled then."""
        self.answered: Callable[[Reply], None] | None = None
        """Called with the reply, once, whatever has become of the message: before any extension looks at
        the reply, and when a connect that is to be held begins to be."""
        self._notes: dict[object, Any] | None = None

    @property
    def notes(self) -> dict[object, Any]:
        """What extensions want to remember of it until its reply goes out, each by a key of its own."""
        if self._notes is None:  # nearly always: held connects must be cheap
            self._notes = {}
        return self._notes


class Extension:
    """Subclass it, override what is needed, and give it to ``Hub.add_extension`` or ``Session.extensions``.

    Server-wide extensions come before a session's own on the way in, and after them on the way out;
    among their like they come in the order in which they were added, and on the way out in reverse
    (XG-3).
    """

    __slots__ = ()

    reads_ext = False
    """Whether ``incoming`` and ``outgoing`` have something to do only with messages that have an ``ext``:
    all others then cost nothing."""

    def incoming(self, call: Call) -> object:
        """Look at a message before it is handled; return False to refuse it (E-22).

        A ``BayeuxError`` that is raised is told to the client.  May be a coroutine or return a Deferred:
        the messages behind it in the batch, and on the same socket, wait.  ``call.message`` may be
        changed, but not into a message of another session.
        """
        return None

    def outgoing(self, reply: Reply, call: Call) -> object:
        """Look at a reply, and perhaps add to it, right before it goes out; events do not come here.

        May be a coroutine or return a Deferred.
        """
        return None

    def publishing(self, event: Event, call: Call | None) -> None:
        """Look at an event, once, before anybody has it queued, and perhaps ``add`` to or ``extend`` it.

        ``call`` is the message that it comes from; None if it comes from the application.
        """

    def delivering(self, event: Event, session: Session) -> Event | Awaitable[Event | None] | None:
        """Return what one session gets of an event: the same, another, or None for nothing.

        May be a coroutine or return a Deferred: the session's later events wait, and so keep their order.
        This is asked for each subscriber, and another event costs an encoding each.
        """
        return event


Hook = Callable[..., Any]
Put = Callable[[Session, Event], None]


class Extensions:
    """All extensions of one hub, and the running of their hooks; what nobody overrides costs nothing."""

    def __init__(self, settings: Settings, metrics: Metrics, faults: Faults) -> None:
        self._settings = settings
        self._metrics = metrics
        self.faults = faults
        """Where it is told what of the application fails."""
        self._all: list[Extension] = []
        self.lines: dict[Session, EventQueue] = {}
        """Events that stand in line behind one that an extension still thinks about."""
        self._sort()

    def add(self, extension: Extension) -> None:
        """Add a server-wide extension, behind all others."""
        self._all.append(extension)
        self._sort()

    def remove(self, extension: Extension) -> None:
        """Undo ``add``."""
        self._all.remove(extension)
        self._sort()

    def _sort(self) -> None:
        plain = [extension for extension in self._all if not extension.reads_ext]
        self._incoming = _hooks(self._all, "incoming")
        self._incoming_plain = _hooks(plain, "incoming")
        self._outgoing = _hooks(reversed(self._all), "outgoing")
        self._outgoing_plain = _hooks(reversed(plain), "outgoing")
        self._publishing = _hooks(self._all, "publishing")
        self.filters = _hooks(reversed(self._all), "delivering")
        """The server-wide ones that decide what of an event a session gets."""

    def incoming(self, call: Call) -> Deferred[None] | None:
        """Run the hooks for a message; raises, now or later, what refuses it."""
        hooks = self._incoming_plain if call.message.ext is UNSET else self._incoming
        if call.session is not None and call.session.extensions:
            hooks = hooks + _hooks(call.session.extensions, "incoming")
        return _run(iter(hooks), call) if hooks else None

    def outgoing(self, reply: Reply, call: Call) -> Deferred[None] | None:
        """Run the hooks for a reply."""
        hooks = self._outgoing_plain if call.message.ext is UNSET else self._outgoing
        if call.session is not None and call.session.extensions:
            hooks = _hooks(reversed(call.session.extensions), "outgoing") + hooks
        return _run(iter(hooks), reply, call) if hooks else None

    def publishing(self, event: Event, call: Call | None) -> None:
        """Run the hooks for an event that is new; one that fails costs only what it would have added."""
        for hook in self._publishing:
            try:
                hook(event, call)
            except Exception:
                self._failed(Failure())

    def deliver(self, session: Session, event: Event, put: Put) -> bool:
        """Have ``put`` called with what a session gets of an event, in the order of the events.

        Returns False if too many stand in line already (Q-7).
        """
        if not session.alive:
            return True
        line = self.lines.get(session)
        if line is not None:
            if not line.fits(event, self._settings):
                self._metrics.limited[line.limit(self._settings)] += 1
                self._metrics.dropped += len(line) + 1  # and the one that is thought about
                return False
            line.put(event, self._settings)
            return True
        waiting = self._filter(event, session, put)
        if waiting is not None:
            self.lines[session] = line = EventQueue()
            Deferred.fromCoroutine(self._work_off(waiting, line, session, put))
        return True

    async def _work_off(self, waiting: Deferred[None], line: EventQueue, session: Session, put: Put) -> None:
        await waiting
        while line and session.alive:
            [event] = line.take(most_bytes=1)
            another = self._filter(event, session, put)
            if another is not None:
                await another
        del self.lines[session]

    def _filter(self, event: Event, session: Session, put: Put) -> Deferred[None] | None:
        """Run one event through the hooks; a hook that fails keeps it from this session."""
        hooks = iter(_hooks(reversed(session.extensions), "delivering") + self.filters)

        def run(event: Event | None) -> Deferred[None] | None:
            for hook in hooks:
                if event is None:
                    break
                event = hook(event, session)
                if is_later(event):
                    return deferred(cast("Awaitable[Event | None]", event)).addCallback(run)
            if event is not None:
                put(session, event)
            return None

        try:
            waiting = run(event)
        except Exception:
            self._failed(Failure())
            return None
        return None if waiting is None else waiting.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self.faults.tell("an extension failed", failure, event="extension_failed")


def _hooks(extensions: Iterable[Extension], name: str) -> tuple[Hook, ...]:
    """Return one hook of each extension that overrides it."""
    return tuple(getattr(extension, name) for extension in extensions
                 if getattr(type(extension), name) is not getattr(Extension, name))


def _run(hooks: Iterator[Hook], *arguments: object) -> Deferred[None] | None:
    """Call hooks one after the other, waiting where one has to be waited for; False refuses."""
    for hook in hooks:
        verdict = hook(*arguments)
        if verdict is None:
            continue
        if is_later(verdict):
            return deferred(cast("Awaitable[object]", verdict)).addCallback(_judge).addCallback(
                lambda _: _run(hooks, *arguments))
        _judge(verdict)
    return None


def _judge(verdict: object) -> None:
    if verdict is False:
        raise Denied("Message rejected")
