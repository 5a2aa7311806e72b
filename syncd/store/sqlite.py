"""A job's state as `ports.Store`: one SQLite database, one writer thread, one holder.

Opened by `app`, used by `engine`. Owns locking, migration, setting aside what is damaged, and group commit. Knows
nothing of what its rows mean; never deletes a database.

WAL with `synchronous = NORMAL`: a commit costs no fsync and survives the process's death, not the machine's. What a
power cut takes back (the last rows, in order) costs a look at the remote, never a second record.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from syncd.core.model import BaselineEntry, Event, Kind, SourceIdentity
from syncd.errors import StateError
from syncd.store import history
from syncd.store.faults import DAMAGED, code_of, reported
from syncd.store.lock import JobLock
from syncd.store.opening import BUSY_TIMEOUT_S, Opened, open_database
from syncd.store.rows import FORGET, PUT, SELECT, SELECT_RANGE, Row, entries, row_of, signed, unsigned
from syncd.store.schema import STEPS, Step
from syncd.store.spool import ListingSpool

Answer = TypeVar("Answer")

NOTED_WITHIN_S = 1.0
"""How long an event waits for a commit that is made anyway."""


@dataclass(slots=True)
class JobMemory:
    source: SourceIdentity | None
    rebuilt: bool
    written_s: float
    """When the run before this one last wrote, on this process's monotonic clock."""

    @property
    def idle_s(self) -> float:
        return time.monotonic() - self.written_s


class Request(NamedTuple):
    rows: list[Row]
    forgotten: list[tuple[bytes]]
    done: asyncio.Future[None]


async def open_store(path: Path, *, steps: Sequence[Step] = STEPS) -> Database:
    """The job's database at `path`, made with its directories (0700) if it is not there; its lock file is beside it.

    Raises JobLocked (held by another process), StateError (a newer version, or what the disk says). `notices` tells
    what a person should hear about it.
    """
    return await asyncio.to_thread(_open, path, steps)


def _open(path: Path, steps: Sequence[Step]) -> Database:
    with reported(path):
        _make_directory(path.parent)
        lock = JobLock(path.with_name(path.name + ".lock"), database=path)
        try:
            for left in path.parent.glob(f"{path.name}.spool-*"):
                left.unlink()
            idle_s = _idle_s(path)
            return Database(path, lock, open_database(path, steps, was_used=lock.was_used), idle_s)
        except BaseException:
            lock.release()
            raise


def _idle_s(path: Path) -> float:
    """For how long neither the database nor its log were written, by the wall clock; infinite if they are not there."""
    parts = (path, path.with_name(path.name + "-wal"))
    written_s = max((part.stat().st_mtime for part in parts if part.exists()), default=-math.inf)
    return max(0.0, time.time() - written_s)


def _make_directory(path: Path) -> None:
    for directory in reversed([path, *path.parents]):
        if not directory.exists():
            directory.mkdir(mode=0o700, exist_ok=True)


