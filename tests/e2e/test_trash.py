"""The trash: what is deleted or replaced is moved there, restore brings it back, and in the end it is removed."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest

from syncd.sandbox import Fault
from tests.e2e.daemon_process import stopped, world
from tests.e2e.program import Configured, Ended

STAMP = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ"
PLACES = ["/trash/main", "/dir/.trash"]
"""Beside the destination, and in it."""


@pytest.fixture(params=PLACES)
def trashing(job: Configured, request: pytest.FixtureRequest) -> Configured:
    job.settings = f'trash = "{request.param}"\nmax_delete = "100%"'
    return job


def place(job: Configured) -> str:
    (found,) = re.findall(r'trash = "/(.*?)"', job.settings)
    return str(found)


def kept(job: Configured) -> dict[str, bytes]:
    """What is in the trash: bytes by `STAMP/path`; nothing of what is still coming."""
    tree = job.server.call(lambda: job.server.sandbox.tree(job.kind))
    prefix = f"/{place(job)}/"
    return {
        path.removeprefix(prefix): content
        for path, content in sorted(tree.items())
        if content is not None and path.startswith(prefix)
    }


def by_path(job: Configured) -> dict[str, bytes]:
    return {path.partition("/")[2]: content for path, content in kept(job).items()}


def mirrored(job: Configured) -> dict[str, bytes | None]:
    """The destination without the trash."""
    inside = place(job).removeprefix("dir/")
    return {path: content for path, content in job.remote().items() if not f"{path}/".startswith(f"{inside}/")}


def restore(job: Configured, *words: str, code: int = 0, json: bool = True) -> Ended:
    _, config, file, *_ = job.words()
    run = job.program.run("restore", "main", *words, config, file, *(["--json"] if json else []))
    assert run.code == code, run
    return run


def filled(job: Configured) -> Configured:
    for path in ("a.txt", "d/one", "d/two", "d/deep/three", "other"):
        job.write(path, f"content of {path}")
    job.mirrored()
    return job


def test_what_is_deleted_is_moved_there(trashing: Configured) -> None:
    job = filled(trashing)
    (job.source / "a.txt").unlink()
    shutil.rmtree(job.source / "d")
    with job.server.counting() as changes:
        assert job.mirrored().counts() == {"unchanged": 1, "deleted": 4}
    assert changes == {"move": 2}
    assert mirrored(job) == {"other": b"content of other"}
    gone = ("a.txt", "d/one", "d/two", "d/deep/three")
    assert by_path(job) == {path: f"content of {path}".encode() for path in gone}
    assert {re.fullmatch(STAMP, path.partition("/")[0]) is not None for path in kept(job)} == {True}
    with job.server.counting() as changes:
        assert job.mirrored().counts() == {"unchanged": 1}
    assert changes == {}
    job.assert_clean()


def test_what_is_replaced_is_kept_and_its_place_is_never_empty_for_long(trashing: Configured) -> None:
    job = filled(trashing)
    job.write("a.txt", "new content")
    with job.server.counting() as changes:
        assert job.mirrored().counts() == {"unchanged": 4, "replaced": 1}
    assert changes["create"] == 2  # the directory for what is coming, and the file
    log = [request.operation for request in job.server.call(lambda: list(job.server.sandbox.requests))]
    moves = [index for index, operation in enumerate(log) if operation == "move"]
    assert moves == [moves[0], moves[0] + 1], log
    assert mirrored(job)["a.txt"] == b"new content"
    assert by_path(job) == {"a.txt": b"content of a.txt"}
    assert job.record("a.txt").content_type == "text/plain"
    with job.server.counting() as changes:
        job.mirrored()
    assert changes == {}
    job.assert_clean()


@pytest.mark.parametrize("mode", ["tracked", "mirror"])
def test_the_trash_in_the_destination_is_nothing_of_the_jobs(job: Configured, mode: str) -> None:
    """Not listed, not drifted, not deleted, also where the directory that it is in goes; nor is what the source has
    of that name."""
    job.settings = f'trash = "/dir/sub/.trash"\nmax_delete = "100%"\ndelete = "{mode}"'
    job.write("sub/file", "content")
    job.write("sub/.trash/mine", "never sent")
    job.write("other", "stays")
    assert "'sub/.trash' in the source is left out" in job.mirrored().err
    (job.source / "sub/file").write_text("changed")
    job.mirrored()
    shutil.rmtree(job.source / "sub")
    run = job.mirrored()
    assert (run.job["deleted"], run.job["drifted"], run.job["extra"], run.job["failed"]) == (1, [], 0, [])
    assert sorted(by_path(job).items()) == [("sub/file", b"changed")] or len(kept(job)) == 2
    assert set(kept(job).values()) == {b"content", b"changed"}
    with job.server.counting() as changes:
        job.mirrored()
    assert changes == {}


def test_the_guard_counts_what_would_go_to_the_trash(trashing: Configured) -> None:
    trashing.settings = trashing.settings.replace('"100%"', "1")
    job = filled(trashing)
    shutil.rmtree(job.source / "d")
    assert job.mirrored(code=3).job["held"] == 3
    assert kept(job) == {}


def test_a_file_and_a_directory_that_take_each_others_place(trashing: Configured) -> None:
    job = filled(trashing)
    shutil.rmtree(job.source / "d")
    job.write("d", "a file now")
    (job.source / "a.txt").unlink()
    job.write("a.txt/inside", "a directory now")
    job.mirrored()
    assert mirrored(job) == job.local()
    assert by_path(job).keys() == {"a.txt", "d/one", "d/two", "d/deep/three"}


def test_restore_brings_back_everything_or_one_path(trashing: Configured) -> None:
    job = filled(trashing)
    before = mirrored(job)
    shutil.rmtree(job.source / "d")
    job.write("a.txt", "new content")
    job.mirrored()
    (stamp,) = {path.partition("/")[0] for path in kept(job)}
    assert restore(job).json == {"job": "main", "times": [stamp]}
    assert restore(job, json=False).out == f"{stamp}\n"
    run = restore(job, stamp, "d/deep").json
    assert (run["files"], run["restored"], run["displaced"]) == (1, ["d/deep"], [])
    assert mirrored(job)["d/deep/three"] == b"content of d/deep/three"
    run = restore(job, stamp[:13])
    assert (run.json["files"], run.json["restored"], run.json["displaced"]) == (
        3,
        ["a.txt", "d/one", "d/two"],
        ["a.txt"],
    )
    assert mirrored(job) == before
    assert kept(job) == {f"{run.json['displaced_to']}/a.txt": b"new content"}
    assert restore(job).json["times"] == [run.json["displaced_to"]]


def test_after_a_restore_the_source_still_wins(trashing: Configured) -> None:
    job = filled(trashing)
    job.write("a.txt", "new content")
    (job.source / "other").unlink()
    job.mirrored()
    (stamp,) = {path.partition("/")[0] for path in kept(job)}
    said = restore(job, stamp, json=False)
    assert "the source wins at the next sync" in said.err
    run = job.mirrored()
    assert (run.job["drifted"], run.job["extra"]) == ([{"path": "a.txt", "kind": "changed"}], 1)
    assert mirrored(job)["a.txt"] == b"new content"
    assert b"content of a.txt" in kept(job).values()


def test_restore_says_what_there_is(trashing: Configured) -> None:
    job = filled(trashing)
    (job.source / "other").unlink()
    job.mirrored()
    (stamp,) = {path.partition("/")[0] for path in kept(job)}
    assert stamp in restore(job, "2001", code=1).err
    assert "there is other" in restore(job, stamp, "a.txt", code=1).err
    assert "must be a directory" in restore(job, stamp, "../x", code=2).err
    job.settings = ""
    assert "jobs.main.trash: is not set" in restore(job, code=2).err


def plant_old(job: Configured, *paths: str) -> None:
    for path in paths:
        job.server.plant(f"/{place(job)}/{path}", b"old", job.kind)


def test_what_is_too_old_is_removed_and_nothing_else(trashing: Configured) -> None:
    job = filled(trashing)
    job.settings += '\ntrash_keep = "2d"'
    hour = [time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime(time.time() - 3600 * hours)) for hours in (1, 49, 30)]
    stay = {
        f"{hour[0]}/a",
        f"{hour[1]} copy/b",
        "2001-01-01/c",
        "mine/d",
        f".incoming/{hour[0]}-1.txt",
        ".incoming/mine",
    }
    plant_old(job, *stay)
    plant_old(job, f"{hour[1]}/x", f"{hour[1]}/deep/y", "2001-01-01T00-00-00Z/z", f".incoming/{hour[2]}-2.txt")
    plan = job.plan()
    assert len(kept(job)) == 10
    assert plan.json["jobs"][0]["actions"] == []
    job.mirrored()
    assert kept(job).keys() == stay


@pytest.mark.parametrize("job", ["files"], indirect=True)
@pytest.mark.parametrize("operation", ["create", "move"])
@pytest.mark.parametrize("fault", ["status", "reset_after", "reset_before"])
def test_what_fails_or_is_lost_on_the_way_is_put_right(job: Configured, operation: str, fault: str) -> None:
    """At each request of a replacement and of a deletion: refused, or its answer lost."""
    job.settings = 'trash = "/trash"\nmax_delete = "100%"'
    filled(job)
    for skip in range(3):
        job.write("a.txt", f"version {skip}")
        job.write("other", f"another version {skip}")
        (job.source / "d/one").unlink(missing_ok=True)
        before = {**by_path(job), **{path: content for path, content in mirrored(job).items() if content is not None}}
        how = {"status": 400} if fault == "status" else {}
        job.server.turn(faults=[Fault(operation, fault, count=1, skip=skip, **how)])  # type: ignore[arg-type]
        run = job.once(hasty=True)
        assert run.code in (0, 1), run
        if fault == "status":
            assert (mirrored(job) == job.local()) == (run.code == 0)
        assert {"a.txt", "other"} <= mirrored(job).keys() | {one["path"] for one in run.job["failed"]}
        job.server.turn()
        job.an_hour_later()
        job.mirrored()
        assert mirrored(job) == job.local()
        assert set(before.values()) <= {*kept(job).values(), *mirrored(job).values()}
    job.assert_clean()


async def test_the_daemon_moves_to_the_trash_and_purges_it(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('trash = "/trash"\ntrash_keep = "1h"')
        for path in ("a", "d/b", "d/c"):
            here.write(path, path)
        here.sandbox.plant("/trash/2001-01-01T00-00-00Z/x", b"old")
        async with here.daemon() as daemon:
            await here.until(here.has("a", "d/b", "d/c"))
            await here.until(lambda: here.remote("/trash/") == [])
            shutil.rmtree(here.source / "d")
            here.write("a", "changed")
            await here.until(here.has("a"))
            await here.until(lambda: len(here.remote("/trash/")) == 3)
            assert (await here.command("wait"))[0] == 0
            assert {path.partition("/")[2] for path in here.remote("/trash/")} == {"a", "d/b", "d/c"}
            assert here.sandbox.tree("files")["/dir/a"] == b"changed"
            assert await stopped(daemon) == 0
