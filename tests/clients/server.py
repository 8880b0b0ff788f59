"""The server under test, in a process of its own so that a test can pull its plug.

    python server.py PORT LOG SETTINGS

It serves Bayeux at ``/bayeux`` and this folder beside it, on 127.0.0.1, with the given settings (JSON).
It appends to LOG one line of JSON for every answered Bayeux request, every message that came and every
session that ends, and prints one line when it listens.  What it tells to be the time is an hour late, so
that there is something to be found out about it.
"""

import json
import sys
import time
from pathlib import Path

from twisted.internet import endpoints, reactor
from twisted.web import server, static

from bayeux import BayeuxService, Session, Settings
from bayeux.extensions import Call, Extension
from bayeux.extensions.timesync import Timesync

HERE = Path(__file__).resolve().parent
HOUR = 3600


class Log(Extension):
    """Notes by what clients carry their messages, and how sessions end."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "a", buffering=1)  # noqa: SIM115 - open as long as the object

    def write(self, **line: object) -> None:
        self.file.write(json.dumps(line) + "\n")

    def incoming(self, call: Call) -> None:
        stream = call.session.stream if call.session is not None else None
        self.write(message=call.message.channel, by=call.link.connection_type,
                   events_by=call.link.connection_type if stream is None else stream.connection_type,
                   session=call.message.client_id, ack=call.message.extensions().get("ack"))

    def session_added(self, session: Session) -> None:
        pass

    def session_removed(self, session: Session, reason: str) -> None:
        self.write(ended=reason)


class LoggingSite(server.Site):
    """A site that notes how each client really makes its requests."""

    def __init__(self, root: static.File, notes: Log) -> None:
        super().__init__(root)
        self.notes = notes

    def log(self, request: server.Request) -> None:
        if not request.path.startswith(b"/bayeux") or request.path.endswith(b".js"):
            return

        def header(name: str) -> str:
            return request.getHeader(name) or ""

        self.notes.write(
            method=request.method.decode(), type=header("content-type").partition(";")[0],
            jsonp=b"jsonp" in request.args, upgrade=header("upgrade").lower(), accept=header("accept"),
            origin=header("origin"), status=request.code,
        )


def main(port: str, path: str, settings: str) -> None:
    chosen = Settings.of(json.loads(settings))
    bayeux = BayeuxService(chosen)
    notes = Log(path)
    bayeux.hub.add_listener(notes)
    bayeux.hub.add_extension(notes)
    if "timesync" not in chosen.extensions:
        bayeux.hub.add_extension(Timesync(chosen.timesync_accuracy, lambda: time.time() - HOUR))
    root = static.File(str(HERE))
    root.putChild(b"bayeux", bayeux.resource)
    bayeux.startService()
    reactor.addSystemEventTrigger("before", "shutdown", bayeux.stopService)
    endpoint = endpoints.TCP4ServerEndpoint(reactor, int(port), interface="127.0.0.1")
    listening = endpoint.listen(LoggingSite(root, notes))
    # It is said when signals are taken care of, or a SIGTERM at once would find nobody to end well.
    listening.addCallbacks(lambda _: reactor.callWhenRunning(print, "listening", flush=True),
                           lambda why: why.printTraceback())
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
