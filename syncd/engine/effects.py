"""One operation each: intent recorded, effect, outcome recorded. Only the effect takes a slot.

Called by `execute`, which bounds and orders them and turns what they raise into outcomes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from syncd.core.claims import upload_claim
from syncd.core.model import (
    BaselineEntry,
    Create,
    Delete,
    Fingerprint,
    JobReport,
    MakeDirectory,
    Move,
    RemoteEntry,
    Replace,
    Status,
)
from syncd.core.paths import ancestors_of, is_below, key_of
from syncd.engine.confirm import Confirmation
from syncd.engine.job import Job
from syncd.engine.ledger import Ledger, arriving, claimed, made, proven, uploaded
from syncd.errors import AlreadyExists, NotFound, NotMade, RenamedByRemote
from syncd.ports import Before, Content


class Effects:
    """`stamp`: the time under which the trash keeps what is deleted or replaced."""

    def __init__(self, job: Job, report: JobReport, ledger: Ledger, confirmation: Confirmation, *, stamp: str) -> None:
        self._stamp = stamp
        self._job = job
        self._report = report
        self._ledger = ledger
        self._confirmation = confirmation

    async def create(self, operation: Create, parents: Sequence[MakeDirectory]) -> None:
        key, content = operation.local.key, await self._read(operation)
        size = content.entry.size
        claim = claimed(key, self._claim(content, operation.beside), size_bytes=size)
        before = [claim] if operation.begun else []
        async with self._intending([claim], parents, before=before):
            begun_s_ago = self._job.asked_s_ago(key) if operation.begun else None
            record = await self._job.remote.create(
                operation.path, content, begun_s_ago=begun_s_ago, beside=operation.beside
            )
        await self._confirmation.expect(uploaded(content.fingerprint, record), record)
        self._report.created += 1
        self._report.bytes_uploaded += content.entry.size

    async def replace(self, operation: Replace) -> None:
        if operation.aside:
            await self._replace_aside(operation)
            return
        if not self._job.policy.capabilities.replace_in_place:
            await self._replace_by_another(operation)
            return
        key, content = operation.local.key, await self._read(operation)
        size = content.entry.size
        remote = operation.remote
        base = proven(operation.base, remote)
        claim = claimed(key, content.checksum, size_bytes=size, base=base, record_id=remote.id)
        before = [operation.base] if operation.base else []

        async def returned(record: RemoteEntry) -> None:
            await self._ledger.record([claim._replace(id=record.id)])

        async with self._claiming([claim], before=before), self._asking([claim]):
            if self._job.trash is not None and remote.status is Status.COMPLETED:
                record = await self._job.trash.exchange(remote, operation.path, content, self._stamp, returned=returned)
            else:
                record = await self._job.remote.replace(remote, operation.path, content)
        row = uploaded(content.fingerprint, record)
        await self._confirmation.expect(row, record, before=remote.checksum)
        self._report.replaced += 1
        self._report.bytes_uploaded += content.entry.size

    async def _replace_aside(self, operation: Replace) -> None:
        """Theirs is moved aside, then ours is created: whatever happens between, theirs is kept. The row tells that
        something was there until the claim on ours takes its place."""
        key, content = operation.local.key, await self._read(operation)
        size = content.entry.size
        async with self._job.turn():
            await self._job.remote.move(operation.remote, operation.aside)
        async with self._intending([claimed(key, content.checksum, size_bytes=size)], ()):
            record = await self._job.remote.create(operation.path, content)
        await self._confirmation.expect(uploaded(content.fingerprint, record), record)
        self._report.replaced += 1
        self._report.bytes_uploaded += content.entry.size

    async def _replace_by_another(self, operation: Replace) -> None:
        """The new record first, then the old one goes. Between any two steps the row tells which of both is which."""
        key, content = operation.local.key, await self._read(operation)
        size = content.entry.size
        old, base = operation.remote, operation.base
        beside = (old.id, *operation.beside)
        known = base if base is not None and base.id == old.id else None
        claim = claimed(key, self._claim(content, beside), size_bytes=size, base=known, record_id=old.id)
        async with self._claiming([claim], before=[base] if base else []):
            record = await self._job.remote.create(operation.path, content, beside=beside)
            row = uploaded(content.fingerprint, record)
            await self._ledger.claim([row._replace(claim=old.id)])
            self._report.replaced += 1
            self._report.bytes_uploaded += size
            await self._job.remote.delete(old)
        await self._confirmation.expect(row, record)

    def _claim(self, content: Content, beside: Sequence[str]) -> str | None:
        """What tells an upload's effect from others' records, should its end not be seen."""
        checksums = self._job.policy.capabilities.checksums
        return content.checksum if checksums else upload_claim(content.entry.size, beside)

    async def _read(self, operation: Create | Replace) -> Content:
        entry = operation.local
        return await self._job.tree.read(entry, growing=entry.key in self._job.growing)

    async def make_directory(self, operation: MakeDirectory, parents: Sequence[MakeDirectory]) -> None:
        key = key_of(operation.path)
        async with self._intending([made(key)], parents):
            record = await self._job.remote.make_directory(operation.path)
        await self._ledger.record([made(key, record.id)])
        self._report.directories += 1

    async def move_file(self, operation: Move, parents: Sequence[MakeDirectory]) -> None:
        key, checksum = operation.local.key, operation.checksum
        claim = claimed(key, checksum, size_bytes=operation.local.size)
        async with self._intending([claim], parents):
            record = await self._job.remote.move(operation.remote, operation.path)
        await self._ledger.record([], [key_of(operation.source)])
        read = Fingerprint(operation.local, checksum or "")
        await self._confirmation.expect(uploaded(read, record), record)
        self._report.moved += operation.files

    async def move_directory(self, operation: Move, parents: Sequence[MakeDirectory]) -> None:
        """The rows move with it; their ids are new and not known until the next look."""
        old, new = key_of(operation.source), key_of(operation.path)
        rows, gone = await asyncio.to_thread(self._rekeyed, old, new)
        claims = [arriving(row) for row in rows]
        async with self._intending([*claims, made(new)], parents):
            record = await self._job.remote.move(operation.remote, operation.path)
        await self._ledger.record([*rows, made(new, record.id)], gone)
        await self._ledger.flush()
        self._report.moved += operation.files

    @asynccontextmanager
    async def _intending(
        self,
        rows: Sequence[BaselineEntry],
        parents: Sequence[MakeDirectory],
        *,
        before: Sequence[BaselineEntry] = (),
    ) -> AsyncIterator[None]:
        """Claim what is about to be made, and let go of it where the answer says that nothing was made at those paths:
        what is there then is somebody else's. What came to be under another name had its parents made all the same."""
        above = [made(key_of(one.path)) for one in parents]
        everything = [*rows, *above]
        maybe_made = [row for row in above if self._job.unlisted_for_s(row.key) > 0]
        try:
            async with self._claiming(everything, before=[*before, *maybe_made]), self._asking(everything):
                yield
        except (AlreadyExists, NotFound, NotMade, RenamedByRemote) as error:
            unmade = rows if isinstance(error, RenamedByRemote) else everything
            await self._ledger.record([], [row.key for row in unmade])
            raise

    @asynccontextmanager
    async def _asking(self, rows: Sequence[BaselineEntry]) -> AsyncIterator[None]:
        """A directory may be made on the way also where it was taken for one that is there."""
        keys = {one for row in rows for one in (row.key, *ancestors_of(row.key))}
        try:
            yield
        finally:
            self._job.claims.asked(keys, now_s=asyncio.get_running_loop().time())

    @asynccontextmanager
    async def _claiming(self, rows: Sequence[BaselineEntry], *, before: Sequence[BaselineEntry]) -> AsyncIterator[None]:
        """Claim, then wait for a slot. A claim whose turn never came gives way to what was known `before`: there is
        nothing for the next run to look up."""
        begun = False
        try:
            await self._ledger.claim(rows)
            async with self._job.turn():
                begun = True
                yield
        finally:
            if not begun:
                known = {row.key for row in before}
                await self._ledger.record(before, [row.key for row in rows if row.key not in known])

    def _rekeyed(self, old: bytes, new: bytes) -> tuple[list[BaselineEntry], list[bytes]]:
        with self._job.store.rows() as rows:
            inside = [row for row in rows if is_below(row.key, old)]
        moved = [row._replace(key=new + row.key[len(old) :], id="") for row in inside]
        return moved, [old, *(row.key for row in inside)]

    def directories_made(self, parents: Sequence[MakeDirectory]) -> None:
        for one in parents:
            self._report.directories += 1
            self._job.telemetry.done(one)

    async def delete(self, operation: Delete, *, before: Before | None, forgettable: Collection[bytes]) -> None:
        """`before`: see `Remote.delete`. `forgettable`: the keys of leftovers at whose path nothing else is known. What
        is no leftover goes to the trash where there is one, a directory that seems empty too, for the sake of what may
        have come into it."""
        if self._job.trash is not None and not operation.leftover:
            await self._job.trash.take(operation.remote, operation.path, self._stamp, before=before)
        else:
            await self._job.remote.delete(operation.remote, before=before)
        keys = [operation.remote.key, *(record.key for record in operation.covers)]
        await self._ledger.record([], [key for key in keys if not operation.leftover or key in forgettable])
        self._report.deleted += operation.files
        self._report.superseded += operation.superseded
