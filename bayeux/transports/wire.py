"""What is asked of Twisted's transports beyond their interfaces, and asked here only.

Writing to a socket in the turn in which there is something to write, and losing a TLS connection without
leaving garbage.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet import tcp, unix
from twisted.protocols.tls import BufferingTLSTransport
from twisted.python.failure import Failure

from bayeux.metrics import Metrics

_SOCKETS = frozenset({tcp.Server, unix.Server})


def write(transport: Any, data: bytes, metrics: Metrics) -> None:
    """Write to a transport: at once if it is a plain socket that has nothing else to write.

    ``transport.write`` leaves it to the reactor to find out that the socket can take more, which costs
    more than the sending itself.  A transport of any other kind, as TLS, is written to in the usual
    way.
    """
    size = len(data)
    metrics.bytes_sent += size
    if type(transport) in _SOCKETS and not transport.dataBuffer and not transport._tempDataBuffer and (
        transport.connected and not transport.disconnecting and not transport.TLS
    ):
        try:
            sent = transport.socket.send(data)
        except OSError:
            pass  # the socket is full, or lost: the reactor finds out which
        else:
            if sent == size:
                return
            data = data[sent:]
    transport.write(data)


class _TidyTLS(BufferingTLSTransport):
    """A TLS connection that ends when it has ended, and keeps nothing of how.

    Twisted's has its own frame in the traceback of the error that ends it: a cycle, with OpenSSL's state
    of some 50 KiB in it, which would be there until all garbage is collected.  And a peer that says
    farewell while it is still being written to would be kept, as its socket waits for a producer that
    has nothing more to say.
    """

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        super()._tlsShutdownFinished(reason)
        cast(Any, self.transport).unregisterProducer()
        if reason is not None and reason.value is not None:
            reason.tb = reason.value.__traceback__ = None


def tidy(transport: Any) -> None:
    """See that a connection that has just been made will leave no garbage, if it is by TLS."""
    if type(transport) is BufferingTLSTransport:
        transport.__class__ = _TidyTLS
