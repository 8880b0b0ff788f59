"""Which pages may use the server: the Origin check and CORS (BAYEUX.md section 14.3)."""

from __future__ import annotations

from functools import lru_cache

from bayeux.settings import Settings
from bayeux.transports import Headers, HTTPRequest

_PREFLIGHT_HEADERS = ("Accept", "Authorization", "Content-Type", "Pragma", "X-Requested-With")
_PREFLIGHT_MAX_AGE = 86_400


@lru_cache(maxsize=256)
def _headers(origin: str) -> Headers:
    """Return what allows an origin; connections keep it, and so many share one."""
    return (
        (b"Access-Control-Allow-Origin", origin.encode("latin-1")),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Vary", b"Origin"),
    )


class Origins:
    """Decides by ``Origin`` and ``Sec-Fetch-Site``, before anything of a request is processed (O-4).

    The server's own origin is its ``public_url``, or else what ``Host`` says or a trusted proxy (O-8); others
    are allowed by name.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._allowed = frozenset(settings.allowed_origins)
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
