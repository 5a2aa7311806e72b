"""The daemon's life with one job in a world: the real keeper in virtual time, over a watch that forgets.

Made by the tests and by `daemon`. `Lives.live` is one process from start to end; like a run it may crash, after which
only what the store had committed and the cloud had done is left.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from syncd.engine.job import Job, Stop
from syncd.engine.keeper import Habits, Keeper, Opened
from tests.sim.chaos import SimulatedCrash
from tests.sim.checks import Violation
from tests.sim.loop import VirtualLoop
from tests.sim.remote import MemoryRemote
from tests.sim.watch import Changes, Manners, MemoryWatch
from tests.sim.world import World, end

END_WITHIN_S = 60.0
HABITS = Habits(settle_s=0.5, settle_max_s=300.0, rescan_s=3600.0, drain_s=8.0, flush=False)
Acts = Callable[[Keeper], Coroutine[None, None, None]]


class Lives:
    """`stop_hard`: how likely a stop is followed by an abort."""

    def __init__(
        self,
        world: World,
        chance: random.Random,
        *,
        habits: Habits = HABITS,
        manners: Manners | None = None,
        stop_hard: float = 0.0,
    ) -> None:
        self.world = world
        self.count = 0
        self.remote: MemoryRemote | None = None
        """What the last life asked the cloud by."""
        self.job: Job | None = None
        self._random = chance
        self._habits = habits
        self._manners = manners or Manners()
        self._stop_hard = stop_hard
        self._watch: MemoryWatch | None = None
        self._crashed = asyncio.Event()

    def edit(self, act: Callable[[], str]) -> str:
        """Something the user does, of which the watch hears."""
        changes = Changes(self.world.tree)
        said = act()
        if self._watch is not None:
            self._watch.changed(changes.directories())
        return said

    def crash(self) -> None:
        self.world.chaos.crash()
        self._crashed.set()

    def live(self, acts: Acts) -> None:
        """Until `acts` has ended and the daemon has stopped. Raises Violation if a rule was broken."""
        self.count += 1
        self.world.chaos.begin()
        self.world.chaos.note("live")
        loop = VirtualLoop(self.world.clock)
        loop.set_exception_handler(self._unhandled)
        try:
            loop.run_until_complete(self._life(acts))
        except SimulatedCrash:
            pass
        finally:
            self._watch = None
            end(loop)
        self.world.settle_life()

    def _unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        if not isinstance(context.get("exception"), SimulatedCrash):
            self.world.checks.violations.append(str(context))

    async def _life(self, acts: Acts) -> None:
        world = self.world
        self._crashed = asyncio.Event()
        keeper = Keeper("job", self._habits, self._opened, wall_ns=lambda: world.clock.now_ns)
        serving = asyncio.ensure_future(keeper.serve())
        acting = asyncio.ensure_future(acts(keeper))
        crashed = asyncio.ensure_future(self._crashed.wait())
        await asyncio.wait([acting, serving, crashed], return_when=asyncio.FIRST_COMPLETED)
        if world.chaos.dead:
            return
        if not acting.done():
            raise Violation(f"the daemon ended by itself: {serving}")
        await acting
        await self._stop(keeper, serving, crashed)

    async def _stop(self, keeper: Keeper, serving: asyncio.Future[None], crashed: asyncio.Future[Any]) -> None:
        self.world.chaos.note("stop")
        keeper.request_stop(15)
        if self._random.random() < self._stop_hard:
            serving.cancel()
        ending: list[asyncio.Future[Any]] = [serving, crashed]
        await asyncio.wait(ending, timeout=END_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done() and not self.world.chaos.dead:
            raise Violation(f"the daemon did not stop: {keeper.status()}")

    @asynccontextmanager
    async def _opened(self, stop: Stop) -> AsyncIterator[Opened]:
        self.remote, _, job = self.world.open_job(stop, daemon=True)
        self.job = job
        self.world.checks.daemon = True
        self._watch = watch = MemoryWatch(self._random, self._manners)
        yield Opened(job, watch)
