"""The import rule of the house (DESIGN): lower never imports higher, and only the web knows the reactor."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import bayeux

LEVELS: list[set[str]] = [
    {"_version", "addresses", "errors", "rates"},
    {"channels"},
    {"rules"},
    {"keys"},
    {"credentials", "signatures", "tables"},
    {"settings", "surrogates"},
    {"certificates", "clocks", "configuration", "deadlines", "families", "histograms", "messages", "nonces",
     "process", "registry", "results", "versions"},
    {"metrics"},
    {"eventloop", "faults", "garbage", "lag", "queues", "signals"},
    {"session"},
    {"backlog", "haste", "holds"},
    {"extensions", "journal", "policy"},
    {"access"},
    {"extensions.ack", "extensions.activity", "extensions.binary", "extensions.signing",
     "extensions.timestamp", "extensions.timesync", "extensions.tokens", "sessions"},
    {"extensions.builtin"},
    {"admission", "exchange", "broker", "leases", "speakers"},
    {"connects", "failures", "guard", "handshakes", "services"},
    {"subscriptions"},
    {"hub"},
    {"client.errors", "client.settings", "client.advice", "client.backoff", "client.states",
     "client.metrics", "client.carriers", "client.cookies"},
    {"client.envelopes"},
    {"client.outbox", "client.extensions"},
    {"client.topics", "client.acks", "client.replay"},
    {"client.effects"},
    {"client.life", "client.exchanges", "client.subscriptions"},
    {"client.talk", "client.dialogue"},
    {"client.machine"},
    {"transports"},
    {"transports.connections", "transports.cookies", "transports.forms", "transports.origins",
     "transports.proxies"},
    {"transports.wire"},
    {"transports.polling", "transports.streams"},
    {"transports.websocket", "transports.eventsource"},
    {"transports.endpoint"},
    {"exposition"},
    {"web"},
    {"client.addresses", "client.polling"},
    {"client.websocket"},
    {"client.client", "client.stateless"},
    {"client"},
    {"web.parser", "web.response", "web.asker"},
    {"web.channel", "web.resource", "web.authorizer"},
    {"web.channels", "web.door", "web.proxied"},
    {"web.site"},
    {"api"},
    {"api.errors", "api.sessions", "api.traffic", "api.watching"},
    {"api.channels", "api.openapi", "api.pages", "api.publishing", "api.site", "api.status"},
    {"api.routes"},
    {"api.service"},
    {"logs", "service"},
    {"server"},
    {"load"},
    {"load.known", "load.ledger", "load.loop", "load.replies", "load.series", "load.signer"},
    {"load.latency", "load.plots", "load.scenario", "load.target"},
    {"load.connection", "load.machine", "load.orders", "load.schedule", "load.wire"},
    {"load.fleet", "load.options", "load.outcome", "load.posts", "load.tally"},
    {"load.progress", "load.report", "load.websocket"},
    {"load.client", "load.page"},
    {"load.compare", "load.crowd", "load.press", "load.probe"},
    {"load.run", "load.worker"},
    {"load.command"},
    {"tap", "cli"},
    {"cli.options", "cli.running"},
    {"cli.check", "cli.keygen", "cli.load", "cli.publish", "cli.sign", "cli.subscribe", "cli.token"},
    {"cli.main"},
    {"__main__"},
]
"""Every module of the package, lowest first; those of one level do not import each other."""

LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}
WEB = LEVEL["web"]
PACKAGE = Path(bayeux.__file__).parent
FOR_CLIENTS = {
    "client": {"errors", "channels", "messages", "results", "clocks"},
    "load": {"_version", "channels", "keys", "signatures"},
}
"""What clients may use of the rest: they have nothing to do with the server."""
DEMO = "demo"
"""The demos are an application: they use what is public, and only the server that shows them knows them."""


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the name of every module, without ``bayeux.``, and its file."""
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if name and parts[0] != DEMO:
            yield name, file


SOURCES = {name: file.read_text(encoding="utf-8") for name, file in modules()}


