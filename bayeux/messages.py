"""The wire: from an envelope's bytes to messages, from replies and events to bytes.

An envelope is decoded once, into typed messages.  ``data`` stays the publisher's JSON text from the
first byte to the last: it is checked here, relayed as it is, and decoded only if somebody asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from bayeux import surrogates
from bayeux.credentials import Credential
from bayeux.errors import (
    BayeuxError,
    MalformedEnvelope,
    MalformedMessage,
    TooLarge,
    TooManyMessages,
)
from bayeux.settings import Settings

MessageID = str | int | UnsetType

NO_CHANNEL = "/meta/unknown"
"""The channel of the reply to something that named none: clients raise on a reply without (M-5)."""

_MAX_ID = 128
_MAX_ADVISED = 1e12  # milliseconds; beyond any cap, and small enough for a float

class Message(Struct, rename="camel", gc=False):
    """One message from a client, its types checked; what is absent is None or ``UNSET`` (M-20 to M-31).

    ``ext`` and ``advice`` are decoded when asked for, ``data`` by whoever needs its value.
    """

    channel: str
    id: MessageID = UNSET
    client_id: str | None = None
    data: Raw | UnsetType = UNSET
    connection_type: str | None = None
    subscription: str | tuple[str, ...] | None = None
    version: str | None = None
    minimum_version: str | None = None
    supported_connection_types: tuple[str, ...] | None = None
    advice: Raw | UnsetType = UNSET
    ext: Raw | UnsetType = UNSET

    def extensions(self) -> dict[str, Any]:
        """Return ``ext``, empty when there is none or it is not an object (M-31)."""
        return _object(self.ext)

    def advised(self, name: str) -> float | None:
        """Return a time of the client's own advice in seconds, None unless a number >= 0 (K-8)."""
        value = _object(self.advice).get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            return None
        return min(value, _MAX_ADVISED) / 1000


class SignedMessage(Message, gc=False):
    """A publish whose signature has been checked; no client can send one, only an extension makes it.

    Its ``data`` is the payload that was signed.
    """

    key_id: str = ""
    """The key that has signed it."""


class Authenticated(Message, kw_only=True, gc=False):
    """A handshake whose token, or a subscribe whose grant, has been checked; only an extension makes it.

    Its ``ext`` holds the token no more (Y-17).
    """

    credential: Credential


@final
class Rejected(Struct):
    """An element of a batch that cannot be handled, and what its sender is told (M-5)."""

    error: BayeuxError
    channel: str = NO_CHANNEL
    id: MessageID = UNSET
    subscription: str | tuple[str, ...] | None = None
    """What it would have subscribed to, if it is known."""
    client_id: str | None = None


class _Head(Struct):
    """What a message has to have in order to be answered."""

    channel: str = NO_CHANNEL
    id: MessageID = UNSET


class Advice(Struct, frozen=True, gc=False):
    """What a client should do next, complete as A-2 wants it; times in milliseconds (A-1, A-7)."""

    reconnect: str
    interval: int | UnsetType = UNSET
    timeout: int | UnsetType = UNSET
    multiple_clients: bool | UnsetType = msgspec.field(default=UNSET, name="multiple-clients")


@final
class Reply(Struct, rename="camel"):
    """The answer to one message; it always says whether it was successful (M-29)."""

    channel: str
    successful: bool
    id: MessageID = UNSET
    client_id: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    minimum_version: str | UnsetType = UNSET
    supported_connection_types: tuple[str, ...] | UnsetType = UNSET
    subscription: str | tuple[str, ...] | UnsetType = UNSET
    error: str | UnsetType = UNSET
    advice: Advice | UnsetType = UNSET
    ext: dict[str, Any] | UnsetType = UNSET
    timestamp: str | UnsetType = UNSET

    def extend(self, name: str, value: object) -> None:
        """Set one key of ``ext``, leaving the others alone (XG-2)."""
        if self.ext is UNSET:
            self.ext = {}
        self.ext[name] = value

    def encode(self) -> bytes:
        """Return the reply as JSON."""
        return _encode(self)


_FIXED = frozenset({"channel", "data", "id"})


