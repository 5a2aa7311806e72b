"""Which paths that are gone locally are the same content somewhere else now, on proof.

Called by `core.plan`. Files are paired one to one; whole directories are found from the pairs and turned into one
move each, by rewriting the differences as they will be after it. It never reads anything: what had to be read to prove
a pair is in `checksums`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from syncd.core.diff import Difference, same_stat
from syncd.core.model import Fingerprint, Kind, LocalEntry, RemoteEntry, Status, Sync
from syncd.core.paths import is_below, name_of, parent_of, slice_below


class Pair(NamedTuple):
    """A file gone locally and the path where its content is now."""

    gone: Difference
    new: Difference


class DirectoryMove(NamedTuple):
    """`carried`: the files that are the same after it, so that nothing else has to be done for them."""

    gone: Difference
    new: Difference
    covers: tuple[RemoteEntry, ...]
    carried: int


def is_clean(difference: Difference) -> bool:
    """Whether the remote file is still what the baseline knows: complete and changed by nobody."""
    remote, base = difference.remote, difference.base
    return (
        remote is not None
        and base is not None
        and remote.kind == base.kind == Kind.FILE
        and remote.status == Status.COMPLETED
        and base.checksum is not None
        and remote.checksum == base.checksum
    )


def is_gone(difference: Difference) -> bool:
    """Whether the path is a file that may be the source of a move."""
    return difference.local is None and is_clean(difference)


def is_new(difference: Difference) -> bool:
    """Whether the path is a local file where the remote has nothing."""
    return difference.local is not None and difference.local.kind == Kind.FILE and difference.remote is None


def nominees(differences: Iterable[Difference]) -> list[LocalEntry]:
    """The new files that must be read to tell whether they are a gone one: those of a size that a gone file had."""
    differences = list(differences)
    gone_by_size: dict[int, list[Difference]] = defaultdict(list)
    gone_by_inode: dict[int, Difference] = {}
    for difference in filter(is_gone, differences):
        base = difference.base
        if base is not None:
            gone_by_size[base.size].append(difference)
            gone_by_inode[base.inode] = difference
    found = []
    for difference in filter(is_new, differences):
        local = difference.local
        if local is None or local.size not in gone_by_size:
            continue
        twin = gone_by_inode.get(local.inode)
        if twin is None or twin.base is None or not same_stat(local, twin.base):
            found.append(local)
    return found


class _Candidate(NamedTuple):
    difference: Difference
    checksum: str
    inode: int
    size: int


def pair_files(differences: Sequence[Difference], checksums: Mapping[bytes, Fingerprint]) -> list[Pair]:
    """Gone and new files of the same content, one to one: the same inode first, then the same name, then any order.

    Empty files are all alike, so they are paired by inode or name only.
    """
    gone = _gone_candidates(differences)
    new = _new_candidates(differences, checksums, {one.inode: one.difference for one in gone})
    pairs: list[Pair] = []
    for likeness in (_by_inode, _by_name, _by_content):
        pool: dict[object, list[_Candidate]] = defaultdict(list)
        for one in reversed(gone):
            pool[likeness(one)].append(one)
        paired: set[bytes] = set()
        for target in new:
            matches = pool.get(likeness(target))
            if matches:
                source = matches.pop()
                pairs.append(Pair(source.difference, target.difference))
                paired |= {source.difference.key, target.difference.key}
        gone = [one for one in gone if one.difference.key not in paired]
        new = [one for one in new if one.difference.key not in paired]
    return sorted(pairs, key=lambda pair: pair.new.key)


def _by_inode(one: _Candidate) -> object:
    return one.inode, one.checksum


def _by_name(one: _Candidate) -> object:
    return name_of(one.difference.key), one.checksum


def _by_content(one: _Candidate) -> object:
    return one.checksum if one.size else one.difference.key


def _gone_candidates(differences: Sequence[Difference]) -> list[_Candidate]:
    found = []
    for difference in differences:
        base = difference.base
        if is_gone(difference) and base is not None and base.checksum is not None:
            found.append(_Candidate(difference, base.checksum, base.inode, base.size))
    return found


def _new_candidates(
    differences: Sequence[Difference],
    checksums: Mapping[bytes, Fingerprint],
    gone_by_inode: Mapping[int, Difference],
) -> list[_Candidate]:
    found = []
    for difference in differences:
        local = difference.local
        if local is None or not is_new(difference):
            continue
        twin = gone_by_inode.get(local.inode)
        checksum: str | None = None
        if twin is not None and twin.base is not None and same_stat(local, twin.base):
            checksum = twin.base.checksum
        elif (read := checksums.get(difference.key)) is not None:
            checksum = read.checksum
        if checksum is not None:
            found.append(_Candidate(difference, checksum, local.inode, local.size))
    return found


def move_directories(
    differences: Sequence[Difference],
    checksums: Mapping[bytes, Fingerprint],
    *,
    whole_only: bool,
) -> tuple[tuple[DirectoryMove, ...], list[Difference]]:
    """Find the directories that moved, and rewrite the differences as they will be after those moves.

    A directory is moved in one call only if everything the remote has in it is what the baseline knows, and if that
    leaves no more files to delete at the new place than it saves moves; with `whole_only`, none to delete at all.
    Renames inside a moved directory are found in turn.
    """
    moves: list[DirectoryMove] = []
    rest = list(differences)
    while True:
        found = _directory_pairs(rest, pair_files(rest, checksums), whole_only=whole_only)
        if not found:
            return tuple(moves), rest
        carried, rest = _carry(rest, found)
        moves += carried


def _directory_pairs(
    differences: Sequence[Difference], pairs: Sequence[Pair], *, whole_only: bool
) -> list[tuple[bytes, bytes]]:
    """The disjoint directory moves that pay, those that carry most first."""
    keys = [difference.key for difference in differences]
    by_key = dict(zip(keys, differences, strict=True))
    votes: dict[tuple[bytes, bytes], int] = defaultdict(int)
    for pair in pairs:
        top = _top_directories(pair, by_key)
        if top is not None:
            votes[top] += 1
    taken: list[bytes] = []
    found = []
    for (old, new), carried in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
        if any(_overlap(one, other) for one in (old, new) for other in taken):
            continue
        lost = _lost_if_moved(differences[slice_below(keys, old)], by_key, old, new)
        if lost is None or lost > (0 if whole_only else carried):
            continue
        taken += [old, new]
        found.append((old, new))
    return found


def _top_directories(pair: Pair, by_key: Mapping[bytes, Difference]) -> tuple[bytes, bytes] | None:
    """The highest pair of directories, one gone and one new, whose move would carry this pair's file along."""
    old, new = pair.gone.key, pair.new.key
    top: tuple[bytes, bytes] | None = None
    while name_of(old) == name_of(new):
        old, new = parent_of(old), parent_of(new)
        if not (_is_gone_directory(by_key.get(old)) and _is_new_directory(by_key.get(new))):
            break
        top = old, new
    return top


