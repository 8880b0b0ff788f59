"""load/replies.py: what the driver understands of what a server sends."""

from __future__ import annotations

import pytest

from bayeux.load.replies import Advice, NotBayeux, Reply, decode, excerpt, reason


def test_messages_are_read_whatever_their_spaces_order_and_other_members() -> None:
    assert decode(b' [ {"x" : [1], "successful" : true, "channel":"\\/meta\\/connect" , "id": 3,'
                  b' "advice" : { "timeout": 1, "interval" : "200", "reconnect" : "retry" } } ] ') == [
        Reply("/meta/connect", True, advice=Advice("retry", 200.0))]


def test_one_message_without_an_array_is_read_too() -> None:
    assert list(decode(b'{"channel":"/meta/handshake","clientId":"c","successful":true}')) == [
        Reply("/meta/handshake", True, client_id="c")]


def test_an_event_has_no_success() -> None:
    assert decode(b'[{"channel":"/a","data":{"successful":true}}]') == [Reply("/a")]


@pytest.mark.parametrize("text", [b"", b"<html>", b'"x"', b"[1]", b'[{"channel":1}]', b"\xff"])
def test_what_is_no_bayeux_is_told_by_how_it_begins(text: bytes) -> None:
    with pytest.raises(NotBayeux, match=r"^not Bayeux: "):
        decode(text)


def test_an_excerpt_is_short_and_on_one_line() -> None:
    assert excerpt(b"") == "nothing"
    assert excerpt(b"a\n b") == "'a b'"
    assert excerpt(b"x" * 100) == f"'{'x' * 60}'..."


@pytest.mark.parametrize(("error", "told"), [
    ("402:abc123:Unknown client ID", "402 Unknown client ID"),
    ("403::Handshake denied", "403 Handshake denied"), ("oops", "oops"), (None, "no reason given"),
    ("x" * 99, "x" * 60)])
def test_a_reason_is_the_same_for_every_client(error: str | None, told: str) -> None:
    assert reason(Reply(error=error)) == told
