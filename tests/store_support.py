"""A job's state opened, filled, read, also by another process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from syncd.core.model import BaselineEntry, Kind, Sync
from syncd.ports import Store
from syncd.store.sqlite import Database, open_store

ROOT = Path(__file__).parents[1]
CHECKSUM = "d41d8cd98f00b204e9800998ecf8427e"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    store = await open_store(path)
    try:
        yield store
    finally:
        await store.aclose()


def row(name: str, **fields: object) -> BaselineEntry:
    entry = BaselineEntry(name.encode(), Kind.FILE, 3, 10, 11, 12, CHECKSUM, "id", Sync.SYNCED, None)
    return entry._replace(**fields)  # type: ignore[arg-type]


async def rows_of(store: Store) -> list[BaselineEntry]:
    def read() -> list[BaselineEntry]:
        with store.rows() as rows:
            return list(rows)

    return await asyncio.to_thread(read)


async def fill(path: Path, count: int = 500) -> list[BaselineEntry]:
    rows = [row(f"file-{number:05d}", id=f"{number:024x}", inode=number) for number in range(count)]
    async with opened(path) as store:
        await store.write(rows)
    return rows


def command(code: str) -> list[str]:
    lines = "\n".join(f"    {line}" for line in code.splitlines())
    head = (
        "import asyncio\nfrom pathlib import Path\nfrom syncd.core.model import *\n"
        "from syncd.store.sqlite import open_store\nasync def main():\n"
    )
    return [sys.executable, "-c", f"{head}{lines}\nasyncio.run(main())\n"]
