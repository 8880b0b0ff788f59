"""What all tests with real clients share: one browser, as each takes two seconds and much memory."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from drivers import chromium
from proxy import Network, network
from selenium.webdriver import Chrome


@pytest.fixture(scope="package")
def browser() -> Iterator[Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as net:
        yield net


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is to be closed after the test."""
    with ExitStack() as stack:
        yield stack
