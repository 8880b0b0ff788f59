"""What a session says and asks besides its connects: publishes, subscriptions, the last farewell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bayeux.channels import META_DISCONNECT
from bayeux.client.backoff import Backoff
from bayeux.client.carriers import Carrier
from bayeux.client.effects import Effect, Left, Settled, Start, Subscribed, Unsubscribable
from bayeux.client.envelopes import Message, copy
from bayeux.client.errors import (
    Closed,
    ConnectionFailed,
    OutboxFull,
    PublishRefused,
    Refused,
    SubscribeRefused,
    TransportError,
    Uncertain,
)
from bayeux.client.exchanges import Exchange, Exchanges, Purpose
from bayeux.client.outbox import Outbox, Request
from bayeux.client.settings import ClientSettings
from bayeux.client.topics import Topic, Topics

Sign = Callable[[str, Any], Mapping[str, Any]]
"""Signs a publish: from its channel and data to a message that has the ``data`` and ``ext`` to be sent."""

RETRY_TALK = ("talk", "retry")
RETRY_TOPICS = ("topics", "retry")


class Talk:
    """Requests on their way, and what becomes of them.

    A message is sent once.  If nobody can say whether it has arrived its sender is told so, unless it is to
    be sent again; if it has certainly not, because no connection came about or the session was unknown, it
    waits for the next.  What a client is subscribed to is asked for again until the server has agreed or
    refused.
    """

    def __init__(self, settings: ClientSettings, exchanges: Exchanges, sign: Sign | None, backoff: Backoff,
                 emit: Callable[[Effect], None]) -> None:
        self._settings = settings
        self._exchanges = exchanges
        self._sign = sign
        self._backoff = backoff
        self._emit = emit
        self._pausing = False
        self.outbox = Outbox(settings.max_batch, settings.max_batch_size)
        self.topics = Topics()

    # -- sending --------------------------------------------------------------------------------

    def publish(self, request: Request) -> None:
        """Send a message when it can be sent."""
        waiting = sum(len(exchange.waiting) for exchange in self._exchanges.for_(Purpose.REQUESTS))
        if len(self.outbox) + waiting >= self._settings.max_outbox:
            self._emit(Settled(request, OutboxFull(
                f"{self._settings.max_outbox} messages wait already; the message was not sent")))
        else:
            self.outbox.add(request)

    def leave(self) -> None:
        """Say farewell, behind everything that is to be said."""
        self._pausing = False
        self.outbox.add(Request(META_DISCONNECT))

    def begin(self) -> None:
        """Ask a new session for all that is wanted, before anything else is said."""
        self._pausing = False
        for topic in self.topics:
            if not topic.wanted:
                self._emit(Left(topic))
        self.outbox.remove(self.topics.renew())
        self.outbox.put_first([request for topic in self.topics if (request := self.topics.ask(topic))])
        for topic in self.topics:
            if topic.wanted and topic.held:  # of those no server is told
                self._emit(Subscribed(topic))

    def settle(self, topic: Topic) -> None:
        """Ask for what a topic needs, if there is something."""
        request = self.topics.ask(topic)
        if request is not None:
            self.outbox.add(request)
        elif topic.is_settled:
            self._emit(Subscribed(topic) if topic.wanted else Left(topic))

    def drop(self, topic: Topic) -> None:
        """Forget a topic while there is no session that could have it."""
        self.topics.forget(topic)
        self._emit(Left(topic))

    def retry_topics(self) -> None:
        """Ask again for what could not be had before."""
        for topic in self.topics:
            if topic.waits:
                topic.waits = False
                self.settle(topic)

    def resume(self) -> None:
        """Send again, after a pause."""
        self._pausing = False

    def pump(self, carrier: Carrier, session: str) -> None:
        """Send what waits, as far as the transport takes it.

        One request is sent by HTTP at a time, or they might overtake each other (D-10); nor does one overtake
        those that went by another transport.
        """
        while not self._pausing:
            under_way = self._exchanges.for_(Purpose.REQUESTS)
            if under_way and not (carrier.is_stream and all(each.carrier is carrier for each in under_way)):
                return
            requests = self.outbox.take()
            if not requests:
                return
            messages = [(request, message) for request in requests
                        if (message := self._message(request, session)) is not None]
            if messages:
                self._exchanges.send(Purpose.REQUESTS, carrier, messages, session,
                                     self._settings.network_delay)

    def _message(self, request: Request, session: str) -> Message | None:
        """Make the message of a request; None if it cannot be signed."""
        if request.is_publish and self._sign is not None and not request.signed:
            try:
                signed = self._sign(request.channel, request.fields["data"])
                request.fields = {"data": copy(signed["data"]), "ext": copy(signed["ext"])}
            except Exception as error:
                self._emit(Settled(request, error))
                return None
            request.signed = True  # once: a second copy has to be known for one (Y-9)
        return {"channel": request.channel, "clientId": session, **request.fields}

    # -- what becomes of it ---------------------------------------------------------------------

    def replied(self, exchange: Exchange, request: Request, reply: Message) -> bool:
        """Note a reply; says whether it tells that the server does not know the session it was sent for."""
        self._backoff.reset()
        successful = reply.get("successful") is True
        error: Refused
        if request.is_subscription:
            error = SubscribeRefused(reply, request.fields["subscription"])
            unknown = not successful and error.is_unknown_client
            if request.topic.asked is request:  # not for a session that is gone
                self._topic_replied(request, None if successful else error, unknown)
            return unknown
        if not request.is_publish:
            return False
        error = PublishRefused(reply, request.channel)
        unknown = not successful and error.is_unknown_client
        if unknown and not request.returned:
            request.returned = True
            exchange.returned.append(request)
        else:
            self._emit(Settled(request, reply if successful else error))
        return unknown

    def _topic_replied(self, request: Request, error: Refused | None, unknown: bool) -> None:
        topic: Topic = request.topic
        subscribing = request.channel.endswith("/subscribe")
        topic.asked = None
        if error is None:
            topic.held = subscribing
            self.settle(topic)
        elif unknown or error.temporary:
            self._ask_later(topic)
        elif subscribing:
            self.topics.forget(topic)
            self._emit(Unsubscribable(topic, error))
        else:
            topic.held = False
            self.settle(topic)

    def _ask_later(self, topic: Topic) -> None:
        topic.waits = True
        self._emit(Start(RETRY_TOPICS, self._backoff.next()))

    def completed(self, exchange: Exchange) -> None:
        """Put back what the server has turned away, now that everything of an exchange is answered."""
        self.outbox.put_first(exchange.returned)
        exchange.returned = []

    def failed(self, exchange: Exchange, reason: TransportError) -> None:
        """Decide about requests that got no reply."""
        returned = list(exchange.returned)
        exchange.returned = []
        for request in exchange.waiting.values():
            if request.is_subscription:
                if request.topic.asked is request:
                    request.topic.asked = None
                    self._ask_later(request.topic)
            elif request.is_publish:
                if request.resend or (reason.is_certain and isinstance(reason, ConnectionFailed)):
                    returned.append(request)
                else:
                    self._emit(Settled(request, reason if reason.is_certain else _uncertain(reason)))
        if returned:
            self.outbox.put_first(returned)
            self._pausing = True
            self._emit(Start(RETRY_TALK, self._backoff.next()))

    def end(self, reason: Exception | None) -> None:
        """Settle everything that is left, as nothing more will be sent or heard."""
        lost = ConnectionFailed("the client has ended")
        lost.__cause__ = reason
        for exchange in self._exchanges.for_(Purpose.REQUESTS):
            for request in (*exchange.waiting.values(), *exchange.returned):
                if request.is_publish:
                    self._emit(Settled(request, _uncertain(lost)))
        for request in self.outbox:
            if request.is_publish:
                self._emit(Settled(request, closed(reason)))
        self.outbox.remove(list(self.outbox))


def closed(reason: Exception | None) -> Closed:
    """Return the error of what cannot be sent because the client has ended, and why it has."""
    error = Closed("the client has ended" + (f": {reason}" if reason is not None else ""))
    error.__cause__ = reason
    return error


def _uncertain(reason: TransportError) -> Uncertain:
    error = Uncertain(f"nobody knows whether the message has arrived: {reason}")
    error.__cause__ = reason
    return error
