"""messages.py: the wire (BAYEUX.md section 2, the limits G-2, G-5, G-6, G-8, and section 25)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from bayeux.errors import BayeuxError, EnvelopeError, MalformedEnvelope, MalformedMessage, TooManyMessages
from bayeux.messages import (
    NO_CHANNEL,
    Advice,
    Event,
    Message,
    Rejected,
    Reply,
    check_data,
    decode,
    decode_data,
    encode_data,
    join,
)
from bayeux.settings import Settings
from tests.growth import is_linear

DEFAULTS = Settings()
ONE_BY_ONE = Settings(max_ext=1)
"""With these no envelope is short enough to be decoded as a whole: each element is looked at alone."""

LONE = r"\ud800"
MALFORMED = "400::Malformed message"
TOO_LARGE = "413::Message too large"


def read(envelope: str | bytes, limits: Settings = DEFAULTS) -> list[Message | Rejected]:
    return list(decode(envelope.encode() if isinstance(envelope, str) else envelope, limits))


def read_one(element: str, limits: Settings = DEFAULTS) -> Message:
    [message] = read(f"[{element}]", limits)
    assert isinstance(message, Message)
    return message


def rejected(element: str, limits: Settings = DEFAULTS) -> Rejected:
    [message] = read(f"[{element}]", limits)
    assert isinstance(message, Rejected)
    return message


def with_fields(**fields: object) -> str:
    return json.dumps({"channel": "/a", **fields})


def with_text(field: str, text: str) -> str:
    """Write a message with one field as the text that it is."""
    return f'{{"channel":"/a","{field}":{text}}}'


def publish(data: str) -> str:
    """Write a publish around the text of its data."""
    return f"[{with_text('data', data)}]"


def quoted(parts: Iterable[str]) -> str:
    return '"' + "".join(parts) + '"'


def relayed(data: str, limits: Settings = DEFAULTS) -> str:
    """Return the text of the data that subscribers get."""
    [message] = read(publish(data), limits)
    assert isinstance(message, Message)
    return bytes(message.data).decode()


def shape(message: Message | Rejected) -> object:
    """Make a message comparable with one that was decoded in another way."""
    if isinstance(message, Rejected):
        return str(message.error), message.channel, message.id
    return [bytes(value) if isinstance(value, type(message.data)) and value is not UNSET else value
            for value in (getattr(message, name) for name in message.__struct_fields__)]


both_ways = pytest.mark.parametrize("limits", [DEFAULTS, ONE_BY_ONE], ids=["as a whole", "one by one"])


# JSON text as odd as it may be written: blanks anywhere, numbers and strings in every spelling.

blanks = st.text(" \t\r\n", max_size=2)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
string_parts = st.sampled_from([
    r"\"", r"\\", r"\/", r"\b", r"\n", r"\u0041", r"\u00e9", r"\u2028", r"\ud83d\ude00", r"\uD83D\uDE00",
    "[", "]", "{", "}", ",", ":", "é", "\u2028", "\U0001f600", "\x7f", "/", "a", " "])
strings = st.lists(string_parts, max_size=5).map(quoted)


def _spaced(opening: str, items: list[str], closing: str, blank: str) -> str:
    return opening + blank + f"{blank},{blank}".join(items) + blank + closing


def _object(items: list[tuple[str, str]], blank: str) -> str:
    return _spaced("{", [f"{key}{blank}:{blank}{value}" for key, value in items], "}", blank)


json_texts = st.recursive(
    st.sampled_from(["null", "true", "false"]) | numbers | strings,
    lambda inner: st.builds(lambda items, blank: _spaced("[", items, "]", blank),
                            st.lists(inner, max_size=4), blanks)
    | st.builds(_object, st.lists(st.tuples(strings, inner), max_size=4), blanks),
    max_leaves=12,
)


# -- the envelope -------------------------------------------------------------------------------


def test_an_array_holds_messages_in_order() -> None:
    """M-1, M-12."""
    assert [message.channel for message in read('[{"channel":"/b"},{"channel":"/a"}]')] == ["/b", "/a"]


@both_ways
def test_one_bare_message_is_an_envelope(limits: Settings) -> None:
    """M-1."""
    assert [message.channel for message in read(' {"channel":"/a"} ', limits)] == ["/a"]


def test_an_empty_array_holds_nothing() -> None:
    """M-4: each transport has its own answer to that."""
    assert read(" [ ] ") == []


@both_ways
@pytest.mark.parametrize("envelope", [
    "", " ", "5", "null", "true", '"text"', "x", "[", "{", "]", '[{"channel":"/a"}',
    '[{"channel":"/a"}]]', '[{"channel":"/a"}] x', '[{"channel":5}] x', '{"channel":"/a"}{"channel":"/b"}',
    '[{"channel":"/a"},]', "[{'channel':'/a'}]", '[{channel:"/a"}]', '[{"channel":"/a"} // comment\n]',
    '/*[{"channel":"/a"}]*/', "\x0b[]", "\xa0[]"])
def test_what_is_no_envelope_is_refused_as_a_whole(envelope: str, limits: Settings) -> None:
    """M-3."""
    with pytest.raises(MalformedEnvelope):
        read(envelope, limits)


@both_ways
@pytest.mark.parametrize("data", [
    "NaN", "Infinity", "-Infinity", "01", "-", "+1", "1.", ".5", "1e", "0x10", "1_000", "tru", "undefined",
    "[1,]", '{"a":1,}', "{a:1}", '{"a"}', "'a'", '"', '"\t"', '"\n"', '"\x00"', '"\x1f"', r'"\x41"',
    r'"\u12"', r'"\ud80"', r'"\ud800', r'"\'"', "// x"])
def test_what_subscribers_could_not_parse_is_not_relayed(data: str, limits: Settings) -> None:
    """M-6, section 25: all of an envelope is checked, also what is relayed without being decoded."""
    with pytest.raises(MalformedEnvelope):
        read(publish(data), limits)


@pytest.mark.parametrize("body", [
    b'[{"channel":"/a","data":"\xff"}]', b'[{"channel":"/a","x":"\xc3("}]', b'[{"channel":"/\xe9"}]',
    b'[{"channel":"/a","data":"\xed\xa0\x80"}]', b'[{"channel":"/a","data":"\xc0\xaf"}]',
    b'[{"channel":"/a","data":"\xf4\x90\x80\x80"}]'])
def test_what_is_not_utf8_is_refused_even_where_it_is_not_looked_at(body: bytes) -> None:
    """M-9: stray bytes, encoded surrogates, overlong forms, beyond Unicode."""
    with pytest.raises(MalformedEnvelope, match="UTF-8"):
        read(body)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_other_unicode_encodings_are_not_guessed(encoding: str) -> None:
    """M-9."""
    with pytest.raises(MalformedEnvelope):
        read('[{"channel":"/a"}]'.encode(encoding))


def test_a_byte_order_mark_is_tolerated() -> None:
    """M-9."""
    assert [message.channel for message in read('\ufeff[{"channel":"/a"}]')] == ["/a"]


def test_an_envelope_s_refusal_repeats_nothing_of_it() -> None:
    """G-23."""
    with pytest.raises(EnvelopeError) as refusal:
        read('[{"channel":"/a"} <script>]')
    assert str(refusal.value) == "not JSON"


def test_replies_and_events_make_an_array() -> None:
    """M-2."""
    assert join([b'{"a":1}']) == b'[{"a":1}]'
    assert join([b'{"a":1}', b'{"b":2}']) == b'[{"a":1},{"b":2}]'


def accepted_by_python(text: str, *types: type) -> bool:
    """Say whether the standard library takes a text for JSON, and for one of the types."""
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return isinstance(json.loads(text, parse_constant=refuse), types)
    except ValueError:
        return False


def accepted_by_us(text: str, limits: Settings) -> bool:
    try:
        decode(text.encode(), limits)
    except MalformedEnvelope:
        return False
    return True


@st.composite
def nearly_json(draw: st.DrawFn) -> str:
    """Make an envelope and break it in a few places, or not."""
    text = draw(json_texts.map(publish) | json_texts)
    for _ in range(draw(st.integers(0, 3))):
        where = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 2))
        broken = draw(st.text('[]{}",:\\u0aeE1.+- \n\t\x00\x1f\ufeff', max_size=2)
                      | st.sampled_from([r"\ud800", r"\udfff", "NaN", "-Infinity", "null", "1e400", '""']))
        text = text[:where] + broken + text[where + length:]
    return text


@settings(deadline=None, max_examples=150)
@given(nearly_json().filter(lambda text: not text.startswith("\ufeff")))
@example("[]")
@example(r'[{"channel":"/a","data":"\ud800"}]')
@example(r'["\ud800]')
@example(r'{"\ud800"')
def test_what_is_json_is_decided_as_by_python(text: str) -> None:
    """M-3, M-6, M-8.

    They differ, with texts as short as these, over a byte order mark alone (M-9).
    """
    assert accepted_by_us(text, DEFAULTS) == accepted_by_python(text, list, dict)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.dictionaries(
    st.sampled_from(["channel", "id", "clientId", "data", "connectionType", "subscription", "version",
                     "minimumVersion", "supportedConnectionTypes", "advice", "other"]),
    st.none() | st.booleans() | st.integers() | st.floats(-9, 9) | st.text(max_size=3)
    | st.lists(st.text(max_size=3) | st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)), max_size=3))
def test_both_ways_of_decoding_read_the_same(elements: list[dict[str, Any]]) -> None:
    """M-10: a message means one thing, however long the envelope is that it comes in."""
    text = json.dumps(elements)
    assert list(map(shape, read(text))) == list(map(shape, read(text, ONE_BY_ONE)))


# -- data ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(json_texts)
@example("1.10")
@example("-0")
@example("1e400")
@example(r'"\/"')
@example('{"b":1,"a":1,"b":2}')
@example("null")
def test_data_is_relayed_byte_for_byte(data: str) -> None:
    """Section 25: numbers, key order and escapes stay the publisher's."""
    assert relayed(data) == relayed(data, ONE_BY_ONE) == data


