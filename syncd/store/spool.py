"""A remote listing, sorted: in memory while it is short, else on disk, where SQLite sorts it as it comes in.

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
from itertools import islice
from operator import eq, itemgetter
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
HELD_BYTES = 64 * 2**20
"""What is held before it goes to disk, about 140,000 records: SQLite takes eight times as long to sort them."""
ENTRY_BYTES = 400
"""What an entry takes in memory beside its key and id."""

_key, _size, _id, _order = itemgetter(0), itemgetter(2), itemgetter(4), itemgetter(0, 4)


class ListingSpool:
    """See `ports.Spool`. Raises StateError where the disk does not take it."""

    def __init__(self, path: Path, *, held_bytes: int = HELD_BYTES) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "spool")
        self._connection: sqlite3.Connection | None = None
        self._most_held_bytes = held_bytes
        self._held: list[RemoteEntry] = []
        self._held_bytes = 0
        self._on_disk = False

    async def add(self, entries: Sequence[RemoteEntry]) -> None:
        if not self._on_disk:
            self._hold(entries)
            if self._held_bytes <= self._most_held_bytes:
                return
            self._on_disk = True
            entries, self._held = self._held, []
        await self._run(self._add, entries)

    async def clear(self) -> None:
        if self._on_disk:
            await self._run(self._clear)
        self._held, self._held_bytes, self._on_disk = [], 0, False

    @contextmanager
    def rows(self) -> Iterator[Iterator[RemoteEntry]]:
        """See `ports.Spool`. Nothing is to be added meanwhile."""
        if not self._on_disk:
            yield iter(self._sorted())
            return
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

    def _hold(self, entries: Sequence[RemoteEntry]) -> None:
        if max(map(_size, entries), default=0) > LARGEST:
            entries = [entry._replace(size=min(entry.size, LARGEST)) for entry in entries]
        self._held += entries
        self._held_bytes += sum(map(len, map(_key, entries))) + sum(map(len, map(_id, entries)))
        self._held_bytes += ENTRY_BYTES * len(entries)

    def _sorted(self) -> list[RemoteEntry]:
        """What is held in its order, of repeats the last that was added."""
        held = sorted(self._held, key=_order)
        marks = list(map(_order, held))
        repeated = any(map(eq, marks, islice(marks, 1, None)))
        return list(dict(zip(marks, held, strict=True)).values()) if repeated else held

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
