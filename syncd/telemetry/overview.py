"""What a running daemon is doing, as the contract's JSON object and as the table of `syncd status`.

Used by the status server, the control socket and `cli`, which knows only the JSON. Pure: takes states, returns data or
text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from syncd.core.model import JobState, JobStatus
from syncd.core.words import count_text
from syncd.telemetry.text import Paint, encodable, printable, seconds_text

LISTED_AT_MOST = 10_000
"""Paths of one job in the JSON; `held` tells how many there are."""

_SHOWN = 10
_HEADS = ("JOB", "STATE", "QUEUED", "IN FLIGHT", "HELD", "FAILED", "OLDEST UNSYNCED", "LAST FULL RECONCILE")
_NUMBERS = slice(2, 6)
_COLOURS = {
    JobState.WATCHING.value: "green",
    JobState.SYNCING.value: "cyan",
    JobState.STARTING.value: "cyan",
    JobState.WAITING.value: "yellow",
    JobState.HALTED.value: "red",
}


def status_data(statuses: Iterable[JobStatus]) -> dict[str, Any]:
    """The object of `status --json` and `/api/status`; `last_reconcile` in Unix seconds."""
    return {"jobs": [_job_data(status) for status in statuses]}


def status_lines(data: Mapping[str, Any], paint: Paint, *, now_s: float) -> Iterator[str]:
    """The table, then what a person should look at. `now_s`: Unix time."""
    jobs: Sequence[Mapping[str, Any]] = data["jobs"]
    rows = [_HEADS, *(_cells(job, now_s) for job in jobs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    for number, row in enumerate(rows):
        yield _table_line(row, widths, paint, head=number == 0).rstrip()
    notes = [note for job in jobs for note in _notes(job, paint)]
    yield from ["", *notes] if notes else []


def state_line(statuses: Sequence[JobStatus]) -> str:
    """All jobs in one line, for the service manager: `2 jobs: 1 watching, 1 syncing; 3 queued, 12 held`."""
    states = [status.state.value for status in statuses]
    told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    totals = {
        "queued": sum(status.queued for status in statuses),
        "in flight": sum(status.in_flight for status in statuses),
        "held": sum(status.held for status in statuses),
        "failed": sum(len(status.failed) for status in statuses),
    }
    more = ", ".join(f"{count} {what}" for what, count in totals.items() if count)
    return f"{count_text(len(statuses), 'job')}: {told or 'none'}" + (f"; {more}" if more else "")


def _job_data(status: JobStatus) -> dict[str, Any]:
    return {
        "job": encodable(status.job),
        "state": status.state.value,
        "queued": status.queued,
        "in_flight": status.in_flight,
        "held": status.held,
        "held_paths": [encodable(path) for path in status.held_paths[:LISTED_AT_MOST]],
        "failed": [
            {"path": encodable(problem.path), "action": problem.action, "error": encodable(problem.error)}
            for problem in status.failed[:LISTED_AT_MOST]
        ],
        "oldest_unsynced_s": round(status.oldest_unsynced_s, 3),
        "last_reconcile": status.last_reconcile,
        "degraded": status.degraded and encodable(status.degraded),
        "error": status.error and encodable(status.error),
    }


def _cells(job: Mapping[str, Any], now_s: float) -> tuple[str, ...]:
    counts = [str(count) if count else "-" for count in (job["queued"], job["in_flight"], job["held"])]
    oldest_s, last_s = job["oldest_unsynced_s"], job["last_reconcile"]
    return (
        printable(job["job"]),
        printable(job["state"]),
        *counts,
        str(len(job["failed"]) or "-"),
        seconds_text(oldest_s) if oldest_s else "-",
        f"{seconds_text(max(now_s - last_s, 0))} ago" if last_s else "never",
    )


def _table_line(row: Sequence[str], widths: Sequence[int], paint: Paint, *, head: bool) -> str:
    numbers = range(*_NUMBERS.indices(len(row)))
    cells = [
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    if head:
        return paint("  ".join(cells).rstrip(), "dim")
    if colour := _COLOURS.get(row[1]):
        cells[1] = paint(cells[1], colour)
    return "  ".join(cells)


def _notes(job: Mapping[str, Any], paint: Paint) -> Iterator[str]:
    name = printable(job["job"])
    if job["error"]:
        yield f"{name}: {paint(printable(job['error']), 'red')}"
    if job["degraded"]:
        yield f"{name}: {paint('changes may be noticed late', 'yellow')}: {printable(job['degraded'])}"
    if job["held"]:
        held = paint(f"{count_text(job['held'], 'deletion')} held", "yellow")
        yield f"{name}: {held}, done after `syncd approve {name}` or dropped when the files come back:"
        yield from _listed([printable(path) for path in job["held_paths"][:_SHOWN]], job["held"])
    if job["failed"]:
        failed = paint(f"{len(job['failed'])} failed", "red")
        yield f"{name}: {failed}, tried again later:"
        problems = job["failed"][:_SHOWN]
        told = [f"{printable(problem['path'])}  {paint(printable(problem['error']), 'dim')}" for problem in problems]
        yield from _listed(told, len(job["failed"]))


def _listed(items: Sequence[str], total: int) -> Iterator[str]:
    yield from (f"    {item}" for item in items)
    if total > len(items):
        yield f"    and {total - len(items)} more (--json lists them)"