@settings(deadline=None)
@given(json_texts)
def test_data_means_what_it_means_in_python(data: str) -> None:
    """M-12."""
    assert decode_data(data.encode()) == json.loads(data)


def test_digits_without_end_are_relayed_too() -> None:
    """M-7, section 25: they are JSON, whatever Python makes of them."""
    assert relayed("9" * 5000) == "9" * 5000


@pytest.mark.parametrize("data", ["9" * 5000, "1e400", r'"\ud800"', "[" * 100_000])
def test_data_that_python_cannot_hold_fails_one_message(data: str) -> None:
    """M-6, M-7, M-8: when a handler asks for it, and not as a failure of the server."""
    with pytest.raises(MalformedMessage):
        decode_data(data.encode())


@both_ways
@pytest.mark.parametrize("data", [
    r'"\ud800"', r'"\udc00"', r'"\udfff"', r'"a\udbffb"', r'"\ud83d"', r'"\udc00\ud800"', r'"\ud800\ud800"',
    r'"\ud800\ud83d\ude00"', r'"\ud83d\ude00\udc00"', r'"\ud800\u0041"', r'"\ud800\\udc00"', r'"\\\ud800"',
    r'{"\ud800":["\udc00"]}'])
def test_a_lone_surrogate_is_relayed_as_the_escape_it_came_as(data: str, limits: Settings) -> None:
    """M-8, section 25."""
    assert relayed(data, limits) == data


