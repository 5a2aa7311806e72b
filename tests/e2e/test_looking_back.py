"""`syncd history` and `syncd why`: what was done, and what decides about a path, with a daemon and without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncd.sandbox import Fault, Knobs
from tests.e2e.daemon_process import World, stopped, world


async def why(here: World, path: str | Path) -> tuple[str, str]:
    code, output = await here.command("why", "main", str(path), "--json")
    assert code == 0, output
    told: dict[str, Any] = json.loads(output)
    return told["by"], told["why"]


async def test_without_a_daemon_it_goes_by_rules_source_and_state(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('exclude = ["*.tmp"]')
        here.write("a.txt", "a")
        here.write(".syncdignore", "drafts/\n")
        here.write("drafts/b.txt", "b")
        here.write("c.tmp", "c")
        (here.source / "link").symlink_to("a.txt")
        (here.source / "elsewhere").symlink_to("drafts")
        assert await why(here, "a.txt") == (
            "state",
            "is new: taken over if the destination has the same, else sent by the next run",
        )
        assert (await here.command("--once"))[0] == 0
        here.token.unlink()
        assert (await why(here, here.source / "a.txt"))[1] == "is the same on both sides, as far as is known"
        assert "'*.tmp'; whatever" in (await why(here, "c.tmp"))[1]
        assert (
            "'drafts' above it is left out by the pattern 'drafts/' of .syncdignore"
            in (await why(here, "drafts/b.txt"))[1]
        )
        assert await why(here, "link") == ("source", "is skipped: symlink")
        assert await why(here, "elsewhere/b.txt") == ("source", "is skipped: symlink")
        assert (await why(here, "nothing/here"))[0] == "state"
        (here.source / "a.txt").unlink()
        assert "the next run moves or deletes it" in (await why(here, "a.txt"))[1]


async def test_with_a_daemon_it_tells_what_waits_and_what_failed(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('max_delete = "0"')
        here.write("gone", "held")
        here.write("fine", "fine")
        async with here.daemon() as daemon:
            await here.until(here.has("fine", "gone"))
            here.sandbox.knobs = Knobs(faults=(Fault("create", "status", 400),))
            here.write("refused", "never")
            (here.source / "gone").unlink()
            await here.until_status(lambda status: status["failed"] and status["held"])
            by, text = await why(here, "refused")
            assert by == "back-off"
            assert text.startswith("failed ")
            assert "400" in text
            by, text = await why(here, "gone")
            assert (by, text.startswith("its deletion is held")) == ("guard", True)
            assert (await here.command("pause"))[0] == 0
            assert (await why(here, "fine"))[0] == "job"
            assert await stopped(daemon) == 0


async def test_history_tells_what_was_done_and_what_failed(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        assert (await here.command("history"))[1] == "main: nothing was done yet\n"
        here.write("a", "first")
        here.write("b", "second")
        assert (await here.command("--once"))[0] == 0
        (here.source / "a").rename(here.source / "moved")
        here.write("b", "changed")
        here.sandbox.knobs = Knobs(faults=(Fault("patch", "status", 400),))
        assert (await here.command("--once"))[0] == 1
        code, output = await here.command("history", "main", "--json")
        (job,) = json.loads(output)["jobs"]
        assert (code, job["job"]) == (0, "main")
        told = {(one["action"], one["path"], one.get("from"), "error" in one) for one in job["events"]}
        assert told == {
            ("create", "a", None, False),
            ("create", "b", None, False),
            ("move", "moved", "a", False),
            ("replace", "b", None, True),
        }
        lines = (await here.command("history", "--last", "1"))[1].splitlines()
        assert len(lines) == 2
        assert "why" not in lines[0]
        assert "FAILED" in (await here.command("why", "main", "b"))[1]


@pytest.mark.parametrize("path", ["", ".", "..", "../x", "/somewhere/else"])
async def test_a_path_that_is_not_in_the_source_is_a_usage_error(tmp_path: Path, path: str) -> None:
    async with world(tmp_path) as here:
        assert (await here.command("why", "main", path))[0] == 2


async def test_drift_that_is_kept_is_what_decides(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('on_drift = "keep"')
        here.write("a", "ours")
        assert (await here.command("--once"))[0] == 0
        record = next(one for one in here.sandbox.records("files") if one.name == "a")
        here.sandbox.remove(record)
        here.sandbox.plant("/dir/a", b"theirs")
        assert (await here.command("--once"))[0] == 0
        assert await why(here, "a") == ("drift", "was changed by somebody else on the destination; on_drift is keep")
