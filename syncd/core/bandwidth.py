"""How fast a job may send: a rate by the time of day, and the arithmetic of keeping to it.

Used by `remotes.throttle`, which brings the clocks and waits. Pure.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

PIECE_S = 0.05
"""A piece is what the rate sends in about this time: short, so that transfers at the same time take turns."""
SMALLEST_PIECE_BYTES = 4 * 1024
SLACK_S = 0.1
"""How much of a pause may be made up for: a timer's lateness must not lower the rate, an idle hour not raise it."""


class Change(NamedTuple):
    """From this minute of the day on, so many bytes a second; infinity is no limit."""

    minute: int
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Timetable:
    """Rates by the time of day, sorted by minute. The last one of a day holds until the first of the next; none at all
    is no limit."""

    changes: tuple[Change, ...] = ()

    def bytes_per_s(self, minute: int) -> float:
        """What applies at this minute of the day."""
        if not self.changes:
            return math.inf
        return self.changes[bisect_right(self.changes, (minute, math.inf)) - 1].bytes_per_s


UNLIMITED = Timetable()


def piece_bytes(bytes_per_s: float, *, largest: int) -> int:
    """How much to send at once at this rate."""
    if math.isinf(bytes_per_s):
        return largest
    return max(SMALLEST_PIECE_BYTES, min(largest, int(bytes_per_s * PIECE_S)))


@dataclass(slots=True)
class Bucket:
    """When the next bytes may go. Whoever asks first goes first, and pays for what it sends before the next does."""

    _free_s: float = -math.inf

    def reserve_s(self, size_bytes: int, bytes_per_s: float, *, now_s: float) -> float:
        """Take the turn after all that was reserved before; returns how long to wait for it, in seconds."""
        if math.isinf(bytes_per_s):
            self._free_s = -math.inf
            return 0.0
        start_s = max(self._free_s, now_s - SLACK_S)
        self._free_s = start_s + size_bytes / bytes_per_s
        return max(0.0, start_s - now_s)
