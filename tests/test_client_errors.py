"""What a client says has gone wrong (BAYEUX.md section 3)."""

from __future__ import annotations

from typing import Any

import pytest

from bayeux.client import errors
from bayeux.client.errors import BadStatus, PublishRefused, Refused, SubscribeRefused


def test_what_the_server_said_is_taken_apart() -> None:
    """E-1."""
    error = SubscribeRefused({"error": "403:/a,b:Not this: never"}, "/a")
    assert (error.code, error.arguments, error.text) == (403, ("/a", "b"), "Not this: never")
    assert str(error) == "the server refuses to subscribe to /a: 403:/a,b:Not this: never"


@pytest.mark.parametrize(("said", "text"), [
    ("you may not", "you may not"), ("40:x:y", "40:x:y"), ("", "no reason given"), (None, "no reason given"),
    (7, "no reason given"), ({}, "no reason given"),
])
def test_what_follows_no_grammar_is_told_as_it_is(said: Any, text: str) -> None:
    error = PublishRefused({"error": said})
    assert (error.code, error.arguments, error.text) == (0, (), text)


def test_a_reply_without_an_error_can_be_told_too() -> None:
    assert str(errors.SessionEnded({})) == "the server refuses to go on: no reason given"


@pytest.mark.parametrize(("said", "temporary"), [
    ("429::x", True), ("503::x", True), ("500::x", True), ("599::x", True), ("408::x", True), ("403::x",
                                                                                               False),
    ("600::x", False), ("x", False), ("499::x", False),
])
def test_what_means_not_now(said: str, temporary: bool) -> None:
    assert Refused({"error": said}).temporary is temporary


@pytest.mark.parametrize(("said", "unknown"), [
    ("402:C:Unknown client ID", True), ("401:C:Unknown client", True), ("402::session_unknown", True),
    ("403::Unknown client", True), ("402::gone", True), ("402:clientId:Missing required parameter", False),
    ("401::No client ID", False), ("403::x", False),
])
def test_what_means_that_the_session_is_gone_in_any_dialect(said: str, unknown: bool) -> None:
    """E-12, E-13."""
    assert Refused({"error": said}).is_unknown_client is unknown


def test_what_means_that_events_cannot_be_replayed() -> None:
    """XR-9."""
    said = "400::The replayId {5} you provided was invalid. Please provide a valid ID, or -1"
    assert Refused({"error": said}).is_invalid_replay
    assert not Refused({"error": "400::Malformed message"}).is_invalid_replay
    assert not Refused({"error": "403::The replayId"}).is_invalid_replay


@pytest.mark.parametrize(("status", "certain", "lasting"), [
    (301, True, True), (302, True, True), (400, True, True), (401, True, True), (404, True, True),
    (408, False, False), (409, False, True), (413, True, True), (425, True, False), (429, True, False),
    (500, False, False), (502, False, False), (503, False, False), (204, False, False),
])
def test_what_a_status_means(status: int, certain: bool, lasting: bool) -> None:
    """E-4."""
    error = BadStatus(status, "long-polling")
    assert (error.is_certain, error.is_lasting) == (certain, lasting)


def test_a_redirection_says_where_to() -> None:
    assert str(BadStatus(301, "long-polling", "https://b/")) == (
        "the server answers long-polling with HTTP status 301, "
        "which redirects to https://b/: use that address")


def test_every_error_is_one_of_the_clients() -> None:
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, Exception):
            assert issubclass(error, errors.ClientError)
            assert f"``{error.__name__}``" in (errors.__doc__ or "")
