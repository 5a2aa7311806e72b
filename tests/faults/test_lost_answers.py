"""Requests whose answer is lost, torn, or comes from something else: one record a path, and the right bytes."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from syncd.sandbox import Fault, Kind
from syncd.sandbox.faults import FaultKind, Operation
from tests.e2e.program import Configured, Pair

AFTER_THE_EFFECT: tuple[FaultKind, ...] = ("reset_after", "truncated", "partial", "garbage")
OPERATIONS: tuple[Operation, ...] = ("list", "create", "patch", "move", "delete", "form", "get")
LOOKED_FOR = ("create", "move")
"""Whose lost effect is looked for, for half a minute where there was none."""


def first_tree(pair: Pair) -> None:
    for number in range(6):
        pair.write(f"d{number % 2}/{number}.txt", f"content {number}")
    (pair.source / "empty").mkdir()


def second_tree(pair: Pair) -> None:
    """A change of every kind: a directory and a file moved, an edit, a new file, a file and a directory deleted."""
    (pair.source / "d0").rename(pair.source / "moved")
    (pair.source / "d1/1.txt").rename(pair.source / "1.txt")
    pair.write("d1/3.txt", "edited")
    pair.write("new.txt", "new")
    (pair.source / "d1/5.txt").unlink()
    (pair.source / "empty").rmdir()


def struck(pair: Pair, faults: list[Fault]) -> None:
    """Two runs that between them do everything, each with its requests struck."""
    first_tree(pair)
    pair.server.turn(faults=tuple(faults))
    pair.mirrored()
    pair.assert_equal()
    second_tree(pair)
    pair.server.turn(faults=tuple(faults))
    pair.mirrored()
    pair.server.turn()
    pair.assert_equal()
    pair.assert_idle()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_goes_wrong_in_every_way_after_its_effect(pair: Pair, operation: Any) -> None:
    faults = [Fault(operation, kind, count=1, skip=skip) for skip, kind in enumerate(AFTER_THE_EFFECT)]
    struck(pair, faults)


@pytest.mark.parametrize("operation", ["list", "patch", "delete", "form", "get"])
def test_an_operation_goes_wrong_before_its_effect(pair: Pair, operation: Any) -> None:
    struck(pair, [Fault(operation, "reset_before", count=1, skip=skip) for skip in (0, 2)])


@pytest.mark.parametrize("kind", ["files", "privateFiles"])
def test_everything_goes_wrong_now_and_then(pair: Pair, kind: Kind) -> None:
    pair.kind = kind
    faults = [Fault(operation, fault, probability=0.03) for operation in OPERATIONS for fault in AFTER_THE_EFFECT]
    faults += [Fault(operation, "status", status=503, probability=0.05) for operation in OPERATIONS]
    faults += [
        Fault(operation, "status", status=500, probability=0.05)
        for operation in OPERATIONS
        if operation not in LOOKED_FOR
    ]
    pair.server.turn(faults=tuple(faults), seed=7, completion_delay=0.05, job_delay=0.05)
    for number in range(60):
        pair.write(f"d{number % 5}/{number}.txt", f"content {number}")
    run = pair.mirrored()
    assert run.job["retries"] > 5
    pair.assert_equal()
    (pair.source / "d0").rename(pair.source / "moved")
    shutil.rmtree(pair.source / "d1")
    for number in range(2, 60, 5):
        pair.write(f"d{number % 5}/{number}.txt", f"edited {number}")
    pair.mirrored()
    pair.server.turn()
    pair.assert_equal()
    pair.assert_idle()


def test_a_create_whose_answer_is_lost_while_the_listing_lags(pair: Pair) -> None:
    pair.write("a", "a")
    pair.server.turn(faults=(Fault("create", "reset_after", count=1),), listing_lag=2.0)
    pair.mirrored()
    pair.assert_equal()
    assert pair.server.counts()["create"] == 1


def test_a_burst_of_errors_is_ridden_out(pair: Pair) -> None:
    for number in range(20):
        pair.write(f"{number}", f"content {number}")
    page = "<html>Bad Gateway</html>"
    pair.server.turn(
        faults=(
            Fault("list", "status", status=502, count=5, body=page),
            Fault("create", "status", status=503, count=10, body=page),
            Fault("form", "status", status=500, count=10, body=page),
        )
    )
    assert pair.mirrored().counts() == {"created": 20}
    pair.assert_equal()


def test_throttled(pair: Pair) -> None:
    for number in range(40):
        pair.write(f"{number}", f"content {number}")
    pair.server.turn(throttle=20.0, throttle_retry_after=1)
    run = pair.mirrored()
    assert run.counts() == {"created": 40}
    assert run.job["retries"] < 20
    pair.assert_equal()


def test_one_path_that_always_fails_does_not_hold_up_the_others(pair: Pair) -> None:
    for number in range(20):
        pair.write(f"{number}.txt", f"content {number}")
    pair.server.turn(faults=(Fault("form", "status", status=500, name="7.txt"),))
    run = pair.mirrored(code=1)
    assert set(run.failed()) == {"7.txt"}
    assert "500" in run.failed()["7.txt"]
    assert run.counts()["created"] == 19
    pair.server.turn()
    again = pair.mirrored().counts()
    assert again["unchanged"] == 19
    assert again.get("created", 0) + again.get("replaced", 0) == 1
    pair.assert_equal()


def test_one_path_that_is_refused_is_named(pair: Pair) -> None:
    pair.write("good", "good")
    pair.write("bad", "bad")
    pair.server.turn(
        faults=(Fault("form", "status", status=400, name="bad", body="<Error><Code>EntityTooLarge</Code></Error>"),)
    )
    run = pair.mirrored(code=1)
    assert set(run.failed()) == {"bad"}
    assert "EntityTooLarge" in run.failed()["bad"]


def test_what_succeeds_when_it_was_looked_at_again_was_no_error(pair: Pair) -> None:
    pair.write("a", "a")
    pair.server.turn(faults=(Fault("create", "status", status=409, count=2),))
    run = pair.mirrored("--log-format", "json")
    events = [json.loads(line) for line in run.err.splitlines()]
    assert [(one["level"], one["event"], one["path"]) for one in events[:-1]] == [("info", "looks_again", "a")] * 2
    assert events[-1]["failed"] == 0


@pytest.mark.parametrize("job", ["files"], indirect=True)
def test_what_was_looked_at_in_vain_is_one_error(job: Configured) -> None:
    job.write("a", "a")
    job.server.turn(faults=(Fault("create", "status", status=409),))
    run = job.mirrored("--log-format", "json", code=1, hasty=True)
    errors = [one for one in map(json.loads, run.err.splitlines()) if one["level"] == "error"]
    assert [(one["event"], one.get("path")) for one in errors] == [("create failed", "a"), ("finished", None)]
    (kept,) = job.program.run("history", *job.words()).json["jobs"]
    assert ["error" in event for event in kept["events"]] == [True]


def test_a_wrong_checksum_is_uploaded_again(pair: Pair) -> None:
    pair.write("a", "content")
    pair.server.turn(corrupt_etag=1)
    pair.mirrored()
    pair.assert_equal()
    pair.assert_idle()


def test_an_expired_form_is_asked_for_anew(pair: Pair) -> None:
    pair.write("a", "content")
    body = "<Error><Code>AccessDenied</Code><Message>Invalid according to Policy: Policy expired.</Message></Error>"
    pair.server.turn(faults=(Fault("form", "status", status=403, count=1, body=body),))
    pair.mirrored()
    pair.assert_equal()
    assert pair.server.counts()["patch"] == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://user:password@127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//",
    ],
)
def test_an_upload_address_inside_the_network_is_refused(pair: Pair, url: str) -> None:
    pair.write("a", "content")
    pair.server.turn(upload_url=url)
    run = pair.mirrored(code=1)
    assert set(run.failed()) == {"a"}
    pair.server.turn()
    pair.mirrored()
    pair.assert_equal()


@pytest.mark.parametrize("names", ["trim", "nfc"])
def test_a_name_that_the_remote_changes_is_taken_back(pair: Pair, names: str) -> None:
    pair.write("cafe\u0301 ", "x")
    pair.write("good", "good")
    pair.server.turn(names=names)
    for _ in range(2):
        run = pair.mirrored(code=1)
        assert set(run.failed()) == {"cafe\u0301 "}
        assert pair.remote() == {"good": b"good"}
        pair.assert_clean()


def test_a_name_that_the_remote_changes_onto_anothers_takes_nothing_away(pair: Pair) -> None:
    """Both twins exist locally; the remote would store one over the other's name."""
    pair.write("name", "the right one")
    pair.mirrored()
    pair.write("name ", "its twin")
    pair.server.turn(names="trim")
    pair.mirrored(code=1, hasty=True)
    assert pair.remote() == {"name": b"the right one"}
    pair.assert_clean()
