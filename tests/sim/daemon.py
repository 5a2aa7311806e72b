"""One job of the daemon in a world: its lives, what disturbs them, and what must be so when all is quiet.

Used by the tests and by `python -m tests.sim --daemon`. The real keeper runs in virtual time over the world's ports; only
the watch is one that forgets and exaggerates. Everything follows from the seed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncd.core.model import JobState, MaxDelete
from syncd.engine.job import Stop
from syncd.engine.keeper import Habits, Keeper, Opened
from syncd.errors import SyncdError
from tests.sim.chaos import Rates, SimulatedCrash
from tests.sim.checks import Violation
from tests.sim.loop import VirtualLoop
from tests.sim.script import NAMES, LocalEdits
from tests.sim.simulate import Story, some_knobs, some_settings
from tests.sim.watch import Changes, Manners, MemoryWatch
from tests.sim.world import World, end

QUIET_AFTER_S = 4000.0
"""So long after the last disturbance, in virtual seconds, everything has to be where it belongs: longer than the longest
back-off of a path."""
END_WITHIN_S = 60.0


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
    return Story(seed, teller.world.chaos.trace, problem, teller.lives)


class _Teller:
    def __init__(self, seed: int) -> None:
        chance = self._random = random.Random(seed)
        self.world = World(seed, settings=some_settings(chance), knobs=some_knobs(chance))
        self.lives = 0
        names = NAMES[: chance.choice((2, 3, 4, 6))]
        self._edit = LocalEdits(chance, self.world.tree, names=names, specials=chance.random() < 0.3)
        self._manners = Manners(
            lost=chance.choice((0.0, 0.1, 0.5)),
            repeated=chance.choice((0.0, 0.5)),
            exaggerated=chance.choice((0.0, 0.1)),
            late_s=chance.choice((0.03, 1.0, 10.0)),
        )
        self._habits = Habits(
            settle_s=chance.choice((0.05, 0.5, 2.0)),
            settle_max_s=chance.choice((5.0, 300.0)),
            rescan_s=chance.choice((120.0, 3600.0)),
            drain_s=8.0,
            flush=chance.random() < 0.2,
        )
        self._watch: MemoryWatch | None = None
        self.world.chaos.edit_locally = self._edited

    def tell(self) -> None:
        chaos = self.world.chaos
        chaos.note(f"{self.world.settings} {self.world.cloud.knobs} {self._habits} {self._manners}")
        for _ in range(self._random.randint(0, 12)):
            chaos.note(f"edit {self._edited()}")
        for _ in range(self._random.randint(1, 3)):
            self._disturb()
            self._live(self._restlessly)
            chaos.rates, chaos.edits_left = Rates(), 0
            chaos.at.clear()
            for _ in range(self._random.choice((0, 0, 3))):
                chaos.note(f"edit {self._edited()}")
            self.world.wait(self._random.choice((0.0, 1.0, 60.0)))
        self._live(self._until_quiet)
        self._check()

    def _edited(self) -> str:
        changes = Changes(self.world.tree)
        said = self._edit()
        if self._watch is not None:
            self._watch.changed(changes.directories())
        return said

    def _disturb(self) -> None:
        chance, world = self._random, self.world
        rates = world.chaos.rates = Rates()
        if chance.random() < 0.5:
            world.chaos.at[int(3 + chance.expovariate(1 / 200))] = world.chaos.crash
        if chance.random() < 0.5:
            rates.transient = chance.choice((0.01, 0.1))
            rates.rejected = chance.choice((0.0, 0.05))
            rates.fatal = chance.choice((0.0, 0.02))
        rates.back_off = chance.choice((0.0, 0.0, 0.1))
        rates.unreadable = chance.choice((0.0, 0.1))
        world.chaos.edits_left = chance.choice((0, 0, 3, 10))
        rates.local_edit = 0.05

    # One life of the daemon.

    def _live(self, what: object) -> None:
        self.lives += 1
        self.world.chaos.begin()
        self.world.chaos.note("live")
        loop = VirtualLoop(self.world.clock)
        loop.set_exception_handler(self._unhandled)
        try:
            loop.run_until_complete(self._life(what))
        except SimulatedCrash:
            pass
        finally:
            self._watch = None
            end(loop)
        self.world.settle_life()

    def _unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        if not isinstance(context.get("exception"), SimulatedCrash):
            self.world.checks.violations.append(str(context))

    async def _life(self, what: object) -> None:
        world = self.world
        keeper = Keeper("job", self._habits, self._opened, wall_ns=lambda: world.clock.now_ns)
        serving = asyncio.ensure_future(keeper.serve())
        acting = asyncio.ensure_future(what(keeper))  # type: ignore[operator]
        while not (acting.done() or world.chaos.dead or serving.done()):
            await asyncio.wait([acting, serving], timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        if world.chaos.dead:
            acting.cancel()
            return
        if not acting.done():
            acting.cancel()
            raise Violation(f"the daemon ended by itself: {serving}")
        await acting
        await self._stop(keeper, serving)

    async def _stop(self, keeper: Keeper, serving: asyncio.Future[None]) -> None:
        self.world.chaos.note("stop")
        keeper.request_stop(15)
        if self._random.random() < 0.2:
            serving.cancel()
        await asyncio.wait([serving], timeout=END_WITHIN_S)
        if not serving.done() and not self.world.chaos.dead:
            raise Violation(f"the daemon did not stop: {keeper.status()}")

    @asynccontextmanager
    async def _opened(self, stop: Stop) -> AsyncIterator[Opened]:
        _, _, job = self.world.open_job(stop, daemon=True)
        self.world.checks.daemon = True
        self._watch = watch = MemoryWatch(self._random, self._manners)
        yield Opened(job, watch)

    async def _restlessly(self, keeper: Keeper) -> None:
        chance = self._random
        for _ in range(chance.randint(1, 12)):
            await asyncio.sleep(chance.choice((0.01, 0.3, 1.0, 5.0, 20.0, 70.0)))
            for _ in range(chance.choice((0, 1, 1, 2, 6))):
                self.world.chaos.note(f"edit {self._edited()}")
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
        loop = asyncio.get_running_loop()
        until_s = loop.time() + QUIET_AFTER_S
        await asyncio.sleep(130.0)  # what no hint told of is found by the next local rescan
        keeper.rescan()
        calm = 0
        while calm < 3:
            if loop.time() > until_s:
                raise Violation(f"it does not come to rest: {keeper.status()}")
            await asyncio.sleep(10.0)
            status = keeper.status()
            if status.held:
                self._approve(keeper)
            busy = status.queued or status.in_flight or status.held or status.state != JobState.WATCHING
            hopeless = all(self.world.checks.is_hopeless(problem.path) for problem in status.failed)
            calm = 0 if busy or not hopeless or status.oldest_unsynced_s and not status.failed else calm + 1

    def _check(self) -> None:
        world = self.world
        world.settings.max_delete = MaxDelete(percent=100.0)
        world.wait()
        run = world.run()
        found = world.checks.converged(run.report, empty_directories=world.settings.empty_directories)
        if run.error is not None:
            found.append(f"the run after it failed: {run.error!r}")
        if run.changes:
            found.append(f"a run after it asked for changes: {run.changes}")
        if found:
            raise Violation("; ".join(found) + f"; {run.report}")
