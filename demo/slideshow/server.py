"""A slideshow: one presents, everybody else sees the same slide at the same moment.

``make_resource`` attaches it to a Bayeux server; ``python server.py`` runs it alone.

Who presents proves it by a key, which is a part of the presenter's link: behind the ``#``, as browsers send
that to no server and it gets into no log of a proxy.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from secrets import compare_digest, token_urlsafe
from typing import Any
from urllib.parse import quote

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site
from twisted.web.static import Data, File

from bayeux import BayeuxError, BayeuxService, ListenOnly, Session

if __package__:
    from .slides import DECK, draw
else:
    from slides import DECK, draw

STATIC = Path(__file__).parent / "static"


class Pages(File):
    """The files of a folder; browsers do not store them, so that a changed page is seen."""

    def render_GET(self, request: IRequest) -> Any:
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        return super().render_GET(request)

    render_HEAD = render_GET


class Slideshow:
    """The slides, each under an address that nobody can guess, and which of them is shown."""

    def __init__(self, bayeux: BayeuxService, key: str) -> None:
        self._hub = bayeux.hub
        self._key = key.encode()
        self._shown = 1
        self._tokens = [token_urlsafe(18) for _ in DECK]
        self._hub.service("/service/slideshow/current", lambda session, data: self._current())
        self._hub.service("/service/slideshow/deck", self._deck)
        self._hub.service("/service/slideshow/show", self._show)

    def resource(self) -> IResource:
        """Return the pages, and under ``slides/`` the slides."""
        root, slides = Pages(str(STATIC)), Resource()
        for number, token in enumerate(self._tokens, 1):
            slides.putChild(f"{token}.svg".encode(), Data(draw(number), "image/svg+xml"))
        root.putChild(b"slides", slides)
        root.putChild(b"presenter", Pages(str(STATIC / "presenter.html")))
        return root

    def _slide(self, number: int) -> dict[str, Any]:
        return {"number": number, "total": len(DECK), "words": DECK[number - 1].words,
                "address": f"slides/{self._tokens[number - 1]}.svg"}

    def _current(self) -> dict[str, Any]:
        return self._slide(self._shown)

    def _deck(self, session: Session, data: object) -> dict[str, Any]:
        """Tell the presenter, and nobody else, all addresses and the notes."""
        self._check_key(data)
        slides = [self._slide(n) | {"notes": slide.notes} for n, slide in enumerate(DECK, 1)]
        return {"slides": slides, "shown": self._shown}

    def _show(self, session: Session, data: object) -> None:
        """Let the presenter turn to a slide, for everybody."""
        number = self._check_key(data).get("number")
        if type(number) is not int or not 1 <= number <= len(DECK):
            raise BayeuxError(404, "No such slide")
        self._shown = number
        self._hub.publish("/slideshow/current", self._current())

    def _check_key(self, data: object) -> dict[str, Any]:
        """Return the data if it has the key; how long that takes does not tell how wrong another key is."""
        key = data.get("key") if isinstance(data, dict) else None
        if not (isinstance(key, str) and compare_digest(key.encode(), self._key)):
            raise BayeuxError(403, "This is not the key of the presenter")
        return data


def make_key() -> str:
    """Return the key that the environment has in ``PRESENTER_KEY``, or else a new one."""
    return os.environ.get("PRESENTER_KEY") or token_urlsafe(24)


def make_resource(bayeux: BayeuxService, key: str) -> IResource:
    """Attach the slideshow to a Bayeux server and return the resource that serves its pages.

    Whoever has the key presents, at ``presenter_page(key)`` below the resource.
    """
    bayeux.hub.policy = ListenOnly("/slideshow/*", before=bayeux.hub.policy)
    return Slideshow(bayeux, key).resource()


def presenter_page(key: str) -> str:
    """Return the presenter's link, relative to the slideshow."""
    return f"presenter#{quote(key, safe='')}"


async def main(reactor: Any, listen: str = "tcp:8080:interface=127.0.0.1") -> None:
    """Serve this demo alone, until interrupted."""
    bayeux, key = BayeuxService(), make_key()
    root = make_resource(bayeux, key)
    root.putChild(b"bayeux", bayeux.resource)
    bayeux.startService()
    reactor.addSystemEventTrigger("before", "shutdown", bayeux.stopService)
    address = (await serverFromString(reactor, listen).listen(Site(root))).getHost()
    print(f"http://{address.host}:{address.port}/")
    print(f"http://{address.host}:{address.port}/{presenter_page(key)} for the presenter", flush=True)
    await Deferred()


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
