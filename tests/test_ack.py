"""extensions/ack.py: no event is lost while a session lives (BAYEUX.md 19.1, XA-*)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import Deferred

from bayeux import BayeuxError, Link, Policy, Session
from bayeux.extensions import Call, Extension
from bayeux.extensions.ack import AckQueue
from bayeux.messages import Event, Reply
from bayeux.queues import EventQueue, QueueOverflow
from bayeux.session import Release
from bayeux.settings import Settings
from tests.client import Carrier, Client, World

PLENTY = Settings()


class AckClient(Client):
    """A client that acknowledges, as cometd.js does: what it has read last, in every connect."""

    def __init__(self, world: World, link: Link | None = None) -> None:
        link = link or Link("long-polling")
        [reply] = world.ask({"channel": "/meta/handshake", "version": "1.0", "ext": {"ack": True},
                             "supportedConnectionTypes": ["long-polling"]}, link=link)
        assert reply["ext"] == {"ack": True}
        self.world = world
        self.link = link
        self.id = reply["clientId"]
        session = world.hub.sessions.get(self.id)
        assert session is not None
        self.session = session
        self.batch: Any = 0
        self.got: list[Any] = []

    def connect(self, **fields: Any) -> Carrier:
        return super().connect(**{"ext": {"ack": self.batch}, **fields})

    def read(self, carrier: Carrier) -> list[Any]:
        """Take in a response; returns the data of its events."""
        assert carrier.messages is not None, "there is no response yet"
        data = [message["data"] for message in carrier.messages if "data" in message]
        self.got += data
        reply = carrier.messages[-1]
        if reply["channel"] == "/meta/connect" and reply["successful"]:
            self.batch = reply["ext"]["ack"]
        return data

    def poll(self) -> list[Any]:
        """Connect, and read what there is; returns the data of its events."""
        return self.read(self.connect(advice={"timeout": 0}))

    def deliver(self, *data: Any) -> None:
        """Have the server send it events."""
        for value in data:
            self.session.deliver("/a", value)
        self.world.turn()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> AckClient:
    """A client that has connected once."""
    client = AckClient(world)
    assert client.poll() == []
    return client


def numbers(carrier: Carrier) -> list[Any]:
    """Return the numbers of the replies in a response."""
    assert carrier.messages is not None, "there is no response yet"
    return [message["ext"]["ack"] for message in carrier.messages if "ack" in message.get("ext", {})]


# -- the queue by itself ------------------------------------------------------------------------


def fill(queue: EventQueue, *data: int, size: int = 0) -> None:
    """Put events into a queue; blanks make each so many bytes larger."""
    for number in data:
        queue.put(Event("/a", b"%d" % number + b" " * size), PLENTY)


def data(events: list[Event]) -> list[int]:
    return [int(event.data) for event in events]


def send(queue: AckQueue) -> tuple[int, list[int]]:
    """Send a reply; returns its number and what it carries."""
    reply = Reply("/meta/connect", True)
    queue.label(reply)
    events = data(queue.take())
    assert isinstance(reply.ext, dict)
    return reply.ext["ack"], events


@pytest.fixture
def queue() -> AckQueue:
    """That of a client which has said that it has got nothing yet."""
    queue = AckQueue(EventQueue())
    queue.acknowledge(0)
    return queue


class TestAckQueue:
    """XA-3 to XA-8."""

    def test_travels_with_connects_only(self, queue: AckQueue) -> None:
        """XA-2."""
        assert queue.connect_only

    def test_takes_over_what_is_queued_already(self) -> None:
        """D-13."""
        plain = EventQueue()
        fill(plain, 1, 2)
        size = plain.size
        queue = AckQueue(plain)
        assert queue.size == size > 0
        assert send(queue) == (1, [1, 2])

    def test_replies_are_numbered_from_one(self, queue: AckQueue) -> None:
        """XA-3: the empty ones too."""
        assert [send(queue)[0] for _ in range(3)] == [1, 2, 3]

    def test_events_are_sent_until_they_are_acknowledged(self, queue: AckQueue) -> None:
        """XA-5: again, first, under a new number."""
        fill(queue, 1)
        assert send(queue) == (1, [1])
        fill(queue, 2)
        assert send(queue) == (2, [1, 2])
        queue.acknowledge(2)
        assert send(queue) == (3, [])

    def test_batches_up_to_the_number_are_forgotten(self, queue: AckQueue) -> None:
        """XA-4."""
        for number in (1, 2, 3):
            fill(queue, number)
            send(queue)
        queue.acknowledge(2)
        assert data(queue.events) == [3]
        assert queue.size == len(queue.events[0].json)
        queue.acknowledge(3)
        assert len(queue) == queue.size == 0

    def test_batch_between_empty_ones(self, queue: AckQueue) -> None:
        """XA-4: the number is that of a reply, not of those with events."""
        send(queue)
        fill(queue, 1)
        send(queue)
        send(queue)
        queue.acknowledge(1)
        assert data(queue.events) == [1]
        queue.acknowledge(3)
        assert data(queue.events) == []

    @pytest.mark.parametrize("number", [0, -1, -(10**30), 0.5])
    def test_lower_numbers_mean_nothing(self, queue: AckQueue, number: float) -> None:
        """XA-4, XA-7: dojox begins with -1."""
        fill(queue, 1)
        send(queue)
        queue.acknowledge(number)
        assert data(queue.events) == [1]

    @pytest.mark.parametrize("number", [1, 2, 10**30, 1e300])
    def test_higher_numbers_mean_what_was_sent(self, queue: AckQueue, number: float) -> None:
        """XA-7: never an event that was not."""
        fill(queue, 1)
        send(queue)
        fill(queue, 2)
        queue.acknowledge(number)
        assert send(queue) == (2, [2])

    def test_nothing_comes_back(self, queue: AckQueue) -> None:
        """XA-7."""
        for number in (1, 2):
            fill(queue, number)
            send(queue)
        queue.acknowledge(2)
        queue.acknowledge(1)
        assert send(queue) == (3, [])

    def test_acknowledging_in_the_middle_of_everything(self, queue: AckQueue) -> None:
        """XA-5: what was never sent is in a batch of its own."""
        fill(queue, 1)
        send(queue)
        fill(queue, 2)
        queue.acknowledge(1)
        fill(queue, 3)
        assert send(queue) == (2, [2, 3])
        queue.acknowledge(1)
        assert data(queue.events) == [2, 3]
        queue.acknowledge(2)
        assert data(queue.events) == []

    def test_what_is_sent_is_not_changed_by_what_comes(self, queue: AckQueue) -> None:
        """D-13."""
        fill(queue, 1)
        queue.label(Reply("/meta/connect", True))
        taken = queue.take()
        fill(queue, 2)
        assert data(taken) == [1]

    @pytest.mark.parametrize("overflow", ["disconnect", "drop_oldest", "drop_newest"])
    def test_events_count_until_they_are_acknowledged(self, queue: AckQueue, overflow: Any) -> None:
        """XA-8, Q-7: and none is ever lost silently."""
        limits = Settings(max_queue=2, overflow=overflow)
        fill(queue, 1, 2)
        send(queue)
        with pytest.raises(QueueOverflow):
            queue.put(Event("/a", b"3"), limits)
        assert data(queue.events) == [1, 2]
        queue.acknowledge(1)
        assert queue.put(Event("/a", b"3"), limits) == ()

    def test_lazy_events_that_were_sent_are_not_lazy_any_more(self, queue: AckQueue) -> None:
        """XA-6: their response is lost, as it seems."""
        queue.put(Event("/a", b"1", lazy=5.0), PLENTY)
        assert not queue.urgent
        send(queue)
        assert queue.urgent
        queue.acknowledge(1)
        assert not queue.urgent
        fill(queue, 2)
        assert queue.urgent

    def test_clearing_leaves_nothing(self, queue: AckQueue) -> None:
        """X-2."""
        fill(queue, 1)
        send(queue)
        queue.clear()
        assert len(queue) == queue.size == 0
        assert not queue.urgent
        fill(queue, 2)
        assert send(queue) == (2, [2])
        queue.acknowledge(1)
        assert data(queue.events) == [2]


class TestMuch:
    """What a link lets through at once may be less than what there is to send."""

    def test_all_is_sent_at_first(self, queue: AckQueue) -> None:
        fill(queue, *range(100), size=3000)
        assert send(queue) == (1, list(range(100)))

    def test_half_of_what_was_lost_is_sent_again(self, queue: AckQueue) -> None:
        fill(queue, *range(16), size=3000)
        assert [len(send(queue)[1]) for _ in range(4)] == [16, 8, 4, 2]
        assert [len(send(queue)[1]) for _ in range(3)] == [2, 2, 2], "little gets through any link"

    def test_little_is_sent_again_as_a_whole(self, queue: AckQueue) -> None:
        """XA-5."""
        fill(queue, 1, 2, size=3000)
        send(queue)
        fill(queue, 3)
        assert [send(queue)[1] for _ in range(3)] == [[1, 2, 3]] * 3

    def test_one_that_is_large_is_not_split(self, queue: AckQueue) -> None:
        fill(queue, 1, 2, size=100_000)
        assert [send(queue)[1] for _ in range(4)] == [[1, 2], [1], [1], [1]]

    def test_what_gets_through_is_all_that_is_acknowledged(self, queue: AckQueue) -> None:
        """XA-4: the reply before had more, and is lost."""
        fill(queue, *range(16), size=3000)
        assert [send(queue)[0] for _ in range(2)] == [1, 2]
        queue.acknowledge(2)
        assert data(queue.events) == list(range(8, 16))

    def test_a_reply_that_comes_late_has_all_that_was_in_it(self, queue: AckQueue) -> None:
        """XA-4, XA-7: and the one after that has nothing new then."""
        fill(queue, *range(16), size=3000)
        send(queue)
        send(queue)
        queue.acknowledge(1)
        assert data(queue.events) == []
        assert not queue.fresh
        fill(queue, *range(16, 36), size=3000)
        assert send(queue) == (3, list(range(16, 31)))
        queue.acknowledge(2)
        assert data(queue.events) == list(range(16, 36))

    def test_an_older_reply_had_less(self, queue: AckQueue) -> None:
        """XA-4: what came after it has been sent too."""
        fill(queue, 1, 2)
        send(queue)
        fill(queue, 3)
        send(queue)
        queue.acknowledge(1)
        assert data(queue.events) == [3]
        assert not queue.fresh
        assert send(queue) == (3, [3])

    def test_who_never_acknowledges_takes_no_more_for_it(self, queue: AckQueue) -> None:
        fill(queue, *range(16), size=3000)
        for _ in range(100):
            send(queue)
        assert len(queue._batches) == 4

    def test_the_rest_is_news_when_something_has_got_through(self, queue: AckQueue) -> None:
        """G-25: who has to be sent it in pieces is in no haste, and who acknowledges nothing is."""
        fill(queue, *range(16), size=3000)
        assert queue.fresh
        for _ in range(4):
            number, _ = send(queue)
            assert not queue.fresh
        queue.acknowledge(number)
        for _ in range(3):
            assert queue.fresh
            number, _ = send(queue)
            assert not queue.fresh
            send(queue)
            assert not queue.fresh
            queue.acknowledge(number)

    def test_what_comes_is_news_if_it_is_in_the_next_reply(self, queue: AckQueue) -> None:
        """G-25."""
        fill(queue, 1)
        send(queue)
        fill(queue, 2)
        assert queue.fresh
        fill(queue, *range(3, 10), size=3000)
        for _ in range(3):
            send(queue)
        fill(queue, 10)
        assert not queue.fresh

    def test_who_never_tells_a_number_is_sent_everything(self) -> None:
        """XA-5, XA-7: it agrees to acknowledge, and does not."""
        queue = AckQueue(EventQueue())
        fill(queue, *range(16), size=3000)
        assert [len(send(queue)[1]) for _ in range(3)] == [16, 16, 16]

    def test_twice_as_much_when_it_gets_through(self, queue: AckQueue) -> None:
        fill(queue, *range(64), size=3000)
        for _ in range(6):
            number, _ = send(queue)
        sizes = []
        while queue.events:
            queue.acknowledge(number)
            number, events = send(queue)
            sizes.append(len(events))
        assert sizes == [5, 10, 21, 26, 0]

    @pytest.mark.parametrize("most", [8_192, 20_000, 300_000])
    def test_all_gets_through_a_link_that_breaks(self, queue: AckQueue, most: int) -> None:
        fill(queue, *range(300), size=3000)
        got: list[int] = []
        for _ in range(1000):
            reply = Reply("/meta/connect", True)
            queue.label(reply)
            events = queue.take()
            if sum(len(event.json) for event in events) <= most:
                got += data(events)
                queue.acknowledge(queue.number)
        assert got == list(range(300))


class AckQueueMachine(RuleBasedStateMachine):
    """Any order of events, replies and acknowledgements, against a plain list of what is owed."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = AckQueue(EventQueue())
        self.queue.acknowledge(0)
        self.owed: list[tuple[int, int]] = []
        """Events, and their sizes."""
        self.replies: list[int] = [0]
        """Of each the last event in it, or in the one before if it is empty."""
        self.event = 0
        self.acknowledged = 0

    @rule(size=st.sampled_from([0, 0, 3000, 9000]))
    def put(self, size: int) -> None:
        self.event += 1
        fill(self.queue, self.event, size=size)
        self.owed.append((self.event, len(self.queue.events[-1].json)))

    @rule()
    def send(self) -> None:
        number, events = send(self.queue)
        assert number == len(self.replies)
        owed = [event for event, _ in self.owed]
        assert events == owed[:len(events)]
        assert bool(events) == bool(owed)
        if sum(size for _, size in self.owed) <= 8192:
            assert events == owed
        self.replies.append(events[-1] if events else self.replies[-1])

    @rule(back=st.integers(-3, 30))
    def acknowledge(self, back: int) -> None:
        """Old numbers, new ones, and some that are still to come."""
        number = len(self.replies) - 1 - back
        self.queue.acknowledge(number)
        number = min(number, len(self.replies) - 1)
        if number > self.acknowledged:
            self.acknowledged = number
            self.owed = [(event, size) for event, size in self.owed if event > self.replies[number]]

    @invariant()
    def the_queue_holds_what_is_owed(self) -> None:
        assert data(self.queue.events) == [event for event, _ in self.owed]
        assert self.queue.size == sum(size for _, size in self.owed)
        assert self.queue.urgent == bool(self.owed)


AckQueueMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestAckQueueMachine = AckQueueMachine.TestCase


# -- through the hub ----------------------------------------------------------------------------


class TestHandshake:
    """XA-1."""

    def ask(self, world: World, ext: Any) -> Any:
        [reply] = world.ask({"channel": "/meta/handshake", "version": "1.0", "ext": ext,
                             "supportedConnectionTypes": ["long-polling"]})
        assert reply["successful"] is True
        return reply

    @pytest.mark.parametrize("ack", [False, 1, "true", {"enabled": True}, None, [], -1])
    def test_it_has_to_be_true(self, world: World, ack: Any) -> None:
        reply = self.ask(world, {"ack": ack})
        assert "ext" not in reply
        [reply] = world.ask({"channel": "/meta/connect", "clientId": reply["clientId"], "ext": {"ack": 0},
                             "connectionType": "long-polling"})
        assert "ext" not in reply

    def test_switched_off(self) -> None:
        assert "ext" not in self.ask(World(extensions=("timesync",)), {"ack": True})

    def test_handshake_that_fails(self, world: World) -> None:
        [reply] = world.ask({"channel": "/meta/handshake", "ext": {"ack": True}})
        assert reply["successful"] is False
        assert "ext" not in reply

    def test_other_messages_do_not_ask_for_it(self, world: World) -> None:
        client = world.client()
        reply = client.ask(client.message("/meta/subscribe", subscription="/a", ext={"ack": True}))[0]
        assert "ext" not in reply
        assert not isinstance(client.session.queue, AckQueue)

    def test_others_go_without(self, world: World, client: AckClient) -> None:
        other = world.client()
        assert "ext" not in other.ask(other.connect_message(advice={"timeout": 0}))[0]

    def test_shaking_hands_again(self, world: World, client: AckClient) -> None:
        """XA-11: an empty store, and numbers from 1."""
        client.deliver(1)
        again = AckClient(world)
        carrier = again.connect()
        assert numbers(carrier) == [1]
        assert again.read(carrier) == []

    def test_event_that_was_delivered_at_the_handshake(self, world: World) -> None:
        """D-13: by a listener, before the reply was made."""
        class Greeting:
            def session_added(self, session: Session) -> None:
                session.deliver("/a", "welcome")

            def session_removed(self, session: Session, reason: str) -> None:
                pass

        world.hub.add_listener(Greeting())
        assert AckClient(world).poll() == ["welcome"]


