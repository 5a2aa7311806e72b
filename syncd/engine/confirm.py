"""Wait until what was sent is complete on the remote, by as few requests as it takes.

A record becomes completed by itself a moment after its upload. Used by `execute` between uploads and deletions: nothing
is deleted before what replaces it was seen complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from syncd.core.model import BaselineEntry, Problem, RemoteEntry, Status, Sync
from syncd.core.paths import parent_of, path_of
from syncd.engine.job import Job
from syncd.engine.ledger import Ledger
from syncd.engine.observe import each
from syncd.errors import RemoteDead, Transient

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0
PATIENCE_S = 60.0
"""How long nothing at all may become complete before the rest is given up for this run."""
PAGE = 1000
"""Records a listing request brings at best."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A sink that hands each page on while the next ones come in."""

    take: Callable[[Sequence[RemoteEntry]], Awaitable[None]]

    async def add(self, entries: Sequence[RemoteEntry]) -> None:
        await self.take(entries)

    async def clear(self) -> None:
        """What was shown stays shown."""


class Confirmation:
    def __init__(self, job: Job, ledger: Ledger) -> None:
        self._job = job
        self._ledger = ledger
        self._awaited: dict[bytes, BaselineEntry] = {}
        self._before: dict[bytes, str | None] = {}
        self.mismatched: list[bytes] = []
        """Completed with other content than was sent: somebody else's, or damaged."""

    async def expect(self, row: BaselineEntry, record: RemoteEntry, *, before: str | None = None) -> None:
        """Record an upload, at once as synced where the answer already shows it completed. It is among what is awaited
        when this returns, not earlier.

        `before`: the checksum that the record had; it may be shown as completed until the new content is there.
        """
        if record.status == Status.COMPLETED and record.checksum == row.checksum:
            await self._ledger.record([row._replace(sync=Sync.SYNCED)])
        else:
            await self._ledger.record([row])
            self._awaited[row.key] = row
            self._before[row.key] = before

    def portion(self) -> Confirmation:
        """What is awaited until now, to be waited for apart from what comes."""
        portion = Confirmation(self._job, self._ledger)
        self._awaited, portion._awaited = {}, self._awaited
        self._before, portion._before = {}, self._before
        return portion

    async def wait(self, *, destination_size: int) -> list[Problem]:
        """Returns the paths that did not become complete. `destination_size`: how many files a full listing holds."""
        wait_s, idle_s = FIRST_WAIT_S, 0.0
        while self._awaited and not self._job.stop.requested:
            before = len(self._awaited)
            await self._look(destination_size)
            if len(self._awaited) < before:
                wait_s, idle_s = FIRST_WAIT_S, 0.0
            elif idle_s >= PATIENCE_S:
                return await self._give_up()
            if self._awaited:
                await asyncio.sleep(wait_s)
                idle_s += wait_s
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        return []

    async def _look(self, destination_size: int) -> None:
        pages = 2 + 2 * (destination_size // PAGE)
        directories = {path_of(parent_of(key)) for key in self._awaited}
        if len(self._awaited) <= pages:
            await each(list(self._awaited.values()), self._look_at, at_once=self._job.workers)
        elif len(directories) <= pages and self._job.policy.capabilities.directories:
            await each(sorted(directories), partial(self._look_into, recursive=False), at_once=self._job.workers)
        else:
            await self._look_into("", recursive=True)

    async def _look_into(self, directory: str, *, recursive: bool) -> None:
        known = await self._job.store.count_directories() if recursive else None
        try:
            await self._job.remote.entries(
                directory, _Shown(self._seen), recursive=recursive, directories_known=known, steady=False
            )
        except RemoteDead:
            raise
        except Transient:
            pass  # what it showed as complete until then is so

    async def _look_at(self, row: BaselineEntry) -> None:
        try:
            record = await self._job.remote.get(row.id)
        except RemoteDead:
            raise
        except Transient:
            return  # one record that cannot be asked for is one path that is not known to be complete
        if record is not None:
            await self._seen([record])

    async def _seen(self, records: Sequence[RemoteEntry]) -> None:
        done = []
        for record in records:
            row = self._awaited.get(record.key)
            if row is None or row.id != record.id or record.status != Status.COMPLETED:
                continue
            if record.checksum == row.checksum:
                done.append(row._replace(sync=Sync.SYNCED))
            elif record.checksum == self._before[record.key]:
                continue
            else:
                self.mismatched.append(record.key)
                done.append(row._replace(sync=Sync.CLAIMED, claim=row.checksum))
            del self._awaited[record.key]
        await self._ledger.record(done)

    async def _give_up(self) -> list[Problem]:
        """What never completed is claimed again, so that the next run uploads it anew instead of waiting."""
        rows = list(self._awaited.values())
        self._awaited.clear()
        await self._ledger.record([row._replace(sync=Sync.CLAIMED, claim=row.checksum) for row in rows])
        error = f"uploaded, but the remote did not complete it within {PATIENCE_S:.0f} s; the next run uploads it again"
        return [Problem(path_of(row.key), "create", error) for row in rows]
