"""The client as an application uses it, with our server in the same process."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.internet.task import deferLater
from twisted.web.client import BrowserLikePolicyForHTTPS

from bayeux.client import (
    BadStatus,
    BayeuxClient,
    Change,
    Closed,
    ConnectTimeout,
    HandshakeRefused,
    NoCommonTransport,
    Overflow,
    PublishRefused,
    Refused,
    SessionEnded,
    State,
    SubscribeRefused,
    Unsubscribed,
)
from bayeux.keys import Key
from bayeux.rules import ChannelRule, KeyRule
from bayeux.signatures import sign
from tests.certificate import write_certificate
from tests.live import POLLING, QUICK, SECRET, WEBSOCKET, Guarded, Live, Turns, condition
from tests.peers import Peer, ensure, within

both = pytest.mark.parametrize("chosen", [(WEBSOCKET,), (POLLING,)], ids="+".join)


# -- making one ---------------------------------------------------------------------------------

@pytest.mark.parametrize("wrong", [
    {"url": "example.org"}, {"transports": ()}, {"transports": "websocket"}, {"transports": ("smoke",)},
    {"transports": (POLLING, POLLING)},
])
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        BayeuxClient(**{"url": "http://127.0.0.1/", **wrong})


@pytest.mark.parametrize("ext", ["token", 5, {"a": object()}])
def test_an_ext_that_cannot_be_sent_is_refused(ext: Any) -> None:
    with pytest.raises(TypeError):
        BayeuxClient("http://127.0.0.1/", ext=ext)


def test_it_shows_no_secrets() -> None:
    client = BayeuxClient("http://user:secret@127.0.0.1/x", ext={"token": "secret"})
    assert repr(client) == "<BayeuxClient http://127.0.0.1/x unconnected>"
    assert client.client_id is None
    assert client.headers["Authorization"].startswith("Basic ")


# -- connecting ---------------------------------------------------------------------------------

@both
@ensure
async def test_it_connects_and_tells_of_its_state(live: Live, chosen: tuple[str, ...]) -> None:
    live.serve()
    client = live.client(chosen=chosen)
    first, second = client.connect(), client.connect(timeout=10)
    assert await within(first) is await within(second) is await within(client.connect()) is client
    assert [(change.state, change.previous) for change in live.changes] == [
        (State.HANDSHAKING, State.UNCONNECTED), (State.CONNECTING, State.HANDSHAKING),
        (State.CONNECTED, State.CONNECTING)]
    assert client.transport == chosen[0]
    assert live.hub.sessions.get(client.client_id) is not None
    await within(client.disconnect())
    assert client.client_id is None
    assert live.changes[-1] == Change(State.DISCONNECTED, State.DISCONNECTING)
    assert len(live.hub.sessions) == 0


@ensure
async def test_a_listener_can_be_taken_away_and_a_bad_one_harms_nobody(live: Live) -> None:
    live.serve()
    client = live.client()
    seen: list[Change] = []
    client.on_state(seen.append)()
    client.on_state(lambda change: 1 / 0)
    await within(client.connect())
    assert seen == []
    assert {type(error) for error in live.errors} == {ZeroDivisionError}


@ensure
async def test_what_a_listener_does_comes_after_what_it_is_told_of(live: Live) -> None:
    live.serve()
    client = live.client()
    seen: list[State] = []
    client.on_state(lambda change: change.state is State.CONNECTED and client.disconnect())
    client.on_state(lambda change: seen.append(change.state))
    await within(client.connect())
    await within(client.disconnect())
    assert seen == [State.HANDSHAKING, State.CONNECTING, State.CONNECTED, State.DISCONNECTING,
                    State.DISCONNECTED]


@ensure
async def test_within_async_with_it_is_connected(live: Live) -> None:
    live.serve()
    async with live.client() as client:
        assert client.state is State.CONNECTED
    assert client.state is State.DISCONNECTED


@ensure
async def test_a_refused_handshake_is_told_with_the_servers_words(live: Live) -> None:
    """H-12."""
    live.serve(Guarded())
    client = live.client()
    with pytest.raises(HandshakeRefused, match="403::Handshake denied") as caught:
        await within(client.connect())
    assert caught.value.reply["channel"] == "/meta/handshake"
    assert client.state is State.DISCONNECTED
    with pytest.raises(HandshakeRefused):
        await client.connect()
    assert isinstance(live.changes[-1].reason, HandshakeRefused)
    assert client.metrics.failures == {"HandshakeRefused": 1}


@ensure
async def test_the_token_is_asked_for_again_for_a_new_session(live: Live) -> None:
    """Y-18."""
    live.serve(guard := Guarded())

    async def fetch() -> dict[str, str]:
        await deferLater(reactor, 0, lambda: None)
        return {"token": guard.token}

    client = await live.connected(ext=fetch)
    guard.token = "tuesday"
    first = client.client_id
    live.expire(first)
    await condition(lambda: client.client_id not in (None, first) and client.state is State.CONNECTED)


@pytest.mark.parametrize("ext", [lambda: 1 / 0, lambda: "text", lambda: {"a": object()}])
@ensure
async def test_a_token_that_cannot_be_had_is_reported_and_asked_for_again(live: Live, ext: Any) -> None:
    live.serve()
    answers = [ext, lambda: None]
    client = live.client(ext=lambda: answers.pop(0)())
    await within(client.connect())
    assert len(live.errors) == 1


@ensure
async def test_so_is_one_that_fails_later(live: Live) -> None:
    live.serve()
    calls: list[int] = []

    async def fetch() -> Any:
        calls.append(1)
        await deferLater(reactor, 0, lambda: None)
        if len(calls) == 1:
            raise OSError("no token server")
        return {"token": "t"} if len(calls) == 3 else 5

    await live.connected(ext=fetch)
    assert [type(error) for error in live.errors] == [OSError, TypeError]


async def out_of_time(client: BayeuxClient, turns: Turns) -> None:
    """Connect, and let the time for it be up when something has gone wrong."""
    connecting = client.connect(timeout=1000.0)
    await condition(lambda: client._machine.last_failure)
    [timeout] = [call for call in turns.getDelayedCalls() if call.getTime() > 900]
    timeout.reset(0)
    await within(connecting)


@ensure
async def test_a_timeout_ends_it_and_says_what_was_in_the_way(live: Live) -> None:
    client = live.client("http://127.0.0.1:1/", reactor=(turns := Turns()))
    told = r"not connected within 1000\.0 s: the server cannot be reached"
    with turns, pytest.raises(ConnectTimeout, match=told):
        await out_of_time(client, turns)
    assert client.state is State.DISCONNECTED
    with pytest.raises(Closed):
        await client.connect()


@ensure
async def test_a_server_that_says_nothing_runs_into_the_timeout_too(live: Live) -> None:
    peer = await Peer().listen()
    with pytest.raises(ConnectTimeout, match="has not answered"):
        await within(live.client(peer.url).connect(timeout=0.1))
    await peer.close()


@ensure
async def test_giving_up_ends_it(live: Live) -> None:
    client = live.client("http://127.0.0.1:1/")
    connecting = client.connect()
    connecting.cancel()
    with pytest.raises(CancelledError):
        await connecting
    await within(client.disconnect())
    assert client.state is State.DISCONNECTED


@ensure
async def test_disconnecting_before_it_is_connected_fails_the_connect(live: Live) -> None:
    client = live.client("http://127.0.0.1:1/")
    connecting = client.connect()
    await within(client.disconnect())
    with pytest.raises(Closed):
        await connecting
    await within(client.disconnect())


@ensure
async def test_a_wrong_address_is_told_at_once(live: Live) -> None:
    live.serve()
    with pytest.raises(BadStatus, match="404"):
        await within(live.client(f"http://127.0.0.1:{live.port}/elsewhere").connect())


@ensure
async def test_a_server_with_other_transports_is_told(live: Live) -> None:
    live.serve(connection_types=(POLLING,))
    with pytest.raises(BadStatus):
        await within(live.client(chosen=(WEBSOCKET,)).connect())
    assert issubclass(NoCommonTransport, Exception)


@pytest.mark.parametrize("answer", [b"<html>Welcome to our hotel</html>", b"[]",
                                    b'[{"channel":"/meta/connect"}]'])
@ensure
async def test_a_server_that_speaks_something_else_runs_into_the_timeout(live: Live, answer: bytes) -> None:
    peer = await Peer().listen()
    client = live.client(peer.url, (POLLING,), reactor=(turns := Turns()))
    peer.requests.get().addCallback(lambda request: request[0].answer(answer))
    with turns, pytest.raises(ConnectTimeout, match=r"not a JSON array|leaves out"):
        await out_of_time(client, turns)
    await peer.close()


@both
@ensure
async def test_tls_is_checked_as_the_application_says(live: Live, tmp_path: Path,
                                                      chosen: tuple[str, ...]) -> None:
    certificate, key = write_certificate(tmp_path)
    live.serve(listen=(f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}",))
    root = trustRootFromCertificates([Certificate.loadPEM(certificate.read_bytes())])
    url = f"https://localhost:{live.port}/bayeux"
    client = live.client(url, chosen, reactor=(turns := Turns()))
    with turns, pytest.raises(ConnectTimeout, match="certificate verify failed"):
        await out_of_time(client, turns)
    client = await live.connected(url, chosen, tls=BrowserLikePolicyForHTTPS(trustRoot=root))
    assert (await within(client.publish("/a", 1)))["successful"]


@ensure
async def test_cookies_are_kept_for_both_transports(live: Live) -> None:
    """B-1, B-2."""
    live.serve()
    polling = await live.connected(chosen=(POLLING,))
    assert "BAYEUX_BROWSER" in {cookie.name for cookie in polling.cookies}
    await live.connected(chosen=(WEBSOCKET,), cookies=polling.cookies)


@ensure
async def test_when_the_reactor_stops_it_disconnects(live: Live) -> None:
    """The server need not find out."""
    live.serve()
    client = await live.connected()
    await within(client._stopping())
    assert client.state is State.DISCONNECTED
    assert len(live.hub.sessions) == 0


@ensure
async def test_a_connect_that_is_given_up_while_others_wait_ends_for_all(live: Live) -> None:
    client = live.client("http://127.0.0.1:1/")
    first, second = client.connect(), client.connect()
    first.cancel()
    for connecting, error in ((first, CancelledError), (second, Closed)):
        with pytest.raises(error):
            await within(connecting)


# -- events -------------------------------------------------------------------------------------

@both
@ensure
async def test_events_reach_every_subscription_that_selects_them(live: Live, chosen: tuple[str,
                                                                                             ...]) -> None:
    live.serve()
    client = live.client(chosen=chosen)
    called: list[Any] = []
    early = client.subscribe("/a/*", lambda event: called.append(event.data))
    await within(client.connect())
    await within(early.when_ready())
    events = await within(client.subscribe("/a/b").when_ready())
    assert await within(client.subscribe("/a/b").when_ready())
    for number in range(3):
        live.hub.publish("/a/b", number)
    assert [(await within(anext(events))).data for _ in range(3)] == [0, 1, 2]
    await condition(lambda: called == [0, 1, 2])
    assert client.metrics.events == 3


@ensure
async def test_service_channels_answer_without_a_subscription(live: Live) -> None:
    """V-2."""
    live.serve()
    live.hub.service("/service/add", lambda session, data: sum(data))
    client = await live.connected()
    answers = await within(client.subscribe("/service/add").when_ready())
    await within(client.publish("/service/add", [1, 2]))
    assert (await within(anext(answers))).data == 3


@ensure
async def test_a_refused_subscription_is_told_to_who_waits_or_else_reported(live: Live) -> None:
    """E-15."""
    live.serve(Guarded())
    client = await live.connected(ext={"token": "monday"})
    with pytest.raises(SubscribeRefused, match="403:/secret/a:Subscription denied"):
        await within(client.subscribe("/secret/a").when_ready())
    assert live.errors == []
    subscription = client.subscribe("/secret/b", print)
    await condition(lambda: live.errors)
    assert isinstance(live.errors[0], SubscribeRefused)
    assert not subscription.active


@ensure
async def test_the_server_hears_when_the_last_subscription_is_given_up(live: Live) -> None:
    live.serve()
    client = await live.connected()
    first, second = client.subscribe("/a"), client.subscribe("/a")
    await within(second.when_ready())
    await within(first.unsubscribe())
    live.hub.publish("/a", 1)
    assert (await within(anext(second))).data == 1
    await within(second.unsubscribe())
    live.hub.publish("/a", 2)
    await within(client.publish("/b", 1))
    assert client.metrics.events == 1


@ensure
async def test_a_subscription_may_be_given_up_before_there_is_a_server(live: Live) -> None:
    client = live.client("http://127.0.0.1:1/")
    subscription = client.subscribe("/a")
    waiting = subscription.when_ready()
    await within(subscription.unsubscribe())
    with pytest.raises(Unsubscribed):
        await waiting


@ensure
async def test_disconnecting_ends_every_loop_and_unsubscribing(live: Live) -> None:
    live.serve()
    client = await live.connected()
    events = await within(client.subscribe("/a").when_ready())
    other = await within(client.subscribe("/b").when_ready())
    leaving = other.unsubscribe()

    async def take() -> list[Any]:
        return [event.data async for event in events]

    taking = Deferred.fromCoroutine(take())
    live.hub.publish("/a", 1)
    await condition(lambda: client.metrics.events)
    await within(client.disconnect())
    assert await within(taking) == [1]
    await within(leaving)


@ensure
async def test_after_the_end_nothing_can_be_asked_for(live: Live) -> None:
    live.serve()
    client = await live.connected()
    await within(client.disconnect())
    with pytest.raises(Closed):
        await client.publish("/a", 1)
    with pytest.raises(Closed):
        await client.subscribe("/a")
    with pytest.raises(Closed):
        await client.connect()


@ensure
async def test_who_does_not_take_events_is_told(live: Live) -> None:
    live.serve()
    client = await live.connected()
    events = await within(client.subscribe("/a", buffer=2).when_ready())
    for number in range(4):
        live.hub.publish("/a", number)
    await condition(lambda: live.errors)
    assert isinstance(live.errors[0], Overflow)
    assert [(await anext(events)).data for _ in range(2)] == [0, 1]
    with pytest.raises(Overflow):
        await anext(events)


@ensure
async def test_a_callback_may_publish_and_subscribe(live: Live) -> None:
    live.serve()
    client = await live.connected()
    got: Deferred[Any] = Deferred()

    async def answer(event: Any) -> None:
        client.subscribe("/done", lambda event: got.callback(event.data))
        await client.publish("/done", event.data + 1)

    await within(client.subscribe("/a", answer).when_ready())
    live.hub.publish("/a", 1)
    assert await within(got) == 2


@ensure
async def test_an_event_that_nobody_wants_any_more_is_counted(live: Live) -> None:
    live.serve()
    client = await live.connected()
    first = await within(client.subscribe("/a").when_ready())
    left = first.unsubscribe()
    live.hub.publish("/a", 1)
    await within(left)
    assert client.metrics.unclaimed == client.metrics.events


# -- publishing ---------------------------------------------------------------------------------

@both
@ensure
async def test_a_publish_is_answered(live: Live, chosen: tuple[str, ...]) -> None:
    live.serve()
    got: list[Any] = []
    live.hub.subscribe("/a", lambda channel, data: got.append(data))
    client = await live.connected(chosen=chosen)
    reply = await within(client.publish("/a", {"x": 1}, ext={"mine": 1}))
    assert reply["successful"] and reply["channel"] == "/a"
    assert got == [{"x": 1}]
    with pytest.raises(PublishRefused) as caught:
        await within(client.publish("/a/*", 1))
    assert caught.value.code == 405
    assert (client.metrics.published, client.metrics.unpublished) == (1, {"PublishRefused": 1})


@ensure
async def test_what_is_changed_after_it_was_published_is_sent_as_it_was(live: Live) -> None:
    live.serve()
    client = await live.connected()
    events = await within(client.subscribe("/a").when_ready())
    data = [1]
    published = client.publish("/a", data)
    data.append(2)
    await within(published)
    assert (await within(anext(events))).data == [1]


@pytest.mark.parametrize("channel", ["a", "", "/meta/connect", "/meta", None, 5])
def test_what_is_no_channel_is_refused(channel: Any) -> None:
    client = BayeuxClient("http://127.0.0.1:1/")
    with pytest.raises(ValueError):
        client.publish(channel, 1)
    with pytest.raises(ValueError):
        client.subscribe(channel)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        BayeuxClient("http://127.0.0.1:1/").publish("/a", object())


@ensure
async def test_what_was_published_before_connecting_is_sent_then(live: Live) -> None:
    live.serve()
    client = live.client()
    published = client.publish("/a", 1)
    assert client.waiting == 1
    await within(client.connect())
    assert (await within(published))["successful"]
    assert client.waiting == 0


@ensure
async def test_a_message_can_be_taken_back(live: Live) -> None:
    live.serve()
    client = live.client()
    got: list[Any] = []
    live.hub.subscribe("/a", lambda channel, data: got.append(data))
    first, second = client.publish("/a", 1), client.publish("/a", 2)
    first.cancel()
    with pytest.raises(CancelledError):
        await first
    await within(client.connect())
    await within(second)
    assert got == [2]
    third = client.publish("/a", 3)
    await deferLater(reactor, 0, lambda: None)
    third.cancel()  # too late, and so only not waited for
    with pytest.raises(CancelledError):
        await third
    await within(client.publish("/a", 4))


@ensure
async def test_a_batch_is_one_request_in_its_order(live: Live) -> None:
    live.serve()
    client = await live.connected(chosen=(POLLING,))
    events = client.subscribe("/a")
    before = live.hub.metrics.messages
    with client.batch():
        published = [client.publish("/a", number) for number in range(3)]
        await deferLater(reactor, 0.05, lambda: None)
        assert live.hub.metrics.messages - before <= 2  # the subscription, and perhaps a connect
    await within(gatherResults(published))
    assert [(await within(anext(events))).data for _ in range(3)] == [0, 1, 2]


@ensure
async def test_messages_are_signed_by_a_key(live: Live) -> None:
    """21.2, Y-11."""
    live.serve(key=(KeyRule(id="web-a", secret=SECRET, publish=("/news/**",)),),
                channel=(ChannelRule(pattern="/news/**", publish="signed"),))
    listener = await live.connected()
    events = await within(listener.subscribe("/news/*").when_ready())
    with pytest.raises(PublishRefused, match="401"):
        await within(listener.publish("/news/a", 1))
    speaker = await live.connected(sign=partial(sign, Key(id="web-a", secret=SECRET.encode())))
    assert (await within(speaker.publish("/news/a", {"x": 1})))["successful"]
    assert (await within(anext(events))).data == {"x": 1}


# -- what the server does -----------------------------------------------------------------------

@both
@ensure
async def test_a_session_that_is_lost_is_replaced_with_its_subscriptions(live: Live,
                                                                         chosen: tuple[str, ...]) -> None:
    """K-4, H-15."""
    live.serve()
    client = await live.connected(chosen=chosen)
    events = await within(client.subscribe("/a").when_ready())
    first = client.client_id
    live.expire(first)
    assert (await within(client.publish("/b", 1)))["successful"]
    await condition(lambda: client.state is State.CONNECTED and client.client_id != first)
    live.hub.publish("/a", 2)
    assert (await within(anext(events))).data == 2
    assert client.metrics.sessions == 2


@ensure
async def test_errors_without_a_listener_are_logged(live: Live, logged_errors: list[Any]) -> None:
    live.serve(Guarded())
    client = BayeuxClient(live.url, settings=QUICK, ext={"token": "monday"})
    live.clients.append(client)
    await within(client.connect())
    await within(client.subscribe("/a", lambda event: 1 / 0).when_ready())
    client.subscribe("/secret/a", print)
    live.hub.publish("/a", 1)
    await condition(lambda: client.metrics.errors == 2)
    assert [failure.type for failure in logged_errors] == [ZeroDivisionError]
    logged_errors.clear()


@ensure
async def test_a_listener_for_errors_that_fails_is_logged(live: Live, logged_errors: list[Any]) -> None:
    live.serve()
    client = live.client()
    client.on_error(lambda error: 1 / 0)
    remove = client.on_error(print)
    remove()
    await within(client.connect())
    await within(client.subscribe("/a", lambda event: [][0]).when_ready())
    live.hub.publish("/a", 1)
    await condition(lambda: live.errors)
    assert [failure.type for failure in logged_errors] == [ZeroDivisionError]
    logged_errors.clear()


@ensure
async def test_a_session_that_the_server_ends_for_good_ends_the_client(live: Live) -> None:
    """X-6."""
    peer = await Peer().listen()
    client = live.client(peer.url, (POLLING,))
    connecting = client.connect()
    connection, _, _ = await within(peer.requests.get())
    connection.answer(b'[{"channel":"/meta/handshake","id":"1","successful":true,"clientId":"C"}]')
    connection, _, _ = await within(peer.requests.get())
    connection.answer(b'[{"channel":"/meta/connect","id":"2","successful":true}]')
    await within(connecting)
    held, _, _ = await within(peer.requests.get())
    events = client.subscribe("/a")
    await within(peer.requests.get())
    held.answer(b'[{"channel":"/meta/disconnect","successful":true}]')
    with pytest.raises(SessionEnded):
        await within(anext(events))
    assert client.state is State.DISCONNECTED
    assert issubclass(SessionEnded, Refused)
    await within(client.disconnect())
    await peer.close()
