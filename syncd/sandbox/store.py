"""The data directory: records and small contents in SQLite, large contents as files, one process at a time.

`library` hands in every change at once and goes on; the changes of some milliseconds are committed together by a
thread. A crash loses at most those. A record and the content it speaks of are committed in one transaction, and a
content file is complete before its record is handed in, so what is found after a crash is consistent: an older state
but never a torn one. Power loss is another matter: content files are not synced.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from syncd.sandbox.errors import DataDirectoryInUse, SandboxError
from syncd.sandbox.records import Record

COMMIT_DELAY_S = 0.02
MOST_UNWRITTEN_BYTES = 64 * 1024 * 1024
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS records (sequence INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS contents (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
"""


class Changes:
    """What one transaction writes: the last state of each record and content, None for one that is gone."""

    def __init__(self) -> None:
        self.records: dict[int, Record | None] = {}
        self.contents: dict[int, bytes | None] = {}

    def rows(self) -> list[tuple[int, bytes | None]]:
        """The records as they are now, encoded."""
        encode = msgspec.json.encode
        return [(number, encode(record) if record else None) for number, record in self.records.items()]


class Store:
    """What the sandbox keeps. Opened by `open`, used from one event loop, ended by `close`."""

    def __init__(self, directory: Path, lock: int, connection: sqlite3.Connection) -> None:
        self.incoming = directory / "incoming"
        self._files = directory / "contents"
        self._lock = lock
        self._writer = connection
        self._reader = sqlite3.connect(directory / "sandbox.db", check_same_thread=False)
        self._thread = ThreadPoolExecutor(1, "sandbox-store")
        self._changes = Changes()
        self._unwritten: dict[int, bytes] = {}
        self._unwritten_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._next_content = 1

    @classmethod
    def open(cls, directory: Path) -> Store:
        """Lock and open a data directory, made if it is missing. Blocks; meant for a thread.

        Raises:
            DataDirectoryInUse: another process has it.
            SandboxError: a newer version wrote it.
        """
        for part in (directory, directory / "contents", directory / "incoming"):
            part.mkdir(parents=True, exist_ok=True)
        lock = _lock(directory)
        try:
            return cls(directory, lock, _connect(directory / "sandbox.db"))
        except BaseException:
            os.close(lock)
            raise

    def load(self) -> list[Record]:
        """All records in the order of their making. Contents that none of them has are removed. Blocks."""
        rows = self._writer.execute("SELECT record FROM records ORDER BY sequence")
        decode = msgspec.json.Decoder(Record).decode
        records = [decode(row[0]) for row in rows]
        owned = {record.content.number for record in records if record.content}
        self._next_content = max(owned, default=0) + 1
        stored = {number for (number,) in self._writer.execute("SELECT number FROM contents")}
        self._writer.executemany("DELETE FROM contents WHERE number = ?", [(n,) for n in stored - owned])
        self._writer.commit()
        orphans = [path for path in self._files.iterdir() if int(path.name) not in owned]
        for path in [*orphans, *self.incoming.iterdir()]:
            path.unlink()
        return records

    def secret(self) -> str:
        """The key that signs forms and addresses: made once, kept with the data. Blocks."""
        row = self._writer.execute("SELECT value FROM settings WHERE name = 'secret'").fetchone()
        if row is None:
            row = (secrets.token_hex(20),)
            self._writer.execute("INSERT INTO settings VALUES ('secret', ?)", row)
            self._writer.commit()
        return str(row[0])

    def save(self, record: Record) -> None:
        """Keep a record as it will be when the changes are committed, some milliseconds from now."""
        self._changes.records[record.sequence] = record
        self._commit_soon()

    def forget(self, record: Record) -> None:
        """Keep a record no longer."""
        self._changes.records[record.sequence] = None
        self._commit_soon()

    def new_content(self) -> int:
        """The number of a content that is about to be kept."""
        self._next_content += 1
        return self._next_content - 1

    def put(self, number: int, content: bytes) -> None:
        """Keep a small content, together with the record that is saved next."""
        self._changes.contents[number] = content
        self._unwritten[number] = content
        self._unwritten_bytes += len(content)
        self._commit_soon()

    def drop(self, number: int) -> None:
        """Keep a content no longer, as soon as no committed record speaks of it."""
        self._changes.contents[number] = None
        self._written(number)
        self._commit_soon()

    def file(self, number: int) -> Path:
        """Where a large content is, or is to be moved when it is complete."""
        return self._files / str(number)

    def small(self, number: int) -> bytes | None:
        """A small content; None if it is kept in a file."""
        unwritten = self._unwritten.get(number)
        if unwritten is not None:
            return unwritten
        row = self._reader.execute("SELECT bytes FROM contents WHERE number = ?", (number,)).fetchone()
        return None if row is None else bytes(row[0])

    async def room(self) -> None:
        """Return when little enough is waiting to be written."""
        while self._unwritten_bytes > MOST_UNWRITTEN_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Return when every change handed in so far is committed."""
        while self._writing is not None or self._changes.records or self._changes.contents:
            if self._writing is None:
                self._commit()
            assert self._writing is not None
            await asyncio.wait([self._writing])
            await asyncio.sleep(0)
        self._raise_failure()

    async def close(self) -> None:
        """Commit what is waiting and let go of the data directory."""
        try:
            await self.flush()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._thread.shutdown()
            self._reader.close()
            self._writer.close()
            os.close(self._lock)

    def _commit_soon(self) -> None:
        self._raise_failure()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COMMIT_DELAY_S, self._commit)

    def _commit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None:
            self._commit_soon()
            return
        changes, self._changes = self._changes, Changes()
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(self._thread, self._write, changes.rows(), changes.contents)
        self._writing.add_done_callback(lambda done: self._committed(done, changes))

    def _committed(self, done: asyncio.Future[None], changes: Changes) -> None:
        self._writing = None
        self._failure = self._failure or done.exception()
        for number, content in changes.contents.items():
            if content is not None:
                self._written(number)

    def _written(self, number: int) -> None:
        self._unwritten_bytes -= len(self._unwritten.pop(number, b""))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise SandboxError(f"the data directory cannot be written: {self._failure}") from self._failure

    def _write(self, records: list[tuple[int, bytes | None]], contents: dict[int, bytes | None]) -> None:
        kept = [(number, content) for number, content in contents.items() if content is not None]
        dropped = [number for number, content in contents.items() if content is None]
        with self._writer as connection:
            connection.executemany("INSERT OR REPLACE INTO contents VALUES (?, ?)", kept)
            connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?)", [r for r in records if r[1]])
            connection.executemany("DELETE FROM records WHERE sequence = ?", [r[:1] for r in records if not r[1]])
            connection.executemany("DELETE FROM contents WHERE number = ?", [(number,) for number in dropped])
        for number in dropped:
            self.file(number).unlink(missing_ok=True)


def _lock(directory: Path) -> int:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DataDirectoryInUse(f"{directory} is used by another sandbox") from error
    return descriptor


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        connection.close()
        raise SandboxError(f"{path} was written by a newer version")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(_SCHEMA)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.commit()
    return connection
