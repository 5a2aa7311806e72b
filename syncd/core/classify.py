"""What each single difference asks for, before anything about the whole is decided.

Called by `core.plan`. A path is looked at alone here: moves, what is in whose way and the delete guard come after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from syncd.core.diff import Difference, same_stat
from syncd.core.model import (
    BaselineEntry,
    Capabilities,
    DeleteMode,
    Drift,
    Fingerprint,
    Kind,
    LocalEntry,
    MaxDelete,
    Problem,
    RemoteEntry,
    Skip,
    Status,
    Sync,
)
from syncd.core.paths import parent_of, path_of


class Filter(Protocol):
    def wants(self, path: str, *, directory: bool) -> bool:
        """Whether the path is in: included, or nothing need be, and not excluded."""
        ...

    def excludes(self, path: str, *, directory: bool) -> bool:
        """Whether an exclude pattern matches the path or a directory above it."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """What the job and its remote allow."""

    delete: DeleteMode
    max_delete: MaxDelete
    empty_directories: bool
    capabilities: Capabilities
    content_type: Callable[[str], str]
    filter: Filter

    @property
    def moves(self) -> bool:
        return self.delete is not DeleteMode.NEVER and self.capabilities.move


@dataclass(slots=True)
class Findings:
    """The differences sorted by what they ask for."""

    uploads: dict[bytes, tuple[Difference, str]] = field(default_factory=dict)
    """Local files to create (no remote file) or replace, with the reason."""
    directories: dict[bytes, Difference] = field(default_factory=dict)
    """Local directories that the remote lacks."""
    gone: dict[bytes, tuple[Difference, str]] = field(default_factory=dict)
    """Remote files and directories that go, with the reason."""
    leftovers: list[tuple[RemoteEntry, str]] = field(default_factory=list)
    """Records of syncd's own that stand for nothing: unfinished uploads and repeats."""
    awaiting: list[Difference] = field(default_factory=list)
    stays: set[bytes] = field(default_factory=set)
    """Remote paths without a local side that are left where they are."""
    adopted: list[BaselineEntry] = field(default_factory=list)
    forgotten: list[bytes] = field(default_factory=list)
    drifted: list[Drift] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    extra: int = 0


SKIPPED = {Kind.SYMLINK: "symlink", Kind.SPECIAL: "not a regular file"}
FAILED = {
    Kind.UNREADABLE: ("list", "cannot be read; what the destination has there is left as it is"),
    Kind.BAD_NAME: ("create", "the name is not valid UTF-8, which the remote cannot have: rename it"),
}


def classify(differences: list[Difference], checksums: Mapping[bytes, Fingerprint], policy: Policy) -> Findings:
    findings = Findings()
    for difference in differences:
        _surplus(difference, findings)
        local = difference.local
        if local is None:
            _absent(difference, policy, findings)
        elif local.kind == Kind.FILE:
            _file(difference, local, checksums, policy, findings)
        elif local.kind == Kind.DIRECTORY:
            _directory(difference, local, policy, findings)
        elif (skip := SKIPPED.get(Kind(local.kind))) is not None:
            findings.skipped.append(Skip(path_of(local.key), skip))
        else:
            action, error = FAILED[Kind(local.kind)]
            findings.problems.append(Problem(path_of(local.key), action, error))
    return findings


def known_checksum(difference: Difference, checksums: Mapping[bytes, Fingerprint]) -> str | None:
    """The local file's checksum, read now or still known from the baseline by its stat."""
    read = checksums.get(difference.key)
    if read is not None:
        return read.checksum
    local, base = difference.local, difference.base
    return base.checksum if local is not None and base is not None and same_stat(local, base) else None


def must_be_compared(difference: Difference) -> bool:
    """Whether only reading the local file can tell if both sides are equal."""
    local, remote = difference.local, difference.remote
    return (
        local is not None
        and remote is not None
        and local.kind == remote.kind == Kind.FILE
        and remote.status == Status.COMPLETED
        and remote.checksum is not None
        and remote.size == local.size
        and known_checksum(difference, {}) is None
    )


