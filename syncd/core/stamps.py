"""Moments as they stand in names on a destination: UTC to the second, sortable, without a colon.

Used by `core.classify` for what is moved aside. Pure: the time is handed in.
"""

from __future__ import annotations

from datetime import UTC, datetime

FORMAT = "%Y-%m-%dT%H-%M-%SZ"


def stamp_of(unix_s: float) -> str:
    """Such as `2026-11-24T16-05-09Z`."""
    return datetime.fromtimestamp(unix_s, UTC).strftime(FORMAT)


def aside_of(path: str, stamp: str, *, max_name_chars: int) -> str:
    """The path beside `path` that somebody else's version of it is kept under: `a/b.theirs-STAMP.txt` for `a/b.txt`.

    Where the name would be longer than the remote takes, what it had before the stamp is cut.
    """
    directory, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    ending = f".theirs-{stamp}{dot}{extension}"
    return directory + slash + stem[: max(max_name_chars - len(ending), 1)] + ending
