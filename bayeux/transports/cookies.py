"""The cookie by which several sessions of one browser are told (BAYEUX.md section 14.4)."""

from __future__ import annotations

import re

from bayeux.settings import Settings
from bayeux.transports import HTTPRequest

_WELL_FORMED = re.compile(r"[A-Za-z0-9]{16,64}")


class BrowserCookie:
    """Reads and writes the cookie; its value is a browser id."""

    def __init__(self, settings: Settings) -> None:
        self._name = settings.cookie_name
        self._public_https = settings.public_url.startswith("https:")
        attributes = [f"Path={settings.cookie_path}", "HttpOnly"]
        if settings.cookie_domain:
            attributes.append(f"Domain={settings.cookie_domain}")
        if settings.cookie_max_age:
            attributes.append(f"Max-Age={round(settings.cookie_max_age)}")
        if settings.cookie_same_site:
            attributes.append(f"SameSite={settings.cookie_same_site}")
        if settings.cookie_partitioned:
            attributes.append("Partitioned")
        self._attributes = "; ".join(attributes)

    def read(self, request: HTTPRequest) -> str | None:
        """Return the browser id that a request carries, None if there is no well-formed one (B-1)."""
        cookies = request.header("cookie")
        if self._name not in cookies:
            return None
        for cookie in cookies.split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == self._name and _WELL_FORMED.fullmatch(value):
                return value
        return None

    def write(self, browser_id: str, secure: bool) -> bytes:
        """Return the value of a Set-Cookie header, for a request that has come by TLS or not."""
        mark = "; Secure" if secure or self._public_https else ""
        return f"{self._name}={browser_id}; {self._attributes}{mark}".encode("latin-1")
