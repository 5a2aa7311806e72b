"""Baseline rows between their type and their table. Pure; called by `sqlite`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from syncd.core.model import UNTRUSTED, BaselineEntry, Kind, Sync

Row = tuple[bytes, int, int, int, int, int, str | None, str, int, str | None]

_COLUMNS = "SELECT key, kind, size, mtime_ns, ctime_ns, inode, checksum, id, sync, claim FROM baseline"
SELECT = f"{_COLUMNS} ORDER BY key"
SELECT_RANGE = f"{_COLUMNS} WHERE key >= ? AND key < ? ORDER BY key"
SELECT_ONE = f"{_COLUMNS} WHERE key = ?"
PUT = "INSERT OR REPLACE INTO baseline VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
FORGET = "DELETE FROM baseline WHERE key = ?"

SIGN = 1 << 63
WRAP = 1 << 64


def row_of(entry: BaselineEntry) -> Row:
    key, kind, size, mtime_ns, ctime_ns, inode, checksum, record_id, sync, claim = entry
    if not (-SIGN <= mtime_ns < SIGN and -SIGN <= ctime_ns < SIGN):
        mtime_ns, ctime_ns = UNTRUSTED, 0  # a time after 2262 is more than the column holds: read the file each time
    return key, int(kind), size, mtime_ns, ctime_ns, signed(inode), checksum, record_id, int(sync), claim


def entries(cursor: sqlite3.Cursor) -> Iterator[BaselineEntry]:
    kinds, syncs, make = tuple(Kind), tuple(Sync), tuple.__new__
    for key, kind, size, mtime_ns, ctime_ns, inode, checksum, record_id, sync, claim in cursor:
        number = inode if inode >= 0 else unsigned(inode)
        fields = (key, kinds[kind], size, mtime_ns, ctime_ns, number, checksum, record_id, syncs[sync], claim)
        yield make(BaselineEntry, fields)  # half the cost of calling the class


def signed(number: int) -> int:
    """An unsigned 64-bit number (an inode, a filesystem id) as SQLite can hold it."""
    return number - WRAP if number >= SIGN else number


def unsigned(number: int) -> int:
    return number % WRAP
