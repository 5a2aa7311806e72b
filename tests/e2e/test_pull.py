"""`syncd pull`: the destination's files into the source, through the real program."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncd.core.fetch import CHANGED_HERE, UNPROVEN
from syncd.sandbox import APPLICATION_ID, Fault, Kind
from tests.e2e.program import CHANGING, Ended, Pair

HOUR_AGO = -3600.0


@pytest.fixture(params=["files", "privateFiles"])
def both(pair: Pair, request: pytest.FixtureRequest) -> Pair:
    """The job on either of Losant's APIs, whose records are an hour old."""
    kind: Kind = request.param
    pair.kind = kind
    pair.server.turn(clock_offset=HOUR_AGO)
    return pair


@pytest.fixture
def old(pair: Pair) -> Iterator[Pair]:
    pair.server.turn(clock_offset=HOUR_AGO)
    yield pair
    assert [path for path in pair.source.rglob("*") if path.name.startswith(".syncd-part-")] == []


def pulled(pair: Pair, *more: str, code: int = 0, **how: Any) -> Ended:
    before = pair.server.counts()
    run = pair.program.run("pull", *pair.words(*more), **how)
    assert run.code == code, run
    asked = pair.server.counts() - before
    assert {name: n for name, n in asked.items() if name in CHANGING} == {}
    return run


def names(pair: Pair) -> list[str]:
    return sorted(path.name for path in pair.source.iterdir())


def test_an_empty_source_is_filled_and_a_run_after_it_is_idle(both: Pair) -> None:
    contents = {"a.txt": b"one", "d/e/b ä&#%.bin": b"x" * 3_000_000, "empty": b"", "d/c": b"c" * 70_000}
    for path, content in contents.items():
        both.plant(path, content)
    run = pulled(both)
    assert run.counts() == {"created": 4, "directories": 2}
    assert run.job["bytes_downloaded"] == 3_070_003
    assert {path: data for path, data in both.local().items() if data is not None} == contents
    both.assert_equal()
    assert pulled(both).counts() == {"unchanged": 4}
    both.assert_idle()


def test_times_are_the_records(old: Pair) -> None:
    old.plant("a", b"content")
    pulled(old)
    age_s = old.source.stat().st_mtime - (old.source / "a").stat().st_mtime
    assert 3590 < age_s < 3700
    assert (old.source / "a").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_run_after_a_pull_reads_no_file(old: Pair, tmp_path: Path) -> None:
    for number in range(5):
        old.plant(f"d/{number}", f"content {number}".encode())
    pulled(old)
    trace = tmp_path / "trace"
    run = old.once(prefix=("strace", "-f", "-e", "trace=openat,open", "-o", str(trace)))
    assert run.counts() == {"unchanged": 5}
    inside = [line for line in trace.read_text().splitlines() if f"{old.source}/d/" in line]
    assert [line for line in inside if "O_DIRECTORY" not in line] == []


def test_a_known_file_is_updated_and_a_changed_one_is_not(old: Pair) -> None:
    for name in ("updated", "touched", "changed", "same", "gone"):
        old.write(name, f"{name} before")
    old.mirrored()
    for name in ("updated", "touched", "changed"):
        old.server.remove(old.record(name))
        old.plant(name, f"{name} on the destination".encode())
    os.utime(old.source / "touched")
    (old.source / "updated").chmod(0o640)
    old.write("changed", "changed here, too")
    old.write("mine", "only here")
    (old.source / "gone").unlink()
    run = pulled(old, code=1)
    assert run.counts() == {"created": 1, "replaced": 2, "unchanged": 1}
    assert run.failed() == {"changed": CHANGED_HERE}
    assert (old.source / "updated").read_text() == "updated on the destination"
    assert (old.source / "updated").stat().st_mode & 0o777 == 0o640
    assert (old.source / "touched").read_text() == "touched on the destination"
    assert (old.source / "changed").read_text() == "changed here, too"
    assert (old.source / "gone").read_text() == "gone before"
    assert (old.source / "mine").exists()
    assert pulled(old, "--overwrite").counts() == {"replaced": 1, "unchanged": 4}
    assert (old.source / "changed").read_text() == "changed on the destination"


