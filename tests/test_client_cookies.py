"""The cookies of a client (BAYEUX.md 14.4)."""

from __future__ import annotations

from http.cookiejar import CookieJar

import pytest

from bayeux.client import cookies


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "example.org", "[::1]:8080"])
def test_a_cookie_goes_back_where_it_came_from(host: str) -> None:
    """B-1; other clients lose the cookies of hosts that are IP addresses."""
    jar = CookieJar()
    url = f"http://{host}/bayeux"
    cookies.write(jar, url, ["BAYEUX_BROWSER=abc; Path=/; HttpOnly; SameSite=Lax", "node=n1; Path=/"])
    assert sorted(cookies.read(jar, url).split("; ")) == ["BAYEUX_BROWSER=abc", "node=n1"]


def test_it_goes_nowhere_else() -> None:
    jar = CookieJar()
    cookies.write(jar, "http://a.example.org/bayeux", ["x=1; Path=/bayeux"])
    assert cookies.read(jar, "http://b.example.org/bayeux") == ""
    assert cookies.read(jar, "http://a.example.org/other") == ""


def test_a_secure_cookie_stays_secure() -> None:
    jar = CookieJar()
    cookies.write(jar, "https://example.org/", ["x=1; Secure"])
    assert cookies.read(jar, "http://example.org/") == ""
    assert cookies.read(jar, "https://example.org/") == "x=1"


@pytest.mark.parametrize("bad", ["", ";;;", "=", "x", "\x00=1", "a=b; Domain=other.org", "a=b; Max-Age=x"])
def test_bad_cookies_do_no_harm(bad: str) -> None:
    jar = CookieJar()
    cookies.write(jar, "http://example.org/", [bad, "good=1"])
    assert "good=1" in cookies.read(jar, "http://example.org/")
