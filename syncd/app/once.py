"""Mirror jobs once, or show what that would do; what a job raises is turned into its report.

Called by `cli`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from syncd.app.opening import Remotes, open_job
from syncd.app.places import Sources
from syncd.core.model import JobReport
from syncd.core.plan import Plan
from syncd.engine.job import Stop
from syncd.engine.reconcile import Reconcile
from syncd.errors import SyncdError
from syncd.ports import Telemetry
from syncd.remotes.transport import Traffic
from syncd.settings import JobSpec

Voices = Callable[[str], Telemetry]


def synchronize(specs: Sequence[JobSpec], *, state_dir: Path, telemetry: Voices) -> list[JobReport]:
    """Mirror every job once. SIGINT and SIGTERM let what is in flight finish for the job's `drain`; a second one
    abandons it. What a job raises is in its report: `exit` and `error`."""
    return asyncio.run(_synchronize(specs, state_dir, telemetry))


def preview(specs: Sequence[JobSpec], *, state_dir: Path, telemetry: Voices) -> list[tuple[JobReport, Plan]]:
    """The plan of every job, and the report with the exit code that it would have; changes nothing."""
    return asyncio.run(_preview(specs, state_dir, telemetry))


@dataclass(frozen=True, slots=True)
class _Running:
    task: asyncio.Task[JobReport]
    stop: Stop
    drain_s: float


async def _synchronize(specs: Sequence[JobSpec], state_dir: Path, telemetry: Voices) -> list[JobReport]:
    sources = Sources(specs, state_dir)
    async with Remotes(state_dir) as remotes:
        running = []
        for spec in specs:
            stop = Stop()
            task = asyncio.create_task(_mirror(spec, remotes, sources, telemetry(spec.name), stop))
            running.append(_Running(task, stop, spec.drain_s))
        with _Signals(running):
            return list(await asyncio.gather(*(one.task for one in running)))


async def _preview(specs: Sequence[JobSpec], state_dir: Path, telemetry: Voices) -> list[tuple[JobReport, Plan]]:
    plans: list[Plan] = []

    async def plan(reconcile: Reconcile) -> None:
        plans[-1] = await reconcile.preview()

    sources = Sources(specs, state_dir)
    async with Remotes(state_dir) as remotes:
        reports = []
        for spec in specs:
            plans.append(Plan())
            reports.append(await _with_job(spec, remotes, sources, telemetry(spec.name), Stop(), plan))
        return list(zip(reports, plans, strict=True))


async def _mirror(spec: JobSpec, remotes: Remotes, sources: Sources, telemetry: Telemetry, stop: Stop) -> JobReport:
    async def run(reconcile: Reconcile) -> None:
        await reconcile.run()

    report = await _with_job(spec, remotes, sources, telemetry, stop, run)
    telemetry.finished(report)
    return report


async def _with_job(
    spec: JobSpec,
    remotes: Remotes,
    sources: Sources,
    telemetry: Telemetry,
    stop: Stop,
    act: Callable[[Reconcile], Awaitable[None]],
) -> JobReport:
    """Open the job, act on it, and say in its report how that ended."""
    report = JobReport(spec.name)
    traffic = Traffic()
    try:
        async with AsyncExitStack() as stack:
            job = await open_job(stack, spec, remotes, sources, telemetry, stop, traffic)
            reconcile = Reconcile(job)
            report = reconcile.report
            await act(reconcile)
    except SyncdError as error:
        report.exit, report.error = error.exit_code, str(error)
    except asyncio.CancelledError:
        if not stop.requested:
            raise
    if stop.signal is not None:
        report.exit = 128 + stop.signal
        report.error = f"interrupted by {signal.Signals(stop.signal).name}; what was done is kept"
    report.requests, report.retries = traffic.requests, traffic.retries
    return report


class _Signals:
    """While entered, SIGINT and SIGTERM stop the jobs: once to finish what is in flight, twice to abandon it."""

    def __init__(self, running: Sequence[_Running]) -> None:
        self._running = running
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._stop, number)

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        for one in self._running:
            again = one.stop.requested
            if one.stop.request(number) and not again:
                self._loop.call_later(one.drain_s, one.task.cancel)
            else:
                one.task.cancel()
