"""Signed publishes by real HTTP: ``twistd bayeux`` with a key file, and a backend without a session (P-9)."""

import json
import subprocess
import sys

import pytest

from bayeux.keys import Key, read_secret
from bayeux.signatures import sign
from tests.test_resource import HANDSHAKE, connect, subscribe
from tests.test_service import ask, read
from tests.test_tap import Command

CONFIG = 'listen = ["tcp:0:interface=127.0.0.1"]\n'


def bayeux(folder, *arguments):
    """Run the command; return its output."""
    return subprocess.run([sys.executable, "-m", "bayeux", *arguments], cwd=folder, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()


@pytest.fixture
def server(tmp_path):
    """Run a server whose key is made as the documentation says; return its port."""
    table = bayeux(tmp_path, "keygen", "--publish", "/news/**", "web-a.key")
    (tmp_path / "bayeux.toml").write_text(CONFIG + table)
    (tmp_path / "elsewhere").mkdir()
    command = Command(tmp_path / "elsewhere", "--config", "../bayeux.toml")
    try:
        (port,), _ = command.ports()
        yield port
    finally:
        command.kill()


def subscriber(port):
    """Return the id of a client that listens, and its held connect."""
    client = read(ask(port, HANDSHAKE))[0]["clientId"]
    read(ask(port, connect(client), subscribe(client, "/news/*")))
    return client, ask(port, connect(client))


def post(port, *messages):
    """Post messages without a session; return the replies and the headers."""
    connection = ask(port, *messages)
    response = connection.getresponse()
    replies = json.load(response)
    connection.close()
    return replies, response.headers


def test_a_backend_publishes_by_one_request(tmp_path, server):
    """21.2, P-8, P-9: what ``bayeux sign`` prints; the answer has no events and no cookie."""
    _, held = subscriber(server)
    [message] = json.loads(bayeux(tmp_path, "sign", "--key", "web-a.key", "/news/sport", '{"score": "1:0"}'))
    replies, headers = post(server, message)
    assert replies == [{"channel": "/news/sport", "successful": True}]
    assert headers["set-cookie"] is None
    assert {"channel": "/news/sport", "data": {"score": "1:0"}} in read(held)


def test_trying_again_delivers_nothing(tmp_path, server):
    """Y-9: for a backend whose answer was lost."""
    client, held = subscriber(server)
    key = Key(id="web-a", secret=read_secret(str(tmp_path / "web-a.key")))
    message = sign(key, "/news/sport", 1)
    post(server, message)
    assert [reply.get("data") for reply in read(held)] == [1, None]
    held = ask(server, connect(client))
    assert post(server, message)[0] == [
        {"channel": "/news/sport", "successful": True, "ext": {"hmac": {"duplicate": True}}}]
    post(server, sign(key, "/news/sport", 2))
    assert [reply.get("data") for reply in read(held)] == [2, None]


def test_nobody_else_can_publish_without_a_session(tmp_path, server):
    """Y-5, P-8: each message of a batch is judged by itself."""
    _, held = subscriber(server)
    key = Key(id="web-a", secret=read_secret(str(tmp_path / "web-a.key")))
    forged = sign(Key(id="web-a", secret=b"x" * 40), "/news/sport", "forged")
    changed = {**sign(key, "/news/sport", "changed"), "data": "1"}
    replies, _ = post(server, {"channel": "/news/sport", "data": "unsigned"}, forged, changed,
                      sign(key, "/other", "not its channel"), sign(key, "/news/sport", "good"))
    assert [reply.get("error") for reply in replies] == [
        "401::No client ID", "401::Invalid signature", "401::Invalid signature", "403:/other:Publish denied",
        None]
    assert [reply.get("data") for reply in read(held)] == ["good", None]
