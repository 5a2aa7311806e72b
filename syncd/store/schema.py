"""The tables of a job's database and how an older one becomes today's.

Called by `sqlite` when a database is opened. A step is never edited once released: a change is a further step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

APPLICATION_ID = 0x73796E63
"""What marks a database as this program's ("sync")."""

Step = Sequence[str]

STEPS: tuple[Step, ...] = (
    (
        """
        CREATE TABLE baseline (
            key BLOB NOT NULL PRIMARY KEY,
            kind INTEGER NOT NULL,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            ctime_ns INTEGER NOT NULL,
            inode INTEGER NOT NULL,
            checksum TEXT,
            id TEXT NOT NULL,
            sync INTEGER NOT NULL,
            claim TEXT
        ) WITHOUT ROWID
        """,
        "CREATE TABLE memory (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    ),
    (
        """
        CREATE TABLE history (
            number INTEGER NOT NULL PRIMARY KEY,
            at_s REAL NOT NULL,
            action TEXT NOT NULL,
            key BLOB NOT NULL,
            source BLOB,
            size INTEGER NOT NULL,
            detail TEXT NOT NULL,
            failed INTEGER NOT NULL
        )
        """,
    ),
)
"""Step i takes version i to i + 1; an empty database is version 0."""


def migrate(connection: sqlite3.Connection, version: int, steps: Sequence[Step]) -> None:
    """Bring the database from `version` to the last one, in one transaction: it is the old or the new, never half."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
