"""Certificates that are read again while the server listens; what Twisted's endpoints have no way for.

An endpoint ``ssl:`` reads its files once, and ``tls:`` looks into its folder again only for a name that it
does not know.  So what makes the TLS side of their connections is replaced by something that can be told
to use another.  Where an endpoint keeps it, and what is in it, is Twisted's own affair, and is asked here
only.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from typing import Any, cast

from OpenSSL.SSL import Connection, Context
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


@implementer(IOpenSSLServerConnectionCreator)
class Folder:
    """Shows each client the certificate of the name that it asks for, of those that a folder had once.

    Who asks for another name, or for none, is shown the first.  Twisted's own would log a line for each
    of those, and a traceback for a name that is not ASCII: any peer could fill the log.  ``options`` are
    those of each DNS name, ``*.`` being for whatever is directly below.  Raises ``BadCertificate`` if
    there are none, or one cannot be used.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        try:
            self._contexts: dict[bytes, Context] = {
                name.lower().encode("utf-8"): each.getContext() for name, each in options.items()}
        except Exception as error:  # pyOpenSSL's, and whatever a file leads to
            raise BadCertificate(reason(error)) from None
        if not self._contexts:
            raise BadCertificate("there is no certificate with its key in the folder")
        self._first = next(iter(self._contexts.values()))
        self._first.set_tlsext_servername_callback(self._choose)

    def getContext(self) -> Context:
        """Return what a connection begins with, when nothing has been asked for as yet."""
        return self._first

    def serverConnectionForTLS(self, protocol: Any) -> Connection:
        """Make the TLS side of a connection."""
        return Connection(self._first)

    def _choose(self, connection: Connection) -> None:
        name = (connection.get_servername() or b"").lower()
        context = self._contexts.get(name) or self._contexts.get(b"*." + name.partition(b".")[2])
        if context is not None:
            connection.set_context(context)


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
    """Return what makes the TLS side of an endpoint's connections, None if it has no TLS.

    Raises ``BadCertificate``.
    """
    source = vars(endpoint).get(_place(endpoint))
    lookup = getattr(source, "_contextLookup", None)
    return source if lookup is None else Folder(inspect.getclosurevars(lookup).nonlocals["certMap"])


def renewable(endpoint: IStreamServerEndpoint) -> Certificate | None:
    """Make an endpoint that does not listen yet use a ``Certificate``; returns it, None if it has no TLS.

    Raises ``BadCertificate``.
    """
    source = source_of(endpoint)
    if source is None:
        return None
    certificate = Certificate(source)
    setattr(endpoint, _place(endpoint), certificate)
    return certificate


def _place(endpoint: IStreamServerEndpoint) -> str:
    return next((name for name in _PLACES if name in vars(endpoint)), "")


def check(source: object) -> None:
    """Raise ``BadCertificate`` unless connections can be made with it."""
    try:
        cast(Any, source).getContext()
    except Exception as error:  # pyOpenSSL's, and whatever a file leads to
        raise BadCertificate(reason(error)) from None


def reason(error: Exception) -> str:
    """Say in a few words what is wrong; OpenSSL lists its errors, and some say nothing at all."""
    listed = error.args[0] if error.args and isinstance(error.args[0], list) else ()
    words = [": ".join(filter(None, each)) for each in listed]
    if words:
        return f"OpenSSL cannot read it: {'; '.join(words)}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
