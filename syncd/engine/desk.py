"""What one job of the daemon has on its desk: where to look, what is being worked on, what waits.

Shared by `keeper`, `rounds` and `carry`, which change it between two awaits only. It holds state and decides nothing
about files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from syncd.core.busy import Busy
from syncd.core.lot import Lot
from syncd.core.paths import parent_of, path_of
from syncd.core.queue import WorkQueue
from syncd.core.settling import Settling


@dataclass(slots=True)
class _Blocked:
    """A directory that has to be looked at again when these keys are no longer worked on."""

    since_s: float
    keys: set[bytes]


@dataclass(slots=True)
class Desk:
    settling: Settling
    queue: WorkQueue = field(default_factory=WorkQueue)
    lot: Lot = field(default_factory=Lot)
    busy: Busy = field(default_factory=Busy)
    records: int = 0
    """How many records the destination has, as far as is known."""
    whole_moves_from_s: float = 0.0
    """Until then directories are moved file by file: one could not be moved as a whole."""
    drifting: set[bytes] = field(default_factory=set)
    """What somebody else changed on the destination and is not known to be put right: locally nothing tells of it."""
    _blocked: dict[str, _Blocked] = field(default_factory=dict)

    def block(self, keys: Iterable[bytes], *, since_s: float, now_s: float) -> None:
        """These could not be decided on: their directories are looked at again as soon as they can."""
        for key in keys:
            directory = path_of(parent_of(key))
            if not self.busy.now.touch(key):
                self.queue.look_at([directory], since_s=since_s, due_s=now_s)
                continue
            blocked = self._blocked.setdefault(directory, _Blocked(since_s, set()))
            blocked.since_s = min(blocked.since_s, since_s)
            blocked.keys.add(key)

    def release(self, keys: Collection[bytes], *, now_s: float) -> None:
        """The outcomes of operations on these are in the baseline."""
        self.busy.release(keys)
        for directory, blocked in list(self._blocked.items()):
            if not any(self.busy.now.touch(key) for key in blocked.keys):
                del self._blocked[directory]
                self.queue.look_at([directory], since_s=blocked.since_s, due_s=now_s)

    def to_be_asked(self) -> set[bytes]:
        """The directories of which the remote has to be asked although nothing changed locally."""
        resting = self.queue.resting
        return {parent_of(key) for key in self.drifting if path_of(key) not in resting}

    def blocked_since_s(self) -> float | None:
        return min((one.since_s for one in self._blocked.values()), default=None)

    @property
    def blocked(self) -> int:
        return len(self._blocked)


def directories_of(keys: Iterable[bytes]) -> set[str]:
    """The directories that hold these."""
    return {path_of(parent_of(key)) for key in keys}
