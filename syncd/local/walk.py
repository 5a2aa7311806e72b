"""One walk over the source directory, in key order.

Owned here: what every kind of directory entry becomes, and what an error while looking means. Called by `tree` in one
thread. Never opens a file, never takes an error for an absence: only ENOENT is one.
"""

# ruff: noqa: PTH112, PTH116, PTH208
# Paths are bytes here, as the kernel has them; pathlib knows only str.

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from syncd.core.filters import Filter
from syncd.core.model import Kind, LocalEntry
from syncd.core.paths import SEPARATOR, parent_of, path_of
from syncd.errors import SourceMissing, Unreadable

TEMPORARY = b".syncd-part-"
"""Begins the names of files that are on their way into the source: they are not there yet."""

Identity = tuple[int, int]
"""Device and inode."""


@dataclass(slots=True)
class Level:
    """A directory on the way down: the names in it that are still to come."""

    names: Iterator[bytes]
    base: bytes
    key_prefix: bytes
    path_prefix: str
    included: bool
    identity: Identity


class Walk:
    """`root` is `source` resolved. `hidden` are keys that are not there as far as anybody is concerned."""

    def __init__(
        self, source: Path, root: bytes, *, rules: Filter, follow_symlinks: bool, hidden: frozenset[bytes]
    ) -> None:
        self._source = source
        self._root = root
        self._rules = rules
        self._follow = follow_symlinks
        self._hidden_in: dict[bytes, set[bytes]] = {}
        for key in hidden:
            directory, _, name = key.rpartition(SEPARATOR)
            self._hidden_in.setdefault(directory, set()).add(name)
        self._hidden_targets = [root + b"/" + key.replace(SEPARATOR, b"/") for key in hidden]
        self._levels: list[Level] = []
        self._goes_into: Callable[[bytes], bool] | None = None
        self._lists = True
        """False on the way down to a directory: only the one name is of interest."""

    def entries(self) -> Iterator[LocalEntry]:
        """The order is that of keys because names hold no 0x00: whatever is in a directory sorts before any sibling
        whose name begins with the directory's."""
        self._levels = [self._top()]
        yield from self._below()

    def reaches(self, directory: bytes) -> bool | None:
        """Whether the key is a directory that is there and can be listed; None where the filters leave it out. Raises
        SourceMissing."""
        names = directory.split(SEPARATOR) if directory else []
        self._lists = not names
        self._levels = [self._top()]
        for depth, name in enumerate(names, 1):
            level = self._levels[-1]
            if name in self._hidden_in.get(level.key_prefix[:-1], ()):
                return None
            try:
                status = os.lstat(level.base + name)
            except OSError:
                return False
            self._lists = depth == len(names)
            entry = self._entry(level, name, status)
            if self._levels[-1] is level:
                return None if entry is None else False
        return True

    def children(self, directory: bytes, *, goes_into: Callable[[bytes], bool]) -> Iterator[LocalEntry]:
        """What is directly in a directory, and what is below each child directory whose key `goes_into` accepts."""
        if not self.reaches(directory):
            raise Unreadable(f"{path_of(directory)!r} went away while it was looked at")
        self._goes_into = lambda key: parent_of(key) != directory or goes_into(key)
        yield from self._below()

    def _below(self) -> Iterator[LocalEntry]:
        root, top, depth = self._levels[0], self._levels[-1], len(self._levels)
        while len(self._levels) >= depth:
            level = self._levels[-1]
            yield from self._rest_of(level)
            if self._levels[-1] is level:
                self._levels.pop()
        # unmounted or swapped meanwhile: its files only looked gone
        if identity_of(root.base) != root.identity:
            raise SourceMissing(f"the source {str(self._source)!r} went away while it was scanned")
        if identity_of(top.base) != top.identity:
            raise Unreadable(f"{top.path_prefix!r} went away while it was looked at")

    def _rest_of(self, level: Level) -> Iterator[LocalEntry]:
        """To the level's end, or to a directory in it that is to be gone into first."""
        lstat, make, file = os.lstat, tuple.__new__, Kind.FILE
        base, prefix, unfiltered = level.base, level.key_prefix, not self._rules.active
        for name in level.names:
            try:
                status = lstat(base + name)
            except FileNotFoundError:
                continue
            except OSError:
                yield LocalEntry(prefix + name, Kind.UNREADABLE, 0, 0, 0, 0)
                continue
            if unfiltered and stat.S_ISREG(status.st_mode) and name.isascii():
                fields = (prefix + name, file, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
                yield make(LocalEntry, fields)  # half the cost of calling the class
                continue
            entry = self._entry(level, name, status)
            if entry is not None:
                yield entry
            if self._levels[-1] is not level:
                return

    def _top(self) -> Level:
        try:
            status = os.stat(self._root)
            names = self._names(b"", self._root + b"/")
        except OSError as error:
            raise source_missing(self._source, error) from error
        included = self._rules.included_at_root
        return Level(names, self._root + b"/", b"", "", included, (status.st_dev, status.st_ino))

    def _names(self, key: bytes, base: bytes) -> Iterator[bytes]:
        """All names, whole or OSError. The first is looked at, because a directory without search permission lists
        its names and then refuses each of them."""
        if not self._lists:
            return iter(())
        names = os.listdir(base)
        if key in self._hidden_in:
            names = [name for name in names if name not in self._hidden_in[key]]
        names.sort()
        first = bisect_left(names, TEMPORARY)
        while first < len(names) and names[first].startswith(TEMPORARY):
            del names[first]
        if names:
            with suppress(FileNotFoundError):
                os.lstat(base + names[0])
        return iter(names)

    def _entry(self, level: Level, name: bytes, status: os.stat_result) -> LocalEntry | None:
        """What is at this name, None for nothing of interest. A directory to go into becomes the next level."""
        key, kind = level.key_prefix + name, _kind_of(status)
        target = status
        if kind is Kind.SYMLINK and self._follow:
            target = self._target(level.base + name) or status
            kind = _kind_of(target)
        leads_down = kind is Kind.DIRECTORY or (kind is Kind.SYMLINK and os.path.isdir(level.base + name))
        path = level.path_prefix + path_of(name)
        wanted = self._rules.step(path, directory=leads_down, included=level.included)
        if wanted is None:
            return None
        if not _is_utf8(name):
            return _entry_of(key, Kind.BAD_NAME, status) if wanted else None
        if kind is Kind.DIRECTORY:
            return self._directory(level.base + name + b"/", key, path, target, wanted)
        # a symlink to a directory stands in the way of whatever is known below its path, wanted itself or not
        return _entry_of(key, kind, target) if wanted or leads_down else None

    def _directory(self, base: bytes, key: bytes, path: str, status: os.stat_result, wanted: bool) -> LocalEntry | None:
        if self._goes_into is not None and not self._goes_into(key):
            return _entry_of(key, Kind.DIRECTORY, status)
        try:
            names = self._names(key, base)
        except OSError:
            return None if _is_gone(base[:-1]) else _entry_of(key, Kind.UNREADABLE, status)
        identity = (status.st_dev, status.st_ino)
        self._levels.append(Level(names, base, key + SEPARATOR, path + "/", wanted, identity))
        return _entry_of(key, Kind.DIRECTORY, status)

    def _target(self, link: bytes) -> os.stat_result | None:
        """What a symlink leads to, None where it is broken, leads out of the source or round in a circle, or to what
        is left out."""
        try:
            real = os.path.realpath(link, strict=True)
            status = os.stat(real)
        except OSError:
            return None
        if not is_inside(real, self._root):
            return None
        if any(is_inside(real, hidden) or is_inside(hidden, real) for hidden in self._hidden_targets):
            return None
        identity = (status.st_dev, status.st_ino)
        return None if any(level.identity == identity for level in self._levels) else status


def is_inside(path: bytes, directory: bytes) -> bool:
    """Whether `path` is `directory` or somewhere below it; both absolute and resolved."""
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def identity_of(root: bytes) -> Identity | None:
    """Which directory is at this path at this moment, None if none can be told."""
    try:
        status = os.stat(root)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def source_missing(source: Path, error: OSError) -> SourceMissing:
    return SourceMissing(f"the source {str(source)!r} cannot be read: {error.strerror}")


def _is_gone(path: bytes) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _kind_of(status: os.stat_result) -> Kind:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.SYMLINK if stat.S_ISLNK(mode) else Kind.SPECIAL


def _entry_of(key: bytes, kind: Kind, status: os.stat_result) -> LocalEntry:
    size = status.st_size if kind is Kind.FILE else 0
    return LocalEntry(key, kind, size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