def refusal(local: LocalEntry, capabilities: Capabilities) -> str | None:
    """Why the remote cannot have this entry; None if it can."""
    path = path_of(local.key)
    directory, _, name = path.rpartition("/")
    if len(name) > capabilities.max_name_chars:
        return f"the name has {len(name)} characters, the remote takes {capabilities.max_name_chars}"
    if len(directory) > capabilities.max_directory_chars:
        limit = capabilities.max_directory_chars
        return f"the directory's path has {len(directory)} characters, the remote takes {limit}"
    if local.kind == Kind.FILE and local.size > capabilities.max_size_bytes:
        return f"the file has {local.size} bytes, the remote takes {capabilities.max_size_bytes}"
    return None


def _file(
    difference: Difference,
    local: LocalEntry,
    checksums: Mapping[bytes, Fingerprint],
    policy: Policy,
    findings: Findings,
) -> None:
    remote, base = difference.remote, difference.base
    refused = refusal(local, policy.capabilities)
    if refused is not None:
        findings.problems.append(Problem(path_of(local.key), "create", refused))
    elif remote is None:
        _missing_file(difference, findings)
    elif remote.kind == Kind.DIRECTORY:
        findings.uploads[local.key] = difference, "a file now, no longer a directory"
        if policy.delete is DeleteMode.MIRROR or (policy.delete is DeleteMode.TRACKED and base is not None):
            findings.gone[local.key] = difference, "a file takes its place"
        else:
            findings.stays.add(local.key)
    elif remote.status == Status.PENDING:
        if base is not None and base.sync == Sync.UPLOADED and base.id == remote.id and same_stat(local, base):
            findings.awaiting.append(difference)
        else:
            findings.uploads[local.key] = difference, "its upload was never completed"
    else:
        checksum = known_checksum(difference, checksums)
        if checksum is not None and checksum == remote.checksum:
            findings.adopted.append(_equal(local, remote, checksums.get(local.key)))
            return
        if _is_drifted(remote, base):
            findings.drifted.append(Drift(path_of(local.key), "changed"))
            reason = "the remote has other content, not put there by this job"
        else:
            reason = "the content changed"
        findings.uploads[local.key] = difference, reason


def _missing_file(difference: Difference, findings: Findings) -> None:
    base = difference.base
    if base is not None and base.kind == Kind.FILE and base.sync in (Sync.SYNCED, Sync.UPLOADED):
        findings.drifted.append(Drift(path_of(difference.key), "deleted"))
        findings.uploads[difference.key] = difference, "it was deleted from the destination"
    else:
        findings.uploads[difference.key] = difference, "new"


def _equal(local: LocalEntry, remote: RemoteEntry, read: Fingerprint | None) -> BaselineEntry:
    entry = read.entry if read is not None else local
    return BaselineEntry(
        local.key,
        Kind.FILE,
        entry.size,
        entry.mtime_ns,
        entry.ctime_ns,
        entry.inode,
        remote.checksum,
        remote.id,
        Sync.SYNCED,
        None,
    )


def _is_drifted(remote: RemoteEntry, base: BaselineEntry | None) -> bool:
    """Whether a remote file has content that this job neither put nor adopted there."""
    if base is None or base.kind != Kind.FILE:
        return True
    if remote.status == Status.PENDING:
        return remote.id != base.id
    if base.claim is not None and base.claim in ("", remote.checksum):
        return False
    return remote.checksum != base.checksum


def _directory(difference: Difference, local: LocalEntry, policy: Policy, findings: Findings) -> None:
    remote, base = difference.remote, difference.base
    if not policy.capabilities.directories:
        return
    refused = refusal(local, policy.capabilities)
    if refused is not None:
        findings.problems.append(Problem(path_of(local.key), "mkdir", refused))
    elif remote is None:
        findings.directories[local.key] = difference
    elif remote.kind == Kind.FILE:
        findings.directories[local.key] = difference
        if _may_delete(difference, policy):
            findings.gone[local.key] = difference, "a directory takes its place"
        else:
            findings.stays.add(local.key)
    elif base is None or base.kind != Kind.DIRECTORY:
        findings.adopted.append(directory_row(local, remote.id, Sync.ADOPTED))


