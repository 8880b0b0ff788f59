"""origins.py: which pages may use the server (BAYEUX.md O-1 to O-8)."""

from __future__ import annotations

import pytest

from bayeux.settings import Settings
from bayeux.transports import Headers, HTTPRequest, RequestHeaders
from bayeux.transports.origins import Origins

ELSEWHERE = "https://elsewhere.example"


def request(secure: bool = False, host: str = "here.example", **headers: str) -> HTTPRequest:
    """Make a request with these headers, ``_`` for ``-``."""
    fields = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return HTTPRequest(b"POST", b"/bayeux", lambda name: fields.get(name, ""), b"", secure=secure)


def check(settings: Settings, request: HTTPRequest, script: bool = False) -> Headers | None:
    return Origins(settings).check(request, script)


def cors_for(origin: bytes) -> dict[bytes, bytes]:
    return {b"Access-Control-Allow-Origin": origin, b"Access-Control-Allow-Credentials": b"true",
            b"Vary": b"Origin"}


DEFAULTS = Settings()
ALLOWING = Settings(allowed_origins=(ELSEWHERE, "http://third.example:8080"))
PUBLIC = Settings(allowed_origins=("*",))


# -- the server's own origin --------------------------------------------------------------------


@pytest.mark.parametrize(("secure", "host", "origin"), [
    (False, "here.example", "http://here.example"), (True, "here.example", "https://here.example"),
    (False, "here.example:8080", "http://here.example:8080"), (False, "Here.EXAMPLE", "http://here.example"),
    (False, "127.0.0.1:8080", "http://127.0.0.1:8080"), (False, "[::1]:8080", "http://[::1]:8080")])
def test_the_own_origin_is_welcome(secure: bool, host: str, origin: str) -> None:
    """O-1."""
    cors = check(DEFAULTS, request(secure, host, origin=origin))
    assert dict(cors or ()) == cors_for(origin.encode())


@pytest.mark.parametrize(("secure", "host", "origin"), [
    (False, "here.example:80", "http://here.example"), (True, "here.example:443", "https://here.example")])
def test_a_default_port_that_is_spelled_out_is_no_difference(secure: bool, host: str, origin: str) -> None:
    """O-1: scheme, host and port are the same; proxies send ``Host: $host:$server_port``."""
    assert check(DEFAULTS, request(secure, host, origin=origin)) is not None


@pytest.mark.parametrize("origin", [
    ELSEWHERE, "https://here.example", "http://here.example:8080", "http://www.here.example", "http://here.exampl",
    "http://here.example.evil.example", "http://here.example/", "http://evil.example/http://here.example",
    "here.example", "null", "*", "http://", "file://", "HTTP://HERE.EXAMPLE", "http://here.example, http://x"])
def test_any_other_origin_is_refused(origin: str) -> None:
    """O-1, O-4, O-5."""
    assert check(DEFAULTS, request(origin=origin)) is None


def test_a_public_url_is_the_own_origin() -> None:
    """O-8: behind a proxy that speaks https to browsers."""
    settings = Settings(public_url="https://www.example.org")
    cors = check(settings, request(host="10.0.0.5:8080", origin="https://www.example.org"))
    assert dict(cors or ()) == cors_for(b"https://www.example.org")


def test_with_a_public_url_the_host_header_says_nothing() -> None:
    """O-8."""
    settings = Settings(public_url="https://www.example.org")
    assert check(settings, request(host="evil.example", origin="http://evil.example")) is None


@pytest.mark.parametrize("headers", [
    {"x_forwarded_host": "elsewhere.example", "x_forwarded_proto": "https"},
    {"forwarded": "host=elsewhere.example;proto=https"}, {"referer": "http://here.example/page"}])
def test_headers_that_anybody_can_send_say_nothing(headers: dict[str, str]) -> None:
    """O-5, O-8."""
    assert check(DEFAULTS, request(origin=ELSEWHERE, **headers)) is None


# -- others -------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [ELSEWHERE, "http://third.example:8080", "http://here.example"])
def test_an_allowed_origin_is_welcome_and_told_so(origin: str) -> None:
    """O-1, O-3: by its name, as ``*`` does not work with credentials."""
    assert dict(check(ALLOWING, request(origin=origin)) or ()) == cors_for(origin.encode())


@pytest.mark.parametrize("origin", [
    "http://elsewhere.example", "https://elsewhere.example:8443", "https://www.elsewhere.example",
    "http://third.example", "https://elsewhere.example.evil", "null"])
