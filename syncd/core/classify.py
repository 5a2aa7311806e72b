"""What each single difference asks for, before anything about the whole is decided.

Called by `core.plan`. A path is looked at alone here: moves, what is in whose way and the delete guard come after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from syncd.core.claims import is_being_replaced, is_effect, is_replaced
from syncd.core.diff import Difference, has_known_content, same_stat
from syncd.core.model import (
    BaselineEntry,
    Capabilities,
    DeleteMode,
    Drift,
    Fingerprint,
    Kind,
    LocalEntry,
    OnDrift,
    Problem,
    RemoteEntry,
    Skip,
    Status,
    Sync,
)
from syncd.core.ownership import (
    is_being_changed,
    is_changed,
    is_drifted,
    is_own_directory,
    is_own_repeat,
    is_unfinished,
    may_be_sent,
    may_go,
    may_make_way,
    standing,
    stays_away,
)
from syncd.core.paths import parent_of, path_of
from syncd.core.policy import Policy
from syncd.core.questions import known_checksum, may_be_adopted, refusal
from syncd.core.stamps import aside_of


@dataclass(frozen=True, slots=True)
class Facts:
    """What every judgement on a difference looks at beside it. `left_out`: remote paths that the filters leave out;
    `stamp`: the time, as it stands in names."""

    checksums: Mapping[bytes, Fingerprint]
    policy: Policy
    left_out: frozenset[bytes]
    stamp: str


class Upload(NamedTuple):
    """`remote` is what is at its place now: a file to replace, or a directory that has to go first. `aside` as for
    Replace."""

    local: LocalEntry
    remote: RemoteEntry | None
    base: BaselineEntry | None
    reason: str
    aside: str = ""


class Removal(NamedTuple):
    """`in_the_way`: something else takes its place. `also`: further records of the same path."""

    remote: RemoteEntry
    base: BaselineEntry | None
    in_the_way: bool
    reason: str
    also: tuple[RemoteEntry, ...] = ()


@dataclass(slots=True)
class Findings:
    """The differences sorted by what they ask for."""

    uploads: dict[bytes, Upload] = field(default_factory=dict)
    refused: list[LocalEntry] = field(default_factory=list)
    """Local files that the remote cannot have."""
    directories: dict[bytes, RemoteEntry | None] = field(default_factory=dict)
    """Local directories that the remote lacks, with the file that is in their place."""
    away: set[bytes] = field(default_factory=set)
    """Of those the ones that somebody else deleted and that are not made again for their own sake."""
    gone: dict[bytes, Removal] = field(default_factory=dict)
    """Remote files and directories that go."""
    leftovers: list[tuple[RemoteEntry, str]] = field(default_factory=list)
    """Records of syncd's own that stand for nothing: unfinished uploads and repeats."""
    awaiting: list[Difference] = field(default_factory=list)
    stays: set[bytes] = field(default_factory=set)
    """Paths of remote records that are left where they are and have no local side of their kind."""
    adopted: list[BaselineEntry] = field(default_factory=list)
    forgotten: list[bytes] = field(default_factory=list)
    detached: list[str] = field(default_factory=list)
    """Known files that the filters leave out now: among the forgotten."""
    drifted: list[Drift] = field(default_factory=list)
    kept: int = 0
    """Local files whose remote side is left as somebody else made it."""
    problems: list[Problem] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    extra: int = 0
    by_size: int = 0
    """Of the adopted: files whose content could not be compared."""
    beside: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    """The ids of further records that are left at a path."""


SEVERAL = "somebody else put several files of this name there, which cannot all be moved aside: remove all but one"
UNFINISHED = "an upload of this job that was never completed"
SKIPPED = {Kind.SYMLINK: "symlink", Kind.SPECIAL: "not a regular file"}
FAILED = {
    Kind.UNREADABLE: ("list", "cannot be read; what the destination has there is left as it is"),
    Kind.BAD_NAME: ("create", "the name is not valid UTF-8, which the remote cannot have: rename it"),
}


def classify(differences: Iterable[Difference], facts: Facts) -> Findings:
    findings = Findings()
    unique = facts.policy.capabilities.unique_names
    for found in differences:
        difference = found if unique else standing(found)
        local = difference.local
        if local is None:
            _absent(difference, facts, findings)
        elif local.kind == Kind.FILE:
            _file(difference, local, facts, findings)
        elif local.kind == Kind.DIRECTORY:
            _directory(difference, local, facts, findings)
        elif (skip := SKIPPED.get(Kind(local.kind))) is not None:
            findings.skipped.append(Skip(path_of(local.key), skip))
            _unfinished(difference, facts, findings)
        else:
            action, error = FAILED[Kind(local.kind)]
            findings.problems.append(Problem(path_of(local.key), action, error))
        if difference.surplus:
            _surplus(difference, facts, findings)
    return findings


