"""A world: one source, one cloud, one state, and runs of the real engine over them in virtual time.

Made by the tests and by `simulate`. `World.run` is one process: it may end by itself, be cancelled, or crash, after
which only what the store had committed and the cloud had done is left.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from syncd.core.filters import Filter
from syncd.core.model import DeleteMode, JobReport, MaxDelete, OnDrift, Order
from syncd.core.plan import Plan
from syncd.core.policy import Policy
from syncd.engine.job import Job, Stop
from syncd.engine.reconcile import Reconcile
from syncd.engine.slots import Slots
from syncd.engine.trash import Trash
from syncd.errors import SyncdError
from tests.sim.chaos import Chaos, SimulatedCrash
from tests.sim.checks import Checks, Violation
from tests.sim.cloud import TRASH, Cloud, Knobs
from tests.sim.loop import Clock, VirtualLoop
from tests.sim.remote import MemoryRemote
from tests.sim.store import MemoryStore
from tests.sim.telemetry import Recorder
from tests.sim.tree import MemoryTree, content_type


@dataclass(slots=True)
class Settings:
    delete: DeleteMode = DeleteMode.TRACKED
    max_delete: MaxDelete = field(default_factory=MaxDelete)
    exclude: tuple[str, ...] = ()
    empty_directories: bool = True
    workers: int = 3
    trust_stat: bool = True
    accept_source: bool = False
    on_drift: OnDrift = OnDrift.OVERWRITE
    trash_keep_s: float | None = None
    """None: there is no trash."""
    order: Order = Order.SMALL_FIRST


@dataclass(slots=True)
class Run:
    """How one run ended. `report` says what was done until then, whatever the end was."""

    report: JobReport
    error: SyncdError | None
    crashed: bool
    remote: MemoryRemote
    telemetry: Recorder
    plan: Plan | None = None

    @property
    def calls(self) -> list[str]:
        return self.remote.calls

    @property
    def changes(self) -> list[str]:
        return self.remote.changes

    @property
    def exit(self) -> int:
        assert self.error is None, self.error
        return self.report.exit

    @property
    def failed(self) -> list[str]:
        return sorted(problem.path for problem in self.report.failed)


class World:
    remote_class = MemoryRemote
    cloud_class = Cloud
    checks_class = Checks

    def __init__(self, seed: int = 0, *, settings: Settings | None = None, knobs: Knobs | None = None) -> None:
        self.clock = Clock()
        self.chaos = Chaos(random.Random(seed), self.clock)
        self.settings = settings or Settings()
        self.tree = MemoryTree(self.chaos, Filter())
        self.cloud = self.cloud_class(self.chaos, knobs or Knobs())
        self.store = MemoryStore(self.chaos)
        self.stop = Stop()
        self.broken: dict[str, Exception] = {}
        """Operations that fail for ever, by what `Run.calls` calls them."""
        self._at_call: dict[str, Callable[[], None]] = {}
        self.checks = self.checks_class(self.chaos, self.tree, self.cloud, self.store)

    def wait(self, seconds: float = 60.0) -> None:
        """Let time pass between two runs."""
        self.clock.now_s += seconds
        self.cloud.settle()

    def run(self, *, preview: bool = False) -> Run:
        """One process from start to end. Raises Violation if a rule was broken on the way."""
        remote, telemetry, reconcile = self._process()
        run = Run(reconcile.report, None, False, remote, telemetry)
        task: list[asyncio.Task[Any]] = []

        async def main() -> None:
            if preview:
                run.plan = await reconcile.preview()
            else:
                await reconcile.run()

        loop = VirtualLoop(self.clock)
        loop.set_exception_handler(lambda _, context: self.checks.violations.append(str(context)))
        try:
            task.append(loop.create_task(main()))
            self._cancel = task[0].cancel
            loop.run_until_complete(task[0])
        except SyncdError as error:
            run.error = error
        except (SimulatedCrash, asyncio.CancelledError):
            run.crashed = True
        finally:
            end(loop)
        self._check(run)
        return run

    def clean_run(self) -> Run:
        """A run some time after everything before, which must end by itself."""
        self.wait()
        run = self.run()
        assert not run.crashed
        return run

    def lose_state(self) -> None:
        self.store.lose()
        self.checks.state_lost()

    def at_call(self, call: str, act: Callable[[], None]) -> None:
        """Do something once, when an operation is asked for."""
        self._at_call[call] = act

    def request_stop(self, signal: int) -> None:
        self.stop.request(signal)

    def cancel(self) -> None:
        self._cancel()

    _cancel: Callable[[], bool]

    def _process(self) -> tuple[MemoryRemote, Recorder, Reconcile]:
        remote, telemetry, job = self.open_job(Stop())
        return remote, telemetry, Reconcile(job)

    def open_job(self, stop: Stop, *, daemon: bool = False) -> tuple[MemoryRemote, Recorder, Job]:
        """As a new process opens it."""
        settings = self.settings
        self.chaos.begin()
        self.stop = stop
        slots = Slots(settings.workers)
        remote = self.remote_class(self.chaos, self.cloud, slots, most_at_once=settings.workers)
        remote.looks_apart = daemon
        remote.broken, remote.at_call = self.broken, self._at_call
        telemetry = Recorder()
        filters = Filter(exclude=settings.exclude)
        self.tree.filters = filters
        self.store.reopen()
        self.checks.begin(settings.delete, settings.max_delete, filters, remote, settings.on_drift)
        policy = Policy(
            settings.delete,
            settings.max_delete,
            settings.empty_directories,
            remote.capabilities,
            content_type,
            filters,
            on_drift=settings.on_drift,
            order=settings.order,
        )
        trash = self._trash(remote, slots) if settings.trash_keep_s is not None else None
        self.checks.trashes = trash is not None
        job = Job(
            "job",
            self.tree,
            remote,
            self.store,
            telemetry,
            policy,
            settings.workers,
            slots,
            stop,
            settings.trust_stat,
            settings.accept_source,
            lambda: self.clock.now_s,
            trash=trash,
        )
        return remote, telemetry, job

    def settle_life(self) -> None:
        """A daemon's life has ended. Raises Violation if a rule was broken in it."""
        self.checks.ended()
        self.store.memory.rebuilt = False
        if self.checks.violations:
            raise Violation("\n".join(self.checks.violations))

    def _trash(self, destination: MemoryRemote, slots: Slots) -> Trash:
        remote = MemoryRemote(self.chaos, self.cloud, slots, most_at_once=self.settings.workers, base=TRASH)
        remote.calls, remote.violations = destination.calls, destination.violations
        return Trash(
            remote,
            destination,
            keep_s=self.settings.trash_keep_s or 0.0,
            slots=slots,
            wall_s=lambda: self.clock.now_s,
            token=lambda: f"{self.chaos.random.getrandbits(32):08x}",
        )

    def _check(self, run: Run) -> None:
        ended = not run.crashed
        self.checks.ended()
        if ended and any(not spool.closed for spool in self.store.spools):
            self.checks.violations.append("a spool was not closed")
        if ended and run.error is None:
            self.store.memory.rebuilt = False
            self.checks.check_report(run.report)
        self.checks.violations += run.remote.violations
        if self.checks.violations:
            raise Violation("\n".join(self.checks.violations))


def end(loop: VirtualLoop) -> None:
    """Like asyncio.run: cancel what is left and let it end, and what that begins; after a crash nothing of that has an
    effect."""
    while left := sorted(asyncio.all_tasks(loop), key=_number):
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()


def _number(task: asyncio.Task[Any]) -> int:
    """Tasks in the order in which they were made; a set of them has another one in each process."""
    return int(task.get_name().removeprefix("Task-"))
