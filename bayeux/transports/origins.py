"""Which pages may use the server: the Origin check and CORS (BAYEUX.md section 14.3)."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from bayeux.settings import Settings
from bayeux.transports import HeaderLookup, Headers, HTTPRequest

_PREFLIGHT_HEADERS = ("Accept", "Authorization", "Content-Type", "Pragma", "X-Requested-With")
_PREFLIGHT_MAX_AGE = 86_400
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::[0-9]*)?")


@lru_cache(maxsize=256)
def _headers(origin: str) -> Headers:
    """Return what allows an origin; connections keep it, and so many share one."""
    return (
        (b"Access-Control-Allow-Origin", origin.encode("latin-1")),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Vary", b"Origin"),
    )


class _Anonymous:
    """The headers of a request without what browsers add by themselves, whatever page it comes from."""

    __slots__ = ("_header",)

    def __init__(self, header: HeaderLookup) -> None:
        self._header = header

    def __call__(self, name: str) -> str:
        value = self._header(name)
        return "" if name == "cookie" or (name == "authorization" and not _is_bearer(value)) else value

    def names(self) -> list[str]:
        return [name for name in self._header.names() if self(name)]


class Origins:
    """Decides by ``Host``, ``Origin`` and ``Sec-Fetch-Site``, before a request is processed (O-4).

    The server's own origin is its ``public_url``, or else what ``Host`` says or a trusted proxy (O-8); others
    are allowed by name.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._allowed = frozenset(settings.allowed_origins)
        self._hosts = frozenset(settings.allowed_hosts)
        self._public = "*" in self._allowed
        self._preflight: Headers = (
            (b"Access-Control-Allow-Methods", b"POST, GET, OPTIONS"),
            (b"Access-Control-Allow-Headers",
             ", ".join((*_PREFLIGHT_HEADERS, *settings.allowed_headers)).encode("latin-1")),
            (b"Access-Control-Max-Age", b"%d" % _PREFLIGHT_MAX_AGE),
        )

    def check(self, request: HTTPRequest, script: bool = False) -> Headers | None:
        """Return the CORS headers for a response, None if the request is to be refused (O-3, O-4).

        ``script`` says that it is a JSONP request: browsers send no Origin with those, so they are
        accepted from other sites if any other site is allowed at all (O-6).
        """
        if self._hosts and not self._is_called(request):
            return None
        origin = request.header("origin")
        if not origin:
            if self._settings.require_origin:
                return None
            foreign = request.header("sec-fetch-site") not in ("", "same-origin", "none")
            return None if foreign and not (script and self._allowed) else ()
        public = self._public and origin != "null"  # which is allowed by name only (O-5)
        if not public and origin not in self._allowed and origin != self._own(request):
            return None
        return _headers(origin)

    def _is_called(self, request: HTTPRequest) -> bool:
        """Say whether a request is for a name of the server.

        Where a trusted proxy says by which name itself was called, that has to be one too, as the ``Host``
        that comes here may be the proxy's own idea.
        """
        return _name(request.header("host")) in self._hosts and (
            not request.host or _name(request.host) in self._hosts)

    def disclose(self, request: HTTPRequest, script: bool = False) -> HTTPRequest:
        """Return an accepted request as a policy may see it.

        Cookies and passwords are sent by a browser whoever has made the page.  So of a request that is
        accepted because everybody's are, they say nothing (O-4), nor of a script's (J-11).
        """
        origin = request.header("origin")
        if not script and (not self._public or not origin or origin in self._allowed
                           or origin == self._own(request)):
            return request
        return replace(request, header=_Anonymous(request.header))

    def preflight(self, cors: Headers) -> Headers:
        """Return the headers of the answer to an allowed preflight request (O-2)."""
        return cors + self._preflight

    def _own(self, request: HTTPRequest) -> str:
        if self._settings.public_url:
            return self._settings.public_url
        host = (request.host or request.header("host")).lower()
        # Some proxies spell out the default port; browsers never do.
        if request.secure:
            return f"https://{host.removesuffix(':443')}"
        return f"http://{host.removesuffix(':80')}"


def _name(host: str) -> str:
    """Return what a Host header says but for its port, "" if it is none."""
    found = _HOST.fullmatch(host)
    return found[1].lower() if found is not None else ""


def _is_bearer(authorization: str) -> bool:
    """Say whether credentials are such that a page has to know them itself (RFC 6750)."""
    return authorization[:7].lower() == "bearer "
