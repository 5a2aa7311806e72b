"""What a daemon is doing, as JSON and as a table."""

from __future__ import annotations

import json
from dataclasses import replace

from syncd.core.model import JobState, JobStatus, Problem
from syncd.telemetry.overview import LISTED_AT_MOST, state_line, status_data, status_lines
from syncd.telemetry.text import Paint
from tests.daemon_support import BUSY, IDLE

PLAIN = Paint(on=False)
NOW_S = 1_700_000_300.0


def lines(*statuses: JobStatus, paint: Paint = PLAIN) -> list[str]:
    return list(status_lines(json.loads(json.dumps(status_data(statuses))), paint, now_s=NOW_S))


def test_the_object_is_the_contracts() -> None:
    assert status_data([BUSY]) == {
        "jobs": [
            {
                "job": "backup",
                "state": "syncing",
                "queued": 3,
                "in_flight": 2,
                "held": 2,
                "held_paths": ["gone/a", "gone/\\xff\x1b[31m<b>"],
                "failed": [{"path": "x\ny", "action": "create", "error": "403 AccessDenied: no"}],
                "oldest_unsynced_s": 75.25,
                "last_reconcile": None,
                "degraded": "no inotify: polling",
                "error": "remote prod refused the token",
            }
        ]
    }


def test_the_object_is_bounded() -> None:
    paths = tuple(map(str, range(LISTED_AT_MOST + 1)))
    problems = tuple(Problem(path, "create", "500") for path in paths)
    (job,) = status_data([replace(IDLE, held=len(paths), held_paths=paths, failed=problems)])["jobs"]
    assert (job["held"], len(job["held_paths"]), len(job["failed"])) == (LISTED_AT_MOST + 1, *[LISTED_AT_MOST] * 2)


def test_the_table() -> None:
    assert lines(IDLE, BUSY) == [
        "JOB     STATE     QUEUED  IN FLIGHT  HELD  FAILED  OLDEST UNSYNCED  LAST FULL RECONCILE",
        "assets  watching       -          -     -       -  -                5m 00s ago",
        "backup  syncing        3          2     2       1  1m 15s           never",
        "",
        "backup: remote prod refused the token",
        "backup: changes may be noticed late: no inotify: polling",
        "backup: 2 deletions held, done after `syncd approve backup` or dropped when the files come back:",
        "    gone/a",
        "    gone/\\xff\\x1b[31m<b>",
        "backup: 1 failed, tried again later:",
        "    x\\ny  403 AccessDenied: no",
    ]


def test_a_table_without_anything_to_look_at_is_only_a_table() -> None:
    assert len(lines(IDLE)) == 2
    assert lines()[0].startswith("JOB  STATE")


def test_long_lists_are_cut_and_say_so() -> None:
    many = replace(IDLE, held=30_000, held_paths=tuple(map(str, range(30_000))))
    assert lines(many)[-2:] == ["    9", "    and 29990 more (--json lists them)"]


def test_colours_move_no_column() -> None:
    def stripped(line: str) -> str:
        for code in ("2", "31", "32", "33", "36", "0"):
            line = line.replace(f"\x1b[{code}m", "")
        return line

    coloured = lines(IDLE, BUSY, paint=Paint(on=True))
    assert any("\x1b[32mwatching\x1b[0m" in line for line in coloured)
    assert [stripped(line) for line in coloured] == lines(IDLE, BUSY)


def test_one_line_for_the_service_manager() -> None:
    halted = replace(IDLE, job="third", state=JobState.HALTED)
    assert state_line([IDLE]) == "1 job: 1 watching"
    told = "3 jobs: 1 watching, 1 syncing, 1 halted; 3 queued, 2 in flight, 2 held, 1 failed"
    assert state_line([IDLE, BUSY, halted]) == told
    assert state_line([]) == "0 jobs: none"
