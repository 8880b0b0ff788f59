"""What all parts of the machine share: the state, the timers that run, and what is to be done."""

from __future__ import annotations

from bayeux.client.effects import Changed, Effect, Start, Stop, Timer
from bayeux.client.states import TRANSITIONS, Change, State, Step


class Life:
    """The life of one client, up to now."""

    def __init__(self) -> None:
        self.state = State.UNCONNECTED
        self.timers: set[Timer] = set()
        """Those that run."""
        self._effects: list[Effect] = []

    def step(self, step: Step, reason: Exception | None = None) -> None:
        """Go on to the next state; raises ``KeyError`` for a step that cannot be taken from this one."""
        previous, self.state = self.state, TRANSITIONS[self.state, step]
        if self.state is not previous:
            self.emit(Changed(Change(self.state, previous, reason)))

    def emit(self, effect: Effect) -> None:
        """Have something done, behind all else; a timer that does not run is not stopped."""
        if isinstance(effect, Start):
            self.timers.add(effect.timer)
        elif isinstance(effect, Stop):
            if effect.timer not in self.timers:
                return
            self.timers.remove(effect.timer)
        self._effects.append(effect)

    def take(self) -> list[Effect]:
        """Return what is to be done now."""
        effects, self._effects = self._effects, []
        return effects
