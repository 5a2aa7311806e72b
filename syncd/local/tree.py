"""The source directory as `ports.LocalTree`.

Put together by `app`, used by `engine`. Owns the directory's resolved path and the filter, both pinned by a scan, so
that one run looks at one directory by one set of rules. Never writes, never follows anything out of the source.
"""

# ruff: noqa: PTH116, PTH123
# Paths are bytes here, as the kernel has them; pathlib knows only str.

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from pathlib import Path

from syncd.core.filters import Filter, ignore_lines
from syncd.core.model import Fingerprint, Kind, LocalEntry, SourceIdentity
from syncd.core.paths import SEPARATOR, ancestors_of, is_below, key_of
from syncd.errors import ConfigurationError, LocalError, SourceMissing
from syncd.local.content import FileContent, Place, read_file
from syncd.local.reader import Reader
from syncd.local.walk import TEMPORARY, Identity, Walk, identity_of, is_inside, source_missing

IGNORE_FILE = ".syncdignore"


class Tree:
    """`include` and `exclude` are gitignore patterns; a `.syncdignore` at the top adds to `exclude`. `left_out` are
    paths that are not part of the source though they may lie in it, `reserved` is a path in it that is nothing of the
    job's on either side. Raises ConfigurationError for a bad pattern."""

    def __init__(
        self,
        root: Path,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        follow_symlinks: bool = False,
        left_out: Collection[Path] = (),
        reserved: str = "",
    ) -> None:
        self._given = root
        self._include = tuple(include)
        self._exclude = tuple(exclude)
        self._left_out = tuple(left_out)
        self._reserved = [key_of(reserved)] if reserved else []
        self._follow = follow_symlinks
        self._look = os.stat if follow_symlinks else os.lstat
        self._configured = self._rules = Filter(self._include, self._exclude)
        self._ignored = ""
        self._scanned: Identity | None = None
        self._reader = Reader[tuple[Place, LocalEntry], FileContent](lambda asked: read_file(*asked))
        self._pin()

    def identity(self) -> SourceIdentity:
        try:
            status = os.stat(self._given)
            if not stat.S_ISDIR(status.st_mode):
                raise SourceMissing(f"the source {str(self._given)!r} is not a directory")
            return SourceIdentity(os.statvfs(self._given).f_fsid, status.st_ino)
        except OSError as error:
            raise source_missing(self._given, error) from error

    def scan(self) -> Iterator[LocalEntry]:
        """See `ports.LocalTree`. With include patterns every directory that is not excluded is in it, because it may
        be on the way to what is included. Raises SourceMissing also when the source was replaced or became unreadable
        meanwhile, and when its ignore file cannot be read; ConfigurationError for a bad pattern there."""
        self._renew()
        return self._walk().entries()

    @property
    def looks_at(self) -> Hashable:
        """What the last scan went by: that of another tree with the same sees the same."""
        return self._place.root, self._scanned, self._rules.patterns, self._follow, self._hidden

    def find(self, path: str) -> tuple[LocalEntry | None, str | None]:
        """What a scan would say now of one path, and which rule leaves it out, if one does. The entry is that of a
        link or an unreadable directory above it where the path is below one. Raises as `scan` does."""
        self._renew()
        rule = self._rule(path)
        anchor = self.anchor(path.rpartition("/")[0]) if rule is None else None
        if anchor is None:
            return None, rule
        key = key_of(path)
        for entry in self.children(anchor, goes_into=lambda _: False):
            if entry.key == key or (entry.kind > Kind.FILE and is_below(key, entry.key)):
                return entry, None
        return None, None

    def _rule(self, path: str) -> str | None:
        if self._is_hidden(path):
            return "is syncd's own and never synced"
        directory = self._is_directory(path)
        reason = self._rules.reason(path, directory=directory)
        if reason is None:
            return None
        if reason.pattern is None:
            return "is left out: no include pattern matches it"
        where = f"{reason.path!r} above it is" if reason.path != path else "is"
        origin = "" if reason.pattern in self._exclude else f" of {IGNORE_FILE}"
        return f"{where} left out by the pattern {reason.pattern!r}{origin}"

    def _is_directory(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(self._place.path(key_of(path))).st_mode)
        except OSError:
            return False

    def _renew(self) -> None:
        """Take the directory and its rules as they are now."""
        self._pin()
        self._rules = self._load_rules()
        self._scanned = identity_of(self._place.root)

    def anchor(self, directory: str) -> str | None:
        """See `ports.LocalTree`; by the rules of the last scan."""
        walk = self._walk()
        reached = walk.reaches(key_of(directory))
        while reached is False and directory:
            directory = directory.rpartition("/")[0]
            reached = walk.reaches(key_of(directory))
        return directory if reached else None

    def children(self, directory: str, *, goes_into: Callable[[bytes], bool]) -> list[LocalEntry]:
        """See `ports.LocalTree`; by the rules of the last scan."""
        return list(self._walk().children(key_of(directory), goes_into=goes_into))

    def rules_changed(self) -> bool:
        """See `ports.LocalTree`."""
        return self._scanned is not None and self._ignore_text() != self._ignored

    def wants(self, path: str, *, directory: bool) -> bool:
        """Whether the rules of the last scan let the path in."""
        return not self._is_hidden(path) and (not self._rules.active or self._rules.wants(path, directory=directory))

    def excludes(self, path: str, *, directory: bool) -> bool:
        """Whether the rules of the last scan keep the path out whatever is included."""
        return self._is_hidden(path) or (self._rules.active and self._rules.excludes(path, directory=directory))

    def exists(self, path: str, *, as_directory: bool = True) -> bool:
        """Without the source that was scanned nothing is known to be absent."""
        try:
            mode = os.lstat(self._place.path(key_of(path))).st_mode
        except (FileNotFoundError, NotADirectoryError):
            is_another = self._scanned is None or self._scanned != identity_of(self._place.root)
            return is_another or self._is_closed(path)
        except OSError:
            return True
        return as_directory or not stat.S_ISDIR(mode)

    def is_file(self, path: str) -> bool:
        """See `ports.LocalTree`."""
        try:
            return stat.S_ISREG(self._look(self._place.path(key_of(path))).st_mode)
        except OSError:
            return False

    def _is_closed(self, path: str) -> bool:
        """Whether what is in the place of a directory above tells nothing of what is in that: a link, say."""
        for key in ancestors_of(key_of(path)):
            try:
                mode = self._look(self._place.path(key)).st_mode
            except FileNotFoundError:
                return False
            except OSError:
                return True
            if not stat.S_ISDIR(mode):
                return not stat.S_ISREG(mode)
        return False

    async def fingerprints(self, entries: Sequence[LocalEntry]) -> list[Fingerprint | None]:
        """See `ports.LocalTree`. Small files are read in one thread hop."""
        found = await asyncio.to_thread(_looked_at, self._place, entries)
        return [await one.read_to_its_end() if isinstance(one, FileContent) else one for one in found]

    async def read(self, entry: LocalEntry, *, growing: bool = False) -> FileContent:
        """What is at the entry's path now, which may be newer than the entry: `Content.entry` says what was read."""
        if not growing:
            return await self._reader.read((self._place, entry))
        content = await asyncio.to_thread(read_file, self._place, entry, growing=True)
        if content.data is None:
            await content.read_once()
        return content

    def _walk(self) -> Walk:
        root = self._place.root
        return Walk(self._given, root, rules=self._rules, follow_symlinks=self._follow, hidden=self._hidden)

    def _is_hidden(self, path: str) -> bool:
        key = key_of(path)
        if key.startswith(TEMPORARY) or SEPARATOR + TEMPORARY in key:
            return True
        return any(key == hidden or key.startswith(hidden + b"\0") for hidden in self._hidden)

    def _pin(self) -> None:
        root = os.path.realpath(os.fsencode(self._given))
        left_out = [os.path.realpath(os.fsencode(path)) for path in self._left_out]
        if root in left_out:
            raise ConfigurationError(f"the source {str(self._given)!r} cannot be syncd's own state directory")
        inside = [path[len(root.rstrip(b"/")) + 1 :] for path in left_out if is_inside(path, root)]
        self._place = Place(root, self._follow)
        self._hidden = frozenset(
            [key_of(IGNORE_FILE), *self._reserved, *(path.replace(b"/", b"\0") for path in inside)]
        )

    def _load_rules(self) -> Filter:
        self._ignored = self._ignore_text()
        lines = ignore_lines(self._ignored)
        if not lines:
            return self._configured
        try:
            return Filter(self._include, [*self._exclude, *lines])
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._given / IGNORE_FILE}: {error}") from error

    def _ignore_text(self) -> str:
        """Unknown is not empty: without it, what it leaves out would be uploaded."""
        path = self._place.path(key_of(IGNORE_FILE))
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, encoding="utf-8-sig", errors="surrogateescape") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise SourceMissing(f"{str(self._given / IGNORE_FILE)!r} is not a file")
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            if not os.access(self._given, os.R_OK | os.X_OK, effective_ids=True):
                raise source_missing(self._given, error) from error
            raise SourceMissing(f"{str(self._given / IGNORE_FILE)!r} cannot be read: {error.strerror}") from error


def _looked_at(place: Place, entries: Sequence[LocalEntry]) -> list[Fingerprint | FileContent | None]:
    """The fingerprints of small files, large ones to be read, None for what cannot be. Blocks."""
    found: list[Fingerprint | FileContent | None] = []
    for entry in entries:
        try:
            content = read_file(place, entry)
        except LocalError:
            found.append(None)
        else:
            found.append(content if content.data is None else content.fingerprint)
    return found
