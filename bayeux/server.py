"""What ``twistd bayeux`` runs: the service with a site of its own, listening."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorCore,
    IStreamServerEndpoint,
)
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request

from bayeux.certificates import BadCertificate, Certificate, anchored, check, reason, renewable, source_of
from bayeux.eventloop import EventLoop
from bayeux.exposition import CONTENT_TYPE, Exposition
from bayeux.garbage import Garbage
from bayeux.journal import Journal
from bayeux.lag import Lag
from bayeux.logs import Lines
from bayeux.policy import Policy
from bayeux.service import BayeuxService, Carrier
from bayeux.settings import Settings, SettingsError
from bayeux.signals import Signals
from bayeux.web.site import BayeuxSite

if TYPE_CHECKING:
    from bayeux.api.service import APIService


class CannotListen(SystemExit, Exception):
    """An endpoint cannot be listened on; it ends the process, after one line that says why.

    It is an ``Exception`` too because twistd, when it has become a daemon, tells its parent, which waits
    for word, only of those.
    """

    def __init__(self, complaint: str) -> None:
        super().__init__(complaint)
        self.code = 1  # rather than the complaint, which would be printed again


class Source(Protocol):
    """Where settings come from, and may have changed."""

    def read(self) -> Settings:
        """Return what they are now.  Raises ``SettingsError``."""

    def located(self, error: SettingsError) -> SettingsError:
        """Return a complaint about them with the place where it is to be mended."""


class BayeuxServer(BayeuxService):
    """A Bayeux service that listens by itself; with ``demo``, the demos stand beside its mounts.

    ``lines`` is what twistd is to log to; None: what it would by itself.  At a SIGHUP it has its settings
    read again from ``source``, and reloads what can be (Y-10); so are certificates.  Raises
    ``SettingsError`` for an endpoint that Twisted does not understand.
    """

    _log = Logger()

    def __init__(self, settings: Settings | None = None, policy: Policy | None = None,
                 demo: bool = False, source: Source | None = None, lines: Lines | None = None) -> None:
        super().__init__(settings, policy)
        self._lines = lines
        self._source = source
        self._signals = Signals(_reactor)
        self._endpoints = [(text, _endpoint(text)) for text in self.settings.listen]
        endpoints = list(self._endpoints)
        self.api: APIService | None = None
        """The HTTP API, if there is to be one."""
        if self.settings.api_listen:
            self.api = self._make_api()
            endpoints.append(self._api_endpoint)
        self._folder = os.getcwd()  # from which twistd goes away before it starts, to its --rundir
        self._certificates = [(text, certificate) for text, endpoint in endpoints
                              if (certificate := _renewable(text, endpoint)) is not None]
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
        self._journal = Journal(self.clock, self.settings.log_interval, self.hub.metrics, self.hub.witnesses)
        self.hub.add_listener(self._journal)
        self._garbage = Garbage(self.clock, self.settings.collection_interval,
                                self.settings.collection_pause, lambda: len(streams) + len(channels),
                                self.hub.metrics)
        self._lag = Lag(self.clock, self.hub.metrics)

    def setServiceParent(self, parent: Any) -> None:
        """Have twistd log to ``lines``, if there are any: it asks its application for what to log to."""
        if self._lines is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._lines)
        super().setServiceParent(parent)

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
        self._journal.start()
        self._event_loop.start()
        self._listen()

    async def _stop(self) -> None:
        began = self.clock.seconds()
        await super()._stop()
        self._site.close_log()
        if self.api is not None:  # the last: it is asked whether the server is ready
            ports, self._api_ports = self._api_ports, []
            for port in ports:
                await maybeDeferred(port.stopListening)
            await self.close_all((self.api.site,))
        self._garbage.stop()
        self._lag.stop()
        self._event_loop.stop()
        self._signals.restore()
        self._log.info("stopped after {seconds:g} s", event="stopped",
                       seconds=round(self.clock.seconds() - began, 2))

    async def stop_listening(self) -> None:
        """Free the ports."""
        self._listening = False
        self._journal.stop()
        ports, self._ports = self._ports, []
        for port in ports:
            await maybeDeferred(port.stopListening)

    def carriers(self) -> Sequence[Carrier]:
        """Have the site's connections closed too."""
        return (*super().carriers(), self._site)

    def _terminate(self) -> None:
        """Stop the process in good order; whoever says so again wants it to be quick."""
        if self.draining:
            self.hurry()
        else:
            cast(IReactorCore, _reactor).stop()

    def _reload(self) -> None:
        if self._source is None:
            return
        try:
            settings = self._source.read()
        except SettingsError as error:
            self.not_reloaded(error)
            return
        self.reload(settings)

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """Read the certificates again too, from where it listens.  Raises ``SettingsError``."""
        try:
            also = super().prepare(settings)
        except SettingsError as error:
            raise (error if self._source is None else self._source.located(error)) from None
        also_api = None if self.api is None else self.api.prepare(settings)
        read = [(text, certificate, self._read_source(text))
                for text, certificate in self._certificates]

        def apply() -> None:
            also()
            if also_api is not None:
                also_api()
            if self._lines is not None:
                self._lines.set_level(settings.log_level)
            for text, certificate, source in read:
                certificate.use(source)
                self._log.info("the certificate of {endpoint} has been read", event="certificate_reloaded",
                               endpoint=text)

        return apply

    def reloaded(self, settings: Settings) -> frozenset[str]:
        """Add where the key of the API is, if that has been read from there."""
        has_key = self.api is not None and settings.api_key_file
        return super().reloaded(settings) | ({"api_key_file"} if has_key else set())

    def _read_source(self, text: str) -> object:
        """Read the files of an endpoint with TLS again."""
        try:
            endpoint = serverFromString(_reactor, anchored(text, self._folder))
            source = source_of(cast(IStreamServerEndpoint, endpoint))
            check(source)
        except Exception as error:  # endpoint parsers raise whatever their arguments lead to
            raise _unusable(text, error) from None
        return source

    def _make_api(self) -> APIService:
        from bayeux.api.service import APIService, on_loopback  # klein is much to load for nothing

        text = on_loopback(self.settings.api_listen)
        self._api_endpoint = text, _endpoint(text, "api_listen")
        exposition = Exposition(self.hub, self.resource.endpoint)
        api = APIService(self.hub, self.resource.endpoint, exposition.render, CONTENT_TYPE,
                         draining=lambda: self.draining)
        api.setServiceParent(self)
        return api

    def _listen(self) -> None:
        if self._listening:
            return
        self._listening = True
        if self._source is not None:
            self._signals.handle(self._reload, self._terminate)
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
        self._log.info("Bayeux is served on {where} at {places}", event="listening",
                       where=_where(port, text), places=self._places)
        if self._presenter:
            self._log.info("The slideshow's presenter goes to {where}/{page}", event="presenter",
                           where=_where(port, text), page=self._presenter)

    def _api_listens(self, port: IListeningPort, text: str) -> None:
        self._api_ports.append(port)
        self._log.info("The API is served on {where}, with its page at /admin/", event="listening",
                       where=_where(port, text))

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
        why = reason(error)
        raise SettingsError(f"{setting}: {text!r} is no endpoint such as tcp:8080 ({why})") from None


def _renewable(text: str, endpoint: IStreamServerEndpoint) -> Certificate | None:
    try:
        return renewable(endpoint)
    except BadCertificate as error:
        raise _unusable(text, error) from None


def _unusable(text: str, error: Exception) -> SettingsError:
    return SettingsError(f"the certificate of {text!r} cannot be used ({reason(error)})")


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
