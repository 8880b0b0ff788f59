"""A site that knows its connections: it closes them when a server stops, and cuts those that are left."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.web.resource import IResource
from twisted.web.server import Site

from bayeux.metrics import Metrics
from bayeux.settings import Settings
from bayeux.web.channel import BayeuxChannel, BayeuxRequest, Connection


class ChannelSite(Site):
    """A site of twisted.web whose connections are bounded by the settings, each being in ``channels``.

    Form bodies are not parsed into ``request.args``.  What else it is given is for ``Site``.
    """

    noisy = False

    def __init__(self, root: IResource, settings: Settings, metrics: Metrics, **options: Any) -> None:
        super().__init__(root, requestFactory=BayeuxRequest, parsePOSTFormSubmission=False, **options)
        # Not twisted.web's proxy that may change over to HTTP/2.
        self.protocol = BayeuxChannel  # type: ignore[assignment, method-assign]  # Site declares a function
        self.settings = settings
        self.metrics = metrics
        self.channels: set[Connection] = set()
        self._emptied: Deferred[None] | None = None

    def __len__(self) -> int:
        """Return how many connections there are, streams not counted."""
        return len(self.channels)

    def __bool__(self) -> bool:
        """Be true, though there may be none."""
        return True

    def acceptableProtocols(self) -> list[bytes]:
        """Offer HTTP/1.1 only, when TLS negotiates: HTTP/2 has limits of its own."""
        return [b"http/1.1"]

    def cut(self, limit: str) -> None:
        """Take note of a connection that is cut because of that setting."""
        self.metrics.limited[limit] += 1
        self.metrics.stalled += limit == "write_timeout"

    def close(self) -> Deferred[None]:
        """Close every connection, once what it is being answered is written; fires when all are gone."""
        for channel in tuple(self.channels):
            channel.close()
        if not self.channels:
            return succeed(None)
        self._emptied = Deferred()
        return self._emptied

    def abort(self) -> None:
        """Cut every connection that is left."""
        for channel in tuple(self.channels):
            channel.abort()

    def channel_lost(self) -> None:
        """Take note of a connection that is gone."""
        if self._emptied is not None and not self.channels:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)
