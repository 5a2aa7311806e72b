"""A remote listing on disk, sorted by SQLite as it comes in.

Made by `sqlite.Database.spool`, filled by a remote page by page, read by the engine. The file has no name from the
moment it is open, so nothing of it is left whatever happens; it lies in the state directory because a hardened system
may have no other place to write.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.store.faults import reported

TABLE = """
CREATE TABLE listing (
    key BLOB NOT NULL, kind INTEGER NOT NULL, size INTEGER NOT NULL, checksum TEXT, id TEXT NOT NULL,
    status INTEGER NOT NULL, modified TEXT NOT NULL, PRIMARY KEY (key, id)
) WITHOUT ROWID
"""
CACHE_KIB = 16 * 1024
LARGEST = 2**63 - 1


class ListingSpool:
    """See `ports.Spool`. Raises StateError where the disk does not take it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "spool")
        self._connection: sqlite3.Connection | None = None

    async def add(self, entries: Sequence[RemoteEntry]) -> None:
        await self._run(self._add, entries)

    async def clear(self) -> None:
        await self._run(self._clear)

    @contextmanager
    def rows(self) -> Iterator[Iterator[RemoteEntry]]:
        """See `ports.Spool`. Nothing is to be added meanwhile."""
        with reported(self._path):
            cursor = self._database().execute("SELECT * FROM listing ORDER BY key, id")
        try:
            yield self._entries(cursor)
        finally:
            cursor.close()

    async def aclose(self) -> None:
        if self._connection is not None:
            await self._run(self._connection.close)
            self._connection = None
        self._thread.shutdown(wait=False)

    async def _run(self, act: Callable[..., None], *arguments: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, act, *arguments)

    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _anonymous(self._path)
        return self._connection

    def _add(self, entries: Sequence[RemoteEntry]) -> None:
        rows = [
            (key, int(kind), min(size, LARGEST), checksum, record_id, int(status), modified)
            for key, kind, size, checksum, record_id, status, modified in entries
        ]
        with reported(self._path):
            self._database().executemany("INSERT OR REPLACE INTO listing VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _clear(self) -> None:
        with reported(self._path):
            self._database().execute("DELETE FROM listing")

    def _entries(self, cursor: sqlite3.Cursor) -> Iterator[RemoteEntry]:
        kinds, states = tuple(Kind), tuple(Status)
        with reported(self._path):
            for key, kind, size, checksum, record_id, status, modified in cursor:
                yield RemoteEntry(key, kinds[kind], size, checksum, record_id, states[status], modified)


def _anonymous(path: Path) -> sqlite3.Connection:
    """An open database whose file is gone from its directory. One transaction that is never committed holds all that
    is written: pages go to the file only when the cache is full, and nothing needs to survive."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for statement in (
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA journal_mode = OFF",
        "PRAGMA synchronous = OFF",
        f"PRAGMA cache_size = -{CACHE_KIB}",
        "BEGIN",
        TABLE,
    ):
        connection.execute(statement)
    path.unlink()
    return connection
