"""The one reconcile: observe, decide, guard, execute, record.

`Reconcile.run` is what a one-shot run does for a job; `preview` stops before the first change. Called by `app`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from syncd.core.diff import Difference
from syncd.core.guard import Guard, Source, source_verdict, suspicion, to_remember
from syncd.core.model import (
    BaselineEntry,
    Create,
    Delete,
    DeleteMode,
    Drift,
    Fingerprint,
    JobReport,
    LocalEntry,
    Move,
    Problem,
    RemoteEntry,
    Replace,
)
from syncd.core.plan import Plan, decide, to_be_read
from syncd.engine.execute import Execution, Outcome
from syncd.engine.job import Job
from syncd.engine.observe import View, each, observe
from syncd.errors import LocalError, RenamedByRemote, SourceForeign

MOST_ROUNDS = 8
"""A run looks again after directory moves and where the world moved on; what is still not done then has failed."""

KEPT_CHANGING = (
    "source or destination changed whenever they were looked at; what is not done yet is left to the next run"
)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 8.0


@dataclass(frozen=True, slots=True)
class Decision:
    """A plan and what it was made from."""

    view: View
    plan: Plan
    doubted: bool
    """Whether deletions are held because the source may not be what it was."""


class Reconcile:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._policy = job.policy
        self._report = JobReport(job.name)
        if job.store.memory.rebuilt:
            self._policy = replace(self._policy, delete=DeleteMode.NEVER)
            self._report.notices.append("the state was rebuilt by comparison: nothing is deleted or moved in this run")

    @property
    def report(self) -> JobReport:
        """What was done until now, also when `run` raised."""
        return self._report

    async def preview(self) -> Plan:
        decision = await self._decide()
        await decision.view.spool.aclose()
        self._note_drift(decision.plan.drifted)
        self._conclude(decision, Outcome(), done_before=0)
        return decision.plan

    async def run(self) -> JobReport:
        started = time.monotonic()
        try:
            await self._rounds()
        finally:
            self._report.seconds = time.monotonic() - started
        return self._report

    async def _rounds(self) -> None:
        for turn in range(1, MOST_ROUNDS + 1):
            decision = await self._decide()
            done_before = self._files_done
            try:
                outcome = await self._execute(decision)
            finally:
                await decision.view.spool.aclose()
            self._note_drift(decision.plan.drifted)
            if outcome.again and turn == MOST_ROUNDS and not outcome.problems:
                outcome.problems.append(Problem("", "look", KEPT_CHANGING))
            if not outcome.again or turn == MOST_ROUNDS or self._job.stop.requested:
                await self._remember(decision)
                self._conclude(decision, outcome, done_before=done_before)
                return
            if not decision.plan.directory_moves:
                await asyncio.sleep(min(FIRST_PAUSE_S * 2**turn, LONGEST_PAUSE_S))

    async def _decide(self) -> Decision:
        view = await observe(self._job)
        try:
            self._check_source(view)
            wanted = to_be_read(view.differences, self._policy)
            checksums = await self._read(wanted)
            doubt = suspicion(self._job.store.memory.source, view.source, view.census)
            mirrored = self._policy.delete is DeleteMode.MIRROR
            guard = Guard(
                self._policy.max_delete,
                known=max(view.census.known, view.census.remote) if mirrored else view.census.known,
                suspicion=doubt,
                done=self._report.deleted,
            )
            plan = await asyncio.to_thread(decide, view.differences, checksums, self._policy, guard)
        except BaseException:
            await view.spool.aclose()
            raise
        return Decision(view, plan, doubt is not None and plan.held > 0)

    def _check_source(self, view: View) -> None:
        verdict = source_verdict(self._job.store.memory.source, view.source, view.census)
        if verdict is Source.SAME:
            return
        there = f"{view.census.present} of {view.census.known} known files are there"
        if verdict is Source.MOVED or self._job.accept_source:
            self._notice(f"the source is on another filesystem than at the last sync; taken, because {there}")
        else:
            raise SourceForeign(
                f"the source is on another filesystem than at the last sync, and only {there}: nothing was changed. "
                "If that is meant, run once with --accept-source"
            )

    async def _read(self, wanted: Sequence[LocalEntry]) -> dict[bytes, Fingerprint]:
        """The checksums that could be had: a file without one is planned as an upload, which reads it again and fails
        if it still cannot be, and with it whatever depends on it."""
        checksums: dict[bytes, Fingerprint] = {}

        async def read(entry: LocalEntry) -> None:
            with suppress(LocalError):
                checksums[entry.key] = await self._job.tree.fingerprint(entry)

        await each(wanted, read, at_once=self._job.workers)
        return checksums

    async def _execute(self, decision: Decision) -> Outcome:
        plan, view = decision.plan, decision.view
        self._job.telemetry.planned(plan.operations)

        async def is_new(renamed: RenamedByRemote) -> bool:
            return not await asyncio.to_thread(_was_there, view, renamed.record_id)

        size = view.census.remote + view.census.local
        leftovers = {one.remote.key for one in plan.operations if isinstance(one, Delete) and one.leftover}
        forgettable = leftovers.intersection(plan.forgotten)
        execution = Execution(self._job, self._report, destination_size=size, is_new=is_new, forgettable=forgettable)
        if plan.directory_moves:
            outcome = await execution.move_directories(plan.operations)
            if outcome.again or outcome.problems:
                capabilities = replace(self._policy.capabilities, move_directory=False)
                self._policy = replace(self._policy, capabilities=capabilities)
            outcome.again = True
            return outcome
        await self._job.store.write(plan.adopted, [key for key in plan.forgotten if key not in forgettable])
        return await execution.run(plan.operations, [_awaited(one) for one in plan.awaiting])

    async def _remember(self, decision: Decision) -> None:
        known, view = self._job.store.memory.source, decision.view
        source = to_remember(known, view.source, view.census, doubted=decision.doubted)
        if source is not None and source != known:
            await self._job.store.remember_source(source)

    @property
    def _files_done(self) -> int:
        return self._report.created + self._report.replaced + self._report.moved

    def _conclude(self, decision: Decision, outcome: Outcome, *, done_before: int) -> None:
        """Put what the last plan found and left into the report. `done_before`: files done by the plans before it."""
        report, plan = self._report, decision.plan
        report.failed = [*plan.problems, *outcome.problems]
        report.skipped = list(plan.skipped)
        report.held = plan.held
        report.extra = plan.extra
        hopeless = sum(_is_of_local_file(problem) for problem in plan.problems)
        differing = done_before + _files_arriving(plan) + hopeless
        report.unchanged = max(decision.view.census.local - differing, 0)
        if plan.held_because is not None:
            self._notice(f"deletions are held: {plan.held_because}")
        if plan.skipped and not decision.view.census.local:
            self._notice(
                f"everything in the source was skipped ({len(plan.skipped)} entries, {plan.skipped[0].reason})"
            )
        report.exit = 3 if report.held else 1 if report.failed else 0

    def _note_drift(self, drifted: Sequence[Drift]) -> None:
        """Kept from every round: what was overwritten is no difference in the next."""
        self._report.drifted += [one for one in drifted if one not in self._report.drifted]

    def _notice(self, text: str) -> None:
        if text not in self._report.notices:
            self._report.notices.append(text)


def _files_arriving(plan: Plan) -> int:
    moved = sum(one.files for one in plan.operations if isinstance(one, Move))
    return moved + sum(isinstance(one, Create | Replace) for one in plan.operations)


def _is_of_local_file(problem: Problem) -> bool:
    """A name that is not valid UTF-8 is no file to the census, whatever it names."""
    return problem.action in ("create", "move") and not any("\udc80" <= char <= "\udcff" for char in problem.path)


def _was_there(view: View, record_id: str) -> bool:
    with view.spool.rows() as rows:
        return any(row.id == record_id for row in rows)


def _awaited(difference: Difference) -> tuple[BaselineEntry, RemoteEntry]:
    assert difference.base is not None
    assert difference.remote is not None
    return difference.base, difference.remote