@pytest.mark.parametrize("data", [r'"\uD800"', r'"\uDFFF"', r'"\udBfF"'])
def test_a_lone_surrogate_keeps_its_upper_case_digits(data: str) -> None:
    """M-8, section 25: "escapes untouched"."""
    assert relayed(data) == data


@pytest.mark.parametrize("data", [r'"\ud83d\ude00"', r'"\uD83D\uDE00"', r'"\uDBFF\udfff"'])
@pytest.mark.parametrize("company", ["", r',"x":"\ud800"'], ids=["alone", "beside a lone one"])
def test_a_pair_of_surrogates_is_left_alone(data: str, company: str) -> None:
    """M-8, section 25."""
    message = read_one(with_text("data", data + company))
    assert bytes(message.data).decode() == data


@pytest.mark.parametrize("data", [r'"\\ud800"', r'"\\\\ud800"', '"\ue000"', '"\ud7ff\ue000"', r'"\ue000"',
                                  r'"\ud7ff\ue7ff\ue800"'])
def test_what_only_looks_like_a_surrogate_is_left_alone(data: str) -> None:
    """M-8, section 25: backslashes that are escaped themselves, and the private characters."""
    assert relayed(data) == data


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from([r"\ud83d", r"\ude00", r"\udbff", r"\udfff", r"\\", r"\"", r"\n", r"\u0041",
                                 "u", "d800", "é", "\ue000", "\U0001f600", "["]), max_size=8))
def test_any_mixture_of_escapes_is_relayed_byte_for_byte(parts: list[str]) -> None:
    """M-8, section 25."""
    data = quoted(parts)
    assert relayed(data) == data


@pytest.mark.parametrize(("count", "good"), [(10, True), (11, False)])
def test_there_are_no_more_lone_surrogates_than_one_message_has_room_for(count: int, good: bool) -> None:
    """G-2, G-32: a megabyte of them would keep everybody waiting for half a second."""
    limits = Settings(max_message=6 * 11 - 1)
    body = f'[{{"channel":"/a"}},{quoted(LONE * count)}]'.encode()
    if good:
        assert len(decode(body, limits)) == 2
    else:
        with pytest.raises(MalformedEnvelope):
            decode(body, limits)


def test_lone_surrogates_beside_escaped_private_characters_are_refused() -> None:
    """M-8: one of its two answers, where the other would mix up the two."""
    with pytest.raises(MalformedEnvelope):
        read(publish(r'"\ud800\ue000"'))


@pytest.mark.parametrize("element", [r'{"channel":"/a","id":"1","x":"\ud800"}',
                                     r'{"channel":"/a","id":"1","\ud800":0}'])
def test_a_lone_surrogate_in_what_is_ignored_is_no_matter(element: str) -> None:
    """M-8, M-11."""
    assert read_one(element) == Message(channel="/a", id="1")


@pytest.mark.parametrize("field", ["channel", "id", "clientId", "subscription", "version"])
def test_a_lone_surrogate_anywhere_leaves_what_can_be_encoded(field: str) -> None:
    """M-8: what is echoed must not fail at delivery time."""
    [message] = read(f"[{with_text(field, quoted([LONE]))}]")
    subscription = getattr(message, "subscription", None) or UNSET
    json.loads(Reply(message.channel, False, id=message.id, subscription=subscription).encode())


# -- depth --------------------------------------------------------------------------------------


