"""A job's trash, without the job: what is in it, and what comes back from it. Called by `cli`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from syncd.app.opening import Remotes, trash_of
from syncd.engine.restore import Restored, restore
from syncd.engine.slots import Slots
from syncd.engine.trash import Trash
from syncd.errors import ConfigurationError
from syncd.ports import Remote
from syncd.remotes.transport import Traffic
from syncd.settings import JobSpec

T = TypeVar("T")


def times(spec: JobSpec, *, state_dir: Path) -> list[str]:
    """When something was put into the trash that is there still, the oldest first."""
    return asyncio.run(_with_trash(spec, state_dir, lambda trash, _: trash.times()))


def bring_back(spec: JobSpec, at: str, path: str, *, state_dir: Path) -> Restored:
    """What was put into the trash at a time, or what was at `path` then. Raises NotInTrash."""

    async def act(trash: Trash, destination: Remote) -> Restored:
        return await restore(
            trash, destination, Slots(spec.workers), time=at, path=path, unix_s=time.time(), at_once=spec.workers
        )

    return asyncio.run(_with_trash(spec, state_dir, act))


async def _with_trash(spec: JobSpec, state_dir: Path, act: Callable[[Trash, Remote], Awaitable[T]]) -> T:
    slots = Slots(spec.workers)
    async with Remotes(state_dir) as remotes:
        remote = await remotes.at(
            spec.remote, spec.directory, hidden=spec.trash_inside, traffic=Traffic(), sleep=slots.sleep
        )
        trash = trash_of(spec, remote, slots)
        if trash is None:
            raise ConfigurationError(f"jobs.{spec.name}.trash: is not set, so nothing was kept")
        return await act(trash, remote)
