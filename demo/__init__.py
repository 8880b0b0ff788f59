"""The demos, each a folder to copy, and the page that leads to them."""

from __future__ import annotations

from pathlib import Path

from twisted.web.resource import IResource, Resource

from bayeux import BayeuxService

from .chat import server as chat
from .slideshow import server as slideshow
from .ticker import server as ticker


def make_root(bayeux: BayeuxService) -> tuple[IResource, str]:
    """Attach all demos to a Bayeux server.

    Returns the resource for ``/``, and where below it slides are turned: a secret, as the key is in it.
    """
    here, root, key = Path(__file__).parent, Resource(), slideshow.make_key()
    root.putChild(b"", chat.Pages(str(here / "index.html")))
    for name in ("index.css", "icon.svg"):
        root.putChild(name.encode(), chat.Pages(str(here / name)))
    root.putChild(b"chat", chat.make_resource(bayeux))
    root.putChild(b"slideshow", slideshow.make_resource(bayeux, key))
    root.putChild(b"ticker", ticker.make_resource(bayeux))
    return root, f"slideshow/{slideshow.presenter_page(key)}"
