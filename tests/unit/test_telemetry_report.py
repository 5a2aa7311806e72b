"""What a run comes to: the contract's objects exactly, the lines for people, the exit code of several jobs."""

from __future__ import annotations

import json
from itertools import permutations

import pytest

from syncd.core.model import (
    Create,
    Delete,
    Drift,
    JobReport,
    Kind,
    LocalEntry,
    MakeDirectory,
    Move,
    Problem,
    RemoteEntry,
    Replace,
    Skip,
    Status,
)
from syncd.core.plan import Plan
from syncd.core.words import count_text
from syncd.telemetry.report import exit_of, plan_data, plan_lines, report_data, summary_lines
from syncd.telemetry.text import Paint, encodable, printable, seconds_text, size_text

LOCAL = LocalEntry(b"b.txt", Kind.FILE, 3, 1, 1, 1)
REMOTE = RemoteEntry(b"a.txt", Kind.FILE, 5, "0" * 32, "id", Status.COMPLETED, "2026-01-01T00:00:00Z")
NOTHING = "{name}: 0 created, 0 replaced, 0 moved, 0 deleted, 0 unchanged; 0 B in 0.00 s (0 requests)"


def test_the_report_is_the_object_of_the_contract() -> None:
    report = JobReport(
        "assets",
        unchanged=3,
        created=2,
        replaced=1,
        moved=1,
        directories=1,
        bytes_uploaded=12345,
        requests=11,
        seconds=0.42,
        skipped=[Skip("x", "symlink")],
        drifted=[Drift("z", "changed")],
        failed=[Problem("y", "create", "403 AccessDenied: ...")],
        notices=["not in the report"],
        error="nor this",
    )
    assert json.dumps(report_data([report], exit_code=0)) == (
        '{"version": 1, "ok": true, "exit": 0, '
        '"jobs": [{"job": "assets", "ok": true, "unchanged": 3, "created": 2, "replaced": 1, "moved": 1, "deleted": 0, '
        '"directories": 1, "bytes_uploaded": 12345, "held": 0, "extra": 0, "requests": 11, "retries": 0, '
        '"seconds": 0.42, "skipped": [{"path": "x", "reason": "symlink"}], '
        '"drifted": [{"path": "z", "kind": "changed"}], '
        '"failed": [{"path": "y", "action": "create", "error": "403 AccessDenied: ..."}]}]}'
    )


def test_a_job_that_failed_is_not_ok() -> None:
    data = report_data([JobReport("a", exit=3), JobReport("b")], exit_code=3)
    assert json.loads(json.dumps(data))["ok"] is False
    assert [job["ok"] for job in json.loads(json.dumps(data))["jobs"]] == [False, True]


def test_the_plan_is_the_object_of_the_contract() -> None:
    plan = Plan(
        operations=(
            Move("b.txt", "a.txt", "same content as a.txt, which is gone", LOCAL, REMOTE, None),
            MakeDirectory("d", "new", on_the_way=True),
            Delete("old", "gone from the source", REMOTE),
        ),
        held=4,
        extra=5,
    )
    assert plan_data([(JobReport("assets"), plan)]) == {
        "version": 1,
        "jobs": [
            {
                "job": "assets",
                "actions": [
                    {
                        "action": "move",
                        "path": "b.txt",
                        "from": "a.txt",
                        "size": 3,
                        "reason": "same content as a.txt, which is gone",
                    },
                    {"action": "mkdir", "path": "d", "size": 0, "reason": "new"},
                    {"action": "delete", "path": "old", "size": 5, "reason": "gone from the source"},
                ],
                "held": 4,
                "extra": 5,
            }
        ],
    }


def test_names_that_are_no_utf_8_leave_json_that_everybody_reads() -> None:
    path = b"\xff\n\xc3\xbc".decode("utf-8", "surrogateescape")
    report = JobReport(path, failed=[Problem(path, "create", f"{path}: no")], skipped=[Skip(path, "symlink")])
    text = json.dumps(
        [report_data([report], exit_code=1), plan_data([(report, Plan(operations=(Create(path, path, LOCAL),)))])]
    )
    assert "\\ud" not in text
    assert json.loads(text)[0]["jobs"][0]["failed"] == [
        {"path": "\\xff\nü", "action": "create", "error": "\\xff\nü: no"}
    ]


