"""Carry out a plan that was kept: exactly its operations, if all of them still hold.

Called by `app`: `prepare` looks at both sides and tells what has changed, and only if nothing has, in no job of the
plan, is `run` called. Directory moves go first and alone, as in every plan; what the plan says about after them is then
compared once more, because what was moved has new ids. What no longer holds by then fails, the rest is done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from syncd.core.model import JobReport, Kind, Move, Problem
from syncd.core.saved import Data, Matched, data_of, licensed_by, matched
from syncd.engine.execute import Outcome
from syncd.engine.job import Job
from syncd.engine.observe import observe
from syncd.engine.reconcile import Decision, Reconcile, files_arriving

CHANGED = "not as it was when the plan was made; make a new one"
HELD = "the delete guard holds it now"
NOT_MOVED = "not done: a directory could not be moved as planned; make a new plan"


class Application:
    """One job's kept operations. `held`: how many deletions the guard held when the plan was made, which stay so."""

    def __init__(self, job: Job, report: JobReport, kept: Sequence[Data], *, held: int) -> None:
        self._job = job
        self._report = report
        self._kept = list(kept)
        self._held = held
        self._reconcile = Reconcile(job, report)
        self._decision: Decision | None = None
        self._matched = Matched([], [])

    async def prepare(self) -> list[Problem]:
        """What has changed since the plan was made. To be followed by `run` or `aclose`."""
        await self._decide([])
        assert self._decision is not None
        because = HELD if self._decision.plan.held and not self._held else CHANGED
        return [_problem(one, because if one["action"] == "delete" else CHANGED) for one in self._matched.changed]

    async def run(self) -> None:
        """Raises what ends it as a whole."""
        started = time.monotonic()
        try:
            await self._run()
        finally:
            await self.aclose()
            self._report.seconds = time.monotonic() - started
        report = self._report
        report.held = self._held
        report.exit = 3 if report.held else 1 if report.failed else 0

    async def aclose(self) -> None:
        if self._decision is not None:
            await self._decision.view.listing.aclose()
            self._decision = None

    async def _run(self) -> None:
        assert self._decision is not None
        report, plan = self._report, self._decision.plan
        report.unchanged = max(self._decision.view.census.local - files_arriving(plan), 0)
        moves = [one for one in self._matched.operations if isinstance(one, Move) and one.local.kind == Kind.DIRECTORY]
        outcome = await self._carry_out()
        report.failed += outcome.problems
        if not moves or self._job.stop.requested:
            return
        done = [data_of(one) for one in moves]
        self._kept = [one for one in self._kept if one not in done]
        if outcome.again or outcome.problems:
            report.failed += [_problem(one, NOT_MOVED) for one in self._kept]
            return
        await self.aclose()
        await self._decide([one.path for one in moves])
        report.failed += [_problem(one, CHANGED) for one in self._matched.changed if not _is_on_the_way(one)]
        report.failed += (await self._carry_out()).problems

    async def _decide(self, moved: Sequence[str]) -> None:
        licensed = None if self._held else licensed_by(self._kept)
        view = await observe(self._job)
        self._decision = await self._reconcile.decide(view, licensed=licensed, done=self._report.deleted)
        self._matched = matched(self._kept, self._decision.plan.operations, moved=moved)

    async def _carry_out(self) -> Outcome:
        """Of the new plan only what was kept, and nothing that is not an operation."""
        assert self._decision is not None
        operations = tuple(self._matched.operations)
        paths = {one.path for one in operations}
        plan = self._decision.plan
        self._report.drifted += [one for one in plan.drifted if one.path in paths and one not in self._report.drifted]
        decision = replace(self._decision, plan=replace(plan, operations=operations))
        census = decision.view.census
        execution = self._reconcile.execution(decision, destination_size=census.remote + census.local)
        self._job.telemetry.planned(operations)
        whole = bool(decision.plan.directory_moves)
        outcome = await (execution.move_directories(operations) if whole else execution.run(operations, []))
        for problem in outcome.given_up():
            self._job.telemetry.failed(problem)
        return outcome


def _problem(one: Data, error: str) -> Problem:
    return Problem(str(one["path"]), str(one["action"]), error)


def _is_on_the_way(one: Data) -> bool:
    """A directory that whatever goes into it makes: it may have been made by the move of another."""
    seen = one["seen"]
    return one["action"] == "mkdir" and isinstance(seen, dict) and bool(seen["on_the_way"])