def _is_gone_directory(difference: Difference | None) -> bool:
    return (
        difference is not None
        and difference.local is None
        and difference.remote is not None
        and difference.remote.kind == Kind.DIRECTORY
        and not difference.surplus
    )


def _is_new_directory(difference: Difference | None) -> bool:
    return (
        difference is not None
        and difference.local is not None
        and difference.local.kind == Kind.DIRECTORY
        and difference.remote is None
    )


def _overlap(one: bytes, other: bytes) -> bool:
    return one == other or is_below(one, other) or is_below(other, one)


def _lost_if_moved(
    inside: Sequence[Difference], by_key: Mapping[bytes, Difference], old: bytes, new: bytes
) -> int | None:
    """How many files would have to be deleted at the new place; None if something in it forbids the move."""
    lost = 0
    for difference in inside:
        if difference.surplus:
            return None
        if difference.remote is None:
            continue
        if difference.local is not None or difference.base is None:
            return None
        if difference.remote.kind == Kind.FILE:
            if not is_clean(difference):
                return None
            arrived = by_key.get(new + difference.key[len(old) :])
            lost += arrived is None or arrived.local is None
    return lost


def _carry(
    differences: Sequence[Difference], found: Sequence[tuple[bytes, bytes]]
) -> tuple[list[DirectoryMove], list[Difference]]:
    """The moves, and the differences as they are once the remote has done them."""
    keys = [difference.key for difference in differences]
    by_key = {difference.key: difference for difference in differences}
    moves = []
    for old, new in found:
        gone, target = by_key.pop(old), by_key.pop(new)
        inside = differences[slice_below(keys, old)]
        carried = 0
        for difference in inside:
            del by_key[difference.key]
            key = new + difference.key[len(old) :]
            arrived = _arrived(difference, by_key.pop(key, None), key)
            if arrived is not None:
                by_key[key] = arrived
            elif difference.remote is not None and difference.remote.kind == Kind.FILE:
                carried += 1
        if (itself := _arrived(gone, target, new)) is not None:
            by_key[new] = itself
        covers = tuple(difference.remote for difference in inside if difference.remote is not None)
        moves.append(DirectoryMove(gone, target, covers, carried))
    return moves, sorted(by_key.values(), key=lambda difference: difference.key)


def _arrived(moved: Difference, there: Difference | None, key: bytes) -> Difference | None:
    """What is left to be done at `key` when `moved` has come there; None if nothing is."""
    remote = moved.remote._replace(key=key) if moved.remote is not None else None
    base = moved.base._replace(key=key) if moved.base is not None else None
    local = there.local if there is not None else None
    if remote is None and local is None:
        return None
    if local is not None and base is not None and remote is not None and same_stat(local, base):
        done = remote.kind == Kind.DIRECTORY or base.sync == Sync.SYNCED
        return None if done else Difference(key, local, remote, base)
    return Difference(key, local, remote, base)
