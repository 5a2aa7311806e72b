"""The one thing that decides about a path, found among all that is known of it."""

from __future__ import annotations

import pytest

from syncd.core.model import BaselineEntry, DeleteMode, JobState, Kind, LocalEntry, OnDrift, PathStatus, Sync
from syncd.core.why import By, Known, verdict

LOCAL = LocalEntry(b"a", Kind.FILE, 3, 10, 11, 12)
BASE = BaselineEntry(b"a", Kind.FILE, 3, 10, 11, 12, "0" * 32, "id", Sync.SYNCED, None)
IDLE = PathStatus(JobState.WATCHING)


def told(
    *,
    rule: str | None = None,
    local: LocalEntry | None = LOCAL,
    base: BaselineEntry | None = BASE,
    live: PathStatus | None = None,
    drift: str | None = None,
    delete: DeleteMode = DeleteMode.TRACKED,
) -> tuple[By, str]:
    by, text = verdict(Known(rule, local, base, live, drift, delete, OnDrift.KEEP))
    return by, text


def test_a_rule_comes_before_all_else() -> None:
    by, text = told(rule="is left out by '*.a'", live=PathStatus(JobState.HALTED, "no token"))
    assert by is By.RULE
    assert text == "is left out by '*.a'; whatever the destination has there is left alone"


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (Kind.SYMLINK, "symlink"),
        (Kind.SPECIAL, "not a regular file"),
        (Kind.UNREADABLE, "cannot be read"),
        (Kind.BAD_NAME, "not valid UTF-8"),
    ],
)
def test_what_cannot_be_synced(kind: Kind, word: str) -> None:
    by, text = told(local=LOCAL._replace(kind=kind))
    assert by is By.SOURCE
    assert word in text


@pytest.mark.parametrize(
    ("live", "by", "text"),
    [
        (PathStatus(JobState.HALTED, "401", busy=True), By.JOB, "the job is halted: 401"),
        (PathStatus(JobState.WAITING, "no route", error="x"), By.JOB, "the job is waiting: no route"),
        (PathStatus(JobState.PAUSED), By.JOB, "the job is paused: `syncd resume` lets it go on"),
        (PathStatus(JobState.SYNCING, busy=True, error="x"), By.TRANSFER, "is being worked on at this moment"),
        (
            PathStatus(JobState.WATCHING, error="403", tries=1, retry_in_s=5.4, held_because="x"),
            By.BACK_OFF,
            "failed once, tried again in 5 s: 403",
        ),
        (
            PathStatus(JobState.WATCHING, error="403", tries=3, retry_in_s=0.0),
            By.BACK_OFF,
            "failed 3 times, tried again now: 403",
        ),
        (
            PathStatus(JobState.WATCHING, held_because="too many", delete_in_s=1),
            By.GUARD,
            "its deletion is held: too many",
        ),
        (
            PathStatus(JobState.WATCHING, delete_in_s=4.0, look_in_s=1),
            By.GUARD,
            "its deletion waits for others to come, so that they are guarded as one; decided in 4 s",
        ),
        (
            PathStatus(JobState.WATCHING, look_in_s=0.4),
            By.QUEUE,
            "something changed there: looked at now, when it has settled",
        ),
        (IDLE, By.STATE, "is the same on both sides, as far as is known"),
    ],
)
def test_what_the_daemon_has_to_do_with_it(live: PathStatus, by: By, text: str) -> None:
    assert told(live=live) == (by, text)


@pytest.mark.parametrize(
    ("local", "base", "word"),
    [
        (LOCAL, None, "is new"),
        (LOCAL._replace(kind=Kind.DIRECTORY), BASE, "was a file at the last sync and is a directory now"),
        (LOCAL, BASE._replace(kind=Kind.DIRECTORY), "was a directory at the last sync and is a file now"),
        (LOCAL, BASE._replace(sync=Sync.CLAIMED), "its end is not known"),
        (LOCAL._replace(mtime_ns=99), BASE, "changed since the last sync"),
        (LOCAL, BASE._replace(sync=Sync.UPLOADED), "was sent"),
        (LOCAL, BASE, "is the same"),
        (None, BASE, "the next run moves or deletes it"),
        (None, None, "neither in the source nor known"),
    ],
)
def test_what_the_state_says(local: LocalEntry | None, base: BaselineEntry | None, word: str) -> None:
    by, text = told(local=local, base=base)
    assert by is By.STATE
    assert word in text


def test_what_is_gone_and_never_deleted() -> None:
    assert "kept on the destination" in told(local=None, delete=DeleteMode.NEVER)[1]


def test_drift_about_which_nothing_was_done() -> None:
    drift = "changed by somebody else"
    assert told(drift=drift) == (By.DRIFT, "was changed by somebody else on the destination; on_drift is keep")
    assert told(drift=drift, live=PathStatus(JobState.WATCHING, busy=True))[0] is By.TRANSFER
