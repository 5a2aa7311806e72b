"""Look at both sides and the baseline, and say where they differ.

Called by `reconcile`. The local tree is walked while the listing comes in; nothing is decided and nothing is changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from syncd.core.diff import (
    Census,
    Difference,
    LocalChange,
    differences,
    local_changes,
    remote_changes,
)
from syncd.core.model import UNTRUSTED, BaselineEntry, Kind, RemoteEntry, SourceIdentity, Status, Sync
from syncd.core.tally import Tally
from syncd.engine.job import Job
from syncd.ports import Spool

Item = TypeVar("Item")


class Listing(Protocol):
    """What was listed of the remote; kept until it is closed."""

    def shows(self, record_id: str, path: str | None) -> bool:
        """Whether the record was there, or may have been there; `path` is where it is. Blocks."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class View:
    """Where the sides differ. `listing` is to be closed by who asked for the view. `changes`: what differs between the
    source and the baseline, whatever the remote has."""

    source: SourceIdentity
    census: Census
    differences: list[Difference]
    changes: list[LocalChange]
    listing: Listing


@dataclass(frozen=True, slots=True)
class SpoolListing:
    spool: Spool

    def shows(self, record_id: str, path: str | None) -> bool:
        del path
        with self.spool.rows() as rows:
            return any(row.id == record_id for row in rows)

    async def aclose(self) -> None:
        await self.spool.aclose()


@dataclass(slots=True)
class _Tallied:
    """A sink that adds up what goes into the spool."""

    spool: Spool
    tally: Tally

    async def add(self, entries: Sequence[RemoteEntry]) -> None:
        self.tally.add(entries)
        await self.spool.add(entries)

    async def clear(self) -> None:
        self.tally = Tally()
        await self.spool.clear()


async def observe(job: Job) -> View:
    """Raises SourceMissing, and what the remote raises when it cannot be listed whole."""
    source = await asyncio.to_thread(job.tree.identity)
    census, tally = Census(), Tally()
    spool = job.store.spool()
    try:
        walking = asyncio.ensure_future(asyncio.to_thread(walk, job, census, tally))
        try:
            known = await job.store.count_directories()
            listed = _Tallied(spool, Tally())
            await job.remote.entries("", listed, recursive=True, directories_known=known or None)
        finally:
            changes = await asyncio.shield(walking)  # a thread cannot be cancelled: its end is waited for
        if listed.tally.same_as(tally):
            census.remote = listed.tally.files
            found = list(differences(changes, ()))
        else:
            found = await asyncio.to_thread(_compare, job, spool, changes, census)
        return View(source, census, await look_again(job, found), changes, SpoolListing(spool))
    except BaseException:
        await spool.aclose()
        raise


def walk(job: Job, census: Census, tally: Tally | None = None) -> list[LocalChange]:
    """Where the whole source is not what the baseline says; the baseline is added to `tally`. Blocks."""
    with job.store.rows() as rows:
        known = rows if tally is None else tally.passing(rows)
        baseline = known if job.trust_stat else _distrusted(known)
        return list(local_changes(job.tree.scan(), baseline, census))


def _distrusted(rows: Iterable[BaselineEntry]) -> Iterator[BaselineEntry]:
    """The baseline as if no file's stat proved anything: every file is read again."""
    for row in rows:
        yield row._replace(mtime_ns=UNTRUSTED) if row.kind == Kind.FILE else row


def _compare(job: Job, spool: Spool, changes: list[LocalChange], census: Census) -> list[Difference]:
    with spool.rows() as listing, job.store.rows() as rows:
        return list(differences(changes, remote_changes(listing, rows, census)))


async def look_again(job: Job, found: list[Difference]) -> list[Difference]:
    """Ask by id for each known file that the listing lacks: a drifting listing or a late index is not an absence."""
    missing = [index for index, difference in enumerate(found) if _is_missing(difference)]

    async def look(index: int) -> None:
        difference = found[index]
        assert difference.base is not None
        async with job.slots:
            entry = await job.remote.get(difference.base.id)
        if entry is not None and entry.key == difference.key and entry.status != Status.LEAVING:
            found[index] = difference._replace(remote=entry)

    await each(missing, look, at_once=job.workers)
    return found


def _is_missing(difference: Difference) -> bool:
    base = difference.base
    return (
        difference.remote is None
        and base is not None
        and base.kind == Kind.FILE
        and base.id != ""
        and base.sync in (Sync.SYNCED, Sync.UPLOADED)
        and (difference.local is None or difference.local.kind <= Kind.FILE)
    )


async def each(items: Sequence[Item], act: Callable[[Item], Awaitable[None]], *, at_once: int) -> None:
    """Do `act` for every item, so many at once; the first error ends the others and is raised as it is."""
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            await act(item)

    await together(work, count=min(at_once, len(items)))


async def together(work: Callable[[], Awaitable[None]], *, count: int) -> None:
    """Run `work` in `count` tasks to their end; the first error cancels the rest and is raised as it is."""
    tasks = [asyncio.ensure_future(work()) for _ in range(count)]
    try:
        for done in asyncio.as_completed(tasks):
            await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
