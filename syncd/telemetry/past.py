"""What a job did, and what decides about a path, as JSON and as lines.

Used by `cli`. Pure: takes events and verdicts, returns data or text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from syncd.core.model import Event, LocalEntry
from syncd.core.why import Verdict
from syncd.telemetry.text import Paint, encodable, printable, size_text

VERSION = 1


def history_data(jobs: Iterable[tuple[str, Sequence[Event]]]) -> dict[str, object]:
    """The object of `history --json`, the oldest event of each job first; times are UTC."""
    return {
        "version": VERSION,
        "jobs": [{"job": encodable(job), "events": [_event_data(event) for event in events]} for job, events in jobs],
    }


def history_lines(job: str, events: Sequence[Event], paint: Paint) -> Iterator[str]:
    """One line an event, in local time, after the job's name."""
    yield f"{printable(job)}:" if events else f"{printable(job)}: nothing was done yet"
    for event in events:
        yield f"  {_line(event, paint)}"


def why_data(job: str, path: str, verdict: Verdict, local: LocalEntry | None, events: Iterable[Event]) -> object:
    """The object of `why --json`."""
    return {
        "version": VERSION,
        "job": encodable(job),
        "path": encodable(path),
        "by": verdict.by.value,
        "why": encodable(verdict.text),
        "source": None if local is None else {"kind": local.kind.name.lower(), "size": local.size},
        "events": [_event_data(event) for event in events],
    }


def why_lines(path: str, verdict: Verdict, events: Sequence[Event], paint: Paint) -> Iterator[str]:
    """The verdict, then the path's last events."""
    yield f"{paint(printable(path), 'bold')}: {printable(verdict.text)} {paint(f'({verdict.by.value})', 'dim')}"
    for event in events:
        yield f"  {_line(event, paint)}"


def _event_data(event: Event) -> dict[str, object]:
    data: dict[str, object] = {
        "time": datetime.fromtimestamp(event.at_s, UTC).isoformat(timespec="milliseconds"),
        "action": event.action,
        "path": encodable(event.path),
        "size": event.size,
        "error" if event.failed else "reason": encodable(event.detail),
    }
    if event.source is not None:
        data["from"] = encodable(event.source)
    return data


def _line(event: Event, paint: Paint) -> str:
    moment = datetime.fromtimestamp(event.at_s).astimezone().isoformat(" ", timespec="seconds")
    size = f" ({size_text(event.size)})" if event.size else ""
    path = printable(event.path) if event.source is None else f"{printable(event.source)} -> {printable(event.path)}"
    outcome = paint(f"FAILED: {printable(event.detail)}", "red") if event.failed else paint(event.detail, "dim")
    return f"{moment}  {event.action:<7}  {path}{size}  {outcome}"
