"""The demos, each a folder to copy, and the page that leads to them."""

from __future__ import annotations

from pathlib import Path

from twisted.web.resource import IResource, Resource

from bayeux import BayeuxService

from .chat import server as chat
from .slideshow import server as slideshow
from .ticker import server as ticker


def make_root(bayeux: BayeuxService) -> IResource:
    """Attach all demos to a Bayeux server and return the resource for ``/``."""
    here, root = Path(__file__).parent, Resource()
    root.putChild(b"", chat.Pages(str(here / "index.html")))
    for name in ("index.css", "icon.svg"):
        root.putChild(name.encode(), chat.Pages(str(here / name)))
    root.putChild(b"chat", chat.make_resource(bayeux))
    root.putChild(b"slideshow", slideshow.make_resource(bayeux))
    root.putChild(b"ticker", ticker.make_resource(bayeux))
    return root
