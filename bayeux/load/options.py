"""What a run is asked to be: the options of ``bayeux load``, their defaults, how they are checked."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, get_args

import msgspec

from bayeux.channels import is_name, is_reserved
from bayeux.keys import BadKey, is_key_id, read_secret
from bayeux.load import LoadError, scenario, wire
from bayeux.load.scenario import Count, Period, Phase, Rate, Seconds, Transport
from bayeux.load.signer import Signer

_TIMES = {"rate": 10.0, "duration": 10.0, "warmup": 2.0}
"""What a scenario file says by itself."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """One run; the names are those of the command line.  Times in seconds."""

    url: str
    clients: Count = 100
    channels: Count = 10
    transport: Transport = "long-polling"
    publishers: Count = 4
    size: Count = 50
    ramp: Rate = 0.0
    processes: Count = 1
    patience: Period = 60.0
    drain: Seconds = 10.0
    prefix: str = "/load"
    ext: str = ""
    signer: Signer | None = None
    header: tuple[str, ...] = ()
    insecure: bool = False
    pid: tuple[int, ...] = ()
    phases: tuple[Phase, ...] = scenario.simple(**_TIMES)
    json: Path | None = None
    html: Path | None = None

    def __post_init__(self) -> None:
        if self.size < wire.LEAST:
            raise ValueError(f"--size: an event takes {wire.LEAST} bytes at least, to tell which it is")
        if not is_name(self.prefix) or is_reserved(self.prefix):
            raise ValueError(f"--prefix: {self.prefix!r} is no name of a channel that can be published to")
        if self.processes > self.clients:
            raise ValueError("--processes: there are fewer clients than processes")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The transports that are used."""
        return ("long-polling", "websocket") if self.transport == "mixed" else (self.transport,)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options; ``parse`` makes ``Options`` of what they are given."""
    known = Options(url="")
    parser.add_argument("url", metavar="URL", help="the server: http://host:port/path, or https, ws, wss")

    def add(name: str, metavar: str, text: str, kind: Any = str, **more: Any) -> None:
        group.add_argument(f"--{name}", metavar=metavar, type=kind, default=None, help=text, **more)

    group = parser.add_argument_group("who")
    add("clients", "N", f"subscribers [{known.clients}]", int)
    add("channels", "C", f"channels that they share evenly, each on one [{known.channels}]", int)
    group.add_argument("--transport", choices=get_args(Transport), default=None,
                       help=f"mixed is half of each [{known.transport}]")
    add("publishers", "P", f"clients that publish [{known.publishers}]", int)
    add("ramp", "N", "clients that come a second [as fast as the server takes them]", float)
    add("processes", "K", f"processes that the clients are in [{known.processes}]", int)
    add("prefix", "CHANNEL", f"what their channels begin with [{known.prefix}]")
    add("token", "TOKEN", "a token for each handshake, as bayeux token prints it; @FILE: it is in FILE")
    add("ext", "JSON", "an object, the ext of each handshake [none]")
    add("key", "FILE", "the file of a key's secret: what is published is signed with it")
    add("id", "ID", "the key's id on the server [FILE's name without its suffix]")
    add("header", "LINE", "a header of every request, 'Name: value'; repeatable", action="append")
    group.add_argument("--insecure", action="store_true", default=None,
                       help="accept any certificate of the server")

    group = parser.add_argument_group("what")
    add("rate", "R", f"messages published a second, over all channels [{_TIMES['rate']:g}]", float)
    add("size", "BYTES", f"of a message's data [{known.size}]", int)
    add("duration", "SECONDS", f"how long it is measured [{_TIMES['duration']:g}]", float)
    add("warmup", "SECONDS", f"the same load before, not measured [{_TIMES['warmup']:g}]", float)
    add("scenario", "FILE", "phases with loads of their own, in TOML", Path)
    add("drain", "SECONDS", f"how long late messages are waited for [{known.drain:g}]", float)
    add("patience", "SECONDS", f"how long clients may take to come [{known.patience:g}]", float)

    group = parser.add_argument_group("what of it")
    add("pid", "PID", "a process of the server, for its CPU and memory; repeatable", int, action="append")
    add("json", "FILE", "write the report there", Path)
    add("html", "FILE", "write the report there as a page with plots", Path)


def parse(given: argparse.Namespace) -> Options:
    """Make options of what was given: it wins over a scenario file, and that over defaults.

    Raises ``LoadError``.
    """
    values = {name: value for name, value in vars(given).items()
              if value is not None and (name in Options.__struct_fields__ or name in _TIMES)}
    times = {name: values.pop(name) for name in _TIMES if name in values}
    if given.scenario is not None:
        if times:
            raise LoadError(f"--{next(iter(times))} and --scenario do not go together: "
                            "the phases of a scenario have their own")
        read = scenario.read(given.scenario)
        values = {**read.options(), **values, "phases": read.phases}
    else:
        _check(times, _Times, "--")
        values["phases"] = scenario.simple(**{**_TIMES, **times})
    if given.token is not None or "ext" in values:
        values["ext"] = _ext(values.get("ext", "{}"), given.token)
    if given.key is not None:
        values["signer"] = _signer(given.key, given.id)
    elif given.id is not None:
        raise LoadError("--id names a key, so it needs --key")
    for name in ("header", "pid"):
        if name in values:
            values[name] = tuple(values[name])
    options: Options = _check(values, Options, "--")
    return options


class _Times(msgspec.Struct, frozen=True):
    rate: Rate = 0.0
    duration: Period = 1.0
    warmup: Seconds = 0.0


def _check(values: dict[str, Any], kind: Any, dashes: str) -> Any:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        at = path.rstrip("`").lstrip(".")
        raise LoadError(f"{f'{dashes}{at}: ' if at else ''}{what}") from None


def _ext(text: str, token: str | None) -> str:
    """Return the ext of a handshake, with the token if there is one."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise LoadError(f"--ext: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise LoadError("--ext: a JSON object is expected")
    if token is None:
        return text
    if token.startswith("@"):
        try:
            token = Path(token[1:]).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise LoadError(f"--token: {token[1:]}: {getattr(error, 'strerror', None) or error}") from None
    return json.dumps({**value, "token": token}, separators=(",", ":"))


def _signer(file: str, key_id: str | None) -> Signer:
    hint = "" if key_id else "; give it by --id"
    key_id = key_id or Path(file).stem
    if not is_key_id(key_id):
        raise LoadError(f"{key_id!r} is no key's id: 1 to 64 letters, digits, or characters of _ . -{hint}")
    try:
        return Signer(key_id, read_secret(file))
    except BadKey as error:
        raise LoadError(f"--key: {error}") from None


def check_files(options: Options) -> None:
    """Find out before the run whether the reports can be written.  Raises ``LoadError``."""
    for path in (options.json, options.html):
        if path is not None:
            check_writable(path)


def check_writable(path: Path) -> None:
    """See whether a file can be written, and leave it as it is.  Raises ``LoadError`` if it cannot."""
    was_there = path.exists()
    try:
        with path.open("a", encoding="utf-8"):
            pass
        if not was_there:
            path.unlink()
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror}") from None
