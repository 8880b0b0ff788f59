"""Publishing without a session: one request, for who has signed what it says (P-8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.web.iweb import IPolicyForHTTPS

from bayeux.client.addresses import Address, Endpoints
from bayeux.client.envelopes import Message, encode
from bayeux.client.errors import NoAnswer, PublishRefused, TransportError
from bayeux.client.polling import LongPolling
from bayeux.client.settings import ClientSettings

_NUMBER = 1


async def publish_once(url: str, message: Mapping[str, Any], *, reactor: Any = None,
                       headers: Mapping[str, str] | None = None, tls: IPolicyForHTTPS | None = None,
                       settings: ClientSettings | None = None) -> Message:
    """Publish one message, such as ``bayeux.signatures.sign`` makes, without a session; returns the reply.

    Raises ``PublishRefused`` if the server says no, a ``TransportError`` if it has not said anything that
    could be used within ``ClientSettings.network_delay``: then the same signed message may be sent again,
    as the server knows it for a copy (Y-9).  Raises ``ValueError`` for what is no URL.
    """
    if reactor is None:
        from twisted.internet import reactor
    settings = settings or ClientSettings()
    address = Address.read(url)
    answer: Deferred[list[Any]] = Deferred()
    messages: list[Any] = []

    def failed(number: int, error: TransportError) -> None:
        answer.errback(error)

    polling = LongPolling(
        reactor, address.http, {**address.headers, **(headers or {})}, None,
        Endpoints(reactor, tls, settings.open_timeout), settings, messages.extend,
        lambda number: answer.callback(messages), failed)
    polling.send(_NUMBER, encode([message]))
    try:
        replies = await answer.addTimeout(settings.network_delay, reactor)
    except TimeoutError:
        raise NoAnswer("the server has not answered in time") from None
    finally:
        await polling.close()
    for reply in replies:
        if isinstance(reply, dict) and "successful" in reply:
            if reply["successful"] is True:
                return reply
            raise PublishRefused(reply, str(message.get("channel")))
    raise NoAnswer("the server's answer leaves out what it was asked")
