"""What stands between a decision and a disaster: the delete guard and the identity of the source.

Pure verdicts over counts, called by `core.plan` and `engine.reconcile` before anything is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from syncd.core.diff import Census
from syncd.core.model import MaxDelete, SourceIdentity

PERCENTAGE_BITES_FROM = 20
"""Fewer deletions than this pass a percentage: in a small tree every clean-up is a large share."""
SUSPICIOUS_FROM = 5
"""With fewer known files than this, an emptied or exchanged source proves nothing."""


class Source(Enum):
    SAME = "same"
    MOVED = "moved"
    """Another filesystem, but at least half of the known files are there: taken, and said."""
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Guard:
    """What the verdict on a job's deletions depends on, beside their number."""

    max_delete: MaxDelete
    known: int
    """Files known on the destination."""
    suspicion: str | None = None
    """Why no deletion of this run may be believed, whatever their number."""
    done: int = 0
    """Files that this run has deleted already, by a plan before this one."""

    def held(self, deletions: int) -> str | None:
        """Why this many deletions of files must be held; None if they may be done."""
        if not deletions:
            return None
        if self.max_delete.percent is not None and self.max_delete.percent >= 100:
            return None
        if self.suspicion is not None:
            return self.suspicion
        if self.max_delete.count is not None:
            limit: float = self.max_delete.count
            said = f"max_delete = {self.max_delete.count}"
        else:
            percent = self.max_delete.percent or 0.0
            known = self.known + self.done
            limit = max(percent * known / 100, PERCENTAGE_BITES_FROM - 1)
            said = f"max_delete = {percent:g}% of {known} known files"
        if deletions + self.done <= limit:
            return None
        before = f" after {self.done} before" if self.done else ""
        return f"{deletions} to delete{before}, more than {said}"


DOUBTED = 0
"""As the remembered inode of a source that was exchanged: the deletions which that would cause are still held. The
files of the new source are known by then, so that nothing else tells."""


def suspicion(remembered: SourceIdentity | None, current: SourceIdentity, census: Census) -> str | None:
    """Why what the source lacks cannot be taken for deleted; None if it can."""
    if census.known < SUSPICIOUS_FROM:
        return None
    if census.local == 0:
        return f"the source is empty, and {census.known} files were known"
    if remembered is not None and remembered.inode == DOUBTED:
        return "the source was exchanged for another directory, and what it lacks was held since"
    if remembered is not None and remembered.inode != current.inode and census.present == 0:
        return f"the source is another directory and has none of the {census.known} known files"
    return None


def to_remember(
    remembered: SourceIdentity | None, current: SourceIdentity, census: Census, *, doubted: bool
) -> SourceIdentity | None:
    """What to remember of the source after a run. `doubted`: deletions are held for the source's sake."""
    if not doubted:
        return current
    if remembered is None or remembered.inode == current.inode or census.local == 0:
        return remembered
    return SourceIdentity(remembered.filesystem, DOUBTED)


def source_verdict(remembered: SourceIdentity | None, current: SourceIdentity, census: Census) -> Source:
    """Whether the source is on the filesystem it was on at the last sync; filesystem 0 is unknown."""
    if remembered is None or remembered.filesystem == current.filesystem:
        return Source.SAME
    if 0 in (remembered.filesystem, current.filesystem):
        return Source.SAME
    return Source.MOVED if 2 * census.present >= census.known else Source.FOREIGN
