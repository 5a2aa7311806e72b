"""What can be asked of one difference alone, whatever becomes of it: is it left out, known, refused, to be compared.

Called by everything in `core` that decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from syncd.core.diff import Difference, has_known_content, same_stat
from syncd.core.model import Capabilities, Fingerprint, Kind, LocalEntry, Status
from syncd.core.paths import path_of
from syncd.core.policy import Filter, Policy


def left_out(differences: Iterable[Difference], filters: Filter) -> frozenset[bytes]:
    """The paths that only the remote has, or has as another kind, and that the filters do not let in as what it has."""
    return frozenset(
        one.key
        for one in differences
        if one.remote is not None
        and (one.local is None or one.local.kind != one.remote.kind)
        and is_left_out(one.key, one, filters)
    )


def is_left_out(key: bytes, difference: Difference, filters: Filter) -> bool:
    """Whether the filters leave out what the remote has of `difference`, if it is at `key`.

    A directory that the job knows may be on the way to something included, so only an exclusion leaves it out.
    """
    directory = difference.remote is not None and difference.remote.kind == Kind.DIRECTORY
    if directory and difference.base is not None:
        return filters.excludes(path_of(key), directory=True)
    return not filters.wants(path_of(key), directory=directory)


def known_checksum(difference: Difference, checksums: Mapping[bytes, Fingerprint]) -> str | None:
    """The local file's checksum, read now or still known from the baseline by its stat."""
    read = checksums.get(difference.key)
    if read is not None:
        return read.checksum
    local, base = difference.local, difference.base
    return base.checksum if local is not None and base is not None and same_stat(local, base) else None


def must_be_compared(difference: Difference) -> bool:
    """Whether only reading the local file can tell if both sides are equal."""
    local, remote, base = difference.local, difference.remote, difference.base
    return (
        local is not None
        and remote is not None
        and local.kind == remote.kind == Kind.FILE
        and remote.status == Status.COMPLETED
        and remote.size == local.size
        and (remote.checksum is not None or (base is not None and has_known_content(remote, base)))
        and known_checksum(difference, {}) is None
    )


def may_be_adopted(difference: Difference, policy: Policy) -> bool:
    """Whether the one remote file of a path that is not known is to be taken for the local one, by its size alone."""
    _, local, remote, base, surplus = difference
    if not policy.adopt_by_size or base is not None or surplus or local is None or remote is None:
        return False
    both_files = local.kind == remote.kind == Kind.FILE and remote.status == Status.COMPLETED
    return both_files and remote.checksum is None and remote.size == local.size


def refusal(local: LocalEntry, capabilities: Capabilities) -> str | None:
    """Why the remote cannot have this entry; None if it can."""
    path = path_of(local.key)
    directory = path.rpartition("/")[0]
    longest = max(map(len, path.split("/"))) if len(path) > capabilities.max_name_chars else 0
    if longest > capabilities.max_name_chars:
        return f"a name in its path has {longest} characters, the remote takes {capabilities.max_name_chars}"
    if len(directory) > capabilities.max_directory_chars:
        limit = capabilities.max_directory_chars
        if limit < 0:
            return f"the path of the destination itself has {-limit} characters more than the remote takes"
        return f"the directory's path has {len(directory)} characters, the remote takes {limit}"
    if local.kind == Kind.FILE and local.size > capabilities.max_size_bytes:
        return f"the file has {local.size} bytes, the remote takes {capabilities.max_size_bytes}"
    return None
