"""A private part of a site, from the bytes of a client to the bytes of another, by every transport."""

from __future__ import annotations

import itertools
import json
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from bayeux import ChannelRule, Hub, KeyRule, Link, Settings
from bayeux.cli.main import main as cli
from bayeux.keys import Key
from bayeux.messages import decode
from bayeux.signatures import sign
from bayeux.tap import Options
from tests.client import Carrier
from tests.contract_transports import DRIVERS, LongPolling
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


def test_a_reload_that_revokes_a_token(start):
    """Y-19."""
    net = start()
    alice = member(LongPolling, net)
    assert net.bayeux.reload(Settings(key=(KEY,), revoked_tokens=("t-1",))) is True
    assert net.session(alice.id) is None


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


# -- docs/howto/private-channels.rst --------------------------------------------------------------


HOWTO = (Path(__file__).parent.parent / "docs" / "howto" / "private-channels.rst").read_text("utf-8")


def block(language: str) -> str:
    """Return the first block of that language."""
    begin = HOWTO.partition(f".. code-block:: {language}\n\n")[2]
    lines = itertools.takewhile(lambda line: not line or line.startswith("    "), begin.split("\n"))
    return textwrap.dedent("\n".join(lines))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder as it is described."""
    monkeypatch.chdir(tmp_path)
    assert cli(["keygen", "web-a.key", "--subscribe", "/private/**", "--publish", "/private/**"]) == 0
    (tmp_path / "bayeux.toml").write_text(block("toml"))
    return tmp_path


def world_of(folder):
    options = Options()
    options.parseOptions(["--config", str(folder / "bayeux.toml")])
    clock = Clock()
    return Hub(clock, options.settings)


def ask(hub, message):
    carrier = Carrier(hub.receive(decode(json.dumps([message]).encode(), hub.settings), Link("long-polling")))
    return carrier.messages[0]


def handshake(hub, **ext):
    return ask(hub, {"channel": "/meta/handshake", "version": "1.0", "ext": ext,
                     "supportedConnectionTypes": ["long-polling"]})


def test_the_how_to_with_a_token(folder):
    """Its configuration, and the token of its Python."""
    hub = world_of(folder)
    names: dict[str, Any] = {}
    exec(block("python"), names)
    reply = handshake(hub, token=names["token_for"]("alice"))
    client = reply["clientId"]
    assert hub.sessions.get(client).user == "alice"
    assert ask(hub, subscribe(client, INBOX))["successful"] is True
    assert ask(hub, publish(client, 1, INBOX))["successful"] is True
    assert ask(hub, subscribe(client, "/private/bob/x"))["error"] == "403:/private/bob/x:Subscription denied"
    assert ask(hub, subscribe(client, "/**"))["successful"] is False
    assert ask(hub, publish(client, 1, "/news/x"))["error"] == "401::Signature required"


def test_the_how_to_with_a_token_of_the_command(folder, capsys):
    hub = world_of(folder)
    capsys.readouterr()
    assert cli(["token", "--key", "web-a.key", "--user", "alice", "--subscribe", "/private/alice/**"]) == 0
    assert handshake(hub, token=capsys.readouterr().out.strip())["successful"] is True


def test_the_how_to_with_a_grant(folder):
    """Its shell, openssl included."""
    made = subprocess.run(["sh", "-c", block("sh")], cwd=folder, capture_output=True, text=True, check=True)
    hub = world_of(folder)
    client = handshake(hub)["clientId"]
    grant = json.loads(made.stdout)
    assert ask(hub, {**subscribe(client, INBOX), "ext": {"grant": grant}})["successful"] is True


def test_the_how_to_with_a_mistake(folder):
    """What twistd says is what is written there."""
    file = folder / "bayeux.toml"
    file.write_text(file.read_text().replace('subscribe = ["/private/**"] ', "#"))
    with pytest.raises(SystemExit) as end:
        Options().parseOptions(["--config", "bayeux.toml"])
    assert str(end.value) in " ".join(HOWTO.split())
