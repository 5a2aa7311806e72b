"""Changes of one source directory as hints: `ports.Watch`.

Put together by `app`, used by `engine`. Owns the thread that looks out and the mailbox between it and the event loop,
in which hints are merged and bounded. Never decides what changed: whoever takes a hint looks for himself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from pathlib import Path

from syncd.local.lookout import Lookout, Pace
from syncd.local.notifier import clock
from syncd.ports import Hint

MAILBOX_DIRECTORIES = 2000
"""More than these waiting to be fetched become one hint at everything."""
ANNOUNCED_AGAIN_S = 3600.0
CLOSE_S = 3.0
"""A thread that hangs in a dead filesystem is left behind after this long."""


async def open_watch(
    root: Path,
    *,
    follow_symlinks: bool = False,
    left_out: Collection[Path] = (),
    poll_s: float = 30.0,
    stall_s: float = 3.0,
) -> Watching:
    """The watch, in place when this returns; a source that is missing is waited for by the watch itself.

    `left_out` is not reported (syncd's own state, should it lie in the source). Where changes are not told, hints at
    everything come every `poll_s`. When the process did not run for `stall_s`, the watch is made anew.
    """
    watching = Watching(root, follow_symlinks=follow_symlinks, left_out=left_out, pace=Pace(poll_s, stall_s))
    try:
        await watching.start()
    except BaseException:
        await watching.aclose()
        raise
    return watching


class Watching:
    """`hints` is meant for one consumer."""

    def __init__(self, root: Path, *, follow_symlinks: bool, left_out: Collection[Path], pace: Pace) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._directories: frozenset[str] | None = frozenset()
        self._reason = ""
        self._oldest_ns: int | None = None
        self._woken = asyncio.Event()
        self._in_place = asyncio.Event()
        self._ended = asyncio.Event()
        self._closed = False
        self._unannounced = ("", 0.0)
        self._lookout = Lookout(
            root, follow_symlinks=follow_symlinks, left_out=left_out, pace=pace, tell=self._tell, ready=self._ready
        )
        self._thread = threading.Thread(target=self._run, name=f"watch {root}", daemon=True)

    async def start(self) -> None:
        self._thread.start()
        await self._in_place.wait()

    @property
    def degraded(self) -> str | None:
        reason, until = self._unannounced
        parts = [self._lookout.trouble, reason if clock() < until else None]
        return "; ".join(part for part in parts if part) or None

    async def hints(self) -> AsyncIterator[Hint]:
        """Raises RuntimeError if the thread died, which is an error of this program."""
        while not self._closed:
            await self._woken.wait()
            hint = self._take()
            if self._closed:
                return
            if hint is not None:
                yield hint
            elif self._ended.is_set():
                raise RuntimeError("the thread of the watch has ended")

    async def renew(self, reason: str) -> None:
        """The watch is made anew within a second or so, but not more often than every minute."""
        self._unannounced = (reason, clock() + ANNOUNCED_AGAIN_S)
        self._lookout.renew()

    async def aclose(self) -> None:
        self._closed = True
        self._woken.set()
        self._lookout.stop.set()
        if not self._thread.is_alive():
            return
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._ended.wait()
        except TimeoutError:
            return
        self._thread.join()

    def _run(self) -> None:
        try:
            self._lookout.run()
        finally:
            self._on_loop(self._end)

    def _end(self) -> None:
        self._ended.set()
        self._in_place.set()
        self._woken.set()

    def _ready(self) -> None:
        self._on_loop(self._in_place.set)

    def _tell(self, hint: Hint) -> None:
        with self._lock:
            self._directories = merged(self._directories, hint.directories)
            self._reason = hint.reason
            self._oldest_ns = min(filter(None, (self._oldest_ns, hint.oldest_ns)), default=None)
        self._on_loop(self._woken.set)

    def _on_loop(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop ended without closing this
            self._loop.call_soon_threadsafe(call)

    def _take(self) -> Hint | None:
        with self._lock:
            directories, self._directories = self._directories, frozenset()
            oldest_ns, self._oldest_ns = self._oldest_ns, None
            if not self._ended.is_set():
                self._woken.clear()
        return Hint(directories, self._reason, oldest_ns) if directories is None or directories else None


def merged(known: frozenset[str] | None, more: frozenset[str] | None) -> frozenset[str] | None:
    """None is everywhere, and so are more directories than the mailbox holds."""
    if known is None or more is None or len(known | more) > MAILBOX_DIRECTORIES:
        return None
    return known | more
