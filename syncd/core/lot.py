"""The deletions of one job on their way: collected, guarded as one lot, held, approved.

Pure state with the times given, kept by `engine.keeper`. A deletion noticed now is done only some seconds later, in
one lot with all that came meanwhile: so that `rm -rf` of a large tree is not many small batches, and so that what only
moved has time to appear elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from syncd.core.paths import path_of
from syncd.core.plan import Withheld

QUIET_S = 5.0
"""So long no deletion was added."""
LONGEST_S = 60.0
"""So long after the first one they are done whatever is added."""
COUNTED_S = 600.0
"""So long a deletion that was done counts for the guard of the next ones."""

AGAIN_S = 2.0
"""After a lot that could not be done, for example because the remote could not be reached."""


@dataclass(frozen=True, slots=True)
class Due:
    """The keys to be deleted now; approved ones pass the guard."""

    keys: frozenset[bytes]
    approved: bool


class Lot:
    def __init__(self) -> None:
        self._collected: dict[bytes, Withheld] = {}
        self._held: dict[bytes, Withheld] = {}
        self._approved: set[bytes] = set()
        self._first_s = 0.0
        self._since_s = 0.0
        self._last_s = 0.0
        self._not_before_s = 0.0
        self._agains = 0
        self._done: deque[tuple[float, int]] = deque()
        self.held_because: str | None = None

    @property
    def held(self) -> int:
        """How many files' deletions are held."""
        return sum(one.files for one in self._held.values())

    @property
    def held_paths(self) -> tuple[str, ...]:
        return tuple(path_of(key) for key in sorted(self._held) if self._held[key].files)

    @property
    def waiting(self) -> int:
        """How many deletions are collected, approved ones included, and not done yet."""
        return len(self._collected)

    @property
    def since_s(self) -> float | None:
        """Since when the oldest of those waits."""
        return self._since_s if self.waiting else None

    @property
    def keys(self) -> frozenset[bytes]:
        return frozenset((*self._collected, *self._held))

    def holds(self, key: bytes) -> bool:
        """Whether the deletion of this path is held."""
        return key in self._held

    def collects(self, key: bytes) -> bool:
        """Whether it is to be decided on with the next lot."""
        return key in self._collected

    def noticed(self, withheld: Iterable[Withheld], *, since_s: float, now_s: float) -> None:
        """Deletions that a plan would have made: those that are not known yet begin, or join, what is collected; of the
        others it is known now what replaces them. `since_s`: when the first sign of them came."""
        new = []
        for one in withheld:
            known = self._collected.get(one.key)
            if known is not None:
                self._collected[one.key] = known._replace(after=one.after or known.after)
            elif one.key not in self._held:
                new.append(one)
        if not new:
            return
        if not self.waiting:
            self._first_s, self._since_s = now_s, since_s
        self._since_s = min(self._since_s, since_s)
        self._last_s, self._agains = now_s, 0
        self._collected |= {one.key: one for one in new}

    def discard(self, keys: Iterable[bytes]) -> None:
        """These are no deletions any more: they came back, moved elsewhere, or are done."""
        for key in keys:
            self._collected.pop(key, None)
            self._held.pop(key, None)
            self._approved.discard(key)
        if not self._held:
            self.held_because = None

    def next_due_s(self) -> float | None:
        if not self.waiting:
            return None
        if self._approved:
            return self._not_before_s
        return max(min(self._last_s + QUIET_S, self._first_s + LONGEST_S), self._not_before_s)

    def due(self, now_s: float, *, is_unsynced: Callable[[str], bool]) -> Due | None:
        """What is to be done now. A path whose replacement is not there yet waits for it."""
        due_s = self.next_due_s()
        if due_s is None or now_s < due_s:
            return None
        if self._approved:
            return Due(frozenset(self._approved), True)
        ready = (one for one in self._collected.values() if one.after is None or not is_unsynced(one.after))
        keys = frozenset(one.key for one in ready)
        if not keys:
            self._not_before_s = now_s + AGAIN_S
            return None
        return Due(keys, False)

    def counted(self, now_s: float) -> int:
        """Files that count for the guard beside those of a lot: deleted lately, or held."""
        while self._done and self._done[0][0] <= now_s - COUNTED_S:
            self._done.popleft()
        return sum(files for _, files in self._done) + self.held

    def done(self, files: int, *, now_s: float) -> None:
        """So many files are being deleted now."""
        if files:
            self._agains = 0
            self._done.append((now_s, files))

    def hold(self, withheld: Iterable[Withheld], because: str) -> None:
        for one in withheld:
            if self._collected.pop(one.key, None) is not None:
                self._held[one.key] = one
        self.held_because = because

    def approve(self, *, now_s: float) -> int:
        """Release what is held; how many files that were."""
        files = self.held
        if not self.waiting:
            self._first_s = self._since_s = now_s
        self._collected |= self._held
        self._approved |= self._held.keys()
        self._held = {}
        self.held_because = None
        self._not_before_s, self._agains = now_s, 0
        return files

    def left(self, keys: frozenset[bytes], *, now_s: float) -> None:
        """What of a lot that was looked at still waits, for what is in it or for what replaces it, joins the next one:
        approved no longer, so that it keeps none of the others from being looked at."""
        left = keys & self._collected.keys()
        if left:
            self._approved -= left
            self.later(now_s)

    def later(self, now_s: float) -> None:
        """The lot could not be looked at, or not all of it done: it stays, and is tried again, each time after a longer
        while until something comes of it."""
        self._not_before_s = now_s + min(AGAIN_S * 2**self._agains, LONGEST_S)
        self._agains = min(self._agains + 1, 8)
