"""Plans of the daemon being carried out beside each other, and what becomes of what failed.

Called by `rounds` with what was decided. Every plan's operations make their paths busy until their outcome is in the
baseline; a large upload is carried out apart, so that nothing waits for it. Never decides what to do, never raises.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from syncd.core.model import (
    BaselineEntry,
    Create,
    Delete,
    JobReport,
    Kind,
    LocalEntry,
    MakeDirectory,
    Move,
    Operation,
    Problem,
    RemoteEntry,
    Replace,
)
from syncd.core.paths import ancestors_of, key_of
from syncd.core.plan import Plan
from syncd.engine.desk import Desk, directories_of
from syncd.engine.execute import Execution, Outcome
from syncd.engine.job import Job
from syncd.engine.reconcile import Decision, Reconcile, awaited
from syncd.engine.slots import LARGE_BYTES

FEW = 16
"""So few uploads are carried out each on its own: one that fails or waits delays none of the others."""
PORTION = 1000
"""So many uploads are confirmed at once: by a page of a listing, as long as there is only one."""
MOST_PORTIONS = 4
LOOKS = 3
"""So often a path on which the world moved on is looked at again before that counts as its failure."""
AGAIN_S = 0.2
LONGEST_AGAIN_S = 10.0
WHOLE_MOVES_OFF_S = 60.0


@dataclass(frozen=True, slots=True)
class Parts:
    """A plan's operations: those carried out together, those alone, and the paths that have to be planned later."""

    together: list[Operation]
    alone: list[Operation]
    later: list[Operation]


@dataclass(eq=False, slots=True)
class _Under:
    """A part of a plan under way."""

    execution: Execution
    since_s: float
    keys: Counter[bytes]