class Event:
    """One publish on its way to every subscriber, encoded once and shared by all (D-1 to D-5).

    Built from an allow-list: nothing of the publisher's message but ``data`` gets in (D-4).
    """

    __slots__ = ("_added", "channel", "data", "envelope", "json", "lazy")

    def __init__(self, channel: str, data: bytes, lazy: float | None = None,
                 message_id: MessageID = UNSET) -> None:
        self.channel = channel
        self.data = data
        self.lazy = lazy
        """Seconds that it may wait for company; None: it is delivered at once (D-12)."""
        # A channel's grammar leaves nothing to escape.
        identity = b"" if message_id is UNSET else b',"id":' + _encode(message_id)
        self.json = b'{"channel":"%b"%b,"data":%b}' % (channel.encode("ascii"), identity, data)
        self.envelope: bytes | None = None
        """The event alone as a transport sends it, for that transport to keep."""
        self._added: tuple[int, dict[str, object]] | None = None
        """How many bytes it was before anything was added, and what has been."""

    def add(self, name: str, value: object) -> None:
        """Set a field of the event, which nobody may have queued yet; ``extend`` is for ``ext``.

        Raises ``ValueError`` for ``channel``, ``data`` and ``id``, ``TypeError`` or ``ValueError`` for a
        value that JSON cannot hold.
        """
        if name in _FIXED:
            raise ValueError(f"an event's {name} cannot be changed by adding to it")
        size, fields = self._added or (len(self.json), {})
        fields = {**fields, name: value}
        more = b"".join(b",%b:%b" % (_encode(key), _encode(each)) for key, each in fields.items())
        self.json = b"%b%b}" % (self.json[:size - 1], more)
        self._added = size, fields

    def extend(self, name: str, value: object) -> None:
        """Set one key of ``ext``, leaving the others alone (XG-2); the rest is as with ``add``."""
        ext: Any = {} if self._added is None else self._added[1].get("ext", {})
        self.add("ext", {**ext, name: value})



class Encoded(bytes):
    """An application's data that is JSON already."""

    __slots__ = ()


def encode_data(value: object) -> bytes:
    """Encode an application's value as JSON; raises ``TypeError`` or ``ValueError`` if it cannot be."""
    return value if isinstance(value, Encoded) else _encode(value)


def decode_data(data: Raw | bytes) -> Any:
    """Decode the payload of a message; raises ``MalformedMessage`` where Python cannot hold it."""
    try:
        return _decode_any(data)
    except (msgspec.DecodeError, RecursionError):
        raise MalformedMessage from None


def check_data(text: bytes, settings: Settings) -> Raw:
    """Return JSON text that has come by itself as the data of a message, which it is from then on.

    It is UTF-8 already, and is held to what an envelope may hold (M-6 to M-8, G-6).  Raises
    ``MalformedMessage``.
    """
    if _is_deeper(text, settings.max_depth - 2):  # an envelope and a message are around it
        raise MalformedMessage
    try:
        try:
            _decode_raw(text)
        except msgspec.DecodeError:
            _decode_raw(surrogates.hide(text, _most_hidden(settings)))
    except (msgspec.DecodeError, MalformedEnvelope, RecursionError):
        raise MalformedMessage from None
    return Raw(text)


def join(messages: Iterable[bytes]) -> bytes:
    """Make one envelope of encoded messages: always an array (M-2)."""
    return b"[%b]" % b",".join(messages)


def decode(body: bytes, settings: Settings) -> Sequence[Message | Rejected]:
    """Decode an envelope into its messages, in order (M-1 to M-13).

    A bad element costs only itself.  Raises ``EnvelopeError`` where nothing can be answered; an empty
    array gives no message and is for the transport to judge (M-4).
    """
    body = _json_text(body, settings.max_depth)
    single = body.lstrip()[:1] == b"{"
    if len(body) <= min(settings.max_message, settings.max_ext):
        try:
            messages = [_decode_message(body)] if single else _decode_messages(body)
        except msgspec.ValidationError:
            pass  # well-formed, but something has a wrong type: look at the elements one by one
        except (msgspec.DecodeError, RecursionError):
            return _repaired(body, settings)
        else:
            if len(messages) > settings.max_batch:
                raise TooManyMessages
            return [message if _is_id(message.id) else Rejected(MalformedMessage(), message.channel)
                    for message in messages]
    try:
        elements = [_decode_raw(body)] if single else _decode_raws(body)
    except msgspec.ValidationError:
        raise MalformedEnvelope("neither a JSON array nor an object") from None
    except (msgspec.DecodeError, RecursionError):
        return _repaired(body, settings)
    if len(elements) > settings.max_batch:
        raise TooManyMessages
    return [_element(element, settings) for element in elements]


