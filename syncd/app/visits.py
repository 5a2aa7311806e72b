"""Look at a destination without a job. Called by `cli`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from syncd.app.opening import Remotes
from syncd.core.model import RemoteEntry
from syncd.engine.fresh import Collector
from syncd.remotes.transport import Traffic
from syncd.settings import RemoteSpec


def list_destination(remote: RemoteSpec, directory: str, *, recursive: bool, state_dir: Path) -> list[RemoteEntry]:
    """What is in a directory of a remote, sorted by path; records that are going away are left out."""

    async def collect() -> list[RemoteEntry]:
        async with Remotes(state_dir) as remotes:
            collector = Collector()
            place = await remotes.at(remote, directory, traffic=Traffic(), sleep=asyncio.sleep)
            await place.entries("", collector, recursive=recursive)
            return sorted(collector.entries, key=lambda entry: (entry.key, entry.id))

    return asyncio.run(collect())
