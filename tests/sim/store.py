"""`ports.Store` in memory: what was committed before a crash is there after it, in the order of the asking."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from syncd.core.model import BaselineEntry, Event, Kind, RemoteEntry, SourceIdentity
from tests.sim.chaos import Chaos
from tests.sim.loop import Clock


@dataclass(slots=True)
class MemoryOfJob:
    source: SourceIdentity | None = None
    rebuilt: bool = False
    clock: Clock = field(default_factory=Clock)
    written_s: float = -math.inf

    @property
    def idle_s(self) -> float:
        return self.clock.now_s - self.written_s


class MemorySpool:
    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._entries: dict[tuple[bytes, str], RemoteEntry] = {}
        self.closed = False

    async def add(self, entries: Sequence[RemoteEntry]) -> None:
        self._chaos.point("spool")
        for entry in entries:
            self._entries.setdefault((entry.key, entry.id), entry)

    async def clear(self) -> None:
        self._entries.clear()

    @contextmanager
    def rows(self) -> Iterator[Iterator[RemoteEntry]]:
        assert not self.closed, "a spool is read after it was closed"
        yield iter([self._entries[key] for key in sorted(self._entries)])

    async def aclose(self) -> None:
        self.closed = True


class MemoryStore:
    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._queue = asyncio.Lock()
        self.baseline: dict[bytes, BaselineEntry] = {}
        self.memory = MemoryOfJob(clock=chaos.clock)
        self._written_s = -math.inf
        self.spools: list[MemorySpool] = []
        self.committed: Callable[[list[BaselineEntry]], None] = lambda _: None
        """Told of the rows of every commit."""

    def reopen(self) -> None:
        """As a new process opens it."""
        self._queue = asyncio.Lock()
        self.spools.clear()
        self.memory.written_s = self._written_s

    def lose(self) -> None:
        """The database was damaged: set aside and begun anew."""
        self.baseline.clear()
        self.memory = MemoryOfJob(rebuilt=True, clock=self._chaos.clock)
        self._written_s = -math.inf

    @contextmanager
    def rows(self) -> Iterator[Iterator[BaselineEntry]]:
        self._chaos.point("rows")
        yield iter([self.baseline[key] for key in sorted(self.baseline)])

    @contextmanager
    def ranges(self) -> Iterator[Callable[[bytes, bytes], Iterator[BaselineEntry]]]:
        self._chaos.point("ranges")
        rows = [self.baseline[key] for key in sorted(self.baseline)]
        yield lambda first, end: iter([row for row in rows if first <= row.key < end])

    async def count_directories(self) -> int:
        return sum(row.kind == Kind.DIRECTORY for row in self.baseline.values())

    async def write(self, rows: Sequence[BaselineEntry], forgotten: Sequence[bytes] = ()) -> None:
        """A write that is cancelled while it waits for its turn is committed all the same: a thread does it."""
        task = asyncio.ensure_future(self._commit(list(rows), list(forgotten)))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(task)

    async def _commit(self, rows: list[BaselineEntry], forgotten: list[bytes]) -> None:
        async with self._queue:
            await asyncio.sleep(0.002)
            self._chaos.point(f"commit {len(rows)} {len(forgotten)}")
            for key in forgotten:
                self.baseline.pop(key, None)
            for row in rows:
                self.baseline[row.key] = row
            self._written_s = self._chaos.clock.now_s
            self.committed(rows)
            self._chaos.point("committed")

    async def remember_source(self, identity: SourceIdentity) -> None:
        self._chaos.point("remember")
        self.memory.source = identity

    def beat(self) -> None:
        if not self._chaos.dead:
            self._written_s = self._chaos.clock.now_s

    def note(self, event: Event) -> None:
        """History is for people: nothing is decided on it."""

    def spool(self) -> MemorySpool:
        spool = MemorySpool(self._chaos)
        self.spools.append(spool)
        return spool

    async def aclose(self) -> None:
        """Nothing is held."""