class TestDelivery:
    """XA-2 to XA-9."""

    def test_every_connect_reply_has_a_number(self, world: World) -> None:
        """XA-3: from 1, the empty ones too."""
        client = AckClient(world)
        assert [numbers(client.connect(advice={"timeout": 0})) for _ in range(3)] == [[1], [2], [3]]

    def test_example(self, world: World, client: AckClient) -> None:
        """XA-3 to XA-5, on the wire."""
        carrier = client.connect(id="3")
        client.deliver("a")
        advice = {"reconnect": "retry", "interval": 0, "timeout": 30000}
        assert carrier.messages == [
            {"channel": "/a", "data": "a"},
            {"channel": "/meta/connect", "successful": True, "id": "3", "clientId": client.id,
             "advice": advice, "ext": {"ack": 2}}]
        carrier = client.connect(id="4", advice={"timeout": 0})  # the response was lost
        assert carrier.messages == [
            {"channel": "/a", "data": "a"},
            {"channel": "/meta/connect", "successful": True, "id": "4", "clientId": client.id,
             "advice": advice, "ext": {"ack": 3}}]

    def test_only_connects_carry_events(self, client: AckClient) -> None:
        """XA-2, N-6."""
        client.subscribe("/a")
        assert client.ask(client.message("/a", data=1)) == [{"channel": "/a", "successful": True}]
        assert client.poll() == [1]

    def test_connect_that_is_held_is_released_by_an_event(self, client: AckClient) -> None:
        """XA-10."""
        carrier = client.connect()
        assert carrier.held
        client.deliver(1)
        assert client.read(carrier) == [1]
        assert client.poll() == []

    def test_events_that_are_not_acknowledged_keep_a_connect_from_being_held(
            self, client: AckClient) -> None:
        """XA-5, XA-6: the lost ones come first."""
        lost = client.connect()
        client.deliver(1)
        assert lost.messages is not None
        client.deliver(2)
        assert client.read(client.connect()) == [1, 2]
        assert client.connect().held

    def test_lazy_events_that_were_lost(self) -> None:
        """XA-6: they have waited long enough."""
        world = World(lazy_channels={"/lazy": 5.0})
        client = AckClient(world)
        client.poll()
        client.subscribe("/lazy")
        world.hub.publish("/lazy", 1)
        assert client.connect(advice={"timeout": 0}).messages is not None
        assert client.read(client.connect()) == [1]

    def test_lazy_events_still_wait_for_company(self) -> None:
        """D-12."""
        world = World(lazy_channels={"/lazy": 5.0})
        client = AckClient(world)
        client.poll()
        client.subscribe("/lazy")
        world.hub.publish("/lazy", 1)
        carrier = client.connect()
        assert carrier.held
        world.clock.advance(5)
        assert client.read(carrier) == [1]

    @pytest.mark.parametrize("ext", [
        None, {}, {"ack": None}, {"ack": True}, {"ack": "2"}, {"ack": [2]}, {"ack": {}}, [], "ack"])
    def test_anything_but_a_number_acknowledges_nothing(self, client: AckClient, ext: Any) -> None:
        """XA-7: ``true`` is 1 to Python, and 1 was sent."""
        client = AckClient(client.world)
        client.deliver(1)
        client.poll()
        carrier = client.connect(ext=ext)
        assert client.read(carrier) == [1]

    @pytest.mark.parametrize(("ack", "left"), [(1, [2, 3]), (2.0, [3]), (3, []), (99, []), (0, [1, 2, 3])])
    def test_acknowledging(self, world: World, ack: float, left: list[int]) -> None:
        """XA-4, XA-7."""
        client = AckClient(world)
        for number in (1, 2, 3):
            client.deliver(number)
            client.connect(ext={}, advice={"timeout": 0})
        assert client.read(client.connect(ext={"ack": ack}, advice={"timeout": 0})) == left

    def test_only_connects_acknowledge(self, client: AckClient) -> None:
        """XA-4."""
        client.deliver(1)
        client.connect(advice={"timeout": 0})
        client.ask(client.message("/meta/subscribe", subscription="/b", ext={"ack": 2}))
        assert client.poll() == [1]

    def test_others_cannot_acknowledge(self, world: World) -> None:
        """B-2, I-4."""
        client = AckClient(world, Link("long-polling", browser_id="mine"))
        client.poll()
        client.deliver(1)
        client.connect(advice={"timeout": 0})
        world.ask(client.connect_message(ext={"ack": 2}), link=Link("long-polling", browser_id="other"))
        assert client.poll() == [1]

    def test_carrier_that_is_lost_before_anything_is_written(self, client: AckClient) -> None:
        """N-1: that connect had no reply, and so no number."""
        carrier = client.connect()
        client.session.deliver("/a", 1)
        carrier.lose()
        carrier = client.connect()
        assert numbers(carrier) == [2]
        assert client.read(carrier) == [1]

    def test_superseded_connect_has_no_number(self, client: AckClient) -> None:
        """K-12, XA-9."""
        older, newer = client.connect(), client.connect()
        client.deliver(1)
        assert older.messages is None
        assert numbers(newer) == [2]

    def test_two_connects_in_one_batch(self, client: AckClient) -> None:
        """XA-9: the events are with the newest, and so is the number."""
        client.deliver(1)
        carrier = client.send(client.connect_message(id=1), client.connect_message(id=2))
        assert carrier.messages is not None
        assert [message.get("ext", message.get("data")) for message in carrier.messages] == [
            None, 1, {"ack": 2}]

    def test_who_does_not_acknowledge_is_in_haste(self) -> None:
        """G-25: whatever it is sent, and however much."""
        world = World(connects_per_second=1, connects_burst=10)
        client = AckClient(world)
        client.deliver("x" * 50_000, *range(3))
        carriers = [client.connect() for _ in range(30)]
        assert sum(carrier.messages is not None and len(carrier.messages) > 1 for carrier in carriers) <= 12

    def test_lazy_events_of_which_some_were_lost_wait_no_longer(self) -> None:
        """D-12: they have waited for company once; a connect that comes for the rest is answered."""
        world = World(lazy_channels={"/lazy": 5.0})
        client = AckClient(world)
        client.poll()
        client.subscribe("/lazy")
        for number in range(8):
            world.hub.publish("/lazy", f"{number}{'.' * 3000}")
        carrier = client.connect()
        world.clock.advance(5)
        assert carrier.messages is not None and len(carrier.messages) == 9  # and they are lost
        assert len(client.poll()) == 4
        assert len(client.read(client.connect())) == 4

    def test_all_that_is_left_goes_with_the_last_word(self) -> None:
        """Q-10: although some was lost before."""
        world = World()
        client = AckClient(world)
        client.poll()
        client.deliver(*[f"{number}{'.' * 3000}" for number in range(8)])
        client.connect(advice={"timeout": 0})  # and its answer is lost
        assert len(client.poll()) == 4
        assert len(client.read(client.connect())) == 4
        client.deliver(*[f"{number}{'.' * 3000}" for number in range(8)])
        client.connect(advice={"timeout": 0})  # and its answer is lost, too
        world.hub.sessions.stop_accepting()
        carrier = client.connect()
        assert carrier.messages is not None
        assert len([message for message in carrier.messages if "data" in message]) == 8

    def test_full_queue_ends_the_session(self) -> None:
        """XA-8, Q-7: whatever else a full queue would do."""
        world = World(max_queue=2, overflow="drop_oldest")
        client = AckClient(world)
        client.poll()
        client.deliver(1, 2)
        carrier = client.connect()
        assert carrier.messages is not None
        client.deliver(3)
        assert not client.session.alive
        assert client.session.removed_by is Release.OVERFLOW
        assert world.hub.metrics.dropped == 3

    def test_queue_with_acknowledged_events_is_not_full(self) -> None:
        """XA-8."""
        world = World(max_queue=2)
        client = AckClient(world)
        client.poll()
        for number in range(5):
            carrier = client.connect()
            client.deliver(2 * number, 2 * number + 1)
            client.read(carrier)
        assert client.got == list(range(10))

    def test_reply_at_the_end_of_the_session(self, client: AckClient) -> None:
        """X-2, XA-11: nothing is owed any more."""
        carrier = client.connect()
        client.session.disconnect()
        assert numbers(carrier) == []
        assert carrier.messages is not None
        assert carrier.messages[-1]["advice"]["reconnect"] == "none"


