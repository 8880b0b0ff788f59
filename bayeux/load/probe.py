"""One client that goes first, so that what cannot work is told at once, and why."""

from __future__ import annotations

from bayeux.load import LoadError, replies, wire
from bayeux.load.client import Client, State
from bayeux.load.connection import Place
from bayeux.load.loop import Loop
from bayeux.load.posts import Posts
from bayeux.load.replies import NotBayeux, Reply
from bayeux.load.signer import Signer
from bayeux.load.target import Target

_PATIENCE = 10.0
_MOMENT = 500_000_000
_HINTS = {
    "connection refused": "is the server running?",
    "HTTP 404": "does the URL have the path at which Bayeux is served?",
    "HTTP 405": "does the URL have the path at which Bayeux is served?",
    "no WebSocket": "does this server have WebSocket? --transport long-polling works with every one",
    "no local port": "too many connections have been made lately: wait a minute",
    "TLS: self": "--insecure accepts such a certificate",
    "Token required": "bayeux token makes one, for --token",
    "Signature required": "this server takes signed messages only: --key signs them",
    "Invalid signature": "is this the server's key, and has it that --id?",
    "Timestamp outside window": "is this machine's clock right, and the server's?",
    "Publish denied": "this server does not let such clients publish: see --token, --ext, --header, --prefix",
}


class _Probe(Client):
    """Also takes the replies to its publish."""

    __slots__ = ("answer",)

    def __init__(self, crew: Probe, kind: str, channel: str) -> None:
        super().__init__(crew, kind, channel)
        self.answer: Reply | None = None

    def published(self, reply: Reply) -> None:
        self.answer = reply
        self.crew.place.loop.leave()


class Probe:
    """Shakes hands, subscribes, and publishes once if there is to be publishing."""

    def __init__(self, target: Target, kind: str, prefix: str, ext: str, publish: bool,
                 signer: Signer | None = None) -> None:
        self._loop = Loop()
        self.place = Place(self._loop, target)
        self.mark = wire.mark(wire.new_tag())
        self.stamp = len(self.mark)
        self.ext = ext
        self._kind = kind
        self._publish = publish
        self._signer = signer
        self._channel = f"{prefix}/{self.mark.decode().strip('-')}"
        self._client = _Probe(self, kind, self._channel)
        self._posts: Posts | None = None
        self._failure = ""
        self._is_live = False

    def run(self, patience: float = _PATIENCE) -> None:
        """Try.  Raises ``LoadError`` with what went wrong."""
        end = self._loop.clock() + int(patience * 1e9)
        self._client.come()
        try:
            while not self._failure and not self._is_done():
                if self._loop.clock() >= end:
                    waits_for = "publish" if self._is_live else self._client.state.value
                    self._failure = f"{waits_for}: no answer within {patience:g} s"
                self._loop.run(end)
            self._say_good_bye()
        finally:
            self._client.go()
            if self._posts is not None:
                self._posts.close()
            self._loop.close()
        if self._failure:
            hint = next((f" ({hint})" for part, hint in _HINTS.items() if part in self._failure), "")
            raise LoadError(f"{self.place.target.url}, {self._kind}: {self._failure}{hint}")

    def _say_good_bye(self) -> None:
        """Disconnect; by long-polling that takes a request, which is given a moment."""
        waits = self._client.state is State.LIVE and not self._client.carrier.pushes
        self._client.disconnect()
        if waits:
            self._loop.run(self._loop.clock() + _MOMENT)

    def _is_done(self) -> bool:
        answer = self._client.answer
        if answer is not None and not answer.successful:
            self._failure = f"publish: {replies.reason(answer)}"
        return self._is_live and (not self._publish or answer is not None)

    # -- what the client tells ------------------------------------------------------------------

    def became_live(self, client: Client) -> None:
        self._is_live = True
        self._loop.leave()
        if self._publish:
            carrier = client.carrier
            text = self._message(client.client_id)
            if isinstance(carrier, Posts):
                self._posts = Posts(self.place, self, carrier.cookies)
                self._posts.post(text)
            else:
                carrier.post(text)

    def _message(self, client_id: str) -> str:
        data = wire.data("", 0, 0)
        if self._signer is None:
            return wire.publish(client_id, self._channel, data)
        return self._signer.publish(client_id, self._channel, data, wire.nonce(self.mark.decode(), 0))

    def failed(self, client: Client, what: str) -> None:
        self._failure = self._failure or what
        self._loop.leave()

    def ended(self, client: Client) -> None:
        pass

    # -- what the connection it publishes by tells ----------------------------------------------

    def opened(self) -> None:
        pass

    def received(self, text: bytes) -> None:
        try:
            for message in replies.decode(text):
                if message.successful is not None:
                    self._client.published(message)
        except NotBayeux as error:
            self.gone(str(error))

    def gone(self, why: str) -> None:
        self._failure = f"publish: {why}"
        self._loop.leave()
