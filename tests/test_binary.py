"""extensions/binary.py: binary data, relayed and read and written (BAYEUX.md 19.5, XB-*, D-4)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux import Session
from bayeux.errors import MalformedMessage
from bayeux.extensions.binary import Chunk, decode, encode, pack, unpack
from bayeux.messages import decode as decode_envelope
from tests.client import Client, World

VECTORS = [
    ("", ""), ("864FD26FB559F75B", "HelloWorld"), ("00", "00"), ("FF", "@@"), ("0102", "0rJ"),
    ("FFFFFF", "%nS9"), ("68656C6C6F", "xK#0@zV"), ("00000000", "00000"), ("FFFFFFFF", "%nSc0"),
]
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Client:
    client = world.client()
    client.subscribe("/**")
    return client


def event(messages: list[Any]) -> Any:
    """Return the one event among messages."""
    [found] = [message for message in messages if "data" in message]
    return found


# -- Z85 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "text"), VECTORS)
def test_vectors(data: str, text: str) -> None:
    """XB-3."""
    assert encode(bytes.fromhex(data)) == text
    assert decode(text) == bytes.fromhex(data)


@pytest.mark.parametrize("digit", range(85))
def test_alphabet(digit: int) -> None:
    """XB-3: each digit stands for its place in it."""
    assert encode(digit.to_bytes(4, "big")) == "0000" + DIGITS[digit]
    assert decode("0000" + DIGITS[digit]) == digit.to_bytes(4, "big")


@given(st.binary(max_size=50))
def test_bytes_come_back(data: bytes) -> None:
    """XB-3: in five characters for four bytes, and one more than its bytes for the tail."""
    text = encode(data)
    assert decode(text) == data
    whole, tail = divmod(len(data), 4)
    assert len(text) == 5 * whole + (tail + 1 if tail else 0)
    assert set(text) <= set(DIGITS)


@pytest.mark.parametrize("text", [
    "0", "00000" + "0", "0" * 11,
    "0000 ", "0000\n", "0000;", "0000,", "0000_", "0000~", "0000`", "0000|", '0000"', "0000'",
    "0000\\", "0000\0", "0000\xe9", "0000\u20ac", "\ud800\ud800", "#####", "%nSc1", "00000#####"])
def test_what_no_bytes_are_written_as(text: str) -> None:
    """XB-4: lengths, characters, and digits that are more than four bytes can hold."""
    with pytest.raises(MalformedMessage):
        decode(text)


@given(st.text(alphabet=DIGITS, max_size=12))
def test_reading_does_not_fail_otherwise(text: str) -> None:
    """XB-4: whatever a client sends."""
    try:
        data = decode(text)
    except MalformedMessage:
        return
    assert len(data) == len(text) * 4 // 5


# -- relayed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [
    {"data": "HelloWorld", "last": True, "meta": {"name": "x"}}, {"data": "not Z85;", "last": 0}, "anything",
    None])
def test_data_is_relayed_as_it_is(client: Client, data: Any) -> None:
    """XB-2: nobody but a handler reads it."""
    answer = client.ask(client.message("/a", data=data, ext={"binary": {}}))
    assert answer == [{"channel": "/a", "successful": True},
                      {"channel": "/a", "data": data, "ext": {"binary": {}}}]


def test_text_of_the_data_is_relayed_as_it_is(world: World, client: Client) -> None:
    """XB-2, D-5: to the byte."""
    text = b'{ "data":"Hell\\u006fWorld","last":true }'
    envelope = b'{"channel":"/a","clientId":"%b","ext":{"binary":{}},"data":%b}' % (client.id.encode(), text)
    exchange = world.hub.receive(decode_envelope(envelope, world.hub.settings), client.link)
    assert exchange.drain()[1] == b'{"channel":"/a","data":%b,"ext":{"binary":{}}}' % text


def test_nothing_else_of_the_publisher_gets_out(client: Client) -> None:
    """D-4: neither in ``binary`` nor beside it."""
    answer = client.ask(client.message("/a", data={}, ext={"binary": {"token": 1}, "token": 2, "ack": 3}))
    assert event(answer)["ext"] == {"binary": {}}


@pytest.mark.parametrize("ext", [
    None, {}, {"binary": None}, {"binary": True}, {"binary": []}, {"binary": "x"}, [], {"Binary": {}}])
def test_what_is_not_marked_as_binary(client: Client, ext: Any) -> None:
    """XB-1: the mark is an object."""
    assert event(client.ask(client.message("/a", data=1, ext=ext))) == {"channel": "/a", "data": 1}


def test_replies_are_not_marked(client: Client) -> None:
    """XB-1: cometd.js takes everything so marked, but meta messages, for binary data."""
    assert client.ask(client.message("/b/c", data={}, ext={"binary": {}}))[0] == {
        "channel": "/b/c", "successful": True}


def test_switched_off() -> None:
    """D-4."""
    world = World(extensions=("ack",))
    client = world.client()
    client.subscribe("/a")
    assert "ext" not in event(client.ask(client.message("/a", data={}, ext={"binary": {}})))


# -- for handlers -------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "chunk"), [
    ({"data": "0rJ", "last": True, "meta": {"a": 1}}, Chunk(b"\1\2", True, {"a": 1})),
    ({"data": "00", "last": False}, Chunk(b"\0", False, None)),
    ({"data": ""}, Chunk(b"", True, None)),
    ({"data": "", "other": 5, "meta": "x"}, Chunk(b"", True, "x")),
])
def test_unpacking(data: Any, chunk: Chunk) -> None:
    """XB-1, XB-3."""
    assert unpack(data) == chunk


@pytest.mark.parametrize("data", [
    None, 5, "00", [], {}, {"data": None}, {"data": 5}, {"data": ["00"]}, {"data": "0"},
    {"data": "00", "last": 1}, {"data": "00", "last": None}, {"data": "00", "last": "true"}, {"last": True}])
def test_unpacking_what_is_not_binary(data: Any) -> None:
    """XB-4."""
    with pytest.raises(MalformedMessage):
        unpack(data)


@given(st.binary(max_size=20), st.booleans(), st.none() | st.lists(st.integers(0, 9)))
def test_packing(data: bytes, last: bool, meta: Any) -> None:
    """XB-1, XB-3: what is packed can be unpacked."""
    packed = msgspec.json.decode(pack(Chunk(data, last, meta)))
    assert unpack(packed) == Chunk(data, last, meta)
    assert ("meta" in packed) == (meta is not None)


@pytest.mark.parametrize("meta", [object(), "\ud800"])
def test_packing_what_json_cannot_hold(meta: object) -> None:
    """M-8."""
    with pytest.raises((TypeError, ValueError)):
        pack(Chunk(b"", meta=meta))


def test_service_that_reads_and_answers(world: World, client: Client) -> None:
    """XB-3: the answer is marked, so that the client reads it."""
    def reverse(session: Session, data: Any) -> Any:
        return pack(Chunk(unpack(data).data[::-1]))

    world.hub.service("/service/reverse", reverse)
    answer = client.ask(client.message("/service/reverse", data={"data": encode(b"abc"), "last": True},
                                       ext={"binary": {}}, id=7))
    assert event(answer) == {"channel": "/service/reverse", "id": 7, "ext": {"binary": {}},
                             "data": {"data": encode(b"cba"), "last": True}}


def test_service_that_is_sent_what_it_cannot_read(world: World, client: Client) -> None:
    """XB-4, E-10."""
    world.hub.service("/service/read", lambda session, data: unpack(data))
    [reply] = client.ask(client.message("/service/read", data={"data": "0"}, ext={"binary": {}}))
    assert reply["error"] == "400::Malformed message"
    assert world.hub.metrics.application_errors == 0


def test_application_that_publishes_and_delivers(world: World, client: Client) -> None:
    """XB-1: and its own subscribers read it as any other data."""
    heard: list[Any] = []
    world.hub.subscribe("/a", lambda channel, data: heard.append(unpack(data)))
    chunk = Chunk(b"\1\2", False, {"n": 1})
    wire = {"data": "0rJ", "last": False, "meta": {"n": 1}}
    world.hub.publish("/a", pack(chunk))
    client.session.deliver("/b", pack(chunk))
    first, second, _ = client.ask(client.connect_message())
    assert first == {"channel": "/a", "data": wire, "ext": {"binary": {}}}
    assert second == {"channel": "/b", "data": wire, "ext": {"binary": {}}}
    assert heard == [chunk]


def test_application_that_publishes_anything_else(world: World, client: Client) -> None:
    """XB-1: it is not the look of it that counts."""
    world.hub.publish("/a", {"data": "0rJ", "last": False})
    assert "ext" not in event(client.ask(client.connect_message()))
