"""A pull: the destination's files into the source, once.

Called by `app`. Looks at both sides, decides in `core.fetch`, brings what is wanted beside its place, compares its
checksum, puts it there, and only then records that both sides are the same. Changes nothing on the remote.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from syncd.core.diff import Census, Difference
from syncd.core.fetch import (
    Download,
    Fetching,
    Remove,
    Tally,
    Wishes,
    decide_fetch,
    directory_row,
    file_row,
    is_settled,
    modified_ns,
    must_be_read,
)
from syncd.core.guard import Source, source_verdict
from syncd.core.model import (
    BaselineEntry,
    JobReport,
    Kind,
    MakeDirectory,
    Problem,
    RemoteEntry,
    SourceIdentity,
    Step,
)
from syncd.core.paths import key_of
from syncd.core.sides import sides
from syncd.core.words import count_text
from syncd.engine.job import Job
from syncd.engine.ledger import Ledger
from syncd.engine.observe import each, look_again, now
from syncd.engine.reading import fingerprints
from syncd.errors import LocalError, NotFound, Rejected, RemoteDead, SourceForeign, Transient
from syncd.ports import Incoming, LocalWriter, Spool, Telemetry

LIVE_PER_WORKER = 4
"""Downloads begun per worker: those beyond the slots are ready to go on when one sleeps before its next try."""

NOT_REMOVED = "what the destination lacks was not removed, because not everything could be brought from there"


@dataclass(slots=True)
class _Seen:
    """Both sides. `asked_s`: when the listing was begun, by the loop's time; `found`: the paths at which one is not
    what the baseline says; `settled`: how many files are."""

    asked_s: float
    found: list[Difference] = field(default_factory=list)
    directories: dict[bytes, RemoteEntry] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    census: Census = field(default_factory=Census)
    settled: int = 0


class Pull:
    """One job's. `report` says what was done until now, also when `run` raised."""

    def __init__(self, job: Job, writer: LocalWriter, wishes: Wishes, report: JobReport) -> None:
        self._job = job
        self._writer = writer
        self._wishes = wishes
        self._report = report
        self._ledger = Ledger(job.store)
        if wishes.mirror and job.store.memory.rebuilt:
            self._wishes = replace(wishes, mirror=False)
            report.notices.append("the state was rebuilt by comparison: nothing is removed in this run")

    async def run(self) -> None:
        """Raises what ends it as a whole."""
        started = time.monotonic()
        try:
            source = await asyncio.to_thread(self._job.tree.identity)
            seen = await self._look()
            self._check_source(source, seen.census)
            fetching = await self._decide(seen)
            await self._carry_out(fetching, seen)
            await self._remember(source)
        finally:
            self._report.seconds = time.monotonic() - started

    async def _look(self) -> _Seen:
        job = self._job
        spool = job.store.spool()
        seen = _Seen(now())
        try:
            known = await job.store.count_directories()
            await job.remote.entries("", spool, recursive=True, directories_known=known or None)
            await asyncio.to_thread(self._compare, spool, seen)
            return seen
        finally:
            await spool.aclose()

    def _compare(self, spool: Spool, seen: _Seen) -> None:
        with spool.rows() as listing, self._job.store.rows() as rows:
            for one in sides(self._job.tree.scan(), listing, rows):
                _count(one, seen)
                if is_settled(one) and self._job.trust_stat:
                    seen.settled += one.remote is not None and one.remote.kind == Kind.FILE
                else:
                    seen.found.append(one)

    def _check_source(self, source: SourceIdentity, census: Census) -> None:
        verdict = source_verdict(self._job.store.memory.source, source, census)
        if verdict is Source.FOREIGN and not self._job.accept_source:
            raise SourceForeign(
                "the source is on another filesystem than at the last sync: nothing was written there. "
                "If that is meant, run once with --accept-source"
            )

    async def _decide(self, seen: _Seen) -> Fetching:
        job = self._job
        found = seen.found
        if self._wishes.mirror:
            found, _ = await look_again(job, found, asked_s=seen.asked_s)
        wanted = [one.local for one in found if one.local and must_be_read(one, overwrite=self._wishes.overwrite)]
        checksums = await fingerprints(job.tree, wanted, at_once=job.workers)
        return await asyncio.to_thread(decide_fetch, found, checksums, self._wishes, seen.tally)

    async def _carry_out(self, fetching: Fetching, seen: _Seen) -> None:
        job, report = self._job, self._report
        report.unchanged = seen.settled + fetching.unchanged
        report.failed += fetching.problems
        steps: list[Step] = [*fetching.directories, *fetching.downloads, *fetching.removals]
        job.telemetry.planned(steps)
        await job.store.write(fetching.adopted, fetching.detached)
        try:
            with job.stop:
                await self._make_directories(fetching.directories, seen)
                before = len(report.failed)
                await each(fetching.downloads, self._download, at_once=job.workers * LIVE_PER_WORKER)
                if fetching.removals and len(report.failed) > before:
                    report.notices.append(NOT_REMOVED)
                elif not job.stop.requested:
                    await self._remove(fetching.removals)
        finally:
            await self._ledger.flush()
        self._conclude(fetching)

    async def _make_directories(self, directories: Sequence[MakeDirectory], seen: _Seen) -> None:
        def make() -> list[tuple[MakeDirectory, LocalError | None]]:
            return [(one, _failure_of(self._writer, one)) for one in directories]

        for one, error in await asyncio.to_thread(make):
            if error is not None:
                self._fail(one, error)
                continue
            self._report.directories += 1
            self._job.telemetry.done(one)
            await self._ledger.record([directory_row(seen.directories[key_of(one.path)])])

    async def _download(self, one: Download) -> None:
        """What waited for its slot when the order to stop came is not begun."""
        job = self._job
        incoming = self._writer.incoming(one.path, one.local)
        try:
            async with job.slots:
                if job.stop.requested:
                    return
                await job.remote.download(one.remote, _Metered(incoming, job.telemetry))
                _compare_checksum(one, incoming.checksum)
                row = file_row(*await incoming.commit(modified_ns=modified_ns(one.remote)), one.remote)
        except RemoteDead:
            raise
        except (NotFound, Rejected, Transient, LocalError) as error:
            self._fail(one, error)
        else:
            await self._done(one, row)
        finally:
            await incoming.aclose()

    async def _done(self, one: Download, row: BaselineEntry) -> None:
        if one.local is None:
            self._report.created += 1
        else:
            self._report.replaced += 1
        self._report.bytes_downloaded += row.size
        self._job.telemetry.done(one)
        await self._ledger.record([row])

    async def _remove(self, removals: Sequence[Remove]) -> None:
        """One after the other, so that what is in a directory goes before it."""
        for one in removals:
            if self._job.stop.requested:
                break
            try:
                went = await asyncio.to_thread(self._writer.remove, one.path, one.local)
            except LocalError as error:
                self._fail(one, error)
                continue
            if went:
                self._report.deleted += one.local.kind == Kind.FILE
                self._job.telemetry.done(one)
                await self._ledger.record([], [one.local.key])

    def _fail(self, one: Step, error: Exception) -> None:
        problem = Problem(one.path, one.name, str(error))
        self._report.failed.append(problem)
        self._job.telemetry.failed(problem)

    def _conclude(self, fetching: Fetching) -> None:
        report = self._report
        report.held = fetching.held
        if fetching.held_because is not None:
            report.notices.append(f"removals are held: {fetching.held_because}")
        if fetching.extra:
            report.notices.append(
                f"{count_text(fetching.extra, 'file')} here but not on the destination, left alone "
                "(--delete mirror removes what is only here)"
            )
        report.exit = 3 if report.held else 1 if report.failed else 0

    async def _remember(self, source: SourceIdentity) -> None:
        """Which source it is, once it holds what the destination has: what it lacks later was deleted there."""
        done = not self._report.failed and not self._job.stop.requested
        if done and source != self._job.store.memory.source:
            await self._job.store.remember_source(source)


