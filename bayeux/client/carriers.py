"""The transports of a client, as the protocol sees them: which there are, and which is tried next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Carrier:
    """A transport, as far as the protocol has to know it."""

    name: str
    is_stream: bool
    """Whether it has to be opened, and may then carry any number of exchanges; else each is a request."""
    is_open: bool = False
    is_opening: bool = False

    @property
    def is_usable(self) -> bool:
        """Say whether something can be sent by it now."""
        return self.is_open or not self.is_stream


class Carriers:
    """All that the client may use, the best first."""

    def __init__(self, transports: Sequence[tuple[str, bool]]) -> None:
        self.all = [Carrier(name, is_stream) for name, is_stream in transports]
        self.common = self.all
        """Those that the server of this session offers too."""
        self.current = self.all[0]
        """The one in use, or tried."""
        self._untried: list[Carrier] = []

    def __getitem__(self, name: str) -> Carrier:
        return next(carrier for carrier in self.all if carrier.name == name)

    @property
    def names(self) -> list[str]:
        """List the names of all."""
        return [carrier.name for carrier in self.all]

    @property
    def best(self) -> Carrier:
        """Return the one that is to be used if it can be."""
        return self.common[0]

    @property
    def is_best(self) -> bool:
        """Say whether there is nothing better to be tried."""
        return self.current is self.best

    def agree(self, offered: object, carrier: Carrier) -> bool:
        """Keep to what the server offers; says whether there is anything.

        ``carrier`` is the one by which it has said so, and which it should better go on with.
        """
        found = [carrier]
        if isinstance(offered, list):
            found = [each for each in self.all if each.name in offered]
        if found:
            self.common = found
            self.current = carrier if carrier in found else found[0]
        return bool(found)

    def try_all(self) -> Carrier:
        """Begin with the best of all."""
        self._untried = list(self.all)
        return self.try_next()

    def try_current(self) -> Carrier:
        """Begin with the one that was used last; the others come after it."""
        self._untried = [self.current, *(each for each in self.common if each is not self.current)]
        return self.try_next()

    def move(self, carrier: Carrier) -> None:
        """Use another; if it fails the others are tried."""
        self._untried = [each for each in self.common if each is not carrier]
        self.current = carrier

    @property
    def has_untried(self) -> bool:
        """Say whether there is another to be tried before there is a pause."""
        return bool(self._untried)

    def try_next(self) -> Carrier:
        """Use the next."""
        self.current = self._untried.pop(0)
        return self.current
