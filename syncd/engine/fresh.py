"""A last look at directories right before they are moved or deleted in one call.

Such a call takes what is in the directory, listed or not; so it is made only if a fresh listing, pending records
included, holds nothing but what the plan knows. The gap between this listing and the call cannot be closed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.core.paths import is_below, key_of
from syncd.ports import Remote


class Collector:
    """A Sink for listings that are expected to be small."""

    def __init__(self) -> None:
        self.entries: list[RemoteEntry] = []

    async def add(self, entries: Sequence[RemoteEntry]) -> None:
        self.entries += [entry for entry in entries if entry.status != Status.LEAVING]

    async def clear(self) -> None:
        self.entries = []


class FreshView:
    def __init__(self, entries: Collection[RemoteEntry]) -> None:
        self._entries = entries

    def stranger_in(self, directory: str, covers: Collection[RemoteEntry]) -> RemoteEntry | None:
        """A record in the directory that is not one of `covers` or no longer has its content; None if there is none."""
        known = {record.id: record for record in covers}
        unnamed = {record.key for record in covers if record.kind == Kind.DIRECTORY and not record.id}
        for entry in self.inside(directory):
            expected = known.get(entry.id)
            if expected is None and not (entry.kind == Kind.DIRECTORY and entry.key in unnamed):
                return entry
            if expected is not None and (expected.key, expected.checksum) != (entry.key, entry.checksum):
                return entry
        return None

    def inside(self, directory: str) -> list[RemoteEntry]:
        return [entry for entry in self._entries if is_below(entry.key, key_of(directory))]


async def look_into(remote: Remote, directories: Sequence[str], *, expected: int) -> FreshView:
    """List these directories with everything in them: one alone, several by one listing of the whole destination.

    `expected`: how many directories are in what is listed, as far as is known.
    """
    collector = Collector()
    if not directories:
        return FreshView([])
    whole = len(directories) > 1
    where = "" if whole else directories[0]
    await remote.entries(where, collector, recursive=True, directories_known=expected)
    return FreshView(collector.entries)
