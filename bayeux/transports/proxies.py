"""Who is behind a proxy: what it says of its client, believed if the settings name it (O-8)."""

from __future__ import annotations

import re

from bayeux.addresses import Networks, normal
from bayeux.settings import Settings
from bayeux.transports import HTTPRequest

_WITH_PORT = re.compile(r"\[(?P<long>[^\]]*)\](?::[0-9]+)?|(?P<short>[^:\]]*):[0-9]+")


class Proxies:
    """Tells requests that a trusted proxy has passed on from others; knows no names, only addresses."""

    def __init__(self, settings: Settings) -> None:
        self.trusted = Networks(settings.trusted_proxies)

    def see_through(self, request: HTTPRequest) -> None:
        """Give a request the address, scheme and host that its client has used.

        Each proxy adds to the right of ``X-Forwarded-For`` who has connected to it.  So the client is the
        first from the right that is not itself a trusted proxy; what is left of that anybody can have
        written.
        """
        if request.address not in self.trusted:
            return
        passed = 1
        for text in reversed(_values(request.header("x-forwarded-for"))):
            address = _address(text)
            if address is None:
                break
            request.address = address
            if address not in self.trusted:
                break
            passed += 1
        scheme = _told(request.header("x-forwarded-proto"), passed).lower()
        if scheme in ("http", "ws", "https", "wss"):
            request.secure = scheme in ("https", "wss")
        request.host = _told(request.header("x-forwarded-host"), passed)


def _values(header: str) -> list[str]:
    return [value.strip() for value in header.split(",")] if header else []


def _told(header: str, passed: int) -> str:
    """Return what the first of the trusted proxies has said, if each of them has added to the header.

    More often the last has written it anew, and then it is the only one.
    """
    values = _values(header)
    return values[-min(passed, len(values))] if values else ""


def _address(text: str) -> str | None:
    """Read an address, to which some proxies add the port."""
    match = _WITH_PORT.fullmatch(text)
    return normal(text if match is None else match["long"] or match["short"] or "")
