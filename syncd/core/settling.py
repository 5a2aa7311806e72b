"""Whether a file has held still for long enough to be sent.

Pure arithmetic over what `engine.keeper` saw of a file and when. There is no event for a file that was closed: its size
and modification time not having changed for a while is all that can be known; the stable read is the last defence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from syncd.core.model import LocalEntry

LARGE_BYTES = 64 * 1024 * 1024
"""A file of this size has to hold still twice as long as an empty one: whoever writes more may pause for longer."""
MOST_TIMES = 8.0
SOONEST_S = 0.005
MOST_SEEN = 1000
GONE_S = 60.0
"""A file that was due to be judged so long ago, and was not, is there no more."""


class Stillness(Enum):
    SETTLED = "settled"
    MOVING = "moving"
    GROWING = "growing"
    """Never held still for `settle_max_s` and only grew: may be sent as far as it is."""
    RESTLESS = "restless"
    """Never held still for `settle_max_s`, and what was there changed."""


class Verdict(NamedTuple):
    """`wait_s`: when to look again, in seconds from now."""

    stillness: Stillness
    wait_s: float


@dataclass(slots=True)
class _Seen:
    size: int
    mtime_ns: int
    first_s: float
    changed_s: float
    due_s: float
    only_grew: bool = True
    settled: bool = False
    """Remembered where its stamp does not tell: else it would be watched anew whenever it is looked at."""


class Settling:
    """Remembers the files that were seen moving. `settle_s` of a small file; `settle_max_s` of any."""

    def __init__(self, *, settle_s: float, settle_max_s: float) -> None:
        self._settle_s = settle_s
        self._settle_max_s = settle_max_s
        self._seen: dict[bytes, _Seen] = {}
        self._most_seen = MOST_SEEN

    def needed_s(self, size_bytes: int) -> float:
        """For how long a file of that size has to hold still, in seconds."""
        return self._settle_s * min(1.0 + size_bytes / LARGE_BYTES, MOST_TIMES)

    def judge(self, entry: LocalEntry, *, now_s: float, wall_ns: int) -> Verdict:
        """`now_s`: a monotonic time. `wall_ns`: the time by which files are stamped; a stamp in the future proves
        nothing, and the file is watched instead."""
        needed_s = self.needed_s(entry.size)
        age_s = (wall_ns - entry.mtime_ns) / 1e9
        seen = self._seen.get(entry.key)
        if seen is not None and seen.settled and (seen.size, seen.mtime_ns) != (entry.size, entry.mtime_ns):
            seen = None
        if age_s >= needed_s:
            self.forget([entry.key])
            return Verdict(Stillness.SETTLED, 0.0)
        if seen is None:
            self._drop_gone(now_s)
            seen = self._seen[entry.key] = _Seen(entry.size, entry.mtime_ns, now_s, now_s, now_s)
        elif (seen.size, seen.mtime_ns) != (entry.size, entry.mtime_ns):
            seen.only_grew = seen.only_grew and entry.size >= seen.size
            seen.size, seen.mtime_ns, seen.changed_s = entry.size, entry.mtime_ns, now_s
        elif seen.settled or now_s - seen.changed_s >= needed_s:
            seen.settled, seen.due_s = True, now_s
            return Verdict(Stillness.SETTLED, 0.0)
        still_s = seen.changed_s + needed_s - now_s
        wait_s = max(min(needed_s - age_s, still_s) if age_s >= 0 else still_s, SOONEST_S)
        seen.due_s = now_s + wait_s
        if now_s - seen.first_s < self._settle_max_s:
            return Verdict(Stillness.MOVING, wait_s)
        return Verdict(Stillness.GROWING if seen.only_grew else Stillness.RESTLESS, wait_s)

    def forget(self, keys: Iterable[bytes]) -> None:
        """What became of these files is known: the next change is the first."""
        for key in keys:
            self._seen.pop(key, None)

    def __len__(self) -> int:
        """How many files are remembered."""
        return len(self._seen)

    def _drop_gone(self, now_s: float) -> None:
        """Temporary files come and go without anybody telling what became of them."""
        if len(self._seen) < self._most_seen:
            return
        self._seen = {key: seen for key, seen in self._seen.items() if now_s - seen.due_s < GONE_S}
        self._most_seen = max(MOST_SEEN, 2 * len(self._seen))
