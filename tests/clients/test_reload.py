"""Pages that are loaded again and go on with their session, events flowing all the time (BAYEUX.md 19.7)."""

import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from bare import Publisher
from drivers import Server, Tab, until
from selenium.webdriver import Chrome

RELOADS = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("reload") / "log", timeout=30.0)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def tab(browser: Chrome, server: Server) -> Iterator[Tab]:
    tab = Tab(browser, server.origin)
    browser.execute_script("sessionStorage.clear()")
    yield tab
    tab.close()


@pytest.mark.parametrize("transport", ["websocket", "long-polling"])
def test_a_reloaded_page_keeps_its_session_and_misses_nothing(transport: str, server: Server,
                                                              tab: Tab) -> None:
    start = server.mark()
    publisher = Publisher(server.url, f"/reload/{transport}")
    over = threading.Event()

    def flow() -> None:
        while not over.wait(0.01):
            publisher.publish(2)

    flowing = threading.Thread(target=flow)
    page = tab.only_page("cometd", server.url, {"transports": transport, "extensions": "ack,reload"})
    page.connect()
    page.subscribe(publisher.channel)
    identity = page.client_id
    flowing.start()
    try:
        for _ in range(RELOADS):
            before = publisher.published
            until(lambda: [number for _, number in page.received if number > before], page.said)  # noqa: B023 - as above
            page.reload()
            page.connect()
            assert (page.client_id, page.carrier) == (identity, transport)
    finally:
        over.set()
        flowing.join()
    publisher.publish(1)
    until(lambda: (publisher.channel, publisher.published) in page.received, page.said)
    heard = [number for _, number in page.received]
    assert list(dict.fromkeys(heard)) == list(range(1, publisher.published + 1))
    # What the page has handled, but not acknowledged before it went, comes once more (N-9), and in order.
    assert sum(after <= before for before, after in pairwise(heard)) <= RELOADS
    page.disconnect()
    publisher.close()
    assert [note["message"] for note in server.notes(start).messages].count("/meta/handshake") == 2
