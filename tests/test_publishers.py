"""The little publishers in ``demo/publish``, run as cron runs them: few variables, and the locale C.

The server here checks signatures as section 21.2 words it, which is so written down a second time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port

DEADLINE = 60
"""Seconds that anything may take: long, for a busy machine."""
PUBLISH = Path(__file__).resolve().parent.parent / "demo" / "publish"
SECRET = "k3y-DEMO-5f0c2b9e6d1a4c7f8e3b2a1d0c9f8e7d"
COMMANDS = {
    "python": [sys.executable, str(PUBLISH / "publish.py")],
    "ruby": ["ruby", str(PUBLISH / "publish.rb")],
    "php": ["php", str(PUBLISH / "publish.php")],
    "node": ["node", str(PUBLISH / "publish.mjs")],
    "shell": [str(PUBLISH / "publish.sh")],
}
PAYLOADS = {
    "an object": '{"score":"1:0","t":1.10,"name":"Zoë","path":"a/b"}',
    "an empty object": "{}",
    "an empty array": "[]",
    "null": "null",
    "numbers": "[1.10, 1e3, -0, 12345678901234567890, 0.1000000000000000055]",
    "unicode": '{"name":"Zoë Ωmega 雪 🧵","lines":"\u2028\u2029","unseen":"\u200b\u202e\ufeff"}',
    "escapes": r'"\u005a\u00eb \ud83e\uddf5 \/ \b\f\n\r\t \u0000 \u2028"',
    "slashes": r'{"path":"/a/b//c","windows":"C:\\dir\\new\\table","last":"\\"}',
    "quotes": r'''{"quotes":"\"a\" 'b' `c` $d $(e) ${f} !g","\"":"'"}''',
    "what printf and echo know": r'["%s %d %%", "-n", "\\n \\1 \\033 \\c &"]',
    "html": '"<script>&amp;</script>]]>"',
    "blanks": ' { "a" :  1 } ',
    "equal keys": '{"b":1,"a":2,"b":3}',
    "60 KB": json.dumps({"text": "Zoë wove wool. " * 3_750}, ensure_ascii=False),
}


class Refusal(Exception):
    """The error of a reply."""


class Server:
    """A server that publishes what is signed by the one key that it knows."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        """All that was posted."""
        self.published: list[tuple[str, str]] = []
        """The channels and payloads that subscribers would have got."""
        self.faults: list[str] = []
        """What goes wrong with the next requests."""
        self.secret = SECRET
        self.url = ""
        self.end = threading.Event()
        """Until then a silence lasts."""
        self.tries = threading.Semaphore(0)
        """One for each request that was read."""
        self._seen: dict[str, str] = {}

    def reply(self, body: bytes) -> dict[str, Any]:
        """Answer an envelope of one message."""
        self.bodies.append(body)
        [message] = json.loads(body)
        reply = {"channel": message["channel"], "successful": True}
        try:
            if self._is_new(**message, **message["ext"]["hmac"]):
                self.published.append((message["channel"], message["data"]))
            else:
                reply["ext"] = {"hmac": {"duplicate": True}}
        except Refusal as refusal:
            reply.update(successful=False, error=str(refusal))
        return reply

    def _is_new(self, channel: str, data: str, ext: object, v: int, kid: str, ts: int, nonce: str,
                sig: str) -> bool:
        """Check a message (Y-2 to Y-9)."""
        signed = "\n".join(("bayeux-publish-v1", kid, str(ts), nonce, channel, data)).encode()
        right = hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()
        if (type(v), v, type(ts)) != (int, 1, int) or not 16 <= len(nonce) <= 64:
            raise Refusal("401::Signature malformed")
        if (kid, sig) != ("web-a", right):
            raise Refusal("401::Invalid signature")
        if abs(time.time() - ts) > 300:
            raise Refusal("401::Timestamp outside window")
        if not channel.startswith("/news/"):
            raise Refusal(f"403:{channel}:Publish denied")
        json.loads(data)
        if nonce in self._seen and self._seen[nonce] != sig:
            raise Refusal("409::Nonce reused")
        new = nonce not in self._seen
        self._seen[nonce] = sig
        return new


STRANGE = {
    "a proxy's": (502, b"<html>Bad gateway</html>"),
    "a page": (200, b"<html>Welcome</html>"),
    "an object": (200, b'{"ok":true}'),
    "an empty array": (200, b"[]"),
    "numbers": (200, b"[1]"),
    "nothing": (200, b""),
}
"""Answers that no Bayeux server gives."""
UNEXPLAINED = {"a bare refusal": (200, b'[{"channel":"/news/sport","successful":false}]')}


class Handler(BaseHTTPRequestHandler):
    """The HTTP around it, with its faults."""

    server: HTTPServer

    def do_POST(self) -> None:
        """Answer, or do what else is to happen."""
        bayeux, body = self.server.bayeux, self.rfile.read(int(self.headers["Content-Length"]))
        fault = bayeux.faults.pop(0) if bayeux.faults else "none"
        status, answer = ({**STRANGE, **UNEXPLAINED}.get(fault)
                          or (200, json.dumps([bayeux.reply(body)]).encode()))
        bayeux.tries.release()
        if fault == "silence":
            bayeux.end.wait(DEADLINE)
            return
        if fault == "no answer":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer[:len(answer) // 2] if fault == "half an answer" else answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class HTTPServer(ThreadingHTTPServer):
    """Where the server is found."""

    def __init__(self, bayeux: Server) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bayeux = bayeux


class Site:
    """Where the publishers are run, and what they are told."""

    def __init__(self, secret_file: Path, url: str) -> None:
        self.secret_file = secret_file
        self.environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "BAYEUX_URL": url,
                            "BAYEUX_KEY_ID": "web-a", "BAYEUX_SECRET_FILE": str(self.secret_file)}

    def run(self, command: list[str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run([*command, *arguments], input=stdin, env=self.environment, capture_output=True,
                              encoding="utf-8", timeout=DEADLINE, check=False)


@pytest.fixture
def server() -> Iterator[Server]:
    bayeux = Server()
    with HTTPServer(bayeux) as http:
        bayeux.url = f"http://127.0.0.1:{http.server_port}/bayeux"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield bayeux
        bayeux.end.set()
        http.shutdown()
        thread.join()


@pytest.fixture
def site(server: Server, tmp_path: Path) -> Site:
    secret_file = tmp_path / "web-a.key"
    secret_file.write_text(SECRET + "\n")
    return Site(secret_file, server.url)


@pytest.fixture(params=COMMANDS.values(), ids=COMMANDS)
def publisher(request: pytest.FixtureRequest) -> list[str]:
    """The command of each publisher."""
    return request.param


def in_haste(publisher: list[str], folder: Path, timeout: float = 5) -> list[str]:
    """Return a publisher that waits for so many seconds, and not at all before it tries again."""
    *interpreter, program = publisher
    copy = folder / Path(program).name
    source, changes = re.subn(r"\b(TIMEOUT ?= ?5|PAUSE ?= ?1)(000)?\b", lambda found: (
        f"{found[1][:-1]}{timeout * (1000 if found[2] else 1) if found[1][0] == 'T' else 0}"),
        Path(program).read_text())
    assert changes == 2
    copy.write_text(source)
    copy.chmod(0o755)
    return [*interpreter, str(copy)]


@pytest.fixture
def impatient(publisher: list[str], tmp_path: Path) -> list[str]:
    """The same, without its pause."""
    return in_haste(publisher, tmp_path)


def test_the_server_here_agrees_with_the_specification() -> None:
    """Its vector (21.2) has the right signature, and is too old."""
    data = PAYLOADS["an object"]
    mac = {"v": 1, "kid": "web-a", "ts": 1_700_000_000, "nonce": "Zk3v9c1QmXoPq7La",
           "sig": "d50696a512eb29ebd6199fe6c0215fa076a6bf2696a3898d161d2920c90cc270"}
    envelope = json.dumps([{"channel": "/news/sport", "data": data, "ext": {"hmac": mac}}])
    assert Server().reply(envelope.encode())["error"] == "401::Timestamp outside window"
    assert Server().reply(envelope.replace("Zo", "Zu").encode())["error"] == "401::Invalid signature"


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_arrives_as_it_was_written(publisher: list[str], payload: str, server: Server,
                                             site: Site) -> None:
    """Y-1: what subscribers get is the very text, not what a language makes of it."""
    done = site.run(publisher, "/news/sport", payload)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert server.published == [("/news/sport", payload)]
    assert len(server.bodies[0]) < 1.2 * len(payload.encode()) + 300, "no more escapes than a string needs"


def test_a_payload_may_come_by_standard_input(publisher: list[str], server: Server, site: Site) -> None:
    payload = '{\n\t"name": "Zoë",\r\n\t"lines": "a\\nb"\n}\n'
    assert site.run(publisher, "/news/sport", stdin=payload).returncode == 0
    [(_, published)] = server.published
    assert json.loads(published) == json.loads(payload)
    assert published.split() == payload.split(), "only white space between tokens may have changed"


@pytest.mark.parametrize("fault", ["no answer", "half an answer", "a proxy's"])
def test_without_a_reply_it_tries_again_and_is_published_once(
        impatient: list[str], fault: str, server: Server, site: Site) -> None:
    """Y-9: the second time it is the same message, by which the server knows it."""
    server.faults = [fault]
    done = site.run(impatient, "/news/sport", '{"score":"1:0"}')
    assert (done.returncode, done.stderr) == (0, "")
    first, second = server.bodies if fault != "a proxy's" else (server.bodies * 2)
    assert first == second
    assert server.published == [("/news/sport", '{"score":"1:0"}')]


def test_it_does_not_wait_for_ever(publisher: list[str], tmp_path: Path, server: Server, site: Site) -> None:
    server.faults = ["silence"] * 3
    done = site.run(in_haste(publisher, tmp_path, 0.25), "/news/sport", "{}")
    assert done.returncode == 1
    assert f"no reply from {server.url}" in done.stderr
    for _ in range(2):  # the server may see it later than whoever has given up
        assert server.tries.acquire(timeout=DEADLINE), "it tries twice"
    assert not server.tries.acquire(blocking=False)
    assert len({*server.bodies}) == 1


@pytest.mark.parametrize("fault", ["no answer", *STRANGE])
def test_without_any_reply_it_says_so(impatient: list[str], fault: str, server: Server, site: Site) -> None:
    server.faults = [fault] * 3
    done = site.run(impatient, "/news/sport", '{"score":"1:0"}')
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no reply from {server.url}" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(server.faults) == 1, "it tries twice"


def test_without_a_server_it_says_so(impatient: list[str], site: Site) -> None:
    url = f"http://127.0.0.1:{free_port()}/bayeux"
    site.environment["BAYEUX_URL"] = url
    done = site.run(impatient, "/news/sport", "{}")
    assert done.returncode == 1
    assert f"no reply from {url}" in done.stderr
    assert "refused" in done.stderr or "connect" in done.stderr


def test_it_says_why_the_server_refuses(publisher: list[str], server: Server, site: Site) -> None:
    done = site.run(publisher, "/private/ann", "{}")
    assert done.returncode == 1
    assert done.stderr.endswith("the server refuses: 403:/private/ann:Publish denied\n")
    server.secret = "another-" + SECRET
    done = site.run(publisher, "/news/sport", "{}")
    assert done.returncode == 1
    assert done.stderr.endswith("the server refuses: 401::Invalid signature\n")
    assert len(server.bodies) == 2, "a refusal is an answer"
    assert server.published == []


def test_a_refusal_without_a_reason_is_one(publisher: list[str], server: Server, site: Site) -> None:
    server.faults = [*UNEXPLAINED]
    done = site.run(publisher, "/news/sport", "{}")
    assert done.returncode == 1
    assert "the server refuses" in done.stderr
    assert server.published == []


@pytest.mark.parametrize(("secret", "end"), [
    ("k" * 63, ""), ("k" * 64, "\n"), ("k" * 65, "\r\n"), ("long and printable ~!%\\n " * 20 + ".", "\n"),
], ids=["63", "64", "65", "501"])
def test_a_secret_is_the_text_of_its_file(publisher: list[str], secret: str, end: str, server: Server,
                                          site: Site) -> None:
    """Y-4: not decoded, and without the line end that editors add; the key of an HMAC may have any length."""
    site.secret_file.write_bytes((secret + end).encode())
    server.secret = secret
    assert site.run(publisher, "/news/sport", "{}").stderr == ""
    assert len(server.published) == 1


@pytest.mark.parametrize("name", ["BAYEUX_URL", "BAYEUX_KEY_ID", "BAYEUX_SECRET_FILE"])
def test_it_says_what_is_not_set(publisher: list[str], name: str, site: Site) -> None:
    del site.environment[name]
    done = site.run(publisher, "/news/sport", "{}")
    assert done.returncode != 0
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_it_says_which_secret_cannot_be_read(publisher: list[str], site: Site) -> None:
    site.secret_file.unlink()
    done = site.run(publisher, "/news/sport", "{}")
    assert done.returncode != 0
    assert str(site.secret_file) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["/news/sport", "{}", "more"]], ids=["none", "too many"])
def test_it_says_how_it_is_used(publisher: list[str], arguments: list[str], server: Server,
                                site: Site) -> None:
    done = site.run(publisher, *arguments)
    assert done.returncode == 1
    assert Path(publisher[-1]).name in done.stderr
    assert server.bodies == []


def test_the_shell_shows_the_secret_to_nobody(server: Server, site: Site, tmp_path: Path) -> None:
    """Not in the arguments of any program that it runs, which everybody on the machine can list."""
    seen, watched = tmp_path / "seen", tmp_path / "bin"
    watched.mkdir()
    for name in ("openssl", "curl", "sed", "grep", "tr", "od", "head", "cat", "date", "sleep"):
        script = f'printf "%s\\n" {name} "$@" >> {seen}; exec {shutil.which(name)} "$@"'
        (watched / name).write_text(f"#!/bin/sh\n{script}\n")
        (watched / name).chmod(0o755)
    site.environment["PATH"] = str(watched)
    assert site.run(COMMANDS["shell"], "/news/sport", '{"a":1}').stderr == ""
    assert len(server.published) == 1
    arguments = seen.read_text()
    assert re.findall("^(?:openssl|od|curl).*", arguments, re.MULTILINE), "they have been watched"
    for spelt in (SECRET, SECRET.encode().hex()):
        assert spelt not in arguments


IN_PROGRAMS = {
    "python": [sys.executable, "-c", """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        from publish import PublishError, publish
        publish("/news/sport", {"name": "Zoë", "score": 1.5, "path": "a/b", "none": None})
        try:
            publish("/private/ann", [])
        except PublishError as error:
            print(error)
        """, str(PUBLISH)],
    "ruby": ["ruby", "-e", """
        require ARGV[0] + "/publish"
        Bayeux.publish("/news/sport", { name: "Zo\\u00eb", score: 1.5, path: "a/b", none: nil })
        begin
          Bayeux.publish("/private/ann", [])
        rescue Bayeux::PublishError => e
          puts e.message
        end
        """, str(PUBLISH)],
    "php": ["php", "-r", """
        require $argv[1] . '/publish.php';
        Bayeux\\publish('/news/sport', ['name' => 'Zoë', 'score' => 1.5, 'path' => 'a/b', 'none' => null]);
        try {
            Bayeux\\publish('/private/ann', []);
        } catch (Bayeux\\PublishError $error) {
            echo $error->getMessage(), "\\n";
        }
        """, str(PUBLISH)],
    "node": ["node", "--input-type=module", "-e", """
        const { publish, PublishError } = await import(process.argv[1] + "/publish.mjs");
        await publish("/news/sport", { name: "Zoë", score: 1.5, path: "a/b", none: null });
        await publish("/private/ann", []).catch((error) => {
          if (error instanceof PublishError) console.log(error.message);
        });
        """, str(PUBLISH)],
}


@pytest.mark.parametrize("program", IN_PROGRAMS.values(), ids=IN_PROGRAMS)
def test_a_program_publishes_values(program: list[str], server: Server, site: Site) -> None:
    done = site.run(program)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the server refuses: 403:/private/ann:Publish denied\n"
    [(_, published)] = server.published
    assert json.loads(published) == {"name": "Zoë", "score": 1.5, "path": "a/b", "none": None}
    assert "Zoë" in published, "not made longer than need be"
