"""A job's history in its database: the latest events, oldest forgotten first.

Written by `sqlite` with its commits. Read by `app` from any process, also while another one holds the job: nothing is
locked, migrated or repaired for that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from syncd.core.model import BaselineEntry, Event
from syncd.core.paths import SEPARATOR, key_of, path_of
from syncd.store.faults import reported
from syncd.store.rows import SELECT, SELECT_ONE, entries

KEPT = 10_000
"""Events of one job: a few MiB at most."""

_ADD = "INSERT INTO history (at_s, action, key, source, size, detail, failed) VALUES (?, ?, ?, ?, ?, ?, ?)"
_PRUNE = f"DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - {KEPT}"
_READ = "SELECT at_s, action, key, source, size, detail, failed FROM history"
_LATEST = f"{_READ} ORDER BY number DESC LIMIT ?"
_LATEST_AT = f"""
{_READ} WHERE key = :key OR source = :key OR (key > :below AND key < :end) ORDER BY number DESC LIMIT :most
"""


Row = tuple[float, str, bytes, bytes | None, int, str, bool]


def add(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Within the transaction that is open."""
    connection.executemany(_ADD, rows)
    connection.execute(_PRUNE)


class Past:
    """What a job's database tells of it. Raises StateError where it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def events(self, *, most: int, at: str | None = None) -> list[Event]:
        """The latest, oldest first: of the whole job, or of the path `at` and what is below it. None where the job
        has not run yet."""
        with self._connected() as connection:
            if connection is None or not _has_history(connection):
                return []
            if at is None:
                found = connection.execute(_LATEST, (most,))
            else:
                key = key_of(at)
                span = {"key": key, "below": key + SEPARATOR, "end": key + b"\x01"}
                found = connection.execute(_LATEST_AT, {**span, "most": most})
            return [_event_of(row) for row in found][::-1]

    def baseline(self, path: str) -> BaselineEntry | None:
        """What the job knows about a path."""
        with self._connected() as connection:
            if connection is None:
                return None
            return next(entries(connection.execute(SELECT_ONE, (key_of(path),))), None)

    @contextmanager
    def rows(self) -> Iterator[Iterator[BaselineEntry]]:
        """All that the job knows, sorted by key; may be used in any one thread at a time."""
        with self._connected() as connection:
            yield iter(()) if connection is None else entries(connection.execute(SELECT))

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection | None]:
        """None where there is no database. One that nobody has open is read as it lies there, which leaves no files
        beside it."""
        if not self._path.exists():
            yield None
            return
        closed = not self._path.with_name(self._path.name + "-wal").exists()
        uri = f"file:{quote(bytes(self._path.absolute()))}?mode=ro{'&immutable=1' if closed else ''}"
        with reported(self._path), closing(sqlite3.connect(uri, uri=True, check_same_thread=False)) as connection:
            yield connection


def _has_history(connection: sqlite3.Connection) -> bool:
    """False for a database that an older version wrote last."""
    return bool(connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'history'").fetchone()[0])


def row_of(event: Event) -> Row:
    source = None if event.source is None else key_of(event.source)
    detail = event.detail.encode("utf-8", "backslashreplace").decode()  # may name a file whose name is not UTF-8
    return event.at_s, event.action, key_of(event.path), source, event.size, detail, event.failed


def _event_of(row: Row) -> Event:
    at_s, action, key, source, size, detail, failed = row
    return Event(at_s, action, path_of(key), None if source is None else path_of(source), size, detail, bool(failed))
