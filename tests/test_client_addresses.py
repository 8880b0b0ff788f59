"""Where a client finds its server."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.internet.task import Clock
from twisted.web.client import URI, BrowserLikePolicyForHTTPS
from zope.interface import implementer

from bayeux.client.addresses import Address, Endpoints


@pytest.mark.parametrize(("url", "http", "websocket"), [
    ("http://a.org/bayeux", "http://a.org/bayeux", "ws://a.org/bayeux"),
    ("https://a.org:444/b?x=1#frag", "https://a.org:444/b?x=1", "wss://a.org:444/b?x=1"),
    ("ws://a.org", "http://a.org/", "ws://a.org/"),
    ("wss://[::1]:80/b", "https://[::1]:80/b", "wss://[::1]:80/b"),
])
def test_one_address_serves_both_transports(url: str, http: str, websocket: str) -> None:
    address = Address.read(url)
    assert (address.http, address.websocket, address.headers) == (http, websocket, {})


def test_credentials_become_a_header_and_are_not_shown() -> None:
    address = Address.read("https://user:p%40ss@a.org/b")
    assert address.http == "https://a.org/b"
    assert address.headers == {"Authorization": "Basic dXNlcjpwQHNz"}
    assert "dXN" not in repr(address) and "user" not in repr(address)


@pytest.mark.parametrize("url", ["", "a.org/b", "ftp://a.org", "http://", "http:///b", "http://a.org:x/",
                                 "//a",
                                 "http://a.org:99999/"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError):
        Address.read(url)


def test_an_error_does_not_show_credentials() -> None:
    with pytest.raises(ValueError) as caught:
        Address.read("ftp://user:secret@a.org/b")
    assert "secret" not in str(caught.value)


@implementer(IReactorPluggableNameResolver)
class Reactor(Clock):
    nameResolver = None

    def installNameResolver(self, resolver: Any) -> Any:
        raise NotImplementedError


class Policy:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def creatorForNetloc(self, host: bytes, port: int) -> Any:
        self.asked.append((host, port))
        return BrowserLikePolicyForHTTPS().creatorForNetloc(host, port)


def test_plain_connections_need_no_tls() -> None:
    policy = Policy()
    endpoint = Endpoints(Reactor(), policy, 3).endpointForURI(URI.fromBytes(b"http://a.org:81/b"))
    assert isinstance(endpoint, HostnameEndpoint)
    assert policy.asked == []


def test_secure_ones_do_as_the_application_says() -> None:
    policy = Policy()
    endpoint = Endpoints(Reactor(), policy, 3).endpointForURI(URI.fromBytes(b"https://a.org/b"))
    assert not isinstance(endpoint, HostnameEndpoint)
    assert policy.asked == [(b"a.org", 443)]
    assert Endpoints(Reactor(), None, 3).endpointForURI(URI.fromBytes(b"https://[::1]:444/b")) is not None
