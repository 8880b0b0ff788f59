"""forms.py: envelopes inside other encodings (BAYEUX.md L-3, L-4, M-9, J-1, G-5)."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from urllib.parse import quote, quote_plus, unquote_to_bytes, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeux.errors import EnvelopeError, MalformedEnvelope, TooManyMessages
from bayeux.messages import Message
from bayeux.settings import Settings
from bayeux.transports.forms import UnsupportedType, decode_body, decode_fields, parse
from tests.growth import is_linear

DEFAULTS = Settings()
FORM = "application/x-www-form-urlencoded"

TWO = b'[{"channel":"/a"},{"channel":"/b"}]'


def channels(content_type: str, body: bytes) -> list[str]:
    return [message.channel for message in decode_body(content_type, body, DEFAULTS)]


@pytest.mark.parametrize("content_type", [
    "application/json", "text/json", "application/vnd.bayeux+json", "application/json;charset=UTF-8",
    "text/json;charset=UTF-8", "application/json; charset=utf-8; foo=bar", 'application/json;charset="UTF-8"',
    "application/json; Charset=utf8", "application/json;charset=us-ascii", "application/json;foo=bar",
    "application/json;", "Application/JSON", " application/json ", "application/json;charset="])
def test_json_by_its_type(content_type: str) -> None:
    """L-3; dojox.cometd sends ``text/json``."""
    assert channels(content_type, TWO) == ["/a", "/b"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "", "text/plain;charset=UTF-8"])
def test_json_under_other_names(content_type: str) -> None:
    """L-3; Faye's own tests send ``application/xml``."""
    assert channels(content_type, TWO) == ["/a", "/b"]


@pytest.mark.parametrize("content_type", [
    FORM, FORM + ";charset=UTF-8", "text/plain", "text/plain;charset=UTF-8", "application/xml", ""])
def test_a_form_by_its_type_or_its_beginning(content_type: str) -> None:
    """L-3; Faye's cross-origin transport sends it as ``text/plain`` or without a type."""
    assert channels(content_type, b"message=" + quote(TWO).encode()) == ["/a", "/b"]


@pytest.mark.parametrize("content_type", ["application/json", "text/json"])
def test_what_calls_itself_json_is_not_read_as_a_form(content_type: str) -> None:
    """L-3."""
    with pytest.raises(MalformedEnvelope):
        channels(content_type, b"message=" + quote(TWO).encode())


def test_what_calls_itself_a_form_is_not_read_as_json() -> None:
    """L-3, L-4."""
    with pytest.raises(MalformedEnvelope):
        channels(FORM, TWO)


@pytest.mark.parametrize("content_type", [
    "multipart/form-data; boundary=x", "text/html", "application/octet-stream", "application/jsonx", "json",
    "text/javascript", "application/json, text/plain", "text/json-comment-filtered", "+json2"])
def test_other_types_are_not_read(content_type: str) -> None:
    """L-3, L-11: 415."""
    with pytest.raises(UnsupportedType):
        channels(content_type, TWO)


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", "windows-1252", "utf-7", '"utf-16"', "UTF-32"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", FORM])
def test_other_charsets_are_not_read(kind: str, charset: str) -> None:
    """M-9: 415."""
    with pytest.raises(UnsupportedType):
        channels(f"{kind};charset={charset}", TWO)


@pytest.mark.parametrize("message", [
    ['{"channel":"/a"}', '{"channel":"/b"}', '{"channel":"/c"}'],
    ['{"channel":"/a"}', '[{"channel":"/b"},{"channel":"/c"}]'],
    ['[{"channel":"/a"}]', '[{"channel":"/b"}]', '[{"channel":"/c"}]'],
    ['[{"channel":"/a"},{"channel":"/b"},{"channel":"/c"}]'],
    ['[]', '[{"channel":"/a"},{"channel":"/b"},{"channel":"/c"}]'],
])
def test_the_forms_of_a_batch(message: list[str]) -> None:
    """L-3: one or several, each one message or an array, all in one batch and in order."""
    assert channels(FORM, urlencode({"message": message}, doseq=True).encode()) == ["/a", "/b", "/c"]


def test_a_single_message_alone() -> None:
    """L-3."""
    assert channels(FORM, b"message=" + quote('{"channel":"/a"}').encode()) == ["/a"]


def test_other_parameters_are_ignored() -> None:
    """L-4: also a ``jsonp`` one."""
    assert channels(FORM, b"jsonp=f&a=1&message=%5B%7B%22channel%22:%22/a%22%7D%5D&messages=x&&=") == ["/a"]


@pytest.mark.parametrize("body", [b"", b"a=1", b"messages=[]", b"Message=[]", b"&", b"="])
def test_no_message_parameter_is_refused(body: bytes) -> None:
    """L-4: 400."""
    with pytest.raises(MalformedEnvelope, match="no message parameter"):
        channels(FORM, body)


@pytest.mark.parametrize("body", [b"message", b"message=", b"message=x", b"message=%5B", b"message=5",
                                  b"message=[]&message=", b"message=[]&message=%zz"])
def test_a_parameter_that_is_no_envelope_refuses_all(body: bytes) -> None:
    """L-3, M-3."""
    with pytest.raises(MalformedEnvelope):
        channels(FORM, body)


