"""What a pull brings to the source, decided for all paths at once: a mirror's plan the other way round.

Called by `engine.fetch`. The destination decides what should be here, the baseline what may be overwritten for it: a
file that is still what this job last knew to be on both sides. Anything else here is somebody's work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from syncd.core.classify import occupied_parents
from syncd.core.diff import Difference, same_record, same_stat
from syncd.core.guard import SUSPICIOUS_FROM, Guard
from syncd.core.model import (
    BaselineEntry,
    Fingerprint,
    Kind,
    LocalEntry,
    MakeDirectory,
    MaxDelete,
    Problem,
    RemoteEntry,
    Status,
    Sync,
)
from syncd.core.paths import SEPARATOR, is_below, path_of
from syncd.core.policy import Filter
from syncd.core.questions import known_checksum
from syncd.core.sides import content_of, is_left_out

MAX_NAME_BYTES = 255
"""What the filesystems of Linux take."""

CHANGED_HERE = "it was changed here and is not overwritten; --overwrite takes the destination's"
UNPROVEN = "the destination tells no checksum, so it may be what is here or not; --overwrite downloads it"
PENDING = "its upload to the destination is not complete"
IN_PLACE = {
    Kind.DIRECTORY: "a directory is in its place here",
    Kind.FILE: "a file is in its place here",
    Kind.UNREADABLE: "what is in its place here cannot be read",
    Kind.SYMLINK: "a symlink is in its place here, and is not followed",
    Kind.SPECIAL: "what is in its place here is no regular file",
    Kind.BAD_NAME: "a name that is not UTF-8 is in its place here",
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """`overwrite`: also what was changed here. `mirror`: what the destination lacks goes, if the guard lets it."""

    overwrite: bool
    mirror: bool
    max_delete: MaxDelete
    empty_directories: bool
    filter: Filter


@dataclass(frozen=True, slots=True)
class Download:
    """`local`: the file that it takes the place of, which must still be what was seen; None: nothing may be there.
    `checksum`: what its content must have, None where nobody knows."""

    path: str
    reason: str
    remote: RemoteEntry
    local: LocalEntry | None
    checksum: str | None

    @property
    def name(self) -> str:
        return "create" if self.local is None else "replace"

    @property
    def size(self) -> int:
        return self.remote.size


@dataclass(frozen=True, slots=True)
class Remove:
    """A file, or a directory that is empty by then, of the source."""

    path: str
    reason: str
    local: LocalEntry

    name = "delete"

    @property
    def size(self) -> int:
        return self.local.size


@dataclass(slots=True)
class Fetching:
    """`detached`: rows of files that are gone here and are wanted back: forgotten before the first download, so that
    one which fails is not taken for a deletion later. `extra`: files here that the destination lacks and that stay."""

    directories: list[MakeDirectory] = field(default_factory=list)
    downloads: list[Download] = field(default_factory=list)
    removals: list[Remove] = field(default_factory=list)
    adopted: list[BaselineEntry] = field(default_factory=list)
    detached: list[bytes] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unchanged: int = 0
    extra: int = 0
    held: int = 0
    held_because: str | None = None


@dataclass(slots=True)
class Tally:
    """Files, counted while both sides are walked."""

    local: int = 0
    remote: int = 0


def is_settled(one: Difference) -> bool:
    """Whether both sides are what the baseline says."""
    local, remote, base = one.local, one.remote, one.base
    if local is None or remote is None or base is None:
        return False
    return same_stat(local, base) and same_record(remote, base) and (base.checksum is None) == (base.kind != Kind.FILE)


def must_be_read(one: Difference, *, overwrite: bool) -> bool:
    """Whether only reading the local file can tell if it is what the destination has, or what the baseline knows."""
    local, remote, base = one.local, one.remote, one.base
    if local is None or remote is None or not (local.kind == remote.kind == Kind.FILE):
        return False
    if remote.status != Status.COMPLETED or known_checksum(one, {}) is not None:
        return False
    may_be_known = base is not None and base.checksum is not None and base.size == local.size and not overwrite
    return may_be_known or (local.size == remote.size and content_of(remote, base) is not None)


def modified_ns(remote: RemoteEntry) -> int | None:
    """When the record was last updated, in nanoseconds since 1970; None where it does not say."""
    try:
        when = datetime.fromisoformat(remote.modified)
    except ValueError:
        return None
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) * 1000


def decide_fetch(
    differences: Iterable[Difference], checksums: Mapping[bytes, Fingerprint], wishes: Wishes, tally: Tally
) -> Fetching:
    """What to do about these, sorted by key. `checksums` holds what `must_be_read` asked for, as far as it could be
    read."""
    found = _Draft(checksums, wishes)
    for one in differences:
        found.take(one)
    return found.ended(tally)


class _Draft:
    def __init__(self, checksums: Mapping[bytes, Fingerprint], wishes: Wishes) -> None:
        self._checksums = checksums
        self._wishes = wishes
        self._fetching = Fetching()
        self._missing: dict[bytes, RemoteEntry] = {}
        self._gone: list[LocalEntry] = []
        self._closed: tuple[bytes, str] | None = None

    def take(self, one: Difference) -> None:
        local, remote = one.local, one.remote
        if self._closed is not None and is_below(one.key, self._closed[0]):
            return self._refuse(one, self._closed[1])
        if local is not None and local.kind > Kind.FILE:
            return self._close(one, IN_PLACE[Kind(local.kind)])
        if remote is None:
            return self._only_here(local)
        if is_left_out(one.key, remote, self._wishes.filter):
            return None
        unwritable = unwritable_name(one.key)
        if unwritable is not None:
            return self._close(one, unwritable)
        if remote.kind == Kind.DIRECTORY:
            return self._directory(one, remote)
        return self._file(one, remote)

    def _close(self, one: Difference, reason: str) -> None:
        """Nothing can come to this path, nor to any below it."""
        self._closed = (one.key, reason)
        self._refuse(one, reason)

    def _refuse(self, one: Difference, reason: str) -> None:
        remote = one.remote
        if remote is not None and remote.kind == Kind.FILE and not is_left_out(one.key, remote, self._wishes.filter):
            self._fail(one, reason)

    def _fail(self, one: Difference, reason: str) -> None:
        action = "mkdir" if one.remote is not None and one.remote.kind == Kind.DIRECTORY else "create"
        if one.local is not None and one.local.kind == Kind.FILE and action == "create":
            action = "replace"
        self._fetching.problems.append(Problem(path_of(one.key), action, reason))

    def _only_here(self, local: LocalEntry | None) -> None:
        assert local is not None
        if self._wishes.mirror and (local.kind == Kind.FILE or self._wishes.empty_directories):
            self._gone.append(local)
        else:
            self._fetching.extra += local.kind == Kind.FILE

    def _directory(self, one: Difference, remote: RemoteEntry) -> None:
        local, base = one.local, one.base
        if local is None:
            self._missing[one.key] = remote
        elif local.kind == Kind.FILE:
            self._closed = (one.key, IN_PLACE[Kind.FILE])
            self._fail(one, IN_PLACE[Kind.FILE])
        elif base is None or base.kind != Kind.DIRECTORY or base.id != remote.id:
            self._fetching.adopted.append(directory_row(remote))

    def _file(self, one: Difference, remote: RemoteEntry) -> None:
        local = one.local
        if local is not None and local.kind == Kind.DIRECTORY:
            self._fail(one, IN_PLACE[Kind.DIRECTORY])
        elif remote.status == Status.PENDING:
            self._fail(one, PENDING)
        elif local is None:
            if one.base is not None:
                self._fetching.detached.append(one.key)
            self._download(one, remote, "missing here")
        else:
            self._both(one, local, remote)

    def _both(self, one: Difference, local: LocalEntry, remote: RemoteEntry) -> None:
        base = one.base
        mine, theirs = known_checksum(one, self._checksums), content_of(remote, base)
        if mine is not None and mine == theirs:
            self._fetching.unchanged += 1
            read = self._checksums.get(one.key)
            row = file_row(read.entry if read is not None else local, mine, remote)
            if row != base:
                self._fetching.adopted.append(row)
        elif self._wishes.overwrite:
            self._download(one, remote, "the destination has other content")
        elif theirs is None:
            self._fail(one, UNPROVEN)
        elif mine is not None and base is not None and mine == base.checksum:
            self._download(one, remote, "the destination has newer content")
        else:
            self._fail(one, CHANGED_HERE)

    def _download(self, one: Difference, remote: RemoteEntry, reason: str) -> None:
        content = content_of(remote, one.base)
        self._fetching.downloads.append(Download(path_of(one.key), reason, remote, one.local, content))

    def ended(self, tally: Tally) -> Fetching:
        self._make_directories()
        self._remove(tally)
        return self._fetching

    def _make_directories(self) -> None:
        """Parents first. One that is only on the way to what is wanted is made, too."""
        filled = occupied_parents(one.remote.key for one in self._fetching.downloads)
        wishes = self._wishes
        for key in self._missing:
            wanted = wishes.empty_directories and wishes.filter.wants(path_of(key), directory=True)
            if key in filled or wanted:
                self._fetching.directories.append(MakeDirectory(path_of(key), "missing here", on_the_way=False))

    def _remove(self, tally: Tally) -> None:
        """What the destination lacks, what is in a directory before it."""
        files = sum(local.kind == Kind.FILE for local in self._gone)
        suspicion = None
        if not tally.remote and tally.local >= SUSPICIOUS_FROM:
            suspicion = f"the destination is empty, and {tally.local} files are here"
        because = Guard(self._wishes.max_delete, known=tally.local, suspicion=suspicion).held(files)
        if because is not None:
            self._fetching.held, self._fetching.held_because = files, because
            return
        removals = [Remove(path_of(local.key), "not on the destination", local) for local in reversed(self._gone)]
        self._fetching.removals = removals


def unwritable_name(key: bytes) -> str | None:
    """Why no file here can have this name; None if one can. A remote shows what is no name at all (empty, `..`, with a
    NUL) under a stand-in that begins with 0xFF."""
    name = key.rpartition(SEPARATOR)[2]
    if name[:1] == b"\xff":
        return "no file can have the name that its record has on the destination (nothing, `.`, `..`, or with / or NUL)"
    if len(name) > MAX_NAME_BYTES:
        return f"the name has {len(name)} bytes, a file here can have {MAX_NAME_BYTES}"
    return None


def file_row(local: LocalEntry, checksum: str, remote: RemoteEntry) -> BaselineEntry:
    """Of a file that is the same on both sides."""
    _, _, size, mtime_ns, ctime_ns, inode = local
    return BaselineEntry(local.key, Kind.FILE, size, mtime_ns, ctime_ns, inode, checksum, remote.id, Sync.SYNCED, None)


def directory_row(remote: RemoteEntry) -> BaselineEntry:
    """Of a directory that the destination had before this job knew it: never removed there as the job's own."""
    return BaselineEntry(remote.key, Kind.DIRECTORY, 0, 0, 0, 0, None, remote.id, Sync.ADOPTED, None)
