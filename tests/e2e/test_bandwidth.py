"""A job's bandwidth and order as its report shows them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.e2e.daemon_process import World, world

KIB = 1024


async def _mirrored(here: World) -> dict[str, object]:
    code, output = await here.command("--once", "--json")
    (job,) = json.loads(output)["jobs"]
    assert code == 0
    return dict(job)


async def test_no_more_is_sent_than_the_bandwidth_allows(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('bandwidth = "400KiB/s"')
        for name, size in (("large", 200), ("small/1", 40), ("small/2", 40)):
            here.write(name, "x" * size * KIB)
        job = await _mirrored(here)
        assert job["bytes_uploaded"] == 280 * KIB
        assert float(str(job["seconds"])) > 280 / 400 - 0.15  # less what goes at once
        assert here.remote() == ["large", "small/1", "small/2"]


async def test_the_plan_is_in_the_order_that_the_job_wants(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        for number, name in enumerate(("a", "b", "c")):
            here.write(name, "x" * (3 - number))
            os.utime(here.source / name, (number, number))
        for order, names in (("small-first", ["c", "b", "a"]), ("newest-first", ["c", "b", "a"])):
            here.configure(f'order = "{order}"')
            plan = json.loads((await here.command("plan", "--json"))[1])
            assert [one["path"] for one in plan["jobs"][0]["actions"]] == names
        here.write("d", "xxxx")
        plan = json.loads((await here.command("plan", "--json"))[1])
        assert plan["jobs"][0]["actions"][0]["path"] == "d"