def _file(difference: Difference, local: LocalEntry, facts: Facts, findings: Findings) -> None:
    key, _, remote, base, _ = difference
    refused = refusal(local, facts.policy.capabilities)
    if refused is not None:
        findings.problems.append(Problem(path_of(key), "create", refused))
        findings.refused.append(local)
    elif remote is None:
        _missing_file(local, base, facts, findings)
    elif remote.kind == Kind.DIRECTORY:
        findings.uploads[key] = Upload(local, remote, base, "a file now, no longer a directory")
        if key not in facts.left_out and may_make_way(remote, base, facts.policy):
            findings.gone[key] = Removal(remote, base, True, "a file takes its place")
        else:
            findings.stays.add(key)
    elif remote.status == Status.PENDING:
        if base is not None and base.id == remote.id and base.sync != Sync.CLAIMED and same_stat(local, base):
            findings.awaiting.append(difference)
        elif facts.policy.on_drift is not OnDrift.OVERWRITE and is_being_changed(base):
            findings.drifted.append(Drift(path_of(key), "changed"))
            findings.kept += 1
        else:
            findings.uploads[key] = Upload(local, remote, base, "its upload was never completed")
    else:
        _compared_file(difference, local, remote, facts, findings)


def _missing_file(local: LocalEntry, base: BaselineEntry | None, facts: Facts, findings: Findings) -> None:
    reason = "new"
    if base is not None and base.kind == Kind.FILE and base.checksum is not None:
        findings.drifted.append(Drift(path_of(local.key), "deleted"))
        reason = "it was deleted from the destination"
    if stays_away(local, base, facts.policy):
        findings.kept += 1
        return
    findings.uploads[local.key] = Upload(local, None, base, reason)


def _compared_file(
    difference: Difference, local: LocalEntry, remote: RemoteEntry, facts: Facts, findings: Findings
) -> None:
    """Both sides have the file, the remote's is complete."""
    base = difference.base
    checksum = known_checksum(difference, facts.checksums)
    by_size = may_be_adopted(difference, facts.policy)
    if checksum is not None and (by_size or _has_content(remote, checksum, base, facts.policy.capabilities)):
        read = facts.checksums.get(local.key)
        row = _equal(read.entry if read is not None else local, checksum, remote)
        if row != base and not _has_own_surplus(difference):
            findings.adopted.append(row)
        findings.by_size += by_size
        return
    cut_off = is_effect(remote, base) or is_being_replaced(remote, base)
    if not is_changed(remote, base) or may_be_sent(base) or cut_off:
        reason = "an upload of it was not seen to its end" if cut_off else "the content changed"
        findings.uploads[local.key] = Upload(local, remote, base, reason)
        return
    path = path_of(local.key)
    findings.drifted.append(Drift(path, "changed"))
    reason, aside = "the remote has other content, not put there by this job", ""
    if facts.policy.on_drift is OnDrift.KEEP:
        findings.kept += 1
        return
    if facts.policy.on_drift is OnDrift.COPY:
        aside = aside_of(path, facts.stamp, max_name_chars=facts.policy.capabilities.max_name_chars)
        reason += f": that is kept as {aside}"
    findings.uploads[local.key] = Upload(local, remote, base, reason, aside)


def _has_content(remote: RemoteEntry, checksum: str, base: BaselineEntry | None, capabilities: Capabilities) -> bool:
    if remote.checksum is not None:
        return remote.checksum == checksum
    if base is None or (base.claim is not None and capabilities.replace_in_place):
        return False
    return base.checksum == checksum and has_known_content(remote, base)


def _has_own_surplus(difference: Difference) -> bool:
    """Whether the row's claim is still needed to tell this job's surplus records from others'."""
    return any(is_effect(one, difference.base) or is_replaced(one, difference.base) for one in difference.surplus)


def _equal(local: LocalEntry, checksum: str, remote: RemoteEntry) -> BaselineEntry:
    _, _, size, mtime_ns, ctime_ns, inode = local
    return BaselineEntry(local.key, Kind.FILE, size, mtime_ns, ctime_ns, inode, checksum, remote.id, Sync.SYNCED, None)


def _directory(difference: Difference, local: LocalEntry, facts: Facts, findings: Findings) -> None:
    key, _, remote, base, _ = difference
    if not facts.policy.capabilities.directories:
        _directory_in_paths(difference, local, facts, findings)
        return
    refused = refusal(local, facts.policy.capabilities)
    if refused is not None:
        findings.problems.append(Problem(path_of(key), "mkdir", refused))
    elif remote is None:
        findings.directories[key] = None
        if stays_away(local, base, facts.policy):
            findings.away.add(key)
    elif remote.kind == Kind.FILE:
        _file_in_the_way(remote, base, facts, findings)
    elif base is None or base.kind != Kind.DIRECTORY or base.id != remote.id:
        sync = Sync.SYNCED if is_own_directory(remote, base) else Sync.ADOPTED
        findings.adopted.append(BaselineEntry(key, Kind.DIRECTORY, 0, 0, 0, local.inode, None, remote.id, sync, None))