class _Metered:
    """A receiver that tells the progress bar."""

    def __init__(self, inner: Incoming, telemetry: Telemetry) -> None:
        self._inner = inner
        self._telemetry = telemetry
        self._told_bytes = 0

    async def begin(self) -> None:
        self._telemetry.sent(-self._told_bytes)
        self._told_bytes = 0
        await self._inner.begin()

    async def write(self, piece: bytes) -> None:
        self._told_bytes += len(piece)
        self._telemetry.sent(len(piece))
        await self._inner.write(piece)


def _count(one: Difference, seen: _Seen) -> None:
    local, remote, base = one.local, one.remote, one.base
    if local is not None and local.kind == Kind.FILE:
        seen.tally.local += 1
    if remote is not None and remote.kind == Kind.FILE:
        seen.tally.remote += 1
    if remote is not None and remote.kind == Kind.DIRECTORY and local is None:
        seen.directories[one.key] = remote
    if base is not None and base.kind == Kind.FILE and base.checksum is not None:
        seen.census.known += 1
        seen.census.present += local is not None and local.kind == Kind.FILE and local.size == base.size


def _failure_of(writer: LocalWriter, one: MakeDirectory) -> LocalError | None:
    try:
        writer.make_directory(one.path)
    except LocalError as error:
        return error
    return None


def _compare_checksum(one: Download, checksum: str) -> None:
    """Raises Rejected."""
    if one.checksum is not None and checksum != one.checksum:
        raise Rejected(
            f"what came has the checksum {checksum} and not {one.checksum}: it changed meanwhile, or was damaged"
        )
