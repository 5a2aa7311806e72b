"""One source that several jobs keep on several destinations: walked once for all of them, each file hashed once.

Used by `app` where jobs have their source in common. Jobs whose rules differ only share what was hashed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
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

Read = Callable[[Sequence[LocalEntry]], Awaitable[list[Fingerprint | None]]]
Reading = asyncio.Task[dict[LocalEntry, Fingerprint | None]]


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
        self._checksums: OrderedDict[LocalEntry, Reading] = OrderedDict()

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

    async def fingerprints(self, entries: Sequence[LocalEntry], read: Read) -> list[Fingerprint | None]:
        """Of files that are as the entries say: read now, or by whoever asked before."""
        unread = [entry for entry in entries if entry not in self._checksums]
        if unread:
            reading = asyncio.ensure_future(_read_all(unread, read))
            self._checksums.update(dict.fromkeys(unread, reading))
            reading.add_done_callback(lambda done: self._keep(unread, done))
        known = [self._checksums[entry] for entry in entries]
        while len(self._checksums) > MOST_CHECKSUMS:
            self._checksums.popitem(last=False)
        return [(await asyncio.shield(one))[entry] for entry, one in zip(entries, known, strict=True)]

    def _keep(self, entries: Sequence[LocalEntry], reading: Reading) -> None:
        """What was read so soon after its last change that its stat proves nothing is read again by the next."""
        failed = reading.cancelled() or reading.exception() is not None
        for entry in entries:
            read = None if failed else reading.result()[entry]
            if read is None or read.entry.mtime_ns == UNTRUSTED:
                self._checksums.pop(entry, None)


async def _read_all(entries: Sequence[LocalEntry], read: Read) -> dict[LocalEntry, Fingerprint | None]:
    return dict(zip(entries, await read(entries), strict=True))


class TreeInCommon(Tree):
    """A job's tree that shares with the others of its source what it sees and reads."""

    def __init__(self, *given: Any, common: Common, **how: Any) -> None:
        super().__init__(*given, **how)
        self._common = common

    def scan(self) -> Iterator[LocalEntry]:
        own = super().scan()
        return self._common.walk(self.looks_at, own, id(self))

    async def fingerprints(self, entries: Sequence[LocalEntry]) -> list[Fingerprint | None]:
        return await self._common.fingerprints(entries, super().fingerprints)
