"""Which session a message speaks for, if whoever has sent it may (I-3, I-6, B-2, W-5)."""

from __future__ import annotations

from typing import cast

from bayeux.channels import META_CONNECT
from bayeux.messages import Message
from bayeux.session import Link, Session, Stream
from bayeux.sessions import Sessions
from bayeux.settings import Settings


class Speakers:
    """Tells by clientId, carrier and cookie who speaks."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self._sessions = sessions
        self._settings = settings

    def find(self, message: Message, link: Link, other: Session | None) -> Session | None:
        """Return the session that a message speaks for, None if there is none or it may not (I-3, I-6).

        ``other`` is the one that its batch speaks for already; None: none yet.
        """
        session = self._sessions.get(message.client_id)
        if session is None or session is not (other or session):
            return None
        connect = message.channel == META_CONNECT
        moves = session.stream is not link and (
            link.is_stream or (connect and session.stream is not None))
        if not self.is_of(session, link, moves):
            return None
        if moves and link.is_stream and (
            self._settings.require_handshake_per_connection
            # Only a connect may come for another session: Faye handshakes elsewhere, and then goes on (W-6).
            or (cast(Stream, link).session is not None and not connect)
        ):
            return None
        return session

    def is_of(self, session: Session, link: Link, moves: bool) -> bool:
        """Say whether a link may speak for a session, as far as cookies tell (B-2).

        Clients without cookies may, but not take over the events of one whose cookie has been seen.
        """
        if session.browser_id is None or link.browser_id is session.browser_id:
            return True
        if link.browser_id is None:
            return not (self._settings.require_browser_cookie or (moves and session.has_cookie))
        if link.browser_id != session.browser_id:
            return False
        session.has_cookie = True
        link.browser_id = session.browser_id  # the same text, and no other of its own
        return True
