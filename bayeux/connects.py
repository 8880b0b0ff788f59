"""Connects: which are answered at once, which are held, and what their clients are advised (section 7)."""

from __future__ import annotations

from typing import cast

from msgspec import UNSET, structs

from bayeux.channels import META_CONNECT
from bayeux.errors import Denied
from bayeux.exchange import Exchange, Finish
from bayeux.extensions import Call
from bayeux.messages import Advice, Message, Reply
from bayeux.session import Release, Session, State, Stream
from bayeux.sessions import Sessions
from bayeux.settings import Settings

_HEARTBEATS = ("eventsource",)
"""Connection types whose connects only keep a session alive, as its events come by a stream beside (F-5)."""


class Connects:
    """Answers the connects of one hub; ``finish`` is called for each that was held, before it is answered."""

    def __init__(self, sessions: Sessions, settings: Settings, finish: Finish) -> None:
        self._sessions = sessions
        self._settings = settings
        self._finish = finish  # one object for all, and not a bound method for each that is held

    def answer(self, call: Call, exchange: Exchange, session: Session) -> Reply:
        """Answer a valid connect, now or, with ``exchange.parked``, later."""
        message, link = call.message, exchange.link
        first = session.state is State.HANDSHAKEN
        heartbeat = message.connection_type in _HEARTBEATS
        if session.stream is not None and not heartbeat and not isinstance(link, Stream) and not (
            first and _has_eventsource(session)
        ):
            self._sessions.leave_stream(session)
        superseded = self._sessions.connecting(session)
        exchange.cycle = session.cycle
        wait = self._read_wishes(message, session)
        exchange.connect = reply = Reply(
            META_CONNECT, True, id=message.id, client_id=session.id,
            advice=self._sessions.advice("retry"),
        )
        if heartbeat and not self._sessions.connect_only(session):
            self._beat(session, reply)
        elif first or not exchange.alone or wait <= 0 or not call.hold or self._is_ready(session):
            pass  # K-6, K-10, K-8, K-9
        elif not isinstance(link, Stream) and self._sessions.crowded(session):
            self._turn_away(session, reply)
        elif self._sessions.full(session):
            self._put_off(session, reply)
        else:
            exchange.park(call, self._finish)
            self._sessions.hold(session, link, exchange, wait)
        if superseded is not None:
            superseded.release(Release.SUPERSEDED)
        return reply

    def _read_wishes(self, message: Message, session: Session) -> float:
        """Return how long a connect may be held; both that and the interval are for this cycle (K-8)."""
        wait, interval = self._settings.timeout, self._settings.interval
        if message.advice is not UNSET:
            asked = message.advised("timeout")
            wait = wait if asked is None else min(wait, asked)
            asked = message.advised("interval")
            interval = interval if asked is None else min(asked, self._settings.max_client_interval)
        session.grace = interval + self._settings.max_interval
        return wait

    def _is_ready(self, session: Session) -> bool:
        """Say whether there is something that a connect has to be answered with at once (K-9)."""
        return session.queue.urgent and (session.stream is None or self._sessions.connect_only(session))

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
        if self._settings.multi_session_interval > 0:
            self._put_off(session, reply)
        else:
            reply.successful = False
            reply.error = str(self._sessions.failed(Denied("Too many sessions in one browser")))
            reply.advice = self._sessions.advice("none")
        reply.advice = structs.replace(cast(Advice, reply.advice), multiple_clients=True)


def _has_eventsource(session: Session) -> bool:
    """Say whether a stream is open beside the connects.

    Faye sends its first connect while it opens that, and so by the name of what it has used before.
    """
    return session.stream is not None and session.stream.connection_type in _HEARTBEATS
