"""What ``twistd bayeux`` runs: the service with a site of its own, listening."""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorFromThreads,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request

from bayeux.eventloop import EventLoop
from bayeux.exposition import CONTENT_TYPE, Exposition
from bayeux.garbage import Garbage
from bayeux.lag import Lag
from bayeux.policy import Policy
from bayeux.service import BayeuxService
from bayeux.settings import Settings, SettingsError
from bayeux.web.site import BayeuxSite

if TYPE_CHECKING:
    from bayeux.api.service import APIService
    from bayeux.api.site import APISite


class CannotListen(SystemExit, Exception):
    """An endpoint cannot be listened on; it ends the process, after one line that says why.

    It is an ``Exception`` too because twistd, when it has become a daemon, tells its parent, which waits
    for word, only of those.
    """

    def __init__(self, complaint: str) -> None:
        super().__init__(complaint)
        self.code = 1  # rather than the complaint, which would be printed again


class BayeuxServer(BayeuxService):
    """A Bayeux service that listens by itself; with ``demo``, the demos stand beside its mounts.

    At a SIGHUP it has its settings read again by ``read_settings``, and reloads what can be (Y-10).
    Raises ``SettingsError`` for an endpoint that Twisted does not understand.
    """

    _log = Logger()

    def __init__(self, settings: Settings | None = None, policy: Policy | None = None,
                 demo: bool = False, read_settings: Callable[[], Settings] | None = None) -> None:
        super().__init__(settings, policy)
        self._read_settings = read_settings
        self._hangup: Any = None
        """Who was told of a SIGHUP before."""
        self._endpoints = [(text, _endpoint(text)) for text in self.settings.listen]
        self.api: APIService | None = None
        """The HTTP API, if there is to be one."""
        if self.settings.api_listen:
            self.api = self._make_api()
        self._ports: list[IListeningPort] = []
        self._api_ports: list[IListeningPort] = []
        self._listening = False
        self._event_loop = EventLoop(_reactor)
        self._places = " ".join(self.settings.mounts) + (", with demos at /" if demo else "")
        root, self._presenter = self._demos() if demo else (self._greeting(), "")
        for mount in self.settings.mounts:
            _put(root, mount, self.resource)
        self._site = BayeuxSite(root, self.resource.endpoint, self.settings, self.clock)
        streams, channels = self.resource.endpoint.streams, self._site.channels
        self._garbage = Garbage(self.clock, self.settings.collection_interval,
                                self.settings.collection_pause, lambda: len(streams) + len(channels),
                                self.hub.metrics)
        self._lag = Lag(self.clock, self.hub.metrics)

    def privilegedStartService(self) -> None:
        """Listen, while the process may still take privileged ports.  Raises ``CannotListen``."""
        super().privilegedStartService()
        self._listen()

    def startService(self) -> None:
        """Start, and listen unless that has been done."""
        super().startService()
        self._raise_open_files()
        self._garbage.start()
        self._lag.start()
        self._event_loop.start()
        self._listen()

    def stopService(self) -> Deferred[None]:
        """Stop listening, answer what is held, and wait until that is written, but not for ever."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._listening = False
        self._garbage.stop()
        self._lag.stop()
        self._event_loop.stop()
        if self._hangup is not None:
            signal.signal(signal.SIGHUP, self._hangup)
            self._hangup = None
        ports, self._ports = self._ports, []
        for port in ports:
            await maybeDeferred(port.stopListening)
        await super().stopService()
        await self._close_site(self._site)
        if self.api is not None:  # the last: it is asked whether the server is ready
            ports, self._api_ports = self._api_ports, []
            for port in ports:
                await maybeDeferred(port.stopListening)
            await self._close_site(self.api.site)

    async def _close_site(self, site: BayeuxSite | APISite) -> None:
        closed = site.close()
        try:
            await closed.addTimeout(self.settings.shutdown_timeout, self.clock)
        except TimeoutError:
            self._log.warn("{count} connections were still open", count=len(site.channels))
            site.abort()

    def reload(self, settings: Settings | None = None) -> bool:
        """Read the keys again, and that of the API too: all of them, or else none (Y-10)."""
        settings = settings or self.settings
        if self.api is None:
            return super().reload(settings)
        try:
            apply = self.api.prepare(settings)
        except SettingsError as error:
            self.hub.metrics.failed_reloads += 1
            self._log.error("the old keys are kept: {reason}", reason=str(error))
            return False
        if not super().reload(settings):
            return False
        apply()
        return True

    def _hung_up(self, number: int, frame: object) -> None:
        cast(IReactorFromThreads, _reactor).callFromThread(self._reload)  # it comes in the middle of anything

    def _reload(self) -> None:
        if self._read_settings is None:
            return
        try:
            settings = self._read_settings()
        except SettingsError as error:
            self.hub.metrics.failed_reloads += 1
            self._log.error("the old settings are kept: {reason}", reason=str(error))
            return
        self.reload(settings)

    def _make_api(self) -> APIService:
        from bayeux.api.service import APIService, on_loopback  # klein is much to load for nothing

        text = on_loopback(self.settings.api_listen)
        self._api_endpoint = text, _endpoint(text, "api_listen")
        api = APIService(self.hub, self.resource.endpoint,
                         Exposition(self.hub, self.resource.endpoint).render, CONTENT_TYPE)
        api.setServiceParent(self)
        return api

    def _listen(self) -> None:
        if self._listening:
            return
        self._listening = True
        if self._read_settings is not None:
            self._hangup = signal.signal(signal.SIGHUP, self._hung_up)
        for text, endpoint in self._endpoints:
            self._listen_on(text, endpoint, self._site, self._listens)
        if self.api is not None:
            self._listen_on(*self._api_endpoint, self.api.site, self._api_listens)

    def _listen_on(self, text: str, endpoint: IStreamServerEndpoint, site: IProtocolFactory,
                   listens: Callable[[IListeningPort, str], None]) -> None:
        failures: list[Failure] = []
        endpoint.listen(site).addCallback(listens, text).addErrback(failures.append)
        if failures:
            complaint = f"cannot listen on {text}: {_reason(failures[0])}"
            if sys.__stderr__ is not None:  # twistd sends sys.stderr to its log
                print(f"twistd bayeux: {complaint}", file=sys.__stderr__)
            raise CannotListen(complaint)

    def _listens(self, port: IListeningPort, text: str) -> None:
        self._ports.append(port)
        self._log.info("Bayeux is served on {where} at {places}", where=_where(port, text),
                       places=self._places)
        if self._presenter:
            self._log.info("The slideshow's presenter goes to {where}/{page}", where=_where(port, text),
                           page=self._presenter)

    def _api_listens(self, port: IListeningPort, text: str) -> None:
        self._api_ports.append(port)
        self._log.info("The API is served on {where}", where=_where(port, text))

    def _raise_open_files(self) -> None:
        """Raise the soft limit of open files to the hard one: each client needs one."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def _greeting(self) -> Resource:
        root: Resource = _nothing()
        text = f"This is a Bayeux server. Clients connect to {' or '.join(self.settings.mounts)}.\n"
        root.putChild(b"", _Text(text))
        return root

    def _demos(self) -> tuple[Resource, str]:
        from bayeux.demo import make_root

        root, presenter = make_root(self)
        return cast(Resource, root), presenter


