"""Services: messages between the application and one client (section 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from msgspec import UNSET
from twisted.internet.defer import Deferred

from bayeux.channels import is_name, is_service
from bayeux.errors import InvalidChannel, MissingClientID
from bayeux.extensions import Call
from bayeux.messages import Event, Reply, decode_data, encode_data
from bayeux.results import then
from bayeux.session import Session
from bayeux.sessions import Sessions
from bayeux.settings import Settings

ServiceHandler = Callable[[Session, Any], object]
"""An application's handler of a service channel: it is given the session and the data, and may return
an answer, a Deferred of one, or a coroutine."""


class Services:
    """The handlers of one hub, and what they are asked."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self._sessions = sessions
        self._settings = settings
        self._handlers: dict[str, ServiceHandler] = {}

    def add(self, channel: str, handler: ServiceHandler) -> None:
        """Have an application's handler answer; raises as ``Hub.service`` does."""
        if not is_name(channel) or not is_service(channel):
            raise InvalidChannel(channel)
        if channel in self._handlers:
            raise ValueError(f"{channel} has a handler already")
        self._handlers[channel] = handler

    def replace(self, channel: str, handler: ServiceHandler) -> None:
        """Have a handler of our own answer, instead of any other."""
        self._handlers[channel] = handler

    def answer(self, call: Call, session: Session | None) -> Reply | Deferred[Reply]:
        """Have the application answer a message to a service channel (V-1 to V-5)."""
        if session is None:
            raise MissingClientID
        message, channel = call.message, call.message.channel
        handler = self._handlers.get(channel)

        def answered(answer: object) -> Reply:
            if answer is not None:
                identity = message.id if self._settings.service_answer_id else UNSET
                self._sessions.send(session, Event(channel, encode_data(answer), message_id=identity))
            return Reply(channel, True, id=message.id)

        if handler is None:
            return answered(None)
        return then(handler(session, decode_data(cast(Any, message.data))), answered)