def test_without_a_state_a_differing_file_is_a_local_change(old: Pair) -> None:
    old.write("same", "same")
    old.write("differs", "mine")
    old.plant("same", b"same")
    old.plant("differs", b"theirs")
    run = pulled(old, code=1)
    assert (run.counts(), run.failed()) == ({"unchanged": 1}, {"differs": CHANGED_HERE})
    assert (old.source / "differs").read_text() == "mine"


def test_nothing_is_removed_but_with_delete_mirror(old: Pair) -> None:
    for name in ("here", "d/here", "kept"):
        old.write(name)
    old.plant("kept", b"content")
    (old.source / "link").symlink_to("here")
    run = pulled(old)
    assert run.counts() == {"unchanged": 1}
    assert "2 files here but not on the destination" in run.err
    assert pulled(old, "--exclude", "d/", "--delete", "mirror").counts() == {"unchanged": 1, "deleted": 1}
    assert names(old) == ["d", "kept", "link"]
    assert pulled(old, "--delete", "mirror").counts() == {"unchanged": 1, "deleted": 1}
    assert names(old) == ["kept", "link"]


def test_the_guard_holds_removals(old: Pair) -> None:
    for number in range(6):
        old.write(f"{number}")
    run = pulled(old, "--delete", "mirror", code=3)
    assert run.counts() == {"held": 6}
    assert "the destination is empty, and 6 files are here" in run.err
    old.plant("0", b"content")
    assert pulled(old, "--delete", "mirror", "--max-delete", "4", code=3).counts() == {"held": 5, "unchanged": 1}
    assert pulled(old, "--delete", "mirror", "--max-delete", "5").counts() == {"deleted": 5, "unchanged": 1}


def test_a_jobs_own_delete_mode_is_the_other_direction(old: Pair) -> None:
    old.write("here")
    config = old.program.home / "syncd.toml"
    config.write_text(
        f'state_dir = "{old.state}"\n[remotes.prod]\nkind = "losant"\napplication_id = "{APPLICATION_ID}"\n'
        f'api_url = "{old.server.url}"\n[jobs.assets]\nsource = "{old.source}"\ndestination = "prod:/dir"\n'
        'delete = "mirror"\nmax_delete = "100%"\n'
    )
    old.plant("there", b"theirs")
    run = old.program.run("pull", "assets", "--json")
    assert (run.code, run.counts()) == (0, {"created": 1})
    assert names(old) == ["here", "there"]


def test_names_that_cannot_be_here(old: Pair) -> None:
    long = "n" * 300
    for path in (f"d/{long}", "d/fine", "file/below", "link/below"):
        old.plant(path, b"theirs")
    (old.source / "file").write_text("a file")
    outside = old.source.parent / "outside"
    outside.mkdir()
    (old.source / "link").symlink_to(outside)
    run = pulled(old, code=1)
    assert run.counts() == {"created": 1, "directories": 1}
    failed = run.failed()
    assert set(failed) == {f"d/{long}", "file", "file/below", "link/below"}
    assert "300 bytes" in failed[f"d/{long}"]
    assert "symlink" in failed["link/below"]
    assert list(outside.iterdir()) == []


def test_the_trash_of_a_job_is_neither_pulled_nor_compared(old: Pair) -> None:
    config = old.program.home / "syncd.toml"
    config.write_text(
        f'state_dir = "{old.state}"\n[remotes.prod]\nkind = "losant"\napplication_id = "{APPLICATION_ID}"\n'
        f'api_url = "{old.server.url}"\n[jobs.assets]\nsource = "{old.source}"\ndestination = "prod:/dir"\n'
        'trash = "dir/.trash"\n'
    )
    old.write("a", "kept")
    old.write("b", "thrown away")
    assert old.program.run("--once").code == 0
    (old.source / "b").unlink()
    assert old.program.run("--once").code == 0
    assert any(record.path.startswith("/dir/.trash/") for record in old.server.records())
    assert old.program.run("check", "--json").json == {"differences": []}
    run = old.program.run("pull", "--json")
    assert (run.code, run.counts(), names(old)) == (0, {"unchanged": 1}, ["a"])


