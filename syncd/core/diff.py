"""The three views walked together: what is not the same on both sides as the baseline says.

Each side is compared with the baseline by a merge-join of sorted streams, so that what has not changed costs no
memory; the two lists of changes then make the differences that a plan is decided from. Called by `engine.observe`.
It decides nothing about what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from syncd.core.model import BaselineEntry, Kind, LocalEntry, RemoteEntry, Status, Sync
from syncd.core.paths import SEPARATOR, ancestors_of, is_below


class Keyed(Protocol):
    @property
    def key(self) -> bytes: ...


Left = TypeVar("Left", bound=Keyed)
Right = TypeVar("Right", bound=Keyed)


class LocalChange(NamedTuple):
    key: bytes
    local: LocalEntry | None
    base: BaselineEntry | None


class RemoteChange(NamedTuple):
    """`records` is empty where the baseline has a row and the remote nothing."""

    key: bytes
    records: list[RemoteEntry]
    base: BaselineEntry | None


class Difference(NamedTuple):
    """One path on which a side is not what the baseline says. `surplus`: further records of the same path."""

    key: bytes
    local: LocalEntry | None
    remote: RemoteEntry | None
    base: BaselineEntry | None
    surplus: tuple[RemoteEntry, ...] = ()


@dataclass(slots=True)
class Census:
    """Counted while the views are walked, in files."""

    local: int = 0
    remote: int = 0
    known: int = 0
    """Baseline rows of files."""
    present: int = 0
    """Of the known: at their local path with equal size."""
    directories_known: int = 0


def merge_join(left: Iterable[Left], right: Iterable[Right]) -> Iterator[tuple[bytes, Left | None, Right | None]]:
    """Key by key from two streams sorted by unique keys; None stands for the side that lacks it."""
    rights = iter(right)
    other = next(rights, None)
    for one in left:
        key = one.key
        if other is None or other.key != key:  # most are equal
            while other is not None and other.key < key:
                yield other.key, None, other
                other = next(rights, None)
            if other is None or other.key != key:
                yield key, one, None
                continue
        yield key, one, other
        other = next(rights, None)
    while other is not None:
        yield other.key, None, other
        other = next(rights, None)


def local_changes(
    local: Iterable[LocalEntry], baseline: Iterable[BaselineEntry], census: Census
) -> Iterator[LocalChange]:
    """Where the local tree is not what the baseline says; counts into `census` by its end."""
    unchanged = 0
    for key, entry, base in merge_join(_with_directories(local), baseline):
        # a file as the baseline knows it, which nearly all are; the first six fields of both are the same
        if base is not None and base[:6] == entry and base.checksum is not None:
            unchanged += 1
            continue
        known = base is not None and base.kind == Kind.FILE and base.checksum is not None
        census.known += known
        if base is not None and base.kind == Kind.DIRECTORY:
            census.directories_known += 1
        if entry is not None and entry.kind == Kind.FILE:
            census.local += 1
            census.present += known and base is not None and base.size == entry.size
        if entry is None or base is None or not same_stat(entry, base):
            yield LocalChange(key, entry, base)
    census.known += unchanged
    census.local += unchanged
    census.present += unchanged


def _with_directories(local: Iterable[LocalEntry]) -> Iterator[LocalEntry]:
    """The entries, and each directory on the way to one that is not itself among them, as where only some names are
    included."""
    last = b""
    directory = b""
    for entry in local:
        key = entry.key
        if (parent := key.rpartition(SEPARATOR)[0]) != directory:
            directory = parent
            if last != parent and not last.startswith(parent + SEPARATOR):
                for above in ancestors_of(key):
                    if last != above and not is_below(last, above):
                        yield LocalEntry(above, Kind.DIRECTORY, 0, 0, 0, 0)
        yield entry
        last = key


def same_stat(entry: LocalEntry, base: BaselineEntry) -> bool:
    """Whether the local entry is, by its stat alone, the one whose content the baseline knows."""
    return entry.kind == base.kind and (
        entry.kind == Kind.DIRECTORY
        or (
            entry.mtime_ns == base.mtime_ns
            and entry.size == base.size
            and entry.ctime_ns == base.ctime_ns
            and entry.inode == base.inode
        )
    )


def remote_changes(
    remote: Iterable[RemoteEntry], baseline: Iterable[BaselineEntry], census: Census
) -> Iterator[RemoteChange]:
    """Where the remote is not what the baseline says; counts into `census` on the way."""
    repeats: dict[bytes, list[RemoteEntry]] = {}
    for key, record, base in merge_join(_first_of_each(remote, repeats), baseline):
        if record is None:
            yield RemoteChange(key, [], base)
            continue
        if record.kind == Kind.FILE:
            census.remote += 1
        if base is None or not same_record(record, base) or (repeats and key in repeats):
            yield RemoteChange(key, [record, *repeats.pop(key, ())], base)


def _first_of_each(remote: Iterable[RemoteEntry], repeats: dict[bytes, list[RemoteEntry]]) -> Iterator[RemoteEntry]:
    """One record of each path; when it comes, the further ones are in `repeats`. Those that are being moved or deleted
    are not there."""
    first: RemoteEntry | None = None
    for entry in remote:
        if entry.status == Status.LEAVING:
            continue
        if first is None:
            first = entry
        elif first.key == entry.key:
            repeats.setdefault(entry.key, []).append(entry)
        else:
            yield first
            first = entry
    if first is not None:
        yield first


def same_record(record: RemoteEntry, base: BaselineEntry) -> bool:
    """Whether the remote record is the one the baseline knows, complete and with the content it knows."""
    if record.kind != base.kind or record.id != base.id:
        return False
    return record.kind == Kind.DIRECTORY or (
        base.sync == Sync.SYNCED and record.status == Status.COMPLETED and has_known_content(record, base)
    )


def has_known_content(record: RemoteEntry, base: BaselineEntry) -> bool:
    """Whether a completed remote file has the content that the baseline knows.

    Where the remote gives no checksum, the same record of the same size has it.
    """
    if record.checksum is None:
        return base.checksum is not None and record.id == base.id and record.size == base.size
    return record.checksum == base.checksum


def differences(locals_: Iterable[LocalChange], remotes: Iterable[RemoteChange]) -> Iterator[Difference]:
    """The two lists of changes as one, sorted by key.

    A side without a change at a path is what the baseline says. What lies below a local entry that must not be decided
    on (unreadable, a link, ...) is left out: nothing is known about it. Such an entry itself comes with no remote side,
    but for what an upload left unfinished where it is no file now.
    """
    frozen: bytes | None = None
    for key, mine, theirs in merge_join(locals_, remotes):
        if frozen is not None and is_below(key, frozen):
            continue
        base = mine.base if mine is not None else theirs.base if theirs is not None else None
        local = mine.local if mine is not None else _as_known_locally(base)
        if local is not None and local.kind > Kind.FILE:
            frozen = key
            yield Difference(key, local, _left_at(theirs, local), base)
        elif theirs is None:
            yield Difference(key, local, _as_known_remotely(base), base)
        else:
            record, surplus = choose(theirs.records, local, base)
            yield Difference(key, local, record, base, surplus)


def choose(
    records: list[RemoteEntry], local: LocalEntry | None, base: BaselineEntry | None
) -> tuple[RemoteEntry | None, tuple[RemoteEntry, ...]]:
    """The one record that stands for a path, and the others: the one that the baseline knows, else one of the kind that
    is there locally, else a completed one, else the first by id, so that every run chooses the same."""
    if not records:
        return None, ()
    known = base.id if base is not None else ""
    kind = local.kind if local is not None else Kind.FILE
    ranked = sorted(records, key=lambda record: (record.id != known, record.kind != kind, record.status, record.id))
    return ranked[0], tuple(ranked[1:])


def _left_at(theirs: RemoteChange | None, local: LocalEntry) -> RemoteEntry | None:
    if theirs is None or local.kind not in (Kind.SYMLINK, Kind.SPECIAL):
        return None
    return next((record for record in theirs.records if record.status == Status.PENDING), None)


def _as_known_locally(base: BaselineEntry | None) -> LocalEntry | None:
    if base is None:
        return None
    return LocalEntry(base.key, base.kind, base.size, base.mtime_ns, base.ctime_ns, base.inode)


def _as_known_remotely(base: BaselineEntry | None) -> RemoteEntry | None:
    if base is None:
        return None
    return RemoteEntry(base.key, base.kind, base.size, base.checksum, base.id, Status.COMPLETED, "")
