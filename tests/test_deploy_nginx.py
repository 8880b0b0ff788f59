"""``demo/deploy/nginx.conf``, by a real nginx before two real servers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract_proxies import ProxyContract
from tests.deployed import Front, Process

MAIN = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {site};
}}
"""
"""What is in Debian's /etc/nginx/nginx.conf, for one folder."""


class Nginx(Front):
    """nginx with that file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.start_backends()
        site = self.configure("nginx.conf", {
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.tls_port} ssl http2;",
            "/etc/nginx/bayeux.crt": str(self.certificate), "/etc/nginx/bayeux.key": str(self.key),
            "127.0.0.1:8081": f"127.0.0.1:{self.backends[0].port}",
            "127.0.0.1:8082": f"127.0.0.1:{self.backends[1].port}"})
        main = folder / "main.conf"
        main.write_text(MAIN.format(folder=folder, site=site, user="user root;" if os.getuid() == 0 else ""))
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin") or "nginx"
        command = [nginx, "-p", str(folder), "-c", str(main), "-e", str(folder / "error.log")]
        self.check = [*command, "-t"]
        self.proxy = Process(folder / "error.log", *command, "-g", "daemon off;", port=self.port)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    front = Nginx(tmp_path_factory.mktemp("nginx"))
    try:
        front.proxy.start()
        yield front
    finally:
        front.stop()


class TestNginx(ProxyContract):
    """All of it."""

    def test_nginx_has_nothing_to_say_against_the_file(self, front: Nginx) -> None:
        """No warning either."""
        done = subprocess.run(front.check, capture_output=True, text=True, check=True)
        warnings = [line for line in done.stderr.splitlines() if "[warn]" in line]
        assert [line for line in warnings if "http2" not in line] == []  # which newer ones want elsewhere
        assert "test is successful" in done.stderr