def nest(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


def depth_of(text: str) -> int:
    """Measure the depth of what Python reads, the values of duplicate keys included."""
    def depth(value: object) -> int:
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    return depth(json.loads(text, object_pairs_hook=lambda pairs: [value for _, value in pairs]))


@both_ways
@pytest.mark.parametrize("data", [nest(62), '{"a":' * 62 + "0" + "}" * 62, '[{"a":' * 31 + "0" + "}]" * 31,
                                  f"[{nest(61)},{nest(61)}]"],
                         ids=["arrays", "objects", "both", "two of them"])
def test_64_levels_are_read(data: str, limits: Settings) -> None:
    """G-6: the envelope and the message are two of them."""
    assert relayed(data, limits) == data


@both_ways
@pytest.mark.parametrize("data", [nest(63), '{"a":' * 63 + "0" + "}" * 63, f"[[],{nest(62)}]"],
                         ids=["arrays", "objects", "the second of two"])
def test_65_levels_are_refused(data: str, limits: Settings) -> None:
    """G-6."""
    with pytest.raises(MalformedEnvelope, match="deep"):
        read(publish(data), limits)


def test_depth_counts_also_in_what_is_ignored() -> None:
    """G-6."""
    with pytest.raises(MalformedEnvelope, match="deep"):
        read(f"[{with_text('x', nest(63))}]")


@pytest.mark.parametrize("string", [
    "[" * 100, "{" * 100, r"\"" + "[" * 100, r"\\\"" + "[" * 100, r"\u005b" + "[" * 100, "é" + "[" * 100,
    r"\"[" * 100, "[{" * 50 + "\\\\"])
def test_brackets_inside_strings_are_no_depth(string: str) -> None:
    """G-6."""
    assert relayed(f'"{string}"') == f'"{string}"'


@pytest.mark.parametrize("before", [r'"\\"', r'"\\\\"', r'"\"\\"', r'"]"', '"é]]"', r'"\\","]"'])
def test_strings_do_not_hide_brackets_outside(before: str) -> None:
    """G-6: whatever is escaped in them."""
    with pytest.raises(MalformedEnvelope, match="deep"):
        read(publish(f"[{before},{nest(62)}]"))


@settings(deadline=None)
@given(json_texts)
def test_depth_is_measured_as_by_python(data: str) -> None:
    """G-6."""
    envelope = publish(data)
    depth = depth_of(envelope)
    assert accepted_by_us(envelope, Settings(max_depth=depth))
    assert not accepted_by_us(envelope, Settings(max_depth=depth - 1))


@pytest.mark.parametrize("envelope", [
    "[" * 200_000, '{"a":' * 200_000, "[" + nest(200_000) + "]", publish(nest(200_000)),
    "]" * 9 + "[" * 200_000],
    ids=["arrays", "objects", "closed ones", "in data", "more closed than opened"])
@pytest.mark.parametrize("limits", [DEFAULTS, Settings(max_depth=10**9, max_ext=10**9, max_message=10**9),
                                    Settings(max_depth=10**9)],
                         ids=["with a limit", "without", "one by one without"])
def test_no_nesting_is_too_deep_for_an_answer(envelope: str, limits: Settings) -> None:
    """M-7: even where the limit is higher than what the parser can do."""
    with pytest.raises(MalformedEnvelope):
        read(envelope, limits)


# -- bad elements -------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(("element", "channel", "identity"), [
    ("5", NO_CHANNEL, UNSET), ("null", NO_CHANNEL, UNSET), ('"/a"', NO_CHANNEL, UNSET),
    ("[]", NO_CHANNEL, UNSET), ("{}", NO_CHANNEL, UNSET), ('{"id":"7"}', NO_CHANNEL, "7"),
    ('{"channel":null,"id":7}', NO_CHANNEL, 7), ('{"channel":5,"id":"7"}', NO_CHANNEL, "7"),
    ('{"channel":["/a"],"id":[]}', NO_CHANNEL, UNSET), ('{"channel":"/a","id":{}}', "/a", UNSET),
    ('{"channel":5,"id":"\\u0007"}', NO_CHANNEL, UNSET)])
def test_a_bad_element_gets_a_reply_of_its_own(
        element: str, channel: str, identity: object, limits: Settings) -> None:
    """M-5, E-10."""
    message = rejected(element, limits)
    assert (str(message.error), message.channel, message.id) == (MALFORMED, channel, identity)


@both_ways
def test_a_bad_element_costs_only_itself(limits: Settings) -> None:
    """M-5, M-12."""
    messages = read('[{"channel":"/a"},5,{"channel":"/b","id":true},{"channel":"/c","clientId":{}}]', limits)
    assert [(type(message), message.channel) for message in messages] == [
        (Message, "/a"), (Rejected, NO_CHANNEL), (Rejected, "/b"), (Message, "/c")]


def test_one_bad_bare_message_gets_a_reply() -> None:
    """M-1, M-5."""
    [message] = read('{"id":"1"}')
    assert isinstance(message, Rejected)
    assert (message.channel, message.id) == (NO_CHANNEL, "1")


@pytest.mark.parametrize("field", ["clientId", "connectionType", "version"])
@pytest.mark.parametrize("value", [5, True, [], {"a": 1}, 1.5])
def test_a_string_of_another_type_is_one_that_is_never_right(field: str, value: object) -> None:
    """I-3, K-5, M-21: it fails as an unknown value does, not as an absent one."""
    message = read_one(with_fields(**{field: value}))
    attribute = re.sub("[A-Z]", lambda upper: "_" + upper[0].lower(), field)
    assert getattr(message, attribute) == ""


