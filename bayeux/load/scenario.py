"""What the clients do, phase by phase; from a TOML file, or from the options of the command."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bayeux.load import LoadError

Count = Annotated[int, Meta(ge=1, le=10_000_000)]
Rate = Annotated[float, Meta(ge=0, le=1_000_000)]
Seconds = Annotated[float, Meta(ge=0, le=1_000_000)]
Period = Annotated[float, Meta(gt=0, le=1_000_000)]
Share = Annotated[float, Meta(gt=0, le=1)]
Transport = Literal["long-polling", "websocket", "mixed"]

T = TypeVar("T", bound=Struct)


class Churn(Struct, frozen=True, forbid_unknown_fields=True):
    """Clients that leave and come back."""

    rate: Annotated[float, Meta(gt=0, le=1_000_000)]
    """How many leave a second."""
    away: Seconds = 1.0
    """For how long."""
    abrupt: bool = False
    """Whether they vanish instead of saying good-bye (/meta/disconnect)."""


class Slow(Struct, frozen=True, forbid_unknown_fields=True):
    """Clients that read slowly while the phase lasts; what they lose is not counted."""

    share: Share
    """How many of all."""
    pause: Period = 2.0
    """Seconds that each waits between what it has read and the next."""


class Storm(Struct, frozen=True, forbid_unknown_fields=True):
    """Clients that lose their connections, all at one moment, and come back at once."""

    share: Share = 1.0
    """How many of all."""
    at: Seconds = 1.0
    """Seconds after the phase began."""
    resume: bool = False
    """Whether they come back with the session that they had; otherwise they shake hands again."""


class Phase(Struct, frozen=True, forbid_unknown_fields=True):
    """A time in which one load is put on the server."""

    duration: Period
    rate: Rate = 0.0
    """Messages published a second, over all channels."""
    name: str = ""
    measure: bool = True
    """Whether it counts: otherwise it warms up."""
    churn: Churn | None = None
    slow: Slow | None = None
    storm: Storm | None = None

    def __post_init__(self) -> None:
        if self.storm is not None and self.storm.at >= self.duration:
            raise ValueError(f"the storm at {self.storm.at:g} s comes after the phase's end")


class Scenario(Struct, frozen=True, forbid_unknown_fields=True):
    """A scenario file; options that it does not set are taken from the command line."""

    phases: tuple[Phase, ...]
    clients: Count | UnsetType = UNSET
    channels: Count | UnsetType = UNSET
    publishers: Count | UnsetType = UNSET
    processes: Count | UnsetType = UNSET
    transport: Transport | UnsetType = UNSET
    size: Count | UnsetType = UNSET
    ramp: Rate | UnsetType = UNSET

    def __post_init__(self) -> None:
        if not any(phase.measure for phase in self.phases):
            raise ValueError("no phase is measured")

    def options(self) -> dict[str, Any]:
        """Return the options that the file sets."""
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name != "phases"}
        return {name: value for name, value in values.items() if value is not UNSET}


def simple(rate: float, duration: float, warmup: float) -> tuple[Phase, ...]:
    """Return one phase that is measured, and one before it to warm up if that is to be."""
    warm = (Phase(warmup, rate, "warm-up", measure=False),) if warmup else ()
    return (*warm, Phase(duration, rate, "load"))


def read(path: Path) -> Scenario:
    """Read a scenario.  Raises ``LoadError``."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LoadError(f"{path}: {error}") from None
    return parse(values, str(path))


def parse(values: dict[str, Any], where: str) -> Scenario:
    """Make a scenario of what a file says.  Raises ``LoadError``, which says where and what."""
    tables = values.pop("phase", None)
    if not isinstance(tables, list) or not tables:
        raise LoadError(f"{where}: no phase: at least one table [[phase]] is needed")
    phases = tuple(_phase(table, number, where) for number, table in enumerate(tables, 1))
    return _convert({**values, "phases": phases}, Scenario, where)


def _phase(table: Any, number: int, where: str) -> Phase:
    name = table.get("name", "") if isinstance(table, dict) else ""
    phase = _convert(table, Phase, f"{where}: phase {number}{f' ({name})' if name else ''}")
    return phase if phase.name else msgspec.structs.replace(phase, name=f"phase {number}")


def _convert(values: Any, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        at = path.rstrip("`").lstrip(".")
        known = f"; known: {', '.join(kind.__struct_fields__)}" if "unknown field" in what and not at else ""
        raise LoadError(f"{where}: {f'{at}: ' if at else ''}{what}{known}") from None
