"""Watches whose hints are collected, in this process or in one of their own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from syncd.local.watch import Watching, open_watch
from syncd.ports import Hint

PATIENCE_S = 60.0
PROJECT = Path(__file__).parents[1]


class Heard:
    """Everything a watch has told so far."""

    def __init__(self, watch: Watching) -> None:
        self.watch = watch
        self.hints: list[Hint] = []
        self._news = asyncio.Condition()

    async def listen(self) -> None:
        async for hint in self.watch.hints():
            async with self._news:
                self.hints.append(hint)
                self._news.notify_all()

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(wanted)

    async def directories(self, *wanted: str) -> None:
        """Until all of these were told to be looked at, together or one by one."""
        await self.until(lambda: all(self.is_told(directory) for directory in wanted))

    async def reason(self, part: str) -> None:
        await self.until(lambda: any(part in hint.reason for hint in self.hints))

    def is_told(self, directory: str) -> bool:
        return any(hint.directories is None or directory in hint.directories for hint in self.hints)

    @property
    def everywhere(self) -> list[str]:
        """Why everything was to be looked at, each time."""
        return [hint.reason for hint in self.hints if hint.directories is None]


@asynccontextmanager
async def watched(root: Path, **options: Any) -> AsyncIterator[Heard]:
    heard = Heard(await open_watch(root, **options))
    listening = asyncio.create_task(heard.listen())
    try:
        yield heard
    finally:
        await heard.watch.aclose()
        await listening


class Child:
    """A watch in a process of its own; see `watch_child`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: list[dict[str, Any]] = []

    def do(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first thing told from now on that is wanted."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told.append(json.loads(line))
            if wanted(self.told[-1]):
                return self.told[-1]
        raise AssertionError(f"ended without it, having told {self.told}")


@contextmanager
def watching_child(
    root: Path, *, poll_s: float = 30.0, stall_s: float = 3.0, before: Sequence[str] = ()
) -> Iterator[Child]:
    command = [*before, sys.executable, "-m", "tests.watch_child", str(root), str(poll_s), str(stall_s)]
    with subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def own_limits(**limits: int) -> list[str]:
    """A prefix that gives a command a user and mount namespace of its own, with these inotify limits."""
    allowed = subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False)
    if allowed.returncode != 0:
        pytest.skip("this machine does not permit user namespaces")
    settings = " && ".join(f"echo {value} > /proc/sys/user/{name}" for name, value in limits.items())
    return ["unshare", "-Urm", "sh", "-c", f'{settings or "true"} && exec "$@"', "sh"]
