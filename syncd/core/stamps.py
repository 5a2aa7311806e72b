"""Moments as they stand in names on a destination: UTC to the second, sortable, without a colon.

Used by `core.classify` for what is moved aside and by `engine.trash`. Pure: the time is handed in.
"""

from __future__ import annotations

from datetime import UTC, datetime

FORMAT = "%Y-%m-%dT%H-%M-%SZ"
LENGTH = len("2026-11-24T16-05-09Z")
STALE_S = 86_400.0
"""New content that did not come to its place for so long never will."""
MOST_EXTENSION_CHARS = 16


def stamp_of(unix_s: float) -> str:
    """Such as `2026-11-24T16-05-09Z`."""
    return datetime.fromtimestamp(unix_s, UTC).strftime(FORMAT)


def time_of(name: str) -> float | None:
    """The Unix time that a name is the stamp of; None if it is no stamp."""
    try:
        moment = datetime.strptime(name, FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp() if moment.strftime(FORMAT) == name else None


def is_stamp(name: str) -> bool:
    return time_of(name) is not None


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


def arrival_of(path: str, stamp: str, token: str) -> str:
    """The temporary name of new content for `path`, with its extension."""
    _, dot, extension = path.rpartition("/")[2].rpartition(".")
    return f"{stamp}-{token}" + (dot + extension if dot and len(extension) <= MOST_EXTENSION_CHARS else "")


def is_stale(name: str, *, now_s: float) -> bool:
    """Whether a name is an `arrival_of` long ago."""
    then_s = time_of(name[:LENGTH])
    return then_s is not None and name[LENGTH : LENGTH + 1] == "-" and now_s - then_s > STALE_S
