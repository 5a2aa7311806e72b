"""One storm: a real daemon, a sandbox that is slow and fails, a source that never rests; and at the end, order.

Used by `test_churn` and by `python -m tests.churn`. When it is quiet again, both sides must be equal within a minute,
with one completed record for each path and nothing else. Nothing is deleted there that is here, and the daemon's memory
must not have grown.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import stat
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from syncd.sandbox import APPLICATION_ID, TOKEN, Knobs, Sandbox
from syncd.sandbox.traffic import LoggedRequest, RequestLog
from tests.churn.edits import Edits, make_archive, make_history

ROOT = Path(__file__).parents[2]
QUIET_S = 60.0
STOP_S = 20.0
WARM_S = 600.0
"""After so long in a storm, with several archives unpacked and gone, the daemon's memory is what it will be."""
GROWTH = 1.25
STABLE_S = 2.0
"""Somebody may bring a file back just when its deletion is asked for."""


@dataclass(frozen=True, slots=True)
class Result:
    """`problems` is empty where all is well. `peak_bytes`: the daemon's memory at its highest."""

    problems: list[str]
    steps: int
    files: int
    settled_s: float
    peak_bytes: int
    log: str


class Deletions(RequestLog):
    """Which paths the daemon asked to be deleted although they were in the source, and had been for a while."""

    def __init__(self, sandbox: Sandbox, source: Path) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self._sandbox = sandbox
        self._source = source
        self._known: dict[str, tuple[str, bool]] = {}

    def begin(self, operation: str) -> None:
        super().begin(operation)
        if operation == "delete":
            self._known = {
                one.id: (one.path.removeprefix("/dir").strip("/"), one.type == "directory")
                for one in self._sandbox.records("files")
                if one.status == "completed"
            }

    def end(self, request: LoggedRequest) -> None:
        super().end(request)
        known = self._known.get(request.path.rpartition("/")[2]) if request.operation == "delete" else None
        if known is None:
            return
        path, is_directory = known
        try:
            status = (self._source / path).lstat()
        except OSError:
            return
        if stat.S_ISDIR(status.st_mode) == is_directory and time.time() - status.st_ctime > STABLE_S:
            self.wrong.append(path)


def knobs(seed: int) -> Knobs:
    """A create that failed without anybody knowing so is looked for during half a minute, and a 503 makes everything
    slower for some seconds: both are rare enough that ten thousand files arrive within the minute."""
    faults = [
        "list:status=503:p=0.001",
        "list:status=500:p=0.01",
        "create:reset_after:p=0.01",
        "create:status=500:p=0.0005",
        "form:reset_before:p=0.02",
        "patch:status=502:p=0.01",
        "move:reset_after:p=0.02",
        "delete:status=500:p=0.02",
        "get:truncated:p=0.01",
    ]
    pairs = [f"fault={fault}" for fault in faults]
    more = [f"seed={seed}", "latency=0.002", "latency_spread=0.02", "completion_delay=0.05", "job_delay=0.05"]
    return Knobs.from_pairs([*pairs, *more])


async def storm(base: Path, *, seed: int, seconds: float, unpacked: int = 10_000) -> Result:
    """A storm of so many seconds, below `base`; the archive that is unpacked in it now and then has so many files."""
    chance = random.Random(seed)
    source = base / "source"
    source.mkdir(parents=True)
    archive, history = base / "archive.tar", base / "history.git"
    make_archive(archive, files=unpacked)
    commits = make_history(history, chance, commits=12)
    edits = Edits(source, chance, archive=archive, history=history, commits=commits)
    for _ in range(100):
        edits.step()
    sandbox = Sandbox(base / "sandbox", knobs=knobs(seed))
    deletions = sandbox.requests = Deletions(sandbox, source)
    async with sandbox:
        log = base / "log"
        daemon = await _daemon(base, sandbox.url, log)
        try:
            steps = await _edit_for(edits, chance, min(seconds, WARM_S))
            warm_bytes = _memory_bytes(daemon.pid, "VmRSS")
            steps += await _edit_for(edits, chance, seconds - WARM_S)
            quiet_s = time.monotonic()
            problems = await _until_equal(source, sandbox)
            settled_s = time.monotonic() - quiet_s
            peak_bytes, end_bytes = _memory_bytes(daemon.pid, "VmHWM"), _memory_bytes(daemon.pid, "VmRSS")
            status = await _status(base)
        finally:
            problems_at_end = await _end(daemon)
        files = sum(path.is_file() for path in source.rglob("*"))
        if problems:
            problems.append(status)
        problems += [f"deleted, but it is there: {path}" for path in deletions.wrong]
        if seconds >= 2 * WARM_S and end_bytes > GROWTH * warm_bytes:
            problems.append(f"its memory grew from {warm_bytes} to {end_bytes} bytes")
        return Result([*problems, *problems_at_end], steps, files, settled_s, peak_bytes, log.read_text())


