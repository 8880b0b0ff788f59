"""A private part of a site, from the bytes of a client to the bytes of another, by every transport."""

from __future__ import annotations

from typing import Any

import pytest

from bayeux import ChannelRule, KeyRule, Settings
from bayeux.keys import Key
from bayeux.signatures import sign
from tests.contract_transports import DRIVERS
from tests.fakenet import HTTP, Net, in_bayeux_site, in_site, post, publish, subscribe
from tests.test_tokens import SECRET, START, VECTOR, signed_grant, token

RULES = (
    ChannelRule(pattern="/private/**", publish="token", subscribe="token"),
    ChannelRule(pattern="/news/**", publish="signed"),
    ChannelRule(pattern="/wall", publish="anyone", subscribe="nobody"),
)
KEY = KeyRule(id="web-a", secret=SECRET, publish=("/private/**", "/news/**"), subscribe=("/private/**",))
INBOX = "/private/alice/inbox"
SHORT = token(exp=START + 8)
"""A token for a few seconds."""


@pytest.fixture(params=[in_site, in_bayeux_site], ids=lambda door: door.__name__)
def start(request):
    nets = []

    def start(**settings):
        nets.append(Net(request.param, channel=RULES, key=(KEY,), token_leeway=0.0, **settings))
        return nets[-1]

    yield start
    for net in nets:
        net.stop()
        net.lose()
        assert net.hub.sessions.is_idle()
        assert net.reactor.getDelayedCalls() == []


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.__name__)
def driver(request):
    return request.param


def member(driver, net, token=VECTOR):
    return driver(net).start(INBOX, ext={"token": token})


def refused(answer: list[Any]) -> str:
    [error] = [message["error"] for message in answer if message.get("successful") is False]
    return error


def test_what_is_private_reaches_its_owner_alone(start, driver):
    """Y-15, Y-19, S-10."""
    net = start()
    alice, stranger = member(driver, net), driver(net).start("/news/sport")
    for pattern in (INBOX, "/private/alice/*", "/private/**", "/**"):
        assert refused(stranger.ask(subscribe(stranger.id, pattern))) == f"403:{pattern}:Subscription denied"
    assert refused(stranger.ask(publish(stranger.id, 0, INBOX))) == f"403:{INBOX}:Publish denied"
    alice.wait()
    stranger.wait()
    second = member(driver, net)
    replies = second.ask(publish(second.id, "hello", INBOX))
    assert [reply["successful"] for reply in replies if "data" not in reply] == [True]
    assert alice.events() == ["hello"]
    assert stranger.events() == []


def test_a_token_that_is_wrong(start, driver):
    """E-23, H-12."""
    net = start()
    client = driver(net)
    reply = client.shake_hands(ext={"token": VECTOR[:-2]})
    assert (reply["error"], reply["advice"]["reconnect"]) == ("401::Authentication invalid", "none")
    assert "clientId" not in reply


def test_a_token_that_has_expired(start, driver):
    """Y-16, K-19: whoever waits is told to come back with another; whoever does so is welcome."""
    net = start(require_token=True)
    alice = member(driver, net, SHORT)
    alice.wait()
    net.advance(8)
    assert net.session(alice.id) is None
    if driver.heartbeat:  # no connect waits: its stream is closed, and the next connect finds nobody
        [reply] = alice.ask(alice.connecting())
        assert reply["error"] == f"402:{alice.id}:Unknown client ID"
    else:
        [reply] = alice.news()
        assert reply["error"] == "401::Token expired"
        assert reply["advice"]["interval"] >= 1000
        assert "clientId" not in reply
    assert reply["advice"]["reconnect"] == "handshake"
    again = driver(net)
    assert again.shake_hands(ext={"token": SHORT})["error"] == "401::Token expired"
    assert again.shake_hands(ext={"token": VECTOR})["successful"] is True


def test_a_token_that_is_refreshed(start, driver):
    """Y-16: no interruption."""
    net = start(require_token=True)
    alice = member(driver, net, SHORT)
    net.advance(7)
    [reply] = alice.ask(publish(alice.id, VECTOR, "/service/token"))
    assert reply["successful"] is True
    alice.wait()
    net.advance(7)
    net.publish("still here", INBOX)
    assert alice.events() == ["still here"]


def test_a_grant(start, driver):
    """Y-15, Y-16."""
    net = start()
    client = driver(net).start()
    grant = signed_grant(bound_to=client.id, exp=START + 8)
    [reply] = client.ask({**subscribe(client.id, INBOX), "ext": {"grant": grant}})
    assert reply["successful"] is True
    assert net.session(client.id).subscriptions == (INBOX,)
    net.advance(8)
    assert net.session(client.id).subscriptions == ()


def test_only_the_site_has_news(start, driver):
    """Y-11: by one POST without a session, signed by a key that may; what clients say is not heard."""
    net = start()
    reader = driver(net).start("/news/*")
    assert refused(reader.ask(publish(reader.id, 0, "/news/sport"))) == "401::Signature required"
    reader.wait()
    key = Key(id="web-a", secret=SECRET.encode())
    [answer] = HTTP(net).ask(post(sign(key, "/news/sport", {"score": "1:0"}, timestamp=START))).messages
    assert answer == {"channel": "/news/sport", "successful": True}
    assert reader.events() == [{"score": "1:0"}]
    [answer] = HTTP(net).ask(post({"channel": "/news/sport", "data": 1})).messages
    assert answer["error"] == "401::Signature required"


def test_anyone_may_write_to_the_wall(start):
    """P-8, P-9: no session, no cookie."""
    net = start()
    heard: list[Any] = []
    net.hub.subscribe("/wall", lambda channel, data: heard.append(data))
    response = HTTP(net).ask(post({"channel": "/wall", "data": "Kilroy"}))
    assert response.messages == [{"channel": "/wall", "successful": True}]
    assert "set-cookie" not in response.headers
    assert heard == ["Kilroy"]


def test_a_reload_that_takes_a_key_away(start, driver):
    """Y-10, Y-19: whoever waits by a token of it is sent away at once."""
    net = start()
    alice = member(driver, net)
    alice.wait()
    assert net.bayeux.reload(Settings()) is True
    net.pump()
    assert net.session(alice.id) is None
    if not driver.heartbeat:
        assert refused(alice.news()) == "401::Token expired"
