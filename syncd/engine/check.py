"""A check: both sides by checksum. Called by `app`; changes nothing, and needs nobody's lock.

The paths come as a stream and are compared in batches, so that a tree of any size costs the same memory. Local files
are read whatever the baseline says: that is what a check is for.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice

from syncd.core.check import Comparing, Mismatch, Pair, compared
from syncd.core.diff import Difference
from syncd.core.model import BaselineEntry, Kind
from syncd.core.policy import Filter
from syncd.core.sides import sides
from syncd.engine.observe import each
from syncd.engine.reading import fingerprints
from syncd.engine.slots import Slots
from syncd.errors import NotFound, Rejected, RemoteDead, Transient
from syncd.ports import LocalTree, Remote, Spool

BATCH = 2048
"""Paths compared at a time."""


@dataclass(slots=True)
class Checked:
    """What was found until now: `files` were compared."""

    files: int = 0
    differences: list[Mismatch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Check:
    """`download`: where the remote gives no checksum, its bytes are read; else what the baseline knows is believed."""

    tree: LocalTree
    remote: Remote
    filters: Filter
    baseline: Callable[[], AbstractContextManager[Iterator[BaselineEntry]]]
    spool: Spool
    slots: Slots
    workers: int
    download: bool

    async def run(self, checked: Checked) -> None:
        """Raises what ends it as a whole; what was found until then is in `checked`."""
        await asyncio.to_thread(self.tree.identity)
        await self.remote.entries("", self.spool, recursive=True)
        comparing = Comparing(self.filters, trust_baseline=not self.download)
        with self.spool.rows() as listing, self.baseline() as rows:
            stream = sides(self.tree.scan(), listing, rows)
            while batch := await asyncio.to_thread(_some, stream):
                checked.files += sum(one.local is not None and one.local.kind == Kind.FILE for one in batch)
                found = [result for one in batch for result in comparing.take(one)]
                await self._compare(found, checked)

    async def _compare(self, found: Sequence[Mismatch | Pair], checked: Checked) -> None:
        pairs = [one for one in found if isinstance(one, Pair)]
        read = await fingerprints(self.tree, [one.local for one in pairs], at_once=self.workers)
        mine = {one.path: read[one.local.key].checksum for one in pairs if one.local.key in read}
        theirs = await self._checksums_there([one for one in pairs if one.path in mine])
        for one in found:
            result = one if isinstance(one, Mismatch) else compared(one, mine.get(one.path), theirs.get(one.path))
            if result is not None:
                checked.differences.append(result)

    async def _checksums_there(self, pairs: Sequence[Pair]) -> dict[str, str]:
        found = {one.path: one.content for one in pairs if one.content is not None}

        async def read(one: Pair) -> None:
            digest = _Digest()
            try:
                async with self.slots:
                    await self.remote.download(one.remote, digest)
            except RemoteDead:
                raise
            except (NotFound, Rejected, Transient):
                return  # one that cannot be had is one that is not known
            found[one.path] = digest.checksum

        if self.download:
            await each([one for one in pairs if one.content is None], read, at_once=self.workers)
        return found


class _Digest:
    """A receiver that keeps only the md5."""

    def __init__(self) -> None:
        self._digest = hashlib.md5(usedforsecurity=False)

    async def begin(self) -> None:
        self._digest = hashlib.md5(usedforsecurity=False)

    async def write(self, piece: bytes) -> None:
        self._digest.update(piece)

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()


def _some(stream: Iterator[Difference]) -> list[Difference]:
    return list(islice(stream, BATCH))
