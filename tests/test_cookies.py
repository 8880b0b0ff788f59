"""cookies.py: the cookie that tells browsers apart (BAYEUX.md B-1)."""

from __future__ import annotations

import pytest

from bayeux.session import new_id
from bayeux.settings import Settings
from bayeux.transports import HTTPRequest
from bayeux.transports.cookies import BrowserCookie

VALUE = "abcdefghijklmnopqrstuvwxyz0"


def request(cookie: str = "", secure: bool = False) -> HTTPRequest:
    return HTTPRequest(b"POST", b"/bayeux", {"cookie": cookie}.get, b"", secure=secure)


def read(cookie: str, settings: Settings | None = None) -> str | None:
    return BrowserCookie(settings or Settings()).read(request(cookie))


def attributes(settings: Settings, secure: bool = False) -> list[str]:
    written = BrowserCookie(settings).write(VALUE, secure).decode()
    return written.split("; ")


@pytest.mark.parametrize("cookie", [
    f"BAYEUX_BROWSER={VALUE}", f"a=b; BAYEUX_BROWSER={VALUE}; c=d", f"a=b;BAYEUX_BROWSER={VALUE};c=d",
    f" BAYEUX_BROWSER={VALUE} ", f"BAYEUX_BROWSER=; BAYEUX_BROWSER={VALUE}",
    f"XBAYEUX_BROWSER={VALUE[::-1]}; BAYEUX_BROWSER={VALUE}", f"BAYEUX_BROWSER; BAYEUX_BROWSER={VALUE}"])
def test_the_cookie_is_found_among_others(cookie: str) -> None:
    """B-1."""
    assert read(cookie) == VALUE


@pytest.mark.parametrize("cookie", [
    "", "a=b", f"bayeux_browser={VALUE}", f"BAYEUX_BROWSERS={VALUE}", f"XBAYEUX_BROWSER={VALUE}",
    f"a=BAYEUX_BROWSER={VALUE}", "BAYEUX_BROWSER", f"JSESSIONID={VALUE}"])
def test_no_cookie_is_no_browser(cookie: str) -> None:
    """B-2, B-7."""
    assert read(cookie) is None


@pytest.mark.parametrize("value", [
    "", "x" * 15, "x" * 65, f'"{VALUE}"', f"{VALUE}-{VALUE}", f"{VALUE}=", f"{VALUE}\u00e9", "\u0661" * 20,
    f"{VALUE}\n{VALUE}", f"{VALUE} {VALUE}", "<script>alert(1)</script>"])
def test_a_cookie_that_we_cannot_have_set_is_no_browser(value: str) -> None:
    """B-1: "well-formed"."""
    assert read(f"BAYEUX_BROWSER={value}") is None


@pytest.mark.parametrize("value", ["x" * 16, "x" * 64, "0" * 27])
def test_ids_of_other_lengths_are_kept(value: str) -> None:
    """B-1: so that the length may change from one release to the next."""
    assert read(f"BAYEUX_BROWSER={value}") == value


def test_what_we_set_we_read() -> None:
    """B-1."""
    value = new_id()
    cookie = BrowserCookie(Settings())
    sent = cookie.write(value, secure=False).decode().partition(";")[0]
    assert cookie.read(request(sent)) == value


def test_the_name_is_configurable() -> None:
    """B-1; B10d1 called it ``Bayeux_HTTP_ID``."""
    settings = Settings(cookie_name="Bayeux_HTTP_ID")
    assert read(f"BAYEUX_BROWSER={VALUE[::-1]}; Bayeux_HTTP_ID={VALUE}", settings) == VALUE
    assert attributes(settings)[0] == f"Bayeux_HTTP_ID={VALUE}"


def test_by_default_it_lives_as_long_as_the_browser_for_the_whole_host() -> None:
    """B-1: no ``Max-Age``, no ``Domain``, not for scripts."""
    assert attributes(Settings()) == [f"BAYEUX_BROWSER={VALUE}", "Path=/", "HttpOnly", "SameSite=Lax"]


@pytest.mark.parametrize(("settings", "attribute"), [
    (Settings(cookie_path="/app"), "Path=/app"),
    (Settings(cookie_domain="example.org"), "Domain=example.org"),
    (Settings(cookie_max_age=3600), "Max-Age=3600"),
    (Settings(cookie_same_site="None"), "SameSite=None"),
    (Settings(cookie_same_site="Strict"), "SameSite=Strict"),
    (Settings(cookie_partitioned=True), "Partitioned")])
def test_its_attributes_are_configurable(settings: Settings, attribute: str) -> None:
    """B-1."""
    assert attribute in attributes(settings)


def test_it_may_be_without_same_site() -> None:
    """B-1."""
    assert attributes(Settings(cookie_same_site="")) == [f"BAYEUX_BROWSER={VALUE}", "Path=/", "HttpOnly"]


@pytest.mark.parametrize(("public_url", "secure", "expected"), [
    ("", False, False), ("", True, True), ("https://example.org", False, True),
    ("http://example.org", False, False), ("https://example.org", True, True)])
def test_it_is_secure_where_browsers_see_https(public_url: str, secure: bool, expected: bool) -> None:
    """B-1."""
    assert ("Secure" in attributes(Settings(public_url=public_url), secure)) is expected
