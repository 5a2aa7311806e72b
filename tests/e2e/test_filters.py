"""Filters that change: what they newly leave out stays where it is, what they let in again is taken up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.daemon_process import stopped, world
from tests.e2e.program import Configured

FILES = {"a.txt": "a", "b.tmp": "b", "cache/one": "1", "cache/deep/two": "2"}
LEAVE_OUT = ['exclude = ["*.tmp", "cache/"]', 'include = ["*.txt"]']


@pytest.fixture(params=["tracked", "mirror"])
def synced(job: Configured, request: pytest.FixtureRequest) -> Configured:
    job.settings = f'delete = "{request.param}"'
    for path, content in FILES.items():
        job.write(path, content)
    job.mirrored()
    return job


@pytest.mark.parametrize("rules", LEAVE_OUT)
@pytest.mark.parametrize("is_there", [True, False])
def test_what_is_newly_left_out_is_detached_and_said_once(synced: Configured, rules: str, is_there: bool) -> None:
    everything = synced.remote()
    synced.settings += "\n" + rules
    if not is_there:
        for path in ("b.tmp", "cache/one"):
            (synced.source / path).unlink()
    with synced.server.counting() as changes:
        run = synced.mirrored()
        again = synced.mirrored()
    assert changes == {}
    assert synced.remote() == everything
    said = "the filters leave out now, and the destination keeps as it is (3): b.tmp, cache/deep/two, cache/one"
    assert said in run.err
    assert "filters leave out" not in again.err
    assert (run.counts(), again.counts()) == ({"unchanged": 1}, {"unchanged": 1})


@pytest.mark.parametrize("rules", LEAVE_OUT)
def test_what_is_let_in_again_is_adopted_or_replaced(synced: Configured, rules: str) -> None:
    before = synced.settings
    synced.settings += "\n" + rules
    synced.mirrored()
    synced.write("cache/one", "edited meanwhile")
    synced.settings = before
    with synced.server.counting() as changes:
        assert synced.mirrored().counts() == {"unchanged": 3, "replaced": 1}
    assert changes == {"patch": 1, "form": 1} or changes == {"patch": 1, "upload": 1}
    synced.assert_equal()
    synced.assert_idle()


def test_the_ignore_file_is_a_filter_that_changes(synced: Configured) -> None:
    synced.write(".syncdignore", "*.tmp\n")
    run = synced.mirrored()
    assert "(1): b.tmp" in run.err
    assert synced.remote()["b.tmp"] == b"b"
    (synced.source / ".syncdignore").unlink()
    assert synced.mirrored().counts() == {"unchanged": 4}
    (synced.source / "b.tmp").unlink()
    assert synced.mirrored().counts() == {"unchanged": 3, "deleted": 1}


async def test_the_daemon_detaches_and_takes_up_again_without_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('delete = "mirror"')
        here.write("a.txt", "a")
        here.write("d/b.tmp", "b")
        async with here.daemon() as daemon:
            await here.until(here.has("a.txt", "d/b.tmp"))
            assert (await here.command("wait"))[0] == 0
            here.write(".syncdignore", "*.tmp\n")
            assert (await here.command("wait"))[0] == 0
            await here.until(lambda: "(1): d/b.tmp" in here.log.read_text())
            (here.source / "d/b.tmp").write_text("edited while it was left out")
            here.write("a.txt", "edited")
            assert (await here.command("wait"))[0] == 0
            assert here.remote() == ["a.txt", "d/b.tmp"]
            (here.source / ".syncdignore").unlink()
            assert (await here.command("wait"))[0] == 0
            assert here.sandbox.tree("files")["/dir/d/b.tmp"] == b"edited while it was left out"
            assert here.log.read_text().count("filters leave out") == 1
            assert await stopped(daemon) == 0