def _directory_in_paths(difference: Difference, local: LocalEntry, facts: Facts, findings: Findings) -> None:
    """A directory where the remote has none. It is remembered, because looks at a part of the source begin there; a
    file of that name is in nobody's way and goes like any that is gone."""
    key, _, remote, base, _ = difference
    known = base if base is not None and base.kind == Kind.FILE else None
    if remote is not None:
        _absent(difference._replace(base=known), facts, findings)
    if base is None or (remote is None and known is not None):
        row = BaselineEntry(key, Kind.DIRECTORY, 0, 0, 0, local.inode, None, "", Sync.ADOPTED, None)
        findings.adopted.append(row)


def _file_in_the_way(remote: RemoteEntry, base: BaselineEntry | None, facts: Facts, findings: Findings) -> None:
    """A remote file where the source has a directory."""
    key = remote.key
    if is_unfinished(remote, base) and facts.policy.delete is not DeleteMode.NEVER:
        findings.directories[key] = None
        findings.leftovers.append((remote, UNFINISHED))
        return
    findings.directories[key] = remote
    if key not in facts.left_out and may_make_way(remote, base, facts.policy):
        findings.gone[key] = Removal(remote, base, True, "a directory takes its place")
    else:
        findings.stays.add(key)


def _absent(difference: Difference, facts: Facts, findings: Findings) -> None:
    key, _, remote, base, _ = difference
    if remote is None or key in facts.left_out:
        if base is not None:
            findings.forgotten.append(key)
        if remote is not None:
            findings.stays.add(key)
            if base is not None and base.kind == Kind.FILE:
                findings.detached.append(path_of(key))
    elif remote.status == Status.PENDING and (base is None or is_unfinished(remote, base)):
        if base is None or facts.policy.delete is DeleteMode.NEVER:
            findings.stays.add(key)  # somebody else's upload, or one that may still complete
        else:
            findings.leftovers.append((remote, UNFINISHED))
            findings.forgotten.append(key)
    elif may_go(remote, base, facts.policy):
        reason = "gone from the source" if base is not None else "not in the source"
        findings.gone[key] = Removal(remote, base, False, reason)
        if remote.kind == Kind.FILE and is_drifted(remote, base):
            findings.drifted.append(Drift(path_of(key), "changed" if base is not None else "added"))
    else:
        _left_alone(remote, base, facts.policy, findings)


def _unfinished(difference: Difference, facts: Facts, findings: Findings) -> None:
    """What an upload of this job's left where the source has nothing to sync now."""
    key, _, remote, base, _ = difference
    kept = key in facts.left_out or facts.policy.delete is DeleteMode.NEVER
    if remote is not None and is_unfinished(remote, base) and not kept:
        findings.leftovers.append((remote, UNFINISHED))
        findings.forgotten.append(key)


def _left_alone(remote: RemoteEntry, base: BaselineEntry | None, policy: Policy, findings: Findings) -> None:
    """A remote path that is gone locally and not this job's to delete: said, and no longer known."""
    findings.stays.add(remote.key)
    if base is None:
        findings.extra += remote.kind == Kind.FILE
        if policy.delete is DeleteMode.MIRROR and remote.kind == Kind.FILE:
            findings.drifted.append(Drift(path_of(remote.key), "added"))
    elif base.kind == Kind.FILE and (remote.kind == Kind.DIRECTORY or is_drifted(remote, base)):
        findings.drifted.append(Drift(path_of(remote.key), "changed"))
        if remote.status == Status.COMPLETED:
            findings.forgotten.append(remote.key)
    elif policy.delete is not DeleteMode.NEVER:
        findings.forgotten.append(remote.key)


def _surplus(difference: Difference, facts: Facts, findings: Findings) -> None:
    """Further records of one path: this job's own are removed, others where all goes that the source lacks, else they
    are left and counted."""
    key, checksum = difference.key, known_checksum(difference, facts.checksums)
    others = []
    for record in difference.surplus:
        if key not in facts.left_out and is_own_repeat(record, difference, checksum, facts.policy.delete):
            findings.leftovers.append((record, "a repeated record of the same path"))
        else:
            others.append(record)
    if others:
        findings.beside[key] = tuple(one.id for one in others)
        if (upload := findings.uploads.get(key)) is not None and upload.aside:
            del findings.uploads[key]
            findings.problems.append(Problem(path_of(key), "replace", SEVERAL))
    removal = findings.gone.get(key)
    if removal is not None and facts.policy.takes_all and all(one.status == Status.COMPLETED for one in others):
        findings.gone[key] = removal._replace(also=tuple(others))
    elif others:
        findings.stays.add(key)
        findings.extra += sum(one.kind == Kind.FILE for one in others)


def occupied_parents(keys: Iterable[bytes]) -> set[bytes]:
    """Every directory above one of `keys`."""
    found: set[bytes] = set()
    for key in keys:
        while key:
            key = parent_of(key)
            if key in found:
                break
            found.add(key)
    return found
