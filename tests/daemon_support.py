"""A daemon that does nothing but remember what it was asked, for what is shown of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from syncd.core.model import JobState, JobStatus, PathStatus, Problem, Waited

IDLE = JobStatus("assets", JobState.WATCHING, 0, 0, 0, (), (), 0.0, 1_700_000_000.0)
BUSY = replace(
    IDLE,
    job="backup",
    state=JobState.SYNCING,
    queued=3,
    in_flight=2,
    held=2,
    held_paths=("gone/a", "gone/\udcff\x1b[31m<b>"),
    failed=(Problem("x\ny", "create", "403 AccessDenied: no"),),
    oldest_unsynced_s=75.25,
    last_reconcile=None,
    degraded="no inotify: polling",
    error="remote prod refused the token",
)


class FakeDaemon:
    def __init__(self, *statuses: JobStatus) -> None:
        self.statuses = list(statuses or (IDLE, BUSY))
        self.alive = self.ready = True
        self.asked: list[tuple[Any, ...]] = []
        self.done = asyncio.Event()
        """Set: what is waited for has come."""
        self.waited = (Waited.DONE, "")
        self.abandoned = 0

    def status(self) -> Sequence[JobStatus]:
        return self.statuses

    def is_alive(self) -> bool:
        return self.alive

    def is_ready(self) -> bool:
        return self.ready

    def rescan(self, job: str | None) -> None:
        self._ask("rescan", job)

    def pause(self, job: str | None) -> None:
        self._ask("pause", job)

    def resume(self, job: str | None) -> None:
        self._ask("resume", job)

    def approve(self, job: str) -> int:
        self._ask("approve", job)
        return next(status.held for status in self.statuses if status.job == job)

    def why(self, job: str, path: str) -> PathStatus:
        self._ask("why", job)
        return PathStatus(JobState.WATCHING, busy=path == "busy", retry_in_s=1.5)

    async def wait(self, jobs: Sequence[str]) -> tuple[Waited, str]:
        for job in jobs:
            self._known(job)
        self.asked.append(("wait", *jobs))
        try:
            await self.done.wait()
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        return self.waited

    def _ask(self, what: str, job: str | None) -> None:
        if job is not None:
            self._known(job)
        self.asked.append((what, job))

    def _known(self, job: str) -> None:
        if all(status.job != job for status in self.statuses):
            raise KeyError(job)


async def until(condition: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    """Return when `condition()` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
