"""From a path to a usable database: new, as it was, migrated, or set aside and begun again.

Called by `sqlite` with the job's lock held. Nothing is ever deleted: what cannot be used is renamed.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from syncd.errors import StateError
from syncd.store.faults import DAMAGED, code_of
from syncd.store.schema import APPLICATION_ID, Step, migrate
from syncd.store.seal import Seal

BUSY_TIMEOUT_S = 5.0


@dataclass(slots=True)
class Opened:
    connection: sqlite3.Connection
    seal: Seal
    rebuilt: bool
    notices: list[str] = field(default_factory=list)


class _Unusable(Exception):
    """Why the database is to be set aside."""


def open_database(path: Path, steps: Sequence[Step], *, was_used: bool) -> Opened:
    """`was_used`: a run had a database here before, so that one which is missing or empty now has been lost.

    Raises StateError for a newer version, which is left as it is; sqlite3.Error, OSError.
    """
    seal = Seal(path)
    try:
        return Opened(_usable(path, seal, steps, was_used=was_used), seal, rebuilt=False)
    except _Unusable as reason:
        kept = _set_aside(path)
        seal.remove()
        notice = f"the state database {path} {reason}: begun again, to be rebuilt by comparison, with no deletions"
        if kept is not None:
            notice += f"; the old one is kept as {kept.name}"
        return Opened(_usable(path, seal, steps, was_used=False), seal, rebuilt=True, notices=[notice])


def _usable(path: Path, seal: Seal, steps: Sequence[Step], *, was_used: bool) -> sqlite3.Connection:
    if was_used and not (path.exists() and path.stat().st_size):
        raise _Unusable("is gone or empty")
    # before SQLite has it open: closing any descriptor of a file drops the locks that SQLite holds on it
    intact = seal.holds() if seal.is_there() else None
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        version = _version(connection, path, steps)
        _check(connection, intact=intact)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version < len(steps):
            seal.remove()
            migrate(connection, version, steps)
        return connection
    except sqlite3.Error as error:
        connection.close()
        if code_of(error) in DAMAGED:
            raise _Unusable(f"is damaged ({error})") from error
        raise
    except BaseException:
        connection.close()
        raise


def _version(connection: sqlite3.Connection, path: Path, steps: Sequence[Step]) -> int:
    """Its schema's version. Reads only: a newer one is refused untouched."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application_id == 0 and version == 0 and tables == 0:
        return 0
    if application_id != APPLICATION_ID:
        raise _Unusable("belongs to another program")
    if version > len(steps):
        raise StateError(
            f"the state database {path} was written by a newer syncd (version {version}, this one knows {len(steps)}):"
            " run that one, or give this one another state directory"
        )
    return int(version)


def _check(connection: sqlite3.Connection, *, intact: bool | None) -> None:
    """`intact`: what the seal says. SQLite's own check is for a database that was not closed."""
    if intact is False:
        raise _Unusable("is not what it was when it was closed")
    if intact is None:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _Unusable(f"is damaged ({found})")


def _set_aside(path: Path) -> Path | None:
    """Rename the database with what belongs to it; its new path, None if there was nothing."""
    for number in itertools.count(1):
        kept = path.with_name(f"{path.name}.damaged-{number}")
        if not os.path.lexists(kept):
            break
    moved = False
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists() and part.stat().st_size:
            part.rename(kept.with_name(kept.name + suffix))
            moved = True
        part.unlink(missing_ok=True)
    return kept if moved else None
