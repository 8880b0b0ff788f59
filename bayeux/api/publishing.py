"""What the site publishes by the API: with its key, or signed as on the public port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import UNSET
from twisted.internet.defer import Deferred

from bayeux.api.errors import APIError, Unauthorized, code_of, of_envelope, of_message
from bayeux.channels import is_reserved, is_service
from bayeux.errors import BayeuxError, EnvelopeError
from bayeux.extensions.signing import claims_signature
from bayeux.hub import Hub
from bayeux.messages import Encoded, Message, Rejected, Reply, decode
from bayeux.session import Link

Result = dict[str, Any]


class APILink(Link):
    """By what a signed message comes here; its publisher is told how many it has reached."""

    tells_reach: ClassVar[bool] = True


class Publisher:
    """Publishes what is in the body of a request.

    With the key it is the application that publishes, and no policy is asked.  A message with ``ext.hmac``
    needs no key, but has to be signed, and allowed, as on the public port; nor is it handled there once
    more, as both know the same nonces (Y-9).
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def decode(self, body: bytes, has_key: bool) -> Sequence[Message | Rejected]:
        """Return the messages of a body.  Raises ``APIError``, and then nothing is published."""
        try:
            messages = decode(body, self._hub.settings)
        except EnvelopeError as error:
            if not has_key:
                raise Unauthorized from None
            raise of_envelope(error) from None
        if not has_key and not (messages and all(map(_is_signed, messages))):
            raise Unauthorized("send the API's key, Authorization: Bearer KEY, or sign every message")
        if not messages:
            raise APIError("invalid_message", "there is no message in the body")
        self._check_open()
        return messages

    async def publish(self, message: Message | Rejected, address: str) -> Result:
        """Publish one message, and say how many sessions it has gone to.  Raises ``APIError``."""
        if isinstance(message, Rejected):
            raise of_message(message.error)
        self._check_open()  # it may stop between two messages of a body
        try:
            _check(message)
            if _is_signed(message):
                return await self._submit(message, address)
            data = Encoded(bytes(message.data))  # type: ignore[arg-type]  # it is checked to be there
            return {"channel": message.channel, "delivered": self._hub.publish(message.channel, data)}
        except BayeuxError as error:
            raise of_message(error) from None

    def _check_open(self) -> None:
        """Refuse while the server stops: there are no sessions any more, and so it would be lost."""
        if self._hub.sessions.closed:
            raise APIError("stopping", "the server is stopping; publish it again when there is one")

    async def _submit(self, message: Message, address: str) -> Result:
        """Have the hub handle a signed message as it does those of the public port."""
        message.client_id = None
        try:
            exchange = self._hub.receive([message], APILink("api", address))
        except EnvelopeError as error:  # too many of them
            raise of_envelope(error) from None
        if exchange.pending is not None:
            await _settled(exchange.pending)
        reply = exchange.replies[0]
        told = {} if reply.ext is UNSET else reply.ext
        about = told.get("hmac", {})
        if not reply.successful:
            raise _refused(reply, about)
        return {"channel": message.channel, "delivered": told.get("reached", 0), **about}


def _check(message: Message) -> None:
    """Refuse what is no publish: by a signature nobody shakes hands, or speaks to a service."""
    if is_reserved(message.channel) or is_service(message.channel):
        raise APIError("forbidden_channel", "nobody can publish to /meta or /service")
    if message.data is UNSET:
        raise APIError("invalid_message", "the message has no data")


def _is_signed(message: Message | Rejected) -> bool:
    return isinstance(message, Message) and claims_signature(message)


def _settled(pending: Deferred[None]) -> Deferred[None]:
    """Return what fires as well: whoever does not wait any longer must not cancel what is going on."""
    fired: Deferred[None] = Deferred()
    pending.addCallbacks(fired.callback, fired.errback)
    return fired


def _refused(reply: Reply, about: dict[str, Any]) -> APIError:
    code, _, text = ("500::" if reply.error is UNSET else reply.error).split(":", 2)
    return APIError(code_of(int(code)), text, **about)