def test_an_origin_is_allowed_exactly(origin: str) -> None:
    """O-1, O-5."""
    assert check(ALLOWING, request(origin=origin)) is None


def test_a_public_server_welcomes_everybody_by_name() -> None:
    """O-1, O-3."""
    assert dict(check(PUBLIC, request(origin=ELSEWHERE)) or ()) == cors_for(ELSEWHERE.encode())


def test_the_null_origin_is_welcome_where_it_is_listed() -> None:
    """O-5."""
    settings = Settings(allowed_origins=("null",))
    assert dict(check(settings, request(origin="null")) or ()) == cors_for(b"null")


def test_a_public_server_does_not_welcome_the_null_origin() -> None:
    """O-5: "only if listed literally"."""
    assert check(PUBLIC, request(origin="null")) is None


# -- the name that a server is called by ---------------------------------------------------------


NAMED = Settings(allowed_hosts=("here.example", "127.0.0.1", "[::1]"))


@pytest.mark.parametrize("host", [
    "here.example", "HERE.example:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]"])
def test_a_server_is_called_by_its_names(host: str) -> None:
    """O-1: whatever the port."""
    assert check(NAMED, request(host=host)) == ()
    assert check(NAMED, request(host=host, origin=f"http://{host.lower()}")) is not None


@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:8080", "here.example.evil.example", "", "here.example.", "x.here.example",
    "here.example:8080:80", "here.example@x", "[::1", "[::2]:80"])
@pytest.mark.parametrize("script", [False, True])
def test_who_has_been_told_another_name_is_refused(host: str, script: bool) -> None:
    """O-1: a page of that name is this server's own, to its browser, and its GETs have no origin."""
    assert check(NAMED, request(host=host, sec_fetch_site="same-origin"), script) is None
    assert check(NAMED, request(host=host, origin=f"http://{host}"), script) is None


@pytest.mark.parametrize(("host", "outside", "welcome"), [
    pytest.param("127.0.0.1:8080", "here.example", True, id="the proxy calls the server by another"),
    pytest.param("here.example", "here.example:8443", True, id="by the same"),
    pytest.param("127.0.0.1:8080", "evil.example", False, id="the proxy was called by a wrong one"),
    pytest.param("evil.example", "here.example", False, id="the server was"),
    pytest.param("here.example", "here.example, evil.example", False, id="no name at all")])
def test_a_proxy_in_front_is_called_by_them_too(host: str, outside: str, welcome: bool) -> None:
    """O-1, O-8: by what it says in X-Forwarded-Host, as its Host may be its own idea."""
    asked = request(host=host, sec_fetch_site="same-origin")
    asked.host = outside  # as one that is trusted has said
    assert (check(NAMED, asked) == ()) is welcome


def test_by_default_a_server_has_any_name() -> None:
    assert check(DEFAULTS, request(host="whatever.example", origin="http://whatever.example")) is not None


# -- no origin ----------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [DEFAULTS, ALLOWING, PUBLIC])
def test_a_program_that_sends_no_origin_is_welcome(settings: Settings) -> None:
    """O-6: and gets no headers that are for browsers."""
    assert check(settings, request()) == ()


@pytest.mark.parametrize("settings", [Settings(require_origin=True),
                                      Settings(require_origin=True, allowed_origins=("*",))])
@pytest.mark.parametrize("script", [False, True])
def test_an_origin_may_be_required(settings: Settings, script: bool) -> None:
    """O-6."""
    assert check(settings, request(), script) is None


def test_a_required_origin_that_is_there_is_welcome() -> None:
    """O-6."""
    assert check(Settings(require_origin=True), request(origin="http://here.example")) is not None


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_browser_s_own_request_without_an_origin_is_welcome(site: str) -> None:
    """O-6: browsers send none with a GET to their own site."""
    assert check(DEFAULTS, request(sec_fetch_site=site), script=True) == ()


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("settings", [DEFAULTS, ALLOWING, PUBLIC])
def test_another_site_s_request_without_an_origin_is_refused(settings: Settings, site: str) -> None:
    """O-6."""
    assert check(settings, request(sec_fetch_site=site)) is None


