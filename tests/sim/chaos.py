"""What happens to a run at which of its steps: one counter, one source of chance, one trace.

Every port call of a simulated world passes through `Chaos.point`, some of them several times (before and after its
effect). There a run crashes, is cancelled or told to stop, and there other people and the user edit. After a crash
nothing has an effect any more: every further point raises.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.sim.loop import Clock


class SimulatedCrash(BaseException):
    """The process is gone; what runs after this is only Python tidying up."""


@dataclass(slots=True)
class Rates:
    """How often, per chance given, between 0 and 1."""

    transient: float = 0.0
    """A request fails before or after its effect."""
    rejected: float = 0.0
    fatal: float = 0.0
    """A request is answered with 401, or the remote is dead."""
    back_off: float = 0.0
    """A request sleeps before its next try."""
    unreadable: float = 0.0
    """A local file cannot be read or changes while it is."""
    local_edit: float = 0.0
    other_edit: float = 0.0


@dataclass(slots=True)
class Chaos:
    random: random.Random
    clock: Clock
    rates: Rates = field(default_factory=Rates)
    edit_locally: Callable[[], str] = lambda: ""
    edit_remotely: Callable[[], str] = lambda: ""
    at: dict[int, Callable[[], None]] = field(default_factory=dict)
    """Acts of the one who made the world, by step of the run: crash, cancel, stop, or an edit."""
    on: dict[str, Callable[[], None]] = field(default_factory=dict)
    """The same by what the step is called; each is done once."""
    step: int = 0
    """Counts on over all runs, so that two steps of a world can be told to be one before the other."""
    begun: int = 0
    """The step at which the run began."""
    edits_left: int = 0
    others_edited: int = 0
    """The step at which somebody else last edited within a run."""
    dead: bool = False
    trace: list[str] = field(default_factory=list)

    def begin(self) -> None:
        self.begun, self.dead = self.step, False

    def crash(self) -> None:
        self.dead = True

    def point(self, what: str) -> None:
        if self.dead:
            raise SimulatedCrash(what)
        self.step += 1
        self.note(what)
        acts = [self.at.pop(self.step - self.begun, None), self.on.pop(what, None)]
        for act in acts:
            if act is not None:
                act()
        self._edit()
        if self.dead:
            self.note("crash")
            raise SimulatedCrash(what)

    def note(self, what: str) -> None:
        self.trace.append(f"{self.step} {self.clock.now_s:.4f} {what}")

    def happens(self, rate: float) -> bool:
        return rate > 0 and self.random.random() < rate

    def _edit(self) -> None:
        if self.edits_left <= 0:
            return
        for rate, edit in ((self.rates.local_edit, self.edit_locally), (self.rates.other_edit, self.edit_remotely)):
            if self.happens(rate):
                self.edits_left -= 1
                if edit is self.edit_remotely:
                    self.others_edited = self.step
                self.note(f"edit {edit()}")
