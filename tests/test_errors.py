"""errors.py: what a peer is told (BAYEUX.md section 3)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.errors import (
    BayeuxError,
    Denied,
    EnvelopeError,
    InternalError,
    InvalidChannel,
    MalformedEnvelope,
    MalformedMessage,
    MissingClientID,
    MissingField,
    NonceReused,
    TooBusy,
    TooLarge,
    TooMany,
    TooManyMessages,
    Unauthenticated,
    UnknownChannel,
    UnknownClient,
)

ALLOWED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_!~()$@ /*.")


def is_error(text: str) -> bool:
    """Say whether a text is an error as E-1 spells it."""
    code, arguments, words = text.split(":")
    return (re.fullmatch("[0-9]{3}", code) is not None
            and set(arguments) <= {*ALLOWED, ","} and set(words) <= ALLOWED)


@pytest.mark.parametrize(("error", "text"), [
    pytest.param(MalformedMessage(), "400::Malformed message", id="E-10"),
    pytest.param(MissingField("data"), "400:data:Missing field", id="E-11"),
    pytest.param(MissingClientID(), "401::No client ID", id="E-12"),
    pytest.param(UnknownClient("Un1q31d"), "402:Un1q31d:Unknown client ID", id="E-13"),
    pytest.param(UnknownClient(), "402::Unknown client ID", id="E-13 for an id that is no string"),
    pytest.param(Denied("Handshake denied"), "403::Handshake denied", id="E-14"),
    pytest.param(Denied("Publish denied", "/a"), "403:/a:Publish denied", id="E-16"),
    pytest.param(UnknownChannel("/meta/x"), "404:/meta/x:Unknown channel", id="E-18"),
    pytest.param(InvalidChannel("/a/*/b"), "405:/a/*/b:Invalid channel", id="E-19"),
    pytest.param(BayeuxError(301, "Connection types not supported", "flash", "iframe"),
                 "301:flash,iframe:Connection types not supported", id="E-21"),
    pytest.param(Unauthenticated("Invalid signature"), "401::Invalid signature", id="E-23"),
    pytest.param(NonceReused(), "409::Nonce reused", id="E-28"),
    pytest.param(TooLarge(), "413::Message too large", id="E-24"),
    pytest.param(TooMany(), "429::Too many requests", id="E-25"),
    pytest.param(InternalError(), "500::Internal server error", id="E-26"),
    pytest.param(TooBusy(), "503::Server too busy", id="E-27"),
])
def test_what_the_peer_is_told(error: BayeuxError, text: str) -> None:
    assert str(error) == text


@given(st.lists(st.text(max_size=80), max_size=4))
def test_whatever_the_arguments_the_error_keeps_to_the_grammar(arguments: list[str]) -> None:
    """E-1, E-2."""
    assert is_error(str(BayeuxError(400, "Failed", *arguments)))


@given(st.lists(st.text(sorted(ALLOWED), min_size=1, max_size=64), min_size=1))
def test_arguments_within_the_grammar_are_told(arguments: list[str]) -> None:
    """E-1."""
    assert str(BayeuxError(400, "Failed", *arguments)) == f"400:{','.join(arguments)}:Failed"


@pytest.mark.parametrize("argument", [
    "a:b", "a,b", 'a"b', "a'b", "{a}", "<b>", "a\n", "\n", "\x00", "\u00e9", "\u0661", "", "x" * 65])
def test_an_argument_that_does_not_fit_is_left_out(argument: str) -> None:
    """E-3."""
    assert str(BayeuxError(405, "Invalid channel", argument)) == "405::Invalid channel"


def test_an_argument_may_have_64_characters() -> None:
    """E-3."""
    assert str(InvalidChannel("x" * 64)) == f"405:{'x' * 64}:Invalid channel"


def test_one_bad_argument_takes_the_others_with_it() -> None:
    """E-3: which one it was could not be told otherwise."""
    assert str(BayeuxError(301, "Types", "good", "b,ad")) == "301::Types"


@pytest.mark.parametrize("text", ["a:b", "a,b", "{}", "\u00e9", "a\n", '"'])
def test_a_text_of_our_own_outside_the_grammar_is_a_fault_of_the_program(text: str) -> None:
    """E-2."""
    with pytest.raises(ValueError, match="cannot hold"):
        BayeuxError(403, text)


@pytest.mark.parametrize("code", [99, 1000, 0, -403])
def test_a_code_has_three_digits(code: int) -> None:
    """E-1."""
    with pytest.raises(ValueError, match="three digits"):
        BayeuxError(code, "Failed")


@pytest.mark.parametrize("code", [100, 999])
def test_any_three_digits_are_a_code(code: int) -> None:
    """E-1."""
    assert str(BayeuxError(code, "Failed")) == f"{code}::Failed"


def test_an_error_can_be_asked_for_its_parts() -> None:
    error = BayeuxError(403, "Publish denied", "/a")
    assert (error.code, error.text, error.arguments) == (403, "Publish denied", ("/a",))


@pytest.mark.parametrize("refusal", [MalformedEnvelope("not JSON"), TooManyMessages("too many")])
def test_an_envelope_that_cannot_be_answered_is_no_error_of_a_message(refusal: Exception) -> None:
    """M-3: it must never become a reply."""
    assert isinstance(refusal, EnvelopeError)
    assert not isinstance(refusal, BayeuxError)
