"""A high-concurrency Comet server speaking the Bayeux protocol, for Twisted."""

from bayeux._version import __version__
from bayeux.access import Access
from bayeux.errors import BayeuxError
from bayeux.extensions import Call, Extension
from bayeux.hub import Hub
from bayeux.policy import ListenOnly, Policy
from bayeux.rules import ChannelRule, KeyRule
from bayeux.service import BayeuxService
from bayeux.session import Link, Session
from bayeux.settings import Settings, SettingsError

__all__ = [
    "Access", "BayeuxError", "BayeuxService", "Call", "ChannelRule", "Extension", "Hub", "KeyRule", "Link",
    "ListenOnly", "Policy", "Session", "Settings", "SettingsError", "__version__",
]
