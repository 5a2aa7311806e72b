"""The thread that watches one source: when to listen, when to begin anew, when to look from time to time.

Started by `watch`, which takes what it tells. Owns the notifier and what it covers, both touched by this thread alone.
Never compares files: it says where somebody should look, too much rather than too little.
"""

# ruff: noqa: PTH112, PTH116, PTH118, PTH120
# Strings as the notifier takes and gives them; pathlib would cost a multiple for every change.

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from syncd.core.words import count_text
from syncd.local.cover import Cover, blind_now, directories_below, is_inside, survey
from syncd.local.mounts import untold_filesystem
from syncd.local.notifier import ADDED, Lost, Notifier, Refused, Unsteady, clock, is_full
from syncd.ports import Hint

BATCH_PATHS = 500
"""More at once, and part of it went untold (measured: 44 % of the paths of a large copy)."""
FLOOD_PATHS = 4000
"""More at once, and the kernel's queue (16,384 events) may have run over: new directories may be unwatched."""
LOOK_S = 1.0
"""How often the root's identity is checked."""
RENEW_S = 60.0
"""A watch younger than this is not renewed on demand: who finds changes all the time would do nothing else."""
REFUSED_S = 300.0
"""After this long a refused watch is tried again."""
BUILD_SHARE = 20
"""A watch lasts at least so many times as long as making it took."""
BREAKS_APART_S = 60.0
"""Breaks closer together than this are waited out, longer each time."""
ATTEMPTS = 5


class Pace(NamedTuple):
    """`poll_s` between two hints where changes are not told; `stall_s` without progress mean something was missed."""

    poll_s: float
    stall_s: float


class Place(NamedTuple):
    """Which directory the source is at this moment."""

    root: str
    device: int
    inode: int


class Due(NamedTuple):
    """The watch is to be made anew, and then looked at these directories (absolute; None: everywhere)."""

    at: float
    directories: frozenset[str] | None
    reason: str