@both_ways
@pytest.mark.parametrize(("wire", "attribute"), [
    ("clientId", "client_id"), ("connectionType", "connection_type"), ("subscription", "subscription"),
    ("version", "version"), ("minimumVersion", "minimum_version"),
    ("supportedConnectionTypes", "supported_connection_types")])
def test_null_is_absent(wire: str, attribute: str, limits: Settings) -> None:
    """E-11, P-8."""
    message = read_one(with_fields(**{wire: None}), limits)
    assert getattr(message, attribute) is None


@both_ways
def test_null_is_absent_beside_a_wrong_type_too(limits: Settings) -> None:
    """P-8."""
    assert read_one('{"channel":"/a","clientId":null,"version":5}', limits).client_id is None


@both_ways
def test_data_of_null_is_present(limits: Settings) -> None:
    """M-28, P-4."""
    assert relayed("null", limits) == "null"


@both_ways
def test_absent_data_is_not_null(limits: Settings) -> None:
    """P-4."""
    assert read_one('{"channel":"/a"}', limits).data is UNSET


@pytest.mark.parametrize("value", [5, {}, [1], ["/a", None], True])
def test_a_subscription_of_another_type_is_missing(value: object) -> None:
    """S-3."""
    assert read_one(with_fields(subscription=value)).subscription is None


@pytest.mark.parametrize(("value", "known"), [
    (["long-polling", 5, None, "flash"], ("long-polling", "flash")), ([5], ()), ([], ()), (5, None),
    ("long-polling", None), ({}, None)])
def test_connection_types_are_the_strings_in_an_array(value: object, known: object) -> None:
    """M-23."""
    assert read_one(with_fields(supportedConnectionTypes=value)).supported_connection_types == known


def test_a_minimum_version_of_another_type_is_none() -> None:
    """M-22."""
    assert read_one(with_fields(minimumVersion=1.0)).minimum_version is None


def test_other_fields_survive_one_of_a_wrong_type() -> None:
    """M-5: only what is wrong is let go."""
    message = read_one(with_fields(version=1.0, id="1", clientId="C", connectionType="x", subscription=["/a"],
                                   minimumVersion="0.9", supportedConnectionTypes=["y"], data=[1],
                                   advice={"timeout": 0}, ext={"a": 1}))
    assert shape(message) == ["/a", "1", "C", b"[1]", "x", ("/a",), "", "0.9", ("y",), b'{"timeout": 0}',
                              b'{"a": 1}']


def test_unknown_fields_are_ignored() -> None:
    """M-11, M-32."""
    assert read_one(with_fields(connectionId="x", timestamp={}, foo=[1], authSuccessful=0)) == Message("/a")


@both_ways
@pytest.mark.parametrize(("element", "channel"), [
    ('{"channel":"/a","channel":"/b"}', "/b"), ('{"channel":"/a","ch\\u0061nnel":"/b"}', "/b"),
    ('{"channel":5,"channel":"/b"}', "/b"), ('{"channel":"/a","version":5,"channel":"/b"}', "/b")])
def test_of_duplicate_keys_everybody_reads_the_last(element: str, channel: str, limits: Settings) -> None:
    """M-10, section 25."""
    assert read_one(element, limits).channel == channel


@pytest.mark.parametrize("value", ["5", '"x"', "[]", "null", "true", "9" * 5000, "1e400"])
def test_ext_that_is_no_object_is_absent(value: str) -> None:
    """M-31."""
    assert read_one(with_text("ext", value)).extensions() == {}


def test_ext_is_read_when_asked_for() -> None:
    """M-31."""
    assert read_one(with_fields(ext={"token": "x", "ack": 5})).extensions() == {"token": "x", "ack": 5}


def test_no_ext_is_an_empty_one() -> None:
    """M-31."""
    assert read_one(with_fields()).extensions() == {}


@pytest.mark.parametrize("value", ['{"a":' + "9" * 5000 + "}", '{"a":1e400}', r'{"a":5,"b":{"c":1e999}}'])
def test_ext_that_python_cannot_hold_is_absent(value: str) -> None:
    """M-7, M-31: not a failure of the server."""
    assert read_one(with_text("ext", value)).extensions() == {}


# -- ids ----------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("identity", ["1", "0", "a b", "~!@#$%^&*()_+\"\\", "x" * 128,
                                      0, 1, -1, 2**53, 2**70, -2**70])
def test_an_id_is_echoed_verbatim(identity: str | int, limits: Settings) -> None:
    """M-33, M-34."""
    message = read_one(with_fields(id=identity), limits)
    reply = json.loads(Reply("/a", True, id=message.id).encode())
    assert reply["id"] == identity
    assert type(reply["id"]) is type(identity)


@both_ways
@pytest.mark.parametrize("identity", ["", "x" * 129, "\u00e9", "\n", "a\x00", "\x7f", "\u2028",
                                      None, True, False, 1.5, 1.0, [], {}, ["1"]])
