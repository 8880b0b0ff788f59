"""The server that is soaked, in a process of its own, which says what it holds when it is asked.

    python -m tests.soak.server SETTINGS_JSON

Prints a line of JSON with its ports, and one for each line that it reads.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any

from twisted.internet import reactor, stdio
from twisted.protocols.basic import LineReceiver

from bayeux.load.machine import rss_bytes
from bayeux.server import BayeuxServer
from bayeux.settings import Settings


class Teller(LineReceiver):
    """Tells on standard output what the server holds, for every line of standard input."""

    delimiter = b"\n"

    def __init__(self, server: BayeuxServer) -> None:
        self._server = server

    def connectionMade(self) -> None:
        ports = [port.getHost().port for port in self._server._ports]
        self._say({"ports": ports})

    def lineReceived(self, line: bytes) -> None:
        gc.collect()
        hub, resource = self._server.hub, self._server.resource
        self._say({
            "sessions": len(hub.sessions),
            "held": len(hub.sessions.holds),
            "channels": hub.sessions.channels,
            "idle": hub.sessions.is_idle(),
            "connections": len(self._server._site.channels) + len(resource.endpoint.streams),
            "timers": len(reactor.getDelayedCalls()),
            "files": len(os.listdir("/proc/self/fd")),
            "objects": len(gc.get_objects()),
            "rss": rss_bytes(os.getpid()),
            "opened": hub.metrics.sessions_added,
            "removed": dict(hub.metrics.sessions_removed),
            "errors": hub.metrics.application_errors,
        })

    def connectionLost(self, reason: object) -> None:
        if reactor.running:
            reactor.stop()

    def _say(self, what: dict[str, Any]) -> None:
        self.sendLine(json.dumps(what).encode())


def main(settings: str) -> None:
    """Serve until standard input ends."""
    server = BayeuxServer(Settings.of(json.loads(settings)), demo=True)
    server.startService()
    stdio.StandardIO(Teller(server))
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1])