def directory_row(local: LocalEntry, record_id: str, sync: Sync) -> BaselineEntry:
    return BaselineEntry(local.key, Kind.DIRECTORY, 0, 0, 0, local.inode, None, record_id, sync, None)


def _absent(difference: Difference, policy: Policy, findings: Findings) -> None:
    key, remote, base = difference.key, difference.remote, difference.base
    path = path_of(key)
    if remote is None or _is_left_out(path, remote.kind == Kind.DIRECTORY, policy.filter):
        if base is not None:
            findings.forgotten.append(key)
        if remote is not None:
            findings.stays.add(key)
    elif remote.status == Status.PENDING and _is_unfinished(base):
        _unfinished(remote, base, policy, findings)
    elif _may_delete(difference, policy):
        findings.gone[key] = difference, "gone from the source" if base is not None else "not in the source"
        if base is not None and remote.kind == Kind.FILE and _is_drifted(remote, base):
            findings.drifted.append(Drift(path, "changed"))
    else:
        _left_alone(difference, remote, policy, findings)


def _is_left_out(path: str, is_directory: bool, filters: Filter) -> bool:
    """A directory may be on the way to something included, so only an exclusion leaves it out."""
    return filters.excludes(path, directory=True) if is_directory else not filters.wants(path, directory=False)


def _is_unfinished(base: BaselineEntry | None) -> bool:
    return base is None or (base.sync == Sync.CLAIMED and base.checksum is None)


def _unfinished(remote: RemoteEntry, base: BaselineEntry | None, policy: Policy, findings: Findings) -> None:
    """A pending record at a path that is not wanted: removed if this job began it, else somebody's upload."""
    if base is None or policy.delete is DeleteMode.NEVER:
        findings.stays.add(remote.key)
    else:
        findings.leftovers.append((remote, "an upload of this job that was never completed"))
        findings.forgotten.append(remote.key)


def _may_delete(difference: Difference, policy: Policy) -> bool:
    """Whether the mode lets the remote side go: in `tracked`, only what this job put or adopted there, unchanged."""
    remote, base = difference.remote, difference.base
    if remote is None or policy.delete is DeleteMode.NEVER:
        return False
    if policy.delete is DeleteMode.MIRROR:
        return True
    if base is None or base.kind != remote.kind:
        return False
    if remote.kind == Kind.DIRECTORY:
        return base.sync == Sync.SYNCED
    return not _is_drifted(remote, base)


def _left_alone(difference: Difference, remote: RemoteEntry, policy: Policy, findings: Findings) -> None:
    base = difference.base
    findings.stays.add(remote.key)
    if remote.kind == Kind.DIRECTORY:
        if base is not None and policy.delete is not DeleteMode.NEVER:
            findings.forgotten.append(remote.key)
    elif base is None:
        findings.extra += 1
    elif _is_drifted(remote, base):
        findings.drifted.append(Drift(path_of(remote.key), "changed"))
        findings.forgotten.append(remote.key)


def _surplus(difference: Difference, findings: Findings) -> None:
    """Further records of one path: removed where they can only be this job's own, else left and counted."""
    remote, base = difference.remote, difference.base
    for record in difference.surplus:
        ours = {known for known in (base.checksum, base.claim) if known} if base is not None else set()
        if remote is not None and remote.checksum is not None:
            ours.add(remote.checksum)
        if record.kind == Kind.FILE and base is not None and (record.checksum is None or record.checksum in ours):
            findings.leftovers.append((record, "a repeated record of the same path"))
        else:
            findings.stays.add(record.key)
            findings.extra += record.kind == Kind.FILE


def occupied_parents(keys: set[bytes]) -> set[bytes]:
    """Every directory above one of `keys`."""
    found: set[bytes] = set()
    for key in keys:
        while key:
            key = parent_of(key)
            if key in found:
                break
            found.add(key)
    return found