@pytest.mark.parametrize("name", ["..", ".", "a\0b"])
def test_names_that_would_leave_the_directory(old: Pair, name: str) -> None:
    old.plant(name, b"theirs")
    run = pulled(old, code=1)
    assert run.counts() == {}
    assert ["no file can have the name" in error for error in run.failed().values()] == [True]
    assert names(old) == []


def test_what_came_damaged_is_not_put_in_place(old: Pair) -> None:
    old.plant("a", b"content")
    old.server.turn(clock_offset=HOUR_AGO, faults=(Fault("content", "garbage"),))
    record = old.record("a")
    garbage = len(b"<html><body>It works!</body></html>")
    old.server.call(lambda: old.server.sandbox.alter(record, size_bytes=garbage))
    run = pulled(old, code=1)
    assert "was damaged" in run.failed()["a"]
    assert names(old) == []


def test_a_source_that_is_named_is_made_and_one_that_is_configured_may_be_a_disk_that_is_not_mounted(
    old: Pair, tmp_path: Path
) -> None:
    old.plant("a", b"content")
    old.source.rmdir()
    configuration = tmp_path / "job.toml"
    configuration.write_text(
        f'[remotes.box]\nkind = "losant"\napplication_id = "{APPLICATION_ID}"\napi_url = "{old.server.url}"\n'
        f'[jobs.main]\nsource = "{old.source}"\ndestination = "box:/{old.directory}"\n'
    )
    run = old.program.run("pull", "--config", configuration, "--state-dir", old.state, "--json")
    assert run.code == 7
    assert not old.source.exists()
    old.source = old.source / "deep" / "down"
    assert pulled(old).counts() == {"created": 1}
    assert names(old) == ["a"]


def test_interrupted_and_run_again(old: Pair) -> None:
    for number in range(40):
        old.plant(f"{number}", f"content {number}".encode() * 100)
    old.server.turn(clock_offset=HOUR_AGO, latency=0.05)
    process = old.program.start("pull", *old.words("--workers", "2"), cold=True)
    assert isinstance(process, subprocess.Popen)
    old.server.until(lambda: old.server.sandbox.requests.counts["content"] >= 6)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    done = len(list(old.source.iterdir()))
    assert 0 < done < 40
    old.server.turn(clock_offset=HOUR_AGO)
    assert pulled(old).counts() == {"created": 40 - done, "unchanged": done}
    old.assert_equal()


def test_killed_and_run_again(old: Pair) -> None:
    for number in range(3):
        old.plant(f"{number}", f"{number}".encode() * 2_000_000)
    old.server.turn(clock_offset=HOUR_AGO, faults=(Fault("content", "hang", count=1, skip=1),))
    process = old.program.start("pull", *old.words(), cold=True)
    assert isinstance(process, subprocess.Popen)
    old.server.until(lambda: old.server.sandbox.requests.counts["content"] >= 3)
    process.kill()
    process.communicate(timeout=60)
    old.server.turn(clock_offset=HOUR_AGO)
    pulled(old)
    old.assert_equal()
    old.assert_idle()


def test_a_multipart_etag_proves_nothing(old: Pair) -> None:
    old.write("a", "content")
    record = old.plant("a", b"content")
    old.server.call(lambda: old.server.sandbox.alter(record, etag="0" * 32 + "-2"))
    assert pulled(old, code=1).failed() == {"a": UNPROVEN}
    assert pulled(old, "--overwrite").counts() == {"replaced": 1}
    assert pulled(old).counts() == {"unchanged": 1}


def test_while_a_daemon_has_the_job(old: Pair) -> None:
    process = old.program.start(old.source, old.destination, *old.where, cold=True)
    assert isinstance(process, subprocess.Popen)
    old.server.until(lambda: old.server.sandbox.requests.counts["list"] >= 1)
    run = old.program.run("pull", *old.words())
    process.terminate()
    process.communicate(timeout=60)
    assert run.code == 6
