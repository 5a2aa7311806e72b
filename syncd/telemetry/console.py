"""The Telemetry port: what a job's run tells goes to the progress bar and the log.

`cli` opens one Voice for a run and hands its `job` to `app`, which calls it for each job's Telemetry. The methods that
are called for every file do next to nothing where there is neither bar nor debug log.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from syncd.core.model import Drift, JobReport, Problem, Step
from syncd.telemetry.log import DEBUG, ERROR, INFO, WARNING, Log
from syncd.telemetry.report import job_data, summary_lines
from syncd.telemetry.streams import say
from syncd.telemetry.text import is_terminal

if TYPE_CHECKING:
    from syncd.telemetry.progress import Bar, Row


class Voice:
    """One run's log and bar. `level` as of `log.level_of`; `progress` False: no bar even on a terminal."""

    def __init__(self, *, level: int, as_json: bool, progress: bool) -> None:
        self._wants_bar = progress and level < WARNING and not as_json and _can_draw()
        self._as_json = as_json
        self._bar: Bar | None = None
        self._log = Log(level=level, as_json=as_json, write=self._write)

    def __enter__(self) -> Voice:
        if self._wants_bar:
            from syncd.telemetry.progress import Bar

            self._bar = Bar()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away; may be called twice."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def job(self, name: str) -> Console:
        """The Telemetry of one job."""
        return Console(name, self._log, self._bar.row(name) if self._bar is not None else None)

    def say(self, event: str) -> None:
        """What concerns no single job."""
        self._log.event(WARNING, event, {})

    def summarize(self, reports: Sequence[JobReport]) -> None:
        """The lines that end a run; in a JSON log an event for each job. With -q -q only of what went wrong."""
        for report in reports:
            if self._as_json:
                level = ERROR if report.error or report.failed else WARNING if report.exit else INFO
                fields = {key: value for key, value in job_data(report).items() if not isinstance(value, list)}
                counts = {"skipped": len(report.skipped), "drifted": len(report.drifted), "failed": len(report.failed)}
                told = {"error": report.error} if report.error else {}
                self._log.event(level, "finished", {**fields, **counts, "exit": report.exit, **told})
            elif self._log.level < ERROR or report.exit:
                for line in summary_lines(report):
                    say(line)

    def _write(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line)
        else:
            say(line)


class Console:
    """One job's Telemetry."""

    def __init__(self, job: str, log: Log, row: Row | None) -> None:
        self._job = job
        self._log = log
        self._row = row
        self._told: set[Problem] = set()

    def planned(self, operations: Sequence[Step]) -> None:
        if self._row is not None:
            self._row.planned(operations)

    def sent(self, size_bytes: int) -> None:
        if self._row is not None:
            self._row.sent(size_bytes)

    def done(self, operation: Step) -> None:
        if self._row is not None:
            self._row.done()
        if self._log.level <= DEBUG:
            self._event(DEBUG, operation.name, path=operation.path, size=operation.size, reason=operation.reason)

    def failed(self, problem: Problem) -> None:
        if self._row is not None:
            self._row.failed()
        self._told.add(problem)
        self._event(ERROR, f"{problem.action} failed", path=problem.path, error=problem.error)

    def drifted(self, drift: Drift) -> None:
        self._event(WARNING, "drifted", path=drift.path, kind=drift.kind)

    def notice(self, event: str, **fields: object) -> None:
        self._event(INFO, event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        self._event(WARNING, event, **fields)

    def noticed(self, age_s: float, *, announced: bool) -> None:
        """Nothing that a person would want to read."""

    def finished(self, report: JobReport) -> None:
        """Takes the row away and names each failure that was not told yet."""
        if self._row is not None:
            self._row.close()
            self._row = None
        for problem in report.failed:
            if problem not in self._told:
                self.failed(problem)

    def _event(self, level: int, event: str, **fields: object) -> None:
        self._log.event(level, event, {"job": self._job, **fields})


def _can_draw() -> bool:
    return is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