def test_any_other_id_is_malformed(identity: object, limits: Settings) -> None:
    """M-13, M-33, G-8: and it is not echoed."""
    message = rejected(with_fields(id=identity), limits)
    assert (str(message.error), message.channel, message.id) == (MALFORMED, "/a", UNSET)


@both_ways
@pytest.mark.parametrize("sign", ["", "-"])
def test_an_id_with_too_many_digits_is_refused(sign: str, limits: Settings) -> None:
    """M-7."""
    with pytest.raises(MalformedEnvelope):
        read(f"[{with_text('id', sign + '9' * 4301)}]", limits)


@both_ways
def test_an_id_with_as_many_digits_as_python_takes_is_echoed(limits: Settings) -> None:
    """M-7, M-33."""
    digits = "9" * 4300
    message = read_one(with_text("id", digits), limits)
    assert Reply("/a", True, id=message.id).encode().endswith(b'"id":%b}' % digits.encode())


def test_no_id_is_invented() -> None:
    """M-33."""
    assert "id" not in json.loads(Reply("/a", True, id=read_one(with_fields()).id).encode())


# -- sizes --------------------------------------------------------------------------------------


def padded(size: int, **fields: object) -> str:
    """Write a message of so many bytes."""
    empty = with_fields(**fields, data="")
    return with_fields(**fields, data="x" * (size - len(empty)))


def test_a_message_may_be_as_large_as_the_limit() -> None:
    """G-2."""
    assert read_one(padded(65_536)).channel == "/a"


def test_a_message_one_byte_larger_fails_alone() -> None:
    """G-2, E-24."""
    messages = read(f'[{padded(65_537, id="1")},{with_fields(id="2")}]')
    assert isinstance(messages[0], Rejected)
    assert (str(messages[0].error), messages[0].channel, messages[0].id) == (TOO_LARGE, "/a", "1")
    assert messages[1] == Message("/a", id="2")


def test_a_bare_message_is_measured_too() -> None:
    """G-2, M-1."""
    [message] = read(padded(65_537))
    assert isinstance(message, Rejected)
    assert str(message.error) == TOO_LARGE


def test_blanks_around_a_message_do_not_count() -> None:
    """G-2."""
    assert isinstance(read(f'[ {" " * 70_000}{with_fields()}{" " * 70_000}]')[0], Message)


def test_bytes_are_counted_not_characters() -> None:
    """G-2."""
    message = with_fields(data="") [:-2] + "é" * 40_000 + '"}'
    assert isinstance(read(f"[{message}]")[0], Rejected)


def test_a_batch_may_be_larger_than_a_message() -> None:
    """G-2."""
    assert all(isinstance(message, Message) for message in read(f"[{','.join([padded(60_000)] * 10)}]"))


def test_a_large_message_with_a_wrong_type_is_still_too_large() -> None:
    """G-2."""
    assert str(rejected(padded(65_537, version=5)).error) == TOO_LARGE


def ext_of(size: int) -> str:
    """Write an ``ext`` of so many bytes."""
    return '{"a":"' + "x" * (size - 8) + '"}'


def test_ext_may_be_as_large_as_the_limit() -> None:
    """G-8."""
    assert len(read_one(with_text("ext", ext_of(8192))).extensions()["a"]) == 8192 - 8


@pytest.mark.parametrize("fields", ["", ',"version":5'], ids=["", "beside a wrong type"])
def test_ext_one_byte_larger_fails_its_message(fields: str) -> None:
    """G-8, E-24."""
    message = rejected(with_text("id", f'"1","ext":{ext_of(8193)}{fields}'))
    assert (str(message.error), message.channel, message.id) == (TOO_LARGE, "/a", "1")


@both_ways
@pytest.mark.parametrize("element", ['{"channel":"/a"}', "5"], ids=["good ones", "bad ones"])
def test_a_batch_may_have_100_messages(element: str, limits: Settings) -> None:
    """G-5."""
    assert len(read(f"[{','.join([element] * 100)}]", limits)) == 100


@both_ways
@pytest.mark.parametrize("element", ['{"channel":"/a"}', "5", r'{"channel":"\ud800"}'],
                         ids=["good ones", "bad ones", "ones that are repaired"])
def test_a_batch_of_101_is_refused(element: str, limits: Settings) -> None:
    """G-5."""
    with pytest.raises(TooManyMessages):
        read(f"[{','.join([element] * 101)}]", limits)


def fail_or_not(body: bytes) -> None:
    with suppress(EnvelopeError):
        decode(body, DEFAULTS)


