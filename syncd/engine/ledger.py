"""Outcomes on their way into the baseline: recorded in groups, because losing one costs a look, never a file."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.core.model import UNTRUSTED, BaselineEntry, Fingerprint, Kind, RemoteEntry, Sync
from syncd.ports import Store

FLUSH_AT = 64


class Ledger:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: list[BaselineEntry] = []
        self._forgotten: list[bytes] = []

    async def claim(self, rows: Sequence[BaselineEntry]) -> None:
        """Returns when the intent is committed, after the outcomes before it; only then may the request be made."""
        self._rows += rows
        await self.flush()

    async def record(self, rows: Sequence[BaselineEntry], forgotten: Sequence[bytes] = ()) -> None:
        self._rows += rows
        self._forgotten += forgotten
        if len(self._rows) + len(self._forgotten) >= FLUSH_AT:
            await self.flush()

    async def flush(self) -> None:
        rows, self._rows = self._rows, []
        forgotten, self._forgotten = self._forgotten, []
        if rows or forgotten:
            await self._store.write(rows, forgotten)


def claimed(
    key: bytes, checksum: str | None, *, size_bytes: int, base: BaselineEntry | None = None, record_id: str = ""
) -> BaselineEntry:
    """The row of an upload about to begin: what is known of the old content stays beside the claim on the new.

    `record_id`: of the record that is overwritten; without one the upload makes its own.
    """
    claim = checksum or ""
    if base is not None and base.kind == Kind.FILE:
        return base._replace(sync=Sync.CLAIMED, claim=claim)
    return BaselineEntry(key, Kind.FILE, size_bytes, 0, 0, 0, None, record_id, Sync.CLAIMED, claim)


def proven(base: BaselineEntry | None, remote: RemoteEntry) -> BaselineEntry | None:
    """The row, with the content of its claim as the known one if the remote turned out to have that."""
    if base is None or not base.claim or base.claim != remote.checksum:
        return base
    return base._replace(checksum=base.claim, id=remote.id, size=remote.size, mtime_ns=UNTRUSTED)


def uploaded(read: Fingerprint, record: RemoteEntry) -> BaselineEntry:
    """The row of a file whose bytes the remote has acknowledged."""
    entry = read.entry
    return BaselineEntry(
        entry.key,
        Kind.FILE,
        entry.size,
        entry.mtime_ns,
        entry.ctime_ns,
        entry.inode,
        read.checksum,
        record.id,
        Sync.UPLOADED,
        None,
    )


def arriving(row: BaselineEntry) -> BaselineEntry:
    """The row of what is about to come to its key by the move of its directory."""
    if row.kind == Kind.DIRECTORY:
        return row
    return claimed(row.key, row.checksum, size_bytes=row.size)


def made(key: bytes, record_id: str = "") -> BaselineEntry:
    """The row of a directory that syncd makes or has made."""
    return BaselineEntry(key, Kind.DIRECTORY, 0, 0, 0, 0, None, record_id, Sync.SYNCED, None)
