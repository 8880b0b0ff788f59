"""One envelope and its answer: what a transport holds between reading a batch and writing a response."""

from __future__ import annotations

from collections.abc import Callable
from sys import intern
from typing import Protocol

from msgspec import UNSET
from twisted.internet.defer import Deferred

from bayeux.channels import META_CONNECT, META_DISCONNECT
from bayeux.errors import Expired, TooBusy, UnknownClient
from bayeux.extensions import Call
from bayeux.messages import Advice, Reply
from bayeux.session import Link, Release, Session, Stream
from bayeux.sessions import Sessions

Finish = Callable[[Reply, Call], "Deferred[None] | None"]


class Waiter(Protocol):
    """A transport's object that waits for a held connect."""

    def released(self, exchange: Exchange, why: Release) -> None:
        """Answer it now: by what ``drain`` returns, unless ``why`` says that there is nothing to be said."""


class Exchange:
    """The replies to one batch, and the connect in it that may be held.

    A transport waits until ``pending`` fires, if there is such, and then, if a connect is ``parked``, until
    that is released; when it is about to write, it takes the response by ``drain``.  If the carrier is
    lost before that, it calls ``lost`` instead, and no event leaves its queue (D-13, N-1).
    """

    __slots__ = ("_call", "_finish", "_is_ready", "_released", "_sessions", "_waiter", "alone", "connect",
                 "cycle", "is_lost", "link", "opened", "parked", "pending", "replies", "session")

    def __init__(self, sessions: Sessions, link: Link, alone: bool) -> None:
        self._sessions = sessions
        self.link = link
        self.alone = alone
        """Whether the batch is a single message: only then may a connect be held (K-10)."""
        self.session: Session | None = None
        """The session that the batch speaks for: the first valid one in it (I-6)."""
        self.replies: list[Reply] = []
        self.opened = False
        """Whether ``session`` was created by this exchange."""
        self.connect: Reply | None = None
        """The reply to a successful connect, held or not; events go out before it (D-8)."""
        self.cycle = 0
        """Which of its session's connects that is."""
        self.pending: Deferred[None] | None = None
        """Fires when every message is answered, where an application's answer has to be waited for."""
        self.parked = False
        """Whether the answer is a connect that is held, or was: ``wait`` for it."""
        self.is_lost = False
        self._released: Release | None = None
        self._is_ready = False
        self._waiter: Waiter | None = None

    def park(self, call: Call, finish: Finish) -> None:
        """Have the reply to a connect wait; ``finish`` is called before it goes out."""
        self.parked = True
        self._call = call
        self._finish = finish
        if self.session is not None:  # many are held for long: they need no texts of their own
            call.message.channel, call.message.client_id = META_CONNECT, self.session.id
            call.message.connection_type = intern(call.message.connection_type or "")

    def release(self, why: Release) -> None:
        """Let the connect be answered that was waiting."""
        self._released = why
        waiting = None
        if self.connect is not None and why is not Release.SUPERSEDED and why is not Release.LOST:
            waiting = self._finish(self.connect, self._call)
        if waiting is None:
            self._answer(None)
        else:
            waiting.addCallback(self._answer)

    def wait(self, waiter: Waiter) -> None:
        """Have ``waiter`` told, once, when the held connect is to be answered: perhaps it is already."""
        self._waiter = waiter
        if self._is_ready:
            self._answer(None)

    def _answer(self, _: None) -> None:
        self._is_ready = True
        waiter, self._waiter = self._waiter, None  # it knows this object: a cycle, and so garbage
        if waiter is not None and self._released is not None:
            waiter.released(self, self._released)

    def drain(self) -> list[bytes]:
        """Return the messages of the response, in the order of D-8, taking the events along.

        To be called once, when they can be handed to the socket: expiry starts here (Q-2).
        """
        session = self.session
        events = []
        if session is not None:
            if self._takes_events(session):
                if self.connect is not None and session.alive:
                    session.queue.label(self.connect)
                events = [event.json for event in (session.take() if session.alive else session.take_rest())]
            elif self.opened and session.alive and isinstance(self.link, Stream):
                self._sessions.bind(session, self.link)  # now, as no event may overtake the reply (W-13)
        self._sessions.sent(len(self.replies), len(events))
        if self.connect is None:
            return [reply.encode() for reply in self.replies] + events
        messages = []
        for reply in self.replies:
            if reply is self.connect:
                messages += events
                messages += self._last_words(reply)
            messages.append(reply.encode())
        self._answered()
        return messages

    def lost(self) -> None:
        """Give up: the carrier is gone, nobody will read the answer (N-1, Q-2)."""
        self.is_lost = True
        if self.session is None:
            return
        if self.holds:
            self._sessions.release(self.session, Release.LOST)
        elif self.connect is not None:
            self._answered()

    def _answered(self) -> None:
        if self.session is not None and self._is_newest(self.session):
            self._sessions.answered(self.session)

    @property
    def holds(self) -> bool:
        """Whether the connect that its session has held is the one in this exchange."""
        return self.session is not None and self.session.parked is self

    def make_way(self) -> None:
        """Answer a held connect early, because the client cannot see anything else before (K-16)."""
        if self.holds and self.session is not None:
            self._sessions.make_way(self.session)

    def _takes_events(self, session: Session) -> bool:
        """Say whether the response may carry what is queued."""
        if self.opened:  # H-10
            return False
        if not session.alive and (session.removed_by is not Release.SHUTDOWN or (
            isinstance(self.link, Stream) and self.link.congested  # it has not taken what it was sent before
        )):
            return False
        if self._sessions.connect_only(session):  # D-7; a client believes no number in a failure (XA-3)
            return self.connect is not None and self.connect.successful and self._is_newest(session)
        if session.stream is not None:  # which may carry replies too; if not, they come without events (F-6)
            return session.stream is self.link and not session.stream.congested
        if self.connect is None:
            return not self.link.serial  # D-6
        return self._is_newest(session)

    def _is_newest(self, session: Session) -> bool:
        """Say whether the response has the reply to the newest connect: the next has not come yet (K-12)."""
        return self.connect is not None and self.cycle == session.cycle

    def _last_words(self, reply: Reply) -> list[bytes]:
        """Give the reply to a connect the advice that the end of its session calls for."""
        if self.session is not None and self.session.removed_by is Release.SHUTDOWN:
            reply.successful = False
            reply.error = str(self._sessions.failed(TooBusy()))
            reply.advice = Advice("handshake", self._sessions.spread())
        elif self.session is not None and self.session.removed_by is Release.OVERFLOW:
            reply.successful = False
            reply.error = str(self._sessions.failed(UnknownClient(self.session.id)))
            reply.client_id = UNSET
            reply.advice = Advice("handshake", 0)
        elif self.session is not None and self.session.removed_by is Release.EXPIRED:  # Y-16
            reply.successful = False
            reply.error = str(self._sessions.failed(Expired()))
            reply.client_id = UNSET
            reply.advice = Advice("handshake", self._sessions.spread(least=1.0))
        elif self.session is not None and not self.session.alive:  # K-14, X-3, X-6
            reply.advice = self._sessions.advice("none")
            if self.session.removed_by is Release.KICKED:
                return [Reply(META_DISCONNECT, True, timestamp=reply.timestamp).encode()]
        return []
