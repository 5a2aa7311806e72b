"""Mirror jobs once, or show what that would do.

Called by `cli`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from syncd.app.opening import Remotes
from syncd.app.places import Sources
from syncd.app.running import Voices, run_each, with_job
from syncd.core.model import JobReport
from syncd.core.plan import Plan
from syncd.engine.job import Job, Stop
from syncd.engine.reconcile import Reconcile
from syncd.settings import JobSpec


def synchronize(specs: Sequence[JobSpec], *, state_dir: Path, telemetry: Voices) -> list[JobReport]:
    """Mirror every job once. SIGINT and SIGTERM let what is in flight finish for the job's `drain`; a second one
    abandons it. What a job raises is in its report: `exit` and `error`."""
    return asyncio.run(_synchronize(specs, state_dir, telemetry))


def preview(specs: Sequence[JobSpec], *, state_dir: Path, telemetry: Voices) -> list[tuple[JobReport, Plan]]:
    """The plan of every job, and the report with the exit code that it would have; changes nothing."""
    return asyncio.run(_preview(specs, state_dir, telemetry))


async def _synchronize(specs: Sequence[JobSpec], state_dir: Path, telemetry: Voices) -> list[JobReport]:
    async def mirror(_: JobSpec, job: Job, report: JobReport) -> None:
        await Reconcile(job, report).run()

    async with Remotes(state_dir) as remotes:
        return await run_each(specs, remotes, telemetry, mirror)


async def _preview(specs: Sequence[JobSpec], state_dir: Path, telemetry: Voices) -> list[tuple[JobReport, Plan]]:
    plans: list[Plan] = []

    async def plan(_: JobSpec, job: Job, report: JobReport) -> None:
        plans[-1] = await Reconcile(job, report).preview()

    sources = Sources(specs, state_dir)
    async with Remotes(state_dir) as remotes:
        reports = []
        for spec in specs:
            plans.append(Plan())
            reports.append(await with_job(spec, remotes, sources, telemetry(spec.name), Stop(), plan))
        return list(zip(reports, plans, strict=True))
