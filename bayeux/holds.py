"""How many connects are held: in all, by browser and by address; and whether one more may be."""

from __future__ import annotations

from bayeux.addresses import client_of
from bayeux.session import Session
from bayeux.settings import Settings


class Holds:
    """Counts the connects that one hub holds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits_addresses = settings.max_held_per_address < settings.max_held
        self._limits_browsers = settings.max_sessions_per_browser >= 0
        self._all = 0
        self._by_address: dict[str, int] = {}
        self.by_browser: dict[str, int] = {}
        """How many each browser has (B-3)."""

    def __len__(self) -> int:
        """Return how many there are now (Q-11, G-14)."""
        return self._all

    def crowded(self, session: Session) -> bool:
        """Say whether the session's browser already has as many as it may (B-3, B-4)."""
        limit = self._settings.max_sessions_per_browser
        browser = session.browser_id
        return browser is not None and 0 <= limit <= self.by_browser.get(browser, 0)

    def full(self, session: Session) -> str:
        """Return the setting of which there may be no more, "" if there may (G-14)."""
        if self._all >= self._settings.max_held:
            return "max_held"
        if self._limits_addresses and (
            self._by_address.get(self._client(session), 0) >= self._settings.max_held_per_address
        ):
            return "max_held_per_address"
        return ""

    def count(self, session: Session, step: int) -> None:
        """Count a session's in or out; a browser has few connections, but streams are not of these."""
        self._all += step
        if self._limits_addresses:
            count(self._by_address, self._client(session), step)
        if self._limits_browsers and session.browser_id is not None and (
            session.link is None or not session.link.is_stream
        ):
            count(self.by_browser, session.browser_id, step)

    def _client(self, session: Session) -> str:
        return client_of(session.address, self._settings.ipv6_prefix)


def count(counts: dict[str, int], key: str, step: int) -> None:
    """Count up or down, and keep nothing of what has come to none."""
    number = counts.get(key, 0) + step
    if number:
        counts[key] = number
    else:
        del counts[key]
