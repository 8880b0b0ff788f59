"""What the API refuses, and what it says then: a status, a stable code for programs, a text for people."""

from __future__ import annotations

from typing import Any

from bayeux.errors import BayeuxError, EnvelopeError, InvalidChannel, MalformedMessage

Headers = tuple[tuple[bytes, bytes], ...]

STATUS = {
    "bad_request": 400,
    "invalid_json": 400,
    "invalid_message": 400,
    "too_many_messages": 400,
    "invalid_channel": 400,
    "invalid_parameter": 400,
    "unauthorized": 401,
    "invalid_signature": 401,
    "forbidden_channel": 403,
    "publish_denied": 403,
    "not_found": 404,
    "unknown_session": 404,
    "method_not_allowed": 405,
    "nonce_reused": 409,
    "too_large": 413,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "too_many_requests": 429,
    "internal": 500,
    "busy": 503,
    "stopping": 503,
    "overloaded": 503,
}
"""Every code and its HTTP status; programs may rely on them."""

_OF_MESSAGE = {
    400: "invalid_message",
    401: "invalid_signature",
    403: "publish_denied",
    405: "invalid_channel",
    409: "nonce_reused",
    413: "too_large",
    429: "too_many_requests",
    503: "busy",
}
"""What the protocol's own error codes are called here."""
_TEXTS = {
    InvalidChannel: "a channel looks like /news/sport; * is for subscribers, and its length is limited",
    MalformedMessage: "a message is an object with a channel, which is a string, and data",
}
"""What helps more than the protocol's own words."""


class APIError(Exception):
    """A request, or one message of several, is refused.

    ``code`` is one of ``STATUS``; ``text`` is a sentence that says what to do, without anything of the
    request in it that is not checked; ``limit`` is the setting that was exceeded, "" if none was; ``more``
    is told beside the text.
    """

    def __init__(self, code: str, text: str, *, limit: str = "", headers: Headers = (),
                 **more: object) -> None:
        super().__init__(text)
        self.status = STATUS[code]
        self.code = code
        self.text = text
        self.limit = limit
        self.headers = headers
        self.more = more

    def describe(self) -> dict[str, Any]:
        """Return what is said of it."""
        return {"code": self.code, "message": self.text, **self.more}


class Unauthorized(APIError):
    """A request comes without the API's key, or with another."""

    def __init__(self, text: str = "send the API's key: Authorization: Bearer KEY") -> None:
        super().__init__("unauthorized", text, headers=((b"WWW-Authenticate", b'Bearer realm="bayeux"'),))


class WrongMethod(APIError):
    """A request is to do what cannot be done there; ``allowed`` are the methods that can."""

    def __init__(self, *allowed: str) -> None:
        names = ", ".join(allowed)
        super().__init__("method_not_allowed", f"here is only {names}",
                         headers=((b"Allow", names.encode("ascii")),))


def of_envelope(error: EnvelopeError) -> APIError:
    """Return the error for a body that cannot be read at all."""
    if error.limit in ("max_batch", "max_refused"):
        code = "too_many_messages" if error.limit == "max_batch" else "too_many_requests"
        return APIError(code, str(error), limit=error.limit)
    return APIError("invalid_json", f"the body cannot be read: {error}", limit=error.limit)


def of_message(error: BayeuxError) -> APIError:
    """Return the error for one message, of what the hub says of it."""
    return APIError(code_of(error.code), _TEXTS.get(type(error), error.text), limit=error.limit)


def code_of(number: int) -> str:
    """Return the code for an error of the protocol."""
    return _OF_MESSAGE.get(number, "internal")