def imported(source: str, name: str, is_package: bool = False) -> Iterator[str]:
    """Yield what a module imports, absolute and dotted, wherever in it the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                here = ["bayeux", *name.split(".")]
                base = here[:len(here) - node.level + is_package]
                start = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def own(names: Iterable[str]) -> set[str]:
    """Pick the imports of our own modules, as ``LEVEL`` names them; ``""`` is the package itself."""
    found = set()
    for name in names:
        if name == "bayeux" or name.startswith("bayeux."):
            parts = name.split(".")[1:]
            while parts and ".".join(parts) not in LEVEL and parts != [DEMO]:
                parts.pop()  # a name in the module
            found.add(".".join(parts))
    return found


def violations(name: str, source: str, is_package: bool = False) -> set[str]:
    """Return which of its imports a module may not have."""
    names = list(imported(source, name, is_package))
    allowed = {other for other, level in LEVEL.items() if level < LEVEL[name]}
    if name == "server":
        allowed.add(DEMO)
    room = name.split(".")[0]
    if room in FOR_CLIENTS:
        allowed = {other for other in allowed
                   if other in FOR_CLIENTS[room] or other.split(".")[0] == room}
    wrong = {f"bayeux.{other}" for other in own(names) - allowed}
    if LEVEL[name] < WEB:
        wrong.update(other for other in names if f"{other}.".startswith((
            "twisted.web.", "twisted.internet.reactor.", "klein.", "treq.")))
    return wrong


def test_every_module_has_its_level() -> None:
    assert set(SOURCES) == set(LEVEL)


@pytest.mark.parametrize("name", sorted(LEVEL, key=lambda name: (LEVEL[name], name)))
def test_a_module_imports_only_what_is_below_it(name: str) -> None:
    is_package = (PACKAGE / name.replace(".", "/")).is_dir()
    assert violations(name, SOURCES[name], is_package) == set()


@pytest.mark.parametrize(("name", "source", "wrong"), [
    ("channels", "from bayeux.settings import Settings", "bayeux.settings"),
    ("channels", "from bayeux import settings", "bayeux.settings"),
    ("channels", "import bayeux.settings", "bayeux.settings"),
    ("channels", "import bayeux.settings as s", "bayeux.settings"),
    ("channels", "from . import settings", "bayeux.settings"),
    ("channels", "from .settings import Settings", "bayeux.settings"),
    ("transports.forms", "from .polling import Polling", "bayeux.transports.polling"),
    ("transports.forms", "from ..web import site", "bayeux.web.site"),
    ("transports.forms", "from bayeux.transports.origins import Origins", "bayeux.transports.origins"),
    ("hub", "from bayeux.hub import Hub", "bayeux.hub"),
    ("hub", "from bayeux import BayeuxService", "bayeux."),
    ("hub", "import bayeux", "bayeux."),
    ("hub", "def f():\n    from bayeux.tap import Options", "bayeux.tap"),
    ("hub", "if TYPE_CHECKING:\n    from bayeux.tap import Options", "bayeux.tap"),
    ("hub", "from bayeux.demo import make_root", "bayeux.demo"),
    ("hub", "from twisted.internet import reactor", "twisted.internet.reactor"),
    ("hub", "import twisted.internet.reactor", "twisted.internet.reactor"),
    ("hub", "from twisted.web.http import Request", "twisted.web.http.Request"),
    ("hub", "from twisted import web", "twisted.web"),
    ("hub", "import twisted.web", "twisted.web"),
    ("transports.polling", "from klein import Klein", "klein.Klein"),
    ("client.machine", "from bayeux.hub import Hub", "bayeux.hub"),
    ("client.client", "from bayeux.settings import Settings", "bayeux.settings"),
    ("client.envelopes", "from bayeux.client.machine import Machine", "bayeux.client.machine"),
    ("client.machine", "from twisted.web.client import Agent", "twisted.web.client.Agent"),
    ("load.client", "from bayeux.messages import Event", "bayeux.messages"),
    ("load.wire", "from bayeux.load.client import Client", "bayeux.load.client"),
])
def test_a_forbidden_import_is_noticed(name: str, source: str, wrong: str) -> None:
    assert violations(name, source) == {wrong}


@pytest.mark.parametrize(("name", "source"), [
    ("hub", "from bayeux.errors import BayeuxError"),
    ("hub", "from bayeux import errors"),
    ("hub", "from twisted.internet.interfaces import IReactorTime"),
    ("hub", "from twisted.internet.task import deferLater"),
    ("transports.forms", "from . import Headers"),
    ("transports.forms", "from ..hub import Hub"),
    ("web.resource", "from twisted.web.resource import Resource"),
    ("service", "from twisted.internet import reactor"),
    ("client.client", "from bayeux.channels import is_meta"),
    ("load.options", "from bayeux.channels import is_name"),
    ("client.polling", "from treq.client import HTTPClient"),
    ("server", "from bayeux.demo import make_root"),
])
def test_any_other_import_is_let_through(name: str, source: str) -> None:
    assert violations(name, source) == set()


def test_the_public_names() -> None:
    assert bayeux.__all__ == [
        "Access", "BayeuxError", "BayeuxService", "Call", "ChannelRule", "Extension", "Hub", "KeyRule",
        "Link", "ListenOnly", "Policy", "Session", "Settings", "SettingsError", "__version__",
    ]


def test_the_public_names_are_there() -> None:
    assert [name for name in bayeux.__all__ if not hasattr(bayeux, name)] == []


def test_the_demos_use_public_names_alone() -> None:
    """Whoever copies a demo copies no private import."""
    files = sorted((PACKAGE / DEMO).rglob("*.py"))
    assert len(files) > 1
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bayeux":
                assert node.module == "bayeux", file
                assert {alias.name for alias in node.names} <= set(bayeux.__all__), file
