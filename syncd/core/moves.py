"""Which files that are gone locally are the same content somewhere else now, on proof.

Called by `core.plan` and `core.renames`. Files are paired one to one. It never reads anything: what had to be read to
prove a pair is in `checksums`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from syncd.core.classify import Facts
from syncd.core.diff import Difference, same_stat
from syncd.core.model import BaselineEntry, Kind, LocalEntry, RemoteEntry, Status, Sync
from syncd.core.ownership import is_drifted, stays_away
from syncd.core.paths import name_of, path_of
from syncd.core.policy import Policy
from syncd.core.questions import left_out, refusal

Entry = TypeVar("Entry", LocalEntry, RemoteEntry)


class Pair(NamedTuple):
    """The record of a file gone locally, and the local file elsewhere that has its content."""

    source: RemoteEntry
    local: LocalEntry
    checksum: str


class GoneFile(NamedTuple):
    remote: RemoteEntry
    base: BaselineEntry
    checksum: str


class _Candidate(NamedTuple, Generic[Entry]):
    entry: Entry
    inode: int
    checksum: str
    content_type: str


def nominees(differences: Sequence[Difference], policy: Policy) -> list[LocalEntry]:
    """The new files that must be read to tell whether they are a gone one: those of a size that a gone file had."""
    new = [local for one in differences if (local := new_file(one, policy)) is not None]
    sizes = {local.size for local in new}
    likely = [one for one in differences if one.local is None and one.base is not None and one.base.size in sizes]
    gone = _gone_files(likely, left_out(likely, policy.filter))
    by_inode = {file.base.inode: file for file in gone}
    gone_sizes = {file.base.size for file in gone}
    return [local for local in new if local.size in gone_sizes and _twin(local, by_inode) is None]


def new_file(difference: Difference, policy: Policy) -> LocalEntry | None:
    """The local file, if the remote has nothing there, and can and may have it.

    Where an upload was begun of which the end is not known, that may be there without being listed: an upload looks for
    it first, a move does not.
    """
    local, base = difference.local, difference.base
    if local is None or local.kind != Kind.FILE or difference.remote is not None:
        return None
    if base is not None and base.sync is Sync.CLAIMED and base.id == "":
        return None
    if stays_away(local, base, policy):
        return None
    return local if refusal(local, policy.capabilities) is None else None


def gone_file(difference: Difference) -> GoneFile | None:
    """The remote file, if the local one is gone and the remote's is what the baseline knows, changed by nobody.

    An upload of this job's own that was begun and not known to be ended may have changed it.
    """
    _, local, remote, base, _ = difference
    if local is not None or remote is None or base is None or base.checksum is None or base.claim is not None:
        return None
    if remote.kind != Kind.FILE or remote.status != Status.COMPLETED or is_drifted(remote, base):
        return None
    return GoneFile(remote, base, base.checksum)


def _gone_files(differences: Iterable[Difference], out: frozenset[bytes]) -> list[GoneFile]:
    return [file for one in differences if one.key not in out and (file := gone_file(one)) is not None]


def _twin(local: LocalEntry, gone_by_inode: Mapping[int, GoneFile]) -> GoneFile | None:
    """The gone file that this one is by its stat alone: a child of a renamed directory keeps its ctime."""
    twin = gone_by_inode.get(local.inode)
    return twin if twin is not None and same_stat(local, twin.base) else None


def pair_files(differences: Sequence[Difference], facts: Facts) -> list[Pair]:
    """Gone and new files of the same content, one to one, sorted by where they are now.

    The same inode first, then the same name, then any order; empty files are all alike, so they are paired by inode or
    name only. What is left is paired without regard to the content type (`is_movable` tells which those are).
    """
    gone, new = _candidates(differences, facts)
    pairs: list[Pair] = []
    for likeness in (_by_inode, _by_name, _by_content, _by_inode_alone, _by_content_alone):
        pool: dict[object, list[_Candidate[RemoteEntry]]] = defaultdict(list)
        for source in reversed(gone):
            pool[likeness(source)].append(source)
        rest: list[_Candidate[LocalEntry]] = []
        taken: set[bytes] = set()
        for target in new:
            matches = pool.get(likeness(target))
            if not matches:
                rest.append(target)
                continue
            record = matches.pop().entry
            taken.add(record.key)
            pairs.append(Pair(record, target.entry, target.checksum))
        new = rest
        gone = [one for one in gone if one.entry.key not in taken]
    return sorted(pairs, key=lambda pair: pair.local.key)


def _by_inode(one: _Candidate[LocalEntry] | _Candidate[RemoteEntry]) -> object:
    return one.inode, one.checksum, one.content_type


def _by_name(one: _Candidate[LocalEntry] | _Candidate[RemoteEntry]) -> object:
    return name_of(one.entry.key), one.checksum, one.content_type


def _by_content(one: _Candidate[LocalEntry] | _Candidate[RemoteEntry]) -> object:
    return (one.checksum, one.content_type) if one.entry.size else one.entry.key


def _by_inode_alone(one: _Candidate[LocalEntry] | _Candidate[RemoteEntry]) -> object:
    return one.inode, one.checksum


def _by_content_alone(one: _Candidate[LocalEntry] | _Candidate[RemoteEntry]) -> object:
    return one.checksum if one.entry.size else one.entry.key


def is_movable(pair: Pair, policy: Policy) -> bool:
    """Whether a move makes the remote what the source is: it changes no content type, an upload does."""
    kind = _content_types(policy)
    return policy.capabilities.move and kind(pair.source.key) == kind(pair.local.key)


def _candidates(
    differences: Sequence[Difference], facts: Facts
) -> tuple[list[_Candidate[RemoteEntry]], list[_Candidate[LocalEntry]]]:
    """The gone and the new files that share a checksum with one of the other side."""
    files = _gone_files(differences, facts.left_out)
    by_inode = {file.base.inode: file for file in files}
    arrived = [
        (local, checksum)
        for difference in differences
        if (local := new_file(difference, facts.policy)) is not None
        and (checksum := _checksum_of(local, by_inode, facts)) is not None
    ]
    kind = _content_types(facts.policy)
    wanted = {checksum for _, checksum in arrived}
    gone = [
        _Candidate(file.remote, file.base.inode, file.checksum, kind(file.remote.key))
        for file in files
        if file.checksum in wanted
    ]
    left = {one.checksum for one in gone}
    new = [
        _Candidate(_as_read(local, facts), local.inode, checksum, kind(local.key))
        for local, checksum in arrived
        if checksum in left
    ]
    return gone, new


def _checksum_of(local: LocalEntry, gone_by_inode: Mapping[int, GoneFile], facts: Facts) -> str | None:
    if (twin := _twin(local, gone_by_inode)) is not None:
        return twin.checksum
    read = facts.checksums.get(local.key)
    return read.checksum if read is not None else None


def _as_read(local: LocalEntry, facts: Facts) -> LocalEntry:
    """The stat that belongs to the checksum."""
    read = facts.checksums.get(local.key)
    return read.entry if read is not None else local


def _content_types(policy: Policy) -> Callable[[bytes], str]:
    """What has to be the same beside the content, because a move cannot change it; an upload can."""
    return (lambda key: policy.content_type(path_of(key))) if policy.capabilities.move else lambda _: ""