class _Text(Resource):
    """A constant text, by GET and HEAD only (G-23)."""

    def __init__(self, text: str, status: int = 200) -> None:
        super().__init__()
        self._text = text.encode("utf-8")
        self._status = status

    def render(self, request: Request) -> bytes:
        """Say it, or that it cannot be written to."""
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        if self._status == 200 and request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(405)
            request.setHeader(b"Allow", b"GET, HEAD")
            return b"This cannot be written to.\n"
        request.setResponseCode(self._status)
        return self._text

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Say plainly that there is nothing (G-23)."""
        return _nothing()


def _nothing() -> Resource:
    return _Text("There is nothing here.\n", 404)


def _endpoint(text: str, setting: str = "listen") -> IStreamServerEndpoint:
    try:
        return cast(IStreamServerEndpoint, serverFromString(_reactor, text))
    except Exception as error:  # endpoint parsers raise whatever their arguments lead to
        reason = str(error) or type(error).__name__
        raise SettingsError(f"{setting}: {text!r} is no endpoint such as tcp:8080 ({reason})") from None


def _put(root: Resource, mount: str, child: Resource) -> None:
    """Put a resource into a tree, making the branches on the way."""
    *branches, leaf = mount.strip("/").encode("utf-8").split(b"/")
    for branch in branches:
        below = root.children.get(branch)
        if below is None:
            below = _nothing()
            root.putChild(branch, below)
        root = below
    root.putChild(leaf, child)


def _where(port: IListeningPort, text: str) -> str:
    """Say where a port listens, as an address to open where it is one."""
    address = port.getHost()
    host, number = getattr(address, "host", None), getattr(address, "port", None)
    if host is None or number is None:
        return text
    scheme = "https" if text.startswith(("ssl:", "tls:")) else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{number}"


def _reason(failure: Failure) -> str:
    """Say in a few words why listening failed."""
    error = getattr(failure.value, "socketError", failure.value)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
