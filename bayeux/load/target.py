"""The server that the load is put on: where it is, and what every request to it carries."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from bayeux.load import LoadError

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_OURS = {"host", "content-length", "content-type", "connection", "upgrade", "cookie", "transfer-encoding",
         "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"}


@dataclass(frozen=True)
class Target:
    """One URL, resolved."""

    url: str
    host: str
    """As in the header ``Host``."""
    name: str
    """Without the port; what a certificate has to be for."""
    path: str
    address: str
    port: int
    secure: bool
    headers: tuple[str, ...] = ()
    """Lines, ``Name: value``, that go with every request."""
    verify: bool = True
    """Whether the certificate has to be good."""

    @classmethod
    def of(cls, url: str, headers: tuple[str, ...] = (), verify: bool = True) -> Target:
        """Take a URL apart and look its host up.  Raises ``LoadError``."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise LoadError(f"{url}: {error}") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise LoadError(f"{url!r} is no URL of a Bayeux server: http://host:port/path is expected, "
                            "or https, ws, wss")
        if parts.username is not None:
            raise LoadError("a password in the URL is not sent: use --header 'Authorization: ...'")
        for line in headers:
            found = _HEADER.fullmatch(line)
            if found is None:
                raise LoadError(f"{line!r} is no header: 'Name: value' is expected")
            if found[1].lower() in _OURS:
                raise LoadError(f"the header {found[1]} is made by the driver itself")
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        if not path.isascii() or not path.isprintable() or " " in path:
            raise LoadError(f"{url!r}: other characters than ASCII have to be percent-encoded")
        port = port or _PORTS[parts.scheme]
        try:
            found_addresses = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise LoadError(f"{parts.hostname}: {reason}") from None
        return cls(url, parts.netloc, parts.hostname, path, str(found_addresses[0][4][0]), port,
                   parts.scheme in ("https", "wss"), headers, verify)

    @property
    def family(self) -> socket.AddressFamily:
        """The kind of its address."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine, by the loopback interface."""
        return ipaddress.ip_address(self.address.partition("%")[0]).is_loopback

    @property
    def origin(self) -> str:
        """What a page of the server itself sends as ``Origin``."""
        return f"{'https' if self.secure else 'http'}://{self.host}"

    def tls(self) -> ssl.SSLContext | None:
        """Return what makes connections secure, or None if the URL does not ask for it."""
        if not self.secure:
            return None
        context = ssl.create_default_context()
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
