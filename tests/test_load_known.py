"""load/known.py: responses that mean the same."""

from __future__ import annotations

import pytest

from bayeux.load.known import Known

HEAD = b"HTTP/1.1 200 OK\r\n%bContent-Length: 40\r\n\r\n"
DATE = b"Date: Thu, 26 Nov 2026 01:34:43 GMT\r\n"
OTHER = b"Date: Fri, 27 Nov 2026 11:00:00 GMT\r\n"


def response(number: int, date: bytes = b"", rest: bytes = b'"},{"channel":"/meta/connect"}]') -> bytes:
    return HEAD % date + b'[{"m":"bxl-a-%04d' % number + rest


def known(made: bytes) -> Known:
    return Known(made, made.index(b"bxl-"), len(b"bxl-a-0000"))


def test_it_means_the_same_with_another_number() -> None:
    made = known(response(1))
    assert made.means(response(1))
    assert made.means(response(9999))
    assert response(5)[made.event_at:].startswith(b"bxl-a-0005")


@pytest.mark.parametrize("date", [DATE, DATE.replace(b"Date", b"date")])
def test_it_means_the_same_on_another_day(date: bytes) -> None:
    made = known(response(1, date))
    assert made.means(response(2, date.replace(b"Thu, 26", b"Fri, 27")))


@pytest.mark.parametrize("other", [
    response(1, rest=b'"},{"channel":"/meta/conNect"}]'), response(1) + b" ", response(1)[:-1],
    response(1, DATE), response(1).replace(b"200 OK", b"409 OK"), response(1).replace(b"40\r", b"41\r"), b""])
def test_whatever_else_is_different_has_to_be_read(other: bytes) -> None:
    assert not known(response(1)).means(other)


def test_a_header_after_the_date_counts() -> None:
    made = known(response(1, DATE + b"X: 1\r\n"))
    assert made.means(response(1, OTHER + b"X: 1\r\n"))
    assert not made.means(response(1, OTHER + b"X: 2\r\n"))
    assert not made.means(response(1, OTHER.replace(b"Date", b"Datx") + b"X: 1\r\n"))
