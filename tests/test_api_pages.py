"""api/pages.py: the files of the admin page, and what their headers forbid."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from tests.api import Desk, error_of
from tests.fakenet import HTTP, request

STATIC = files("bayeux.api") / "static"
NAMES = sorted([*(entry.name for entry in STATIC.iterdir()), "client.js"])
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def text(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ["/", "/admin", "/?x=1"])
def test_who_asks_for_the_port_alone_is_sent_to_the_page(desk: Desk, path: str) -> None:
    response = desk.ask(path, key=None)
    assert response.status == 302
    assert response.headers["location"] == "admin/", "behind a proxy it may be below another path"


@pytest.mark.parametrize("name", ["", *NAMES])
def test_a_file_needs_no_key(desk: Desk, name: str) -> None:
    response = desk.ask(f"/admin/{name}", key=None)
    assert response.status == 200
    kind = TYPES[(name or "index.html").rpartition(".")[2]]
    assert response.headers["content-type"] == f"{kind}; charset=utf-8"
    where = files("bayeux.web") / "static" if name == "client.js" else STATIC
    assert response.body == (where / (name or "index.html")).read_bytes()


@pytest.mark.parametrize("name", ["", *NAMES])
def test_nothing_but_what_comes_from_here_has_a_place_in_the_page(desk: Desk, name: str) -> None:
    headers = desk.ask(f"/admin/{name}", key=None).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'",
        "connect-src": "'self'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'", "trusted-types": "'none'"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


def test_a_file_that_is_known_is_not_sent_again(desk: Desk) -> None:
    """But whether it is still the same is asked each time: a new version of the server has a new page."""
    first = desk.ask("/admin/admin.js", key=None)
    assert first.headers["cache-control"] == "no-cache"
    again = desk.ask("/admin/admin.js", key=None, if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert desk.ask("/admin/admin.css", key=None, if_none_match=first.headers["etag"]).status == 200


def test_the_head_alone(desk: Desk) -> None:
    http = HTTP(desk)
    http.send(request("HEAD", "/admin/"))
    head = http.wire.take()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: %d\r\n" % len((STATIC / "index.html").read_bytes()) in head
    assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("name", [
    "nothing.js", "../openapi.json", "%2e%2e/openapi.json", "../static/index.html", "/index.html",
    "admin.js/", "..%2f..%2fsettings.py", "index.html%00", "client.js/index.html"])
def test_there_is_nothing_else(desk: Desk, name: str) -> None:
    response = desk.ask(f"/admin/{name}", key=None)
    assert error_of(response) == (404, "not_found")
    assert desk.metrics.api_errors == {"not_found": 1}


@pytest.mark.parametrize("path", ["/", "/admin", "/admin/", "/admin/admin.js"])
def test_it_cannot_be_written_to(desk: Desk, path: str) -> None:
    response = desk.ask(path, "POST", b"x")
    assert error_of(response) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD"


class Markup(HTMLParser):
    """What stands in the page that its policy would not run, and what it refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.files: set[str] = set()
        self.labelled: set[str] = set()
        self.fields: set[str] = set()
        self.script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self.script = tag in ("script", "style")
        self.files.update(str(given[name]) for name in ("src", "href") if name in given)
        if tag == "label":
            self.labelled.add(str(given["for"]))
        if tag in ("input", "textarea") and "hidden" not in given:
            self.fields.add(str(given["id"]))

    def handle_data(self, data: str) -> None:
        if self.script and data.strip():
            self.inline.append(data)
        self.script = False


def test_the_page_has_nothing_in_it_that_its_policy_forbids() -> None:
    markup = Markup()
    markup.feed(text("index.html"))
    assert markup.inline == []
    assert markup.files <= set(NAMES)


def test_each_field_has_its_label() -> None:
    markup = Markup()
    markup.feed(text("index.html"))
    assert markup.fields
    assert markup.fields == markup.labelled


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".js") and name != "client.js"])
def test_a_script_knows_no_way_from_text_to_markup_or_code(name: str) -> None:
    """Everything that the page shows was said by somebody else."""
    source = text(name)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|\beval\b|Function\(|"
                         r"DOMParser|createContextualFragment|setHTML|localStorage|\.cookie\b", source)
    assert set(re.findall(r'from "\./([^"]+)"', source)) <= set(NAMES)
