"""What a run or a plan comes to: the contract's JSON objects, the table of a plan, the lines that end a run, the exit.

Used by `cli` and `console`. Pure: takes reports and operations, returns data or text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from syncd.core.model import JobReport, Kind, Move, Operation, RemoteEntry, Status
from syncd.core.paths import path_of
from syncd.core.words import count_text
from syncd.telemetry.text import Paint, encodable, printable, seconds_text, size_text

VERSION = 1
EXIT_ORDER = (130, 143, 2, 6, 4, 7, 5, 3, 1)

_MARKS = {
    "mkdir": ("+", "green"),
    "create": ("+", "green"),
    "replace": ("~", "yellow"),
    "move": (">", "blue"),
    "delete": ("-", "red"),
}
_LISTED = 10


class PlanView(Protocol):
    """What is shown of a plan."""

    @property
    def operations(self) -> tuple[Operation, ...]: ...
    @property
    def held(self) -> int: ...
    @property
    def extra(self) -> int: ...


def exit_of(reports: Iterable[JobReport]) -> int:
    """One exit code for several jobs."""
    return first_of(report.exit for report in reports)


def first_of(codes: Iterable[int]) -> int:
    """The first of the contract's order that is among the exit codes, else 0."""
    given = set(codes)
    return next((code for code in EXIT_ORDER if code in given), 0)


def report_data(reports: Sequence[JobReport], *, exit_code: int, downloads: bool = False) -> dict[str, object]:
    """The object of `--once --json`; with `downloads` that of `pull --json`, which tells how many bytes came."""
    return {
        "version": VERSION,
        "ok": exit_code == 0,
        "exit": exit_code,
        "jobs": [{**job_data(report), **(_downloaded(report) if downloads else {})} for report in reports],
    }


def _downloaded(report: JobReport) -> dict[str, object]:
    return {"bytes_downloaded": report.bytes_downloaded}


def plan_data(plans: Iterable[tuple[JobReport, PlanView]]) -> dict[str, object]:
    """The object of `plan --json`, actions in execution order; an `error` where a job could not be planned."""
    jobs = [
        {
            "job": encodable(report.job),
            "actions": [_action_data(operation) for operation in plan.operations],
            "held": plan.held,
            "extra": plan.extra,
            **({"error": encodable(report.error)} if report.error else {}),
        }
        for report, plan in plans
    ]
    return {"version": VERSION, "jobs": jobs}


def listing_data(entries: Iterable[RemoteEntry]) -> list[dict[str, object]]:
    """The array of `ls --json`; records that are leaving are not there."""
    return [
        {
            "path": encodable(path_of(entry.key)),
            "type": "directory" if entry.kind is Kind.DIRECTORY else "file",
            "size": entry.size,
            "modified": entry.modified,
            "checksum": entry.checksum,
            "id": entry.id,
        }
        for entry in _present(entries)
    ]


def listing_lines(entries: Iterable[RemoteEntry]) -> Iterator[str]:
    """Size, time of modification, checksum, path; directories end in a slash. The last line is the total."""
    files = total_bytes = 0
    for entry in _present(entries):
        files += entry.kind is Kind.FILE
        total_bytes += entry.size if entry.kind is Kind.FILE else 0
        name = printable(path_of(entry.key))
        if entry.kind is Kind.DIRECTORY:
            yield f"{'':>10}  {entry.modified:<24}  {'':<32}  {name}/"
        else:
            state = "" if entry.status is Status.COMPLETED else "  (pending)"
            yield f"{size_text(entry.size):>10}  {entry.modified:<24}  {entry.checksum or '-':<32}  {name}{state}"
    yield f"{size_text(total_bytes):>10}  in {count_text(files, 'file')}"


def plan_lines(report: JobReport, plan: PlanView, paint: Paint) -> Iterator[str]:
    """One line an operation, with its reason, then what it comes to."""
    name = printable(report.job)
    for operation in plan.operations:
        mark, colour = _MARKS[operation.name]
        yield f"  {paint(f'{mark} {operation.name:<7}', colour)} {_what(operation)}  {paint(_why(operation), 'dim')}"
    counts = Counter(operation.name for operation in plan.operations)
    sent = sum(operation.size for operation in plan.operations if operation.name in ("create", "replace"))
    if not counts and not report.error and not plan.held:
        yield f"{name}: nothing to do"
    if counts:
        listed = ", ".join(f"{counts[action]} {action}" for action in _MARKS if counts[action])
        yield f"{name}: {listed}; {size_text(sent)} to upload"
    yield from remark_lines(report, held=plan.held, extra=plan.extra)