@pytest.mark.parametrize("make", [
    pytest.param(lambda size: b"\\" * size, id="backslashes"),
    pytest.param(lambda size: b'"' * size, id="quotes"),
    pytest.param(lambda size: b'"\\' * size, id="quotes and backslashes"),
    pytest.param(lambda size: b"[" * 99 + b'"' + b"\\" * size, id="a string without end"),
    pytest.param(lambda size: b"[" * 99 + b'"\\' * size, id="brackets, quotes and backslashes"),
    pytest.param(lambda size: b"[" * size, id="brackets"),
    pytest.param(lambda size: b'["[",' * size, id="brackets in strings"),
    pytest.param(lambda size: publish("9" * size).encode(), id="digits"),
    pytest.param(lambda size: b'[{"channel":"/a","id":%b}]' % (b"9" * size), id="digits of an id"),
    pytest.param(lambda size: publish(quoted(LONE * size)).encode(), id="lone surrogates"),
    pytest.param(lambda size: publish('"' + LONE * size).encode(), id="lone surrogates, no JSON"),
    pytest.param(lambda size: publish(quoted(LONE + r"\"\ud83d\ude00\u0041" * size)).encode(), id="escapes"),
    pytest.param(lambda size: publish(quoted(LONE + r"a\ud8" * size)).encode(), id="halves of surrogates"),
    pytest.param(lambda size: b"[5" + b",{}" * size + b"]", id="bad elements"),
    pytest.param(lambda size: b" " * size, id="blanks"),
])
def test_hostile_envelopes_are_told_in_linear_time(make: Callable[[int], bytes]) -> None:
    """G-32."""
    assert is_linear(fail_or_not, make, 10_000)


# -- the client's own advice --------------------------------------------------------------------


@pytest.mark.parametrize(("value", "seconds"), [
    ("0", 0), ("5000", 5), ("1500", 1.5), ("0.5", 0.0005), ("2e3", 2)])
def test_a_client_advises_in_milliseconds(value: str, seconds: float) -> None:
    """K-8."""
    assert read_one(with_text("advice", '{"timeout":' + value + "}")).advised("timeout") == seconds


@pytest.mark.parametrize("value", ["-1", "-0.5", "null", "true", '"5000"', "[]", "{}", "1e400"])
def test_advice_that_is_no_time_is_ignored(value: str) -> None:
    """K-8, M-13."""
    assert read_one(with_text("advice", '{"timeout":' + value + "}")).advised("timeout") is None


@pytest.mark.parametrize("advice", ["5", "null", '"x"', "[]", "{}", '{"interval":5}'])
def test_no_advice_advises_nothing(advice: str) -> None:
    """K-8, A-9."""
    assert read_one(with_text("advice", advice)).advised("timeout") is None


@pytest.mark.parametrize("value", ["9" * 30, "9" * 400, "9" * 4000, "1e308"])
def test_advice_beyond_measure_is_still_a_time(value: str) -> None:
    """K-8, G-24: whoever caps it must not fail over it."""
    seconds = read_one(with_text("advice", '{"timeout":' + value + "}")).advised("timeout")
    assert seconds is not None
    assert 31_536_000 <= seconds < math.inf


# -- what the server writes ---------------------------------------------------------------------


def test_a_reply_holds_what_it_was_given_and_no_more() -> None:
    """M-28, M-29: no data, no error, no advice of its own."""
    assert json.loads(Reply("/a", True).encode()) == {"channel": "/a", "successful": True}


def test_a_reply_has_the_names_of_the_wire() -> None:
    """H-3, A-1."""
    reply = Reply("/meta/handshake", False, id=5, client_id="C", version="1.0", minimum_version="0.9",
                  supported_connection_types=("long-polling",), subscription=("/a", "/b"), error="400::x",
                  advice=Advice("retry", 0, 30_000, True), ext={"a": 1})
    assert json.loads(reply.encode()) == {
        "channel": "/meta/handshake", "successful": False, "id": 5, "clientId": "C", "version": "1.0",
        "minimumVersion": "0.9", "supportedConnectionTypes": ["long-polling"], "subscription": ["/a", "/b"],
        "error": "400::x", "ext": {"a": 1},
        "advice": {"reconnect": "retry", "interval": 0, "timeout": 30_000, "multiple-clients": True}}


def test_advice_has_integers_and_no_more_than_it_was_given() -> None:
    """A-7, B-4."""
    reply = Reply("/meta/connect", False, advice=Advice("none", 0))
    assert reply.encode().endswith(b',"advice":{"reconnect":"none","interval":0}}')


@pytest.mark.parametrize("subscription", ["/a", ("/a",), ("/b", "/a", "/b")])
def test_a_subscription_is_echoed_in_its_own_type(subscription: str | tuple[str, ...]) -> None:
    """M-30."""
    message = read_one(with_fields(subscription=subscription))
    assert message.subscription == subscription
    reply = json.loads(Reply("/a", True, subscription=subscription).encode())
    assert reply["subscription"] == (subscription if isinstance(subscription, str) else list(subscription))


@given(json_texts)
def test_an_event_is_channel_and_data_alone(data: str) -> None:
    """D-1, D-2, D-4."""
    assert Event("/a/b", data.encode()).json == b'{"channel":"/a/b","data":%b}' % data.encode()


@pytest.mark.parametrize(("identity", "text"), [("x\"1", b'"x\\"1"'), (7, b"7")])
def test_an_event_of_a_service_may_have_an_id(identity: str | int, text: bytes) -> None:
    """V-2."""
    event = Event("/service/a", b"1", message_id=identity)
    assert event.json == b'{"channel":"/service/a","id":%b,"data":1}' % text


