"""The one reconcile: observe, decide, guard, execute, record.

`Reconcile.run` is what a one-shot run does for a job; `preview` stops before the first change. Called by `app`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from syncd.core.diff import Difference
from syncd.core.guard import Guard, Source, source_verdict, suspicion, to_remember
from syncd.core.model import (
    BaselineEntry,
    Create,
    Delete,
    DeleteMode,
    Drift,
    JobReport,
    MakeDirectory,
    Move,
    Operation,
    Problem,
    RemoteEntry,
    Replace,
)
from syncd.core.paths import key_of
from syncd.core.plan import Plan, decide, to_be_read
from syncd.core.policy import Policy
from syncd.core.stamps import stamp_of
from syncd.core.words import count_text
from syncd.engine.execute import Execution, Outcome
from syncd.engine.job import Job
from syncd.engine.observe import View, observe
from syncd.engine.reading import fingerprints
from syncd.errors import Rejected, RemoteDead, RenamedByRemote, SourceForeign, Transient

MOST_ROUNDS = 8
"""A run looks again after directory moves and where the world moved on; what is still not done then has failed."""

KEPT_CHANGING = (
    "source or destination changed whenever they were looked at; what is not done yet is left to the next run"
)

MOST_NAMED = 5
"""Paths in a sentence."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 8.0
MOST_WAITS = 12
"""It looks again as often for what may not be listed yet, which together is longer than any listing is late."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A plan and what it was made from."""

    view: View
    plan: Plan
    doubted: bool
    """Whether deletions are held because the source may not be what it was."""
    stamp: str
    """When it was decided, as it stands in names."""
    later: Mapping[bytes, float]
    """What could not be decided, because it may be there without being listed yet, and in how many seconds it can."""


class Reconcile:
    """One job's. `report` is counted on, where there is one; `rebuilt`: nothing is known of what was there before."""

    def __init__(self, job: Job, report: JobReport | None = None, *, rebuilt: bool | None = None) -> None:
        self._job = job
        self._policy = job.policy
        self._report = report or JobReport(job.name)
        if job.store.memory.rebuilt if rebuilt is None else rebuilt:
            self._policy = replace(self._policy, delete=DeleteMode.NEVER)
            self._report.notices.append("the state was rebuilt by comparison: nothing is deleted or moved in this run")

    @property
    def report(self) -> JobReport:
        """What was done until now, also when `run` raised."""
        return self._report

    async def preview(self) -> Plan:
        decision = await self.decide(await observe(self._job))
        await decision.view.listing.aclose()
        self._note(decision.plan)
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
        turn, waits = 1, 0
        while True:
            done = self._report.deleted - self._report.superseded
            decision = await self.decide(await observe(self._job), done=done)
            done_before = self._files_done
            for drift in self._note(decision.plan):
                self._job.telemetry.drifted(drift)
            try:
                outcome = await self._execute(decision)
            finally:
                await decision.view.listing.aclose()
            if outcome.again and turn == MOST_ROUNDS and not outcome.problems:
                outcome.problems.append(Problem("", "look", KEPT_CHANGING))
            again = outcome.again and turn < MOST_ROUNDS
            waiting = not again and bool(decision.later) and waits < MOST_WAITS
            if self._job.stop.requested or not (again or waiting):
                await self.remember(decision)
                self._conclude(decision, outcome, done_before=done_before)
                await self.purge()
                return
            turn, waits = turn + again, waits + waiting
            if waiting:
                await asyncio.sleep(min(_pause_s(waits), max(decision.later.values())))
            elif not decision.plan.directory_moves:
                await asyncio.sleep(_pause_s(turn - 1))

    async def decide(self, view: View, *, licensed: Collection[bytes] | None = None, done: int = 0) -> Decision:
        """What is to be done about a view, which is closed if this raises. `licensed`: as for `core.plan.decide`;
        `done`: files deleted before, which count for the guard. Raises SourceForeign."""
        try:
            self._check_source(view)
            wanted = to_be_read(view.differences, self._policy)
            # one that cannot be read is planned as an upload, which reads it again and fails if it still cannot be
            checksums = await fingerprints(self._job.tree, wanted, at_once=self._job.workers)
            doubt = suspicion(self._job.store.memory.source, view.source, view.census)
            policy = self._policy_for(view)
            mirrored = self._policy.delete is DeleteMode.MIRROR
            guard = Guard(
                self._policy.max_delete,
                known=max(view.census.known, view.census.remote) if mirrored else view.census.known,
                suspicion=doubt,
                done=done,
            )
            stamp = stamp_of(self._job.wall_s())
            plan = await asyncio.to_thread(decide, view.differences, checksums, policy, guard, licensed, stamp=stamp)
        except BaseException:
            await view.listing.aclose()
            raise
        doubted = doubt is not None and bool(plan.held or plan.withheld)
        entered = {key_of(one.path) for one in plan.operations if isinstance(one, MakeDirectory) and one.on_the_way}
        later = {key: wait_s for key, wait_s in view.unsure.items() if key not in entered}
        return Decision(view, _without_unsure(plan, view.unsure), doubted, stamp, later)

    def _policy_for(self, view: View) -> Policy:
        """Nothing is moved whole where it is not known what is there."""
        if not view.unsure:
            return self._policy
        return replace(self._policy, capabilities=replace(self._policy.capabilities, move_directory=False))

    def _check_source(self, view: View) -> None:
        verdict = source_verdict(self._job.store.memory.source, view.source, view.census)
        if verdict is Source.SAME:
            return
        there = f"{view.census.present} of {view.census.known} known files are there"
        if verdict is Source.MOVED or self._job.accept_source:
            why = f"because {there}" if verdict is Source.MOVED else f"as told, though only {there}"
            self._notice(f"the source is on another filesystem than at the last sync; taken, {why}")
        else:
            raise SourceForeign(
                f"the source is on another filesystem than at the last sync, and only {there}: nothing was changed. "
                "If that is meant, run once with --accept-source"
            )

    async def _execute(self, decision: Decision) -> Outcome:
        plan, view = decision.plan, decision.view
        execution = self.execution(decision, destination_size=view.census.remote + view.census.local)
        if plan.directory_moves:
            self._job.telemetry.planned(plan.operations)
            outcome = await execution.move_directories(plan.operations)
            if outcome.again or outcome.problems:
                capabilities = replace(self._policy.capabilities, move_directory=False)
                self._policy = replace(self._policy, capabilities=capabilities)
            outcome.again = True
            return outcome
        await self.record_known(decision)
        return await execution.run(plan.operations, awaited(plan))

    def execution(
        self,
        decision: Decision,
        *,
        destination_size: int,
        portion: int | None = None,
        recorded: Callable[[Sequence[Operation]], None] = lambda _: None,
    ) -> Execution:
        """Of the decision's plan, or of a part of it. The arguments are those of `Execution`."""

        async def is_new(renamed: RenamedByRemote) -> bool:
            return not await asyncio.to_thread(decision.view.listing.shows, renamed.record_id, renamed.kept_path)

        return Execution(
            self._job,
            self._report,
            destination_size=destination_size,
            is_new=is_new,
            forgettable=_forgettable(decision.plan),
            stamp=decision.stamp,
            portion=portion,
            recorded=recorded,
        )

    async def record_known(self, decision: Decision) -> None:
        """What the plan says about the baseline without anything having to be done. Tells what is planned, too."""
        plan = decision.plan
        self._job.telemetry.planned(plan.operations)
        forgettable = _forgettable(plan)
        await self._job.store.write(plan.adopted, [key for key in plan.forgotten if key not in forgettable])

    async def purge(self) -> None:
        """What cannot be removed from the trash now is tried again by the next run."""
        if self._job.trash is None or self._job.stop.requested:
            return
        try:
            await self._job.trash.purge()
        except RemoteDead:
            raise
        except (Rejected, Transient) as error:
            self._job.telemetry.warning("what is too old could not be removed from the trash", error=str(error))

    async def remember(self, decision: Decision) -> None:
        """Which source it was that this was decided on."""
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
        for problem in outcome.given_up():
            self._job.telemetry.failed(problem)
        report.skipped = list(plan.skipped)
        report.held = plan.held
        report.extra = plan.extra
        hopeless = sum(_is_of_local_file(problem) for problem in plan.problems)
        differing = done_before + files_arriving(plan) + hopeless + plan.kept
        report.unchanged = max(decision.view.census.local - differing, 0)
        if plan.held_because is not None:
            self._notice(f"deletions are held: {plan.held_because}")
        if plan.by_size:
            self._notice(f"{count_text(plan.by_size, 'file')} adopted by size alone: the content was not compared")
        if plan.skipped and not decision.view.census.local:
            entries = count_text(len(plan.skipped), "entry")
            self._notice(f"everything in the source was skipped ({entries}, {plan.skipped[0].reason})")
        report.exit = 3 if report.held else 1 if report.failed else 0

    def _note(self, plan: Plan) -> list[Drift]:
        """Kept from every round: what was overwritten, or is followed no longer, is no difference in the next. Returns
        the drift that was not noted yet."""
        if plan.detached:
            self._notice(detached_text(plan.detached))
        new = [one for one in plan.drifted if one not in self._report.drifted]
        self._report.drifted += new
        return new

    def _notice(self, text: str) -> None:
        if text not in self._report.notices:
            self._report.notices.append(text)