def summary_lines(report: JobReport) -> Iterator[str]:
    """The line that ends a job's run, then what a person should look at."""
    name = printable(report.job)
    counts = (
        f"{report.created} created, {report.replaced} replaced, {report.moved} moved, "
        f"{report.deleted} deleted, {report.unchanged} unchanged"
    )
    requests = count_text(report.requests, "request")
    if report.retries:
        requests += f", {count_text(report.retries, 'retry')}"
    transferred = size_text(report.bytes_uploaded + report.bytes_downloaded)
    yield f"{name}: {counts}; {transferred} in {seconds_text(report.seconds)} ({requests})"
    yield from remark_lines(report, held=report.held, extra=report.extra)


def remark_lines(report: JobReport, *, held: int, extra: int) -> Iterator[str]:
    """What was not done and what to do about it, a line each, the gravest last."""
    name = printable(report.job)
    return (f"{name}: {line}" for line in _remarks(report, held=held, extra=extra))


def _remarks(report: JobReport, *, held: int, extra: int) -> Iterator[str]:
    yield from (printable(notice) for notice in report.notices)
    if extra:
        how = "--delete mirror removes them, unless on_drift keeps them"
        yield f"{count_text(extra, 'file')} on the destination not from here, left alone ({how})"
    if report.skipped:
        yield _skipped(report)
    if report.drifted:
        listed = _listed([f"{drift.path} ({drift.kind})" for drift in report.drifted])
        yield f"{count_text(len(report.drifted), 'file')} changed on the destination by somebody else: {listed}"
    if report.failed:
        listed = _listed([f"{problem.path} ({problem.error})" for problem in report.failed])
        yield f"{len(report.failed)} failed: {listed}"
    if held:
        yield f"{count_text(held, 'deletion')} held, nothing was deleted: if that is meant, run with --max-delete 100%"
    if report.error:
        yield f"stopped: {printable(report.error)}"


def _skipped(report: JobReport) -> str:
    reasons = Counter(skip.reason for skip in report.skipped)
    listed = ", ".join(f"{count} {printable(reason)}" for reason, count in reasons.items())
    done = report.unchanged + report.created + report.replaced + report.moved + report.directories + len(report.failed)
    if done or report.error:
        return f"{len(report.skipped)} skipped ({listed})"
    hint = ' (symlinks = "follow" takes those that stay within the source)' if "symlink" in reasons else ""
    return f"WARNING: everything in the source was skipped ({listed}): nothing is mirrored{hint}"


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(printable(item) for item in items[:_LISTED]) + more


def _what(operation: Operation) -> str:
    path = printable(operation.path)
    return f"{printable(operation.source)} -> {path}" if isinstance(operation, Move) else path


def _why(operation: Operation) -> str:
    size = f"{size_text(operation.size)}, " if operation.name in ("create", "replace", "delete") else ""
    return f"({size}{printable(operation.reason)})"


def _present(entries: Iterable[RemoteEntry]) -> Iterator[RemoteEntry]:
    return (entry for entry in entries if entry.status is not Status.LEAVING)


def _action_data(operation: Operation) -> dict[str, object]:
    origin = {"from": encodable(operation.source)} if isinstance(operation, Move) else {}
    return {
        "action": operation.name,
        "path": encodable(operation.path),
        **origin,
        "size": operation.size,
        "reason": encodable(operation.reason),
    }


def job_data(report: JobReport) -> dict[str, object]:
    """One job's object in the report."""
    return {
        "job": encodable(report.job),
        "ok": report.exit == 0,
        "unchanged": report.unchanged,
        "created": report.created,
        "replaced": report.replaced,
        "moved": report.moved,
        "deleted": report.deleted,
        "directories": report.directories,
        "bytes_uploaded": report.bytes_uploaded,
        "held": report.held,
        "extra": report.extra,
        "requests": report.requests,
        "retries": report.retries,
        "seconds": round(report.seconds, 3),
        "skipped": [{"path": encodable(skip.path), "reason": encodable(skip.reason)} for skip in report.skipped],
        "drifted": [{"path": encodable(drift.path), "kind": drift.kind} for drift in report.drifted],
        "failed": [
            {"path": encodable(problem.path), "action": problem.action, "error": encodable(problem.error)}
            for problem in report.failed
        ],
    }
