"""The progress bar of a terminal: files, bytes, rate, time left, one row a job.

Made by `console` only where a terminal is there: it is the one place that imports rich. Rows keep plain counters and
rich redraws from them ten times a second, so that telling it of a file or a block costs next to nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import IO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from syncd.core.model import Step
from syncd.telemetry.streams import Unfailing
from syncd.telemetry.text import printable, size_text

TRANSFERS = frozenset({"create", "replace"})

_INTERVAL_S = 0.1
_WORK_PER_FILE = 32 * 1024
"""What an operation counts for beside its bytes: about what goes over a line in the time of one request."""


class Bar:
    """The whole display; `row` adds a job to it."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[told]}"),
            _TimeLeft(),
            console=Console(file=cast(IO[str], Unfailing(sys.stderr))),
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
            expand=True,
        )
        self._progress.start()

    def row(self, job: str) -> Row:
        return Row(self._progress, job)

    def write(self, line: str) -> None:
        """A line of the log, above the bar."""
        self._progress.console.print(Text.from_ansi(line), soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()


class Row:
    """One job: what is planned, and how much of it is done."""

    def __init__(self, progress: Progress, job: str) -> None:
        self._progress = progress
        self._task = progress.add_task(printable(job), total=None, told="comparing")
        self._files = self._files_done = self._failed = 0
        self._bytes = self._bytes_sent = 0
        self._began_s = self._drawn_s = 0.0

    def planned(self, operations: Sequence[Step]) -> None:
        self._began_s = self._began_s or time.monotonic()
        self._files += len(operations)
        self._bytes += sum(operation.size for operation in operations if operation.name in TRANSFERS)
        self._draw()

    def sent(self, size_bytes: int) -> None:
        self._bytes_sent += size_bytes
        self._draw_sometimes()

    def done(self) -> None:
        self._files_done += 1
        self._draw_sometimes()

    def failed(self) -> None:
        self._failed += 1
        self.done()

    def close(self) -> None:
        self._progress.remove_task(self._task)

    def _draw_sometimes(self) -> None:
        if time.monotonic() - self._drawn_s >= _INTERVAL_S:
            self._draw()

    def _draw(self) -> None:
        self._drawn_s = time.monotonic()
        rate = self._bytes_sent / max(self._drawn_s - self._began_s, _INTERVAL_S)
        failed = f", {self._failed} failed" if self._failed else ""
        self._progress.update(
            self._task,
            total=self._bytes + self._files * _WORK_PER_FILE,
            completed=self._bytes_sent + self._files_done * _WORK_PER_FILE,
            told=(
                f"{self._files_done}/{self._files} files{failed}, "
                f"{size_text(self._bytes_sent)}/{size_text(self._bytes)}, {size_text(rate)}/s"
            ),
        )


class _TimeLeft(ProgressColumn):
    """Time left, nothing while a job is still comparing."""

    def __init__(self) -> None:
        super().__init__()
        self._inner = TimeRemainingColumn(compact=True)

    def render(self, task: Task) -> Text:
        return self._inner.render(task) if task.total else Text("")
