"""Where the sides differ, said of every path: what `syncd check` tells.

Called by `engine.check` with what each side has and, where it was asked for, the checksums of both. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from syncd.core.diff import Difference
from syncd.core.model import Kind, LocalEntry, RemoteEntry, Status
from syncd.core.paths import is_below, path_of
from syncd.core.policy import Filter
from syncd.core.sides import content_of, is_left_out


class Verdict(Enum):
    MISSING = "missing"
    """On the source, not on the destination."""
    EXTRA = "extra"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """Nobody can tell: the destination gives no checksum, or the source cannot be read."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    path: str
    kind: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Files of equal size whose contents have to be compared. `content`: the checksum of the remote one, as far as it
    is known without reading it."""

    path: str
    local: LocalEntry
    remote: RemoteEntry
    content: str | None


UNREADABLE = "cannot be read here"
PENDING = "its upload is not complete"
NO_CHECKSUM = "the destination gives no checksum of it"
REPEATED = "a further record of the same path"


class Comparing:
    """What the stream of all paths, in their order, comes to. `trust_baseline`: what the baseline knows of a record is
    taken for its checksum where it has none."""

    def __init__(self, filters: Filter, *, trust_baseline: bool) -> None:
        self._filters = filters
        self._trust_baseline = trust_baseline
        self._unreadable: bytes | None = None

    def take(self, one: Difference) -> list[Mismatch | Pair]:
        """Nothing for paths that do not differ or are not looked at."""
        found = self._of_files(one)
        here = one.remote is not None and not is_left_out(one.key, one.remote, self._filters)
        repeats = sum(record.kind == Kind.FILE for record in one.surplus) if here else 0
        return [*found, *[Mismatch(path_of(one.key), Verdict.EXTRA, REPEATED)] * repeats]

    def _of_files(self, one: Difference) -> list[Mismatch | Pair]:
        path, local, remote = path_of(one.key), one.local, one.remote
        if remote is not None and is_left_out(one.key, remote, self._filters):
            remote = None
        if local is not None and local.kind == Kind.UNREADABLE:
            self._unreadable = one.key
            return [Mismatch(path, Verdict.UNKNOWN, UNREADABLE)]
        if self._unreadable is not None and is_below(one.key, self._unreadable):
            return [Mismatch(path, Verdict.UNKNOWN, UNREADABLE)] if _is_file(remote) else []
        if local is None or local.kind in (Kind.SYMLINK, Kind.SPECIAL):
            is_there = remote is not None and _is_file(remote) and remote.status == Status.COMPLETED
            return [Mismatch(path, Verdict.EXTRA)] if is_there else []
        if local.kind == Kind.DIRECTORY:
            return [Mismatch(path, Verdict.DIFFERENT, "a directory here, a file there")] if _is_file(remote) else []
        if remote is None:
            return [Mismatch(path, Verdict.MISSING)]
        return [self._of_both(path, local, remote, one)]

    def _of_both(self, path: str, local: LocalEntry, remote: RemoteEntry, one: Difference) -> Mismatch | Pair:
        if remote.kind == Kind.DIRECTORY:
            return Mismatch(path, Verdict.DIFFERENT, "a file here, a directory there")
        if remote.status != Status.COMPLETED:
            return Mismatch(path, Verdict.MISSING, PENDING)
        if local.size != remote.size:
            return Mismatch(path, Verdict.DIFFERENT, f"{local.size} bytes here, {remote.size} there")
        content = content_of(remote, one.base) if self._trust_baseline else remote.checksum
        return Pair(path, local, remote, content)


def compared(pair: Pair, mine: str | None, theirs: str | None) -> Mismatch | None:
    """What two checksums come to, None for equality. A checksum that could not be had is None."""
    if mine is None:
        return Mismatch(pair.path, Verdict.UNKNOWN, UNREADABLE)
    if theirs is None:
        return Mismatch(pair.path, Verdict.UNKNOWN, NO_CHECKSUM)
    return None if mine == theirs else Mismatch(pair.path, Verdict.DIFFERENT, "other content")


def _is_file(remote: RemoteEntry | None) -> bool:
    return remote is not None and remote.kind == Kind.FILE
