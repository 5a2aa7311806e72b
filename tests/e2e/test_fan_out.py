"""One source on several destinations, and several sources on one application."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.daemon_process import World, stopped, world


def fan_out(here: World) -> None:
    """Two jobs with the same source and one with another, all into one application."""
    (here.base / "other").mkdir()
    (here.base / "other" / "theirs").write_text("of another source")
    here.configure(
        more=f'[jobs.second]\nsource = "{here.source}"\ndestination = "box:/second"\nsettle = "100ms"\n'
        f'[jobs.third]\nsource = "{here.base / "other"}"\ndestination = "box:/third"\nsettle = "100ms"\n'
    )


async def test_one_source_reaches_all_its_destinations_and_the_next_run_has_nothing_to_do(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        fan_out(here)
        for number in range(40):
            here.write(f"d{number % 4}/{number}", str(number))
        code, _ = await here.command("--once", "--json")
        assert code == 0
        assert here.remote("/dir/") == here.remote("/second/") == sorted(f"d{n % 4}/{n}" for n in range(40))
        assert here.remote("/third/") == ["theirs"]
        code, report = await here.command("--once", "--json")
        assert (code, [job["unchanged"] for job in json.loads(report)["jobs"]]) == (0, [40, 40, 1])
        assert [job["created"] for job in json.loads(report)["jobs"]] == [0, 0, 0]


async def test_the_daemon_brings_a_change_to_all_destinations_of_its_source(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        fan_out(here)
        here.write("a", "first")
        async with here.daemon() as daemon:
            await here.until(lambda: here.remote("/dir/") == here.remote("/second/") == ["a"])
            here.write("b", "second")
            (here.source / "a").unlink()
            await here.until(lambda: here.remote("/dir/") == here.remote("/second/") == ["b"])
            assert await stopped(daemon) == 0


async def test_destinations_that_overlap_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.write("a", "a")
        here.configure(more=f'[jobs.inner]\nsource = "{here.source}"\ndestination = "box:/dir/inner"')
        code, _ = await here.command("--once")
        assert code == 2
        assert here.sandbox.records("files") == []
