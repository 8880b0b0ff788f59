"""load/press.py: what is published, when, by whom."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from bayeux.load import press as module
from bayeux.load.client import State
from bayeux.load.press import Press, Publisher
from bayeux.load.scenario import Phase
from bayeux.load.schedule import Schedule
from bayeux.load.signer import Signer
from bayeux.load.tally import Tally
from bayeux.signatures import digest, publish_text
from tests.loading import FakeCarrier, FakeCrew, FakeStream, Message

MS = 1_000_000
SHAKEN = {"channel": "/meta/handshake", "successful": True, "clientId": "abc"}


class Fake(Publisher):
    CARRIERS: ClassVar[Any] = {"long-polling": FakeCarrier, "websocket": FakeStream}
    __slots__ = ()


class Playing:
    """Publishers, and a schedule of 10 messages a second on two channels."""

    def __init__(self, kind: str, *mine: int, publishers: int = 1, size: int = 50,
                 signer: Signer | None = None) -> None:
        crew = FakeCrew()
        self.loop = crew.loop
        self.schedule = Schedule((Phase(1.0, 10.0), Phase(1.0, 10.0)), self.loop.now, 2, publishers)
        self.tally = Tally(self.schedule, FakeCrew.mark, self.loop.clock)
        self.press = Press(crew.place, self.tally, FakeCrew.mark, "", size, signer)
        self.press.channels = ["/load/a", "/load/b"]
        for number in mine:
            self.press.add(number, kind)
        self.press.follow(self.schedule)
        self.publishers = list(self.press._mine.values())

    def live(self) -> None:
        self.press.come()
        for publisher in self.publishers:
            self.carrier(publisher).answer(SHAKEN)
            self.carrier(publisher).sent.clear()

    def carrier(self, publisher: Publisher) -> FakeCarrier:
        carrier = publisher.carrier
        assert isinstance(carrier, FakeCarrier)
        return carrier

    def at(self, number: int, late: int = 0) -> int:
        """Publish when a message is due, or so many milliseconds later; returns when the next is."""
        self.loop.now = self.schedule.due(number) + late * MS
        return self.press.publish_due(self.loop.now)


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "Publisher", Fake)
    yield


def published(carrier: FakeCarrier) -> list[tuple[str, int]]:
    """Return channels and numbers of what has been sent since the last time."""
    messages = [json.loads(text)[0] for text in carrier.sent if "/meta/" not in text]
    carrier.sent.clear()
    return [(message["channel"], int(message["data"]["m"].rstrip(".")[-10:])) for message in messages]


def test_a_message_is_published_when_it_is_due() -> None:
    playing = Playing("websocket", 0)
    playing.live()
    carrier = playing.carrier(playing.publishers[0])
    assert playing.at(0) == playing.schedule.due(1)
    assert published(carrier) == [("/load/a", 0)]
    assert playing.press.publish_due(playing.loop.now) == playing.schedule.due(1)
    assert published(carrier) == []
    assert playing.at(2) == playing.schedule.due(3)
    assert published(carrier) == [("/load/b", 1), ("/load/a", 2)]


def test_what_is_published_can_be_signed() -> None:
    """Y-1 to Y-3: each with a nonce of its own; the data that subscribers get has its size."""
    playing = Playing("websocket", 0, signer=Signer("web-a", b"s" * 32))
    playing.live()
    playing.at(1)
    messages = [json.loads(text)[0] for text in playing.carrier(playing.publishers[0]).sent]
    for message in messages:
        seal = message["ext"]["hmac"]
        text = publish_text("web-a", seal["ts"], seal["nonce"], message["channel"], message["data"])
        assert seal["sig"] == digest(b"s" * 32, text).hex()
        assert abs(seal["ts"] - time.time()) < 60
        assert re.fullmatch("[A-Za-z0-9_-]{16,64}", seal["nonce"])
        assert len(message["data"]) == 50
        assert message["clientId"] == "abc"
    assert [json.loads(message["data"])["m"].rstrip(".")[-10:] for message in messages] == [
        "0000000000", "0000000001"]
    assert len({message["ext"]["hmac"]["nonce"] for message in messages}) == 2


def test_what_is_published_has_its_size_and_names_its_client() -> None:
    playing = Playing("websocket", 0, size=200)
    playing.live()
    playing.at(0)
    [message] = json.loads(playing.carrier(playing.publishers[0]).sent[0])
    assert len(json.dumps(message["data"], separators=(",", ":"))) == 200
    assert message["clientId"] == "abc"


def test_each_publishes_its_own_and_a_worker_only_its_publishers() -> None:
    playing = Playing("websocket", 1, publishers=2)
    playing.live()
    assert playing.press.publish_due(playing.loop.now) == playing.schedule.due(1)
    playing.at(19)
    assert published(playing.carrier(playing.publishers[0])) == [("/load/b", number)
                                                                 for number in range(1, 20, 2)]
    assert playing.press.publish_due(playing.loop.now) == playing.schedule.stop


def test_a_worker_without_publishers_has_nothing_due() -> None:
    playing = Playing("websocket")
    assert playing.at(5) == playing.schedule.stop
    assert playing.press.has_come


def test_it_does_not_publish_more_than_so_many_before_the_loop_reads() -> None:
    crew = FakeCrew()
    playing = Playing("websocket", 0)
    playing.schedule = Schedule((Phase(1.0, 1000.0),), crew.loop.now, 2, 1)
    playing.press.follow(playing.schedule)
    playing.live()
    assert playing.at(100) == playing.loop.now
    assert playing.press.sent == 64
    playing.at(100)
    assert playing.press.sent == 101


def test_by_how_much_a_message_is_late_is_noted() -> None:
    playing = Playing("websocket", 0)
    playing.live()
    playing.at(0)
    playing.at(1, late=30)
    assert list(playing.press.late) == [0, 30_000]


def test_what_was_sent_is_counted_by_phase() -> None:
    playing = Playing("websocket", 0)
    playing.live()
    playing.at(12)
    assert (playing.press.sent, playing.press.sent_by_phase) == (13, [10, 3])


def test_nothing_is_published_after_a_cut() -> None:
    playing = Playing("websocket", 0)
    playing.live()
    playing.at(3)
    playing.schedule.cut(playing.loop.now + 1)
    assert playing.at(9) == playing.schedule.stop
    assert playing.press.sent == 4


def test_what_is_due_while_a_publisher_is_away_waits_for_it() -> None:
    playing = Playing("websocket", 0)
    publisher = playing.publishers[0]
    playing.press.come()
    playing.at(2)
    assert (playing.press.unsent, playing.press.has_come) == (3, False)
    playing.carrier(publisher).answer(SHAKEN)
    assert (playing.press.unsent, playing.press.has_come) == (0, True)
    assert [number for _, number in published(playing.carrier(publisher))] == [0, 1, 2]


def test_what_the_press_did_not_get_to_is_unsent_and_only_its_own() -> None:
    playing = Playing("websocket", 1, publishers=2)
    playing.live()
    playing.at(3)
    playing.loop.now = playing.schedule.due(13)
    assert (playing.press.is_behind, playing.press.unsent) == (True, 5)  # 5, 7 ... 13
    playing.loop.now = playing.schedule.stop
    assert playing.press.unsent == 8
    playing.at(19)
    assert (playing.press.is_behind, playing.press.unsent) == (False, 0)


def test_what_is_cut_is_not_unsent() -> None:
    playing = Playing("websocket", 0)
    playing.live()
    playing.at(3)
    playing.schedule.cut(playing.loop.now + 1)
    playing.loop.now += 1000 * MS
    assert (playing.press.is_behind, playing.press.unsent) == (False, 0)


def test_a_worker_without_publishers_has_nothing_unsent() -> None:
    playing = Playing("websocket")
    assert (playing.press.is_behind, playing.press.unsent) == (False, 0)


def test_a_refused_publish_is_counted_with_its_reason() -> None:
    playing = Playing("websocket", 0)
    playing.live()
    carrier = playing.carrier(playing.publishers[0])
    carrier.answer({"channel": "/load/a", "successful": False, "error": "403:/load/a:Publish denied"},
                   {"channel": "/load/a", "successful": True})
    assert (playing.press.refused, playing.tally.errors) == (1, {"publish: 403 Publish denied": 1})


def test_what_goes_wrong_with_a_publisher_is_told_as_such() -> None:
    playing = Playing("websocket", 0)
    playing.live()
    playing.publishers[0].gone("connection closed")
    assert playing.tally.errors == {"publisher: connection closed": 1}
    playing.press.ended(playing.publishers[0])
    playing.publishers[0].state = State.OVER
    assert playing.press.has_come


# -- by long-polling ----------------------------------------------------------------------------

class Desk:
    """The second connection of a publisher."""

    def __init__(self, place: Any, receiver: Any, cookies: dict[str, str]) -> None:
        self.receiver, self.cookies = receiver, cookies
        self.sent: list[str] = []
        self.closed = False

    def settle(self) -> None:
        pass

    def post(self, text: str) -> None:
        self.receiver.opened()
        self.sent.append(text)

    def close(self) -> None:
        self.closed = True

    def answer(self, *messages: Message) -> None:
        self.receiver.received(json.dumps(messages).encode())


@pytest.fixture
def desks(monkeypatch: pytest.MonkeyPatch) -> list[Desk]:
    made: list[Desk] = []

    class Posts(FakeCarrier):
        """What a carrier is compared with; making one makes a desk."""

        def __new__(cls, place: Any, receiver: Any, cookies: Any = None) -> Any:
            if cookies is None:
                return super().__new__(cls)
            made.append(Desk(place, receiver, cookies))
            return made[-1]

    monkeypatch.setattr(module, "Posts", Posts)
    monkeypatch.setattr(Fake, "CARRIERS", {"long-polling": Posts})
    return made


TAKEN = {"channel": "/load/a", "successful": True}


def test_one_request_at_a_time_and_what_is_due_meanwhile_waits(desks: list[Desk]) -> None:
    playing = Playing("long-polling", 0)
    playing.live()
    [desk] = desks
    playing.at(2)
    assert (len(desk.sent), playing.press.unsent) == (1, 2)
    desk.answer(TAKEN)
    desk.answer(TAKEN)
    assert [json.loads(text)[0]["channel"] for text in desk.sent] == ["/load/a", "/load/b", "/load/a"]
    desk.answer(TAKEN)
    assert (len(desk.sent), playing.press.unsent, playing.press.refused) == (3, 0, 0)


def test_the_second_connection_has_the_cookies_of_the_first(desks: list[Desk]) -> None:
    playing = Playing("long-polling", 0)
    playing.press.come()
    playing.carrier(playing.publishers[0]).cookies = {"A": "1"}
    playing.carrier(playing.publishers[0]).answer(SHAKEN)
    assert desks[0].cookies == {"A": "1"}


@pytest.mark.parametrize(("fail", "told"), [
    (lambda desk: desk.receiver.gone("HTTP 503"), "publish: HTTP 503"),
    (lambda desk: desk.receiver.received(b"<html>"), "publish: not Bayeux: '<html>'"),
    (lambda desk: desk.answer({"channel": "/load/a", "successful": False, "error": "429::Too many requests"}),
     "publish: 429 Too many requests")])
def test_a_publish_that_fails_is_counted_and_the_next_is_sent(
        desks: list[Desk], fail: Any, told: str) -> None:
    playing = Playing("long-polling", 0)
    playing.live()
    playing.at(1)
    fail(desks[0])
    assert (playing.press.refused, playing.tally.errors) == (1, {told: 1})
    assert len(desks[0].sent) == 2


def test_an_event_in_an_answer_is_nothing_to_a_publisher(desks: list[Desk]) -> None:
    playing = Playing("long-polling", 0)
    playing.live()
    playing.at(0)
    desks[0].answer({"channel": "/x", "data": 1}, TAKEN)
    assert playing.press.refused == 0


@pytest.mark.parametrize("busy", [False, True])
def test_a_publisher_with_a_new_session_has_a_new_connection(desks: list[Desk], busy: bool) -> None:
    playing = Playing("long-polling", 0)
    playing.live()
    if busy:
        playing.at(0)
    playing.publishers[0].gone("connection closed")
    playing.loop.advance(1)
    assert (len(desks), desks[0].closed) == (2, not busy)
    if busy:
        desks[0].answer(TAKEN)
        assert desks[0].closed
    playing.at(2)
    assert len(desks[1].sent) == 1
