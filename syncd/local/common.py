"""One source that several jobs keep on several destinations: walked once for all of them, each file hashed once.

Used by `app` where jobs have their source in common. Jobs whose rules differ only share what was hashed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from itertools import islice
from typing import Any

from syncd.core.model import UNTRUSTED, Fingerprint, LocalEntry
from syncd.local.tree import Tree

TOGETHER_S = 2.0
"""So long after a walk began others join it: what it saw first may be that old for the last of them."""
JOINABLE = 20_000
"""And only while it has seen no more entries than these, which are kept until then."""
AT_ONCE = 256
MOST_CHECKSUMS = 50_000


class _Walk:
    """One walk that is read by several threads, each at its own speed."""

    def __init__(self, entries: Iterator[LocalEntry], begun_s: float) -> None:
        self.begun_s = begun_s
        self._entries = entries
        self._lock = threading.Lock()
        self._seen: list[LocalEntry] | None = []
        self._readers: set[Hashable] = set()
        self._ahead: list[deque[LocalEntry]] = []
        self._ended = False
        self._failure: Exception | None = None

    def join(self, reader: Hashable) -> Iterator[LocalEntry] | None:
        """The whole walk for this reader; None where it began too long ago, or the reader has had it."""
        with self._lock:
            if self._seen is None or reader in self._readers:
                return None
            self._readers.add(reader)
            mine = deque(self._seen)
            self._ahead.append(mine)
        return self._read(mine)

    def _read(self, mine: deque[LocalEntry]) -> Iterator[LocalEntry]:
        try:
            while mine or self._goes_on(mine):
                while mine:
                    yield mine.popleft()
        finally:
            with self._lock:
                self._ahead = [one for one in self._ahead if one is not mine]

    def _goes_on(self, mine: deque[LocalEntry]) -> bool:
        """Whether there is more; if so some of it is in `mine`, and in all others'."""
        with self._lock:
            if mine:
                return True
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return False
            try:
                block = list(islice(self._entries, AT_ONCE))
            except Exception as error:
                self._failure = error
                raise
            for one in self._ahead:
                one.extend(block)
            if self._seen is not None:
                self._seen += block
                if len(self._seen) > JOINABLE:
                    self._seen = None
            self._ended = not block
            return bool(block)


class Common:
    """What the trees of one source have in common. `clock` is monotonic."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._walks: dict[Hashable, _Walk] = {}
        self._checksums: OrderedDict[LocalEntry, asyncio.Task[Fingerprint]] = OrderedDict()

    def walk(self, rules: Hashable, own: Iterator[LocalEntry], reader: Hashable) -> Iterator[LocalEntry]:
        """A walk by these rules: one that another reader has just begun, or `own`."""
        with self._lock:
            now_s = self._clock()
            self._walks = {key: walk for key, walk in self._walks.items() if now_s - walk.begun_s < TOGETHER_S}
            joined = self._walks[rules].join(reader) if rules in self._walks else None
            if joined is None:
                self._walks[rules] = _Walk(own, now_s)
                joined = self._walks[rules].join(reader)
            assert joined is not None
            return joined

    async def fingerprint(self, entry: LocalEntry, read: Callable[[LocalEntry], Awaitable[Fingerprint]]) -> Fingerprint:
        """Of a file that is as `entry` says: read now, or by whoever asked before."""
        reading = self._checksums.get(entry)
        if reading is None:
            reading = self._checksums[entry] = asyncio.ensure_future(read(entry))
            reading.add_done_callback(lambda done: self._keep(entry, done))
            if len(self._checksums) > MOST_CHECKSUMS:
                self._checksums.popitem(last=False)
        return await asyncio.shield(reading)

    def _keep(self, entry: LocalEntry, reading: asyncio.Task[Fingerprint]) -> None:
        """What was read so soon after its last change that its stat proves nothing is read again by the next."""
        failed = reading.cancelled() or reading.exception() is not None
        if failed or reading.result().entry.mtime_ns == UNTRUSTED:
            self._checksums.pop(entry, None)


class TreeInCommon(Tree):
    """A job's tree that shares with the others of its source what it sees and reads."""

    def __init__(self, *given: Any, common: Common, **how: Any) -> None:
        super().__init__(*given, **how)
        self._common = common

    def scan(self) -> Iterator[LocalEntry]:
        own = super().scan()
        return self._common.walk(self.looks_at, own, id(self))

    async def fingerprint(self, entry: LocalEntry) -> Fingerprint:
        return await self._common.fingerprint(entry, super().fingerprint)