def test_an_event_can_be_added_to() -> None:
    """D-4: by extensions; each field is there once, however many have set it."""
    event = Event("/a", b'{"b":1}')
    event.add("x", [1, "\u2028"])
    event.extend("one", 1)
    event.extend("two", {"a": None})
    event.add("x", 2)
    assert event.json.count(b'"x"') == event.json.count(b'"ext"') == 1
    assert json.loads(event.json) == {"channel": "/a", "data": {"b": 1}, "x": 2,
                                      "ext": {"one": 1, "two": {"a": None}}}
    assert event.data == b'{"b":1}'


@pytest.mark.parametrize("name", ["channel", "data", "id"])
def test_what_makes_an_event_is_not_added(name: str) -> None:
    event = Event("/a", b"1")
    with pytest.raises(ValueError, match=f"an event's {name} cannot be changed"):
        event.add(name, 2)
    assert event.json == b'{"channel":"/a","data":1}'


@pytest.mark.parametrize("value", [object(), {"a": object()}, "\ud800"])
def test_what_cannot_be_added_changes_nothing(value: object) -> None:
    event = Event("/a", b"1")
    event.add("x", 1)
    with pytest.raises((TypeError, ValueError)):
        event.extend("y", value)
    event.add("z", 2)
    assert json.loads(event.json) == {"channel": "/a", "data": 1, "x": 1, "z": 2}


def test_an_event_is_encoded_once() -> None:
    """D-5."""
    event = Event("/a", b"1")
    assert event.json is event.json


def test_an_event_keeps_its_data_for_the_application() -> None:
    """Section 25: as the text that it is."""
    assert Event("/a", b'{"a": 1.10}').data == b'{"a": 1.10}'


@settings(deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))
def test_an_application_s_value_comes_back(value: object) -> None:
    """D-1."""
    assert decode_data(encode_data(value)) == value


@pytest.mark.parametrize("value", [object(), {(1,): 2}, "\ud800", {"\ud800": 1}])
def test_an_application_s_value_that_json_cannot_hold_is_an_error_of_the_application(value: object) -> None:
    """M-8: at once, and not at delivery time."""
    with pytest.raises((TypeError, ValueError)):
        encode_data(value)


# -- data that has come by itself ---------------------------------------------------------------


def checked(text: str, limits: Settings = DEFAULTS) -> bool:
    try:
        return bytes(check_data(text.encode(), limits)) == text.encode()
    except MalformedMessage:
        return False


@settings(deadline=None, max_examples=150)
@given(nearly_json().filter(lambda text: not text.startswith("\ufeff")))
@example(r'"\ud800"')
@example(r'["\ud800]')
@example(r'1},{"channel":"/b"')
def test_data_by_itself_is_json_as_decided_by_python(text: str) -> None:
    """Y-1, M-6, M-8; and it stays the text that it was."""
    assert checked(text) == accepted_by_python(text, object)


@pytest.mark.parametrize("text", ["", " ", "\ufeff1", "1 2", "1,2", "]", "],[", r'"\ud800\ue000"', "NaN"])
def test_data_by_itself_that_is_not_json(text: str) -> None:
    """Y-1, M-6."""
    assert not checked(text)


@pytest.mark.parametrize(("depth", "limit", "good"), [(62, 64, True), (63, 64, False), (1, 3, True),
                                                      (2, 3, False), (0, 1, True), (1, 1, False)])
def test_data_by_itself_is_as_deep_as_in_an_envelope(depth: int, limit: int, good: bool) -> None:
    """G-6: an array and a message are around it."""
    assert checked(nest(depth)[:2 * depth] or "1", Settings(max_depth=limit)) is good


@pytest.mark.parametrize("text", [nest(200_000), '["\\ud800",' + "[" * 200_000 + "]" * 200_001],
                         ids=["JSON", "with a lone surrogate"])
def test_data_by_itself_that_is_too_deep_for_the_parser(text: str) -> None:
    """M-7."""
    assert not checked(text, Settings(max_depth=1_000_000))


@pytest.mark.parametrize("make", [
    pytest.param(lambda size: b'"\\' * size, id="quotes and backslashes"),
    pytest.param(lambda size: b"[" * 99 + b'"\\' * size, id="brackets, quotes and backslashes"),
    pytest.param(lambda size: b"[" * size, id="brackets"),
    pytest.param(lambda size: b'["[",' * size, id="brackets in strings"),
    pytest.param(lambda size: b'"' + LONE.encode() * size + b'"', id="lone surrogates"),
    pytest.param(lambda size: b'"' + LONE.encode() * size, id="lone surrogates, no JSON"),
])
def test_hostile_data_by_itself_is_told_in_linear_time(make: Callable[[int], bytes]) -> None:
    """G-32."""
    def check(text: bytes) -> None:
        with suppress(MalformedMessage):
            check_data(text, DEFAULTS)

    assert is_linear(check, make, 10_000)


def test_errors_of_elements_are_bayeux_errors() -> None:
    """E-10."""
    assert isinstance(rejected("5").error, BayeuxError)
