"""Look at both sides and the baseline, and say where they differ.

Called by `reconcile`. The local tree is walked while the listing comes in; nothing is decided and nothing is changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from syncd.core.classify import occupied_parents
from syncd.core.diff import (
    Census,
    Difference,
    LocalChange,
    differences,
    local_changes,
    remote_changes,
)
from syncd.core.model import UNTRUSTED, BaselineEntry, Kind, LocalEntry, RemoteEntry, SourceIdentity, Status, Sync
from syncd.core.paths import ancestors_of
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
    source and the baseline, whatever the remote has. `unsure`: what is not listed and may be there all the same, with
    the seconds until that is known; not in `differences` unless the source has a directory there as before."""

    source: SourceIdentity
    census: Census
    differences: list[Difference]
    changes: list[LocalChange]
    listing: Listing
    unsure: Mapping[bytes, float]


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
    asked_s = now()
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
        found, unsure = await look_again(job, found, asked_s=asked_s)
        return View(source, census, found, changes, SpoolListing(spool), unsure)
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


async def look_again(
    job: Job, found: list[Difference], *, asked_s: float
) -> tuple[list[Difference], dict[bytes, float]]:
    """Ask by id for each known record that the listing lacks: a drifting listing or a late index is not an absence.
    What cannot be asked for, because its id is not known, is left out until that is over: see `View.unsure`.
    `asked_s`: when the listing was begun, by the loop's time; what it lacks it lacked then."""
    missing = [index for index, difference in enumerate(found) if _is_missing(difference)]

    async def look(index: int) -> None:
        difference = found[index]
        assert difference.base is not None
        async with job.slots:
            entry = await job.remote.get(difference.base.id)
        if entry is not None and entry.key == difference.key and entry.status != Status.LEAVING:
            found[index] = difference._replace(remote=entry)

    await each(missing, look, at_once=job.workers)
    found = _without_misplaced(found, {one.remote.id for index in missing if (one := found[index]).remote is not None})
    unsure = _unsure(job, found, listed_s_ago=now() - asked_s)
    return _decidable(found, unsure) if unsure else found, unsure


def _without_misplaced(found: list[Difference], ids: Collection[str]) -> list[Difference]:
    """Without those records that a listing shows at another path than where they were just seen to be (`ids`)."""

    def is_in_place(one: Difference) -> bool:
        return one.remote is None or one.remote.id not in ids or (one.base is not None and one.base.id == one.remote.id)

    return [one for one in found if is_in_place(one)] if ids else found


def _is_missing(difference: Difference) -> bool:
    base, local = difference.base, difference.local
    return difference.remote is None and base is not None and base.id != "" and _may_be_decided(local)


def _may_be_decided(local: LocalEntry | None) -> bool:
    return local is None or local.kind <= Kind.FILE


def _unsure(job: Job, found: Sequence[Difference], *, listed_s_ago: float) -> dict[bytes, float]:
    """What may have been made without the answer being known, or on the way, or by the move of its directory, and is
    not listed; but for uploads that go on, which look for it themselves."""
    unsure = {}
    for key, local, remote, base, _ in found:
        if remote is not None or base is None or base.id != "" or base.sync == Sync.ADOPTED:
            continue
        goes_on = base.sync == Sync.CLAIMED and local is not None and local.kind == Kind.FILE
        left_s = job.unlisted_for_s(key)
        if left_s + listed_s_ago > 0 and not goes_on and (_may_be_decided(local) or base.sync == Sync.CLAIMED):
            unsure[key] = max(left_s, 0.0)
    return unsure


def now() -> float:
    """The loop's time, in seconds."""
    return asyncio.get_running_loop().time()


def _decidable(found: list[Difference], unsure: Mapping[bytes, float]) -> list[Difference]:
    """Without what is unsure, what is in it, and the directories that would go with it; one that is wanted as before
    may be entered all the same."""
    waiting = {one.key for one in found if one.key in unsure and not _is_kept_directory(one)}
    around = occupied_parents(waiting)

    def may_go_on(one: Difference) -> bool:
        goes = one.key in around and (one.local is None or one.local.kind != Kind.DIRECTORY)
        return not goes and one.key not in waiting and waiting.isdisjoint(ancestors_of(one.key))

    return [one for one in found if may_go_on(one)]


def _is_kept_directory(difference: Difference) -> bool:
    local, base = difference.local, difference.base
    return local is not None and base is not None and local.kind == base.kind == Kind.DIRECTORY


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
