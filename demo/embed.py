"""An existing Twisted application gets a Bayeux server; what it needs for that is marked with ``# <``.

Run it with ``python demo/embed.py`` and open http://127.0.0.1:8080/ in two windows: the button
posts to an ordinary klein route, which publishes to every page that listens.
"""

import sys
import time
from typing import Any

from klein import Klein
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from bayeux import BayeuxService  # <

PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Embedded</title>
<link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>
  body { font: 1.4rem/1.6 system-ui, sans-serif; max-width: 30rem; margin: 3rem auto; padding: 0 1rem }
  button { font: inherit; padding: .4em 1.2em }
</style>
<p><button>Tell everybody</button></p><ol></ol>
<script type="module">
  import { init } from "/bayeux/client.js";
  init("/bayeux").subscribe("/news", (news) => {
    document.querySelector("ol").append(
      Object.assign(document.createElement("li"), { textContent: news.text }));
  });
  document.querySelector("button").onclick = () => fetch("/api/publish", { method: "POST" });
</script></html>"""

api, bayeux = Klein(), BayeuxService()  # <


@api.route("/publish", methods=["POST"])
def publish(request: IRequest) -> str:
    """Tell every page that listens what time it is."""
    count = bayeux.hub.publish("/news", {"text": time.strftime("It is %H:%M:%S")})
    return f"told {count}\n"


async def main(reactor: Any, listen: str = "tcp:8080:interface=127.0.0.1") -> None:
    """Serve the page, the route and the Bayeux server, until interrupted."""
    root = Resource()
    root.putChild(b"", Data(PAGE, "text/html"))
    root.putChild(b"api", api.resource())
    root.putChild(b"bayeux", bayeux.resource)  # <
    bayeux.startService()  # <
    reactor.addSystemEventTrigger("before", "shutdown", bayeux.stopService)  # <
    address = (await serverFromString(reactor, listen).listen(Site(root))).getHost()
    print(f"http://{address.host}:{address.port}/", flush=True)
    await Deferred()


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
