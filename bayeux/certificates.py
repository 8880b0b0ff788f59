"""Certificates that are read again while the server listens; what Twisted's endpoints have no way for.

An endpoint ``ssl:`` reads its files once, and ``tls:`` looks into its folder again only for a name that it
does not know.  So what makes the TLS side of their connections is replaced by something that can be told
to use another.  Where an endpoint keeps it is Twisted's own affair, and is asked here only.
"""

from __future__ import annotations

import os
import re
from typing import Any, cast

from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IStreamServerEndpoint
from zope.interface import implementer

_PLACES = ("_sslContextFactory", "connectionCreator")
"""Where endpoints keep it: ``ssl:``, and ``tls:``."""


_ARGUMENT = re.compile(r"(?:^|:)((?:[^:\\]|\\.)*)", re.DOTALL)
"""What stands between the colons of an endpoint string; a backslash takes its meaning from what follows."""
_NAMED = re.compile(r"(\w+)=", re.ASCII)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_FILES = {
    "ssl": {"privateKey": 1, "certKey": 2, "extraCertChain": 6, "dhParameters": 7},
    "tls": {"path": 0},
}
"""The arguments of endpoints that name files, and their places where they stand without their names."""


class BadCertificate(ValueError):
    """A certificate cannot be used; the text says why."""


@implementer(IOpenSSLServerConnectionCreator)
class Certificate:
    """Makes the TLS side of each new connection, by what was read last; open connections keep what they have.

    Raises ``BadCertificate`` if that cannot be used.
    """

    def __init__(self, source: object) -> None:
        self.use(source)

    def use(self, source: object) -> None:
        """Use what another endpoint has read.  Raises ``BadCertificate``, and then nothing has changed."""
        check(source)
        self._source: Any = source

    def serverConnectionForTLS(self, protocol: Any) -> Any:
        """Make the TLS side of a connection."""
        return self._source.serverConnectionForTLS(protocol)


def anchored(endpoint: str, folder: str) -> str:
    """Return an endpoint string whose certificates do not depend on where the process is.

    Paths that are relative are so to ``folder``.
    """
    kind, *arguments = _ARGUMENT.findall(endpoint)
    files = _FILES.get(kind, {})
    names = {place: name for name, place in files.items()}
    given = set()
    place = 0
    for number, argument in enumerate(arguments):
        named = _NAMED.match(argument)
        if named:
            name, start = named[1], named[0]
        else:
            name, start, place = names.get(place, ""), "", place + 1
        if name in files:
            path = _ESCAPED.sub(r"\1", argument[len(start):])
            quoted = quoteStringArgument(os.path.join(folder, path))
            arguments[number] = start + quoted if named else quoted.replace("=", r"\=")
            given.add(name)
    if "privateKey" in files and "privateKey" not in given:
        arguments.append(f"privateKey={quoteStringArgument(os.path.join(folder, 'server.pem'))}")
    return ":".join((kind, *arguments))


def source_of(endpoint: IStreamServerEndpoint) -> object | None:
    """Return what makes the TLS side of an endpoint's connections, None if it has no TLS."""
    return next((vars(endpoint)[name] for name in _PLACES if name in vars(endpoint)), None)


def renewable(endpoint: IStreamServerEndpoint) -> Certificate | None:
    """Make an endpoint that does not listen yet use a ``Certificate``; returns it, None if it has no TLS.

    Raises ``BadCertificate``.
    """
    for name in _PLACES:
        source = vars(endpoint).get(name)
        if source is not None:
            certificate = Certificate(source)
            setattr(endpoint, name, certificate)
            return certificate
    return None


def check(source: object) -> None:
    """Raise ``BadCertificate`` unless connections can be made with it."""
    try:
        lookup = getattr(source, "_contextLookup", None)
        usable = cast(Any, source).getContext() if lookup is None else lookup(None)
    except Exception as error:  # pyOpenSSL's, and whatever a file leads to
        raise BadCertificate(reason(error)) from None
    if usable is None:
        raise BadCertificate("there is no certificate with its key in the folder")


def reason(error: Exception) -> str:
    """Say in a few words what is wrong; OpenSSL lists its errors, and some say nothing at all."""
    listed = error.args[0] if error.args and isinstance(error.args[0], list) else ()
    words = [": ".join(filter(None, each)) for each in listed]
    if words:
        return f"OpenSSL cannot read it: {'; '.join(words)}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