class Database:
    """See `ports.Store`; made by `open_store`. Every method raises StateError where the database fails."""

    def __init__(self, path: Path, lock: JobLock, opened: Opened, idle_s: float) -> None:
        self._path = path
        self._lock = lock
        self._connection = opened.connection
        self._seal = opened.seal
        self._sealed = opened.seal.is_there()
        self._damaged = False
        self._thread = ThreadPoolExecutor(1, "store")
        self._waiting: list[Request] = []
        self._committing: asyncio.Future[None] | None = None
        self._events: deque[history.Row] = deque(maxlen=history.KEPT)
        self._noting: asyncio.TimerHandle | None = None
        self._spools = itertools.count()
        self._closed = False
        self.notices: list[str] = opened.notices
        self.memory = JobMemory(_remembered_source(self._connection), opened.rebuilt, time.monotonic() - idle_s)
        lock.mark()

    @contextmanager
    def rows(self) -> Iterator[Iterator[BaselineEntry]]:
        """See `ports.Store`. What is written meanwhile is not in it."""
        with self._snapshot() as connection:
            with self._watched():
                cursor = connection.execute(SELECT)
            yield self._entries(cursor)

    @contextmanager
    def ranges(self) -> Iterator[Callable[[bytes, bytes], Iterator[BaselineEntry]]]:
        """See `ports.Store`. What is written meanwhile is not in it."""
        with self._snapshot() as connection:

            def between(first: bytes, end: bytes) -> Iterator[BaselineEntry]:
                with self._watched():
                    cursor = connection.execute(SELECT_RANGE, (first, end))
                return self._entries(cursor)

            yield between

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        with reported(self._path):
            connection = sqlite3.connect(
                f"file:{quote(bytes(self._path.absolute()))}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=BUSY_TIMEOUT_S,
                check_same_thread=False,
            )
        try:
            with self._watched():
                connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()

    async def count_directories(self) -> int:
        def count(connection: sqlite3.Connection) -> int:
            statement = "SELECT count(*) FROM baseline WHERE kind = ?"
            return int(connection.execute(statement, (int(Kind.DIRECTORY),)).fetchone()[0])

        return await self._in_thread(count)

    async def write(self, rows: Sequence[BaselineEntry], forgotten: Sequence[bytes] = ()) -> None:
        """See `ports.Store`. Calls that come while a commit is under way share the next one."""
        if self._closed:
            raise StateError(f"the state database {self._path} is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(Request([row_of(row) for row in rows], [(key,) for key in forgotten], done))
        if self._committing is None and len(self._waiting) == 1:
            loop.call_soon(self._commit_waiting)
        await done

    async def remember_source(self, identity: SourceIdentity) -> None:
        values = [("filesystem", signed(identity.filesystem)), ("inode", signed(identity.inode))]

        def remember(connection: sqlite3.Connection) -> None:
            self._unseal()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO memory VALUES (?, ?)", values)
            connection.execute("COMMIT")

        await self._in_thread(remember)
        self.memory.source = identity

    def beat(self) -> None:
        with suppress(OSError):
            os.utime(self._path)

    def note(self, event: Event) -> None:
        self._events.append(history.row_of(event))
        if self._noting is None and not self._closed:
            self._noting = asyncio.get_running_loop().call_later(NOTED_WITHIN_S, self._commit_waiting)

    def spool(self) -> ListingSpool:
        return ListingSpool(self._path.with_name(f"{self._path.name}.spool-{next(self._spools)}"))

    async def aclose(self) -> None:
        """Commits what waits, closes and seals the database, lets go of the lock. Again: nothing."""
        if self._closed:
            return
        self._closed = True
        self._commit_waiting()
        while self._committing is not None:
            await asyncio.wait([self._committing])
        try:
            await self._in_thread(self._close)
        finally:
            self._thread.shutdown(wait=False)
            self._lock.release()

    def _commit_waiting(self) -> None:
        """Begin a commit of all that waits, unless one is under way. Callbacks, not a task: whoever stops the loop
        cancels tasks, and a commit's waiters would never hear of it."""
        if self._committing is not None or not (self._waiting or self._events):
            return
        if self._noting is not None:
            self._noting.cancel()
            self._noting = None
        group, self._waiting = self._waiting, []
        events = list(self._events)
        self._events.clear()
        self._committing = self._begin(partial(self._commit, group, events))
        self._committing.add_done_callback(partial(self._committed, group))

    def _committed(self, group: list[Request], commit: asyncio.Future[None]) -> None:
        self._committing = None
        error = commit.exception()
        for request in group:
            if request.done.done():
                continue
            if error is None:
                request.done.set_result(None)
            else:
                request.done.set_exception(error)
        self._commit_waiting()

    def _commit(self, group: list[Request], events: list[history.Row], connection: sqlite3.Connection) -> None:
        self._unseal()
        connection.execute("BEGIN IMMEDIATE")
        try:
            for request in group:
                connection.executemany(FORGET, request.forgotten)
                connection.executemany(PUT, request.rows)
            if events:
                history.add(connection, events)
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _unseal(self) -> None:
        if self._sealed:
            self._seal.remove()
            self._sealed = False

    def _close(self, connection: sqlite3.Connection) -> None:
        """Sealed only if all is in the one file: a reader still open keeps the WAL from being emptied."""
        try:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.close()
        if not busy and not self._sealed and not self._damaged:
            self._seal.put()

    def _entries(self, cursor: sqlite3.Cursor) -> Iterator[BaselineEntry]:
        with self._watched():
            yield from entries(cursor)

    async def _in_thread(self, act: Callable[[sqlite3.Connection], Answer]) -> Answer:
        return await self._begin(act)

    def _begin(self, act: Callable[[sqlite3.Connection], Answer]) -> asyncio.Future[Answer]:
        def run() -> Answer:
            with self._watched():
                return act(self._connection)

        return asyncio.get_running_loop().run_in_executor(self._thread, run)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Errors reported; a damaged database is remembered as such for whoever opens it next."""
        with reported(self._path):
            try:
                yield
            except sqlite3.Error as error:
                if code_of(error) in DAMAGED:
                    self._damaged = True
                    self._sealed = False
                    self._seal.doubt()
                raise


def _remembered_source(connection: sqlite3.Connection) -> SourceIdentity | None:
    known = dict(connection.execute("SELECT name, value FROM memory"))
    if "filesystem" not in known or "inode" not in known:
        return None
    return SourceIdentity(unsigned(known["filesystem"]), unsigned(known["inode"]))