def _json_text(body: bytes, max_depth: int) -> bytes:
    """Return an envelope's JSON, known to be UTF-8 (M-9) and not too deep for the parser (G-6)."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    if not body.isascii():  # msgspec does not look into what it skips
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedEnvelope("not UTF-8") from None
    if _is_deeper(body, max_depth):
        raise MalformedEnvelope("nested too deep", "max_depth")
    return body


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def _is_deeper(body: bytes, limit: int) -> bool:
    """Say whether JSON text is nested deeper than that, the brackets inside strings left out."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NO_BRACKET):
        if bracket in b"[{":
            depth += 1
            if depth > limit:
                return True
        else:
            depth -= 1
    return False


def _element(raw: Raw, settings: Settings) -> Message | Rejected:
    """Decode one element, letting go of fields that may be ignored when their type is wrong."""
    if _size(raw) > settings.max_message:  # not looked into further than needed to answer it
        head = _convert(raw, _Head) or _Head()
        return Rejected(TooLarge("max_message"), head.channel, head.id if _is_id(head.id) else UNSET)
    try:
        message = _decode_message(raw)
    except msgspec.ValidationError:
        found = _lenient(raw)
    else:
        found = message if _is_id(message.id) else Rejected(MalformedMessage(), message.channel)
    if isinstance(found, Message) and _size(found.ext) > settings.max_ext:
        return Rejected(TooLarge("max_ext"), found.channel, found.id)
    return found


def _lenient(raw: Raw) -> Message | Rejected:
    """Read an element with a field of the wrong type, as far as each field's own rule allows."""
    fields = _convert(raw, dict[str, Raw])
    if fields is None:
        return Rejected(MalformedMessage())
    channel = _convert(fields.get("channel"), str)
    identity = _convert(fields["id"], str | int) if "id" in fields else UNSET
    if identity is None and re.fullmatch(rb"-?[0-9]{4301,}", fields["id"]):
        raise MalformedEnvelope("a number with too many digits")  # M-7
    if channel is None or identity is None or not _is_id(identity):
        known = identity if identity is not None and _is_id(identity) else UNSET
        return Rejected(MalformedMessage(), NO_CHANNEL if channel is None else channel, known)
    types = _convert(fields.get("supportedConnectionTypes"), list[Raw])
    return Message(
        channel=channel,
        id=identity,
        client_id=_or_empty(fields.get("clientId")),
        data=fields.get("data", UNSET),
        connection_type=_or_empty(fields.get("connectionType")),
        subscription=_convert(fields.get("subscription"), str | tuple[str, ...]),
        version=_or_empty(fields.get("version")),
        minimum_version=_convert(fields.get("minimumVersion"), str),
        supported_connection_types=None if types is None else tuple(
            name for name in (_convert(item, str) for item in types) if name is not None),
        advice=fields.get("advice", UNSET),
        ext=fields.get("ext", UNSET),
    )


def _or_empty(raw: Raw | None) -> str | None:
    """Read a string; something else that is present becomes "", which no such field may be."""
    return _convert(raw, str) or (None if raw is None or bytes(raw) == b"null" else "")


def _convert(raw: Raw | None, expected: Any) -> Any:
    """Decode ``raw`` as the expected type, or return None."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=expected)
    except (msgspec.DecodeError, RecursionError):
        return None


def _repaired(body: bytes, settings: Settings) -> Sequence[Message | Rejected]:
    """Decode an envelope that the strict parser refused, if lone surrogates are all that is wrong.

    They are hidden from it, and put back into ``data`` (BAYEUX.md section 25: relayed as the escape it
    came as).
    """
    messages = decode(surrogates.hide(body, _most_hidden(settings)), settings)
    for message in messages:
        if isinstance(message, Message) and message.data is not UNSET:
            message.data = Raw(surrogates.show(bytes(message.data)))
    return messages


def _most_hidden(settings: Settings) -> int:
    """Return how many lone surrogates may be hidden: as many as one message has room for."""
    return settings.max_message // surrogates.SIZE


def _is_id(identity: MessageID) -> bool:
    """Say whether a message id is one that we accept and echo (M-33)."""
    if isinstance(identity, str):
        return 0 < len(identity) <= _MAX_ID and identity.isascii() and identity.isprintable()
    return True


def _object(raw: Raw | UnsetType) -> dict[str, Any]:
    if raw is UNSET:
        return {}
    return _convert(raw, dict[str, Any]) or {}


def _size(raw: Raw | UnsetType) -> int:
    return 0 if raw is UNSET else memoryview(raw).nbytes


_encode = msgspec.json.Encoder().encode
_decode_any = msgspec.json.Decoder().decode
_decode_message = msgspec.json.Decoder(Message).decode
_decode_messages = msgspec.json.Decoder(list[Message]).decode
_decode_raw = msgspec.json.Decoder(Raw).decode
_decode_raws = msgspec.json.Decoder(list[Raw]).decode
