"""`ports.Telemetry` that remembers what it was told."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.core.model import Drift, JobReport, Problem, Step


class Recorder:
    def __init__(self) -> None:
        self.plans: list[list[Step]] = []
        self.completed: list[Step] = []
        self.problems: list[Problem] = []
        self.events: list[str] = []
        self.reports: list[JobReport] = []

    def planned(self, operations: Sequence[Step]) -> None:
        self.plans.append(list(operations))

    def sent(self, size_bytes: int) -> None:
        """Counted by nobody here."""

    def done(self, operation: Step) -> None:
        self.completed.append(operation)

    def failed(self, problem: Problem) -> None:
        self.problems.append(problem)

    def drifted(self, drift: Drift) -> None:
        self.events.append(f"drifted {drift.path}")

    def notice(self, event: str, **_: object) -> None:
        self.events.append(event)

    def warning(self, event: str, **_: object) -> None:
        self.events.append(event)

    def noticed(self, age_s: float, *, announced: bool) -> None:
        """Counted by nobody here."""

    def finished(self, report: JobReport) -> None:
        self.reports.append(report)
