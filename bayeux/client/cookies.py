"""The cookies that a server has set, for both transports: load balancers and sessions go by them (B-1)."""

from __future__ import annotations

from collections.abc import Iterable
from email.message import Message as Headers
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from typing import cast
from urllib.request import Request


class _Response:
    """As much of a response as a cookie jar asks for."""

    def __init__(self, set_cookies: Iterable[str]) -> None:
        self._headers = Headers()
        for value in set_cookies:
            self._headers["Set-Cookie"] = value

    def info(self) -> Headers:
        return self._headers


def read(jar: CookieJar, url: str) -> str:
    """Return the ``Cookie`` header for a URL of ``http`` or ``https``; empty if there is no cookie for it."""
    request = Request(url)
    jar.add_cookie_header(request)
    return request.get_header("Cookie", "") or ""


def write(jar: CookieJar, url: str, set_cookies: Iterable[str]) -> None:
    """Keep the cookies of an answer from a URL."""
    jar.extract_cookies(cast(HTTPResponse, _Response(set_cookies)), Request(url))
