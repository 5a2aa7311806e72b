"""What SQLite's errors mean to a person. Called wherever the store touches a database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncd.errors import StateError

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_MEANINGS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk fails to read or write it",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_PERM: "it cannot be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_BUSY: "another process holds it locked",
    sqlite3.SQLITE_CORRUPT: "it is damaged; the next run sets it aside and rebuilds it by comparison",
    sqlite3.SQLITE_NOTADB: "it is damaged; the next run sets it aside and rebuilds it by comparison",
}


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code, 0 for an error of the binding itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def state_error(path: Path, error: sqlite3.Error | OSError) -> StateError:
    if isinstance(error, OSError):
        return StateError(f"the state {path}: {error.strerror}")
    meaning = _MEANINGS.get(code_of(error))
    return StateError(f"the state database {path}: {f'{meaning} ({error})' if meaning else error}")


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """What goes wrong inside is a StateError that names the database."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise state_error(path, error) from error
