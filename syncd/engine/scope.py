"""Look at some directories of both sides, and say where they differ: `observe` for a part of the tree.

Called by `keeper`. A directory is looked at shallowly; a directory in it that is new, gone or of another kind is looked
at with everything below. Nothing is asked of the remote for a directory in which nothing changed locally.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from syncd.core.diff import Census, Difference, LocalChange, differences, local_changes, remote_changes
from syncd.core.model import BaselineEntry, DeleteMode, Kind, LocalEntry, RemoteEntry, SourceIdentity, Status, Sync
from syncd.core.paths import SEPARATOR, ancestors_of, is_below, is_nowhere, key_of, parent_of, path_of
from syncd.engine.fresh import Collector
from syncd.engine.job import Job
from syncd.engine.observe import View, each, look_again, now

PAGE = 1000
AFTER = b"\x01"
Between = Callable[[bytes, bytes], Iterator[BaselineEntry]]


@dataclass(slots=True)
class Part:
    """One directory as it is locally and as the baseline knows it, and what of it differs. `deep`: the child
    directories that were looked at with everything below."""

    key: bytes
    rows: list[BaselineEntry]
    changes: list[LocalChange]
    deep: set[bytes] = field(default_factory=set)

    def is_open(self, excluded: Callable[[bytes], bool]) -> bool:
        """Whether the remote has to be asked: something that is not excluded changed, or something of it is not
        known to be there and complete."""
        interesting = [one.key for one in self.changes if one.base is not None or not _is_skipped(one.local)]
        interesting += [row.key for row in self.rows if row.sync in (Sync.UPLOADED, Sync.CLAIMED) or _is_unseen(row)]
        return any(not excluded(key) for key in interesting)


@dataclass(frozen=True, slots=True)
class Shown:
    """A listing of some directories, in memory."""

    entries: Sequence[RemoteEntry]
    directories: frozenset[bytes]

    def shows(self, record_id: str, path: str | None) -> bool:
        """What is outside of what was listed may have been there."""
        if path is None or parent_of(key_of(path)) not in self.directories:
            return True
        return any(entry.id == record_id for entry in self.entries)

    async def aclose(self) -> None:
        """Nothing is held."""


def look(job: Job, directories: Collection[str]) -> list[Part]:
    """The directories as they are locally, each as the nearest one above it that both is there and is known; blocks.

    Raises SourceMissing.
    """
    parts: list[Part] = []
    done: set[bytes] = set()
    deep: set[bytes] = set()
    with job.store.ranges() as between:
        for key in sorted({key for path in directories if (key := _anchor(job, path, between)) is not None}):
            if key in done or key in deep or not deep.isdisjoint(ancestors_of(key)):
                continue
            done.add(key)
            parts.append(_part(job, key, between))
            deep |= parts[-1].deep
    return parts


def _anchor(job: Job, directory: str, between: Between) -> bytes | None:
    path: str | None = directory
    while path is not None:
        path = job.tree.anchor(path)
        if not path:
            return None if path is None else b""
        row = next(between(key_of(path), key_of(path) + SEPARATOR), None)
        if row is not None and _is_known_to_be_there(row, between):
            return key_of(path)
        path = path.rpartition("/")[0]
    return None


def _part(job: Job, key: bytes, between: Between) -> Part:
    inside: set[bytes] = set()
    known = {row.key: row for row in _shallow(key, between, inside)}

    def is_new(child: bytes) -> bool:
        return child not in known or not _is_known_to_be_there(known[child], between)

    entries = job.tree.children(path_of(key), goes_into=is_new)
    local = {entry.key: entry for entry in entries if parent_of(entry.key) == key}
    deep = {child for child, entry in local.items() if entry.kind == Kind.DIRECTORY and is_new(child)}
    deep |= {
        child for child, row in known.items() if row.kind == Kind.DIRECTORY and not _is_directory(local.get(child))
    }
    deep |= {child for child in inside if is_new(child)}
    below = [row for child in deep for row in between(child + SEPARATOR, child + AFTER)]
    rows = sorted([*known.values(), *below])
    changes = [one for one in local_changes(entries, rows, Census()) if is_below(one.key, key)]
    return Part(key, rows, changes, deep)


def _is_known_to_be_there(row: BaselineEntry, between: Between) -> bool:
    """A directory that was to be made on the way may not be there, unless something in it is: what comes into it may
    have to make it."""
    if row.kind != Kind.DIRECTORY or not _is_unseen(row):
        return row.kind == Kind.DIRECTORY
    return any(one.id for one in between(row.key + SEPARATOR, row.key + AFTER))


def _is_unseen(row: BaselineEntry) -> bool:
    """Whether its record is not known. Where the remote has no directories, those of the source have none."""
    return row.id == "" and row.sync != Sync.ADOPTED


def _is_skipped(entry: LocalEntry | None) -> bool:
    return entry is not None and entry.kind in (Kind.SYMLINK, Kind.SPECIAL)


def _is_directory(entry: LocalEntry | None) -> bool:
    return entry is not None and entry.kind == Kind.DIRECTORY


def _shallow(key: bytes, between: Between, inside: set[bytes]) -> Iterator[BaselineEntry]:
    """The rows of what is directly in a directory: what is below a child is jumped over, and the child is put into
    `inside`. It need not have a row of its own: where the remote has no directories, one that is gone is forgotten
    before the files that were in it are deleted."""
    prefix = key + SEPARATOR if key else b""
    end = key + AFTER if key else b"\xff" * 9
    start = prefix or b"\x01"
    while True:
        for row in between(start, end):
            child, separator, _ = row.key[len(prefix) :].partition(SEPARATOR)
            if separator:
                inside.add(prefix + child)
                start = prefix + child + AFTER
                break
            yield row
        else:
            return


async def compare(
    job: Job, source: SourceIdentity, parts: Sequence[Part], *, census: Census, known_records: int
) -> View:
    """The remote's side of these parts, by as few requests as it takes. `known_records`: how many the destination has,
    as far as is known. Raises what the remote raises when they cannot be listed whole."""
    asked_s = now()
    if not job.policy.capabilities.directories or len(parts) > 2 + 2 * (known_records // PAGE):
        collector = Collector()
        await job.remote.entries("", collector, recursive=True)
        keys = {part.key for part in parts}
        deep = {child for part in parts for child in part.deep}
        shown = [one for one in collector.entries if _is_in(one.key, keys, deep)]
    else:
        shown = await _list(job, parts)
    listing = Shown(shown, frozenset(part.key for part in parts))
    changes = sorted((change for part in parts for change in part.changes), key=lambda change: change.key)
    rows = sorted(row for part in parts for row in part.rows)
    remote = sorted(shown, key=lambda entry: (entry.key, entry.id))
    found = list(differences(changes, remote_changes(remote, rows, Census())))
    found, unsure = await look_again(job, found, asked_s=asked_s)
    return View(source, census, found, changes, listing, unsure)


def _is_in(key: bytes, directories: Collection[bytes], deep: Collection[bytes]) -> bool:
    return parent_of(key) in directories or any(one in deep for one in ancestors_of(key))


async def _list(job: Job, parts: Sequence[Part]) -> list[RemoteEntry]:
    shown: list[RemoteEntry] = []

    async def children(part: Part) -> None:
        collector = Collector()
        await job.remote.entries(path_of(part.key), collector, recursive=False)
        shown.extend(collector.entries)

    async def everything(key: bytes) -> None:
        collector = Collector()
        inside = key + SEPARATOR
        known = sum(row.kind == Kind.DIRECTORY for part in parts for row in part.rows if row.key.startswith(inside))
        await job.remote.entries(path_of(key), collector, recursive=True, directories_known=known)
        shown.extend(collector.entries)

    await each(parts, children, at_once=job.workers)
    await each(list(_unknown_directories(job, parts, list(shown))), everything, at_once=job.workers)
    return shown


def _unknown_directories(job: Job, parts: Sequence[Part], entries: Sequence[RemoteEntry]) -> Iterator[bytes]:
    """Remote directories of which more has to be known than that they are there; of those that are known, too, and
    are not listed now."""
    rows = {row.key: row for part in parts for row in part.rows}
    changed = {change.key: change for part in parts for change in part.changes}
    deep = {child for part in parts for child in part.deep}
    seen: set[bytes] = set()
    for entry in entries:
        key = entry.key
        if entry.kind != Kind.DIRECTORY or entry.status == Status.LEAVING or key in seen or is_nowhere(key):
            continue
        row, change = rows.get(key), changed.get(key)
        is_known = row is not None and row.kind == Kind.DIRECTORY and key not in deep and change is None
        concerns = row is not None or change is not None or job.policy.delete is DeleteMode.MIRROR
        if concerns and not is_known:
            seen.add(key)
            yield key
    shown = {entry.key for entry in entries}
    yield from (key for key in sorted(deep - shown) if key in rows and rows[key].kind == Kind.DIRECTORY)


def gone_elsewhere(job: Job, keys: Iterable[bytes], within: Collection[bytes]) -> list[Difference]:
    """What is still absent locally of `keys`, as the baseline knows it, where none of `within` holds it; blocks.

    A file that was noticed to be gone some seconds ago may have been moved to where something new is now.
    """
    found = []
    with job.store.ranges() as between:
        for key in sorted(keys):
            if parent_of(key) in within:
                continue
            row = next(between(key, key + SEPARATOR), None)
            if row is None or row.id == "" or row.sync in (Sync.CLAIMED, Sync.UPLOADED):
                continue
            if not job.tree.exists(path_of(key)):
                remote = RemoteEntry(key, row.kind, row.size, row.checksum, row.id, Status.COMPLETED, "")
                found.append(Difference(key, None, remote, row))
    return found