def test_a_plan_for_people() -> None:
    operations = (
        MakeDirectory("d", "new", on_the_way=False),
        Create("d/b\n", "new", LOCAL),
        Replace("c", "content differs", LOCAL._replace(size=2048), REMOTE, None),
        Move("b.txt", "a.txt", "same content", LOCAL, REMOTE, None),
        Delete("old", "gone from the source", REMOTE),
    )
    lines = list(plan_lines(JobReport("assets", exit=3), Plan(operations=operations, held=2), Paint(on=False)))
    assert lines == [
        "  + mkdir   d  (new)",
        "  + create  d/b\\n  (3 B, new)",
        "  ~ replace c  (2.0 KiB, content differs)",
        "  > move    a.txt -> b.txt  (same content)",
        "  - delete  old  (5 B, gone from the source)",
        "assets: 1 mkdir, 1 create, 1 replace, 1 move, 1 delete; 2.0 KiB to upload",
        "assets: 2 deletions held, nothing was deleted: if that is meant, run with --max-delete 100%",
    ]
    assert list(plan_lines(JobReport("a"), Plan(), Paint(on=False))) == ["a: nothing to do"]
    held = list(plan_lines(JobReport("a"), Plan(held=3), Paint(on=False)))
    assert [line.partition(",")[0] for line in held] == ["a: 3 deletions held"]
    assert list(plan_lines(JobReport("a", exit=4, error="401"), Plan(), Paint(on=False))) == ["a: stopped: 401"]


class TestSummary:
    def test_ends_with_what_was_done(self) -> None:
        report = JobReport("assets", 0, None, 3, 2, 1, 1, 0, bytes_uploaded=12345, requests=11, seconds=0.42)
        assert list(summary_lines(report)) == [
            "assets: 2 created, 1 replaced, 1 moved, 0 deleted, 3 unchanged; 12.1 KiB in 0.42 s (11 requests)"
        ]
        report.retries = 1
        assert next(summary_lines(report)).endswith("(11 requests, 1 retry)")

    def test_says_what_was_not_done(self) -> None:
        report = JobReport(
            "a",
            exit=3,
            error="gave up",
            created=1,
            held=1,
            extra=2,
            notices=["the source was swapped"],
            skipped=[Skip("l", "symlink"), Skip("f", "special")],
            drifted=[Drift("z\x1b", "changed")],
            failed=[Problem(f"p{number}", "create", "403") for number in range(12)],
        )
        assert list(summary_lines(report))[1:] == [
            "a: the source was swapped",
            "a: 2 files on the destination not from here, left alone "
            "(--delete mirror removes them, unless on_drift keeps them)",
            "a: 2 skipped (1 symlink, 1 special)",
            "a: 1 file changed on the destination by somebody else: z\\x1b (changed)",
            "a: 12 failed: " + ", ".join(f"p{number} (403)" for number in range(10)) + " and 2 more",
            "a: 1 deletion held, nothing was deleted: if that is meant, run with --max-delete 100%",
            "a: stopped: gave up",
        ]

    def test_is_loud_when_everything_was_skipped(self) -> None:
        (_, line) = summary_lines(JobReport("a", skipped=[Skip("l", "symlink")] * 3))
        assert line.startswith("a: WARNING: everything in the source was skipped (3 symlink): nothing is mirrored")

    def test_cannot_be_forged_by_a_name(self) -> None:
        lines = list(summary_lines(JobReport("a\nb", failed=[Problem("x\ny: 9 created", "create", "e\r")])))
        assert lines[0] == NOTHING.format(name="a\\nb")
        assert lines[1] == "a\\nb: 1 failed: x\\ny: 9 created (e\\r)"


@pytest.mark.parametrize("codes", [*permutations((0, 1, 3, 5)), *permutations((7, 4, 6))])
def test_the_exit_of_several_jobs_does_not_depend_on_their_order(codes: tuple[int, ...]) -> None:
    assert exit_of(JobReport("x", exit=code) for code in codes) == (5 if 5 in codes else 6)


def test_the_exits_in_their_order() -> None:
    left = [1, 3, 5, 7, 4, 6, 2, 143, 130]
    seen = []
    while left:
        seen.append(exit_of(JobReport("x", exit=code) for code in [0, *left]))
        left.remove(seen[-1])
    assert seen == [130, 143, 2, 6, 4, 7, 5, 3, 1]
    assert exit_of([]) == exit_of([JobReport("x")]) == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('plain ü 漢字 \\ "', 'plain ü 漢字 \\ "'),
        ("a\nb\tc\r\x00", "a\\nb\\tc\\r\\x00"),
        ("\x1b[2J\x9b", "\\x1b[2J\\x9b"),
        ("gpj.\u202eexe\u2066", "gpj.\\u202eexe\\u2066"),
        ("\udcff\u2028\ud800", "\\xff\\u2028\\ud800"),
        ("\U000e0001\u200b", "\\U000e0001\\u200b"),
    ],
)
def test_what_a_terminal_may_be_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert shown.isprintable()


def test_what_json_may_hold() -> None:
    assert encodable("a\n\x1b\u202eü") == "a\n\x1b\u202eü"
    assert encodable("\udc80x\ud800") == "\\x80x\\ud800"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (12345, "12.1 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
    ],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.421, "0.42 s"), (12.34, "12.3 s"), (59.99, "60.0 s"), (185, "3m 05s"), (7500, "2h 05m"), (3599.9, "1h 00m")],
)
def test_times(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_counts() -> None:
    assert [count_text(1, "retry"), count_text(2, "retry"), count_text(0, "file")] == [
        "1 retry",
        "2 retries",
        "0 files",
    ]
