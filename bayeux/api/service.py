"""The API as a service of ``twistd bayeux``: it listens, and counts what it tells of, while it runs."""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted.application.service import Service
from twisted.logger import Logger

from bayeux.api.channels import ChannelList
from bayeux.api.routes import API
from bayeux.api.sessions import SessionIndex
from bayeux.api.site import APISite
from bayeux.api.status import Status
from bayeux.api.traffic import Traffic
from bayeux.hub import Hub
from bayeux.keys import BadKey, read_secret
from bayeux.settings import Settings, SettingsError
from bayeux.transports.endpoint import Endpoint

_LOOPBACK = {"tcp": "127.0.0.1", "ssl": "127.0.0.1", "tls": "127.0.0.1", "tcp6": r"\:\:1"}
_COLON = re.compile(r"(?<!\\):")


class APIService(Service):
    """The API of one hub.

    ``metrics`` returns what Prometheus reads, of the type ``metrics_type``; ``draining`` says whether the
    server is about to stop, though its hub goes on as yet.  Raises ``SettingsError`` where the key cannot
    be read.
    """

    _log = Logger()

    def __init__(self, hub: Hub, endpoint: Endpoint, metrics: Callable[[], bytes] | None = None,
                 metrics_type: str = "text/plain", draining: Callable[[], bool] = lambda: False) -> None:
        self._hub = hub
        sessions, settings = hub.sessions, hub.settings
        index = SessionIndex(sessions)
        hub.add_listener(index)
        self._traffic = Traffic(sessions.clock, settings, hub.metrics)
        self.api = API(hub, _read_key(settings), index, ChannelList(sessions, self._traffic),
                       Status(hub, endpoint, draining), metrics, metrics_type)
        self.site = APISite(self.api.resource, settings, hub.metrics, sessions.clock)

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """Read the key again and return what makes it count, and no other.  Raises ``SettingsError``.

        Where the settings name none, that which there is stays.
        """
        if not settings.api_key_file:
            return lambda: None
        key = _read_key(settings)

        def apply() -> None:
            self.api.key = key
            self._log.info("the key of the API has been read from {file}", event="api_key_reloaded",
                           file=settings.api_key_file)

        return apply

    def startService(self) -> None:
        """Begin to count."""
        super().startService()
        self._traffic.start()
        self.api.watch.start()
        self._hub.broker.observe(self._traffic.count)

    def stopService(self) -> None:
        """Count no more."""
        super().stopService()
        self.api.watch.stop()
        self._hub.broker.leave_off(self._traffic.count)
        self._traffic.stop()


def _read_key(settings: Settings) -> bytes:
    try:
        return read_secret(settings.api_key_file)
    except BadKey as error:
        raise SettingsError(f"api_key_file: {error}") from None


def on_loopback(endpoint: str) -> str:
    """Return an endpoint string that says on which interface, which is the loopback one unless it does."""
    kind, *arguments = _COLON.split(endpoint)
    named = any(argument.startswith("interface=") for argument in arguments)
    placed = kind in ("tcp", "tcp6") and len(arguments) > 1 and "=" not in arguments[1]
    if kind not in _LOOPBACK or named or placed:
        return endpoint
    return f"{endpoint}:interface={_LOOPBACK[kind]}"
