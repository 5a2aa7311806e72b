"""One seed, one story: edits, runs that are disturbed, and in the end a run that must put everything right.

Used by the tests and by `python -m tests.sim`. Everything follows from the seed: the same seed gives the same trace.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from syncd.core.model import DeleteMode, MaxDelete, OnDrift
from syncd.core.stamps import is_stamp
from syncd.errors import SyncdError
from tests.sim.chaos import Rates
from tests.sim.checks import Violation
from tests.sim.cloud import Knobs
from tests.sim.script import NAMES, LocalEdits, OtherEdits
from tests.sim.world import Run, Settings, World

MOST_ENDING_RUNS = 4


@dataclass(frozen=True, slots=True)
class Story:
    """What a seed stands for, for the one who has to find out why it failed."""

    seed: int
    trace: list[str]
    problem: str | None
    runs: int


def simulate(seed: int) -> Story:
    teller = _Teller(seed)
    problem: str | None = None
    try:
        teller.tell()
    except (AssertionError, SyncdError) as error:
        problem = f"{type(error).__name__}: {error}"
    return Story(seed, teller.world.chaos.trace, problem, teller.runs)


def some_settings(chance: random.Random) -> Settings:
    return Settings(
        delete=chance.choice((DeleteMode.TRACKED, DeleteMode.TRACKED, DeleteMode.MIRROR, DeleteMode.NEVER)),
        max_delete=chance.choice((MaxDelete(percent=100.0), MaxDelete(percent=100.0), MaxDelete(count=2))),
        exclude=chance.choice(((), (), ("e",), ("*.txt",))),
        empty_directories=chance.random() < 0.8,
        workers=chance.choice((1, 2, 3, 5)),
        trust_stat=chance.random() < 0.9,
        on_drift=chance.choice((OnDrift.OVERWRITE, OnDrift.OVERWRITE, OnDrift.KEEP, OnDrift.COPY)),
        trash_keep_s=chance.choice((None, None, 30.0, 1e6)),
    )


def some_knobs(chance: random.Random) -> Knobs:
    return Knobs(
        completion_s=chance.choice((0.0, 0.05, 0.5)),
        linger_s=chance.choice((0.0, 0.5, 5.0)),
        child_move_s=chance.choice((0.0, 0.02, 0.5)),
        lag_s=chance.choice((0.0, 0.0, 0.5, 5.0, 29.0)),
        refuses_twins=chance.random() < 0.5,
        patch_keeps=chance.random() < 0.5,
    )


class _Teller:
    def __init__(self, seed: int) -> None:
        chance = self._random = random.Random(seed)
        self.world = World(seed, settings=some_settings(chance), knobs=some_knobs(chance))
        self.runs = 0
        self._strangers = chance.random() < 0.5
        names = NAMES[: chance.choice((2, 3, 4, 6))]
        chaos = self.world.chaos
        self._edit = LocalEdits(chance, self.world.tree, names=names, specials=chance.random() < 0.3)
        twins = self.world.settings.delete is not DeleteMode.MIRROR
        self._others = OtherEdits(chance, self.world.cloud, names=names, twins=twins)
        chaos.edit_locally, chaos.edit_remotely = self._edit, self._others
        if chance.random() < 0.2 and self.world.settings.trash_keep_s is None:
            self.world.cloud.knobs.names_kept = lambda name: name.replace("-", "")

    def tell(self) -> None:
        self.world.chaos.note(f"{self.world.settings} {self.world.cloud.knobs}")
        self._edit_some(self._random.randint(1, 12))
        for _ in range(self._random.randint(1, 4)):
            self._edit_some(self._random.randint(0, 5))
            self._disturb()
            self._run()
            self.world.chaos.rates, self.world.chaos.edits_left = Rates(), 0
            self.world.chaos.at.clear()
            self.world.wait(self._random.choice((0.0, 0.3, 60.0)))
            if self._random.random() < 0.05:
                self.world.wait(self.world.cloud.knobs.lag_s)  # nobody could know of what is not listed then
                self.world.lose_state()
        self._end()

    def _edit_some(self, count: int) -> None:
        for _ in range(count):
            self.world.clock.now_s += self._random.choice((0.0, 0.001, 1.0))
            by_others = self._strangers and self._random.random() < 0.2
            self.world.chaos.note(f"edit {self._others() if by_others else self._edit()}")

    def _run(self) -> Run:
        self.runs += 1
        self.world.chaos.note("run")
        return self.world.run()

    def _disturb(self) -> None:
        chance, world = self._random, self.world
        rates = world.chaos.rates = Rates()
        step = int(3 + chance.expovariate(1 / 60))
        match chance.choice(("crash", "crash", "cancel", "stop", "nothing", "nothing")):
            case "crash":
                world.chaos.at[step] = world.chaos.crash
            case "cancel":
                world.chaos.at[step] = world.cancel
            case "stop":
                world.chaos.at[step] = lambda: _stop(world)
        if chance.random() < 0.4:
            rates.transient = chance.choice((0.01, 0.1))
            rates.rejected = chance.choice((0.0, 0.05))
            rates.fatal = chance.choice((0.0, 0.02))
        rates.back_off = chance.choice((0.0, 0.0, 0.1))
        rates.unreadable = chance.choice((0.0, 0.1))
        world.chaos.edits_left = chance.choice((0, 0, 3, 10))
        rates.local_edit = 0.05
        rates.other_edit = 0.03 * self._strangers

    def _end(self) -> None:
        """Undisturbed runs until nothing is left to be done; one is enough unless deletions have to be approved."""
        world = self.world
        world.wait()
        if world.store.memory.rebuilt:
            self._run()
        run = self._run()
        if run.report.held:
            self._complain(run)
            world.settings.max_delete = MaxDelete(percent=100.0)
            world.wait()
            run = self._run()
        self._complain(run)
        world.wait()
        again = self._run()
        self._complain(again)
        changes = [call for call in again.changes if not (self._is_refused(call) or self._is_repeat(call))]
        changes = [call for call in changes if not is_stamp(call.removeprefix("delete "))]  # what was too old by then
        if changes:
            raise Violation(f"a second run asked for changes: {changes}")

    def _is_refused(self, call: str) -> bool:
        """Names that the remote changes are tried, and taken back, in every run."""
        return any(self.world.cloud.knobs.names_kept(part) != part for part in call.split()) or (
            call.startswith("delete") and "-" in "".join(self.world.tree.nodes)
        )

    def _is_repeat(self, call: str) -> bool:
        """Somebody else's second record of a path goes once the first one is seen to have the same content."""
        operation, _, path = call.partition(" ")
        return operation == "delete" and path in self.world.tree.files()

    def _complain(self, run: Run) -> None:
        found = self.world.checks.converged(run.report, empty_directories=self.world.settings.empty_directories)
        if run.error is not None:
            found.append(f"an undisturbed run failed: {run.error!r}")
        if found:
            raise Violation("; ".join(found) + f"; {run.report}")


def _stop(world: World) -> None:
    world.stop.request(15)
