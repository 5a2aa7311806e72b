"""What somebody else does on the destination, and what `on_drift` makes of it."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.e2e.daemon_process import World, stopped, world
from tests.e2e.program import Configured


def drifted(job: Configured) -> Configured:
    """Synced, then one file changed, one deleted and one added by somebody else."""
    for path in ("changed.txt", "d/deleted", "same"):
        job.write(path, f"content of {path}")
    job.mirrored()
    job.exchange("changed.txt", b"theirs")
    job.plant("added", b"theirs, too")
    job.server.remove(job.record("d/deleted"))
    return job


def files(job: Configured) -> dict[str, bytes]:
    return {path: content for path, content in job.remote().items() if content is not None}


OURS = {path: f"content of {path}".encode() for path in ("changed.txt", "d/deleted", "same")}
CHANGED, DELETED = {"path": "changed.txt", "kind": "changed"}, {"path": "d/deleted", "kind": "deleted"}
ADDED = {"path": "added", "kind": "added"}


def test_overwrite_puts_everything_right_and_says_it(job: Configured) -> None:
    run = drifted(job).mirrored()
    assert run.job["drifted"] == [CHANGED, DELETED]
    assert run.counts() == {"unchanged": 1, "replaced": 1, "created": 1, "extra": 1}
    assert run.err.count("drifted") == 2
    assert files(job) == {**OURS, "added": b"theirs, too"}
    assert job.mirrored().job["drifted"] == []


def test_keep_leaves_it_and_says_it_every_time(job: Configured) -> None:
    job.settings = 'on_drift = "keep"'
    drifted(job)
    job.write("changed.txt", "edited here, too")
    job.write("new", "new")
    for created in (1, 0):
        with job.server.counting() as changes:
            run = job.mirrored()
        assert sum(changes.values()) == 2 * created
        assert run.job["drifted"] == [CHANGED, DELETED]
        assert run.counts() == {"unchanged": 2 - created, "extra": 1, **({"created": 1} if created else {})}
    there = {"changed.txt": b"theirs", "added": b"theirs, too", "same": OURS["same"], "new": b"new"}
    assert files(job) == there
    job.exchange("changed.txt", OURS["changed.txt"])
    run = job.mirrored()
    assert (run.job["drifted"], run.job["replaced"]) == ([DELETED], 1)
    job.settings = ""
    job.mirrored()
    assert files(job) == {**OURS, **there, "changed.txt": b"edited here, too"}


def test_copy_moves_theirs_aside_and_puts_ours_in_its_place(job: Configured) -> None:
    job.settings = 'on_drift = "copy"'
    (action,) = [one for one in drifted(job).plan().json["jobs"][0]["actions"] if one["action"] == "replace"]
    assert "changed.theirs-" in action["reason"]
    run = job.mirrored()
    assert run.job["drifted"] == [CHANGED, DELETED]
    assert (run.job["replaced"], run.job["created"], run.job["deleted"]) == (1, 1, 0)
    (aside,) = files(job).keys() - {*OURS, "added"}
    assert re.fullmatch(r"changed\.theirs-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.txt", aside)
    assert files(job) == {**OURS, "added": b"theirs, too", aside: b"theirs"}
    with job.server.counting() as changes:
        assert job.mirrored().job["drifted"] == []
    assert changes == {}
    job.assert_clean()


@pytest.mark.parametrize("how", ["keep", "copy"])
def test_under_mirror_what_they_added_or_changed_is_not_deleted(job: Configured, how: str) -> None:
    job.settings = f'on_drift = "{how}"\ndelete = "mirror"'
    drifted(job)
    (job.source / "changed.txt").unlink()
    (job.source / "same").unlink()
    run = job.mirrored()
    assert run.job["deleted"] == 1
    assert run.job["drifted"] == [ADDED, CHANGED, DELETED]
    assert files(job).keys() == {"added", "changed.txt", *(["d/deleted"] if how == "copy" else [])}
    run = job.mirrored()
    assert (run.job["deleted"], run.job["extra"]) == (0, 2)


def test_under_mirror_overwrite_deletes_what_they_added_and_says_it(job: Configured) -> None:
    job.settings = 'delete = "mirror"'
    run = drifted(job).mirrored()
    assert run.job["drifted"] == [ADDED, CHANGED, DELETED]
    assert files(job) == OURS


def exchange(here: World, content: bytes) -> None:
    (record,) = [one for one in here.sandbox.records("files") if one.path == "/dir/file" and not one.lingers]
    here.sandbox.remove(record)
    here.sandbox.plant("/dir/file", content)


async def test_the_daemon_says_what_it_keeps_at_full_reconciles_and_counts_it(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            address = f"127.0.0.1:{reserved.getsockname()[1]}"
        here.configure('on_drift = "keep"', f'[status]\nlisten = "{address}"')
        here.write("file", "ours")
        async with here.daemon() as daemon:
            await here.until(here.has("file"))
            assert (await here.command("wait"))[0] == 0
            exchange(here, b"theirs")
            await here.command("rescan", "main")
            await here.until(lambda: "drifted" in here.log.read_text())
            here.write("file", "ours again")
            assert (await here.command("wait"))[0] == 0
            with urlopen(f"http://{address}/metrics") as answer:  # noqa: ASYNC210 - once, of our own daemon
                told = answer.read().decode()
            assert re.search(r'^syncd_drifted_paths_total\{\w+="main"\} 1\.0$', told, re.MULTILINE)
            assert here.log.read_text().count("drifted") == 1
            assert here.sandbox.tree("files")["/dir/file"] == b"theirs"
            assert await stopped(daemon) == 0


async def test_two_writers_who_copy_do_not_fill_the_destination(tmp_path: Path) -> None:
    """Contested again and again, a path is parked, and with it the copies that each turn would make."""
    async with world(tmp_path) as here:
        here.configure('on_drift = "copy"')
        here.write("file", "ours")
        async with here.daemon() as daemon:
            await here.until(here.has("file"))
            assert (await here.command("wait"))[0] == 0
            for turn in range(4):
                exchange(here, f"theirs {turn}".encode())
                await here.command("rescan", "main")
                expected = min(turn + 1, 3)
                await here.until(lambda: here.log.read_text().count("drifted") == turn + 1)  # noqa: B023
                await here.until(lambda: sum("theirs" in path for path in here.remote()) == expected)  # noqa: B023
                await here.command("wait")
            status = await here.until_status(lambda status: status["failed"])
            assert "again and again" in str(status["failed"])
            here.write("other", "a look at the same directory")
            await here.until(lambda: "other" in here.remote())
            await here.until_status(lambda status: status["failed"])
            assert here.log.read_text().count("drifted") == 4
            assert sum("theirs" in path for path in here.remote()) == 3
            assert here.sandbox.tree("files")["/dir/file"] == b"theirs 3"
            assert await stopped(daemon) == 0
