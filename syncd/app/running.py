"""One act for each job, once: opened, carried out, and how it ended put into its report; the signals while it lasts.

Used by the modules of `app` for runs that end by themselves.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass

from syncd.app.opening import Remotes, open_job
from syncd.app.places import Sources
from syncd.core.model import JobReport
from syncd.engine.job import Job, Stop
from syncd.errors import StateError, SyncdError
from syncd.ports import Telemetry
from syncd.remotes.transport import Traffic
from syncd.settings import JobSpec

Voices = Callable[[str], Telemetry]
Act = Callable[[JobSpec, Job, JobReport], Awaitable[None]]
"""What is done with an opened job; counts into the report as it goes."""

GIVEN_UP = 1
"""The state database failed once something was contacted: the exit code 2 says that nothing was."""


@dataclass(frozen=True, slots=True)
class Running:
    task: asyncio.Task[JobReport]
    stop: Stop
    drain_s: float


async def run_each(specs: Sequence[JobSpec], remotes: Remotes, telemetry: Voices, act: Act) -> list[JobReport]:
    """All jobs at once. SIGINT and SIGTERM let what is in flight finish for the job's `drain`; a second one abandons
    it. What a job raises is in its report: `exit` and `error`."""
    running = []
    sources = Sources(specs, remotes.state_dir)
    for spec in specs:
        stop = Stop()
        task = asyncio.create_task(_run(spec, remotes, sources, telemetry(spec.name), stop, act))
        running.append(Running(task, stop, spec.drain_s))
    return await ended(running)


async def ended(running: Sequence[Running]) -> list[JobReport]:
    """The reports of all, once they have ended; the signals stop them meanwhile."""
    with _Signals(running):
        return list(await asyncio.gather(*(one.task for one in running)))


async def _run(
    spec: JobSpec, remotes: Remotes, sources: Sources, telemetry: Telemetry, stop: Stop, act: Act
) -> JobReport:
    report = await with_job(spec, remotes, sources, telemetry, stop, act)
    telemetry.finished(report)
    return report


async def with_job(
    spec: JobSpec, remotes: Remotes, sources: Sources, telemetry: Telemetry, stop: Stop, act: Act
) -> JobReport:
    """Open the job, act on it, and say in its report how that ended."""
    report = JobReport(spec.name)
    traffic = Traffic()
    with accounted(report, stop, traffic):
        async with AsyncExitStack() as stack:
            await act(spec, await open_job(stack, spec, remotes, sources, telemetry, stop, traffic), report)
    return report


@contextmanager
def accounted(report: JobReport, stop: Stop, traffic: Traffic) -> Iterator[None]:
    """How it ended is put into the report instead of being raised."""
    try:
        yield
    except StateError as error:
        report.exit, report.error = error.exit_code if traffic.requests == 0 else GIVEN_UP, str(error)
    except SyncdError as error:
        report.exit, report.error = error.exit_code, str(error)
    except asyncio.CancelledError:
        if not stop.requested:
            raise
    if stop.signal is not None:
        report.exit = 128 + stop.signal
        report.error = f"interrupted by {signal.Signals(stop.signal).name}; what was done is kept"
    report.requests, report.retries = traffic.requests, traffic.retries


class _Signals:
    """While entered, SIGINT and SIGTERM stop the jobs: once to finish what is in flight, twice to abandon it."""

    def __init__(self, running: Sequence[Running]) -> None:
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
