"""Keep plans in files, and carry out what was kept. Called by `cli`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncd.app.opening import Remotes, open_job
from syncd.app.places import Sources
from syncd.app.running import Running, Voices, accounted, ended
from syncd.core.model import JobReport
from syncd.core.plan import Plan
from syncd.core.saved import data_of
from syncd.engine.apply import Application
from syncd.engine.job import Stop
from syncd.errors import ConfigurationError
from syncd.ports import Telemetry
from syncd.remotes.transport import Traffic
from syncd.settings import JobSpec
from syncd.store import planfile
from syncd.store.planfile import Identity, KeptJob, KeptPlan

REFUSED = "the plan does not hold any more: nothing was done"


def keep(
    path: Path, specs: Sequence[JobSpec], plans: Sequence[Plan], *, words: Sequence[str], options: dict[str, Any]
) -> None:
    """Write what was planned to a file. Raises ConfigurationError."""
    jobs = [
        KeptJob(spec.name, identity_of(spec), [data_of(one) for one in plan.operations], plan.held)
        for spec, plan in zip(specs, plans, strict=True)
    ]
    planfile.keep(path, KeptPlan(list(words), options, jobs))


def identity_of(spec: JobSpec) -> Identity:
    remote = spec.remote
    return Identity(str(spec.source), remote.kind, remote.api_url, remote.application_id, spec.directory)


def apply(plan: KeptPlan, specs: Sequence[JobSpec], *, state_dir: Path, telemetry: Voices) -> list[JobReport]:
    """Carry out the plan's actions, of all its jobs, or of none if a side of one of them has changed. `specs` are its
    jobs as they are configured now. Signals, and what a job raises, are as with `once.synchronize`."""
    return asyncio.run(_apply(plan, specs, state_dir, telemetry))


@dataclass(slots=True)
class _One:
    """A job of the plan on its way."""

    spec: JobSpec
    telemetry: Telemetry
    report: JobReport
    application: Application | None = None
    stop: Stop = field(default_factory=Stop)
    traffic: Traffic = field(default_factory=Traffic)

    async def prepare(self, kept: KeptJob, remotes: Remotes, sources: Sources, stack: AsyncExitStack) -> None:
        """Find out whether the plan holds for the job; its report tells if it does not."""
        now = identity_of(self.spec)
        if now != kept.identity:
            self.report.exit = 1
            self.report.error = f"{REFUSED}. The job is another one now: {_differing(kept.identity, now)}"
            return
        with accounted(self.report, self.stop, self.traffic):
            job = await open_job(stack, self.spec, remotes, sources, self.telemetry, self.stop, self.traffic)
            self.application = Application(job, self.report, kept.actions, held=kept.held)
            stack.push_async_callback(self.application.aclose)
            changed = await self.application.prepare()
            if changed:
                self.report.failed, self.report.exit, self.report.error = changed, 1, REFUSED

    async def run(self) -> JobReport:
        assert self.application is not None
        with accounted(self.report, self.stop, self.traffic):
            await self.application.run()
        self.telemetry.finished(self.report)
        return self.report

    def refused(self) -> JobReport:
        if not self.report.exit:
            self.report.exit, self.report.error = 1, f"{REFUSED}, because of another job"
        self.telemetry.finished(self.report)
        return self.report


async def _apply(plan: KeptPlan, specs: Sequence[JobSpec], state_dir: Path, telemetry: Voices) -> list[JobReport]:
    jobs = {kept.job: kept for kept in plan.jobs}
    if sorted(jobs) != sorted(spec.name for spec in specs) or len(jobs) != len(plan.jobs):
        raise ConfigurationError("the plan is of other jobs than those that it names: make a new one")
    sources = Sources(specs, state_dir)
    ones = [_One(spec, telemetry(spec.name), JobReport(spec.name)) for spec in specs]
    async with Remotes(state_dir) as remotes, AsyncExitStack() as stack:
        for one in ones:
            await one.prepare(jobs[one.spec.name], remotes, sources, stack)
        if any(one.report.exit for one in ones):
            return [one.refused() for one in ones]
        return await ended([Running(asyncio.create_task(one.run()), one.stop, one.spec.drain_s) for one in ones])


def _differing(kept: Identity, now: Identity) -> str:
    names = ("source", "kind", "api_url", "application_id", "directory")
    pairs = [(name, getattr(kept, name), getattr(now, name)) for name in names]
    return ", ".join(f"{name} {before!r} is {after!r}" for name, before, after in pairs if before != after)
