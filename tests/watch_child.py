"""A process that watches a directory, for tests that stop it, limit it or give it mounts of its own.

Arguments: the directory, `poll_s`, `stall_s`. Prints a line of JSON for each hint, with `degraded` as it is then; the
first says that the watch is in place. Runs each line of its input as a shell command; ends at the end of input.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from syncd.local.watch import Watching, open_watch


async def watch(root: Path, *, poll_s: float, stall_s: float) -> None:
    watching = await open_watch(root, poll_s=poll_s, stall_s=stall_s)
    say("in place", [], watching.degraded)
    telling = asyncio.create_task(tell(watching))
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await loop.run_in_executor(None, lambda command: subprocess.run(command, shell=True, check=True), line)
    await watching.aclose()
    await telling


async def tell(watching: Watching) -> None:
    async for hint in watching.hints():
        say(hint.reason, None if hint.directories is None else sorted(hint.directories), watching.degraded)


def say(reason: str, directories: list[str] | None, degraded: str | None) -> None:
    print(json.dumps({"reason": reason, "directories": directories, "degraded": degraded}), flush=True)


if __name__ == "__main__":
    asyncio.run(watch(Path(sys.argv[1]), poll_s=float(sys.argv[2]), stall_s=float(sys.argv[3])))
