"""Relative paths and the one order in which every tree is walked.

A path is a `str` relative to its root, `/` between components, no leading or trailing slash, "" for the root.
Bytes that are not UTF-8 are carried as surrogate escapes. Its key is the bytes with `/` as 0x00: sorted by key, a
directory comes right before everything in it, whatever characters its siblings' names begin with.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

SEPARATOR = b"\x00"
NO_NAME = b"\xff"
"""Begins the name under which a record is shown that no local path can stand for; no local UTF-8 name has it."""


def key_of(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape").replace(b"/", SEPARATOR)


def path_of(key: bytes) -> str:
    return key.replace(SEPARATOR, b"/").decode("utf-8", "surrogateescape")


def parent_of(key: bytes) -> bytes:
    """The key of the directory that holds `key`; the root's own parent is the root."""
    return key.rpartition(SEPARATOR)[0]


def name_of(key: bytes) -> bytes:
    return key.rpartition(SEPARATOR)[2]


def is_nowhere(key: bytes) -> bool:
    """Whether no local path can stand for what is shown at `key`."""
    return name_of(key).startswith(NO_NAME)


def join(directory: bytes, name: bytes) -> bytes:
    return directory + SEPARATOR + name if directory else name


def ancestors_of(key: bytes) -> list[bytes]:
    """The directories above `key`, top first, without the root."""
    parts = key.split(SEPARATOR)[:-1]
    return [SEPARATOR.join(parts[: depth + 1]) for depth in range(len(parts))]


def is_below(key: bytes, directory: bytes) -> bool:
    """Whether `key` is somewhere inside `directory` (not the directory itself)."""
    return key != directory if not directory else key.startswith(directory + SEPARATOR)


def slice_below(keys: Sequence[bytes], directory: bytes) -> slice:
    """Where in sorted `keys` everything inside `directory` stands."""
    start = bisect_left(keys, directory + SEPARATOR)
    return slice(start, bisect_left(keys, directory + b"\x01", start))
