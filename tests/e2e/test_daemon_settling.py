"""The daemon as a process: what is sent of files that do not hold still, and of what the source's own filters say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.daemon_process import World, stopped, world


@contextmanager
def busy_with(write: Callable[[int], None]) -> Iterator[None]:
    """While entered, something is written all the time: more often than a file would have to hold still."""
    ended = threading.Event()

    def run() -> None:
        number = 0
        while not ended.wait(0.02):
            write(number)
            number += 1

    writer = threading.Thread(target=run)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def content(here: World, path: str) -> bytes | None:
    return here.sandbox.tree().get(f"/dir/{path}")


@pytest.mark.parametrize("size", [1000, 3_000_000])
async def test_a_file_that_only_grows_is_sent_as_far_as_it_was_and_the_rest_when_it_holds_still(
    tmp_path: Path, size: int
) -> None:
    async with world(tmp_path) as here:
        here.configure('settle_max = "500ms"')
        path = here.source / "log"
        path.write_bytes(b"begin" * (size // 5))

        def append(number: int) -> None:
            with path.open("ab") as file:
                file.write(b"line %d\n" % number)

        async with here.daemon() as daemon:
            with busy_with(append):
                await here.until(lambda: content(here, "log") is not None)
                first = content(here, "log")
                assert first is not None
                assert path.read_bytes().startswith(first)
                assert len(first) >= size
                await here.until(lambda: (content(here, "log") or first) != first)
            await here.until(lambda: content(here, "log") == path.read_bytes())
            assert (await here.command("wait"))[0] == 0
            assert await stopped(daemon) == 0


async def test_a_file_that_is_rewritten_all_the_time_is_parked_and_sent_when_it_holds_still(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('settle_max = "500ms"')
        async with here.daemon() as daemon:
            await here.until_status(lambda status: status["last_reconcile"])
            with busy_with(lambda number: here.write("busy", "x" * (100 - number % 50))):
                status = await here.until_status(lambda status: status["failed"])
                assert [one["path"] for one in status["failed"]] == ["busy"]
                here.write("other", "goes up all the same")
                await here.until(lambda: "other" in here.remote())
            await here.until(here.has("busy", "other"))
            await here.until_status(lambda status: not status["failed"])
            assert await stopped(daemon) == 0


async def test_what_a_changed_ignore_file_says_holds_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here, here.daemon() as daemon:
        await here.until_status(lambda status: status["last_reconcile"])
        here.write(".syncdignore", "*.part\n")
        here.write("deep/file.part", "not wanted")
        here.write("deep/file", "wanted")
        await here.until(here.has("deep/file"))
        assert (await here.command("wait"))[0] == 0
        assert here.remote() == ["deep/file"]
        (here.source / ".syncdignore").unlink()
        await here.until(here.has("deep/file", "deep/file.part"))
        assert await stopped(daemon) == 0


async def test_a_flush_while_the_remote_is_down_takes_no_longer_than_the_drain(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('on_stop = "flush"\ndrain = "1s"')
        async with here.daemon() as daemon:
            await here.until_status(lambda status: status["last_reconcile"])
            await here.sandbox.close()
            here.write("last", "cannot be sent")
            began_s = asyncio.get_running_loop().time()
            assert await stopped(daemon) == 0
            assert asyncio.get_running_loop().time() - began_s < 8


async def test_a_flush_with_the_source_gone_ends_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('on_stop = "flush"\ndrain = "20s"')
        here.write("file", "kept")
        async with here.daemon() as daemon:
            await here.until(here.has("file"))
            here.source.rename(tmp_path / "aside")
            await here.until_status(lambda status: status["state"] == "halted")
            began_s = asyncio.get_running_loop().time()
            assert await stopped(daemon) == 0
            assert asyncio.get_running_loop().time() - began_s < 15
            assert here.remote() == ["file"]
