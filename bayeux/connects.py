"""Connects: which are answered at once, which are held, and what their clients are advised (section 7)."""

from __future__ import annotations

from typing import cast

from msgspec import UNSET, structs

from bayeux.channels import META_CONNECT
from bayeux.errors import Denied
from bayeux.exchange import Exchange, Finish
from bayeux.extensions import Call
from bayeux.messages import Advice, Message, Reply
from bayeux.metrics import Metrics
from bayeux.session import Link, Release, Session, State, Stream
from bayeux.sessions import Sessions
from bayeux.settings import Settings

_HEARTBEATS = ("eventsource",)
"""Connection types whose connects only keep a session alive, as its events come by a stream beside (F-5)."""


class Connects:
    """Answers the connects of one hub; ``finish`` is called for each that was held, before it is answered."""

    def __init__(self, sessions: Sessions, settings: Settings, metrics: Metrics, finish: Finish) -> None:
        self._sessions = sessions
        self._settings = settings
        self._metrics = metrics
        self._brief = 1.0 / settings.connects_per_second if settings.connects_per_second else 0.0
        """To be held for less than this is as good as being answered at once (G-25)."""
        self._grace = settings.interval + settings.max_interval  # one number for all
        self._finish = finish  # one object for all, and not a bound method for each that is held

    def answer(self, call: Call, exchange: Exchange, session: Session) -> Reply:
        """Answer a valid connect, now or, with ``exchange.parked``, later."""
        message, link = call.message, exchange.link
        is_urgent = session.state is State.HELD or not exchange.alone  # it cannot be let wait
        if is_urgent:
            self._sessions.check_haste(session)
        first = session.state is State.HANDSHAKEN
        heartbeat = message.connection_type in _HEARTBEATS
        if heartbeat:
            self._sessions.take_up(session)
        elif session.stream is not None and not link.is_stream:
            self._leave(session, session.stream)
        if session.stream is None and session.transport != link.connection_type:
            self._sessions.moved(session, link.connection_type)
        superseded = self._sessions.connecting(session)
        exchange.cycle = session.cycle
        wait = self._read_wishes(message, session)
        exchange.connect = reply = Reply(
            META_CONNECT, True, id=message.id, client_id=session.id,
            advice=self._sessions.advice("retry"),
        )
        if heartbeat and not self._sessions.connect_only(session):
            self._beat(session, reply)
            wait = 0.0
        elif first or not exchange.alone or not call.hold or self._is_ready(session):
            wait = 0.0  # K-6, K-10, K-9
        elif wait > 0 and not self._has_room(session, link, reply):
            wait = 0.0
        if wait < self._brief and not first and not is_urgent and not self._has_news(session):
            wait = max(wait, self._sessions.haste.take(session))
        if wait > 0:
            exchange.park(call, self._finish)
            self._sessions.hold(session, link, exchange, wait)
        if superseded is not None:
            superseded.release(Release.SUPERSEDED)
        return reply

    def _leave(self, session: Session, stream: Stream) -> None:
        """Let a session's events come by its connects, and no more by its stream (W-7).

        An EventSource stays open: Faye connects by the name of what it has used before until its browser has
        told it that the stream is open.  Then, with the next connect, it takes the events again.
        """
        if stream.connection_type in _HEARTBEATS:
            self._sessions.set_aside(session)
        else:
            self._sessions.leave_stream(session)

    def _read_wishes(self, message: Message, session: Session) -> float:
        """Return how long a connect may be held; both that and the interval are for this cycle (K-8)."""
        wait, grace = self._settings.timeout, self._grace
        if message.advice is not UNSET:
            asked = message.advised("timeout")
            wait = wait if asked is None else min(wait, asked)
            asked = message.advised("interval")
            if asked is not None:
                grace = self._capped(asked) + self._settings.max_interval
        session.grace = grace
        return wait

    def _has_room(self, session: Session, link: Link, reply: Reply) -> bool:
        """Say whether one more connect may be held; if not, the reply is made that it is answered with."""
        if not link.is_stream and self._sessions.holds.crowded(session):
            self._turn_away(session, reply)
            return False
        limit = self._sessions.holds.full(session)
        if limit:
            self._metrics.limited[limit] += 1
            self._put_off(session, reply)
        return not limit

    def _has_news(self, session: Session) -> bool:
        """Say whether a connect that is answered now takes something along that has not been sent before."""
        return session.queue.fresh and (session.stream is None or self._sessions.connect_only(session))

    def _capped(self, interval: float) -> float:
        """Return what a client says that it will wait, as far as that is believed (G-24)."""
        most = self._settings.max_client_interval
        if interval > most:
            self._metrics.limited["max_client_interval"] += 1
        return min(interval, most)

    def _is_ready(self, session: Session) -> bool:
        """Say whether there is something that a connect has to be answered with at once (K-9)."""
        return session.urgent and (session.stream is None or self._sessions.connect_only(session))

    def _beat(self, session: Session, reply: Reply) -> None:
        """Answer a connect that only keeps the session alive: the next one need not come soon (F-5)."""
        session.grace = self._settings.timeout + self._settings.max_interval
        reply.advice = Advice("retry", round(1000 * self._settings.timeout), 0)

    def _put_off(self, session: Session, reply: Reply) -> None:
        """Answer a connect at once, to be repeated after a while (B-4, G-14)."""
        pause = max(1.0, self._settings.multi_session_interval)
        session.grace = pause + self._settings.max_interval
        reply.advice = self._sessions.advice("retry", pause)

    def _turn_away(self, session: Session, reply: Reply) -> None:
        """Answer a connect of a browser that has as many held as it may (B-4)."""
        self._metrics.limited["max_sessions_per_browser"] += 1
        if self._settings.multi_session_interval > 0:
            self._put_off(session, reply)
        else:
            reply.successful = False
            reply.error = str(self._sessions.failed(Denied("Too many sessions in one browser")))
            reply.advice = self._sessions.advice("none")
        reply.advice = structs.replace(cast(Advice, reply.advice), multiple_clients=True)
