"""A chat with rooms: everybody in a room hears what is said there, and sees who is here.

``make_resource`` attaches it to a Bayeux server; ``python server.py`` runs it alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Site
from twisted.web.static import File

from bayeux import BayeuxService

if __package__:
    from .rooms import Chat
else:
    from rooms import Chat


class Pages(File):
    """The files of a folder; browsers do not store them, so that a changed page is seen."""

    def render_GET(self, request: IRequest) -> Any:
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        return super().render_GET(request)

    render_HEAD = render_GET


def make_resource(bayeux: BayeuxService) -> IResource:
    """Attach the chat to a Bayeux server and return the resource that serves its page."""
    Chat(bayeux)
    return Pages(str(Path(__file__).parent / "static"))


async def main(reactor: Any, listen: str = "tcp:8080:interface=127.0.0.1") -> None:
    """Serve this demo alone, until interrupted."""
    bayeux = BayeuxService()
    root = make_resource(bayeux)
    root.putChild(b"bayeux", bayeux.resource)
    bayeux.startService()
    reactor.addSystemEventTrigger("before", "shutdown", bayeux.stopService)
    address = (await serverFromString(reactor, listen).listen(Site(root))).getHost()
    print(f"http://{address.host}:{address.port}/", flush=True)
    await Deferred()


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