class Lookout:
    """`tell` and `ready` are called in the thread that runs `run`; `ready` once, when the watch is in place (or the
    source is known to be missing)."""

    def __init__(
        self,
        source: Path,
        *,
        follow_symlinks: bool,
        left_out: Collection[Path],
        pace: Pace,
        tell: Callable[[Hint], None],
        ready: Callable[[], None],
    ) -> None:
        self.stop = threading.Event()
        self._source = source
        self._follow = follow_symlinks
        self._left_out = tuple(os.path.realpath(path) for path in left_out)
        self._pace = pace
        self._tell, self._ready = tell, ready
        self._place: Place | None = None
        self._cover = Cover("")
        self._whole: frozenset[str] = frozenset()
        self._notifier: Notifier | None = None
        self._refused: str | None = None
        self._filesystem: str | None = None
        self._due: Due | None = None
        self._built_at, self._built_s = 0.0, 0.0
        self._broke_at, self._break_pause_s = float("-inf"), 0.0
        self._flooded_at: float | None = None
        self._newest: str | None = None
        self._look_at, self._poll_at = 0.0, 0.0
        self._renewal = False

    @property
    def trouble(self) -> str | None:
        """Why changes are noticed late, None if they are not. May be asked by any thread."""
        if self._place is None:
            return "the source is missing"
        parts = []
        if self._refused is not None:
            parts.append(self._refused)
        elif self._break_pause_s > 1:
            parts.append("the watch keeps breaking")
        if self._filesystem is not None:
            parts.append(f"a filesystem of type {self._filesystem} does not tell every change")
        if self._cover.blind:
            parts.append(f"{count_text(len(self._cover.blind), 'directory')} with names that are not UTF-8")
        return f"{', '.join(parts)}: looked at every {self._pace.poll_s:g} s" if parts else None

    def renew(self) -> None:
        """Make the watch anew soon. May be called by any thread."""
        self._renewal = True

    def run(self) -> None:
        """Until `stop` is set."""
        try:
            self._place = locate(self._source)
            self._build()
            self._poll_at = clock() + self._pace.poll_s
            self._ready()
            while not self.stop.is_set():
                self._turn()
        finally:
            self._drop()

    def _turn(self) -> None:
        changes = self._listen()
        if changes:
            self._sort(changes)
        now = clock()
        if self._flooded_at is not None and (not changes or now - self._flooded_at > LOOK_S * 10):
            self._flooded_at = None
            self._ask(None, "the watch was made anew after many changes")
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._look_around(now)
        if self._due is not None and now >= self._due.at:
            self._remake(self._due)
        if now >= self._poll_at:
            self._poll_at = now + self._pace.poll_s
            self._poll()

    def _listen(self) -> set[tuple[int, str]]:
        pause_s = max(0.02, min(LOOK_S, self._due.at - clock() if self._due else LOOK_S))
        if self._notifier is None:
            self.stop.wait(pause_s)
            return set()
        try:
            return self._notifier.changes(timeout_s=pause_s, stall_s=self._pace.stall_s, stop=self.stop)
        except Lost as error:
            self._drop()
            self._wait_out_break()
            self._ask(None, f"the watch broke: {error}", pause_s=self._break_pause_s)
            return set()

    def _wait_out_break(self) -> None:
        now = clock()
        quiet = now - self._broke_at > BREAKS_APART_S + self._break_pause_s
        self._break_pause_s = 0.0 if quiet else min(BREAKS_APART_S, max(1.0, self._break_pause_s * 2))
        self._broke_at = now

    def _sort(self, changes: set[tuple[int, str]]) -> None:
        """Turn changes into the directories to look at: what they are in, and all of a directory that is new."""
        if len(changes) > BATCH_PATHS:
            if len(changes) > FLOOD_PATHS or any(kind == ADDED and os.path.isdir(path) for kind, path in changes):
                self._flooded_at = self._flooded_at or clock()
            self._tell(Hint(None, f"{len(changes)} changes at once"))
            return
        directories: set[str] = set()
        made_ns: list[int] = []
        for kind, path in changes:
            made_ns.extend(_changed_ns(path))
            directories.add(os.path.dirname(path) if path != self._cover.root else path)
            if kind == ADDED or path in self._cover.unreadable:
                directories.update(self._new_at(path))
        self._tell_of(directories, "changes", oldest_ns=min(made_ns, default=None))

    def _new_at(self, path: str) -> Iterable[str]:
        """The directories at and below a path that is new; asks for a new watch where this one does not reach them."""
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            return ()
        if stat.S_ISLNK(mode) and self._follow:
            self._ask(None, "a new symlink")
        if not stat.S_ISDIR(mode):
            return ()
        below = directories_below(path, limit=BATCH_PATHS)
        if below is None:
            self._ask(None, "a large directory is new")
            return ()
        directories, odd = below
        self._newest = path
        if odd or not self._reaches(path):
            self._ask(frozenset(directories), "new directories")
        return directories

    def _reaches(self, path: str) -> bool:
        """Whether new directories at this path are watched without further ado."""
        if self._cover.single:
            return True
        parent = os.path.dirname(path)
        while is_inside(parent, self._cover.root) and parent not in self._whole:
            if parent == self._cover.root:
                return False
            parent = os.path.dirname(parent)
        return parent in self._whole

    def _tell_of(self, directories: Iterable[str], reason: str, *, oldest_ns: int | None = None) -> None:
        inside = {path for path in directories if is_inside(path, self._cover.root) and not self._is_left_out(path)}
        self._see_through_links(inside)
        if len(inside) > BATCH_PATHS:
            self._tell(Hint(None, reason, oldest_ns))
        elif inside:
            start = len(self._cover.root.rstrip("/")) + 1
            self._tell(Hint(frozenset(path[start:] for path in inside), reason, oldest_ns))

    def _see_through_links(self, directories: set[str]) -> None:
        """Add where else the directories are seen; through links to links too, until nothing new comes or it is much
        (links in a circle never end)."""
        fresh = set(directories)
        while fresh and len(directories) <= BATCH_PATHS:
            pairs = [(path, twin) for path in fresh for twin in self._cover.twins if is_inside(path, twin[0])]
            fresh = {link + path[len(target) :] for path, (target, link) in pairs} - directories
            directories |= fresh

    def _is_left_out(self, path: str) -> bool:
        return any(is_inside(path, left_out) for left_out in self._left_out)

    def _look_around(self, now: float) -> None:
        place = locate(self._source)
        if place != self._place:
            self._settle_in(place)
        if self._renewal:
            self._renewal = False
            if now - self._built_at >= RENEW_S:
                self._ask(frozenset(), "renewed")
        if self._newest is not None and self._notifier is not None and is_full(self._newest):
            self._ask(None, "there were not enough watches for new directories")
        self._newest = None
        for path in list(self._cover.blind):
            self._look_at_blind(path)

    def _settle_in(self, place: Place | None) -> None:
        """The source is another one than it was."""
        missing, self._place = self._place is None, place
        self._drop()
        self._cover = Cover("")
        self._build()
        if place is None:
            self._tell(Hint(None, "the source is gone"))
        else:
            self._tell(Hint(None, "the source is back" if missing else "the source was replaced"))

    def _look_at_blind(self, path: str) -> None:
        """Its time of change tells what a watch would, but for what is written in place."""
        known = self._cover.blind[path]
        try:
            if os.stat(path).st_mtime_ns == known.mtime_ns:
                return
        except OSError:
            pass
        self._tell_of({path}, "changes")
        blind = blind_now(path)
        if blind is None:
            del self._cover.blind[path]
            self._ask(frozenset([path]), "can be watched again")
            return
        self._cover.blind[path] = blind
        for name in blind.directories - known.directories:
            self._tell_of(self._new_at(os.path.join(path, name)), "changes")

    def _poll(self) -> None:
        if self._place is not None and (self._notifier is None or self._filesystem is not None):
            self._tell(Hint(None, "polling"))
        elif self._cover.blind:
            self._tell_of(self._cover.blind, "polling")

    def _ask(self, directories: frozenset[str] | None, reason: str, *, pause_s: float = 0.0) -> None:
        """Have the watch made anew as soon as the last one is old enough."""
        at = max(clock() + pause_s, self._built_at + max(LOOK_S, self._built_s * BUILD_SHARE))
        if self._due is not None:
            everywhere = directories is None or self._due.directories is None
            directories = None if everywhere else (self._due.directories or frozenset()) | (directories or frozenset())
            at = max(at, self._due.at) if self._notifier is None else at
        self._due = Due(at, directories, reason)

    def _remake(self, due: Due) -> None:
        """The old watch goes when the new one is there, unless both are more than the limits allow."""
        old, self._notifier = self._notifier, None
        built = self._build()
        if not built and old is not None:
            old.close()
            old = None
            built = self._build()
        everywhere = due.directories is None or old is None
        if old is not None:
            everywhere = not self._empty(old) or everywhere
        if built:
            self._tell_of_all(None if everywhere else due.directories, due.reason)

    def _tell_of_all(self, directories: frozenset[str] | None, reason: str) -> None:
        if directories is None:
            self._tell(Hint(None, reason))
        else:
            self._tell_of(directories, reason)

    def _empty(self, old: Notifier) -> bool:
        """Take what an old watch still has. Whether it had not broken."""
        try:
            changes = old.changes(timeout_s=0.0, stall_s=self._pace.stall_s, stop=self.stop)
        except Lost:
            return False
        finally:
            old.close()
        if changes:
            self._sort(changes)
        return True

    def _build(self) -> bool:
        """Whether there is a watch now. If not, trying again is due."""
        self._due, self._refused, retry_s = None, None, self._pace.poll_s
        if self._place is None:
            return False
        self._filesystem = untold_filesystem(self._place.root)
        for attempt in range(ATTEMPTS):
            started = clock()
            try:
                self._cover = survey(self._place.root, follow_symlinks=self._follow)
                self._whole = frozenset(self._cover.recursive)
                self._notifier = Notifier(self._cover)
            except Refused as error:
                self._refused, retry_s = str(error), REFUSED_S
                break
            except (Unsteady, OSError) as error:
                self._refused = f"the source cannot be watched ({error})"
                self.stop.wait(0.02 * attempt)
                continue
            self._refused = None
            self._built_at, self._built_s = clock(), clock() - started
            return True
        self._ask(None, "the watch is in place again", pause_s=retry_s)
        return False

    def _drop(self) -> None:
        if self._notifier is not None:
            self._notifier.close()
            self._notifier = None


def _changed_ns(path: str) -> Iterable[int]:
    """When what is at the path was changed last, renaming included; nothing where it is gone."""
    try:
        return (os.lstat(path).st_ctime_ns,)
    except OSError:
        return ()


def locate(source: Path) -> Place | None:
    """None while there is no directory at the path that can be looked at."""
    try:
        root = os.path.realpath(source, strict=True)
        status = os.stat(root)
    except OSError:
        return None
    return Place(root, status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