class Slow(Policy):
    """Has publishes to ``/slow`` wait, so that the batch that they are in is answered late."""

    def __init__(self) -> None:
        self.verdict: Deferred[bool] = Deferred()

    def can_publish(self, session: Session | None, channel: str, message: Any, link: Link) -> Any:
        return self.verdict if channel == "/slow" else True


class TestOvertaking:
    """XA-9: a reply that is written late, after a newer connect has come."""

    def test_the_newer_one_has_the_events(self) -> None:
        policy = Slow()
        client = AckClient(World(policy))
        client.poll()
        older = client.send(client.connect_message(ext={"ack": 1}), client.message("/slow", data=1))
        client.deliver(1)
        newer = client.connect()
        assert client.read(newer) == [1]
        policy.verdict.callback(True)
        assert older.messages is not None
        assert [message["channel"] for message in older.messages] == ["/meta/connect", "/slow"]

    def test_the_older_one_has_no_number(self) -> None:
        """XA-4: to acknowledge it would mean events that were in no response that the client has seen."""
        policy = Slow()
        client = AckClient(World(policy))
        client.poll()
        client.deliver(1)
        client.connect(advice={"timeout": 0})  # lost, with the event
        older = client.send(client.connect_message(ext={"ack": 1}), client.message("/slow", data=1))
        client.connect(advice={"timeout": 0})  # lost as well
        policy.verdict.callback(True)
        assert numbers(older) == []
        assert client.poll() == [1]

    @pytest.mark.parametrize("newer_first", [True, False])
    def test_hook_that_takes_its_time(self, newer_first: bool) -> None:
        """Whichever of the two is answered first."""
        world, done = World(), [Deferred[None](), Deferred[None]()]
        client = AckClient(world)
        client.poll()

        class Thinking(Extension):
            def outgoing(self, reply: Reply, call: Call) -> Any:
                return done[call.message.id - 1] if isinstance(call.message.id, int) else None

        world.hub.add_extension(Thinking())
        client.deliver(1)
        carriers = [client.connect(id=1), client.connect(id=2)]
        for index in (1, 0) if newer_first else (0, 1):
            done[index].callback(None)
        assert [numbers(carrier) for carrier in carriers] == [[], [2]]
        assert client.read(carriers[1]) == [1]

    def test_reply_that_fails_last(self) -> None:
        """XA-3: clients read no number in a failure, and so it has none, and no events."""
        world = World()
        client = AckClient(world)
        client.poll()
        client.deliver(1)

        class Refusing(Extension):
            def outgoing(self, reply: Reply, call: Call) -> None:
                raise BayeuxError(403, "No")

        refusing = Refusing()
        world.hub.add_extension(refusing)
        carrier = client.connect()
        assert numbers(carrier) == []
        assert client.read(carrier) == []
        world.hub.remove_extension(refusing)
        assert client.poll() == [1]


