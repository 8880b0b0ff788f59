"""Publishing without a session (BAYEUX.md P-8, 21.2)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from bayeux.client import BadStatus, ClientSettings, NoAnswer, PublishRefused
from bayeux.client.stateless import publish_once
from bayeux.keys import Key
from bayeux.signatures import sign
from tests.live import SECRET, Live, Turns
from tests.peers import Peer, ensure, within

MESSAGE = {"channel": "/a", "data": 1}


async def asked(answer: bytes) -> Any:
    """Publish to a server that gives that answer."""
    peer = await Peer().listen()
    publishing = Deferred.fromCoroutine(publish_once(peer.url, MESSAGE))
    try:
        connection, _, body = await within(peer.requests.get())
        assert body == b'[{"channel":"/a","data":1}]'
        connection.answer(answer)
        return await within(publishing)
    finally:
        await peer.close()


@ensure
async def test_a_signed_message_is_taken_without_a_session(live: Live) -> None:
    """P-8, Y-11."""
    from bayeux.rules import ChannelRule, KeyRule

    live.serve(key=(KeyRule(id="web-a", secret=SECRET, publish=("/news/**",)),),
                channel=(ChannelRule(pattern="/news/**", publish="signed"),))
    message = sign(Key(id="web-a", secret=SECRET.encode()), "/news/a", {"x": 1})
    assert (await within(Deferred.fromCoroutine(publish_once(live.url, message))))["successful"]
    with pytest.raises(PublishRefused, match="401"):
        await within(Deferred.fromCoroutine(publish_once(live.url, {"channel": "/news/a", "data": 1})))


@pytest.mark.parametrize("answer", [b"[]", b'[5,{"channel":"/a","data":1}]'])
@ensure
async def test_an_answer_that_leaves_it_out_is_none(answer: bytes) -> None:
    with pytest.raises(NoAnswer, match="leaves out"):
        await asked(answer)


@ensure
async def test_a_server_that_says_nothing_is_not_waited_for_long() -> None:
    peer, settings = await Peer().listen(), ClientSettings(network_delay=0.2)
    publishing = Deferred.fromCoroutine(publish_once(peer.url, MESSAGE, reactor=(turns := Turns()),
                                                     settings=settings))
    await within(peer.requests.get())
    with turns, pytest.raises(NoAnswer, match="in time"):
        await within(publishing)
    await peer.close()


@ensure
async def test_a_wrong_address_is_told(live: Live) -> None:
    live.serve()
    with pytest.raises(BadStatus, match="404"):
        await within(Deferred.fromCoroutine(publish_once(f"http://127.0.0.1:{live.port}/x", MESSAGE)))
