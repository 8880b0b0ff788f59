"""The figures that were measured: of each one a value for every run and every server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from tests.bench.servers import FAYE, FLOOR, TXBAYEUX

DRIVER = "driver's CPU"
"""A figure of the driver, not of a server: what share of a core it used."""
_BUSY = 0.9


@dataclass(frozen=True)
class Mark:
    """What a figure of txbayeux has to reach: a bound of it, or of its ratio to another's."""

    bound: float
    against: str = ""
    """``FLOOR`` or ``FAYE``; empty: the value itself."""
    at_least: bool = False

    def __str__(self) -> str:
        than = f"{'>=' if self.at_least else '<='} {self.bound:g}"
        return f"{than} x {self.against}" if self.against else than

    def kept(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass
class Figure:
    """One figure; ``values`` has a list for each server, with an entry for each run."""

    scenario: str
    name: str
    unit: str
    marks: tuple[Mark, ...] = ()
    values: dict[str, list[float]] = field(default_factory=dict)

    def value(self, who: str) -> float | None:
        """Return the median over the runs."""
        values = self.values.get(who)
        return median(values) if values else None

    def ratio(self, who: str) -> float | None:
        """Return the median of txbayeux's ratio to another, each taken within one run."""
        pairs = zip(self.values.get(TXBAYEUX, ()), self.values.get(who, ()), strict=False)
        ratios = [ours / theirs for ours, theirs in pairs if theirs]
        return median(ratios) if ratios else None

    def verdicts(self) -> Iterator[tuple[Mark, float, bool]]:
        """Yield each mark that can be judged, what it is judged by, and whether it is kept."""
        for mark in self.marks:
            reached = self.ratio(mark.against) if mark.against else self.value(TXBAYEUX)
            if reached is not None:
                yield mark, reached, mark.kept(reached)


class Figures:
    """All of them, in the order in which they first came."""

    def __init__(self) -> None:
        self._figures: dict[tuple[str, str], Figure] = {}

    def add(self, scenario: str, name: str, unit: str, who: str, value: float, *marks: Mark) -> None:
        """Add what was measured in one run."""
        figure = self._figures.setdefault((scenario, name), Figure(scenario, name, unit, marks))
        figure.values.setdefault(who, []).append(value)

    def __iter__(self) -> Iterator[Figure]:
        return iter(self._figures.values())

    def limited(self) -> Iterator[str]:
        """Yield where the driver had so much to do that a server might have done better."""
        for figure in self:
            for who in figure.values if figure.name == DRIVER else ():
                if (figure.value(who) or 0) > _BUSY:
                    yield f"{figure.scenario}: the driver of {who} was busy all the time; it may carry more"

    def as_json(self) -> list[dict[str, object]]:
        """Return all that is known."""
        return [{"scenario": figure.scenario, "figure": figure.name, "unit": figure.unit,
                 "values": figure.values,
                 "medians": {who: figure.value(who) for who in figure.values},
                 "ratios": {who: figure.ratio(who) for who in (FLOOR, FAYE) if who in figure.values},
                 "marks": [{"mark": str(mark), "reached": reached, "kept": kept}
                           for mark, reached, kept in figure.verdicts()]}
                for figure in self]