class AckMachine(RuleBasedStateMachine):
    """A client that polls, and responses that get lost: in the end it has every event once, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(lazy_channels={"/lazy": 5.0}, max_interval=1e6)
        self.client = AckClient(self.world)
        self.client.poll()
        self.client.subscribe("/*")
        self.carrier: Carrier | None = None
        self.owed: list[int] = []

    @rule(channel=st.sampled_from(["/a", "/lazy"]))
    def publish(self, channel: str) -> None:
        self.owed.append(len(self.owed) + 1)
        self.world.hub.publish(channel, len(self.owed))

    @rule()
    def publish_itself(self) -> None:
        """XA-2: the reply carries nothing, so that it does not matter whether it is lost."""
        self.owed.append(len(self.owed) + 1)
        assert self.client.publish("/a", len(self.owed))["successful"] is True

    @precondition(lambda self: self.carrier is None)
    @rule(alone=st.booleans())
    def connect(self, alone: bool) -> None:
        if alone:
            self.carrier = self.client.connect()
        else:
            self.carrier = self.client.send(
                self.client.connect_message(ext={"ack": self.client.batch}),
                self.client.message("/meta/subscribe", subscription="/x"))

    @precondition(lambda self: self.carrier is not None)
    @rule()
    def connect_again(self) -> None:
        """The client has given up the one before."""
        self.carrier = self.client.connect()

    @precondition(lambda self: self.carrier is not None)
    @rule(seen=st.booleans())
    def lose(self, seen: bool) -> None:
        """The connection breaks: on the way, or with the server's knowledge."""
        assert self.carrier is not None
        if seen and self.carrier.held:
            self.carrier.lose()
        self.carrier = None

    @precondition(lambda self: self.carrier is not None and self.carrier.messages is not None)
    @rule()
    def read(self) -> None:
        assert self.carrier is not None and self.carrier.messages is not None
        if self.carrier.messages[-1]["channel"] == "/meta/subscribe":
            self.carrier.messages.pop()
        self.client.read(self.carrier)
        self.carrier = None

    @rule(seconds=st.sampled_from([0, 1, 5, 30]))
    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @invariant()
    def nothing_is_lost_nothing_comes_twice(self) -> None:
        assert self.client.got == self.owed[:len(self.client.got)]

    def teardown(self) -> None:
        self.world.clock.advance(60)  # who has connected again and again has to wait (G-25)
        self.client.poll()
        assert self.client.got == self.owed
        self.client.poll()
        assert not self.client.session.queue


AckMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestAckMachine = AckMachine.TestCase