async def _edit_for(edits: Edits, chance: random.Random, seconds: float) -> int:
    deadline_s, steps = time.monotonic() + seconds, 0
    while time.monotonic() < deadline_s:
        await asyncio.to_thread(edits.step)
        steps += 1
        await asyncio.sleep(chance.choice((0.0, 0.0, 0.01, 0.05, 0.3)))
    return steps


async def _daemon(base: Path, url: str, log: Path) -> asyncio.subprocess.Process:
    configuration = base / "syncd.toml"
    configuration.write_text(
        f'state_dir = "{base / "state"}"\n'
        f'[remotes.box]\nkind = "losant"\napplication_id = "{APPLICATION_ID}"\napi_url = "{url}"\n'
        f'[jobs.storm]\nsource = "{base / "source"}"\ndestination = "box:/dir"\nmax_delete = "100%"\n'
    )
    command = [sys.executable, "-m", "syncd", "--config", str(configuration), "-v"]
    with log.open("wb") as said:
        return await asyncio.create_subprocess_exec(*command, stderr=said, env=_environment())


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
    return {**kept, "SYNCD_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}


async def _until_equal(source: Path, sandbox: Sandbox) -> list[str]:
    """What is not equal when it has been quiet for long enough."""
    deadline_s = time.monotonic() + QUIET_S
    here = await asyncio.to_thread(_contents, source)
    while True:
        problems = _differences(here, sandbox)
        if not problems or time.monotonic() > deadline_s:
            return problems
        await asyncio.sleep(1.0)


def _contents(source: Path) -> dict[str, str | None]:
    """The MD5 of each file, and directories."""
    return {
        path.relative_to(source).as_posix(): hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else None
        for path in source.rglob("*")
    }


def _differences(here: dict[str, str | None], sandbox: Sandbox) -> list[str]:
    records = [record for record in sandbox.records("files") if record.directory.startswith("/dir/")]
    there = {f"{record.directory}{record.name}".removeprefix("/dir/"): record for record in records}
    times = Counter(f"{record.directory}{record.name}" for record in records)
    problems = [f"{times[path]} records: {path}" for path in times if times[path] > 1]
    problems += [f"only here: {path}" for path in here.keys() - there.keys()]
    problems += [f"only there: {path}" for path in there.keys() - here.keys()]
    for path in here.keys() & there.keys():
        record = there[path]
        if record.status != "completed":
            problems.append(f"{record.status}: {path}")
        elif here[path] is not None and record.etag != here[path]:
            problems.append(f"other content: {path}")
    return sorted(problems)


async def _status(base: Path) -> str:
    command = [sys.executable, "-m", "syncd", "status", "--json", "--state-dir", str(base / "state")]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=_environment())
    output, _ = await process.communicate()
    return output.decode()


async def _end(daemon: asyncio.subprocess.Process) -> list[str]:
    if daemon.returncode is None:
        daemon.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_S):
            code = await daemon.wait()
    except TimeoutError:
        daemon.kill()
        await daemon.wait()
        return [f"it did not stop within {STOP_S:.0f} s"]
    return [f"it exited with {code}"] if code else []


def _memory_bytes(pid: int, what: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(what))