def test_a_name_may_be_encoded_too() -> None:
    """L-4."""
    assert channels(FORM, b"%6dessage=[]&mess%61ge=%7B%22channel%22:%22/a%22%7D") == ["/a"]


@settings(deadline=None)
@given(st.text(), st.booleans())
def test_text_comes_through_a_form_unharmed(text: str, plus: bool) -> None:
    """L-4: UTF-8 under percent signs, and ``+`` is a blank."""
    envelope = json.dumps({"channel": "/a", "data": text}, ensure_ascii=False)
    encode = quote_plus if plus else quote
    [message] = decode_body(FORM, b"message=" + encode(envelope, safe="").encode(), DEFAULTS)
    assert isinstance(message, Message)
    assert json.loads(bytes(message.data)) == text


@pytest.mark.parametrize("value", [b"%5B%7B%22channel%22%3A%22%ff%22%7D%5D", b"[%22\xff%22]", b"[%22%c3%22]"])
def test_percent_signs_must_hide_utf8(value: bytes) -> None:
    """L-4, M-9."""
    with pytest.raises(MalformedEnvelope, match="UTF-8"):
        channels(FORM, b"message=" + value)


@pytest.mark.parametrize("text", [b"%", b"%4", b"%zz", b"a%", b"%%41"])
def test_a_percent_sign_that_hides_nothing_is_one(text: bytes) -> None:
    """L-4: and no failure of the server."""
    assert parse(b"message=" + text, Settings()) == [(b"message", text.replace(b"%41", b"A"))]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from([b"%", b"=", b"4", b"g", b"\n", b"\r", b" ", b"\t", b"_", b"%41", b"%0a",
                                 b"%0D", b"%3d", b"\0", b"\xff", b".", b"%00", b"%fF"]), max_size=12))
def test_percent_signs_are_read_as_by_urllib(parts: list[bytes]) -> None:
    """L-4: also beside what quoted-printable has a meaning for."""
    text = b"".join(parts)
    assert parse(b"message=" + text, DEFAULTS) == [(b"message", unquote_to_bytes(text))]


def test_percent_signs_that_hide_nothing_are_few() -> None:
    """G-32, L-4: each costs as much as a hundred other letters."""
    assert parse(b"message=" + b"%" * 1_000, DEFAULTS) == [(b"message", b"%" * 1_000)]
    with pytest.raises(MalformedEnvelope):
        parse(b"message=" + b"%" * 1_001, DEFAULTS)


def test_a_megabyte_of_percent_signs_takes_no_more_memory_than_another() -> None:
    """G-1: the pieces between them would be objects each."""
    text = b"message=" + b"%7B%7D%2C" * 100_000
    tracemalloc.start()
    try:
        parse(text, DEFAULTS)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_fields_are_split_before_they_are_decoded() -> None:
    """L-4."""
    assert parse(b"mess%61ge=c%3Dd%26jsonp=x&jsonp=f=g&message", Settings()) == [
        (b"message", b"c=d&jsonp=x"), (b"jsonp", b"f=g"), (b"message", b"")]


def test_other_fields_are_left_out() -> None:
    """L-4: also those whose names are long, or begin as ours do."""
    assert parse(b"a=1&messages=2&" + b"%6d" * 1000 + b"=3&JSONP=4", Settings()) == []


def test_the_number_of_fields_is_bounded() -> None:
    """G-5, G-34: splitting a megabyte into fields would keep everybody else waiting."""
    assert len(parse(b"&".join([b"message=1"] * 22), Settings(max_batch=2))) == 22
    with pytest.raises(TooManyMessages):
        parse(b"&".join([b"message=1"] * 23), Settings(max_batch=2))


def message_fields(*counts: int) -> list[tuple[bytes, bytes]]:
    return [(b"message", json.dumps([{"channel": "/a"}] * count).encode()) for count in counts]


@pytest.mark.parametrize("counts", [(100,), (50, 50), (99, 1), (1,) * 100])
def test_a_batch_of_fields_may_have_100_messages(counts: tuple[int, ...]) -> None:
    """G-5."""
    assert len(decode_fields(message_fields(*counts), DEFAULTS)) == 100


@pytest.mark.parametrize("counts", [(101,), (50, 51), (100, 1), (1,) * 101])
def test_a_batch_of_fields_of_101_is_refused(counts: tuple[int, ...]) -> None:
    """G-5: the fields together are the batch."""
    with pytest.raises(TooManyMessages):
        decode_fields(message_fields(*counts), DEFAULTS)


@pytest.mark.parametrize("make", [
    pytest.param(lambda size: b"&" * size, id="separators"),
    pytest.param(lambda size: b"message=" + b"%" * size, id="percent signs"),
    pytest.param(lambda size: b"message=" + b"%41" * size, id="hidden letters"),
    pytest.param(lambda size: b"message=" + b"+" * size, id="blanks"),
    pytest.param(lambda size: b"message=[]&" * size + b"message=[]", id="empty batches"),
])
def test_hostile_forms_are_told_in_linear_time(make) -> None:
    """G-32."""
    def decode(body: bytes) -> None:
        with suppress(EnvelopeError):
            decode_body(FORM, body, DEFAULTS)

    assert is_linear(decode, make, 5_000)
