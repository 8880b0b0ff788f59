"""``demo/deploy/haproxy.cfg``, by a real HAProxy before two real servers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.drivers import until
from tests.contract_proxies import ProxyContract
from tests.deployed import Front, Process


class HAProxy(Front):
    """HAProxy with that file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "--set", "proxy_protocol=true")
        self.start_backends()
        pem = folder / "both.pem"
        pem.write_bytes(self.certificate.read_bytes() + self.key.read_bytes())
        file = self.configure("haproxy.cfg", {
            "bind :80\n": f"bind 127.0.0.1:{self.port}\n", "bind :443": f"bind 127.0.0.1:{self.tls_port}",
            "/etc/haproxy/bayeux.pem": str(pem), "maxconn 100000": "maxconn 200 ",
            "127.0.0.1:8081": f"127.0.0.1:{self.backends[0].port}",
            "127.0.0.1:8082": f"127.0.0.1:{self.backends[1].port}"})
        haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin") or "haproxy"
        self.check = [haproxy, "-c", "-V", "-f", str(file)]
        self.proxy = Process(folder / "haproxy.log", haproxy, "-db", "-f", str(file), port=self.port)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HAProxy]:
    front = HAProxy(tmp_path_factory.mktemp("haproxy"))
    try:
        front.proxy.start()
        yield front
    finally:
        front.stop()


class TestHAProxy(ProxyContract):
    """All of it, and what it can besides."""

    def test_haproxy_has_nothing_to_say_against_the_file(self, front: HAProxy) -> None:
        """No warning either."""
        done = subprocess.run(front.check, capture_output=True, text=True, check=True)
        assert "WARNING" not in done.stderr + done.stdout
        assert "valid" in done.stdout

    def test_a_browser_keeps_its_session_though_its_address_changes(self, front: HAProxy) -> None:
        """By the cookie, in which the server's name goes along; the server itself does not see that."""
        for number in range(200, 212):
            program = front.program(f"roams {number}", f"127.0.1.{number}").join("/roams")
            assert program.cookies["BAYEUX_BROWSER"][:2] in ("a~", "b~")
            program.move(f"127.0.2.{number}")
            program.publish("/roams", number)
            assert program.poll() == [number]
            program.close()

    def test_the_servers_are_up(self, front: HAProxy) -> None:
        """Its checks come by the PROXY protocol too."""
        for backend in front.backends:
            until(lambda backend=backend: '"GET / HTTP/1.0" 200 ' in backend.requests.read_text(),
                  front.proxy.log.read_text)
