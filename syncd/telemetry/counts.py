"""What the metrics count while it happens: plain numbers, for each job.

Made by `app`, written to by `Counted` and by whoever is handed a method of `JobCounts`, read by `metrics` when somebody
asks. Counting is an addition to an int or a dict, in the event loop only: a file costs well under a microsecond.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from syncd.core.model import Drift, JobReport, Problem, Step
from syncd.ports import Telemetry

WATCH_BUCKETS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds: around what an event takes at the low end, what only a rescan notices at the high one."""


@dataclass(slots=True)
class JobCounts:
    """One job, since the daemon started."""

    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By action (mkdir, create, replace, move, delete) and outcome (done, failed)."""
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By operation and HTTP status."""
    retries: int = 0
    sent_bytes: int = 0
    drifted: int = 0
    unannounced: int = 0
    watch_latencies: list[int] = field(default_factory=lambda: [0] * (len(WATCH_BUCKETS_S) + 1))
    """How many fell in each of WATCH_BUCKETS_S, and beyond."""
    watch_latency_sum_s: float = 0.0

    def request(self, operation: str, status: int | None) -> None:
        """One HTTP request was answered with `status`, or failed without an answer (None)."""
        self.requests[operation, "none" if status is None else str(status)] += 1

    def retried(self) -> None:
        """A request is made again."""
        self.retries += 1

    def noticed(self, age_s: float, *, announced: bool) -> None:
        """A change came to be known when it was that old (negative where a clock was put back: counts as 0)."""
        age_s = max(age_s, 0.0)
        self.watch_latencies[bisect_left(WATCH_BUCKETS_S, age_s)] += 1
        self.watch_latency_sum_s += age_s
        self.unannounced += not announced


class Counts:
    """All jobs. Those that a reload takes away keep what was counted: they may come back."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobCounts] = {}

    def of(self, job: str) -> JobCounts:
        """The counts of a job, made when it is first asked for."""
        if job not in self._jobs:
            self._jobs[job] = JobCounts()
        return self._jobs[job]


class Counted:
    """A job's Telemetry that counts what it passes on."""

    def __init__(self, inner: Telemetry, counts: JobCounts) -> None:
        self._inner = inner
        self._counts = counts

    def planned(self, operations: Sequence[Step]) -> None:
        self._inner.planned(operations)

    def sent(self, size_bytes: int) -> None:
        """Counts what went over the line, also of an upload that begins again: a counter never goes back."""
        if size_bytes > 0:
            self._counts.sent_bytes += size_bytes
        self._inner.sent(size_bytes)

    def done(self, operation: Step) -> None:
        self._counts.actions[operation.name, "done"] += 1
        self._inner.done(operation)

    def failed(self, problem: Problem) -> None:
        self._counts.actions[problem.action, "failed"] += 1
        self._inner.failed(problem)

    def drifted(self, drift: Drift) -> None:
        self._counts.drifted += 1
        self._inner.drifted(drift)

    def notice(self, event: str, **fields: object) -> None:
        self._inner.notice(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        self._inner.warning(event, **fields)

    def noticed(self, age_s: float, *, announced: bool) -> None:
        self._counts.noticed(age_s, announced=announced)

    def finished(self, report: JobReport) -> None:
        self._inner.finished(report)
