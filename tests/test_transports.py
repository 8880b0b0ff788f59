"""Every transport, held to the one contract."""

from tests.contract_transports import CallbackPolling, EventSource, LongPolling, TransportContract, WebSocket


class TestLongPolling(TransportContract):
    driver = LongPolling


class TestCallbackPolling(TransportContract):
    driver = CallbackPolling


class TestWebSocket(TransportContract):
    driver = WebSocket


class TestEventSource(TransportContract):
    driver = EventSource
