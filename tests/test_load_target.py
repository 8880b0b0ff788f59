"""load/target.py: where the server is."""

from __future__ import annotations

import socket
import ssl

import pytest

from bayeux.load import LoadError
from bayeux.load.target import Target


@pytest.mark.parametrize(("url", "host", "path", "port", "secure"), [
    ("http://127.0.0.1:8080/bayeux", "127.0.0.1:8080", "/bayeux", 8080, False),
    ("ws://127.0.0.1", "127.0.0.1", "/", 80, False),
    ("https://127.0.0.1/a?b=c", "127.0.0.1", "/a?b=c", 443, True),
    ("wss://[::1]:9/x", "[::1]:9", "/x", 9, True)])
def test_a_url_is_taken_apart(url: str, host: str, path: str, port: int, secure: bool) -> None:
    target = Target.of(url)
    assert (target.host, target.path, target.port, target.secure) == (host, path, port, secure)


def test_a_name_is_looked_up() -> None:
    target = Target.of("http://localhost:1/")
    assert (target.host, target.name) == ("localhost:1", "localhost")
    assert target.is_loopback


def test_what_kind_of_address_it_is() -> None:
    assert Target.of("http://127.0.0.1/").family is socket.AF_INET
    assert Target.of("http://[::1]/").family is socket.AF_INET6
    assert not Target.of("http://192.0.2.1/").is_loopback
    assert Target.of("https://192.0.2.1:5/").origin == "https://192.0.2.1:5"


@pytest.mark.parametrize(("url", "complaint"), [
    ("127.0.0.1:8080", "is no URL of a Bayeux server"), ("ftp://x/", "is no URL of a Bayeux server"),
    ("http:///x", "is no URL"), ("http://x:99999/", "out of range"), ("http://[::1/", "Invalid IPv6"),
    ("http://a:b@127.0.0.1/", "a password in the URL is not sent"),
    ("http://127.0.0.1/\u00e9", "have to be percent-encoded"), ("http://127.0.0.1/a b", "percent-encoded"),
    ("http://no-such-host.invalid/", "no-such-host.invalid: "), ("http://a..b/", "a..b: ")])
def test_what_is_no_url_is_told(url: str, complaint: str) -> None:
    with pytest.raises(LoadError, match=complaint.replace(".", r"\.")):
        Target.of(url)


@pytest.mark.parametrize(("line", "complaint"), [
    ("nonsense", "is no header"), ("a: b\r\nc: d", "is no header"), ("\u0416: x", "is no header"),
    ("Cookie: a=b", "the header Cookie is made by the driver itself"), ("host: x", "made by the driver")])
def test_what_is_no_header_is_told(line: str, complaint: str) -> None:
    with pytest.raises(LoadError, match=complaint):
        Target.of("http://127.0.0.1/", (line,))


def test_a_certificate_has_to_be_good_unless_told_otherwise() -> None:
    assert Target.of("http://127.0.0.1/").tls() is None
    good = Target.of("https://127.0.0.1/").tls()
    assert good is not None
    assert (good.verify_mode, good.check_hostname) == (ssl.CERT_REQUIRED, True)
    any_ = Target.of("https://127.0.0.1/", verify=False).tls()
    assert any_ is not None
    assert (any_.verify_mode, any_.check_hostname) == (ssl.CERT_NONE, False)
