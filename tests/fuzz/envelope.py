"""Envelopes: read by an oracle too, and then handled by a hub, whose answers are looked at."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from bayeux import Settings
from bayeux.errors import EnvelopeError, TooLarge, TooManyMessages
from bayeux.messages import Message, Rejected, decode
from tests.client import Carrier, Client, World
from tests.fuzz.base import Number, Target, depth_of, nothing_fails, read_json

LIMITS = {"max_message": 2_000, "max_ext": 500, "max_batch": 10, "max_depth": 16, "max_channel": 64,
          "max_segments": 8, "max_subscribe": 5, "max_subscriptions": 20, "max_queue": 50}
CLIENT = b"c" * 27
"""Stands for the id of a session that there is."""
_HARD = re.compile(rb"\\u[dDeE]")
"""Escapes of surrogates and of private characters: not all that have both can be read."""
_TEXTS = {"clientId": "client_id", "connectionType": "connection_type", "version": "version"}


class Envelope(Target):
    """An envelope."""

    name = "envelope"

    def __init__(self) -> None:
        self._settings = Settings(**LIMITS)
        self._open()

    def _open(self) -> None:
        self._world = World(**LIMITS)
        self._world.hub.service("/service/echo", lambda session, data: data)
        self._listener = self._world.client()
        self._listener.subscribe("/**")
        self._sender = self._world.client()

    def run(self, data: bytes) -> None:
        """Read it, and handle it."""
        messages = check(data.replace(CLIENT, self._sender.id.encode()), self._settings)
        if messages:
            with nothing_fails():
                self._handle(messages)

    def _handle(self, messages: Sequence[Message | Rejected]) -> None:
        hub = self._world.hub
        carrier = Carrier(hub.receive(messages, self._sender.link))
        self._world.clock.advance(31)  # if it is held
        assert carrier.messages is not None or carrier.why is not None
        replies = [message for message in carrier.messages or () if "successful" in message]
        for reply in replies:
            assert isinstance(reply["successful"], bool)
            assert reply["successful"] or re.fullmatch(r"[1-5][0-9]{2}:[^:]*:[^:]*", reply["error"]), reply
        shakes = any(isinstance(one, Message) and one.channel == "/meta/handshake" for one in messages)
        assert carrier.messages is None or len(replies) == (1 if shakes else len(messages))
        session = self._listener.session
        if session.alive:
            for event in session.take():
                _check_event(event.json)
        else:
            self._open()
        if not self._sender.session.alive:
            self._sender = Client(self._world, self._sender.link, connect=True)

    def settle(self) -> None:
        """Let every session end, and see that nothing is left."""
        with nothing_fails():
            self._world.clock.pump([10] * 12)
        assert self._world.hub.sessions.is_idle()
        self._open()


def _check_event(text: bytes) -> None:
    """See that nothing of a message gets to others but what may (D-4)."""
    event = json.loads(text)
    assert event.keys() <= {"channel", "data", "ext"}, event
    assert event.get("ext", {"binary": {}}) == {"binary": {}}, event


def check(data: bytes, settings: Settings) -> Sequence[Message | Rejected]:
    """Read an envelope, compare that with what the oracle says of it, and return the messages."""
    elements = _elements(data, settings.max_depth)
    try:
        messages = decode(data, settings)
    except TooManyMessages:
        assert elements is not None
        assert len(elements) > settings.max_batch
        return ()
    except EnvelopeError as error:
        assert elements is None or _HARD.search(data) or re.search(rb"[0-9]{4301}", data), error
        return ()
    assert elements is not None, "this is no envelope"
    assert len(messages) == len(elements) <= settings.max_batch
    for message, element in zip(messages, elements, strict=True):
        _compare(message, element, large=len(data) > settings.max_ext, hard=bool(_HARD.search(data)))
    return messages


def _elements(data: bytes, max_depth: int) -> list[Any] | None:
    """Return the elements of an envelope, None if it is none (M-1 to M-9, G-6)."""
    try:
        value = read_json(data.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except ValueError:
        return None
    if not isinstance(value, list | dict) or depth_of(value) > max_depth:
        return None
    return value if isinstance(value, list) else [value]


def _compare(message: Message | Rejected, element: Any, large: bool, hard: bool) -> None:
    if isinstance(message, Rejected):
        assert (large and isinstance(message.error, TooLarge)) or not _is_message(element), element
        return
    assert _is_message(element), element
    if not hard:  # there texts other than data may not be what they were
        assert message.channel == element["channel"]
        for name, attribute in _TEXTS.items():
            value = element.get(name)
            assert getattr(message, attribute) == (
                value if type(value) is str or value is None else ""), (name, element)
        _compare_subscription(message.subscription, element.get("subscription"))
    given = "data" in element
    assert (type(message.data).__name__ == "Raw") is given
    if given:
        assert read_json(bytes(message.data).decode()) == element["data"]


def _compare_subscription(found: Any, value: Any) -> None:
    if type(value) is str:
        assert found == value
    elif type(value) is list and all(type(one) is str for one in value):
        assert found == tuple(value)
    else:
        assert found is None


def _is_message(element: Any) -> bool:
    """Say whether something is a message: an object with a channel, and an id that is one if any (M-33)."""
    if not isinstance(element, dict) or type(element.get("channel")) is not str:
        return False
    if "id" not in element:
        return True
    identity = element["id"]
    if isinstance(identity, Number):
        return re.fullmatch(r"-?[0-9]{1,4300}", identity) is not None
    return (type(identity) is str and 0 < len(identity) <= 128 and identity.isascii()
            and identity.isprintable())