class Carrier:
    """`trouble` is told what ends a plan as a whole; `woken` that something ended."""

    def __init__(
        self, job: Job, desk: Desk, *, trouble: Callable[[Exception], None], woken: Callable[[], None]
    ) -> None:
        self._job = job
        self._desk = desk
        self._trouble = trouble
        self._woken = woken
        self._running: dict[asyncio.Task[None], _Under] = {}
        self._looks: Counter[str] = Counter()
        self._agains = 0
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """Operations planned and not ended yet."""
        return sum(under.keys.total() for under in self._running.values())

    def oldest_s(self) -> float | None:
        return min((under.since_s for under in self._running.values()), default=None)

    async def idle(self) -> None:
        """Returns when nothing is under way."""
        while self._running or self._closing:
            await asyncio.wait([*self._running, *self._closing])

    async def flush(self) -> None:
        """Put into the baseline what has been done until now."""
        for under in list(self._running.values()):
            await under.execution.flush()

    def begin(self, reconcile: Reconcile, decision: Decision, *, since_s: float) -> asyncio.Task[None]:
        """Carry out what was decided; it is under way when this returns. The task ends when all of it has ended."""
        plan = decision.plan
        parts = divided(plan)
        self._desk.queue.look_at(directories_of(key_of(one.path) for one in parts.later), since_s=since_s, due_s=_now())
        begun = [self._begin(reconcile, decision, [one], [], since_s=since_s) for one in parts.alone]
        if parts.together or plan.awaiting:
            begun.append(self._begin(reconcile, decision, parts.together, awaited(plan), since_s=since_s))
        closing = asyncio.create_task(self._close(reconcile.report, decision, begun))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return closing

    async def _close(self, report: JobReport, decision: Decision, begun: Sequence[asyncio.Task[None]]) -> None:
        await asyncio.gather(*begun, return_exceptions=True)
        await decision.view.listing.aclose()
        self._job.telemetry.finished(report)

    async def end(self) -> None:
        """Abandon what is under way."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *self._closing, return_exceptions=True)

    def _begin(
        self,
        reconcile: Reconcile,
        decision: Decision,
        operations: list[Operation],
        waits: Sequence[tuple[BaselineEntry, RemoteEntry]],
        *,
        since_s: float,
    ) -> asyncio.Task[None]:
        keys = Counter(key for one in operations for key in keys_of(one))
        keys.update(row.key for row, _ in waits)

        def recorded(done: Sequence[Operation]) -> None:
            released = Counter(key for one in done for key in keys_of(one))
            under.keys.subtract(released)
            self._desk.records += sum(isinstance(one, Create) for one in done)
            self._desk.release(list(released.elements()), now_s=_now())
            self._woken()

        execution = reconcile.execution(
            decision, destination_size=self._desk.records, portion=portion(self._desk.records), recorded=recorded
        )
        under = _Under(execution, since_s, keys)
        self._desk.busy.take(keys.elements())

        async def run() -> None:
            try:
                if decision.plan.directory_moves:
                    outcome = await execution.move_directories(operations)
                else:
                    outcome = await execution.run(operations, waits)
                self._ended(decision.plan, operations, outcome, since_s=since_s)
            except Exception as error:
                self._abandoned(operations, since_s=since_s)
                self._trouble(error)
            except asyncio.CancelledError:
                self._abandoned(operations, since_s=since_s)
                raise
            finally:
                self._running.pop(task, None)
                self._desk.release(list((+under.keys).elements()), now_s=_now())
                self._woken()

        task = asyncio.create_task(run())
        self._running[task] = under
        return task

    def _abandoned(self, operations: Sequence[Operation], *, since_s: float) -> None:
        keys = [key for one in operations for key in keys_of(one)]
        self._desk.queue.look_at(directories_of(keys), since_s=since_s, due_s=_now())

    def _ended(self, plan: Plan, operations: Sequence[Operation], outcome: Outcome, *, since_s: float) -> None:
        queue = self._desk.queue
        if plan.directory_moves and (outcome.again or outcome.problems):
            self._desk.whole_moves_from_s = _now() + WHOLE_MOVES_OFF_S
        tried = plan.directory_moves or operations
        entries = {one.path: entry_of(one) for one in tried}
        failed = {problem.path for problem in outcome.problems}
        queue.solved(path for path in entries if path not in failed)
        for path in entries.keys() - failed:
            self._looks.pop(path, None)
        for problem in outcome.problems:
            self._failed(problem, entries.get(problem.path), moved_on=problem.path in outcome.moved_on, since_s=since_s)
        self._agains = self._agains + 1 if outcome.again else 0
        if self._job.stop.requested:
            self._abandoned(operations, since_s=since_s)
        elif plan.directory_moves or outcome.again:
            wait_s = min(AGAIN_S * 2**self._agains, LONGEST_AGAIN_S) if outcome.again else 0.0
            directories = directories_of(key for one in operations for key in keys_of(one))
            if plan.directory_moves:
                directories |= directories_of(plan.beside) | {one.path for one in plan.directory_moves}
            queue.look_at(directories, since_s=since_s, due_s=_now() + wait_s)
        else:
            stayed = [one for one in operations if isinstance(one, Delete) and not failed.isdisjoint(one.after)]
            queue.look_at(directories_of(key_of(one.path) for one in stayed), since_s=since_s, due_s=_now())

    def _failed(self, problem: Problem, entry: LocalEntry | None, *, moved_on: bool, since_s: float) -> None:
        if moved_on and self._looks[problem.path] < LOOKS:
            self._looks[problem.path] += 1
            directory = directories_of([key_of(problem.path)])
            self._desk.queue.look_at(directory, since_s=since_s, due_s=_now() + AGAIN_S * self._looks[problem.path])
        else:
            if moved_on:
                self._job.telemetry.failed(problem)
            self._looks.pop(problem.path, None)
            self._desk.queue.park(problem, now_s=_now(), entry=entry, chance=random.random())


def portion(records: int) -> int:
    """How many uploads are confirmed at once on a destination of so many records: as many as a listing of it shows,
    or each of its files would be listed once for every portion; but what was sent does not wait for long."""
    return PORTION * min(max(records // PORTION, 1), MOST_PORTIONS)


def divided(plan: Plan) -> Parts:
    """What may be carried out apart is no deletion's replacement, and neither makes a directory nor needs one made.
    What is only beside deletions is planned later: they would wait until the last of it is complete."""
    if plan.directory_moves:
        return Parts(list(plan.operations), [], [])
    deletes = [one for one in plan.operations if isinstance(one, Delete)]
    awaited_by = {path for one in deletes for path in one.after}
    missing = {key_of(one.path) for one in plan.operations if isinstance(one, MakeDirectory) and one.on_the_way}
    uploads = [one for one in plan.operations if isinstance(one, Create | Replace)]
    in_the_way = any(one.in_the_way for one in deletes)
    beside = any(not (one.leftover or one.in_the_way) for one in deletes)
    together: list[Operation] = []
    alone: list[Operation] = []
    later: list[Operation] = []
    for one in plan.operations:
        if not isinstance(one, Create | Replace) or in_the_way or one.path in awaited_by:
            together.append(one)
        elif not missing.isdisjoint(ancestors_of(key_of(one.path))):
            smaller = any(other.size < LARGE_BYTES for other in uploads)
            (later if beside or (one.size >= LARGE_BYTES and smaller) else together).append(one)
        elif one.size >= LARGE_BYTES or len(uploads) <= FEW:
            alone.append(one)
        else:
            (later if beside else together).append(one)
    return Parts(together, alone, later)


def keys_of(operation: Operation) -> list[bytes]:
    """The paths that an operation works on, without what is below them."""
    keys = [key_of(operation.path)]
    return [*keys, key_of(operation.source)] if isinstance(operation, Move) else keys


def entry_of(operation: Operation) -> LocalEntry | None:
    """The local file that it is about, if it is about one."""
    if isinstance(operation, Create | Replace | Move) and operation.local.kind == Kind.FILE:
        return operation.local
    return None


def _now() -> float:
    return asyncio.get_running_loop().time()
