"""watchfiles' notifier on what a `Cover` says, with its habits made into a few plain answers.

Called by `lookout` in its thread. The Rust class is used as it is: `watchfiles.watch` adds a filter in Python and
retries nothing. Never used with its `ignore_permission_denied`, which hides a missing directory and a reached limit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from syncd.local.cover import Cover

ADDED = 1
"""The number of an addition; a modification is 2, a deletion 3 (watchfiles.Change)."""
STEP_MS = 20
"""How often the notifier looks whether something came: 29 ms to the first event, 0.5 % of a core (measured)."""
QUIET_STEP_MS = 50
"""The same where nothing came for a while, for half of that; what it is late by is less than most files settle."""
QUIET_AFTER_S = 5.0
DEBOUNCE_MS = 200
"""For how long changes that keep coming are collected at most."""


class Refused(Exception):
    """The kernel does not give a watch; the message says why and what to do."""


class OutOfWatches(Refused):
    """The limit of inotify watches is reached."""


class Unsteady(Exception):
    """The tree changed while its watch was made."""


class Lost(Exception):
    """The watch broke: what it would have told is unknown."""


def clock() -> float:
    """Seconds that also pass while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Notifier:
    """Making one holds up every other thread of the process (the Rust code keeps the interpreter's lock): 40 ms of CPU
    for 10,000 files in 1,000 directories, measured. Raises Refused, Unsteady."""

    def __init__(self, cover: Cover) -> None:
        self._parts: list[RustNotify] = []
        self._lively_until = clock() + QUIET_AFTER_S
        try:
            self._add(cover.recursive, recursive=True)
            self._add(cover.flat, recursive=False)
        except (OSError, WatchfilesRustInternalError, UnicodeEncodeError) as error:
            self.close()
            raise _translated(error) from error

    def changes(self, *, timeout_s: float, stall_s: float, stop: threading.Event) -> set[tuple[int, str]]:
        """Changes and their absolute paths, none when nothing came or `stop` was set. Raises Lost, also when the call
        took `stall_s` longer than it may: the process did not run meanwhile, and the kernel's queue may have run
        over without a word."""
        started = clock()
        until = _Until(stop, started + timeout_s + DEBOUNCE_MS / 1000 + stall_s)
        found = self._wait(until, started + timeout_s)
        if not stop.is_set() and until.is_set():
            raise Lost(f"nothing was read for {clock() - started:.0f} s")
        if found:
            self._lively_until = clock() + QUIET_AFTER_S
        return found

    def close(self) -> None:
        for part in self._parts:
            part.close()
        self._parts.clear()

    def _add(self, paths: Sequence[str], *, recursive: bool) -> None:
        if paths:
            self._parts.append(RustNotify(list(paths), False, False, 0, recursive, False))

    def _wait(self, until: _Until, end: float) -> set[tuple[int, str]]:
        """With two parts each is looked at in turn."""
        if not self._parts:
            until.stop.wait(max(0.0, end - clock()))
            return set()
        step_ms = STEP_MS if clock() < self._lively_until else QUIET_STEP_MS
        while True:
            found: set[tuple[int, str]] = set()
            left_ms = max(1, int((end - clock()) * 1000))
            for part in self._parts:
                timeout_ms = left_ms if len(self._parts) == 1 else 1
                found |= _changes_of(part, until, step_ms=step_ms, timeout_ms=timeout_ms)
            if found or until.is_set() or clock() >= end:
                return found


def is_full(directory: str) -> bool:
    """Whether there is no watch left for this one directory. A notifier does not say so once it is made: new
    directories just stay unwatched."""
    try:
        Notifier(Cover(directory, flat=[directory])).close()
    except OutOfWatches:
        return True
    except (Refused, Unsteady):
        return False
    return False


class _Until:
    """What the notifier asks between two looks. It counts its own time by the wall clock, which may be set back."""

    def __init__(self, stop: threading.Event, limit: float) -> None:
        self.stop = stop
        self._limit = limit

    def is_set(self) -> bool:
        return self.stop.is_set() or clock() > self._limit


def _changes_of(part: RustNotify, until: _Until, *, step_ms: int, timeout_ms: int) -> set[tuple[int, str]]:
    try:
        answer = part.watch(DEBOUNCE_MS, step_ms, timeout_ms, until)
    except WatchfilesRustInternalError as error:
        raise Lost(str(error)) from error
    return set() if isinstance(answer, str) else answer


def _translated(error: OSError | WatchfilesRustInternalError | UnicodeEncodeError) -> Exception:
    text = str(error)
    if isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError):
        return Unsteady(text)
    if "watch limit" in text:
        return OutOfWatches("no inotify watch is left (fs.inotify.max_user_watches)")
    if "os error 24" in text:
        return Refused("no inotify instance or file descriptor is left (fs.inotify.max_user_instances, ulimit -n)")
    return Refused(f"inotify cannot be used: {text}")
