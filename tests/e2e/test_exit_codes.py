"""Every exit code by the situation that a user would be in, with what is said about it."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from syncd.sandbox import Fault
from tests.e2e.program import Pair, Program, until


def test_0_everything_is_there(pair: Pair) -> None:
    pair.write("a/b.txt")
    run = pair.mirrored()
    assert run.json["ok"] is True
    assert run.json["exit"] == 0
    pair.assert_equal()


def test_1_names_each_file_and_why(pair: Pair) -> None:
    pair.write("good")
    (pair.source / os.fsdecode(b"bad\xff")).write_text("x")
    run = pair.mirrored(code=1)
    assert run.json["ok"] is False
    assert run.json["exit"] == 1
    (problem,) = run.job["failed"]
    assert problem["path"] == "bad\\xff"
    assert "UTF-8" in problem["error"]
    assert "bad\\xff" in run.err
    assert pair.remote() == {"good": b"content"}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--onse"], "--onse"),
        (["--workers", "none"], "none"),
        (["--workers", "0"], "0"),
        (["--delete", "all"], "all"),
        (["--max-delete", "lots"], "lots"),
        (["--api-url", "ftp://example.com"], "ftp://example.com"),
        (["--token-file", "/nonexistent/token"], "/nonexistent/token"),
        (["--log-format", "xml"], "xml"),
    ],
)
def test_2_bad_usage_contacts_nothing(pair: Pair, words: list[str], named: str) -> None:
    pair.write("a")
    run = pair.once(*words)
    assert run.code == 2
    assert named in run.err
    assert sum(pair.server.counts().values()) == 0
    assert not pair.state.exists()


def test_3_held_deletions_while_the_rest_is_done(pair: Pair) -> None:
    for number in range(40):
        pair.write(f"{number}.txt", f"content {number}")
    pair.mirrored()
    for number in range(30):
        (pair.source / f"{number}.txt").unlink()
    pair.write("new.txt", "new")
    plan = pair.plan()
    assert plan.code == 3
    assert plan.json["jobs"][0]["held"] == 30
    run = pair.mirrored(code=3)
    assert run.counts() == {"created": 1, "held": 30, "unchanged": 10}
    assert len(pair.remote()) == 41
    assert "30" in run.err
    assert "--max-delete" in run.err


def test_4_wrong_token(pair: Pair) -> None:
    pair.write("a")
    run = pair.once(env={"SYNCD_TOKEN": "e2e-51b2c0ffee-other"})
    assert run.code == 4
    assert "token" in run.err
    assert "e2e-51b2c0ffee-other" not in run.out + run.err
    assert run.json["exit"] == 4
    assert run.job["ok"] is False


def test_4_unknown_application(pair: Pair) -> None:
    pair.write("a")
    run = pair.program.run("--once", pair.source, f"losant://{'0' * 24}/dir", *pair.where)
    assert run.code == 4
    assert "application" in run.err


def test_4_token_revoked_in_the_middle(pair: Pair) -> None:
    """What was done is kept, and the run after the token is good again does only the rest."""
    for number in range(30):
        pair.write(f"{number}", f"content {number}")
    pair.server.turn(faults=(Fault("create", "status", status=403, skip=10),))
    run = pair.mirrored("--workers", "2", code=4)
    done = run.job["created"]
    assert 0 < done < 30
    pair.server.turn()
    pair.an_hour_later()
    rest = pair.mirrored().counts()
    assert rest["created"] + rest["unchanged"] == 30
    assert rest["unchanged"] >= done
    pair.assert_equal()


def test_5_asked_to_stay_away_for_long(pair: Pair) -> None:
    pair.write("a")
    pair.server.turn(throttle=0.001, throttle_retry_after=600)
    run = pair.once()
    run = pair.once() if run.code == 0 else run
    assert run.code == 5
    assert "600" in run.err


def test_5_in_the_middle_keeps_what_was_done(pair: Pair) -> None:
    for number in range(30):
        pair.write(f"{number}", f"content {number}")
    pair.server.turn(faults=(Fault("create", "status", status=503, retry_after=600, skip=10),))
    run = pair.mirrored("--workers", "2", code=5)
    done = run.job["created"]
    assert 0 < done < 30
    pair.server.turn()
    pair.an_hour_later()
    rest = pair.mirrored().counts()
    assert rest["created"] + rest["unchanged"] == 30
    assert rest["unchanged"] >= done
    pair.assert_equal()


def test_6_the_same_job_twice(pair: Pair) -> None:
    pair.write("a", "one")
    pair.server.turn(faults=(Fault("form", "hang", seconds=30, count=1),))
    first = pair.start()
    pair.server.until(lambda: pair.server.sandbox.requests.in_flight["form"])
    second = pair.once()
    assert second.code == 6
    assert "already running" in second.err
    assert str(first.pid) in second.err
    first.kill()
    first.communicate()
    pair.an_hour_later()
    pair.server.turn()
    pair.mirrored()
    pair.assert_equal()


@pytest.fixture
def mirrored(pair: Pair) -> Pair:
    for number in range(8):
        pair.write(f"{number}.txt", f"content {number}")
    pair.mirrored()
    return pair


def assert_untouched(pair: Pair, run_code: int, err: str) -> None:
    assert run_code == 7
    assert "source" in err
    assert len(pair.remote()) == 8


def test_7_source_missing(mirrored: Pair) -> None:
    for file in mirrored.source.iterdir():
        file.unlink()
    mirrored.source.rmdir()
    with mirrored.server.counting() as changes:
        run, plan = mirrored.once(), mirrored.plan()
    assert plan.code == 7
    assert_untouched(mirrored, run.code, run.err)
    assert changes == {}


def test_7_source_is_a_file(mirrored: Pair) -> None:
    mirrored.source.rename(mirrored.source.with_name("away"))
    mirrored.source.write_text("not a directory")
    run = mirrored.once()
    assert_untouched(mirrored, run.code, run.err)


@pytest.fixture
def mounted(mirrored: Pair) -> Iterator[Pair]:
    """Another filesystem over the source."""
    if subprocess.run(["mount", "-t", "tmpfs", "none", mirrored.source], capture_output=True).returncode:
        pytest.skip("cannot mount")
    yield mirrored
    subprocess.run(["umount", "-l", mirrored.source], check=True)


def test_7_another_filesystem(mounted: Pair) -> None:
    run = mounted.once()
    assert_untouched(mounted, run.code, run.err)
    assert "--accept-source" in run.err
    (mounted.source / "other.txt").write_text("other")
    assert mounted.once().code == 7
    assert mounted.mirrored("--accept-source", "--max-delete", "100%").counts() == {"created": 1, "deleted": 8}
    mounted.assert_equal()


def test_7_another_filesystem_with_the_same_files_is_taken(mounted: Pair) -> None:
    for number in range(8):
        mounted.write(f"{number}.txt", f"content {number}")
    run = mounted.mirrored()
    assert run.counts() == {"unchanged": 8}
    assert "another filesystem" in run.err
    assert "another filesystem" not in mounted.mirrored().err


def test_7_an_unmounted_source_deletes_nothing(mounted: Pair) -> None:
    """The other way round: the mount that was synced is gone, and the empty mount point shows."""
    for number in range(8):
        mounted.write(f"{number}.txt", f"content {number}")
    mounted.mirrored()
    for file in mounted.source.iterdir():
        assert file.is_file()
    subprocess.run(["umount", "-l", mounted.source], check=True)
    for file in mounted.source.iterdir():
        file.unlink()
    try:
        run = mounted.once()
        assert_untouched(mounted, run.code, run.err)
    finally:
        subprocess.run(["mount", "-t", "tmpfs", "none", mounted.source], check=True)


def test_several_jobs_exit_with_the_gravest(program: Program, pair: Pair) -> None:
    """Missing source (7) and a failed file (1): 7, and the other jobs are done all the same."""
    pair.write("a")
    other = pair.source.with_name("other")
    other.mkdir()
    (other / os.fsdecode(b"bad\xff")).write_text("x")
    (program.home / "syncd.toml").write_text(
        f"""
        [remotes.prod]
        kind = "losant"
        application_id = "5a9db0c5e1f4a20007c0ffee"
        api_url = "{pair.server.url}"
        [jobs.good]
        source = "{pair.source}"
        destination = "prod:/dir"
        [jobs.names]
        source = "{other}"
        destination = "prod:/names"
        [jobs.gone]
        source = "{pair.source}-gone"
        destination = "prod:/gone"
        """
    )
    run = program.run("--once", "--json", "--state-dir", str(pair.state))
    assert run.code == 7
    assert {job["job"]: job["ok"] for job in run.json["jobs"]} == {"good": True, "names": False, "gone": False}
    assert pair.remote() == {"a": b"content"}
    assert program.run("--once", "good", "--state-dir", str(pair.state)).code == 0
    assert program.run("--once", "good", "names", "--state-dir", str(pair.state)).code == 1
    assert program.run("--once", "god", "--state-dir", str(pair.state)).code == 2


def test_unreachable_is_tried_for_long(pair: Pair) -> None:
    """Nothing listens there for the first seconds; a run that began meanwhile succeeds all the same."""
    pair.write("a")
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        where = ["--api-url", f"http://127.0.0.1:{port}", "--state-dir", str(pair.state)]
        process = pair.program.start("--once", pair.source, pair.destination, *where, "--json")
        until(lambda: process.poll() is not None or _connects(process.pid))
        assert process.poll() is None
        reserved.listen()
    process.kill()
    process.communicate()


def _connects(pid: int) -> bool:
    """Whether the process has loaded what it needs to speak HTTP: it is at it then."""
    maps = Path(f"/proc/{pid}/maps")
    return not maps.exists() or "aiohttp" in maps.read_text()


def test_a_plan_that_cannot_be_made_is_json_all_the_same(pair: Pair, tmp_path: Path) -> None:
    run = pair.plan("--max-delete", "many")
    assert (run.code, run.json) == (2, {"version": 1, "jobs": []})
    pair.source.rename(tmp_path / "away")
    run = pair.plan()
    assert run.code == 7
    assert (run.job["actions"], str(pair.source) in run.job["error"]) == ([], True)
