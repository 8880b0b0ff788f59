"""versions.py: which clients speak our version (BAYEUX.md H-8, E-20)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeux.errors import BayeuxError
from bayeux.versions import VERSION, check_version


@pytest.mark.parametrize("version", ["1.0", "1.0beta", "1.0.1", "1.1", "1.10", "2", "10.0", "1.0.0.0",
                                     "1." + "0" * 30])
def test_our_version_and_later_ones_are_welcome(version: str) -> None:
    """H-8: each of them may understand ours, unless it says otherwise."""
    check_version(version, None)


@pytest.mark.parametrize(("version", "minimum"), [
    ("1.0beta", "1.0"), ("1.0.1", "1.0"), ("1.1", "1.0"), ("2.0", "1.0"), ("1.0", "0.9"), ("1.0", "1"),
    ("1.0", "1.0"), ("1.0", "0.10")])
def test_a_client_that_goes_down_to_our_version_is_welcome(version: str, minimum: str) -> None:
    """H-8; dojox.cometd sends ``minimumVersion`` 0.9."""
    check_version(version, minimum)


@pytest.mark.parametrize("version", ["0.9", "0.10", "0", "1", "0.9.9.9", "0.99999999999999999999"])
def test_an_older_client_is_turned_away(version: str) -> None:
    """H-8, E-20: numbers are compared as numbers, and what is missing comes before everything."""
    with pytest.raises(BayeuxError) as refusal:
        check_version(version, None)
    assert str(refusal.value) == f"300:{version}:Version mismatch"


@pytest.mark.parametrize("minimum", ["1.0.1", "1.1", "1.10", "2", "2.0", "1.0beta", "1.0.0"])
def test_a_client_that_wants_a_later_version_is_turned_away(minimum: str) -> None:
    """H-8, E-20."""
    with pytest.raises(BayeuxError) as refusal:
        check_version("2.0", minimum)
    assert str(refusal.value) == "300:2.0:Version mismatch"


@pytest.mark.parametrize("version", [
    "", ".", "1.", ".1", "1..0", "v1.0", "one", "1,0", " 1.0", "1.0 ", "1.0\n", "-1.0", "+1.0", "\uff11.0",
    "1.\u0660", "1.0:x", "1.0beta.gamma delta", "1.0/", "1." + "0" * 31])
def test_what_is_no_version_is_a_mismatch(version: str) -> None:
    """H-8, E-20."""
    with pytest.raises(BayeuxError) as refusal:
        check_version(version, None)
    assert refusal.value.code == 300


@pytest.mark.parametrize("version", ["1.-1", "0beta"])
def test_what_sorts_before_our_version_as_text_is_a_mismatch(version: str) -> None:
    """H-8: what is not numeric on both sides is compared as strings, and "-1" < "0", "0beta" < "1"."""
    with pytest.raises(BayeuxError):
        check_version(version, None)


@pytest.mark.parametrize("minimum", ["", "bogus", "1.0\n", "."])
def test_a_minimum_that_is_no_version_is_a_mismatch(minimum: str) -> None:
    """H-8, E-20."""
    with pytest.raises(BayeuxError) as refusal:
        check_version("1.0", minimum)
    assert str(refusal.value) == "300:1.0:Version mismatch"


@given(st.text(), st.none() | st.text())
def test_no_text_is_more_than_a_mismatch(version: str, minimum: str | None) -> None:
    """E-20."""
    try:
        check_version(version, minimum)
    except BayeuxError as error:
        assert error.code == 300


numbers = st.lists(st.integers(0, 30), min_size=1, max_size=4)


@given(numbers, numbers)
def test_numbers_are_compared_as_numbers(version: list[int], minimum: list[int]) -> None:
    """H-8."""
    ours = [int(element) for element in VERSION.split(".")]
    compatible = minimum <= ours <= version
    try:
        check_version(".".join(map(str, version)), ".".join(map(str, minimum)))
    except BayeuxError:
        assert not compatible
    else:
        assert compatible
