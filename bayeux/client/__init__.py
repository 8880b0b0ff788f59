"""A Bayeux client for Twisted: WebSocket and long-polling, for any server that speaks the protocol.

    async with BayeuxClient("https://example.org/bayeux") as client:
        async for event in client.subscribe("/news/*"):
            print(event.channel, event.data)
"""

from bayeux.client.client import BayeuxClient
from bayeux.client.errors import (
    BadAnswer,
    BadStatus,
    ClientError,
    Closed,
    ConnectionFailed,
    ConnectTimeout,
    HandshakeRefused,
    NoAnswer,
    NoCommonTransport,
    OutboxFull,
    Overflow,
    PublishRefused,
    Refused,
    SessionEnded,
    SubscribeRefused,
    TooMuch,
    TransportError,
    Uncertain,
    Unsubscribed,
)
from bayeux.client.extensions import ClientExtension, add
from bayeux.client.metrics import ClientMetrics
from bayeux.client.replay import ALL_EVENTS, NEW_EVENTS, Replay
from bayeux.client.settings import ClientSettings
from bayeux.client.stateless import publish_once
from bayeux.client.states import Change, State
from bayeux.client.subscriptions import Event, Subscription

__all__ = [
    "BayeuxClient", "Subscription", "Event", "publish_once", "State", "Change", "ClientSettings",
    "ClientMetrics", "ClientExtension", "add", "Replay", "NEW_EVENTS", "ALL_EVENTS",
    "ClientError", "Refused", "HandshakeRefused", "SubscribeRefused", "PublishRefused", "SessionEnded",
    "TransportError", "ConnectionFailed", "NoAnswer", "BadStatus", "BadAnswer", "TooMuch", "Uncertain",
    "NoCommonTransport", "ConnectTimeout", "Closed", "OutboxFull", "Overflow", "Unsubscribed",
]
