"""The admin page: files that are the same for everybody, and headers that let it do little else."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import NamedTuple

from twisted.web.server import Request

from bayeux.api.errors import APIError, WrongMethod

_TYPES = {"html": b"text/html", "css": b"text/css", "js": b"text/javascript", "svg": b"image/svg+xml"}
_INDEX = "index.html"
_HEADERS = (
    # Nothing but what comes from here, no script in the page itself, and no text becomes markup.
    (b"Content-Security-Policy",
     b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
     b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
     b"require-trusted-types-for 'script'; trusted-types 'none'"),
    (b"X-Frame-Options", b"DENY"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Cache-Control", b"no-cache"),
)


class _File(NamedTuple):
    body: bytes
    type: bytes
    etag: bytes


class AdminPage:
    """Answers requests for the files of the page; they hold no secrets, and so nobody needs a key."""

    def __init__(self) -> None:
        folder = files("bayeux.api") / "static"
        self._files = {entry.name: _read(entry.name, entry.read_bytes()) for entry in folder.iterdir()
                       if entry.name.rpartition(".")[2] in _TYPES}
        self._files["client.js"] = _read(
            "client.js", (files("bayeux.web") / "static" / "client.js").read_bytes())

    def render(self, request: Request, name: str) -> bytes:
        """Return a file, or that it has not changed.  Raises ``APIError``."""
        file = self._files.get(name or _INDEX)
        if file is None:
            raise APIError("not_found", "there is nothing here; the page is /admin/")
        if request.method not in (b"GET", b"HEAD"):
            raise WrongMethod("GET", "HEAD")
        for header, value in _HEADERS:
            request.setHeader(header, value)
        request.setHeader(b"Content-Type", file.type)
        if request.setETag(file.etag):
            return b""
        request.setHeader(b"Content-Length", b"%d" % len(file.body))
        return b"" if request.method == b"HEAD" else file.body


def _read(name: str, body: bytes) -> _File:
    digest = hashlib.sha256(body).hexdigest()[:32]
    return _File(body, _TYPES[name.rpartition(".")[2]] + b"; charset=utf-8", b'"%b"' % digest.encode("ascii"))
