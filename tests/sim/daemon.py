"""One seed, one story of the daemon: its lives, what disturbs them, and what must be so when all is quiet.

Used by the tests and by `python -m tests.sim --daemon`. Everything follows from the seed.
"""

from __future__ import annotations

import asyncio
import random

from syncd.core.diff import Census
from syncd.core.model import JobState, MaxDelete
from syncd.core.paths import path_of
from syncd.core.stamps import is_stamp
from syncd.engine.keeper import Habits, Keeper
from syncd.engine.observe import walk
from syncd.errors import SyncdError
from tests.sim.chaos import Rates
from tests.sim.checks import Violation
from tests.sim.life import Lives
from tests.sim.script import NAMES, LocalEdits
from tests.sim.simulate import Story, some_knobs, some_settings
from tests.sim.watch import Manners
from tests.sim.world import World

QUIET_AFTER_S = 4000.0
"""So long after the last disturbance, in virtual seconds, everything has to be where it belongs: longer than the
longest back-off of a path."""
MOST_STEPS = 2000
"""Of the world in ten seconds in which nobody disturbs it."""


def simulate_daemon(seed: int) -> Story:
    teller = _Teller(seed)
    problem: str | None = None
    chance = random.getstate()
    random.seed(seed)  # the keeper's own jitter
    try:
        teller.tell()
    except (AssertionError, SyncdError) as error:
        problem = f"{type(error).__name__}: {error}"
    finally:
        random.setstate(chance)
    return Story(seed, teller.world.chaos.trace, problem, teller.lives.count)


class _Teller:
    def __init__(self, seed: int) -> None:
        chance = self._random = random.Random(seed)
        world = self.world = World(seed, settings=some_settings(chance), knobs=some_knobs(chance))
        names = NAMES[: chance.choice((2, 3, 4, 6))]
        self._edits = LocalEdits(chance, world.tree, names=names, specials=chance.random() < 0.3)
        manners = Manners(
            lost=chance.choice((0.0, 0.1, 0.5)),
            repeated=chance.choice((0.0, 0.5)),
            exaggerated=chance.choice((0.0, 0.1)),
            late_s=chance.choice((0.03, 1.0, 10.0)),
        )
        habits = Habits(
            settle_s=chance.choice((0.05, 0.5, 2.0)),
            settle_max_s=chance.choice((5.0, 300.0)),
            rescan_s=chance.choice((120.0, 3600.0)),
            drain_s=8.0,
            flush=chance.random() < 0.2,
        )
        self.lives = Lives(world, chance, habits=habits, manners=manners, stop_hard=0.2)
        world.chaos.edit_locally = self._edit
        world.chaos.note(f"{world.settings} {world.cloud.knobs} {habits} {manners}")

    def tell(self) -> None:
        chaos = self.world.chaos
        self._edit_some(self._random.randint(0, 12))
        for _ in range(self._random.randint(1, 3)):
            self._disturb()
            self.lives.live(self._restlessly)
            chaos.rates, chaos.edits_left = Rates(), 0
            chaos.at.clear()
            self._edit_some(self._random.choice((0, 0, 3)))
            self.world.wait(self._random.choice((0.0, 1.0, 60.0)))
        self.lives.live(self._until_quiet)
        self._check()

    def _edit(self) -> str:
        return self.lives.edit(self._edits)

    def _edit_some(self, count: int) -> None:
        for _ in range(count):
            self.world.chaos.note(f"edit {self._edit()}")

    def _disturb(self) -> None:
        chance, world = self._random, self.world
        rates = world.chaos.rates = Rates()
        if chance.random() < 0.5:
            world.chaos.at[int(3 + chance.expovariate(1 / 200))] = self.lives.crash
        if chance.random() < 0.5:
            rates.transient = chance.choice((0.01, 0.1))
            rates.rejected = chance.choice((0.0, 0.05))
            rates.fatal = chance.choice((0.0, 0.02))
        rates.back_off = chance.choice((0.0, 0.0, 0.1))
        rates.unreadable = chance.choice((0.0, 0.1))
        world.chaos.edits_left = chance.choice((0, 0, 3, 10))
        rates.local_edit = 0.05

    async def _restlessly(self, keeper: Keeper) -> None:
        chance = self._random
        for _ in range(chance.randint(1, 12)):
            await asyncio.sleep(chance.choice((0.01, 0.3, 1.0, 5.0, 20.0, 70.0)))
            for _ in range(chance.choice((0, 1, 1, 2, 6))):
                self._edit_some(1)
                await asyncio.sleep(chance.choice((0.0, 0.0, 0.01, 0.1)))
            self._ask(keeper)

    def _ask(self, keeper: Keeper) -> None:
        said = self._random.choice(("", "", "", "pause", "resume", "approve", "rescan", "clock"))
        self.world.chaos.note(f"ask {said}")
        match said:
            case "pause":
                keeper.pause()
            case "resume":
                keeper.resume()
            case "approve":
                self._approve(keeper)
            case "rescan":
                keeper.rescan()
            case "clock":
                self.world.clock.ahead_s += self._random.choice((3600.123, -1800.371, 0.777))

    def _approve(self, keeper: Keeper) -> None:
        self.world.checks.approved |= set(keeper.status().held_paths)
        keeper.approve()

    async def _until_quiet(self, keeper: Keeper) -> None:
        await asyncio.sleep(130.0)  # what no hint told of is found by the next local rescan
        await self._until_calm(keeper)
        known, asked = self._known_differences(), len(self._changes())
        keeper.rescan()
        await self._until_calm(keeper)
        forgotten = [one for one in self._changes()[asked:] if known & {*one.split(" ")}]
        if forgotten:
            raise Violation(f"only a look at everything brought it to ask for {forgotten}")

    async def _until_calm(self, keeper: Keeper) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + QUIET_AFTER_S
        calm = 0
        while calm < 3:
            if loop.time() > until_s:
                raise Violation(f"it does not come to rest: {keeper.status()}")
            begun = self.world.chaos.step
            await asyncio.sleep(10.0)
            if self.world.chaos.step - begun > MOST_STEPS:
                raise Violation(f"it looks again and again: {keeper.status()}")
            if keeper.status().held:
                self._approve(keeper)
            calm = calm + 1 if self._is_calm(keeper) else 0

    def _known_differences(self) -> set[str]:
        """Where the source is not what the baseline says."""
        assert self.lives.job is not None
        return {path_of(change.key) for change in walk(self.lives.job, Census())}

    def _changes(self) -> list[str]:
        assert self.lives.remote is not None
        return self.lives.remote.changes

    def _is_calm(self, keeper: Keeper) -> bool:
        """Nothing is under way or wanted, but what cannot be had."""
        status = keeper.status()
        busy = status.queued or status.in_flight or status.held or status.state != JobState.WATCHING
        waits = status.oldest_unsynced_s > 0 and not status.failed
        return not (busy or waits) and all(self.world.checks.is_hopeless(problem.path) for problem in status.failed)

    def _check(self) -> None:
        world = self.world
        world.settings.max_delete = MaxDelete(percent=100.0)
        world.wait()
        run = world.run()
        found = world.checks.converged(run.report, empty_directories=world.settings.empty_directories)
        if run.error is not None:
            found.append(f"the run after it failed: {run.error!r}")
        changes = [
            call for call in run.changes if not is_stamp(call.removeprefix("delete "))
        ]  # what was too old by then
        if changes:
            found.append(f"a run after it asked for changes: {changes}")
        if found:
            raise Violation("; ".join(found) + f"; {run.report}")
