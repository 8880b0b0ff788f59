"""load/wire.py: what the driver writes."""

from __future__ import annotations

import json

import pytest

from bayeux.load import wire
from bayeux.load.target import Target

TARGET = Target.of("http://127.0.0.1:8080/bayeux?x=1", ("X-Token: abc",))


def test_each_run_has_its_own_tag_and_mark() -> None:
    tag = wire.new_tag()
    assert len({wire.new_tag() for _ in range(50)}) == 50
    assert wire.mark(tag) == f"bxl-{tag}-".encode()


@pytest.mark.parametrize("size", [0, wire.LEAST, wire.LEAST + 1, 50, 1000])
def test_data_is_json_of_its_size_with_the_stamp_in_it(size: int) -> None:
    text = wire.data("bxl-abcdef-", 42, size)
    assert len(text) == max(size, wire.LEAST)
    assert json.loads(text)["m"].rstrip(".") == "bxl-abcdef-0000000042"


def test_messages_are_what_bayeux_asks_for() -> None:
    """H-1, S-1, K-1, P-1, X-1."""
    assert json.loads(wire.handshake("websocket")) == [{
        "channel": "/meta/handshake", "version": "1.0", "minimumVersion": "1.0",
        "supportedConnectionTypes": ["websocket"], "id": "1"}]
    assert json.loads(wire.handshake("websocket", '{"token":"t"}'))[0]["ext"] == {"token": "t"}
    assert json.loads(wire.subscribe("c", "/a")) == [
        {"channel": "/meta/subscribe", "clientId": "c", "subscription": "/a", "id": "2"}]
    assert json.loads(wire.connect("c", "websocket", ',"advice":{"timeout":0}')) == [
        {"channel": "/meta/connect", "clientId": "c", "connectionType": "websocket", "id": "3",
         "advice": {"timeout": 0}}]
    assert json.loads(wire.publish("c", "/a", '{"b":1}')) == [
        {"channel": "/a", "clientId": "c", "data": {"b": 1}, "id": "4"}]
    assert json.loads(wire.disconnect("c")) == [{"channel": "/meta/disconnect", "clientId": "c", "id": "5"}]


def test_a_request_is_http() -> None:
    assert wire.request(TARGET, "A=1; B=2", '["\u00e9"]') == (
        b"POST /bayeux?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nX-Token: abc\r\n"
        b"Content-Type: application/json;charset=UTF-8\r\nCookie: A=1; B=2\r\nContent-Length: 6\r\n\r\n"
        b'["\xc3\xa9"]')
    assert b"Cookie" not in wire.request(TARGET, "", "[]")


def test_an_upgrade_is_from_a_page_of_the_server_unless_a_header_says_otherwise() -> None:
    assert b"\r\nOrigin: http://127.0.0.1:8080\r\n" in wire.upgrade(TARGET)
    assert b"\r\nCookie: A=1\r\n" in wire.upgrade(TARGET, "A=1")
    other = Target.of("wss://127.0.0.1/", ("origin: https://example.org",))
    assert wire.upgrade(other).lower().count(b"origin:") == 1
    assert b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" in wire.upgrade(other)


@pytest.mark.parametrize(("size", "head"), [
    (0, b"\x81\x80"), (125, b"\x81\xfd"), (126, b"\x81\xfe\x00\x7e"), (65_535, b"\x81\xfe\xff\xff"),
    (65_536, b"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00")])
def test_a_frame_is_masked_with_zeros(size: int, head: bytes) -> None:
    text = b"x" * size
    assert wire.masked(wire.TEXT, text) == head + bytes(4) + text
