"""Where one job has to look, and when.

Pure state with the times given, kept by `engine.keeper`. It holds directories, not events: a thousand changes in one
directory are one entry. What keeps failing is parked with its own back-off, so that the rest flows on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from syncd.core.model import LocalEntry, Problem

MOST_DIRECTORIES = 10_000
"""More dirty directories than this are the whole tree."""
FIRST_RETRY_S = 2.0
RETRY_GROWTH = 3.0
LONGEST_RETRY_S = 900.0


class Dirty(NamedTuple):
    """`since_s`: the oldest change that made it dirty was noticed then."""

    since_s: float
    due_s: float


@dataclass(frozen=True, slots=True)
class Parked:
    """A path that failed `tries` times. `entry` is what it was locally then: a change of that ends the waiting."""

    problem: Problem
    since_s: float
    tries: int
    due_s: float
    entry: LocalEntry | None
    trying: bool = False
    """Its time has come: it is tried by the next look at its directory."""


class WorkQueue:
    def __init__(self, *, most_directories: int = MOST_DIRECTORIES) -> None:
        self._most = most_directories
        self._dirty: dict[str, Dirty] = {}
        self._everywhere: Dirty | None = None
        self._full: Dirty | None = None
        self._resting: dict[str, float] = {}
        self._parked: dict[str, Parked] = {}

    def depth(self, now_s: float) -> int:
        """How many scopes wait; the next reconcile of both sides only once it is due."""
        is_due = self._full is not None and self._full.due_s <= now_s
        return len(self._dirty) + (self._everywhere is not None) + is_due

    @property
    def parked(self) -> tuple[Problem, ...]:
        return tuple(self._parked[path].problem for path in sorted(self._parked))

    @property
    def directories(self) -> frozenset[str]:
        return frozenset(self._dirty)

    def look_at(self, directories: Iterable[str], *, since_s: float, due_s: float) -> None:
        """These are to be looked at when they are due; one that is waiting already keeps the earlier times."""
        for directory in directories:
            self._dirty[directory] = _earlier(self._dirty.get(directory), Dirty(since_s, due_s))
        if len(self._dirty) > self._most:
            oldest_s = min(one.since_s for one in self._dirty.values())
            self._dirty.clear()
            self.look_everywhere(since_s=oldest_s, due_s=due_s)

    def look_everywhere(self, *, since_s: float, due_s: float) -> None:
        """The whole local tree is to be compared with what is known."""
        self._everywhere = _earlier(self._everywhere, Dirty(since_s, due_s))

    def reconcile_all(self, *, since_s: float, due_s: float) -> None:
        """Both sides are to be compared as a whole."""
        self._full = _earlier(self._full, Dirty(since_s, due_s))

    def rest(self, directory: str, *, until_s: float) -> None:
        """It is costly to look at: it is not due before."""
        self._resting[directory] = until_s

    def take_full(self, now_s: float) -> float | None:
        """Since when both sides as a whole wait to be compared, if they are due."""
        if self._full is None or self._full.due_s > now_s:
            return None
        since_s, self._full = self._full.since_s, None
        return since_s

    def take_everywhere(self, now_s: float) -> float | None:
        """Since when the whole local tree waits to be looked at, if it is due."""
        if self._everywhere is None or self._everywhere.due_s > now_s:
            return None
        since_s, self._everywhere = self._everywhere.since_s, None
        return since_s

    def take(self, now_s: float) -> dict[str, float]:
        """The directories that are due, those of parked paths that are to be tried again included, each with since
        when it is dirty."""
        for path, parked in self._parked.items():
            if parked.due_s <= now_s and not parked.trying:
                self._parked[path] = replace(parked, trying=True)
                self.look_at([_directory_of(path)], since_s=parked.since_s, due_s=now_s)
        self._resting = {directory: until_s for directory, until_s in self._resting.items() if until_s > now_s}
        due = {directory: one for directory, one in self._dirty.items() if one.due_s <= now_s}
        taken = {directory: one.since_s for directory, one in due.items() if directory not in self._resting}
        for directory in taken:
            del self._dirty[directory]
        return taken

    def next_directory_s(self) -> float | None:
        """When the next directory is due."""
        dues = [max(one.due_s, self._resting.get(directory, one.due_s)) for directory, one in self._dirty.items()]
        dues += [one.due_s for one in self._parked.values() if not one.trying]
        return min(dues, default=None)

    def next_everywhere_s(self) -> float | None:
        return self._everywhere.due_s if self._everywhere is not None else None

    def next_full_s(self) -> float | None:
        return self._full.due_s if self._full is not None else None

    def oldest_s(self) -> float | None:
        """Since when the oldest change waits, parked ones included."""
        sinces = [one.since_s for one in self._dirty.values()]
        sinces += [one.since_s for one in self._parked.values()]
        return min(sinces, default=None)

    def waits_since(self, until_s: float) -> bool:
        """Whether something that was noticed until then is still to be looked at; parked paths are not counted."""
        waiting = [*self._dirty.values(), *(one for one in (self._everywhere, self._full) if one is not None)]
        return any(one.since_s <= until_s for one in waiting)

    def park(self, problem: Problem, *, now_s: float, entry: LocalEntry | None, chance: float) -> None:
        """The path failed: it is tried again later, each time after a longer while. `chance` is in [0, 1)."""
        known = self._parked.get(problem.path)
        tries = known.tries + 1 if known is not None else 1
        wait_s = min(FIRST_RETRY_S * RETRY_GROWTH ** min(tries - 1, 20), LONGEST_RETRY_S) * (0.75 + chance / 2)
        since_s = known.since_s if known is not None else now_s
        self._parked[problem.path] = Parked(problem, since_s, tries, now_s + wait_s, entry)

    def rests(self, path: str, entry: LocalEntry | None) -> bool:
        """Whether the path is parked and not to be tried now: it is as it was and its time has not come."""
        parked = self._parked.get(path)
        return parked is not None and not parked.trying and parked.entry == entry

    @property
    def resting(self) -> frozenset[str]:
        """The parked paths whose time has not come."""
        return frozenset(path for path, parked in self._parked.items() if not parked.trying)

    def solved(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._parked.pop(path, None)

    def solved_if(self, path: str, error: str) -> None:
        """The path is parked no more if it was for just this."""
        parked = self._parked.get(path)
        if parked is not None and parked.problem.error == error:
            del self._parked[path]

    def parked_at(self, path: str) -> Parked | None:
        return self._parked.get(path)

    def due_s(self, directory: str) -> float | None:
        """When the directory is looked at, by itself or with everything; None where it is not waiting."""
        dues = [one.due_s for one in (self._dirty.get(directory), self._everywhere) if one is not None]
        return min(dues, default=None)

    def parked_paths(self) -> tuple[str, ...]:
        return tuple(self._parked)


def _earlier(one: Dirty | None, other: Dirty) -> Dirty:
    return other if one is None else Dirty(min(one.since_s, other.since_s), min(one.due_s, other.due_s))


def _directory_of(path: str) -> str:
    return path.rpartition("/")[0]