@pytest.mark.parametrize(("settings", "welcome"), [(DEFAULTS, False), (ALLOWING, True), (PUBLIC, True)])
def test_another_site_s_script_is_welcome_where_any_other_site_is(settings: Settings, welcome: bool) -> None:
    """O-6: a JSONP request has no origin."""
    assert (check(settings, request(sec_fetch_site="cross-site"), script=True) == ()) is welcome


def test_a_script_of_a_named_origin_is_judged_by_that() -> None:
    """O-4."""
    assert check(ALLOWING, request(origin="https://evil.example"), script=True) is None


# -- what browsers send by themselves -----------------------------------------------------------


NAMED_TOO = Settings(allowed_origins=("*", ELSEWHERE))
SENT = {"cookie": "session=ann", "authorization": "Basic eA==", "x_one": "1"}


def seen(settings: Settings, script: bool = False, **headers: str) -> tuple[str, ...]:
    """Return what a policy sees of a request's credentials, and of another header."""
    header = Origins(settings).disclose(request(**{**SENT, **headers}), script).header
    return tuple(map(header, ("cookie", "authorization", "x-one")))


@pytest.mark.parametrize(("settings", "origin"), [
    (DEFAULTS, "http://here.example"), (PUBLIC, "http://here.example"), (ALLOWING, ELSEWHERE),
    (NAMED_TOO, ELSEWHERE), (DEFAULTS, ""), (PUBLIC, ""),
    (Settings(allowed_origins=("*",), public_url="https://www.example.org"), "https://www.example.org")])
def test_pages_that_are_named_act_for_their_users(settings: Settings, origin: str) -> None:
    """O-1: and the server's own, and programs."""
    assert seen(settings, origin=origin) == ("session=ann", "Basic eA==", "1")


@pytest.mark.parametrize(("settings", "origin"), [
    (PUBLIC, ELSEWHERE), (NAMED_TOO, "http://elsewhere.example"), (PUBLIC, "https://here.example"),
    (Settings(allowed_origins=("*",), public_url="https://www.example.org"), "http://here.example")])
def test_pages_of_all_the_world_do_not(settings: Settings, origin: str) -> None:
    """O-1, O-4: a browser adds cookies and a password to what they send, whoever has made them."""
    assert seen(settings, origin=origin) == ("", "", "1")


@pytest.mark.parametrize(("value", "shown"), [("Bearer x", True), ("bearer x", True), ("Bearer", False),
                                              ("Bearerx", False), ("Negotiate Bearer x", False)])
def test_what_a_page_has_to_know_itself_is_shown(value: str, shown: bool) -> None:
    """O-1: no browser adds that by itself."""
    assert seen(PUBLIC, origin=ELSEWHERE, authorization=value) == ("", value if shown else "", "1")


@pytest.mark.parametrize("settings", [DEFAULTS, ALLOWING, PUBLIC])
def test_by_a_script_nobody_is_known(settings: Settings) -> None:
    """J-11: any page can have one loaded."""
    assert seen(settings, script=True) == ("", "", "1")


def test_the_names_of_what_is_not_shown_are_left_out_too() -> None:
    """O-1: streams keep all headers that are named."""
    asked = HTTPRequest(b"GET", b"/bayeux", RequestHeaders([
        ("cookie", "a"), ("authorization", "Basic x"), ("origin", ELSEWHERE)]), b"")
    assert list(Origins(PUBLIC).disclose(asked).header.names()) == ["origin"]


# -- preflight ----------------------------------------------------------------------------------


def preflight(settings: Settings) -> dict[bytes, bytes]:
    origins = Origins(settings)
    cors = origins.check(request(origin=ELSEWHERE))
    assert cors is not None
    return dict(origins.preflight(cors))


def test_a_preflight_says_what_is_allowed() -> None:
    """O-2."""
    assert preflight(ALLOWING) == {
        **cors_for(ELSEWHERE.encode()),
        b"Access-Control-Allow-Methods": b"POST, GET, OPTIONS",
        b"Access-Control-Allow-Headers": b"Accept, Authorization, Content-Type, Pragma, X-Requested-With",
        b"Access-Control-Max-Age": b"86400",
    }


def test_a_preflight_allows_the_headers_that_are_configured() -> None:
    """O-2."""
    settings = Settings(allowed_origins=(ELSEWHERE,), allowed_headers=("X-Token", "X-Tenant"))
    allowed = preflight(settings)[b"Access-Control-Allow-Headers"]
    assert allowed.endswith(b", X-Requested-With, X-Token, X-Tenant")