def _pause_s(times: int) -> float:
    return float(min(FIRST_PAUSE_S * 2**times, LONGEST_PAUSE_S))


def detached_text(paths: Sequence[str]) -> str:
    """That these are followed no longer, in a sentence."""
    more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    named = ", ".join(paths[:MOST_NAMED]) + more
    return f"the filters leave out now, and the destination keeps as it is ({len(paths)}): {named}"


def files_arriving(plan: Plan) -> int:
    """How many local files are at their place on the destination only after the plan."""
    moved = sum(one.files for one in plan.operations if isinstance(one, Move))
    return moved + sum(isinstance(one, Create | Replace) for one in plan.operations)


def _forgettable(plan: Plan) -> frozenset[bytes]:
    """The leftovers at whose path nothing else is known: their rows go when they went."""
    leftovers = {one.remote.key for one in plan.operations if isinstance(one, Delete) and one.leftover}
    return frozenset(leftovers.intersection(plan.forgotten))


def awaited(plan: Plan) -> list[tuple[BaselineEntry, RemoteEntry]]:
    """The uploads of an earlier time that are still to be seen complete."""
    return [_awaited(one) for one in plan.awaiting]


def _without_unsure(plan: Plan, unsure: Mapping[bytes, float]) -> Plan:
    """Without what would come to a place where something may be already; a directory there may be entered."""
    if not unsure:
        return plan

    def is_risky(one: Operation) -> bool:
        return isinstance(one, Move) or (isinstance(one, MakeDirectory) and not one.on_the_way)

    kept = (one for one in plan.operations if not (is_risky(one) and key_of(one.path) in unsure))
    return replace(plan, operations=tuple(kept))


def _is_of_local_file(problem: Problem) -> bool:
    """A name that is not valid UTF-8 is no file to the census, whatever it names."""
    return problem.action in ("create", "move") and not any("\udc80" <= char <= "\udcff" for char in problem.path)


def _awaited(difference: Difference) -> tuple[BaselineEntry, RemoteEntry]:
    assert difference.base is not None
    assert difference.remote is not None
    return difference.base, difference.remote
