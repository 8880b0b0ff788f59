"""Where a server is: one address for both transports, and how a connection to it is made."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, BrowserLikePolicyForHTTPS
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

_SCHEMES = {"http": False, "ws": False, "https": True, "wss": True}


@dataclass(frozen=True, slots=True)
class Address:
    """The URL of a Bayeux server; what is secret in it is not shown."""

    http: str
    """For requests, without credentials."""
    websocket: str
    headers: dict[str, str] = field(repr=False)
    """What the credentials in the URL, if there are any, become."""

    @classmethod
    def read(cls, url: str) -> Address:
        """Read a URL of ``http``, ``https``, ``ws`` or ``wss``.  Raises ``ValueError`` for anything else."""
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise ValueError(f"{_shown(url)!r} is no address of a Bayeux server such as https://example.org/bayeux")
        port = parts.port  # raises ValueError if it is no number
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        place = f"{host}:{port}" if port is not None else host
        secure = _SCHEMES[parts.scheme]
        path = parts.path or "/"

        def of(scheme: str) -> str:
            return urlunsplit((scheme + "s" * secure, place, path, parts.query, ""))

        headers = {}
        if parts.username is not None:
            text = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = f"Basic {b64encode(text.encode('utf-8')).decode('ascii')}"
        return cls(of("http"), of("ws"), headers)


def _shown(url: str) -> str:
    """Return a URL without what stands before an ``@``."""
    head, at, rest = url.rpartition("@")
    return rest if at else head or rest


@implementer(IAgentEndpointFactory)
class Endpoints:
    """Makes the endpoint of a connection: a host's address, with TLS where the URL says so.

    ``tls`` says what a certificate has to be; by default that of any authority that the system trusts, for
    the name of the host.  TLS needs the extra ``txbayeux[tls]``.
    """

    def __init__(self, reactor: Any, tls: IPolicyForHTTPS | None, timeout: float) -> None:
        self._reactor = reactor
        self._tls = tls
        self._timeout = timeout

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return the endpoint of a URL."""
        endpoint = HostnameEndpoint(self._reactor, uri.host, uri.port, self._timeout)
        if uri.scheme != b"https":
            return endpoint
        if self._tls is None:
            self._tls = BrowserLikePolicyForHTTPS()
        options = self._tls.creatorForNetloc(uri.host, uri.port)
        return wrapClientTLS(options, endpoint)
