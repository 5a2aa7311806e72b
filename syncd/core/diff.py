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
from syncd.core.paths import is_below


class Keyed(Protocol):
    @property
    def key(self) -> bytes: ...


Left = TypeVar("Left", bound=Keyed)
Right = TypeVar("Right", bound=Keyed)


class LocalChange(NamedTuple):
    key: bytes
    local: LocalEntry | None
    base: BaselineEntry | None


class RemoteRecords(NamedTuple):
    """All records of one path that are there, at least one."""

    key: bytes
    records: list[RemoteEntry]


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


def merge_join(left: Iterable[Left], right: Iterable[Right]) -> Iterator[tuple[Left | None, Right | None]]:
    """Pairs by key from two streams sorted by unique keys; None stands for the side that lacks it."""
    rights = iter(right)
    other = next(rights, None)
    for one in left:
        key = one.key
        while other is not None and other.key < key:
            yield None, other
            other = next(rights, None)
        if other is not None and other.key == key:
            yield one, other
            other = next(rights, None)
        else:
            yield one, None
    while other is not None:
        yield None, other
        other = next(rights, None)


def local_changes(
    local: Iterable[LocalEntry], baseline: Iterable[BaselineEntry], census: Census
) -> Iterator[LocalChange]:
    """Where the local tree is not what the baseline says; counts into `census` on the way."""
    for entry, base in merge_join(local, baseline):
        if base is not None:
            if base.kind == Kind.FILE:
                census.known += 1
            else:
                census.directories_known += 1
        if entry is None:
            if base is not None:
                yield LocalChange(base.key, None, base)
            continue
        if entry.kind == Kind.FILE:
            census.local += 1
            if base is not None and base.kind == Kind.FILE and base.size == entry.size:
                census.present += 1
        if base is None or not same_stat(entry, base):
            yield LocalChange(entry.key, entry, base)


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


def grouped(remote: Iterable[RemoteEntry]) -> Iterator[RemoteRecords]:
    """The records of each path together; those that are being moved or deleted are not there."""
    group: RemoteRecords | None = None
    for entry in remote:
        if entry.status == Status.LEAVING:
            continue
        if group is not None and group.key == entry.key:
            group.records.append(entry)
            continue
        if group is not None:
            yield group
        group = RemoteRecords(entry.key, [entry])
    if group is not None:
        yield group


def remote_changes(
    remote: Iterable[RemoteEntry], baseline: Iterable[BaselineEntry], census: Census
) -> Iterator[RemoteChange]:
    """Where the remote is not what the baseline says; counts into `census` on the way."""
    for group, base in merge_join(grouped(remote), baseline):
        if group is None:
            if base is not None:
                yield RemoteChange(base.key, [], base)
            continue
        if group.records[0].kind == Kind.FILE:
            census.remote += 1
        if base is None or len(group.records) > 1 or not same_record(group.records[0], base):
            yield RemoteChange(group.key, group.records, base)


def same_record(record: RemoteEntry, base: BaselineEntry) -> bool:
    """Whether the remote record is the one the baseline knows, complete and with the content it knows."""
    if record.kind != base.kind:
        return False
    if record.kind == Kind.DIRECTORY:
        return True
    return (
        base.sync == Sync.SYNCED
        and record.id == base.id
        and record.checksum == base.checksum
        and record.status == Status.COMPLETED
    )


def differences(locals_: Iterable[LocalChange], remotes: Iterable[RemoteChange]) -> Iterator[Difference]:
    """The two lists of changes as one, sorted by key.

    A side without a change at a path is what the baseline says. What lies below a local entry that must not be decided
    on (unreadable, a link, ...) is left out: nothing is known about it. Such an entry itself comes with no remote side.
    """
    frozen: bytes | None = None
    for mine, theirs in merge_join(locals_, remotes):
        key = mine.key if mine is not None else theirs.key  # type: ignore[union-attr]
        if frozen is not None and is_below(key, frozen):
            continue
        if mine is not None:
            local, base = mine.local, mine.base
        else:
            base = theirs.base if theirs is not None else None
            local = _as_known_locally(base) if base is not None else None
        if local is not None and local.kind > Kind.FILE:
            frozen = key
            yield Difference(key, local, None, base)
            continue
        if theirs is None:
            yield Difference(key, local, _as_known_remotely(base) if base is not None else None, base)
        else:
            record, surplus = choose(theirs.records, base)
            yield Difference(key, local, record, base, surplus)


def choose(
    records: list[RemoteEntry], base: BaselineEntry | None
) -> tuple[RemoteEntry | None, tuple[RemoteEntry, ...]]:
    """The one record that stands for a path, and the others: the one that the baseline knows, else a completed one,
    else the first by id, so that every run chooses the same."""
    if not records:
        return None, ()
    known = base.id if base is not None else ""
    ranked = sorted(records, key=lambda record: (record.id != known, record.status, record.id))
    return ranked[0], tuple(ranked[1:])


def _as_known_locally(base: BaselineEntry) -> LocalEntry:
    return LocalEntry(base.key, base.kind, base.size, base.mtime_ns, base.ctime_ns, base.inode)


def _as_known_remotely(base: BaselineEntry) -> RemoteEntry:
    return RemoteEntry(base.key, base.kind, base.size, base.checksum, base.id, Status.COMPLETED, "")
