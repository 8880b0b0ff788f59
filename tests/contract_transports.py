"""What every transport does alike: one contract, which ``test_transports.py`` holds each of them to.

A ``Driver`` is a client as small as it can be: it encodes messages for one transport, and reads what the
server has sent off the bytes, in the order in which it came.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar
from urllib.parse import quote

import pytest

from bayeux import Policy
from tests.fakenet import (
    HANDSHAKE,
    HTTP,
    EventSourceClient,
    Net,
    WebSocketClient,
    connect,
    disconnect,
    event,
    frame,
    in_bayeux_site,
    in_site,
    post,
    publish,
    request,
    script,
    subscribe,
)

FULL_ADVICE = {"reconnect": "retry", "interval": 0, "timeout": 30_000}
HOLD = 30.0
GRACE = 10.0
SWEEP = 1.0
"""The defaults of ``timeout``, ``max_interval`` and ``sweep_period``."""


class Driver:
    """One client by one transport."""

    connection_type: ClassVar[str]
    serial = False
    """Whether events come with connects only."""
    heartbeat = False
    """Whether connects are answered at once, and events come beside them (F-5)."""
    pushed = False
    """Whether events come without ending a held connect (W-10)."""
    polls = True
    """Whether a connect is an HTTP request of its own."""
    advice = FULL_ADVICE
    """What the reply to a connect advises."""
    grace = GRACE
    """How long a session lives after the reply to a connect (Q-3)."""

    def __init__(self, net: Net, client: str = "", cookie: str | None = None) -> None:
        self.net = net
        self.id = client
        self.cookie = cookie
        """Of its browser."""
        self._kept: list[Any] = []
        self.statuses: list[int] = []
        """HTTP statuses that were no success."""

    def send(self, *messages: Any) -> None:
        """Send one envelope."""
        raise NotImplementedError

    def news(self) -> list[Any]:
        """Return the messages that have come since, in their order."""
        raise NotImplementedError

    def lose(self) -> None:
        """Lose every connection."""
        raise NotImplementedError

    def listen(self) -> None:
        """Do what is needed to get events, beside connecting."""

    def ask(self, *messages: Any) -> list[Any]:
        """Send one envelope and return what comes at once."""
        self.send(*messages)
        return self.news()

    def shake_hands(self, **fields: Any) -> Any:
        """Shake hands, and return the reply."""
        (reply,) = self.ask({**HANDSHAKE, "supportedConnectionTypes": [self.connection_type], **fields})
        self.id = reply.get("clientId", "")
        return reply

    def connecting(self, **fields: Any) -> Any:
        return connect(self.id, **{"connectionType": self.connection_type, **fields})

    def start(self, *channels: str, **fields: Any) -> Driver:
        """Shake hands, connect and subscribe."""
        assert self.shake_hands(**fields)["successful"]
        self.listen()
        for reply in self.ask(self.connecting(), *[subscribe(self.id, channel) for channel in channels]):
            assert reply["successful"], reply
        return self

    def wait(self, **fields: Any) -> None:
        """Begin to wait for events: connect again."""
        self.send(self.connecting(**fields))
        if self.heartbeat and "ext" not in fields:
            news = self.news()
            assert [m["successful"] for m in news if m["channel"] == "/meta/connect"] == [True]
            self._kept = [message for message in news if message["channel"] != "/meta/connect"]

    def resume(self, **fields: Any) -> list[Any]:
        """Come back by a new connection with a session that exists; return what comes at once."""
        self.listen()
        return self.ask(self.connecting(advice={"timeout": 0}, **fields))

    def events(self) -> list[Any]:
        """Return the data of the events that have come since."""
        return [message["data"] for message in self.news() if "data" in message]


class Polling(Driver):
    """HTTP requests, each on a connection that has none unanswered."""

    encode = staticmethod(post)

    def __init__(self, net: Net, client: str = "", cookie: str | None = None) -> None:
        super().__init__(net, client, cookie)
        self._free: list[HTTP] = []
        self._busy: list[HTTP] = []

    def send(self, *messages: Any) -> None:
        connection = self._free.pop() if self._free else HTTP(self.net)
        self._busy.append(connection)
        connection.send(self.encode(*messages, cookie=self.cookie))

    def news(self) -> list[Any]:
        found, self._kept = self._kept, []
        for connection in tuple(self._busy):
            for response in connection.responses():
                self._busy.remove(connection)
                self._free.append(connection)
                if "set-cookie" in response.headers:
                    self.cookie = response.headers["set-cookie"].partition(";")[0]
                if response.status == 200:
                    found += response.messages
                else:
                    assert response.body == b""
                    self.statuses.append(response.status)
        return found

    def lose(self) -> None:
        for connection in self._busy + self._free:
            connection.wire.lose()
        self._busy, self._free = [], []


class LongPolling(Polling):
    connection_type = "long-polling"


class CallbackPolling(Polling):
    connection_type = "callback-polling"
    serial = True
    encode = staticmethod(script)


class WebSocket(Driver):
    connection_type = "websocket"
    pushed = True
    polls = False

    def __init__(self, net: Net, client: str = "", cookie: str | None = None) -> None:
        super().__init__(net, client, cookie)
        self.socket = WebSocketClient(net, cookie=cookie)

    def send(self, *messages: Any) -> None:
        self.socket.send(*messages)

    def news(self) -> list[Any]:
        return self.socket.messages()

    def lose(self) -> None:
        self.socket.wire.lose()


class EventSource(Polling):
    connection_type = "eventsource"
    heartbeat = True
    pushed = True
    advice: ClassVar[dict[str, Any]] = {"reconnect": "retry", "interval": 30_000, "timeout": 0}
    grace = HOLD + GRACE

    def __init__(self, net: Net, client: str = "", cookie: str | None = None) -> None:
        super().__init__(net, client, cookie)
        self.stream: EventSourceClient | None = None

    def listen(self) -> None:
        self.stream = EventSourceClient(self.net, self.id, cookie=self.cookie)
        assert self.stream.head.status == 200, self.stream.head

    def news(self) -> list[Any]:
        found = super().news()
        return found + (self.stream.messages() if self.stream else [])

    def lose(self) -> None:
        super().lose()
        if self.stream:
            self.stream.wire.lose()
            self.stream = None


DRIVERS: tuple[type[Driver], ...] = (LongPolling, CallbackPolling, WebSocket, EventSource)


class TransportContract:
    """The cases; a subclass names the driver."""

    driver: type[Driver]

    @pytest.fixture(params=[in_site, in_bayeux_site], ids=lambda door: door.__name__)
    def net(self, request):
        self.nets = []

        def start(policy=None, **settings):
            net = Net(request.param, policy, **settings)
            self.nets.append(net)
            return net

        yield start
        for net in self.nets:
            net.stop()
            net.lose()
            assert net.hub.sessions.is_idle()
            assert len(net.streams) == 0
            assert net.reactor.getDelayedCalls() == []

    def client(self, net, *channels, **fields):
        return self.driver(net).start(*channels, **fields)

    # -- handshake ------------------------------------------------------------------------------

    def test_a_handshake_opens_a_session(self, net):
        """H-2, H-3, A-2: its reply stands alone, with complete advice."""
        net = net()
        reply = self.driver(net).shake_hands(id="1")
        assert net.session(reply.pop("clientId")) is not None
        assert reply == {
            "channel": "/meta/handshake", "id": "1", "successful": True, "version": "1.0",
            "minimumVersion": "1.0", "advice": FULL_ADVICE,
            "supportedConnectionTypes": ["websocket", "eventsource", "long-polling", "callback-polling"],
        }

    def test_a_handshake_is_processed_alone(self, net):
        """H-9."""
        net = net()
        driver = self.driver(net)
        (reply,) = driver.ask(subscribe("x"), HANDSHAKE, publish("x"))
        assert (reply["channel"], reply["successful"]) == ("/meta/handshake", True)

    def test_a_handshake_that_is_refused_opens_nothing(self, net):
        """H-11, H-13."""

        class Strict(Policy):
            def can_handshake(self, message, link):
                return False

        net = net(Strict())
        reply = self.driver(net).shake_hands()
        assert (reply["successful"], reply["error"]) == (False, "403::Handshake denied")
        assert reply["advice"]["reconnect"] == "none"
        assert "clientId" not in reply
        assert net.hub.sessions.is_idle()

    def test_another_handshake_makes_another_session(self, net):
        """H-15: the old one is left to expire."""
        net = net()
        driver = self.client(net)
        old = driver.id
        assert driver.shake_hands()["clientId"] != old
        assert net.session(old) is not None
        net.advance(driver.grace + 2 * SWEEP)
        assert net.session(old) is None

    # -- connect --------------------------------------------------------------------------------

    def test_the_first_connect_is_answered_at_once(self, net):
        """K-6, A-3: with complete advice."""
        net = net()
        driver = self.driver(net)
        driver.shake_hands()
        driver.listen()
        (reply,) = driver.ask(driver.connecting(id="2"))
        assert reply == {"channel": "/meta/connect", "id": "2", "successful": True, "clientId": driver.id,
                         "advice": driver.advice}

    def test_who_connects_again_waits(self, net):
        """K-7, F-5: nothing comes while nothing happens."""
        driver = self.client(net())
        driver.wait()
        driver.net.advance(HOLD - 1)
        assert driver.news() == []

    def test_a_connect_is_answered_when_its_time_is_up(self, net):
        """K-11: it is no error; F-5: a heartbeat is answered at once."""
        driver = self.client(net())
        driver.send(driver.connecting(id="3"))
        if not driver.heartbeat:
            driver.net.advance(HOLD - 0.1)
            assert driver.news() == []
            driver.net.advance(0.1)
        assert driver.news() == [{"channel": "/meta/connect", "id": "3", "successful": True,
                                  "clientId": driver.id, "advice": driver.advice}]

    def test_an_event_reaches_who_waits(self, net):
        """K-7, W-10, F-6: before the reply to the connect, if that is answered by it (D-8)."""
        driver = self.client(net(), "/news")
        driver.wait(id="3")
        driver.net.publish({"a": [1, None]})
        first, *rest = driver.news()
        assert first == event({"a": [1, None]})
        if driver.pushed:
            assert rest == []
        else:
            assert [(reply["id"], reply["successful"]) for reply in rest] == [("3", True)]

    def test_an_event_that_came_meanwhile_is_not_kept_waiting(self, net):
        """K-9, W-10: between two connects."""
        driver = self.client(net(), "/news")
        driver.net.publish(1)
        driver.wait()
        assert driver.events() == [1]

    def test_a_zero_timeout_is_answered_at_once(self, net):
        """K-8."""
        driver = self.client(net())
        (reply,) = driver.ask(driver.connecting(advice={"timeout": 0}))
        assert (reply["channel"], reply["successful"]) == ("/meta/connect", True)

    def test_a_connect_in_company_is_answered_at_once(self, net):
        """K-10, L-10: in the order of the requests."""
        driver = self.client(net())
        replies = driver.ask(driver.connecting(id="1"), subscribe(driver.id, id="2"))
        assert [reply["id"] for reply in replies] == ["1", "2"]

    def test_a_newer_connect_replaces_the_one_that_waits(self, net):
        """K-12: the older gets 409 or, on a socket, nothing; the newer gets the events."""
        driver = self.client(net(), "/news")
        driver.wait(id="old")
        driver.wait(id="new")
        assert driver.news() == []
        assert driver.statuses == ([409] if driver.polls and not driver.heartbeat else [])
        driver.net.publish(1)
        assert driver.events() == [1]
        if not driver.heartbeat:
            assert driver.net.hub.metrics.superseded == 1

    def test_replies_of_a_client_that_waits_come_beside(self, net):
        """L-12, K-15, W-8: of a publish, as an example."""
        driver = self.client(net())
        driver.wait(id="3")
        news = driver.ask(publish(driver.id, id="4"))
        assert [reply["id"] for reply in news] == (["3", "4"] if driver.serial else ["4"])

    def test_a_connect_without_a_type_is_refused(self, net):
        """K-5: and the session stays."""
        driver = self.client(net())
        (reply,) = driver.ask({"channel": "/meta/connect", "clientId": driver.id, "id": "1"})
        assert reply == {"channel": "/meta/connect", "id": "1", "successful": False,
                         "error": "400:connectionType:Missing field", "advice": FULL_ADVICE}
        assert driver.ask(publish(driver.id))[0]["successful"]

    @pytest.mark.parametrize("client", ["nobody", None])
    def test_an_unknown_client_is_sent_to_shake_hands(self, net, client):
        """K-4, E-12, E-13: with the advice that it needs to know."""
        driver = self.driver(net())
        message = connect("nobody", connectionType=driver.connection_type, id="1")
        if client is None:
            del message["clientId"]
        error = "401::No client ID" if client is None else "402:nobody:Unknown client ID"
        assert driver.ask(message) == [{"channel": "/meta/connect", "id": "1", "successful": False,
                                        "error": error, "advice": {"reconnect": "handshake", "interval": 0}}]

    @pytest.mark.parametrize("make", [subscribe, publish, disconnect])
    def test_an_unknown_client_can_do_nothing(self, net, make):
        """S-12, P-7, X-4: and only a connect is answered with advice (A-5)."""
        (reply,) = self.driver(net()).ask(make("nobody", id="1"))
        assert (reply["id"], reply["successful"]) == ("1", False)
        assert reply["error"] == "402:nobody:Unknown client ID"
        assert "advice" not in reply

    # -- batches --------------------------------------------------------------------------------

    def test_a_batch_is_answered_in_its_order(self, net):
        """M-12, S-7, W-8: it is processed in that order too."""
        driver = self.client(net())
        driver.send(publish(driver.id, 1, id="1"), subscribe(driver.id, id="2"),
                    publish(driver.id, 2, id="3"))
        news = driver.news()
        assert [reply["id"] for reply in news if "successful" in reply] == ["1", "2", "3"]
        if driver.serial:
            driver.wait()
            news = driver.news()
        assert [message for message in news if "data" in message] == [event(2)]

    def test_a_bad_element_costs_only_itself(self, net):
        """M-5."""
        driver = self.client(net())
        bad, no_channel, good = driver.ask("nonsense", {"id": "1"}, publish(driver.id, id="2"))
        malformed = {"channel": "/meta/unknown", "successful": False, "error": "400::Malformed message"}
        assert bad == malformed
        assert no_channel == {**malformed, "id": "1"}
        assert good == {"channel": "/news", "id": "2", "successful": True}

    def test_a_single_object_is_a_batch_of_one(self, net):
        """M-1, M-2, W-2."""
        driver = self.client(net())
        if isinstance(driver, WebSocket):
            driver.socket.wire.send(frame(json.dumps(publish(driver.id, id="1"))))
            assert driver.socket.envelopes() == [[{"channel": "/news", "id": "1", "successful": True}]]
        else:
            response = HTTP(driver.net).ask(single(driver, publish(driver.id, id="1")))
            assert response.messages == [{"channel": "/news", "id": "1", "successful": True}]

    def test_a_publish_is_answered_without_data(self, net):
        """P-2, P-3, M-28."""
        driver = self.client(net())
        assert driver.ask(publish(driver.id, {"a": 1}, id=7)) == [
            {"channel": "/news", "id": 7, "successful": True}]

    # -- delivery -------------------------------------------------------------------------------

    def test_events_come_in_their_order_each_once(self, net):
        """D-9, D-11: whether the client waits at that moment or not."""
        driver = self.client(net(), "/news")
        got = []
        for number in range(40):
            if number % 3 == 0:
                driver.wait()
            driver.net.hub.publish("/news", number)
            if number % 4 == 0:
                driver.net.pump()
                got += driver.events()
        driver.wait()
        got += driver.events()
        assert got == list(range(40))

    def test_what_is_published_in_one_turn_comes_together(self, net):
        """K-18."""
        driver = self.client(net(), "/news")
        driver.wait()
        for number in range(5):
            driver.net.hub.publish("/news", number)
        news = driver.news()
        assert [message["data"] for message in news if "data" in message] == [0, 1, 2, 3, 4]

    def test_a_publisher_gets_its_own_event(self, net):
        """P-11, D-8: after the reply."""
        driver = self.client(net(), "/news")
        driver.wait()
        news = [*driver.ask(publish(driver.id, "own", id="9"))]
        if driver.serial:
            driver.wait()
            news += driver.news()
        order = [message.get("id", message.get("data")) for message in news
                 if message["channel"] == "/news"]
        assert order == ["9", "own"]

    def test_events_of_others_come_without_anything_of_them(self, net):
        """D-2, D-3, D-4, A-6, I-4."""
        driver = self.client(net(), "/news")
        driver.wait()
        HTTP(driver.net).ask(post({**publish(LongPolling(driver.net).start().id, 1), "id": "1",
                                   "advice": {"reconnect": "none"}, "ext": {"token": "secret"}, "x": 1}))
        assert [message for message in driver.news() if "data" in message] == [event(1)]

    def test_a_lazy_event_waits_for_company(self, net):
        """D-12: and comes before it."""
        driver = self.client(net(), "/news")
        driver.wait()
        driver.net.publish("lazy", lazy=True)
        driver.net.advance(4)
        assert driver.news() == []
        driver.net.publish("urgent")
        assert driver.events() == ["lazy", "urgent"]

    def test_a_lazy_event_does_not_wait_for_ever(self, net):
        """D-12: max_lazy_timeout, five seconds."""
        driver = self.client(net(), "/news")
        driver.wait()
        driver.net.publish("lazy", lazy=True)
        driver.net.advance(5)
        assert driver.events() == ["lazy"]

    def test_a_service_answers_who_asked_alone(self, net):
        """V-2, V-3."""
        net = net()
        net.hub.service("/service/echo", lambda session, data: data)
        driver = self.client(net)
        news = driver.ask(publish(driver.id, "x", "/service/echo", id="1"))
        if driver.serial:
            driver.wait()
            news += driver.news()
        assert {"channel": "/service/echo", "id": "1", "successful": True} in news
        assert {"channel": "/service/echo", "id": "1", "data": "x"} in news

    # -- the end of a session -------------------------------------------------------------------

    def test_a_disconnect_ends_the_session(self, net):
        """X-1, X-2, X-5."""
        driver = self.client(net(), "/news")
        reply = driver.ask(disconnect(driver.id, id="5"))[0]
        assert reply == {"channel": "/meta/disconnect", "id": "5", "successful": True, "clientId": driver.id}
        driver.net.advance(driver.grace)
        assert driver.net.hub.sessions.is_idle()

    def test_a_disconnect_releases_the_connect_that_waits(self, net):
        """X-3, K-14: both are answered."""
        driver = self.client(net())
        driver.wait(id="4")
        news = {reply["channel"]: reply for reply in driver.ask(disconnect(driver.id, id="5"))}
        assert news["/meta/disconnect"]["successful"]
        if not driver.heartbeat:
            # Over callback-polling the connect has made way before (K-15), and advises nothing.
            advice = FULL_ADVICE if driver.serial else {**FULL_ADVICE, "reconnect": "none"}
            assert news["/meta/connect"] == {"channel": "/meta/connect", "id": "4", "successful": True,
                                             "clientId": driver.id, "advice": advice}

    def test_who_is_gone_is_unknown(self, net):
        """X-5: after a disconnect."""
        driver = self.client(net())
        driver.ask(disconnect(driver.id))
        client, error = driver.id, f"402:{driver.id}:Unknown client ID"
        (reply,) = self.driver(driver.net, client, driver.cookie).ask(driver.connecting())
        assert (reply["successful"], reply["error"]) == (False, error)
        assert reply["advice"]["reconnect"] == "handshake"

    def test_who_does_not_connect_again_expires(self, net):
        """Q-3, Q-4, W-12: however open its connections are."""
        driver = self.client(net(), "/news")
        driver.net.advance(driver.grace - 0.1)
        assert driver.net.session(driver.id) is not None
        driver.net.advance(2 * SWEEP)
        assert driver.net.session(driver.id) is None
        assert driver.net.hub.metrics.sessions_removed == {"timeout": 1}

    def test_who_never_connects_expires(self, net):
        """H-17."""
        driver = self.driver(net())
        driver.shake_hands()
        driver.net.advance(GRACE - 0.1)
        assert driver.net.session(driver.id) is not None
        driver.net.advance(2 * SWEEP)
        assert driver.net.session(driver.id) is None

    def test_who_waits_does_not_expire(self, net):
        """Q-1, Q-3: as long as it connects again and again."""
        driver = self.client(net())
        for _ in range(5):
            driver.wait()
            driver.net.advance(HOLD)
            driver.news()
            assert driver.net.session(driver.id) is not None

    def test_another_message_puts_expiry_off(self, net):
        """Q-3: to max_interval from then."""
        driver = self.client(net())
        driver.net.advance(driver.grace - 1)
        driver.ask(publish(driver.id))
        driver.net.advance(GRACE - 1)
        assert driver.net.session(driver.id) is not None
        driver.net.advance(3 * SWEEP)
        assert driver.net.session(driver.id) is None

    def test_who_is_kicked_is_told_so_if_it_waits(self, net):
        """X-6: and has to shake hands again in any case."""
        driver = self.client(net())
        driver.wait(id="4")
        driver.net.session(driver.id).disconnect()
        if not driver.heartbeat:
            assert driver.news() == [
                {"channel": "/meta/disconnect", "successful": True},
                {"channel": "/meta/connect", "id": "4", "successful": True, "clientId": driver.id,
                 "advice": {**FULL_ADVICE, "reconnect": "none"}}]
        (reply,) = self.driver(driver.net, driver.id, driver.cookie).ask(driver.connecting())
        assert reply["advice"] == {"reconnect": "handshake", "interval": 0}

    def test_a_full_queue_ends_the_session(self, net):
        """Q-7: of who does not fetch its events; and it learns that it has lost some."""
        driver = self.client(net(max_queue=3), "/news")
        driver.lose()
        for number in range(4):
            driver.net.publish(number)
        assert driver.net.hub.metrics.sessions_removed == {"overflow": 1}
        (reply,) = self.driver(driver.net, driver.id, driver.cookie).ask(driver.connecting())
        assert reply["advice"]["reconnect"] == "handshake"

    def test_a_stop_tells_who_waits_to_shake_hands_later(self, net):
        """Q-10: and everything is closed."""
        driver = self.client(net())
        driver.send(driver.connecting(id="4"))
        driver.news()
        driver.net.bayeux.stopService()
        if isinstance(driver, WebSocket):
            (_, text), (opcode, reason) = driver.socket.frames()
            assert (opcode, reason[:2]) == (8, b"\x03\xe9")
            assert b'"id":"4"' in text
            assert b'"error":"503::Server too busy"' in text
        elif not driver.heartbeat:
            (reply,) = driver.news()
            advice = reply.pop("advice")
            assert reply == {"channel": "/meta/connect", "id": "4", "successful": False,
                             "clientId": driver.id, "error": "503::Server too busy"}
            assert advice["reconnect"] == "handshake"
            assert 0 <= advice["interval"] <= 5_000
        else:
            assert driver.stream.wire.closed
        driver.net.advance(6)
        assert driver.net.hub.sessions.is_idle()

    # -- lost carriers, and moving to others ----------------------------------------------------

    def test_a_lost_carrier_does_not_end_the_session(self, net):
        """W-15, F-8, N-1, Q-2: not at once."""
        driver = self.client(net())
        driver.wait()
        driver.lose()
        driver.net.advance(driver.grace - 0.1)
        assert driver.net.session(driver.id) is not None
        driver.net.advance(2 * SWEEP)
        assert driver.net.session(driver.id) is None
        assert len(driver.net.hub.sessions.holds) == 0

    @pytest.mark.parametrize("other", DRIVERS, ids=lambda driver: driver.connection_type)
    def test_events_of_a_lost_carrier_come_by_another(self, net, other):
        """N-1, W-15, W-16, F-8, H-16: in their order, none missing and none twice."""
        driver = self.client(net(), "/news")
        driver.wait()
        driver.net.publish(0)
        got = driver.events()
        driver.wait()
        driver.lose()
        for number in range(1, 6):
            driver.net.publish(number)
        back = other(driver.net, driver.id, driver.cookie)
        news = back.resume()
        assert [m["successful"] for m in news if m["channel"] == "/meta/connect"] == [True]
        got += [message["data"] for message in news if "data" in message]
        back.wait()
        driver.net.publish(6)
        got += back.events()
        assert got == list(range(7))

    @pytest.mark.parametrize("other", DRIVERS, ids=lambda driver: driver.connection_type)
    def test_a_session_may_move_while_its_carrier_is_well(self, net, other):
        """H-16, W-7, K-12: events go by the newest only."""
        driver = self.client(net(), "/news")
        driver.wait()
        moved = other(driver.net, driver.id, driver.cookie)
        (reply,) = moved.resume()
        assert reply["advice"] == moved.advice  # W-17
        moved.wait()
        driver.net.publish(1)
        assert moved.events() == [1]
        stale = driver.socket.frames() if isinstance(driver, WebSocket) else driver.news()
        assert all(opcode == 8 for opcode, _ in stale) if isinstance(driver, WebSocket) else not stale

    @pytest.mark.parametrize("other", DRIVERS, ids=lambda driver: driver.connection_type)
    def test_a_session_that_has_moved_outlives_its_old_carrier(self, net, other):
        """W-7, Q-5: the loss of that is none."""
        driver = self.client(net(), "/news")
        driver.wait()
        moved = other(driver.net, driver.id, driver.cookie)
        moved.resume()
        moved.wait()
        driver.lose()
        driver.net.advance(HOLD - 1)
        driver.net.publish(1)
        assert moved.events() == [1]

    # -- acknowledged delivery ------------------------------------------------------------------

    def test_acknowledged_events_come_with_connects_only(self, net):
        """XA-1, XA-2, XA-3, XA-10, D-7: before the reply, which has the number."""
        driver = self.driver(net())
        assert driver.shake_hands(ext={"ack": True})["ext"] == {"ack": True}
        driver.listen()
        first, _ = driver.ask(driver.connecting(ext={"ack": 0}), subscribe(driver.id))
        assert first["ext"] == {"ack": 1}
        assert all("data" not in message for message in driver.ask(publish(driver.id, 1)))
        message, reply = driver.ask(driver.connecting(ext={"ack": 1}))
        assert message == event(1)
        assert reply["ext"] == {"ack": 2}
        driver.wait(ext={"ack": 2})
        assert driver.news() == []
        driver.net.publish(2)
        message, reply = driver.news()
        assert (message, reply["ext"]) == (event(2), {"ack": 3})

    @pytest.mark.parametrize("other", DRIVERS, ids=lambda driver: driver.connection_type)
    def test_what_is_not_acknowledged_comes_again(self, net, other):
        """XA-4, XA-5, XA-12: first, with what is new, under a new number, by whatever carrier."""
        driver = self.client(net(), "/news", ext={"ack": True})
        driver.wait(ext={"ack": 1})
        driver.net.publish(1)
        assert driver.news()[1]["ext"] == {"ack": 2}
        driver.lose()
        driver.net.publish(2)
        back = other(driver.net, driver.id, driver.cookie)
        back.listen()
        *events, reply = back.ask(back.connecting(ext={"ack": 1}))
        assert events == [event(1), event(2)]
        assert reply["ext"] == {"ack": 3}
        back.wait(ext={"ack": 3})
        assert back.news() == []

    def test_what_is_acknowledged_does_not_come_again(self, net):
        """XA-4: although the reply that brought it came by a carrier that is lost."""
        driver = self.client(net(), "/news", ext={"ack": True})
        driver.wait(ext={"ack": 1})
        driver.net.publish(1)
        driver.news()
        driver.lose()
        driver.net.publish(2)
        back = self.driver(driver.net, driver.id, driver.cookie)
        back.listen()
        *events, _ = back.ask(back.connecting(ext={"ack": 2}))
        assert events == [event(2)]



def single(driver: Driver, message: Any) -> bytes:
    """Encode a message that is in no array."""
    text = json.dumps(message)
    if isinstance(driver, CallbackPolling):
        return request(path=f"/bayeux?jsonp=cb&message={quote(text)}")
    return request("POST", body=text.encode(), content_type="application/json")
