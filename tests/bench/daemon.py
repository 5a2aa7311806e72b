"""The daemon's scenario: how long a change takes, what it costs to be idle, how few requests many changes are.

Called by `scenarios`. The daemon is a process of its own; the sandbox is in this one, so that what it holds and what it
was asked is read from it. A change's time is from its last write until its record is completed, `settle` subtracted.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from syncd.sandbox import Sandbox
from tests.bench.processes import APPLICATION_ID, REPOSITORY, TOKEN, BenchError
from tests.bench.trees import make_file, make_tree

SETTLE_S = 0.1
PATIENCE_S = 600.0
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sizes:
    """`changes` timed; as many beside files of `large_bytes`, of which `uploads` are sent one after the other at most;
    an idle tree of `files` looked at for `idle_s`; `many` changed in one directory, one of `renamed` files renamed."""

    changes: int
    large_bytes: int
    uploads: int
    files: int
    idle_s: float
    many: int
    renamed: int


@dataclass(frozen=True, slots=True)
class Figures:
    alone_s: list[float]
    beside_s: list[float]
    cpu_share: float
    peak_bytes: int
    listings: int
    moves: int


@dataclass(slots=True)
class Watched:
    """A daemon on a source and what it keeps it on."""

    source: Path
    sandbox: Sandbox
    pid: int = 0

    async def until(self, condition: Callable[[], bool], *, step_s: float = 0.002) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():  # noqa: ASYNC110 - the condition is in another process
                    await asyncio.sleep(step_s)
        except TimeoutError:
            raise BenchError("the daemon did not come to it") from None

    def status(self, path: str) -> str | None:
        """One look-up, so that asking often costs the sandbox nothing. None: there is no record."""
        record = self.sandbox.at(f"/dir/{path}")
        return None if record is None else record.status

    def etags(self) -> dict[str, str | None]:
        records = self.sandbox.records("files")
        return {one.path: one.etag for one in records if one.type == "file" and one.status == "completed"}


async def measure_daemon(work: Path, sizes: Sizes) -> Figures:
    """Raises BenchError where the daemon does not do what is measured."""
    alone_s, beside_s = await _times(work / "times", sizes)
    cpu_share, peak_bytes = await _idle(work / "idle", sizes)
    listings, moves = await _many(work / "many", sizes)
    return Figures(alone_s, beside_s, cpu_share, peak_bytes, listings, moves)


async def _times(work: Path, sizes: Sizes) -> tuple[list[float], list[float]]:
    async with _watched(work) as here:
        await _change(here, 0)
        alone_s = [await _change(here, number) for number in range(1, sizes.changes + 1)]
        beside_s: list[float] = []
        number = sizes.changes
        for upload in range(sizes.uploads):
            if len(beside_s) == sizes.changes:
                break
            large = await _large(here, upload, size_bytes=sizes.large_bytes)
            while len(beside_s) < sizes.changes:
                number += 1
                took_s = await _change(here, number)
                if here.status(large) == "completed":
                    break  # it ended before the change did
                beside_s.append(took_s)
            (here.source / large).unlink()  # one at a time is enough for a disk
        return alone_s, beside_s


async def _large(here: Watched, number: int, *, size_bytes: int) -> str:
    """A further large file, of other content than those before; its upload has begun when this returns."""
    draft, path = here.source.parent / "draft", f"large/{number:03}"
    await asyncio.to_thread(make_file, draft, size_bytes=size_bytes + number * 4096)
    (here.source / path).parent.mkdir(exist_ok=True)
    draft.rename(here.source / path)
    await here.until(lambda: here.status(path) is not None)
    return path


async def _change(here: Watched, number: int) -> float:
    name = f"changing/{number:05}"
    path = here.source / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"%d" % number)
    began_s = time.perf_counter()
    await here.until(lambda: here.status(name) == "completed")
    return time.perf_counter() - began_s - SETTLE_S


async def _idle(work: Path, sizes: Sizes) -> tuple[float, int]:
    source = work / "source"
    make_tree(source, files=sizes.files, directories=max(1, sizes.files // 50), size_bytes=64)
    paths = [path for path in source.rglob("*") if path.is_file()]

    def plant(sandbox: Sandbox) -> None:
        for path in paths:
            sandbox.plant(f"/dir/{path.relative_to(source).as_posix()}", path.read_bytes())

    async with _watched(work, plant) as here:
        before_s = _cpu_s(here.pid)
        await asyncio.sleep(sizes.idle_s)
        return (_cpu_s(here.pid) - before_s) / sizes.idle_s, _memory_bytes(here.pid)


async def _many(work: Path, sizes: Sizes) -> tuple[int, int]:
    source = work / "source"
    for directory, files in (("many", sizes.many), ("renamed", sizes.renamed)):
        (source / directory).mkdir(parents=True)
        for number in range(files):
            (source / directory / f"{number:05}").write_text(f"{directory} {number}")

    def plant(sandbox: Sandbox) -> None:
        for path in source.rglob("*"):
            if path.is_file():
                sandbox.plant(f"/dir/{path.relative_to(source).as_posix()}", path.read_bytes())

    async with _watched(work, plant) as here:
        before = here.etags()
        counts = here.sandbox.requests.counts
        listings = counts["list"]
        for path in (source / "many").iterdir():
            path.write_text("changed " + path.name)
        await here.until(
            lambda: sum(before[path] != etag for path, etag in here.etags().items()) == sizes.many, step_s=0.25
        )
        await asyncio.sleep(3)  # looks that come after it count, too
        listings = counts["list"] - listings
        changes = here.sandbox.requests.changing_requests()
        (source / "renamed").rename(source / "moved")
        await here.until(
            lambda: sum(path.startswith("/dir/moved/") for path in here.etags()) == sizes.renamed, step_s=0.25
        )
        await asyncio.sleep(10)  # what would be deleted afterwards counts, too
        return listings, here.sandbox.requests.changing_requests() - changes


@asynccontextmanager
async def _watched(work: Path, plant: Callable[[Sandbox], None] = lambda _: None) -> AsyncIterator[Watched]:
    """A daemon that has looked at everything once and has nothing to do."""
    source = work / "source"
    source.mkdir(parents=True, exist_ok=True)
    async with Sandbox(work / "sandbox") as sandbox:
        plant(sandbox)
        configuration = work / "syncd.toml"
        configuration.write_text(
            f'state_dir = "{work / "state"}"\n[remotes.box]\nkind = "losant"\napplication_id = "{APPLICATION_ID}"\n'
            f'api_url = "{sandbox.url}"\n[jobs.main]\nsource = "{source}"\ndestination = "box:/dir"\n'
            f'settle = "{SETTLE_S * 1000:.0f}ms"\n'
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
        environment |= {"SYNCD_TOKEN": TOKEN, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", "syncd", "-q", "--config", str(configuration)]
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        try:
            await _wait(configuration, environment, process)
            yield Watched(source, sandbox, process.pid)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _wait(configuration: Path, environment: dict[str, str], daemon: asyncio.subprocess.Process) -> None:
    command = [sys.executable, "-m", "syncd", "-q", "-q", "--config", str(configuration), "wait"]
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s and daemon.returncode is None:
        waiting = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)
        if await waiting.wait() == 0:
            return
    raise BenchError("the daemon did not start")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def median_ms(times_s: list[float]) -> str:
    return f"{statistics.median(times_s) * 1000:.0f} ms" if times_s else "none in time"


def worst_ms(times_s: list[float]) -> str:
    return f"{max(times_s) * 1000:.0f} ms" if times_s else "none in time"
